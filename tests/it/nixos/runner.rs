//! The runner of the build server: what it is given and when, and what its builds can see.
//!
//! The runner itself is a stand-in, since the real ones are not to be had; server, file and units are not. It notes what it
//! was given and reads what a build could.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::machine::{Machine, Service};
use super::rendered::Rendered;
use crate::fixtures::RecipeRepo;
use crate::power::prepared::put_files;

const RUNNER: &str = "evenkeel-runner.service";
const CHANGED: &str = "evenkeel-runner-changed.service";
const FILE: &str = "/var/lib/ci-warm/drone/runner.env";
/// The journal's whole contents but for the lengths that stand in it.
const EXPORTED: &str = "journalctl --no-pager --all --output=export | LC_ALL=C tr -cd '[:print:]\\n'";
const SECRETS: [&str; 2] = ["hunter2-hunter2-one", "hunter2-hunter2-two"];

/// Reads its file as the real one does: into its own memory.
const STAND_IN: &str = r#"#!/bin/sh
[ "$1" = daemon ] || exit 64
[ ! -e /srv/broken ] || exit 3
value() { sed -n "s/^$1='\(.*\)'$/\1/p" "$file"; }
file=$2
{
    echo "capacity $(value DRONE_RUNNER_CAPACITY) at $(value DRONE_RPC_PROTO)://$(value DRONE_RPC_HOST)"
    value DRONE_RPC_SECRET | sha256sum
    for other in /run/credentials/*/* /srv/secrets/rpc /srv/secrets/key.pem /var/lib/ci-warm/drone/*; do
        head -c 1 "$other" >/dev/null 2>&1 && echo "reads $other"
    done
    [ ! -w /run/docker.sock ] || echo "may use Docker"
    touch /var/tmp/build && echo "builds"
} >>"$HOME/notes"
trap 'exit 0' TERM
sleep 1000000 & wait
"#;

/// In the form of the real recipe, with a program that answers, also where Gitea would.
const RECIPE: &str = r#"---
version: "3.8"
services:
  app:
    image: "standin:1.0.0"
    command: ["sh", "-c", "mkdir -p /srv/api; echo ok | tee /srv/healthz >/srv/api/healthz; trap 'exit 0' TERM; httpd -f -p 8080 -h /srv & wait"]
    networks: [proxy]
    volumes: ["data:/data"]
    environment:
      - DRONE_GITEA_SERVER=https://${GITEA_DOMAIN}
      - DRONE_GITEA_CLIENT_ID=${GITEA_CLIENT_ID}
    secrets: [rpc_secret, client_secret]
    healthcheck:
      test: ["CMD", "wget", "-qO-", "http://127.0.0.1:8080/healthz"]
      interval: 1s
    deploy:
      endpoint_mode: dnsrr
      labels:
        - "traefik.enable=true"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=8080"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "traefik.http.routers.${STACK_NAME}.tls.certresolver=${LETS_ENCRYPT_ENV}"
networks:
  proxy:
    external: true
secrets:
  rpc_secret:
    external: true
    name: ${STACK_NAME}_rpc_secret_${SECRET_RPC_SECRET_VERSION}
  client_secret:
    external: true
    name: ${STACK_NAME}_client_secret_${SECRET_CLIENT_SECRET_VERSION}
volumes:
  data:
"#;
const SAMPLE: &str = "DOMAIN=drone.example.org\nLETS_ENCRYPT_ENV=production\nSECRET_RPC_SECRET_VERSION=v1\nSECRET_CLIENT_SECRET_VERSION=v1\n";

/// A build server behind the proxy, with its runner.
fn settings(more: &str) -> String {
    format!(
        r#"{{ pkgs, ... }}: {{
  services.evenkeel = {{
    enable = true;
    baseDomain = "town.example";
    certificate = {{ chain = "/srv/secrets/chain.pem"; key = "/srv/secrets/key.pem"; }};
    alerts.command = [ "/usr/local/bin/relay" ];
    proxy = {{
      recipe.url = "/srv/recipes/traefik";
      version = "5.1.0+v3.6.12";
      compose = [ "compose.yml" "compose.host.yml" "compose.wildcard.yml" ];
      env.WILDCARDS_ENABLED = "1";
      gate = {{ stableFor = "1s"; within = "300s"; }};
    }};
    drone = {{
      recipe.url = "/srv/recipes/drone";
      secrets = {{ rpc_secret = "/srv/secrets/rpc"; client_secret = "/srv/secrets/client"; }};
      gitea = {{ server = "https://drone.town.example"; clientId = "an-id"; }};
      gate = {{ stableFor = "1s"; within = "300s"; http = [ {{ path = "/healthz"; }} ]; }};
      runner.enable = true;
      {more}
    }};
  }};
}}"#
    )
}

#[test]
fn the_runner_gets_what_the_server_runs_with_and_starts_anew_for_nothing_else() {
    let mut recipe = RecipeRepo::empty();
    recipe.publish("1.0.0+2.26.0", &[("compose.yml", RECIPE), (".env.sample", SAMPLE)]);
    let recipes = [("traefik", &RecipeRepo::build("traefik")), ("drone", &recipe)];
    let mut machine = Machine::installed(&settings(""), &["traefik"], &recipes);

    machine.boot();
    is_not_started_before_there_is_a_server(&machine);
    runs_once_the_server_is_up(&mut machine);
    shows_its_secret_nowhere(&machine);
    outlives_a_switch_and_a_file_with_the_same_bytes(&mut machine);
    moves_to_another_secret_with_the_server(&mut machine);
    tells_when_it_fails_for_good_and_comes_back_with_a_night(&machine);
}

fn is_not_started_before_there_is_a_server(machine: &Machine) {
    assert_eq!(machine.service("evenkeel-drone.service").code, "243", "{}", machine.journal());
    let service = machine.service(RUNNER);
    assert_eq!((service.state.as_str(), service.start.as_str()), ("inactive", ""), "{service:?}");
}

fn runs_once_the_server_is_up(machine: &mut Machine) {
    let program = ("drone-runner-exec", STAND_IN);
    put_files(&machine.host, "/opt/drone-runner-exec/bin", &[program]);
    machine.host.shell("chmod 755 /opt/drone-runner-exec/bin/drone-runner-exec");
    put_files(&machine.host, "/srv/secrets", &[("rpc", SECRETS[0]), ("client", "from-gitea")]);
    machine.switch(&settings(""));

    let notes = noted(machine, 1);
    assert_eq!(machine.service(RUNNER).state, "active", "{}", machine.journal());
    let given = "capacity 1 at https://drone.town.example";
    let sum = sum_of_the_declared_secret(machine);
    let own = "reads /run/credentials/evenkeel-runner.service/runner.env";
    assert_eq!(
        notes,
        [given, sum.as_str(), own, "builds"],
        "of the host's secrets a build sees the runner's, and no other"
    );
    assert_eq!(machine.host.shell(&format!("stat -c '%a %U:%G' {FILE}")), "600 root:root\n");
    assert_ne!(machine.host.shell(&format!("stat -c %u /proc/{}", pid(machine))), "0\n");
}

fn shows_its_secret_nowhere(machine: &Machine) {
    let looked = machine.host.shell(&format!(
        "tr '\\0' '\\n' </proc/{}/environ; cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'
         {EXPORTED}; cat /etc/systemd/system/evenkeel-*.service /nix/store/*",
        pid(machine),
    ));
    assert!(looked.contains("DRONE_HTTP_BIND="), "the environment was read");
    assert!(!looked.contains(SECRETS[0]));
}

fn outlives_a_switch_and_a_file_with_the_same_bytes(machine: &mut Machine) {
    let before = machine.service(RUNNER);
    let last = machine.service(CHANGED).start;
    machine.host.shell(&format!("cp -p {FILE} {FILE}.same; mv {FILE}.same {FILE}"));
    let Service { result, .. } = machine.ended_after(CHANGED, &last);
    assert_eq!(result, "success", "{}", machine.journal());
    let told = machine.host.shell("evenkeel runner-env");
    assert!(told.contains("nothing was written"), "{told}");

    let acts = machine.switch(&settings("runner.packages = [ pkgs.evenkeel ];"));
    assert!(acts.skip.contains(RUNNER), "{acts:?}");
    assert_eq!(machine.service(RUNNER), before, "its builds go on: {}", machine.journal());
}

fn moves_to_another_secret_with_the_server(machine: &mut Machine) {
    put_files(&machine.host, "/srv/secrets", &[("rpc", SECRETS[1])]);
    machine.switch(&settings(""));

    let notes = noted(machine, 2);
    assert_eq!(notes[1], sum_of_the_declared_secret(machine), "{notes:?}");
    let journal = machine.host.shell(EXPORTED);
    assert!(SECRETS.iter().all(|secret| !journal.contains(secret)));
}

fn tells_when_it_fails_for_good_and_comes_back_with_a_night(machine: &Machine) {
    machine.add_to(RUNNER, "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=2\n[Service]\nRestartSec=100ms\n");
    machine.host.shell(&format!("touch /srv/broken; systemctl --no-block restart {RUNNER}"));
    let evidence = machine.until("people are told", || {
        let told = machine.relayed().into_iter().filter(|told| told == "host unit-failed -").count();
        (told == 2).then(|| machine.host.shell("cat /var/lib/ci-warm/alerts/seen/*-host-unit-failed.json"))
    });
    assert!(evidence.contains("unit evenkeel-runner.service ended with exit status 3"), "{evidence}");
    assert_eq!(machine.service(RUNNER).state, "failed", "{}", machine.journal());

    machine.host.shell("rm /srv/broken");
    machine.night();
    machine.until("the runner is back", || (machine.service(RUNNER).state == "active").then_some(()));
}

/// What it noted at its last start, the `count`th that went well.
#[track_caller]
fn noted(machine: &Machine, count: usize) -> Vec<String> {
    machine.until("the runner runs", || {
        let notes = machine.host.shell("cat /var/lib/evenkeel-runner/notes || true");
        let starts: Vec<&str> = notes.split_inclusive("builds\n").filter(|start| start.ends_with("builds\n")).collect();
        assert!(starts.len() <= count, "it was started once too often: {}", machine.journal());
        let last = starts.get(count.checked_sub(1)?)?;
        Some(last.lines().map(str::to_owned).collect())
    })
}

/// The file has no line end at its end, and the runner's line has one.
fn sum_of_the_declared_secret(machine: &Machine) -> String {
    machine.host.shell("(cat /srv/secrets/rpc; echo) | sha256sum").trim_end().to_owned()
}

fn pid(machine: &Machine) -> String {
    machine.host.shell(&format!("systemctl show {RUNNER} --property=MainPID --value")).trim().to_owned()
}

/// Its steps get all of its environment.
#[test]
fn woodpeckers_agent_has_its_secret_in_a_file_and_everything_else_in_its_environment() {
    let rendered = Rendered::of(&settings(r#"engine = "woodpecker"; secrets.agent_secret = "/srv/secrets/agent";"#));
    let units = rendered.units();
    let unit = &units[RUNNER];
    assert!(unit.contains("WOODPECKER_AGENT_SECRET_FILE="), "{unit}");
    let launcher = fs::read_to_string(rendered.root().join(rendered.command(RUNNER).trim_start_matches('/'))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let given = "# Written by evenkeel.\nWOODPECKER_SERVER='ci.town.example:443'\nWOODPECKER_MAX_WORKFLOWS='1'\n\
                 WOODPECKER_AGENT_SECRET='hunter2 = $a `b`'\nLD_PRELOAD='x'\n";
    fs::write(dir.path().join("runner.env"), given).unwrap();
    let script = dir.path().join("launcher");
    fs::write(&script, launcher.replace("/opt/woodpecker-agent/bin/woodpecker-agent", "/usr/bin/env")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();

    let secret = dir.path().join("secret");
    let mut agent = Command::new("bash");
    agent
        .arg(&script)
        .env_clear()
        .env("CREDENTIALS_DIRECTORY", dir.path())
        .env("WOODPECKER_AGENT_SECRET_FILE", &secret);
    let output = agent.output().unwrap();

    assert!(output.status.success(), "{output:?}");
    let environment = String::from_utf8(output.stdout).unwrap();
    let told: Vec<&str> =
        environment.lines().filter(|line| !line.starts_with("WOODPECKER_AGENT_SECRET_FILE=")).collect();
    for line in ["WOODPECKER_SERVER=ci.town.example:443", "WOODPECKER_MAX_WORKFLOWS=1"] {
        assert!(told.contains(&line), "{line}: {environment}");
    }
    assert!(!environment.contains("hunter2") && !environment.contains("LD_PRELOAD"), "{environment}");
    assert_eq!(fs::read_to_string(secret).unwrap(), "hunter2 = $a `b`");
}
