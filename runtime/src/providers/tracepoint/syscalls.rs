//! System calls as events of `raw_tp/sys_enter` and `raw_tp/sys_exit`.
//!
//! The kernel's own events of the category `syscalls` cost a perf event each: 75 ms to close one, and minutes for all 720 of
//! them (6.18). The two raw tracepoints serve all system calls with one program, which looks at the number, and cost less
//! for those that are wanted (139 ns instead of 228). The meaning is the same: the arguments are the registers that
//! the kernel copies into the record, and calls of 32-bit programs are passed over, as the kernel's own events do.
//!
//! Registers are those of x86-64. What has no number here is left to the kernel's own event.

use std::ffi::CStr;

use rtscript_lang::names::number_of;
use rtscript_lang::provider::{Arg, Dispatch, Place};
use rtscript_lang::types::Label;

/// An event of the category that a raw tracepoint stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Syscall {
    side: Side,
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Enter,
    Exit,
}

/// Offsets in the kernel's `struct pt_regs` of x86-64, in the order of the arguments: di, si, dx, r10, r8, r9.
const ARGUMENTS: [u32; 6] = [112, 104, 96, 56, 72, 64];
/// The number of the system call, in the same structure.
const ORIG_AX: u32 = 120;
/// Where the records of the kernel's own events have the number, and the first argument or the result.
const RECORD_NUMBER: u32 = 8;
const RECORD_FIRST: u32 = 16;

/// Events whose functions are not called like the system call.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("newstat", "stat"),
    ("newfstat", "fstat"),
    ("newlstat", "lstat"),
    ("newuname", "uname"),
    ("sendfile64", "sendfile"),
    ("umount", "umount2"),
];

impl Syscall {
    /// `sys_enter_openat`, `sys_exit_openat`.
    pub fn of_event(event: &str) -> Option<Syscall> {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        let (side, name) = match event.strip_prefix("sys_enter_") {
            Some(name) => (Side::Enter, name),
            None => (Side::Exit, event.strip_prefix("sys_exit_")?),
        };
        let name = OTHER_NAMES.iter().find(|(event, _)| *event == name).map_or(name, |(_, call)| call);
        let number = number_of(&Label::Syscall, name)?;
        Some(Syscall { side, number: u32::try_from(number).ok()? })
    }

    /// The raw tracepoint.
    pub fn raw(self) -> &'static CStr {
        match self.side {
            Side::Enter => c"sys_enter",
            Side::Exit => c"sys_exit",
        }
    }

    pub fn dispatch(self) -> Dispatch {
        Dispatch { place: self.number_place(), number: self.number }
    }

    /// The second word of `sys_enter` is the number, and of `sys_exit` the result; the first of both points to the registers.
    fn number_place(self) -> Place {
        match self.side {
            Side::Enter => Place::Word(8),
            Side::Exit => Place::Indirect { word: 0, offset: ORIG_AX },
        }
    }

    /// The same arguments, at their places in the raw tracepoint: those that there are.
    pub fn relocate(self, args: Vec<Arg>) -> Vec<Arg> {
        let relocate = |arg: Arg| Some(Arg { place: self.place(arg.place)?, ..arg });
        args.into_iter().filter_map(relocate).collect()
    }

    fn place(self, place: Place) -> Option<Place> {
        let Place::Bytes(offset) = place else { return None };
        if offset == RECORD_NUMBER {
            return Some(self.number_place());
        }
        let index = offset.checked_sub(RECORD_FIRST)? / 8;
        match self.side {
            Side::Enter => {
                let offset = *ARGUMENTS.get(index as usize)?;
                Some(Place::Indirect { word: 0, offset })
            }
            Side::Exit => (index == 0).then_some(Place::Word(8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn events_have_the_numbers_of_their_calls() {
        let number = |event| Syscall::of_event(event).map(|call| call.number);
        assert_eq!(number("sys_enter_openat"), Some(257));
        assert_eq!(number("sys_exit_newstat"), Some(4));
        assert_eq!(number("sys_enter_umount"), Some(166));
        assert_eq!(number("sys_enter_no_such_call"), None);
        assert_eq!(number("openat"), None);
    }
}
