//! Realms of runs on a real Keycloak: their life, and what becomes of them when Keycloak goes away.
//!
//! A Keycloak takes half a minute to come up, so one test tells the whole story in order.

mod console;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Town, certificate};
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, load, on_engine};
use console::Console;

/// What the program calls Keycloak.
const APP: &str = "warm-keycloak";
/// What the world calls its domain and stack.
const NAME: &str = "keycloak";
const IN_FIXTURE: (&str, &str) = ("9.0.0+25.0.6", "25.0.6");
const OLD: (&str, &str) = ("10.5.0+26.5.6", "26.5.6");
const NEW: (&str, &str) = ("10.7.1+26.7.3", "26.7.3");
/// For what has to come, however slow the machine is.
const LONG: &str = "10m";
const DEADLINE: Duration = Duration::from_secs(600);

struct Warm {
    town: Town,
    recipe: RecipeRepo,
}

#[test]
fn each_run_has_a_realm_of_its_own_on_the_warm_keycloak_and_no_other_realm_is_touched() {
    let mut warm = Warm::begin();
    let console = warm.console(&warm.kept_password());
    hands_out_a_realm_that_works_and_shows_no_secret(&mut warm, &console);
    completes_what_is_missing(&warm, &console);
    removes_a_realm_once_and_says_so_the_second_time(&warm);
    leaves_what_it_did_not_make_alone(&warm, &console);
    reaps_what_runs_left_behind(&warm, &console);
    serves_twenty_runs_at_once(&warm, &console);
    waits_for_a_keycloak_that_restarts_in_the_middle(&warm, &console);
    waits_for_an_upgrade_that_is_under_way(&mut warm);
    let console = tells_of_a_password_changed_by_hand_and_takes_the_new_one(&mut warm, console);
    is_cold_in_bounded_time_while_nobody_answers(&warm);
    drop(console);
}

impl Warm {
    fn begin() -> Self {
        let town = Town::new();
        load(&["mariadb-10.11", "keycloak-26.5.6", "keycloak-26.7.3"]);
        town.give(&certificate::good(&town.world.base));
        town.ends(&["proxy"], 0, "proxy: applied: installed");
        let mut recipe = RecipeRepo::build("keycloak");
        let compose = recipe.read("compose.yml");
        for (version, server) in [OLD, NEW] {
            let compose = compose.replace(IN_FIXTURE.0, version).replace(IN_FIXTURE.1, server);
            recipe.publish(version, &[("compose.yml", &compose)]);
        }
        let mut warm = Self { town, recipe };
        warm.declare(OLD.0, "");
        warm.town.ends(&[APP], 0, "warm-keycloak: applied: installed");
        warm
    }

    fn declare(&mut self, version: &str, more: &str) {
        let (url, domain) = (self.recipe.url(), self.town.world.domain(NAME));
        let gate = "gate = { stable_for = \"2s\", within = \"10m\" }";
        let lines =
            format!("recipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\nversion = \"{version}\"\n{gate}\n{more}");
        self.town.world.table(NAME, &format!("[warm_keycloak]\n{lines}"));
    }

    fn kept_password(&self) -> String {
        let name = format!("{}_admin_password_v1", self.town.world.stack(NAME));
        fs::read_to_string(self.town.world.state_dir().join(APP).join("secrets").join(name)).unwrap()
    }

    fn console(&self, password: &str) -> Console {
        Console::new(self.town.world.domain(NAME), self.town.https(), password)
    }

    fn realm(&self, arguments: &[&str]) -> Said {
        let began = Instant::now();
        let said = self.town.world.run(&[&["realm"], arguments].concat());
        eprintln!("realm {}: {:.1?}: exit {}", arguments.join(" "), began.elapsed(), said.code);
        said
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, with: &str) -> Said {
        let said = self.realm(arguments);
        let told = format!("{}{}", said.out, said.err);
        assert!(said.code == code && told.contains(with), "realm {arguments:?}: wanted {code} {with:?}: {said:#?}");
        said
    }

    /// What a run is handed.
    #[track_caller]
    fn create(&self, run: &str) -> Value {
        read(&self.ends(&["create", "--parent", "wiki", "--run", run, "--within", LONG], 0, "client_secret"))
    }

    #[track_caller]
    fn works(&self, run: &str) {
        self.ends(&["check", "--parent", "wiki", "--run", run, "--within", LONG], 0, "log in");
    }

    /// With the configuration as it is on disk: to write it anew would pull it away from those that just begin.
    fn begin_to_create(&self, parent: &str, run: &str) -> Child {
        let config = self.town.world.dir.path().join("config.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command
            .arg("--config")
            .arg(config)
            .args(["realm", "create", "--parent", parent, "--run", run, "--within", LONG]);
        command.env_remove("INVOCATION_ID").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn is_being_upgraded(&self) -> bool {
        self.town.world.state(APP).get("open").is_some()
    }
}

#[track_caller]
fn read(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:#?}"))
}

fn text<'v>(handed: &'v Value, name: &str) -> &'v str {
    handed[name].as_str().unwrap_or_else(|| panic!("no {name} in {handed}"))
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "there was never {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn ended(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

fn hands_out_a_realm_that_works_and_shows_no_secret(warm: &mut Warm, console: &Console) {
    let file = warm.town.world.dir.path().join("realm.json");
    warm.town.world.environment.insert("EVENKEEL_LOG".to_owned(), "trace".to_owned());
    let out = file.display().to_string();
    let said = warm.ends(&["create", "--parent", "wiki", "--run", "1", "--within", LONG, "--out", &out], 0, "wiki-");
    warm.town.world.environment.remove("EVENKEEL_LOG");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let handed: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let realm = text(&handed, "realm");
    assert_eq!(handed["issuer"], format!("https://{}/realms/{realm}", warm.town.world.domain(NAME)));
    let secrets = [text(&handed, "client_secret"), text(&handed, "password"), &warm.kept_password()].map(str::to_owned);
    assert!(said.err.contains(realm), "the log was to be seen: {said:#?}");
    for secret in &secrets {
        assert!(secret.len() > 20 && !format!("{}{}", said.out, said.err).contains(secret.as_str()), "{said:#?}");
    }
    console.logs_in(&handed);
    warm.works("1");
    assert_eq!(warm.create("1"), handed, "the same run is handed the same");
    assert_ne!(warm.create("läuft/2 🦀"), handed);
    warm.works("läuft/2 🦀");
}

/// A run that was killed, or somebody's hands, may leave less than all of it.
fn completes_what_is_missing(warm: &Warm, console: &Console) {
    let handed = warm.create("1");
    let realm = text(&handed, "realm");
    console.remove(&format!("/admin/realms/{realm}/users/{}", console.id(realm, "users?username=tester")));
    warm.ends(&["check", "--parent", "wiki", "--run", "1"], 1, "`evenkeel realm create`");
    assert_eq!(warm.create("1"), handed);
    warm.works("1");

    let client = format!("/admin/realms/{realm}/clients/{}", console.id(realm, &format!("clients?clientId={realm}")));
    console.put(&client, &json!({ "clientId": realm, "secret": "another" }));
    let tester = format!("/admin/realms/{realm}/users/{}", console.id(realm, "users?username=tester"));
    console.put(&tester, &json!({ "enabled": false, "requiredActions": ["UPDATE_PASSWORD"] }));
    console.put(&format!("/admin/realms/{realm}"), &json!({ "enabled": false }));
    assert_eq!(warm.create("1"), handed);
    warm.works("1");
    console.remove(&client);
    assert_eq!(warm.create("1"), handed);
    warm.works("1");

    let mut killed = warm.begin_to_create("killed", "1");
    until("a realm of the run that is killed", || console.realms().iter().any(|name| name.starts_with("killed-")));
    assert_eq!(killed.try_wait().unwrap(), None, "it was done before it was killed");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let run = ["--parent", "killed", "--run", "1", "--within", LONG];
    warm.ends(&[&["create"], &run[..]].concat(), 0, "client_secret");
    warm.ends(&[&["check"], &run[..]].concat(), 0, "log in");
}

fn removes_a_realm_once_and_says_so_the_second_time(warm: &Warm) {
    let before = warm.create("gone");
    let delete = ["delete", "--parent", "wiki", "--run", "gone"];
    warm.ends(&delete, 0, "removed");
    warm.ends(&delete, 0, "there is no such realm");
    warm.ends(&["delete", text(&before, "realm")], 0, "there is no such realm");
    warm.ends(&["check", "--parent", "wiki", "--run", "gone"], 1, "there is no realm");
    let again = warm.create("gone");
    assert_eq!(again["realm"], before["realm"]);
    assert_ne!(again["password"], before["password"], "what an earlier realm had is worth nothing");
    warm.ends(&["delete", text(&again, "realm")], 0, "removed");
}

/// A realm of the very name, and one that has another's marks.
fn leaves_what_it_did_not_make_alone(warm: &Warm, console: &Console) {
    let handed = warm.create("foreign");
    let realm = text(&handed, "realm");
    let marks = console.get(&format!("/admin/realms/{realm}"))["attributes"].clone();
    warm.ends(&["delete", realm], 0, "removed");
    console.make(realm, &json!({ "acme.run": "1" }));
    console.make("wiki-000000", &marks);
    warm.ends(&["create", "--parent", "wiki", "--run", "foreign"], 1, "was not made by `evenkeel realm create`");
    warm.ends(&["check", "--parent", "wiki", "--run", "foreign"], 1, "was not made by `evenkeel realm create`");
    for foreign in [realm, "wiki-000000"] {
        warm.ends(&["delete", foreign], 1, "stays");
        assert!(console.realms().contains(foreign));
    }
}

fn reaps_what_runs_left_behind(warm: &Warm, console: &Console) {
    let (old, young) = (warm.create("old"), warm.create("young"));
    let path = format!("/admin/realms/{}", text(&old, "realm"));
    let mut marks = console.get(&path)["attributes"].clone();
    marks["evenkeel.created"] = (Timestamp::now() - SignedDuration::from_hours(3)).to_string().into();
    console.put(&path, &json!({ "attributes": marks }));
    let mut left = console.realms();

    let said = warm.ends(&["reap", "--older-than", "2h"], 0, "removed, 3h");
    assert!(said.err.contains("wiki-000000 stays") && said.out.lines().count() == 1, "{said:#?}");
    left.remove(text(&old, "realm"));
    assert_eq!(console.realms(), left);
    warm.ends(&["reap", "--older-than", "2h"], 0, "no realm of a run is older than 2h");
    console.logs_in(&young);

    warm.ends(&["reap", "--older-than", "0s", "--within", LONG], 0, text(&young, "realm"));
    let foreign = console.realms();
    assert!(foreign.contains("master") && foreign.contains("wiki-000000") && foreign.len() == 3, "{foreign:?}");
}

fn serves_twenty_runs_at_once(warm: &Warm, console: &Console) {
    let began = Instant::now();
    // One of them twice: a job that is started again while the first still runs.
    let runs = (0..20).chain([0]).map(|run| warm.begin_to_create("load", &run.to_string()));
    let runs: Vec<Child> = runs.collect();
    let handed: Vec<Value> = runs.into_iter().map(|run| read(&ended(run))).collect();
    eprintln!("twenty realms at once: {:.1?}", began.elapsed());
    assert_eq!(handed[0], handed[20]);
    for name in ["realm", "client_id", "client_secret", "password", "issuer"] {
        let different: BTreeSet<&str> = handed.iter().map(|handed| text(handed, name)).collect();
        assert_eq!(different.len(), 20, "{name}");
    }
    handed.iter().for_each(|handed| console.logs_in(handed));
    let said = warm.ends(&["reap", "--older-than", "0s", "--within", LONG], 0, "removed");
    assert_eq!(said.out.lines().count(), 20, "{said:#?}");
}

fn waits_for_a_keycloak_that_restarts_in_the_middle(warm: &Warm, console: &Console) {
    let mut runs: Vec<Child> = (0..3).map(|run| warm.begin_to_create("restart", &run.to_string())).collect();
    until("a realm before the restart", || console.realms().iter().any(|name| name.starts_with("restart-")));
    kill_containers_of(&warm.town.service(NAME));
    assert!(runs.iter_mut().any(|run| run.try_wait().unwrap().is_none()), "all were done before it was killed");
    for run in runs {
        let said = ended(run);
        assert_eq!(said.code, 0, "{said:#?}");
        console.logs_in(&read(&said));
    }
}

fn kill_containers_of(service: &str) {
    let docker = |arguments: &[&str]| PrivateEngine::shared().docker(arguments);
    let running = docker(&["ps", "--quiet", "--filter", &format!("label=com.docker.swarm.service.name={service}")]);
    let ids: Vec<&str> = running.lines().collect();
    assert!(!ids.is_empty(), "nothing of {service} runs");
    docker(&[&["kill"], &ids[..]].concat());
}

/// A realm that is made on its way could go with the data when the new version is not taken.
fn waits_for_an_upgrade_that_is_under_way(warm: &mut Warm) {
    let before = warm.create("before");
    warm.declare(NEW.0, "");
    let upgrade = warm.town.world.command(&[APP]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("an upgrade under way", || warm.is_being_upgraded());
    let run = ["create", "--parent", "wiki", "--run", "meanwhile"];
    warm.ends(&[&run[..], &["--within", "1s"]].concat(), 15, "cold: an upgrade of warm-keycloak is under way");
    warm.ends(&[&run[..], &["--within", LONG]].concat(), 0, "client_secret");
    assert!(!warm.is_being_upgraded());
    let said = ended(upgrade);
    assert!(said.code == 0 && said.out.contains("upgraded"), "{said:#?}");
    warm.works("meanwhile");
    assert_eq!(warm.create("before"), before);
}

fn tells_of_a_password_changed_by_hand_and_takes_the_new_one(warm: &mut Warm, console: Console) -> Console {
    let (kept, new) = (warm.kept_password(), "changed-by-hand");
    change_password(&console, new);

    let said = warm.ends(&["create", "--parent", "wiki", "--run", "1"], 1, "Keycloak does not let admin in");
    for way in ["evenkeel secret show warm-keycloak admin_password", "secrets = { admin_password = ", "invalid_grant"] {
        assert!(said.err.contains(way), "{way}: {said:#?}");
    }
    assert!(!said.err.contains(&kept) && !said.err.contains(new), "{said:#?}");

    change_password(&warm.console(new), &kept);
    warm.create("1");
    change_password(&console, new);
    let file = warm.town.world.file("admin", format!("{new}\n").as_bytes());
    warm.declare(NEW.0, &format!("secrets = {{ admin_password = \"{}\" }}", file.display()));
    warm.town.ends(&[APP], 0, "warm-keycloak: applied: changed");
    warm.create("1");
    warm.works("1");
    warm.console(new)
}

fn change_password(console: &Console, new: &str) {
    let admin = console.id("master", "users?username=admin");
    let password = json!({ "type": "password", "value": new, "temporary": false });
    console.put(&format!("/admin/realms/master/users/{admin}/reset-password"), &password);
}

fn is_cold_in_bounded_time_while_nobody_answers(warm: &Warm) {
    let (keycloak, proxy) = (warm.town.service(NAME), warm.town.service("proxy"));
    for (service, why) in [(keycloak, "nobody answers behind the proxy"), (proxy, "refuses connections")] {
        on_engine(async move |swarm| swarm.scale_to_nothing(&service).await.unwrap());
        // What is stopped may answer for a moment yet, and then nobody for another one, until the proxy knows that it has gone.
        let is_cold = |verb: &[&str]| {
            let began = Instant::now();
            let said = warm.realm(&[verb, &["--within", "3s"]].concat());
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
            said.code == 15 && said.err.contains("cold: ") && said.err.contains(why) && said.out.is_empty()
        };
        let run = ["--parent", "wiki", "--run", "1"];
        for verb in
            [&[&["create"], &run[..]].concat()[..], &[&["check"], &run[..]].concat(), &["reap", "--older-than", "2h"]]
        {
            until(why, || is_cold(verb));
        }
    }
}
