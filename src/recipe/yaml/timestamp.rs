//! Dates and timestamps that a plain scalar may be, and how Go prints them.

use jiff::civil::Date;

/// What Go prints for a scalar that yaml.v3 takes as a time on a host in UTC: `2024-01-01` becomes
/// `2024-01-01 00:00:00 +0000 UTC`. `None`: not a time.
pub(super) fn go_print(text: &str) -> Option<String> {
    let mut rest = Rest(text);
    let (year, month, day) = (rest.four_digits()?, rest.after("-")?.number()?, rest.after("-")?.number()?);
    let date = Date::new(year, month, day).ok()?;
    if rest.0.is_empty() {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    }
    let with_zone = rest.0.starts_with(['T', 't']);
    rest.separator()?;
    let clock = rest.clock()?;
    let zone = if with_zone { rest.zone()? } else { "+0000 UTC".to_owned() };
    rest.0.is_empty().then(|| format!("{date} {clock} {zone}"))
}

struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn four_digits(&mut self) -> Option<i16> {
        let (digits, rest) = self.0.split_at_checked(4)?;
        self.0 = rest;
        all_digits(digits).then(|| digits.parse().ok())?
    }

    fn after(&mut self, prefix: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(prefix)?;
        Some(self)
    }

    /// One or two digits.
    fn number(&mut self) -> Option<i8> {
        let length = self.0.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        digits.parse().ok()
    }

    /// `T`, `t` or spaces.
    fn separator(&mut self) -> Option<()> {
        let spaces = self.0.trim_start_matches(' ');
        self.0 = if spaces.len() < self.0.len() { spaces } else { self.0.strip_prefix(['T', 't'])? };
        Some(())
    }

    fn clock(&mut self) -> Option<String> {
        let hour = self.number().filter(|hour| *hour < 24)?;
        let minute = self.after(":")?.number().filter(|minute| *minute < 60)?;
        let second = self.after(":")?.number().filter(|second| *second < 60)?;
        Some(format!("{hour:02}:{minute:02}:{second:02}{}", self.fraction()))
    }

    /// Digits behind the second, nine at most, without zeros at the end.
    fn fraction(&mut self) -> String {
        let Some(digits) = self.0.strip_prefix(['.', ',']) else { return String::new() };
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return String::new();
        }
        let (digits, rest) = digits.split_at(length);
        self.0 = rest;
        let significant = digits[..length.min(9)].trim_end_matches('0');
        if significant.is_empty() { String::new() } else { format!(".{significant}") }
    }

    /// `Z` or `+02:00`; Go prints a zone without a name by its offset again.
    fn zone(&mut self) -> Option<String> {
        if self.after("Z").is_some() {
            return Some("+0000 UTC".to_owned());
        }
        let sign = self.0.get(..1).filter(|sign| matches!(*sign, "+" | "-"))?;
        let (zone, rest) = self.0[1..].split_at_checked(5)?;
        let (hours, minutes) = zone.split_once(':')?;
        let (hours, minutes): (u32, u32) = (two_digits(hours)?, two_digits(minutes)?);
        if hours > 24 || minutes > 60 {
            return None;
        }
        self.0 = rest;
        if (hours, minutes) == (0, 0) {
            return Some("+0000 UTC".to_owned());
        }
        let (hours, minutes) = (hours + minutes / 60, minutes % 60);
        let offset = format!("{sign}{hours:02}{minutes:02}");
        Some(format!("{offset} {offset}"))
    }
}

fn two_digits(text: &str) -> Option<u32> {
    (text.len() == 2 && all_digits(text)).then(|| text.parse().ok())?
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
