//! Which runs are nightly ones, and when one of them was good.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tracing::warn;

use super::{Host, Options, started_by_systemd};
use crate::config::{App, Declared};
use crate::host::nights;
use crate::model::app::{AppName, Kind};

/// Notes which kinds had a good night: systemd has started the run, it may take versions, and each app of the kind was
/// looked at. What cannot be written down fails nothing: at worst a silence is told that was none.
pub fn note_good_night(host: &Host, options: Options, looked_at: &BTreeSet<&AppName>, now: Timestamp) {
    if options.no_upgrade || !started_by_systemd() {
        return;
    }
    let kinds = whole(&host.declared, looked_at);
    if kinds.is_empty() {
        return;
    }
    if let Err(cause) = nights::was_good(&host.store, &kinds, now) {
        warn!(cause = format!("{cause:#}"), "that this night was good could not be written down");
    }
}

/// The verbs of the kinds of which every declared app is among these.
fn whole<'a>(declared: &'a Declared, looked_at: &BTreeSet<&AppName>) -> BTreeSet<&'a str> {
    let kinds: BTreeSet<Kind> =
        declared.apps.iter().filter(|app| looked_at.contains(&app.name)).map(|app| app.kind).collect();
    let all = |kind: &Kind| declared.of(*kind).all(|app: &App| looked_at.contains(&app.name));
    kinds.into_iter().filter(all).map(Kind::verb).collect()
}
