//! A template as literal text and references.

use super::{Environment, InterpolateError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Reference(Reference<'a>),
    /// A `$` that begins nothing.
    Invalid,
}

/// `NAME`, `NAME:-default`, `NAME-default`, `NAME:?message` or `NAME?message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    inner: &'a str,
    pub braced: bool,
}

/// The pieces of a template; the first invalid one is the last, so that no text is searched twice.
pub(super) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let (piece, behind) = next_piece(rest)?;
        rest = if piece == Piece::Invalid { "" } else { behind };
        Some(piece)
    })
}

fn next_piece(text: &str) -> Option<(Piece<'_>, &str)> {
    match text.find('$') {
        _ if text.is_empty() => None,
        None => Some((Piece::Text(text), "")),
        Some(0) => Some(behind_dollar(&text[1..])),
        Some(at) => Some((Piece::Text(&text[..at]), &text[at..])),
    }
}

fn behind_dollar(text: &str) -> (Piece<'_>, &str) {
    if let Some(rest) = text.strip_prefix('$') {
        return (Piece::Text(&text[..1]), rest);
    }
    if let Some(length) = reference_length(text) {
        return (Piece::Reference(Reference { inner: &text[..length], braced: false }), &text[length..]);
    }
    let braced = text.strip_prefix('{').and_then(|text| {
        let (inner, rest) = text.split_at(reference_length(text)?);
        Some((Piece::Reference(Reference { inner, braced: true }), rest.strip_prefix('}')?))
    });
    braced.unwrap_or((Piece::Invalid, text))
}

/// Bytes of the name and its modifier, which ends before the next `}`; `None` without a name.
fn reference_length(text: &str) -> Option<usize> {
    let name = name_length(text)?;
    let behind = &text[name..];
    let operator = behind.strip_prefix(':').unwrap_or(behind);
    if !operator.starts_with(['-', '?']) {
        return Some(name);
    }
    Some(name + behind.find('}').unwrap_or(behind.len()))
}

fn name_length(text: &str) -> Option<usize> {
    let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let length = text.bytes().take_while(|byte| is_name(*byte)).count();
    (length > 0 && !text.as_bytes()[0].is_ascii_digit()).then_some(length)
}

impl<'a> Reference<'a> {
    pub fn variable(&self) -> &'a str {
        &self.inner[..name_length(self.inner).unwrap_or(0)]
    }

    /// The operator and all behind it.
    pub fn modifier(&self) -> &'a str {
        &self.inner[self.variable().len()..]
    }

    /// What the reference stands for. The operators are looked for in the whole of it, in this order, as the Docker
    /// CLI does: `A-http://x:-y` is the soft default `y` of a variable named `A-http://x`.
    pub fn value<'e>(&self, environment: &'e Environment) -> Result<&'e str, InterpolateError>
    where
        'a: 'e,
    {
        let get = |name: &str| environment.get(name).map(String::as_str);
        let filled = |name: &str| get(name).filter(|value| !value.is_empty());
        if let Some((name, default)) = self.inner.split_once(":-") {
            return Ok(filled(name).unwrap_or(default));
        }
        if let Some((name, default)) = self.inner.split_once('-') {
            return Ok(get(name).unwrap_or(default));
        }
        if let Some((name, message)) = self.inner.split_once(":?") {
            return filled(name).ok_or_else(|| missing(name, message));
        }
        if let Some((name, message)) = self.inner.split_once('?') {
            return get(name).ok_or_else(|| missing(name, message));
        }
        Ok(get(self.inner).unwrap_or(""))
    }
}

fn missing(name: &str, message: &str) -> InterpolateError {
    InterpolateError::Required { name: name.to_owned(), message: message.to_owned() }
}
