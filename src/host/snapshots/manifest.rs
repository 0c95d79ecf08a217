//! What a snapshot holds, as its `<app>.meta.json` says: written last, and with a digest of its own.
//!
//! The surprise: the digest covers the text, not what it means, so a flipped byte is found wherever it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::volumes::Size;
use crate::model::hex;
use crate::model::version::Revision;

pub const SCHEMA: u32 = 1;

/// What was stored, of which release, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    pub id: String,
    pub app: String,
    /// The tag; none where the release is a commit that no tag names.
    pub version: Option<String>,
    pub commit: String,
    /// The release's key: the same version under another configuration has another one. Older manifests have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub taken: Timestamp,
    /// By the volume's name. None at all is right for an app without data.
    pub volumes: BTreeMap<String, Archived>,
}

/// One volume's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archived {
    /// Its name in the snapshot's folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Of the file as it lies there.
    pub sha256: String,
    /// How long it is unpacked, tar's own headers included.
    pub unpacked: u64,
    /// What the volume held.
    pub content: Size,
    /// Sockets that were left out: nobody can store one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<String>,
}

impl Manifest {
    pub fn new(id: &str, app: &str, of: &Revision, taken: Timestamp, volumes: BTreeMap<String, Archived>) -> Self {
        let (version, commit) = (of.version.clone(), of.commit.to_string());
        Self { schema: SCHEMA, id: id.to_owned(), app: app.to_owned(), version, commit, key: None, taken, volumes }
    }

    /// Of a release with this key.
    #[must_use]
    pub fn of_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// What all archives take on disk.
    pub fn bytes(&self) -> u64 {
        self.volumes.values().map(|volume| volume.bytes).sum()
    }

    pub(super) fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest is JSON");
        let body = text.strip_suffix("\n}").expect("it is an object with fields");
        format!("{body}{}", end(body.as_bytes()))
    }

    /// Reads what [`Self::to_text`] made.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let length = end(b"").len();
        let (body, found) = bytes.split_at_checked(bytes.len().saturating_sub(length)).unwrap_or_default();
        if found != end(body).as_bytes() {
            return Err("is damaged: it does not match its own digest".to_owned());
        }
        let whole = [body, b"\n}"].concat();
        let schema = serde_json::from_slice::<serde_json::Value>(&whole).ok().and_then(|text| text["schema"].as_u64());
        match serde_json::from_slice::<Self>(&whole) {
            Ok(manifest) if manifest.schema == SCHEMA => Ok(manifest),
            _ if schema.is_some_and(|schema| schema > u64::from(SCHEMA)) => {
                Err("was written by a newer evenkeel; use that one".to_owned())
            }
            Ok(_) => Err("is damaged: it has no schema that ever was".to_owned()),
            Err(cause) => Err(format!("is damaged: {cause}")),
        }
    }
}

/// The last lines of a manifest whose text so far is `body`.
fn end(body: &[u8]) -> String {
    format!(",\n  \"digest\": \"{}\"\n}}\n", hex(&Sha256::digest(body)))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn manifest() -> Manifest {
        let archived = Archived {
            file: "wiki_data.tar.zst".into(),
            bytes: 4711,
            sha256: "ab".repeat(32),
            unpacked: 10240,
            content: Size { entries: 3, inodes: 3, bytes: 5, allocated: 4096 },
            sockets: vec!["run/db.sock".into()],
        };
        let of = Revision { version: Some("1.0.0+2.0".into()), commit: "0".repeat(40).parse().unwrap() };
        let volumes = [("wiki_data".to_owned(), archived)].into();
        Manifest::new("tx-1", "wiki", &of, "2026-11-21T20:00:00Z".parse().unwrap(), volumes)
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_is_json() {
        let text = manifest().to_text();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&json["app"], json["digest"].as_str().map(str::len)), (&"wiki".into(), Some(64)));
    }

    #[test]
    fn a_manifest_without_a_key_is_an_older_one() {
        assert!(!manifest().to_text().contains("\"key\""));
        let text = manifest().of_key("k1").to_text();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap().key.as_deref(), Some("k1"));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let text = manifest().to_text().into_bytes();
        for at in 0..text.len() {
            assert!(Manifest::parse(&text[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                assert!(Manifest::parse(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_manifest_of_a_newer_program_says_so() {
        let newer = Manifest { schema: 2, ..manifest() }.to_text();
        assert!(Manifest::parse(newer.as_bytes()).unwrap_err().contains("newer evenkeel"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert!(Manifest::parse(&bytes).is_err());
        }
    }
}
