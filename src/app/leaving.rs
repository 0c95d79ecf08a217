//! A pinned version that a run leaves to the unit that takes versions.
//!
//! A run with `--no-upgrade` is the one of a switch: it has to be quick, and units that are ordered after it wait. So it
//! makes no version step, but where the operator has just named a newer version, it does not let that wait for the night
//! either. The surprise: the policy is asked here already. What it holds, or lets wait for its window, is told now, and
//! no unit is started that would only say the same.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::view::Sources;
use super::{Run, started_by_systemd};
use crate::host::itself::{self, Start};
use crate::model::app::Kind;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::version::{Revision, Wanted};

impl Run<'_> {
    /// What is told of a pinned version by a run that takes none. Of `latest` nothing is looked for.
    pub(super) async fn leave_version(&mut self, sources: &Sources, observed: &Observed) -> Result<Outcome, Outcome> {
        if self.app.wanted == Wanted::Latest {
            return Ok(Outcome::Converged);
        }
        let offer = self.look_ahead(sources, observed).await?;
        let Some(target) = offer.target else { return Ok(offer.told.unwrap_or(Outcome::Converged)) };
        self.report.leaves_version = true;
        let running = self.state.current.as_ref().map(|current| &current.body.revision);
        let unit = started_by_systemd().then(|| itself::upgrade_unit(self.app.kind));
        Ok(Outcome::Waiting(sentence(&target.revision, running, unit, &self.by_hand())))
    }

    /// What a person runs to have a version taken now.
    fn by_hand(&self) -> String {
        match self.app.kind {
            Kind::App => format!("evenkeel app {}", self.app.name),
            kind => format!("evenkeel {}", kind.verb()),
        }
    }
}

fn sentence(target: &Revision, running: Option<&Revision>, unit: Option<String>, by_hand: &str) -> String {
    let runs = running.map(|running| format!(" and {running} runs")).unwrap_or_default();
    let taken = match unit {
        Some(unit) => format!("{unit} takes it, and is started once this run has ended"),
        None => format!("`{by_hand}` takes it"),
    };
    format!("{target} is pinned{runs}; this run takes no newer version (--no-upgrade): {taken}")
}

/// Starts the units that take what was left, without waiting: a gate of theirs may need what is ordered after this run.
/// A unit that cannot be started, or is at work already, is told and fails nothing; the night takes the version then.
pub fn start_upgrades(kinds: &BTreeSet<Kind>) {
    if !started_by_systemd() {
        return;
    }
    for kind in kinds {
        let unit = itself::upgrade_unit(*kind);
        match itself::start_upgrade(*kind) {
            Ok(Start::Starts) => info!(unit, "started, to take what is pinned"),
            Ok(Start::IsAtWork) => warn!(
                unit,
                "is at work already, by the configuration that it began with: a pin that is newer waits for the next night, or \
                 for `systemctl start {unit}` once it has ended"
            ),
            Err(cause) => {
                warn!(
                    unit,
                    cause = format!("{cause:#}"),
                    "what is pinned waits for the next night: its unit cannot be started"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::revision;

    #[test]
    fn who_takes_a_pinned_version_is_named() {
        let (new, old) = (revision("1.1.0+1"), revision("1.0.0+1"));
        let unit = Some(itself::upgrade_unit(Kind::WarmKeycloak));
        let told = sentence(&new, Some(&old), unit, "evenkeel warm-keycloak");
        assert!(told.starts_with("1.1.0+1 is pinned and 1.0.0+1 runs; "), "{told}");
        assert!(told.contains(": evenkeel-warm-keycloak-upgrade.service takes it"), "{told}");
        let told = sentence(&new, Some(&old), None, "evenkeel app wiki");
        assert!(told.ends_with(": `evenkeel app wiki` takes it"), "{told}");
    }
}
