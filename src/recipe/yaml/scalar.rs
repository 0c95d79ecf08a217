//! What a scalar is: the rules of Go's yaml.v3, and how Go prints it where text is wanted.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::PAD};
use saphyr_parser::{ScalarStyle, Tag};

use super::{Value, timestamp};
use crate::recipe::values;

const CORE: &str = "tag:yaml.org,2002:";
/// Go does not look at the bits behind the last byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// The value of a scalar; the error says why its tag does not fit it.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let string = || Value::String(text.to_owned());
    let value = match tag.map(full_name).filter(|tag| tag != "!") {
        None if style == ScalarStyle::Plain => untagged(text),
        None => string(),
        Some(tag) => match tag.strip_prefix(CORE) {
            Some("binary") => binary(text)?,
            Some(kind @ ("bool" | "int" | "float" | "null" | "timestamp")) => of_kind(kind, text)?,
            _ => string(),
        },
    };
    match value {
        // The Docker CLI refuses the file, wherever it stands.
        Value::Float(number) if !number.is_finite() => Err(format!("`{text}` is no number that can be sent")),
        value => Ok(value),
    }
}

/// A plain `<<`, which merges a mapping into this one.
pub(super) fn is_merge(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
    let merge_tag = |tag: &Tag| full_name(tag) == format!("{CORE}merge");
    text == "<<" && style == ScalarStyle::Plain && tag.is_none_or(merge_tag)
}

fn full_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

fn binary(text: &str) -> Result<Value, String> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = BASE64.decode(compact).map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
    String::from_utf8(bytes).map(Value::String).map_err(|_| "!!binary value is not UTF-8 text".to_owned())
}

fn of_kind(kind: &str, text: &str) -> Result<Value, String> {
    match (kind, untagged(text)) {
        ("bool", value @ Value::Bool(_))
        | ("int", value @ (Value::Int(_) | Value::Uint(_)))
        | ("float", value @ Value::Float(_))
        | ("null", value @ Value::Null)
        | ("timestamp", value @ Value::Time(_)) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
        ("float", Value::Int(value)) => Ok(Value::Float(value as f64)),
        _ => Err(format!("cannot decode `{text}` as a !!{kind}")),
    }
}

fn untagged(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => numeric(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn numeric(text: &str) -> Option<Value> {
    match text.as_bytes().first()? {
        // Its underscores have to part digits; those of other numbers may stand anywhere.
        b'.' => values::float(text).filter(|number| number.is_finite()).map(Value::Float),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            timestamp::go_print(text).map(Value::Time).or_else(|| integer(&plain)).or_else(|| float(&plain))
        }
        _ => None,
    }
}

/// Go's `strconv.ParseInt(…, 0, 64)`: the radix is told by the prefix, and a leading zero means octal.
fn integer(text: &str) -> Option<Value> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (radix, digits) = radix_of(unsigned);
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Value::Int);
    }
    match i64::try_from(magnitude) {
        Ok(value) => Some(Value::Int(value)),
        Err(_) => (!text.starts_with('+')).then_some(Value::Uint(magnitude)),
    }
}

fn radix_of(text: &str) -> (u32, &str) {
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    }
}

/// A decimal number. One without point and exponent comes here because it is no octal (`08`) or too large.
fn float(text: &str) -> Option<Value> {
    let value = text.parse().ok().filter(|value: &f64| is_decimal(text) && value.is_finite());
    value.map(Value::Float)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// What Go prints for a scalar that is used as text (`%v`); a sequence or mapping has none and gives "".
pub fn text_of(value: &Value) -> Cow<'_, str> {
    Cow::Owned(match value {
        Value::Null | Value::Seq(_) | Value::Map(_) => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => float_text(*value),
        Value::Time(text) | Value::String(text) => return Cow::Borrowed(text),
    })
}

/// Shortest digits that read back as the same number; with an exponent below 1e-4 and from 1e6 on, as the Docker CLI sends it.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("Rust prints an exponent for {:e}");
    match exponent.parse::<i32>().expect("the exponent of a float is a small integer") {
        -4..6 => value.to_string(),
        exponent @ ..-4 => format!("{mantissa}e-{:02}", -exponent),
        exponent => format!("{mantissa}e+{exponent:02}"),
    }
}
