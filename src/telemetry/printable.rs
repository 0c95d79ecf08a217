//! Text that others wrote, on its way to a terminal.
//!
//! Recipes, containers and remotes have their words in errors, plans and logs. A control character among them could
//! move the cursor, hide what stands there, or write into the terminal's own input.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every control character but line ends and tabs written out, as in `\u001b[2J`; so are those that turn
/// the direction of writing, end lines otherwise, or are not seen at all. JSON stays JSON of the same value.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    // To the end in any case: many bytes at a time are faster than a look at each.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) || !text.contains(acts_on_a_terminal) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match acts_on_a_terminal(character) {
            true => write_out(&mut shown, character),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// As JSON does: above U+FFFF in two halves.
fn write_out(shown: &mut String, character: char) {
    for half in character.encode_utf16(&mut [0; 2]) {
        write!(shown, "\\u{half:04x}").expect("a String takes all text");
    }
}

/// [`printable`], and in one line: no word of others may look like a line of ours.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    printable(&words.join(" / ")).replace('\t', " ")
}

/// [`printable`], with lines after the first indented under it.
pub fn indented(text: &str) -> String {
    printable(text).trim_end().replace('\n', "\n    ")
}

pub(super) fn acts_on_a_terminal(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Separators of lines and paragraphs.
        '\u{2028}' | '\u{2029}' => true,
        // Of no width: names that look alike are not the same then.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200d}' => true,
        '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_move_a_cursor_is_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}1m\u{7}"), "a\\u001b[2Jb\\u000d\\u009b1m\\u0007");
        assert_eq!(printable("abc\u{202e}def"), "abc\\u202edef");
        assert_eq!(printable("wi\u{200b}ki\u{feff}\u{e0041}\u{2028}"), "wi\\u200bki\\ufeff\\udb40\\udc41\\u2028");
        assert_eq!(printable("ein Übel\n\twas"), "ein Übel\n\twas");
    }

    #[test]
    fn words_of_others_begin_no_line() {
        assert_eq!(one_line("fatal: no\n\nwiki: applied\n"), "fatal: no / wiki: applied");
        assert_eq!(indented("wrong:\nwiki: applied\n"), "wrong:\n    wiki: applied");
    }

    proptest! {
        #[test]
        fn json_keeps_its_value(text in prop_oneof![".*", "[a\u{1b}\u{202e}\u{200b}\u{e0041}\u{1f600}\\\\\"]{0,9}"]) {
            let json = serde_json::json!([text]);
            let shown = format!("{json:#}");
            let shown = printable(&shown);
            prop_assert!(!shown.contains(acts_on_a_terminal), "{shown}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
        }
    }
}
