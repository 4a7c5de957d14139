//! `printf` formats: taken apart, and held against the arguments.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, Fact, FormatFact};
use crate::action::{Amount, Conversion, Format, Piece, Spec};
use crate::typed::{Expr, ExprKind};
use crate::types::Type;

/// The most arguments of one `printf`.
const MOST_ARGUMENTS: usize = 128;

impl Checker<'_> {
    /// The format and the arguments of a `printf`, or of another function that takes them.
    pub(super) fn printf(&mut self, function: &str, args: &[ast::Expr]) -> Option<(Format, Vec<Expr>)> {
        let (first, rest) = args.split_first()?;
        let values: Vec<Option<Expr>> = rest.iter().map(|arg| self.expr(arg)).collect();
        let text = match self.expr(first)?.kind {
            ExprKind::String(bytes) => bytes,
            ExprKind::Int(value) => {
                let what = error::format_of(function);
                let value = value.cast_signed().to_string();
                self.error(Fact::BadConstant {
                    what,
                    expected: "a text in quotes".to_string(),
                    value,
                    at: first.span,
                });
                return None;
            }
            _ => {
                self.error(Fact::NotConstant { what: error::format_of(function), at: first.span });
                return None;
            }
        };
        let format = self.parse_format(&text, first.span)?;
        let wanted = argument_count(&format);
        if rest.len() < wanted {
            let spec = format.pieces.iter().find_map(|piece| match piece {
                Piece::Spec(spec) if spec.argument as usize >= rest.len() => Some(spec.span),
                Piece::Spec(_) | Piece::Text(_) => None,
            });
            let at = spec.unwrap_or(first.span);
            let spec = format
                .pieces
                .iter()
                .find_map(|piece| match piece {
                    Piece::Spec(spec) if spec.argument as usize >= rest.len() => Some(spec_text(spec)),
                    Piece::Spec(_) | Piece::Text(_) => None,
                })
                .unwrap_or_default();
            self.error(FormatFact::Missing { expected: wanted, found: rest.len(), at, spec });
            return None;
        }
        if let Some(extra) = rest.get(wanted) {
            self.error(FormatFact::Extra { expected: wanted, found: rest.len(), at: extra.span });
            return None;
        }
        if let Some(extra) = rest.get(MOST_ARGUMENTS) {
            self.error(Fact::TooManyArguments { found: rest.len(), limit: MOST_ARGUMENTS, at: extra.span });
            return None;
        }
        let values = values.into_iter().collect::<Option<Vec<_>>>()?;
        let mut fine = true;
        for piece in &format.pieces {
            let Piece::Spec(spec) = piece else { continue };
            for amount in [spec.width, spec.precision] {
                if let Some(Amount::Argument(index)) = amount {
                    fine &= self.suits(spec, &values[index as usize], "a number", true);
                }
            }
            let value = &values[spec.argument as usize];
            fine &= match spec.conversion {
                Conversion::Text => true,
                Conversion::Signed
                | Conversion::Unsigned
                | Conversion::Hex { .. }
                | Conversion::Octal
                | Conversion::AllocationFlags => self.suits(spec, value, "a number", true),
                Conversion::Char => self.suits(spec, value, "a character", true),
                Conversion::Pointer => self.suits(spec, value, "an address", true),
                Conversion::Bytes | Conversion::HexBytes | Conversion::EscapedBytes => {
                    self.suits(spec, value, "a buffer", false)
                }
            };
        }
        fine.then_some((format, values))
    }

    /// Reports an argument that a specification cannot print.
    fn suits(&mut self, spec: &Spec, value: &Expr, expected: &'static str, number: bool) -> bool {
        let fits = if number {
            matches!(value.ty, Type::Pointer(..) | Type::Probe) || self.is_number(&value.ty)
        } else {
            matches!(value.ty, Type::Buffer(_) | Type::String(_) | Type::Array(..))
        };
        if fits {
            return true;
        }
        let help = match (&value.ty, number) {
            (Type::Int(_) | Type::Pointer(..), false) => Some("`buf(pointer, length)` reads bytes"),
            (_, true) => Some("`%s` prints values of any type"),
            (_, false) => None,
        };
        let found = self.type_name(&value.ty);
        self.error(FormatFact::Type {
            spec: spec_text(spec),
            expected,
            found,
            at: spec.span,
            argument: value.span,
            help,
        });
        false
    }

    fn parse_format(&mut self, text: &[u8], whole: Span) -> Option<Format> {
        let mut format = Format::default();
        let mut plain = Vec::new();
        let mut argument = 0;
        let mut at = 0;
        while at < text.len() {
            if text[at] != b'%' {
                plain.push(text[at]);
                at += 1;
                continue;
            }
            if text.get(at + 1) == Some(&b'%') {
                plain.push(b'%');
                at += 2;
                continue;
            }
            let start = at;
            match parse_spec(&text[at..], &mut argument) {
                Ok((mut spec, length)) => {
                    at += length;
                    spec.span = self.span_in_literal(whole, text, start, at);
                    if !plain.is_empty() {
                        format.pieces.push(Piece::Text(String::from_utf8_lossy(&plain).into_owned()));
                        plain.clear();
                    }
                    format.pieces.push(Piece::Spec(spec));
                }
                Err((length, reason, help)) => {
                    let end = (start + length).min(text.len());
                    let spec = String::from_utf8_lossy(&text[start..end]).escape_debug().to_string();
                    let at = self.span_in_literal(whole, text, start, end);
                    self.error(FormatFact::BadFormat { spec, reason, at, help });
                    return None;
                }
            }
        }
        if !plain.is_empty() {
            format.pieces.push(Piece::Text(String::from_utf8_lossy(&plain).into_owned()));
        }
        Some(format)
    }

    /// Where bytes of a literal stand in the source. It is exact where the literal has no escapes before them; each escape
    /// moves what follows, so the literal's own text would be needed, and the whole literal is the place then.
    fn span_in_literal(&self, whole: Span, text: &[u8], start: usize, end: usize) -> Span {
        let escapes =
            text[..end].iter().filter(|byte| matches!(byte, b'\n' | b'\t' | b'\r' | b'"' | b'\\')).count();
        let other = text[..end]
            .iter()
            .any(|byte| !(0x20..0x7f).contains(byte) && !matches!(byte, b'\n' | b'\t' | b'\r'));
        let all = text.iter().filter(|byte| matches!(byte, b'\n' | b'\t' | b'\r' | b'"' | b'\\')).count();
        // Two quotes, and a second byte for each short escape.
        if other || whole.len() as usize != text.len() + all + 2 {
            return whole;
        }
        let inside =
            text[..start].iter().filter(|byte| matches!(byte, b'\n' | b'\t' | b'\r' | b'"' | b'\\')).count();
        let base = whole.start + 1;
        Span::new(base + (start + inside) as u32, base + (end + escapes) as u32)
    }
}

/// The arguments that a format takes.
fn argument_count(format: &Format) -> usize {
    let last = format.pieces.iter().filter_map(|piece| match piece {
        Piece::Spec(spec) => Some(spec.argument as usize + 1),
        Piece::Text(_) => None,
    });
    last.max().unwrap_or(0)
}

/// One specification, and how many bytes it takes. An error has the bytes that it spoils, and why.
#[allow(clippy::type_complexity)]
fn parse_spec(
    text: &[u8],
    argument: &mut u32,
) -> Result<(Spec, usize), (usize, &'static str, Option<&'static str>)> {
    let mut spec = Spec {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: None,
        precision: None,
        length: None,
        conversion: Conversion::Text,
        argument: 0,
        span: Span::default(),
    };
    let mut at = 1;
    while let Some(flag) = text.get(at) {
        match flag {
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.space = true,
            b'#' => spec.alternate = true,
            b'0' => spec.zero = true,
            _ => break,
        }
        at += 1;
    }
    let mut amount = |at: &mut usize| -> Result<Option<Amount>, (usize, &'static str, Option<&'static str>)> {
        if text.get(*at) == Some(&b'*') {
            *at += 1;
            *argument += 1;
            return Ok(Some(Amount::Argument(*argument - 1)));
        }
        let start = *at;
        let mut value: u32 = 0;
        while let Some(digit) = text.get(*at).filter(|byte| byte.is_ascii_digit()) {
            value = value.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
            *at += 1;
        }
        if value > 65535 {
            return Err((*at, "the number is too large", None));
        }
        Ok((*at > start).then_some(Amount::Fixed(value)))
    };
    spec.width = amount(&mut at)?;
    if text.get(at) == Some(&b'.') {
        at += 1;
        spec.precision = Some(amount(&mut at)?.unwrap_or(Amount::Fixed(0)));
    }
    let letters = text[at.min(text.len())..].iter().take_while(|byte| b"hlLjzt".contains(byte)).count();
    spec.length = match &text[at..at + letters] {
        b"" => None,
        b"hh" => Some(1),
        b"h" => Some(2),
        b"l" | b"ll" | b"L" | b"j" | b"z" | b"t" => Some(8),
        _ => return Err((at + letters, "there is no such length", None)),
    };
    at += letters;
    let rest = &text[at.min(text.len())..];
    let (conversion, length) = match rest {
        [b'd' | b'i', ..] => (Conversion::Signed, 1),
        [b'u', ..] => (Conversion::Unsigned, 1),
        [b'x', ..] => (Conversion::Hex { upper: false }, 1),
        [b'X', ..] => (Conversion::Hex { upper: true }, 1),
        [b'o', ..] => (Conversion::Octal, 1),
        [b'p', ..] => (Conversion::Pointer, 1),
        [b'c', ..] => (Conversion::Char, 1),
        [b's', ..] => (Conversion::Text, 1),
        [b'g', b'r', ..] => (Conversion::AllocationFlags, 2),
        [b'r', b'h', ..] => (Conversion::HexBytes, 2),
        [b'r', b'x', ..] => (Conversion::EscapedBytes, 2),
        [b'r', ..] => (Conversion::Bytes, 1),
        [b'e' | b'E' | b'f' | b'F' | b'g' | b'G' | b'a' | b'A', ..] => {
            let help = Some("there are no floating-point numbers; divide, and print the parts: `%d.%03d`");
            return Err((at + 1, "unsupported format specifier", help));
        }
        [b'n', ..] => return Err((at + 1, "unsupported format specifier", None)),
        [] => return Err((at, "it ends too early", Some("`%%` prints a percent sign"))),
        [..] => return Err((at + 1, "there is no such conversion", Some("`%%` prints a percent sign"))),
    };
    spec.conversion = conversion;
    spec.argument = *argument;
    *argument += 1;
    Ok((spec, at + length))
}

/// A specification as it is written, without its amounts.
pub(super) fn spec_text(spec: &Spec) -> String {
    let conversion = match spec.conversion {
        Conversion::Signed => "d",
        Conversion::Unsigned => "u",
        Conversion::Hex { upper: false } => "x",
        Conversion::Hex { upper: true } => "X",
        Conversion::Octal => "o",
        Conversion::Pointer => "p",
        Conversion::Char => "c",
        Conversion::Text => "s",
        Conversion::AllocationFlags => "gr",
        Conversion::Bytes => "r",
        Conversion::HexBytes => "rh",
        Conversion::EscapedBytes => "rx",
    };
    format!("%{conversion}")
}
