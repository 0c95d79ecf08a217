//! `measure TIMES COMMAND...`: runs it so often and prints `WALL LEAST CPU MEMORY`: the median and the least of the
//! milliseconds it took, the median of the processor's milliseconds, and the most KiB that it or a child of it held.
//!
//! A child that outlives the command is waited for too, outside the wall clock, so that its work counts. Small on
//! purpose, and compiled by `tests/bench` alone: a process's peak memory counts that of the one that started it.

use std::io;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio, exit};
use std::time::Instant;

#[repr(C)]
#[derive(Clone, Copy)]
struct Timeval {
    seconds: i64,
    micros: i64,
}

/// `struct rusage` of 64-bit Linux.
#[repr(C)]
struct Usage {
    user: Timeval,
    system: Timeval,
    max_rss: i64,
    rest: [i64; 13],
}

unsafe extern "C" {
    fn wait4(pid: i32, status: *mut i32, options: i32, usage: *mut Usage) -> i32;
    fn prctl(option: i32, ...) -> i32;
}

/// `PR_SET_CHILD_SUBREAPER`: orphans below this process become its children.
const ADOPT_ORPHANS: i32 = 36;

struct Run {
    wall: f64,
    cpu: f64,
    memory: i64,
}

fn run(program: &str, args: &[String]) -> Run {
    let begin = Instant::now();
    let child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| fail(program, &error.to_string()));
    let pid = i32::try_from(child.id()).expect("a pid fits");
    let ended = wait(pid).unwrap_or_else(|error| fail(program, &error.to_string()));
    let wall = begin.elapsed().as_secs_f64() * 1e3;
    if ended.status != 0 {
        fail(program, &format!("wait status {:#x}", ended.status));
    }
    let orphans = std::iter::from_fn(|| wait(-1).ok());
    let all = |run: Run, ended: Ended| Run { cpu: run.cpu + ended.cpu, memory: run.memory.max(ended.memory), ..run };
    orphans.fold(Run { wall, cpu: ended.cpu, memory: ended.memory }, all)
}

/// What a process and the children that it waited for have used.
struct Ended {
    status: i32,
    cpu: f64,
    memory: i64,
}

/// Waits for a child, or for any of them with -1.
fn wait(pid: i32) -> io::Result<Ended> {
    let (mut status, mut usage) = (0, MaybeUninit::<Usage>::zeroed());
    // SAFETY: both point to places that are large enough, and all-zero bytes are a valid `Usage`.
    let (waited, usage) = unsafe { (wait4(pid, &raw mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    let millis = |time: Timeval| time.seconds as f64 * 1e3 + time.micros as f64 / 1e3;
    Ok(Ended { status, cpu: millis(usage.user) + millis(usage.system), memory: usage.max_rss })
}

fn fail(program: &str, why: &str) -> ! {
    eprintln!("{program}: {why}");
    exit(1)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [times, program, args @ ..] = args.as_slice() else { fail("measure", "TIMES COMMAND...") };
    let times = times.parse().unwrap_or_else(|_| fail("measure", "TIMES is a number"));
    // SAFETY: this option takes one number and no pointer.
    unsafe { prctl(ADOPT_ORPHANS, 1_u64) };
    let runs: Vec<Run> = (0..times).map(|_| run(program, args)).collect();
    let wall = median(runs.iter().map(|run| run.wall).collect());
    let least = runs.iter().map(|run| run.wall).fold(f64::INFINITY, f64::min);
    let cpu = median(runs.iter().map(|run| run.cpu).collect());
    println!("{wall:.1} {least:.1} {cpu:.1} {}", runs.iter().map(|run| run.memory).max().unwrap_or(0));
}
