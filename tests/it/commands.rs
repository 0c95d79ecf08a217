//! The command line: what each verb says of itself, exit codes, JSON for programs, and what reaches a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::refusing::{Host, PLAIN, program, said, tells};
use crate::world::Said;

const VERBS: [&[&str]; 32] = [
    &[],
    &["proxy"],
    &["app"],
    &["swarm"],
    &["plan"],
    &["approve"],
    &["pause"],
    &["unpause"],
    &["rollback"],
    &["resume"],
    &["render"],
    &["status"],
    &["check"],
    &["alerts"],
    &["alerts", "list"],
    &["alerts", "relay"],
    &["history"],
    &["secret"],
    &["secret", "show"],
    &["snapshot"],
    &["snapshot", "list"],
    &["snapshot", "verify"],
    &["snapshot", "drop"],
    &["snapshot", "take"],
    &["snapshot", "restore"],
    &["realm"],
    &["realm", "create"],
    &["realm", "check"],
    &["realm", "delete"],
    &["realm", "reap"],
    &["demo"],
    &["generate"],
];

fn run(arguments: &[&str]) -> Said {
    said(program().args(arguments))
}

#[test]
fn every_verb_and_every_option_of_it_says_what_it_does() {
    for verb in VERBS {
        let said = run(&[verb, &["--help"]].concat());
        tells(&said, 0, &["Usage: evenkeel"]);
        assert_eq!(said.err, "");
        assert!(said.out.starts_with(char::is_uppercase), "{verb:?} says nothing of itself: {said:#?}");
        assert_eq!(undescribed(&said.out), Vec::<&str>::new(), "{verb:?}");
    }
}

/// Options, arguments and verbs in a help text that stand alone: no words beside them or in the next line.
fn undescribed(help: &str) -> Vec<&str> {
    let lines: Vec<&str> = help.lines().collect();
    let is_entry = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        (1..=6).contains(&indent) && line.trim_start().starts_with(['-', '<', '['])
    };
    let is_told = |at: usize| {
        let beside = lines[at].trim_start().split_once("  ").is_some_and(|(_, words)| !words.trim().is_empty());
        beside || lines.get(at + 1).is_some_and(|next| next.starts_with("        ") && !next.trim().is_empty())
    };
    (0..lines.len()).filter(|at| is_entry(lines[*at]) && !is_told(*at)).map(|at| lines[at]).collect()
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(run(&["--version"]).out, format!("evenkeel {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_use_ends_with_64_and_says_how_it_is_used() {
    let wrong: [&[&str]; 28] = [
        &[],
        &["keep"],
        &["app", "--force"],
        &["render"],
        &["render", "wiki", "--recipe", "."],
        &["pause"],
        &["pause", "wiki", "--for"],
        &["pause", "wiki", "--for", "soon"],
        &["unpause"],
        &["secret"],
        &["secret", "show", "wiki"],
        &["snapshot"],
        &["snapshot", "list"],
        &["snapshot", "drop", "wiki"],
        &["alerts"],
        &["alerts", "relay", "mail"],
        &["alerts", "relay", "--within", "0s"],
        &["history", "--limit", "0"],
        &["realm"],
        &["realm", "create", "--parent", "wiki"],
        &["realm", "create", "--run", "1"],
        &["realm", "create", "--parent", "wiki", "--run", "1", "--within", "0s"],
        &["realm", "delete"],
        &["realm", "delete", "--parent", "wiki"],
        &["realm", "delete", "wiki-abcdef", "--parent", "wiki", "--run", "1"],
        &["realm", "reap"],
        &["generate", "pdf"],
        &["--config"],
    ];
    for arguments in wrong {
        let said = run(arguments);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{arguments:?}: {said:#?}");
        assert!(said.err.contains("Usage: evenkeel") || said.err.contains("--help"), "{arguments:?}: {said:#?}");
    }
}

#[test]
fn man_page_and_completions_name_the_verbs() {
    for what in ["man", "bash", "zsh", "fish"] {
        let said = run(&["generate", what]);
        tells(&said, 0, &["evenkeel", "status", "secret", "unpause", "reason", "config"]);
        assert_eq!(said.err, "");
    }
    let bash = run(&["generate", "bash"]).out;
    let syntax = Command::new("bash").args(["-n", "-c", &bash]).output().unwrap();
    assert!(syntax.status.success(), "{syntax:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    for arguments in [&["--help"][..], &["generate", "man"], &["plan"], &["render", "wiki"], &["status", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = host.command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code().is_some_and(|code| code < 64) && !words.contains("panicked"),
            "{arguments:?}: {words}"
        );
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();

    let output = host.command(&["render", "wiki"]).stdout(full).stderr(Stdio::piped()).output().unwrap();

    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert_eq!(words.matches("write the answer to stdout: No space left").count(), 1, "{words}");
}

#[test]
fn a_secret_goes_into_a_pipe_only_when_it_is_asked_to_and_byte_by_byte() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let secrets = host.state_dir().join("wiki/secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    let bytes = b"p\x00ss\xff\x1b[m\r\n";
    std::fs::write(secrets.join("wiki_x_example_key_v1"), bytes).unwrap();
    let show = ["secret", "show", "wiki", "wiki_x_example_key_v1"];

    let refused = host.run(&show);
    tells(&refused, 1, &["a secret is shown at a terminal only", "add --raw"]);
    assert_eq!(refused.out, "");

    let raw = host.command(&[&show[..], &["--raw"]].concat()).output().unwrap();
    assert!(raw.status.success(), "{raw:?}");
    assert_eq!((raw.stdout.as_slice(), raw.stderr.as_slice()), (&bytes[..], &b""[..]));

    let other = host.run(&["secret", "show", "wiki", "nope", "--raw"]);
    tells(&other, 1, &["no secret nope of wiki is kept here; kept are: wiki_x_example_key_v1"]);
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:#?}"))
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn json_for_programs_has_a_shape_to_build_on() {
    let host =
        Host::new().app("wiki", &[("compose.yml", PLAIN)], "").app("bad", &[("compose.yml", "services: 1\n")], "");

    let plan = host.run(&["plan", "--json"]);
    assert_eq!(plan.code, 12, "{plan:#?}");
    let plan = json(&plan);
    assert_eq!(keys(&plan[0]), ["app", "outcome", "paused", "plan", "revision", "sentence", "upgrade", "warm"]);
    assert_eq!((&plan[0]["outcome"], &plan[0]["plan"]), (&"blocked".into(), &Value::Null));
    assert_eq!(keys(&plan[1]), keys(&plan[0]));
    assert_eq!(keys(&plan[1]["plan"]), ["changes", "new_volumes", "notes", "stack", "stays", "unchanged"]);
    let change = &plan[1]["plan"]["changes"][0];
    let words = ["act", "after_gate", "diff", "group", "name", "object", "reason", "restart", "restarts"];
    assert_eq!(keys(change), words);

    let status = host.run(&["status", "--json"]);
    assert_eq!(status.code, 0, "{status:#?}");
    let words = [
        "app", "aside", "at_work", "commit", "domain", "failed", "health", "held", "kind", "open", "pause", "paused",
        "previous", "reason", "refused", "since", "snapshot", "stack", "stuck", "version", "waiting", "warm",
    ];
    assert_eq!(keys(&json(&status)[1]), words);

    let check = host.run(&["check", "--json"]);
    assert_eq!(check.code, 1, "{check:#?}");
    let check = json(&check);
    assert_eq!(keys(&check[0]), ["app", "revision", "warnings", "wrong"]);
    assert!(check[0]["wrong"].is_string() && check[1]["wrong"].is_null(), "{check:#}");

    let render = json(&host.run(&["render", "wiki", "--json"]));
    assert_eq!(keys(&render), ["error", "ok", "posts", "warnings"]);
    assert_eq!((&render["ok"], &render["posts"][0][0]), (&true.into(), &"/networks/create".into()));
    let render = host.run(&["render", "bad", "--json"]);
    assert_eq!((render.code, &json(&render)["ok"]), (1, &false.into()), "{render:#?}");
}

#[test]
fn a_plan_says_by_its_exit_code_whether_there_is_something_to_do() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    tells(&host.run(&["plan"]), 2, &["wiki at 1.0.0+1.0.0", "+ service wiki_x_example_app"]);
    tells(&Host::new().run(&["plan"]), 0, &[]);
}

/// Characters that act on a terminal instead of standing on it, or that nobody sees.
#[track_caller]
pub fn is_plain(said: &Said) {
    for text in [&said.out, &said.err] {
        let unseen = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}');
        let acts = |c: char| c.is_control() && c != '\n' && c != '\t' || unseen(c);
        assert!(!text.contains(acts), "{said:#?}");
    }
}

#[test]
fn no_colour_goes_into_a_pipe() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    for arguments in [&["app"][..], &["plan"], &["status"], &["check"], &["--help"], &["nonsense"]] {
        is_plain(&host.run(arguments));
    }
}

#[test]
fn a_terminal_gets_colours_unless_no_color_is_set() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    assert!(at_a_terminal(&host.command(&["plan"])).contains("\u{1b}[32m"));
    assert!(!at_a_terminal(host.command(&["plan"]).env("NO_COLOR", "1")).contains("\u{1b}[3"));
}

/// What a command writes to a terminal. `script` makes one.
fn at_a_terminal(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let line = words.join(std::ffi::OsStr::new(" "));
    let mut terminal = Command::new("script");
    terminal.args(["-q", "-e", "-c"]).arg(line).arg("/dev/null").env("TERM", "xterm").stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    String::from_utf8(terminal.output().unwrap().stdout).unwrap()
}

/// Clears the screen, sets the window's title, turns the direction of writing.
const HOSTILE: &str = r"a\e[2J\x9b2Jb\r\e]0;title\a\u202e";

#[test]
fn words_of_a_recipe_cannot_act_on_the_terminal() {
    let compose = format!(
        "services:\n  app:\n    image: evenkeel-test/nowhere:1\n    labels:\n      \"{HOSTILE}\": \"{HOSTILE}\"\n    \
         environment:\n      KEY: \"{HOSTILE}\\nwiki: applied\"\n    deploy:\n      labels:\n        \"{HOSTILE}\": \"{HOSTILE}\"\n"
    );
    let undefined = format!("services:\n  app:\n    image: x\n    secrets: [\"{HOSTILE}\"]\n");
    let service = format!("services:\n  \"{HOSTILE}\":\n    image: x\n");
    let image = format!("services:\n  app:\n    image: \"nowhere/{HOSTILE}\"\n");
    let unset = format!("services:\n  app:\n    image: \"${{KEY:?{HOSTILE}\\nnotes: applied}}\"\n");
    let host = Host::new()
        .app("labels", &[("compose.yml", &compose)], "")
        .app("secret", &[("compose.yml", &undefined)], "")
        .app("service", &[("compose.yml", &service)], "")
        .app("image", &[("compose.yml", &image)], "")
        .app("unset", &[("compose.yml", &unset)], "");
    for arguments in [
        &["app"][..],
        &["app", "-vv"],
        &["plan"],
        &["plan", "--json"],
        &["check"],
        &["check", "--json"],
        &["status"],
        &["render", "labels"],
        &["render", "labels", "--json"],
        &["render", "secret"],
        &["render", "service"],
    ] {
        let said = host.run(arguments);
        is_plain(&said);
        for line in said.out.lines() {
            assert!(!line.starts_with("wiki:") && !line.starts_with("notes:"), "{said:#?}");
        }
    }
    tells(&host.run(&["app"]), 1, &["secret: blocked: ", "undefined secret"]);
}

#[test]
fn words_of_a_remote_cannot_act_on_the_terminal() {
    let (address, server) = hostile_remote();
    let host = Host::new().table(&format!("[app.wiki]\nrecipe = {{ url = \"http://{address}/wiki.git\" }}\n"));
    let said = host.run(&["app"]);
    tells(&said, 1, &["wiki: error: there is no mirror", "cannot be fetched", "You shall"]);
    assert_eq!(said.out.lines().count(), 1, "{said:#?}");
    is_plain(&said);
    drop(server);
}

/// A remote that refuses with words of its own, which git passes on.
fn hostile_remote() -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 4096]);
            let words = "ERR You shall\u{1b}[2J not pass\nwiki: applied";
            let service = "001e# service=git-upload-pack\n0000";
            let body = format!("{service}{:04x}{words}", words.len() + 4);
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close";
            let _ = write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    (address, server)
}
