//! A small C program of our own, compiled in several ways, is what DWARF is tried with.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rtscript_lang::types::{Int, Space};

use super::*;

const SOURCE: &str = r#"#include <stdbool.h>
#include <stddef.h>
typedef unsigned long word;
enum colour { RED, GREEN = 5, NONE = -1 };
struct point { int x, y; };
struct node {
    struct node *next;
    char name[12];
    const char *text;
    enum colour colour;
    unsigned low : 3, high : 5;
    struct { short inner; };
    union { int i; float f; } value;
    struct point points[2][3];
    void (*call)(int);
};
struct large { long words[5]; };
__attribute__((noinline)) int take(struct node *node, word count, double factor, bool flag, struct point by_value, char last)
{
    node->low = count;
    return node->name[count] + (int)factor + flag + by_value.x + last;
}
__attribute__((noinline)) struct large give(unsigned short number)
{
    struct large large = { { number } };
    return large;
}
static inline __attribute__((always_inline)) int twice(int value)
{
    return value * 2;
}
__attribute__((noinline)) int loops(int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += twice(i) ^ count;
    return sum;
}
__attribute__((noinline)) void nothing(void)
{
    __asm__ volatile("");
}
int main(int argc, char **argv)
{
    struct node node = { 0 };
    nothing();
    return take(&node, argc, 1.5, argv != NULL, node.points[0][0], 'x') + (int)give(3).words[0] + loops(twice(argc));
}
"#;

/// The program, compiled with these flags. `None` where there is no compiler.
fn compiled(name: &str, flags: &[&str]) -> Option<PathBuf> {
    let dir = std::env::temp_dir().join(format!("rtscript-dwarf-{}-{name}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let (source, program) = (dir.join("traced.c"), dir.join("traced"));
    fs::write(&source, SOURCE).unwrap();
    let run = Command::new("cc").args(flags).arg("-o").arg(&program).arg(&source).status();
    match run {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            println!("skipped: cc: {error}");
            return None;
        }
    }
    Some(program)
}

fn remove(program: &Path) {
    fs::remove_dir_all(program.parent().unwrap()).unwrap();
}

fn int(size: u8, signed: bool) -> Type {
    Type::Int(Int { size, signed })
}

const LINE_OF_TWICE: u64 = 30;
const NOWHERE: [u64; 0] = [];

#[test]
fn functions_have_parameters_and_results() {
    for flags in [
        &["-g", "-O2"][..],
        &["-g", "-O0", "-no-pie"],
        &["-g", "-O2", "-gdwarf-4"],
        &["-g", "-O2", "-gz"],
        &["-g", "-O1", "-gdwarf-3", "-gstrict-dwarf"],
        &["-g", "-O1", "-gdwarf-2", "-gstrict-dwarf"],
    ] {
        let Some(program) = compiled("functions", flags) else { return };
        let dwarf = Dwarf::open(&program, None).unwrap();
        let mut structs = Structs::default();
        let take = dwarf.function("take", &mut structs).unwrap_or_else(|| panic!("{flags:?}"));
        assert_eq!(take.address, dwarf.elf().symbol("take").unwrap().address);
        assert_eq!(take.result, Some(int(4, true)));
        let names: Vec<&str> = take.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["node", "count", "factor", "flag", "by_value", "last"]);
        // A floating-point number takes no word, a structure of eight bytes one.
        let handed: Vec<Option<Handed>> = take.parameters.iter().map(|parameter| parameter.handed).collect();
        let register = |index| Some(Handed::Register(index));
        let expected = [register(0), register(1), None, register(2), None, register(4)];
        assert_eq!(handed, expected, "{flags:?}");
        assert_eq!(take.parameters[1].ty, int(8, false));
        assert_eq!(take.parameters[2].ty, Type::Array(Box::new(int(1, false)), 8));
        assert_eq!(take.parameters[3].ty, Type::Bool);
        assert_eq!(take.parameters[5].ty, int(1, true));

        // What is larger than two words is handed over by its address, which comes first.
        let give = dwarf.function("give", &mut structs).unwrap();
        let first = if ARCH == crate::providers::Arch::X86_64 { 1 } else { 0 };
        let handed = Some(Handed::Register(first));
        let in_c = "short unsigned int".to_owned();
        let parameter = Parameter { name: "number".to_string(), ty: int(2, false), in_c, handed };
        assert_eq!(give.parameters, [parameter]);
        assert!(matches!(give.result, Some(Type::Struct(id)) if structs.structs[id].size == 40));

        let nothing = dwarf.function("nothing", &mut structs).unwrap();
        assert_eq!((nothing.parameters, nothing.result), (vec![], None));
        assert_eq!(dwarf.function("no_such_function", &mut structs), None);
        remove(&program);
    }
}

#[test]
fn structures_lie_as_the_program_has_them() {
    let Some(program) = compiled("structures", &["-g", "-O2"]) else { return };
    let dwarf = Dwarf::open(&program, None).unwrap();
    let mut structs = Structs::default();
    let take = dwarf.function("take", &mut structs).unwrap();
    let Type::Pointer(to, Space::User) = &take.parameters[0].ty else { panic!("it is no pointer") };
    let Type::Struct(node) = **to else { panic!("it leads to no structure") };
    assert_eq!((structs.structs[node].name.as_str(), structs.structs[node].size), ("node", 104));
    let fields = structs.structs[node].fields.clone().unwrap();
    let find = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(find("next").ty, take.parameters[0].ty);
    assert_eq!((&find("name").ty, find("name").offset_bits), (&Type::String(12), 64));
    assert_eq!(find("text").ty, Type::pointer(int(1, true), Space::User));
    assert_eq!(find("call").ty, Type::pointer(Type::Void, Space::User));
    let (low, high) = (find("low"), find("high"));
    assert_eq!((low.offset_bits, low.bits, high.offset_bits, high.bits), (288, Some(3), 291, Some(5)));
    let Type::Enum(colour) = find("colour").ty else { panic!("it is no enumeration") };
    let variants = [("RED", 0), ("GREEN", 5), ("NONE", -1)].map(|(name, value)| (name.to_string(), value));
    assert_eq!(structs.enums[colour].variants, variants);
    let Type::Struct(inner) = find("").ty else { panic!("it has no inner structure") };
    assert_eq!(structs.structs[inner].fields.as_ref().unwrap()[0].name, "inner");
    let Type::Struct(value) = find("value").ty else { panic!("it is no union") };
    assert!(structs.structs[value].union);
    let Type::Array(rows, 2) = &find("points").ty else { panic!("it is no array") };
    assert!(matches!(**rows, Type::Array(_, 3)));

    // The same structure of another function is the same.
    let count = structs.structs.len();
    dwarf.function("take", &mut structs).unwrap();
    assert_eq!(structs.structs.len(), count);
    remove(&program);
}

#[test]
fn lines_have_addresses() {
    let Some(program) = compiled("lines", &["-g", "-O2"]) else { return };
    let dwarf = Dwarf::open(&program, None).unwrap();
    // It was inlined into two functions, and has no code of its own.
    let twice = dwarf.addresses("traced.c", LINE_OF_TWICE, None);
    assert!(twice.len() >= 2, "{twice:x?}");
    let within = |name: &str| {
        let symbol = dwarf.elf().symbol(name).unwrap();
        twice.iter().any(|address| (symbol.address..symbol.address + symbol.size).contains(address))
    };
    assert!(within("loops") && within("main"), "{twice:x?}");
    let path = program.with_extension("c");
    assert_eq!(dwarf.addresses(path.to_str().unwrap(), LINE_OF_TWICE, None), twice);
    assert!(dwarf.addresses("traced.c", LINE_OF_TWICE, Some(12)).len() <= twice.len());
    assert_eq!(dwarf.addresses("traced.c", LINE_OF_TWICE, Some(1)), NOWHERE);
    for (file, line) in [("raced.c", LINE_OF_TWICE), ("traced.c", 1), ("traced.c", 0), ("traced.c", 9999)] {
        assert_eq!(dwarf.addresses(file, line, None), NOWHERE, "{file}:{line}");
    }
    remove(&program);
}

#[test]
fn debug_information_may_be_in_another_file() {
    for build_id in ["-Wl,--build-id=sha1", "-Wl,--build-id=none"] {
        let Some(program) = compiled("apart", &["-g", "-O2", build_id]) else { return };
        let debug = program.with_extension("debug");
        let objcopy = |arguments: &[&str]| {
            let run = Command::new("objcopy").args(arguments).status();
            run.is_ok_and(|status| status.success())
        };
        let (program_name, debug_name) = (program.to_str().unwrap(), debug.to_str().unwrap());
        if !objcopy(&["--only-keep-debug", program_name, debug_name]) {
            return println!("skipped: there is no objcopy");
        }
        let link = format!("--add-gnu-debuglink={debug_name}");
        assert!(objcopy(&["--strip-all", &link, program_name]));
        let dwarf = Dwarf::open(&program, Some(&[])).unwrap();
        assert!(dwarf.function("take", &mut Structs::default()).is_some());
        assert!(!dwarf.addresses("traced.c", LINE_OF_TWICE, None).is_empty());

        // Under the build id, in a directory that is asked for.
        if let Some(id) = dwarf.elf().build_id() {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            let dir = program.parent().unwrap().join("debug");
            let place = dir.join(".build-id").join(&id[..2]);
            fs::create_dir_all(&place).unwrap();
            fs::rename(&debug, place.join(format!("{}.debug", &id[2..]))).unwrap();
            assert!(!Dwarf::open(&program, Some(&[])).unwrap().exists());
            assert!(Dwarf::open(&program, Some(&[dir])).unwrap().exists());
        } else {
            // Another build's does not count.
            fs::write(&debug, fs::read("/bin/true").unwrap()).unwrap();
            assert!(!Dwarf::open(&program, Some(&[])).unwrap().exists());
        }
        remove(&program);
    }
}

#[test]
fn without_debug_information_nothing_is_known() {
    let Some(program) = compiled("without", &["-O2"]) else { return };
    let dwarf = Dwarf::open(&program, Some(&[])).unwrap();
    assert!(!dwarf.exists());
    assert_eq!(dwarf.function("take", &mut Structs::default()), None);
    assert_eq!(dwarf.addresses("traced.c", LINE_OF_TWICE, None), NOWHERE);
    remove(&program);
}

#[test]
fn no_bytes_make_it_panic() {
    let Some(program) = compiled("bytes", &["-g", "-O2"]) else { return };
    let good = fs::read(&program).unwrap();
    // Bytes of the debug sections, which lie behind the code, are changed here and there.
    let mut seed = 7u64;
    for _ in 0..50 {
        let mut bad = good.clone();
        for _ in 0..20 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = 0x3000.min(bad.len() / 2) + (seed >> 33) as usize % (bad.len() / 2);
            bad[at] = (seed >> 25) as u8;
        }
        fs::write(&program, &bad).unwrap();
        if let Ok(dwarf) = Dwarf::open(&program, Some(&[])) {
            dwarf.function("take", &mut Structs::default());
            dwarf.addresses("traced.c", LINE_OF_TWICE, None);
        }
    }
    remove(&program);
}
