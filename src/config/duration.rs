//! Durations as people write them: `10s`, `90m`, `1h30m`, `24h`, `7d`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Nobody waits longer; and sums of durations stay far from any limit.
const LONGEST: u64 = 10 * 366 * 86_400_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("{0:?} is not a duration")]
    Form(String),
    #[error("{0:?} is longer than ten years")]
    TooLong(String),
}

/// One or more whole numbers with a unit (`ms s m h d`), larger units first, nothing between them.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let form = || DurationError::Form(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (mut rest, mut total, mut smallest) = (text, 0u64, u64::MAX);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let millis = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis).ok_or_else(form)?;
        if number.is_empty() || millis >= smallest {
            return Err(form());
        }
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(millis)).ok_or_else(too_long)?;
        total = total.checked_add(part).filter(|sum| *sum <= LONGEST).ok_or_else(too_long)?;
        (rest, smallest) = (after, millis);
    }
    if smallest == u64::MAX {
        return Err(form());
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("0s", 0), ("10s", 10), ("90m", 5400), ("1h30m", 5400), ("24h", 86400), ("7d", 604_800)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s500ms"), Ok(Duration::from_millis(1500)));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in ["", "10", "s", "10 s", "-1s", "1.5h", "10S", "30m1h", "1h1h", "1w", "1hé", "éh"] {
            assert_eq!(parse(text), Err(DurationError::Form(text.to_owned())), "{text:?}");
        }
        for text in ["99999999999999999999s", "4000d"] {
            assert_eq!(parse(text), Err(DurationError::TooLong(text.to_owned())), "{text:?}");
        }
    }
}
