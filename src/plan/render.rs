//! A plan for people, for one line, and for programs.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{Act, Change, Plan};
use crate::telemetry;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

impl Plan {
    /// Changes with signs, reasons and diffs, a blank line between what is done at once and after the gate.
    pub fn render(&self, colour: bool) -> String {
        let mut page = Page { text: String::new(), colour };
        page.line(Style::new(), &self.headline());
        self.before_gate().for_each(|change| page.change(change));
        if self.after_gate().next().is_some() {
            page.line(FAINT, "  once the new version has passed its gate:");
        }
        self.after_gate().for_each(|change| page.change(change));
        self.notes.iter().for_each(|note| page.line(CHANGED, &format!("  note: {note}")));
        page.text
    }

    /// What is done, in one line: `created service wiki_app; updated service wiki_db (image a -> b; …)`.
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return "nothing differs".to_owned();
        }
        let groups = ["create", "update", "remove"]
            .map(|verb| (verb, self.changes.iter().filter(move |c| c.act.verb() == verb)));
        let told = groups.into_iter().filter_map(|(verb, changes)| {
            let names: Vec<String> =
                changes.map(|change| format!("{} {}", change.object.word(), change.name)).collect();
            (!names.is_empty()).then(|| format!("{}d {}", verb, names.join(", ")))
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// The plan without specs and bodies: those hold secret values.
    pub fn to_json(&self) -> Value {
        let changes = self.changes.iter().map(|change| {
            json!({
                "act": change.act.verb(),
                "object": change.object.word(),
                "name": change.name,
                "reason": change.reason,
                "restarts": change.restarts,
                "after_gate": change.act.waits_for_gate(),
                "diff": change.diff,
            })
        });
        json!({
            "stack": self.stack.as_str(),
            "changes": changes.collect::<Vec<_>>(),
            "notes": self.notes,
            "unchanged": self.unchanged,
        })
    }

    fn headline(&self) -> String {
        match self.changes.len() {
            0 => format!("{}: nothing differs ({} as declared)", self.stack, self.unchanged),
            1 => format!("{}: 1 change, {} as declared", self.stack, self.unchanged),
            many => format!("{}: {many} changes, {} as declared", self.stack, self.unchanged),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, style: Style, line: &str) {
        let line = telemetry::printable(line).replace('\n', "\\n");
        let written = if self.colour && style != Style::new() {
            writeln!(self.text, "{style}{line}{style:#}")
        } else {
            writeln!(self.text, "{line}")
        };
        written.expect("a String takes all that is written");
    }

    fn change(&mut self, change: &Change) {
        let (sign, style) = sign(&change.act);
        self.line(style, &format!("  {sign} {} {}: {}", change.object.word(), change.name, change.reason));
        // Its first two lines name the sides, which the reader of a plan knows.
        for line in change.diff.iter().flat_map(|diff| diff.lines().skip(2)) {
            self.line(diff_style(line), &format!("      {line}"));
        }
    }
}

fn sign(act: &Act) -> (char, Style) {
    match act.verb() {
        "create" => ('+', ADDED),
        "remove" => ('-', REMOVED),
        _ => ('~', CHANGED),
    }
}

fn diff_style(line: &str) -> Style {
    match line.chars().next() {
        Some('+') => ADDED,
        Some('-') => REMOVED,
        Some('@') => FAINT,
        _ => Style::new(),
    }
}
