//! What the program refuses, in which words, and that nothing has changed then: neither at the Engine nor in what is
//! recorded of an app. The words name the act or the thing, and the way out.

mod canonical;
pub mod empty_engine;
mod recipe;

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::engine::recorder::writes;
use crate::fixtures::RecipeRepo;
use crate::world::Said;
use empty_engine::{EmptyEngine, manager};

/// A compose file whose one service needs nothing.
pub const PLAIN: &str = "services:\n  app:\n    image: evenkeel-test/nowhere:1\n";

/// A host of one test without a real Engine.
pub struct Host {
    pub dir: tempfile::TempDir,
    pub engine: EmptyEngine,
    tables: String,
    recipes: Vec<RecipeRepo>,
}

impl Host {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, engine: EmptyEngine::start(), tables: String::new(), recipes: Vec::new() }
    }

    /// Declares an app, pinned to the one version of a recipe of these files; `more` are further lines of its table.
    pub fn app(self, name: &str, files: &[(&str, &str)], more: &str) -> Self {
        self.declares(&format!("app.{name}"), files, more)
    }

    /// The same of any table.
    pub fn declares(mut self, table: &str, files: &[(&str, &str)], more: &str) -> Self {
        let mut repo = RecipeRepo::empty();
        repo.publish("1.0.0+1.0.0", files);
        let table = format!("[{table}]\nrecipe = {{ url = \"{}\" }}\nversion = \"1.0.0+1.0.0\"\n{more}\n", repo.url());
        self.recipes.push(repo);
        self.tables.push_str(&table);
        self
    }

    pub fn table(mut self, lines: &str) -> Self {
        self.tables.push_str(lines);
        self
    }

    /// Declares nothing any more.
    pub fn without_tables(self) -> Self {
        Self { tables: String::new(), ..self }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    fn recipe(&self) -> &RecipeRepo {
        self.recipes.last().unwrap()
    }

    /// The configuration's lines, as they are now.
    fn config(&self) -> String {
        let (state, engine) = (self.state_dir(), self.engine.endpoint());
        let top = format!("base_domain = \"x.example\"\nstate_dir = \"{}\"\nengine = \"{engine}\"\n", state.display());
        format!("{top}{}", self.tables)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        fs::write(self.path("config.toml"), self.config()).unwrap();
        let mut command = program();
        command.arg("--config").arg(self.path("config.toml")).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments))
    }

    /// Runs the program, which has to end with this code and these words and to leave everything as it was.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], code: i32, words: &[&str]) {
        self.leaves_all(code, words, || self.run(arguments));
    }

    #[track_caller]
    pub fn leaves_all(&self, code: i32, words: &[&str], act: impl FnOnce() -> Said) {
        let before = self.recorded();
        let said = act();
        tells(&said, code, words);
        assert_eq!(writes(&self.engine.take()), Vec::<&String>::new(), "{said:#?}");
        assert_eq!(self.recorded(), before, "{said:#?}");
    }

    /// Every file about apps, with its content: locks, mirrors, the host's key and the history are not about one. What
    /// people were told, and the second name of a damaged state, change nothing of an app.
    fn recorded(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let apps = fs::read_dir(self.state_dir()).into_iter().flatten().map(|entry| entry.unwrap().path());
        let files = apps
            .filter(|path| path.is_dir() && !path.ends_with("recipes") && !path.ends_with("alerts"))
            .flat_map(|app| files_under(&app));
        let is_copy = |path: &PathBuf| path.to_string_lossy().contains("/state.json.damaged-");
        let mut files: Vec<_> = files.filter(|path| !path.ends_with("lock") && !is_copy(path)).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), without_what_was_told(fs::read(path).unwrap()))).collect()
    }

    /// Puts a text in the place of an app's state.
    pub fn put_state(&self, app: &str, text: &str) {
        fs::create_dir_all(self.state_dir().join(app)).unwrap();
        fs::write(self.state_dir().join(app).join("state.json"), text).unwrap();
    }

    /// The one mirror of a recipe.
    fn mirror(&self) -> PathBuf {
        let entries = fs::read_dir(self.state_dir().join("recipes")).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "git")).unwrap()
    }
}

/// A state less the facts that people were told, in one way of writing; any other bytes as they are.
fn without_what_was_told(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(Value::Object(mut state)) = serde_json::from_slice(&bytes) else { return bytes };
    state.retain(|key, _| key != "alerted" && key != "due_alerts");
    serde_json::to_vec(&state).unwrap()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// The program in an environment that says nothing about Docker, systemd or colours.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    for variable in ["DOCKER_HOST", "INVOCATION_ID", "JOURNAL_STREAM", "EVENKEEL_CONFIG", "EVENKEEL_LOG", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
pub fn tells(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{said:#?}");
    let text = format!("{}{}", said.out, said.err);
    words.iter().for_each(|words| assert!(text.contains(words), "no {words:?} in {said:#?}"));
}

/// The same command without the power of root over permissions.
fn as_anybody(command: &Command) -> Command {
    if !nix::unistd::geteuid().is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return same;
    }
    let mut same = Command::new("setpriv");
    same.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program()).args(command.get_args());
    same.env_remove("DOCKER_HOST").env_remove("INVOCATION_ID").stdin(Stdio::null());
    same
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once_with_its_place() {
    let host = Host::new().table(
        "max_test = 2\n\n[app.wiki]\nrecipe = { ur = \"/srv/wiki\" }\nverson = \"1.0.0+1.0.0\"\n\n[app.recipes]\n\
         recipe = { url = \"/srv/x\" }\n",
    );
    for verb in ["app", "check", "plan", "status", "swarm"] {
        host.refuses(
            &[verb],
            1,
            &[
                "config.toml:4:1: error: unknown key \"max_test\" (did you mean \"max_tests\"?)",
                "config.toml:7:12: error: unknown key \"ur\" in app.wiki.recipe (did you mean \"url\"?)",
                "config.toml:8:1: error: unknown key \"verson\" in app.wiki (did you mean \"version\"?)",
                "config.toml:10:6: error: app.recipes: \"recipes\" is a reserved word (choose another name)",
            ],
        );
    }
}

#[test]
fn two_apps_at_one_domain_are_refused_with_both_names() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "domain = \"w.x.example\"").app(
        "notes",
        &[("compose.yml", PLAIN)],
        "domain = \"w.x.example\"",
    );
    host.refuses(&["app"], 1, &["app.wiki", "app.notes", "w.x.example", "give one of them another `domain`"]);
}

#[test]
fn a_missing_configuration_is_told_with_the_option_that_names_another() {
    let host = Host::new();
    let missing = host.path("missing.toml");
    let run = || said(program().arg("app").arg("--config").arg(&missing));
    host.leaves_all(1, &["missing.toml", "No such file", "name another one with --config"], run);
}

#[test]
fn all_files_that_cannot_be_read_are_told_at_once() {
    let more = "env_files = [\"/nowhere/env\"]\nsecrets = { a = \"/nowhere/a\", b = \"/nowhere/b\" }";
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], more);
    let words = [
        "wiki: blocked: ",
        "secret a: its file /nowhere/a cannot be read: No such file",
        "secret b: its file /nowhere/b cannot be read: No such file",
        "env file /nowhere/env cannot be read: No such file",
        "or name another in the configuration",
    ];
    host.refuses(&["app"], 12, &words);
}

#[test]
fn a_certificate_that_cannot_be_read_blocks_the_proxy() {
    let mut recipe = RecipeRepo::empty();
    recipe.publish("1.0.0+1.0.0", &[("compose.yml", PLAIN)]);
    let table = format!(
        "[proxy]\nrecipe = {{ url = \"{}\" }}\ncertificate = {{ chain = \"/nowhere/chain.pem\", key = \"/nowhere/key.pem\" }}\n",
        recipe.url()
    );
    let host = Host::new().table(&table);
    let words =
        ["proxy: blocked: the certificate's chain /nowhere/chain.pem cannot be read: No such file", "name another"];
    host.refuses(&["proxy"], 12, &words);
}

#[test]
fn an_engine_that_is_not_there_is_told_with_its_socket() {
    let missing = "engine = \"unix:///nowhere/docker.sock\"\n";
    for verb in ["app", "plan", "status", "swarm"] {
        let host = Host::new();
        let run = || {
            let config =
                host.config().lines().filter(|line| !line.starts_with("engine")).collect::<Vec<_>>().join("\n");
            fs::write(host.path("other.toml"), format!("{missing}{config}\n")).unwrap();
            said(program().arg(verb).arg("--config").arg(host.path("other.toml")))
        };
        let words = [
            "cannot talk to the Docker Engine at unix:///nowhere/docker.sock: there is no such socket",
            "is Docker running?",
            "`engine`",
        ];
        host.leaves_all(1, &words, run);
        assert!(!host.state_dir().exists());
    }
}

#[test]
fn an_engine_whose_socket_is_closed_to_us_is_told_with_who_may_ask() {
    let host = Host::new();
    host.engine.set_mode(0);
    let run = || said(&mut as_anybody(&host.command(&["app"])));
    host.leaves_all(
        1,
        &[
            "cannot talk to the Docker Engine at unix://",
            "permission denied: run as root or as a member of group docker",
        ],
        run,
    );
}

#[test]
fn an_image_that_is_nowhere_is_told_before_anything_is_written() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let words = ["wiki: error: image evenkeel-test/nowhere:1 is not on this machine", "registry_auth"];
    host.leaves_all(1, &words, || {
        let said = host.run(&["app"]);
        let asked = host.engine.take();
        let written: Vec<_> = writes(&asked).into_iter().filter(|asked| !asked.contains("/images/create?")).collect();
        assert_eq!(written, Vec::<&String>::new());
        said
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_before_the_app_is_looked_at() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    fs::create_dir(host.state_dir()).unwrap();
    fs::set_permissions(host.state_dir(), Permissions::from_mode(0o500)).unwrap();
    let run = || said(&mut as_anybody(&host.command(&["app"])));
    host.leaves_all(
        1,
        &["the state directory", "cannot be used", "Permission denied", "run as root, or give the folder"],
        run,
    );
}

#[test]
fn a_file_in_the_place_of_the_state_directory_is_told() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    fs::write(host.state_dir(), "not a folder").unwrap();
    let said = host.run(&["app"]);
    tells(&said, 1, &["the state directory", "a file stands where a folder has to be: move it away"]);
    assert_eq!(fs::read_to_string(host.state_dir()).unwrap(), "not a folder");
}

#[test]
fn a_state_that_cannot_be_understood_is_left_alone() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    host.put_state("wiki", "{\"schema\":");
    let words = [
        "wiki: blocked: ",
        "wiki/state.json is damaged: EOF while parsing",
        "Put a copy from a backup in its place. Without one, move it away, name the app's `version`",
    ];
    host.refuses(&["app"], 12, &words);
    host.refuses(&["app"], 12, &words);
    let newer = "{\"schema\": 999, \"stack\": \"wiki_x_example\"}";
    host.put_state("wiki", newer);
    host.refuses(&["app"], 12, &["wiki/state.json was written by a newer evenkeel (schema 999, here 1): run that one"]);
}

#[test]
fn one_damaged_state_hides_no_other_app_from_status() {
    let host = Host::new().app("notes", &[("compose.yml", PLAIN)], "").app("wiki", &[("compose.yml", PLAIN)], "");
    host.put_state("notes", "{");
    host.refuses(
        &["status"],
        12,
        &["notes/state.json is damaged: ", "wiki             not installed            absent     wiki.x.example"],
    );
    let said = host.run(&["status", "--json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json[0]["app"], &json[0]["health"]), (&json!("notes"), &json!("unknown")), "{said:#?}");
    assert_eq!((&json[1]["app"], &json[1]["health"]), (&json!("wiki"), &json!("absent")), "{said:#?}");
}

#[test]
fn an_app_that_moved_to_another_domain_is_not_kept_there() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "domain = \"new.x.example\"");
    let state = json!({"schema": evenkeel::model::state::SCHEMA, "stack": "wiki_x_example"});
    host.put_state("wiki", &serde_json::to_string(&full_state(&state)).unwrap());
    let words = [
        "wiki: blocked: app wiki is recorded as stack wiki_x_example and declared as new_x_example",
        "its volumes belong to the old domain",
        "Declare the old domain again, or remove that stack and",
    ];
    host.refuses(&["app"], 12, &words);
}

/// A state of an app that has never passed its gate, with these fields.
fn full_state(fields: &Value) -> Value {
    let state = evenkeel::model::state::State::new(&fields["stack"].as_str().unwrap().parse().unwrap());
    serde_json::to_value(state).unwrap()
}

#[test]
fn a_name_that_is_not_declared_is_told_with_those_that_are() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let words = ["no app is called wikki (did you mean \"wiki\"?), x; declared in the configuration: wiki"];
    for verb in ["app", "plan", "status"] {
        host.refuses(&[verb, "wikki", "wiki", "x"], 1, &words);
    }
    host.refuses(&["render", "x"], 1, &["no app is called x; declared in the configuration: wiki"]);
    host.refuses(
        &["secret", "show", "x", "y", "--raw"],
        1,
        &["no app is called x; declared in the configuration: wiki"],
    );
    host.refuses(&["proxy"], 1, &["declares no proxy: add a [proxy] table"]);
}

#[test]
fn who_waits_for_a_lock_says_for_whom_and_goes_on_when_it_is_free() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "secrets = { a = \"/nowhere/a\" }");
    let lock = held(&host);
    let mut child = host.command(&["app"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains(&format!("waiting for pid {} evenkeel proxy to end", std::process::id())), "{line}");
    assert!(child.try_wait().unwrap().is_none());
    drop(lock);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(12));
    assert!(String::from_utf8(ended.stdout).unwrap().starts_with("wiki: blocked: secret a"));
}

#[test]
fn under_systemd_nobody_waits_for_a_lock() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let _lock = held(&host);
    let run = || said(host.command(&["app"]).env("INVOCATION_ID", "0123456789abcdef0123456789abcdef"));
    let holder =
        format!("wiki: waiting: pid {} evenkeel proxy works on wiki; the next run looks again", std::process::id());
    host.leaves_all(0, &[&holder], run);
    host.refuses(&["status"], 0, &["at work: pid "]);
}

/// The lock of `wiki`, as another run would hold it.
pub fn held(host: &Host) -> File {
    let folder = host.state_dir().join("wiki");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("lock"), format!("pid {} evenkeel proxy\n", std::process::id())).unwrap();
    let lock = File::open(folder.join("lock")).unwrap();
    lock.try_lock().unwrap();
    lock
}

#[test]
fn a_daemon_that_no_swarm_can_live_with_is_refused_with_the_way_out() {
    let host = Host::new();
    let mut info = manager();
    info["LiveRestoreEnabled"] = json!(true);
    host.engine.tells("/info", info);
    host.refuses(
        &["swarm"],
        1,
        &["live-restore", "virtualisation.docker.liveRestore = false", "daemon.json", "restart Docker"],
    );
}

#[test]
fn a_worker_is_refused_with_the_ways_out() {
    let host = Host::new();
    let mut info = manager();
    info["Swarm"]["ControlAvailable"] = json!(false);
    host.engine.tells("/info", info);
    host.refuses(&["swarm"], 1, &["is a worker", "docker node promote", "docker swarm leave"]);
}

#[test]
fn a_network_that_services_cannot_join_is_not_adopted() {
    let host = Host::new();
    host.engine.tells("/networks", json!([{"Id": "n", "Name": "proxy", "Scope": "local", "Driver": "bridge"}]));
    let words =
        ["network proxy exists as a bridge network of scope local", "docker network rm proxy", "[network].name"];
    host.refuses(&["swarm"], 1, &words);
}

#[test]
fn an_overlay_with_another_subnet_is_adopted_with_a_warning() {
    let host = Host::new().table("[network]\nsubnet = \"10.200.0.0/16\"\n");
    let ipam = json!({"Config": [{"Subnet": "10.9.0.0/24"}]});
    host.engine
        .tells("/networks", json!([{"Id": "n", "Name": "proxy", "Scope": "swarm", "Driver": "overlay", "IPAM": ipam}]));
    let words = [
        "swarm: converged",
        "warning: network proxy exists with 10.9.0.0/24 and is used as it is; 10.200.0.0/16 is declared",
    ];
    host.refuses(&["swarm"], 0, &words);
}
