//! The parts of JSON that need care: strings out of any bytes, and numbers that a double cannot hold.

use super::number;

/// Makes what was appended to `out` since `start` one JSON string.
pub fn quote_from(out: &mut Vec<u8>, start: usize) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\';
    if out[start..].iter().all(plain) {
        out.insert(start, b'"');
        out.push(b'"');
        return;
    }
    let raw = out.split_off(start);
    quoted(&raw, out);
}

/// A JSON string. Bytes that are not UTF-8 become U+FFFD.
pub fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f)) {
            out.extend_from_slice(&rest[..at]);
            match rest[at] {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                byte => {
                    out.extend_from_slice(b"\\u00");
                    number::hex_byte(byte, false, out);
                }
            }
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// A number of 64 bits, signed or not; as a string where a double does not hold it.
pub fn number(value: i128, out: &mut Vec<u8>) {
    let quote = (value as f64) as i128 != value;
    if quote {
        out.push(b'"');
    }
    number::wide(value, out);
    if quote {
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_and_escaped() {
        let cases: &[(&[u8], &str)] = &[
            (b"", r#""""#),
            (b"plain text", r#""plain text""#),
            (b"a \"b\" \\ c", r#""a \"b\" \\ c""#),
            (b"line\n\ttab\r", r#""line\n\ttab\r""#),
            (b"\x00\x1b[0m\x7f", r#""\u0000\u001b[0m\u007f""#),
            ("gr\u{fc}n".as_bytes(), "\"gr\u{fc}n\""),
            (b"bad \xff\xfe end", "\"bad \u{fffd}\u{fffd} end\""),
        ];
        for (text, expected) in cases {
            let mut out = b"x: ".to_vec();
            out.extend_from_slice(text);
            quote_from(&mut out, 3);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x: {expected}"));
        }
    }

    #[test]
    fn what_a_double_cannot_hold_is_a_string() {
        let mut out = vec![];
        for value in [1 << 53, (1 << 53) + 1, i128::from(i64::MIN), -1] {
            number(value, &mut out);
            out.push(b' ');
        }
        assert_eq!(out, br#"9007199254740992 "9007199254740993" -9223372036854775808 -1 "#);
    }
}
