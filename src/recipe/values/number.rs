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

/// Go's `strconv.ParseFloat`: decimal, hexadecimal (`0x1.8p-2`), `inf` or `nan`. What is too large is infinite.
pub fn float(text: &str) -> Option<f64> {
    let plain = without_underscores(text)?;
    let (negative, unsigned) = signed(&plain);
    match radix(unsigned) {
        (16, digits) => hexadecimal(digits).map(|number| if negative { -number } else { number }),
        _ => plain.parse().ok(),
    }
}

/// `1.8p-2`: the exponent is one of two, and must be there.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut bits, mut behind) = (0_u128, 0_i64);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u128::from(digit.to_digit(16)?);
        if bits >> 120 == 0 {
            bits = bits << 4 | digit;
        } else {
            // All that counts of what is behind so many bits is whether there is something.
            bits |= u128::from(digit != 0);
            behind += 4;
        }
    }
    let behind = behind - i64::try_from(fraction.len()).ok()? * 4;
    Some(scaled(bits as f64, exponent_of(exponent)? + behind))
}

/// Far more than any float holds counts as any more than that.
fn exponent_of(text: &str) -> Option<i64> {
    const FAR: i64 = 1 << 40;
    let (negative, digits) = signed(text);
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let magnitude = digits.parse().unwrap_or(FAR).min(FAR);
    valid.then_some(if negative { -magnitude } else { magnitude })
}

/// `number * 2^exponent`, in steps that are floats themselves.
fn scaled(number: f64, exponent: i64) -> f64 {
    let exponent = i32::try_from(exponent.clamp(-2400, 2400)).unwrap_or_default();
    let third = exponent / 3;
    [third, third, exponent - 2 * third].into_iter().fold(number, |number, step| number * 2f64.powi(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_those_of_go() {
        let table = [
            ("1.5", 1.5),
            ("1_000", 1000.0),
            ("-.5e1", -5.0),
            ("0x1p4", 16.0),
            ("-0X1.8P1", -3.0),
            ("0x.8p0", 0.5),
            ("0x_1_0p-2", 4.0),
            ("0x1p+1_0", 1024.0),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.000000000000081p0", 1.000_000_000_000_000_2),
            ("0x1.00000000000008000000000000000000000000001p0", 1.000_000_000_000_000_2),
            ("0x1.00000000000008p0", 1.0),
            ("0x10000000000000000000000000000000000p-136", 1.0),
            ("0x1p-99999999999999999999", 0.0),
            ("0x0p99999999999999999999", 0.0),
            ("0x1p1024", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ];
        for (text, number) in table {
            assert_eq!(float(text), Some(number), "{text}");
        }
        for text in [
            "", "0x1", "0xp1", "0x.p1", "0x1p", "0x1p+", "0x1p1.5", "0x1pa", "0x1_p1", "0x1p_1", "+-0x1p0", "0x-1p0",
            "0b1", "1 ",
        ] {
            assert_eq!(float(text), None, "{text}");
        }
        assert!(float("NaN").is_some_and(f64::is_nan));
    }

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
