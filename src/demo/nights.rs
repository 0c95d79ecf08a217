//! The second half of the story: upgrades of the notes, each as a night's run meets it.
//!
//! The demo publishes versions, writes notes as people do, and kills two runs; every change to the Swarm and to the
//! volume is the program's own. What is told of the data is read from the volume's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::look;
use super::recipes::{BAD, FIRST, GOOD, Later, MENDED};
use super::schema;
use super::story::{NOTES_STACK, Story, WELL, compared, heading, indented, say};
use crate::host::store::Store;
use crate::model::transaction::Step;

/// Exit codes that these nights promise: a version is held, was rolled back, or was broken off.
const HELD: i32 = 10;
const ROLLED_BACK: i32 = 11;
const BLOCKED: i32 = 12;
/// How long an upgrade may take to come to a step.
const PATIENCE: Duration = Duration::from_secs(120);

impl Story {
    /// Tells all of it, with the notes installed at their first version.
    ///
    /// # Errors
    /// When a night did not keep its promise.
    pub(super) async fn nights(&self) -> Result<()> {
        self.good_upgrade().await?;
        self.bad_upgrade().await?;
        self.next_night().await?;
        self.killed_while_stopped().await?;
        self.killed_while_judged().await
    }

    async fn good_upgrade(&self) -> Result<()> {
        heading("5. An upgrade: a newer version is published, and the data stays")?;
        let before = "schema 1\nwater the plants\ncall Ada\n";
        fs::write(self.notes().await?, before).context("write notes")?;
        self.show("People have written notes", &self.notes().await?)?;
        self.publish(GOOD).await?;
        self.run(&["app", "notes"], WELL).await?;
        self.runs(GOOD.number).await?;
        ensure!(self.kept().await? == before, "the upgrade changed the notes");
        say(&format!("{} runs instead of {FIRST}, and {} is the same, byte for byte.\n", GOOD.number, schema::FILE))
    }

    async fn bad_upgrade(&self) -> Result<()> {
        heading("6. A bad upgrade: the new version first migrates the data, and then it fails")?;
        let before = self.kept().await?;
        self.publish(BAD).await?;
        self.run(&["app", "notes"], ROLLED_BACK).await?;
        let gave_way = self.gave_way().await?;
        self.show(&format!("{} left this, and it is kept for reading", BAD.number), &gave_way)?;
        self.show("The app has again", &self.notes().await?)?;
        self.runs(GOOD.number).await?;
        ensure!(fs::read_to_string(&gave_way)?.starts_with("schema 2\n"), "{} migrated nothing", BAD.number);
        ensure!(self.kept().await? == before, "the notes did not come back");
        say(&format!("Version and data are both back: {} runs, on the bytes that it had.\n", GOOD.number))?;
        self.run(&["alerts", "list"], WELL).await
    }

    async fn next_night(&self) -> Result<()> {
        heading("7. The next night: what failed here is not tried again")?;
        let before = self.indexes().await?;
        self.run(&["app", "notes"], HELD).await?;
        let after = self.indexes().await?;
        say(&compared(&before, &after))?;
        ensure!(before == after, "the held version was written to the Swarm");
        say("Nothing was stopped, and nothing was written.\n")
    }

    async fn killed_while_stopped(&self) -> Result<()> {
        heading("8. kill -9 in the middle of an upgrade, while the app is stopped for its snapshot")?;
        let (app, before) = (format!("{NOTES_STACK}_app"), self.kept().await?);
        self.publish(MENDED).await?;
        let is_scaled_down = async || look::replicas(&self.engine, &app).await.is_ok_and(|replicas| replicas == 0);
        self.kill(&["app", "notes"], Step::Stop, is_scaled_down).await?;
        say(&format!("{app} has 0 replicas, and nobody is left who would start it.\n"))?;
        self.run(&["resume"], BLOCKED).await?;
        self.runs(GOOD.number).await?;
        ensure!(self.kept().await? == before, "the notes are others after the kill");
        say(&format!("{} runs again, on the bytes that it had.\n", GOOD.number))
    }

    async fn killed_while_judged(&self) -> Result<()> {
        heading("9. The next night takes that version again: kill -9 once it has migrated the data")?;
        let notes = self.notes().await?;
        let is_migrated = async || fs::read_to_string(&notes).is_ok_and(|text| text.starts_with("schema 2\n"));
        self.kill(&["app", "notes"], Step::Judge, is_migrated).await?;
        self.show("Nobody has judged the new version yet, and this is its data", &notes)?;
        self.run(&["resume"], WELL).await?;
        self.runs(MENDED.number).await?;
        let migrated = "schema 2\n1: water the plants\n2: call Ada\n";
        ensure!(self.kept().await? == migrated, "the notes are not those that were migrated");
        say(&format!("{} has passed its gate, with every note.\n", MENDED.number))?;
        self.run(&["app", "notes"], WELL).await?;
        self.run(&["status", "notes"], WELL).await
    }

    async fn publish(&self, version: Later) -> Result<()> {
        version.publish(&self.folder.join("recipes")).await?;
        say(&format!("  (in the recipe's repository)  {} is published\n", version.tag()))
    }

    /// The file in the app's volume.
    async fn notes(&self) -> Result<PathBuf> {
        Ok(look::volume(&self.engine, &format!("{NOTES_STACK}_data")).await?.join(schema::FILE))
    }

    async fn kept(&self) -> Result<String> {
        let file = self.notes().await?;
        fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
    }

    /// The file of the version that gave way: its folder lies beside the volume's own.
    async fn gave_way(&self) -> Result<PathBuf> {
        let data = look::volume(&self.engine, &format!("{NOTES_STACK}_data")).await?;
        let beside = data.parent().context("a volume at the root")?;
        let folders =
            fs::read_dir(beside).context("look beside the volume")?.filter_map(|entry| Some(entry.ok()?.path()));
        let failed = folders.into_iter().find(|folder| folder.to_string_lossy().ends_with("-failed"));
        Ok(failed.context("the data of the failed version was not kept")?.join(schema::FILE))
    }

    fn show(&self, words: &str, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let place = file.strip_prefix(&self.folder).unwrap_or(file);
        say(&format!("{words} ({}):\n{}", place.display(), indented(&text)))
    }

    async fn runs(&self, version: &str) -> Result<()> {
        let found = look::versions(&self.engine, &format!("{NOTES_STACK}_app")).await?;
        ensure!(found == [version], "{version} should run, and there is {found:?}");
        Ok(())
    }

    /// Starts a command and kills it when the app's journal stands at this step, and this has come as well.
    async fn kill(&self, arguments: &[&str], step: Step, has_come: impl AsyncFn() -> bool) -> Result<()> {
        say(&format!("\n$ evenkeel --config config.toml {}\n", arguments.join(" ")))?;
        let mut run = self.command(arguments).spawn().context("start an upgrade")?;
        let since = Instant::now();
        while self.step()? != Some(step) || !has_come().await {
            ensure!(run.try_wait()?.is_none(), "the upgrade ended before {}", step.word());
            ensure!(since.elapsed() < PATIENCE, "the upgrade does not come to {}", step.word());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        run.kill().await.context("kill the upgrade")?;
        let status = run.wait().await.context("wait for the upgrade's end")?;
        say(&format!("[{status}, after {:.1} s, at the step {:?}]\n", since.elapsed().as_secs_f32(), step.word()))
    }

    /// Where the open upgrade of the notes stands.
    fn step(&self) -> Result<Option<Step>> {
        let notes = "notes".parse().context("name the app")?;
        let state = Store::for_reading(self.folder.join("state")).app(&notes).read_state()?;
        Ok(state.and_then(|state| state.open).map(|open| open.step))
    }
}
