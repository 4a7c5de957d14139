//! Which programs of an object become sessions: a `kprobe` and a `kretprobe` of the same functions, which the kernel then calls
//! through one link (6.10 and later, built with CONFIG_FPROBE).
//!
//! Only the matches of wildcards are attached in that way. A single function is attached to by its name as a perf event: for a
//! session, the kernel would go through all its symbols.

use std::collections::BTreeSet;

use rtscript_codegen::insn::{Helper, Insn};
use rtscript_codegen::object::{Kfunc, Object, Program, ProgramInfo};
use rtscript_lang::btf::Kind;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{ProgramKind, Target};

use crate::providers::kprobe;

/// A program that serves two of the object's.
#[derive(Debug)]
pub struct Session {
    /// The position of the one for the end of functions.
    pub end: usize,
    /// The functions, as those of the one for their beginning, with a cookie for both ends.
    pub targets: Vec<(Target, u64)>,
}

/// Each with the position of the program for the beginning. Both programs of a session are in no other.
pub fn sessions(object: &Object, kernel: &dyn Kernel) -> Vec<(usize, Session)> {
    let all = || object.programs.iter().zip(&object.manifest.programs).enumerate();
    let fit = |kind| all().filter(move |(_, (program, info))| program.kind == kind && fits(program, info));
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    for (begin, (_, first)) in fit(ProgramKind::Kprobe) {
        let mut ends = fit(ProgramKind::Kretprobe);
        let end = ends.find(|(end, (_, last))| !taken.contains(end) && are_same(first, last));
        let Some((end, (_, last))) = end else { continue };
        taken.insert(end);
        let targets = first.targets.iter().zip(&last.targets);
        let targets = targets.map(|((target, low), (_, high))| (target.clone(), low | high)).collect();
        found.push((begin, Session { end, targets }));
    }
    // The kernel's types are looked at only where there is something to gain.
    if !found.is_empty() && !has_sessions(kernel) {
        found.clear();
    }
    found
}

/// Whether a program may share a link. What a function is to return instead cannot be said where its end is waited for.
fn fits(program: &Program, info: &ProgramInfo) -> bool {
    let overrides = Insn::CallHelper { number: Helper::OverrideReturn.number() };
    info.targets.len() > 1 && !info.wants_all_registers && !program.insns.contains(&overrides)
}

fn are_same(first: &ProgramInfo, last: &ProgramInfo) -> bool {
    let mut both = first.targets.iter().zip(&last.targets);
    first.targets.len() == last.targets.len() && both.all(|((a, _), (b, _))| a.point() == b.point())
}

/// Whether the kernel calls one program at both ends of a function.
pub fn has_sessions(kernel: &dyn Kernel) -> bool {
    let question = Kfunc::SessionIsReturn.name();
    kprobe::has_multi(kernel) && kernel.btf().is_ok_and(|btf| btf.find(question, Kind::Func).is_some())
}
