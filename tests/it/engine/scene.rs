//! A world with one app behind a recording socket, and what must hold of it at any time.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use super::recorder::{Recorder, writes};
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, on_engine};

/// The app of every scene.
pub const APP: &str = "wiki";

/// Long enough for many stacks on a busy machine.
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";

pub struct Scene {
    pub world: World,
    pub recorder: Recorder,
    recipe: RecipeRepo,
}

impl Scene {
    pub fn new(recipe: &str) -> Self {
        Self::behind(recipe, Recorder::in_front_of(PrivateEngine::shared().socket()))
    }

    pub fn behind(recipe: &str, recorder: Recorder) -> Self {
        let world = World::new().through(recorder.endpoint());
        let mut scene = Self { world, recorder, recipe: RecipeRepo::build(recipe) };
        scene.declare("");
        scene
    }

    /// Declares the app anew, with these further lines in its table.
    pub fn declare(&mut self, lines: &str) {
        self.world.declare(APP, &self.recipe.url(), "1.0.0+1.0.0", &format!("{GATE}{lines}"));
    }

    pub fn run(&self) -> Said {
        self.world.run(&["app", APP])
    }

    /// A run that ends well; what it says after `wiki: applied: `.
    #[track_caller]
    pub fn applies(&self) -> String {
        let said = self.world.ok(&["app", APP]);
        said.out.strip_prefix(&format!("{APP}: applied: ")).unwrap_or_else(|| panic!("{said:?}")).to_owned()
    }

    /// A run that writes nothing to the Engine and ends with this code.
    #[track_caller]
    pub fn writes_nothing(&self, code: i32) -> Said {
        self.recorder.take();
        let said = self.run();
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(writes(&self.recorder.take()), Vec::<&String>::new(), "{said:?}");
        said
    }

    #[track_caller]
    pub fn is_converged(&self) {
        assert_eq!(self.writes_nothing(0).out, format!("{APP}: converged\n"));
        let state = self.world.state(APP);
        assert!(
            state["current"].is_object() && state["installing"].is_null() && state["changing"].is_null(),
            "{state}"
        );
        self.has_no_leftovers();
    }

    /// What carries the stack's name or label is what the state names, and nothing is on its way on disk.
    #[track_caller]
    fn has_no_leftovers(&self) {
        let observed = self.world.observe(APP);
        let body = &self.world.state(APP)["current"]["body"];
        let named = |kind: &str| body[kind].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let ours = |name: &&String| name.starts_with(&self.named(""));
        assert_eq!(observed.services.keys().cloned().collect::<Vec<_>>(), named("services"));
        assert_eq!(observed.secrets.keys().filter(ours).cloned().collect::<Vec<_>>(), named("secrets"));
        assert_eq!(observed.configs.keys().filter(ours).cloned().collect::<Vec<_>>(), named("configs"));
        assert_eq!(observed.networks.keys().filter(ours).cloned().collect::<Vec<_>>(), named("networks"));
        for dir in [self.dir(), self.dir().join("secrets")].iter().filter(|dir| dir.exists()) {
            let mut names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            assert!(!names.any(|name| is_beside(&name)), "{}", dir.display());
        }
    }

    /// Where the state of the app is.
    pub fn dir(&self) -> PathBuf {
        self.world.state_dir().join(APP)
    }

    /// `<stack>_<name>`.
    pub fn named(&self, name: &str) -> String {
        format!("{}_{name}", self.world.stack(APP))
    }

    /// The kept bytes of all secrets.
    pub fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.dir().join("secrets")) else { return BTreeMap::new() };
        let files = entries.map(|entry| entry.unwrap().path()).filter(|path| !is_beside(path));
        files.map(|path| (file_name(&path).to_owned(), std::fs::read(&path).unwrap())).collect()
    }

    /// The database was made with the password that is kept.
    #[track_caller]
    pub fn database_knows_its_password(&self) {
        let accounts = std::fs::read_to_string(self.volume("db").join("accounts")).unwrap();
        let password = accounts.trim_end().rsplit(':').next().unwrap();
        let kept = &self.kept()[&self.named("db_password_v1")];
        assert!(password.as_bytes() == kept, "the database was made with another password");
    }

    /// Where a volume's files are.
    pub fn volume(&self, name: &str) -> PathBuf {
        let volume = format!("/volumes/{}", self.named(name));
        let volume = on_engine(async move |swarm| swarm.engine().get(&volume, &[]).await.unwrap());
        volume["Mountpoint"].as_str().unwrap().into()
    }

    pub fn spec(&self, service: &str) -> Value {
        self.world.observe(APP).services[&self.named(service)].spec.clone()
    }

    /// One variable of service `app`.
    pub fn variable(&self, name: &str) -> Option<String> {
        let env = self.spec("app")["TaskTemplate"]["ContainerSpec"]["Env"].as_array().unwrap().clone();
        env.iter().find_map(|entry| entry.as_str().unwrap().strip_prefix(&format!("{name}=")).map(str::to_owned))
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn is_beside(path: &Path) -> bool {
    file_name(path).starts_with(".beside-")
}

/// Plays the same with each, all at once; a panic names its thread.
pub fn each<S: Send, T: Debug + Send + Copy>(cases: &[T], scene: impl Fn() -> S, play: impl Fn(S, T) + Sync) {
    let scenes: Vec<(S, T)> = cases.iter().map(|case| (scene(), *case)).collect();
    thread::scope(|scope| {
        for (scene, case) in scenes {
            let play = &play;
            let thread = thread::Builder::new().name(format!("{case:?}"));
            thread.spawn_scoped(scope, move || play(scene, case)).unwrap();
        }
    });
}
