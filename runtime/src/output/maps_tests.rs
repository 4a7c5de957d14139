use rtscript_lang::config::Config;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::MapKind;
use rtscript_lang::types::{Int, Space, Structs};

use super::*;
use crate::symbols::UserSymbols;

/// The elements of a map, each with what every CPU has.
type Elements = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

fn map(name: &str, key: Option<Type>, value: Type) -> Map {
    Map { name: name.to_string(), key, value, kind: MapKind::Hash, max_entries: 100, span: Span::default() }
}

fn words(words: &[i64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn text(bytes: &str) -> Vec<u8> {
    let mut bytes = bytes.as_bytes().to_vec();
    bytes.resize(8, 0);
    bytes
}

fn limited(map: &Map, elements: &Elements, limits: Limits) -> (String, String) {
    let (structs, config) = (Structs::default(), Config::default());
    let values = Values::new(&structs, &[], &config, UserSymbols::new(&config, None, None));
    let elements = elements.iter().map(|(key, values)| Element { key: key.clone(), values: values.clone() });
    let listing = Listing::new(map, &values, elements.collect(), limits);
    let (mut text, mut json) = (vec![], vec![]);
    listing.text(&mut text);
    listing.json(&mut json);
    (String::from_utf8(text).unwrap(), String::from_utf8(json).unwrap())
}

fn all(map: &Map, elements: &Elements) -> (String, String) {
    limited(map, elements, Limits::NONE)
}

#[test]
fn nothing_is_printed_of_an_empty_map() {
    assert_eq!(all(&map("x", Some(Type::I64), Type::I64), &vec![]), (String::new(), String::new()));
    assert_eq!(all(&map("x", None, Type::I64), &vec![]), (String::new(), String::new()));
}

#[test]
fn scalar_maps() {
    let scalar = |ty: Type, values: Vec<Vec<u8>>| all(&map("x", None, ty), &vec![(vec![], values)]);
    let cases = [
        (Type::I64, vec![words(&[-3])], "@x: -3\n", r#"{"type": "map", "data": {"@x": -3}}"#),
        (Type::String(8), vec![text("abc")], "@x: abc\n", r#"{"type": "map", "data": {"@x": "abc"}}"#),
        (
            Type::Tuple(vec![Type::I64, Type::Bool]),
            vec![words(&[1, 1])],
            "@x: (1, true)\n",
            r#"{"type": "map", "data": {"@x": [1,true]}}"#,
        ),
        (
            Type::Aggregate(Aggregate::Count),
            vec![words(&[3]), words(&[4])],
            "@x: 7\n",
            r#"{"type": "map", "data": {"@x": 7}}"#,
        ),
        (
            Type::Aggregate(Aggregate::Avg { signed: true }),
            vec![words(&[3, 1]), words(&[4, 1])],
            "@x: 3\n",
            r#"{"type": "stats", "data": {"@x": 3}}"#,
        ),
        (
            Type::Aggregate(Aggregate::Stats { signed: true }),
            vec![words(&[6, 3])],
            "@x: { .count = 3, .average = 2, .total = 6 }\n",
            r#"{"type": "stats", "data": {"@x": {"count": 3, "average": 2, "total": 6}}}"#,
        ),
        (
            Type::Aggregate(Aggregate::Hist { bits: 0 }),
            vec![words(&[0, 0, 1])],
            "@x:\n[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n",
            r#"{"type": "hist", "data": {"@x": [{"min": 1, "max": 1, "count": 1}]}}"#,
        ),
    ];
    for (ty, values, as_text, as_json) in cases {
        let (text, json) = scalar(ty, values);
        assert_eq!(text, as_text);
        assert_eq!(json, format!("{as_json}\n"));
    }
    let (text, json) = all(&map("", None, Type::I64), &vec![(vec![], vec![words(&[1])])]);
    assert_eq!(text, "@: 1\n");
    assert_eq!(json, "{\"type\": \"map\", \"data\": {\"@\": 1}}\n");
}

#[test]
fn numbers_are_sorted_by_value_and_then_by_key() {
    let elements = vec![(10, 5), (9, -1), (8, 7), (100, 5), (-2, 5)]
        .into_iter()
        .map(|(k, v)| (words(&[k]), vec![words(&[v])]));
    let (text, json) = all(&map("n", Some(Type::I64), Type::I64), &elements.collect());
    assert_eq!(text, "@n[9]: -1\n@n[-2]: 5\n@n[10]: 5\n@n[100]: 5\n@n[8]: 7\n");
    assert_eq!(
        json,
        "{\"type\": \"map\", \"data\": {\"@n\": {\"9\": -1, \"-2\": 5, \"10\": 5, \"100\": 5, \"8\": 7}}}\n"
    );
}

#[test]
fn narrow_numbers_are_sorted_as_well() {
    let value = |v: i16| vec![v.to_ne_bytes().to_vec()];
    let elements = vec![(words(&[1]), value(300)), (words(&[2]), value(-1)), (words(&[3]), value(2))];
    let (text, _) = all(&map("", Some(Type::I64), Type::Int(Int::I16)), &elements);
    assert_eq!(text, "@[2]: -1\n@[3]: 2\n@[1]: 300\n");
}

#[test]
fn other_values_are_sorted_by_key() {
    let elements = ["b", "ab", "a"].map(|k| (text(k), vec![text("same")])).to_vec();
    let (out, _) = all(&map("", Some(Type::String(8)), Type::String(8)), &elements);
    assert_eq!(out, "@[a]: same\n@[ab]: same\n@[b]: same\n");
    let pointer = Type::pointer(Type::Void, Space::Kernel);
    let elements = vec![(words(&[2]), vec![words(&[1])]), (words(&[1]), vec![words(&[16])])];
    let (out, json) = all(&map("p", Some(Type::I64), pointer), &elements);
    assert_eq!(out, "@p[1]: 0x10\n@p[2]: 0x1\n");
    assert_eq!(json, "{\"type\": \"map\", \"data\": {\"@p\": {\"1\": 16, \"2\": 1}}}\n");
}

#[test]
fn several_keys() {
    let key = Type::Tuple(vec![Type::I64, Type::String(8)]);
    let elements = vec![([words(&[1]), text("x y")].concat(), vec![words(&[4]), words(&[1])])];
    let (out, json) = all(&map("a", Some(key), Type::Aggregate(Aggregate::Count)), &elements);
    assert_eq!(out, "@a[1, x y]: 5\n");
    assert_eq!(json, "{\"type\": \"map\", \"data\": {\"@a\": {\"1,x y\": 5}}}\n");
}

#[test]
fn the_largest_and_divided() {
    let count = Type::Aggregate(Aggregate::Count);
    let elements = [(1, 1000), (2, 3500), (3, 2000)].map(|(k, v)| (words(&[k]), vec![words(&[v])])).to_vec();
    let keyed = map("c", Some(Type::I64), count);
    assert_eq!(limited(&keyed, &elements, Limits { top: 2, div: 1 }).0, "@c[3]: 2000\n@c[2]: 3500\n");
    assert_eq!(limited(&keyed, &elements, Limits { top: 1, div: 1000 }).0, "@c[2]: 3\n");
    assert_eq!(limited(&keyed, &elements, Limits { top: 9, div: 0 }).0.lines().count(), 3);
    let plain = map("c", Some(Type::I64), Type::I64);
    assert_eq!(limited(&plain, &elements, Limits { top: 1, div: 1000 }).0, "@c[2]: 3\n");
    assert_eq!(
        limited(&plain, &elements, Limits { top: 1, div: 1000 }).1,
        "{\"type\": \"map\", \"data\": {\"@c\": {\"2\": 3}}}\n"
    );
}

#[test]
fn aggregates_are_sorted_by_what_they_come_to() {
    let keyed = |aggregate| map("", Some(Type::I64), Type::Aggregate(aggregate));
    // The averages are 10, 3 and 4; the totals have another order.
    let pairs = vec![
        (words(&[1]), vec![words(&[10, 1])]),
        (words(&[2]), vec![words(&[30, 10])]),
        (words(&[3]), vec![words(&[2, 0]), words(&[2, 1])]),
    ];
    let (text, _) = all(&keyed(Aggregate::Avg { signed: true }), &pairs);
    assert_eq!(text, "@[2]: 3\n@[3]: 4\n@[1]: 10\n");
    let (text, json) = all(&keyed(Aggregate::Stats { signed: true }), &pairs[..2].to_vec());
    assert_eq!(
        text,
        "@[2]: { .count = 10, .average = 3, .total = 30 }\n@[1]: { .count = 1, .average = 10, .total = 10 }\n"
    );
    assert_eq!(
        json,
        "{\"type\": \"stats\", \"data\": {\"@\": {\"2\": {\"count\": 10, \"average\": 3, \"total\": 30}, \
         \"1\": {\"count\": 1, \"average\": 10, \"total\": 10}}}}\n"
    );
    let (text, _) = all(&keyed(Aggregate::Max { signed: false }), &pairs);
    assert_eq!(text, "@[3]: 2\n@[1]: 10\n@[2]: 30\n");
}

#[test]
fn histograms_by_key() {
    let elements = vec![(words(&[1]), vec![words(&[0, 9])]), (words(&[2]), vec![words(&[0, 3, 1])])];
    let keyed = map("h", Some(Type::I64), Type::Aggregate(Aggregate::Hist { bits: 0 }));
    let (text, json) = all(&keyed, &elements);
    let bar = "@".repeat(52);
    let third = format!("{:<52}", "@".repeat(17));
    assert_eq!(
        text,
        format!(
            "@h[2]:\n[0]                    3 |{bar}|\n[1]                    1 |{third}|\n\n\
             @h[1]:\n[0]                    9 |{bar}|\n\n"
        )
    );
    assert_eq!(
        json,
        "{\"type\": \"hist\", \"data\": {\"@h\": {\"2\": [{\"min\": 0, \"max\": 0, \"count\": 3},\
         {\"min\": 1, \"max\": 1, \"count\": 1}], \"1\": [{\"min\": 0, \"max\": 0, \"count\": 9}]}}}\n"
    );
}

#[test]
fn what_each_cpu_has_for_itself() {
    let plain = map("", None, Type::I64);
    assert_eq!(all(&plain, &vec![(vec![], vec![words(&[3]), words(&[-1])])]).0, "@: 2\n");
    let named = map("", None, Type::String(8));
    assert_eq!(all(&named, &vec![(vec![], vec![text(""), text("b"), text("c")])]).0, "@: b\n");
    assert_eq!(all(&named, &vec![(vec![], vec![])]).0, "@: \n");
}
