//! The run slot between all who want it: a promote, a nightly upgrade, and programs of somebody else's.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::DEADLINE;
use super::warmth::{NAME, Warmth, runs};
use crate::slot::Foreign;

const NIGHTLY: &str = "night";
const PROMOTE: &[&str] = &["canonical", "promote", NAME, "--green", "--cold", "--version", "1.1.0+1"];

/// A canonical with a known-good, and an app of the same recipe that is upgraded at night. Both could have a newer version.
fn host() -> Warmth {
    let mut warmth = Warmth::seeded();
    let (url, domain) = (warmth.recipe.url(), warmth.world.domain(NIGHTLY));
    let gate = "gate = { stable_for = \"1s\", within = \"60s\" }";
    let table = format!("[app.{NIGHTLY}]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\n{gate}\n");
    warmth.world.table(NIGHTLY, &table);
    warmth.world.ok(&["app", NIGHTLY]);
    warmth.publish("1.1.0+1", &runs("1.1.0"));
    warmth
}

fn nightly_version(warmth: &Warmth) -> String {
    warmth.world.state(NIGHTLY)["current"]["body"]["revision"]["version"].as_str().unwrap().to_owned()
}

/// A run of the program, and what it tells meanwhile.
struct Run {
    child: Child,
    log: Receiver<String>,
}

impl Run {
    fn starts(warmth: &Warmth, words: &[&str], is_unit: bool) -> Self {
        let mut command = warmth.world.command(words);
        if is_unit {
            command.env("INVOCATION_ID", "0123456789abcdef0123456789abcdef");
        }
        let mut child =
            command.env("EVENKEEL_LOG", "info").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (told, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, log }
    }

    /// Until it tells these words.
    #[track_caller]
    fn tells(&self, words: &str) {
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|line: &String| line.contains(words)) {
            heard.push(self.log.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no {words:?}: {heard:#?}")));
        }
    }

    #[track_caller]
    fn ends_well(mut self) {
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "{:#?}", self.log.iter().collect::<Vec<_>>());
    }
}

#[test]
fn whoever_waits_for_a_foreign_holder_names_it_and_they_come_one_after_the_other_when_it_dies() {
    let warmth = host();
    let mut foreign = Foreign::holds(&warmth.world.state_dir());
    let promote = Run::starts(&warmth, PROMOTE, false);
    let night = Run::starts(&warmth, &["app", NIGHTLY], true);
    let told = format!("{} has the run slot; waiting for it to end", foreign.name());
    promote.tells(&told);
    night.tells(&told);
    warmth.stands("idle", "1.0.0+1");
    assert_eq!(nightly_version(&warmth), "1.0.0+1");

    foreign.is_killed();
    promote.ends_well();
    night.ends_well();
    warmth.stands("idle", "1.1.0+1");
    warmth.rests();
    assert_eq!(nightly_version(&warmth), "1.1.0+1");
}

#[test]
fn a_nightly_upgrade_names_the_promote_that_it_waits_for_and_goes_on_when_that_is_killed() {
    let warmth = host();
    let mut promote = Run::starts(&warmth, PROMOTE, false);
    while warmth.state()["warm"]["status"] != "promoting" {
        assert!(promote.child.try_wait().unwrap().is_none(), "it has ended");
        thread::sleep(Duration::from_millis(5));
    }
    let night = Run::starts(&warmth, &["app", NIGHTLY], true);
    night.tells(&format!("pid {} evenkeel ", promote.child.id()));
    assert_eq!(nightly_version(&warmth), "1.0.0+1");
    promote.child.kill().unwrap();
    promote.child.wait().unwrap();
    night.ends_well();
    assert_eq!(nightly_version(&warmth), "1.1.0+1");

    let said = warmth.ask(&[]);
    assert!([0, 11].contains(&said.code), "{said:#?}");
    assert_eq!(warmth.state()["warm"]["status"], "idle");
    warmth.rests();
}

#[test]
fn a_sweep_waits_for_a_foreign_holder_and_whoever_waits_for_the_sweep_goes_on_when_it_is_killed() {
    let warmth = host();
    let mut foreign = Foreign::holds(&warmth.world.state_dir());
    let mut sweep = Run::starts(&warmth, &["canonical", "sweep"], true);
    sweep.tells(&format!("{} has the run slot; waiting for it to end", foreign.name()));
    foreign.is_killed();
    let named = format!("pid {} evenkeel ", sweep.child.id());
    while !fs::read_to_string(warmth.world.state_dir().join("slot.lock")).unwrap().starts_with(&named) {
        assert!(sweep.child.try_wait().unwrap().is_none(), "it has ended");
        thread::sleep(Duration::from_millis(5));
    }

    let night = Run::starts(&warmth, &["app", NIGHTLY], true);
    let deploy = Run::starts(&warmth, &["canonical", "deploy", NAME], false);
    night.tells(&named);
    deploy.tells(&named);
    assert_eq!(nightly_version(&warmth), "1.0.0+1");
    sweep.child.kill().unwrap();
    sweep.child.wait().unwrap();
    night.ends_well();
    deploy.ends_well();
    assert_eq!(nightly_version(&warmth), "1.1.0+1");
    assert_eq!(warmth.state()["warm"]["status"], "deployed");

    warmth.ends(0, &["idle", NAME], &[]);
    warmth.ends(0, &["sweep"], &["promoted"]);
    warmth.stands("idle", "1.1.0+1");
}

#[test]
fn what_a_holder_of_the_slot_runs_has_it_and_a_night_waits_for_the_holder() {
    let warmth = host();
    let slot = warmth.world.state_dir().join("slot.lock");
    let inside = warmth.world.command(&["canonical", "deploy", NAME]);
    let mut runner = Command::new("flock");
    runner.arg(&slot).args(["sh", "-c", "\"$@\" || exit; echo ran; read word", "sh"]);
    runner.arg(inside.get_program()).args(inside.get_args()).env_remove("INVOCATION_ID").env_remove("DOCKER_HOST");
    let mut runner = runner.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(runner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<String> = said.by_ref().take_while(|line| line != "ran").collect();
    assert!(told.iter().any(|line| line.contains("runs on its warm data")), "{told:?}");
    warmth.stands("deployed", "1.0.0+1");

    let night = Run::starts(&warmth, &["app", NIGHTLY], true);
    night.tells(&format!("pid {} flock {} has the run slot", runner.id(), slot.display()));
    assert_eq!(nightly_version(&warmth), "1.0.0+1");
    drop(runner.stdin.take());
    runner.wait().unwrap();
    night.ends_well();
    assert_eq!(nightly_version(&warmth), "1.1.0+1");
    assert_eq!(fs::read_to_string(&slot).unwrap(), "");
    warmth.ends(0, &["idle", NAME], &[]);
}
