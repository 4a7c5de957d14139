//! `watchpoint`: accesses to an address, seen by the processor's debug registers, of which it has about four.
//!
//! An address of user space means something in one process alone: that of `-p` or of `-c`. One of the kernel is watched on every CPU.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use perf_event_open_sys::bindings::{HW_BREAKPOINT_R, HW_BREAKPOINT_W, HW_BREAKPOINT_X};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Provider, Target};
use rtscript_lang::syntax::literal::plain;
use rtscript_lang::types::{Space, Structs};

use super::counted;
use crate::attach::{Attach, Environment};
use crate::bpf::counter::{Counter, Scope};
use crate::bpf::errno;

pub struct Watchpoint;

const NAME: &str = "watchpoint";
const FORM: &str = "watchpoint:ADDRESS:LENGTH:MODE, with a length of 1, 2, 4 or 8 bytes, an address that is a multiple of it, \
                    and a mode of w, rw, r, or x (whose length is 8)";
/// The lower half of addresses is user space.
const KERNEL: u64 = 1 << 63;

impl Provider for Watchpoint {
    fn names(&self) -> &'static [&'static str] {
        &[NAME, "w"]
    }

    fn doc(&self) -> &'static str {
        "Runs when memory at an address is read, written or executed."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        parse(point).ok_or(AttachError::Form { expected: FORM })?;
        let target = Target { provider: NAME, name: format!("{NAME}:{point}") };
        Ok(Expansion { targets: vec![target], wildcard: false })
    }

    fn context(&self, target: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        let watched = parse(target.point()).ok_or(AttachError::Form { expected: FORM })?;
        let space = if watched.address < KERNEL { Space::User } else { Space::Kernel };
        Ok(Context { space, ..counted::context() })
    }

    fn list(&self, _: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(Vec::new())
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }
}

impl Attach for Watchpoint {
    fn watched(&self, target: &Target) -> Option<u64> {
        parse(target.point()).map(|watched| watched.address)
    }

    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let wrong = |reason: &str| io::Error::new(io::ErrorKind::InvalidInput, reason.to_owned());
        let watched =
            parse(target.point()).ok_or_else(|| wrong("its address, length or mode makes no sense"))?;
        let scope = match environment.pid.or(environment.child) {
            Some(pid) => Scope::Process(pid),
            None if watched.address >= KERNEL => Scope::AllCpus,
            None => return Err(wrong("an address of user space needs a process: -p PID or -c COMMAND")),
        };
        let counter =
            Counter::Breakpoint { address: watched.address, length: watched.length, kinds: watched.kinds };
        let attached = counted::attach_in(program, cookie, counter, 1, scope);
        attached.map_err(|error| match errno(&error) {
            Some(libc::EINVAL) if watched.kinds == HW_BREAKPOINT_R => {
                wrong("this processor cannot watch for reads alone: use rw")
            }
            Some(libc::ENOSPC) => wrong("all of the processor's debug registers are taken"),
            Some(_) | None => error,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watched {
    address: u64,
    length: u64,
    kinds: u32,
}

fn parse(point: &str) -> Option<Watched> {
    let mut parts = point.split(':');
    let (address, length, mode) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (address, length) = (plain(address)?, plain(length)?);
    let mut kinds = 0;
    for letter in mode.chars() {
        let kind = match letter {
            'r' => HW_BREAKPOINT_R,
            'w' => HW_BREAKPOINT_W,
            'x' => HW_BREAKPOINT_X,
            _ => return None,
        };
        if kinds & kind != 0 {
            return None;
        }
        kinds |= kind;
    }
    // The debug registers watch either code or data (x86-64 and aarch64), and code by whole words.
    let is_code = kinds == HW_BREAKPOINT_X && length == 8;
    let is_data = kinds != 0 && kinds & HW_BREAKPOINT_X == 0 && address.is_multiple_of(length.max(1));
    let good = address != 0 && matches!(length, 1 | 2 | 4 | 8) && (is_code || is_data);
    good.then_some(Watched { address, length, kinds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_watched() {
        for (point, address, length, kinds) in [
            ("0x1000:8:w", 0x1000, 8, HW_BREAKPOINT_W),
            ("4096:4:rw", 4096, 4, HW_BREAKPOINT_R | HW_BREAKPOINT_W),
            ("0x1001:1:wr", 0x1001, 1, HW_BREAKPOINT_R | HW_BREAKPOINT_W),
            ("0x1001:8:x", 0x1001, 8, HW_BREAKPOINT_X),
            ("0xffffffff81000000:2:w", 0xffff_ffff_8100_0000, 2, HW_BREAKPOINT_W),
        ] {
            assert_eq!(parse(point), Some(Watched { address, length, kinds }), "{point}");
        }
    }

    #[test]
    fn what_cannot() {
        for point in [
            "",
            "0x1000",
            "0x1000:8",
            "0x1000:8:",
            "0:8:w",
            "0x1000:3:w",
            "0x1000:16:w",
            "0x1000:0:w",
            "0x1001:4:w",
            "0x1000:8:ww",
            "0x1000:8:rx",
            "0x1000:8:b",
            "0x1000:4:x",
            "x:8:w",
            "0x1000:8:w:1",
            "-1:1:w",
        ] {
            assert_eq!(parse(point), None, "{point}");
        }
    }
}
