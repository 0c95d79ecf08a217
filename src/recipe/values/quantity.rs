//! Bytes (`512M`, `1.5g`) and CPUs (`0.5`, `1/2`).

/// Bytes of a size: a decimal number and a unit out of b, k, m, g, t, p, each optionally as `kb` or `kib`; all are
/// powers of 1024.
pub fn bytes(text: &str) -> Result<i64, String> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    let (number, suffix) = text.split_at(last.ok_or_else(|| format!("invalid size: '{text}'"))? + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let decimal = number.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let parsed = number.parse::<f64>().ok().filter(|_| decimal);
    let size = parsed.ok_or_else(|| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if size < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let unit = unit(&suffix.to_lowercase()).ok_or_else(|| format!("invalid suffix: '{}'", suffix.to_lowercase()))?;
    whole(size * unit).ok_or_else(|| format!("invalid size: '{text}' is too large"))
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
    let not_rational = || format!("failed to parse {text} as a rational number");
    let (numerator, denominator) = fraction(text).or_else(|| decimal(text)).ok_or_else(not_rational)?;
    let scaled = numerator.checked_mul(1_000_000_000).ok_or_else(not_rational)?;
    if scaled % denominator != 0 {
        return Err("value is too precise".to_owned());
    }
    i64::try_from(scaled / denominator).map_err(|_| not_rational())
}

/// `1/2`; a leading zero would mean octal to Go, and nobody means it.
fn fraction(text: &str) -> Option<(i128, i128)> {
    let (numerator, denominator) = text.split_once('/')?;
    let unsigned = numerator.strip_prefix(['+', '-']).unwrap_or(numerator);
    let ambiguous = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    if ambiguous(unsigned) || ambiguous(denominator) || denominator.starts_with('+') {
        return None;
    }
    let denominator = denominator.parse().ok().filter(|value: &i128| *value > 0)?;
    Some((numerator.parse().ok()?, denominator))
}

/// `-1.5e-3` as numerator and denominator.
fn decimal(text: &str) -> Option<(i128, i128)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scale = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 { Some((digits.checked_mul(scale)?, 1)) } else { Some((digits, scale)) }
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
            ("9e30", "invalid size: '9e30' is too large"),
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
        ];
        for (text, expected) in table {
            assert_eq!(nano_cpus(text), Ok(expected), "{text}");
        }
        for text in ["0.0000000001", "1/3"] {
            assert_eq!(nano_cpus(text), Err("value is too precise".to_owned()), "{text}");
        }
        for text in ["", "two", "1/0", "1/-2", "1e", "1e999999999999", "1e2147483647", "1.-5", ".", "1/2/3", " 1"] {
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
