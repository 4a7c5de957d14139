use std::path::Path;

use rtscript_lang::kernel::{FixtureKernel, Kernel};
use rtscript_lang::provider::{AttachError, Context, Place, ProgramKind, Provider, Target};
use rtscript_lang::types::{Int, Space, Structs, Type};

use super::rawtracepoint::RawTracepoint;
use super::software::SOFTWARE;
use super::tracepoint::Tracepoint;
use super::*;

const BTF: &[u8] = include_bytes!("../../../tests/fixtures/kernel.btf");

/// A kernel without tracefs.
fn kernel() -> FixtureKernel {
    FixtureKernel::new(BTF).unwrap()
}

fn kernel_with(events: &[(&str, &str)]) -> FixtureKernel {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/events");
    events.iter().fold(kernel(), |kernel, (category, event)| {
        let path = directory.join(category).join(format!("{event}.format"));
        kernel.with_tracepoint(category, event, &std::fs::read_to_string(path).unwrap())
    })
}

const EVENTS: &[(&str, &str)] = &[
    ("task", "task_rename"),
    ("task", "task_newtask"),
    ("sched", "sched_switch"),
    ("sched", "sched_process_exec"),
    ("raw_syscalls", "sys_enter"),
    ("syscalls", "sys_enter_openat"),
    ("syscalls", "sys_exit_openat"),
];

fn names(provider: &dyn Provider, point: &str, kernel: &dyn Kernel) -> Vec<String> {
    let expansion = provider.expand(point, kernel).unwrap();
    expansion.targets.into_iter().map(|target| target.name).collect()
}

fn only(provider: &dyn Provider, point: &str, kernel: &dyn Kernel) -> Target {
    let [target] = provider.expand(point, kernel).unwrap().targets.try_into().unwrap();
    target
}

fn context(provider: &dyn Provider, point: &str, kernel: &dyn Kernel, structs: &mut Structs) -> Context {
    provider.context(&only(provider, point, kernel), kernel, structs).unwrap()
}

fn arg(context: &Context, name: &str) -> (Type, Place) {
    let arg = context.args.iter().find(|arg| arg.name == name).expect(name);
    (arg.ty.clone(), arg.place)
}

#[test]
fn no_two_providers_share_a_name() {
    let mut names: Vec<_> = PROVIDERS.iter().flat_map(|provider| provider.names()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_raw_tracepoint_has_named_and_typed_arguments() {
    let kernel = kernel();
    let mut structs = Structs::default();
    for point in ["task_rename", "vmlinux:task_rename"] {
        let target = only(&RawTracepoint, point, &kernel);
        assert_eq!(target.name, "rawtracepoint:vmlinux:task_rename");
        let context = RawTracepoint.context(&target, &kernel, &mut structs).unwrap();
        assert_eq!(context.words, [Place::Word(0), Place::Word(8)]);
        let (Type::Pointer(to, Space::Kernel), Place::Word(0)) = arg(&context, "task") else { panic!() };
        let Type::Struct(id) = *to else { panic!("{to:?}") };
        assert_eq!(structs.structs[id].name, "task_struct");
        let (Type::Pointer(to, Space::Kernel), Place::Word(8)) = arg(&context, "comm") else { panic!() };
        assert_eq!(structs.size_in_memory(&to), 1);
        assert_eq!(
            RawTracepoint.describe(&target, &kernel).unwrap(),
            ["struct task_struct * task", "const char * comm"]
        );
    }
    let context = context(&RawTracepoint, "sys_enter", &kernel, &mut structs);
    assert_eq!(arg(&context, "id"), (Type::I64, Place::Word(8)));
}

#[test]
fn raw_tracepoints_expand_and_list() {
    let kernel = kernel();
    let renamed = "rawtracepoint:vmlinux:task_rename";
    assert_eq!(names(&RawTracepoint, "task_*", &kernel), ["rawtracepoint:vmlinux:task_newtask", renamed]);
    assert_eq!(names(&RawTracepoint, "vm*:*rename", &kernel), [renamed]);
    assert!(RawTracepoint.expand("task_*", &kernel).unwrap().wildcard);
    assert!(!RawTracepoint.expand("task_rename", &kernel).unwrap().wildcard);
    assert!(matches!(RawTracepoint.expand("xyz*", &kernel), Err(AttachError::NoMatch)));
    assert_eq!(RawTracepoint.list("xyz*", &kernel).unwrap(), []);
    let all = RawTracepoint.list("*", &kernel).unwrap();
    assert!(all.len() > 5 && all.iter().all(|target| target.name.starts_with("rawtracepoint:vmlinux:")));
}

#[test]
fn an_unknown_raw_tracepoint_has_neighbours() {
    let kernel = kernel();
    let unknown = |point| match RawTracepoint.expand(point, &kernel) {
        Err(AttachError::Unknown { name, nearest, .. }) => (name, nearest),
        other => panic!("{other:?}"),
    };
    let (name, nearest) = unknown("task_renam");
    assert_eq!(name, "task_renam");
    assert_eq!(nearest[0], "task_rename");
    assert_eq!(unknown("ext4:task_rename").1, ["task_rename"]);
    for point in ["", ":", "a:", ":a", "a:b:c"] {
        assert!(matches!(RawTracepoint.expand(point, &kernel), Err(AttachError::Form { .. })), "{point}");
    }
}

#[test]
fn a_tracepoint_has_the_fields_of_its_format() {
    let kernel = kernel_with(EVENTS);
    let mut structs = Structs::default();
    let rename = context(&Tracepoint, "task:task_rename", &kernel, &mut structs);
    assert_eq!(arg(&rename, "newcomm").0, Type::String(16));
    assert_eq!(arg(&rename, "oom_score_adj").0, Type::Int(Int::I16));
    assert!(rename.words.is_empty());

    let exec = context(&Tracepoint, "sched:sched_process_exec", &kernel, &mut structs);
    assert_eq!(arg(&exec, "filename"), (Type::String(1025), Place::DataLoc(8)));
    assert_eq!(arg(&exec, "pid"), (Type::I32, Place::Bytes(12)));

    let enter = context(&Tracepoint, "raw_syscalls:sys_enter", &kernel, &mut structs);
    assert_eq!(arg(&enter, "args"), (Type::Array(Box::new(Type::U64), 6), Place::Bytes(16)));
    assert_eq!(arg(&enter, "id"), (Type::I64, Place::Bytes(8)));
}

#[test]
fn arguments_of_system_calls_are_what_their_names_say() {
    let kernel = kernel_with(EVENTS);
    let mut structs = Structs::default();
    let openat = context(&Tracepoint, "syscalls:sys_enter_openat", &kernel, &mut structs);
    assert_eq!(openat.space, Space::Either);
    // The field has eight bytes; AT_FDCWD is -100 in the lower four.
    assert_eq!(arg(&openat, "dfd").0, Type::I32);
    assert_eq!(arg(&openat, "filename").0, Type::pointer(Type::Int(Int::I8), Space::User));
    assert_eq!(arg(&openat, "mode").0, Type::Int(Int::U16));
    let exit = context(&Tracepoint, "syscalls:sys_exit_openat", &kernel, &mut structs);
    assert_eq!(arg(&exit, "ret").0, Type::I64);

    if cfg!(target_arch = "x86_64") {
        // The registers di and si.
        assert_eq!(openat.program, ProgramKind::RawTracepoint);
        assert_eq!(arg(&openat, "dfd").1, Place::Indirect { word: 0, offset: 112 });
        assert_eq!(arg(&openat, "filename").1, Place::Indirect { word: 0, offset: 104 });
        assert_eq!(arg(&exit, "ret").1, Place::Word(8));
    }

    let target = only(&Tracepoint, "syscalls:sys_enter_openat", &kernel);
    let described = Tracepoint.describe(&target, &kernel).unwrap();
    assert_eq!(described[..3], ["int __syscall_nr", "int dfd", "const char * filename"]);
}

#[test]
fn tracepoints_expand_and_list() {
    let kernel = kernel_with(EVENTS);
    assert_eq!(
        names(&Tracepoint, "s*:sys_*_openat", &kernel),
        ["tracepoint:syscalls:sys_enter_openat", "tracepoint:syscalls:sys_exit_openat"]
    );
    assert!(matches!(Tracepoint.expand("task:x*", &kernel), Err(AttachError::NoMatch)));
    assert_eq!(Tracepoint.list("*", &kernel).unwrap().len(), EVENTS.len());
    assert_eq!(Tracepoint.list("task", &kernel).unwrap().len(), 2);
    for point in ["", "task_rename", "task:", ":task_rename", "a:b:c"] {
        assert!(matches!(Tracepoint.expand(point, &kernel), Err(AttachError::Form { .. })), "{point}");
    }
}

#[test]
fn an_unknown_tracepoint_has_neighbours() {
    let kernel = kernel_with(EVENTS);
    let nearest = |point| match Tracepoint.expand(point, &kernel) {
        Err(AttachError::Unknown { nearest, .. }) => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("sched:task_rename"), ["task:task_rename"]);
    assert_eq!(nearest("sched:sched_swich")[0], "sched:sched_switch");
    assert_eq!(nearest("x:yz"), [""; 0]);
}

#[test]
fn without_tracefs_btf_has_the_same_fields() {
    let (with, without) = (kernel_with(EVENTS), kernel());
    let mut structs = Structs::default();
    for point in ["task:task_rename", "task:task_newtask", "sched:sched_switch", "sched:sched_process_exec"] {
        let ours = context(&Tracepoint, point, &with, &mut structs);
        let theirs = context(&Tracepoint, point, &without, &mut structs);
        let places = |context: &Context| {
            let places =
                context.args.iter().map(|arg| (arg.name.clone(), arg.place, structs.size_in_memory(&arg.ty)));
            places.collect::<Vec<_>>()
        };
        assert_eq!(places(&ours), places(&theirs), "{point}");
    }
    let target = only(&Tracepoint, "task:task_rename", &without);
    assert!(Tracepoint.describe(&target, &without).unwrap().contains(&"char oldcomm[16]".to_owned()));

    // No record of its own, so only tracefs could tell.
    let openat = Tracepoint.expand("syscalls:sys_enter_openat", &without);
    assert!(matches!(openat, Err(AttachError::Kernel(_))), "{openat:?}");
    assert!(matches!(Tracepoint.expand("task:*", &without), Err(AttachError::Kernel(_))));
}

#[test]
fn begin_and_end_take_no_point() {
    let kernel = kernel();
    for provider in [PROVIDERS[0], PROVIDERS[1]] {
        assert_eq!(names(provider, "", &kernel), [provider.names()[0]]);
        assert!(matches!(provider.expand("x", &kernel), Err(AttachError::Form { .. })));
    }
}

#[test]
fn counted_events_have_a_count_from_one() {
    for point in ["cs:0", "cs:x", "cs:-1", "cs:1:2", "cs:9223372036854775808", ""] {
        assert!(matches!(SOFTWARE.expand(point, &kernel()), Err(AttachError::Form { .. })), "{point}");
    }
    let unknown = SOFTWARE.expand("falts", &kernel());
    assert!(matches!(unknown, Err(AttachError::Unknown { nearest, .. }) if nearest == ["faults"]));
}

#[test]
fn wildcards_of_counted_events_match_full_names_and_lists_have_both() {
    let expanded = names(&SOFTWARE, "*-faults:7", &kernel());
    assert!(expanded.contains(&"software:page-faults:7".to_owned()) && expanded.len() == 5, "{expanded:?}");
    let listed = SOFTWARE.list("cpu*", &kernel()).unwrap();
    let listed: Vec<_> = listed.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(listed, ["software:cpu-clock:", "software:cpu:", "software:cpu-migrations:"]);
    assert!(matches!(SOFTWARE.expand("x*", &kernel()), Err(AttachError::NoMatch)));
}
