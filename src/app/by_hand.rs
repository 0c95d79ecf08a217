//! What a person asks for by hand: back to the last good release, a snapshot, a snapshot's data.
//!
//! All of it is a transaction like an upgrade, so it survives a kill as well, and keeps what was there before. The
//! border: what may be asked for is decided in [`draft`]. The surprise: what was open is finished first and ends the
//! matter, since it may have done what the person wanted, and a second way back would lead one release too far.

pub mod draft;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{Instrument, error_span, warn};

use super::telling::{self, Report};
use super::turn::{self, Break};
use super::{Host, Options, Run, ends, log_warnings, pausing, recorded, resuming, transacting};
use crate::config;
use crate::host::snapshots::Manifest;
use crate::host::store::AppDir;
use crate::model::app::{AppName, Kind};
use crate::model::outcome::Outcome;
use crate::model::pause::Pause;
use crate::model::state::{Previous, State};
use crate::model::transaction::{Old, Purpose, Transaction, Volume};
use crate::model::version::Revision;
use crate::reconcile::release;
use draft::{Draft, Stored};

/// What a person is told of a snapshot that the same version left under another configuration.
const OTHER_CONFIGURATION: &str = " That data was stored under another configuration of this version, and may not fit \
                                   the one that runs now.";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Rollback,
    Take,
    /// A snapshot by its id, or the newest one of what runs.
    Restore(Option<String>),
}

/// What granting a wish would mean, before anything is done: which release, which data, and what goes out of use.
///
/// # Errors
/// `Blocked` with why there is nothing to be granted.
pub fn prospect(host: &Host, app: &config::App, wish: &Wish) -> Result<String, Outcome> {
    refuse_canonical(app, wish)?;
    let dir = host.store.app(&app.name);
    let state = recorded(app, &dir)?;
    if let Some(stuck) = turns(&state, wish) {
        return Ok(ends::turning(&app.name, stuck));
    }
    let draft = drafted(&app.name, &dir, &state, wish)?;
    let taken = match &draft.snapshot {
        Some(id) => Some(manifest(&dir, id)?.taken),
        None => None,
    };
    Ok(in_words(&app.name, &state, &draft, taken))
}

/// The known-good of a canonical is one record with one snapshot, and they change together or not at all.
fn refuse_canonical(app: &config::App, wish: &Wish) -> Result<(), Outcome> {
    if app.kind != Kind::Canonical {
        return Ok(());
    }
    let name = &app.name;
    let why = match wish {
        Wish::Rollback => format!(
            "{name} is a canonical: what it has is what was known good last, and nothing before that is kept. `evenkeel \
             canonical idle {name} --restore` throws away what a use has changed; `evenkeel canonical promote {name}` with \
             --version makes another version the known-good"
        ),
        Wish::Take => format!(
            "{name} is a canonical: its one snapshot is its known-good, and a new one is taken only of what has passed its \
             gate, by `evenkeel canonical promote {name}` or a sweep"
        ),
        Wish::Restore(_) => format!(
            "{name} is a canonical, whose data goes back to its known-good with `evenkeel canonical idle {name} --restore`"
        ),
    };
    Err(Outcome::Blocked(format!("{why}; nothing was touched")))
}

fn in_words(app: &AppName, state: &State, draft: &Draft, taken: Option<Timestamp>) -> String {
    let to = &draft.release.body.revision;
    let from = state.current.as_ref().map(|current| current.body.revision.to_string()).unwrap_or_default();
    let data = match (&draft.snapshot, taken) {
        (Some(id), Some(taken)) => format!(
            " on the data of {} (snapshot {id}). What was written since then goes out of use: it is kept beside the volumes \
             until the next good upgrade",
            taken.strftime("%F %T UTC")
        ),
        _ => ", and it has no data that would change".to_owned(),
    };
    match draft.purpose {
        Purpose::Rollback => format!(
            "{app} goes back from {from} to {to}{data}. {from} is not taken again by itself. The app is down meanwhile."
        ),
        Purpose::Restore => {
            let doubt = if draft.of_other_configuration { OTHER_CONFIGURATION } else { "" };
            format!("{app} runs {to} again{data}.{doubt} The app is down meanwhile.")
        }
        Purpose::Take | Purpose::Upgrade => {
            format!("{app} ({to}) is stopped while its data is stored, and runs again then.")
        }
    }
}

/// Grants a wish. Never fails: what went wrong is the outcome.
pub async fn grant(host: &Host, app: &config::App, wish: &Wish, now: Timestamp) -> Outcome {
    let work = async {
        let before = telling::before(&host.store, &app.name);
        let outcome = granted(host, app, wish, now).await.unwrap_or_else(|outcome| outcome);
        super::log(&outcome);
        telling::after(host, &app.name, before, &outcome, &Report { closed: true, ..Report::default() }, now).await;
        outcome
    };
    work.instrument(error_span!("by_hand", app = %app.name)).await
}

async fn granted(host: &Host, app: &config::App, wish: &Wish, now: Timestamp) -> Result<Outcome, Outcome> {
    refuse_canonical(app, wish)?;
    let slot = host.store.slot_waiting(|by| warn!("{by} has the run slot; waiting for it to end")).await?;
    let proxy = host.declared.of(Kind::Proxy).next().map(|proxy| &proxy.name);
    if let Some(first) = proxy_first(&app.name, proxy, &resuming::open(&host.store)) {
        return Err(first);
    }
    let dir = host.store.app(&app.name);
    let lock = match turn::lock(&dir, &app.name).await? {
        Ok(lock) => lock,
        Err(waiting) => return Ok(waiting),
    };
    if let Some(pause) = pausing::paused(&dir, &app.name, now)? {
        return Err(Outcome::Blocked(paused(&app.name, &pause, now)));
    }
    let mut run = Run::begin(host, app, dir, lock, Some(slot), Options::default(), now)?;
    let outcome = run.fulfil(wish).await.unwrap_or_else(|outcome| outcome);
    run.wind_up();
    log_warnings(&run.report.warnings);
    Ok(outcome)
}

/// Should this be broken off, the app would be down until the pause is over: nobody else finishes it.
pub(super) fn paused(app: &AppName, pause: &Pause, now: Timestamp) -> String {
    format!(
        "{}; should what is begun now be broken off, nobody would finish it while that lasts, so `evenkeel unpause {app}` \
         first, then this again; nothing was touched",
        pause.sentence(app, now)
    )
}

/// Nothing is judged through a proxy that is between two versions. What any other app has open is in nobody's way.
pub(super) fn proxy_first(app: &AppName, proxy: Option<&AppName>, open: &[(AppName, Transaction)]) -> Option<Outcome> {
    let (name, transaction) = open.iter().find(|(name, _)| Some(name) == proxy && name != app)?;
    Some(Outcome::Blocked(format!(
        "{} of {name} is to be finished first, since {app} is judged through it: run `evenkeel resume`, then this again; \
         nothing was touched",
        ends::subject(transaction)
    )))
}

/// The stuck way back that is undone by this wish.
fn turns<'a>(state: &'a State, wish: &Wish) -> Option<&'a Transaction> {
    draft::turns(state).filter(|_| *wish == Wish::Rollback)
}

fn drafted(app: &AppName, dir: &AppDir, state: &State, wish: &Wish) -> Result<Draft, Outcome> {
    let draft = match wish {
        Wish::Rollback => draft::rollback(app, state),
        Wish::Take => draft::take(app, state),
        Wish::Restore(id) => draft::restore(app, state, id.as_deref(), &stored(dir)?),
    };
    draft.map_err(Outcome::Blocked)
}

/// The whole snapshots of an app.
fn stored(dir: &AppDir) -> Result<Vec<Stored>, Outcome> {
    let listed = dir.snapshots().list()?.into_iter();
    Ok(listed.filter_map(|listed| of_manifest(&listed.manifest.ok()?)).collect())
}

fn of_manifest(manifest: &Manifest) -> Option<Stored> {
    let revision = Revision { version: manifest.version.clone(), commit: manifest.commit.parse().ok()? };
    Some(Stored { id: manifest.id.clone(), revision, key: manifest.key.clone(), taken: manifest.taken })
}

fn manifest(dir: &AppDir, id: &str) -> Result<Manifest, Outcome> {
    dir.snapshots()
        .manifest(id)
        .map_err(|cause| Outcome::Blocked(format!("snapshot {id} cannot be used: {cause}; nothing was touched")))
}

impl Run<'_> {
    async fn fulfil(&mut self, wish: &Wish) -> Result<Outcome, Outcome> {
        if self.state.open.is_some() {
            let finished = self.finish().await.map_err(|end| match end {
                Break::Ended(outcome) | Break::GivesWay(outcome) => outcome,
                Break::WantsSlot => Outcome::Waiting("the run slot is taken".to_owned()),
            })?;
            return Ok(
                finished.and("that had been begun before and was finished first; say it again if you still want more")
            );
        }
        if turns(&self.state, wish).is_some() {
            return self.undo_way_back().await;
        }
        let draft = drafted(&self.app.name, &self.dir, &self.state, wish)?;
        self.grant(draft).await
    }

    /// Nothing is asked again: what it takes was written down when the way back began.
    async fn undo_way_back(&mut self) -> Result<Outcome, Outcome> {
        self.state = resuming::turned(&self.state, self.now);
        self.dir.write_state(&self.lock, &self.state)?;
        let (outcome, state) = self.desk().finish(&self.state).await?;
        self.state = state;
        Ok(outcome)
    }

    async fn grant(&mut self, draft: Draft) -> Result<Outcome, Outcome> {
        let old = release::desired(&self.app.stack, &draft.release.body, &self.dir)?;
        let gate = self.reconciler.gate(&old);
        let current = self.state.current.as_ref().map_or(&draft.release, |current| current).body.clone();
        self.images_are_here(&draft.release.body).await?;
        let volumes = match self.reconciler.is_stateless() {
            true => BTreeMap::new(),
            false => self.volumes(&old, &current).await?,
        };
        self.comes_up_here(&old, &current, &volumes).await?;
        let volumes = self.as_stored(volumes, &draft)?;
        match (draft.purpose, &draft.snapshot) {
            (Purpose::Take, _) => self.storing_is_possible(&volumes)?,
            (_, Some(id)) => {
                self.putting_back_is_possible(&volumes).await?;
                self.unpacking_is_possible(&volumes, &manifest(&self.dir, id)?)?;
            }
            (_, None) => {}
        }
        let before = draft.before.as_ref().map(|before| self.with_gate(before)).transpose()?;
        self.state = draft::with_refusal(&self.state);
        let transaction = self.beginning(&gate, volumes).by_hand(draft, before);
        self.perform(transaction).await
    }

    fn with_gate(&self, recorded: &Previous) -> Result<Old, Outcome> {
        let Previous { release, frozen } = recorded.clone();
        let gate = self.reconciler.gate(&release::desired(&self.app.stack, &release.body, &self.dir)?);
        Ok(Old { release, frozen, gate: gate.kept() })
    }

    /// Which of the volumes get other data. All that the snapshot holds have to be there.
    fn as_stored(&self, volumes: BTreeMap<String, Volume>, draft: &Draft) -> Result<BTreeMap<String, Volume>, Outcome> {
        let Some(id) = draft.snapshot.as_ref().filter(|_| draft.purpose != Purpose::Take) else { return Ok(volumes) };
        let stored: BTreeSet<String> = manifest(&self.dir, id)?.volumes.into_keys().collect();
        let gone: Vec<&str> = stored
            .iter()
            .filter(|name| volumes.get(*name).is_none_or(|volume| volume.mountpoint.is_none()))
            .map(String::as_str)
            .collect();
        if !gone.is_empty() {
            let made: Vec<String> = gone.iter().map(|name| format!("`docker volume create {name}`")).collect();
            return Err(Outcome::Blocked(format!(
                "snapshot {id} holds data of volume {}, which does not exist any more: make it empty first ({})",
                gone.join(", "),
                made.join(", ")
            )));
        }
        let volumes = transacting::as_stored(volumes, &stored, draft.purpose);
        let stuck = self.state.stuck.as_ref().map(|stuck| stuck.transaction.as_ref());
        Ok(match stuck.filter(|stuck| stuck.snapshot == draft.snapshot) {
            Some(stuck) => transacting::without_what_failed(volumes, stuck),
            None => volumes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::{release, transaction};

    #[test]
    fn before_anything_is_done_a_person_reads_which_data_goes_out_of_use() {
        let state = State { current: Some(release("1.1.0+1")), ..State::new(&"wiki".parse().unwrap()) };
        let draft = |purpose| Draft {
            purpose,
            release: release("1.0.0+1"),
            frozen: Default::default(),
            snapshot: Some("s0".into()),
            before: None,
            of_other_configuration: false,
        };
        let taken = Some("2026-06-01T02:00:00Z".parse().unwrap());
        let told = in_words(&"wiki".parse().unwrap(), &state, &draft(Purpose::Rollback), taken);
        for words in ["from 1.1.0+1 to 1.0.0+1 on the data of 2026-06-01 02:00:00 UTC (snapshot s0)", "is kept beside"]
        {
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn only_what_the_proxy_has_open_comes_first() {
        let open = |app: &str| vec![(app.parse().unwrap(), transaction(Purpose::Upgrade))];
        let [wiki, traefik]: [AppName; 2] = ["wiki", "traefik"].map(|name| name.parse().unwrap());
        let first = proxy_first(&wiki, Some(&traefik), &open("traefik")).unwrap();
        assert!(first.sentence().contains("`evenkeel resume`"), "{first}");
        assert_eq!(proxy_first(&wiki, Some(&traefik), &open("blog")), None);
        assert_eq!(proxy_first(&traefik, Some(&traefik), &open("traefik")), None);
        assert_eq!(proxy_first(&wiki, None, &open("traefik")), None);
    }
}
