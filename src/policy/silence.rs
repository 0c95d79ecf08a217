//! Whether the nightly runs have fallen silent, which no run can tell.
//!
//! Counted from the last good one, or from when the kind was seen first, so that a new host is not alarmed at once and
//! one whose nights never ran is. The surprise: what was written down in the future, by a clock that has been put back
//! since, counts as of now. Otherwise nobody would be told until that time comes.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::model::alert::{Alert, Reason};
use crate::model::nights::{Night, Nights};

/// What is known after a good night of these kinds.
pub fn after_good_night(nights: &Nights, kinds: &BTreeSet<&str>, now: Timestamp) -> Nights {
    let mut nights = nights.clone();
    for kind in kinds {
        let night = nights.kinds.entry((*kind).to_owned()).or_insert_with(|| Night::begun(now));
        (night.good, night.told) = (Some(now), None);
    }
    nights
}

/// What is known now, and an alert for each declared kind that is silent for longer than `after` and was not told of.
pub fn fallen_silent(
    nights: &Nights,
    declared: &BTreeSet<&str>,
    after: SignedDuration,
    now: Timestamp,
) -> (Nights, Vec<Alert>) {
    let mut known = Nights::default();
    let mut alerts = Vec::new();
    for kind in declared {
        let night = nights.kinds.get(*kind).map_or_else(|| Night::begun(now), |night| not_later_than(now, night));
        let is_silent = now.duration_since(night.last()) > after && night.told != Some(night.last());
        let told = if is_silent { Some(night.last()) } else { night.told };
        alerts.extend(is_silent.then(|| alert(kind, &night, after, now)));
        known.kinds.insert((*kind).to_owned(), Night { told, ..night });
    }
    (known, alerts)
}

fn not_later_than(now: Timestamp, night: &Night) -> Night {
    let earlier = |time: Timestamp| time.min(now);
    // A silence that was told of stays told of where its beginning is moved.
    let moved = night.last() > now;
    let told = if moved && night.told == Some(night.last()) { Some(now) } else { night.told };
    Night { since: earlier(night.since), good: night.good.map(earlier), told }
}

/// Its time follows from the silence, not from when it was noticed: whoever was killed before it was noted that it is
/// told writes the same file again.
fn alert(kind: &str, night: &Night, after: SignedDuration, now: Timestamp) -> Alert {
    let moment = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let hours = now.duration_since(night.last()).as_hours();
    let last = match night.good {
        Some(good) => format!("the last good one ended at {}, {hours} h ago", moment(good)),
        None => format!("none has ended well since {}, when it was declared first, {hours} h ago", moment(night.since)),
    };
    Alert {
        reason: Reason::Silent,
        from_version: None,
        to_version: None,
        release_notes: None,
        ts: night.last().saturating_add(after).unwrap_or(now),
        evidence: format!(
            "no nightly run of `evenkeel {kind}` has looked at all of its apps for more than {} h: {last}. Meanwhile no \
             version is taken, and nobody is told what is held or fails; apps go on as they are",
            after.as_hours()
        ),
        fact: format!("silent:{kind}:{}", night.last()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: SignedDuration = SignedDuration::from_hours(26);

    fn hour(hour: i64) -> Timestamp {
        "2026-11-01T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
    }

    fn kinds<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
        names.iter().copied().collect()
    }

    /// What the watchdog tells at this hour, and what is known then.
    fn watch(nights: &mut Nights, declared: &[&str], at: i64) -> Vec<Alert> {
        let (known, alerts) = fallen_silent(nights, &kinds(declared), AFTER, hour(at));
        *nights = known;
        alerts
    }

    #[test]
    fn a_new_host_is_given_time_and_one_whose_nights_never_ran_is_told() {
        let mut nights = Nights::default();
        assert_eq!(watch(&mut nights, &["app"], 0), []);
        assert_eq!(watch(&mut nights, &["app"], 26), []);
        let alerts = watch(&mut nights, &["app"], 27);
        let [alert] = &alerts[..] else { panic!("{alerts:?}") };
        assert!(alert.evidence.contains("`evenkeel app`") && alert.evidence.contains("none has ended well since"));
        assert_eq!((alert.reason, alert.ts), (Reason::Silent, hour(26)));
    }

    #[test]
    fn a_silence_is_told_once_and_again_only_after_a_good_night() {
        let mut nights = after_good_night(&Nights::default(), &kinds(&["app"]), hour(0));
        assert_eq!(watch(&mut nights, &["app"], 26), [], "a night that is a little late");
        assert_eq!(watch(&mut nights, &["app"], 30).len(), 1);
        for at in [31, 60, 1000] {
            assert_eq!(watch(&mut nights, &["app"], at), []);
        }
        nights = after_good_night(&nights, &kinds(&["app"]), hour(1001));
        assert_eq!(watch(&mut nights, &["app"], 1020), []);
        let again = watch(&mut nights, &["app"], 1028);
        assert!(again[0].evidence.contains("2026-12-12 19:00:00 UTC, 27 h ago"), "{again:?}");
    }

    #[test]
    fn kinds_are_silent_each_for_itself_and_only_while_they_are_declared() {
        let mut nights = after_good_night(&Nights::default(), &kinds(&["app", "proxy"]), hour(0));
        nights = after_good_night(&nights, &kinds(&["proxy"]), hour(24));
        let alerts = watch(&mut nights, &["app", "proxy", "warm-keycloak"], 30);
        assert_eq!(alerts.len(), 1, "the third is new, the second was well");
        assert!(alerts[0].fact.starts_with("silent:app:"));
        assert_eq!(watch(&mut nights, &["proxy"], 40), []);
        assert_eq!(watch(&mut nights, &["app", "proxy"], 45), [], "what comes back is counted anew");
    }

    #[test]
    fn a_killed_watchdog_tells_the_same_once_more() {
        let nights = after_good_night(&Nights::default(), &kinds(&["app"]), hour(0));
        let of = |at| fallen_silent(&nights, &kinds(&["app"]), AFTER, hour(at)).1.remove(0);
        assert_eq!((of(30).ts, of(30).fact), (of(31).ts, of(31).fact), "which is the same file");
    }

    #[test]
    fn a_clock_that_is_put_back_alarms_nobody_and_silences_nobody() {
        let mut nights = after_good_night(&Nights::default(), &kinds(&["app"]), hour(100_000));
        assert_eq!(watch(&mut nights, &["app"], 0), []);
        assert_eq!(watch(&mut nights, &["app"], 26), []);
        assert_eq!(watch(&mut nights, &["app"], 27).len(), 1, "counted from when the clock was right again");
        assert_eq!(watch(&mut nights, &["app"], -5), []);
        assert_eq!(watch(&mut nights, &["app"], 100), [], "nor is it told again");
        let longest = SignedDuration::MAX;
        let (_, alerts) = fallen_silent(&nights, &kinds(&["app"]), longest, Timestamp::MAX);
        assert_eq!(alerts, []);
    }
}
