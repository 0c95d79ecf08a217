//! Small recipes that are enrolled side by side, each with a character of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use evenkeel::host::swarm::Marked;
use evenkeel::model::secret::HostKey;
use evenkeel::model::throw_away::RUN;
use serde_json::{Value, json};

use super::nights::entrypoint;
use super::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, on_engine};

/// Long enough for a busy machine.
const WITHIN: &str = "within = \"60s\"";

/// What a version does when it is started.
#[derive(Debug, Clone, Copy)]
pub enum Acts {
    Runs,
    /// Ends with an error as soon as it has begun.
    Crashes,
    /// Starts, and never becomes healthy; it does not listen when it is told to end.
    Hangs,
}

pub struct Yard {
    pub world: World,
    recipes: BTreeMap<String, RecipeRepo>,
}

impl Yard {
    /// Recipes with one version each, enrolled and not seeded.
    pub fn of(names: &[&str]) -> Self {
        Self::on(World::on_shared(), names)
    }

    fn on(world: World, names: &[&str]) -> Self {
        let mut yard = Self { world, recipes: BTreeMap::new() };
        for name in names {
            yard.recipes.insert((*name).to_owned(), RecipeRepo::empty());
            yard.publish(name, "1.0.0+1", Acts::Runs);
            yard.declare(name, WITHIN);
        }
        yard
    }

    /// The same, each with a known-good.
    pub fn seeded(names: &[&str]) -> Self {
        Self::seeded_on(World::on_shared(), names)
    }

    pub fn seeded_on(world: World, names: &[&str]) -> Self {
        let yard = Self::on(world, names);
        let said = yard.sweep();
        assert_eq!(said.code, 0, "{said:#?}");
        for name in names {
            yard.has_row(&said, name, "seeded", "1.0.0+1");
            yard.knows(name, "1.0.0+1");
        }
        yard
    }

    pub fn declare(&mut self, name: &str, within: &str) {
        let (url, domain) = (self.recipes[name].url(), self.world.domain(name));
        let text = format!(
            "[canonical.{name}]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\n\
             gate = {{ stable_for = \"1s\", {within} }}\n"
        );
        self.world.table(name, &text);
    }

    pub fn publish(&mut self, name: &str, version: &str, acts: Acts) {
        self.publish_compose(name, version, &compose(version, acts));
    }

    pub fn publish_compose(&mut self, name: &str, version: &str, compose: &Value) {
        self.publish_files(name, version, compose, "SECRET_KEY_VERSION=v1 # length=16\n");
    }

    pub fn publish_files(&mut self, name: &str, version: &str, compose: &Value, sample: &str) {
        let compose = compose.to_string();
        let files = [("compose.yml", compose.as_str()), (".env.sample", sample)];
        self.recipes.get_mut(name).unwrap().publish(version, &files);
    }

    /// Where the recipe lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.recipes[name].path().to_owned()
    }

    pub fn sweep(&self) -> Said {
        self.world.run(&["canonical", "sweep"])
    }

    /// The table has this row, and one for it only.
    #[track_caller]
    pub fn has_row(&self, said: &Said, name: &str, result: &str, version: &str) {
        let rows: Vec<Vec<&str>> = said.out.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
        let mut of_it = rows.iter().filter(|row| row[0] == name);
        let row = of_it.next().unwrap_or_else(|| panic!("no row for {name}: {said:#?}"));
        assert!(of_it.next().is_none(), "{said:#?}");
        assert!(row.contains(&result) && row.contains(&version), "{name} {result} {version}: {said:#?}");
    }

    /// This is its known-good, with a sealed snapshot, and nothing of it runs.
    #[track_caller]
    pub fn knows(&self, name: &str, version: &str) {
        let state = self.world.state(name);
        assert_eq!(state["current"]["body"]["revision"]["version"], version, "{state:#}");
        assert_eq!(state["warm"]["status"], "idle", "{state:#}");
        let snapshot = state["current"]["snapshot"].as_str().unwrap();
        let folder = self.world.state_dir().join(name).join("snapshots").join(snapshot);
        assert!(folder.join(format!("{name}.meta.json")).exists(), "{}", folder.display());
        let containers = self.world.observe(name).containers;
        assert!(containers.iter().all(|container| container.state != "running"), "{containers:#?}");
    }

    pub fn progress(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.world.state_dir().join("sweep.json")).ok()?).ok()
    }

    /// A recipe of the sweep as its progress has it.
    pub fn recipe(&self, name: &str) -> Option<Value> {
        self.progress()?["recipes"].as_array()?.iter().find(|recipe| recipe["name"] == name).cloned()
    }

    pub fn key(&self) -> HostKey {
        HostKey::new(fs::read(self.world.state_dir().join("host.key")).unwrap())
    }

    /// Everything on the Engine that is marked as a throw-away stack of this host.
    pub fn throw_aways(&self) -> Vec<Marked> {
        let base = self.world.base.replace('.', "_");
        let of_us = |marked: &Marked| marked.labels.values().any(|label| label.ends_with(&format!("_{base}")));
        let all = on_engine(async |swarm| swarm.marked(&[RUN]).await.unwrap());
        all.into_iter().filter(of_us).collect()
    }

    /// What is kept of throw-away stacks.
    pub fn folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.world.state_dir().join("sweep")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    /// Alerts that wait, as `app reason`, sorted.
    pub fn alerts(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.world.state_dir().join("alerts")) else { return Vec::new() };
        let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some());
        let text = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let word = |alert: Value| format!("{} {}", alert["app"].as_str().unwrap(), alert["reason"].as_str().unwrap());
        let mut alerts: Vec<String> = files.map(|path| word(text(path))).collect();
        alerts.sort();
        alerts
    }
}

pub fn compose(version: &str, acts: Acts) -> Value {
    let script = match acts {
        Acts::Runs => "trap 'exit 0' TERM; echo here > /data/mark; while :; do sleep 1; done",
        Acts::Crashes => "echo nothing works; exit 3",
        Acts::Hangs => "trap '' TERM; while :; do sleep 1; done",
    };
    // What ends at once never counts as running, however slow the machine is.
    let (test, start_period) = match acts {
        Acts::Hangs => ("exit 1", "1h"),
        Acts::Runs | Acts::Crashes => ("exit 0", "0s"),
    };
    json!({
        "services": {"app": {
            "image": PrivateEngine::shared().image(),
            "entrypoint": entrypoint(script),
            "stop_grace_period": if matches!(acts, Acts::Hangs) { "1h" } else { "20s" },
            "healthcheck": {
                "test": ["CMD-SHELL", test], "interval": "1s", "timeout": "30s", "retries": 10,
                "start_period": start_period,
            },
            "volumes": ["data:/data"],
            "environment": {"RELEASE": version},
            "secrets": ["key"],
            "configs": [{"source": "run", "target": "/run.txt"}],
            "networks": ["internal"],
            "deploy": {"endpoint_mode": "dnsrr"},
        }},
        "volumes": {"data": null},
        "networks": {"internal": {}},
        "configs": {"run": {"name": "${STACK_NAME}_run_v1", "file": "compose.yml"}},
        "secrets": {"key": {"external": true, "name": "${STACK_NAME}_key_${SECRET_KEY_VERSION}"}},
    })
}
