//! Stratum *objects*: what `--emit object` saves is loaded by other people's loaders, aya's and libbpf's (bpftool), which
//! relocate it for this kernel; and a member whose place was wrong when it was compiled is read from the right one.

mod compiler;
mod strata;
mod workloads;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::RingBuf;
use aya::programs::{Program, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader};
use rtscript_codegen::insn::{Insn, Operand};
use rtscript_codegen::object::{AccessStep, FieldInfo, Object, RelocationKind};
use rtscript_codegen::target::Target;
use rtscript_lang::check::Options;
use rtscript_lang::record::Record;
use rtscript_lang::types::Type;
use rtscript_runtime::kernel::{RunningKernel, Sources};

use strata::{Outcome, Test};

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let mut tests = Vec::new();
    for path in strata::files("scripts", "bt") {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        for (how, load) in [("aya", with_aya as fn(&[u8]) -> Outcome), ("bpftool", with_bpftool)] {
            let (path, cannot_trace) = (path.clone(), cannot_trace.clone());
            tests.push(Test::new(format!("{name} {how}"), move || match &cannot_trace {
                Some(why) => Outcome::Skipped(why.clone()),
                None => match saved(&fs::read_to_string(&path).expect("a script")) {
                    Ok(elf) => load(&elf),
                    Err(why) => Outcome::Failed(why),
                },
            }));
        }
    }
    for (how, load) in [("aya", with_aya as fn(&[u8]) -> Outcome), ("bpftool", with_bpftool)] {
        let cannot_trace = cannot_trace.clone();
        tests.push(Test::new(format!("memory that is not resident {how}"), move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => waiting(load),
        }));
    }
    tests.push(Test::new("a member that lies elsewhere", move || match &cannot_trace {
        Some(why) => Outcome::Skipped(why.clone()),
        None => moved_member(),
    }));
    strata::run("objects", tests)
}

fn compiled(script: &str) -> Result<Object, String> {
    let kernel = RunningKernel::new(Sources::default());
    compiler::front("script", script, &kernel, &Options::default())?.object(Target::portable())
}

/// The bytes of a script's object, which are the same each time.
fn saved(script: &str) -> Result<Vec<u8>, String> {
    let elf = |script| compiled(script)?.to_elf().map_err(|error| error.to_string());
    let (first, second) = (elf(script)?, elf(script)?);
    if first != second {
        return Err("the same script gave two different objects".to_owned());
    }
    Ok(first)
}

fn load_all(elf: &[u8]) -> Result<Ebpf, String> {
    let mut loaded = EbpfLoader::new().load(elf).map_err(|error| format!("{error:?}"))?;
    for (name, program) in loaded.programs_mut() {
        let result = match program {
            Program::RawTracePoint(program) => program.load(),
            Program::TracePoint(program) => program.load(),
            Program::PerfEvent(program) => program.load(),
            Program::UProbe(program) => program.load(),
            Program::Iter(program) => {
                let btf = Btf::from_sys_fs().map_err(|error| error.to_string())?;
                // Programs are named `p0_task_file`.
                program.load(name.split_once('_').map_or(name, |(_, kind)| kind), &btf)
            }
            _ => return Err(format!("{name} has a type that no script asked for")),
        };
        result.map_err(|error| format!("{name}: {error:?}"))?;
    }
    Ok(loaded)
}

fn with_aya(elf: &[u8]) -> Outcome {
    match load_all(elf) {
        Ok(_) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

/// bpftool pins what it loads: in a mount namespace of its own, so that nothing is left behind.
fn with_bpftool(elf: &[u8]) -> Outcome {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let tools = Command::new("bpftool").arg("version").output().is_ok_and(|output| output.status.success());
    if !tools {
        return Outcome::Skipped("bpftool is not installed".to_owned());
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("object-{number}.o"));
    fs::write(&file, elf).expect("the target directory can be written");
    let script = "mount -t bpf bpf /sys/fs/bpf && exec bpftool prog loadall \"$0\" /sys/fs/bpf/loaded";
    let output =
        Command::new("unshare").args(["-m", "sh", "-c", script]).arg(&file).output().expect("unshare");
    fs::remove_file(&file).expect("it was just written");
    if output.status.success() {
        return Outcome::Passed;
    }
    Outcome::Failed(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Programs that read a process's memory, also in loops, are such as may wait for it; the others are not.
fn waiting(load: fn(&[u8]) -> Outcome) -> Outcome {
    let script = r#"
        uprobe:libc:fopen { printf("%s\n", str(arg0)); @[str(arg1)] = count(); }
        uprobe:libc:puts { $i = 0; while ($i < 9) { @bytes = *(uint8 *)(arg0 + $i); $i++ } for ($n : 0..arg0) { @last = str(arg0 + $n); } }
        uretprobe:libc:fopen { @ends = count(); }
        iter:task { if (ctx.task.mm != 0) { printf("%s\n", str(uptr(ctx.task.mm.arg_start))); } }
    "#;
    let object = match compiled(script) {
        Ok(object) => object,
        Err(why) => return Outcome::Failed(why),
    };
    let waits: Vec<bool> = object.programs.iter().map(|program| program.sleepable).collect();
    if waits != [true, true, false, true] {
        return Outcome::Failed(format!("which programs wait: {waits:?}"));
    }
    match object.to_elf() {
        Ok(elf) => load(&elf),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Compiles a read of `pid` as if it lay 64 bytes further on, and lets aya load and relocate that: the event must have the
/// right process id all the same.
fn moved_member() -> Outcome {
    let script = r#"rt:task_rename { printf("%d", args.task.pid) }"#;
    let mut object = match compiled(script) {
        Ok(object) => object,
        Err(why) => return Outcome::Failed(why),
    };
    if object.accesses.len() != 1 {
        return Outcome::Failed(format!("one member is read, and {} are relocated", object.accesses.len()));
    }
    const AWAY: u32 = 64;
    for access in object.accesses.values_mut() {
        access.offset += AWAY;
        let Some(AccessStep::Field(id, index)) = access.steps.last().copied() else {
            return Outcome::Failed("the access does not end in a member".to_owned());
        };
        let fields = object.manifest.structs.structs[id].fields.as_mut().expect("it was read");
        fields[index as usize].offset_bits += AWAY * 8;
    }
    for program in &mut object.programs {
        for relocation in &program.relocations {
            if !matches!(relocation.kind, RelocationKind::Field(_, FieldInfo::ByteOffset)) {
                continue;
            }
            match &mut program.insns[relocation.insn as usize] {
                Insn::Alu { src: Operand::Imm(offset), .. } => *offset += AWAY as i32,
                Insn::Load { offset, .. } => *offset += AWAY as i16,
                other => return Outcome::Failed(format!("a relocated instruction is {other}")),
            }
        }
    }
    let elf = object.to_elf().expect("an object");
    match renamed_pid(&elf, &object) {
        Ok(pid) if pid == std::process::id() => Outcome::Passed,
        Ok(pid) => Outcome::Failed(format!("the event has pid {pid}, and not {}", std::process::id())),
        Err(why) => Outcome::Failed(why),
    }
}

/// Attaches, renames this thread, and reads the number of the event that it made.
fn renamed_pid(elf: &[u8], object: &Object) -> Result<u32, String> {
    let mut loaded = load_all(elf)?;
    let events = loaded.maps().map(|(name, _)| name.to_owned()).find(|name| name.starts_with("events"));
    let events = events.ok_or("the object has no map for events")?;
    let mut ring =
        RingBuf::try_from(loaded.take_map(&events).expect("it has the map")).map_err(|e| e.to_string())?;
    let (_, program) = loaded.programs_mut().next().ok_or("the object has no program")?;
    let program: &mut RawTracePoint = program.try_into().map_err(|error| format!("{error:?}"))?;
    program.attach("task_rename").map_err(|error| error.to_string())?;
    let own = fs::read("/proc/thread-self/comm").map_err(|error| error.to_string())?;
    fs::write("/proc/thread-self/comm", own).map_err(|error| error.to_string())?;
    let record = Record::event(&[Type::I32], &object.manifest.structs);
    let offset = record.fields[0].offset as usize;
    // Others may rename themselves at the same time, so not every event must be this thread's (which is the first
    // of the process, so that its number is the process's).
    let mut last = 0;
    while let Some(event) = ring.next() {
        let bytes = event.get(offset..offset + 4).ok_or("the event is too short")?;
        last = u32::from_ne_bytes(bytes.try_into().expect("four bytes"));
        if last == std::process::id() {
            break;
        }
    }
    Ok(last)
}
