//! The README is true: what it shows parses, what it names exists, and nothing that an operator needs is left out.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::Parser as _;
use clap::error::ErrorKind;
use evenkeel::cli::Cli;
use evenkeel::model::diagnostic::MAX_FINDINGS;
use evenkeel::model::outcome::Outcome;
use evenkeel::recipe::{env, interpolate, yaml};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file as it was when this program was built: beside a later one, the program would be compared with what it was not
/// built from.
macro_rules! file {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))
    };
}

const README: &str = file!("README.md");

/// The fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    // Every second part stands between two fences.
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// What stands between backticks within a line, outside of fenced blocks and headings.
fn inline(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let lines = prose.flat_map(str::lines).filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Every use of the program that the text shows, without the program's name.
fn commands(text: &str) -> Vec<&str> {
    let typed = blocks(text, "console").into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    let units = blocks(text, "ini").into_iter().flat_map(str::lines).filter_map(|line| {
        let path = line.strip_prefix("ExecStart=")?;
        path.rsplit_once('/').map(|(_, command)| command)
    });
    let all = typed.chain(units).chain(inline(text));
    all.filter_map(|command| command.strip_prefix("evenkeel ")).filter(|command| !command.contains('%')).collect()
}

fn is_understood(command: &str) -> bool {
    match Cli::try_parse_from(["evenkeel"].into_iter().chain(command.split_whitespace())) {
        Ok(_) => true,
        Err(told) => matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion),
    }
}

/// The commands that `evenkeel --help` lists.
fn verbs() -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

/// The cells of each table row.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect()
}

/// The words that stand between backticks.
fn explained(text: &str) -> BTreeSet<&str> {
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    inline(text).into_iter().flat_map(|code| code.split(is_other)).collect()
}

/// The keys that a module of the configuration knows: the words of each `…: Keys = &[…]` or list of the macro.
fn known_keys(source: &str) -> BTreeSet<&str> {
    let lists = source.split("Keys = ").skip(1).chain(source.split("=> {\n        &[").skip(1));
    lists.filter_map(|list| list.split([']', ';']).next()).flat_map(|list| list.split('"').skip(1).step_by(2)).collect()
}

#[test]
fn the_configuration_to_copy_is_right() {
    let configurations = blocks(README, "toml");
    assert!(!configurations.is_empty());
    for configuration in configurations {
        let declared = evenkeel::config::parse("README.md", configuration).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(declared.warnings.0.is_empty(), "{}", declared.warnings);
        assert!(declared.app("proxy").is_some() && declared.apps.len() > 1, "a proxy and an app");
    }
}

#[test]
fn the_host_that_is_shown_is_the_one_that_is_checked() {
    let shown = blocks(README, "nix");
    assert!(shown.contains(&file!("nix/hosts/example.nix")), "{shown:?}");
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let explained = explained(README);
    let modules = [
        ("src/config.rs", file!("src/config.rs")),
        ("src/config/shared.rs", file!("src/config/shared.rs")),
        ("src/config/app.rs", file!("src/config/app.rs")),
        ("src/config/drone.rs", file!("src/config/drone.rs")),
        ("src/config/gate.rs", file!("src/config/gate.rs")),
        ("src/config/policy.rs", file!("src/config/policy.rs")),
    ];
    for (module, source) in modules {
        let keys = known_keys(source);
        assert!(keys.len() > 3, "{module}: {keys:?}");
        let missing: Vec<&&str> = keys.iter().filter(|key| !explained.contains(*key)).collect();
        assert!(missing.is_empty(), "{module}: the README does not explain {missing:?}");
    }
}

#[test]
fn every_command_line_is_understood() {
    let commands = commands(README);
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        assert!(is_understood(command), "evenkeel {command}");
    }
    assert!(!is_understood("app --no-such-option") && !is_understood("no-such-command"));
}

#[test]
fn every_command_has_a_chapter() {
    let verbs = verbs();
    assert!(verbs.len() > 5, "{verbs:?}");
    for verb in verbs {
        assert!(README.contains(&format!("\n### `evenkeel {verb}`\n")), "{verb}");
    }
}

#[test]
fn every_exit_code_is_in_the_table() {
    let outcomes = [
        Outcome::Converged,
        Outcome::Applied(String::new()),
        Outcome::Upgraded(String::new()),
        Outcome::Waiting(String::new()),
        Outcome::Held(String::new()),
        Outcome::RolledBack(String::new()),
        Outcome::Blocked(String::new()),
        Outcome::Stuck(String::new()),
        Outcome::Unhealthy(String::new()),
        Outcome::Error(String::new()),
    ];
    let rows = rows(README);
    let told = |code: &str, word: &str| rows.iter().any(|row| row.len() == 3 && row[0] == code && row[1] == word);
    for outcome in outcomes {
        assert!(told(&outcome.exit_code().to_string(), outcome.word()), "{outcome:?}");
    }
    assert!(told("2", "") && told("64", ""), "of `plan`, and of a wrong command line");
    assert!(told("15", "cold"), "of `realm`");
    assert!(!told("0", "blocked"));
}

#[test]
fn the_bounds_of_reading_are_told_as_they_are() {
    assert_eq!((yaml::MAX_BYTES, env::MAX_BYTES), (1 << 20, 1 << 20));
    let grouped = |number: usize| format!("{},{:03}", number / 1000, number % 1000);
    let expected = [
        "| a compose file, `.env.sample` or `env_file` | 1 MiB |".to_owned(),
        format!("| mappings and lists inside each other | {} levels |", yaml::MAX_DEPTH),
        format!(
            "| a compose file with its aliases replaced | {} nodes, {} MiB |",
            grouped(yaml::MAX_NODES),
            yaml::MAX_EXPANDED_BYTES >> 20
        ),
        format!(
            "| a value with its variables replaced; all of a file | {} MiB; {} MiB |",
            interpolate::MAX_VALUE_BYTES >> 20,
            interpolate::MAX_DOCUMENT_BYTES >> 20
        ),
        format!("| findings that are told | {} |", grouped(MAX_FINDINGS)),
    ];
    expected.iter().for_each(|row| assert!(README.contains(row), "{row}"));
}

#[test]
fn every_file_of_the_tests_that_is_named_exists() {
    let words = README.split(|c: char| c.is_whitespace() || matches!(c, '`' | '(' | ')' | '[' | ']' | ','));
    let named: BTreeSet<&str> =
        words.filter(|word| word.starts_with("tests/")).map(|word| word.trim_end_matches(['.', ':'])).collect();
    assert!(named.len() > 3, "{named:?}");
    for name in named {
        let path = name.split_once('#').map_or(name, |(path, _headline)| path);
        assert!(Path::new(ROOT).join(path).exists(), "{name}");
    }
}

#[test]
fn the_compiler_that_is_asked_for_is_the_one_that_is_needed() {
    let manifest = file!("Cargo.toml");
    let needed = manifest.split_once("rust-version = \"").unwrap().1.split('"').next().unwrap();
    assert!(README.contains(&format!("**Rust {needed}**")), "{needed}");
}
