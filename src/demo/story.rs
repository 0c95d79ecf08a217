//! The story itself: each step says what happens, runs the program's own command, and holds it to its promise.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::process::Command;

use super::engine::PrivateEngine;
use super::image::Contents;
use super::look::{self, Indexes};
use super::recipes::{self, BAD, FIRST, GOOD, GUESTBOOK, IMAGE, MENDED, NOTES, Recipe};
use crate::host::engine::Engine;

pub(super) const NOTES_STACK: &str = "notes_demo_example";
/// Exit codes that the story promises: all is well, a plan found changes, an app is unhealthy.
pub(super) const WELL: i32 = 0;
const CHANGES: i32 = 2;
const UNHEALTHY: i32 = 14;

/// Where the story plays.
#[derive(Debug)]
pub struct Story {
    executable: PathBuf,
    pub(super) folder: PathBuf,
    config: PathBuf,
    pub(super) engine: Engine,
}

impl Story {
    /// Loads the images, publishes the recipes and writes a configuration with the first app.
    pub async fn prepare(executable: &Path, private: &PrivateEngine) -> Result<Self> {
        let folder = private.folder().to_owned();
        let contents = Contents::of(executable).context("make an image of this program")?;
        for tag in [FIRST, GOOD.number, BAD.number, MENDED.number] {
            look::load_image(&private.socket(), &contents, IMAGE, tag).await?;
        }
        let recipes = folder.join("recipes");
        NOTES.publish(&recipes).await?;
        GUESTBOOK.publish(&recipes).await?;
        let config = folder.join("config.toml");
        fs::write(&config, recipes::configuration(&private.endpoint(), &folder.join("state")))
            .context("write the configuration")?;
        Ok(Self { executable: executable.to_owned(), folder, config, engine: private.connect().await? })
    }

    /// Tells all of it.
    ///
    /// # Errors
    /// When a step did not keep its promise.
    pub async fn tell(&self) -> Result<()> {
        self.first_install().await?;
        self.nothing_to_do().await?;
        self.drift().await?;
        self.crash_loop().await?;
        self.nights().await
    }

    async fn first_install(&self) -> Result<()> {
        heading("1. First install: an app is declared, and one command makes it so")?;
        self.declare(NOTES)?;
        say(&format!("The configuration ({}):\n", self.config.display()))?;
        say(&indented(&fs::read_to_string(&self.config).context("read the configuration")?))?;
        self.run(&["swarm"], WELL).await?;
        self.run(&["plan", "notes"], CHANGES).await?;
        self.run(&["app", "notes"], WELL).await
    }

    async fn nothing_to_do(&self) -> Result<()> {
        heading("2. The same again: nothing differs, so nothing is written")?;
        let before = self.indexes().await?;
        self.run(&["app", "notes"], WELL).await?;
        let after = self.indexes().await?;
        say(&compared(&before, &after))?;
        ensure!(before == after, "the second run wrote to the Swarm");
        say("Swarm counts every write to a service in Version.Index: there was none.\n")
    }

    async fn drift(&self) -> Result<()> {
        heading("3. Drift: somebody scales one service and removes another by hand")?;
        let (app, search) = (format!("{NOTES_STACK}_app"), format!("{NOTES_STACK}_search"));
        say(&format!("  (by the Engine's API)  scale {app} to 3, remove {search}\n"))?;
        look::scale(&self.engine, &app, 3).await?;
        look::remove(&self.engine, &search).await?;
        self.run(&["plan", "notes"], CHANGES).await?;
        self.run(&["app", "notes"], WELL).await?;
        ensure!(look::replicas(&self.engine, &app).await? == 1, "{app} was not scaled back");
        ensure!(self.indexes().await?.contains_key(&search), "{search} was not made again");
        say(&format!("{app} has 1 replica again, and {search} is back.\n"))
    }

    async fn crash_loop(&self) -> Result<()> {
        heading("4. A second app whose database is missing: it ends right after each start")?;
        self.declare(GUESTBOOK)?;
        let before = self.indexes().await?;
        let since = Instant::now();
        self.run(&["app", "guestbook"], UNHEALTHY).await?;
        say(&format!("Told in {} s, with the task's own words.\n", since.elapsed().as_secs()))?;
        let after = self.indexes().await?;
        say(&compared(&before, &after))?;
        ensure!(before == after, "the first app was touched");
        say("The first app was not touched.\n")?;
        self.run(&["status"], WELL).await
    }

    fn declare(&self, recipe: Recipe) -> Result<()> {
        let declaration = recipe.declaration(&self.folder.join("recipes"));
        let mut config = fs::OpenOptions::new().append(true).open(&self.config).context("open the configuration")?;
        config.write_all(declaration.as_bytes()).context("declare an app")
    }

    pub(super) async fn indexes(&self) -> Result<Indexes> {
        look::indexes(&self.engine, Some(NOTES_STACK)).await
    }

    /// Runs a command of this program for the person to see, and expects it to end with this code.
    pub(super) async fn run(&self, arguments: &[&str], expected: i32) -> Result<()> {
        let shown = arguments.join(" ");
        say(&format!("\n$ evenkeel --config config.toml {shown}\n"))?;
        let since = Instant::now();
        let status = self.command(arguments).status().await.with_context(|| format!("run evenkeel {shown}"))?;
        say(&format!("[{status}, after {:.1} s]\n", since.elapsed().as_secs_f32()))?;
        ensure!(status.code() == Some(expected), "evenkeel {shown} ended with {status} instead of code {expected}");
        Ok(())
    }

    /// The command dies with the demo, also by SIGKILL. Linux means the *thread* that starts it, which here is the
    /// one that runs the demo to its end.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let parent = nix::unistd::getpid();
        let mut command = Command::new(&self.executable);
        command.arg("--config").arg(&self.config).args(arguments).env_remove("DOCKER_HOST").kill_on_drop(true);
        // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                match nix::unistd::getppid() == parent {
                    true => Ok(()),
                    false => Err(io::ErrorKind::BrokenPipe.into()),
                }
            });
        }
        command
    }
}

/// Flushed, since the commands write to the same place.
pub fn say(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("write to standard output")
}

pub fn heading(text: &str) -> Result<()> {
    let bold = anstyle::Style::new().bold();
    say(&format!("\n{bold}{text}{bold:#}\n"))
}

pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// A table of the services' indexes before and after.
pub(super) fn compared(before: &Indexes, after: &Indexes) -> String {
    let width = before.keys().map(String::len).max().unwrap_or_default();
    let mut table = format!("  {:width$}  Version.Index before  after\n", "service");
    for (name, index) in before {
        let now = after.get(name).map_or_else(|| "gone".to_owned(), u64::to_string);
        table += &format!("  {name:width$}  {index:>20}  {now:>5}\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_went_is_shown_as_gone() {
        let before: Indexes = [("a_app".to_owned(), 12), ("a_db".to_owned(), 13)].into();
        let after: Indexes = [("a_app".to_owned(), 12)].into();
        let table = compared(&before, &after);
        let last: Vec<_> = table.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["a_db", "13", "gone"]);
    }
}
