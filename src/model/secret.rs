//! Secrets: bytes that no log shows, the rules by which recipes have them made, and names that follow content.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

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
    /// Characters; without it a passphrase of words.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Letters and digits without those that look alike; also what an unknown name means.
    Default,
    /// Default and `!@#$%^&*_-+=`.
    Special,
    /// Default and specials that no shell, URL or env file minds.
    SafeSpecial,
    Hex,
    Alphanumeric,
}

/// The host's own key, from which names that follow a secret's content are derived. A plain hash in a name would let
/// anyone who reads names check guesses.
#[derive(Clone)]
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
        let hex: String = tag.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("c{}", &hex[..7])
    }
}
