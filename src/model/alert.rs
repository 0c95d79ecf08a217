//! What a person is told of, once per fact: as it waits in an app's state, and as the content of one file in `alerts/`.
//!
//! The border: which facts make an alert due is decided in `upgrade::told`, and for the host in `policy`. The surprise: the
//! app's and the host's name and the commands for the next step are added only when the file is written, so that whoever
//! closes a transaction needs none of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::AppName;

pub const SCHEMA: u32 = 1;
/// In the place of an app's name: a run got to no app. A reserved word.
pub const HOST: &str = "host";

/// What stands for an app's name where none was looked at; no app may have it.
pub fn of_the_host() -> AppName {
    HOST.parse().expect("it is a name")
}

/// One thing to tell, in the state of the app that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub reason: Reason,
    pub from_version: Option<String>,
    pub to_version: Option<String>,
    /// The notes of the versions between, each with its version as a headline.
    pub release_notes: Option<String>,
    pub ts: Timestamp,
    /// What was seen, in the words of the outcome.
    pub evidence: String,
    /// Which fact this is: a second alert of the same fact is not due.
    pub fact: String,
}

/// One file in `alerts/`: what is relayed. Fields that a newer program adds are left out when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub schema: u32,
    pub app: String,
    pub reason: Reason,
    pub from_version: Option<String>,
    pub to_version: Option<String>,
    pub release_notes: Option<String>,
    pub ts: Timestamp,
    pub evidence: String,
    /// What a person has to do, in commands.
    pub next_step: String,
    pub host: String,
    pub fact: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    HeldMajor,
    HeldManualMigration,
    HeldPolicy,
    /// A release note lies between the versions that were taken, and `notes = "alert"`.
    ReleaseNotes,
    Rollback,
    Blocked,
    Stuck,
    /// A transaction has been waiting for its verdict, or for its way back, for an hour.
    Undecided,
    Unhealthy,
    Error,
    /// No nightly run has ended well for too long.
    Silent,
    /// A unit failed that could not tell of it itself.
    UnitFailed,
    /// A file system that the host needs has become too full.
    DiskLow,
}

impl Reason {
    pub const ALL: [Reason; 13] = [
        Reason::HeldMajor,
        Reason::HeldManualMigration,
        Reason::HeldPolicy,
        Reason::ReleaseNotes,
        Reason::Rollback,
        Reason::Blocked,
        Reason::Stuck,
        Reason::Undecided,
        Reason::Unhealthy,
        Reason::Error,
        Reason::Silent,
        Reason::UnitFailed,
        Reason::DiskLow,
    ];

    /// As in the file's name.
    pub fn word(self) -> &'static str {
        match self {
            Reason::HeldMajor => "held-major",
            Reason::HeldManualMigration => "held-manual-migration",
            Reason::HeldPolicy => "held-policy",
            Reason::ReleaseNotes => "release-notes",
            Reason::Rollback => "rollback",
            Reason::Blocked => "blocked",
            Reason::Stuck => "stuck",
            Reason::Undecided => "undecided",
            Reason::Unhealthy => "unhealthy",
            Reason::Error => "error",
            Reason::Silent => "silent",
            Reason::UnitFailed => "unit-failed",
            Reason::DiskLow => "disk-low",
        }
    }
}

impl Alert {
    /// The file's name without its end: the same whenever the file is written.
    pub fn file_stem(&self, app: &AppName) -> String {
        format!("{}-{app}-{}", self.ts.strftime("%Y%m%dT%H%M%SZ"), self.reason.word())
    }

    pub fn message(&self, app: &AppName, host: &str) -> Message {
        Message {
            schema: SCHEMA,
            app: app.to_string(),
            reason: self.reason,
            from_version: self.from_version.clone(),
            to_version: self.to_version.clone(),
            release_notes: self.release_notes.clone(),
            ts: self.ts,
            evidence: self.evidence.clone(),
            next_step: next_step(self, app),
            host: host.to_owned(),
            fact: self.fact.clone(),
        }
    }
}

impl Message {
    /// One line for a list or a headline: `wiki on box: rollback (1.0.0+1 -> 2.0.0+2)`.
    pub fn headline(&self) -> String {
        let versions = match (&self.from_version, &self.to_version) {
            (Some(from), Some(to)) => format!(" ({from} -> {to})"),
            (None, Some(only)) | (Some(only), None) => format!(" ({only})"),
            (None, None) => String::new(),
        };
        format!("{} on {}: {}{versions}", self.app, self.host, self.reason.word())
    }

    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("names, words and times have a text") + "\n"
    }
}

/// How the fact begins that a way back by hand was undone.
pub const UNDONE: &str = "undone:";

/// The commands that lead on from here.
fn next_step(alert: &Alert, app: &AppName) -> String {
    let run = run(app);
    let approve = match &alert.to_version {
        Some(to) if !to.starts_with("commit ") => {
            format!("`evenkeel approve {app} {to}` lets the next run take it once")
        }
        _ => format!("`evenkeel status {app}` says how it is taken"),
    };
    // A change of configuration has no version to be approved.
    let again = match alert.from_version == alert.to_version {
        true => format!("`{run} --retry` tries the change once more"),
        false => approve.clone(),
    };
    match alert.reason {
        Reason::HeldMajor | Reason::HeldPolicy => format!("nothing is broken; {approve}"),
        Reason::HeldManualMigration => format!("do what the release notes ask for, then {approve}"),
        Reason::ReleaseNotes => "nothing is broken; read the release notes: the version is taken already".to_owned(),
        Reason::Rollback if alert.fact.starts_with(UNDONE) => format!(
            "what ran before runs again, on its own data; `evenkeel history {app}` has what happened before; once the cause is \
             gone, try again what was asked for: `evenkeel rollback {app}`, or `evenkeel snapshot restore {app}`"
        ),
        Reason::Rollback => format!(
            "the old version runs, a newer one is tried by itself; `evenkeel history {app}` has what happened before; {again}"
        ),
        Reason::Blocked => format!("put right what the evidence names, then `{run}`"),
        Reason::Stuck => format!(
            "nothing more is tried by itself and no data is removed: `evenkeel status {app}` says what stands where and the \
             ways on; `{run} --retry` tries again what failed"
        ),
        Reason::Undecided => format!(
            "`evenkeel status {app}` says what is waited for; see that Docker, its disk and the proxy are well (`evenkeel \
             status proxy`), then `evenkeel resume`"
        ),
        Reason::Unhealthy => {
            format!("`evenkeel status {app}` says how it stands; change what is wrong and `{run}`, or `{run} --retry`")
        }
        Reason::Error => format!("remove the cause, then `{run}`"),
        Reason::Silent => format!(
            "`systemctl list-timers 'evenkeel-*'` says when it runs next, `systemctl status 'evenkeel-*'` how it ended last; \
             `{run}` says how the apps stand"
        ),
        Reason::UnitFailed => {
            format!("see what the evidence names, start the unit again, and `{run}` says how the apps stand")
        }
        Reason::DiskLow => "make room before it is full: `docker system df -v` names what is large there, `evenkeel snapshot list \
                            APP` the snapshots of an app; `evenkeel prune` removes the images that nothing names any more, and \
                            says how full it is then"
            .to_owned(),
    }
}

/// The command that keeps an app.
fn run(app: &AppName) -> String {
    match app.as_str() {
        singleton @ ("proxy" | "warm-keycloak") => format!("evenkeel {singleton}"),
        HOST => "evenkeel status".to_owned(),
        app => format!("evenkeel app {app}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(reason: Reason, to: Option<&str>) -> Alert {
        Alert {
            reason,
            from_version: Some("1.0.0+1".into()),
            to_version: to.map(str::to_owned),
            release_notes: None,
            ts: "2026-11-21T02:03:04.5Z".parse().unwrap(),
            evidence: "it crashed".into(),
            fact: "f".into(),
        }
    }

    fn wiki() -> AppName {
        "wiki".parse().unwrap()
    }

    #[test]
    fn a_file_is_named_after_time_app_and_reason() {
        assert_eq!(alert(Reason::HeldMajor, None).file_stem(&wiki()), "20261121T020304Z-wiki-held-major");
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }

    #[test]
    fn every_alert_says_what_to_do() {
        for reason in Reason::ALL {
            let message = alert(reason, Some("2.0.0+2")).message(&wiki(), "box");
            assert!(reason == Reason::ReleaseNotes || message.next_step.contains("`evenkeel "), "{message:?}");
            assert_eq!(message.headline(), format!("wiki on box: {} (1.0.0+1 -> 2.0.0+2)", reason.word()));
        }
        let step = |to| alert(Reason::Rollback, Some(to)).message(&wiki(), "box").next_step;
        assert!(step("2.0.0+2").contains("`evenkeel approve wiki 2.0.0+2`"));
        assert!(!step("commit 01234567").contains("approve"), "a commit is approved by no such name");
        let proxy = alert(Reason::Error, None).message(&"proxy".parse().unwrap(), "box");
        assert!(proxy.next_step.ends_with("`evenkeel proxy`"), "{proxy:?}");
    }

    #[test]
    fn what_a_newer_program_adds_is_left_out() {
        let message = alert(Reason::Stuck, None).message(&wiki(), "box");
        let text = message.to_text().replace("\"schema\": 1", "\"schema\": 2, \"colour\": \"red\"");
        let read: Message = serde_json::from_str(&text).unwrap();
        assert_eq!(read, Message { schema: 2, ..message });
    }
}
