//! When a window of the day is open.
//!
//! It is open while the clock on a wall in its zone shows a time in it. So an hour that is skipped in spring is missed
//! with it, and one that comes twice in autumn counts twice.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::config::Window;

/// A zone has skipped a whole day before; what opens daily opens within these days.
const DAYS: i64 = 4;

/// When the window is open next: now, or later. `None` only at the end of time.
pub fn open_from(window: &Window, now: Timestamp) -> Option<Timestamp> {
    if is_open(window, now) {
        return Some(now);
    }
    openings(window, now).into_iter().filter(|at| *at > now && is_open(window, *at)).min()
}

fn is_open(window: &Window, at: Timestamp) -> bool {
    let time = window.zone.to_datetime(at).time();
    match window.from < window.to {
        true => window.from <= time && time < window.to,
        false => window.from <= time || time < window.to,
    }
}

/// Every moment of the next days at which it may open: as its first minute begins, twice where that minute comes twice,
/// and whenever the clock is set.
fn openings(window: &Window, now: Timestamp) -> Vec<Timestamp> {
    let today = window.zone.to_datetime(now).date();
    let first_minutes = (0..DAYS).filter_map(|days| today.checked_add(days.days()).ok()).flat_map(|day| {
        let ambiguous = window.zone.to_ambiguous_timestamp(day.to_datetime(window.from));
        [ambiguous.earlier(), ambiguous.later()].into_iter().filter_map(Result::ok)
    });
    first_minutes.chain(clock_changes(&window.zone, now)).collect()
}

fn clock_changes(zone: &TimeZone, now: Timestamp) -> Vec<Timestamp> {
    let end = now.saturating_add(SignedDuration::from_hours(24 * DAYS)).unwrap_or(Timestamp::MAX);
    zone.following(now).map(|change| change.timestamp()).take_while(|at| *at <= end).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn it_opens_by_the_clock_of_its_zone() {
        let rows = [
            ("02:00-05:00", "2026-11-21T01:59:59Z", "2026-11-21T02:00:00Z"),
            ("02:00-05:00", "2026-11-21T02:00:00Z", "2026-11-21T02:00:00Z"),
            ("02:00-05:00", "2026-11-21T04:59:59Z", "2026-11-21T04:59:59Z"),
            ("02:00-05:00", "2026-11-21T05:00:00Z", "2026-11-22T02:00:00Z"),
            ("22:30-05:00", "2026-11-21T23:59:00Z", "2026-11-21T23:59:00Z"),
            ("22:30-05:00", "2026-11-22T04:00:00Z", "2026-11-22T04:00:00Z"),
            ("22:30-05:00", "2026-11-22T05:00:00Z", "2026-11-22T22:30:00Z"),
            ("02:00-05:00 Europe/Berlin", "2026-11-21T00:30:00Z", "2026-11-21T01:00:00Z"),
            ("02:00-05:00 Europe/Berlin", "2026-07-21T22:00:00Z", "2026-07-22T00:00:00Z"),
            ("23:00-01:00 Asia/Tokyo", "2026-11-21T13:00:00Z", "2026-11-21T14:00:00Z"),
            ("02:00-05:00 America/New_York", "2026-11-21T05:00:00Z", "2026-11-21T07:00:00Z"),
        ];
        for (window, now, opens) in rows {
            assert_eq!(open_from(&window.parse().unwrap(), at(now)), Some(at(opens)), "{window} at {now}");
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_it() {
        let rows = [
            // Berlin, 29 March 2026: 02:00 is 03:00 at once, at 01:00 UTC.
            ("02:00-05:00 Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
            ("02:30-03:30 Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
            ("02:00-03:00 Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-30T00:00:00Z"),
            // 25 October 2026: 03:00 is 02:00 again, at 01:00 UTC.
            ("02:00-02:30 Europe/Berlin", "2026-10-25T00:40:00Z", "2026-10-25T01:00:00Z"),
            ("01:30-02:30 Europe/Berlin", "2026-10-25T00:40:00Z", "2026-10-25T01:00:00Z"),
            ("02:30-02:45 Europe/Berlin", "2026-10-25T00:50:00Z", "2026-10-25T01:30:00Z"),
            // Samoa had no 30 December 2011.
            ("02:00-05:00 Pacific/Apia", "2011-12-29T16:00:00Z", "2011-12-30T12:00:00Z"),
        ];
        for (window, now, opens) in rows {
            assert_eq!(open_from(&window.parse().unwrap(), at(now)), Some(at(opens)), "{window} at {now}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn it_is_shut_until_it_opens(
            from in 0..1440_i64,
            length in 5..1400_i64,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
            now in 1_767_225_600..1_798_761_600_i64,
        ) {
            let clock = |minute: i64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
            let text = format!("{}-{} {zone}", clock(from), clock(from + length));
            let (window, now) = (text.parse().unwrap(), Timestamp::from_second(now).unwrap());
            let opens = open_from(&window, now).expect("it opens every day");
            prop_assert!(is_open(&window, opens) && opens.duration_since(now) <= SignedDuration::from_hours(49));
            let mut before = now;
            while before < opens {
                prop_assert!(!is_open(&window, before), "{text}: {now} -> {opens}, open at {before}");
                before += SignedDuration::from_mins(1);
            }
        }
    }
}
