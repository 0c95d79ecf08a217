//! A host with a proxy and a Keycloak behind it as far as their states and one port go: what answers there is played.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::*;
use crate::app::worlds::transaction;
use crate::config;
use crate::model::app::Kind;
use crate::model::state::{KeptSecret, Release, State};
use crate::model::transaction::Purpose;
use crate::plan::world;

pub const DOMAIN: &str = "warm-keycloak.example.org";
pub const PASSWORD: &str = "correct-horse";

/// Status and body.
pub type Answer = (u16, Value);

/// The realms of a Keycloak, and what was asked of it.
#[derive(Default)]
pub struct Kept {
    pub realms: BTreeMap<String, Value>,
    pub asked: Vec<String>,
    dir: PathBuf,
}

impl Kept {
    /// Has an upgrade of Keycloak be under way, or over.
    pub fn upgrade(&self, is_open: bool) {
        self.change_state(|state| state.open = is_open.then(|| Box::new(transaction(Purpose::Upgrade))));
    }

    pub fn change_state(&self, change: impl FnOnce(&mut State)) {
        let file = self.dir.join("warm-keycloak/state.json");
        let mut state = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut state);
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_vec(&state).unwrap()).unwrap();
        fs::rename(&new, &file).unwrap();
    }

    pub fn asked_for(&self, start: &str) -> usize {
        self.asked.iter().filter(|asked| asked.starts_with(start)).count()
    }

    /// As Keycloak answers, as far as realms of runs go.
    fn answer(&mut self, asked: &str, body: &Value) -> Answer {
        let (method, path) = asked.split_once(' ').unwrap();
        let parts: Vec<&str> = path.split(['/', '?']).skip(1).collect();
        let realm = if parts[0] == "admin" { parts.get(2) } else { parts.get(1) }.map_or("", |realm| *realm);
        match (method, parts.as_slice()) {
            ("GET", ["admin", "realms", "briefRepresentation=false"]) => {
                (200, self.realms.values().cloned().collect::<Vec<_>>().into())
            }
            ("POST", ["realms", "master", ..]) => (200, json!({ "access_token": "t0ken" })),
            ("POST", ["admin", "realms"]) => {
                let name = body["realm"].as_str().unwrap().to_owned();
                let is_there = self.realms.contains_key(&name);
                self.realms.entry(name).or_insert_with(|| body.clone());
                (if is_there { 409 } else { 201 }, Value::Null)
            }
            _ if !self.realms.contains_key(realm) => (404, json!({ "error": "Realm not found." })),
            ("GET", ["admin", "realms", _]) => (200, self.realms[realm].clone()),
            ("PUT", ["admin", "realms", _]) => {
                assert!(body.get("attributes").is_some(), "{asked}: the others would go");
                self.realms.insert(realm.to_owned(), body.clone());
                (204, Value::Null)
            }
            ("DELETE", ["admin", "realms", _]) => {
                self.realms.remove(realm);
                (204, Value::Null)
            }
            ("POST", ["admin", ..]) => (201, Value::Null),
            ("GET", ["realms", _, ".well-known", ..]) => {
                (200, json!({ "issuer": format!("https://{DOMAIN}/realms/{realm}") }))
            }
            ("POST", ["realms", ..]) => (200, json!({ "access_token": "t0ken" })),
            _ => (400, json!({ "error": format!("nobody plays {asked}") })),
        }
    }
}

/// What happens at a question, instead of Keycloak's own answer or before it.
type Twist = dyn FnMut(&mut Kept, &str) -> Option<Answer> + Send;

pub struct Host {
    dir: TempDir,
    pub declared: Declared,
    pub address: SocketAddr,
    pub kept: Arc<Mutex<Kept>>,
    shown: Arc<Mutex<TlsAcceptor>>,
}

impl Host {
    pub async fn new() -> Self {
        Self::with(|_, _| None).await
    }

    pub async fn with(twist: impl FnMut(&mut Kept, &str) -> Option<Answer> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let declared = declared(&dir, "certificate = { chain = \"/nowhere/chain\", key = \"/nowhere/key\" }\n");
        let (pem, acceptor) = certificate();
        let kept = Kept { dir: dir.path().to_owned(), ..Kept::default() };
        let kept = Arc::new(Mutex::new(kept));
        let host = Self { dir, declared, address, kept, shown: Arc::new(Mutex::new(acceptor)) };
        host.install(&pem);
        tokio::spawn(serve(listener, Arc::clone(&host.kept), Arc::clone(&host.shown), Box::new(twist)));
        host
    }

    fn install(&self, pem: &str) {
        let environment = world::with(world::spec("app", "kc:1"), "/TaskTemplate/ContainerSpec/Env", json!([]));
        let body = |key: &str| {
            let mut body = world::release(&world::desired().service(environment.clone()));
            body.secrets.insert(format!("{key}_v1"), KeptSecret { key: key.to_owned(), spec: Value::Null });
            Release { body, key: "k".to_owned(), since: "2026-11-22T04:00:00Z".to_owned(), snapshot: None }
        };
        let state = |kind| State::new(&self.declared.of(kind).next().unwrap().stack);
        self.put("warm-keycloak", &State { current: Some(body("admin_password")), ..state(Kind::WarmKeycloak) });
        self.put("proxy", &State { current: Some(body("ssl_cert")), ..state(Kind::Proxy) });
        self.put_secret("warm-keycloak", "admin_password_v1", PASSWORD);
        self.put_secret("proxy", "ssl_cert_v1", pem);
    }

    pub fn put(&self, app: &str, state: &State) {
        fs::create_dir_all(self.dir.path().join(app).join("secrets")).unwrap();
        fs::write(self.dir.path().join(app).join("state.json"), serde_json::to_vec(state).unwrap()).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn put_secret(&self, app: &str, name: &str, text: &str) {
        fs::write(self.dir.path().join(app).join("secrets").join(name), text).unwrap();
    }

    /// Has the proxy show another certificate from now on: its text.
    pub fn show_another(&self) -> String {
        let (pem, acceptor) = certificate();
        *self.shown.lock().unwrap() = acceptor;
        pem
    }

    pub fn asked(&self) -> Vec<String> {
        self.kept.lock().unwrap().asked.clone()
    }

    pub fn realms(&self, time: Duration) -> Realms<'_> {
        Realms { address: self.address, ..Realms::within(&self.declared, time) }
    }

    pub fn realm(&self, realm: &RealmName) -> Option<Value> {
        self.kept.lock().unwrap().realms.get(realm.as_str()).cloned()
    }
}

fn declared(dir: &TempDir, of_proxy: &str) -> Declared {
    let text = format!(
        "base_domain = \"example.org\"\nstate_dir = \"{}\"\n[proxy]\nrecipe = {{ url = \"/nowhere/traefik\" }}\n\
         {of_proxy}[warm_keycloak]\nrecipe = {{ url = \"/nowhere/keycloak\" }}\n",
        dir.path().display()
    );
    config::parse("config.toml", &text).unwrap()
}

/// A certificate of the proxy's, as its files hold it, and a server that has it.
fn certificate() -> (String, TlsAcceptor) {
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["*.example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
    let held = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let held = CertifiedKey::new(vec![leaf.der().clone()], ring::sign::any_supported_type(&held).unwrap());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(held)));
    (leaf.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, kept: Arc<Mutex<Kept>>, shown: Arc<Mutex<TlsAcceptor>>, mut twist: Box<Twist>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = shown.lock().unwrap().clone();
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let Some((asked, body)) = request(&mut stream).await else { continue };
        let (status, answer) = {
            let mut kept = kept.lock().unwrap();
            kept.asked.push(asked.clone());
            twist(&mut kept, &asked).unwrap_or_else(|| kept.answer(&asked, &body))
        };
        let text = if answer.is_null() { String::new() } else { answer.to_string() };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}", text.len());
        // Whoever asked may have given up.
        let _ = stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{text}").as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// Method and path, and the body where it is JSON.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Value)> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let first: Vec<&str> = text.split(' ').take(2).collect();
                return Some((first.join(" "), serde_json::from_str(body).unwrap_or_default()));
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
