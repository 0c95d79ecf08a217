//! Whether what we refuse has the stated reason: it is looked for in what the Docker CLI sends.

use std::collections::BTreeMap;

use evenkeel::recipe::interpolate;
use serde_json::{Value, json};

use super::case::{Case, Verdict};

/// One of our errors about files that the Docker CLI takes.
pub struct Refusal<'a> {
    pub case: &'a Case,
    pub message: &'a str,
    /// What the Docker CLI sends.
    pub posts: &'a Value,
}

impl Refusal<'_> {
    /// What it sends at a path of each body.
    fn sent<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Value> {
        self.posts.as_array().into_iter().flatten().filter_map(move |post| post[1].pointer(path))
    }

    fn listed<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Value> {
        self.sent(path).filter_map(Value::as_array).flatten()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.sent("/Name").filter_map(Value::as_str)
    }

    /// The text between the given ones.
    fn between(&self, start: &str, end: &str) -> Option<&str> {
        let before = self.message.split(end).next()?;
        before.rsplit(start).next().filter(|found| *found != before)
    }

    /// The text in the last quotes before the given one.
    fn quoted_before(&self, end: &str) -> Option<&str> {
        self.message.split(end).next()?.strip_suffix('"')?.rsplit('"').next()
    }
}

/// A mount has a letter before a colon.
pub fn drive(refusal: &Refusal) -> bool {
    let is_letter = |text: &str| text.len() == 1 && text.chars().all(char::is_alphabetic);
    let is_drive = |part: &str| part.split_once(':').is_some_and(|(drive, _)| is_letter(drive));
    let has_drive = |path: &str| path.split('/').any(is_drive);
    let mut mounts = refusal.listed("/TaskTemplate/ContainerSpec/Mounts");
    mounts.any(|mount| ["Source", "Target"].iter().any(|end| mount[end].as_str().is_some_and(has_drive)))
}

pub fn long_name(refusal: &Refusal) -> bool {
    let of_63 =
        ["and 63 are allowed", "than the 63 that are allowed"].iter().any(|words| refusal.message.contains(words));
    let limit = if of_63 { 63 } else { 64 };
    refusal.names().any(|name| name.len() > limit)
}

pub fn number_out_of_range(refusal: &Refusal) -> bool {
    if refusal.message.contains("the maximum retry count is out of range") {
        let mut sent =
            refusal.sent("/TaskTemplate/RestartPolicy/MaxAttempts").chain(refusal.sent("/RestartPolicy/MaxAttempts"));
        return sent.any(|count| count.as_i64().is_none());
    }
    let limit = if refusal.message.contains("for a file mode") {
        2f64.powi(32) - 1.0
    } else if refusal.message.contains(".cpus: ") {
        2f64.powi(63) / 1e9
    } else {
        2f64.powi(63)
    };
    let number = refusal.between(": ", " is out of range");
    let size = number.and_then(magnitude);
    size.is_some_and(|size| size >= limit || size.is_nan())
}

/// About how large a number, a fraction or a size is.
fn magnitude(text: &str) -> Option<f64> {
    let text = text.trim_matches('\'').to_ascii_lowercase();
    if let Some((numerator, denominator)) = text.split_once('/') {
        return Some(magnitude(numerator)? / magnitude(denominator)?);
    }
    let size = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
    let unit = "kmgtp".chars().position(|unit| size.ends_with(unit));
    let number = if unit.is_some() { &size[..size.len() - 1] } else { size }.trim_end().replace('_', "");
    let scale = unit.map_or(1.0, |unit| 1024f64.powi(i32::try_from(unit + 1).expect("five units")));
    if let Some((digits, exponent)) = number.strip_prefix("0x").and_then(|number| number.split_once('p')) {
        let digits = i64::from_str_radix(digits, 16).ok()?;
        return Some(digits as f64 * 2f64.powi(exponent.parse().ok()?) * scale);
    }
    Some(number.parse::<f64>().ok()?.abs() * scale)
}

/// It sends the number, cut to 32 bits, unless a later file takes its place.
pub fn no_port(refusal: &Refusal) -> bool {
    let Some(number) = refusal.between(" is ", ", which is no port").and_then(|text| text.parse::<i64>().ok()) else {
        return false;
    };
    let sent = Value::from(number.cast_unsigned() & u64::from(u32::MAX));
    let is_sent =
        |port: &Value| ["TargetPort", "PublishedPort"].iter().any(|end| port.get(end).unwrap_or(&json!(0)) == &sent);
    let replaced = refusal.case.files.len() > 1;
    !(0..=65535).contains(&number) && (replaced || refusal.listed("/EndpointSpec/Ports").any(is_sent))
}

pub fn host_of_a_number(refusal: &Refusal) -> bool {
    let is_number = refusal.message.ends_with("must be a string, not an integer (put it in quotes)")
        || refusal.message.ends_with("must be a string, not a number (put it in quotes)");
    let mut hosts = refusal.listed("/TaskTemplate/ContainerSpec/Hosts").filter_map(Value::as_str);
    is_number && hosts.any(|host| host.starts_with("%!s("))
}

pub fn other_mount(refusal: &Refusal) -> bool {
    let known = ["volume", "bind", "tmpfs"];
    let mut types = refusal.listed("/TaskTemplate/ContainerSpec/Mounts").filter_map(|mount| mount["Type"].as_str());
    types.any(|kind| !known.contains(&kind) && refusal.message.contains(kind))
}

pub fn credential_spec(refusal: &Refusal) -> bool {
    let path = "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config";
    refusal.sent(path).any(|config| config.as_str().is_some_and(|config| !config.is_empty()))
}

pub fn empty_content(refusal: &Refusal) -> bool {
    let mut posts = refusal.posts.as_array().into_iter().flatten();
    posts.any(|post| {
        let is_file = post[0] == "/configs/create" || post[0] == "/secrets/create";
        is_file && post[1]["Data"].as_str().is_none_or(str::is_empty)
    })
}

pub fn impossible_name(refusal: &Refusal) -> bool {
    let name = refusal.quoted_before(" is no name for a ");
    name.is_some_and(|name| refusal.names().any(|sent| sent == name))
}

/// Without the faults that the Docker CLI forgets, we send what it sends.
pub fn forgotten_fault(refusal: &Refusal) -> bool {
    let case = refusal.case;
    let sources = case.sources();
    let mut mended = sources.clone();
    for source in &mut mended {
        source.text = source.text.lines().map(|line| without_forgotten(line, &case.variables) + "\n").collect();
    }
    let changed = sources.iter().zip(&mended).any(|(before, after)| before.text.trim_end() != after.text.trim_end());
    changed && matches!(case.judge(&mended, true, refusal.posts), Verdict::Same | Verdict::Accepted(..))
}

/// A line without the faults before another variable in it.
fn without_forgotten(line: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while let Some(dollar) = line[at..].find('$').map(|found| at + found) {
        text.push_str(&line[at..dollar]);
        let behind = &line[dollar + 1..];
        let length = match reference(behind) {
            _ if behind.starts_with('$') => 1,
            length => length.unwrap_or(0),
        };
        let piece = &line[dollar..=dollar + length];
        at = dollar + 1 + length;
        let faulty = length == 0 || interpolate::text(piece, variables).is_err();
        if !faulty || !has_reference(&line[at..]) {
            text.push_str(piece);
        }
    }
    text + &line[at..]
}

fn has_reference(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('$') {
        match behind.strip_prefix('$') {
            Some(escaped) => rest = escaped,
            None if reference(behind).is_some() => return true,
            None => rest = behind,
        }
    }
    false
}

/// The length of a reference behind its dollar.
fn reference(text: &str) -> Option<usize> {
    let (inner, braced) = text.strip_prefix('{').map_or((text, false), |inner| (inner, true));
    let name = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    if name == 0 || inner.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let behind = &inner[name..];
    let has_modifier = behind.strip_prefix(':').unwrap_or(behind).starts_with(['-', '?']);
    let length = name + if has_modifier { behind.find('}').unwrap_or(behind.len()) } else { 0 };
    match braced {
        true => inner[length..].starts_with('}').then_some(length + 2),
        false => Some(length),
    }
}
