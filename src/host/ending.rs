//! Whether this run was asked to end: SIGTERM, SIGINT, SIGHUP.
//!
//! While somebody holds an [`Ending`], such a signal is an answer to ask for; at any other time it ends the program as
//! ever. The surprise: once a program listens for a signal, the kernel never again ends it by that one, so this does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

const SIGNALS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::HUP];

static HEARING: Mutex<Hearing> = Mutex::new(Hearing { listens: false, heard: false, who: Vec::new() });

/// Who hears what is sent to this program.
struct Hearing {
    /// The signals no longer end the program by themselves.
    listens: bool,
    /// One came: whatever would be begun next is not begun.
    heard: bool,
    who: Vec<Weak<Asked>>,
}

/// Signals are heard as long as this lives. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ending(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    asked: AtomicBool,
    news: Notify,
}

impl Ending {
    /// Listens from now on; several may do so at once. Whoever comes after a signal is asked already.
    ///
    /// # Errors
    /// When the kernel or the runtime lets nobody listen.
    pub fn listen() -> Result<Self> {
        let asked = Arc::<Asked>::default();
        let mut hearing = HEARING.lock().unwrap_or_else(PoisonError::into_inner);
        if !hearing.listens {
            for number in SIGNALS {
                let heard = signal(SignalKind::from_raw(number.as_raw())).context("listen for signals")?;
                tokio::spawn(hear(heard, 128 + number.as_raw()));
            }
            hearing.listens = true;
        }
        if hearing.heard {
            asked.ask();
        }
        hearing.who.push(Arc::downgrade(&asked));
        Ok(Self(asked))
    }

    /// One that nobody asks but whoever calls [`Ending::ask`].
    pub fn unheard() -> Self {
        Self(Arc::default())
    }

    /// As a signal does.
    pub fn ask(&self) {
        self.0.ask();
    }

    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Returns once it is asked for.
    pub async fn asked(&self) {
        loop {
            let news = self.0.news.notified();
            if self.is_asked() {
                return;
            }
            news.await;
        }
    }
}

/// Passes the signal on to whoever hears; where nobody does, the program ends with this code.
async fn hear(mut signal: tokio::signal::unix::Signal, code: i32) {
    while signal.recv().await.is_some() {
        let mut hearing = HEARING.lock().unwrap_or_else(PoisonError::into_inner);
        hearing.who.retain(|asked| asked.strong_count() > 0);
        if hearing.who.is_empty() {
            std::process::exit(code);
        }
        hearing.heard = true;
        hearing.who.iter().filter_map(Weak::upgrade).for_each(|asked| asked.ask());
    }
}

impl Asked {
    fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.news.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_the_end_learns_of_it_and_so_does_who_asks_later() {
        let ending = Ending::unheard();
        assert!(!ending.is_asked());
        let waits = tokio::spawn({
            let ending = ending.clone();
            async move { ending.asked().await }
        });
        tokio::task::yield_now().await;
        ending.ask();
        waits.await.unwrap();
        ending.asked().await;
        assert!(ending.is_asked());
    }
}
