//! What a plan says of a stack that runs, and that a paused one is really left alone.

use serde_json::{Value, json};

use crate::fixtures::RecipeRepo;
use crate::schemas::faults;
use crate::world::{World, on_engine};

const VERSION: &str = "1.0.0+1.0.0";

/// The app `wiki`, installed, and its recipe.
fn installed() -> (World, RecipeRepo) {
    let (mut world, recipe) = (World::new(), RecipeRepo::build("standin-app"));
    world.declare("wiki", &recipe.url(), VERSION, "");
    world.ok(&["app", "wiki"]);
    (world, recipe)
}

/// What a program reads, which has to be as its schema says.
fn answer(world: &World, verb: &str) -> Value {
    let said = world.run(&[verb, "--json"]);
    assert_eq!(faults(verb, &said.out), Vec::<String>::new(), "{said:#?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn a_plan_tells_how_a_restart_is_reckoned_from_what_runs_and_what_stays() {
    let (mut world, recipe) = installed();
    world.declare("wiki", &recipe.url(), VERSION, "env = { TZ = \"Europe/Berlin\" }");
    let (before, stack) = (world.fingerprint("wiki"), world.stack("wiki"));
    let said = world.run(&["plan", "wiki"]);
    assert_eq!(said.code, 2, "{said:#?}");
    for part in [
        format!("  restarts\n    ~ service {stack}_app: environment TZ\n        away for about "),
        " s: at most 10 s to stop (stop_grace_period), ".to_owned(),
        " to start (as the last time); watched for 5 s more (monitor)\n".to_owned(),
        "        @@ TaskTemplate.ContainerSpec.Env @@\n        +TZ=Europe/Berlin\n".to_owned(),
        format!("  stays\n      network proxy\n      volume {stack}_data\n"),
    ] {
        assert!(said.out.contains(&part), "no {part:?} in {said:#?}");
    }
    let plan = answer(&world, "plan");
    let change = &plan[0]["plan"]["changes"][0];
    assert_eq!((&change["group"], &change["restart"]["start_known_from"]), (&json!("restarts"), &json!("last_start")));
    assert!(change["restart"]["start_seconds"].as_u64().is_some_and(|seconds| seconds < 600), "{change:#}");
    assert_eq!(plan[0]["plan"]["stays"]["volumes"], json!([format!("{stack}_data")]));
    assert_eq!(world.fingerprint("wiki"), before);
}

#[test]
fn a_paused_app_is_not_repaired_until_it_is_kept_again() {
    let (world, _recipe) = installed();
    world.ok(&["pause", "wiki", "--for", "2h", "--reason", "moving the data"]);
    let service = format!("{}_app", world.stack("wiki"));
    on_engine(async |swarm| {
        let live = swarm.engine().get(&format!("/services/{service}"), &[]).await.unwrap();
        let (path, index) = (format!("/services/{service}/update"), live["Version"]["Index"].to_string());
        let mut spec = live["Spec"].clone();
        spec["Mode"]["Replicated"]["Replicas"] = json!(0);
        swarm.engine().post(&path, &[("version", &index)], &spec).await.unwrap();
    });
    let replicas = || world.observe("wiki").services[&service].spec["Mode"]["Replicated"]["Replicas"].clone();
    let index = world.observe("wiki").services[&service].index;
    for run in [&["app"][..], &["app", "wiki", "--retry"]] {
        let said = world.ok(run);
        assert!(said.out.starts_with("wiki: waiting: paused by ") && said.out.contains("moving the data"), "{said:#?}");
    }
    assert_eq!((replicas(), world.observe("wiki").services[&service].index), (json!(0), index));
    let said = world.ok(&["plan", "wiki"]);
    assert!(said.out.contains("-Replicas: 0\n        +Replicas: 1\n"), "what would come after the pause: {said:#?}");
    assert_eq!(answer(&world, "status")[0]["pause"]["reason"], "moving the data");

    world.ok(&["unpause", "wiki"]);
    let said = world.ok(&["app", "wiki"]);
    assert!(said.out.starts_with("wiki: applied: repaired"), "{said:#?}");
    assert_eq!(replicas(), json!(1));
}
