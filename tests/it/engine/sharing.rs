//! The secret that a CI server shares with its runner: both change at the same moment, whichever way it goes.
//!
//! The server is a shell here, which is all that it takes: what people see of one is shown with a stand-in behind the real
//! proxy. The proxy is declared and does not run; nothing is asked through it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World};

const APP: &str = "drone";
/// Comes up unless it is told to fail.
const RUNS: &str = "[ -z \"$FAIL\" ] || exit 3; trap 'exit 0' TERM; while :; do sleep 1; done";
const SECRETS: [&str; 4] = ["first-1b0c5d", "second-2e9f77", "third-3d41aa", "fourth-4c8b02"];

/// A host with a CI server whose recipe has a version for every step, and everything that the program has said.
struct Ci {
    world: World,
    recipe: RecipeRepo,
    /// Its address.
    gitea: String,
    said: Vec<Said>,
}

impl Ci {
    fn new() -> Self {
        let mut ci = Self { world: World::on_shared(), recipe: RecipeRepo::empty(), gitea: gitea(), said: Vec::new() };
        ci.world.file("client_secret", b"client-9f");
        ci.shares(SECRETS[0]);
        ci.publish("1.0.0+1", RUNS);
        ci.declare("latest", "");
        ci
    }

    /// Puts this into the operator's file.
    fn shares(&self, secret: &str) {
        self.world.file("rpc_secret", format!("{secret}\n").as_bytes());
    }

    fn publish(&mut self, version: &str, script: &str) {
        let secret = |key: &str, variable: &str| json!({"external": true, "name": format!("${{STACK_NAME}}_{key}_${{{variable}}}")});
        let compose = json!({
            "services": {"app": {
                "image": PrivateEngine::shared().image(),
                "entrypoint": ["sh", "-c", script.replace('$', "$$")],
                "volumes": ["data:/data"],
                "environment": ["DRONE_GITEA_SERVER=${DRONE_GITEA_SERVER}", "DRONE_GITEA_CLIENT_ID=${GITEA_CLIENT_ID}", "FAIL=${FAIL:-}"],
                "secrets": ["rpc_secret", "client_secret"],
                "healthcheck": {"test": ["CMD-SHELL", "exit 0"], "interval": "1s", "timeout": "30s", "retries": 10},
                "deploy": {"endpoint_mode": "dnsrr"},
            }},
            "volumes": {"data": null},
            "secrets": {
                "rpc_secret": secret("rpc_secret", "SECRET_RPC_SECRET_VERSION"),
                "client_secret": secret("client_secret", "SECRET_CLIENT_SECRET_VERSION"),
            },
        });
        let sample = "GITEA_DOMAIN=gitea.example.com\nSECRET_RPC_SECRET_VERSION=v1\nSECRET_CLIENT_SECRET_VERSION=v1\n";
        self.recipe.publish(version, &[("compose.yml", &compose.to_string()), (".env.sample", sample)]);
    }

    fn declare(&mut self, version: &str, more: &str) {
        let file = |name: &str| self.world.dir.path().join(name).display().to_string();
        let table = format!(
            r#"
[proxy]
recipe = {{ url = "/nowhere/traefik" }}
[drone]
recipe = {{ url = "{url}" }}
version = "{version}"
domain = "{domain}"
secrets = {{ rpc_secret = "{rpc}", client_secret = "{client}" }}
gitea = {{ server = "{gitea}", client_id = "0a1b" }}
gate = {{ http = [], stable_for = "1s", within = "60s" }}
{more}"#,
            url = self.recipe.url(),
            gitea = self.gitea,
            domain = self.world.domain(APP),
            rpc = file("rpc_secret"),
            client = file("client_secret"),
        );
        self.world.table(APP, &table);
    }

    /// Runs the program, which has to end with this code and these words.
    #[track_caller]
    fn ends(&mut self, arguments: &[&str], code: i32, words: &str) {
        let said = self.world.run(arguments);
        assert!(said.code == code && format!("{}{}", said.out, said.err).contains(words), "{said:#?}");
        self.said.push(said);
    }

    fn runner_env(&self) -> PathBuf {
        self.world.state_dir().join(APP).join("runner.env")
    }

    /// The runner is told this secret, and whoever else looks sees nothing.
    #[track_caller]
    fn runner_has(&self, secret: &str) {
        let expected = format!(
            "# Written by evenkeel for the runner; changes are overwritten.\nDRONE_RPC_PROTO='https'\nDRONE_RPC_HOST='{}'\n\
             DRONE_RPC_SECRET='{secret}'\nDRONE_RUNNER_CAPACITY='1'\n",
            self.world.domain(APP)
        );
        assert_eq!(fs::read_to_string(self.runner_env()).unwrap(), expected);
        let found = fs::symlink_metadata(self.runner_env()).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o600, 0, 0));
    }

    /// The server's task mounts the kept secret of these bytes.
    #[track_caller]
    fn server_has(&self, secret: &str) {
        let observed = self.world.observe(APP);
        let spec = &observed.services[&format!("{}_app", self.world.stack(APP))].spec;
        let mounted = spec["TaskTemplate"]["ContainerSpec"]["Secrets"].as_array().unwrap();
        let mut names = mounted.iter().map(|mounted| mounted["SecretName"].as_str().unwrap());
        let name = names.find(|name| name.contains("rpc_secret")).unwrap();
        let kept = fs::read_to_string(self.world.state_dir().join(APP).join("secrets").join(name)).unwrap();
        assert_eq!(kept.trim_end(), secret, "{name}");
    }

    #[track_caller]
    fn both_have(&self, secret: &str) {
        self.server_has(secret);
        self.runner_has(secret);
    }
}

#[test]
fn server_and_runner_have_the_same_secret_whichever_way_it_goes() {
    let mut ci = Ci::new();
    ci.ends(&["runner-env"], 1, "drone is not installed yet: `evenkeel drone` installs it");
    assert!(!ci.world.state_dir().join(APP).exists(), "asking makes nothing");
    ci.ends(&["drone"], 0, "drone: applied: installed");
    ci.both_have(SECRETS[0]);
    let first = inode(&ci.runner_env());
    ci.ends(&["drone"], 0, "drone: converged\n");
    ci.ends(&["runner-env"], 0, "is as it has to be; nothing was written\n");
    assert_eq!(inode(&ci.runner_env()), first, "whoever watches it would start the runner anew");

    // A file that is lost, changed or open to others is mended by whoever comes first.
    fs::remove_file(ci.runner_env()).unwrap();
    ci.ends(&["drone"], 0, "drone: converged\n");
    ci.runner_has(SECRETS[0]);
    fs::set_permissions(ci.runner_env(), fs::Permissions::from_mode(0o644)).unwrap();
    ci.ends(&["runner-env"], 0, "runner.env is written\n");
    ci.runner_has(SECRETS[0]);
    two_at_once(&mut ci);

    // The operator's file says nothing until what it says has passed the gate.
    ci.shares(SECRETS[1]);
    ci.ends(&["runner-env"], 0, "nothing was written");
    ci.runner_has(SECRETS[0]);
    ci.ends(&["drone"], 0, "drone: applied: ");
    ci.both_have(SECRETS[1]);

    // A change that fails takes its secret along, and a version that fails leaves it.
    ci.shares(SECRETS[2]);
    ci.declare("latest", "env = { FAIL = \"1\" }");
    ci.ends(&["drone"], 14, "drone: unhealthy: the change of configuration failed");
    ci.both_have(SECRETS[1]);
    ci.declare("latest", "");
    ci.ends(&["drone"], 0, "drone: applied: ");
    ci.both_have(SECRETS[2]);
    ci.publish("1.1.0+1", "exit 3");
    ci.ends(&["drone"], 11, "drone: rolled-back: ");
    ci.both_have(SECRETS[2]);

    upgrade_and_way_back(&mut ci);
    what_cannot_be_written_is_a_warning(&mut ci);
    nobody_else_has_seen_any(&ci);
}

/// Somebody who is there whenever it is looked whether Gitea is.
fn gitea() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            // Whoever hangs up has no question.
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    format!("http://{address}")
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Each finds the file as it has to be in the end, and one of them has written it.
fn two_at_once(ci: &mut Ci) {
    fs::remove_file(ci.runner_env()).unwrap();
    let begun: Vec<_> = (0..2)
        .map(|_| ci.world.command(&["runner-env"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let ended: Vec<_> = begun.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let told: String = ended.iter().map(|ended| String::from_utf8_lossy(&ended.stdout).into_owned()).collect();
    assert!(ended.iter().all(|ended| ended.status.success()), "{ended:?}");
    assert_eq!((told.matches("is written").count(), told.matches("nothing was written").count()), (1, 1), "{told}");
    ci.runner_has(SECRETS[0]);
}

/// The release before had another secret.
fn upgrade_and_way_back(ci: &mut Ci) {
    ci.publish("1.2.0+1", RUNS);
    killed_under_way(ci);
    ci.ends(&["drone"], 0, "drone: upgraded: 1.0.0+1 -> 1.2.0+1");
    ci.both_have(SECRETS[2]);
    ci.shares(SECRETS[3]);
    ci.ends(&["drone"], 0, "drone: applied: ");
    ci.both_have(SECRETS[3]);
    ci.ends(&["rollback", APP, "--yes"], 0, "drone: applied: ");
    ci.both_have(SECRETS[2]);
    ci.declare("latest", "policy = { never = [\"1.1.0+1\"] }");
    ci.ends(&["drone"], 10, "drone: held: 1.2.0+1 is published and 1.0.0+1 runs: it was left by hand");
    ci.both_have(SECRETS[3]);
}

/// Whoever finishes what a killed run has begun tells the runner, too.
fn killed_under_way(ci: &mut Ci) {
    let mut run = ci.world.start(&["drone"]);
    while ci.world.state(APP)["open"].is_null() {
        assert!(run.try_wait().unwrap().is_none(), "it ended without a transaction");
        thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(ci.runner_env()).unwrap();
    ci.ends(&["resume"], 12, "drone: blocked: ");
    ci.both_have(SECRETS[2]);
    // As after a run that was killed just before its end.
    fs::remove_file(ci.runner_env()).unwrap();
    ci.ends(&["resume"], 0, "nothing is open\n");
    ci.both_have(SECRETS[2]);
}

/// It changes no outcome, and the next run mends it.
fn what_cannot_be_written_is_a_warning(ci: &mut Ci) {
    fs::remove_file(ci.runner_env()).unwrap();
    fs::create_dir(ci.runner_env()).unwrap();
    let words = "; warning: the runner's environment file could not be written: put ";
    ci.ends(&["drone"], 10, words);
    ci.ends(&["runner-env"], 1, "evenkeel: write the runner's environment file: put ");
    fs::remove_dir(ci.runner_env()).unwrap();
    ci.ends(&["drone"], 10, "drone: held");
    ci.both_have(SECRETS[3]);

    let secrets = ci.world.state_dir().join(APP).join("secrets");
    let current = ci.world.state(APP)["current"]["body"]["secrets"].clone();
    let named =
        current.as_object().unwrap().iter().find(|(_, secret)| secret["key"] == "rpc_secret").unwrap().0.clone();
    fs::rename(secrets.join(&named), ci.world.dir.path().join("aside")).unwrap();
    fs::remove_file(ci.runner_env()).unwrap();
    ci.ends(&["runner-env"], 1, &format!("secret {named}, with which the server runs, is not kept in "));
    assert!(!ci.runner_env().exists());
    fs::rename(ci.world.dir.path().join("aside"), secrets.join(&named)).unwrap();
    ci.ends(&["runner-env"], 0, "is written");
    ci.both_have(SECRETS[3]);
}

/// Not on any output, and in no file but those that are there for it.
fn nobody_else_has_seen_any(ci: &Ci) {
    for said in &ci.said {
        assert!(!SECRETS.iter().any(|secret| format!("{said:?}").contains(secret)), "{said:#?}");
    }
    let mut folders = vec![ci.world.state_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("secrets")).then_some(path));
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            let shows = SECRETS.iter().any(|secret| text.contains(secret));
            assert_eq!(shows, path == ci.runner_env(), "{}", path.display());
        }
    }
}
