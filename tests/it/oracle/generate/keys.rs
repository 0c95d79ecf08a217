//! The keys of the compose schema, and values for each: those that the Docker CLI takes, and others.

mod deploy;
mod lists;
mod odd;
mod service;
mod top;

use std::sync::LazyLock;

use super::tree::File;

pub static KEYS: LazyLock<Vec<&'static Key>> =
    LazyLock::new(|| [top::KEYS, service::KEYS, lists::KEYS, deploy::KEYS, odd::KEYS].into_iter().flatten().collect());

pub struct Key {
    /// Keys with `/` between them.
    pub path: &'static str,
    /// What stands at the path, with `@` in the place of the value.
    pub frame: &'static str,
    /// Of a right kind: short, long, list, mapping, empty, at the bounds.
    pub good: &'static [&'static str],
    /// Of a wrong kind, or out of bounds.
    pub bad: &'static [&'static str],
}

impl Key {
    pub fn put(&self, mut file: File, value: &str) -> File {
        file.set(self.path, &self.frame.replace('@', value));
        file
    }
}

const fn key(path: &'static str, good: &'static [&'static str], bad: &'static [&'static str]) -> Key {
    Key { path, frame: "@", good, bad }
}

const fn framed(
    path: &'static str,
    frame: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
) -> Key {
    Key { path, frame, good, bad }
}

pub const TEXTS: &[&str] = &["plain", "\"\"", "\"with space: and # \"", "|\n  two\n  lines\n"];
pub const NO_TEXTS: &[&str] = &["", "7", "2024-01-01", "1.5", "true", "[a]", "{a: b}"];
pub const FLAGS: &[&str] = &["true", "false", "True"];
pub const NO_FLAGS: &[&str] = &["", "\"true\"", "yes", "1", "[true]", "{a: true}"];
pub const IGNORED: &[&str] = &["plain"];
pub const NO_IGNORED: &[&str] = &["7", "", "[a]", "2024-01-01"];
pub const IGNORED_LIST: &[&str] = &["[a]", "[b, c]"];
pub const NO_IGNORED_LIST: &[&str] = &["[a, a]", "a", "~", "[1]", "{a: b}"];
pub const STRINGS: &[&str] = &["[a]", "[b, c]", "[]", "[\"\"]", "[\"${SET}\", \"$$x\"]"];
pub const NO_STRINGS: &[&str] = &["~", "[2024-01-01]", "a", "[1]", "[a, a]", "[~]", "{a: b}", "[[a]]", "[true]"];
pub const TEXT_OR_STRINGS: &[&str] = &["a", "[b, c]", "[]", "\"\"", "[\"${SET}\"]"];
pub const NO_TEXT_OR_STRINGS: &[&str] = &["~", "7", "[1]", "[a, a]", "{a: b}", "true"];
pub const PAIRS: &[&str] = &[
    "{A: x, B: 1, C: 1.50, D: ~, E: 0444, F: 1e3, G: \"\", H: 2024-01-01}",
    "[A=y, B, C=, D=a=b, \"E= \"]",
    "{A: \"\", Z: z}",
    "{}",
    "[]",
    "{A: 12345678901234567890, B: -0.0, C: 08, D: 1e21, E: 123456.789, F: 1234567.0, G: .5, H: 0.00001}",
    "{A: \"${SET}-$$1\", B: '${UNSET:-d}', C: 1_000, D: +5, E: 0x1F, F: 2024-01-01T10:00:00Z}",
];
pub const NO_PAIRS: &[&str] =
    &["~", "a", "7", "{A: true}", "{A: [b]}", "{A: {b: c}}", "[A, A]", "[1]", "[{A: b}]", "{\"\": x}"];
pub const OPTIONS: &[&str] = &["{a: b}", "{a: c, n: 3, f: 0.5}", "{}", "{n: \"\", e: 1e7}"];
pub const NO_OPTIONS: &[&str] = &["~", "[a=b]", "a", "{a: true}", "{a: [b]}"];
pub const COUNTS: &[&str] = &["2", "0", "5", "1.0", "9223372036854775807", "010", "3e0"];
pub const NO_COUNTS: &[&str] = &["", "\"2\"", "-1", "1.5", "true", "[1]", "{a: 1}", "18446744073709551615", "1e30"];
pub const RATIOS: &[&str] = &["0.3", "0", "1", "0.1234567890123", "1e-3", "-0.5", "1e40", "3.5e38"];
pub const DURATIONS: &[&str] =
    &["10s", "1m30s", "0s", "1.5h", "\"0\"", "500ms", "2562047h47m16.854775807s", "-1s", "1us2ns", ".5s"];
pub const FEW_DURATIONS: &[&str] = &["10s", "0s", "\"1.5h\""];
pub const NO_DURATIONS: &[&str] = &["", "10", "\"10\"", "1d", "\"\"", "[1s]", "2562048h", "1 s"];
pub const COMMANDS: &[&str] = &[
    "run it",
    "[sh, -c, \"a b\"]",
    "\"\"",
    "[]",
    "[\"\"]",
    "\"a 'b c' \\\"d e\\\" f\\\\ g # h\"",
    "\"echo $$HOME ${SET}\"",
    "\"a\\tb\\nc\"",
];
pub const NO_COMMANDS: &[&str] = &["~", "7", "[1]", "{a: b}", "\"'open\"", "\"end\\\\\"", "true"];
pub const EXTERNALS: &[&str] = &["true", "false", "{name: elsewhere}", "{}"];
pub const NO_EXTERNALS: &[&str] = &["~", "\"true\"", "elsewhere", "[true]", "{name: 1}"];
