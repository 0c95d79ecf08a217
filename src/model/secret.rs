//! Secrets: bytes that no log shows, the rules by which recipes have them made, and names that follow content.

use std::collections::BTreeSet;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use super::hex;
use super::state::SecretVersion;

/// The exact bytes of a secret. `Debug` shows none of them; memory is wiped on drop.
#[derive(Clone)]
pub struct SecretBytes(SecretSlice<u8>);

impl SecretBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// How a recipe wants a secret made: the comment behind its version in `.env.sample` (`# length=32 charset=hex`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Characters; without it a passphrase of six groups of five letters and digits, joined by hyphens.
    pub length: Option<usize>,
    pub charset: Charset,
    /// `generate=false`: the operator has to give it.
    pub generate: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Self { length: None, charset: Charset::Default, generate: true }
    }
}

/// A length that the recipes' own tool would not take either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length that a secret can have (a number from {MIN_LENGTH} to {MAX_LENGTH})")]
pub struct NotALength(pub String);

const MIN_LENGTH: usize = 5;
const MAX_LENGTH: usize = 1024;

/// Groups and characters of a passphrase: 30 characters of 57 are 175 bits.
const GROUPS: usize = 6;
const GROUP_LENGTH: usize = 5;

impl Rule {
    /// The value of `length=`: 5 to 1024 characters.
    pub fn parse_length(text: &str) -> Result<usize, NotALength> {
        let length = text.parse().ok().filter(|length| (MIN_LENGTH..=MAX_LENGTH).contains(length));
        length.ok_or_else(|| NotALength(text.to_owned()))
    }

    /// A secret as the rule wants it, from the random bytes that `fill` gives. Each character of the alphabet is as
    /// likely as any other.
    pub fn generate(&self, fill: &mut dyn FnMut(&mut [u8])) -> SecretBytes {
        match self.length {
            Some(length) => SecretBytes::new(draw(self.charset, length, fill)),
            None => passphrase(fill),
        }
    }
}

/// Readable aloud and easy to type: `Xk3fa-...`, whatever the charset, as a rule without a length asks for.
fn passphrase(fill: &mut dyn FnMut(&mut [u8])) -> SecretBytes {
    let letters = SecretBytes::new(draw(Charset::Default, GROUPS * GROUP_LENGTH, fill));
    let groups: Vec<&[u8]> = letters.expose().chunks(GROUP_LENGTH).collect();
    SecretBytes::new(groups.join(&b'-'))
}

/// Random bytes above the greatest multiple of the alphabet's size are thrown away: a plain remainder would favour
/// the alphabet's first characters.
fn draw(charset: Charset, length: usize, fill: &mut dyn FnMut(&mut [u8])) -> Vec<u8> {
    let alphabet = charset.alphabet();
    let fair = 256 - 256 % alphabet.len();
    let mut drawn = Vec::with_capacity(length);
    let mut random = [0; 64];
    while drawn.len() < length {
        fill(&mut random);
        let wanted = length - drawn.len();
        let fair_bytes = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        drawn.extend(fair_bytes.take(wanted).map(|byte| alphabet[byte % alphabet.len()]));
    }
    drawn
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Letters and digits without those that look alike; also what an unknown name means.
    Default,
    /// Default and `!@#$%^&*_-+=`.
    Special,
    /// Default and `-_.`, the specials that no shell, URL or env file minds.
    SafeSpecial,
    Hex,
    Alphanumeric,
}

impl Charset {
    /// The value of `charset=`: `default,special` is `special`, and an unknown name is the default.
    pub fn named(name: &str) -> Self {
        Self::known(name).unwrap_or(Self::Default)
    }

    /// As [`Charset::named`]; `None` for an unknown name.
    pub fn known(name: &str) -> Option<Self> {
        match name.trim().trim_start_matches("default,") {
            "" | "default" => Some(Self::Default),
            "special" => Some(Self::Special),
            "safespecial" => Some(Self::SafeSpecial),
            "hex" => Some(Self::Hex),
            "alnum" | "alphanumeric" => Some(Self::Alphanumeric),
            _ => None,
        }
    }

    fn alphabet(self) -> &'static [u8] {
        match self {
            Self::Default => b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789",
            Self::Special => b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!@#$%^&*_-+=",
            Self::SafeSpecial => b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.",
            Self::Hex => b"0123456789abcdef",
            Self::Alphanumeric => b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        }
    }
}

/// The host's own key, from which names that follow a secret's content are derived. A plain hash in a name would let
/// anyone who reads names check guesses.
#[derive(Debug, Clone)]
pub struct HostKey(SecretBytes);

impl HostKey {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretBytes::new(bytes))
    }

    /// `c` and seven hex digits: a version that changes with the content and comes back with it.
    pub fn content_version(&self, content: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes keys of any length");
        mac.update(content);
        let tag = mac.finalize().into_bytes();
        format!("c{}", &hex(&tag[..4])[..7])
    }

    /// A secret that follows from this key and these words, and tells neither: 256 bits in hex digits. No word holds a
    /// NUL, so other words are another secret.
    pub fn derived(&self, words: &[&str]) -> SecretString {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes keys of any length");
        for word in words {
            mac.update(word.as_bytes());
            mac.update(&[0]);
        }
        hex(&mac.finalize().into_bytes()).into()
    }
}

/// The version in the name of a secret whose bytes the operator gives.
///
/// `content` is what [`HostKey::content_version`] says of the bytes, `sample_version` what the recipe's sample calls
/// the secret (`v1`), and `live_has_sample` whether the Swarm holds an object of that version. Such an object is
/// adopted when nothing is recorded: Swarm never shows its bytes, and renaming it would move services for nothing.
pub fn version_of_given(
    recorded: Option<&SecretVersion>,
    content: &str,
    sample_version: Option<&str>,
    live_has_sample: bool,
) -> String {
    match (recorded, sample_version) {
        (Some(recorded), _) if recorded.content == content => recorded.version.clone(),
        (None, Some(sample)) if live_has_sample => sample.to_owned(),
        _ => content.to_owned(),
    }
}

/// What the operator's files give, whose values are shown to nobody. A recipe may give a value on under another name,
/// or inside of another text.
#[derive(Default)]
pub struct Hidden {
    names: BTreeSet<String>,
    values: BTreeSet<String>,
}

/// Shorter values stand in texts that have nothing to do with them.
const SHORTEST_HIDDEN: usize = 8;

impl Hidden {
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut hidden = Self::default();
        for (name, value) in variables {
            hidden.names.insert(name);
            if value.len() >= SHORTEST_HIDDEN {
                hidden.values.insert(value);
            }
        }
        hidden
    }

    /// Takes back a value that may be shown.
    pub fn show(&mut self, value: &str) {
        self.values.remove(value);
    }

    /// Those that are hidden wherever they stand.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }

    /// Whether this text behind this name is for nobody's eyes.
    pub fn hides(&self, name: &str, text: &str) -> bool {
        self.names.contains(name) || self.values.iter().any(|value| text.contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_value_is_hidden_under_any_name_and_inside_of_other_texts() {
        let given = [("PW", "correct-horse"), ("MODE", "on"), ("TZ", "Europe/Berlin")];
        let mut hidden = Hidden::new(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(hidden.hides("MODE", "on") && hidden.hides("PW", "anything"));
        assert!(hidden.hides("", "--password=correct-horse") && hidden.hides("URL", "u:correct-horse@db"));
        assert!(!hidden.hides("", "on") && !hidden.hides("URL", "https://example.org"));
        hidden.show("Europe/Berlin");
        assert!(!hidden.hides("ZONE", "Europe/Berlin"));
    }
    use std::collections::BTreeMap;

    const ALL: [Charset; 5] =
        [Charset::Default, Charset::Special, Charset::SafeSpecial, Charset::Hex, Charset::Alphanumeric];

    /// Every byte value equally often.
    fn counter() -> impl FnMut(&mut [u8]) {
        let mut next = 0_u8;
        move |buffer| {
            for byte in buffer {
                *byte = next;
                next = next.wrapping_add(1);
            }
        }
    }

    fn rule(length: usize, charset: Charset) -> Rule {
        Rule { length: Some(length), charset, generate: true }
    }

    #[test]
    fn every_character_of_the_alphabet_is_equally_likely() {
        for charset in ALL {
            let size = charset.alphabet().len();
            let per_round = size * (256 / size);
            let drawn = rule(per_round * 3, charset).generate(&mut counter());
            let mut counts = BTreeMap::new();
            drawn.expose().iter().for_each(|byte| *counts.entry(*byte).or_insert(0) += 1);
            assert_eq!(counts.len(), size, "{charset:?}");
            assert!(counts.values().all(|count| *count == 3 * (256 / size)), "{charset:?}: {counts:?}");
        }
    }

    #[test]
    fn characters_that_look_alike_are_left_out_unless_asked_for() {
        for charset in [Charset::Default, Charset::Special, Charset::SafeSpecial] {
            assert!(!charset.alphabet().iter().any(|byte| b"lIO01".contains(byte)), "{charset:?}");
        }
        assert_eq!(Charset::Default.alphabet().len(), 57);
        assert_eq!(Charset::Alphanumeric.alphabet().len(), 62);
    }

    #[test]
    fn a_secret_has_the_length_that_the_recipe_wants() {
        for length in [5, 32, 128, 1024] {
            assert_eq!(rule(length, Charset::Hex).generate(&mut counter()).expose().len(), length);
        }
        assert_eq!(Rule::parse_length("128"), Ok(128));
        for text in ["4", "1025", "-1", "", "many"] {
            assert!(Rule::parse_length(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn without_a_length_it_is_six_groups_of_five() {
        let secret = Rule::default().generate(&mut counter());
        let text = std::str::from_utf8(secret.expose()).unwrap();
        assert_eq!(text, "abcde-fghij-kmnop-qrstu-vwxyz-ABCDE");
    }

    #[test]
    fn the_same_random_bytes_make_the_same_secret() {
        let rule = rule(40, Charset::Special);
        assert_eq!(rule.generate(&mut counter()), rule.generate(&mut counter()));
    }

    #[test]
    fn charsets_go_by_the_names_that_recipes_use() {
        assert_eq!(Charset::named("special"), Charset::Special);
        assert_eq!(Charset::named("default,special"), Charset::Special);
        assert_eq!(Charset::named("default,safespecial"), Charset::SafeSpecial);
        assert_eq!(Charset::named("hex"), Charset::Hex);
        assert_eq!(Charset::named("klingon"), Charset::Default);
    }

    #[test]
    fn a_content_version_follows_the_content_under_this_hosts_key() {
        let key = HostKey::new(vec![7; 32]);
        let version = key.content_version(b"hunter2");
        assert_eq!((version.len(), &version[..1]), (8, "c"));
        assert_eq!(version, key.content_version(b"hunter2"));
        assert_ne!(version, key.content_version(b"hunter3"));
        assert_ne!(version, HostKey::new(vec![8; 32]).content_version(b"hunter2"));
    }

    #[test]
    fn a_given_secret_is_renamed_only_when_its_content_changes() {
        let adopted = SecretVersion { version: "v1".into(), content: "c1111111".into() };
        let cases = [
            (Some(&adopted), "c1111111", true, "v1"),
            (Some(&adopted), "c2222222", true, "c2222222"),
            (None, "c2222222", true, "v1"),
            (None, "c2222222", false, "c2222222"),
        ];
        for (recorded, content, live, expected) in cases {
            assert_eq!(version_of_given(recorded, content, Some("v1"), live), expected);
        }
        assert_eq!(version_of_given(None, "c2222222", None, true), "c2222222");
    }
}
