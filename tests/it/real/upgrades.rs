//! The real proxy is upgraded, and an app behind it is upgraded while it is down.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use serde_json::Value;

use super::certificate;
use super::{TRAEFIK, Town, on_engine};

const NEXT: &str = "5.2.0+v3.6.13";
const BROKEN: &str = "5.3.0+v3.6.14";

#[test]
fn the_proxy_is_upgraded_behind_its_gate_and_put_back_where_it_fails() {
    let mut town = Town::new();
    town.give(&certificate::good(&town.world.base));
    town.declare("standin", "standin-app", "1.0.0+1.0.0", "");
    town.ends(&["proxy"], 0, "proxy: applied: installed");
    town.ends(&["app", "standin"], 0, "standin: applied: installed");

    takes_a_good_version(&mut town);
    puts_back_a_version_that_does_not_come_up(&mut town);
    upgrades_an_app_while_the_proxy_is_down(&mut town);
}

/// The same image under another tag, and another configuration.
fn takes_a_good_version(town: &mut Town) {
    town.publish(NEXT, "traefik:v3.6.12", "traefik:v3.6.13", "");
    // The notes of the version between are no reason to wait here.
    town.declare_proxy("latest", "policy = { notes = \"ignore\" }");
    town.ends(&["proxy"], 0, &format!("proxy: upgraded: {TRAEFIK} -> {NEXT} passed its gate"));
    town.is_served("standin", "1.0.0");
    town.ends(&["proxy"], 0, "proxy: converged").wrote_nothing();
}

fn puts_back_a_version_that_does_not_come_up(town: &mut Town) {
    town.publish(BROKEN, "standin:1.0.0", "traefik:v3.6.14", "      - REFUSE=1\n");
    let run =
        town.ends(&["proxy"], 11, &format!("proxy: rolled-back: the upgrade {NEXT} -> {BROKEN} did not pass its gate"));
    assert!(run.said.out.contains(&format!("{NEXT} runs again")), "{run:#?}");
    town.is_served("standin", "1.0.0");
    let run = town.ends(&["proxy"], 10, "`evenkeel approve proxy 5.3.0+v3.6.14`");
    run.wrote_nothing();
    town.ends(&["app", "standin"], 0, "standin: converged").wrote_nothing();
}

/// Nothing can be said of it until the proxy answers again, and then it is judged by its own answers.
fn upgrades_an_app_while_the_proxy_is_down(town: &mut Town) {
    let gate = "gate = { stable_for = \"1s\", within = \"40s\" }";
    town.declare("standin", "standin-app", "1.1.0+1.1.0", gate);
    let mut run = town.world.start_with_log(&["app", "standin"]);
    let state = town.world.state_dir().join("standin/state.json");
    let step = || {
        let state: Option<Value> = std::fs::read(&state).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        state.and_then(|state| state["open"]["step"].as_str().map(str::to_owned))
    };
    while step().as_deref() != Some("stop") {
        assert_eq!(run.try_wait().unwrap(), None, "the upgrade never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    let proxy = town.service("proxy");
    on_engine(async move |swarm| swarm.scale_to_nothing(&proxy).await.unwrap());

    let mut log = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let again = log.find(|line| line.contains("tried again")).expect("the run ended without a doubt");
    assert!(again.contains("nothing can be said about the app"), "{again}");
    assert_eq!(step().as_deref(), Some("judge"));
    town.ends(&["proxy", "--no-upgrade"], 0, "proxy: applied: repaired");

    let rest: Vec<String> = log.collect();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{rest:#?}");
    town.is_served("standin", "1.1.0");
    assert!(town.world.state("standin")["refused"].as_array().is_none_or(Vec::is_empty));
    town.ends(&["app", "standin"], 0, "standin: converged").wrote_nothing();
}

impl Town {
    /// A version of the proxy's recipe whose image is this one under a name of its own.
    fn publish(&mut self, version: &str, image: &str, name: &str, variable: &str) {
        let (repository, tag) = name.split_once(':').unwrap();
        on_engine(async |swarm| {
            let path = format!("/images/{image}/tag");
            swarm.engine().post(&path, &[("repo", repository), ("tag", tag)], &Value::Null).await.unwrap();
        });
        let recipe = self.recipes.get_mut("traefik").unwrap();
        let compose: Vec<String> = recipe.read("compose.yml").lines().map(str::to_owned).collect();
        let line = |line: &String| match line.trim_start() {
            old if old.starts_with("image: ") => format!("    image: \"{name}\"\n"),
            "- LOG_LEVEL" => format!("{line}\n{variable}"),
            _ => format!("{line}\n"),
        };
        let compose: String = compose.iter().map(line).collect();
        recipe.publish(version, &[("compose.yml", &compose)]);
    }
}
