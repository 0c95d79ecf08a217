//! The two plain grammars: exports of a shell script that is never run, and the files behind `env_file:`.

use std::collections::BTreeMap;

use super::MAX_VALUES_BYTES;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::recipe::values::shell_words;
use crate::recipe::yaml::FileName;

/// Docker's reader takes no longer lines.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The `export NAME=value` lines of a recipe's `abra.sh`; a later one wins. Everything else of the script is
/// ignored: indented lines (they belong to functions), and values that only a shell could work out.
pub fn exports(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.strip_prefix("export")).flat_map(exported).collect()
}

fn exported(arguments: &str) -> Vec<(String, String)> {
    if !arguments.starts_with([' ', '\t']) {
        return Vec::new();
    }
    let words = shell_words(arguments).unwrap_or_default();
    let last = words.iter().position(|word| word.ends_with(';')).map_or(words.len(), |at| at + 1);
    let assignments = words[..last].iter().map_while(|word| assignment(word.trim_end_matches(';')));
    assignments.filter(|(_, value)| !value.contains(['$', '`'])).collect()
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let named = !name.is_empty() && name.bytes().all(is_name) && !name.as_bytes()[0].is_ascii_digit();
    named.then(|| (name.to_owned(), value.to_owned()))
}

/// The variables of a file that a service names under `env_file:`, in their order: `NAME=value` with the value
/// untouched, quotes included; a `NAME` alone has the value that `lookup` gives, and is left out without one.
///
/// # Errors
/// Every line that Docker refuses.
pub fn env_file(
    file: &FileName,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, Diagnostics> {
    let mut variables = Vec::new();
    let mut diagnostics = Diagnostics::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut bytes = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match entry(content, lookup) {
            Ok(variable) => {
                bytes += variable.as_ref().map_or(0, |(_, value)| value.len());
                variables.extend(variable);
            }
            Err(message) => {
                let indent = line[..line.len() - content.len()].chars().count();
                let column = u32::try_from(indent + 1).unwrap_or(u32::MAX);
                diagnostics.push(Diagnostic::error(Place::new(file, number, column), message));
            }
        }
        if bytes > MAX_VALUES_BYTES {
            let message = format!("the values have more than {MAX_VALUES_BYTES} bytes");
            diagnostics.push(Diagnostic::error(Place::new(file, number, 1), message));
            break;
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(variables) }
}

fn entry(line: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<(String, String)>, String> {
    let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
    if line.len() >= MAX_LINE_BYTES {
        return Err(format!("a line of {} bytes is longer than Docker reads", line.len()));
    }
    if name.is_empty() {
        return Err("no variable name before the =".to_owned());
    }
    if name.contains([' ', '\t']) {
        return Err(format!("variable '{name}' contains whitespaces"));
    }
    let value = value.map(str::to_owned).or_else(|| lookup(name));
    Ok(value.map(|value| (name.to_owned(), value)))
}
