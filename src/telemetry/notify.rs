//! Words to systemd. Without a `NOTIFY_SOCKET` all of them are silent.
//!
//! None of them fails: a service manager that does not listen is no reason to stop keeping apps. The surprise: the
//! protocol takes a line feed as the beginning of another message, so text is cleaned before it is sent.

use std::time::Duration;

use sd_notify::NotifyState;

use super::printable::acts_on_a_terminal;

/// `systemctl status` shows one line; this is more than fits.
const LONGEST: usize = 300;

/// Whether somebody listens.
pub fn is_heard() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The start is over.
pub fn ready() {
    send(&NotifyState::Ready);
}

/// The end has begun.
pub fn stopping() {
    send(&NotifyState::Stopping);
}

/// One line that `systemctl status` shows.
pub fn status(text: &str) {
    send(&NotifyState::Status(&one_line(text)));
}

/// Asks for `more` time from now on before the start or stop counts as hung; at most 71 minutes at once.
pub fn extend_timeout(more: Duration) {
    let micros = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
    send(&NotifyState::ExtendTimeoutUsec(micros));
}

fn send(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::debug!(cause = %error, "systemd does not listen");
    }
}

fn one_line(text: &str) -> String {
    let act = |c: char| c.is_control() || acts_on_a_terminal(c);
    text.chars().map(|c| if act(c) { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    /// Runs in this process without a socket, and once more in a child that has one.
    #[test]
    fn words_without_a_listener_are_silent() {
        status("waiting for wiki\nMAINPID=1");
        extend_timeout(Duration::from_secs(1 << 40));
        ready();
        stopping();
        assert_eq!(one_line("a\nb\u{7}c\u{202e}"), "a b c ");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), LONGEST);
    }

    #[test]
    fn systemd_hears_each_word_and_no_line_feed_smuggles_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "telemetry::notify::tests::words_without_a_listener_are_silent"])
            .env("NOTIFY_SOCKET", &path)
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");

        let heard: Vec<String> = (0..4).map(|_| receive(&socket)).collect();
        let expected = ["STATUS=waiting for wiki MAINPID=1", "EXTEND_TIMEOUT_USEC=4294967295", "READY=1", "STOPPING=1"];
        assert_eq!(heard, expected);
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    }
}
