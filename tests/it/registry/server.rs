//! Debian's `docker-registry` (`EVENKEEL_REGISTRY` names another one), and images in it.

use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use reqwest::Method;
use serde_json::{Value, json};

use super::authority::{Identity, authority};
use crate::engine::private::{PrivateEngine, until_we_end};
use crate::world::at;

pub const USER: &str = "keeper";
pub const PASSWORD: &str = "correct-horse-battery";
/// bcrypt of the password, which is all that the registry understands.
const HTPASSWD: &str = "keeper:$2y$05$iLGdHNCaqxNhldKpI3HyuO9Ls.M70w21/iCxjTaGGNRIleB1fYFt2\n";

/// A registry with TLS that wants a login; ends when dropped, and with this process.
pub struct Registry<'a> {
    /// `10.213.0.1:40000`, as image references name it.
    pub name: String,
    /// Who pushes to it.
    engine: &'a PrivateEngine,
    guard: Option<Child>,
    dir: tempfile::TempDir,
}

/// What was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub digest: String,
    pub id: String,
}

impl Registry<'static> {
    pub fn start() -> Self {
        Self::of(PrivateEngine::shared())
    }
}

impl<'a> Registry<'a> {
    /// One that this Engine reaches.
    pub fn of(engine: &'a PrivateEngine) -> Self {
        let address = engine.host_address();
        let dir = tempfile::tempdir().unwrap();
        let Identity { certificate, key } = authority().identity(&address);
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(at("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(at("htpasswd"), HTPASSWD).unwrap();
        let name = format!("{address}:{}", free_port(&address));
        std::fs::write(at("config.json"), config(&name, dir.path()).to_string()).unwrap();
        let guard = guard(dir.path());
        let registry = Self { name, engine, guard: Some(guard), dir };
        registry.wait_until_up();
        registry
    }

    /// Ends it: connections are refused from then on.
    pub fn end(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        drop(guard.stdin.take());
        guard.wait().unwrap();
    }

    pub fn image(&self, repository: &str) -> String {
        format!("{}/{repository}", self.name)
    }

    /// Pushes a new image that differs from all others, and removes it from this machine.
    pub fn push(&self, repository_and_tag: &str) -> Pushed {
        self.push_from(repository_and_tag, |name| self.engine.make_image(name))
    }

    /// Pushes what `make` makes under a name.
    pub fn push_from(&self, repository_and_tag: &str, make: impl FnOnce(&str)) -> Pushed {
        let name = self.image(repository_and_tag);
        make(&name);
        let pushed = at(self.engine.endpoint(), async |swarm| {
            let engine = swarm.engine();
            let id = engine.get(&format!("/images/{name}/json"), &[]).await.unwrap()["Id"].as_str().unwrap().to_owned();
            let (repository, tag) = name.rsplit_once(':').unwrap();
            let login = json!({"username": USER, "password": PASSWORD, "serveraddress": self.name}).to_string();
            let path = format!("/images/{repository}/push");
            let answer = engine.stream(Method::POST, &path, &[("tag", tag)], Some(&URL_SAFE.encode(login))).await;
            let said = answer.unwrap().text().await.unwrap();
            let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let digest = lines.filter_map(|line| line["aux"]["Digest"].as_str().map(str::to_owned)).next_back();
            engine.delete(&format!("/images/{name}"), &[]).await.unwrap();
            Pushed { digest: digest.unwrap_or_else(|| panic!("{said}")), id }
        });
        // The digest under which it was pushed is a name of it, too.
        super::forget(self.engine, &pushed.id);
        pushed
    }

    /// Puts a list into the registry that has a pushed image under one kind of machine only, and removes nothing.
    pub fn put_list(&self, repository: &str, tag: &str, pushed: &Pushed, architecture: &str) {
        const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
        const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
        let url = |reference: &str| format!("https://{}/v2/{repository}/manifests/{reference}", self.name);
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let client = client();
            let got = client.get(url(&pushed.digest)).header("accept", MANIFEST).basic_auth(USER, Some(PASSWORD));
            let size = got.send().await.unwrap().bytes().await.unwrap().len();
            let list = json!({"schemaVersion": 2, "mediaType": LIST, "manifests": [{
                "mediaType": MANIFEST, "digest": pushed.digest, "size": size,
                "platform": {"architecture": architecture, "os": "linux"},
            }]});
            let put = client.put(url(tag)).header("content-type", LIST).basic_auth(USER, Some(PASSWORD));
            let answer = put.body(list.to_string()).send().await.unwrap();
            assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        });
    }

    fn wait_until_up(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(&self.name).is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "docker-registry does not come up: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Registry<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A client that trusts the tests' authority.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_der(authority().der()).unwrap();
    reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap()
}

/// A port that nobody listens on.
pub fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

/// JSON is YAML.
fn config(name: &str, dir: &Path) -> Value {
    let at = |name: &str| dir.join(name).display().to_string();
    json!({
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": at("data")}},
        "http": {"addr": name, "tls": {"certificate": at("cert.pem"), "key": at("key.pem")}},
        "auth": {"htpasswd": {"realm": "tests", "path": at("htpasswd")}},
    })
}

/// The registry, and a shell that ends it when the pipe to it closes, as it does when this process ends.
fn guard(dir: &Path) -> Child {
    let script = r#""$0" serve "$1/config.json" >"$1/log" 2>&1 </dev/null & pid=$!; cat; kill "$pid"; wait "$pid""#;
    let program = std::env::var("EVENKEEL_REGISTRY").unwrap_or_else(|_| "docker-registry".to_owned());
    until_we_end(script, &program, dir)
}
