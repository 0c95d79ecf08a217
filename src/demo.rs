//! `evenkeel demo`: the product's story on a private Engine, for a person who has never seen it.
//!
//! Everything is made on the spot and everything goes again, however the demo ends. The program's own commands are
//! run as they would be by hand; only what "somebody" does to the Swarm meanwhile goes through the Engine's API.
//!
//! The demo needs root, `dockerd`, `git` and GNU `tar`, and no network.

pub mod app;
pub mod engine;
pub mod image;
pub mod init;
pub mod look;
pub mod nights;
pub mod recipes;
pub mod schema;
pub mod story;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use engine::PrivateEngine;
use story::{Story, heading, say};

/// How the demo runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that is shown; it also has to understand `demo-init` and `demo-app`.
    pub executable: PathBuf,
}

impl Options {
    /// Shows the program that is running.
    pub fn of_this_program() -> Result<Self> {
        Ok(Self { executable: std::env::current_exe().context("find this program's executable")? })
    }
}

/// Tells the whole story and gives the exit code: 0, or 128 and the signal's number when it was interrupted. Nothing
/// is left either way. To be awaited on the main thread (not in a spawned task): the commands die with their thread.
///
/// # Errors
/// When a step could not be shown, or did not keep its promise.
pub async fn run(options: Options) -> Result<u8> {
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    // What the story holds is dropped when a signal wins: its command is killed, its Engine ended.
    let code = tokio::select! {
        told = tell(&options.executable) => return told.map(|()| 0),
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
        _ = hangup.recv() => 129,
    };
    // There may be no terminal any more.
    let _ = say("\nInterrupted: the private Engine and its folder are gone.\n");
    Ok(code)
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).context("listen for signals")
}

async fn tell(executable: &Path) -> Result<()> {
    let since = Instant::now();
    say(
        "Evenkeel keeps the apps of a Docker Swarm host as declared. A private Engine starts for this demo; your own\n\
         Docker, if there is one, is not touched.\n",
    )?;
    let private = PrivateEngine::start(executable).await?;
    say(&format!(
        "It is ready after {:.1} s, with all its files in {}.\n",
        since.elapsed().as_secs_f32(),
        private.folder().display()
    ))?;
    Story::prepare(executable, &private).await?.tell().await?;
    private.stop()?;
    heading("That is the story")?;
    say(&format!(
        "It took {} s, and the private Engine and its folder are gone.\n\n\
         Go on: `evenkeel --help` has every command, the README a configuration to copy, and `evenkeel check` tells\n\
         what is wrong with yours before anything runs.\n",
        since.elapsed().as_secs()
    ))
}
