use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const FIXTURE: &[u8] = include_bytes!("../../../tests/fixtures/kernel.btf");

fn fixture() -> Btf {
    Btf::parse(FIXTURE).expect("the fixture is BTF")
}

/// Writes BTF by hand: types are words, names are offsets that `name` gives.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Where the strings start; more than 0 in a split file.
    first_string: u32,
}

impl Writer {
    fn new() -> Writer {
        Writer { strings: vec![0], ..Writer::default() }
    }

    fn name(&mut self, text: &str) -> u32 {
        let offset = self.first_string + self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        offset
    }

    fn ty(&mut self, name: &str, kind: u32, vlen: u32, rest: &[u32]) {
        let name = if name.is_empty() { 0 } else { self.name(name) };
        for word in [&[name, kind << 24 | vlen], rest].concat() {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn file(&self) -> Vec<u8> {
        let mut file = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, self.types.len(), self.types.len(), self.strings.len()] {
            file.extend_from_slice(&(word as u32).to_le_bytes());
        }
        [file, self.types.clone(), self.strings.clone()].concat()
    }
}

const INT_32: &[u32] = &[4, 1 << 24 | 32];

#[test]
fn a_struct_is_found_and_its_fields_have_their_places() {
    let btf = fixture();
    let task = btf.find("task_struct", Kind::Struct).unwrap();
    let comm = btf.field(task, "comm").unwrap();
    assert_eq!(btf.type_name(comm.ty), "char[16]");
    assert_eq!(btf.size_of(comm.ty), Some(16));
    assert_eq!(comm.bit_offset % 8, 0);
    assert_eq!(btf.field(task, "no such field"), None);
    assert_eq!(btf.find("task_struct", Kind::Union), None);

    // The bit-fields lie side by side.
    let in_iowait = btf.field(task, "in_iowait").unwrap();
    assert_eq!(in_iowait.bit_size, Some(1));
}

#[test]
fn fields_of_anonymous_members_are_reached_through_them() {
    let btf = fixture();
    let sock = btf.find("sock_common", Kind::Struct).unwrap();
    let daddr = btf.field(sock, "skc_daddr").unwrap();
    let saddr = btf.field(sock, "skc_rcv_saddr").unwrap();
    assert!(daddr.path.len() > 1);
    assert_eq!(saddr.bit_offset, daddr.bit_offset + 32);
}

#[test]
fn the_index_finds_what_the_scan_finds() {
    let btf = fixture();
    let names: Vec<_> = btf.of_kind(Kind::Typedef).map(|(id, name)| (id, name.to_owned())).collect();
    assert!(names.len() > 20);
    for (id, name) in names.iter().cycle().take(LOOKUPS_BEFORE_INDEX as usize * 2) {
        assert_eq!(btf.scan(name, Kind::Typedef), Some(*id), "{name}");
        assert_eq!(btf.find(name, Kind::Typedef), Some(*id), "{name}");
    }
    assert!(btf.index.get().is_some());
    assert_eq!(btf.find("no such type", Kind::Typedef), None);
}

#[test]
fn a_raw_tracepoint_has_its_types_and_names() {
    let btf = fixture();
    let typedef = btf.find("btf_trace_task_rename", Kind::Typedef).unwrap();
    let Type::Typedef(typedef) = btf.ty(typedef) else { panic!("a typedef") };
    let Type::Ptr(proto) = btf.ty(typedef.target) else { panic!("a pointer") };
    let Type::FuncProto(proto) = btf.ty(proto) else { panic!("a function") };
    let types: Vec<_> = proto.params().map(|param| btf.type_name(param.ty)).collect();
    assert_eq!(types, ["void *", "struct task_struct *", "const char *"]);

    let function = btf.find("__traceiter_task_rename", Kind::Func).unwrap();
    let printed = btf.declare(function, "");
    assert_eq!(
        printed,
        "int __traceiter_task_rename(void * __data, struct task_struct * task, const char * comm)"
    );
}

#[test]
fn definitions_print_as_c() {
    let btf = fixture();
    let list = btf.find("list_head", Kind::Struct).unwrap();
    let text = "struct list_head {\n\tstruct list_head * next;\n\tstruct list_head * prev;\n};";
    assert_eq!(btf.definition(list).as_deref(), Some(text));

    let in6 = btf.find("in6_addr", Kind::Struct).unwrap();
    let text = "struct in6_addr {\n\tunion {\n\t\t__u8 u6_addr8[16];\n\t\t__be16 u6_addr16[8];\n\t\t__be32 u6_addr32[4];\n\t} in6_u;\n};";
    assert_eq!(btf.definition(in6).as_deref(), Some(text));

    let int = btf.find("int", Kind::Int).unwrap();
    assert_eq!(btf.definition(int), None);
}

#[test]
fn declarations_print_from_the_inside_out() {
    let mut writer = Writer::new();
    writer.ty("int", 1, 0, INT_32);
    writer.ty("", 2, 0, &[1]); // 2: int *
    writer.ty("", 3, 0, &[0, 2, 1, 4]); // 3: int *[4]
    writer.ty("", 2, 0, &[3]); // 4: int *(*)[4]
    writer.ty("", 13, 2, &[1, 0, 1, 0, 0]); // 5: int (int, ...)
    writer.ty("", 2, 0, &[5]); // 6: int (*)(int, ...)
    writer.ty("", 10, 0, &[2]); // 7: int * const
    writer.ty("", 10, 0, &[1]); // 8: const int
    writer.ty("", 2, 0, &[8]); // 9: const int *
    let btf = Btf::parse(writer.file()).unwrap();
    let declare = |id| btf.declare(TypeId(id), "x");
    assert_eq!(declare(2), "int * x");
    assert_eq!(declare(3), "int * x[4]");
    assert_eq!(declare(4), "int * (*x)[4]");
    assert_eq!(declare(6), "int (*x)(int, ...)");
    assert_eq!(declare(7), "int * const x");
    assert_eq!(declare(9), "const int * x");
}

#[test]
fn type_tags_are_noted_on_the_way() {
    let mut writer = Writer::new();
    writer.ty("char", 1, 0, &[1, 8]);
    writer.ty("user", 18, 0, &[1]);
    writer.ty("", 10, 0, &[2]); // 3: const char __user
    writer.ty("name_t", 8, 0, &[3]);
    let btf = Btf::parse(writer.file()).unwrap();
    let resolved = btf.resolve(TypeId(4));
    assert_eq!(resolved.id, TypeId(1));
    assert_eq!(resolved.tags, Tags { user: true, ..Tags::default() });
}

#[test]
fn old_bit_fields_lie_in_integers_of_their_own() {
    let mut writer = Writer::new();
    writer.ty("unsigned int", 1, 0, &[4, 3 << 16 | 5]);
    let (a, b) = (writer.name("a"), writer.name("b"));
    // Without the flag, the third word is an offset in bits and no more.
    writer.ty("old", 4, 2, &[8, a, 1, 32, b, 1, 40]);
    let btf = Btf::parse(writer.file()).unwrap();
    let field = btf.field(TypeId(2), "b").unwrap();
    assert_eq!((field.bit_offset, field.bit_size), (43, Some(5)));
}

#[test]
fn enums_have_wide_and_negative_values() {
    let mut writer = Writer::new();
    let (low, high) = (writer.name("LOW"), writer.name("HIGH"));
    writer.ty("wide", 19, 2, &[8, low, 1, 0, high, 5, 0x8000_0000]);
    writer.ty("signed", 1 << 7 | 6, 1, &[4, low, u32::MAX]);
    let btf = Btf::parse(writer.file()).unwrap();
    let values = |id| match btf.ty(TypeId(id)) {
        Type::Enum(an_enum) => an_enum.values().map(|value| value.value).collect(),
        _ => vec![],
    };
    assert_eq!(values(1), [1, 0x8000_0000_0000_0005_u64 as i64]);
    assert_eq!(values(2), [-1]);
    assert!(btf.definition(TypeId(1)).unwrap().contains("HIGH = 9223372036854775813,"));
}

#[test]
fn a_split_file_continues_its_base() {
    let mut base = Writer::new();
    base.ty("int", 1, 0, INT_32);
    let base_file = base.file();
    let mut split = Writer { first_string: base.strings.len() as u32, ..Writer::default() };
    let member = split.name("value");
    split.ty("wrapper", 4, 1, &[4, member, 1, 0]);
    let base = Arc::new(Btf::parse(base_file).unwrap());
    let btf = Btf::parse_split(split.file(), Arc::clone(&base)).unwrap();

    assert_eq!(btf.find("wrapper", Kind::Struct), Some(TypeId(2)));
    assert_eq!(btf.find("int", Kind::Int), Some(TypeId(1)));
    assert_eq!(btf.ids().collect::<Vec<_>>(), [TypeId(2)]);
    let field = btf.field(TypeId(2), "value").unwrap();
    assert_eq!(btf.declare(field.ty, field.name), "int value");
    assert_eq!(base.find("wrapper", Kind::Struct), None);
}

#[test]
fn what_is_wrong_is_told() {
    let error = |bytes: &[u8]| Btf::parse(bytes.to_vec()).unwrap_err();
    assert_eq!(error(b""), BtfError::NotBtf);
    assert_eq!(error(b"\x7fELF"), BtfError::NotBtf);
    assert_eq!(error(&[0xeb, 0x9f, 1, 0]), BtfError::BigEndian);
    assert_eq!(error(&[0x9f, 0xeb, 2, 0]), BtfError::Version(2));
    assert_eq!(error(&[0x9f, 0xeb, 1, 0]), BtfError::SectionOutside("type"));
    let cut = &FIXTURE[..FIXTURE.len() - 1];
    assert_eq!(error(cut), BtfError::SectionOutside("string"));

    let mut writer = Writer::new();
    writer.ty("int", 1, 0, INT_32);
    writer.ty("new", 20, 0, &[0]);
    assert_eq!(error(&writer.file()), BtfError::UnknownKind { id: TypeId(2), kind: 20 });

    let mut writer = Writer::new();
    writer.ty("struct", 4, 2, &[4, 0, 0, 0]);
    assert_eq!(error(&writer.file()), BtfError::TypeOutside { id: TypeId(1) });

    let mut writer = Writer::new();
    writer.strings = vec![0, b'x'];
    assert_eq!(error(&writer.file()), BtfError::Strings);
}

#[test]
fn circular_types_end() {
    let mut writer = Writer::new();
    writer.ty("a", 8, 0, &[2]);
    writer.ty("b", 8, 0, &[1]);
    writer.ty("", 3, 0, &[0, 3, 3, 2]); // an array of itself
    writer.ty("s", 4, 2, &[8, 0, 4, 0, 0, 4, 0]); // a struct that holds itself, twice, without a name
    writer.ty("", 2, 0, &[5]);
    let btf = Btf::parse(writer.file()).unwrap();
    assert_eq!(btf.resolve(TypeId(1)).id, TypeId::VOID);
    assert_eq!(btf.size_of(TypeId(3)), None);
    assert_eq!(btf.field(TypeId(4), "x"), None);
    assert!(btf.declare(TypeId(5), "p").contains("..."));
}

#[test]
fn a_reduced_file_is_as_its_source() {
    let btf = fixture();
    let task = btf.find("task_struct", Kind::Struct).unwrap();
    let roots = [Root { id: task, members: &["pid", "comm", "signal"] }];
    let bytes = reduce(&btf, &roots);
    assert_eq!(bytes, reduce(&btf, &roots));
    let small = Btf::parse(bytes).unwrap();
    let id = small.find("task_struct", Kind::Struct).unwrap();
    assert_eq!(small.size_of(id), btf.size_of(task));
    let names: Vec<_> = small.fields(id).into_iter().map(|field| field.name.to_owned()).collect();
    assert_eq!(names.len(), 3);
    for name in names {
        let (ours, theirs) = (small.field(id, &name).unwrap(), btf.field(task, &name).unwrap());
        assert_eq!(ours.bit_offset, theirs.bit_offset);
        assert_eq!(small.type_name(ours.ty), btf.type_name(theirs.ty));
    }
    assert_eq!(small.find("signal_struct", Kind::Struct), None);
    assert!(small.find("signal_struct", Kind::Forward).is_some());
}

/// Asks all questions about all types; the answers do not matter.
fn ask_everything(btf: &Btf) {
    for id in btf.ids() {
        let _ = (btf.kind(id), btf.name(id), btf.size_of(id), btf.resolve(id), btf.type_name(id));
        let _ = (btf.definition(id), btf.fields(id).len(), btf.field(id, "comm"));
    }
    for name in ["task_struct", "int", "", "comm"] {
        let _ = (btf.scan(name, Kind::Struct), btf.find(name, Kind::Int));
    }
    let _ = Index::new(btf).find(btf, "task_struct", Kind::Struct);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16),
        keep in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = FIXTURE.to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(keep) = keep {
            bytes.truncate(keep.index(bytes.len()));
        }
        if let Ok(btf) = Btf::parse(bytes) {
            ask_everything(&btf);
        }
    }
}
