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
const SERVICE: [(&[&str], Cast); 22] = [
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
    (&["read_only"], Cast::Bool),
    (&["stdin_open"], Cast::Bool),
    (&["tty"], Cast::Bool),
    (&["volumes", "[]", "read_only"], Cast::Bool),
    (&["volumes", "[]", "volume", "nocopy"], Cast::Bool),
];

impl Cast {
    /// The cast at a path of mapping keys, `[]` for the items of a list.
    pub fn at(path: &[String]) -> Option<Self> {
        let (section, inner) = (path.first()?.as_str(), path.get(2..)?);
        let matches = |pattern: &[&str]| {
            pattern.len() == inner.len() && pattern.iter().zip(inner).all(|(step, key)| *step == "*" || step == key)
        };
        match (section, inner) {
            ("services", _) => SERVICE.iter().find(|(pattern, _)| matches(pattern)).map(|(_, cast)| *cast),
            ("networks", [key]) if matches!(key.as_str(), "external" | "internal" | "attachable") => Some(Self::Bool),
            ("volumes" | "secrets" | "configs", [key]) if key == "external" => Some(Self::Bool),
            _ => None,
        }
    }

    pub fn apply(self, text: &str) -> Result<Value, String> {
        let invalid = |function: &str| format!("strconv.{function}: parsing {text:?}: invalid syntax");
        match self {
            Self::Int => text.parse().map(Value::Int).map_err(|_| invalid("Atoi")),
            Self::Float => text.parse().map(Value::Float).map_err(|_| invalid("ParseFloat")),
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
