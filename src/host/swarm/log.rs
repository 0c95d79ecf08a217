//! The last lines that a service's containers wrote.
//!
//! Bounded in bytes, lines and time, and without control characters: whatever an app writes ends up on terminals and
//! in alerts.

use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, timeout_at};

use super::{SERVICE_NAME, Swarm, filters};
use crate::host::engine::{EngineError, segment};

/// What is read at most.
const MAX_BYTES: usize = 256 * 1024;
/// What of a line is kept, in characters.
const MAX_LINE: usize = 1000;
/// How long all logs together may take; what came until then is the answer. Those of containers end by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// The log of a service whose tasks never started may never end.
const BRIEFLY: Duration = Duration::from_secs(1);
/// So many of the newest containers are asked.
const CONTAINERS: &str = "5";

impl Swarm {
    /// The last `lines` lines of a service (by name), of its newest tasks in the order of time. What runs on this node is
    /// asked itself: Swarm gives no log of a task whose health check has not passed yet.
    pub async fn log_tail(&self, service: &str, lines: usize) -> Result<Vec<String>, EngineError> {
        let about = |e: EngineError| e.during(format!("read the log of service {service}"));
        let label = format!("{SERVICE_NAME}={service}");
        let query = [("all", "1"), ("limit", CONTAINERS), ("filters", &filters(&[("label", &[&label])]))];
        let containers = self.engine.get("/containers/json", &query).await.map_err(about)?;
        let ids = containers.as_array().into_iter().flatten().filter_map(|container| container["Id"].as_str());
        let mut paths: Vec<String> = ids.map(|id| format!("/containers/{}/logs", segment(id))).collect();
        let mut patience = PATIENCE;
        if paths.is_empty() {
            paths.push(format!("/services/{}/logs", segment(service)));
            patience = BRIEFLY;
        }
        let until = Instant::now() + patience;
        let mut content = Vec::new();
        for path in paths {
            match self.log_of(&path, lines, until).await {
                Ok(bytes) => content.extend(demultiplexed(&bytes)),
                // It was removed since it was listed.
                Err(error) if error.is_not_found() && path.starts_with("/containers") => continue,
                Err(error) => return Err(about(error)),
            }
            content.push(b'\n');
        }
        Ok(last_lines(&content, lines))
    }

    async fn log_of(&self, path: &str, lines: usize, until: Instant) -> Result<Vec<u8>, EngineError> {
        let tail = lines.to_string();
        let query = [("stdout", "1"), ("stderr", "1"), ("timestamps", "1"), ("tail", tail.as_str())];
        let Ok(response) = timeout_at(until, self.engine.stream(Method::GET, path, &query, None)).await else {
            return Ok(Vec::new());
        };
        let mut response = response?;
        let mut bytes = Vec::new();
        while let Ok(chunk) = timeout_at(until, response.chunk()).await {
            let Some(chunk) = chunk.map_err(|e| self.engine.broken(&e))? else { break };
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= MAX_BYTES {
                bytes.truncate(MAX_BYTES);
                break;
            }
        }
        Ok(bytes)
    }
}

/// Takes the frames apart: one byte of stream, three zeros, the length in four, then the content. A container with a
/// terminal has no frames. A frame that was cut off counts as far as it goes.
fn demultiplexed(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [0..=2, 0, 0, 0, a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (frame, next) = tail.split_at(length.min(tail.len()));
        content.extend_from_slice(frame);
        rest = next;
    }
    if content.is_empty() {
        return bytes.to_vec();
    }
    content
}

/// Lines as `<time> <text>`, put in order of time and cut down to the last ones' texts.
fn last_lines(content: &[u8], lines: usize) -> Vec<String> {
    let content = String::from_utf8_lossy(content);
    let mut stamped: Vec<(&str, &str)> = content
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    stamped.sort_by_key(|(time, _)| *time);
    let skip = stamped.len().saturating_sub(lines);
    stamped.into_iter().skip(skip).map(|(_, text)| harmless(text)).collect()
}

/// Without control characters and escape sequences, and not too long.
fn harmless(line: &str) -> String {
    let mut kept = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => kept.push(' '),
            _ if character.is_control() => {}
            _ => kept.push(character),
        }
    }
    match kept.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &kept[..end]),
        None => kept,
    }
}

/// `ESC [ … letter` sets colours and moves cursors; of other sequences only the escape goes.
fn skip_escape(characters: &mut std::str::Chars) {
    if !characters.as_str().starts_with('[') {
        return;
    }
    characters.next();
    characters.find(|character| ('\u{40}'..='\u{7e}').contains(character));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(stream: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], content].concat()
    }

    #[test]
    fn both_streams_and_all_tasks_come_in_order_of_time() {
        let bytes = [frame(2, b"2026-01-01T00:00:02Z second\n"), frame(1, b"2026-01-01T00:00:01Z first\n")].concat();
        assert_eq!(last_lines(&demultiplexed(&bytes), 5), ["first", "second"]);
        assert_eq!(last_lines(&demultiplexed(&bytes), 1), ["second"]);
    }

    #[test]
    fn a_terminal_without_frames_is_read_as_it_is() {
        assert_eq!(last_lines(&demultiplexed(b"2026-01-01T00:00:01Z hello\r\n"), 5), ["hello"]);
    }

    #[test]
    fn what_an_app_writes_moves_no_cursor() {
        assert_eq!(harmless("\u{1b}[31mred\u{1b}[0m\u{7}\tend\r"), "red end");
        assert_eq!(harmless("\u{1b}]0;title"), "]0;title");
        assert_eq!(harmless(&"é".repeat(2000)).chars().count(), MAX_LINE + 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_leave_no_control_character(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for line in last_lines(&demultiplexed(&bytes), 10) {
                prop_assert!(!line.chars().any(char::is_control));
            }
        }

        #[test]
        fn frames_give_back_their_content(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 1..8)) {
            let framed: Vec<u8> = parts.iter().flat_map(|part| frame(1, part)).collect();
            prop_assert_eq!(demultiplexed(&framed), parts.concat());
        }
    }
}
