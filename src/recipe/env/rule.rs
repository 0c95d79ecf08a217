//! What a comment says about making a secret: `# length=32 charset=hex generate=false`.

use crate::model::secret::{Charset, Rule};

/// The rule in a comment; `None` when none of its words is part of one. A length that is no number counts as not
/// given, a character set that nobody knows as the default.
pub(super) fn in_comment(comment: &str) -> Option<Rule> {
    let mut rule = Rule::default();
    let mut found = false;
    for (key, value) in comment.split_whitespace().filter_map(|word| word.split_once('=')) {
        match key.trim_start_matches('#') {
            "length" => rule.length = value.parse().ok(),
            "charset" => rule.charset = Charset::named(value),
            "generate" => rule.generate = value != "false",
            _ => continue,
        }
        found = true;
    }
    found.then_some(rule)
}
