//! Whether a person is told that a unit has failed, and in which words.
//!
//! Most failed units have told already: a run that systemd has started writes an alert for what it ended with. What is
//! told here is what no run could: it was never started, or was ended before it had a word. The surprise: nothing says
//! that a unit is well again, so a unit that fails in the same way is told of once a day, however often it is tried.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::alert::{Alert, Reason};
use crate::model::app::Kind;

/// So long the same failure of a unit is not told again.
const QUIET: SignedDuration = SignedDuration::from_hours(24);
/// Characters of a name or a word that came from outside.
const LONGEST: usize = 256;
/// How the names of units begin whose runs write alerts of their own, beside those of the kinds.
const RUNS: [&str; 3] = ["evenkeel@", "evenkeel-resume", "evenkeel-swarm"];
/// Outcomes that a run has told: error, blocked, stuck, unhealthy.
const TOLD_BY_THE_RUN: [&str; 4] = ["1", "12", "13", "14"];

/// How a unit ended, in systemd's words: `MONITOR_*` in the environment of what `OnFailure=` starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    unit: String,
    result: String,
    code: String,
    status: String,
    invocation: String,
}

/// Unit -> how it failed last, and when that was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(BTreeMap<String, Told>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    how: String,
    ts: Timestamp,
}

impl Failure {
    /// What came from outside is cut, and freed of what stands in no name of a unit. `variable` looks one up.
    pub fn new(unit: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let word = |name: &str| clean(&variable(name).unwrap_or_default());
        let unit = clean(unit);
        Self {
            unit: if unit.contains('.') { unit } else { format!("{unit}.service") },
            result: word("MONITOR_SERVICE_RESULT"),
            code: word("MONITOR_EXIT_CODE"),
            status: word("MONITOR_EXIT_STATUS"),
            invocation: word("MONITOR_INVOCATION_ID"),
        }
    }

    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Whether the run has written an alert of its own. Without a configuration that can be read (`could_tell` is false)
    /// none could.
    pub fn is_told(&self, could_tell: bool) -> bool {
        let of_kind =
            |kind: &Kind| self.unit.strip_prefix("evenkeel-").is_some_and(|unit| unit.starts_with(kind.verb()));
        let is_run = RUNS.iter().any(|run| self.unit.starts_with(run)) || Kind::ALL.iter().any(of_kind);
        is_run && could_tell && self.code == "exited" && TOLD_BY_THE_RUN.contains(&self.status.as_str())
    }

    fn how(&self) -> String {
        format!("{}/{}/{}", self.result, self.code, self.status)
    }

    fn sentence(&self) -> String {
        let unit = &self.unit;
        let result = match self.result.as_str() {
            "" => "failed".to_owned(),
            "exit-code" => format!("ended with exit status {}", self.status),
            "timeout" => "did not end within its time and was ended".to_owned(),
            "signal" | "core-dump" => format!("was killed by signal {}", self.status),
            "oom-kill" => "was killed because memory ran out".to_owned(),
            "start-limit-hit" => "failed so often that it is not started again by itself".to_owned(),
            other => format!("failed ({other})"),
        };
        let why = match (self.result.as_str(), self.status.as_str()) {
            ("exit-code", "243") => {
                ": systemd could not give it a credential, so a file that its LoadCredential= names is \
                 missing or cannot be read; systemd does not say which, `evenkeel check` does"
                    .to_owned()
            }
            ("exit-code", "226") => format!(
                ": systemd could not set up its sandbox, so a path that its ReadWritePaths= or another setting names is \
                 missing; `systemctl status {unit}` names it"
            ),
            ("exit-code", "203") => ": systemd could not run its program, which is missing or cannot be run".to_owned(),
            _ => String::new(),
        };
        let log = match self.invocation.is_empty() {
            true => format!("`journalctl --unit {unit}`"),
            false => format!("`journalctl _SYSTEMD_INVOCATION_ID={}`", self.invocation),
        };
        format!("unit {unit} {result}{why}; {log} has its last words")
    }
}

/// What was told by now, and the alert if one is due.
pub fn told_of(failures: &Failures, failure: &Failure, now: Timestamp) -> (Failures, Option<Alert>) {
    // By a clock that was put back, what was told in the future is forgotten.
    let is_quiet = |told: &Told| told.ts <= now && now.duration_since(told.ts) < QUIET;
    let mut known = failures.clone();
    known.0.retain(|_, told| is_quiet(told));
    let how = failure.how();
    if known.0.get(&failure.unit).is_some_and(|told| told.how == how) {
        return (known, None);
    }
    known.0.insert(failure.unit.clone(), Told { how: how.clone(), ts: now });
    let alert = Alert {
        reason: Reason::UnitFailed,
        from_version: None,
        to_version: None,
        release_notes: None,
        ts: now,
        evidence: failure.sentence(),
        fact: format!("unit-failed:{}:{how}", failure.unit),
    };
    (known, Some(alert))
}

/// Letters that may stand in a unit's name; a result, a signal and an id have no others.
fn clean(text: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    text.chars().take(LONGEST).map(|c| if legal(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(unit: &str, words: [&str; 4]) -> Failure {
        let names = ["MONITOR_SERVICE_RESULT", "MONITOR_EXIT_CODE", "MONITOR_EXIT_STATUS", "MONITOR_INVOCATION_ID"];
        let words: BTreeMap<&str, &str> = names.into_iter().zip(words).collect();
        Failure::new(unit, |name| words.get(name).map(|word| (*word).to_owned()))
    }

    fn exited(unit: &str, status: &str) -> Failure {
        failed(unit, ["exit-code", "exited", status, "0123abcd"])
    }

    fn hour(hour: i64) -> Timestamp {
        "2026-11-21T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
    }

    #[test]
    fn a_run_that_has_told_is_not_told_of_again() {
        for unit in ["evenkeel-app", "evenkeel-app-upgrade.service", "evenkeel@proxy.service", "evenkeel-resume"] {
            for status in ["1", "12", "13", "14"] {
                assert!(exited(unit, status).is_told(true), "{unit} {status}");
                assert!(!exited(unit, status).is_told(false), "without a configuration it could not tell");
            }
            for status in ["243", "226", "64", "101", "2"] {
                assert!(!exited(unit, status).is_told(true), "{unit} {status}");
            }
            assert!(!failed(unit, ["timeout", "killed", "1", ""]).is_told(true), "{unit}");
        }
        assert!(!exited("evenkeel-alerts", "1").is_told(true), "a relay writes no alerts");
    }

    #[test]
    fn the_runs_of_every_kind_tell_for_themselves() {
        for kind in Kind::ALL {
            for unit in [format!("evenkeel-{}", kind.verb()), format!("evenkeel-{}-upgrade", kind.verb())] {
                assert!(exited(&unit, "12").is_told(true), "{unit}");
            }
        }
        for unit in ["evenkeel-prune", "evenkeel-watchdog", "evenkeel-runner", "drone"] {
            assert!(!exited(unit, "12").is_told(true), "{unit}");
        }
    }

    #[test]
    fn what_systemd_says_is_told_in_words() {
        let rows = [
            (
                exited("evenkeel-app", "243"),
                "unit evenkeel-app.service ended with exit status 243: systemd could not give it",
            ),
            (exited("evenkeel-app", "243"), "systemd does not say which, `evenkeel check` does"),
            (exited("evenkeel-app", "226"), "`systemctl status evenkeel-app.service` names it"),
            (exited("evenkeel-app", "101"), "exit status 101; `journalctl _SYSTEMD_INVOCATION_ID=0123abcd` has its"),
            (
                failed("a.mount", ["signal", "killed", "KILL", ""]),
                "unit a.mount was killed by signal KILL; `journalctl --unit",
            ),
            (failed("a", ["timeout", "killed", "TERM", ""]), "did not end within its time"),
            (failed("a", ["oom-kill", "killed", "KILL", ""]), "memory ran out"),
            (failed("a", [""; 4]), "unit a.service failed; "),
        ];
        for (failure, words) in rows {
            assert!(failure.sentence().contains(words), "{words}: {}", failure.sentence());
        }
    }

    #[test]
    fn what_comes_from_outside_is_cut_and_cleaned() {
        let failure = failed(&"é\n`rm -rf /`".repeat(1000), ["x\u{1b}[2J", "", "$(id)", &"9".repeat(10_000)]);
        let sentence = failure.sentence();
        assert!(
            sentence.len() < 2000 && sentence.is_ascii() && !sentence.contains(['\n', '\u{1b}', '$', '/']),
            "{sentence}"
        );
    }

    #[test]
    fn a_unit_that_fails_again_and_again_is_told_of_once_a_day_and_in_another_way_at_once() {
        let mut known = Failures::default();
        let mut tell = |failure: &Failure, at| {
            let (now_known, alert) = told_of(&known, failure, hour(at));
            known = now_known;
            alert.is_some()
        };
        let missing = exited("evenkeel-app", "243");
        assert!(tell(&missing, 0));
        assert!(!tell(&missing, 1) && !tell(&missing, 23));
        assert!(tell(&exited("evenkeel-proxy", "243"), 1), "another unit");
        assert!(tell(&failed("evenkeel-app", ["timeout", "killed", "TERM", ""]), 2), "another reason");
        assert!(tell(&missing, 26) && !tell(&missing, 27));
        assert!(tell(&missing, -100), "a clock that was put back loses nothing");
    }
}
