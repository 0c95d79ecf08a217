//! A pause: a person works on an app, and until it is over runs leave the app alone.
//!
//! It is kept on disk, so it outlives a reboot, and it ends by the wall clock. The surprise: a clock that stands before
//! the pause's own beginning tells nothing about its end; the app is left alone then, and the clock is named.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::app::AppName;

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    schema: u32,
    /// Who said so, by login name.
    pub by: String,
    pub since: Timestamp,
    /// `None`: until somebody ends it.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
}

/// Why a text is no pause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PauseError {
    #[error("{0}")]
    Form(String),
    #[error("schema {0} instead of {SCHEMA}: a newer evenkeel wrote it")]
    Schema(u32),
    #[error("it ends ({until}) before it begins ({since})")]
    Order { since: Timestamp, until: Timestamp },
}

impl Pause {
    /// From now on, in whole seconds, and never for less than the time.
    pub fn new(by: String, now: Timestamp, time: Option<SignedDuration>, reason: Option<String>) -> Self {
        let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
        let second = |time: Timestamp| time.round(up).unwrap_or(time);
        let until = time.map(|time| second(now.saturating_add(time).unwrap_or(Timestamp::MAX)));
        let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { schema: SCHEMA, by, since, until, reason }
    }

    /// Reads what [`Pause::to_text`] wrote, strictly: nothing about a pause is guessed.
    ///
    /// # Errors
    /// For any other text.
    pub fn parse(text: &[u8]) -> Result<Self, PauseError> {
        let pause: Self = serde_json::from_slice(text).map_err(|cause| PauseError::Form(cause.to_string()))?;
        match pause.until {
            _ if pause.schema != SCHEMA => Err(PauseError::Schema(pause.schema)),
            Some(until) if until <= pause.since => Err(PauseError::Order { since: pause.since, until }),
            _ => Ok(pause),
        }
    }

    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("names and times have a text") + "\n"
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// `paused by alice until 2026-11-21 20:00:00 UTC: moving the data; …`
    pub fn sentence(&self, app: &AppName, now: Timestamp) -> String {
        let end = match self.until {
            Some(until) => format!("until {}", clock(until)),
            None => format!("since {}", clock(self.since)),
        };
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let ends = if self.until.is_some() { "ends it now" } else { "ends it" };
        let told = format!("paused by {} {end}{reason}; `evenkeel unpause {app}` {ends}", self.by);
        if now >= self.since {
            return told;
        }
        format!(
            "{told}; this machine's clock ({}) stands before the pause began ({}), so when it ends cannot be relied on",
            clock(now),
            clock(self.since)
        )
    }
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn wiki() -> AppName {
        "wiki".parse().unwrap()
    }

    fn for_two_hours() -> Pause {
        let reason = Some("moving the data".to_owned());
        Pause::new("alice".into(), at("2026-11-21T18:00:00.7Z"), Some(SignedDuration::from_hours(2)), reason)
    }

    #[test]
    fn a_pause_ends_by_itself_when_its_time_is_over() {
        let pause = for_two_hours();
        assert!(!pause.is_over(at("2026-11-21T20:00:00Z")));
        assert!(pause.is_over(at("2026-11-21T20:00:01Z")));
        let endless = Pause { until: None, ..pause };
        assert!(!endless.is_over(at("2999-01-01T00:00:00Z")));
    }

    #[test]
    fn the_sentence_says_until_when_by_whom_why_and_the_way_out() {
        let now = at("2026-11-21T19:00:00Z");
        assert_eq!(
            for_two_hours().sentence(&wiki(), now),
            "paused by alice until 2026-11-21 20:00:01 UTC: moving the data; `evenkeel unpause wiki` ends it now"
        );
        let endless = Pause { until: None, reason: None, ..for_two_hours() };
        assert_eq!(
            endless.sentence(&wiki(), now),
            "paused by alice since 2026-11-21 18:00:00 UTC; `evenkeel unpause wiki` ends it"
        );
    }

    #[test]
    fn a_clock_that_was_set_back_ends_no_pause_and_is_named() {
        let earlier = at("1970-01-01T00:01:00Z");
        assert!(!for_two_hours().is_over(earlier));
        let told = for_two_hours().sentence(&wiki(), earlier);
        assert!(
            told.contains("clock (1970-01-01 00:01:00 UTC) stands before the pause began (2026-11-21 18:"),
            "{told}"
        );
    }

    #[test]
    fn what_was_written_is_read_again() {
        let endless = Pause { until: None, reason: None, ..for_two_hours() };
        let blink =
            Pause::new("alice".into(), at("2026-11-21T18:00:00.1Z"), Some(SignedDuration::from_millis(1)), None);
        for pause in [for_two_hours(), endless, blink] {
            assert_eq!(Pause::parse(pause.to_text().as_bytes()), Ok(pause));
        }
    }

    #[test]
    fn nothing_about_a_damaged_pause_is_guessed() {
        let good = for_two_hours().to_text();
        let damaged = [
            String::new(),
            good[..good.len() / 2].to_owned(),
            "{}".to_owned(),
            good.replace("\"until\"", "\"untill\""),
            good.replace("\"schema\": 1", "\"schema\": 2"),
            good.replace("2026-11-21T20", "2026-11-21T10"),
            good.replace("2026-11-21T20", "tomorrow"),
            good.replace('}', ", \"and\": 1}"),
        ];
        for text in damaged {
            assert_ne!(text, good);
            assert!(Pause::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(Pause::parse(b"\xff").map_err(|_| ()), Err(()));
    }
}
