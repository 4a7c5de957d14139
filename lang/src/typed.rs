//! The typed program: what `check` makes and `codegen::lower` reads.
//!
//! What holds of it:
//!
//! - Every expression has a type; every name is an entity; every conversion between numbers is a
//!   [`ExprKind::Cast`]. Nothing in it can fail any more.
//! - Numbers: a value of a type `iN`/`uN` is held extended to 64 bits by its own sign. Both sides of a
//!   [`ExprKind::Binary`] and of a [`ExprKind::Compare`] have the same 64-bit type (or are pointers), whose
//!   sign decides between the signed and the unsigned form.
//! - Pointer arithmetic is already scaled to bytes.
//! - An expression of struct or array type is a *place*: bytes somewhere, of which [`ExprKind::Field`] and
//!   [`ExprKind::Index`] name a part. Reading it happens when a scalar or a copy is asked for.
//! - A read of a missing map element gives zero (of a string, the empty string).
//! - Positional parameters, `sizeof`, `offsetof`, constants, macros and block scopes are gone.

use cranelift_entity::{PrimaryMap, entity_impl};
use rtscript_syntax::source::Span;

use crate::action::{Action, ActionId};
use crate::aggregate::Aggregate;
use crate::config::Config;
use crate::foreign::ForeignFunction;
use crate::provider::{Context, Place, Target};
use crate::types::{Clock, StructId, Structs, Type};

pub mod mentions;
mod print;

#[derive(Debug)]
pub struct Program {
    pub structs: Structs,
    pub maps: PrimaryMap<MapId, Map>,
    pub actions: PrimaryMap<ActionId, Action>,
    /// In the order of the script; each becomes one loaded program.
    pub probes: Vec<Probe>,
    /// Full names of all attach points; a target's cookie is its index here.
    pub probe_names: Vec<String>,
    pub config: Config,
    /// What [`Intrinsic::Foreign`] counts.
    pub foreign: Vec<ForeignFunction>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(u32);
entity_impl!(MapId, "map");

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(u32);
entity_impl!(LocalId, "local");

#[derive(Clone, Debug)]
pub struct Map {
    /// Without the `@`; empty for the anonymous map.
    pub name: String,
    /// `None`: a scalar map. Several keys are one tuple.
    pub key: Option<Type>,
    pub value: Type,
    pub kind: MapKind,
    pub max_entries: u32,
    /// Where it was first used.
    pub span: Span,
}

/// What `let @m = hash(…)` may ask for; undeclared maps are `Hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    Hash,
    LruHash,
    PerCpuHash,
    PerCpuLruHash,
}

/// One body, and everything that it is attached to.
#[derive(Debug)]
pub struct Probe {
    /// The attach point, as the script has it.
    pub span: Span,
    /// At least one; more than one only for the matches of a wildcard.
    pub targets: Vec<Target>,
    pub context: Context,
    /// Where the targets share one event of the kernel.
    pub dispatch: Option<Dispatch>,
    pub locals: PrimaryMap<LocalId, Local>,
    pub predicate: Option<Expr>,
    pub body: Block,
    /// It prints into the file by whose reading it is run, and nobody takes events of it.
    pub prints_to_reader: bool,
}

/// How a body tells its targets from one another, and from what it does not want.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Where the number is; a `u64`.
    pub place: Place,
    /// The numbers of the targets, in their order.
    pub numbers: Vec<u32>,
}

/// A scratch variable. It holds zero until it is assigned.
#[derive(Clone, Debug)]
pub struct Local {
    pub name: String,
    pub ty: Type,
    pub span: Span,
    /// Of a variable that is declared in the body of a [`StmtKind::Each`]: the loop's own variable. It lives for one round.
    pub within: Option<LocalId>,
    /// Its address is taken, so that it lies in memory.
    pub addressed: bool,
}

pub type Block = Vec<Stmt>;

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    /// Evaluated for its effect.
    Expr(Expr),
    /// `_ = value`: evaluated, and the script says that the value is not wanted.
    Discard(Expr),
    SetLocal(LocalId, Expr),
    SetMap(Element, Expr),
    /// `@m op= value` on a number; atomic where the operation allows it.
    UpdateMap(Element, BinaryOp, Expr),
    /// `@m = count()` and its kin; the value is absent for `count`.
    Aggregate(Element, Aggregate, Option<Expr>),
    If(Expr, Block, Block),
    While(Expr, Block),
    /// `for ($i : from..to)`: both ends are evaluated once, before the first round.
    Range {
        local: LocalId,
        from: Expr,
        to: Expr,
        body: Block,
    },
    /// `for ($element : @map)`: the variable is a tuple of an element's key and value. `local` and the variables that the
    /// body declares belong to the loop (`Local::within`).
    Each {
        map: MapId,
        local: LocalId,
        body: Block,
    },
    /// The body, so many times.
    Unroll(u32, Block),
    Break,
    Continue,
    /// Leaves the probe.
    Return(Option<Expr>),
    /// Sends an event; the arguments are the fields of the action's record.
    Emit(ActionId, Vec<Expr>),
    /// `join(argv, …)`: the argument is the address of the array of strings.
    Join(ActionId, Expr),
    /// `exit(code)`: sends the event and leaves the probe.
    Exit(ActionId, Option<Expr>),
    Block(Block),
}

/// A map, or one element of it. The key is absent exactly where the map is scalar.
#[derive(Clone, Debug)]
pub struct Element {
    pub map: MapId,
    pub key: Option<Box<Expr>>,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: Type,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number of any scalar type, extended to 64 bits.
    Int(u64),
    /// The bytes of a string, without a NUL.
    String(Vec<u8>),
    Local(LocalId),
    Map(Element),
    /// The merged value of an aggregate over all CPUs, as a number.
    Merged(Element),
    HasKey(Element),
    /// Whether the element is there; the variable then gets its value, and stays as it is otherwise.
    Find(Element, LocalId),
    /// Removes the element, and says whether it was there.
    Delete(Element),
    /// The number of elements.
    Len(MapId),
    /// An argument of the probe: an index into `Context::args`.
    Arg(u32),
    /// `argN`: a word of the context, an index into `Context::words`.
    Word(u32),
    Retval,
    Unary(UnaryOp, Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// Two numbers or pointers; the result is a bool.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// Two values that are no scalars; `true` for `==`, `false` for `!=`. Strings compare up to their NUL,
    /// bounded by the smaller capacity.
    Equal(bool, Box<Expr>, Box<Expr>),
    /// `strncmp`: 0 if the first so many bytes are the same, up to the NUL; 1 otherwise.
    EqualPrefix(Box<Expr>, Box<Expr>, u32),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// Only the chosen arm is evaluated; both have the type of the whole.
    Select(Box<Expr>, Box<Expr>, Box<Expr>),
    /// The value, behind statements that come first; the value has the type of the whole.
    Block(Block, Box<Expr>),
    /// From any scalar to the scalar type of this expression (cut, then extended by the new sign); to `Bool`:
    /// whether it is non-zero. Between strings: another capacity. From a label or a probe to a string: its text.
    Cast(Box<Expr>),
    /// `++` and `--`; `by` is already scaled for pointers.
    Step {
        place: StepPlace,
        by: i64,
        post: bool,
    },
    /// A member of a place of struct type.
    Field(Box<Expr>, FieldPath),
    /// An element of a place of array type, or a byte of a string. The index may be variable; one outside
    /// the array reads as zero where the array is ours, and whatever lies there where it is the kernel's.
    Index(Box<Expr>, Box<Expr>),
    /// What a pointer points at: a place, or a scalar that is read.
    Deref(Box<Expr>),
    /// Where a variable, an element of a map (NULL where there is none) or a place outside of our memory lies.
    AddressOf(Box<Expr>),
    /// A tuple or a record.
    Tuple(Vec<Expr>),
    /// An element of a tuple or a record.
    TupleField(Box<Expr>, u32),
    Call(Intrinsic, Vec<Expr>),
}

impl Expr {
    /// The expressions that it is made of. The statements of a [`ExprKind::Block`] are not among them.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Int(_)
            | ExprKind::String(_)
            | ExprKind::Local(_)
            | ExprKind::Len(_)
            | ExprKind::Arg(_)
            | ExprKind::Word(_)
            | ExprKind::Retval
            | ExprKind::Step { place: StepPlace::Local(_), .. } => Vec::new(),
            ExprKind::Map(element)
            | ExprKind::Merged(element)
            | ExprKind::HasKey(element)
            | ExprKind::Find(element, _)
            | ExprKind::Delete(element)
            | ExprKind::Step { place: StepPlace::Map(element), .. } => {
                element.key.as_deref().into_iter().collect()
            }
            ExprKind::Unary(_, inner)
            | ExprKind::Cast(inner)
            | ExprKind::Field(inner, _)
            | ExprKind::Deref(inner)
            | ExprKind::AddressOf(inner)
            | ExprKind::TupleField(inner, _)
            | ExprKind::Block(_, inner) => vec![inner],
            ExprKind::Binary(_, left, right)
            | ExprKind::Compare(_, left, right)
            | ExprKind::Equal(_, left, right)
            | ExprKind::EqualPrefix(left, right, _)
            | ExprKind::And(left, right)
            | ExprKind::Or(left, right)
            | ExprKind::Index(left, right) => vec![left, right],
            ExprKind::Select(condition, then, otherwise) => vec![condition, then, otherwise],
            ExprKind::Tuple(parts) | ExprKind::Call(_, parts) => parts.iter().collect(),
        }
    }

    /// Whether statements are run where it is evaluated, which may leave the probe.
    pub fn has_statements(&self) -> bool {
        matches!(self.kind, ExprKind::Block(..)) || self.children().into_iter().any(Expr::has_statements)
    }

    /// Whether evaluating it changes anything.
    pub fn has_effect(&self) -> bool {
        matches!(
            self.kind,
            ExprKind::Step { .. } | ExprKind::Delete(_) | ExprKind::Find(..) | ExprKind::Block(..)
        ) || matches!(self.kind, ExprKind::Call(intrinsic, _) if intrinsic.has_effect())
            || self.children().into_iter().any(Expr::has_effect)
    }
}

#[derive(Clone, Debug)]
pub enum StepPlace {
    Local(LocalId),
    Map(Element),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// Arithmetic negation.
    Neg,
    /// `~`.
    Not,
    /// `!`.
    IsZero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

impl BinaryOp {
    /// As a script writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
            BinaryOp::Xor => "^",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// The way from a structure to one of its members, through nested and anonymous ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// `(structure, index of the member)`, outermost first; never empty.
    pub steps: Vec<(StructId, u32)>,
    /// From the start of the outermost structure, in bytes; for a bit-field, of the storage unit that holds it.
    pub offset: u32,
    pub bits: Option<BitField>,
}

/// Bits of a storage unit, counted from its least significant bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField {
    /// Size of the storage unit in bytes: 1, 2, 4 or 8.
    pub unit: u8,
    pub shift: u8,
    pub width: u8,
}

/// The functions and variables that the compiler itself knows how to compute. `builtins.rs` has their
/// signatures; the arguments named here are those that remain after checking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intrinsic {
    /// `() -> u32`: in the initial pid namespace.
    Pid,
    Tid,
    Uid,
    Gid,
    /// `() -> string[16]`.
    Comm,
    Cpu,
    /// `() -> u64` nanoseconds.
    Nsecs(Clock),
    /// `() -> u64` nanoseconds since tracing began.
    Elapsed,
    /// `() -> struct task_struct *`.
    Curtask,
    Rand,
    /// `() -> probe`.
    Probe,
    /// `() -> u64`: id of the cgroup.
    Cgroup,
    Jiffies,
    Numaid,
    /// `(pointer[, length]) -> string[n]`: reads text; the pointer's space says whose.
    Str,
    /// `(pointer[, length]) -> buffer[n]`.
    Buf,
    /// `() -> stack`: the type says which and how many frames.
    Stack,
    /// `(address) -> inet`: an integer in network order is IPv4; an array of 4 or 16 bytes.
    Ntop,
    /// `(family, address) -> inet`: an integer, or the address of the bytes.
    NtopFamily,
    /// `(number) -> number` of the same width.
    ByteSwap,
    /// `(address) -> usym`.
    UserSymbol,
    /// `(place of six bytes) -> mac`.
    Mac,
    /// `(string) -> u64` length without the NUL.
    StrLen,
    /// `(stack) -> u64`: its number of frames.
    StackLen,
    /// `() -> u64`: where the uprobe is in the process (6.7 and later); of a return, where the function begins.
    ProbeAddress,
    /// `(text, part) -> i64`: where the part begins in the text, or -1.
    Find,
    /// `(a, b) -> string[n]`: one behind the other.
    Concat,
    /// `(buffer, buffer) -> i64`: less than, equal to or greater than 0.
    CompareBytes,
    /// `(device, inode) -> u32`: the process in the namespace of processes with this file.
    PidInside,
    TidInside,
    /// `() -> pointer`: the program's context.
    Context,
    /// `() -> u8`: 1 where the CPU was in user mode.
    UserMode,
    /// `() -> u64`: the register at this offset of the context.
    Register(u32),
    /// `(number)`: the probed function returns this without being run.
    Override,
    /// `(address, buffer)`: writes the buffer to user memory.
    WriteUser,
    /// `(number)`: sends a signal to the running process.
    Signal,
    /// `(number)`: sends a signal to the running thread.
    SignalThread,
    /// `(format, args…)`: prints to the kernel's trace pipe. The format is a literal; there are up to three numbers or
    /// strings.
    TracePrint,
    /// `(format, args…)`: prints into the file that an iterator is read by. The format is a literal of the kernel's own
    /// `printf`; there are up to twelve arguments, numbers of 64 bits and at most one string.
    SeqPrint,
    /// `(args…) -> number`: calls a function of [`Program::foreign`]. Each argument has the type of its parameter.
    Foreign(u32),
}

impl Intrinsic {
    /// Whether it changes anything.
    pub fn has_effect(self) -> bool {
        matches!(
            self,
            Intrinsic::Signal
                | Intrinsic::SignalThread
                | Intrinsic::TracePrint
                | Intrinsic::SeqPrint
                | Intrinsic::WriteUser
                | Intrinsic::Override
                | Intrinsic::Foreign(_)
        )
    }
}
