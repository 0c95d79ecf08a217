//! What is kept on disk, on a real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use evenkeel::host::store::{AppDir, LONGEST_HISTORY, Lock, LockAttempt, SlotAttempt, StateError, Store, random};
use evenkeel::model::app::AppName;
use evenkeel::model::history::Line;
use evenkeel::model::secret::{Rule, SecretBytes};
use evenkeel::model::state::{Frozen, SCHEMA, State};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("state")).unwrap();
    (dir, store)
}

fn wiki(store: &Store) -> AppDir {
    store.app(&"wiki".parse().unwrap())
}

/// Tries for a while: a child that another test is starting holds our descriptors until it has become its program.
fn taken(app: &AppDir) -> Lock {
    let begun = Instant::now();
    loop {
        match app.lock().unwrap() {
            LockAttempt::Taken(lock) => return lock,
            LockAttempt::Held { by } if begun.elapsed().as_secs() > 10 => panic!("held by {by}"),
            LockAttempt::Held { .. } => thread::yield_now(),
        }
    }
}

fn held_by(app: &AppDir) -> String {
    match app.lock().unwrap() {
        LockAttempt::Taken(_) => panic!("the lock was free"),
        LockAttempt::Held { by } => by,
    }
}

fn state(stack: &str) -> State {
    let frozen = Frozen { sample: "A=1\n".into(), ..Frozen::default() };
    State { frozen, ..State::new(&stack.parse().unwrap()) }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files_below(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => names.extend(files_below(&path)),
            false => names.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
        }
    }
    names.sort();
    names
}

#[test]
fn a_state_comes_back_as_it_was_written() {
    let (_dir, store) = store();
    let app = wiki(&store);
    assert_eq!(app.read_state().unwrap(), None);
    let lock = taken(&app);
    app.write_state(&lock, &state("old")).unwrap();
    app.write_state(&lock, &state("new")).unwrap();
    assert_eq!(app.read_state().unwrap(), Some(state("new")));
    assert_eq!(files_below(app.path()), ["lock", "state.json"]);
    let apps: Vec<_> = store.apps().unwrap().into_iter().map(|app| app.to_string()).collect();
    assert_eq!(apps, ["wiki"]);
}

#[test]
fn a_state_that_is_not_fully_understood_is_refused() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    let frozen = json!({"sample": "", "secret_versions": {}});
    let whole = json!({"schema": SCHEMA, "stack": "s", "frozen": frozen});
    let with = |key: &str, value: serde_json::Value| {
        let mut state = whole.clone();
        state[key] = value;
        state.to_string()
    };
    let cases = [
        (with("tides", json!(1)), true),
        (with("schema", json!(SCHEMA + 1)), true),
        (with("schema", json!(0)), false),
        (json!({"schema": SCHEMA, "frozen": frozen}).to_string(), false),
        (with("stack", json!(7)), false),
        (with("tides", json!(1)).replace('}', ""), false),
        ("{\"schema\": 1, \"sta".to_owned(), false),
        ("\u{0}".repeat(100), false),
        (String::new(), false),
    ];
    for (text, is_newer) in cases {
        fs::write(app.path().join("state.json"), &text).unwrap();
        let error = app.read_state().unwrap_err();
        assert_eq!(matches!(error, StateError::Newer { .. }), is_newer, "{text}: {error}");
        assert_eq!(matches!(error, StateError::Damaged { .. }), !is_newer, "{text}: {error}");
        assert!(error.to_string().contains("wiki/state.json"), "{error}");
    }
    drop(lock);
}

#[test]
fn a_damaged_state_is_kept_aside_once_whatever_becomes_of_the_first_file() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    let file = app.path().join("state.json");
    fs::write(&file, "damaged").unwrap();
    let written = app.keep_aside(&lock).unwrap().unwrap();
    assert_eq!(app.keep_aside(&lock).unwrap(), None, "once for each damage");
    app.write_state(&lock, &state("backup")).unwrap();
    let aside = app.path().join(format!("state.json.damaged-{}", written.strftime("%Y%m%dT%H%M%SZ")));
    assert_eq!(fs::read_to_string(aside).unwrap(), "damaged");
    assert_eq!(app.read_state().unwrap(), Some(state("backup")));
}

#[test]
fn a_lock_keeps_others_out_and_names_its_holder() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    let by = held_by(&app);
    assert!(by.starts_with(&format!("pid {} it-", std::process::id())), "{by}");
    taken(&store.app(&"blog".parse().unwrap()));
    drop(lock);
    taken(&app);
}

#[test]
fn the_lock_of_one_app_does_not_open_another() {
    let (_dir, store) = store();
    let lock = taken(&store.app(&"blog".parse().unwrap()));
    let app = wiki(&store);
    assert!(app.write_state(&lock, &state("s")).is_err());
    assert!(app.keep_secret(&lock, "a", &SecretBytes::new(vec![1])).is_err());
    assert_eq!(app.read_state().unwrap(), None);
}

#[test]
fn a_lock_lives_on_in_a_child_that_was_given_it() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    let mut child = Command::new("sleep").arg("600").stdin(lock.share().unwrap()).spawn().unwrap();
    drop(lock);
    held_by(&app);
    child.kill().unwrap();
    child.wait().unwrap();
    taken(&app);
}

#[test]
fn a_killed_holder_leaves_no_lock_and_no_rest() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    app.keep_secret(&lock, "password", &SecretBytes::new(b"x".to_vec())).unwrap();
    let mut child = Command::new("sleep").arg("600").stdin(lock.share().unwrap()).spawn().unwrap();
    drop(lock);
    fs::write(app.path().join(".beside-a1b2c3"), "half").unwrap();
    fs::write(app.path().join("secrets/.beside-d4e5f6"), "half").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    taken(&app);
    assert_eq!(files_below(app.path()), ["lock", "password"]);
}

/// A look of one thread that sees no process in `/proc`, as in a unit's `ProtectProc=`.
fn where_proc_hides_all<T: Send>(look: impl FnOnce() -> T + Send) -> T {
    let hidden = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        mount(Some("none"), "/proc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        look()
    };
    std::thread::scope(|scope| scope.spawn(hidden).join().unwrap())
}

#[test]
fn a_living_run_is_told_as_one_also_where_proc_hides_it_and_a_dead_runs_child_as_that() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let _lock = taken(&app);
    let told = where_proc_hides_all(|| held_by(&app));
    assert!(told.starts_with(&format!("pid {} ", std::process::id())), "{told}");
    let ended = ended();
    fs::write(app.path().join("lock"), format!("pid {ended} evenkeel proxy\n")).unwrap();
    let told = where_proc_hides_all(|| held_by(&app));
    assert_eq!(told, format!("a child of pid {ended} evenkeel proxy, which has ended itself"));
}

#[test]
fn a_dead_run_is_never_told_to_have_the_slot() {
    let (_dir, store) = store();
    let SlotAttempt::Taken(_slot) = store.slot().unwrap() else { panic!("it is free") };
    let path = store.dir().join("slot.lock");
    let look = || match store.slot().unwrap() {
        SlotAttempt::Taken(_) => panic!("it was free"),
        SlotAttempt::Held { by } => by,
    };
    for text in [format!("pid {} evenkeel app wiki\n", ended()), String::new()] {
        fs::write(&path, text).unwrap();
        let told = format!("another program, which `fuser -v {}` names,", path.display());
        assert_eq!(where_proc_hides_all(look), told);
        assert!(look().starts_with(&format!("pid {} it-", std::process::id())));
    }
}

/// The pid of nobody.
fn ended() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[tokio::test(start_paused = true)]
async fn a_run_by_hand_waits_for_the_lock_and_says_for_whom() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = std::cell::Cell::new(Some(taken(&app)));
    let mut told = Vec::new();
    let lock_after_waiting = app
        .lock_waiting(|by| {
            told.push(by.to_owned());
            // The holder ends while we wait.
            drop(lock.take());
        })
        .await
        .unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("pid "), "{told:?}");
    drop(lock_after_waiting);
}

#[test]
fn secrets_are_kept_exactly_and_for_us_alone() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    let bytes = SecretBytes::new(b"\0with\nnewline\n".to_vec());
    app.keep_secret(&lock, "wiki_example_org_password_v1", &bytes).unwrap();
    assert_eq!(app.secret("wiki_example_org_password_v1").unwrap(), Some(bytes));
    assert_eq!(app.kept_secrets().unwrap().into_iter().collect::<Vec<_>>(), ["wiki_example_org_password_v1"]);
    assert_eq!(mode(&app.path().join("secrets")), 0o700);
    assert_eq!(mode(&app.path().join("secrets/wiki_example_org_password_v1")), 0o600);
    app.forget_secret(&lock, "wiki_example_org_password_v1").unwrap();
    app.forget_secret(&lock, "wiki_example_org_password_v1").unwrap();
    assert_eq!(app.secret("wiki_example_org_password_v1").unwrap(), None);
}

#[test]
fn on_a_full_disk_the_runners_environment_stays_whole_and_is_written_once_there_is_room() {
    let bytes = |text: &str| SecretBytes::new(text.repeat(2048).into_bytes());
    let look = || {
        let dir = TempDir::new().unwrap();
        // Of this thread alone, and gone with it.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=128k,mode=0700")).unwrap();
        let store = Store::open(dir.path().join("state")).unwrap();
        let app = wiki(&store);
        let lock = taken(&app);
        assert!(app.keep_runner_env(&lock, &bytes("one")).unwrap());
        let filler = dir.path().join("filler");
        assert!(fs::write(&filler, vec![1; 256 << 10]).is_err(), "it is to be full");
        assert!(!app.keep_runner_env(&lock, &bytes("one")).unwrap(), "nothing is written, so no room is needed");
        let told = format!("{:#}", app.keep_runner_env(&lock, &bytes("two")).unwrap_err());
        assert!(told.contains("runner.env: ") && told.ends_with("free some space on its file system"), "{told}");
        assert_eq!(fs::read(app.runner_env_file()).unwrap(), bytes("one").expose());
        assert_eq!(files_below(app.path()), ["lock", "runner.env"]);
        fs::remove_file(filler).unwrap();
        assert!(app.keep_runner_env(&lock, &bytes("two")).unwrap());
        assert_eq!(fs::read(app.runner_env_file()).unwrap(), bytes("two").expose());
    };
    std::thread::scope(|scope| scope.spawn(look).join().unwrap());
}

#[test]
fn what_stands_in_the_place_of_the_runners_environment_is_never_written_through() {
    let (dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, app.runner_env_file()).unwrap();
    assert!(app.keep_runner_env(&lock, &SecretBytes::new(b"mine".to_vec())).unwrap());
    assert!(
        !fs::symlink_metadata(app.runner_env_file()).unwrap().is_symlink() && mode(&app.runner_env_file()) == 0o600
    );
    assert!(mode(&elsewhere) != 0o600 && fs::read(&elsewhere).unwrap() == b"mine");
}

#[test]
fn a_secrets_name_cannot_leave_its_folder() {
    let (_dir, store) = store();
    let app = wiki(&store);
    let lock = taken(&app);
    for name in ["", ".", "..", "../state.json", "a/b", ".hidden", "a b", "a\n", &"a".repeat(65)] {
        assert!(app.secret(name).is_err(), "{name:?}");
        assert!(app.keep_secret(&lock, name, &SecretBytes::new(vec![1])).is_err(), "{name:?}");
        assert!(app.forget_secret(&lock, name).is_err(), "{name:?}");
    }
}

#[test]
fn what_is_kept_is_closed_to_others_whatever_the_umask() {
    // A umask belongs to the whole process: this one has a process of its own.
    if std::env::var_os("STORE_UMASK_CHILD").is_none() {
        let own = std::env::current_exe().unwrap();
        let name = "store::what_is_kept_is_closed_to_others_whatever_the_umask";
        let umask = |mask| {
            Command::new("sh")
                .args(["-c", "umask \"$1\"; exec \"$2\" --exact \"$3\"", "sh", mask])
                .args([own.as_os_str(), name.as_ref()])
                .env("STORE_UMASK_CHILD", "1")
                .stdout(Stdio::null())
                .status()
                .unwrap()
        };
        assert!(umask("000").success() && umask("277").success());
        return;
    }
    let dir = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let store = Store::open(dir.path().join("state")).unwrap();
    let app = wiki(&store);
    let lock = taken(&app);
    app.write_state(&lock, &state("s")).unwrap();
    app.keep_secret(&lock, "a", &SecretBytes::new(vec![1])).unwrap();
    app.keep_runner_env(&lock, &SecretBytes::new(vec![1])).unwrap();
    store.host_key().unwrap();
    for folder in [store.dir(), app.path(), &app.path().join("secrets")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    for file in ["wiki/state.json", "wiki/lock", "wiki/secrets/a", "wiki/runner.env", "host.key"] {
        assert_eq!(mode(&store.dir().join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_look_names_nothing_by_a_key_that_others_know() {
    let (_dir, store) = store();
    let seen = || store.key_to_look_with().unwrap().content_version(b"guess");
    assert_ne!(seen(), seen());
    assert!(store.existing_host_key().unwrap().is_none());
    let own = store.host_key().unwrap().content_version(b"guess");
    assert_eq!([seen(), seen()], [own.clone(), own]);
}

#[test]
fn the_host_key_is_made_once_however_many_ask() {
    let (_dir, store) = store();
    assert!(store.existing_host_key().unwrap().is_none());
    let together = Barrier::new(8);
    let versions: Vec<String> = thread::scope(|scope| {
        let ask = || {
            together.wait();
            store.host_key().unwrap().content_version(b"content")
        };
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    assert_eq!(files_below(store.dir()), ["host.key"]);
    fs::write(store.dir().join("host.key"), "short").unwrap();
    assert!(store.host_key().unwrap_err().to_string().contains("damaged"));
}

fn line(app: &str, sentence: &str) -> Line {
    Line::of_act(app, "applied", sentence, "alice", "2026-11-21T02:00:00Z".parse().unwrap())
}

/// Sentences of the readable lines, and what is told of the others.
fn history(store: &Store) -> (Vec<String>, Vec<String>) {
    let (mut sentences, mut damaged) = (Vec::new(), Vec::new());
    store
        .history(|line| match line {
            Ok(line) => sentences.push(line.sentence),
            Err(cause) => damaged.push(cause.to_string()),
        })
        .unwrap();
    (sentences, damaged)
}

#[test]
fn the_newest_line_about_an_app_is_found() {
    let (_dir, store) = store();
    let app: AppName = "wiki".parse().unwrap();
    assert_eq!(store.last_history(&app), None);
    for line in [line("wiki", "1"), line("wiki", "2"), line("blog", "3")] {
        store.append_history(&line).unwrap();
    }
    assert_eq!(store.last_history(&app).unwrap().sentence, "2");
}

#[test]
fn history_gains_whole_lines_even_after_one_was_cut() {
    let (_dir, store) = store();
    let file = store.dir().join("history.jsonl");
    assert_eq!(history(&store), (vec![], vec![]));
    store.append_history(&line("wiki", "two\nlines")).unwrap();
    fs::write(&file, fs::read_to_string(&file).unwrap() + "{\"app\": \"wi").unwrap();
    store.append_history(&line("blog", "b")).unwrap();
    store.append_history(&line("shop", "c")).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 4);
    let (sentences, damaged) = history(&store);
    assert_eq!(sentences, ["two\nlines", "b", "c"]);
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(damaged[0].contains("history.jsonl:2 is no line of a history: EOF"), "{damaged:?}");
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_line_of_an_older_program_is_read() {
    let (_dir, store) = store();
    let old = "{\"ts\":\"2026-01-01T00:00:00Z\",\"app\":\"wiki\",\"outcome\":\"held\",\"sentence\":\"a\"}\n";
    fs::write(store.dir().join("history.jsonl"), old).unwrap();
    assert_eq!(store.last_history(&"wiki".parse().unwrap()).unwrap().by, None);
    assert_eq!(history(&store), (vec!["a".to_owned()], vec![]));
}

#[test]
fn a_long_history_is_moved_aside_once_and_still_read() {
    let (_dir, store) = store();
    let file = store.dir().join("history.jsonl");
    let long = "x".repeat(1_000);
    let text = serde_json::to_string(&line("wiki", &long)).unwrap() + "\n";
    let many = usize::try_from(LONGEST_HISTORY).unwrap() / text.len() + 1;
    fs::write(&file, text.repeat(many)).unwrap();
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let (store, together) = (&store, &together);
            scope.spawn(move || {
                together.wait();
                store.append_history(&line("wiki", &number.to_string())).unwrap();
            });
        }
    });
    let (sentences, damaged) = history(&store);
    assert_eq!((sentences.len(), damaged.len()), (many + 4, 0));
    let mut newest = sentences[many..].to_vec();
    newest.sort();
    assert_eq!(newest, ["0", "1", "2", "3"]);
    assert!(fs::metadata(&file).unwrap().len() < 10_000);
    assert_eq!(store.last_history(&"wiki".parse().unwrap()).unwrap().sentence.len(), 1);
}

#[test]
fn a_state_directory_that_cannot_be_used_is_told_before_anything_happens() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = format!("{:#}", Store::open(&place).unwrap_err());
        assert!(error.contains("cannot be used") && error.contains("move it away"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"");
    // A file system that takes no new files, as root sees it too.
    let error = format!("{:#}", Store::open("/proc/self").unwrap_err());
    assert!(error.contains("the state directory /proc/self cannot be used"), "{error}");
}

#[test]
fn looking_makes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::for_reading(dir.path().join("state"));
    assert!(store.apps().unwrap().is_empty());
    assert_eq!(wiki(&store).read_state().unwrap(), None);
    assert!(wiki(&store).kept_secrets().unwrap().is_empty());
    assert!(store.existing_host_key().unwrap().is_none());
    assert!(!store.dir().exists());
}

#[test]
fn generated_secrets_differ() {
    let generate = || Rule::default().generate(&mut random);
    assert_ne!(generate(), generate());
}
