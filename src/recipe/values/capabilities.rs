//! Linux capabilities that a service adds and drops.

use std::collections::BTreeSet;

/// Names in upper case with `CAP_` before them (or `ALL`), sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

/// What `cap_add` and `cap_drop` ask for: `ALL` swallows the others of its list, and what is added is not dropped.
/// `RESET` means the defaults, which a new service has anyway.
pub fn capabilities(add: &[String], drop: &[String]) -> Capabilities {
    let added = normal(add);
    let dropped = normal(drop).difference(&added).cloned().collect();
    Capabilities { add: added.into_iter().collect(), drop: dropped }
}

fn normal(names: &[String]) -> BTreeSet<String> {
    let names: BTreeSet<String> = names.iter().map(|name| normal_name(name)).filter(|name| name != "RESET").collect();
    if names.contains("ALL") { BTreeSet::from(["ALL".to_owned()]) } else { names }
}

fn normal_name(name: &str) -> String {
    let name = name.trim().to_uppercase();
    if name == "ALL" || name == "RESET" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_normalised_as_the_cli_does() {
        let table = [
            ("RESET net_admin", "", "CAP_NET_ADMIN", ""),
            ("RESET", "RESET all chown", "", "ALL"),
            ("all chown", "chown kill", "ALL", "CAP_CHOWN CAP_KILL"),
            ("chown", "all", "CAP_CHOWN", "ALL"),
            ("kill chown", "cap_chown", "CAP_CHOWN CAP_KILL", ""),
            ("ALL", "ALL", "ALL", ""),
        ];
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (add, drop, added, dropped) in table {
            let expected = Capabilities { add: list(added), drop: list(dropped) };
            assert_eq!(capabilities(&list(add), &list(drop)), expected, "+{add} -{drop}");
        }
    }
}
