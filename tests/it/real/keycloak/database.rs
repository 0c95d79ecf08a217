//! What the database itself says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::DEADLINE;

/// The database of one stack.
pub struct Database {
    endpoint: String,
    service: String,
}

impl Database {
    pub fn of(endpoint: &str, stack: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), service: format!("{stack}_db") }
    }

    /// How many steps its schema has taken; nothing while it does not run, or has no schema.
    pub fn steps(&self) -> Option<u32> {
        self.answers("select count(*) from DATABASECHANGELOG")
    }

    fn answers(&self, statement: &str) -> Option<u32> {
        let label = format!("label=com.docker.swarm.service.name={}", self.service);
        let id = docker(&self.endpoint, &["ps", "--quiet", "--filter", &label])?;
        let ask = "exec mariadb -N -uroot -p\"$(cat /run/secrets/db_root_password)\" keycloak -e \"$0\"";
        docker(&self.endpoint, &["exec", id.lines().next()?, "sh", "-c", ask, statement])?.parse().ok()
    }
}

/// How many users of a name there are in data that is in no use; a copy of it is started.
pub fn users_in(endpoint: &str, data: &Path, root_password: &Path, name: &str) -> u32 {
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("data");
    assert!(Command::new("cp").arg("-a").args([data, &to]).status().unwrap().success());
    let mount = format!("{}:/var/lib/mysql", to.display());
    let id = docker(endpoint, &["run", "--detach", "--rm", "--volume", &mount, "mariadb:10.11"]).unwrap();
    let password = format!("-p{}", fs::read_to_string(root_password).unwrap());
    let statement = format!("select count(*) from USER_ENTITY where USERNAME = '{name}'");
    let deadline = Instant::now() + DEADLINE;
    let count = loop {
        let ask = ["exec", &id, "mariadb", "-N", "-uroot", &password, "keycloak", "-e", &statement];
        if let Some(count) = docker(endpoint, &ask) {
            break count;
        }
        assert!(Instant::now() < deadline, "the database never came up on {}", data.display());
        thread::sleep(Duration::from_millis(200));
    };
    docker(endpoint, &["stop", &id]);
    count.parse().unwrap()
}

/// What Docker's own program says; nothing where it fails.
fn docker(endpoint: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(["--host", endpoint]).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}
