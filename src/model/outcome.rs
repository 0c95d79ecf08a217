//! How a run ended for an app, as an operator, systemd and an alert read it.

use std::fmt;

/// The end of a run for one app. The sentence inside is the same in outcome, alert and `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing differed; nothing was written.
    Converged,
    /// Changes were made and passed the gate.
    Applied(String),
    /// A new version runs and passed its gate.
    Upgraded(String),
    /// Nothing to do now; it will be done later (another run works on it).
    Waiting(String),
    /// A newer version or changed pin exists and is not taken by itself.
    Held(String),
    /// A new version failed its gate: the old one runs again, on its own data.
    RolledBack(String),
    /// Something in the way was found before anything was touched.
    Blocked(String),
    /// A first install or a config change failed, or drift could not be repaired.
    Unhealthy(String),
    /// Undoing failed too: the app is left as it is, its data kept.
    Stuck(String),
    /// Nothing can be said: configuration, daemon, network or disk.
    Error(String),
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Converged => "converged",
            Outcome::Applied(_) => "applied",
            Outcome::Upgraded(_) => "upgraded",
            Outcome::Waiting(_) => "waiting",
            Outcome::Held(_) => "held",
            Outcome::RolledBack(_) => "rolled-back",
            Outcome::Blocked(_) => "blocked",
            Outcome::Unhealthy(_) => "unhealthy",
            Outcome::Stuck(_) => "stuck",
            Outcome::Error(_) => "error",
        }
    }

    /// The sentence behind the word; empty for `converged`.
    pub fn sentence(&self) -> &str {
        match self {
            Outcome::Converged => "",
            Outcome::Applied(text)
            | Outcome::Upgraded(text)
            | Outcome::Waiting(text)
            | Outcome::Held(text)
            | Outcome::RolledBack(text)
            | Outcome::Blocked(text)
            | Outcome::Unhealthy(text)
            | Outcome::Stuck(text)
            | Outcome::Error(text) => text,
        }
    }

    /// The same outcome with one more thing told.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        match &mut self {
            Outcome::Converged => {}
            Outcome::Applied(text)
            | Outcome::Upgraded(text)
            | Outcome::Waiting(text)
            | Outcome::Held(text)
            | Outcome::RolledBack(text)
            | Outcome::Blocked(text)
            | Outcome::Unhealthy(text)
            | Outcome::Stuck(text)
            | Outcome::Error(text) => {
                text.push_str("; ");
                text.push_str(more);
            }
        }
        self
    }

    /// Whether the app serves as it should after a run that ended so, in whichever version.
    pub fn leaves_healthy(&self) -> bool {
        match self {
            Outcome::Converged
            | Outcome::Applied(_)
            | Outcome::Upgraded(_)
            | Outcome::Waiting(_)
            | Outcome::Held(_)
            | Outcome::RolledBack(_) => true,
            Outcome::Blocked(_) | Outcome::Unhealthy(_) | Outcome::Stuck(_) | Outcome::Error(_) => false,
        }
    }

    /// The sentence, with what is worth a word though it made the run no worse.
    pub fn sentence_with(&self, warnings: &[String]) -> String {
        let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
        let sentence = Some(self.sentence().to_owned()).filter(|sentence| !sentence.is_empty());
        sentence.into_iter().chain(warnings).collect::<Vec<_>>().join("; ")
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Converged | Outcome::Applied(_) | Outcome::Upgraded(_) | Outcome::Waiting(_) => 0,
            Outcome::Held(_) => 10,
            Outcome::RolledBack(_) => 11,
            Outcome::Blocked(_) => 12,
            Outcome::Stuck(_) => 13,
            Outcome::Unhealthy(_) => 14,
            Outcome::Error(_) => 1,
        }
    }
}

/// Where nothing can be said, the whole chain of causes is the sentence.
impl From<anyhow::Error> for Outcome {
    fn from(error: anyhow::Error) -> Self {
        Outcome::Error(format!("{error:#}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sentence() {
            "" => f.write_str(self.word()),
            sentence => write!(f, "{}: {sentence}", self.word()),
        }
    }
}

/// Exit codes from the worst to the best: what a run over several apps ends with.
const WORST_FIRST: [u8; 7] = [13, 1, 12, 14, 11, 10, 0];

/// The exit code of a run over several apps: the worst one's.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| WORST_FIRST.iter().position(|worse| worse == code).unwrap_or(1);
    codes.into_iter().min_by_key(rank).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_stand_behind_the_sentence_and_also_where_there_is_none() {
        let warnings = ["a".to_owned(), "b".to_owned()];
        assert_eq!(Outcome::Converged.sentence_with(&[]), "");
        assert_eq!(Outcome::Converged.sentence_with(&warnings), "warning: a; warning: b");
        let held = Outcome::Held("major".to_owned());
        assert_eq!(held.sentence_with(&[]), "major");
        assert_eq!(held.sentence_with(&warnings[1..]), "major; warning: b");
    }

    #[test]
    fn several_apps_end_with_the_worst() {
        assert_eq!(worst([]), 0);
        assert_eq!(worst([0, 10, 0]), 10);
        assert_eq!(worst([10, 14, 12]), 12);
        assert_eq!(worst([12, 1, 14]), 1);
        assert_eq!(worst([1, 13]), 13);
    }
}
