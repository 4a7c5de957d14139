//! What `software` and `hardware` have in common: events by name, each with a number of the kernel's and a usual count, and attach
//! points of the form `EVENT[:COUNT]`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, ProgramKind, Provider, Target};
use rtscript_lang::syntax::literal::plain;
use rtscript_lang::types::{Space, Structs};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use crate::attach::{Attach, Environment};
use crate::bpf::counter::{Counter, Scope, open_counters};
use crate::bpf::{attach_perf_event, errno};

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

/// A row of a table of events.
pub const fn event(name: &'static str, alias: &'static str, number: u32, count: u64) -> Event {
    Event { name, alias, number, count }
}

/// A provider of such events.
pub struct Events {
    pub names: &'static [&'static str],
    pub doc: &'static str,
    pub form: &'static str,
    /// The counter with a number.
    pub counter: fn(u32) -> Counter,
    pub all: &'static [Event],
}

impl Provider for Events {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        let (name, count) = point.split_once(':').unwrap_or((point, ""));
        if name.is_empty() {
            return Err(AttachError::Form { expected: self.form });
        }
        let number = self.count_of(count, 1)?;
        let tail = if count.is_empty() { String::new() } else { format!(":{number}") };
        let target = |name: &str| self.target(format!("{name}{tail}"));
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

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(context())
    }

    /// Every event, and once more by its other name.
    fn list(&self, pattern: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        let names = self.all.iter().flat_map(|event| [event.name, event.alias]);
        let names = names.filter(|name| !name.is_empty());
        let matching = names.filter(|name| matches(pattern, name) || matches(pattern, &format!("{name}:")));
        Ok(matching.map(|name| self.target(format!("{name}:"))).collect())
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }
}

impl Attach for Events {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let parsed = self.parse(target.point());
        let (event, count) =
            parsed.map_err(|_| io::Error::other(format!("not of the form {}", self.form)))?;
        let attached = attach(program, cookie, (self.counter)(event.number), count, environment);
        attached.map_err(|error| match errno(&error) {
            Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "this machine does not count {} (a virtual machine often counts nothing)",
                    event.name
                ),
            ),
            Some(_) | None => error,
        })
    }
}

impl Events {
    fn target(&self, point: String) -> Target {
        let provider = self.names[0];
        Target { provider, name: format!("{provider}:{point}") }
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
            what: format!("{} event", self.names[0]),
            name: name.to_owned(),
            nearest: nearest(name, self.all.iter().flat_map(|event| [event.name, event.alias])),
        })
    }

    fn count_of(&self, text: &str, usual: u64) -> Result<u64, AttachError> {
        if text.is_empty() {
            return Ok(usual);
        }
        // The kernel takes 63 bits.
        let count = plain(text).filter(|count| (1..=i64::MAX as u64).contains(count));
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
