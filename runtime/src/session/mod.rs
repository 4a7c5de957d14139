//! Running a loaded script: from `begin` to the maps that are printed at the end.
//!
//! The order is part of the language: `begin` runs before anything is attached, and may exit; everything is attached
//! before the child of `-c` is let go; at the end everything is detached before `end` runs; then what is left in the
//! rings is printed, then the maps, then what was lost.
//!
//! | file | what |
//! |---|---|
//! | `probes.rs` | running `begin` and `end`, attaching, detaching |
//! | `iterators.rs` | reading iterators, which runs their programs |
//! | `events.rs` | events in their order, and waiting for them |
//! | `globals.rs` | the memory that programs and this side share |
//! | `maps.rs` | the script's maps, read and changed |
//! | `ready.rs` | telling others that all is attached |
//! | `child.rs` | the process of `-c` |
//! | `signals.rs` | SIGINT, SIGTERM, SIGHUP and SIGUSR1 |
//! | `trials.rs` | tests and benchmarks |

pub mod child;
pub mod events;
pub mod globals;
pub mod iterators;
pub mod maps;
pub mod probes;
mod ready;
pub mod signals;
pub mod trials;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rtscript_codegen::object::{Object, SiteKind};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::Phase;

use crate::attach::Environment;
use crate::bpf::Ring;
use crate::load::Loaded;
use crate::report::{Failure, SiteWarning, say, warn};
use child::{Child, watch};
use events::{Events, Look, readable, wait};
use globals::Globals;
use maps::Maps;
use probes::Probes;
use ready::tell_ready;
use signals::{Received, Signals};
use trials::Trial;

/// How often to see whether the script has ended while nobody reads its output.
const RELUCTANT: Duration = Duration::from_millis(100);
/// After a signal, how long to wait for somebody to read the output: a pipe that nobody reads must not keep the process.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to tell that events were lost, while it goes on.
const REMINDER: Duration = Duration::from_secs(10);
/// How long to wait for an event that a program is still writing, after everything was detached.
const LINGER: Duration = Duration::from_millis(20);

/// What an event was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Printed,
    Nothing,
    /// The script ends here.
    Exit,
    /// The watchpoints of this address are to be detached.
    Unwatch(u64),
}

/// What a session prints to. Events are untrusted bytes.
///
/// Nothing here fails: an output that cannot be written to any more is [broken](Output::broken), and swallows what
/// comes.
pub trait Output {
    /// Does what an event asks for.
    fn event(&mut self, event: &[u8], maps: &Maps<'_>) -> Done;

    /// So many attach points are attached.
    fn attached(&mut self, count: usize);

    /// Everything is over but for the maps, which are printed here, unless they are not wanted.
    fn finish(&mut self, maps: &Maps<'_>);

    /// Events were not seen.
    fn lost(&mut self, loss: Loss, count: u64);

    /// Something went wrong at a place of the script.
    fn warning(&mut self, warning: &SiteWarning);

    /// How tests and benchmarks go.
    fn trial(&mut self, trial: Trial<'_>);

    /// Hands on what is buffered, as far as the buffering mode asks for that.
    fn flush(&mut self);

    /// What to watch for the other side's going away; and whether it must be writable before more can be printed.
    fn watched(&self) -> Option<(BorrowedFd<'_>, bool)>;

    /// Hands on everything. With a patience, whoever does not read for so long does not get the rest.
    fn close(&mut self, patience: Option<Duration>);

    /// Why nothing can be written any more.
    fn broken(&self) -> Option<&io::Error>;
}

/// Why events were not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The ring buffer was full.
    RingFull,
    /// The program was running on that CPU already.
    Nested,
    /// A map had no room for a new element.
    MapFull,
    /// The kernel had no memory at hand for a new element of a map.
    MapMemory,
}

/// What the command line says about a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub mode: Mode,
    pub pid: Option<u32>,
    pub dry_run: bool,
    pub verbose: bool,
    /// Tell what went wrong while the script ran.
    pub warnings: bool,
    /// Tell of every place where memory could not be read, and not of the first alone.
    pub report_failures: bool,
    pub duration: Option<Duration>,
    pub max_events: Option<u64>,
}

/// Which of a script's probes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All but the tests and benchmarks.
    #[default]
    Trace,
    /// The tests.
    Test,
    /// The benchmarks.
    Bench,
}

/// What events are followed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// All iterators are read to their ends.
    IteratorsEnd,
    Stopped,
}

/// Why events are not followed any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Iterated,
    Signal,
    /// The script or the child has ended, or nobody reads the output.
    Other,
}

/// A loaded script that runs.
pub struct Session<'a> {
    object: &'a Object,
    kernel: &'a dyn Kernel,
    settings: Settings,
    probes: Probes<'a>,
    globals: Globals,
    maps: Maps<'a>,
    /// Absent where no program sends any.
    events: Option<Events>,
    child: Option<Child>,
    /// Readable once the process of `-p` has ended.
    process: Option<OwnedFd>,
    out: &'a mut dyn Output,
    /// When to tell next that events were lost, and how many were when it was told last.
    next_reminder: Instant,
    reminded_of: u64,
    /// Events that were printed.
    printed: u64,
    /// The event of an `exit()` was seen: what probes sent behind it, until they were detached, is dropped.
    exited: bool,
    /// Which sites were told of.
    told: Vec<bool>,
    /// Whether a failed read of memory was told of.
    told_of_a_read: bool,
}

impl<'a> Session<'a> {
    pub fn new(
        object: &'a Object,
        loaded: &'a Loaded,
        kernel: &'a dyn Kernel,
        settings: Settings,
        child: Option<Child>,
        out: &'a mut dyn Output,
    ) -> io::Result<Session<'a>> {
        let manifest = &object.manifest;
        let ring = |map| Ring::new(&loaded.maps[map]);
        let events = match manifest.ring {
            Some(main) => Some(Events::new(ring(main)?, manifest.reserve.map(ring).transpose()?)),
            None => None,
        };
        if let (true, Some(ring)) = (settings.verbose, manifest.ring) {
            say(format_args!("rtscript: the ring buffer has {} KiB", loaded.maps[ring].max_entries() / 1024));
        }
        Ok(Session {
            object,
            kernel,
            settings,
            probes: Probes::new(object, &loaded.programs),
            globals: Globals::new(&loaded.maps[object.globals], &object.manifest.tables)?,
            maps: Maps::new(manifest, &loaded.maps),
            events,
            child,
            // One that cannot be watched, since it is a thread, is traced all the same.
            process: settings.pid.and_then(|pid| watch(pid as libc::pid_t).ok()),
            out,
            next_reminder: Instant::now() + REMINDER,
            reminded_of: 0,
            printed: 0,
            exited: false,
            told: vec![false; manifest.sites.len()],
            told_of_a_read: false,
        })
    }

    /// Everything, in the order of the language. Returns the exit code.
    pub fn run(self) -> Result<u8, Failure> {
        match self.settings.mode {
            Mode::Trace => self.run_trace(),
            Mode::Test => self.run_tests(),
            Mode::Bench => self.run_benches(),
        }
    }

    fn run_trace(mut self) -> Result<u8, Failure> {
        let for_signals = self.probes.count(Phase::Signal);
        let signals = Signals::take(for_signals > 0)
            .map_err(|error| Failure::line(format!("cannot take signals: {error}")))?;
        self.globals.start();
        if self.settings.dry_run {
            let attached = self.attach()?;
            self.announce(attached);
            tell_ready();
            self.out.close(None);
            return Ok(0);
        }
        self.run_ours(Phase::Begin)?;
        let mut attached = 0;
        if !self.globals.is_exiting() {
            attached = self.attach()?;
            self.probes.start_iterators(&self.object.sources)?;
        }
        self.announce(attached);
        let deadline = self.settings.duration.and_then(|duration| Instant::now().checked_add(duration));
        // What iterators go over is what there is before the child executes anything.
        let mut stop = self.follow(&signals, deadline, Until::IteratorsEnd)?;
        tell_ready();
        if stop == Stop::Iterated && !self.globals.is_exiting() {
            let released = self.release_child()?;
            if released || self.probes.are_attached() || for_signals > 0 {
                stop = self.follow(&signals, deadline, Until::Stopped)?;
            }
        }
        let signalled = stop == Stop::Signal;
        self.probes.detach();
        self.drain();
        self.go_on();
        // From here on it prints, however much was printed before.
        self.settings.max_events = None;
        self.run_ours(Phase::End)?;
        self.drain();
        self.out.finish(&self.maps);
        self.tell_losses();
        self.tell_warnings();
        // From here on a signal ends the process at once.
        drop(signals);
        self.out.close(signalled.then_some(PATIENCE));
        match self.out.broken() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::unwritten("the output", error))
            }
            Some(_) | None => Ok(self.globals.exit_code() as u8),
        }
    }

    fn run_ours(&self, phase: Phase) -> Result<(), Failure> {
        let run = self.probes.run(phase, &self.globals);
        run.map_err(|error| Failure::line(format!("the kernel does not run our own programs: {error}")))
    }

    fn attach(&mut self) -> Result<usize, Failure> {
        let environment = Environment {
            kernel: self.kernel,
            pid: self.settings.pid,
            child: self.child.as_ref().map(Child::pid),
        };
        self.probes.attach(&environment, &self.object.sources, self.settings.warnings)
    }

    /// Says that all is attached, and to how much.
    fn announce(&mut self, attached: usize) {
        for path in self.probes.iterators.pins() {
            say(format_args!("Pinned to {}", path.display()));
        }
        let ours = [Phase::Begin, Phase::Signal, Phase::End].map(|phase| self.probes.count(phase));
        self.out.attached(attached + ours.iter().sum::<usize>());
    }

    /// Lets the child execute its command; false where there is none.
    fn release_child(&mut self) -> Result<bool, Failure> {
        match &mut self.child {
            Some(child) => child
                .release()
                .map(|()| true)
                .map_err(|error| Failure::line(format!("cannot execute {}: {error}", child.program()))),
            None => Ok(false),
        }
    }

    /// Reads iterators and prints events until there is a reason to stop.
    fn follow(
        &mut self,
        signals: &Signals,
        deadline: Option<Instant>,
        until: Until,
    ) -> Result<Stop, Failure> {
        loop {
            if until == Until::IteratorsEnd && self.probes.iterators.are_done() {
                return Ok(Stop::Iterated);
            }
            // While nobody reads the output, events stay where they are; what does not fit there is counted.
            let was_blocked = self.is_blocked();
            if !was_blocked && !self.globals.is_exiting() {
                let read = self.probes.iterators.read();
                read.map_err(|error| Failure::line(format!("cannot read the iterator: {error}")))?;
            }
            let look = if was_blocked { Look::Nothing } else { self.look() };
            self.out.flush();
            self.tell_warnings();
            self.remind_of_losses();
            let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if is_late || self.globals.is_exiting() || self.has_enough() || self.out.broken().is_some() {
                return Ok(Stop::Other);
            }
            let blocked = self.is_blocked();
            if was_blocked && !blocked {
                // It is read again: there are events to take that came meanwhile.
                continue;
            }
            let mut polled = vec![readable(signals.as_fd())];
            polled.extend(self.child.as_ref().map(|child| readable(child.as_fd())));
            polled.extend(self.process.as_ref().map(|process| readable(process.as_fd())));
            if let Some((fd, _)) = self.out.watched() {
                // That the other side is gone is told without being asked for.
                let events = if blocked { libc::POLLOUT } else { 0 };
                polled.push(libc::pollfd { events, ..readable(fd) });
            }
            let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // No event tells of `exit()` while none are taken.
            let timeout =
                if blocked { Some(timeout.map_or(RELUCTANT, |time| time.min(RELUCTANT))) } else { timeout };
            let events = self.events.as_ref().filter(|_| !blocked);
            // Between two reads it is only asked what else there is.
            let timeout =
                if until == Until::IteratorsEnd && !blocked { Some(Duration::ZERO) } else { timeout };
            wait(events, look, &self.globals, &mut polled, timeout)
                .map_err(|error| Failure::line(format!("cannot wait for events: {error}")))?;
            let is_gone = |fd: &libc::pollfd| fd.revents & (libc::POLLERR | libc::POLLHUP) != 0;
            let child_ended = self.child.as_mut().is_some_and(|child| child.try_wait().is_some());
            // There is no child where there is a process: it stands behind the signals.
            let process_ended = self.process.is_some() && polled[1].revents != 0;
            match signals.received() {
                Received::End => return Ok(Stop::Signal),
                Received::User => self.run_ours(Phase::Signal)?,
                Received::Nothing => {}
            }
            if child_ended || process_ended || polled.last().is_some_and(is_gone) {
                return Ok(Stop::Other);
            }
        }
    }

    /// Whether the output must be read before more can be printed.
    fn is_blocked(&self) -> bool {
        self.out.watched().is_some_and(|(_, blocked)| blocked)
    }

    /// Takes events out of the rings, as many as there are but no more than a batch.
    fn look(&mut self) -> Look {
        let Some(events) = &mut self.events else { return Look::Nothing };
        let (out, maps, printed) = (&mut *self.out, &self.maps, &mut self.printed);
        let (exited, probes) = (&mut self.exited, &mut self.probes);
        let most = self.settings.max_events.unwrap_or(u64::MAX);
        events.look(|event| {
            if *printed < most && !*exited {
                match out.event(event, maps) {
                    Done::Printed => *printed += 1,
                    Done::Nothing => {}
                    Done::Exit => *exited = true,
                    Done::Unwatch(address) => probes.unwatch(address),
                }
            }
            true
        })
    }

    /// Runs probes and takes events again, after an `exit()`.
    fn go_on(&mut self) {
        self.globals.go_on();
        self.exited = false;
    }

    /// Takes out everything that is left.
    fn drain(&mut self) {
        let deadline = Instant::now() + LINGER;
        loop {
            let look = self.look();
            // What is left but cannot be taken is still being written, by a program that ran when it was detached.
            let is_empty = self.events.as_ref().is_none_or(Events::is_empty);
            if look == Look::Nothing && (is_empty || deadline <= Instant::now()) {
                return;
            }
        }
    }

    fn has_enough(&self) -> bool {
        self.settings.max_events.is_some_and(|most| self.printed >= most)
    }

    /// Tells now and then that events are being lost: whoever looks on can do something about it. All of them are told at the end.
    fn remind_of_losses(&mut self) {
        let lost = self.globals.lost();
        if lost > self.reminded_of && self.next_reminder <= Instant::now() {
            self.reminded_of = lost;
            self.next_reminder = Instant::now() + REMINDER;
            say(format_args!(
                "Lost so far: {lost} events, since the ring buffer was full (its size is perf_rb_pages)"
            ));
        }
    }

    fn tell_losses(&mut self) {
        let (mut full, mut memory) = (0, 0);
        for site in (0..self.told.len()).filter_map(|index| self.globals.site(&self.object.manifest, index)) {
            match site.kind {
                SiteKind::MapFull if site.is_full() => full += u64::from(site.count),
                SiteKind::MapFull => memory += u64::from(site.count),
                SiteKind::ReadFailed
                | SiteKind::LookupMissing
                | SiteKind::DeleteMissing
                | SiteKind::DivideByZero
                | SiteKind::SignalFailed
                | SiteKind::WriteFailed
                | SiteKind::LoopCut => {}
            }
        }
        let losses = [
            (Loss::RingFull, self.globals.lost()),
            (Loss::Nested, self.probes.skipped() + self.globals.without_scratch()),
            (Loss::MapFull, full),
            (Loss::MapMemory, memory),
        ];
        for (loss, count) in losses.into_iter().filter(|(_, count)| *count > 0) {
            self.out.lost(loss, count);
        }
    }

    /// Tells of the places where something went wrong, of each once.
    fn tell_warnings(&mut self) {
        if !self.settings.warnings {
            return;
        }
        for (index, told) in self.told.iter_mut().enumerate().filter(|(_, told)| !**told) {
            if let Some(warning) = self.globals.site(&self.object.manifest, index) {
                *told = true;
                let is_read = warning.kind == SiteKind::ReadFailed && !self.settings.report_failures;
                if is_read && std::mem::replace(&mut self.told_of_a_read, true) {
                    continue;
                }
                self.out.warning(&warning);
                warn(warning, &self.object.sources);
            }
        }
    }
}
