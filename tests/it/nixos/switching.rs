//! A switch to another configuration, by the rules of `switch-to-configuration`.
//!
//! Which units are stopped, restarted, left alone and started follows from the texts of units before and after, and from
//! which of them are active. The surprise: only those are looked at; a oneshot that has ended runs again because
//! every active target is started again.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Machine;
use super::rendered::Rendered;

type Units = BTreeMap<String, String>;

/// What a switch does to units that are active.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Acts {
    pub stop: BTreeSet<String>,
    pub restart: BTreeSet<String>,
    pub start: BTreeSet<String>,
    /// Changed, and left as they run.
    pub skip: BTreeSet<String>,
}

impl Acts {
    pub fn between(old: &Units, new: &Units, active: &BTreeSet<String>) -> Self {
        let mut acts = Self::default();
        for unit in active {
            let file = file_of(unit);
            let Some(before) = old.get(&file) else { continue };
            match new.get(&file) {
                None if says(before, "X-StopOnRemoval", true) => drop(acts.stop.insert(unit.clone())),
                Some(after) if counted(before) != counted(after) => acts.change(unit, after),
                _ => {}
            }
        }
        acts
    }

    fn change(&mut self, unit: &str, after: &str) {
        if [".target", ".path", ".slice"].iter().any(|kind| unit.ends_with(kind)) {
            return;
        }
        let unit = unit.to_owned();
        if !says(after, "X-RestartIfChanged", true) || says(after, "X-OnlyManualStart", false) {
            self.skip.insert(unit);
        } else if !says(after, "X-StopIfChanged", true) || !unit.ends_with(".service") {
            self.restart.insert(unit);
        } else {
            self.stop.insert(unit.clone());
            self.start.insert(unit);
        }
    }
}

/// An instance has the file of its template.
fn file_of(unit: &str) -> String {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((name, _)), Some((_, kind))) => format!("{name}@.{kind}"),
        _ => unit.to_owned(),
    }
}

/// A text without the lines whose change restarts nothing.
fn counted(text: &str) -> Vec<&str> {
    let uncounted = ["Description=", "Documentation=", "OnFailure=", "WantedBy=", "RequiredBy="];
    text.lines().filter(|line| !uncounted.iter().any(|start| line.starts_with(start))).collect()
}

fn says(text: &str, key: &str, otherwise: bool) -> bool {
    let value = text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.map_or(otherwise, |value| ["1", "yes", "true", "on"].contains(&value))
}

impl Machine {
    /// Has the host switched to these settings. Ends when a switch would end.
    pub fn switch(&mut self, settings: &str) -> Acts {
        let new = Rendered::of(settings);
        let acts = Acts::between(&self.rendered.units(), &new.units(), &self.active());
        self.systemctl("stop", &acts.stop);
        self.replace(new);
        self.host.shell("systemctl reset-failed; systemctl daemon-reload; systemd-tmpfiles --create");
        self.systemctl("restart", &acts.restart);
        let mut start = acts.start.clone();
        start.extend(["multi-user.target", "timers.target", "paths.target"].map(str::to_owned));
        self.systemctl("start", &start);
        acts
    }

    /// Units that run, or are about to.
    fn active(&self) -> BTreeSet<String> {
        let listed = self.host.shell("systemctl list-units --plain --no-legend --full --state=active,activating");
        listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    /// A unit that fails does not end a switch, which tells of it.
    fn systemctl(&self, verb: &str, units: &BTreeSet<String>) {
        if !units.is_empty() {
            let units: Vec<&str> = units.iter().map(String::as_str).collect();
            self.host.run(&[&["systemctl", verb], units.as_slice()].concat());
        }
    }
}

#[test]
fn a_switch_stops_what_has_gone_and_restarts_what_has_changed_unless_the_unit_says_otherwise() {
    let units = |texts: &[(&str, &str)]| -> Units {
        texts.iter().map(|(name, text)| ((*name).to_owned(), format!("[Unit]\n{text}\n"))).collect()
    };
    let old = units(&[
        ("gone.service", ""),
        ("kept@.service", "X-StopOnRemoval=false"),
        ("long.service", "X-RestartIfChanged=false\nA=1"),
        ("a.service", "A=1"),
        ("a.timer", "A=1"),
        ("a.path", "A=1"),
        ("told.service", "Description=old"),
        ("ended.service", "A=1"),
    ]);
    let new = units(&[
        ("long.service", "X-RestartIfChanged=false\nA=2"),
        ("a.service", "A=2"),
        ("a.timer", "A=2"),
        ("a.path", "A=2"),
        ("told.service", "Description=new"),
        ("ended.service", "A=2"),
    ]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let active = ["gone.service", "kept@x.service", "long.service", "a.service", "a.timer", "a.path", "told.service"];

    let acts = Acts::between(&old, &new, &names(&active));

    let expected = Acts {
        stop: names(&["gone.service", "a.service"]),
        restart: names(&["a.timer"]),
        start: names(&["a.service"]),
        skip: names(&["long.service"]),
    };
    assert_eq!(acts, expected);
}
