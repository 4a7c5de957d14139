//! The values of numbers and strings.

use crate::ast::IntSuffix;
use crate::error::{ErrorKind, EscapeFault, NumberFault, SyntaxError};
use crate::source::Span;

/// The value of a token that starts with a digit.
pub(crate) fn int(text: &str) -> Result<(u64, IntSuffix), NumberFault> {
    if let Some(rest) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let (digits, suffix) = split(rest, |c| c.is_ascii_hexdigit());
        let value = number(digits, 16)?;
        return with_suffix(value, suffix);
    }
    let (digits, rest) = split(text, |c| c.is_ascii_digit());
    if digits == "0" && matches!(rest.as_bytes(), [b'b' | b'B', ..]) {
        return Err(NumberFault::Binary);
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let (exponent, suffix) = split(exponent, |c| c.is_ascii_digit());
        return with_suffix(scientific(digits, exponent)?, suffix);
    }
    let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
    with_suffix(number(digits, radix)?, rest)
}

/// A number in an attach point, as the language writes numbers, but without a suffix: `100`, `1_000`, `1e3`, `0x10`.
pub fn plain(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match int(text) {
        Ok((value, IntSuffix::None)) => Some(value),
        Ok(_) | Err(_) => None,
    }
}

/// The leading digits and underscores, and what follows them.
fn split(text: &str, is_digit: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| c != '_' && !is_digit(c)).unwrap_or(text.len()))
}

fn number(digits: &str, radix: u32) -> Result<u64, NumberFault> {
    if digits.ends_with('_') {
        return Err(NumberFault::TrailingUnderscore);
    }
    if digits.is_empty() {
        return Err(NumberFault::NoDigits);
    }
    let mut value: u64 = 0;
    for digit in digits.chars().filter(|&c| c != '_') {
        let digit = digit.to_digit(radix).ok_or(NumberFault::OctalDigit)?;
        value = value
            .checked_mul(u64::from(radix))
            .and_then(|value| value.checked_add(u64::from(digit)))
            .ok_or(NumberFault::TooLarge)?;
    }
    Ok(value)
}

fn scientific(coefficient: &str, exponent: &str) -> Result<u64, NumberFault> {
    let coefficient = match coefficient.as_bytes() {
        [digit @ b'1'..=b'9'] => u64::from(digit - b'0'),
        _ => return Err(NumberFault::Coefficient),
    };
    if exponent.ends_with('_') {
        return Err(NumberFault::TrailingUnderscore);
    }
    if exponent.is_empty() {
        return Err(NumberFault::Exponent);
    }
    let exponent = number(exponent, 10)?;
    u32::try_from(exponent)
        .ok()
        .and_then(|exponent| 10u64.checked_pow(exponent))
        .and_then(|power| power.checked_mul(coefficient))
        .ok_or(NumberFault::TooLarge)
}

fn with_suffix(value: u64, suffix: &str) -> Result<(u64, IntSuffix), NumberFault> {
    let unit = match suffix {
        "" => return Ok((value, IntSuffix::None)),
        "ns" => Some(1),
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        "d" => Some(86_400_000_000_000),
        _ => None,
    };
    if let Some(unit) = unit {
        let value = value.checked_mul(unit).ok_or(NumberFault::TooLarge)?;
        return Ok((value, IntSuffix::Duration));
    }
    let (kind, max) = match suffix {
        "u" | "U" => (IntSuffix::U, u64::from(u32::MAX)),
        "l" | "L" => (IntSuffix::L, i64::MAX as u64),
        "ll" | "LL" => (IntSuffix::Ll, i64::MAX as u64),
        "ul" | "UL" | "uL" | "Ul" | "lu" | "LU" => (IntSuffix::Ul, u64::MAX),
        "ull" | "ULL" | "uLL" | "Ull" | "llu" | "LLU" => (IntSuffix::Ull, u64::MAX),
        _ => return Err(NumberFault::Suffix(suffix.into())),
    };
    if value > max {
        return Err(NumberFault::SuffixRange { suffix: suffix.into(), max });
    }
    Ok((value, kind))
}

/// The number that a text is, written as in a script: hexadecimal, octal, `5e6`, `1_000`, `10ms`.
pub fn number_in(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    int(text).ok().map(|(value, _)| value)
}

/// The bytes of a string token. `start` is the offset of its opening quote. A bad escape is reported, and left out.
pub(crate) fn string(token: &str, start: u32, errors: &mut Vec<SyntaxError>) -> Vec<u8> {
    let inner = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or("").as_bytes();
    let mut bytes = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            bytes.push(inner[at]);
            at += 1;
            continue;
        }
        let begin = at;
        at += 2;
        let byte = match inner.get(begin + 1) {
            Some(b'n') => Ok(b'\n'),
            Some(b't') => Ok(b'\t'),
            Some(b'r') => Ok(b'\r'),
            Some(b'"') => Ok(b'"'),
            Some(b'\\') => Ok(b'\\'),
            Some(b'0'..=b'7') => {
                let digits = digits(&inner[begin + 1..], 3, 8);
                at = begin + 1 + digits.len();
                let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                u8::try_from(value).map_err(|_| EscapeFault::Octal)
            }
            Some(b'x') => {
                let digits = digits(&inner[begin + 2..], 2, 16);
                at = begin + 2 + digits.len();
                let text = std::str::from_utf8(digits).unwrap_or("");
                u8::from_str_radix(text, 16).map_err(|_| EscapeFault::Hex)
            }
            Some(_) | None => {
                // The whole character, which may have several bytes.
                while inner.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    at += 1;
                }
                Err(EscapeFault::Unknown)
            }
        };
        match byte {
            Ok(byte) => bytes.push(byte),
            Err(fault) => {
                let span = Span::new(start + 1 + begin as u32, start + 1 + at.min(inner.len()) as u32);
                errors.push(SyntaxError::new(ErrorKind::Escape(fault), span));
            }
        }
    }
    bytes
}

/// The leading digits, `most` of them at most.
fn digits(bytes: &[u8], most: usize, radix: u32) -> &[u8] {
    let count = bytes.iter().take(most).take_while(|&&byte| char::from(byte).is_digit(radix)).count();
    &bytes[..count]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value, suffix) in [
            ("0", 0, IntSuffix::None),
            ("00", 0, IntSuffix::None),
            ("42", 42, IntSuffix::None),
            ("18446744073709551615", u64::MAX, IntSuffix::None),
            ("0xfF", 255, IntSuffix::None),
            ("0XffffffffffffffffULL", u64::MAX, IntSuffix::Ull),
            ("0x5d", 0x5d, IntSuffix::None),
            ("0123", 0o123, IntSuffix::None),
            ("1_000_000", 1_000_000, IntSuffix::None),
            ("0xff_ff", 0xffff, IntSuffix::None),
            ("5e6", 5_000_000, IntSuffix::None),
            ("1E9", 1_000_000_000, IntSuffix::None),
            ("9e18", 9_000_000_000_000_000_000, IntSuffix::None),
            ("4294967295u", 4_294_967_295, IntSuffix::U),
            ("7l", 7, IntSuffix::L),
            ("7UL", 7, IntSuffix::Ul),
            ("7ll", 7, IntSuffix::Ll),
            ("1ns", 1, IntSuffix::Duration),
            ("1us", 1_000, IntSuffix::Duration),
            ("1_000ms", 1_000_000_000, IntSuffix::Duration),
            ("1s", 1_000_000_000, IntSuffix::Duration),
            ("1m", 60_000_000_000, IntSuffix::Duration),
            ("2h", 7_200_000_000_000, IntSuffix::Duration),
            ("1d", 86_400_000_000_000, IntSuffix::Duration),
        ] {
            assert_eq!(int(text), Ok((value, suffix)), "{text}");
        }
    }

    #[test]
    fn faults_of_numbers() {
        for (text, fault) in [
            ("18446744073709551616", NumberFault::TooLarge),
            ("0x10000000000000000", NumberFault::TooLarge),
            ("1_", NumberFault::TrailingUnderscore),
            ("1_u", NumberFault::TrailingUnderscore),
            ("1e6_", NumberFault::TrailingUnderscore),
            ("089", NumberFault::OctalDigit),
            ("0x", NumberFault::NoDigits),
            ("0xg", NumberFault::NoDigits),
            ("0b101", NumberFault::Binary),
            ("12abc", NumberFault::Suffix("abc".into())),
            ("4294967296u", NumberFault::SuffixRange { suffix: "u".into(), max: 4_294_967_295 }),
            (
                "9223372036854775808l",
                NumberFault::SuffixRange { suffix: "l".into(), max: 9_223_372_036_854_775_807 },
            ),
            ("12e3", NumberFault::Coefficient),
            ("0e3", NumberFault::Coefficient),
            ("1e", NumberFault::Exponent),
            ("1ex", NumberFault::Exponent),
            ("2e19", NumberFault::TooLarge),
            ("1e99999999999", NumberFault::TooLarge),
            ("99999999999d", NumberFault::TooLarge),
        ] {
            assert_eq!(int(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn strings() {
        let mut errors = Vec::new();
        for (text, bytes) in [
            (r#""""#, &b""[..]),
            (r#""a\n\t\r\"\\""#, b"a\n\t\r\"\\"),
            (r#""\033[1m""#, b"\x1b[1m"),
            (r#""\0""#, b"\0"),
            (r#""\0011""#, b"\x011"),
            (r#""\377\xff\x1g""#, b"\xff\xff\x01g"),
            ("\"é\"", "é".as_bytes()),
        ] {
            assert_eq!(string(text, 0, &mut errors), bytes, "{text}");
        }
        assert_eq!(errors, []);
    }

    #[test]
    fn bad_escapes_say_where() {
        for (text, fault, span) in [
            (r#""a\q""#, EscapeFault::Unknown, (12, 14)),
            ("\"\\é\"", EscapeFault::Unknown, (11, 14)),
            (r#""\777""#, EscapeFault::Octal, (11, 15)),
            (r#""\xz""#, EscapeFault::Hex, (11, 13)),
        ] {
            let mut errors = Vec::new();
            string(text, 10, &mut errors);
            assert_eq!(
                errors,
                [SyntaxError::new(ErrorKind::Escape(fault), Span::new(span.0, span.1))],
                "{text}"
            );
        }
    }
}
