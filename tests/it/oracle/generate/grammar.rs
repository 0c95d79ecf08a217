//! Values by small grammars: mostly what the Docker CLI takes, with what lies at the edges.

use super::keys::{COMMANDS, COUNTS, DURATIONS, FEW_DURATIONS, Key, PAIRS, STRINGS, TEXTS};
use super::random::Random;

type Grammar = fn(&mut Random) -> String;

/// A value for the key, if one of the grammars is about its kind.
pub fn value(key: &Key, random: &mut Random) -> Option<String> {
    let kinds: [(bool, Grammar); 11] = [
        (key.good == DURATIONS || key.good == FEW_DURATIONS, duration),
        (key.good == COUNTS, number),
        (key.good == PAIRS, pairs),
        (key.good == COMMANDS, command),
        (key.good == TEXTS, text),
        (key.good == STRINGS, strings),
        (key.path.ends_with("/cpus"), cpus),
        (key.path.ends_with("/memory"), size),
        (key.path.ends_with("/ports") && key.frame == "[@]", port),
        (key.path.ends_with("/volumes") && key.frame == "[@]", volume),
        (key.path.ends_with("/image"), image),
    ];
    kinds.iter().find(|(fits, _)| *fits).map(|(_, grammar)| grammar(random))
}

pub fn duration(random: &mut Random) -> String {
    let parts = 1 + random.below(3);
    let part = |random: &mut Random| {
        let number = *random.pick(&["1", "0", "30", "007", "1.5", ".5", "5.", "0.333333333333333333333", "90"]);
        format!("{number}{}", random.pick(&["ns", "us", "\u{b5}s", "ms", "s", "m", "h"]))
    };
    let parts: String = (0..parts).map(|_| part(random)).collect();
    format!("\"{}{parts}\"", random.pick(&["", "", "", "+", "-"]))
}

fn number(random: &mut Random) -> String {
    let edges = &["0", "1", "7", "0x1F", "0b101", "0o17", "017", "1_000", "+5", "4294967296", "2.0", "1e3", "5e0"];
    (*random.pick(edges)).to_owned()
}

fn scalar(random: &mut Random) -> String {
    let plain = &[
        "x",
        "true-ish",
        "yes",
        "no",
        "~",
        "\"\"",
        "1",
        "0444",
        "08",
        "1.50",
        "1e3",
        "1e21",
        "123456.7",
        "1234567.8",
        "-0",
        "0.00001",
        "2024-01-01",
        "2024-01-01T10:00:00Z",
        "22:22",
        "\"true\"",
        "'it''s'",
        "\"a=b\"",
        "\"${SET}\"",
        "\"$$HOME\"",
        "\"${UNSET:-d e}\"",
        "\"${EMPTY:-x}${EMPTY-y}\"",
        "\"${NUMBER}\"",
        "\"$SET-lost\"",
        "\"${SET:?e}\"",
        "\"${UNSET-}\"",
        "\"${UNSET:-${SET}}\"",
        "\"${DOLLAR}\"",
        "\"t\\tn\\n\"",
        "!!str 5",
        "\u{e4}\u{df}",
        ".5",
        "12345678901234567890",
        "0x_1F",
        "1__0",
        "+1.5",
        "1.",
        "0.1e1",
        "-.5",
        "'#'",
        "a#b",
        "123456789012345678",
        "09999999",
        "1e6",
        "100000.0",
    ];
    (*random.pick(plain)).to_owned()
}

pub fn pairs(random: &mut Random) -> String {
    let count = random.below(5);
    let names = ["A", "B", "FROM_OUTSIDE", "FROM_OUTSIDE_EMPTY", "lower.case-key", "com.docker.stack.image", "Z Z"];
    let first = random.below(names.len());
    let names = names.iter().cycle().skip(first).take(count);
    if random.percent(50) {
        let entries: Vec<String> = names.map(|name| format!("\"{name}\": {}", scalar(random))).collect();
        return format!("{{{}}}", entries.join(", "));
    }
    let endings = ["", "=", "=x", "=a=b", "=${SET}", "= spaced ", "=$$", "=\\\"q\\\"", "=${UNSET:-d}"];
    let entries: Vec<String> = names.map(|name| format!("\"{name}{}\"", random.pick(&endings))).collect();
    format!("[{}]", entries.join(", "))
}

fn command(random: &mut Random) -> String {
    let words = [
        "run",
        "'a b'",
        "\\\"c d\\\"",
        "e\\\\ f",
        "#c",
        "g#h",
        "''",
        "--x=\\\"y z\\\"",
        "$$1",
        "${SET}",
        "\\\\\\\"",
        "\u{e4}",
        "a\\\\\\nb",
    ];
    let gaps = [" ", "  ", "\\t", "\\n"];
    let count = random.below(6);
    let text: String = (0..count).map(|_| format!("{}{}", random.pick(&words), random.pick(&gaps))).collect();
    format!("\"{text}\"")
}

fn text(random: &mut Random) -> String {
    let parts = [
        "a",
        " ",
        "${SET}",
        "$$",
        "${UNSET:-d}",
        "${UNSET-$SET}",
        "$SET",
        "-",
        "/",
        "${EMPTY:-e}",
        "}",
        "{{.Node.Hostname}}",
    ];
    let count = 1 + random.below(4);
    let text: String = (0..count).map(|_| *random.pick(&parts)).collect();
    format!("\"{text}\"")
}

fn strings(random: &mut Random) -> String {
    let count = random.below(4);
    let items: Vec<String> = (0..count).map(|index| format!("{}, \"{index}\"", text(random))).collect();
    format!("[{}]", items.join(", "))
}

fn cpus(random: &mut Random) -> String {
    let numbers = [
        "0.5",
        "1",
        ".25",
        "2.",
        "1/2",
        "3/4",
        "1e-3",
        "1E2",
        "0.000000001",
        "00.5",
        "+1",
        "-1",
        "0",
        "16/8",
        "0/7",
        "012",
        "1/08",
    ];
    format!("\"{}\"", random.pick(&numbers))
}

fn size(random: &mut Random) -> String {
    let number = *random.pick(&["1", "64", "1.5", "0.1", ".5", "007", "1e2", "0", "1024", "3.", "0.0001", "99999"]);
    let gap = *random.pick(&["", "", " "]);
    format!(
        "\"{number}{gap}{}\"",
        random.pick(&["", "b", "k", "K", "kb", "KiB", "m", "M", "MB", "mib", "g", "GiB", "T", "tb"])
    )
}

fn port(random: &mut Random) -> String {
    let host = *random.pick(&["", "", "", "", "127.0.0.1:", "0.0.0.0:", "[::1]:", "::1:", ":"]);
    let published = *random.pick(&["", "8080:", "80:", "0:", "8000-8001:", "${NUMBER}000:", "08:"]);
    let target = *random.pick(&["80", "53", "80-81", "65535", "080"]);
    let host = if published.is_empty() { "" } else { host };
    format!("\"{host}{published}{target}{}\"", random.pick(&["", "", "/tcp", "/UDP", "/sctp", "/"]))
}

fn volume(random: &mut Random) -> String {
    let source = *random.pick(&[
        "data:",
        "cache:",
        "ext:",
        "./x:",
        "../y:",
        "/abs/z/../w:",
        "~/h:",
        "~:",
        ".:",
        "",
        "${SET:-data}x/../:",
    ]);
    let source = if source.contains('$') { "./${SET}:" } else { source };
    let target = *random.pick(&["/data", "/data/", "/a b", "rel", "/\u{e4}"]);
    let options = *random.pick(&["", "", ":ro", ":rw,z", ":Z", ":ro,rw", ":consistent", ":,"]);
    let options = if source.is_empty() { "" } else { options };
    format!("\"{source}{target}{options}\"")
}

fn image(random: &mut Random) -> String {
    let domain = *random.pick(&[
        "",
        "",
        "docker.io/",
        "docker.io/library/",
        "index.docker.io/",
        "localhost:5000/",
        "r.example.org/",
        "library/",
        "Host/",
    ]);
    let path = *random.pick(&["demo", "a/b", "a__b/c.d", "x--y", "${SET}", "a/b/c/d"]);
    let tag = *random.pick(&[
        "",
        ":1",
        ":v1.2_3-x",
        ":${NUMBER}",
        "@sha256:0123456789012345678901234567890123456789012345678901234567890123",
        ":1@sha256:0123456789012345678901234567890123456789012345678901234567890123",
    ]);
    format!("\"{domain}{path}{tag}\"")
}
