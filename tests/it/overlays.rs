//! The operator's own compose files, from outside the recipe: what they may name, what a recipe may not, and what is
//! said when a file cannot be had.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::refusing::{Host, PLAIN, tells};
use crate::world::Said;

/// A host whose app `wiki` has this recipe and the operator's files `extra.yml`, `extra.env` and `motd`, in a folder
/// that `DIR` stands for in every text.
fn host(recipe: &[(&str, &str)], overlay: &str, more: &str) -> Host {
    let host = Host::new();
    let dir = host.path("mine");
    let whole = |text: &str| text.replace("DIR", &dir.display().to_string());
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("extra.yml"), whole(overlay)).unwrap();
    fs::write(dir.join("extra.env"), "FROM_FILE=hunter2-hunter2\n").unwrap();
    fs::write(dir.join("motd"), "welcome\n").unwrap();
    let recipe: Vec<(&str, String)> = recipe.iter().map(|(path, text)| (*path, whole(text))).collect();
    let recipe: Vec<(&str, &str)> = recipe.iter().map(|(path, text)| (*path, text.as_str())).collect();
    host.app("wiki", &recipe, &whole(more))
}

const BOTH: &str = "compose = [\"compose.yml\", \"DIR/extra.yml\"]\nenv = { PLACE = \"DIR\" }";

const OVERLAY: &str = "services:\n  app:\n    env_file: DIR/extra.env\n    environment: {HOST: '${DOMAIN}'}\n    \
                       deploy: {labels: {by.operator: 'yes'}}\n    configs: [motd, tune]\n\
                       configs:\n  motd: {file: '${PLACE}/motd'}\n  tune: {file: ./conf/tune}\n";

const RECIPE: &[(&str, &str)] = &[("compose.yml", PLAIN), (".env.sample", "PLACE=/nowhere\n"), ("conf/tune", "fast\n")];

fn posts(host: &Host) -> Vec<(String, Value)> {
    let said = host.run(&["render", "wiki", "--json"]);
    assert_eq!(said.code, 0, "{said:#?}");
    let whole: Value = serde_json::from_str(&said.out).unwrap();
    serde_json::from_value(whole["posts"].clone()).unwrap()
}

fn config(posts: &[(String, Value)], name: &str) -> String {
    let found = posts.iter().find(|(path, body)| path == "/configs/create" && body["Name"] == name);
    found.unwrap_or_else(|| panic!("no config {name} in {posts:#?}")).1["Data"].as_str().unwrap().to_owned()
}

fn service(posts: &[(String, Value)]) -> &Value {
    &posts.iter().find(|(path, _)| path == "/services/create").unwrap().1
}

#[test]
fn an_overlay_names_files_of_this_host_and_of_the_recipe() {
    let host = host(RECIPE, OVERLAY, BOTH);
    let posts = posts(&host);
    assert_eq!(config(&posts, "wiki_x_example_motd"), "d2VsY29tZQo=");
    assert_eq!(config(&posts, "wiki_x_example_tune"), "ZmFzdAo=");
    let app = service(&posts);
    assert_eq!(app["Labels"]["by.operator"], "yes");
    let env: Vec<&str> =
        app["TaskTemplate"]["ContainerSpec"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"HOST=wiki.x.example"), "{env:?}");
    assert!(env.contains(&"FROM_FILE=(hidden)"), "a value of the operator's file is shown: {env:?}");
}

#[test]
fn the_operators_compose_file_variable_names_his_overlay_too() {
    let variable = "env = { COMPOSE_FILE = \"compose.yml:DIR/extra.yml\", PLACE = \"DIR\" }";
    assert_eq!(service(&posts(&host(RECIPE, OVERLAY, variable)))["Labels"]["by.operator"], "yes");
}

#[test]
fn an_overlay_alone_and_one_that_comes_first_are_read() {
    let alone = "services:\n  app:\n    image: evenkeel-test/nowhere:1\n    configs: [tune]\nconfigs:\n  tune: {file: conf/tune}\n";
    let posts_of = |compose: &str| posts(&host(RECIPE, alone, compose));
    for compose in ["compose = [\"DIR/extra.yml\"]", "compose = [\"DIR/extra.yml\", \"compose.yml\"]"] {
        assert_eq!(config(&posts_of(compose), "wiki_x_example_tune"), "ZmFzdAo=");
    }
}

#[test]
fn a_changed_file_of_the_operators_is_a_change_of_the_release() {
    let host = host(RECIPE, OVERLAY, BOTH);
    let before = posts(&host);
    fs::write(host.path("mine/motd"), "welcome back\n").unwrap();
    let after = posts(&host);
    assert_ne!(config(&before, "wiki_x_example_motd"), config(&after, "wiki_x_example_motd"));
}

/// What is wrong with an overlay, or a file that it names, by the words that say so.
#[test]
fn an_operators_file_that_cannot_be_had_is_told() {
    type Spoil = fn(&Path);
    let cases: [(Spoil, &str); 9] = [
        (|dir| fs::remove_file(dir.join("extra.yml")).unwrap(), "extra.yml: No such file"),
        (|dir| fs::write(dir.join("extra.yml"), vec![b'#'; (1 << 20) + 1]).unwrap(), "extra.yml has 1048577 bytes"),
        (|dir| fs::write(dir.join("extra.yml"), b"\xff").unwrap(), "extra.yml is not UTF-8 text"),
        (|dir| replace(&dir.join("extra.yml"), |path| fs::create_dir(path).unwrap()), "extra.yml: it is a folder"),
        (|dir| replace(&dir.join("extra.yml"), make_pipe), "extra.yml: it is not a file"),
        (|dir| replace(&dir.join("motd"), make_pipe), "motd: it is not a file"),
        (|dir| fs::remove_file(dir.join("extra.env")).unwrap(), "extra.env: No such file"),
        (
            |dir| fs::write(dir.join("motd"), vec![b'#'; 1_024_000]).unwrap(),
            "motd has 1024000 bytes, and the Engine takes 1023999",
        ),
        (|dir| fs::write(dir.join("extra.yml"), "services: {app: {imagine: x}}").unwrap(), "extra.yml:1:18: error: "),
    ];
    for (spoil, words) in cases {
        let host = host(RECIPE, OVERLAY, BOTH);
        spoil(&host.path("mine"));
        for verb in ["plan", "app", "check"] {
            let said = host.run(&[verb]);
            tells(&said, if verb == "check" { 1 } else { 12 }, &[words]);
        }
    }
}

fn replace(path: &Path, make: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    make(path);
}

fn make_pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

#[test]
fn a_list_of_compose_files_that_makes_no_sense_is_refused() {
    for (compose, words) in [
        ("compose = [\"compose.yml\", \"DIR/extra.yml\", \"DIR/./extra.yml\"]", "extra.yml is listed twice"),
        ("compose = [\"compose.yml\", \"compose.yml\"]", "compose.yml is listed twice"),
        ("compose = [\"compose.yml\", \"DIR/../mine/extra.yml\"]", "write the path without `..`"),
        ("compose = [\"../compose.yml\"]", "../compose.yml leaves the recipe"),
        ("compose = [\"conf\"]", "conf is a folder"),
        ("compose = [\"nope.yml\"]", "nope.yml is not in the recipe"),
    ] {
        let more = format!("{compose}\nenv = {{ PLACE = \"DIR\" }}");
        tells(&host(RECIPE, OVERLAY, &more).run(&["plan"]), 12, &[words]);
    }
}

/// Whatever the operator has: a file of the recipe gets nothing of the host, not even what an overlay names.
#[test]
fn a_recipe_gets_no_file_of_the_host() {
    let with = |part: &str| format!("{PLAIN}{part}");
    let recipes = [
        with("configs: {c: {file: DIR/motd}}\n"),
        with("secrets: {s: {file: /proc/self/environ}}\n"),
        with("    env_file: DIR/extra.env\n"),
        with("configs: {c: {file: '${PLACE}/motd'}}\n"),
        with("configs: {c: {file: ../../mine/motd}}\n"),
        with("configs: {c: {file: '~/motd'}}\n"),
        with("configs: {c: {file: .}}\n"),
        with("configs: {c: {file: conf}}\n"),
        with("configs: {c: {file: ~}}\n"),
        with("configs: {c: {file: 'conf\\tune'}}\n"),
        with("configs: {c: {file: \"conf/tune\\0\"}}\n"),
        with("configs: {c: {file: link/passwd}}\n"),
        with("    volumes: ['./conf:/conf']\n"),
        with("    volumes: ['../conf:/conf']\n"),
    ];
    for compose in &recipes {
        let files = [&RECIPE[1..], &[("compose.yml", compose.as_str())]].concat();
        let said = host(&files, OVERLAY, BOTH).run(&["plan"]);
        is_told_with_place(&said);
        assert!(!said.out.contains("hunter2"), "{said:#?}");
    }
    let files = [RECIPE[0], (".env.sample", "COMPOSE_FILE=compose.yml:DIR/extra.yml\n")];
    tells(
        &host(&files, OVERLAY, "").run(&["plan"]),
        12,
        &["extra.yml is an absolute path", "overlay of the operator's"],
    );
}

/// The operator wrote the variable, and a recipe gives it its value.
#[test]
fn no_variable_of_a_recipe_says_which_file_of_the_host_is_read() {
    let only = "compose = [\"compose.yml\", \"DIR/extra.yml\"]";
    for recipe in [(".env.sample", "PLACE=DIR\n"), ("abra.sh", "export PLACE=DIR\n")] {
        let said = host(&[RECIPE[0], RECIPE[2], recipe], OVERLAY, only).run(&["plan"]);
        tells(&said, 12, &["motd"]);
        assert!(!said.out.contains("welcome"), "{said:#?}");
    }
    let told = host(RECIPE, &OVERLAY.replace("${PLACE}/motd", "DIR/${PLACE}motd"), only).run(&["plan"]);
    tells(
        &told,
        12,
        &["extra.yml:8:3: error: config motd: ", "was not read from this host", "with variables of yours"],
    );
}

#[track_caller]
fn is_told_with_place(said: &Said) {
    tells(said, 12, &["wiki: blocked: ", "compose.yml:"]);
}
