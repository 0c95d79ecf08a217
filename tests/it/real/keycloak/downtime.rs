//! For how long somebody who asks through the proxy gets no good answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evenkeel::host::probe::{self, Target, Timeouts};

use crate::real::wait_for;

const PAUSE: Duration = Duration::from_millis(50);

/// Asks for the realm again and again.
pub struct Visitor {
    leaves: Arc<AtomicBool>,
    visits: JoinHandle<Visits>,
}

/// When there was an answer, and whether it was a good one.
pub struct Visits(Vec<(Instant, bool)>);

impl Visitor {
    pub fn comes(address: SocketAddr, host: &str) -> Self {
        let (leaves, host) = (Arc::<AtomicBool>::default(), host.to_owned());
        let told = Arc::clone(&leaves);
        let visits = thread::spawn(move || wait_for(ask_on(address, host, told)));
        Self { leaves, visits }
    }

    pub fn leaves(self) -> Visits {
        self.leaves.store(true, Ordering::Relaxed);
        self.visits.join().unwrap()
    }
}

async fn ask_on(address: SocketAddr, host: String, leaves: Arc<AtomicBool>) -> Visits {
    let target = Target::https(address, &host, None);
    let mut visits = Vec::new();
    while !leaves.load(Ordering::Relaxed) {
        let answer = probe::get(&target, "/realms/master", Timeouts::default()).await;
        visits.push((Instant::now(), answer.is_ok_and(|got| got.answer.status == 200)));
        tokio::time::sleep(PAUSE).await;
    }
    Visits(visits)
}

impl Visits {
    /// The longest time between two good answers.
    pub fn longest_gap(&self) -> Duration {
        let good: Vec<Instant> = self.0.iter().filter(|(_, good)| *good).map(|(at, _)| *at).collect();
        good.windows(2).map(|pair| pair[1] - pair[0]).max().expect("there were good answers")
    }

    /// How long after this moment the first good answer came that somebody had to wait for.
    pub fn good_again_after(&self, moment: Instant) -> Duration {
        let mut after = self.0.iter().skip_while(|(at, _)| *at < moment).skip_while(|(_, good)| *good);
        let again = after.find(|(_, good)| *good).expect("there was a good answer again");
        again.0 - moment
    }
}
