//! What user space does with an event: data that the compiler writes and the runtime carries out.

use cranelift_entity::entity_impl;
use rtscript_syntax::source::Span;

use crate::record::Record;
use crate::typed::MapId;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId(u32);
entity_impl!(ActionId, "action");

/// What one kind of event means. `args` (or `value`, `key`) says how the event's bytes are laid out.
#[derive(Clone, Debug)]
pub enum Action {
    /// `printf(format, args…)`.
    Printf {
        format: Format,
        args: Record,
    },
    /// `print(value)`: one field.
    Print {
        value: Record,
    },
    /// `print(@map[key])` of a summary that is no number, read when the event is processed: one field.
    PrintKey {
        map: MapId,
        key: Record,
    },
    /// `print(@map, top, div)`; a `top` of 0 prints all, and `div` is not 0. No fields.
    PrintMap {
        map: MapId,
        top: u32,
        div: i64,
    },
    Clear {
        map: MapId,
    },
    Zero {
        map: MapId,
    },
    /// `exit(code)`: the code lies in the globals.
    Exit,
    /// `time(format)`.
    Time {
        format: String,
    },
    /// `errorf(format, args…)` and `warnf(format, args…)`: a message about the place of the script where it stands.
    Message {
        level: Level,
        format: Format,
        args: Record,
        span: Span,
    },
    /// `cat(format, args…)`: prints the file of this name.
    Cat {
        format: Format,
        args: Record,
    },
    /// `skboutput(file, …)`: appends a packet to a pcap file. Three fields: when it was seen in nanoseconds since boot,
    /// how long it is, and its first bytes.
    Packet {
        path: String,
        args: Record,
    },
    /// `system(format, args…)`: lets a shell run this, and prints its output.
    System {
        format: Format,
        args: Record,
    },
    /// `join(argv, separator)`: a string, sent as one tail for each word; `args` has up to 16 tails.
    Join {
        separator: String,
        args: Record,
    },
    /// `unwatch(address)`: detaches the watchpoints of this address. One field.
    Unwatch {
        address: Record,
    },
}

impl Action {
    /// The fields of its event.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Action::Printf { args, .. }
            | Action::Join { args, .. }
            | Action::Message { args, .. }
            | Action::Cat { args, .. }
            | Action::Packet { args, .. }
            | Action::System { args, .. } => Some(args),
            Action::Print { value } => Some(value),
            Action::PrintKey { key, .. } => Some(key),
            Action::Unwatch { address } => Some(address),
            Action::PrintMap { .. }
            | Action::Clear { .. }
            | Action::Zero { .. }
            | Action::Exit
            | Action::Time { .. } => None,
        }
    }

    /// Whether it must not be lost behind a flood of output: it goes to the reserve ring when the main one is full. Such
    /// events have no fields.
    pub fn is_control(&self) -> bool {
        match self {
            Action::PrintMap { .. } | Action::Clear { .. } | Action::Zero { .. } | Action::Exit => true,
            Action::Printf { .. }
            | Action::Print { .. }
            | Action::PrintKey { .. }
            | Action::Join { .. }
            | Action::Message { .. }
            | Action::Cat { .. }
            | Action::Packet { .. }
            | Action::System { .. }
            | Action::Unwatch { .. }
            | Action::Time { .. } => false,
        }
    }
}

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

/// A `printf` format, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    pub pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Spec(Spec),
}

/// `%[flags][width][.precision][length]conversion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub left: bool,
    pub plus: bool,
    pub space: bool,
    pub alternate: bool,
    pub zero: bool,
    pub width: Option<Amount>,
    pub precision: Option<Amount>,
    /// The width in bytes that a length modifier (`hh h l ll j z t`) asks for.
    pub length: Option<u8>,
    pub conversion: Conversion,
    /// The argument that it prints (those of `*` come before it and are counted as well).
    pub argument: u32,
    /// Where it stands in the source, for diagnostics.
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Fixed(u32),
    /// `*`: the value of this argument.
    Argument(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// `%d`, `%i`.
    Signed,
    /// `%u`.
    Unsigned,
    /// `%x`, `%X`.
    Hex { upper: bool },
    /// `%o`.
    Octal,
    /// `%p`.
    Pointer,
    /// `%c`.
    Char,
    /// `%s`: anything, as `print` writes it.
    Text,
    /// `%gr`: flags of a memory allocation, by their names.
    AllocationFlags,
    /// `%r`: bytes, printable ASCII kept.
    Bytes,
    /// `%rh`: hexadecimal bytes with blanks between them.
    HexBytes,
    /// `%rx`: `\x..` for every byte.
    EscapedBytes,
}
