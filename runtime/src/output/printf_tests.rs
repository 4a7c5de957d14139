use proptest::prelude::*;
use rtscript_lang::config::Config;
use rtscript_lang::record::Form;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::types::{Enum, EnumId, Int, Space, Structs, Type};

use super::*;
use crate::symbols::UserSymbols;

/// An argument: its type and its bytes.
type Argument = (Type, Vec<u8>);

fn int(size: u8, signed: bool, value: i64) -> Argument {
    (Type::Int(Int { size, signed }), value.to_ne_bytes()[..size as usize].to_vec())
}

fn i64(value: i64) -> Argument {
    int(8, true, value)
}

fn i32(value: i32) -> Argument {
    int(4, true, value.into())
}

fn string(text: &str) -> Argument {
    (Type::String(64), format!("{text}\0").into_bytes())
}

fn long_string(text: &str) -> Argument {
    (Type::String(1024), format!("{text}\0").into_bytes())
}

fn buffer(bytes: &[u8]) -> Argument {
    (Type::Buffer(64), [&(bytes.len() as u32).to_ne_bytes(), bytes].concat())
}

/// A conversion by its letter.
fn spec(text: &str, argument: &mut u32) -> Spec {
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
    let mut rest = text;
    let flag = |rest: &mut &str, letter: char| match rest.strip_prefix(letter) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    };
    spec.left = flag(&mut rest, '-');
    spec.plus = flag(&mut rest, '+');
    spec.space = flag(&mut rest, ' ');
    spec.alternate = flag(&mut rest, '#');
    spec.zero = flag(&mut rest, '0');
    let mut amount = |rest: &mut &str| {
        if flag(rest, '*') {
            *argument += 1;
            return Some(Amount::Argument(*argument - 1));
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value = rest[..digits].parse().ok().map(Amount::Fixed);
        *rest = &rest[digits..];
        value
    };
    spec.width = amount(&mut rest);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        spec.precision = Some(amount(&mut rest).unwrap_or(Amount::Fixed(0)));
    }
    for (name, bytes) in [("hh", 1), ("h", 2), ("ll", 8), ("l", 8)] {
        if let Some(after) = rest.strip_prefix(name) {
            spec.length = Some(bytes);
            rest = after;
            break;
        }
    }
    spec.conversion = match rest {
        "d" => Conversion::Signed,
        "u" => Conversion::Unsigned,
        "x" => Conversion::Hex { upper: false },
        "X" => Conversion::Hex { upper: true },
        "o" => Conversion::Octal,
        "p" => Conversion::Pointer,
        "c" => Conversion::Char,
        "s" => Conversion::Text,
        "r" => Conversion::Bytes,
        "rh" => Conversion::HexBytes,
        "rx" => Conversion::EscapedBytes,
        _ => panic!("no conversion: {text}"),
    };
    spec.argument = *argument;
    *argument += 1;
    spec
}

fn structs() -> Structs {
    let mut structs = Structs::default();
    structs.enums.push(Enum {
        name: "color".to_string(),
        int: Int::U32,
        variants: vec![("GREEN".to_string(), 5)],
    });
    structs
}

fn event_bytes(record: &Record, args: &[Argument]) -> Vec<u8> {
    let mut bytes = vec![0; record.size as usize];
    bytes[4..8].copy_from_slice(&(Form::Packed as u32).to_ne_bytes());
    for (field, (_, value)) in record.fields.iter().zip(args) {
        let at = field.offset as usize;
        if field.tail {
            bytes[at..at + 4].copy_from_slice(&(value.len() as u32).to_ne_bytes());
            bytes.extend_from_slice(value);
        } else {
            bytes[at..at + value.len()].copy_from_slice(value);
        }
    }
    bytes
}

fn printed(format: &Format, args: &[Argument]) -> Vec<u8> {
    let (structs, config) = (structs(), Config::default());
    let types: Vec<Type> = args.iter().map(|(ty, _)| ty.clone()).collect();
    let record = Record::event(&types, &structs);
    let bytes = event_bytes(&record, args);
    let values = Values::new(&structs, &[], &config, UserSymbols::new(&config, None, None));
    let mut out = vec![];
    printf(&values, format, &record, Event::new(&bytes).unwrap().1, &mut out);
    out
}

/// One specification, without its percent sign.
fn one(text: &str, args: &[Argument]) -> String {
    let format = Format { pieces: vec![Piece::Spec(spec(text, &mut 0))] };
    String::from_utf8(printed(&format, args)).unwrap()
}

#[test]
fn numbers() {
    let cases: Vec<(&str, Argument, &str)> = vec![
        ("d", i32(-5), "-5"),
        ("d", i64(i64::MIN), "-9223372036854775808"),
        ("d", int(8, false, -1), "-1"),
        ("u", int(8, false, -1), "18446744073709551615"),
        ("u", i32(-1), "4294967295"),
        ("u", int(1, true, -1), "4294967295"),
        ("u", int(1, false, 255), "255"),
        ("lu", i32(-1), "18446744073709551615"),
        ("ld", i32(-1), "-1"),
        ("hd", i32(65537), "1"),
        ("hd", i32(0x8000), "-32768"),
        ("hhu", i32(-1), "255"),
        ("hhd", i32(255), "-1"),
        ("x", int(2, true, -1000), "fffffc18"),
        ("lx", int(2, true, -1000), "fffffffffffffc18"),
        ("hx", int(2, true, -1000), "fc18"),
        ("x", i64(-1), "ffffffffffffffff"),
        ("X", i32(0xbeef), "BEEF"),
        ("#x", i32(0xbeef), "0xbeef"),
        ("#X", i32(0xbeef), "0XBEEF"),
        ("#x", i32(0), "0"),
        ("o", i32(8), "10"),
        ("#o", i32(8), "010"),
        ("#o", i32(0), "0"),
        ("#.0o", i32(0), "0"),
        ("#.4o", i32(8), "0010"),
        ("+d", i32(5), "+5"),
        ("+d", i32(-5), "-5"),
        (" d", i32(5), " 5"),
        (" d", i32(-5), "-5"),
        ("5d", i32(42), "   42"),
        ("-5d", i32(42), "42   "),
        ("05d", i32(42), "00042"),
        ("05d", i32(-42), "-0042"),
        ("+05d", i32(42), "+0042"),
        ("-05d", i32(42), "42   "),
        ("2d", i32(12345), "12345"),
        (".4d", i32(42), "0042"),
        (".4d", i32(-42), "-0042"),
        ("8.4d", i32(42), "    0042"),
        ("-8.4d", i32(42), "0042    "),
        ("08.4d", i32(42), "    0042"),
        (".0d", i32(0), ""),
        (".d", i32(0), ""),
        ("4.0d", i32(0), "    "),
        (".0d", i32(7), "7"),
        ("#010x", i32(255), "0x000000ff"),
        ("#10x", i32(255), "      0xff"),
        ("-#10x", i32(255), "0xff      "),
        ("d", (Type::Bool, vec![1]), "1"),
        ("d", (Type::Enum(EnumId::from_u32(0)), 5u32.to_ne_bytes().to_vec()), "5"),
        ("lx", (Type::pointer(Type::Void, Space::Kernel), i64(0x1000).1), "1000"),
    ];
    for (text, argument, expected) in cases {
        assert_eq!(one(text, std::slice::from_ref(&argument)), expected, "%{text} {argument:?}");
    }
}

#[test]
fn everything_else() {
    let cases: Vec<(&str, Argument, &str)> = vec![
        ("s", string("abc"), "abc"),
        ("5s", string("abc"), "  abc"),
        ("-5s|", string("abc"), "abc  |"),
        ("05s", string("abc"), "  abc"),
        ("2s", string("abc"), "abc"),
        (".2s", string("abc"), "ab"),
        (".0s", string("abc"), ""),
        (".9s", string("abc"), "abc"),
        ("5.2s", string("abc"), "   ab"),
        ("s", long_string("a longer one"), "a longer one"),
        ("-6.3s|", long_string("a longer one"), "a l   |"),
        ("s", i32(-7), "-7"),
        ("5s", i32(-7), "   -7"),
        ("s", (Type::Enum(EnumId::from_u32(0)), 5u32.to_ne_bytes().to_vec()), "GREEN"),
        ("s", (Type::Bool, vec![1]), "true"),
        ("s", (Type::Tuple(vec![Type::I64, Type::I64]), [i64(1).1, i64(2).1].concat()), "(1, 2)"),
        ("p", (Type::pointer(Type::Void, Space::Kernel), i64(0x1000).1), "0x1000"),
        ("p", i64(0), "0"),
        ("10p", i64(0xff), "      0xff"),
        ("-10p|", i64(0xff), "0xff      |"),
        ("c", i32(65), "A"),
        ("3c", i32(65), "  A"),
        ("-3c|", i32(65), "A  |"),
        ("c", int(1, true, 122), "z"),
        ("r", buffer(b"ab\0\x1f~\xff"), "ab\\x00\\x1f~\\xff"),
        ("rh", buffer(b"ab\0\xff"), "61 62 00 ff"),
        ("rx", buffer(b"ab\0\xff"), "\\x61\\x62\\x00\\xff"),
        (".2rh", buffer(b"ab\0\xff"), "61 62"),
        ("8rh", buffer(b"ab"), "   61 62"),
        ("rh", string("ab"), "61 62"),
        ("rh", (Type::Array(Box::new(Type::Int(Int::U8)), 3), vec![1, 2, 255]), "01 02 ff"),
        ("rh", buffer(b""), ""),
    ];
    for (text, argument, expected) in cases {
        let (text, behind) = text.split_once('|').map_or((text, ""), |(text, _)| (text, "|"));
        let printed = one(text, std::slice::from_ref(&argument)) + behind;
        assert_eq!(printed, expected, "%{text} {argument:?}");
    }
}

#[test]
fn amounts_from_arguments() {
    assert_eq!(one("*d", &[i32(5), i32(42)]), "   42");
    assert_eq!(one("*d", &[i32(-5), i32(42)]), "42   ");
    assert_eq!(one(".*s", &[i32(2), string("abc")]), "ab");
    assert_eq!(one(".*s", &[i32(-1), string("abc")]), "abc");
    assert_eq!(one(".*d", &[i32(-1), i32(0)]), "0");
    assert_eq!(one("*.*d", &[i32(6), i32(3), i32(7)]), "   007");
    assert_eq!(one("*d", &[i64(i64::MIN), i32(1)]).len(), 65535);
    assert_eq!(one(".*d", &[int(8, false, -1), i32(1)]).len(), 65535);
    assert_eq!(one("*d", &[i32(0), i32(1)]), "1");
}

#[test]
fn pieces_follow_one_another() {
    let mut argument = 0;
    let mut pieces = vec![];
    for (text, after) in [("s", ", pid "), ("d", ", new "), ("s", ", oom 0x"), ("x", "\n")] {
        pieces.push(Piece::Spec(spec(text, &mut argument)));
        pieces.push(Piece::Text(after.to_string()));
    }
    let args = [long_string("first"), i32(42), long_string("second"), int(2, true, -1000)];
    let text = printed(&Format { pieces }, &args);
    assert_eq!(String::from_utf8(text).unwrap(), "first, pid 42, new second, oom 0xfffffc18\n");
}

#[test]
fn a_byte_is_printed_as_it_is() {
    let format = Format { pieces: vec![Piece::Spec(spec("c", &mut 0))] };
    assert_eq!(printed(&format, &[i32(0xff)]), [0xff]);
    assert_eq!(printed(&format, &[i32(0)]), [0]);
}

const FLAGS: [&str; 9] = ["", "-", "+", " ", "0", "#", "#0", "-+", "+0"];

/// What the C library writes; it knows each flag, width, precision and length that is tried here.
fn by_c(format: &str, value: i64) -> String {
    let format = std::ffi::CString::new(format).unwrap();
    let mut text = vec![0u8; 1024];
    // SAFETY: there are 1024 bytes, and the format asks for one number of 64 bits at most.
    let length = unsafe { libc::snprintf(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), value) };
    text.truncate(length as usize);
    String::from_utf8(text).unwrap()
}

proptest! {
    #[test]
    fn numbers_are_written_as_c_writes_them(
        flags in prop::sample::select(&FLAGS[..]),
        width in prop::option::of(0..40u32),
        precision in prop::option::of(0..40u32),
        length in prop::sample::select(vec!["hh", "h", "", "ll"]),
        letter in prop::sample::select(vec!["d", "u", "x", "X", "o"]),
        value in any::<i64>(),
        shift in 0..64u32,
    ) {
        let value = value >> shift;
        // C leaves open what these flags do to these letters.
        prop_assume!(!(flags.contains('#') && "du".contains(letter)));
        prop_assume!(!(flags.contains(['+', ' ']) && letter != "d"));
        // `0` is read as a flag only where it stands last, as it does.
        let width = width.filter(|width| *width > 0).map(|width| width.to_string()).unwrap_or_default();
        let precision = precision.map(|precision| format!(".{precision}")).unwrap_or_default();
        let text = format!("{flags}{width}{precision}{length}{letter}");
        let argument = if length == "ll" { i64(value) } else { i32(value as i32) };
        prop_assert_eq!(one(&text, &[argument]), by_c(&format!("%{text}"), value));
    }

    #[test]
    fn no_event_makes_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        form in 0..2u8,
        text in prop::sample::select(vec!["*.*s", "-*.*d", "*rh", ".*c", "*.*o", "s"]),
    ) {
        let (structs, config) = (structs(), Config::default());
        let types = [Type::Int(Int::I16), Type::Int(Int::I16), Type::String(1024), Type::String(16)];
        let record = Record::event(&types, &structs);
        let values = Values::new(&structs, &[], &config, UserSymbols::new(&config, None, None));
        let format = Format { pieces: vec![Piece::Spec(spec(text, &mut 0)), Piece::Spec(spec("s", &mut 3))] };
        let header = [0, 0, 0, 0, form, 0, 0, 0];
        let event = [&header[..], &bytes].concat();
        printf(&values, &format, &record, Event::new(&event).unwrap().1, &mut vec![]);
    }
}
