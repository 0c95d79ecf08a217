//! `status`: what runs, in which version, and what is held or failed. Reads only.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::chosen;
use super::{Which, world};
use crate::app::{self, Aside, Host, Snapshot, Standing, ends};
use crate::config::App;
use crate::model::app::Kind;
use crate::model::outcome::{Outcome, worst};
use crate::model::pause::Pause;
use crate::model::state::Refused;
use crate::model::transaction::Transaction;
use crate::model::version::Revision;
use crate::model::warm::Warm;
use crate::telemetry;
use crate::warm::ahead::Ahead;

pub async fn run(config: &Path, arguments: &Which) -> anyhow::Result<u8> {
    let host = world::host_to_look_at(config, &arguments.apps).await?;
    let apps = chosen(&host, &arguments.apps, |_| true)?;
    let (mut all, mut code) = (Vec::new(), 0);
    let now = Timestamp::now();
    for app in apps {
        let paused = app::paused(&host.store.app(&app.name), &app.name, now);
        code = worst([code, paused.as_ref().map_or_else(Outcome::exit_code, |_| 0)]);
        let standing = match app::standing(&host, app, now).await {
            Ok(standing) => standing,
            Err(outcome) => {
                code = worst([code, outcome.exit_code()]);
                Standing::unknown(&outcome)
            }
        };
        match arguments.json {
            true => all.push(as_json(app, &standing, &Pausing::of(app, paused, now))),
            false => super::answer(&as_text(app, &standing, &Pausing::of(app, paused, now), now)),
        }
    }
    if arguments.json {
        super::answer(&format!("{:#}\n", Value::Array(all)));
    }
    leftovers(&host, arguments)?;
    for low in app::pruning::low_disks(&host.declared, &host.store, &host.swarm).await {
        super::tell(&format!("evenkeel: warning: {low}"));
    }
    if let Some(tight) = host.tight_network().await {
        super::tell(&format!("evenkeel: warning: {tight}"));
    }
    Ok(code)
}

/// The pause of an app: in the words of the run that meets it, and as it is kept where it can be read.
struct Pausing {
    sentence: Option<String>,
    pause: Option<Pause>,
}

impl Pausing {
    fn of(app: &App, paused: Result<Option<Pause>, Outcome>, now: Timestamp) -> Self {
        match paused {
            Ok(pause) => Self { sentence: pause.as_ref().map(|pause| pause.sentence(&app.name, now)), pause },
            Err(outcome) => Self { sentence: Some(outcome.sentence().to_owned()), pause: None },
        }
    }
}

fn as_text(app: &App, standing: &Standing, paused: &Pausing, now: Timestamp) -> String {
    let none = if standing.health == "unknown" { "?" } else { "not installed" };
    let version = standing.revision.as_deref().unwrap_or(none);
    let mut text = format!("{:<16} {:<24} {:<10} {}\n", app.name.as_str(), version, standing.health, app.domain);
    let mut told = |word: &str, sentence: &Option<String>| {
        if let Some(sentence) = sentence {
            text.push_str(&format!("    {word}: {}\n", telemetry::indented(sentence)));
        }
    };
    told("paused", &paused.sentence);
    told("warm", &standing.warm.as_ref().map(|(warm, ahead)| kept_warm(warm, ahead)));
    told("why", &standing.reason);
    told("failed", &standing.failed);
    told("stuck", &standing.stuck);
    told("open", &standing.open.as_ref().map(|open| open_sentence(app, open, paused)));
    told("held", &standing.held);
    told("waiting", &standing.waiting);
    standing.refused.iter().for_each(|refused| told("refused", &Some(refusal(app, refused, standing))));
    told("before", &standing.previous.as_ref().map(|previous| before(app, previous)));
    told("stored", &standing.snapshot.as_ref().map(|snapshot| stored(snapshot, now)));
    standing.aside.iter().for_each(|aside| told("aside", &Some(lies(aside))));
    told("at work", &standing.busy);
    text
}

/// What a canonical's data is, since when, and what a run would make of that.
fn kept_warm(warm: &Warm, ahead: &Ahead) -> String {
    let since = warm.since.strftime("%F %H:%M UTC");
    format!("{} since {since} by {}; {}", warm.status.word(), warm.by, ahead.sentence)
}

fn refusal(app: &App, refused: &Refused, standing: &Standing) -> String {
    let (revision, name) = (&refused.revision, &app.name);
    let since = refused.ts.strftime("%F %H:%M UTC");
    let current = standing.commit.as_deref();
    let lifts = match app.kind {
        Kind::Canonical if current.is_none() => format!("`evenkeel canonical seed {name}`"),
        // It is its configuration that failed.
        Kind::Canonical if current == Some(revision.commit.as_str()) => {
            format!("`evenkeel canonical promote {name} --green --cold`")
        }
        _ if current == Some(revision.commit.as_str()) => format!("`evenkeel app {name} --retry`"),
        _ => format!("`evenkeel approve {name} {}`", revision.version.as_deref().unwrap_or(revision.commit.as_str())),
    };
    format!("{revision} since {since}: {}; {lifts} lifts that", refused.reason)
}

fn before(app: &App, previous: &Revision) -> String {
    format!("{previous}; `evenkeel rollback {}` goes back to it", app.name)
}

fn stored(snapshot: &Snapshot, now: Timestamp) -> String {
    let age = now.duration_since(snapshot.taken);
    let age = match (age.as_hours(), age.as_mins()) {
        (0, minutes) => format!("{minutes} minutes"),
        (hours @ 1..48, _) => format!("{hours} hours"),
        (hours, _) => format!("{} days", hours / 24),
    };
    format!("snapshot {} is {age} old, {} MiB", snapshot.id, snapshot.bytes.div_ceil(1 << 20))
}

fn lies(aside: &Aside) -> String {
    let path = aside.path.display();
    let of = aside.of.as_ref().map(|(release, ts)| format!(" of {release} since {}", ts.strftime("%F %H:%M UTC")));
    let size = aside.bytes.map(|bytes| format!(", {} MiB", bytes.div_ceil(1 << 20)));
    format!(
        "volume {}{}{} is kept in {path} until the next good upgrade or until more gives way; `rm -r '{path}'` removes it now",
        aside.volume,
        of.unwrap_or_default(),
        size.unwrap_or_default()
    )
}

fn as_json(app: &App, standing: &Standing, paused: &Pausing) -> Value {
    let pause = paused
        .pause
        .as_ref()
        .map(|pause| json!({"by": pause.by, "since": pause.since, "until": pause.until, "reason": pause.reason}));
    json!({
        "app": app.name.as_str(),
        "kind": app.kind.table(),
        "domain": app.domain.as_str(),
        "stack": app.stack.as_str(),
        "version": standing.version,
        "commit": standing.commit,
        "since": standing.since,
        "health": standing.health,
        "reason": standing.reason,
        "failed": standing.failed,
        "held": standing.held,
        "waiting": standing.waiting,
        "open": standing.open.as_ref().map(|open| on_its_way(app, open, paused)),
        "stuck": standing.stuck,
        "refused": standing.refused.iter().map(refused).collect::<Vec<_>>(),
        "previous": standing.previous.as_ref().map(|previous| {
            json!({"version": previous.version, "commit": previous.commit.to_string()})
        }),
        "snapshot": standing.snapshot.as_ref().map(|snapshot| {
            json!({"id": snapshot.id, "taken": snapshot.taken, "bytes": snapshot.bytes})
        }),
        "aside": standing.aside.iter().map(aside).collect::<Vec<_>>(),
        "warm": standing.warm.as_ref().map(|(warm, ahead)| warmth(warm, ahead)),
        "at_work": standing.busy,
        "paused": paused.sentence,
        "pause": pause,
    })
}

fn open_sentence(app: &App, open: &Transaction, paused: &Pausing) -> String {
    match paused.sentence {
        Some(_) => ends::open_and_paused(&app.name, open),
        None => ends::open(&app.name, open),
    }
}

fn on_its_way(app: &App, open: &Transaction, paused: &Pausing) -> Value {
    json!({
        "id": open.id,
        "purpose": open.purpose,
        "step": open.step.word(),
        "since": open.step_began,
        "began": open.began,
        "by": open.by,
        "from": open.old.release.body.revision.to_string(),
        "to": open.new.as_ref().map(|new| new.body.revision.to_string()),
        "sentence": open_sentence(app, open, paused),
    })
}

fn warmth(warm: &Warm, ahead: &Ahead) -> Value {
    let work = warm.work.as_ref().map(|work| {
        json!({
            "purpose": work.purpose,
            "step": work.step,
            "since": work.transaction.step_began,
            "began": work.transaction.began,
            "by": work.transaction.by,
            "to": work.transaction.old.release.body.revision.to_string(),
        })
    });
    json!({
        "status": warm.status,
        "since": warm.since,
        "by": warm.by,
        "why": warm.why,
        "work": work,
        "changes": ahead.changes,
        "sentence": ahead.sentence,
    })
}

fn refused(refused: &Refused) -> Value {
    json!({
        "version": refused.revision.version,
        "commit": refused.revision.commit.to_string(),
        "since": refused.ts,
        "reason": refused.reason,
        "by_hand": refused.by_hand,
    })
}

fn aside(aside: &Aside) -> Value {
    json!({
        "volume": aside.volume,
        "path": aside.path,
        "release": aside.of.as_ref().map(|(release, _)| release),
        "since": aside.of.as_ref().map(|(_, ts)| ts),
        "bytes": aside.bytes,
    })
}

/// Apps that are kept on disk and declared no more: nothing keeps them, and nobody should think so.
fn leftovers(host: &Host, arguments: &Which) -> anyhow::Result<()> {
    if arguments.json || !arguments.apps.is_empty() {
        return Ok(());
    }
    for name in host.store.apps()? {
        if host.declared.app(name.as_str()).is_none() {
            super::answer(&format!("{name:<16} is no longer declared: its stack and volumes are left alone\n"));
            if let Some(stale) = app::runner_env::stale(&name, &host.store.app(&name)) {
                super::tell(&format!("evenkeel: warning: {stale}"));
            }
        }
    }
    Ok(())
}
