//! The statements of a `.env` file.

use std::collections::HashMap;

use super::expand::{expand, unescape};
use super::{MAX_BYTES, MAX_VALUES_BYTES, Variable, rule};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::recipe::yaml::FileName;

pub(super) fn read(
    file: &FileName,
    text: &str,
    outer: &dyn Fn(&str) -> Option<String>,
    fixed: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Variable>, Diagnostics> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", text.len());
        return Err(Diagnostics(vec![Diagnostic::error(Place::new(file, 1, 1), message)]));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader::new(file, &text, outer, fixed);
    reader.run();
    if reader.diagnostics.has_errors() { Err(reader.diagnostics) } else { Ok(reader.variables) }
}

struct Reader<'a> {
    file: &'a FileName,
    outer: &'a dyn Fn(&str) -> Option<String>,
    fixed: &'a dyn Fn(&str) -> Option<String>,
    rest: &'a str,
    line: u32,
    column: u32,
    variables: Vec<Variable>,
    /// Where a name stands among the variables.
    index: HashMap<String, usize>,
    bytes: usize,
    diagnostics: Diagnostics,
}

impl<'a> Reader<'a> {
    fn new(
        file: &'a FileName,
        text: &'a str,
        outer: &'a dyn Fn(&str) -> Option<String>,
        fixed: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            file,
            outer,
            fixed,
            rest: text,
            line: 1,
            column: 1,
            variables: Vec::new(),
            index: HashMap::new(),
            bytes: 0,
            diagnostics: Diagnostics::default(),
        }
    }

    fn run(&mut self) {
        while self.at_statement() {
            let place = Place::new(self.file, self.line, self.column);
            match self.statement(place.clone()) {
                Ok(variable) => self.assign(variable),
                Err(diagnostic) => {
                    self.diagnostics.push(diagnostic);
                    self.take(line_length(self.rest));
                }
            }
            if self.bytes > MAX_VALUES_BYTES {
                let message = format!("the values have more than {MAX_VALUES_BYTES} bytes");
                self.diagnostics.push(Diagnostic::error(place, message));
                return;
            }
        }
    }

    /// Goes on to the next statement, over blanks, comments and YAML's document marks.
    fn at_statement(&mut self) -> bool {
        loop {
            self.take(self.rest.len() - self.rest.trim_start().len());
            if !self.rest.starts_with('#') && !is_document_mark(self.rest) {
                return !self.rest.is_empty();
            }
            self.take(line_length(self.rest));
        }
    }

    fn statement(&mut self, place: Place) -> Result<Variable, Diagnostic> {
        let name = self.name(&place)?;
        let (written, comment) = self.value(&place)?;
        let value = (self.fixed)(&name).unwrap_or(written);
        self.bytes += value.len();
        if value.len() > MAX_BYTES {
            return Err(Diagnostic::error(place, format!("the value of {name} has more than {MAX_BYTES} bytes")));
        }
        Ok(Variable { name, value, place, rule: rule::in_comment(comment) })
    }

    fn name(&mut self, place: &Place) -> Result<String, Diagnostic> {
        if let Some(behind) = self.rest.strip_prefix("export").filter(|behind| behind.starts_with(is_space)) {
            self.take(self.rest.len() - behind.trim_start_matches(is_space).len());
        }
        let end = self.rest.find(['=', ':', '\n', '\r']).unwrap_or(self.rest.len());
        let (name, behind) = (self.rest[..end].trim(), &self.rest[end..]);
        if !behind.starts_with(['=', ':']) {
            let hint = "write NAME=value, or # before a comment";
            return Err(Diagnostic::error(place.clone(), "a variable's name without = behind it").hint(hint));
        }
        let is_foreign = |c: &char| !c.is_alphanumeric() && !is_space(*c) && !matches!(c, '_' | '.' | '-');
        if let Some(foreign) = name.chars().find(is_foreign) {
            return Err(Diagnostic::error(place.clone(), format!("unexpected character {foreign:?} in variable name")));
        }
        if name.is_empty() {
            return Err(Diagnostic::error(place.clone(), "no variable name before the value"));
        }
        self.take(end + 1);
        Ok(name.to_owned())
    }

    /// The value and the comment behind it.
    fn value(&mut self, place: &Place) -> Result<(String, &'a str), Diagnostic> {
        let quoted = self.rest.trim_start_matches(is_space);
        match quoted.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                self.take(self.rest.len() - quoted.len());
                self.quoted(quote, place)
            }
            _ => Ok(self.unquoted()),
        }
    }

    fn unquoted(&mut self) -> (String, &'a str) {
        let line = self.take(line_length(self.rest));
        let (value, comment) = line.split_at(comment_start(line).unwrap_or(line.len()));
        (self.expanded(value.trim_matches(is_space)), comment)
    }

    fn quoted(&mut self, quote: char, place: &Place) -> Result<(String, &'a str), Diagnostic> {
        let Some(length) = closing_quote(&self.rest[1..], quote) else {
            let message = format!("the quote {quote} of this value is not closed");
            return Err(Diagnostic::error(place.clone(), message));
        };
        let content = &self.take(length + 2)[1..=length];
        let value = if quote == '"' { self.expanded(&unescape(content)) } else { content.to_owned() };
        let behind = self.rest.trim_start_matches(is_space);
        Ok((value, if behind.starts_with('#') { &behind[..line_length(behind)] } else { "" }))
    }

    fn expanded(&self, text: &str) -> String {
        expand(text, &|name| match self.index.get(name) {
            Some(index) => Some(self.variables[*index].value.clone()),
            None => (self.outer)(name),
        })
    }

    /// A later assignment wins; it keeps the rule of an earlier one unless it says one of its own.
    fn assign(&mut self, variable: Variable) {
        if let Some(index) = self.index.get(&variable.name) {
            let known = &mut self.variables[*index];
            let rule = variable.rule.clone().or(known.rule.take());
            *known = Variable { rule, ..variable };
            return;
        }
        self.index.insert(variable.name.clone(), self.variables.len());
        self.variables.push(variable);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        for character in taken.chars() {
            (self.line, self.column) = match character {
                '\n' => (self.line + 1, 1),
                _ => (self.line, self.column + 1),
            };
        }
        taken
    }
}

fn is_document_mark(text: &str) -> bool {
    text.strip_prefix("---").is_some_and(|behind| behind[..line_length(behind)].trim_end().is_empty())
}

fn line_length(text: &str) -> usize {
    text.find(['\n', '\r']).unwrap_or(text.len())
}

/// The first `#` with a blank before it.
fn comment_start(line: &str) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| line[..*at].ends_with(is_space))
}

/// The next quote that an even number of backslashes precedes.
fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if character == quote && !escaped {
            return Some(at);
        }
        escaped = character == '\\' && !escaped;
    }
    None
}

/// Blanks inside a line.
fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}
