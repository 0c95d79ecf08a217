//! A command line as words.

use std::iter::Peekable;
use std::str::Chars;

/// The words of a command written as one string, by the rules of google/shlex: quotes, `\` before any character
/// outside single quotes, and a `#` at the start of a word begins a comment that ends with the line. Nothing is
/// expanded.
pub fn shell_words(text: &str) -> Result<Vec<String>, String> {
    let mut characters = text.chars().peekable();
    let mut words = Vec::new();
    while let Some(next) = characters.peek() {
        match next {
            ' ' | '\t' | '\r' | '\n' => drop(characters.next()),
            '#' => drop(characters.by_ref().find(|character| *character == '\n')),
            _ => words.push(word(&mut characters)?),
        }
    }
    Ok(words)
}

fn word(characters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut word = String::new();
    while let Some(character) = characters.next_if(|character| !matches!(character, ' ' | '\t' | '\r' | '\n')) {
        match character {
            '"' => double_quoted(characters, &mut word)?,
            '\'' => single_quoted(characters, &mut word)?,
            '\\' => word.push(escaped(characters)?),
            other => word.push(other),
        }
    }
    Ok(word)
}

fn double_quoted(characters: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), String> {
    loop {
        match characters.next().ok_or_else(unclosed)? {
            '"' => return Ok(()),
            '\\' => word.push(escaped(characters)?),
            other => word.push(other),
        }
    }
}

fn single_quoted(characters: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), String> {
    loop {
        match characters.next().ok_or_else(unclosed)? {
            '\'' => return Ok(()),
            other => word.push(other),
        }
    }
}

fn escaped(characters: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    characters.next().ok_or_else(|| "EOF found after escape character".to_owned())
}

fn unclosed() -> String {
    "EOF found when expecting closing quote".to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_split_as_the_cli_does() {
        let table: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("echo a #b", &["echo", "a"]),
            ("echo a#b", &["echo", "a#b"]),
            ("a # b\nc", &["a", "c"]),
            ("sh -c 'a \"b\" $X'", &["sh", "-c", "a \"b\" $X"]),
            ("\"a \\\"b\\\" \\n c\"", &["a \"b\" n c"]),
            ("a\\ b 'c'd\"e\"", &["a b", "cde"]),
            ("'' \"\"", &["", ""]),
            ("'\\'", &["\\"]),
            ("a\\#b \\#c", &["a#b", "#c"]),
        ];
        for (text, expected) in table {
            assert_eq!(shell_words(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for text in ["'a", "\"a", "a'"] {
            assert_eq!(shell_words(text), Err("EOF found when expecting closing quote".to_owned()), "{text}");
        }
        for text in ["a\\", "\"a\\"] {
            assert_eq!(shell_words(text), Err("EOF found after escape character".to_owned()), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_text_makes_it_panic(text in "[a\\\\\"'# \\n]{0,30}|\\PC{0,10}") {
            let _ = shell_words(&text);
        }

        #[test]
        fn a_single_quoted_text_is_one_word(text in "[^']{0,20}") {
            prop_assert_eq!(shell_words(&format!("'{text}'")), Ok(vec![text]));
        }
    }
}
