//! What others wrote reaches a terminal as text only: recipes, tags, file names, the operator's files, the Engine.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::commands::is_plain;
use crate::fixtures::RecipeRepo;
use crate::refusing::empty_engine::REFUSAL;
use crate::refusing::{Host, PLAIN};

/// As YAML writes it: clears the screen, turns the direction of writing, takes no room.
const HOSTILE: &str = r"a\e[2J\x9b2J\r\u202eb\u200b\u2066";
/// The same, as it is.
const RAW: &str = "a\u{1b}[2J\u{9b}2J\r\u{202e}b\u{200b}\u{2066}\nwiki: applied";

/// Runs whatever reads recipes, and shows that nothing acts on the terminal and no line is forged.
#[track_caller]
fn says_only_text(host: &Host, app: &str) -> String {
    let mut all = String::new();
    for arguments in
        [&["check"][..], &["check", "--json"], &["plan"], &["plan", "--json"], &["render", app], &["app"], &["status"]]
    {
        let said = host.run(arguments);
        is_plain(&said);
        let forged = |line: &str| line.starts_with("wiki: applied") || line.starts_with("fake:");
        assert!(!said.out.lines().chain(said.err.lines()).any(forged), "{said:#?}");
        all.push_str(&said.out);
        all.push_str(&said.err);
    }
    all
}

#[test]
fn names_in_a_recipe_are_text() {
    let long = "x".repeat(70);
    let parts = [
        format!("configs: {{c: {{file: \"{HOSTILE}\"}}}}\n"),
        format!("configs: {{c: {{file: f, name: \"{HOSTILE}\"}}}}\n"),
        format!("secrets: {{s: {{file: f, name: \"{HOSTILE}{long}\"}}}}\n"),
        format!("secrets: {{s: {{external: true, name: \"{HOSTILE}\"}}}}\n"),
        format!("configs: {{\"{HOSTILE}\": {{file: f}}}}\n"),
        format!("networks: {{\"{HOSTILE}\": {{name: \"{HOSTILE}\"}}}}\n"),
        format!("    networks: [\"{HOSTILE}\"]\n"),
        format!("    env_file: \"{HOSTILE}\"\n"),
        format!("    volumes: [\"{HOSTILE}:/x\"]\n"),
        format!("    ports: [\"{HOSTILE}\"]\n"),
        format!("    command: \"{HOSTILE} 'open\"\n"),
        format!("    hostname: \"${{A:?{HOSTILE}\\nwiki: applied}}\"\n"),
        format!("    \"{HOSTILE}\": 1\n"),
        format!("    deploy: {{labels: {{\"{HOSTILE}\": \"{HOSTILE}\"}}, mode: \"{HOSTILE}\"}}\n"),
        format!("\"{HOSTILE}\\nwiki: applied\": 1\n"),
    ];
    for part in &parts {
        let compose = format!("{PLAIN}{part}");
        says_only_text(&Host::new().app("wiki", &[("compose.yml", &compose), ("f", "x")], ""), "wiki");
    }
}

#[test]
fn files_of_a_recipe_are_text() {
    let files = [
        ("compose.yml", format!("{PLAIN}{RAW}\n")),
        (".env.sample", format!("A={RAW}\nB=\"open\n")),
        ("abra.sh", format!("export A_VERSION={RAW}\n")),
        (".env.sample", format!("COMPOSE_FILE={}\n", RAW.replace('\n', ""))),
    ];
    for (path, text) in &files {
        let mut recipe = vec![("compose.yml", PLAIN)];
        recipe.retain(|(other, _)| other != path);
        recipe.push((path, text));
        says_only_text(&Host::new().app("wiki", &recipe, ""), "wiki");
    }
    let name = format!("conf/{}", RAW.replace(['\n', '/'], ""));
    let said = says_only_text(&Host::new().app("wiki", &[("compose.yml", PLAIN), (&name, "x")], ""), "wiki");
    assert!(said.contains("has control characters"), "{said}");
}

#[test]
fn tags_are_text() {
    let mut recipe = RecipeRepo::empty();
    recipe.publish("1.0.0+1.0.0", &[("compose.yml", PLAIN)]);
    recipe.publish("1.0.1+1.0.0\u{202e}b\u{200b}", &[("f", "x")]);
    recipe.publish("\u{202e}b\u{200b}", &[("f", "y")]);
    let table =
        |version: &str| format!("[app.wiki]\nrecipe = {{ url = \"{}\" }}\nversion = \"{version}\"\n", recipe.url());
    for version in ["latest", "1.0.0+1.0.0", "9.9.9+1"] {
        says_only_text(&Host::new().table(&table(version)), "wiki");
    }
}

#[test]
fn words_of_the_engine_are_text() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    host.engine.tells(REFUSAL, json!(RAW));
    let said = says_only_text(&host, "wiki");
    assert!(said.contains("a\\u001b[2J\\u009b2J"), "the Engine's own words are missing: {said}");
}

#[test]
fn an_operators_overlay_is_text_and_json_keeps_every_character() {
    let host = Host::new();
    let overlay = host.path("extra.yml");
    fs::write(&overlay, format!("services: {{app: {{labels: {{\"{HOSTILE}\": \"{HOSTILE}\"}}}}}}\n")).unwrap();
    let lines = format!("compose = [\"compose.yml\", \"{}\"]", overlay.display());
    let host = host.app("wiki", &[("compose.yml", PLAIN)], &lines);
    says_only_text(&host, "wiki");

    let said = host.run(&["render", "wiki", "--json"]);
    is_plain(&said);
    let whole: Value = serde_json::from_str(&said.out).unwrap();
    let posts = whole["posts"].as_array().unwrap();
    let service = posts.iter().find(|post| post[0] == "/services/create").unwrap();
    let label = "a\u{1b}[2J\u{9b}2J\r\u{202e}b\u{200b}\u{2066}";
    assert_eq!(service[1]["TaskTemplate"]["ContainerSpec"]["Labels"][label], label);
}

/// Text gets out where it is made harmless, and nowhere else.
#[test]
fn only_few_files_write_to_a_terminal() {
    const WRITERS: [&str; 5] = ["cli.rs", "cli/secret.rs", "telemetry.rs", "host/progress.rs", "demo"];
    const WAYS: [&str; 5] = ["println!(", "print!(", "dbg!(", "stdout()", "stderr()"];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut others = Vec::new();
    for path in files_below(&src) {
        let name = path.strip_prefix(&src).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let allowed = WRITERS.iter().any(|writer| name == *writer || name.starts_with(&format!("{writer}/")));
        if !allowed && WAYS.iter().any(|way| text.contains(way)) {
            others.push(name);
        }
    }
    assert_eq!(others, Vec::<String>::new(), "use cli::answer, cli::tell or the log");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
