//! `snapshot`: what is kept of an app's data: taken, read back, put back and dropped by hand. Only taking and putting back
//! ask an Engine.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::secret::kept_app;
use super::{rollback, world};
use crate::app::by_hand::Wish;
use crate::app::telling::note;
use crate::host::copying::{self, CopyError, Watch};
use crate::host::progress::Progress;
use crate::host::snapshots::{Listed, Manifest, Snapshots};
use crate::host::store::{AppDir, Store};
use crate::host::who::person;
use crate::model::app::AppName;
use crate::model::history::Line;
use crate::model::state::State;
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show an app's snapshots, the oldest first, and what each is kept for.
    ///
    /// Columns: name, when it was taken, of which version, size on disk, what it is kept for. One that is kept for nothing
    /// goes with the next run that looks after the app.
    #[command(after_help = "Examples:\n  evenkeel snapshot list wiki\n  evenkeel snapshot list wiki --json")]
    List(List),
    /// Read an app's snapshots back, or one of them, and say what is damaged.
    ///
    /// Every archive is decompressed and compared with its manifest; a flipped, cut, missing or foreign file is named.
    /// Nothing is changed. Exit codes: 0 all is whole, 1 something is damaged.
    #[command(
        after_help = "Examples:\n  evenkeel snapshot verify wiki\n  evenkeel snapshot verify wiki 20261121t020000-1a2b3c4d"
    )]
    Verify(Verify),
    /// Remove one snapshot of an app.
    ///
    /// One that a way back needs is not removed: it goes by itself with the next good upgrade.
    #[command(after_help = "Example:\n  evenkeel snapshot drop wiki 20261121t020000-1a2b3c4d")]
    Drop(DropOne),
    /// Store an app's data as it is now.
    ///
    /// The app is stopped for as long as that takes, and runs again then. The snapshot stays until `snapshot drop`.
    #[command(after_help = "Example:\n  evenkeel snapshot take wiki")]
    Take(Take),
    /// Put the data of a snapshot under the version that runs.
    ///
    /// Of a snapshot of that very version: data goes back to another one only with its version (`rollback`). First it is
    /// shown which data goes out of use; without a terminal, --yes is needed. What was there is kept beside the volumes
    /// until the next good upgrade. Where the app does not come up, it gets its own data back (exit code 11).
    #[command(
        after_help = "Examples:\n  evenkeel snapshot restore wiki\n  evenkeel snapshot restore wiki 20261121t020000-1a2b3c4d --yes"
    )]
    Restore(Restore),
}

#[derive(Debug, Args)]
pub struct Take {
    /// The app by its name in the configuration.
    app: String,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The app by its name in the configuration.
    app: String,
    /// The snapshot's name [default: the newest one of the version that runs, as it is configured now].
    #[arg(value_name = "SNAPSHOT")]
    id: Option<String>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// The app by its name.
    app: String,
    /// Print one JSON array, as `evenkeel generate snapshots-schema` describes it.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The app by its name.
    app: String,
    /// The snapshot's name [default: all].
    #[arg(value_name = "SNAPSHOT")]
    id: Option<String>,
}

#[derive(Debug, Args)]
pub struct DropOne {
    /// The app by its name.
    app: String,
    /// The snapshot's name, as `list` shows it.
    #[arg(value_name = "SNAPSHOT")]
    id: String,
}

pub async fn run(config: &Path, verb: &Verb) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let dir = |name: &str| -> anyhow::Result<(AppName, AppDir)> {
        let app = kept_app(&declared, name)?;
        let dir = Store::for_reading(&declared.state_dir).app(&app);
        Ok((app, dir))
    };
    match verb {
        Verb::Take(arguments) => rollback::grant(config, &arguments.app, &Wish::Take, true).await,
        Verb::Restore(arguments) => {
            let wish = Wish::Restore(arguments.id.clone());
            rollback::grant(config, &arguments.app, &wish, arguments.yes).await
        }
        Verb::List(arguments) => list(&dir(&arguments.app)?.1, arguments.json),
        Verb::Verify(arguments) => {
            let (app, dir) = dir(&arguments.app)?;
            verify(&app, dir, arguments.id.clone()).await
        }
        Verb::Drop(arguments) => {
            let (app, dir) = dir(&arguments.app)?;
            drop_told(&Store::for_reading(&declared.state_dir), &app, &dir, &arguments.id).await
        }
    }
}

fn list(dir: &AppDir, as_json: bool) -> anyhow::Result<u8> {
    let state = dir.read_state()?;
    let listed = dir.snapshots().list()?;
    match as_json {
        true => {
            let all = listed.iter().map(|listed| json_of(listed, state.as_ref())).collect();
            super::answer(&format!("{:#}\n", Value::Array(all)));
        }
        false => listed.iter().for_each(|listed| super::answer(&line_of(listed, state.as_ref()))),
    }
    Ok(0)
}

fn line_of(listed: &Listed, state: Option<&State>) -> String {
    let id = &listed.id;
    let kept_for = kept_for(state, id);
    let kept_for = if kept_for.is_empty() { "nothing".to_owned() } else { kept_for.join(", ") };
    match &listed.manifest {
        Ok(manifest) => {
            let size = size(manifest.bytes());
            format!("{id}  {:.0}  {}  {size}  kept for: {kept_for}\n", manifest.taken, revision(manifest))
        }
        Err(error) => {
            format!("{id}  cannot be used: {}  kept for: {kept_for}\n", telemetry::one_line(&error.to_string()))
        }
    }
}

fn json_of(listed: &Listed, state: Option<&State>) -> Value {
    // Why there is none is `damage`.
    let manifest = listed.manifest.as_ref().ok();
    let volumes = manifest.into_iter().flat_map(|manifest| &manifest.volumes).map(|(name, archived)| {
        json!({
            "volume": name, "bytes": archived.bytes, "content_bytes": archived.content.bytes,
            "entries": archived.content.entries, "sockets": archived.sockets,
        })
    });
    json!({
        "snapshot": listed.id,
        "taken": manifest.map(|manifest| manifest.taken),
        "version": manifest.and_then(|manifest| manifest.version.clone()),
        "commit": manifest.map(|manifest| &manifest.commit),
        "bytes": manifest.map(Manifest::bytes),
        "volumes": volumes.collect::<Vec<_>>(),
        "kept_for": kept_for(state, &listed.id),
        "damage": listed.manifest.as_ref().err().map(ToString::to_string),
    })
}

/// What the state names a snapshot for, in the words of the operator.
fn kept_for(state: Option<&State>, id: &str) -> Vec<&'static str> {
    let Some(state) = state else { return Vec::new() };
    let of = |snapshot: Option<&String>| snapshot.is_some_and(|snapshot| snapshot == id);
    let previous = state.previous.as_ref().and_then(|previous| previous.release.snapshot.as_ref());
    let current = state.current.as_ref().and_then(|current| current.snapshot.as_ref());
    let runs = if state.warm.is_some() { "the known-good" } else { "the version that runs" };
    let words = [("rollback", of(previous)), (runs, of(current)), ("by hand", state.kept.contains(id))];
    let mut words: Vec<_> = words.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect();
    if words.is_empty() && state.named_snapshots().contains(id) {
        words.push("what is on its way");
    }
    words
}

async fn verify(app: &AppName, dir: AppDir, id: Option<String>) -> anyhow::Result<u8> {
    let snapshots = dir.snapshots();
    let state = dir.read_state()?;
    let all: Vec<String> = snapshots.list()?.into_iter().map(|listed| listed.id).collect();
    let chosen = match id {
        Some(id) if !all.contains(&id) => bail!("{}", no_such(app, &id, &all)),
        Some(id) => vec![id],
        None => all,
    };
    let mut code = 0;
    for id in chosen {
        let read = read_back(app, snapshots.clone(), id.clone()).await;
        let told = match read {
            Ok(manifest) => format!("whole, {}", contents(&manifest)),
            // A run that was at work meanwhile has dropped it.
            Err(_) if !snapshots.path(&id).exists() => "is not there any more".to_owned(),
            Err(CopyError::Damaged(damage)) => {
                code = super::ERROR;
                let kept_for = kept_for(state.as_ref(), &id);
                let needed = if kept_for.is_empty() { "nothing needs it".to_owned() } else { kept_for.join(", ") };
                format!("damaged: {damage} (kept for: {needed})")
            }
            Err(other) => {
                code = super::ERROR;
                format!("cannot be read: {other}")
            }
        };
        super::answer(&format!("{id}: {}\n", telemetry::one_line(&told)));
    }
    Ok(code)
}

async fn read_back(app: &AppName, snapshots: Snapshots, id: String) -> Result<Manifest, CopyError> {
    let progress = Progress::new(app.as_str());
    let read = move || {
        let told = |at: copying::Progress| {
            let tenths = at.done.saturating_mul(10).checked_div(at.of).unwrap_or(0).min(9);
            progress.waiting_for(&format!("{id} to be read back ({tenths}0 %)"));
        };
        snapshots.verify(&id, &Watch { progress: &told, asked_to_end: &|| false })
    };
    let ended = tokio::task::spawn_blocking(read).await;
    ended.map_err(|cause| anyhow::anyhow!("a thread ended without an answer: {cause}"))?
}

/// Who dropped it is in the history.
async fn drop_told(store: &Store, app: &AppName, dir: &AppDir, id: &str) -> anyhow::Result<u8> {
    let dropped = drop_one(app, dir, id).await?;
    if dropped {
        let told = format!("snapshot {id} was dropped");
        note(store, &Line::of_act(app.as_str(), "dropped", &told, &person(), Timestamp::now()));
    }
    let told = if dropped { "dropped" } else { "is not there any more" };
    super::answer(&format!("{id}: {told}\n"));
    Ok(0)
}

/// Gives whether it was there until now.
async fn drop_one(app: &AppName, dir: &AppDir, id: &str) -> anyhow::Result<bool> {
    let snapshots = dir.snapshots();
    let all: Vec<String> = snapshots.list()?.into_iter().map(|listed| listed.id).collect();
    if !all.iter().any(|known| known == id) {
        bail!("{}", no_such(app, id, &all));
    }
    let lock = dir.lock_waiting(|by| super::tell(&format!("{app} is being worked on by {by}; waiting"))).await?;
    let state = dir.read_state()?;
    if let Some(mut state) = state {
        // First the name, then what it stands for: a crash leaves a snapshot that the next run removes.
        let was_kept = state.kept.remove(id);
        if let Some(reason) = kept_for(Some(&state), id).first() {
            bail!(
                "{id} is kept for {reason} and is not dropped: it goes by itself with the next good upgrade of {app}"
            );
        }
        if was_kept {
            dir.write_state(&lock, &state)?;
        }
    }
    snapshots.remove(&lock, id)
}

fn no_such(app: &AppName, id: &str, all: &[String]) -> String {
    let known = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    format!("{app} has no snapshot {id:?}; there are: {known}")
}

fn revision(manifest: &Manifest) -> String {
    manifest.version.clone().unwrap_or_else(|| format!("commit {}", manifest.commit.get(..12).unwrap_or_default()))
}

fn contents(manifest: &Manifest) -> String {
    let mut told = match manifest.volumes.len() {
        0 => "no volume".to_owned(),
        1 => "1 volume".to_owned(),
        many => format!("{many} volumes"),
    };
    let entries: u64 = manifest.volumes.values().map(|volume| volume.content.entries).sum();
    told.push_str(&format!(" with {entries} files and folders, {}", size(manifest.bytes())));
    told
}

/// `624 MiB`, `17 KiB`
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
