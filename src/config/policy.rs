//! When a newer version is taken: an app's `policy` table.
//!
//! Zones are those of the built-in database, so that a configuration means the same on every machine.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::table::{Keys, Value};
use crate::model::version::RecipeVersion;

const KEYS: Keys = &["auto", "notes", "never", "min_age", "window", "late_rollback"];

/// What may happen by itself. The default: steps up to minor, release notes hold, at any time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub auto: Auto,
    pub notes: Notes,
    pub never: Vec<RecipeVersion>,
    /// How long a version has to be known before it is taken.
    pub min_age: Duration,
    /// `None`: at any time of day.
    pub window: Option<Window>,
    /// Whether a verdict that comes late may still take data back.
    pub late_rollback: bool,
}

/// The largest step that is taken without a person, on recipe version and app version alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Auto {
    None,
    Patch,
    #[default]
    Minor,
    Major,
}

/// What a release note between two versions does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notes {
    #[default]
    Hold,
    Alert,
    Ignore,
}

/// A span of the day, by the clock of a zone; it may pass midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub from: Time,
    pub to: Time,
    /// UTC unless one is named.
    pub zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    #[error("{0:?} is not a window")]
    Form(String),
    #[error("{0:?} begins and ends at the same time")]
    Empty(String),
    #[error("no time zone is called {0:?}")]
    Zone(String),
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let form = || WindowError::Form(text.to_owned());
        let (hours, zone) = match text.split_once(' ') {
            Some((hours, zone)) => (hours, Some(zone)),
            None => (text, None),
        };
        let (from, to) = hours.split_once('-').ok_or_else(form)?;
        let (from, to) = (time(from).ok_or_else(form)?, time(to).ok_or_else(form)?);
        if from == to {
            return Err(WindowError::Empty(text.to_owned()));
        }
        if zone.is_some_and(|zone| !is_zone_name(zone)) {
            return Err(form());
        }
        Ok(Self { from, to, zone: zone.map_or(Ok(TimeZone::UTC), known)? })
    }
}

/// `HH:MM`, two digits each.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn is_zone_name(zone: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    zone.split('/').all(|part| !part.is_empty() && part.chars().all(legal))
}

fn known(zone: &str) -> Result<TimeZone, WindowError> {
    TimeZoneDatabase::bundled().get(zone).map_err(|_| WindowError::Zone(zone.to_owned()))
}

pub(super) fn read(value: &Value<'_>) -> Option<Policy> {
    let table = value.table(KEYS)?;
    let auto = [("major", Auto::Major), ("minor", Auto::Minor), ("patch", Auto::Patch), ("none", Auto::None)];
    let notes = [("hold", Notes::Hold), ("alert", Notes::Alert), ("ignore", Notes::Ignore)];
    let version = |value: &Value<'_>| value.parsed("such as \"2.4.0+1.9.1\"");
    Some(Policy {
        auto: table.get("auto").and_then(|v| v.choice(&auto)).unwrap_or_default(),
        notes: table.get("notes").and_then(|v| v.choice(&notes)).unwrap_or_default(),
        never: table.get("never").and_then(|v| v.list()).unwrap_or_default().iter().filter_map(version).collect(),
        min_age: table.get("min_age").and_then(|v| v.duration()).unwrap_or_default(),
        window: table
            .get("window")
            .and_then(|v| v.parsed("such as \"02:00-05:00\" in UTC, or \"02:00-05:00 Europe/Berlin\"")),
        late_rollback: table.get("late_rollback").and_then(|v| v.boolean()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_with_and_without_a_zone() {
        let window: Window = "22:30-05:00 Europe/Berlin".parse().unwrap();
        assert_eq!((window.from.hour(), window.from.minute(), window.to.hour()), (22, 30, 5));
        assert_eq!(window.zone.iana_name(), Some("Europe/Berlin"));
        for text in ["02:00-05:00", "02:00-05:00 UTC"] {
            assert_eq!(text.parse::<Window>().unwrap().zone, TimeZone::UTC, "{text}");
        }
    }

    #[test]
    fn a_zone_that_nobody_knows_is_refused() {
        for zone in ["Europe/Berlni", "CET+1", "Mars"] {
            let refused = format!("02:00-05:00 {zone}").parse::<Window>();
            assert_eq!(refused, Err(WindowError::Zone(zone.to_owned())));
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in ["", "02:00", "2:00-5:00", "02:00-24:00", "02:00-05:60", "02:00-05:00 ", "02:00-05:00 a//b", "x-y"]
        {
            assert_eq!(text.parse::<Window>(), Err(WindowError::Form(text.to_owned())), "{text:?}");
        }
        assert!(matches!("02:00-02:00".parse::<Window>(), Err(WindowError::Empty(_))));
    }
}
