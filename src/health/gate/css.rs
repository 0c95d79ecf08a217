//! What a stylesheet loads: every `url(…)`, and every `@import`.
//!
//! A scanner after the tokens of CSS Syntax Level 3, section 4. The border: no rule is understood, so a fallback that a
//! browser would not take is named too. The surprise: `@namespace` has a URL that nothing loads.

use std::iter::Peekable;
use std::str::Chars;

/// One address in a stylesheet, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub address: String,
    /// Another stylesheet.
    pub import: bool,
}

/// All addresses in the order of the text.
pub fn references(css: &str) -> Vec<Reference> {
    let mut scanner = Scanner { rest: css.chars().peekable(), at_rule: None, found: Vec::new() };
    while scanner.step() {}
    scanner.found
}

struct Scanner<'t> {
    rest: Peekable<Chars<'t>>,
    /// The rule whose prelude this is, in lower case.
    at_rule: Option<String>,
    found: Vec<Reference>,
}

impl Scanner<'_> {
    /// Takes one token; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(next) = self.rest.next() else { return false };
        match next {
            '/' if self.rest.next_if_eq(&'*').is_some() => self.skip_comment(),
            '"' | '\'' => {
                let text = self.string(next);
                if self.at_rule.as_deref() == Some("import") {
                    self.find(text);
                }
            }
            '@' => self.at_rule = Some(self.word(None).to_ascii_lowercase()),
            ';' | '{' | '}' => self.at_rule = None,
            first if is_of_word(first) || first == '\\' => self.word_or_url(first),
            _ => {}
        }
        true
    }

    fn word_or_url(&mut self, first: char) {
        let word = self.word(Some(first));
        if self.rest.next_if_eq(&'(').is_none() || !word.eq_ignore_ascii_case("url") {
            return;
        }
        self.skip_space();
        let address = match self.rest.next_if(|c| matches!(c, '"' | '\'')) {
            Some(quote) => self.string(quote),
            None => self.until_closed(),
        };
        self.find(address);
    }

    /// The first address of an `@import` is the stylesheet; what follows are conditions.
    fn find(&mut self, address: String) {
        let import = self.at_rule.as_deref() == Some("import");
        let loads = self.at_rule.as_deref() != Some("namespace");
        if import {
            self.at_rule = Some("import's conditions".to_owned());
        }
        if loads && !address.is_empty() {
            self.found.push(Reference { address, import });
        }
    }

    fn skip_comment(&mut self) {
        let mut star = false;
        for c in self.rest.by_ref() {
            if star && c == '/' {
                return;
            }
            star = c == '*';
        }
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    }

    fn word(&mut self, first: Option<char>) -> String {
        let mut word = String::new();
        let mut next = first;
        loop {
            match next {
                Some('\\') => word.extend(self.escaped()),
                Some(c) => word.push(c),
                None => {}
            }
            next = self.rest.next_if(|c| is_of_word(*c) || *c == '\\');
            if next.is_none() {
                return word;
            }
        }
    }

    /// Up to the quote, or the end of the line, where a string that was not closed ends.
    fn string(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                c if c == quote || c == '\n' => break,
                '\\' => text.extend(self.escaped()),
                c => text.push(c),
            }
        }
        text
    }

    /// An address without quotes.
    fn until_closed(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                ')' => break,
                '\\' => text.extend(self.escaped()),
                c => text.push(c),
            }
        }
        text.trim_ascii().to_owned()
    }

    /// What a backslash stands for with what follows it: a code point in hex, the character itself, or nothing.
    fn escaped(&mut self) -> Option<char> {
        let mut digits = String::new();
        while digits.len() < 6
            && let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit)
        {
            digits.push(digit);
        }
        if digits.is_empty() {
            return self.rest.next().filter(|c| *c != '\n');
        }
        self.rest.next_if(|c| c.is_ascii_whitespace());
        let code = u32::from_str_radix(&digits, 16).unwrap_or_default();
        Some(char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(css: &str) -> Vec<(String, bool)> {
        references(css).into_iter().map(|reference| (reference.address, reference.import)).collect()
    }

    #[test]
    fn what_a_stylesheet_loads_is_found_and_nothing_else() {
        let rows: &[(&str, &[(&str, bool)])] = &[
            ("a { background: url(a.png) }", &[("a.png", false)]),
            ("a{background:URL( 'a b.png' )}", &[("a b.png", false)]),
            ("a{background:url( \"a.png\")}", &[("a.png", false)]),
            ("a{background:url(  a.png  )}", &[("a.png", false)]),
            ("@import 'b.css' screen; a{}", &[("b.css", true)]),
            ("@import url(b.css) layer(x) supports(display: grid);", &[("b.css", true)]),
            ("@IMPORT\n\"b.css\";@import 'c.css';", &[("b.css", true), ("c.css", true)]),
            (
                "@font-face{src:url(f.eot?#iefix) format('embedded-opentype'),url(f.woff2)}",
                &[("f.eot?#iefix", false), ("f.woff2", false)],
            ),
            ("/* url(no.png) */ a{x:url(/* no comment */)}", &[("/* no comment */", false)]),
            ("a::before{content:'url(no.png)'}", &[]),
            ("a::before{content:'@import \"no.css\"'}", &[]),
            ("@namespace url(http://www.w3.org/1999/xhtml);", &[]),
            ("@namespace svg 'http://www.w3.org/2000/svg'; a{x:url(y)}", &[("y", false)]),
            ("a{--my-url(x); x: my-url(no.png)}", &[]),
            (r"a{x:url(a\)b.png)}", &[("a)b.png", false)]),
            (r"a{x:u\72l(a.png)}", &[("a.png", false)]),
            (r"a{x:url('\61 b.png')}", &[("ab.png", false)]),
            ("a{x:url()}", &[]),
            ("a{x:url(data:image/png;base64,AA==)}", &[("data:image/png;base64,AA==", false)]),
            ("a{x:url(open", &[("open", false)]),
            ("a{x:'open\n;y:url(z)}", &[("z", false)]),
            ("/* open url(a)", &[]),
        ];
        for (css, wanted) in rows {
            let wanted: Vec<_> = wanted.iter().map(|(address, import)| ((*address).to_owned(), *import)).collect();
            assert_eq!(found(css), wanted, "{css}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(css in r#"[a-c@;{}()'"/*\\ \n]{0,60}|(@import |url\(|')*.{0,20}"#) {
            prop_assert!(references(&css).len() <= css.len());
        }
    }
}
