//! The recipe, whose versions come one by one.

use std::path::Path;

use serde_json::Value;

use super::{OLD, OLDEST};
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::at;

pub struct Recipe {
    repo: RecipeRepo,
    compose: String,
    entrypoint: String,
    entrypoints: u32,
}

/// The words with which the server of the fixture is started.
const START: &str = "exec /opt/keycloak/bin/kc.sh start\n";
/// Comes up and migrates, and ends for good as soon as something holds: what is started again ends at once.
const ENDS: &str = r#"
trap 'exit 143' TERM
ready() ( exec 3<>/dev/tcp/127.0.0.1/9000 && printf 'GET /health/ready HTTP/1.0\r\n\r\n' >&3 && head -1 <&3 | grep -q 200 )
if [ -e /opt/keycloak/providers/ended ]; then
    echo "it has ended before, and does so again" >&2
    exit 1
fi
/opt/keycloak/bin/kc.sh start 2>&1 | tee /tmp/log &
until WHEN 2>/dev/null; do sleep 0.2; done
touch /opt/keycloak/providers/ended
echo "that was too much" >&2
exit 1
"#;

/// When a bad version ends.
pub enum Ends {
    /// Its database is migrated.
    WhenReady,
    /// It runs under the name of another server, so that nobody's gate takes it for this one.
    AtAWrongPassword,
}

impl Recipe {
    /// The fixture's version alone.
    pub fn new() -> Self {
        let repo = RecipeRepo::build("keycloak");
        let (compose, entrypoint) = (repo.read("compose.yml"), repo.read("entrypoint.sh"));
        assert!(entrypoint.ends_with(START), "{entrypoint}");
        Self { repo, compose, entrypoint, entrypoints: 1 }
    }

    pub fn url(&self) -> String {
        self.repo.url()
    }

    pub fn path(&self) -> &Path {
        self.repo.path()
    }

    /// One more version, of the server behind its `+`.
    pub fn publish(&mut self, version: &str) {
        let entrypoint = self.entrypoint.clone();
        self.publish_started_by(version, &entrypoint, &[]);
    }

    pub fn publish_with_notes(&mut self, version: &str, notes: &str) {
        let entrypoint = self.entrypoint.clone();
        self.publish_started_by(version, &entrypoint, &[(&format!("release/{version}"), notes)]);
    }

    pub fn publish_bad(&mut self, version: &str, ends: &Ends) {
        let (when, name) = match ends {
            Ends::WhenReady => ("ready", ""),
            Ends::AtAWrongPassword => {
                ("grep -q LOGIN_ERROR /tmp/log", "export KC_HOSTNAME=https://elsewhere.example\n")
            }
        };
        let bad = format!("{name}{}", ENDS.replace("WHEN", when));
        self.publish_started_by(version, &self.entrypoint.replace(START, &bad), &[]);
    }

    /// One that keeps its database under another name.
    pub fn without_database() -> Self {
        let mut recipe = Self::new();
        let compose = recipe.compose.replace("mariadb:/var/lib/mysql", "data:/var/lib/mysql");
        recipe.repo.publish(OLD, &[("compose.yml", &compose.replace("\n  mariadb:\n", "\n  data:\n"))]);
        recipe
    }

    fn publish_started_by(&mut self, version: &str, entrypoint: &str, more: &[(&str, &str)]) {
        let (_, server) = version.split_once('+').expect("the server's version stands behind it");
        let compose = self.compose.replace(OLDEST, version).replace(":25.0.6", &format!(":{server}"));
        if self.repo.read("entrypoint.sh") != entrypoint {
            self.entrypoints += 1;
        }
        let versions =
            format!("export APP_ENTRYPOINT_VERSION=v{}\nexport DB_ENTRYPOINT_VERSION=v1\n", self.entrypoints);
        let files = [("compose.yml", compose.as_str()), ("abra.sh", &versions), ("entrypoint.sh", entrypoint)];
        self.repo.publish(version, &files.into_iter().chain(more.iter().copied()).collect::<Vec<_>>());
    }
}

/// The newest server under another number, on an Engine that has it.
pub fn renumbered(engine: &PrivateEngine, version: &str) {
    let (_, server) = version.split_once('+').expect("the server's version stands behind it");
    at(engine.endpoint(), async |swarm| {
        let query = [("repo", "keycloak/keycloak"), ("tag", server)];
        swarm.engine().post("/images/keycloak/keycloak:26.7.3/tag", &query, &Value::Null).await.unwrap();
    });
}
