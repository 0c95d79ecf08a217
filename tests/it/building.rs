//! `drone` and `runner-env` on a host that lacks what they need: told all at once, and nothing is changed.

use std::fs;

use crate::refusing::{Host, PLAIN};

const RECIPE: &str = "[drone]\nrecipe = { url = \"/nowhere/drone\" }\n";
const GITEA: &str = "gitea = { server = \"https://git.example.org\", client_id = \"0a1b\" }\n";
const PROXY: &str = "[proxy]\nrecipe = { url = \"/nowhere/traefik\" }\n";

#[test]
fn a_table_that_lacks_what_it_needs_is_told_with_every_place() {
    let host = Host::new().table(&format!("max_tests = 0\n{RECIPE}engine = \"jenkins\"\n"));
    let config = host.path("config.toml").display().to_string();
    for verb in ["drone", "runner-env", "check", "plan"] {
        let lines = [
            format!("{config}:4:13: error: max_tests: 0 is out of range (from 1 to 1000)"),
            format!("{config}:5:2: error: drone.gitea is missing (such as {{ server = "),
            format!(
                "{config}:7:10: error: drone.engine: \"jenkins\" is none of its values (one of \"drone\", \"woodpecker\")"
            ),
        ];
        host.refuses(&[verb], 1, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let host = Host::new().table(&format!("{RECIPE}{GITEA}secrets = {{ rpc_secret = \"/run/rpc\" }}\n"));
    host.refuses(&["drone"], 1, &["drone.secrets.client_secret is missing (a file with the secret that Gitea gave"]);
}

#[test]
fn what_is_declared_nowhere_has_neither_server_nor_runner() {
    let host = Host::new();
    for verb in ["drone", "runner-env"] {
        host.refuses(&[verb], 1, &["declares no drone: add a [drone] table that names its recipe"]);
    }
}

#[test]
fn a_runner_is_told_nothing_before_its_server_is_installed() {
    let secrets = "secrets = { rpc_secret = \"/run/rpc\", client_secret = \"/run/client\" }\n";
    let host = Host::new().table(&format!("{RECIPE}{GITEA}{secrets}"));
    host.refuses(&["runner-env"], 1, &["drone is not installed yet: `evenkeel drone` installs it"]);
    assert!(!host.state_dir().exists());
}

#[test]
fn secret_files_that_cannot_be_shared_are_told_before_anything_runs() {
    let host = Host::new().app("other", &[("compose.yml", PLAIN)], "");
    let at = |name: &str| host.path(name).display().to_string();
    let secrets = format!("secrets = {{ rpc_secret = \"{}\", client_secret = \"{}\" }}\n", at("rpc"), at("client"));
    let host = host.table(&format!("{PROXY}{RECIPE}{GITEA}{secrets}"));
    let missing = format!("secret rpc_secret: its file {} cannot be read", host.path("rpc").display());
    host.refuses(&["drone"], 12, &["drone: blocked: ", &missing, "secret client_secret: its file "]);
    fs::write(host.path("client"), "client").unwrap();
    fs::write(host.path("rpc"), "").unwrap();
    host.refuses(&["drone"], 12, &["drone: blocked: secret rpc_secret: its file ", " is empty; put the value into it"]);
}
