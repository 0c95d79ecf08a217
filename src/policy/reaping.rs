//! Which realms on the warm Keycloak may go: those that runs left behind.
//!
//! In doubt a realm stays. `master`, realms of other makers, and those whose marks somebody has changed are never
//! taken, whatever their age.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::realm::{Mark, RealmName};

/// A realm as Keycloak lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
}

/// What becomes of a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Somebody else's.
    Foreign,
    /// A run's, and not old enough.
    Young,
    /// Left behind, for so long.
    Goes(RealmName, SignedDuration),
    /// It has marks of ours that do not hold; why.
    Doubtful(String),
}

/// What becomes of a realm when those go that are older than this. One from the future is young: clocks are set back.
pub fn fate(realm: &Listed, older_than: SignedDuration, now: Timestamp) -> Fate {
    let mark = match Mark::read(&realm.attributes) {
        Ok(None) => return Fate::Foreign,
        Err(damaged) => return Fate::Doubtful(damaged.to_string()),
        Ok(Some(mark)) => mark,
    };
    let Some(name) = realm.name.parse::<RealmName>().ok().filter(|name| name.fits(&mark)) else {
        return Fate::Doubtful("its marks are those of a realm with another name".to_owned());
    };
    let age = now.duration_since(mark.created);
    if age > older_than { Fate::Goes(name, age) } else { Fate::Young }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::realm::Run;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn made(created: Timestamp) -> Listed {
        let run = Run { parent: "wiki".parse().unwrap(), id: "1".parse().unwrap() };
        let mark = run.mark(created, &mut |bytes| bytes.fill(1));
        Listed { name: run.realm().to_string(), attributes: mark.attributes() }
    }

    fn two_hours() -> SignedDuration {
        SignedDuration::from_hours(2)
    }

    #[test]
    fn a_realm_goes_once_it_is_older_than_asked_for() {
        let realm = made(at("2026-11-22T04:00:00Z"));
        let then = |now| fate(&realm, two_hours(), at(now));
        assert_eq!(then("2026-11-22T05:59:59Z"), Fate::Young);
        assert_eq!(then("2026-11-22T06:00:00Z"), Fate::Young);
        let goes = Fate::Goes(realm.name.parse().unwrap(), SignedDuration::from_secs(7201));
        assert_eq!(then("2026-11-22T06:00:01Z"), goes);
    }

    #[test]
    fn a_realm_from_the_future_stays() {
        assert_eq!(
            fate(&made(at("2027-01-01T00:00:00Z")), SignedDuration::ZERO, at("2026-01-01T00:00:00Z")),
            Fate::Young
        );
    }

    #[test]
    fn marks_under_another_name_delete_nothing() {
        let old = made(at("2020-01-01T00:00:00Z"));
        for name in ["master", "wiki", "wiki-000000", "Wiki", ""] {
            let renamed = Listed { name: name.to_owned(), ..old.clone() };
            assert!(matches!(fate(&renamed, two_hours(), Timestamp::MAX), Fate::Doubtful(_)), "{name}");
        }
    }

    #[test]
    fn changed_marks_delete_nothing() {
        let old = made(at("2020-01-01T00:00:00Z"));
        for name in old.attributes.keys() {
            let mut changed = old.clone();
            changed.attributes.remove(name);
            assert!(matches!(fate(&changed, two_hours(), Timestamp::MAX), Fate::Doubtful(_)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_without_our_marks_goes(
            name in "master|[a-z]{1,8}-[0-9a-f]{6}",
            seconds in any::<u32>(),
            other in "[a-z.]{1,12}",
        ) {
            let attributes = [(other, "x".to_owned())].into();
            let now = Timestamp::from_second(seconds.into()).unwrap();
            prop_assert_eq!(fate(&Listed { name, attributes }, SignedDuration::ZERO, now), Fate::Foreign);
        }

        #[test]
        fn nothing_younger_goes(created in 0..4_000_000_000_i64, age in 0..10_000_000_i64, least in 0..10_000_000_i64) {
            let realm = made(Timestamp::from_second(created).unwrap());
            let now = Timestamp::from_second(created + age).unwrap();
            let fate = fate(&realm, SignedDuration::from_secs(least), now);
            prop_assert_eq!(matches!(fate, Fate::Goes(..)), age > least);
        }
    }
}
