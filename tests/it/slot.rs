//! The run slot between real processes: who is named to those who wait, who has it inside another's, and what a death frees.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use evenkeel::host::store::{AppDir, LockAttempt, SlotAttempt, Store};
use tempfile::TempDir;

/// What makes a run of this program one that tries the slot of a state directory, and says what came of it.
const INSIDE: &str = "EVENKEEL_TEST_STATE_DIR";

/// A program of somebody else's. It ends when it is let go of.
pub struct Foreign {
    child: Child,
    words: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Foreign {
    /// Has `flock` hold the slot of a state directory. What it runs does not share it.
    pub fn holds(state_dir: &Path) -> Self {
        let mut flock = Command::new("flock");
        flock.arg("--close").arg(slot(state_dir)).args(["sh", "-c", "echo held; exec cat", "sh", "--password=hunter2"]);
        Self::starts(flock, "held")
    }

    /// A script that says `word` when it is ready.
    fn script(script: &str, state_dir: &Path, word: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env("SLOT", slot(state_dir));
        Self::starts(shell, word)
    }

    fn starts(mut command: Command, word: &str) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (words, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut foreign = Self { child, words, said };
        assert_eq!(foreign.line(), word);
        foreign
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As it is named to who waits for it.
    pub fn name(&self) -> String {
        format!("pid {} flock", self.pid())
    }

    /// By a signal that it cannot do anything about.
    pub fn is_killed(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.words.take());
        self.child.wait().unwrap();
    }
}

fn slot(state_dir: &Path) -> PathBuf {
    state_dir.join("slot.lock")
}

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn held_by(store: &Store) -> String {
    match store.slot().unwrap() {
        SlotAttempt::Taken(_) => panic!("the slot was free"),
        SlotAttempt::Held { by } => by,
    }
}

fn is_free(store: &Store) -> bool {
    matches!(store.slot().unwrap(), SlotAttempt::Taken(_))
}

/// Of a process that has ended.
fn dead() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn a_foreign_holder_that_wrote_no_name_is_named_by_pid_and_program_and_never_by_anothers_text() {
    let (dir, store) = store();
    let foreign = Foreign::holds(dir.path());
    let own = std::process::id();
    for text in [
        "".to_owned(),
        format!("pid {} evenkeel app wiki\n", dead()),
        format!("pid {own} evenkeel app\n"),
        "x\0".into(),
    ] {
        fs::write(slot(dir.path()), &text).unwrap();
        assert_eq!(held_by(&store), foreign.name(), "{text:?}");
    }
    drop(foreign);
    assert!(is_free(&store));
}

#[test]
fn a_dead_holder_frees_the_slot_and_leaves_no_name() {
    let (dir, store) = store();
    let mut foreign = Foreign::holds(dir.path());
    fs::write(slot(dir.path()), format!("pid {} flock\n", foreign.pid())).unwrap();
    assert_eq!(held_by(&store), format!("pid {} flock", foreign.pid()), "by its own word");
    foreign.is_killed();
    let SlotAttempt::Taken(taken) = store.slot().unwrap() else { panic!("nobody has it") };
    let by = held_by(&store);
    assert!(by.starts_with(&format!("pid {} it-", std::process::id())), "{by}");
    drop(taken);
    assert_eq!(fs::read_to_string(slot(dir.path())).unwrap(), "");
}

#[test]
fn a_shell_that_had_flock_take_it_is_named_though_flock_has_ended() {
    let (dir, store) = store();
    let shell = Foreign::script("exec 9>>$SLOT; flock 9; echo held; read line", dir.path(), "held");
    assert_eq!(held_by(&store), format!("pid {} sh", shell.pid()));
}

#[test]
fn what_a_killed_holder_leaves_running_holds_the_slot_until_it_ends_and_is_named() {
    let (dir, store) = store();
    let script =
        "exec flock --no-fork $SLOT sh -c 'echo \"pid $$ evenkeel app wiki\" > $SLOT; sleep 600 & echo $!; read line'";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env("SLOT", slot(dir.path()));
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut left = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut left).unwrap();
    let left = left.trim_end();
    assert_eq!(held_by(&store), format!("pid {} evenkeel app wiki", child.id()));

    child.kill().unwrap();
    child.wait().unwrap();
    let told = format!("pid {left} sleep, a child of pid {} evenkeel app wiki, which has ended itself", child.id());
    assert_eq!(held_by(&store), told);
    let pid = nix::unistd::Pid::from_raw(left.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    while !is_free(&store) {
        std::thread::yield_now();
    }
}

/// This very test once more as another process, which tries the slot and says what came of it.
fn tries(program: &str, arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "slot::a_command_that_is_run_inside_a_held_slot_has_it", "--nocapture"]);
    command.env(INSIDE, dir);
    command
}

fn said(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let answer = said.lines().find_map(|line| line.split_once("slot: ")).map(|(_, answer)| answer.to_owned());
    answer.unwrap_or_else(|| panic!("{said}"))
}

/// What another process does that was started inside.
fn inside(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let first = match store.slot().unwrap() {
        SlotAttempt::Held { by } => {
            println!("slot: held by {by}");
            return;
        }
        SlotAttempt::Taken(first) => first,
    };
    // Another run of this process waits for this one, as it does for one that was not started inside.
    assert!(held_by(&store).starts_with(&format!("pid {} it-", std::process::id())));
    println!("slot: taken");
    if std::env::var_os("WAITS").is_some() {
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
    drop(first);
    assert!(is_free(&store));
}

#[test]
fn a_command_that_is_run_inside_a_held_slot_has_it() {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return inside(Path::new(&dir));
    }
    let (dir, store) = store();
    let path = slot(dir.path());
    let path = path.to_str().unwrap();
    assert_eq!(said(tries("flock", &[path], dir.path())), "taken");
    assert_eq!(said(tries("flock", &["--no-fork", path], dir.path())), "taken");
    let by_number = format!("exec 9>>{path}; flock 9; \"$@\"");
    assert_eq!(said(tries("sh", &["-c", &by_number, "sh"], dir.path())), "taken");
    // An open file is no lock, and a shared lock shuts nobody out.
    let other = Foreign::holds(dir.path());
    let unlocked = format!("exec 9>>{path}; \"$@\"");
    assert_eq!(said(tries("sh", &["-c", &unlocked, "sh"], dir.path())), format!("held by {}", other.name()));
    drop(other);
    let shared = said(tries("flock", &["--shared", path], dir.path()));
    assert!(shared.starts_with("held by pid ") && shared.contains(" flock"), "{shared}");
    assert!(is_free(&store));
}

#[test]
fn of_two_that_share_a_held_slot_one_waits_for_the_other() {
    let (dir, store) = store();
    // One shell holds it, and starts both: the first waits for its word, and ends with it.
    let own = std::env::current_exe().unwrap();
    let test = "slot::a_command_that_is_run_inside_a_held_slot_has_it";
    let run = format!("{} --exact {test} --nocapture", own.display());
    let script = format!(
        "exec 9>>$SLOT; flock 9; mkfifo $SLOT.go; (WAITS=1 {run} < $SLOT.go) & exec 8> $SLOT.go; read a; {run}; \
         echo >&8; exec 8>&-; wait; {run}; echo over; read b"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("SLOT", slot(dir.path())).env(INSIDE, dir.path());
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut words = shell.stdin.take().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut answer = || lines.find_map(|line| Some(line.split_once("slot: ")?.1.to_owned())).unwrap();

    assert_eq!(answer(), "taken");
    let by = held_by(&store);
    assert_eq!(by, format!("pid {} sh", shell.id()), "to who stands outside");
    std::io::Write::write_all(&mut words, b"\n").unwrap();
    let second = answer();
    assert!(second.starts_with("held by pid ") && second.contains(" it-") && !second.contains(&by), "{second}");
    assert_eq!(answer(), "taken", "the first has ended");
    drop(words);
    shell.wait().unwrap();
    assert!(is_free(&store));
}

#[test]
fn a_holder_that_started_this_command_without_its_descriptor_is_told_as_that() {
    let (dir, _store) = store();
    let path = slot(dir.path());
    let told = said(tries("flock", &["--close", path.to_str().unwrap()], dir.path()));
    let words = [" flock,", "which started this command without the slot's descriptor"];
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
}

#[tokio::test]
async fn whoever_waits_for_a_foreign_holder_is_told_its_name_and_gets_the_slot_when_it_is_killed() {
    let (dir, store) = store();
    let mut foreign = Foreign::holds(dir.path());
    let name = foreign.name();
    let mut told = Vec::new();
    store
        .slot_waiting(|by| {
            told.push(by.to_owned());
            foreign.is_killed();
        })
        .await
        .unwrap();
    assert_eq!(told, [name]);
}

/// As another app's run is named, an app's own lock is.
#[test]
fn who_holds_an_app_without_a_name_is_named_too() {
    let (dir, store) = store();
    let app: AppDir = store.app(&"wiki".parse().unwrap());
    drop(app.lock().unwrap());
    let lock = dir.path().join("wiki/lock");
    let mut flock = Command::new("flock");
    flock.arg(&lock).args(["sh", "-c", "echo held; exec cat"]);
    let foreign = Foreign::starts(flock, "held");
    let LockAttempt::Held { by } = app.lock().unwrap() else { panic!("the lock was free") };
    assert_eq!(by, format!("pid {} flock {}", foreign.pid(), lock.display()));
    assert_eq!(app.holder().unwrap(), Some(by));
}
