//! The log, and what systemd is told.
//!
//! Under systemd events go to the journal with their fields (`journalctl F_APP=keycloak`); for a person they are short
//! lines on stderr. The border: stdout is for answers and is never written here. The surprise: the journal is used only
//! when stderr *is* the journal's own stream, so a run by hand from inside a unit's environment still shows its log.

pub mod notify;
mod printable;

use std::env;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::LazyLock;

use indicatif::MultiProgress;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

pub use printable::{indented, one_line, printable};

/// Directives that beat `-v`, such as `evenkeel::host=trace`.
pub const FILTER_VARIABLE: &str = "EVENKEEL_LOG";

/// The lines at the foot of a terminal that change in place. Log lines go above them.
pub static MOVING_LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Starts the log for the whole process; a second call changes nothing.
///
/// `verbosity` counts `-v`. A person sees warnings, with `-v` what is changed and decided, with `-vv` all; the journal
/// gets what is changed and decided in any case. A span is heard like an event of its level, and a silenced one gives no
/// fields to the events in it: the span that names the app is an `error_span!`.
pub fn init(verbosity: u8) {
    let wanted = env::var(FILTER_VARIABLE).ok();
    let (filter, problem) = filter(verbosity, under_journal(), wanted.as_deref());
    let output = journal().unwrap_or_else(terminal);
    // Fails only when a log was started before, which then stays.
    let _ = tracing_subscriber::registry().with(output.with_filter(filter)).try_init();
    if let Some(problem) = problem {
        tracing::warn!("{FILTER_VARIABLE} is ignored: {problem}");
    }
}

/// Whether stderr is a stream of the journal, so that nobody looks at a terminal.
pub fn under_journal() -> bool {
    is_journal(io::stderr())
}

/// Whether what is written to this output lands in the journal. A unit names one stream: with stdout and stderr set to
/// two kinds of journal output, stdout's own is not known here.
pub fn is_journal(output: impl AsFd) -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(output).is_ok_and(|stat| is_stream(&stream, stat.st_dev, stat.st_ino))
}

/// `JOURNAL_STREAM` is `device:inode` of the stream, see systemd.exec(5).
fn is_stream(variable: &str, device: u64, inode: u64) -> bool {
    variable.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

/// The filter, and why the wanted one could not be used. Libraries are heard from `warn` up.
fn filter(verbosity: u8, journal: bool, wanted: Option<&str>) -> (EnvFilter, Option<String>) {
    let level = match (verbosity, journal) {
        (0, false) => "warn",
        (0 | 1, _) => "info",
        _ => "debug",
    };
    let default = EnvFilter::new(format!("warn,evenkeel={level}"));
    match wanted.filter(|directives| !directives.trim().is_empty()).map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (default, Some(error.to_string())),
        None => (default, None),
    }
}

/// `None` when stderr is not the journal's, or the journal's socket is away.
fn journal() -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    if !under_journal() {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    Some(layer.with_priority_mappings(priorities()).with_syslog_identifier("evenkeel".to_owned()).boxed())
}

/// The library's own mapping calls every `info` a notice, and alarms are built on that.
fn priorities() -> PriorityMappings {
    PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    }
}

/// Short lines: who reads along needs no time, and who reads later has the journal.
fn terminal() -> Box<dyn Layer<Registry> + Send + Sync> {
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt::layer()
        .compact()
        .without_time()
        .with_target(false)
        .with_ansi(colour)
        .with_writer(|| AboveMovingLines)
        .boxed()
}

/// Stderr, with moving lines out of the way while a line is written.
struct AboveMovingLines;

impl Write for AboveMovingLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = harmless(&String::from_utf8_lossy(bytes));
        MOVING_LINES.suspend(|| io::stderr().write_all(line.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// One event's line with what others wrote in it made harmless, further lines indented under it. The formatter has
/// written out every escape of an event already, so those that are left are its own colours.
fn harmless(event: &str) -> String {
    let parts: Vec<_> = event.split('\u{1b}').map(printable).collect();
    format!("{}\n", parts.join("\u{1b}").trim_end().replace('\n', "\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_hears_less_than_the_journal() {
        let level = |verbosity, journal| filter(verbosity, journal, None).0.to_string();
        assert!(level(0, false).contains("evenkeel=warn"));
        assert!(level(0, true).contains("evenkeel=info"));
        assert!(level(1, false).contains("evenkeel=info"));
        assert!(level(2, false).contains("evenkeel=debug") && level(2, true).contains("evenkeel=debug"));
    }

    #[test]
    fn the_variable_beats_verbosity_and_a_bad_one_is_told() {
        let (chosen, problem) = filter(0, false, Some("evenkeel::host=trace"));
        assert_eq!((chosen.to_string().as_str(), problem), ("evenkeel::host=trace", None));
        let (chosen, problem) = filter(0, false, Some("evenkeel=loud=er"));
        assert!(chosen.to_string().contains("evenkeel=warn") && problem.is_some());
        assert_eq!(filter(0, false, Some(" ")).1, None);
    }

    #[test]
    fn only_the_journals_own_stream_counts() {
        assert!(is_stream("8:1234", 8, 1234));
        for other in ["8:1235", "9:1234", "8", "", "8:", "x:y", "8:1234:5"] {
            assert!(!is_stream(other, 8, 1234), "{other:?}");
        }
    }

    #[test]
    fn an_events_words_begin_no_line_and_its_colours_stay() {
        assert_eq!(
            harmless("\u{1b}[31mWARN\u{1b}[0m a\rb\nwiki: applied\n"),
            "\u{1b}[31mWARN\u{1b}[0m a\\u000db\n    wiki: applied\n"
        );
    }

    #[test]
    fn info_is_no_notice_in_the_journal() {
        assert!(matches!(priorities().info, Priority::Informational));
        assert!(matches!(priorities().warn, Priority::Warning));
    }
}
