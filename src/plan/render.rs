//! A plan for people, for one line, and for programs.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::account::{Account, Stays};
use super::restart::Restart;
use super::{Act, Change, Plan};
use crate::telemetry;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();
const HEADING: Style = Style::new().bold();

const RECKONED: &str =
    "  (times are reckoned, not promised; images are pulled before, and what Swarm itself takes is not counted)";

/// What happens to an object, in the order in which a person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Created,
    Restarts,
    Changes,
    Goes,
    GoesAfterGate,
}

impl Group {
    const ALL: [Group; 5] = [Group::Created, Group::Restarts, Group::Changes, Group::Goes, Group::GoesAfterGate];

    fn of(change: &Change) -> Self {
        match change.act.verb() {
            "create" => Group::Created,
            "remove" if change.act.waits_for_gate() => Group::GoesAfterGate,
            "remove" => Group::Goes,
            _ if change.restarts => Group::Restarts,
            _ => Group::Changes,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Group::Created => "is created",
            Group::Restarts => "restarts",
            Group::Changes => "changes without a restart",
            Group::Goes => "goes",
            Group::GoesAfterGate => "goes once the new version has passed its gate",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Group::Created => "created",
            Group::Restarts => "restarts",
            Group::Changes => "changes",
            Group::Goes => "goes",
            Group::GoesAfterGate => "goes_after_gate",
        }
    }
}

impl Plan {
    /// Changes by what happens, with reasons, what differs, and how long a restart takes about; then what stays.
    pub fn render(&self, account: &Account, colour: bool) -> String {
        let mut page = Page { text: String::new(), colour };
        page.line(Style::new(), &self.headline());
        for group in Group::ALL {
            page.group(group, &self.changes, account);
        }
        if !account.restarts.is_empty() {
            page.line(FAINT, RECKONED);
        }
        page.stays(account);
        self.notes.iter().for_each(|note| page.line(CHANGED, &format!("  note: {note}")));
        page.text
    }

    /// What is done, in one line: `created secret wiki_key, service wiki_app; updated service wiki_db`.
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
    pub fn to_json(&self, account: &Account) -> Value {
        let changes = self.changes.iter().map(|change| {
            json!({
                "act": change.act.verb(),
                "object": change.object.word(),
                "name": change.name,
                "reason": change.reason,
                "group": Group::of(change).word(),
                "restarts": change.restarts,
                "restart": account.restarts.get(&change.name).filter(|_| change.restarts).map(Restart::to_json),
                "after_gate": change.act.waits_for_gate(),
                "diff": change.diff,
            })
        });
        json!({
            "stack": self.stack.as_str(),
            "changes": changes.collect::<Vec<_>>(),
            "notes": self.notes,
            "unchanged": self.unchanged,
            "new_volumes": account.new_volumes,
            "stays": account.stays.to_json(),
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
        f.write_str(&self.render(&Account::default(), false))
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

    fn group(&mut self, group: Group, changes: &[Change], account: &Account) {
        let changes: Vec<&Change> = changes.iter().filter(|change| Group::of(change) == group).collect();
        let new_volumes = if group == Group::Created { account.new_volumes.as_slice() } else { &[] };
        if changes.is_empty() && new_volumes.is_empty() {
            return;
        }
        self.line(HEADING, &format!("  {}", group.heading()));
        changes.into_iter().for_each(|change| self.change(change, account));
        for volume in new_volumes {
            self.line(
                ADDED,
                &format!("    + volume {volume}: is not there; the Engine makes it with its first container"),
            );
        }
    }

    fn change(&mut self, change: &Change, account: &Account) {
        let (sign, style) = sign(&change.act);
        self.line(style, &format!("    {sign} {} {}: {}", change.object.word(), change.name, change.reason));
        if let Some(restart) = account.restarts.get(&change.name).filter(|_| change.restarts) {
            self.line(Style::new(), &format!("        {}", restart.sentence()));
        }
        // Its first two lines name the sides, which the reader of a plan knows.
        for line in change.diff.iter().flat_map(|diff| diff.lines().skip(2)) {
            self.line(diff_style(line), &format!("        {line}"));
        }
    }

    fn stays(&mut self, account: &Account) {
        if account.stays == Stays::default() {
            return;
        }
        self.line(HEADING, "  stays");
        for (kind, names) in account.stays.kinds() {
            let many = if names.len() == 1 { "" } else { "s" };
            self.line(FAINT, &format!("      {kind}{many} {}", names.join(", ")));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::world::{
        desired, live_network, live_secret, live_volume, network_body, observed, spec, task, with,
    };
    use super::super::{Context, Plan};
    use super::*;
    use crate::config::Resolve;
    use crate::desired::{Desired, DesiredNetwork};
    use crate::model::observed::{Observed, TaskState};

    const MOUNTS: &str = "/TaskTemplate/ContainerSpec/Mounts";
    const ENV: &str = "/TaskTemplate/ContainerSpec/Env";

    fn pages(live: &Observed, wanted: &Desired, starts: &[(&str, u64)]) -> (String, Value) {
        let kept = Default::default();
        let version = |_: &[u8]| "c1234567".to_owned();
        let plan = Plan::new(live, wanted, &Context::new(&kept, &version, Resolve::Changed)).unwrap();
        let starts = starts.iter().map(|(name, seconds)| ((*name).to_owned(), Duration::from_secs(*seconds))).collect();
        let account = plan.account(live, &starts);
        (plan.render(&account, false), plan.to_json(&account))
    }

    fn volume(name: &str) -> Value {
        json!([{ "Type": "volume", "Source": name, "Target": "/data" }])
    }

    /// A stack of which everything happens to something.
    fn changed() -> (Observed, Desired) {
        let app = with(with(spec("app", "wiki:1"), ENV, json!(["A=1", "TOKEN=one"])), MOUNTS, volume("wiki_data"));
        let db = with(spec("db", "db:1"), MOUNTS, volume("wiki_db"));
        let before =
            desired().config("run", "x").service(app.clone()).service(db.clone()).service(spec("old", "old:1"));
        let before = before.service(spec("web", "web:1"));
        let mut live = observed(&before);
        live.volumes.insert("wiki_data".into(), live_volume("wiki_data"));
        live.volumes.insert("wiki_db".into(), live_volume("wiki_db"));
        live.volumes.insert("wiki_lost".into(), live_volume("wiki_lost"));
        live.secrets.insert("wiki_gone".into(), live_secret("wiki_gone"));
        live.networks.insert("proxy".into(), live_network("proxy", None));
        live.tasks = vec![task("app", 1, 1, TaskState::Running), task("web", 1, 1, TaskState::Running)];
        let app =
            with(with(app, ENV, json!(["A=2", "TOKEN=two"])), "/TaskTemplate/ContainerSpec/Image", json!("wiki:2"));
        let web = with(
            with(spec("web", "web:1"), MOUNTS, volume("wiki_new")),
            "/UpdateConfig",
            json!({ "Order": "start-first" }),
        );
        let mut wanted =
            desired().config("run", "x").service(app).service(with(db, "/Labels/a", json!("b"))).service(web);
        wanted.networks.push(DesiredNetwork { name: "wiki_back".into(), body: network_body("wiki_back") });
        wanted.external_networks.push("proxy".into());
        (live, wanted)
    }

    #[test]
    fn a_page_tells_what_happens_by_groups_what_restarts_for_how_long_and_what_stays() {
        let (live, wanted) = changed();
        let expected = "\
wiki: 6 changes, 3 as declared
  is created
    + network wiki_back: is not there
    + volume wiki_new: is not there; the Engine makes it with its first container
  restarts
    ~ service wiki_app: image wiki:1 -> wiki:2; environment A, TOKEN
        away for about 13 s: at most 10 s to stop (stop_grace_period), 3 s to start (as the last time); watched for 5 s more (monitor)
        @@ TaskTemplate.ContainerSpec @@
        -Image: wiki:1
        +Image: wiki:2
        @@ TaskTemplate.ContainerSpec.Env @@
        -A=1
        -TOKEN=[hidden, live]
        +A=2
        +TOKEN=[hidden, wanted]
    ~ service wiki_web: volumes; update settings
        away for as long as it takes to stop and to start, since its containers may not meet (start-first, with a volume or a port of the host): at most 10 s to stop (stop_grace_period), unknown to start (no earlier start is known)
        @@ TaskTemplate.ContainerSpec.Mounts @@
        +{\"Source\":\"wiki_new\",\"Target\":\"/data\",\"Type\":\"volume\"}
        @@ UpdateConfig @@
        +FailureAction: pause
        +MaxFailureRatio: 0.0
        +Monitor: 5000000000
        +Order: start-first
        +Parallelism: 0
  changes without a restart
    ~ service wiki_db: labels a
        @@ Labels @@
        +a: b
  goes
    - service wiki_old: the recipe no longer has it
  goes once the new version has passed its gate
    - secret wiki_gone: no service uses it any more
  (times are reckoned, not promised; images are pulled before, and what Swarm itself takes is not counted)
  stays
      networks proxy, wiki_default
      config wiki_run_v1
      volumes wiki_data, wiki_db, wiki_lost
";
        let (page, json) = pages(&live, &wanted, &[("wiki_app", 3)]);
        assert_eq!(page, expected);
        let groups: Vec<&str> =
            json["changes"].as_array().unwrap().iter().map(|change| change["group"].as_str().unwrap()).collect();
        assert_eq!(groups, ["created", "goes", "restarts", "changes", "restarts", "goes_after_gate"]);
        assert_eq!(json["stays"]["volumes"], json!(["wiki_data", "wiki_db", "wiki_lost"]));
        assert_eq!(json["changes"][2]["restart"]["about_seconds"], 13);
        assert_eq!(json["changes"][4]["restart"]["about_seconds"], Value::Null);
    }

    #[test]
    fn a_first_install_is_a_page_of_what_is_created() {
        let wanted = desired().config("run", "x").service(with(spec("app", "wiki:1"), MOUNTS, volume("wiki_data")));
        let expected = "\
wiki: 3 changes, 0 as declared
  is created
    + network wiki_default: is not there
    + config wiki_run_v1: is not there
    + service wiki_app: is not there
    + volume wiki_data: is not there; the Engine makes it with its first container
";
        assert_eq!(pages(&Observed::default(), &wanted, &[]).0, expected);
    }

    #[test]
    fn colours_change_no_word() {
        let (live, wanted) = changed();
        let kept = Default::default();
        let version = |_: &[u8]| String::new();
        let plan = Plan::new(&live, &wanted, &Context::new(&kept, &version, Resolve::Changed)).unwrap();
        let account = plan.account(&live, &BTreeMap::new());
        let coloured = plan.render(&account, true);
        assert!(coloured.contains("\u{1b}[32m        +Image: wiki:2\u{1b}[0m"), "{coloured:?}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plan.render(&account, false));
    }
}
