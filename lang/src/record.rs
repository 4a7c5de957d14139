//! How several values lie behind one another: tuples, and the events that programs send.
//!
//! An event in the ring buffer:
//!
//! ```text
//!   0       4       8
//!   | action | form | field | field | ... | tail | tail | ...
//! ```
//!
//! `action` says what to do with it ([`crate::action::Action`]). A string whose capacity is above
//! [`SMALL_STRING`] is a *tail*: what is sent is its real length, not its capacity. Its field is a `u32`,
//! and its bytes follow the fields, in one of two forms that `form` names:
//!
//! - [`Form::Small`]: each tail takes [`SMALL_STRING`] bytes and ends at its first NUL. The `u32` is not used.
//! - [`Form::Packed`]: each tail takes exactly as many bytes as its `u32` says (its NUL included), with
//!   nothing between them. A length of 0 is an empty string.

use crate::types::{Structs, Type};

/// Bytes before the first field of an event: `u32 action, u32 form`.
pub const EVENT_HEADER: u32 = 8;
/// The largest capacity of a string that is sent in place, and the room of a tail in the small form.
pub const SMALL_STRING: u32 = 64;

/// How the tails of an event are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Form {
    Small = 0,
    Packed = 1,
}

/// Types with their offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub fields: Vec<RecordField>,
    /// In bytes, without tails, a multiple of 8 for events.
    pub size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordField {
    pub ty: Type,
    /// From the start of the record (for an event, its header included).
    pub offset: u32,
    /// Whether the bytes of this string follow the record.
    pub tail: bool,
}

impl Record {
    /// The layout of a tuple: C's rules over [`Structs::layout`].
    pub fn of(types: &[Type], structs: &Structs) -> Record {
        Record::starting_at(0, types, structs, false)
    }

    /// The layout of an event with these arguments.
    pub fn event(types: &[Type], structs: &Structs) -> Record {
        let mut record = Record::starting_at(EVENT_HEADER, types, structs, true);
        record.size = record.size.next_multiple_of(8);
        record
    }

    fn starting_at(start: u32, types: &[Type], structs: &Structs, tails: bool) -> Record {
        let mut record = Record { fields: Vec::with_capacity(types.len()), size: start };
        let mut align = 1;
        for ty in types {
            let tail = tails && matches!(ty, Type::String(capacity) if *capacity > SMALL_STRING);
            let layout = structs.layout(if tail { &Type::U32 } else { ty });
            let offset = record.size.next_multiple_of(layout.align);
            record.fields.push(RecordField { ty: ty.clone(), offset, tail });
            record.size = offset + layout.size;
            align = align.max(layout.align);
        }
        record.size = record.size.next_multiple_of(align);
        record
    }

    pub fn tails(&self) -> impl Iterator<Item = &RecordField> {
        self.fields.iter().filter(|field| field.tail)
    }
}

/// Of the value of a scalar map: where the `u64` lies that is 1 once the map was assigned, and 0 before and after it
/// was cleared. The value itself lies at 0. (For aggregates, this is what each CPU has.)
pub fn presence_offset(value: &Type, structs: &Structs) -> u32 {
    structs.layout(value).size.next_multiple_of(8)
}

/// The block of global data that programs and user space share: one array map of one element, mapped into user space.
/// It is the `.bss` section of a saved object.
///
/// ```text
///   0                64                 Manifest::sites_offset
///   | named below ... | zeros ...        | { u32 count, i32 last error } for each site ... |
/// ```
pub mod globals {
    /// `u32`: 1 while user space sleeps and wants the next event to wake it. The program that sees it sets it to 0.
    pub const WANT_WAKEUP: u32 = 0;
    /// `u32`: set to 1 by `exit()`.
    pub const EXITING: u32 = 4;
    /// `u64`: the exit code given to `exit()`.
    pub const EXIT_CODE: u32 = 8;
    /// `u64`: nanoseconds of CLOCK_BOOTTIME when tracing began, written by user space.
    pub const START: u32 = 16;
    /// `u64`: events dropped since the ring was full.
    pub const LOST_RING_FULL: u32 = 24;
    /// `u64`: runs of programs that were given up since all scratch memory of the CPU was in use by interrupted ones, or since
    /// others came between again and again.
    pub const NO_SCRATCH: u32 = 32;
    /// `i64`: nanoseconds that the time of day was ahead of CLOCK_BOOTTIME when tracing began, written by user space.
    pub const TIME_OF_DAY: u32 = 40;
    /// Bytes that are always zero: the first value of new map elements. As many as the largest needs.
    pub const ZEROS: u32 = 64;
    /// Bytes for each warning site.
    pub const SITE_SIZE: u32 = 8;
}
