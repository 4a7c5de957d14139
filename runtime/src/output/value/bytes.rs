//! Numbers, texts and buffers in bytes that may be fewer than they should be.

use rtscript_lang::types::Int;

use crate::output::number;

/// The first eight bytes as a number.
pub fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(word) => u64::from_ne_bytes(*word),
        None => {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word)
        }
    }
}

/// A number extended to 64 bits by its own sign.
pub(super) fn extended(int: Int, bytes: &[u8]) -> u64 {
    let bits = word(first(bytes, u32::from(int.size)));
    let unused = 64 - 8 * u32::from(int.size.clamp(1, 8));
    if int.signed { ((bits << unused) as i64 >> unused) as u64 } else { bits }
}

pub(super) fn integer(int: Int, bytes: &[u8], out: &mut Vec<u8>) {
    let bits = extended(int, bytes);
    if int.signed { number::signed(bits as i64, out) } else { number::unsigned(bits, out) }
}

/// `shift` is below 8, counted from the least significant bit of the first byte.
pub(super) fn bit_field(bytes: &[u8], shift: u32, width: u8, signed: bool) -> u64 {
    let mut wide = [0; 16];
    let length = bytes.len().min(9);
    wide[..length].copy_from_slice(&bytes[..length]);
    let bits = (u128::from_le_bytes(wide) >> shift) as u64;
    let unused = 64 - u32::from(width.clamp(1, 64));
    let high = bits << unused;
    if signed { (high as i64 >> unused) as u64 } else { high >> unused }
}

pub(super) fn is_true(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&byte| byte != 0)
}

/// At most so many bytes.
pub(super) fn first(bytes: &[u8], size: u32) -> &[u8] {
    &bytes[..bytes.len().min(size as usize)]
}

/// The bytes from an offset on, if there are any.
pub(super) fn from(bytes: &[u8], offset: u32) -> &[u8] {
    bytes.get(offset as usize..).unwrap_or_default()
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    match memchr::memchr(0, bytes) {
        Some(end) => &bytes[..end],
        None => bytes,
    }
}

/// The content of a buffer: `{ u32 length, bytes }`.
pub(super) fn buffer(capacity: u32, bytes: &[u8]) -> &[u8] {
    let length = word(first(bytes, 4)) as u32;
    first(from(bytes, 4), length.min(capacity))
}

/// Appends exactly `size` bytes.
pub(super) fn padded(bytes: &[u8], size: u32, out: &mut Vec<u8>) {
    let end = out.len() + size as usize;
    out.extend_from_slice(bytes);
    out.resize(end, 0);
}

/// Appends bytes as `%r` does, where printable ASCII is kept, or all of them as `\x..`.
pub fn escaped(bytes: &[u8], all: bool, out: &mut Vec<u8>) {
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') && !all {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            number::hex_byte(byte, false, out);
        }
    }
}
