//! `printf`: a format with its arguments.
//!
//! As in C, where C has it: flags, width and precision, and the sign of the conversion. A number is taken as wide as
//! a length modifier says; without one, as wide as its argument, but at least 32 bits.

use rtscript_lang::action::{Amount, Conversion, Format, Piece, Spec};
use rtscript_lang::record::Record;
use rtscript_lang::types::Type;

use super::event::Event;
use super::number::{self, Digits};
use super::value::{Names, buffer, escaped, number_of, until_nul};

/// No width and no precision is larger: a script may take them from anywhere.
const MOST: usize = 1 << 16;

/// Appends a format with the arguments that an event has.
pub fn printf(format: &Format, record: &Record, event: &Event<'_>, names: &Names<'_>, out: &mut Vec<u8>) {
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Spec(spec) => argument(spec, record, event, names, out),
        }
    }
}

fn argument(spec: &Spec, record: &Record, event: &Event<'_>, names: &Names<'_>, out: &mut Vec<u8>) {
    let value_of = |index: u32| {
        let ty = record.fields.get(index as usize).map_or(&Type::Void, |field| &field.ty);
        (ty, event.field(record, index as usize))
    };
    let amount = |amount: Amount| match amount {
        Amount::Fixed(amount) => i64::from(amount),
        Amount::Argument(index) => {
            let (ty, bytes) = value_of(index);
            number_of(ty, bytes, names.manifest).map_or(0, |(value, _)| value)
        }
    };
    let width = spec.width.map_or(0, amount);
    let layout = Layout {
        // A negative width of `*` means left.
        left: spec.left || width < 0,
        width: (width.unsigned_abs() as usize).min(MOST),
        // A negative precision is none.
        precision: spec.precision.map(amount).and_then(|p| usize::try_from(p).ok()).map(|p| p.min(MOST)),
    };
    let (ty, bytes) = value_of(spec.argument);
    match spec.conversion {
        Conversion::Signed
        | Conversion::Unsigned
        | Conversion::Hex { .. }
        | Conversion::Octal
        | Conversion::Pointer => match number_of(ty, bytes, names.manifest) {
            Some((value, int)) => {
                let size = spec.length.unwrap_or(int.size.max(4));
                integer(spec, &layout, value, u32::from(size.min(8)) * 8, out);
            }
            None => layout.text(out, |out| names.text(ty, bytes, out)),
        },
        Conversion::Char => {
            let value = number_of(ty, bytes, names.manifest).map_or(0, |(value, _)| value);
            Layout { precision: None, ..layout }.text(out, |out| out.push(value as u8));
        }
        Conversion::Text => layout.text(out, |out| names.text(ty, bytes, out)),
        Conversion::Bytes => layout.text(out, |out| escaped(raw(ty, bytes), out)),
        Conversion::HexBytes => layout.text(out, |out| {
            for (index, &byte) in raw(ty, bytes).iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                number::hex_byte(byte, false, out);
            }
        }),
        Conversion::EscapedBytes => layout.text(out, |out| {
            for &byte in raw(ty, bytes) {
                out.extend_from_slice(b"\\x");
                number::hex_byte(byte, false, out);
            }
        }),
    }
}

/// The bytes of what `%r` prints.
fn raw<'b>(ty: &Type, bytes: &'b [u8]) -> &'b [u8] {
    match ty {
        Type::Buffer(capacity) => buffer(*capacity, bytes),
        Type::String(capacity) => until_nul(*capacity, bytes),
        _ => bytes,
    }
}

fn integer(spec: &Spec, layout: &Layout, value: i64, bits: u32, out: &mut Vec<u8>) {
    let unused = 64 - bits.clamp(8, 64);
    let (digits, negative) = match spec.conversion {
        Conversion::Signed => {
            let value = value << unused >> unused;
            (Digits::decimal(value.unsigned_abs()), value < 0)
        }
        Conversion::Hex { upper } => (Digits::hex((value as u64) << unused >> unused, upper), false),
        Conversion::Octal => (Digits::octal((value as u64) << unused >> unused), false),
        Conversion::Pointer => (Digits::hex(value as u64, false), false),
        Conversion::Unsigned
        | Conversion::Char
        | Conversion::Text
        | Conversion::Bytes
        | Conversion::HexBytes
        | Conversion::EscapedBytes => (Digits::decimal((value as u64) << unused >> unused), false),
    };
    let digits = digits.as_bytes();
    let is_zero = digits == b"0";
    let is_signed = spec.conversion == Conversion::Signed;
    let prefix: &[u8] = match spec.conversion {
        Conversion::Pointer => b"0x",
        Conversion::Hex { upper: false } if spec.alternate && !is_zero => b"0x",
        Conversion::Hex { upper: true } if spec.alternate && !is_zero => b"0X",
        Conversion::Octal if spec.alternate && !is_zero => b"0",
        _ if negative => b"-",
        _ if spec.plus && is_signed => b"+",
        _ if spec.space && is_signed => b" ",
        _ => b"",
    };
    // As in C: a zero with a precision of 0 has no digits.
    let digits = if is_zero && layout.precision == Some(0) { &b""[..] } else { digits };
    let zeros = match layout.precision {
        Some(precision) => precision.saturating_sub(digits.len()),
        None if spec.zero && !layout.left => layout.width.saturating_sub(prefix.len() + digits.len()),
        None => 0,
    };
    let blanks = layout.width.saturating_sub(prefix.len() + zeros + digits.len());
    if !layout.left {
        pad(out, b' ', blanks);
    }
    out.extend_from_slice(prefix);
    pad(out, b'0', zeros);
    out.extend_from_slice(digits);
    if layout.left {
        pad(out, b' ', blanks);
    }
}

struct Layout {
    left: bool,
    width: usize,
    precision: Option<usize>,
}

impl Layout {
    /// Cuts what `write` appends to the precision, and fills it up to the width.
    fn text(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        write(out);
        if let Some(precision) = self.precision {
            out.truncate(out.len().min(start + precision));
        }
        let blanks = self.width.saturating_sub(out.len() - start);
        if blanks == 0 {
            return;
        }
        pad(out, b' ', blanks);
        if !self.left {
            out[start..].rotate_right(blanks);
        }
    }
}

fn pad(out: &mut Vec<u8>, byte: u8, count: usize) {
    out.resize(out.len() + count, byte);
}
