//! Power losses in the middle of what is done to a canonical.
//!
//! After the next boot and the next run its record and its sealed snapshot are whole and belong together, byte by byte, and
//! what is deployed is the known-good's data and nobody else's. The surprise: an app need not sync what it writes, so a
//! power loss may leave names without bytes; a file system that others sync in between does that to everybody.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

use super::host::Host;
use super::moments::{Seen, kept_state};
use super::play::{Unit, data_of, observe, runs};
use super::prepared::{RUNS, bare, compose, publish, put_files, put_recipe};
use super::watched::Watched;
use super::{Flush, Moment, STATE_DIR, TRIES, VOLUMES, some_at_a_time};
use crate::fixtures::RecipeRepo;

const GOOD: &str = "1.0.0+1";
const BETTER: &str = "1.1.0+1";
const BAD: &str = "1.2.0+1";
const AT_A_TIME: usize = 5;
const PAGES: usize = 20;
/// Which has a known-good, and which has none.
const KNOWN: &str = "wiki";
const NEW: &str = "blog";
const CONFIG: &str = "\
base_domain = \"example.org\"
[canonical.wiki]
recipe = { url = \"/srv/wiki\" }
domain = \"wiki.example.org\"
gate = { stable_for = \"1s\", within = \"600s\" }
[canonical.blog]
recipe = { url = \"/srv/wiki\" }
domain = \"blog.example.org\"
gate = { stable_for = \"1s\", within = \"600s\" }
";

/// What happens on the volumes' disk just before the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Somebody syncs a file of his own: names are on the disk by that, and bytes are not.
    Names,
    /// What the Engine wrote of its containers is on disk: one whose removal was lost is there again. No volume lies there.
    Engine,
    /// All is written.
    All,
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    app: &'static str,
    /// What `canonical` is asked for before.
    before: &'static [&'static str],
    /// And then, in the run that the power fails in.
    asked: &'static str,
    moment: Moment,
    meanwhile: Meanwhile,
    skipped: Option<Flush>,
    /// The known-good after it; none where it may be undone.
    version: Option<&'static str>,
    status: &'static str,
    /// How often the data that is deployed then was put to rest, from and to.
    rested: (usize, usize),
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}, without {:?}", self.name, self.moment, self.skipped)
    }
}

const IDLE: Case = Case {
    name: "what was written while it was deployed",
    app: KNOWN,
    before: &["deploy wiki"],
    asked: "idle wiki",
    moment: Moment::After(Flush::Rename("closed")),
    meanwhile: Meanwhile::Engine,
    skipped: None,
    version: Some(GOOD),
    status: "idle",
    rested: (2, 2),
};
const SEED: Case = Case {
    name: "a seed after its verdict",
    app: NEW,
    before: &[],
    asked: "seed blog --version 1.0.0+1",
    moment: Moment::After(Flush::Rename("rest")),
    meanwhile: Meanwhile::Names,
    version: None,
    rested: (1, 3),
    ..IDLE
};
const PROMOTE: Case = Case {
    name: "a promote that commits",
    before: &[],
    asked: "promote wiki --green --cold --version 1.1.0+1",
    meanwhile: Meanwhile::Nothing,
    version: Some(BETTER),
    rested: (1, 1),
    ..IDLE
};
const RED: Case = Case {
    name: "a red promote on its way back",
    before: &[],
    asked: "promote wiki --green --cold --version 1.2.0+1",
    moment: Moment::After(Flush::Rename("put-back")),
    meanwhile: Meanwhile::All,
    rested: (1, 1),
    ..IDLE
};
const CASES: [Case; 7] = [
    RED,
    SEED,
    PROMOTE,
    Case { moment: Moment::Before(Flush::Rename("closed")), ..PROMOTE },
    Case {
        name: "a quick upgrade",
        asked: "deploy wiki --quick HEAD",
        moment: Moment::After(Flush::Rename("judge")),
        meanwhile: Meanwhile::All,
        status: "dirty",
        rested: (1, 1),
        ..IDLE
    },
    IDLE,
    Case {
        name: "what a run wrote is thrown away",
        before: &["deploy wiki", "deploy wiki --quick HEAD"],
        asked: "idle wiki --restore",
        moment: Moment::After(Flush::Rename("put-back")),
        meanwhile: Meanwhile::All,
        rested: (1, 1),
        ..IDLE
    },
];
/// Each with the sync that its promise rests on told as made and never made.
const CONTROLS: [(Case, &str); 2] = [
    (Case { skipped: Some(Flush::Stage), ..IDLE }, "what is deployed is not the data of 1.0.0+1"),
    (Case { skipped: Some(Flush::Manifest), ..PROMOTE }, "snapshot"),
];

#[test]
fn a_power_loss_in_the_middle_of_a_canonicals_work_leaves_a_known_good_whole() {
    let prepared = prepared();
    let mut cases = CASES.map(|case| (case, None)).to_vec();
    cases.extend(CONTROLS.map(|(case, words)| (case, Some(words))));
    for _ in 0..TRIES {
        let unseen = Mutex::new(Vec::new());
        some_at_a_time(AT_A_TIME, &cases, |(case, words)| {
            let play = Play::of(&prepared, case);
            match (play.broken(), words) {
                (Ok(()), None) => {}
                (Ok(()), Some(_)) => unseen.lock().unwrap().push((case, words)),
                (Err(told), Some(words)) if told.contains(words) => println!("{case:?}: {told}"),
                (Err(told), _) => panic!("{case:?}: {told}: {}", play.journal()),
            }
        });
        cases = unseen.into_inner().unwrap();
    }
    assert!(cases.is_empty(), "without these syncs nothing was broken: {cases:?}");
}

/// A host with both, which does not run.
fn prepared() -> Host {
    let host = bare(CONFIG);
    put_recipe(&host, &recipe());
    host.shell("systemctl start evenkeel-swarm.service; evenkeel canonical seed wiki --version 1.0.0+1; sync");
    host.kill();
    host
}

fn recipe() -> RecipeRepo {
    let mut recipe = RecipeRepo::empty();
    let runs = "trap 'echo end >>/data/ends; exit 0' TERM; sleep 1000000 & wait";
    for version in [GOOD, BETTER] {
        let fills = format!(
            "if [ ! -e /data/schema ]; then mkdir -p /data/pages; i=0; while [ $$i -lt {PAGES} ]; do \
             echo \"{version} $$i\" >/data/pages/$$i; i=$$((i + 1)); done; echo {version} >/data/schema; fi; "
        );
        publish(&mut recipe, version, &format!("{fills}{runs}"), "exit 0");
    }
    // It is at no moment taken for one that runs.
    publish(&mut recipe, BAD, "echo bad >/data/bad; exit 9", "exit 1");
    // The last one is on no tag, and only to be deployed over another.
    let quick = format!("echo quick >/data/quick; rm -rf /data/pages; {RUNS}");
    recipe.commit(&[("compose.yml", &compose("9.9.9+9", &quick, "exit 0"))]);
    recipe
}

/// One case after its power loss.
struct Play {
    case: Case,
    host: Host,
}

impl Play {
    fn of(prepared: &Host, case: Case) -> Self {
        let began = Instant::now();
        let play = Self { case, host: prepared.twin() };
        for words in case.before {
            play.host.shell(&format!("evenkeel canonical {}", play.words(words)));
        }
        let watched = play.come_to_the_moment();
        match case.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Names => drop(play.host.shell(&format!("echo >{VOLUMES}/stray; sync {VOLUMES}/stray"))),
            Meanwhile::Engine => drop(play.host.shell("sync --file-system /")),
            Meanwhile::All => drop(play.host.shell("sync")),
        }
        play.host.cut();
        drop(watched);
        play.host.up();
        let (state, resumed) = (play.state(), play.resumed());
        println!(
            "{:3} s, {case:?}: {} of {} after `resume` ended with {resumed}",
            began.elapsed().as_secs(),
            state["warm"]["status"],
            state["current"]["body"]["revision"]["version"],
        );
        play
    }

    fn words(&self, words: &str) -> String {
        match words.contains("HEAD") {
            true => words.replace("HEAD", self.host.shell("git -C /srv/wiki rev-parse HEAD").trim()),
            false => words.to_owned(),
        }
    }

    fn come_to_the_moment(&self) -> Watched {
        let Case { app, moment, skipped, .. } = self.case;
        let name = "warm.service".to_owned();
        let command = format!("/usr/local/bin/evenkeel canonical {}", self.words(self.case.asked));
        put_files(
            &self.host,
            "/run/systemd/system",
            &[(name.as_str(), "[Service]\nType=oneshot\nNotifyAccess=main\n")],
        );
        let unit = Unit { begin: format!("systemctl start --no-block {name}"), name, command };
        let socket = unit.have_watched(&self.host);
        self.host.shell(&unit.begin);
        let watched = Watched::accept(&socket);
        let mut seen = Seen::default();
        let is_held = watched.follow(|call| seen.verdict(&self.host, app, call, moment, skipped));
        assert!(is_held, "{:?} was never reached: {}", self.case, self.journal());
        watched
    }

    /// The first promise that does not hold; what boot started has ended.
    fn broken(&self) -> Result<(), String> {
        let app = self.case.app;
        self.finished()?;
        if self.case.version.is_none() && self.state()["current"].is_null() {
            self.canonical(&format!("seed {app} --version {GOOD}"))?;
        }
        let state = self.state();
        let version = state["current"]["body"]["revision"]["version"].as_str().unwrap_or_default().to_owned();
        let expected = self.case.version.unwrap_or(GOOD);
        is(&version, expected, "the known-good's version")?;
        is(state["warm"]["status"].as_str().unwrap_or_default(), self.case.status, "how it stands")?;
        self.is_recorded(&state)?;
        self.rests()?;
        let verified = self.host.run(&["evenkeel", "snapshot", "verify", app]);
        well(&verified, "snapshot verify")?;

        self.canonical(&format!("deploy {app}"))?;
        is(&runs(&observe(&self.host, &self.stack())).join(","), &version, "what runs")?;
        self.has_data_of(&version, self.case.rested, "deployed")?;
        self.canonical(&format!("idle {app} --restore"))?;
        self.has_data_of(&version, (1, self.case.rested.1), "stored")
    }

    /// The next run ends what is open, and the one after it has nothing to do.
    fn finished(&self) -> Result<(), String> {
        let next = self.host.run(&["evenkeel", "canonical"]);
        if ![Some(0), Some(11)].contains(&next.status.code()) {
            return Err(format!("the next run does not end well: {next:?}"));
        }
        let before = kept_state(&self.host, self.case.app);
        well(&self.host.run(&["evenkeel", "canonical"]), "the run after it")?;
        let state = self.state();
        if !state["warm"]["work"].is_null() || before != kept_state(&self.host, self.case.app) {
            return Err(format!("something is open still: {state:#}"));
        }
        Ok(())
    }

    /// `canonical.json` is whole, and says what the state says.
    fn is_recorded(&self, state: &Value) -> Result<(), String> {
        let path = format!("{STATE_DIR}/{}/canonical.json", self.case.app);
        let text = std::fs::read(self.host.path(&path)).unwrap_or_default();
        let record: Value = serde_json::from_slice(&text).map_err(|cause| format!("{path} is damaged: {cause}"))?;
        let revision = &state["current"]["body"]["revision"];
        let recorded = [&record["version"], &record["commit"], &record["status"]];
        if recorded != [&revision["version"], &revision["commit"], &state["warm"]["status"]] {
            return Err(format!("the record is not that of the state: {record:#}"));
        }
        Ok(())
    }

    /// Nothing of it runs.
    fn rests(&self) -> Result<(), String> {
        let observed = observe(&self.host, &self.stack());
        match observed.containers.iter().find(|container| container.state == "running") {
            Some(runs) => Err(format!("container {} runs", runs.id)),
            None => Ok(()),
        }
    }

    fn has_data_of(&self, version: &str, (from, to): (usize, usize), what: &str) -> Result<(), String> {
        let mut data = data_of(&self.host, &self.stack());
        let ends = String::from_utf8(data.remove(&PathBuf::from("ends")).unwrap_or_default()).unwrap_or_default();
        let has_ended = (from..=to).any(|times| ends == "end\n".repeat(times));
        if data == data_written_by(version) && has_ended {
            return Ok(());
        }
        let found: Vec<_> = data.into_iter().map(|(path, bytes)| (path, bytes.len())).take(5).collect();
        Err(format!(
            "what is {what} is not the data of {version}, put to rest {from} to {to} times: {ends:?}, {found:?} and more"
        ))
    }

    fn canonical(&self, words: &str) -> Result<(), String> {
        let words: Vec<&str> = ["evenkeel", "canonical"].into_iter().chain(words.split(' ')).collect();
        well(&self.host.run(&words), &words.join(" "))
    }

    fn stack(&self) -> String {
        format!("{}_example_org", self.case.app)
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&kept_state(&self.host, self.case.app)).unwrap_or_default()
    }

    fn resumed(&self) -> String {
        self.host.shell("systemctl show evenkeel-resume.service --property=ExecMainStatus --value").trim().to_owned()
    }

    fn journal(&self) -> String {
        self.host.shell("journalctl --no-pager --output=short-iso -u 'evenkeel*' -u warm.service | tail -n 60")
    }
}

fn data_written_by(version: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let pages = (0..PAGES).map(|page| (format!("pages/{page}").into(), format!("{version} {page}\n").into_bytes()));
    pages.chain([("schema".into(), format!("{version}\n").into_bytes())]).collect()
}

fn is(found: &str, expected: &str, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, not {expected}")) }
}

fn well(output: &Output, what: &str) -> Result<(), String> {
    if output.status.success() { Ok(()) } else { Err(format!("{what} does not end well: {output:?}")) }
}
