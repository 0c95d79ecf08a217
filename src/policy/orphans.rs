//! Which throw-away stacks may go: those that a dead run left behind.
//!
//! In doubt a stack stays. Whether its run is dead is asked by whoever removes it, as late as can be.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::secret::HostKey;
use crate::model::throw_away::{Mark, NoMark};

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is no part of a throw-away stack.
    Foreign,
    /// Its time is not over.
    Young(Mark),
    /// Its time is over.
    Goes(Mark),
    /// It has marks that do not hold, and its time is over by its own word; why.
    Doubtful(NoMark),
}

/// What becomes of an object with these labels; `namespace` is the label that names an object's stack.
pub fn fate(labels: &BTreeMap<String, String>, namespace: &str, key: &HostKey, now: Timestamp) -> Fate {
    match Mark::read(labels, namespace, key) {
        None => Fate::Foreign,
        Some(Ok(mark)) if mark.expires < now => Fate::Goes(mark),
        Some(Ok(mark)) => Fate::Young(mark),
        // Another host's on the same Engine, which takes care of it.
        Some(Err(NoMark::Unproved)) if !is_over(labels, now) => Fate::Foreign,
        Some(Err(why)) => Fate::Doubtful(why),
    }
}

fn is_over(labels: &BTreeMap<String, String>, now: Timestamp) -> bool {
    let expires = labels.get(crate::model::throw_away::EXPIRES).and_then(|text| text.parse::<Timestamp>().ok());
    expires.is_none_or(|expires| expires < now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMESPACE: &str = "com.docker.stack.namespace";

    fn key(byte: u8) -> HostKey {
        HostKey::new(vec![byte; 32])
    }

    fn marked(expires: i64) -> BTreeMap<String, String> {
        let stack = "wiki-0a0b0c_example_org".parse().unwrap();
        let expires = Timestamp::from_second(expires).unwrap();
        let mark = Mark::new(&stack, expires, &key(1), &mut |bytes| bytes.fill(3));
        let stack = (NAMESPACE.to_owned(), stack.to_string());
        mark.labels().map(|(name, value)| (name.to_owned(), value)).into_iter().chain([stack]).collect()
    }

    #[test]
    fn what_another_host_made_never_goes_and_is_told_only_when_its_time_is_over() {
        let labels = marked(1_000);
        let at = |seconds| fate(&labels, NAMESPACE, &key(2), Timestamp::from_second(seconds).unwrap());
        assert_eq!(at(1_000), Fate::Foreign);
        assert_eq!(at(1_001), Fate::Doubtful(NoMark::Unproved));
    }

    #[test]
    fn changed_marks_remove_nothing() {
        let labels = marked(1_000);
        for name in labels.keys() {
            let mut changed = labels.clone();
            changed.insert(name.clone(), "x".to_owned());
            let fate = fate(&changed, NAMESPACE, &key(1), Timestamp::MAX);
            assert!(matches!(fate, Fate::Doubtful(_)), "{name}: {fate:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_goes_before_its_time(expires in 0..4_000_000_000_i64, now in 0..4_000_000_000_i64) {
            let fate = fate(&marked(expires), NAMESPACE, &key(1), Timestamp::from_second(now).unwrap());
            prop_assert_eq!(matches!(fate, Fate::Goes(_)), now > expires);
        }

        #[test]
        fn nothing_without_marks_goes(name in "[a-z.]{1,20}", value in "[a-z0-9_-]{0,20}") {
            prop_assume!(name != crate::model::throw_away::RUN);
            let labels = [(name, value)].into();
            prop_assert_eq!(fate(&labels, NAMESPACE, &key(1), Timestamp::MAX), Fate::Foreign);
        }
    }
}
