//! What options can be told: the words they choose from, process ids and times.

use std::time::Duration;

use clap::ValueEnum;

/// The largest process id of Linux.
const PID_MAX: u32 = 0x40_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Buffering {
    None,
    Line,
    Full,
}

/// What `--emit` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The syntax tree
    Ast,
    /// The typed program
    Types,
    /// The intermediate form of the code, after its passes
    Ir,
    /// The instructions
    Asm,
    /// The ELF object, which other loaders take as well
    Object,
}

/// What `-d` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// The syntax tree
    Parse,
    /// The syntax tree without macros, functions and imports
    Ast,
    /// The typed program
    Types,
    /// The intermediate form of the code
    #[value(alias = "ir")]
    Codegen,
    /// The same after its passes
    CodegenOpt,
    /// The instructions
    Dis,
    /// The maps and programs that were loaded
    Libbpf,
    /// The verifier's log
    Verifier,
    All,
}

/// What `--mode` does in place of tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Compile, and load nothing.
    Codegen,
    /// Measure the stages of the compiler.
    CompilerBench,
    Bench,
    Test,
    Format,
}

/// What `--no-feature` does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Feature {
    /// Attaching to many functions of the kernel by one call
    #[value(name = "kprobe_multi")]
    KprobeMulti,
    /// One program for both ends of functions
    #[value(name = "kprobe_session")]
    KprobeSession,
    /// Attaching to many places of a program by one call
    #[value(name = "uprobe_multi")]
    UprobeMulti,
}

/// A process id.
pub(super) fn pid(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(pid @ 1..=PID_MAX) => Ok(pid),
        Ok(_) | Err(_) => Err(format!("a process id is a number from 1 to {PID_MAX}")),
    }
}

/// A time with a unit; without one it counts seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let nanos = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" | "" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err("a time is a number with one of ns, us, ms, s, m, h, d".to_owned()),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(nanos)) {
        Some(0) => Err("a time of zero is none".to_owned()),
        Some(nanos) => Ok(Duration::from_nanos(nanos)),
        None => Err("a time is a number with one of ns, us, ms, s, m, h, d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "5x", "0s", "-1s", "99999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn process_ids_are_those_of_linux() {
        assert_eq!(pid("1"), Ok(1));
        assert_eq!(pid("4194304"), Ok(PID_MAX));
        for text in ["", "0", "-1", "4194305", "x"] {
            assert!(pid(text).is_err(), "{text}");
        }
    }
}
