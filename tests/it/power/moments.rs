//! What is seen of a program's syncs, and what becomes of each: whether it is the one of the moment.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::host::Host;
use super::watched::{Call, Verdict};
use super::{CLOSED, Flush, Moment, STATE_DIR};

/// How far the program has come.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whether anything was seen open.
    began: bool,
    /// How many were asked about.
    pub syncs: usize,
}

impl Seen {
    pub fn verdict(&mut self, host: &Host, app: &str, call: &Call, moment: Moment, skipped: Option<Flush>) -> Verdict {
        if call.is_hint {
            let is_of_archive = call.path().extension().is_some_and(|end| end == "zst");
            return if is_of_archive && skipped == Some(Flush::Archive) { Verdict::Skip } else { Verdict::Make };
        }
        self.syncs += 1;
        let verdict = match moment {
            _ if skipped.is_some_and(|skipped| self.is(host, app, skipped, call)) => Verdict::Skip,
            Moment::Before(sync) if self.is(host, app, sync, call) => Verdict::HoldBefore,
            Moment::After(sync) if self.is(host, app, sync, call) => Verdict::HoldAfter,
            _ => Verdict::Make,
        };
        self.began |= step_now(host, app).is_some_and(|step| step != CLOSED);
        verdict
    }

    fn is(&self, host: &Host, app: &str, sync: Flush, call: &Call) -> bool {
        let (path, folder) = (call.path(), Path::new(STATE_DIR).join(app));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_part = |end: &str| name.starts_with(".part-") && name.ends_with(end);
        match sync {
            Flush::State(step) => {
                let is_beside = path.parent() == Some(&folder) && name.starts_with(".beside-");
                is_beside && step_of(&call.content()).as_deref() == Some(step) && (self.began || step != CLOSED)
            }
            Flush::Rename(step) => {
                path == folder && step_now(host, app).as_deref() == Some(step) && (self.began || step != CLOSED)
            }
            Flush::Archive => is_part(".tar.zst"),
            Flush::Manifest => is_part(".meta.json"),
            Flush::Stage => call.is_syncfs,
            Flush::Number(number) => self.syncs == number,
        }
    }
}

pub fn kept_state(host: &Host, app: &str) -> Vec<u8> {
    fs::read(host.path(format!("{STATE_DIR}/{app}/state.json"))).unwrap_or_default()
}

/// Where the state stands, as it would be read now.
fn step_now(host: &Host, app: &str) -> Option<String> {
    step_of(&kept_state(host, app))
}

/// Of a transaction, or of a canonical's work.
fn step_of(state: &[u8]) -> Option<String> {
    let state: Value = serde_json::from_slice(state).ok()?;
    state.get("schema")?;
    // The record that follows from a state has a schema, too.
    state.get("stack")?;
    let steps = [&state["open"]["step"], &state["warm"]["work"]["step"]];
    Some(steps.into_iter().find_map(Value::as_str).unwrap_or(CLOSED).to_owned())
}
