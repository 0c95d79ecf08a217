//! The places of a compose document where a replaced text becomes a number or a boolean.
//!
//! The list is the Docker CLI's: `init` or `limits.pids` are not in it, and a variable there is refused later.

use crate::recipe::yaml::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    /// Decimal, also where the file itself would be read as octal (`mode`).
    Int,
    Float,
    Bool,
}

/// Paths below one service.
const SERVICE: [(&[&str], Cast); 23] = [
    (&["configs", "[]", "mode"], Cast::Int),
    (&["secrets", "[]", "mode"], Cast::Int),
    (&["healthcheck", "retries"], Cast::Int),
    (&["healthcheck", "disable"], Cast::Bool),
    (&["deploy", "replicas"], Cast::Int),
    (&["deploy", "update_config", "parallelism"], Cast::Int),
    (&["deploy", "update_config", "max_failure_ratio"], Cast::Float),
    (&["deploy", "rollback_config", "parallelism"], Cast::Int),
    (&["deploy", "rollback_config", "max_failure_ratio"], Cast::Float),
    (&["deploy", "restart_policy", "max_attempts"], Cast::Int),
    (&["deploy", "placement", "max_replicas_per_node"], Cast::Int),
    (&["ports", "[]", "target"], Cast::Int),
    (&["ports", "[]", "published"], Cast::Int),
    (&["ulimits", "*"], Cast::Int),
    (&["ulimits", "*", "hard"], Cast::Int),
    (&["ulimits", "*", "soft"], Cast::Int),
    (&["privileged"], Cast::Bool),
    (&["oom_score_adj"], Cast::Int),
    (&["read_only"], Cast::Bool),
    (&["stdin_open"], Cast::Bool),
    (&["tty"], Cast::Bool),
    (&["volumes", "[]", "read_only"], Cast::Bool),
    (&["volumes", "[]", "volume", "nocopy"], Cast::Bool),
];

impl Cast {
    /// The cast at a path of mapping keys, `[]` for the items of a list. A dot inside a key parts it, so that nothing
    /// is cast in a service `a.b`: the Docker CLI knows paths by their text alone.
    pub fn at(path: &[String]) -> Option<Self> {
        let text = path.join(".");
        let path: Vec<&str> = text.split('.').collect();
        let (section, inner) = (*path.first()?, path.get(2..)?);
        let matches = |pattern: &[&str]| {
            pattern.len() == inner.len() && pattern.iter().zip(inner).all(|(step, key)| *step == "*" || step == key)
        };
        match (section, inner) {
            ("services", _) => SERVICE.iter().find(|(pattern, _)| matches(pattern)).map(|(_, cast)| *cast),
            ("networks", ["external" | "internal" | "attachable"]) => Some(Self::Bool),
            ("volumes" | "secrets" | "configs", ["external"]) => Some(Self::Bool),
            _ => None,
        }
    }

    pub fn apply(self, text: &str) -> Result<Value, String> {
        let invalid = |function: &str| format!("strconv.{function}: parsing {text:?}: invalid syntax");
        match self {
            Self::Int => text.parse().map(Value::Int).map_err(|_| invalid("Atoi")),
            Self::Float => float(text).map(Value::Float).ok_or_else(|| invalid("ParseFloat")),
            Self::Bool => boolean(text).map(Value::Bool).ok_or_else(|| format!("invalid boolean: {text}")),
        }
    }
}

/// The words of YAML 1.1; digits are none of them.
fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A number as Go writes it: also `1_000` and `0x1p-2`.
fn float(text: &str) -> Option<f64> {
    if !underscores_part_digits(text) {
        return None;
    }
    let text = text.replace('_', "").to_ascii_lowercase();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(&text)),
    };
    match digits.strip_prefix("0x") {
        Some(digits) => hexadecimal(digits).map(|number| sign * number),
        None => text.parse().ok(),
    }
}

/// Each one between two digits, of which the prefix `0x` may be one.
fn underscores_part_digits(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let (hexadecimal, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (true, format!("0{rest}")),
        None => (false, digits.to_owned()),
    };
    let is_digit =
        |c: Option<&u8>| c.is_some_and(|c| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() });
    let bytes = digits.as_bytes();
    let parts =
        |at: usize| is_digit(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_digit(bytes.get(at + 1));
    bytes.iter().enumerate().filter(|(_, c)| **c == b'_').all(|(at, _)| parts(at))
}

/// `1.8p-2` behind `0x`: the exponent is one of two, and must be there.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len() * 4).ok()?)?;
    Some(number * 2f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the Docker CLI takes or refuses each of them in `max_failure_ratio`.
    #[test]
    fn floats_are_those_of_go() {
        let numbers = [
            ("0.5", 0.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("+0.5", 0.5),
            ("-0.5", -0.5),
            ("1e-3", 0.001),
            ("1_000", 1000.0),
            ("0x1p-2", 0.25),
            ("0X1P-2", 0.25),
            ("-0x1.8p1", -3.0),
            ("0x.8p0", 0.5),
            ("0x1_0p-2", 4.0),
        ];
        for (text, number) in numbers {
            assert_eq!(Cast::Float.apply(text), Ok(Value::Float(number)), "{text}");
        }
        for text in ["", "abc", " 0.5", "1e", "1d", "0x1", "0xp1", "_1", "1_", "1__0", "--1", "1_.5"] {
            assert!(Cast::Float.apply(text).is_err(), "{text}");
        }
    }

    #[test]
    fn integers_are_decimal() {
        for (text, number) in [("5", 5), ("+5", 5), ("-5", -5), ("05", 5), ("0440", 440)] {
            assert_eq!(Cast::Int.apply(text), Ok(Value::Int(number)), "{text}");
        }
        for text in ["", "0x5", "5_0", "5.0", "5 ", "99999999999999999999", "\u{663}"] {
            assert!(Cast::Int.apply(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_are_words() {
        for text in ["y", "Y", "yes", "YES", "true", "TRUE", "on", "On"] {
            assert_eq!(Cast::Bool.apply(text), Ok(Value::Bool(true)), "{text}");
        }
        for text in ["n", "N", "no", "NO", "false", "False", "off", "OFF"] {
            assert_eq!(Cast::Bool.apply(text), Ok(Value::Bool(false)), "{text}");
        }
        for text in ["", "1", "0", "t", "f", " true", "oui"] {
            assert!(Cast::Bool.apply(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_cast_below_a_name_with_a_dot() {
        let at = |path: &str| Cast::at(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(at("services/a/tty"), Some(Cast::Bool));
        assert_eq!(at("services/a.b/tty"), None);
        assert_eq!(at("configs/a.b/external"), None);
    }
}
