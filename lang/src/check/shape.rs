//! What is known of a variable's type while it is being found out: a lattice of finite height.
//!
//! A [`Shape`] is a type that can still widen. [`Shape::join`] gives the least shape that holds both, or nothing
//! where no type holds both. A literal that is not negative has no sign of its own: it takes that of its
//! company.
//!
//! ```text
//!   conflict (never stored)
//!   int64  uint64   string[n] ...   pointer   (tuples of shapes)
//!     \     /           |              |
//!    smaller ones   string[n-1]    literal 0
//!        |
//!     literal
//! ```

use crate::aggregate::Aggregate;
use crate::names;
use crate::types::{Int, Space, Structs, Type};

#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Int(IntShape),
    Bool,
    String(u32),
    Buffer(u32),
    Tuple(Vec<Shape>),
    /// Records with the same names are alike, whatever their order; the first one's order counts.
    Record(Vec<(String, Shape)>),
    Aggregate(Aggregate),
    /// Any other type: it joins with itself alone, and a pointer with 0.
    Exactly(Type),
}

/// What was seen of a number: sizes in bytes, 0 where there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IntShape {
    pub signed: u8,
    pub unsigned: u8,
    /// The largest literal that is not negative.
    pub literal: Option<u64>,
    /// It is counted up or down, or is the sum of others, and needs all 64 bits.
    pub wide: bool,
}

impl IntShape {
    fn of(int: Int) -> IntShape {
        if int.signed {
            IntShape { signed: int.size, ..IntShape::default() }
        } else {
            IntShape { unsigned: int.size, ..IntShape::default() }
        }
    }

    fn join(self, other: IntShape) -> IntShape {
        IntShape {
            signed: self.signed.max(other.signed),
            unsigned: self.unsigned.max(other.unsigned),
            literal: self.literal.max(other.literal),
            wide: self.wide || other.wide,
        }
    }

    /// Only literals were seen, so the sign is still open.
    pub fn is_flexible(self) -> bool {
        self.signed == 0 && self.unsigned == 0
    }

    /// Whether no type of 64 bits holds everything that was seen.
    pub fn is_lossy(self) -> bool {
        self.unsigned == 8 && self.signed > 0
    }

    pub fn int(self) -> Int {
        let as_signed = self.literal.map_or(0, |literal| smallest(literal).size);
        let as_unsigned = self.literal.map_or(0, unsigned_size);
        let int = match (self.signed, self.unsigned) {
            (0, 0) => self.literal.map_or(Int::I64, smallest),
            (0, unsigned) => Int { size: unsigned.max(as_unsigned), signed: false },
            (signed, 0) => Int { size: signed.max(as_signed), signed: true },
            (signed, unsigned) => {
                // A signed type holds an unsigned one that is smaller.
                let size = signed.max(as_signed).max(unsigned.saturating_mul(2)).min(8);
                Int { size, signed: true }
            }
        };
        if self.wide { Int { size: 8, signed: int.signed } } else { int }
    }
}

/// The smallest signed type that holds a literal; above `i64::MAX` that is `uint64`.
pub fn smallest(literal: u64) -> Int {
    match literal {
        0..=0x7f => Int::I8,
        0x80..=0x7fff => Int::I16,
        0x8000..=0x7fff_ffff => Int::I32,
        0x8000_0000..=0x7fff_ffff_ffff_ffff => Int::I64,
        0x8000_0000_0000_0000..=u64::MAX => Int::U64,
    }
}

/// The smallest signed type that holds a number.
pub fn smallest_signed(value: i64) -> Int {
    smallest(if value < 0 { !value as u64 } else { value as u64 })
}

fn unsigned_size(literal: u64) -> u8 {
    match literal {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        0x1_0000_0000..=u64::MAX => 8,
    }
}

impl Shape {
    pub fn of_type(ty: &Type) -> Shape {
        match ty {
            Type::Int(int) => Shape::Int(IntShape::of(*int)),
            Type::Bool => Shape::Bool,
            Type::String(capacity) => Shape::String(*capacity),
            Type::Buffer(capacity) => Shape::Buffer(*capacity),
            Type::Tuple(types) => Shape::Tuple(types.iter().map(Shape::of_type).collect()),
            Type::Record(fields) => {
                let field = |(name, ty): &(String, Type)| (name.clone(), Shape::of_type(ty));
                Shape::Record(fields.iter().map(field).collect())
            }
            Type::Aggregate(aggregate) => Shape::Aggregate(*aggregate),
            Type::Void
            | Type::Enum(_)
            | Type::Pointer(..)
            | Type::Struct(_)
            | Type::Array(..)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe => Shape::Exactly(ty.clone()),
        }
    }

    pub fn literal(value: u64) -> Shape {
        Shape::Int(IntShape { literal: Some(value), ..IntShape::default() })
    }

    /// A number of any sign that may become large.
    pub fn any_number() -> Shape {
        Shape::Int(IntShape { literal: Some(0), wide: true, ..IntShape::default() })
    }

    /// A number that is counted: 64 bits, and the sign of whatever else is known.
    pub fn counter() -> Shape {
        Shape::Int(IntShape { wide: true, ..IntShape::default() })
    }

    /// A number that is counted down: it may fall below zero.
    pub fn difference() -> Shape {
        Shape::Int(IntShape { signed: 1, wide: true, ..IntShape::default() })
    }

    /// The same with all numbers 64 bits wide.
    pub fn widened(mut self) -> Shape {
        if let Shape::Int(int) = &mut self {
            int.wide = true;
        }
        self
    }

    /// The least shape that holds both; `None` where there is none.
    pub fn join(&self, other: &Shape, structs: &Structs) -> Option<Shape> {
        match (self, other) {
            (Shape::Int(a), Shape::Int(b)) => Some(Shape::Int(a.join(*b))),
            (Shape::Bool, Shape::Bool) => Some(Shape::Bool),
            (Shape::Int(int), Shape::Bool) | (Shape::Bool, Shape::Int(int)) => {
                Some(Shape::Int(int.join(IntShape { literal: Some(1), ..IntShape::default() })))
            }
            (Shape::String(a), Shape::String(b)) => Some(Shape::String(*a.max(b))),
            (Shape::Buffer(a), Shape::Buffer(b)) => Some(Shape::Buffer(*a.max(b))),
            (Shape::Tuple(a), Shape::Tuple(b)) if a.len() == b.len() => {
                let parts = a.iter().zip(b).map(|(a, b)| a.join(b, structs)).collect::<Option<_>>()?;
                Some(Shape::Tuple(parts))
            }
            (Shape::Record(a), Shape::Record(b)) if a.len() == b.len() => {
                let join = |(name, shape): &(String, Shape)| {
                    let (_, other) = b.iter().find(|(known, _)| known == name)?;
                    Some((name.clone(), shape.join(other, structs)?))
                };
                Some(Shape::Record(a.iter().map(join).collect::<Option<_>>()?))
            }
            (Shape::Aggregate(a), Shape::Aggregate(b)) => join_aggregates(*a, *b).map(Shape::Aggregate),
            (Shape::Exactly(Type::Pointer(..)), Shape::Int(int)) if int.is_null() => Some(self.clone()),
            (Shape::Int(int), Shape::Exactly(Type::Pointer(..))) if int.is_null() => Some(other.clone()),
            (Shape::Exactly(Type::Enum(id)), Shape::Int(int))
            | (Shape::Int(int), Shape::Exactly(Type::Enum(id))) => {
                let Shape::Int(of_enum) = Shape::of_type(&Type::Int(structs.enums[*id].int)) else {
                    return None;
                };
                Some(Shape::Int(int.join(of_enum)))
            }
            // Of several enumerations there are only the numbers.
            (Shape::Exactly(Type::Enum(a)), Shape::Exactly(Type::Enum(b))) if a != b => {
                let of_enum = |id: &_| IntShape::of(structs.enums[*id].int);
                Some(Shape::Int(of_enum(a).join(of_enum(b))))
            }
            (Shape::Exactly(a @ Type::Pointer(..)), Shape::Exactly(b @ Type::Pointer(..))) => {
                join_pointers(a, b).map(Shape::Exactly)
            }
            (Shape::Exactly(Type::Stack(a)), Shape::Exactly(Type::Stack(b)))
                if a.space == b.space && a.mode == b.mode =>
            {
                Some(if a.frames >= b.frames { self.clone() } else { other.clone() })
            }
            // What stands for a text is one beside others.
            (Shape::Exactly(Type::Label(label)), Shape::String(capacity))
            | (Shape::String(capacity), Shape::Exactly(Type::Label(label)))
                if label.is_text() =>
            {
                Some(Shape::String(names::TEXT.max(*capacity)))
            }
            (Shape::Exactly(Type::Label(a)), Shape::Exactly(Type::Label(b)))
                if a != b && a.is_text() && b.is_text() =>
            {
                Some(Shape::String(names::TEXT))
            }
            (Shape::Exactly(a), Shape::Exactly(b)) if a == b => Some(self.clone()),
            (
                Shape::Int(_)
                | Shape::Bool
                | Shape::String(_)
                | Shape::Buffer(_)
                | Shape::Tuple(_)
                | Shape::Record(_)
                | Shape::Aggregate(_)
                | Shape::Exactly(_),
                Shape::Int(_)
                | Shape::Bool
                | Shape::String(_)
                | Shape::Buffer(_)
                | Shape::Tuple(_)
                | Shape::Record(_)
                | Shape::Aggregate(_)
                | Shape::Exactly(_),
            ) => None,
        }
    }

    /// The type that holds everything that was seen.
    pub fn ty(&self) -> Type {
        match self {
            Shape::Int(int) => Type::Int(int.int()),
            Shape::Bool => Type::Bool,
            Shape::String(capacity) => Type::String(*capacity),
            Shape::Buffer(capacity) => Type::Buffer(*capacity),
            Shape::Tuple(parts) => Type::Tuple(parts.iter().map(Shape::ty).collect()),
            Shape::Record(fields) => {
                Type::Record(fields.iter().map(|(name, shape)| (name.clone(), shape.ty())).collect())
            }
            Shape::Aggregate(aggregate) => Type::Aggregate(*aggregate),
            Shape::Exactly(ty) => ty.clone(),
        }
    }

    pub fn is_flexible(&self) -> bool {
        matches!(self, Shape::Int(int) if int.is_flexible())
    }
}

impl IntShape {
    fn is_null(self) -> bool {
        self == IntShape { literal: Some(0), ..IntShape::default() }
    }
}

/// The pointer that stands for both: one to kernel memory and one to user memory are told apart while the program runs.
fn join_pointers(a: &Type, b: &Type) -> Option<Type> {
    let (Type::Pointer(to_a, space_a), Type::Pointer(to_b, space_b)) = (a, b) else {
        return (a == b).then(|| a.clone());
    };
    let space = match (space_a, space_b) {
        _ if space_a == space_b => *space_a,
        (Space::Context, _) | (_, Space::Context) => return None,
        (Space::Kernel | Space::User | Space::Either, Space::Kernel | Space::User | Space::Either) => {
            Space::Either
        }
    };
    let to = match (&**to_a, &**to_b) {
        (to, Type::Void) | (Type::Void, to) => to.clone(),
        // What is pointed at widens as numbers themselves do.
        (Type::Int(a), Type::Int(b)) => Type::Int(IntShape::of(*a).join(IntShape::of(*b)).int()),
        (to_a, to_b) => join_pointers(to_a, to_b)?,
    };
    Some(Type::pointer(to, space))
}

/// The same function of values of either sign is the signed one; all else must be equal.
fn join_aggregates(a: Aggregate, b: Aggregate) -> Option<Aggregate> {
    let either = |a: bool, b: bool| a || b;
    match (a, b) {
        (Aggregate::Sum { signed: a }, Aggregate::Sum { signed: b }) => {
            Some(Aggregate::Sum { signed: either(a, b) })
        }
        (Aggregate::Min { signed: a }, Aggregate::Min { signed: b }) => {
            Some(Aggregate::Min { signed: either(a, b) })
        }
        (Aggregate::Max { signed: a }, Aggregate::Max { signed: b }) => {
            Some(Aggregate::Max { signed: either(a, b) })
        }
        (Aggregate::Avg { signed: a }, Aggregate::Avg { signed: b }) => {
            Some(Aggregate::Avg { signed: either(a, b) })
        }
        (Aggregate::Stats { signed: a }, Aggregate::Stats { signed: b }) => {
            Some(Aggregate::Stats { signed: either(a, b) })
        }
        (
            Aggregate::Tseries { keep, signed: a, interval, intervals },
            Aggregate::Tseries { keep: k, signed: b, interval: l, intervals: n },
        ) if (keep, interval, intervals) == (k, l, n) => {
            Some(Aggregate::Tseries { keep, signed: either(a, b), interval, intervals })
        }
        (
            Aggregate::Count
            | Aggregate::Sum { .. }
            | Aggregate::Min { .. }
            | Aggregate::Max { .. }
            | Aggregate::Avg { .. }
            | Aggregate::Stats { .. }
            | Aggregate::Hist { .. }
            | Aggregate::Lhist { .. }
            | Aggregate::Tseries { .. },
            Aggregate::Count
            | Aggregate::Sum { .. }
            | Aggregate::Min { .. }
            | Aggregate::Max { .. }
            | Aggregate::Avg { .. }
            | Aggregate::Stats { .. }
            | Aggregate::Hist { .. }
            | Aggregate::Lhist { .. }
            | Aggregate::Tseries { .. },
        ) => (a == b).then_some(a),
    }
}
