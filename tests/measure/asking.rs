//! `asking ADDRESS HOST`: a user who asks a proxy for the page `/` of an app every 10 ms, until killed. A line for each
//! question: `ASKED ENDED STATUS PAGE`, times in milliseconds since 1970 by a clock that does not jump, status 0 where
//! there was no answer. For `tests/bench downtime`; built as an example, so that the program carries none of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use evenkeel::host::probe::{self, Target, Timeouts};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const PAUSE: Duration = Duration::from_millis(10);
/// What is slower has no user any more.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (address, host) = arguments.next().zip(arguments.next()).context("asking ADDRESS HOST")?;
    let target = Target::https(address.parse::<SocketAddr>().context("ADDRESS is one with a port")?, host, None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask_for_ever(&target))
}

/// Whoever asks waits for no earlier answer.
async fn ask_for_ever(target: &Target) -> Result<()> {
    let (clock, mut ticks, mut open) = (Clock::new()?, interval(PAUSE), JoinSet::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => drop(open.spawn(ask(target.clone(), clock))),
            Some(line) = open.join_next() => println!("{}", line?),
        }
    }
}

async fn ask(target: Target, clock: Clock) -> String {
    let timeouts = Timeouts { connect: PATIENCE, tls: PATIENCE, head: PATIENCE, body: PATIENCE };
    let asked = clock.millis();
    let got = probe::get(&target, "/", timeouts).await;
    let (status, page) = got.map_or((0, String::new()), |got| (got.answer.status, got.answer.body));
    let page = page.lines().next().unwrap_or_default();
    format!("{asked:.1} {:.1} {status} {page}", clock.millis())
}

/// The wall clock as it was at the beginning, and what has gone by since.
#[derive(Clone, Copy)]
struct Clock(Duration, Instant);

impl Clock {
    fn new() -> Result<Self> {
        Ok(Self(SystemTime::now().duration_since(UNIX_EPOCH)?, Instant::now()))
    }

    fn millis(self) -> f64 {
        (self.0 + self.1.elapsed()).as_secs_f64() * 1e3
    }
}
