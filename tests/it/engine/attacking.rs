//! The real program against bad luck and bad input: what it must never say, lose or give away.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use evenkeel::host::engine::Engine;
use evenkeel::model::secret::SecretBytes;
use serde_json::json;

use super::private::PrivateEngine;
use super::recorder::{Moment, Recorder};
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, on_engine};

const VERSION: &str = "1.0.0+1.0.0";
const SAMPLE: &str = "SECRET_TOKEN_VERSION=v1 # length=20\n";

/// An app without volumes whose secret is generated.
fn compose(command: &str, more: &str) -> String {
    format!(
        r#"
version: "3.8"
services:
  app:
    image: "standin:1.0.0"
    entrypoint: ["sh", "-c", {command:?}]
    environment: {{REFUSE: "${{REFUSE:-}}"}}
    secrets: [token]
    deploy: {{endpoint_mode: dnsrr, restart_policy: {{condition: any, delay: 200ms}}}}
secrets:
  token: {{external: true, name: "${{STACK_NAME}}_token_${{SECRET_TOKEN_VERSION}}"}}
{more}
"#
    )
}

const SLEEPS: &str = "test -z \"$$REFUSE\" || exit 1; trap 'exit 0' TERM; sleep 1000000 & wait";

fn recipe(compose: &str) -> RecipeRepo {
    let mut repo = RecipeRepo::empty();
    repo.publish(VERSION, &[("compose.yml", compose), (".env.sample", SAMPLE)]);
    repo
}

fn kept_secret(world: &World, app: &str, version: &str) -> Vec<u8> {
    let name = format!("{}_token_{version}", world.stack(app));
    std::fs::read(world.state_dir().join(app).join("secrets").join(name)).unwrap()
}

fn remove_service(world: &World, app: &str) {
    let name = format!("{}_app", world.stack(app));
    let id = world.observe(app).services[&name].id.clone();
    on_engine(async move |swarm| {
        swarm.remove_service(&name).await.unwrap();
        swarm.wait_containers_gone(&[id], super::DEADLINE).await.unwrap();
    });
}

/// The program after a shell has prepared its surroundings.
fn run_after(world: &World, wrapper: &[&str], setup: &str, arguments: &[&str]) -> Said {
    let script = format!("{setup} && exec \"$@\"");
    let (program, more) = wrapper.split_first().unwrap_or((&"env", &[]));
    let output = Command::new(program)
        .args(more)
        .args(["sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_evenkeel"), "--config"])
        .arg(world.config())
        .args(arguments)
        .env_remove("DOCKER_HOST")
        .env_remove("INVOCATION_ID")
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_file_for_a_secret_that_was_generated_before_does_not_pass_for_it() {
    let repo = recipe(&compose(SLEEPS, ""));
    let mut world = World::new();
    world.declare("given", &repo.url(), VERSION, "");
    world.ok(&["app", "given"]);
    let generated = kept_secret(&world, "given", "v1");

    let file = world.file("token", b"the operator's own");
    world.declare("given", &repo.url(), VERSION, &format!("secrets = {{ token = \"{}\" }}", file.display()));
    let said = world.ok(&["app", "given"]);

    assert!(said.out.starts_with("given: applied: changed"), "{said:?}");
    let mounted = &world.observe("given").services[&format!("{}_app", world.stack("given"))].spec["TaskTemplate"]["ContainerSpec"]
        ["Secrets"][0]["SecretName"];
    assert!(mounted.as_str().unwrap().starts_with(&format!("{}_token_c", world.stack("given"))), "{mounted}");
    assert_eq!(kept_secret(&world, "given", "v1"), generated);
}

#[test]
fn what_runs_is_kept_while_no_plan_can_be_made_for_what_is_declared() {
    let repo = recipe(&compose(SLEEPS, ""));
    let mut world = World::new();
    world.declare("kept", &repo.url(), VERSION, "");
    world.ok(&["app", "kept"]);
    let nowhere = "services: {app: {networks: [nowhere]}}\nnetworks: {nowhere: {external: true}}\nversion: '3.8'\n";
    let file = world.file("nowhere.yml", nowhere.as_bytes());
    let more = format!("compose = [\"compose.yml\", \"{}\"]", file.display());
    world.declare("kept", &repo.url(), VERSION, &more);
    remove_service(&world, "kept");

    let said = world.run(&["app", "kept"]);

    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.out.contains("network nowhere is external and does not exist"), "{said:?}");
    assert!(said.out.contains("repaired") && said.out.contains("kept_"), "{said:?}");
    assert_eq!(world.observe("kept").services.len(), 1);
    assert!(world.run(&["plan", "kept"]).out.contains("network nowhere is external and does not exist"));
}

#[test]
fn a_change_that_cannot_be_put_back_is_told_as_such_now_and_later() {
    let refuses =
        |world: &World| world.observe("between").services.values().any(|s| s.spec.to_string().contains("REFUSE=1"));
    let external = "  own: {external: true, name: NAME}\n";
    let goes = Arc::<Mutex<Option<String>>>::default();
    let gone = Arc::clone(&goes);
    let recorder = Recorder::with_hook(PrivateEngine::shared().socket(), move |moment, request| {
        if moment == Moment::Answered
            && request.contains("/update?")
            && let Some(name) = gone.lock().unwrap().take()
        {
            on_engine(async move |swarm| swarm.remove_secret(&name).await.unwrap());
        }
        true
    });
    let mut world = World::new().through(recorder.endpoint());
    let name = format!("{}-own", world.stack("between"));
    let repo = recipe(&compose(SLEEPS, ""));
    let over =
        format!("version: '3.8'\nservices: {{app: {{secrets: [own]}}}}\nsecrets:\n{}", external.replace("NAME", &name));
    let file = world.file("own.yml", over.as_bytes());
    let spec = json!({"Name": name, "Labels": {}});
    on_engine(async |swarm| swarm.create_secret(&spec, &SecretBytes::new(b"own".to_vec())).await.map(drop).unwrap());
    let with = format!("compose = [\"compose.yml\", \"{}\"]", file.display());
    world.declare("between", &repo.url(), VERSION, &with);
    world.ok(&["app", "between"]);

    // The only thing that the way back needs is taken away as soon as the change has begun.
    world.declare("between", &repo.url(), VERSION, "env = { REFUSE = \"1\" }");
    *goes.lock().unwrap() = Some(name.clone());
    let run = world.run(&["app", "between"]);
    assert_eq!(*goes.lock().unwrap(), None, "the change has not begun");

    assert_eq!(run.code, 14, "{run:?}");
    assert!(run.out.contains("could not be put back") && run.out.contains(&name), "{run:?}");
    let later = world.run(&["app", "between"]);
    assert_eq!(later.code, 14, "{later:?}");
    assert!(later.out.contains("what runs cannot be kept either") && later.out.contains(&name), "{later:?}");

    on_engine(async |swarm| swarm.create_secret(&spec, &SecretBytes::new(b"own".to_vec())).await.map(drop).unwrap());
    let back = world.run(&["app", "between"]);
    assert!(back.code == 14 && back.out.contains("the previous one runs again"), "{back:?}");
    assert!(!refuses(&world));
}

#[test]
fn one_damaged_state_hides_no_other_app() {
    let repo = recipe(&compose(SLEEPS, ""));
    let mut world = World::new();
    world.declare("damaged", &repo.url(), VERSION, "");
    world.declare("well", &repo.url(), VERSION, "");
    world.ok(&["app", "well"]);
    std::fs::create_dir_all(world.state_dir().join("damaged")).unwrap();
    std::fs::write(world.state_dir().join("damaged/state.json"), "{\"schema\": 1, \"sta").unwrap();

    let said = world.run(&["status"]);

    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.out.contains("state.json is damaged") && said.out.contains("healthy"), "{said:?}");
    let said = world.run(&["app"]);
    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.out.contains("well: converged"), "{said:?}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_still_looked_at() {
    let repo = recipe(&compose(SLEEPS, ""));
    let mut world = World::new();
    world.declare("readonly", &repo.url(), VERSION, "");
    world.ok(&["app", "readonly"]);
    let state = world.state_dir();
    let setup = format!("mount --bind {0} {0} && mount -o remount,ro,bind {0}", state.display());
    let sealed = |arguments: &[&str]| run_after(&world, &["unshare", "--mount"], &setup, arguments);

    let status = sealed(&["status"]);
    assert!(status.code == 0 && status.out.contains("healthy"), "{status:?}");
    let plan = sealed(&["plan"]);
    assert!(plan.code == 0 && plan.out.contains("nothing to do"), "{plan:?}");
    let name = format!("{}_token_v1", world.stack("readonly"));
    assert_eq!(sealed(&["secret", "show", "readonly", &name, "--raw"]).code, 0);
    let run = sealed(&["app"]);
    assert!(run.code == 1 && run.err.contains("cannot be used"), "{run:?}");
}

#[test]
fn a_secret_that_an_app_prints_is_repeated_nowhere() {
    let prints = "echo \"the token is $$(cat /run/secrets/token)\" >&2; exit 7";
    let repo = recipe(&compose(prints, ""));
    let mut world = World::new();
    world.declare("loose", &repo.url(), VERSION, "");

    let first = world.run(&["-vv", "app", "loose"]);
    let second = world.run(&["-vv", "app", "loose"]);

    assert_eq!((first.code, second.code), (14, 14), "{first:?} {second:?}");
    assert!(first.out.contains("the token is [secret]"), "{first:?}");
    let token = String::from_utf8(kept_secret(&world, "loose", "v1")).unwrap();
    let read = |name: &str| std::fs::read_to_string(world.state_dir().join(name)).unwrap();
    let plan = world.run(&["plan", "--json"]);
    let status = world.run(&["status", "--json"]);
    let mut told = vec![read("history.jsonl"), read("loose/state.json")];
    told.extend([first, second, plan, status].map(|said| said.out + &said.err));
    assert!(told.iter().all(|text| !text.contains(&token)), "{told:#?}");
}

#[test]
fn what_is_kept_is_ours_alone_whatever_the_umask() {
    for umask in ["000", "077"] {
        let repo = recipe(&compose(SLEEPS, ""));
        let mut world = World::new();
        world.declare("modes", &repo.url(), VERSION, "");
        let said = run_after(&world, &[], &format!("umask {umask}"), &["app"]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(open_to_others(&world.state_dir()), Vec::<String>::new(), "umask {umask}");
    }
}

/// Files and folders that others may enter or read; below a closed folder nothing is open.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        // A node exporter, which is not root, reads the figures.
        if mode & 0o077 != 0 && entry.file_name() != "metrics.prom" {
            open.push(format!("{} {mode:o}", entry.path().display()));
        }
        if entry.path().is_dir() && !entry.path().to_string_lossy().ends_with(".git") {
            open.extend(open_to_others(&entry.path()));
        }
    }
    open
}

#[test]
fn drift_that_is_repaired_beside_a_held_version_is_told() {
    let repo = RecipeRepo::build("standin-app");
    let mut world = World::new();
    world.declare("drift", &repo.url(), VERSION, "");
    world.ok(&["app", "drift"]);
    world.declare("drift", &repo.url(), "latest", "policy = { auto = \"none\" }");
    remove_service(&world, "drift");

    let said = world.run(&["app", "drift"]);

    assert_eq!(said.code, 10, "{said:?}");
    assert!(said.out.contains("repaired") && said.out.contains("drift_"), "{said:?}");
    assert_eq!(world.observe("drift").services.len(), 1);
}

#[test]
fn several_runs_make_the_shared_network_together() {
    let world = World::new();
    for round in 0..3 {
        let name = format!("evenkeel-test-shared-{round}");
        let config = std::fs::read_to_string(world.config()).unwrap();
        let config = config.replace("10.200.0.0/16", &format!("10.19{round}.0.0/24\"\nname = \"{name}"));
        let path = world.file("shared.toml", config.as_bytes());
        let run = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
            command.env_remove("DOCKER_HOST").arg("--config").arg(&path).arg("swarm").output().unwrap()
        };
        let outputs: Vec<_> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        on_engine(async |swarm| swarm.remove_network(&name, super::DEADLINE).await.unwrap());
        let failed: Vec<_> = outputs.iter().filter(|output| !output.status.success()).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

#[test]
fn a_name_that_stands_for_another_image_by_now_starts_the_one_that_ran() {
    let repo = recipe(&compose(SLEEPS, "").replace("standin:1.0.0", "${IMAGE}"));
    let mut world = World::new();
    let (one, two) = (image_id("standin:1.0.0"), image_id("standin:2.0.0"));
    let name = format!("evenkeel-test-moved:{}", std::process::id());
    tag(&one, &name);
    world.declare("moved", &repo.url(), VERSION, &format!("env = {{ IMAGE = \"{name}\" }}"));
    world.ok(&["app", "moved"]);
    tag(&two, &name);
    assert_eq!(world.ok(&["app", "moved"]).out, "moved: converged\n");
    remove_service(&world, "moved");

    let said = world.ok(&["app", "moved"]);

    assert!(said.out.contains("repaired"), "{said:?}");
    let service = world.observe("moved").services.into_values().next().unwrap();
    assert_eq!(service.spec["TaskTemplate"]["ContainerSpec"]["Image"], one.as_str());
    assert_eq!(world.ok(&["app", "moved"]).out, "moved: converged\n");
}

fn image_id(name: &str) -> String {
    on_private(async |engine| {
        engine.get(&format!("/images/{name}/json"), &[]).await.unwrap()["Id"].as_str().unwrap().to_owned()
    })
}

fn tag(id: &str, name: &str) {
    let (repository, tag) = name.split_once(':').unwrap();
    let query = [("repo", repository), ("tag", tag)];
    on_private(async |engine| drop(engine.post(&format!("/images/{id}/tag"), &query, &json!(null)).await.unwrap()));
}

fn on_private<T>(act: impl AsyncFnOnce(Engine) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { act(Engine::connect(PrivateEngine::shared().endpoint()).await.unwrap()).await })
}
