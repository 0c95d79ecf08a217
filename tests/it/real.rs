//! The real Traefik in front of real apps, kept by the real program.
//!
//! The proxy takes ports of the Engine itself, so one [`Town`] stands at a time on the shared one. Each test tells one story in order:
//! a proxy takes half a minute until it routes, and every step builds on the ones before.

mod apps;
pub mod certificate;
mod drone;
mod gates;
mod keycloak;
mod proxy;
mod realms;
mod server;
mod upgrades;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use evenkeel::health::gate::Answer;
use evenkeel::host::probe::{self, ProbeError, Target, Timeouts};

use crate::engine::private::PrivateEngine;
use crate::engine::recorder::{Recorder, stack_writes};
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, load, on_engine, tarballs};
use certificate::Certificate;

/// Ports 80 and 443 of the Engine.
static PORTS: Mutex<()> = Mutex::new(());
const TRAEFIK: &str = "5.1.0+v3.6.12";

/// A host with a proxy declared, and the requests that its runs make of the Engine.
struct Town {
    world: World,
    recorder: Recorder,
    recipes: BTreeMap<String, RecipeRepo>,
    /// Where the Engine's ports are.
    address: IpAddr,
    /// The Engine's own, without the recorder in front.
    socket: PathBuf,
    _ports: Option<MutexGuard<'static, ()>>,
}

/// A run of the program, with what it wrote to the Engine.
#[derive(Debug)]
struct Run {
    said: Said,
    writes: Vec<String>,
    took: Duration,
}

impl Town {
    /// Nothing runs yet; the certificate covers the base domain and its wildcard.
    fn new() -> Self {
        let ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        traefik();
        Self::of(World::new(), PrivateEngine::shared(), Some(ports))
    }

    /// The same on an Engine of its own, which is given these images, too.
    fn alone_on(engine: &PrivateEngine, images: &[&str]) -> Self {
        let images = tarballs(&[&["traefik"], images].concat());
        engine.load(&images.iter().map(AsRef::as_ref).collect::<Vec<&Path>>());
        let world = World::on(engine);
        world.ok(&["swarm"]);
        Self::of(world, engine, None)
    }

    fn of(world: World, engine: &PrivateEngine, ports: Option<MutexGuard<'static, ()>>) -> Self {
        let (world, recorder) = world.recorded();
        let (address, socket) = (engine.address().parse().unwrap(), engine.socket().to_owned());
        let mut town = Self { world, recorder, recipes: BTreeMap::new(), address, socket, _ports: ports };
        town.declare_proxy(TRAEFIK, "");
        town
    }

    /// The proxy as an operator declares it who gives no version for the certificate's secrets.
    fn declare_proxy(&mut self, version: &str, more: &str) {
        let url = self.recipe("traefik");
        let files = ["chain.pem", "key.pem"].map(|file| self.world.dir.path().join(file).display().to_string());
        let table = format!(
            r#"
[proxy]
recipe = {{ url = "{url}" }}
version = "{version}"
domain = "{domain}"
address = "{address}"
compose = ["compose.yml", "compose.host.yml", "compose.wildcard.yml"]
env = {{ WILDCARDS_ENABLED = "1", LOG_LEVEL = "DEBUG", DOCKER_SOCKET = "{socket}" }}
certificate = {{ chain = "{chain}", key = "{key}" }}
gate = {{ stable_for = "1s", within = "90s" }}
{more}"#,
            domain = self.world.domain("proxy"),
            address = self.address,
            socket = self.socket.display(),
            chain = files[0],
            key = files[1],
        );
        self.world.table("proxy", &table);
    }

    /// Declares an app of a fixture recipe.
    fn declare(&mut self, name: &str, recipe: &str, version: &str, more: &str) {
        let url = self.recipe(recipe);
        self.world.declare(name, &url, version, more);
    }

    fn recipe(&mut self, name: &str) -> String {
        self.recipes.entry(name.to_owned()).or_insert_with(|| RecipeRepo::build(name)).url()
    }

    /// A line of an app's table: one label more for its service `app`, from a compose file of the operator's.
    fn overlay(&self, file: &str, label: &str, value: &str) -> String {
        let text =
            format!("version: \"3.8\"\nservices:\n  app:\n    deploy:\n      labels:\n        - \"{label}={value}\"\n");
        format!("compose = [\"compose.yml\", \"{}\"]", self.world.file(file, text.as_bytes()).display())
    }

    /// Puts a certificate where the proxy's table says that it is.
    fn give(&self, certificate: &Certificate) {
        self.world.file("chain.pem", certificate.chain.as_bytes());
        self.world.file("key.pem", certificate.key.as_bytes());
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.recorder.take();
        let began = Instant::now();
        let said = self.world.run(arguments);
        let took = began.elapsed();
        eprintln!("evenkeel {}: {took:.1?}: exit {}: {}", arguments.join(" "), said.code, said.out.trim_end());
        Run { said, writes: stack_writes(&self.recorder.take()).into_iter().cloned().collect(), took }
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, with: &str) -> Run {
        let run = self.run(arguments);
        assert!(run.said.code == code && run.said.out.contains(with), "wanted: {code} {with:?}; {run:#?}");
        run
    }

    /// The proxy's answer for a host, over its TLS.
    fn ask(&self, host: &str) -> Result<Answer, ProbeError> {
        let target = Target::https(self.https(), host, None);
        wait_for(async move { probe::get(&target, "/", Timeouts::default()).await.map(|got| got.answer) })
    }

    #[track_caller]
    fn is_served(&self, app: &str, page: &str) {
        let answer = self.ask(&self.world.domain(app)).unwrap();
        assert!(answer.status == 200 && answer.body.contains(page), "{app}: {answer:?}");
    }

    /// The certificate that users meet.
    fn served(&self) -> Vec<u8> {
        let (address, host) = (self.https(), self.world.domain("proxy"));
        wait_for(async move { probe::served_chain(address, &host, Timeouts::default()).await }).unwrap().remove(0)
    }

    fn https(&self) -> SocketAddr {
        SocketAddr::new(self.address, 443)
    }

    /// Names of the Swarm's secrets of the proxy.
    fn proxy_secrets(&self) -> Vec<String> {
        let stack = self.world.stack("proxy");
        self.world.observe("proxy").secrets.into_keys().filter(|name| name.starts_with(&stack)).collect()
    }

    /// Service `app` of an app's stack.
    fn service(&self, app: &str) -> String {
        format!("{}_app", self.world.stack(app))
    }

    /// Everything that the proxy has logged.
    fn proxy_log(&self) -> Vec<String> {
        let service = self.service("proxy");
        on_engine(async move |swarm| swarm.log_tail(&service, 100_000).await.unwrap())
    }
}

impl Run {
    #[track_caller]
    fn wrote_nothing(&self) -> &Self {
        assert!(self.writes.is_empty(), "{self:#?}");
        self
    }

    /// Without waiting for anything to last: a look and a question or two.
    #[track_caller]
    fn was_quick(&self) -> &Self {
        assert!(self.took < Duration::from_secs(10), "{self:#?}");
        self
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Traefik's image, once per process: built on first use, then from a cache.
fn traefik() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| load(&["traefik"]));
}
