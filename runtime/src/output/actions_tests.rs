use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use cranelift_entity::PrimaryMap;
use proptest::prelude::*;
use rtscript_codegen::object::{MapInfo, MapRef, SiteKind};
use rtscript_lang::action::{Conversion, Format as PrintfFormat, Piece, Spec};
use rtscript_lang::aggregate::Aggregate;
use rtscript_lang::config::Config;
use rtscript_lang::record::Form;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{Map, MapKind};
use rtscript_lang::types::{Structs, Type};

use super::*;
use crate::bpf::test::memory_file;
use crate::output::writer::Buffering;

/// Maps in memory, which remember what was asked of them.
#[derive(Default)]
struct Store {
    elements: Vec<Element>,
    asked: RefCell<Vec<String>>,
}

impl Store {
    fn note(&self, what: String) {
        self.asked.borrow_mut().push(what);
    }
}

impl MapStore for Store {
    fn elements(&self, map: MapId) -> io::Result<Vec<Element>> {
        self.note(format!("elements {map:?}"));
        Ok(if map.as_u32() == 0 { self.elements.clone() } else { Vec::new() })
    }

    fn element(&self, map: MapId, key: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        self.note(format!("element {map:?}"));
        let found = self.elements.iter().find(|element| element.key == key);
        Ok(found.map(|element| element.values.clone()))
    }

    fn clear(&self, map: MapId) -> io::Result<()> {
        self.note(format!("clear {map:?}"));
        Ok(())
    }

    fn zero(&self, map: MapId) -> io::Result<()> {
        self.note(format!("zero {map:?}"));
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

fn map(name: &str, key: Option<Type>, value: Type) -> MapInfo {
    let map = Map {
        name: name.to_string(),
        key,
        value,
        kind: MapKind::Hash,
        max_entries: 100,
        span: Span::default(),
    };
    MapInfo { map, storage: MapRef::from_u32(0) }
}

/// `@count[string]` and `@alone`, and the actions to try.
fn manifest(actions: Vec<Action>) -> Manifest {
    let mut maps = PrimaryMap::new();
    maps.push(map("count", Some(Type::String(128)), Type::Aggregate(Aggregate::Count)));
    maps.push(map("alone", None, Type::I64));
    Manifest {
        programs: Vec::new(),
        actions: actions.into_iter().collect(),
        maps,
        structs: Structs::default(),
        probe_names: Vec::new(),
        config: Config::default(),
        sites: Vec::new(),
        sites_offset: 0,
        tables: Vec::new(),
        ring: None,
        reserve: None,
    }
}

fn record(types: &[Type]) -> Record {
    Record::event(types, &Structs::default())
}

fn spec(conversion: Conversion, argument: u32) -> Piece {
    Piece::Spec(Spec {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: None,
        precision: None,
        length: None,
        conversion,
        argument,
        span: Span::default(),
    })
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_string())
}

/// An event for an action, of fields and tails.
fn event(action: u32, form: Form, fields: &[u8], tails: &[u8]) -> Vec<u8> {
    let mut bytes = [action.to_ne_bytes(), (form as u32).to_ne_bytes()].concat();
    bytes.extend_from_slice(fields);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend_from_slice(tails);
    bytes
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// What `act` prints.
fn printed(manifest: &Manifest, format: Format, act: impl FnOnce(&mut Printer<'_>)) -> String {
    String::from_utf8(printed_bytes(manifest, format, act)).unwrap()
}

fn printed_bytes(manifest: &Manifest, format: Format, act: impl FnOnce(&mut Printer<'_>)) -> Vec<u8> {
    let mut sources = Sources::new();
    sources.add("script.bt", "first line\nsecond line\n");
    let file = memory_file(0);
    let writer = Writer::new(file.try_clone().unwrap(), Buffering::None);
    act(&mut Printer::new(
        manifest,
        &sources,
        UserSymbols::new(&manifest.config, None, None),
        writer,
        format,
        false,
    ));
    content(&file)
}

fn both(manifest: &Manifest, event: &[u8], store: &Store) -> (String, String) {
    let one = |format| {
        printed(manifest, format, |printer| {
            printer.carry_out(event, store);
        })
    };
    (one(Format::Text), one(Format::Json))
}

#[test]
fn printf_prints_its_text() {
    let args = record(&[Type::I32, Type::String(1024)]);
    let format = PrintfFormat {
        pieces: vec![spec(Conversion::Signed, 0), text(" \"is\" "), spec(Conversion::Text, 1), text("\n")],
    };
    let manifest = manifest(vec![Action::Printf { format, args }]);
    let fields = [(-7i32).to_ne_bytes(), 5u32.to_ne_bytes()].concat();
    let event = event(0, Form::Packed, &fields, b"name\0");
    let (text, json) = both(&manifest, &event, &Store::default());
    assert_eq!(text, "-7 \"is\" name\n");
    assert_eq!(json, "{\"type\": \"printf\", \"data\": \"-7 \\\"is\\\" name\\n\"}\n");
}

#[test]
fn values_print_as_a_line() {
    let value = Type::Tuple(vec![Type::I64, Type::Bool]);
    let manifest = manifest(vec![Action::Print { value: record(&[value]) }]);
    let fields = [1u64.to_ne_bytes(), 1u64.to_ne_bytes()].concat();
    let (text, json) = both(&manifest, &event(0, Form::Small, &fields, b""), &Store::default());
    assert_eq!(text, "(1, true)\n");
    assert_eq!(json, "{\"type\": \"value\", \"data\": [1,true]}\n");
}

fn counted(key: &str, count: u64) -> Element {
    let mut key = key.as_bytes().to_vec();
    key.resize(128, 0);
    Element { key, values: vec![count.to_ne_bytes().to_vec(), 1u64.to_ne_bytes().to_vec()] }
}

#[test]
fn maps_are_printed_cleared_and_zeroed() {
    let count = MapId::from_u32(0);
    let manifest = manifest(vec![
        Action::PrintMap { map: count, top: 1, div: 2 },
        Action::Clear { map: count },
        Action::Zero { map: count },
        Action::Exit,
    ]);
    let store = Store { elements: vec![counted("a", 99), counted("b", 5)], ..Store::default() };
    let (text, json) = both(&manifest, &event(0, Form::Small, b"", b""), &store);
    assert_eq!(text, "@count[a]: 50\n");
    assert_eq!(json, "{\"type\": \"map\", \"data\": {\"@count\": {\"a\": 50}}}\n");
    store.asked.borrow_mut().clear();
    for (action, asked) in [(1, &["clear map0"; 2][..]), (2, &["zero map0"; 2]), (3, &[])] {
        let (text, json) = both(&manifest, &event(action, Form::Small, b"", b""), &store);
        assert_eq!((text.as_str(), json.as_str()), ("", ""));
        assert_eq!(store.asked.take(), asked);
    }
}

#[test]
fn one_element_of_an_aggregate_is_read_when_it_is_printed() {
    let action = Action::PrintKey { map: MapId::from_u32(0), key: record(&[Type::String(128)]) };
    let manifest = manifest(vec![action]);
    let store = Store { elements: vec![counted("name", 7)], ..Store::default() };
    let mut tail = b"name\0".to_vec();
    let packed = event(0, Form::Packed, &5u32.to_ne_bytes(), &tail);
    // What lies behind the NUL is no part of the key.
    tail.resize(64, b'#');
    for event in [packed, event(0, Form::Small, &[0; 4], &tail)] {
        let (text, json) = both(&manifest, &event, &store);
        assert_eq!(text, "8\n");
        assert_eq!(json, "{\"type\": \"value\", \"data\": 8}\n");
    }
    let missing = event(0, Form::Packed, &2u32.to_ne_bytes(), b"x\0");
    assert_eq!(both(&manifest, &missing, &store).0, "0\n");
}

#[test]
fn words_are_joined() {
    let args = record(&vec![Type::String(1024); 16]);
    let manifest = manifest(vec![Action::Join { separator: ", ".to_string(), args }]);
    let mut lengths = [0u32; 16];
    lengths[..3].copy_from_slice(&[3, 1, 4]);
    let fields: Vec<u8> = lengths.iter().flat_map(|length| length.to_ne_bytes()).collect();
    let (text, json) = both(&manifest, &event(0, Form::Packed, &fields, b"ls\0\0-la\0"), &Store::default());
    assert_eq!(text, "ls, , -la\n");
    assert_eq!(json, "{\"type\": \"join\", \"data\": \"ls, , -la\"}\n");
}

#[test]
fn the_time_is_that_of_now() {
    let manifest = manifest(vec![Action::Time { format: "%s\n".to_string() }]);
    let (earliest, _) = time::now();
    let (text, json) = both(&manifest, &event(0, Form::Small, b"", b""), &Store::default());
    let (latest, _) = time::now();
    assert!((earliest..=latest).contains(&text.trim_end().parse().unwrap()));
    let start = "{\"type\": \"time\", \"data\": \"";
    assert!(json.starts_with(start) && json.ends_with("\\n\"}\n"), "{json}");
}

#[test]
fn at_the_end_maps_come_by_name() {
    let mut manifest = manifest(vec![]);
    let store = Store { elements: vec![counted("a", 1)], ..Store::default() };
    let end = |manifest: &Manifest, format| printed(manifest, format, |printer| printer.print_end(&store));
    assert_eq!(end(&manifest, Format::Text), "\n\n@count[a]: 2\n");
    // `alone` was never assigned, and yet its turn comes first.
    assert_eq!(store.asked.take(), ["elements map1", "elements map0"]);
    assert_eq!(end(&manifest, Format::Json), "{\"type\": \"map\", \"data\": {\"@count\": {\"a\": 2}}}\n");
    manifest.config.print_maps_on_exit = false;
    assert_eq!(end(&manifest, Format::Text), "\n\n");
    assert_eq!(end(&manifest, Format::Json), "");
}

#[test]
fn what_a_session_tells_is_a_record_of_json() {
    let manifest = manifest(vec![]);
    let told = printed(&manifest, Format::Json, |printer| {
        printer.attached(2);
        printer.lost(Loss::RingFull, 7);
        printer.lost(Loss::Nested, 1);
        let warning = |kind, error| SiteWarning { kind, count: 3, error, span: Span { start: 18, end: 22 } };
        printer.warning(&warning(SiteKind::MapFull, -7));
        printer.warning(&warning(SiteKind::DivideByZero, 0));
    });
    let expected = [
        r#"{"type": "attached_probes", "count": 2, "data": {"probes": 2}}"#,
        r#"{"type": "lost_events", "count": 7, "data": {"events": 7, "cause": "ring full"}}"#,
        r#"{"type": "lost_events", "count": 1, "data": {"events": 1, "cause": "nested event"}}"#,
        r#"{"type": "helper_error", "msg": "the map is full: a new element was not stored", "helper": "map_update_elem", "retcode": -7, "filename": "script.bt", "line": 2, "col": 8}"#,
        r#"{"type": "runtime_error", "msg": "division or modulo by 0; the result was taken as 1", "filename": "script.bt", "line": 2, "col": 8}"#,
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let text = printed(&manifest, Format::Text, |printer| {
        let span = Span::default();
        printer.warning(&SiteWarning { kind: SiteKind::MapFull, count: 1, error: 0, span });
    });
    assert_eq!(text, "");
}

#[test]
fn what_is_no_event_is_passed_over() {
    let manifest = manifest(vec![Action::Exit]);
    for bytes in [&b""[..], &[0; 7], &[0, 0, 0, 0, 9, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(both(&manifest, bytes, &Store::default()), (String::new(), String::new()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_event_makes_it_panic(
        action in 0..8u32,
        form in 0..3u8,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let count = MapId::from_u32(0);
        let element = record(&[Type::String(128), Type::Buffer(30)]);
        let format = PrintfFormat { pieces: vec![spec(Conversion::Bytes, 0), spec(Conversion::Text, 1)] };
        let manifest = manifest(vec![
            Action::Printf { format, args: element.clone() },
            Action::Print { value: element.clone() },
            Action::PrintKey { map: count, key: record(&[Type::String(128)]) },
            Action::PrintMap { map: count, top: 3, div: 0 },
            Action::Join { separator: String::new(), args: element },
            Action::Time { format: "%".to_string() },
            Action::PrintMap { map: MapId::from_u32(77), top: 0, div: 1 },
        ]);
        let header = [action as u8, 0, 0, 0, form, 0, 0, 0];
        let store = Store { elements: vec![counted("a", 1)], ..Store::default() };
        let event = [&header[..], &bytes].concat();
        printed_bytes(&manifest, Format::Text, |printer| {
            printer.carry_out(&event, &store);
        });
    }
}
