//! What a run still does for an app when its outcome stands: best effort, and the app's lock still held.
//!
//! The border: nothing here changes the outcome; what fails is a warning beside it, and the next run does it again. The
//! surprise: a run that failed comes here, too, for what another one left undone may be done all the same.

use jiff::Timestamp;
use tracing::{info, warn};

use super::runner_env::{self, Stands};
use super::{log_warnings, pausing};
use crate::config::{App, Declared};
use crate::host::store::{AppDir, Lock, LockAttempt, Store};
use crate::model::app::{AppName, Kind};
use crate::model::outcome::Outcome;

/// A run's end for an app that it holds.
pub(super) struct End<'a> {
    pub declared: &'a Declared,
    pub app: &'a AppName,
    pub dir: &'a AppDir,
    pub lock: &'a Lock,
}

/// What is declared of an app, beside what is recorded of it.
enum Known<'a> {
    /// Also of an app of which nothing is recorded.
    AsDeclared(&'a App),
    /// It is not declared any more, or elsewhere.
    Otherwise,
    /// Its state cannot be read, which every run says itself.
    Unread,
}

impl<'a> Known<'a> {
    fn of(declared: &'a Declared, app: &AppName, dir: &AppDir) -> Self {
        let Ok(state) = dir.read_state() else { return Known::Unread };
        match declared.app(app.as_str()) {
            Some(app) if state.is_none_or(|state| state.stack == app.stack.as_str()) => Known::AsDeclared(app),
            Some(_) | None => Known::Otherwise,
        }
    }
}

impl End<'_> {
    fn known(&self) -> Known<'_> {
        Known::of(self.declared, self.app, self.dir)
    }

    /// Also where the run has failed: a rotation that an earlier one finished may not have reached the runner.
    fn runner_env(&self, app: &App) -> Vec<String> {
        match runner_env::keep(self.declared, app, self.dir, self.lock) {
            Ok(Stands::Written(path)) => info!(path = %path.display(), "the runner's environment is written"),
            Ok(Stands::Unchanged(_) | Stands::NotInstalled) => {}
            Err(why) => {
                return vec![unwritten(&why)];
            }
        }
        Vec::new()
    }
}

fn unwritten(why: &Outcome) -> String {
    format!("the runner's environment file could not be written: {}; the next run tries again", why.sentence())
}

/// Does all of it, and gives what is worth telling. Never fails.
pub(super) fn wind_up(end: &End<'_>) -> Vec<String> {
    match end.known() {
        Known::AsDeclared(app) => end.runner_env(app),
        Known::Otherwise => runner_env::stale(end.app, end.dir).into_iter().collect(),
        Known::Unread => Vec::new(),
    }
}

/// The same as soon as another release is the current one, in the middle of a run. What fails is tried again at its end,
/// and told there.
pub(super) fn follow(end: &End<'_>) {
    let Known::AsDeclared(app) = end.known() else { return };
    if let Some(why) = end.runner_env(app).pop() {
        warn!("{why}");
    }
}

/// What a run that was killed after its last commit has left undone.
pub(super) fn catch_up(declared: &Declared, store: &Store, now: Timestamp) {
    let installed = store.apps().unwrap_or_default();
    for app in declared.of(Kind::Drone).filter(|app| installed.contains(&app.name)) {
        if matches!(pausing::left_alone(store, &app.name, now), Ok(None)) {
            log_warnings(&caught_up(declared, &app.name, &store.app(&app.name)));
        }
    }
}

/// Takes the lock only where there is something to do: a run that begins meanwhile would find the app held, and end. Where
/// another run is at the app already, that one does it.
fn caught_up(declared: &Declared, app: &AppName, dir: &AppDir) -> Vec<String> {
    let is_behind = match Known::of(declared, app, dir) {
        Known::AsDeclared(app) => runner_env::is_behind(declared, app, dir),
        Known::Otherwise => return runner_env::stale(app, dir).into_iter().collect(),
        Known::Unread => return Vec::new(),
    };
    match is_behind {
        Ok(false) => Vec::new(),
        Ok(true) => match dir.lock() {
            Ok(LockAttempt::Taken(lock)) => wind_up(&End { declared, app, dir, lock: &lock }),
            Ok(LockAttempt::Held { .. }) => Vec::new(),
            Err(cause) => vec![unwritten(&cause.into())],
        },
        Err(why) => vec![unwritten(&why)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds;
    use crate::model::secret::SecretBytes;
    use crate::model::state::{KeptSecret, State};

    const DRONE: &str = "[drone]\nrecipe = { url = \"https://r.org/d\" }\nsecrets = { rpc_secret = \"/nonexistent/rpc\", \
                         client_secret = \"/nonexistent/client\" }\ngitea = { server = \"https://git.example.net\", \
                         client_id = \"id\" }\n";

    /// A server that was installed, its runner's file written.
    struct Installed {
        _folder: tempfile::TempDir,
        dir: AppDir,
        app: AppName,
    }

    impl Installed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let app: AppName = "drone".parse().unwrap();
            let dir = Store::open(folder.path()).unwrap().app(&app);
            let installed = Self { _folder: folder, dir, app };
            let lock = installed.lock();
            let (name, mut current) = ("drone_rpc_secret_v1", worlds::release("1.0.0+2.0.0"));
            let kept = KeptSecret { key: "rpc_secret".to_owned(), spec: serde_json::Value::Null };
            current.body.secrets.insert(name.to_owned(), kept);
            let state = State { current: Some(current), ..State::new(&declared(DRONE).app("drone").unwrap().stack) };
            installed.dir.write_state(&lock, &state).unwrap();
            installed.dir.keep_secret(&lock, name, &SecretBytes::new(b"horse".to_vec())).unwrap();
            drop(lock);
            assert_eq!(installed.caught_up(DRONE), [""; 0]);
            assert!(installed.file().contains("horse"));
            installed
        }

        fn lock(&self) -> Lock {
            let LockAttempt::Taken(lock) = self.dir.lock().unwrap() else { panic!("nobody else is here") };
            lock
        }

        fn caught_up(&self, config: &str) -> Vec<String> {
            caught_up(&declared(config), &self.app, &self.dir)
        }

        /// How a run that holds the app ends.
        fn wound_up(&self, config: &str) -> Vec<String> {
            let (declared, lock) = (declared(config), self.lock());
            wind_up(&End { declared: &declared, app: &self.app, dir: &self.dir, lock: &lock })
        }

        fn file(&self) -> String {
            std::fs::read_to_string(self.dir.runner_env_file()).unwrap()
        }
    }

    fn declared(more: &str) -> Declared {
        crate::config::parse("config.toml", &format!("base_domain = \"example.org\"\n{more}")).unwrap()
    }

    #[test]
    fn the_app_is_held_only_where_something_is_to_be_written() {
        let installed = Installed::new();
        let lock_file = installed.dir.path().join("lock");
        std::fs::write(&lock_file, "pid 1 the run before").unwrap();
        assert_eq!(installed.caught_up(DRONE), [""; 0]);
        assert_eq!(std::fs::read_to_string(&lock_file).unwrap(), "pid 1 the run before", "nobody took it");

        std::fs::write(installed.dir.runner_env_file(), "of before").unwrap();
        let run = installed.lock();
        assert_eq!(installed.caught_up(DRONE), [""; 0]);
        assert_eq!(installed.file(), "of before", "the run that holds the app does it");
        drop(run);
        assert_eq!(installed.caught_up(DRONE), [""; 0]);
        assert!(installed.file().contains("horse"));
    }

    #[test]
    fn a_file_that_nobody_keeps_any_more_is_told_and_one_of_an_unreadable_state_is_left_to_that() {
        let installed = Installed::new();
        let elsewhere = DRONE.replace("[drone]\n", "[drone]\ndomain = \"ci.example.org\"\n");
        for config in ["", &elsewhere] {
            for told in [installed.wound_up(config), installed.caught_up(config)] {
                let [told] = &told[..] else { panic!("{told:#?}") };
                assert!(told.contains("drone is not declared as it was installed"), "{told}");
            }
        }
        std::fs::write(installed.dir.path().join("state.json"), "{").unwrap();
        for config in ["", DRONE] {
            assert_eq!(installed.wound_up(config), [""; 0]);
            assert_eq!(installed.caught_up(config), [""; 0]);
        }
    }
}
