//! What a person finds, and how he gets out of it.

use serde_json::json;

use super::recorder::writes;
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{World, on_engine};

/// An app of one service on the image with a shell; `more` are further lines of the service.
fn shell_app(script: &str, more: &str, within: &str) -> (World, RecipeRepo) {
    let image = PrivateEngine::shared().image();
    let compose = format!(
        "services:\n  app:\n    image: {image}\n    entrypoint: [sh, -c, {}]\n    stop_grace_period: 1s\n{more}",
        json!(script)
    );
    let mut recipe = RecipeRepo::empty();
    recipe.publish("1.0.0+1.0.0", &[("compose.yml", &compose), (".env.sample", "")]);
    let mut world = World::new();
    let gate = format!("gate = {{ stable_for = \"1s\", within = \"{within}\" }}\n");
    world.declare("shell", &recipe.url(), "1.0.0+1.0.0", &gate);
    (world, recipe)
}

#[test]
fn an_app_whose_volume_is_gone_is_not_started_over_an_empty_one() {
    let world = World::new().app("lost", "standin-app", "1.0.0+1.0.0", "");
    world.ok(&["app", "lost"]);
    let (service, volume) = (format!("{}_app", world.stack("lost")), format!("{}_data", world.stack("lost")));
    let id = world.observe("lost").services[&service].id.clone();
    on_engine(async |swarm| {
        swarm.remove_service(&service).await.unwrap();
        swarm.wait_containers_gone(&[id], super::DEADLINE).await.unwrap();
        swarm.engine().delete(&format!("/volumes/{volume}"), &[]).await.unwrap();
    });

    let (world, recorder) = world.recorded();
    let said = world.run(&["app", "lost"]);
    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.out.contains(&format!("volume {volume} of this app is gone")), "{said:?}");
    assert_eq!(writes(&recorder.take()), Vec::<&String>::new());

    on_engine(async |swarm| swarm.engine().post("/volumes/create", &[], &json!({"Name": volume})).await.unwrap());
    assert!(world.ok(&["app", "lost"]).out.contains("repaired"));
}

#[test]
fn what_swarm_has_given_up_starts_again_when_a_person_asks() {
    let never_again = "    deploy: {restart_policy: {condition: none}}\n";
    let (world, _recipe) = shell_app("exec sleep 1000", never_again, "300s");
    world.ok(&["app", "shell"]);
    let killed = world.observe("shell").containers[0].id.clone();
    on_engine(async |swarm| {
        swarm.engine().post(&format!("/containers/{killed}/kill"), &[], &json!(null)).await.unwrap()
    });
    let stack: evenkeel::model::app::StackName = world.stack("shell").parse().unwrap();
    on_engine(async |swarm| {
        let stack = super::Stack { name: stack, swarm };
        stack
            .until("the task has failed", |observed| observed.tasks.iter().any(|task| task.exit_code == Some(137)))
            .await;
    });

    assert_eq!(world.run(&["app", "shell"]).code, 14);
    let said = world.ok(&["app", "shell", "--retry"]);
    assert!(said.out.starts_with("shell: applied"), "{said:?}");
    assert_eq!(world.ok(&["app", "shell"]).out, "shell: converged\n");
}

#[test]
fn a_health_check_that_does_not_pass_is_quoted() {
    let check =
        "    healthcheck: {test: [CMD-SHELL, 'echo ping is switched off; exit 1'], interval: 1s, retries: 100}\n";
    let (world, _recipe) = shell_app("exec sleep 1000", check, "30s");
    let said = world.run(&["app", "shell"]);
    assert_eq!(said.code, 14, "{said:?}");
    assert!(said.out.contains("its health check says: ping is switched off"), "{said:?}");
}
