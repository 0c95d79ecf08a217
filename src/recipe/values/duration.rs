//! Go's durations: `1m30s`, `1.5h`, `-2ms`.

/// The largest magnitude, which only a negative duration reaches.
const LIMIT: u64 = 1 << 63;

/// Nanoseconds of a duration in the notation of Go's `time.ParseDuration`: signed, parts with a unit each, no days,
/// no bare number but `0`.
pub fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (part, behind) = Part::split(rest).ok_or_else(invalid)?;
        let unit = nanoseconds_of(part.unit).ok_or_else(|| match part.unit {
            "" => format!("time: missing unit in duration {text:?}"),
            unit => format!("time: unknown unit {unit:?} in duration {text:?}"),
        })?;
        let value = part.nanoseconds(unit).ok_or_else(invalid)?;
        total = total.checked_add(value).filter(|total| *total <= LIMIT).ok_or_else(invalid)?;
        rest = behind;
    }
    let signed = if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() };
    signed.ok_or_else(invalid)
}

struct Part<'a> {
    whole: &'a str,
    fraction: &'a str,
    unit: &'a str,
}

impl<'a> Part<'a> {
    /// The first part and what is behind it; `None` when it has no digit.
    fn split(text: &'a str) -> Option<(Self, &'a str)> {
        let (whole, rest) = split_where(text, |c| !c.is_ascii_digit());
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => split_where(rest, |c| !c.is_ascii_digit()),
            None => ("", rest),
        };
        let (unit, rest) = split_where(rest, |c| c == '.' || c.is_ascii_digit());
        (!whole.is_empty() || !fraction.is_empty()).then_some((Self { whole, fraction, unit }, rest))
    }

    fn nanoseconds(&self, unit: u64) -> Option<u64> {
        let whole: u64 = if self.whole.is_empty() { 0 } else { self.whole.parse().ok()? };
        let whole = whole.checked_mul(unit).filter(|value| *value <= LIMIT)?;
        whole.checked_add(self.fraction_of(unit)).filter(|value| *value <= LIMIT)
    }

    /// Digits that no longer fit are dropped; the product is a float's, as in Go.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "below one unit, which is at most an hour"
    )]
    fn fraction_of(&self, unit: u64) -> u64 {
        let (mut value, mut scale) = (0_u64, 1.0_f64);
        for digit in self.fraction.bytes().map(|byte| u64::from(byte - b'0')) {
            let Some(longer) =
                value.checked_mul(10).and_then(|value| value.checked_add(digit)).filter(|value| *value <= LIMIT)
            else {
                break;
            };
            (value, scale) = (longer, scale * 10.0);
        }
        (value as f64 * (unit as f64 / scale)) as u64
    }
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn nanoseconds_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let table = [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("1us1µs1μs", 3_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.9999999999999999999999h", 3_600_000_000_000),
            ("0.1s", 100_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("39h9m14.425s", 140_954_425_000_000),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_notations_are_refused_in_go_words() {
        let table = [
            ("", "time: invalid duration \"\""),
            ("3", "time: missing unit in duration \"3\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            (".s", "time: invalid duration \".s\""),
            ("1m 30s", "time: unknown unit \"m \" in duration \"1m 30s\""),
            ("-", "time: invalid duration \"-\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("9999999999999h", "time: invalid duration \"9999999999999h\""),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), Err(expected.to_owned()), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_text_makes_it_panic(text in "[-+]?[0-9.a-zµ]{0,30}|\\PC{0,10}") {
            let _ = duration(&text);
        }
    }
}
