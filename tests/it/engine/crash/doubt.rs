//! The folder of the journal cannot be synced after the new journal has taken its place: nobody knows which of the two a
//! power loss would leave. The error is put into the call of a run that is under way.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::doomed::{Moment, Strike, kill_at};
use super::life::{Life, Way};

/// Makes syncs of this folder fail in the run from now on, all of them or the first.
fn fails(run: &Child, folder: &Path, always: bool) {
    let which = if always { "1+" } else { "1" };
    let mut strace = Command::new("strace")
        .args(["-f", "-e", "trace=fsync", "-e", &format!("inject=fsync:error=EIO:when={which}"), "-o", "/dev/null"])
        .args(["-p", &run.id().to_string(), "-P"])
        .arg(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says when it is there, and ends with the run.
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");
    std::thread::spawn(move || {
        std::io::copy(&mut said, &mut std::io::sink()).unwrap();
        strace.wait().unwrap();
    });
}

/// A way, the act from which on the sync fails, and how the run ends: `None` where it fails for good and is killed.
const CASES: [(Way, &str, Option<i32>); 4] = [
    (Way::Good, "ReadIndexes", Some(12)),
    (Way::Good, "Judge", Some(0)),
    (Way::Good, "Judge", None),
    (Way::Bad, "Judge", None),
];

#[test]
fn a_journal_of_which_nobody_knows_whether_it_is_on_disk_is_written_again_or_finished_later() {
    let mut life = Life::begin();
    for (way, act, code) in CASES {
        let going = life.going(way);
        let folder = life.dir();
        let fail: Strike<'_> = (Moment::At(act), Box::new(|run| fails(run, folder.path(), code.is_none())));
        let kill = code.is_none().then(|| kill_at(Moment::Told("the journal is written again")));
        let seen = life.sets_out(&going, [fail].into_iter().chain(kill).collect());
        assert_eq!(seen.code, code, "{way:?} {act}: {}", seen.said);
        assert!(seen.said.contains("nobody knows whether it is on disk") || code == Some(12), "{}", seen.said);
        let stand = life.is_finished_by_resume(&going, true);
        // What was judged well stays, since it is what the journal says.
        let came_about = stand.version != going.before.version;
        assert_eq!(came_about, (way, act) == (Way::Good, "Judge"), "{way:?} {act}");
    }
}
