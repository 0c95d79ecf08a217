use std::path::Path;

use serde_json::json;

use super::*;
use crate::config::Declared;
use crate::desired::{DesiredSecret, DesiredService};
use crate::host::probe::Check;
use crate::host::store::Store;
use crate::model::secret::SecretBytes;

const DRONE: &str = "secrets = { rpc_secret = \"/run/rpc\", client_secret = \"/run/client\" }\n";
const WOODPECKER: &str =
    "engine = \"woodpecker\"\nsecrets = { agent_secret = \"/run/agent\", client_secret = \"/run/client\" }\n";
const SERVER: &str = "DRONE_GITEA_SERVER=https://git.example.org";
const CLIENT: &str = "DRONE_GITEA_CLIENT_ID=0a1b";

fn declared(lines: &str, others: &str) -> Declared {
    let recipe = "recipe = { url = \"https://git.example.org/r\" }\n";
    let gitea = "gitea = { server = \"https://git.example.org\", client_id = \"0a1b\" }\n";
    let others = others.replace("RECIPE", recipe);
    let text = format!("base_domain = \"example.org\"\n{others}[drone]\n{recipe}{gitea}{lines}");
    config::parse("config.toml", &text).unwrap()
}

fn with<T>(lines: &str, look: impl FnOnce(&Drone<'_>) -> T) -> T {
    let declared = declared(lines, "[proxy]\nRECIPE");
    let store = Store::for_reading(Path::new("/nonexistent"));
    look(&Drone::new(Live::new(&declared, &store, declared.app("drone").unwrap())).unwrap())
}

/// One service with this environment, and a volume of this name at this folder.
fn desired(env: &[&str], (volume, at): (&str, &str)) -> Desired {
    let stack: crate::model::app::StackName = "drone_example_org".parse().unwrap();
    Desired {
        services: vec![service("app", env, &[(volume, at)])],
        stack,
        networks: vec![],
        external_networks: vec![],
        secrets: vec![],
        configs: vec![],
    }
}

fn service(name: &str, env: &[&str], volumes: &[(&str, &str)]) -> DesiredService {
    let labels = json!({ "com.docker.stack.namespace": "drone_example_org" });
    let mount = |(volume, at): &(&str, &str)| match volume.strip_prefix("external:") {
        Some(external) => json!({ "Type": "volume", "Source": external, "Target": at, "VolumeOptions": {} }),
        None => json!({ "Type": "volume", "Source": volume, "Target": at, "VolumeOptions": { "Labels": labels } }),
    };
    let mounts: Vec<_> = volumes.iter().map(mount).collect();
    let spec = json!({ "TaskTemplate": { "ContainerSpec": { "Env": env, "Mounts": mounts } } });
    DesiredService { name: format!("drone_example_org_{name}"), spec }
}

/// Nothing of the operator's is hidden.
fn open() -> Hidden {
    Hidden::new([])
}

const DATA: (&str, &str) = ("drone_example_org_data", "/data");

fn taken(lines: &str, env: &[&str], data: (&str, &str)) -> Result<(), String> {
    with(lines, |drone| drone.takes(&desired(env, data), Some(&open())))
}

#[test]
fn what_the_recipe_is_given_is_the_written_table() {
    for (word, lines) in [("drone", DRONE), ("woodpecker", WOODPECKER)] {
        let variables = with(lines, |drone| drone.variables());
        let text: Vec<String> = variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!(format!("variables_{word}"), text.join("\n"));
    }
}

#[test]
fn health_and_a_sign_in_at_the_declared_gitea_are_asked_for_unless_another_gate_is_declared() {
    for (word, lines) in [("drone", DRONE), ("woodpecker", WOODPECKER)] {
        let gate = with(lines, |drone| drone.gate(&desired(&[], DATA)));
        insta::assert_snapshot!(format!("gate_{word}"), serde_json::to_string_pretty(&gate.kept()["checks"]).unwrap());
    }
    let own = format!("{DRONE}gate = {{ http = [{{ path = \"/own\" }}] }}\n");
    let checks = with(&own, |drone| drone.gate(&desired(&[], DATA)).checks);
    assert_eq!(checks, [Check::Page(HttpCheck::at("/own"))]);
}

#[test]
fn a_recipe_that_ignores_the_declared_gitea_is_refused() {
    assert_eq!(taken(DRONE, &[SERVER, CLIENT], DATA), Ok(()));
    assert_eq!(taken(DRONE, &["DRONE_GITEA_SERVER=https://git.example.org/", CLIENT], DATA), Ok(()));
    let told = taken(DRONE, &["DRONE_GITEA_SERVER=https://gitea.example.com", CLIENT], DATA).unwrap_err();
    assert!(
        told.starts_with(
            "service drone_example_org_app carries DRONE_GITEA_SERVER=https://gitea.example.com, and `gitea` says \
             https://git.example.org:"
        ),
        "{told}"
    );
    let told = taken(DRONE, &[SERVER, "DRONE_GITEA_CLIENT_ID=other"], DATA).unwrap_err();
    assert!(told.contains("DRONE_GITEA_CLIENT_ID=other, and `gitea` says 0a1b"), "{told}");
    let told = taken(DRONE, &[SERVER], DATA).unwrap_err();
    assert!(told.starts_with("no service carries the variable DRONE_GITEA_CLIENT_ID, which is to be 0a1b"), "{told}");
    let woodpecker = ["WOODPECKER_GITEA_URL=https://git.example.org", "WOODPECKER_GITEA_CLIENT=0a1b"];
    assert_eq!(taken(WOODPECKER, &woodpecker, (DATA.0, "/var/lib/woodpecker")), Ok(()));
    assert!(taken(WOODPECKER, &[SERVER, CLIENT], DATA).unwrap_err().contains("WOODPECKER_GITEA_URL"));
}

#[test]
fn a_value_that_only_the_operators_files_hold_is_not_shown() {
    let env = ["DRONE_GITEA_SERVER=https://hidden.example.org", CLIENT];
    let hidden = Hidden::new([("MY_GITEA".to_owned(), "https://hidden.example.org".to_owned())]);
    for hidden in [Some(&hidden), None] {
        let told = with(DRONE, |drone| drone.takes(&desired(&env, DATA), hidden)).unwrap_err();
        assert!(
            told.contains("carries another DRONE_GITEA_SERVER than declared") && !told.contains("hidden"),
            "{told}"
        );
    }
}

#[test]
fn an_address_that_woodpecker_would_build_upon_wrongly_is_refused() {
    let folder = (DATA.0, "/var/lib/woodpecker");
    let with_slash = ["WOODPECKER_GITEA_URL=https://git.example.org/", "WOODPECKER_GITEA_CLIENT=0a1b"];
    let told = taken(WOODPECKER, &with_slash, folder).unwrap_err();
    assert!(told.contains("WOODPECKER_GITEA_URL=https://git.example.org/, and `gitea` says"), "{told}");
    assert!(taken(DRONE, &[SERVER, "DRONE_GITEA_CLIENT_ID=0a1b/"], DATA).is_err(), "no id has one");
    // Each of these beats the one that is given.
    let good = ["WOODPECKER_GITEA_URL=https://git.example.org", "WOODPECKER_GITEA_CLIENT=0a1b"];
    let other = [&good[..], &["WOODPECKER_FORGE_URL=https://other.example.org"]].concat();
    assert!(taken(WOODPECKER, &other, folder).unwrap_err().contains("WOODPECKER_FORGE_URL=https://other"));
    let forge =
        ["WOODPECKER_FORGE_URL=https://git.example.org", "WOODPECKER_FORGE_CLIENT=0a1b", "WOODPECKER_GITEA_URL="];
    assert_eq!(taken(WOODPECKER, &forge, folder), Ok(()));
}

/// Path of the sign-in, where it has to lead, and with which id.
fn asked(lines: &str, env: &[&str]) -> [String; 3] {
    let checks = with(lines, |drone| drone.gate(&desired(env, DATA)).checks);
    let Check::Page(page) = checks.last().unwrap() else { panic!("{checks:?}") };
    [page.path.clone(), page.redirect.clone().unwrap(), page.redirect_query["client_id"].clone()]
}

#[test]
fn a_release_is_judged_by_what_it_carries_and_not_by_what_is_declared_by_now() {
    let there = |server: &str| format!("https://{server}/login/oauth/authorize?");
    let declared = ["/login".to_owned(), there("git.example.org"), "0a1b".to_owned()];
    assert_eq!(asked(DRONE, &[SERVER, CLIENT]), declared);
    assert_eq!(asked(DRONE, &[]), declared, "nothing is known of it");
    // What runs after a change of the id has failed, or is put back by hand over one.
    assert_eq!(asked(DRONE, &[SERVER, "DRONE_GITEA_CLIENT_ID=old"])[2], "old");
    let before = ["DRONE_GITEA_SERVER=https://old.example.org/", "DRONE_GITEA_CLIENT_ID=old"];
    assert_eq!(asked(DRONE, &before), ["/login".to_owned(), there("old.example.org"), "old".to_owned()]);
    // What runs while the other engine is declared, and what is put back then.
    assert_eq!(asked(WOODPECKER, &before)[0], "/login");
    let other = ["WOODPECKER_GITEA_URL=https://git.example.org", "WOODPECKER_GITEA_CLIENT=0a1b"];
    assert_eq!(asked(DRONE, &other)[0], "/authorize");
    // Both engines' words, as a frozen sample may leave them: the declared one's count.
    assert_eq!(asked(WOODPECKER, &[&before[..], &other].concat())[0], "/authorize");
    let health = with(WOODPECKER, |drone| drone.gate(&desired(&before, DATA)).checks);
    assert_eq!(health[0], Check::Page(HttpCheck { status: vec![200], ..HttpCheck::at("/healthz") }));
}

#[test]
fn builds_that_could_not_go_back_with_a_version_are_refused() {
    let good = [SERVER, CLIENT];
    for (volume, at) in [("external:data", "/data"), (DATA.0, "/database"), (DATA.0, "/dat")] {
        let told = taken(DRONE, &good, (volume, at)).unwrap_err();
        assert!(told.contains("mounts a volume of the recipe's own at /data, where it keeps its builds"), "{told}");
    }
    assert!(taken(WOODPECKER, &good, DATA).is_err());
    for (list, name) in [("exclude", "data"), ("external", "drone_example_org_data")] {
        let left_out = format!("{DRONE}snapshot = {{ {list} = [\"{name}\"] }}\n");
        let told = taken(&left_out, &good, DATA).unwrap_err();
        assert!(told.starts_with(&format!("snapshot.{list} leaves out volume data,")), "{told}");
    }
    let other = format!("{DRONE}snapshot = {{ exclude = [\"cache\"] }}\n");
    assert_eq!(taken(&other, &good, DATA), Ok(()));
    assert_eq!(taken(DRONE, &good, ("named-by-the-recipe", "/data")), Ok(()), "a volume may have a name of its own");
}

#[test]
fn only_what_the_server_itself_mounts_holds_its_builds() {
    let taken = |lines: &str, env: &[&str], server: &[(&str, &str)], other: &[(&str, &str)]| {
        let services = vec![service("app", &[&[SERVER, CLIENT], env].concat(), server), service("other", &[], other)];
        with(lines, |drone| drone.takes(&Desired { services, ..desired(&[], DATA) }, Some(&open())))
    };
    assert!(taken(DRONE, &[], &[], &[DATA]).is_err(), "a cache at the same folder is none");
    assert_eq!(taken(DRONE, &[], &[DATA], &[("drone_example_org_cache", "/data")]), Ok(()));
    let elsewhere = ["DRONE_DATABASE_DATASOURCE=/var/lib/drone/drone.sqlite"];
    assert!(taken(DRONE, &elsewhere, &[DATA], &[]).unwrap_err().contains("at /var/lib/drone, where"));
    assert_eq!(taken(DRONE, &elsewhere, &[(DATA.0, "/var/lib/drone")], &[]), Ok(()));
    assert_eq!(taken(DRONE, &["DRONE_DATABASE_DATASOURCE=core.sqlite"], &[DATA], &[]), Ok(()));

    let postgres = ["DRONE_DATABASE_DRIVER=postgres"];
    let told = taken(DRONE, &postgres, &[DATA], &[]).unwrap_err();
    assert!(
        told.contains("of another kind (postgres), and no other service") && told.ends_with("[app.NAME]"),
        "{told}"
    );
    let database = [("drone_example_org_db", "/var/lib/postgresql")];
    assert_eq!(taken(DRONE, &postgres, &[], &database), Ok(()));
    let left_out = format!("{DRONE}snapshot = {{ exclude = [\"db\"] }}\n");
    assert!(taken(&left_out, &postgres, &[], &database).unwrap_err().contains("leaves out volume db"));
}

#[test]
fn a_shared_secret_that_no_runner_can_be_told_is_refused_before_anything_is_changed() {
    let with_secret = |bytes: &[u8]| {
        let secret = DesiredSecret {
            key: "rpc_secret".to_owned(),
            name: "drone_example_org_rpc_secret_v1".to_owned(),
            spec: json!({}),
            source: SecretSource::Bytes(SecretBytes::new(bytes.to_vec())),
            place: None,
            version_variable: None,
        };
        let desired = Desired { secrets: vec![secret], ..desired(&[SERVER, CLIENT], DATA) };
        with(DRONE, |drone| drone.takes(&desired, Some(&open())))
    };
    assert_eq!(with_secret(b"0123456789abcdef\n"), Ok(()));
    let told = with_secret(b"one\nDRONE_RPC_HOST=two").unwrap_err();
    assert!(told.starts_with("secret rpc_secret: its file has more than one line") && !told.contains("two"), "{told}");
}

#[test]
fn what_nobody_reaches_is_refused() {
    let declared = declared(DRONE, "");
    let store = Store::for_reading(Path::new("/nonexistent"));
    let drone = Drone::new(Live::new(&declared, &store, declared.app("drone").unwrap())).unwrap();
    let told = drone.preflight(Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(told.contains("https://drone.example.org") && told.contains("declare [proxy]"), "{told}");
    assert_eq!(with(DRONE, |drone| drone.preflight(Timestamp::UNIX_EPOCH)), Ok(()));
}
