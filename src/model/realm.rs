//! Realms of single runs on the warm Keycloak: their names, the marks by which they are known again, and what is handed
//! out of each.
//!
//! The surprise: nothing of it is kept here. A realm carries its own salt, and secrets follow from that and this host's
//! key, so that the same run is handed the same ones as long as its realm stands, and never those of an earlier one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::app::NameError;
use super::hex;
use super::secret::HostKey;

/// Digits of a realm's name that tell the runs of one parent apart.
const DIGITS: usize = 6;
/// With `-`, the digits and Keycloak's own `-realm` behind it, far from what its columns hold (255).
const LONGEST_PARENT: usize = 60;
/// Nobody's run has a longer name; what is hashed has to be somewhere first.
const LONGEST_RUN: usize = 1024;
/// Of a run's name that people find in Keycloak.
const SHOWN_OF_RUN: usize = 200;
const SALT_LENGTH: usize = 16;

/// The user of every such realm.
pub const USER: &str = "tester";

/// The recipe that a run tests: part of its realm's name.
///
/// Lower case, because databases may compare names without it; none of the signs that Keycloak refuses in a realm's
/// name (`:/?#@!$&()*+,;=[]\`, its `ReservedCharValidator`) or that mean something in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent(String);

impl FromStr for Parent {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let wrong = |rule| NameError { what: "parent of a realm", name: name.to_owned(), rule };
        if name.len() > LONGEST_PARENT {
            return Err(wrong("at most 60 characters"));
        }
        let inside = |c: char| is_plain(c) || matches!(c, '-' | '_' | '.');
        if !(name.starts_with(is_plain) && name.ends_with(is_plain) && name.chars().all(inside)) {
            return Err(wrong("a recipe's name: lower-case letters and digits, and - _ . between them"));
        }
        Ok(Self(name.to_owned()))
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// What a run is called by whoever started it: any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

impl FromStr for RunId {
    type Err = NameError;

    fn from_str(id: &str) -> Result<Self, NameError> {
        let wrong = |rule| NameError { what: "id of a run", name: id.chars().take(40).collect(), rule };
        match id {
            "" => Err(wrong("any text but none")),
            id if id.len() > LONGEST_RUN => Err(wrong("at most 1024 bytes")),
            id => Ok(Self(id.to_owned())),
        }
    }
}

/// One run, which has one realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub parent: Parent,
    pub id: RunId,
}

impl Run {
    /// `<parent>-<6 hex>`.
    pub fn realm(&self) -> RealmName {
        RealmName(format!("{}-{}", self.parent.0, &self.digest()[..DIGITS]))
    }

    /// What tells it from every other run. A parent holds no NUL, so no two pairs are one text.
    fn digest(&self) -> String {
        hex(&Sha256::digest(format!("{}\0{}", self.parent.0, self.id.0)))
    }

    /// The marks of a realm that is made for it now. `fill` gives random bytes.
    pub fn mark(&self, now: Timestamp, fill: &mut dyn FnMut(&mut [u8])) -> Mark {
        let mut salt = [0; SALT_LENGTH];
        fill(&mut salt);
        // Not every database of a Keycloak holds every character.
        let shown = self.id.0.chars().flat_map(char::escape_default).take(SHOWN_OF_RUN).collect();
        Mark { digest: self.digest(), run: shown, created: now, salt: hex(&salt) }
    }

    /// Whether a realm with these marks was made for it: six digits alone may be those of another run.
    pub fn is_of(&self, mark: &Mark) -> bool {
        self.digest() == mark.digest
    }
}

/// The name of a realm that a run may have; never `master`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RealmName(String);

impl FromStr for RealmName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let rule = "<parent>-<6 hex digits>, as `evenkeel realm create` makes them";
        let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        let parts = name.rsplit_once('-');
        let is_good = |(parent, digits): (&str, &str)| {
            parent.parse::<Parent>().is_ok() && digits.len() == DIGITS && digits.chars().all(is_digit)
        };
        match parts.is_some_and(is_good) {
            true => Ok(Self(name.to_owned())),
            false => Err(NameError { what: "realm of a run", name: name.to_owned(), rule }),
        }
    }
}

impl RealmName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether these marks belong to a realm of this name: an export under another name has them, too.
    pub fn fits(&self, mark: &Mark) -> bool {
        self.0.rsplit_once('-').is_some_and(|(_, digits)| mark.digest.starts_with(digits))
    }
}

impl fmt::Display for RealmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Attributes of a realm that say whose it is. A realm without them was made by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    digest: String,
    /// For people; shortened, and without what is not ASCII.
    pub run: String,
    /// When the realm was made, or handed out again.
    pub created: Timestamp,
    salt: String,
}

const DIGEST: &str = "evenkeel.digest";
const RUN: &str = "evenkeel.run";
const CREATED: &str = "evenkeel.created";
const SALT: &str = "evenkeel.salt";

/// One of the marks is there, and they are not as they were made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its attribute {0} is missing or damaged")]
pub struct DamagedMark(&'static str);

impl Mark {
    pub fn attributes(&self) -> BTreeMap<String, String> {
        let created = self.created.to_string();
        let pairs = [(DIGEST, &self.digest), (RUN, &self.run), (CREATED, &created), (SALT, &self.salt)];
        pairs.map(|(name, value)| (name.to_owned(), value.clone())).into()
    }

    /// Those of the same realm, handed out again: what it hands out stays the same.
    #[must_use]
    pub fn renewed(self, now: Timestamp) -> Self {
        Self { created: now, ..self }
    }

    /// The marks among a realm's attributes; `None` where there are none.
    ///
    /// # Errors
    /// When somebody has changed them: nothing is to be concluded then.
    pub fn read(attributes: &BTreeMap<String, String>) -> Result<Option<Self>, DamagedMark> {
        if ![DIGEST, RUN, CREATED, SALT].iter().any(|name| attributes.contains_key(*name)) {
            return Ok(None);
        }
        let text = |name| attributes.get(name).cloned().ok_or(DamagedMark(name));
        let digits = |name, bytes: usize| {
            let is_hex = |text: &String| text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            text(name).and_then(|text| Some(text).filter(is_hex).ok_or(DamagedMark(name)))
        };
        Ok(Some(Self {
            digest: digits(DIGEST, 32)?,
            run: text(RUN)?,
            created: text(CREATED)?.parse().map_err(|_| DamagedMark(CREATED))?,
            salt: digits(SALT, SALT_LENGTH)?,
        }))
    }
}

/// What a run logs in with.
#[derive(Debug, Clone)]
pub struct Access {
    pub realm: RealmName,
    pub client_id: String,
    pub client_secret: SecretString,
    pub user: &'static str,
    pub password: SecretString,
}

impl Access {
    /// The same for the same realm with the same marks on the same host.
    pub fn of(realm: &RealmName, mark: &Mark, key: &HostKey) -> Self {
        let secret = |what| key.derived(&["realm", realm.as_str(), &mark.salt, what]);
        Self {
            realm: realm.clone(),
            // The realm's name: that of no client which every realm has.
            client_id: realm.to_string(),
            client_secret: secret("client"),
            user: USER,
            password: secret("user"),
        }
    }

    /// What the run is handed: one JSON object, with its secrets.
    pub fn handed_out(&self, issuer: &str) -> SecretString {
        let object = json!({
            "realm": self.realm.as_str(),
            "issuer": issuer,
            "client_id": self.client_id,
            "client_secret": self.client_secret.expose_secret(),
            "user": self.user,
            "password": self.password.expose_secret(),
        });
        format!("{object:#}\n").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(parent: &str, id: &str) -> Run {
        Run { parent: parent.parse().unwrap(), id: id.parse().unwrap() }
    }

    fn now() -> Timestamp {
        "2026-11-22T04:00:00Z".parse().unwrap()
    }

    fn mark(run: &Run, salt: u8) -> Mark {
        run.mark(now(), &mut |bytes| bytes.fill(salt))
    }

    fn key() -> HostKey {
        HostKey::new(vec![7; 32])
    }

    #[test]
    fn a_realms_name_is_the_parent_and_six_digits_of_parent_and_run() {
        let name = run("wiki", "build-17").realm();
        assert_eq!(name, run("wiki", "build-17").realm());
        assert!(name.as_str().starts_with("wiki-") && name.as_str().len() == 11, "{name}");
        assert_eq!(name.as_str().parse(), Ok(name.clone()));
        assert_ne!(name, run("wiki", "build-18").realm());
        let digits = |run: Run| run.realm().as_str().rsplit_once('-').unwrap().1.to_owned();
        assert_ne!(digits(run("wiki", "1")), digits(run("notes", "1")));
    }

    #[test]
    fn any_text_but_none_names_a_run() {
        for id in ["1", " ", "a/b?c#d", "läuft", "🦀", "x'; drop table REALM; --", "\n", "master", &"r".repeat(1024)]
        {
            let run = run("wiki", id);
            assert_eq!(run.realm().as_str().parse(), Ok(run.realm()), "{id:?}");
            let attributes = mark(&run, 1).attributes();
            assert!(attributes.values().all(|value| value.is_ascii() && value.len() <= 255), "{attributes:?}");
        }
        for id in ["", &"r".repeat(1025)] {
            assert!(id.parse::<RunId>().is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_parent_that_keycloak_or_a_path_would_not_take_is_refused() {
        for good in ["wiki", "custom-html", "lasuite_drive", "n8n", "a", "master", "web.site", &"a".repeat(60)] {
            assert!(good.parse::<Parent>().is_ok(), "{good}");
        }
        let long = "a".repeat(61);
        let bad = ["", "Wiki", "wi ki", "a/b", "..", "-a", "a-", ".a", "a%2f", "é", "a?b", "a\0b", "a:b", "a#", &long];
        for bad in bad {
            assert!(bad.parse::<Parent>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn master_and_whatever_else_is_nobodys_run_is_no_realm_of_a_run() {
        for name in
            ["master", "", "wiki", "wiki-12345", "wiki-1234567", "wiki-12345G", "wiki-ABCDEF", "-abcdef", "a/b-abcdef"]
        {
            assert!(name.parse::<RealmName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn marks_are_read_back_as_they_were_made() {
        let run = run("wiki", "1");
        let mark = mark(&run, 3);
        assert_eq!(Mark::read(&mark.attributes()), Ok(Some(mark.clone())));
        assert!(run.is_of(&mark) && run.realm().fits(&mark));
        assert!(!self::run("wiki", "2").is_of(&mark) && !self::run("wiki", "2").realm().fits(&mark));
    }

    #[test]
    fn a_realm_without_marks_is_foreign_and_one_with_some_is_damaged() {
        let foreign = [("acme.run".to_owned(), "1".to_owned())].into();
        assert_eq!(Mark::read(&foreign), Ok(None));
        let whole = mark(&run("wiki", "1"), 3).attributes();
        for name in whole.keys() {
            let mut without = whole.clone();
            without.remove(name);
            assert!(Mark::read(&without).is_err(), "{name}");
            if name != RUN {
                let garbled = [(name.clone(), "yesterday".to_owned())];
                assert!(Mark::read(&whole.clone().into_iter().chain(garbled).collect()).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn what_is_handed_out_stays_with_the_realm_and_goes_with_it() {
        let run = run("wiki", "1");
        let handed = |salt, key: &HostKey| {
            let access = Access::of(&run.realm(), &mark(&run, salt), key);
            access.handed_out("https://kc.example.org/realms/x").expose_secret().to_owned()
        };
        let first = handed(1, &key());
        assert_eq!(first, handed(1, &key()));
        for other in [handed(2, &key()), handed(1, &HostKey::new(vec![8; 32]))] {
            let secrets = |text: &str| {
                let read: serde_json::Value = serde_json::from_str(text).unwrap();
                [read["client_secret"].clone(), read["password"].clone()]
            };
            let ([a, b], [c, d]) = (secrets(&first), secrets(&other));
            assert!(a != c && b != d && a != b, "{first} {other}");
        }
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let run = run("wiki", "1");
        let access = Access::of(&run.realm(), &mark(&run, 1), &key());
        let shown = format!("{access:?}");
        assert!(
            !shown.contains(access.password.expose_secret()) && !shown.contains(access.client_secret.expose_secret())
        );
    }
}
