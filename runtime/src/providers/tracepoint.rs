//! `tracepoint`: an event of the kernel with the fields of its record, as tracefs describes them.
//!
//! Where tracefs must not be read (without root), the layout of many events is in BTF too, as
//! `struct trace_event_raw_EVENT`: of all but system calls, and events that share the record of another
//! (1008 of 1585 on 6.18). Then the category is taken as the script has it.

mod fields;
mod syscalls;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rtscript_lang::btf::{Kind, TypeId};
use rtscript_lang::kernel::{Kernel, KernelError, TracepointFormat};
use rtscript_lang::provider::{AttachError, Context, Dispatch, Expansion, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use crate::attach::{Attach, Environment};
use crate::bpf::{attach_perf_event, attach_raw_tracepoint, perf};
use syscalls::Syscall;

pub struct Tracepoint;

const NAME: &str = "tracepoint";
const FORM: &str = "tracepoint:CATEGORY:EVENT";
/// The events of this category have arguments from user space.
const SYSCALLS: &str = "syscalls";

impl Provider for Tracepoint {
    fn names(&self) -> &'static [&'static str] {
        &[NAME, "t"]
    }

    fn doc(&self) -> &'static str {
        "An event of the kernel, with the fields of its record: stable, and dearer than a raw tracepoint."
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let (category, event) = split(point)?;
        if is_wildcard(point) {
            let targets = all_matching(category, event, kernel)?;
            return if targets.is_empty() {
                Err(AttachError::NoMatch)
            } else {
                Ok(Expansion { targets, wildcard: true })
            };
        }
        record(category, event, kernel)?;
        Ok(Expansion { targets: vec![target(category, event)], wildcard: false })
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let (category, event) = split(target.point())?;
        let space = if category == SYSCALLS { Space::User } else { Space::Kernel };
        let args = match record(category, event, kernel)? {
            Record::Format(format) => fields::of_format(&format, space, kernel, structs),
            Record::Btf(id) => fields::of_btf(kernel.btf()?, id, structs),
        };
        let (program, args) = match syscall(target) {
            Some(call) => (ProgramKind::RawTracepoint, call.relocate(args)),
            None => (ProgramKind::Tracepoint, args),
        };
        // Numbers of a system call are addresses of both: its arguments, and what a script computes from `curtask`.
        let space = if space == Space::User { Space::Either } else { space };
        Ok(Context { program, args, words: Vec::new(), retval: None, space })
    }

    fn dispatch(&self, target: &Target) -> Option<Dispatch> {
        syscall(target).map(Syscall::dispatch)
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        // `tracepoint:*` means all of them, `tracepoint:sched` a category.
        let (category, event) = if pattern.contains(':') { split(pattern)? } else { (pattern, "*") };
        all_matching(category, event, kernel)
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let (category, event) = split(target.point())?;
        Ok(match record(category, event, kernel)? {
            Record::Format(format) => format.fields.iter().map(fields::declare).collect(),
            Record::Btf(id) => fields::declare_btf(kernel.btf()?, id),
        })
    }
}

impl Attach for Tracepoint {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        if let Some(call) = syscall(target) {
            return Ok(vec![attach_raw_tracepoint(program, call.raw(), cookie)?]);
        }
        let (category, event) = target.point().split_once(':').unwrap_or_default();
        let format = environment.kernel.tracepoint_format(category, event).map_err(unreadable)?;
        // One event serves all CPUs: the program runs for each of them.
        let event = perf::open_tracepoint(format.id.into(), perf::Target::cpu(0))?;
        let link = attach_perf_event(program, event.as_fd(), cookie)?;
        Ok(vec![link, event])
    }
}

/// The system call that a target is, where a raw tracepoint serves it.
fn syscall(target: &Target) -> Option<Syscall> {
    let (category, event) = target.point().split_once(':')?;
    if category == SYSCALLS { Syscall::of_event(event) } else { None }
}

/// Attaching needs the event's number, which only tracefs has.
fn unreadable(error: KernelError) -> io::Error {
    match error {
        KernelError::Missing { what } => {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no {what}"))
        }
        KernelError::Denied { what, help } => {
            io::Error::new(io::ErrorKind::PermissionDenied, format!("{what} cannot be read: {help}"))
        }
        KernelError::Malformed { what, reason } => {
            io::Error::new(io::ErrorKind::InvalidData, format!("{what} makes no sense: {reason}"))
        }
    }
}

/// What describes an event's record.
enum Record {
    Format(TracepointFormat),
    /// The structure in the kernel's BTF.
    Btf(TypeId),
}

fn target(category: &str, event: &str) -> Target {
    Target { provider: NAME, name: format!("{NAME}:{category}:{event}") }
}

fn split(point: &str) -> Result<(&str, &str), AttachError> {
    match point.split_once(':') {
        Some((category, event)) if !category.is_empty() && !event.is_empty() && !event.contains(':') => {
            Ok((category, event))
        }
        Some(_) | None => Err(AttachError::Form { expected: FORM }),
    }
}

fn record(category: &str, event: &str, kernel: &dyn Kernel) -> Result<Record, AttachError> {
    let error = match kernel.tracepoint_format(category, event) {
        Ok(format) => return Ok(Record::Format(format)),
        Err(error) => error,
    };
    match kernel.tracepoints() {
        // tracefs can be read, so that it knows: there is no such event, or its description is bad.
        Ok(events) => Err(match error {
            KernelError::Missing { .. } => unknown(category, event, &events),
            KernelError::Denied { .. } | KernelError::Malformed { .. } => error.into(),
        }),
        Err(_) => kernel
            .btf()
            .ok()
            .and_then(|btf| btf.find(&format!("{RECORD}{event}"), Kind::Struct))
            .map(Record::Btf)
            .ok_or(AttachError::Kernel(error)),
    }
}

/// What the name of a record's structure starts with.
const RECORD: &str = "trace_event_raw_";

fn unknown(category: &str, event: &str, events: &[(String, String)]) -> AttachError {
    let name = format!("{category}:{event}");
    let all: Vec<String> = events.iter().map(|(category, event)| format!("{category}:{event}")).collect();
    // The right event of another category comes before names that look alike.
    let mut found: Vec<String> = events
        .iter()
        .filter(|(_, other)| other == event)
        .map(|(category, event)| format!("{category}:{event}"))
        .collect();
    if found.is_empty() {
        found = nearest(&name, all.iter().map(String::as_str));
    }
    AttachError::Unknown { what: NAME.to_owned(), name, nearest: found }
}

fn all_matching(category: &str, event: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
    let events = kernel.tracepoints()?;
    Ok(events
        .iter()
        .filter(|(of, name)| matches(category, of) && matches(event, name))
        .map(|(category, event)| target(category, event))
        .collect())
}
