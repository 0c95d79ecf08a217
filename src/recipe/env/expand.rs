//! References inside values of a `.env` file.

use super::MAX_BYTES;

/// The text with `$NAME` and `${NAME}` replaced. Names are upper case, digits and `_`; one brace on either side is
/// optional and belongs to the reference, as in godotenv. `\$` is a dollar, `$(` stays as it is. A
/// text that gets longer than the reader takes is cut off, but longer than that.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if expanded.len() > MAX_BYTES {
            return expanded;
        }
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        let name = name_in(behind);
        if let Some(before) = before.strip_suffix('\\') {
            expanded.push_str(before);
            expanded.push('$');
            rest = behind;
        } else if let Some((name, behind)) = name {
            expanded.push_str(before);
            expanded.push_str(&lookup(name).unwrap_or_default());
            rest = behind;
        } else {
            expanded.push_str(&rest[..=at]);
            rest = behind;
        }
    }
    expanded + rest
}

fn name_in(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let length = inner.bytes().take_while(is_name).count();
    let (name, rest) = inner.split_at(length);
    (length > 0).then(|| (name, rest.strip_prefix('}').unwrap_or(rest)))
}

/// The escapes of a double-quoted value: `\n`, `\r`, and any other character for itself but `\$`, which the
/// replacing of references reads.
pub(super) fn unescape(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            unescaped.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => unescaped.push('\n'),
            Some('r') => unescaped.push('\r'),
            Some('$') => unescaped.push_str("\\$"),
            Some(other) => unescaped.push(other),
            None => unescaped.push('\\'),
        }
    }
    unescaped
}
