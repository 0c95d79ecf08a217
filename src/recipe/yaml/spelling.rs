//! Spellings that Go's yaml.v3 takes and the parser in use refuses, put right by spaces where spaces say nothing.
//!
//! The border: nothing but spaces is put in, and only where the parser stopped for the want of them. The surprise: the
//! text is then read again from its start, so that the number of repairs is bounded by the bytes that this costs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{ScanError, Span};

use super::MAX_BYTES;

/// Bytes that may be read again on account of repairs.
const MOST_READ_AGAIN: usize = 8 * 1024 * 1024;
/// Spaces put before a line that has too few; twice as many each time that this is not enough.
const INDENTATION: usize = 64;
const MOST_INDENTATION: usize = 1024;

/// A text with the spaces in it that it needs to be read.
pub(super) struct Spelling<'a> {
    text: Cow<'a, str>,
    /// By line: a quoted text has many.
    put_in: BTreeMap<usize, Vec<Spaces>>,
    put_in_bytes: usize,
    read_again: usize,
}

/// Lines and columns from 0.
#[derive(Clone, Copy)]
struct Spaces {
    line: usize,
    column: usize,
    count: usize,
}

impl<'a> Spelling<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), put_in: BTreeMap::new(), put_in_bytes: 0, read_again: 0 }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The column (from 0) that a place of this text has in the one that was given. Lines are the same.
    pub fn given_column(&self, line: usize, column: usize) -> usize {
        let on_line = self.put_in.get(&line).into_iter().flatten().rev();
        on_line.fold(column, |column, spaces| match column.checked_sub(spaces.count) {
            Some(before) if before >= spaces.column => before,
            _ => column.min(spaces.column),
        })
    }

    /// Puts in what the parser missed. `false`: nothing of that kind, or too much of it.
    pub fn mend(&mut self, error: &ScanError) -> bool {
        self.read_again += self.text.len();
        let missing = if self.read_again > MOST_READ_AGAIN { Vec::new() } else { self.missing(error) };
        self.put_in_bytes += missing.iter().map(|spaces| spaces.count).sum::<usize>();
        if missing.is_empty() || self.put_in_bytes > MAX_BYTES {
            return false;
        }
        self.text = Cow::Owned(with(&self.text, &missing));
        for spaces in missing {
            self.put_in.entry(spaces.line).or_default().push(spaces);
        }
        true
    }

    fn missing(&self, error: &ScanError) -> Vec<Spaces> {
        let (line, column) = (error.marker().line().saturating_sub(1), error.marker().col());
        match error.info() {
            // Inside brackets and quotes Go's parser asks for no indentation.
            "invalid indentation" | "invalid indentation in flow construct" => {
                self.indentation(line).into_iter().collect()
            }
            "invalid indentation in quoted scalar" => {
                let lines = self.continuation_lines(line, column);
                lines.into_iter().filter_map(|line| self.indentation(line)).collect()
            }
            // Nor for a space before a comment behind a quote or bracket, or beside tabs behind a colon.
            "comments must be separated from other tokens by whitespace"
            | "':' must be followed by a valid YAML whitespace" => vec![Spaces { line, column, count: 1 }],
            _ => Vec::new(),
        }
    }

    fn indentation(&self, line: usize) -> Option<Spaces> {
        let before: usize = self.put_in.get(&line).into_iter().flatten().map(|spaces| spaces.count).sum();
        (before < MOST_INDENTATION).then_some(Spaces { line, column: 0, count: before.max(INDENTATION) })
    }

    /// The further lines of the quoted scalar that begins at this place.
    fn continuation_lines(&self, line: usize, column: usize) -> Vec<usize> {
        let Some(start) = self.offset(line, column) else { return Vec::new() };
        let mut chars = self.text[start..].chars();
        let quote = chars.next();
        let (mut line, mut lines) = (line, Vec::new());
        while let Some(character) = chars.next() {
            match character {
                '\\' if quote == Some('"') && chars.clone().next() != Some('\n') => drop(chars.next()),
                '\n' => {
                    line += 1;
                    lines.push(line);
                }
                // A doubled single quote opens again at once, on the same line.
                _ if Some(character) == quote && !(character == '\'' && chars.clone().next() == quote) => break,
                '\'' if quote == Some('\'') => drop(chars.next()),
                _ => {}
            }
        }
        lines
    }

    fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let start = match line {
            0 => 0,
            line => self.text.match_indices('\n').nth(line - 1)?.0 + 1,
        };
        let within =
            self.text[start..].char_indices().map(|(at, _)| at).chain([self.text.len() - start]).nth(column)?;
        Some(start + within)
    }
}

/// The text with the spaces in it, which are in the order of their lines, one a line.
fn with(text: &str, spaces: &[Spaces]) -> String {
    let mut missing = spaces.iter().peekable();
    let mut mended = String::with_capacity(text.len() + spaces.iter().map(|spaces| spaces.count).sum::<usize>());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let Some(Spaces { column, count, .. }) = missing.next_if(|spaces| spaces.line == number) else {
            mended.push_str(line);
            continue;
        };
        let at = line.char_indices().nth(*column).map_or(line.len(), |(at, _)| at);
        mended.push_str(&line[..at]);
        mended.extend(std::iter::repeat_n(' ', *count));
        mended.push_str(&line[at..]);
    }
    mended
}

/// The end of a text, counted once: a hostile text has very many block scalars.
pub(super) struct End {
    lines: usize,
    /// Characters of the last line.
    last_line: usize,
}

impl End {
    pub fn of(text: &str) -> Self {
        let last_line = text.rsplit('\n').next().unwrap_or_default().chars().count();
        Self { lines: text.matches('\n').count() + 1, last_line }
    }

    /// Whether a block scalar goes on to the end of the text, and that is inside a line. The parser makes a line end of
    /// that, Go's does not.
    pub fn is_inside_a_line_of(&self, scalar: &Span) -> bool {
        let at_end = (scalar.end.line(), scalar.end.col()) == (self.lines, self.last_line);
        at_end && self.last_line >= scalar.start.col().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Node, Value, parse};

    fn read(text: &str) -> Node {
        parse(&"f".into(), text).expect("Go's yaml.v3 takes it")
    }

    fn text_at<'a>(node: &'a Node, path: &[&str]) -> &'a str {
        path.iter().fold(node, |node, key| node.get(key).unwrap()).as_str().unwrap()
    }

    #[test]
    fn brackets_ask_for_no_indentation() {
        let node = read("a:\n  b: [\n    x,\ny\n  ]\n  c: {\nd: 1\n}\n");
        let Value::Seq(items) = &node.get("a").unwrap().get("b").unwrap().value else { panic!("{node:?}") };
        assert_eq!(items.iter().filter_map(Node::as_str).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((items[1].place.line, items[1].place.column), (4, 1));
        assert_eq!(node.get("a").unwrap().get("c").unwrap().get("d").unwrap().value, Value::Int(1));
    }

    #[test]
    fn quotes_ask_for_no_indentation() {
        let node = read("a:\n  b: \"x\ny \\\"\n\nz\\\nw\"\n  c: 'it''s\nlate'\n  d: e\n");
        assert_eq!(text_at(&node, &["a", "b"]), "x y \"\nzw");
        assert_eq!(text_at(&node, &["a", "c"]), "it's late");
        assert_eq!(text_at(&node, &["a", "d"]), "e");
    }

    #[test]
    fn very_many_lines_without_indentation_are_read() {
        let node = read(&format!("a:\n  b: \"x\n{}\"\n  c: z\n", "y\n".repeat(10_000)));
        assert_eq!(text_at(&node, &["a", "b"]).len(), 20_002);
        let c = node.get("a").unwrap().get("c").unwrap();
        assert_eq!((c.place.line, c.place.column), (10_004, 6));
    }

    #[test]
    fn very_many_block_scalars_are_read() {
        let node = read(&format!("a:\n{}", "- |\n x\n".repeat(100_000)));
        let Some(Value::Seq(items)) = node.get("a").map(|node| &node.value) else { panic!() };
        assert!(items.len() == 100_000 && items.iter().all(|item| item.as_str() == Some("x\n")));
    }

    #[test]
    fn comments_may_touch_a_quote_and_tabs_a_colon() {
        let node = read("a: \"x\"# why\nb:\t\ty\nc: [z]# why\n");
        assert_eq!((text_at(&node, &["a"]), text_at(&node, &["b"])), ("x", "y"));
        assert_eq!(node.get("b").unwrap().place.column, 5);
    }

    #[test]
    fn a_block_scalar_has_no_line_end_where_the_text_has_none() {
        let cases = [
            ("a: |\n  x", "x"),
            ("a: |+\n  x", "x"),
            ("a: >\n  x\n  y", "x y"),
            ("a: |\n  x\n   ", "x\n "),
            ("a: |\n  x\n  ", "x\n"),
            ("a: |\n  x\n\n ", "x\n"),
            ("a: |\n  x\n# c\n   # d", "x\n"),
            ("a: |\n  x\n # c", "x\n"),
            ("a: |\n  x\n...", "x\n"),
            ("a: |-\n  x\n", "x"),
        ];
        for (text, value) in cases {
            assert_eq!(text_at(&read(text), &["a"]), value, "{text:?}");
        }
    }

    #[test]
    fn repairs_end_at_a_bound() {
        let text = format!("a:\n  b: [\n{}]\n", "x,\n".repeat(100_000));
        assert!(parse(&"f".into(), &text).is_err());
    }
}
