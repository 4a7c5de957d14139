//! The programs of a script as probes: those that we run ourselves, and those that are attached.
//!
//! Everything is attached before anything is detached, since the kernel makes whoever attaches right after a
//! detachment wait for it. Links are held here and dropped on every way out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rtscript_codegen::object::{Object, ProgramInfo};
use rtscript_lang::provider::{Phase, ProgramKind, Target};
use rtscript_lang::syntax::source::Sources;

use super::globals::Globals;
use super::iterators::Iterators;
use crate::attach::{Attach, Environment};
use crate::bpf::{Program, TestRun};
use crate::list::provider_of;
use crate::load::LoadedProgram;
use crate::report::{AttachRefused, Failure, PinRefused, SomeRefused, warn};

/// Threads that close links at a time: the kernel's grace periods are waited for together.
const CLOSERS: usize = 40;

pub struct Probes<'a> {
    object: &'a Object,
    /// In the order of the object's.
    programs: &'a [LoadedProgram],
    links: Vec<OwnedFd>,
    /// Those of watchpoints, by their addresses.
    watches: Vec<(u64, Vec<OwnedFd>)>,
    /// Those that take the kernel long to close.
    slow_links: Vec<OwnedFd>,
    /// Links of iterators, by the positions of their program and their target.
    iterator_links: Vec<(&'a ProgramInfo, &'a Target, OwnedFd)>,
    pub iterators: Iterators,
}

impl<'a> Probes<'a> {
    pub fn new(object: &'a Object, programs: &'a [LoadedProgram]) -> Probes<'a> {
        Probes {
            object,
            programs,
            links: Vec::new(),
            watches: Vec::new(),
            slow_links: Vec::new(),
            iterator_links: Vec::new(),
            iterators: Iterators::default(),
        }
    }

    /// How many attach points there are of a phase.
    pub fn count(&self, phase: Phase) -> usize {
        self.of(phase).map(|(info, ..)| info.targets.len()).sum()
    }

    /// Runs the programs of `begin` or of `end`, in the order of the script, up to the one that calls `exit()`.
    pub fn run(&self, phase: Phase, globals: &Globals) -> io::Result<()> {
        for (info, loaded, _) in self.of(phase) {
            let Some((_, program)) = loaded.copies.first() else { continue };
            for _ in &info.targets {
                program.test_run(TestRun::default())?;
                if globals.is_exiting() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Attaches everything that is to be attached, and says to how much. Of a wildcard's matches, some may be refused
    /// (the kernel keeps a few events for itself), which is a warning.
    pub fn attach(
        &mut self,
        environment: &Environment<'_>,
        sources: &Sources,
        warnings: bool,
    ) -> Result<usize, Failure> {
        let mut count = 0;
        let mut missing = 0;
        for (info, loaded, kind) in self.of(Phase::Attached) {
            let mut made = Vec::new();
            let mut refused: Vec<(&Target, io::Error)> = Vec::new();
            for (at, error) in &loaded.refused {
                if let Some((target, _)) = info.targets.get(*at) {
                    refused.push((target, io::Error::new(error.kind(), error.to_string())));
                }
            }
            for (served, program) in &loaded.copies {
                let all = loaded.session.as_ref().map_or(&info.targets, |session| &session.targets);
                let mut targets = all.get(served.clone()).unwrap_or_default();
                if info.dispatched {
                    // One event stands for all of them.
                    targets = targets.get(..1).unwrap_or_default();
                }
                if loaded.together {
                    let attach = |provider: &dyn Attach, targets: &[(Target, u64)]| match loaded.session {
                        Some(_) => provider.attach_session(targets, program.as_fd()),
                        None => provider.attach_together(targets, program.as_fd(), environment),
                    };
                    attach_together(targets, &attach, &mut made, &mut refused);
                    continue;
                }
                for (target, cookie) in targets {
                    match attach_one(target, program, *cookie, environment) {
                        Ok(links) if kind == ProgramKind::Iter => {
                            self.iterator_links.extend(links.into_iter().map(|link| (info, target, link)));
                        }
                        Ok(links) => {
                            match provider_of(target).and_then(|provider| provider.watched(target)) {
                                Some(address) => self.watches.push((address, links)),
                                None => made.extend(links),
                            }
                        }
                        Err(error) => refused.push((target, error)),
                    }
                }
            }
            count += info.targets.len();
            // The other program of a session is not attached there either.
            missing += refused.len() * if loaded.session.is_some() { 2 } else { 1 };
            match kind {
                ProgramKind::RawTracepoint | ProgramKind::PerfEvent | ProgramKind::Iter => {
                    self.links.extend(made);
                }
                ProgramKind::Tracepoint
                | ProgramKind::Kprobe
                | ProgramKind::Kretprobe
                | ProgramKind::Fentry
                | ProgramKind::Fexit
                | ProgramKind::Uprobe => {
                    self.slow_links.extend(made);
                }
            }
            let all = if info.dispatched { 1 } else { info.targets.len() };
            let number = refused.len();
            let Some((first, error)) = refused.into_iter().next() else { continue };
            if number == all {
                return Err(Failure::refused(AttachRefused::new(&first.name, error, info.span), sources));
            }
            if warnings {
                let first = first.name.clone();
                warn(SomeRefused { count: number, all, first, error, span: info.span }, sources);
            }
        }
        Ok(count - missing)
    }

    /// Opens the iterators, and makes the pins of those that have one: of all of them, or of none.
    pub fn start_iterators(&mut self, sources: &Sources) -> Result<(), Failure> {
        for (info, target, link) in std::mem::take(&mut self.iterator_links) {
            let pin = provider_of(target).and_then(|provider| provider.pin(target));
            let started = match &pin {
                Some(path) => self.iterators.pin(&link, path),
                None => self.iterators.open(&link),
            };
            if let Err(error) = started {
                self.iterators.unpin();
                let refused = match pin {
                    Some(path) => Failure::refused(PinRefused::new(path, error, info.span), sources),
                    None => Failure::refused(AttachRefused::new(&target.name, error, info.span), sources),
                };
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Whether anything is attached that the kernel may run.
    pub fn are_attached(&self) -> bool {
        !self.links.is_empty() || !self.watches.is_empty() || !self.slow_links.is_empty()
    }

    /// Detaches the watchpoints of an address, if there are any.
    pub fn unwatch(&mut self, address: u64) {
        self.watches.retain(|(watched, _)| *watched != address);
    }

    /// Detaches everything, and returns when no program runs any more.
    pub fn detach(&mut self) {
        self.links.clear();
        self.watches.clear();
        self.iterator_links.clear();
        drop_together(std::mem::take(&mut self.slow_links));
    }

    /// Events that were passed over since their program was running on that CPU already.
    pub fn skipped(&self) -> u64 {
        let copies = self.of(Phase::Attached).flat_map(|(_, loaded, _)| &loaded.copies);
        let infos = copies.filter_map(|(_, program)| program.info().ok());
        infos.map(|info| info.recursion_misses).sum()
    }

    /// The programs of a phase whose probes have names of their own, by those.
    pub fn named(&self, phase: Phase) -> impl Iterator<Item = (&'a str, &'a Program)> + use<'a> {
        self.of(phase).flat_map(|(info, loaded, _)| {
            let program = loaded.copies.first().map(|(_, program)| program);
            info.targets.iter().filter_map(move |(target, _)| Some((target.point(), program?)))
        })
    }

    fn of(
        &self,
        phase: Phase,
    ) -> impl Iterator<Item = (&'a ProgramInfo, &'a LoadedProgram, ProgramKind)> + use<'a> {
        let infos = self.object.manifest.programs.iter();
        let kinds = self.object.programs.iter().map(|program| program.kind);
        let all = infos.zip(self.programs).zip(kinds).map(|((info, loaded), kind)| (info, loaded, kind));
        all.filter(move |(info, ..)| {
            let provider = info.targets.first().and_then(|(target, _)| provider_of(target));
            provider.is_some_and(|provider| provider.phase() == phase)
        })
    }
}

impl Drop for Probes<'_> {
    fn drop(&mut self) {
        self.detach();
    }
}

/// One call that attaches a program to many targets.
type AttachMany<'a> = dyn Fn(&dyn Attach, &[(Target, u64)]) -> io::Result<OwnedFd> + 'a;

/// Attaches a program to its targets by one call. Where the kernel refuses that for one among them, it is found by halves, so that
/// the others are attached all the same.
fn attach_together<'t>(
    targets: &'t [(Target, u64)],
    attach: &AttachMany<'_>,
    made: &mut Vec<OwnedFd>,
    refused: &mut Vec<(&'t Target, io::Error)>,
) {
    let Some((first, _)) = targets.first() else { return };
    let Some(provider) = provider_of(first) else { return };
    match attach(provider, targets) {
        Ok(link) => made.push(link),
        Err(error) if targets.len() == 1 => refused.push((first, error)),
        Err(_) => {
            let (left, right) = targets.split_at(targets.len() / 2);
            attach_together(left, attach, made, refused);
            attach_together(right, attach, made, refused);
        }
    }
}

fn attach_one(
    target: &Target,
    program: &Program,
    cookie: u64,
    environment: &Environment<'_>,
) -> io::Result<Vec<OwnedFd>> {
    let provider: &dyn Attach = provider_of(target)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no such probe type"))?;
    provider.attach(target, program.as_fd(), cookie, environment)
}

/// Closes what takes the kernel 75 ms each (the link and the event of a perf tracepoint, 6.18), most of which is
/// waiting, and is done for many at a time.
fn drop_together(links: Vec<OwnedFd>) {
    let per_thread = links.len().div_ceil(CLOSERS);
    let mut links = links.into_iter();
    if links.len() <= 2 {
        return;
    }
    std::thread::scope(|scope| {
        while links.len() > 0 {
            let some: Vec<OwnedFd> = links.by_ref().take(per_thread).collect();
            let closer = std::thread::Builder::new().stack_size(64 << 10);
            // Where no thread can be made, its share is closed as the closure is dropped.
            let _ = closer.spawn_scoped(scope, move || drop(some));
        }
    });
}
