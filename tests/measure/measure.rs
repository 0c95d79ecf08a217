//! `measure TIMES COMMAND...`: runs it so often and prints `WALL CPU MEMORY`: the medians of the milliseconds it took and
//! of the processor's milliseconds, and the most KiB it held.
//!
//! Small on purpose, and compiled by `tests/bench` alone: a process's peak memory counts that of the one that started it.

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
}

struct Run {
    wall: f64,
    cpu: f64,
    memory: i64,
}

fn run(program: &str, args: &[String]) -> Run {
    let begin = Instant::now();
    let child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| fail(program, &error.to_string()));
    let (mut status, mut usage) = (0, MaybeUninit::<Usage>::zeroed());
    let pid = i32::try_from(child.id()).expect("a pid fits");
    // SAFETY: both point to places that are large enough, and all-zero bytes are a valid `Usage`.
    let waited = unsafe { wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let wall = begin.elapsed().as_secs_f64() * 1e3;
    if waited != pid {
        fail(program, &io::Error::last_os_error().to_string());
    }
    if status != 0 {
        fail(program, &format!("wait status {status:#x}"));
    }
    // SAFETY: see above.
    let usage = unsafe { usage.assume_init() };
    let millis = |time: Timeval| time.seconds as f64 * 1e3 + time.micros as f64 / 1e3;
    Run { wall, cpu: millis(usage.user) + millis(usage.system), memory: usage.max_rss }
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
    let runs: Vec<Run> = (0..times).map(|_| run(program, args)).collect();
    let wall = median(runs.iter().map(|run| run.wall).collect());
    let cpu = median(runs.iter().map(|run| run.cpu).collect());
    println!("{wall:.1} {cpu:.1} {}", runs.iter().map(|run| run.memory).max().unwrap_or(0));
}
