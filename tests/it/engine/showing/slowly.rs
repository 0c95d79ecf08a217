//! Copies that take their time: a run that is asked to end in one, and what is told meanwhile.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use super::*;
use crate::engine::DEADLINE;
use crate::world::Said;

/// A tar before the real one: what it stores of one volume comes in pieces, a tenth of a second between each two.
struct Slowly {
    begun: PathBuf,
    whole: PathBuf,
}

impl Slowly {
    fn stored(nights: &mut Nights, pieces: u32) -> Self {
        let data = nights.volume("data");
        // More than all the pieces.
        fs::write(data.join("large"), vec![7; 4 << 20]).unwrap();
        let folder = nights.world.dir.path().join("slowly");
        fs::create_dir(&folder).unwrap();
        let slowly = Self { begun: folder.join("begun"), whole: folder.join("whole") };
        let path = env::var("PATH").unwrap();
        // Its children hold the app's lock, so none of them may outlive whoever reads.
        let script = format!(
            "#!/bin/sh\nPATH='{path}'\ncase \"$*\" in --create*\" -C {} \"*) ;; *) exec tar \"$@\" ;; esac\n\
             piece() {{ dd bs=4k count=1 iflag=fullblock || exit; }}\n\
             tar \"$@\" | {{\n  piece; : >'{}'; n=0\n  while [ $n -lt {pieces} ]; do sleep 0.1; piece; n=$((n + 1)); done\n  \
             cat; : >'{}'\n}} 2>/dev/null\n",
            data.display(),
            slowly.begun.display(),
            slowly.whole.display(),
        );
        fs::write(folder.join("tar"), script).unwrap();
        fs::set_permissions(folder.join("tar"), fs::Permissions::from_mode(0o755)).unwrap();
        nights.world.environment.insert("PATH".into(), format!("{}:{path}", folder.display()));
        slowly
    }

    #[track_caller]
    fn is_begun(&self, run: &mut Child) {
        let deadline = Instant::now() + DEADLINE * 3;
        while !self.begun.exists() {
            assert_eq!(run.try_wait().unwrap(), None, "the run ended before it stored anything");
            assert!(Instant::now() < deadline, "nothing is stored");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_run_that_is_asked_to_end_in_the_middle_of_a_copy_ends_there_and_resume_puts_the_app_back() {
    let mut nights = Nights::begin();
    let slowly = Slowly::stored(&mut nights, 300);
    let before = nights.data();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let mut run = nights.world.command(&["app", APP]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    slowly.is_begun(&mut run);

    kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGTERM).unwrap();

    let ended = run.wait_with_output().unwrap();
    assert!(!slowly.whole.exists(), "it stored the volume to its end first");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = Said { code: ended.status.code().unwrap_or(-1), out: text(ended.stdout), err: text(ended.stderr) };
    tells(&said, 1, &["wiki: error: the run was asked to end; the upgrade 1.0.0+1 -> 1.1.0+1", "stands at snapshot"]);
    let open = read(&nights.dir()).unwrap()["open"].clone();
    assert_eq!((&open["step"], &open["left"]["kind"]), (&json!("snapshot"), &json!("laid-down")), "{open:#}");
    assert!(nights.data() == before && nights.given_way().is_empty());

    nights.world.environment.clear();
    let words =
        ["was broken off at snapshot: the run was asked to end", "1.0.0+1 runs again as before", "tries it again"];
    tells(&nights.world.run(&["resume"]), 12, &words);
    nights.stands_at("1.0.0+1");
    assert!(nights.data() == before, "the old version has other data than it had");
    let state = nights.state();
    assert_eq!(
        (state.get("refused"), state.get("interrupted")),
        (None, None),
        "an end that was asked for is held against it"
    );
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    nights.stands_at("1.1.0+1");
}

/// Ends in seconds, so that there is something to wait for.
const ENDS_SLOWLY: &str = "trap 'sleep 3; exit 0' TERM; while :; do sleep 1; done";

#[test]
fn systemd_hears_at_each_step_what_is_waited_for_and_how_far_it_is() {
    let mut nights = Nights::laid_over(ENDS_SLOWLY, &DATA, &json!({}));
    Slowly::stored(&mut nights, 30);
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let path = nights.world.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    nights.world.environment.insert("NOTIFY_SOCKET".into(), path.display().to_string());

    let (said, heard) = thread::scope(|scope| {
        let listener = scope.spawn(|| heard(&socket));
        let said = nights.night();
        UnixDatagram::unbound().unwrap().send_to(LAST.as_bytes(), &path).unwrap();
        (said, listener.join().unwrap())
    });

    tells(&said, 0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    let mut rest = heard.iter().skip_while(|line| !line.ends_with(": waiting for the app's containers to end"));
    assert!(rest.next().is_some(), "nothing of stopping: {heard:#?}");
    let stored = format!("STATUS=wiki: waiting for volume {} to be stored (", nights.named("data"));
    assert!(rest.any(|line| line.starts_with(&stored) && line.ends_with(" %)")), "nothing of the copy: {heard:#?}");
    let judged = "STATUS=wiki: waiting for everything runs, watched for another ";
    assert!(rest.any(|line| line.starts_with(judged)), "nothing of the verdict: {heard:#?}");
    assert!(heard.iter().any(|line| line.starts_with("EXTEND_TIMEOUT_USEC=")), "{heard:#?}");
    let last = heard.iter().rfind(|line| line.starts_with("STATUS=")).unwrap();
    assert!(last.starts_with("STATUS=wiki: upgraded: 1.0.0+1 -> 1.1.0+1 passed its gate"), "not how it ended: {last}");
}

/// From the test itself.
const LAST: &str = "the run has ended";

fn heard(socket: &UnixDatagram) -> Vec<String> {
    let next = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    };
    iter::repeat_with(next).take_while(|line| line != LAST).collect()
}
