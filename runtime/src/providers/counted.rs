//! What `software` and `hardware` have in common: events by name, each with a number of the kernel's and a usual count, and attach
//! points of the form `EVENT[:COUNT]`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rtscript_lang::provider::{AttachError, Context, Expansion, ProgramKind, Target};
use rtscript_lang::types::Space;

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use crate::attach::Environment;
use crate::bpf::attach_perf_event;
use crate::bpf::counter::{Counter, Scope, open_counters};

/// A kind of event.
pub struct Event {
    pub name: &'static str,
    /// Another name for it; empty where there is none.
    pub alias: &'static str,
    /// The kernel's number for it.
    pub number: u32,
    /// The program runs once in so many, where the attach point does not say.
    pub count: u64,
}

/// The events of one provider.
pub struct Events {
    pub provider: &'static str,
    pub form: &'static str,
    pub all: &'static [Event],
}

impl Events {
    pub fn expand(&self, point: &str) -> Result<Expansion, AttachError> {
        let (name, count) = point.split_once(':').unwrap_or((point, ""));
        if name.is_empty() {
            return Err(AttachError::Form { expected: self.form });
        }
        self.count_of(count, 1)?;
        let target = |name: &str| {
            let tail = if count.is_empty() { String::new() } else { format!(":{count}") };
            Target { provider: self.provider, name: format!("{}:{name}{tail}", self.provider) }
        };
        if is_wildcard(name) {
            let found = self.all.iter().filter(|event| matches(name, event.name));
            let targets: Vec<Target> = found.map(|event| target(event.name)).collect();
            return if targets.is_empty() {
                Err(AttachError::NoMatch)
            } else {
                // A program for each of them: threads that inherit an event do not inherit its cookie (6.18).
                Ok(Expansion { targets, wildcard: false })
            };
        }
        self.find(name)?;
        Ok(Expansion { targets: vec![target(name)], wildcard: false })
    }

    /// Every event, and once more by its other name.
    pub fn list(&self, pattern: &str) -> Vec<Target> {
        let names = self.all.iter().flat_map(|event| [event.name, event.alias]);
        let names = names.filter(|name| !name.is_empty());
        let matching = names.filter(|name| matches(pattern, name) || matches(pattern, &format!("{name}:")));
        matching
            .map(|name| Target { provider: self.provider, name: format!("{}:{name}:", self.provider) })
            .collect()
    }

    /// The event of an attach point, and its count.
    pub fn parse(&self, point: &str) -> Result<(&'static Event, u64), AttachError> {
        let (name, count) = point.split_once(':').unwrap_or((point, ""));
        let event = self.find(name)?;
        Ok((event, self.count_of(count, event.count)?))
    }

    fn find(&self, name: &str) -> Result<&'static Event, AttachError> {
        let found = self.all.iter().find(|event| event.name == name || event.alias == name);
        found.ok_or_else(|| AttachError::Unknown {
            what: format!("{} event", self.provider),
            name: name.to_owned(),
            nearest: nearest(name, self.all.iter().flat_map(|event| [event.name, event.alias])),
        })
    }

    fn count_of(&self, text: &str, usual: u64) -> Result<u64, AttachError> {
        if text.is_empty() {
            return Ok(usual);
        }
        // The kernel takes 63 bits.
        let count = text.replace('_', "").parse().ok().filter(|count| (1..=i64::MAX as u64).contains(count));
        count.ok_or(AttachError::Form { expected: self.form })
    }
}

/// What bodies see of a perf event: nothing but the registers.
pub fn context() -> Context {
    Context {
        program: ProgramKind::PerfEvent,
        args: Vec::new(),
        words: Vec::new(),
        retval: None,
        space: Space::Kernel,
    }
}

/// Attaches to a counter on every CPU, or in the process of `-p`.
pub fn attach(
    program: BorrowedFd<'_>,
    cookie: u64,
    counter: Counter,
    period: u64,
    environment: &Environment<'_>,
) -> io::Result<Vec<OwnedFd>> {
    let scope = environment.pid.map_or(Scope::AllCpus, Scope::Process);
    attach_in(program, cookie, counter, period, scope)
}

/// Attaches to a counter in a scope. A link comes before its event, so that it is closed first.
pub fn attach_in(
    program: BorrowedFd<'_>,
    cookie: u64,
    counter: Counter,
    period: u64,
    scope: Scope,
) -> io::Result<Vec<OwnedFd>> {
    let mut held = Vec::new();
    for event in open_counters(counter, period, scope)? {
        held.push(attach_perf_event(program, event.as_fd(), cookie)?);
        held.push(event);
    }
    Ok(held)
}
