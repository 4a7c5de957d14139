use proptest::prelude::*;
use rtscript_lang::aggregate::Aggregate;
use rtscript_lang::types::{Clock, Enum, Field, Origin, Space, Stack, Struct};

use super::*;

/// A structure, two enumerations, and what else types refer to.
fn structs() -> Structs {
    let mut structs = Structs::default();
    let field = |name: &str, ty: Type, offset_bits: u32, bits: Option<u8>| Field {
        name: name.to_string(),
        ty,
        offset_bits,
        bits,
    };
    let push = |structs: &mut Structs, name: &str, union, size, fields| {
        structs.structs.push(Struct {
            name: name.to_string(),
            union,
            size,
            origin: Origin::Script,
            fields: Some(fields),
        })
    };
    let inner = push(
        &mut structs,
        "",
        true,
        4,
        vec![field("word", Type::U32, 0, None), field("byte", Type::Int(Int::U8), 0, None)],
    );
    let point = push(
        &mut structs,
        "point",
        false,
        8,
        vec![field("x", Type::I32, 0, None), field("y", Type::I32, 32, None)],
    );
    // struct flags { int low : 3; unsigned high : 7; union { … }; struct point at; char name[4]; };
    push(
        &mut structs,
        "flags",
        false,
        20,
        vec![
            field("low", Type::I32, 0, Some(3)),
            field("high", Type::U32, 3, Some(7)),
            field("", Type::I32, 10, Some(6)),
            field("", Type::Struct(inner), 32, None),
            field("at", Type::Struct(point), 64, None),
            field("name", Type::String(4), 128, None),
        ],
    );
    push(&mut structs, "empty", false, 0, vec![]);
    structs.structs.push(Struct {
        name: "unknown".to_string(),
        union: false,
        size: 8,
        origin: Origin::Script,
        fields: None,
    });
    let variants = |names: &[(&str, i64)]| names.iter().map(|(name, v)| (name.to_string(), *v)).collect();
    structs.enums.push(Enum {
        name: "color".to_string(),
        int: Int::U32,
        variants: variants(&[("RED", 0), ("GREEN", 5)]),
    });
    structs.enums.push(Enum {
        name: "sign".to_string(),
        int: Int::I32,
        variants: variants(&[("MINUS", -1), ("PLUS", 1)]),
    });
    structs
}

fn struct_id(index: u32) -> StructId {
    StructId::from_u32(index)
}

fn enum_id(index: u32) -> EnumId {
    EnumId::from_u32(index)
}

const FLAGS: u32 = 2;

struct Fixture {
    structs: Structs,
    names: Vec<String>,
    config: Config,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            structs: structs(),
            names: vec!["begin".to_string(), "rawtracepoint:vmlinux:task_rename".to_string()],
            config: Config::default(),
        }
    }

    fn values(&self) -> Values<'_> {
        let mut values =
            Values::new(&self.structs, &self.names, &self.config, UserSymbols::new(&self.config, None, None));
        values.symbols = KernelSymbols::of(b"ffffffff81000000 T first\nffffffff81000100 T second\n");
        values.users = Users::of(b"root:x:0:0::/root:/bin/sh\n");
        values.clocks = Clocks::of(0, 1_000_000_000, 0);
        values
    }
}

fn text(ty: &Type, bytes: &[u8]) -> String {
    let (fixture, mut out) = (Fixture::new(), vec![]);
    fixture.values().text(ty, bytes, &mut out);
    String::from_utf8(out).unwrap()
}

fn json(ty: &Type, bytes: &[u8]) -> String {
    let (fixture, mut out) = (Fixture::new(), vec![]);
    fixture.values().json(ty, bytes, &mut out);
    String::from_utf8(out).unwrap()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn halves(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn stack(frames: u32, mode: StackMode) -> Type {
    Type::Stack(Stack { space: Space::Kernel, frames, mode })
}

fn inet_bytes(family: u64, address: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[family, 0, 0]);
    bytes[8..8 + address.len()].copy_from_slice(address);
    bytes
}

#[test]
fn every_type_as_text_and_as_json() {
    let cases: Vec<(Type, Vec<u8>, &str, &str)> = vec![
        (Type::Void, vec![], "null", "null"),
        (Type::Bool, vec![1], "true", "true"),
        (Type::Bool, vec![0], "false", "false"),
        (Type::Int(Int::I8), vec![0xff], "-1", "-1"),
        (Type::Int(Int::U8), vec![0xff], "255", "255"),
        (Type::Int(Int::I16), vec![0x18, 0xfc, 9, 9], "-1000", "-1000"),
        (Type::U32, halves(&[u32::MAX]), "4294967295", "4294967295"),
        (Type::I64, words(&[-5i64 as u64]), "-5", "-5"),
        (Type::U64, words(&[u64::MAX]), "18446744073709551615", "\"18446744073709551615\""),
        (Type::Enum(enum_id(0)), halves(&[5]), "GREEN", "5"),
        (Type::Enum(enum_id(0)), halves(&[7]), "7", "7"),
        (Type::Enum(enum_id(1)), halves(&[u32::MAX]), "MINUS", "-1"),
        (Type::Enum(enum_id(1)), halves(&[-2i32 as u32]), "-2", "-2"),
        (Type::String(16), b"swapper\0garbage!".to_vec(), "swapper", "\"swapper\""),
        (Type::String(4), b"fullmore".to_vec(), "full", "\"full\""),
        (Type::String(8), b"".to_vec(), "", "\"\""),
        (Type::Buffer(6), b"\x04\0\0\0a\0\\\xffxx".to_vec(), "a\\x00\\\\xff", "[97,0,92,-1]"),
        (Type::Buffer(2), b"\x09\0\0\0abcd".to_vec(), "ab", "[97,98]"),
        (
            Type::pointer(Type::Void, Space::Kernel),
            words(&[0xffff_8880_0000_1000]),
            "0xffff888000001000",
            "18446612682070036480",
        ),
        (Type::pointer(Type::Void, Space::User), words(&[0]), "0x0", "0"),
        (Type::Array(Box::new(Type::I32), 2), halves(&[1, -2i32 as u32]), "[1,-2]", "[1,-2]"),
        (
            Type::Array(Box::new(Type::Array(Box::new(Type::Int(Int::U8)), 2)), 2),
            vec![1, 2, 3, 4],
            "[[1,2],[3,4]]",
            "[[1,2],[3,4]]",
        ),
        (Type::Array(Box::new(Type::I32), 0), vec![], "[]", "[]"),
        (Type::Tuple(vec![]), vec![], "()", "[]"),
        (Type::Tuple(vec![Type::I64]), words(&[1]), "(1)", "[1]"),
        (
            Type::Tuple(vec![Type::Int(Int::U8), Type::String(4), Type::Tuple(vec![Type::I64, Type::Bool])]),
            [words(&[7]), b"abc\0\0\0\0\0".to_vec(), words(&[9, 1])].concat(),
            "(7, abc, (9, true))",
            r#"[7,"abc",[9,true]]"#,
        ),
        (
            Type::Record(vec![("color".to_string(), Type::String(8)), ("size".to_string(), Type::I32)]),
            [b"green\0\0\0".to_vec(), halves(&[2])].concat(),
            "{ .color = green, .size = 2 }",
            r#"{"color": "green", "size": 2}"#,
        ),
        (Type::Record(vec![]), vec![], "{}", "{}"),
        (
            // low = -3, high = 0x55.
            Type::Struct(struct_id(FLAGS)),
            [halves(&[5 | 0x55 << 3, 0x201, 10, -20i32 as u32]), b"name".to_vec()].concat(),
            "{ .low = -3, .high = 85, .word = 513, .byte = 1, .at = { .x = 10, .y = -20 }, .name = name }",
            r#"{"low": -3, "high": 85, "word": 513, "byte": 1, "at": {"x": 10, "y": -20}, "name": "name"}"#,
        ),
        (Type::Struct(struct_id(3)), vec![], "{}", "{}"),
        (Type::Struct(struct_id(4)), words(&[1]), "{}", "{}"),
        (
            Type::Array(Box::new(Type::Struct(struct_id(1))), 2),
            halves(&[1, 2, 3, 4]),
            "[{ .x = 1, .y = 2 },{ .x = 3, .y = 4 }]",
            r#"[{"x": 1, "y": 2},{"x": 3, "y": 4}]"#,
        ),
        (Type::KernelSymbol, words(&[0xffff_ffff_8100_0010]), "first", "\"first\""),
        (Type::KernelSymbol, words(&[0x1234]), "0x1234", "\"0x1234\""),
        (Type::UserSymbol, words(&[0x5555, 1]), "0x5555", "\"0x5555\""),
        (Type::Inet, inet_bytes(2, &[127, 0, 0, 1]), "127.0.0.1", "\"127.0.0.1\""),
        (
            Type::Inet,
            inet_bytes(10, &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            "2001:db8::1",
            "\"2001:db8::1\"",
        ),
        (Type::Inet, inet_bytes(10, &[0; 16]), "::", "\"::\""),
        (Type::Inet, inet_bytes(77, &[1; 16]), "", "\"\""),
        (
            Type::Mac,
            vec![0x18, 0xc0, 0x4d, 0x08, 0x2e, 0xbb, 0, 0],
            "18:C0:4D:08:2E:BB",
            "\"18:C0:4D:08:2E:BB\"",
        ),
        (
            Type::Timestamp("%s.%f".to_string(), Clock::Boot),
            words(&[5_000_123_000]),
            "5.000123",
            "\"5.000123\"",
        ),
        (Type::Timestamp("%s".to_string(), Clock::Monotonic), words(&[5_000_000_000]), "6", "\"6\""),
        (Type::Username, halves(&[0]), "root", "\"root\""),
        (Type::Username, halves(&[4242]), "4242", "\"4242\""),
        (
            Type::Probe,
            words(&[1]),
            "rawtracepoint:vmlinux:task_rename",
            "\"rawtracepoint:vmlinux:task_rename\"",
        ),
        (Type::Probe, words(&[2]), "", "\"\""),
        (
            stack(4, StackMode::Symbols),
            words(&[0xffff_ffff_8100_0102, 0xffff_ffff_8100_0001, 0, 7]),
            "\n        second+2\n        first+1\n",
            r#""\n        second+2\n        first+1\n""#,
        ),
        (stack(1, StackMode::Symbols), words(&[0x99, 7]), "\n        0x99\n", r#""\n        0x99\n""#),
        (
            stack(2, StackMode::Symbols),
            words(&[u64::MAX]),
            "\n        <unwind failure>\n",
            r#""\n        <unwind failure>\n""#,
        ),
        (
            stack(3, StackMode::Perf),
            words(&[0xffff_ffff_8100_0102]),
            "\n\tffffffff81000102 second+2\n",
            r#""\n\tffffffff81000102 second+2\n""#,
        ),
        (
            stack(3, StackMode::Raw),
            words(&[0xffff_ffff_8100_0102, 0x10]),
            "\nffffffff81000102\n10\n",
            r#""\nffffffff81000102\n10\n""#,
        ),
        (stack(3, StackMode::Symbols), vec![], "\n", r#""\n""#),
    ];
    for (ty, bytes, as_text, as_json) in cases {
        assert_eq!(text(&ty, &bytes), as_text, "{ty:?}");
        assert_eq!(json(&ty, &bytes), as_json, "{ty:?}");
    }
}

#[test]
fn missing_bytes_read_as_zero() {
    assert_eq!(text(&Type::U64, &[1, 2]), "513");
    assert_eq!(text(&Type::I64, &[]), "0");
    assert_eq!(text(&Type::Tuple(vec![Type::I64, Type::String(8), Type::Bool]), &[3]), "(3, , false)");
    assert_eq!(
        text(&Type::Struct(struct_id(FLAGS)), &[0xff]),
        "{ .low = -1, .high = 31, .word = 0, .byte = 0, .at = { .x = 0, .y = 0 }, .name =  }"
    );
    assert_eq!(text(&Type::Array(Box::new(Type::I32), u32::MAX), &[1, 0, 0, 0, 2]), "[1,2]");
}

#[test]
fn a_string_that_was_cut_has_a_trailer() {
    let mut fixture = Fixture::new();
    fixture.config.max_strlen = 7;
    let text = |fixture: &Fixture, ty: &Type, bytes: &[u8]| {
        let mut out = vec![];
        fixture.values().text(ty, bytes, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(&fixture, &Type::String(8), b"1234567\0"), "1234567..");
    assert_eq!(text(&fixture, &Type::String(8), b"123456\0\0"), "123456");
    // Those have a length of their own.
    assert_eq!(text(&fixture, &Type::String(16), b"123456789012345\0"), "123456789012345");
    assert_eq!(text(&fixture, &Type::String(4), b"123\0"), "123");
    fixture.config.str_trunc_trailer = String::new();
    assert_eq!(text(&fixture, &Type::String(8), b"1234567\0"), "1234567");
}

#[test]
fn text_that_is_not_utf8_stays_as_it_is() {
    let (fixture, mut out) = (Fixture::new(), vec![]);
    fixture.values().text(&Type::String(16), b"\xff\xfe\x01\0", &mut out);
    assert_eq!(out, b"\xff\xfe\x01");
    assert_eq!(json(&Type::String(16), b"\xff\x01\0"), "\"\u{fffd}\\u0001\"");
}

#[test]
fn keys_stand_without_the_parentheses_of_their_tuple() {
    let (fixture, mut text, mut json) = (Fixture::new(), vec![], vec![]);
    let ty = Type::Tuple(vec![Type::I64, Type::String(8), Type::Tuple(vec![Type::I64, Type::I64])]);
    let bytes = [words(&[1]), b"a b\0\0\0\0\0".to_vec(), words(&[2, 3])].concat();
    fixture.values().key_text(&ty, &bytes, &mut text);
    fixture.values().key_json(&ty, &bytes, &mut json);
    assert_eq!(String::from_utf8(text).unwrap(), "1, a b, (2, 3)");
    assert_eq!(String::from_utf8(json).unwrap(), r#""1,a b,(2,3)""#);
}

#[test]
fn enumerations_and_pointers_are_as_printed_in_keys_of_json() {
    let (fixture, mut json) = (Fixture::new(), vec![]);
    let ty = Type::Tuple(vec![Type::I64, Type::Enum(enum_id(0))]);
    fixture.values().key_json(&ty, &words(&[1, 5]), &mut json);
    json.push(b' ');
    let pointer = Type::Pointer(Box::new(Type::Void), Space::Kernel);
    fixture.values().key_json(&pointer, &words(&[16]), &mut json);
    assert_eq!(String::from_utf8(json).unwrap(), r#""1,GREEN" "0x10""#);
}

#[test]
fn sort_keys_have_the_order_of_the_values() {
    let fixture = Fixture::new();
    let values = fixture.values();
    let key = |ty: &Type, bytes: &[u8]| {
        let mut out = vec![];
        values.sort_key(ty, bytes, &mut out);
        out
    };
    let pair = Type::Tuple(vec![Type::String(8), Type::I32]);
    let pair_of = |text: &[u8], number: i32| {
        let mut bytes = text.to_vec();
        bytes.resize(8, 0);
        bytes.extend_from_slice(&number.to_ne_bytes());
        bytes
    };
    let ascending: Vec<(Type, Vec<Vec<u8>>)> = vec![
        (Type::I64, [-300i64, -2, 0, 1, 256].map(|n| n.to_ne_bytes().to_vec()).to_vec()),
        (Type::I32, [-300i32, -2, 0, 1, 256].map(|n| n.to_ne_bytes().to_vec()).to_vec()),
        (Type::U64, [0u64, 1, 256, u64::MAX].map(|n| n.to_ne_bytes().to_vec()).to_vec()),
        (Type::String(8), [b"\0zzz".to_vec(), b"a\0".to_vec(), b"ab\0z".to_vec(), b"b\0".to_vec()].to_vec()),
        (pair, vec![pair_of(b"a", -1), pair_of(b"a", 1), pair_of(b"ab", -5), pair_of(b"b", -9)]),
        (
            Type::Array(Box::new(Type::I32), 2),
            vec![halves(&[-1i32 as u32, 9]), halves(&[0, 1]), halves(&[0, 2])],
        ),
        (stack(2, StackMode::Symbols), vec![words(&[1, 0]), words(&[1, 5]), words(&[256, 0])]),
    ];
    for (ty, bytes) in ascending {
        for pair in bytes.windows(2) {
            assert!(key(&ty, &pair[0]) < key(&ty, &pair[1]), "{ty:?} {pair:?}");
        }
    }
}

fn any_int() -> impl Strategy<Value = Int> {
    (prop::sample::select(vec![1u8, 2, 4, 8]), any::<bool>()).prop_map(|(size, signed)| Int { size, signed })
}

fn any_type() -> impl Strategy<Value = Type> {
    let mode = prop::sample::select(vec![StackMode::Symbols, StackMode::Perf, StackMode::Raw]);
    let leaf = prop_oneof![
        Just(Type::Void),
        Just(Type::Bool),
        any_int().prop_map(Type::Int),
        (0..4u32).prop_map(|id| Type::Enum(enum_id(id % 2))),
        (0..5u32).prop_map(|id| Type::Struct(struct_id(id))),
        (0..3000u32).prop_map(Type::String),
        (0..3000u32).prop_map(Type::Buffer),
        Just(Type::pointer(Type::Void, Space::Kernel)),
        (0..200u32, mode).prop_map(|(frames, mode)| stack(frames, mode)),
        Just(Type::KernelSymbol),
        Just(Type::UserSymbol),
        Just(Type::Inet),
        Just(Type::Mac),
        "[%a-zA-Z ]{0,6}".prop_map(|format| Type::Timestamp(format, Clock::Boot)),
        Just(Type::Username),
        Just(Type::Probe),
        Just(Type::Aggregate(Aggregate::Count)),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..100u32).prop_map(|(ty, count)| Type::Array(Box::new(ty), count)),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Type::Tuple),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4).prop_map(Type::Record),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(ty in any_type(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let fixture = Fixture::new();
        let values = fixture.values();
        let mut out = vec![];
        values.text(&ty, &bytes, &mut out);
        values.key_text(&ty, &bytes, &mut out);
        values.sort_key(&ty, &bytes, &mut out);
        values.number(&ty, &bytes);
        values.raw(&ty, &bytes);
        out.clear();
        values.json(&ty, &bytes, &mut out);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        out.clear();
        values.key_json(&ty, &bytes, &mut out);
        prop_assert!(serde_json::from_slice::<String>(&out).is_ok());
    }

    #[test]
    fn numbers_sort_by_their_value(int in any_int(), a in any::<u64>(), b in any::<u64>()) {
        let fixture = Fixture::new();
        let values = fixture.values();
        let ty = Type::Int(int);
        let (a, b) = (a.to_ne_bytes(), b.to_ne_bytes());
        let (mut key_a, mut key_b) = (vec![], vec![]);
        values.sort_key(&ty, &a, &mut key_a);
        values.sort_key(&ty, &b, &mut key_b);
        let number = |bytes: &[u8]| values.number(&ty, bytes).map(Number::value);
        prop_assert_eq!(key_a.cmp(&key_b), number(&a).cmp(&number(&b)));
    }
}
