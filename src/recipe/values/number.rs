//! Numbers as Go writes them.

/// Whether it is negative, and what stands behind its sign.
pub fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The radix that a prefix tells (10 without one), and what stands behind it.
pub fn radix(text: &str) -> (u32, &str) {
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        _ => (10, text),
    }
}

/// The text without its underscores, each of which has to part two digits, or a prefix and a digit.
pub fn without_underscores(text: &str) -> Option<String> {
    let (radix, digits) = radix(signed(text).1);
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_digit(radix));
    let parts = |at: usize| {
        let before = digits[..at].chars().last();
        (is_digit(before) || at == 0 && radix != 10) && is_digit(digits[at + 1..].chars().next())
    };
    digits.match_indices('_').all(|(at, _)| parts(at)).then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_part_digits() {
        for (text, plain) in [("1_000", "1000"), ("-0x_1F", "-0x1F"), ("1_0.2_5", "10.25"), ("", ""), ("x", "x")] {
            assert_eq!(without_underscores(text).as_deref(), Some(plain), "{text}");
        }
        for text in ["_1", "1_", "1__0", "1_.5", "1._5", "_", "1_e3", "0x1_"] {
            assert_eq!(without_underscores(text), None, "{text}");
        }
    }
}
