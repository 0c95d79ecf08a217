//! Bytes (`512M`, `1.5g`) and CPUs (`0.5`, `1/2`).

use super::number;

/// Bytes of a size: a number (Go's, also `0x1p4`) and a unit out of b, k, m, g, t, p, each optionally as `kb` or `kib`; all are
/// powers of 1024.
pub fn bytes(text: &str) -> Result<i64, String> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    let (number, suffix) = text.split_at(last.ok_or_else(|| format!("invalid size: '{text}'"))? + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let parsed = number::float(number);
    let size = parsed.ok_or_else(|| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if size < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let unit = unit(&suffix.to_lowercase()).ok_or_else(|| format!("invalid suffix: '{}'", suffix.to_lowercase()))?;
    whole(size * unit).ok_or_else(|| format!("invalid size: '{text}' is out of range"))
}

fn unit(suffix: &str) -> Option<f64> {
    let letter = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(suffix);
    Some(match (letter, suffix) {
        ("", "" | "b") => 1.0,
        ("k", _) => 1024.0,
        ("m", _) => 1024.0 * 1024.0,
        ("g", _) => 1024.0 * 1024.0 * 1024.0,
        ("t", _) => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        ("p", _) => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "bounded, and parts of a byte are dropped on purpose")]
fn whole(size: f64) -> Option<i64> {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    (size < TOO_LARGE).then_some(size as i64)
}

/// Billionths of a CPU: a decimal number (`.25`, `1e-3`) or a fraction of whole numbers (`1/2`).
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let (numerator, denominator) = match text.split_once('/') {
        Some((numerator, denominator)) => fraction(numerator, denominator),
        None => decimal(text),
    }
    .ok_or_else(|| format!("failed to parse {text} as a rational number"))?;
    let out_of_range = || format!("{text} is out of range");
    let (Some(numerator), Some(denominator)) = (numerator, denominator) else { return Err(out_of_range()) };
    let scaled = numerator.checked_mul(1_000_000_000).ok_or_else(out_of_range)?;
    if scaled % denominator != 0 {
        return Err("value is too precise".to_owned());
    }
    i64::try_from(scaled / denominator).map_err(|_| out_of_range())
}

/// Numerator and denominator, each `None` when it is too large.
type Rational = (Option<i128>, Option<i128>);

/// `1/2`; a leading zero means octal.
fn fraction(numerator: &str, denominator: &str) -> Option<Rational> {
    let (negative, unsigned) = number::signed(numerator);
    let numerator = whole_number(unsigned)?;
    let denominator = whole_number(denominator)?;
    (denominator != Some(0)).then_some((numerator.map(|value| if negative { -value } else { value }), denominator))
}

fn whole_number(text: &str) -> Option<Option<i128>> {
    let text = number::without_underscores(text)?;
    let (radix, digits) = match number::radix(&text) {
        (10, digits) if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        other => other,
    };
    digits_of(digits, radix)
}

/// `None`: no digits; `Some(None)`: too many.
fn digits_of(digits: &str, radix: u32) -> Option<Option<i128>> {
    let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    valid.then(|| i128::from_str_radix(digits, radix).ok())
}

/// `-1.5e-3`; also `0x1.8p-2` as Go writes numbers.
fn decimal(text: &str) -> Option<Rational> {
    let (negative, unsigned) = number::signed(text);
    let unsigned = number::without_underscores(unsigned)?;
    let (radix, digits) = number::radix(&unsigned);
    let (mantissa, base, exponent) = match digits.split_once(['p', 'P']) {
        Some((mantissa, exponent)) => (mantissa, 2, exponent),
        None => match digits.split_once(['e', 'E']).filter(|_| radix == 10) {
            Some((mantissa, exponent)) => (mantissa, 10, exponent),
            None => (digits, 10, "0"),
        },
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let numerator = digits_of(&format!("{whole}{fraction}"), radix)?;
    let numerator = numerator.map(|value| if negative { -value } else { value });
    let places = u32::try_from(fraction.len()).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    if numerator == Some(0) {
        return Some((numerator, Some(1)));
    }
    let scale = i128::from(base).checked_pow(exponent.unsigned_abs());
    let denominator = i128::from(radix).checked_pow(places);
    let times = |a: Option<i128>, b: Option<i128>| a?.checked_mul(b?);
    Some(if exponent < 0 { (numerator, times(denominator, scale)) } else { (times(numerator, scale), denominator) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_by_any_spelling() {
        const MIB: i64 = 1024 * 1024;
        let table = [
            ("32", 32),
            ("32b", 32),
            ("32k", 32 * 1024),
            ("32KB", 32 * 1024),
            ("32KiB", 32 * 1024),
            ("32 kB", 32 * 1024),
            ("512M", 512 * MIB),
            ("1.5g", 1536 * MIB),
            (".5m", MIB / 2),
            ("1T", MIB * MIB),
            ("1p", 1024 * MIB * MIB),
            ("1e3", 1000),
            ("1_0k", 10_240),
            ("0x1p4k", 16 * 1024),
            ("0x1.8p1 m", 3 * MIB),
            ("0", 0),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn sizes_of_other_notations_are_refused() {
        let table = [
            ("", "invalid size: ''"),
            ("hello", "invalid size: 'hello'"),
            ("-32", "invalid size: '-32'"),
            ("32mm", "invalid suffix: 'mm'"),
            ("32bb", "invalid suffix: 'bb'"),
            ("32ib", "invalid suffix: 'ib'"),
            ("32kibb", "invalid suffix: 'kibb'"),
            ("1x", "invalid suffix: 'x'"),
            (" 32 ", "strconv.ParseFloat: parsing \" 32\": invalid syntax"),
            ("1.2.3m", "strconv.ParseFloat: parsing \"1.2.3\": invalid syntax"),
            ("9e30", "invalid size: '9e30' is out of range"),
            ("inf k", "invalid size: 'inf k' is out of range"),
            ("nan k", "invalid size: 'nan k' is out of range"),
            ("0x10k", "strconv.ParseFloat: parsing \"0x10\": invalid syntax"),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn cpus_are_decimals_or_fractions() {
        let table = [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".25", 250_000_000),
            ("1/2", 500_000_000),
            ("1e-3", 1_000_000),
            ("2.", 2_000_000_000),
            ("0.000000001", 1),
            ("-1", -1_000_000_000),
            ("010", 10_000_000_000),
            ("010/1", 8_000_000_000),
            ("1_0", 10_000_000_000),
            ("0x1", 1_000_000_000),
            ("0x1.8p-1", 750_000_000),
            ("0e99999", 0),
            ("0e-99999", 0),
            ("0.00000000000000000000000000000000000000000000000e40", 0),
        ];
        for (text, expected) in table {
            assert_eq!(nano_cpus(text), Ok(expected), "{text}");
        }
        for text in ["0.0000000001", "1/3"] {
            assert_eq!(nano_cpus(text), Err("value is too precise".to_owned()), "{text}");
        }
        for text in ["9223372037", "1e2147483647", "1e60", "170141183460469231731687303715884105728"] {
            assert_eq!(nano_cpus(text), Err(format!("{text} is out of range")), "{text}");
        }
        for text in
            ["", "two", "1/0", "1/-2", "1e", "1e999999999999", "1.-5", ".", "1/2/3", " 1", "1/08", "0.5/1", "1_"]
        {
            assert_eq!(nano_cpus(text), Err(format!("failed to parse {text} as a rational number")), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE/ kmgib]{0,30}|\\PC{0,10}") {
            let _ = bytes(&text);
            let _ = nano_cpus(&text);
        }
    }
}
