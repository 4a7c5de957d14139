//! Numbers as digits, without the machinery of `std::fmt`: a `printf` of a number is a few nanoseconds of it.

/// Two digits for each number below 100.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Room for any number in any base from 8 up: 22 octal digits.
pub struct Digits {
    bytes: [u8; 24],
    start: usize,
}

impl Digits {
    pub fn decimal(mut value: u64) -> Digits {
        let mut digits = Digits { bytes: [0; 24], start: 24 };
        while value >= 100 {
            let pair = (value % 100) as usize * 2;
            value /= 100;
            digits.start -= 2;
            digits.bytes[digits.start..digits.start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        }
        if value >= 10 {
            let pair = value as usize * 2;
            digits.start -= 2;
            digits.bytes[digits.start..digits.start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        } else {
            digits.start -= 1;
            digits.bytes[digits.start] = b'0' + value as u8;
        }
        digits
    }

    pub fn hex(value: u64, upper: bool) -> Digits {
        Digits::power_of_two(value, 4, if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" })
    }

    pub fn octal(value: u64) -> Digits {
        Digits::power_of_two(value, 3, b"0123456789abcdef")
    }

    fn power_of_two(mut value: u64, bits: u32, alphabet: &[u8; 16]) -> Digits {
        let mut digits = Digits { bytes: [0; 24], start: 24 };
        loop {
            digits.start -= 1;
            digits.bytes[digits.start] = alphabet[(value & ((1 << bits) - 1)) as usize];
            value >>= bits;
            if value == 0 {
                return digits;
            }
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

pub fn unsigned(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(Digits::decimal(value).as_bytes());
}

pub fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// A number of 64 bits, signed or not.
pub fn wide(value: i128, out: &mut Vec<u8>) {
    if value < 0 { signed(value as i64, out) } else { unsigned(value as u64, out) }
}

/// `0x…`, as pointers are printed.
pub fn address(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0x");
    out.extend_from_slice(Digits::hex(value, false).as_bytes());
}

/// An address that no symbol has, as C's `%#x` prints it: `0x…`, or `0`.
pub fn unnamed(value: u64, out: &mut Vec<u8>) {
    if value == 0 { out.push(b'0') } else { address(value, out) }
}

/// As `print(@map, top, div)` divides; by 0 as by 1.
pub fn divided(value: i128, by: i64) -> i128 {
    value.checked_div(i128::from(by)).unwrap_or(value)
}

/// Exactly two hexadecimal digits.
pub fn hex_byte(byte: u8, upper: bool, out: &mut Vec<u8>) {
    let alphabet: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    out.extend_from_slice(&[alphabet[usize::from(byte >> 4)], alphabet[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let values = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + 1]).chain([
            u64::MAX,
            9,
            10,
            99,
            100,
            101,
            999,
            1000,
            12_345_678_901,
        ]);
        for value in values {
            assert_eq!(Digits::decimal(value).as_bytes(), value.to_string().as_bytes());
            assert_eq!(Digits::hex(value, false).as_bytes(), format!("{value:x}").as_bytes());
            assert_eq!(Digits::hex(value, true).as_bytes(), format!("{value:X}").as_bytes());
            assert_eq!(Digits::octal(value).as_bytes(), format!("{value:o}").as_bytes());
        }
        let mut out = vec![];
        signed(i64::MIN, &mut out);
        assert_eq!(out, i64::MIN.to_string().as_bytes());
    }
}
