//! A private Engine: a Docker daemon of our own in a temporary folder, invisible to the host's.
//!
//! What runs and what is cleaned up is the business of [`super::init`], a process of its own: here is only the pipe
//! that keeps it alive. Dropping a [`PrivateEngine`] ends the Engine and waits until nothing is left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;
use serde_json::json;

use super::init::ENDED;
use crate::host::engine::Engine;

/// How long dockerd may take until it answers; it takes half a second on a good day.
const START: Duration = Duration::from_secs(60);
/// A unix socket's path has at most 107 bytes, and containerd's lie some 50 below the folder.
const LONGEST_FOLDER: usize = 55;

/// A running Engine. Its folder, which also takes the demo's other files, is gone after [`PrivateEngine::stop`].
#[derive(Debug)]
pub struct PrivateEngine {
    folder: PathBuf,
    keeper: Child,
    /// Closed when this process ends in whatever way, and with it the Engine.
    lifeline: Option<ChildStdin>,
}

impl PrivateEngine {
    /// Starts an Engine by this program (`executable` understands `demo-init`) and makes it a Swarm of one node.
    ///
    /// # Errors
    /// When not root, without `dockerd` on PATH, or with dockerd's last words. Nothing is left then either.
    pub async fn start(executable: &Path) -> Result<Self> {
        ensure!(
            Uid::effective().is_root(),
            "the demo starts a Docker Engine of its own, which only root may: use sudo"
        );
        let dockerd = find_dockerd()?;
        let folder = make_folder()?;
        let started = Self::launch(executable, &dockerd, &folder);
        if started.is_err() {
            // There is an error to tell already, and no keeper that would remove it.
            let _ = fs::remove_dir_all(&folder);
        }
        let engine = started?;
        engine.wait_until_it_answers().await?;
        engine.make_swarm().await?;
        Ok(engine)
    }

    fn launch(executable: &Path, dockerd: &Path, folder: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        fs::write(folder.join("dockerd.json"), "{}").context("write dockerd's configuration")?;
        let log = File::create(folder.join("dockerd.log")).context("make dockerd's log")?;
        let mut keeper = Command::new(executable)
            .arg("demo-init")
            .args([folder, dockerd])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            // Away from the terminal's Ctrl-C, so that it is there to clean up.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", executable.display()))?;
        let lifeline = keeper.stdin.take();
        Ok(Self { folder: folder.to_owned(), keeper, lifeline })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `unix:///…/docker.sock`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    pub async fn connect(&self) -> Result<Engine> {
        Engine::connect(&self.endpoint()).await.context("connect to the private Engine")
    }

    /// Ends the Engine with everything in it, and returns when nothing is left.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    async fn wait_until_it_answers(&self) -> Result<()> {
        let since = Instant::now();
        while Engine::connect(&self.endpoint()).await.is_err() {
            if self.folder.join(ENDED).exists() || since.elapsed() > START {
                bail!("the private Engine did not start; its last words:\n{}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn make_swarm(&self) -> Result<()> {
        let local = json!({ "ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1" });
        self.connect().await?.post("/swarm/init", &[], &local).await.context("make the private Engine a Swarm")?;
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("dockerd.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    fn end(&mut self) -> Result<()> {
        if self.lifeline.take().is_none() {
            return Ok(());
        }
        self.keeper.wait().context("wait for the private Engine's end")?;
        ensure!(!self.folder.exists(), "{} could not be removed: {}", self.folder.display(), self.last_words());
        Ok(())
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if let Err(cause) = self.end() {
            tracing::warn!(cause = format!("{cause:#}"), "the private Engine left something behind");
        }
    }
}

/// The daemon behind every link: `/run`, where NixOS has its links, looks different inside.
fn find_dockerd() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("dockerd")).find(|file| file.is_file());
    let Some(found) = found else {
        bail!("dockerd is not on PATH: install Docker (Debian: apt install docker.io; NixOS: nix-shell -p docker)");
    };
    fs::canonicalize(&found).with_context(|| format!("find what {} is", found.display()))
}

fn make_folder() -> Result<PathBuf> {
    let parent = env::temp_dir();
    let folder =
        tempfile::Builder::new().prefix("evenkeel-demo-").tempdir_in(&parent).map_err(|cause: io::Error| {
            anyhow::Error::new(cause).context(format!("make a folder in {} (TMPDIR says where)", parent.display()))
        })?;
    let length = folder.path().as_os_str().len();
    ensure!(length <= LONGEST_FOLDER, "{} is too long for sockets below it: set TMPDIR", folder.path().display());
    Ok(folder.keep())
}
