//! Kernel types as the language sees them.

use proptest::prelude::*;
use rtscript_lang::btf::{Btf, Kind, TypeId};
use rtscript_lang::kernel::{FixtureKernel, Kernel};
use rtscript_lang::types::{Field, Int, Origin, Space, StructId, Structs, Type};

const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/kernel.btf");

struct World {
    kernel: FixtureKernel,
    structs: Structs,
}

impl World {
    fn new(btf: &[u8]) -> World {
        World { kernel: FixtureKernel::new(btf.to_vec()).unwrap(), structs: Structs::default() }
    }

    fn find(&mut self, name: &str, kind: Kind) -> Type {
        let btf = self.kernel.btf().unwrap();
        let id = btf.find(name, kind).expect(name);
        self.structs.of_btf(btf, 0, id)
    }

    fn structure(&mut self, name: &str) -> StructId {
        match self.find(name, Kind::Struct) {
            Type::Struct(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn fields(&mut self, id: StructId) -> Vec<Field> {
        self.structs.complete(id, &self.kernel).unwrap();
        self.structs.structs[id].fields.clone().unwrap()
    }

    fn field(&mut self, structure: &str, name: &str) -> Field {
        let id = self.structure(structure);
        self.fields(id).into_iter().find(|field| field.name == name).expect(name)
    }
}

#[test]
fn members_are_decoded_when_asked_for() {
    let mut world = World::new(FIXTURE);
    let task = world.structure("task_struct");
    assert!(world.structs.structs[task].fields.is_none());
    assert_eq!(world.structure("task_struct"), task);
    assert!(matches!(world.structs.structs[task].origin, Origin::Kernel(of) if of.module == 0));

    assert_eq!(world.field("task_struct", "pid").ty, Type::I32);
    assert_eq!(world.field("task_struct", "comm").ty, Type::String(16));
    let Type::Pointer(signal, Space::Kernel) = world.field("task_struct", "signal").ty else { panic!() };
    assert_eq!(*signal, Type::Struct(world.structure("signal_struct")));
}

#[test]
fn what_is_printed_is_decoded_to_the_innermost() {
    let mut world = World::new(FIXTURE);
    let tuple = Type::Tuple(vec![Type::I64, world.find("task_struct", Kind::Struct)]);
    world.structs.complete_within(&tuple, &world.kernel).unwrap();
    let task = world.structure("task_struct");
    let held = world.fields(task).into_iter().filter_map(|field| match field.ty {
        Type::Struct(id) => Some(id),
        _ => None,
    });
    let held: Vec<StructId> = held.collect();
    assert!(!held.is_empty());
    assert!(held.iter().all(|id| world.structs.structs[*id].fields.is_some()));
    // What is only pointed to is printed as an address.
    let pointed_to = world.structure("signal_struct");
    assert!(world.structs.structs[pointed_to].fields.is_none());
}

#[test]
fn a_structure_that_holds_itself_ends() {
    // 3 holds 4, and 4 holds 3.
    let structure = |held: u32| [1, 4 << 24 | 1, 4, 1, held, 0];
    let mut world = World::new(&small_btf(&[structure(4), structure(3)].concat(), ""));
    let ty = world.structs.of_btf(world.kernel.btf().unwrap(), 0, TypeId(3));
    world.structs.complete_within(&ty, &world.kernel).unwrap();
    let Type::Struct(id) = ty else { panic!("{ty:?}") };
    assert_eq!(world.structs.structs[id].fields.as_ref().map(Vec::len), Some(0));
}

#[test]
fn bit_fields_have_their_width() {
    let mut world = World::new(FIXTURE);
    let field = world.field("task_struct", "in_iowait");
    assert_eq!((field.bits, field.ty), (Some(1), Type::U32));
    assert_eq!(world.field("task_struct", "pid").bits, None);
}

#[test]
fn anonymous_members_have_fields_of_their_own() {
    let mut world = World::new(FIXTURE);
    let id = world.structure("sock_common");
    let fields = world.fields(id);
    let first = fields.iter().find(|field| field.name.is_empty()).unwrap();
    let Type::Struct(union) = first.ty else { panic!("{:?}", first.ty) };
    assert!(world.structs.structs[union].union);
    assert!(!world.fields(union).is_empty());
}

#[test]
fn names_lead_to_types() {
    let mut world = World::new(FIXTURE);
    assert_eq!(world.find("u32", Kind::Typedef), Type::U32);
    assert_eq!(world.find("bool", Kind::Typedef), Type::Bool);
    assert_eq!(world.find("umode_t", Kind::Typedef), Type::Int(Int::U16));
    let Type::Enum(id) = world.find("pid_type", Kind::Enum) else { panic!() };
    assert_eq!(world.structs.enums[id].variants[0], ("PIDTYPE_PID".to_owned(), 0));
    let kernel = FixtureKernel::new(FIXTURE).unwrap();
    let (_, value) = world.structs.enumerator("PIDTYPE_SID", &kernel).unwrap().unwrap();
    assert_eq!(value, 3);
    assert_eq!(world.structs.named("no_such_t", &kernel).unwrap(), None);
}

/// `int`, `char`, and what the words of `types` say.
fn small_btf(types: &[u32], strings: &str) -> Vec<u8> {
    let strings = [b"\0int\0char\0user\0", strings.as_bytes()].concat();
    let words = [&[1, 1 << 24, 4, 1 << 24 | 32, 5, 1 << 24, 1, 8], types].concat();
    let mut file = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, words.len() as u32 * 4, words.len() as u32 * 4, strings.len() as u32] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    file.extend_from_slice(&strings);
    file
}

#[test]
fn marked_pointers_point_to_user_memory() {
    // 3: the tag `user` on char, 4: a pointer to it, 5: a pointer to that pointer.
    let btf = Btf::parse(small_btf(&[10, 18 << 24, 2, 0, 2 << 24, 3, 0, 2 << 24, 4], "")).unwrap();
    let mut structs = Structs::default();
    let user = Type::pointer(structs.of_btf(&btf, 0, TypeId(2)), Space::User);
    assert_eq!(structs.of_btf(&btf, 0, TypeId(4)), user);
    assert_eq!(structs.of_btf(&btf, 0, TypeId(5)), Type::pointer(user, Space::Kernel));
}

#[test]
fn flexible_arrays_of_characters_are_no_strings() {
    // 3: char[0], 4: char[8], 5: int[2]
    let array = |element: u32, length: u32| [0, 3 << 24, 0, element, 1, length];
    let btf = Btf::parse(small_btf(&[array(2, 0), array(2, 8), array(1, 2)].concat(), "")).unwrap();
    let mut structs = Structs::default();
    assert!(matches!(structs.of_btf(&btf, 0, TypeId(3)), Type::Array(_, 0)));
    assert_eq!(structs.of_btf(&btf, 0, TypeId(4)), Type::String(8));
    assert_eq!(structs.of_btf(&btf, 0, TypeId(5)), Type::Array(Box::new(Type::I32), 2));
}

#[test]
fn circular_types_end() {
    // 3 and 4 are pointers to each other, 5 is an array of itself.
    let btf = Btf::parse(small_btf(&[0, 2 << 24, 4, 0, 2 << 24, 3, 0, 3 << 24, 0, 5, 1, 2], "")).unwrap();
    let mut structs = Structs::default();
    structs.of_btf(&btf, 0, TypeId(3));
    structs.of_btf(&btf, 0, TypeId(5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Types, members and layouts of a file with wrong bytes in it are wrong, and no more than that.
    #[test]
    fn damaged_bytes_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..32),
    ) {
        let mut bytes = FIXTURE.to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let Ok(kernel) = FixtureKernel::new(bytes) else { return Ok(()) };
        let btf = kernel.btf().unwrap();
        let mut structs = Structs::default();
        for id in btf.ids() {
            let ty = structs.of_btf(btf, 0, id);
            let _ = structs.layout(&ty);
        }
        for id in structs.structs.keys().collect::<Vec<_>>() {
            structs.complete(id, &kernel).unwrap();
            for field in structs.structs[id].fields.as_ref().unwrap() {
                let _ = (structs.layout(&field.ty), structs.size_in_memory(&field.ty));
            }
        }
    }
}

#[test]
fn an_enumerator_that_is_not_there_is_searched_for_once() {
    let World { kernel, mut structs } = World::new(FIXTURE);
    for _ in 0..2 {
        assert!(structs.enumerator("NO_SUCH_ENUMERATOR", &kernel).unwrap().is_none());
        assert!(structs.no_enumerators.contains("NO_SUCH_ENUMERATOR"));
    }
}
