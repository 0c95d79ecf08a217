//! The places of a compose document where a replaced text becomes a number or a boolean.
//!
//! The list is the Docker CLI's: `init` or `limits.pids` are not in it, and a variable there is refused later.

use crate::recipe::values;
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
    pub fn at(path: &[&str]) -> Option<Self> {
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
            Self::Float => values::float(text).map(Value::Float).ok_or_else(|| invalid("ParseFloat")),
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
        let at = |path: &str| Cast::at(&path.split('/').collect::<Vec<_>>());
        assert_eq!(at("services/a/tty"), Some(Cast::Bool));
        assert_eq!(at("services/a.b/tty"), None);
        assert_eq!(at("configs/a.b/external"), None);
    }
}
