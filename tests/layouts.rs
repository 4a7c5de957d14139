//! Stratum *layouts*: definitions of C that are made up, laid out by rtscript and by the machine's C compiler. Where there is no
//! compiler that is said, and the test counts as skipped.

mod compiler;

use std::fmt::Write;
use std::process::Command;

use compiler::{fixture_kernel, front};
use rtscript_lang::check::Options;
use rtscript_lang::types::{Origin, Structs, Type};

const ROUNDS: u64 = 5;
const STRUCTS: u64 = 60;

/// Small and repeatable; the quality does not matter.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A member that has a name: how C finds it, and whether it is a bit-field.
struct Named {
    of: String,
    name: String,
    bits: bool,
}

#[test]
fn layouts_are_those_of_the_c_compiler() {
    if Command::new("cc").arg("--version").output().is_err() {
        println!("layouts: skipped: there is no C compiler");
        return;
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..ROUNDS {
        let (definitions, named) = definitions(&mut random);
        let (theirs, ours) = (by_compiler(&definitions, &named, round), by_us(&definitions, &named));
        for ((theirs, ours), what) in theirs.lines().zip(ours.lines()).zip(labels(&named)) {
            assert_eq!(ours, theirs, "{what} in\n{definitions}");
        }
        assert_eq!(theirs.lines().count(), ours.lines().count());
    }
}

fn labels(named: &[Named]) -> Vec<String> {
    let sizes = (0..STRUCTS).map(|index| format!("the size of s{index}"));
    sizes.chain(named.iter().map(|one| format!("s{}.{}", one.of, one.name))).collect()
}

fn definitions(random: &mut Random) -> (String, Vec<Named>) {
    let mut text = String::new();
    let mut named = Vec::new();
    for index in 0..STRUCTS {
        let tag = if random.one_in(5) { "union" } else { "struct" };
        writeln!(text, "{tag} s{index} {{").unwrap();
        for member in 0..1 + random.below(7) {
            write_member(random, index, member, &mut text, &mut named);
        }
        let attribute = match random.below(8) {
            0 => " __attribute__((packed))",
            1 => " __attribute__((aligned(16)))",
            2 => " __attribute__((packed, aligned(4)))",
            _ => "",
        };
        writeln!(text, "}}{attribute};").unwrap();
    }
    (text, named)
}

fn write_member(random: &mut Random, index: u64, member: u64, text: &mut String, named: &mut Vec<Named>) {
    let ints =
        ["char", "short", "int", "long", "unsigned char", "unsigned short", "unsigned", "unsigned long"];
    let attribute = match random.below(14) {
        0 => " __attribute__((packed))",
        1 => " __attribute__((aligned(8)))",
        2 => " __attribute__((aligned(2)))",
        _ => "",
    };
    let name = format!("m{member}");
    let mut bits = false;
    match random.below(6) {
        0 | 1 => {
            let which = random.below(4);
            let ty = ints[(which + 4 * random.below(2)) as usize];
            let most = 8 << which;
            if random.one_in(6) {
                writeln!(text, "    {ty} : {};", random.below(most + 1)).unwrap();
                return;
            }
            // An aligned bit-field is nothing that anybody writes.
            let attribute = if attribute.contains("packed") { attribute } else { "" };
            writeln!(text, "    {ty} {name} : {}{attribute};", 1 + random.below(most)).unwrap();
            bits = true;
        }
        2 => writeln!(text, "    {} *{name}{attribute};", random.pick(&ints)).unwrap(),
        3 if index > 0 => {
            // A union of that name would be another type.
            let other = random.below(index);
            let tag = if text.contains(&format!("union s{other} ")) { "union" } else { "struct" };
            let count = if random.one_in(3) { "[3]" } else { "" };
            writeln!(text, "    {tag} s{other} {name}{count}{attribute};").unwrap();
        }
        4 => {
            let tag = random.pick(&["struct", "union"]);
            let (first, second) = (random.pick(&ints), random.pick(&ints));
            writeln!(text, "    {tag} {{ {first} {name}; {second} {name}_more[2]; }};").unwrap();
            named.push(Named { of: index.to_string(), name: format!("{name}_more"), bits: false });
        }
        _ => {
            let count = random.pick(&["", "", "[2]", "[3][2]"]);
            writeln!(text, "    {} {name}{count}{attribute};", random.pick(&ints)).unwrap();
        }
    }
    named.push(Named { of: index.to_string(), name, bits });
}

/// Prints the size of each structure, then the first bit of each member.
fn by_compiler(definitions: &str, named: &[Named], round: u64) -> String {
    let mut text = format!("#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n{definitions}\n");
    text.push_str("static int first(void *at, int size) {\n    unsigned char *bytes = at;\n");
    text.push_str("    for (int bit = 0; bit < 8 * size; bit++)\n");
    text.push_str("        if (bytes[bit / 8] >> bit % 8 & 1)\n            return bit;\n    return -1;\n}\n");
    text.push_str("int main(void) {\n");
    let tag = |of: &str| if definitions.contains(&format!("union s{of} {{")) { "union" } else { "struct" };
    for index in 0..STRUCTS {
        let of = index.to_string();
        writeln!(text, "    printf(\"%zu\\n\", sizeof({} s{of}));", tag(&of)).unwrap();
    }
    for Named { of, name, bits } in named {
        let whole = format!("{} s{of}", tag(of));
        if *bits {
            writeln!(text, "    {{ {whole} x; memset(&x, 0, sizeof(x)); x.{name} = -1; printf(\"%d\\n\", first(&x, sizeof(x))); }}").unwrap();
        } else {
            writeln!(text, "    printf(\"%zu\\n\", 8 * offsetof({whole}, {name}));").unwrap();
        }
    }
    text.push_str("    return 0;\n}\n");
    let dir = std::env::temp_dir();
    let base = dir.join(format!("rtscript-layouts-{}-{round}", std::process::id()));
    let source = base.with_extension("c");
    std::fs::write(&source, text).expect("a temporary file");
    let made = Command::new("cc").args(["-w", "-o"]).arg(&base).arg(&source).output().expect("cc runs");
    assert!(made.status.success(), "{}\n{definitions}", String::from_utf8_lossy(&made.stderr));
    let output = Command::new(&base).output().expect("it runs");
    let _ = std::fs::remove_file(&base);
    let _ = std::fs::remove_file(&source);
    String::from_utf8(output.stdout).expect("numbers")
}

fn by_us(definitions: &str, named: &[Named]) -> String {
    let script = format!("{definitions}\nbegin {{ }}\n");
    let kernel = fixture_kernel();
    let checked = front("layouts", &script, &kernel, &Options::default());
    let program = checked.unwrap_or_else(|errors| panic!("{errors}")).checked.program;
    let structs = &program.structs;
    let mut text = String::new();
    for index in 0..STRUCTS {
        writeln!(text, "{}", find(structs, &index.to_string()).1).unwrap();
    }
    for Named { of, name, .. } in named {
        let (ty, _) = find(structs, of);
        writeln!(text, "{}", first_bit(structs, &ty, name).expect("it is there")).unwrap();
    }
    text
}

fn find(structs: &Structs, of: &str) -> (Type, u32) {
    let name = format!("s{of}");
    let found = structs.structs.iter().find(|(_, of)| of.name == name && of.origin == Origin::Script);
    let (id, of) = found.expect("it is defined");
    (Type::Struct(id), of.size)
}

fn first_bit(structs: &Structs, ty: &Type, name: &str) -> Option<u32> {
    let Type::Struct(id) = ty else { return None };
    structs.structs[*id].fields.as_ref()?.iter().find_map(|field| {
        if field.name == name {
            return Some(field.offset_bits);
        }
        let inner = field.name.is_empty().then(|| first_bit(structs, &field.ty, name))??;
        Some(field.offset_bits + inner)
    })
}
