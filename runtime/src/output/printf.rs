//! `printf`: a format and the fields of an event become text, as C would write it.
//!
//! Nothing is allocated for numbers and strings: a million of these are to be written in a second.
//!
//! Where C leaves open what happens, or C would need the caller's care: a number without a length modifier has its
//! own width, but at least 32 bits; `%s` prints values of any type; `%05s` pads with blanks.

use rtscript_lang::action::{Amount, Conversion, Format, Piece, Spec};
use rtscript_lang::names;
use rtscript_lang::record::Record;

use super::event::Event;
use super::number::{self, Digits};
use super::value::{Number, Values, escaped};

/// The largest width and precision; so that an argument of `*` cannot ask for all memory.
const MOST: i128 = 65535;

/// Appends what a `printf` prints.
pub fn printf(values: &Values<'_>, format: &Format, args: &Record, event: Event<'_>, out: &mut Vec<u8>) {
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Spec(spec) => Item { values, args, event, spec }.write(out),
        }
    }
}

/// One specification and what it needs.
#[derive(Clone, Copy)]
struct Item<'a> {
    values: &'a Values<'a>,
    args: &'a Record,
    event: Event<'a>,
    spec: &'a Spec,
}

impl Item<'_> {
    fn write(self, out: &mut Vec<u8>) {
        let spec = self.spec;
        let index = spec.argument as usize;
        let Some(field) = self.args.fields.get(index) else { return };
        let bytes = self.event.field(self.args, index);
        let number = self.number(index);
        match (spec.conversion, number) {
            (Conversion::Signed, Some(number)) => {
                let value = cut(number, spec.length) as i64;
                let sign: &[u8] = match (value < 0, spec.plus, spec.space) {
                    (true, _, _) => b"-",
                    (false, true, _) => b"+",
                    (false, false, true) => b" ",
                    (false, false, false) => b"",
                };
                self.digits(sign, Digits::decimal(value.unsigned_abs()), value == 0, out);
            }
            (Conversion::Unsigned, Some(number)) => {
                let value = zero_extended(number, spec.length);
                self.digits(b"", Digits::decimal(value), value == 0, out);
            }
            (Conversion::Hex { upper }, Some(number)) => {
                let value = zero_extended(number, spec.length);
                let prefix: &[u8] = match (spec.alternate && value != 0, upper) {
                    (true, true) => b"0X",
                    (true, false) => b"0x",
                    (false, _) => b"",
                };
                self.digits(prefix, Digits::hex(value, upper), value == 0, out);
            }
            (Conversion::Octal, Some(number)) => {
                let value = zero_extended(number, spec.length);
                self.octal(value, out);
            }
            (Conversion::Pointer, Some(number)) => {
                let prefix: &[u8] = if number.bits == 0 { b"" } else { b"0x" };
                self.digits(prefix, Digits::hex(number.bits, false), false, out);
            }
            (Conversion::Char, Some(number)) => self.padded(out, |out| out.push(number.bits as u8)),
            (Conversion::AllocationFlags, Some(number)) => {
                self.padded(out, |out| names::allocation_flags(number.bits, out));
            }
            (Conversion::Text, _) => self.padded(out, |out| {
                let start = out.len();
                self.values.text(&field.ty, bytes, out);
                if let Some(most) = self.precision() {
                    out.truncate(out.len().min(start + most));
                }
            }),
            (Conversion::Bytes | Conversion::HexBytes | Conversion::EscapedBytes, _) => {
                let mut raw = self.values.raw(&field.ty, bytes);
                if let Some(most) = self.precision() {
                    raw = &raw[..raw.len().min(most)];
                }
                self.padded(out, |out| match spec.conversion {
                    Conversion::HexBytes => {
                        for (index, byte) in raw.iter().enumerate() {
                            if index > 0 {
                                out.push(b' ');
                            }
                            number::hex_byte(*byte, false, out);
                        }
                    }
                    Conversion::EscapedBytes => escaped(raw, true, out),
                    Conversion::Bytes
                    | Conversion::Signed
                    | Conversion::Unsigned
                    | Conversion::Hex { .. }
                    | Conversion::Octal
                    | Conversion::Pointer
                    | Conversion::Char
                    | Conversion::AllocationFlags
                    | Conversion::Text => escaped(raw, false, out),
                });
            }
            // The checker lets only numbers through to these.
            (
                Conversion::Signed
                | Conversion::Unsigned
                | Conversion::Hex { .. }
                | Conversion::Octal
                | Conversion::Pointer
                | Conversion::AllocationFlags
                | Conversion::Char,
                None,
            ) => self.padded(out, |out| self.values.text(&field.ty, bytes, out)),
        }
    }

    fn number(self, index: usize) -> Option<Number> {
        let field = self.args.fields.get(index)?;
        if field.tail { None } else { self.values.number(&field.ty, self.event.field(self.args, index)) }
    }

    /// Digits behind a sign or a prefix. A precision is the least number of digits, and of 0 leaves out a zero.
    fn digits(self, prefix: &[u8], digits: Digits, is_zero: bool, out: &mut Vec<u8>) {
        let spec = self.spec;
        if spec.width.is_none() && spec.precision.is_none() {
            out.extend_from_slice(prefix);
            out.extend_from_slice(digits.as_bytes());
            return;
        }
        let precision = self.precision();
        let digits: &[u8] = if is_zero && precision == Some(0) { b"" } else { digits.as_bytes() };
        let (width, left) = self.width();
        let mut zeros = precision.unwrap_or(0).saturating_sub(digits.len());
        if spec.zero && !left && precision.is_none() {
            zeros = width.saturating_sub(prefix.len() + digits.len());
        }
        let blanks = width.saturating_sub(prefix.len() + zeros + digits.len());
        if !left {
            repeat(b' ', blanks, out);
        }
        out.extend_from_slice(prefix);
        repeat(b'0', zeros, out);
        out.extend_from_slice(digits);
        if left {
            repeat(b' ', blanks, out);
        }
    }

    /// With `#` the first digit is a zero; it counts as one of those that a precision asks for.
    fn octal(self, value: u64, out: &mut Vec<u8>) {
        let digits = Digits::octal(value);
        let enough = self.precision().is_some_and(|least| least > digits.as_bytes().len());
        let shown = value != 0 || self.precision() == Some(0);
        let prefix: &[u8] = if self.spec.alternate && shown && !enough { b"0" } else { b"" };
        self.digits(prefix, digits, value == 0, out);
    }

    /// Lets `write` append text, and pads it to the width.
    fn padded(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        write(out);
        if self.spec.width.is_none() {
            return;
        }
        let (width, left) = self.width();
        let length = out.len() - start;
        let blanks = width.saturating_sub(length);
        repeat(b' ', blanks, out);
        if !left {
            out[start..].rotate_right(blanks);
        }
    }

    /// The width, and whether the text stands at its left end: a negative one of `*` asks for that.
    fn width(self) -> (usize, bool) {
        let width = self.spec.width.map_or(0, |amount| self.amount(amount));
        (width.unsigned_abs() as usize, self.spec.left || width < 0)
    }

    /// A negative precision of `*` is none.
    fn precision(self) -> Option<usize> {
        self.spec.precision.and_then(|amount| usize::try_from(self.amount(amount)).ok())
    }

    fn amount(self, amount: Amount) -> i64 {
        let value = match amount {
            Amount::Fixed(value) => i128::from(value),
            Amount::Argument(index) => self.number(index as usize).map_or(0, |number| number.value()),
        };
        value.clamp(-MOST, MOST) as i64
    }
}

/// The number as a signed one of the width that is printed.
fn cut(number: Number, length: Option<u8>) -> u64 {
    let unused = 64 - 8 * u32::from(printed_size(number, length));
    ((number.bits << unused) as i64 >> unused) as u64
}

/// The number as an unsigned one of the width that is printed.
fn zero_extended(number: Number, length: Option<u8>) -> u64 {
    let unused = 64 - 8 * u32::from(printed_size(number, length));
    number.bits << unused >> unused
}

/// In bytes.
fn printed_size(number: Number, length: Option<u8>) -> u8 {
    length.unwrap_or(number.size.max(4)).clamp(1, 8)
}

fn repeat(byte: u8, count: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + count, byte);
}

#[cfg(test)]
#[path = "printf_tests.rs"]
mod tests;
