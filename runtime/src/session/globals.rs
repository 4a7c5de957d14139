//! The globals of a script, as user space sees them: the block of memory that its programs and this side share.
//!
//! Its layout is `rtscript_lang::record::globals`. A block that is too small for what is asked reads as zero.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use rtscript_codegen::object::{Manifest, Table};
use rtscript_lang::record::globals;

use crate::bpf::{Map, Mapped};
use crate::report::SiteWarning;

#[derive(Debug)]
pub struct Globals {
    mapped: Mapped,
}

impl Globals {
    /// The block of a map, with the tables that programs read filled in.
    pub fn new(map: &Map, tables: &[Table]) -> io::Result<Globals> {
        let globals = Globals { mapped: Mapped::new(map)? };
        for table in tables {
            for (index, entry) in (0..).zip(&table.entries) {
                if let Some(at) = globals.u32(table.offset + index * 4) {
                    at.store(*entry, Ordering::Relaxed);
                }
            }
        }
        Ok(globals)
    }

    /// Tracing begins now: `elapsed` counts from here.
    pub fn start(&self) {
        let nanos = |clock| {
            let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: there is room for the time.
            unsafe { libc::clock_gettime(clock, &raw mut now) };
            now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
        };
        let start = nanos(libc::CLOCK_BOOTTIME);
        let ahead = nanos(libc::CLOCK_REALTIME).wrapping_sub(start);
        for (offset, value) in [(globals::START, start), (globals::TIME_OF_DAY, ahead)] {
            if let Some(at) = self.u64(offset) {
                at.store(value, Ordering::Relaxed);
            }
        }
    }

    /// Whether `exit()` was called.
    pub fn is_exiting(&self) -> bool {
        self.u32(globals::EXITING).is_some_and(|exiting| exiting.load(Ordering::Acquire) != 0)
    }

    /// Forgets that `exit()` was called, so that another call can be told.
    pub fn go_on(&self) {
        if let Some(exiting) = self.u32(globals::EXITING) {
            exiting.store(0, Ordering::Release);
        }
    }

    /// What `exit()` was given last; 0 if it was never called.
    pub fn exit_code(&self) -> u64 {
        self.u64(globals::EXIT_CODE).map_or(0, |code| code.load(Ordering::Acquire))
    }

    /// Events dropped since the ring was full.
    pub fn lost(&self) -> u64 {
        self.u64(globals::LOST_RING_FULL).map_or(0, |lost| lost.load(Ordering::Relaxed))
    }

    /// Runs that found no scratch memory.
    pub fn without_scratch(&self) -> u64 {
        self.u64(globals::NO_SCRATCH).map_or(0, |runs| runs.load(Ordering::Relaxed))
    }

    /// Asks to be woken by the next event. What was sent before this is seen by a look at the ring that follows it.
    pub fn want_wakeup(&self) {
        if let Some(want) = self.u32(globals::WANT_WAKEUP) {
            want.store(1, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }

    /// No event needs to wake us: somebody looks soon.
    pub fn want_no_wakeup(&self) {
        if let Some(want) = self.u32(globals::WANT_WAKEUP) {
            want.store(0, Ordering::Relaxed);
        }
    }

    /// What has gone wrong so far at the `index`th of the manifest's sites.
    pub fn site(&self, manifest: &Manifest, index: usize) -> Option<SiteWarning> {
        let site = manifest.sites.get(index)?;
        let at = manifest.sites_offset + index as u32 * globals::SITE_SIZE;
        let count = self.u32(at)?.load(Ordering::Relaxed);
        let error = self.u32(at + 4)?.load(Ordering::Relaxed) as i32;
        (count > 0).then_some(SiteWarning { kind: site.kind, count, error, span: site.span })
    }

    fn u32(&self, offset: u32) -> Option<&AtomicU32> {
        self.mapped.u32(offset as usize)
    }

    fn u64(&self, offset: u32) -> Option<&AtomicU64> {
        self.mapped.u64(offset as usize)
    }
}
