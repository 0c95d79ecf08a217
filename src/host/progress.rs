//! What a long wait shows while it lasts.
//!
//! At a terminal one line that changes in place; under systemd `STATUS=` and one log line whenever something else is
//! waited for; anywhere else nothing. Never on stdout.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::telemetry::{self, MOVING_LINES, notify};

/// How much more time systemd is asked for at each word: longer than whatever is waited for in silence (400 s, for another
/// run that fetches the same recipe).
const PATIENCE: Duration = Duration::from_secs(10 * 60);
const BETWEEN_WORDS: Duration = Duration::from_secs(30);

/// Asks systemd for more time as long as this is polled, so that a run is ended for being slow only where it does not
/// move at all. What it waits for has bounds of its own, each of which ends it. Never ends itself.
pub async fn keep_alive() -> std::convert::Infallible {
    loop {
        if notify::is_heard() {
            notify::extend_timeout(PATIENCE);
        }
        tokio::time::sleep(BETWEEN_WORDS).await;
    }
}

/// Shows one wait; what it shows at a terminal is gone when it is dropped.
#[derive(Debug)]
pub struct Progress {
    app: String,
    /// What was said last.
    said: Mutex<Option<String>>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Terminal(ProgressBar),
    Systemd,
    Nowhere,
}

impl Progress {
    /// A wait of `app`, shown where this process runs.
    pub fn new(app: &str) -> Self {
        let place = if telemetry::under_journal() || notify::is_heard() {
            Place::Systemd
        } else if io::stderr().is_terminal() {
            Place::Terminal(MOVING_LINES.add(spinner()))
        } else {
            Place::Nowhere
        };
        Self { app: app.to_owned(), said: Mutex::new(None), place }
    }

    /// Says what is waited for now. The clock that is shown begins anew when it changes; call it as often as you look.
    pub fn waiting_for(&self, what: &str) {
        let changed = self.note(what);
        let line = format!("{}: waiting for {}", self.app, telemetry::one_line(what));
        match &self.place {
            Place::Terminal(bar) if changed => {
                bar.reset_elapsed();
                bar.set_message(line);
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            Place::Systemd => {
                notify::extend_timeout(PATIENCE);
                if changed {
                    notify::status(&line);
                    // The app is a field of the span in which all of its run happens.
                    info!("waiting for {what}");
                }
            }
            Place::Terminal(_) | Place::Nowhere => {}
        }
    }

    /// Whether this is something new.
    fn note(&self, what: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = said.as_deref() != Some(what);
        *said = Some(what.to_owned());
        changed
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match &self.place {
            Place::Terminal(bar) => bar.finish_and_clear(),
            Place::Systemd => notify::status(""),
            Place::Nowhere => {}
        }
    }
}

/// `⠋ wiki: waiting for the gate, 12s`
fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner:.cyan} {msg}, {elapsed}").expect("the template is right");
    ProgressBar::new_spinner().with_style(style)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::ProgressDrawTarget;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn progress(place: Place) -> Progress {
        Progress { app: "wiki".to_owned(), said: Mutex::new(None), place }
    }

    #[test]
    fn the_journal_gets_a_line_only_when_something_else_is_waited_for() {
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || sink.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            let progress = progress(Place::Systemd);
            for what in ["images", "images", "tasks", "tasks", "images"] {
                progress.waiting_for(what);
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let waits: Vec<_> = text.lines().filter_map(|line| line.split("waiting for ").nth(1)).collect();
        assert_eq!(waits, ["images", "tasks", "images"]);
    }

    #[test]
    fn a_terminal_line_says_what_is_waited_for_and_ends_with_the_wait() {
        let bar = spinner();
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let progress = progress(Place::Terminal(bar.clone()));
        progress.waiting_for("images");
        assert_eq!(bar.message(), "wiki: waiting for images");
        progress.waiting_for("the gate");
        assert_eq!(bar.message(), "wiki: waiting for the gate");
        assert!(!bar.is_finished());
        drop(progress);
        assert!(bar.is_finished());
    }
}
