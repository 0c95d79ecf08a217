//! Images from a real registry: Debian's, with TLS and a login. What a bad day of one looks like comes from a server in
//! front of it.

pub mod authority;
mod filling;
mod front;
mod leaving;
mod pruning;
mod refusing;
mod resolving;
mod server;

use serde_json::Value;

use crate::engine::private::PrivateEngine;
use crate::engine::recorder::{Recorder, writes};
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, at, on_engine};
use server::{PASSWORD, USER};

/// The app of every test here.
const APP: &str = "shelf";
const VERSION: &str = "1.0.0+1.0.0";
const SLEEPS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";

/// A host with one app, whose image comes from a registry, and the requests that its runs make of the Engine.
struct Customer {
    world: World,
    recorder: Recorder,
    recipe: RecipeRepo,
}

impl Customer {
    /// Nothing runs yet, and no login is known.
    fn of(image: &str) -> Self {
        Self::with_service(image, "")
    }

    /// The same, with more lines in the app's service.
    fn with_service(image: &str, more: &str) -> Self {
        Self::in_world(World::new(), image, more)
    }

    fn in_world(world: World, image: &str, more: &str) -> Self {
        let (world, recorder) = world.recorded();
        let mut recipe = RecipeRepo::empty();
        let compose = format!(
            "services:\n  app:\n    image: {image}\n    entrypoint: [sh, -c, {script}]\n    stop_grace_period: 1s\n{more}",
            script = serde_json::json!(SLEEPS)
        );
        recipe.publish(VERSION, &[("compose.yml", &compose), (".env.sample", "")]);
        let mut customer = Self { world, recorder, recipe };
        customer.declare("");
        customer
    }

    fn declare(&mut self, more: &str) {
        self.world.declare(APP, &self.recipe.url(), VERSION, more);
    }

    /// Knows this registry's login from now on.
    fn logged_in(mut self, registry: &str) -> Self {
        self.log_in(registry, PASSWORD);
        self
    }

    fn log_in(&mut self, registry: &str, password: &str) {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        self.log_in_by(&serde_json::json!({"auths": {registry: {"auth": auth}}}).to_string());
    }

    /// By a file with this text.
    fn log_in_by(&mut self, text: &str) {
        let path = self.world.file("registries.json", text.as_bytes());
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        self.world.top = format!("registry_auth = \"{}\"\n", path.display());
    }

    /// A run, and what it asked of the Engine.
    fn run(&self) -> (Said, Vec<String>) {
        self.run_with(&["app", APP])
    }

    fn run_with(&self, arguments: &[&str]) -> (Said, Vec<String>) {
        self.recorder.take();
        let said = self.world.run(arguments);
        (said, self.recorder.take())
    }

    #[track_caller]
    fn applies(&self) -> String {
        let (said, _) = self.run();
        assert_eq!(said.code, 0, "{said:?}");
        said.out.strip_prefix(&format!("{APP}: applied: ")).unwrap_or_else(|| panic!("{said:?}")).to_owned()
    }

    /// A run that ends with this code and leaves the Swarm as it is.
    #[track_caller]
    fn writes_nothing(&self, code: i32) -> (Said, Vec<String>) {
        let before = self.world.fingerprint(APP);
        let (said, requests) = self.run();
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(swarm_writes(&requests), Vec::<&String>::new(), "{said:?}");
        assert_eq!(self.world.fingerprint(APP), before, "{said:?}");
        (said, requests)
    }

    #[track_caller]
    fn is_converged_without_a_registry(&self) {
        let (said, requests) = self.writes_nothing(0);
        assert_eq!(said.out, format!("{APP}: converged\n"));
        assert_eq!(about_registries(&requests), Vec::<&String>::new());
    }

    /// What the service's spec names as its image.
    fn image(&self) -> String {
        self.spec().pointer("/TaskTemplate/ContainerSpec/Image").unwrap().as_str().unwrap().to_owned()
    }

    fn spec(&self) -> Value {
        self.world.observe(APP).services[&self.service()].spec.clone()
    }

    fn service(&self) -> String {
        format!("{}_app", self.world.stack(APP))
    }

    /// The id of the image that the service's one running container was made from.
    fn running_image(&self) -> String {
        let filters = serde_json::json!({"label": [format!("com.docker.swarm.service.name={}", self.service())]});
        on_engine(async |swarm| {
            let listed = swarm.engine().get("/containers/json", &[("filters", &filters.to_string())]).await.unwrap();
            let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|c| c["ImageID"].as_str().unwrap()).collect();
            assert_eq!(ids.len(), 1, "{listed}");
            ids[0].to_owned()
        })
    }

    fn remove_service(&self) {
        let service = self.service();
        let id = self.world.observe(APP).services[&service].id.clone();
        on_engine(async move |swarm| {
            swarm.remove_service(&service).await.unwrap();
            swarm.wait_containers_gone(&[id], crate::engine::DEADLINE).await.unwrap();
        });
    }
}

fn swarm_writes(requests: &[String]) -> Vec<&String> {
    writes(requests).into_iter().filter(|request| !request.contains("/images/")).collect()
}

/// What takes a registry's word: a look at what a tag means, and a pull.
fn about_registries(requests: &[String]) -> Vec<&String> {
    let asks = |request: &&String| request.contains("/distribution/") || request.contains("/images/create");
    requests.iter().filter(asks).collect()
}

/// Removes an image from an Engine, under all its names.
fn forget(engine: &PrivateEngine, id: &str) {
    at(engine.endpoint(), async |swarm| {
        match swarm.engine().delete(&format!("/images/{id}"), &[("force", "1")]).await {
            Err(error) if !error.is_not_found() => panic!("{error}"),
            _ => {}
        }
    });
}
