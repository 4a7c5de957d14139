//! Words that several messages share.

use crate::provider::ProgramKind;

/// The words for what a use is of.
pub fn variable(name: &str) -> String {
    // Variables of macros and functions have a number behind their name.
    format!("`${}`", name.split('\'').next().unwrap_or(name))
}

pub fn map_value(name: &str) -> String {
    format!("`@{name}`")
}

pub fn map_key(name: &str) -> String {
    format!("the key of `@{name}`")
}

pub fn argument_of(function: &str) -> String {
    format!("the argument of `{function}`")
}

pub fn format_of(function: &str) -> String {
    format!("the format of `{function}`")
}

/// A number and what there are so many of: "1 byte", "2 bytes", "no bytes".
pub fn counted(count: impl Into<u64>, one: &str) -> String {
    match count.into() {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

pub fn arguments(count: usize) -> String {
    counted(count as u64, "argument")
}

/// How many arguments a function takes.
pub fn arity((least, most): (usize, usize)) -> String {
    match (least, most) {
        (least, usize::MAX) => format!("at least {}", arguments(least)),
        (least, most) if least == most => arguments(least),
        (0, most) => format!("at most {}", arguments(most)),
        (least, most) => format!("{least} to {}", arguments(most)),
    }
}

/// The most names that a help lists.
const MOST_NAMES: usize = 12;

/// The names of a probe's arguments.
pub fn argument_names<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = if names.len() > MOST_NAMES { ", …" } else { "" };
    let names: Vec<String> = names.take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    format!("there are {}{more}", names.join(", "))
}

/// Where the arguments are that a probe has no `argN` for.
pub fn instead_of_words(program: ProgramKind, probe: &str) -> Option<String> {
    match program {
        ProgramKind::RawTracepoint | ProgramKind::Tracepoint => {
            Some(format!("its arguments have names: `args.name`; `rtscript -lv '{probe}'` lists them"))
        }
        ProgramKind::Kretprobe | ProgramKind::Fexit | ProgramKind::Uprobe => {
            Some("keep it where the function begins: `@kept[tid] = arg0`".to_owned())
        }
        ProgramKind::PerfEvent | ProgramKind::Kprobe | ProgramKind::Fentry | ProgramKind::Iter => None,
    }
}

/// Where the value is that a probe has no `retval` for.
pub fn instead_of_retval(program: ProgramKind) -> Option<&'static str> {
    match program {
        ProgramKind::RawTracepoint | ProgramKind::Tracepoint => {
            Some("what an event hands over is in `args`: `args.ret` where a system call ends")
        }
        ProgramKind::Kprobe => Some("the end of the function, `kretprobe`, has one"),
        ProgramKind::Fentry => Some("the end of the function, `fexit`, has one"),
        ProgramKind::Uprobe => Some("the end of the function, `uretprobe`, has one"),
        ProgramKind::PerfEvent | ProgramKind::Kretprobe | ProgramKind::Fexit | ProgramKind::Iter => None,
    }
}
