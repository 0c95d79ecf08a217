//! Throw-away stacks: one release of a recipe on a domain of its own, made for a verdict and removed after it.
//!
//! Everything of one carries the run that made it and when it may be taken for left behind. The surprise: the label proves
//! itself. Several hosts may share an Engine, and anybody can write a label, so a run's mark ends in digits that only this
//! host's key gives for this stack.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use super::app::StackName;
use super::hex;
use super::secret::HostKey;

/// The label that names the run.
pub const RUN: &str = "evenkeel.run";
/// The label that tells when an object may be taken for left behind, where its run has ended.
pub const EXPIRES: &str = "evenkeel.expires";

const PURPOSE: &str = "throw-away stack";
/// Bytes of a run's own part, and hex digits of its proof.
const ID: usize = 6;
const PROOF: usize = 12;

/// The marks of one throw-away stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub stack: StackName,
    /// `<run>-<proof>`.
    run: String,
    pub expires: Timestamp,
}

/// Labels that look like ours and cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMark {
    #[error("its label {EXPIRES} is {0:?}, which is no time")]
    NoTime(String),
    #[error("it belongs to no stack")]
    NoStack,
    #[error("its label {RUN} was not written with this host's key")]
    Unproved,
}

impl Mark {
    /// A new run's marks. `fill` gives random bytes.
    pub fn new(stack: &StackName, expires: Timestamp, key: &HostKey, fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut id = [0; ID];
        fill(&mut id);
        let id = hex(&id);
        let run = format!("{id}-{}", proof(&id, stack, key));
        // Labels hold whole seconds.
        let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
        Self { stack: stack.clone(), run, expires }
    }

    /// The marks among the labels of an object whose stack is told by `namespace`; `None` for what has none.
    ///
    /// # Errors
    /// For marks that this host has not made, or that somebody has changed.
    pub fn read(labels: &BTreeMap<String, String>, namespace: &str, key: &HostKey) -> Option<Result<Self, NoMark>> {
        let run = labels.get(RUN)?.clone();
        let expires = labels.get(EXPIRES).map_or("", String::as_str);
        Some(Self::proved(run, expires, labels.get(namespace), key))
    }

    fn proved(run: String, expires: &str, stack: Option<&String>, key: &HostKey) -> Result<Self, NoMark> {
        let stack: StackName = stack.and_then(|stack| stack.parse().ok()).ok_or(NoMark::NoStack)?;
        let is_ours = run.rsplit_once('-').is_some_and(|(id, told)| told == proof(id, &stack, key));
        if !is_ours {
            return Err(NoMark::Unproved);
        }
        let expires = expires.parse().map_err(|_| NoMark::NoTime(expires.to_owned()))?;
        Ok(Self { stack, run, expires })
    }

    /// What an object of this stack carries.
    pub fn labels(&self) -> [(&'static str, String); 2] {
        [(RUN, self.run.clone()), (EXPIRES, self.expires.to_string())]
    }

    /// The run's label, by which all that it made is found.
    pub fn run(&self) -> &str {
        &self.run
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stack)
    }
}

fn proof(id: &str, stack: &StackName, key: &HostKey) -> String {
    key.derived(&[PURPOSE, id, stack.as_str()]).expose_secret()[..PROOF].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMESPACE: &str = "com.docker.stack.namespace";

    fn key(byte: u8) -> HostKey {
        HostKey::new(vec![byte; 32])
    }

    fn stack(name: &str) -> StackName {
        name.parse().unwrap()
    }

    fn made() -> (Mark, BTreeMap<String, String>) {
        let expires = "2026-11-22T04:00:00.5Z".parse().unwrap();
        let mark = Mark::new(&stack("wiki-0a0b0c_example_org"), expires, &key(1), &mut |bytes| bytes.fill(7));
        let mut labels: BTreeMap<_, _> = mark.labels().map(|(name, value)| (name.to_owned(), value)).into();
        labels.insert(NAMESPACE.to_owned(), mark.stack.to_string());
        (mark, labels)
    }

    #[test]
    fn what_was_marked_is_known_again() {
        let (mark, labels) = made();
        assert_eq!(labels[EXPIRES], "2026-11-22T04:00:00Z");
        assert_eq!(Mark::read(&labels, NAMESPACE, &key(1)), Some(Ok(mark)));
    }

    #[test]
    fn marks_of_another_host_or_on_another_stack_are_not_ours() {
        let (_, labels) = made();
        assert_eq!(Mark::read(&labels, NAMESPACE, &key(2)), Some(Err(NoMark::Unproved)));
        let mut moved = labels.clone();
        moved.insert(NAMESPACE.to_owned(), "warm-wiki_example_org".to_owned());
        assert_eq!(Mark::read(&moved, NAMESPACE, &key(1)), Some(Err(NoMark::Unproved)));
        let mut alone = labels.clone();
        alone.remove(NAMESPACE);
        assert_eq!(Mark::read(&alone, NAMESPACE, &key(1)), Some(Err(NoMark::NoStack)));
        let mut timeless = labels;
        timeless.insert(EXPIRES.to_owned(), "soon".to_owned());
        assert_eq!(Mark::read(&timeless, NAMESPACE, &key(1)), Some(Err(NoMark::NoTime("soon".to_owned()))));
    }

    #[test]
    fn what_has_no_run_is_nobodys_throw_away() {
        let labels = [(EXPIRES.to_owned(), "2020-01-01T00:00:00Z".to_owned())].into();
        assert_eq!(Mark::read(&labels, NAMESPACE, &key(1)), None);
    }

    proptest! {
        #[test]
        fn no_label_that_somebody_makes_up_is_ours(run in "[0-9a-f]{0,14}-?[0-9a-f]{0,12}") {
            let labels = [(RUN, run.as_str()), (EXPIRES, "2020-01-01T00:00:00Z"), (NAMESPACE, "warm-wiki_example_org")];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            prop_assert_eq!(Mark::read(&labels, NAMESPACE, &key(1)), Some(Err(NoMark::Unproved)));
        }
    }
}
