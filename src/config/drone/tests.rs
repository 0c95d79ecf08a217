use super::*;
use crate::config::{self, Declared, Special};

const REST: &str = "base_domain = \"ci.example.org\"\n[drone]\nrecipe = { url = \"https://git.example.org/r\" }\n";
const GITEA: &str = "gitea = { server = \"https://git.example.org/\", client_id = \"0a1b-2c\" }\n";
const SECRETS: &str = "secrets = { rpc_secret = \"/run/rpc\", client_secret = \"/run/client\" }\n";

fn parse(lines: &str) -> Result<Declared, String> {
    config::parse("config.toml", &format!("{REST}{lines}")).map_err(|wrong| wrong.to_string())
}

fn drone(lines: &str) -> Drone {
    match &parse(lines).unwrap().app("drone").unwrap().special {
        Special::Drone(drone) => drone.clone(),
        Special::None => panic!("nothing of Drone"),
    }
}

fn refused(lines: &str) -> String {
    parse(lines).expect_err("must be refused")
}

#[test]
fn what_is_needed_is_enough() {
    let found = drone(&format!("{GITEA}{SECRETS}"));
    let gitea = Gitea { server: "https://git.example.org".into(), client_id: "0a1b-2c".into() };
    assert_eq!(found, Drone { engine: BuildEngine::Drone, gitea, builds: None, rpc: None });
}

#[test]
fn everything_can_be_said() {
    let builds =
        "builds = { timeout_minutes = 90, trusted = true, repositories = [\"org/re.po\"], token = \"/run/token\" }\n";
    let secrets = "secrets = { agent_secret = \"/run/agent\", client_secret = \"/run/client\" }\n";
    let lines = "engine = \"woodpecker\"\nrpc = \"grpc.ci.example.org:443\"\n";
    let found = drone(&format!("{lines}{GITEA}{secrets}{builds}"));
    assert_eq!((found.engine, found.rpc.as_deref()), (BuildEngine::Woodpecker, Some("grpc.ci.example.org:443")));
    let builds = found.builds.unwrap();
    assert_eq!(builds.settings, RepositorySettings { timeout_minutes: Some(90), trusted: Some(true) });
    assert_eq!((builds.repositories, builds.token), (vec!["org/re.po".to_owned()], "/run/token".into()));
}

#[test]
fn a_table_without_all_that_is_needed_is_told_what_at_once() {
    insta::assert_snapshot!(refused("builds = { timeout_minutes = 60 }\n"));
}

#[test]
fn each_engine_wants_secrets_of_its_own() {
    insta::assert_snapshot!(refused(&format!("engine = \"woodpecker\"\n{GITEA}{SECRETS}")));
    let none = refused(&format!("{GITEA}secrets = {{}}\n"));
    assert!(
        none.contains("drone.secrets.rpc_secret is missing") && none.contains("client_secret is missing"),
        "{none}"
    );
}

#[test]
fn an_engine_that_nobody_knows_is_told_without_guesses_at_its_secrets() {
    insta::assert_snapshot!(refused(&format!("engine = \"jenkins\"\n{GITEA}")));
}

#[test]
fn half_a_setting_of_builds_is_refused() {
    let builds = |keys: &str| refused(&format!("{GITEA}{SECRETS}builds = {{ {keys} }}\n"));
    let rows = [
        ("repositories = [\"o/r\"], token = \"/run/t\"", "builds: says nothing that could be set"),
        ("trusted = true, token = \"/run/t\"", "builds.repositories is missing"),
        ("trusted = true, repositories = [], token = \"/run/t\"", "builds.repositories: names no repository"),
        ("trusted = false, repositories = [\"o/r\"]", "builds.token is missing"),
        ("trusted = 1, repositories = [\"o/r\"], token = \"/t\"", "builds.trusted: expected true or false"),
        (
            "trusted = true, repositories = [\"o/r\", \"O/r\"], token = \"/t\"",
            "repositories[1]: \"O/r\" is named twice",
        ),
    ];
    for (keys, why) in rows {
        assert!(builds(keys).contains(why), "{}", builds(keys));
    }
    for name in ["r", "o/", "/r", "o/r/x", "o/..", "o/r?x", "o /r"] {
        let told = builds(&format!("trusted = true, repositories = [\"{name}\"], token = \"/t\""));
        assert!(told.contains("is not a repository"), "{name}: {told}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let server = |server: &str| parse(&format!("{SECRETS}gitea = {{ server = \"{server}\", client_id = \"x\" }}\n"));
    for good in ["https://git.example.org", "http://10.0.0.4:3000/gitea/"] {
        server(good).unwrap();
    }
    for bad in [
        "git.example.org",
        "https://",
        "https://u:p@git.example.org",
        "https://git.example.org?x",
        "https://g h",
        "https://git:99999",
        "https://git:x",
        "https:git.example.org",
    ] {
        let told = server(bad).unwrap_err();
        assert!(told.contains("gitea.server: is not a plain web address") && !told.contains("u:p"), "{told}");
    }
    let rpc = |rpc: &str| parse(&format!("{GITEA}{SECRETS}rpc = \"{rpc}\"\n"));
    for good in ["grpc.ci.example.org", "grpc.ci.example.org:9000"] {
        rpc(good).unwrap();
    }
    for bad in [
        "https://ci.example.org",
        "ci.example.org:",
        "ci.example.org:0",
        "ci.example.org:http",
        "ci.example.org:+443",
        "Ci.example.org",
    ] {
        assert!(rpc(bad).unwrap_err().contains("is no host with a port"), "{bad}");
    }
}

#[test]
fn the_number_of_tests_counts_where_a_runner_does_them() {
    let with = format!("max_tests = 3\n{REST}{GITEA}{SECRETS}");
    let declared = config::parse("config.toml", &with).unwrap();
    assert_eq!((declared.max_tests, declared.warnings.0.len()), (3, 0));
    let zero = config::parse("config.toml", &with.replace("= 3", "= 0")).unwrap_err().to_string();
    assert_eq!(zero, "config.toml:1:13: error: max_tests: 0 is out of range (from 1 to 1000)");
}
