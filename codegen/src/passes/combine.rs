//! Folds additions into the displacements of loads and stores, constants into operands, and comparisons into branches.
//! Leaves what is no longer used to `dead`.

use super::clean::{constant, replace_values};
use super::dominance::Flow;
use crate::insn::{AluOp, Cond};
use crate::ir::builder::{fold, holds};
use crate::ir::{Def, Function, Op, Operand, Terminator, Value};
use crate::object::{Access, AccessId};
use cranelift_entity::{PrimaryMap, SecondaryMap};

pub fn combine(function: &mut Function, accesses: &PrimaryMap<AccessId, Access>) {
    let mut replaced: SecondaryMap<Value, Option<Value>> = SecondaryMap::new();
    for block in Flow::of(function).order {
        for index in 0..function.blocks[block].insts.len() {
            let inst = function.blocks[block].insts[index];
            let mut op = function.insts[inst].op.clone();
            // Each round peels one addition; a chain of them is short.
            while let Some(better) = simpler(function, &op, accesses) {
                op = better;
            }
            if let (Some(same), Some(result)) = (unchanged(&op), function.insts[inst].result) {
                replaced[result] = Some(same);
            }
            function.insts[inst].op = op;
        }
        let mut terminator = function.blocks[block].terminator.clone();
        while fuse(function, &mut terminator) {}
        function.blocks[block].terminator = terminator;
    }
    replace_values(function, &replaced);
}

/// The value that an operation leaves as it is.
fn unchanged(op: &Op) -> Option<Value> {
    use AluOp::{Add, Arsh, Div, Lsh, Mul, Or, Rsh, Sdiv, Sub, Xor};
    let Op::Binary(alu, value, Operand::Imm(imm)) = op else { return None };
    let neutral = match imm {
        0 => matches!(alu, Add | Sub | Or | Xor | Lsh | Rsh | Arsh),
        1 => matches!(alu, Mul | Div | Sdiv),
        _ => false,
    };
    neutral.then_some(*value)
}

fn op_of(function: &Function, value: Value) -> Option<&Op> {
    match function.values[value] {
        Def::Inst(inst) => Some(&function.insts[inst].op),
        Def::Param(..) => None,
    }
}

/// `value + constant`, if that is what it is.
fn sum(function: &Function, value: Value) -> Option<(Value, i32)> {
    let Op::Binary(AluOp::Add, left, Operand::Imm(imm)) = op_of(function, value)? else { return None };
    Some((*left, *imm))
}

/// A displacement that an instruction can have.
fn fits(displacement: i32) -> bool {
    i16::try_from(displacement).is_ok()
}

fn simpler(function: &Function, op: &Op, accesses: &PrimaryMap<AccessId, Access>) -> Option<Op> {
    let small = |operand: &Operand| match operand {
        Operand::Value(value) => constant(function, *value).and_then(|number| i32::try_from(number).ok()),
        Operand::Imm(_) => None,
    };
    match op {
        Op::Binary(alu, left, right) => {
            if let Some(imm) = small(right) {
                return Some(Op::Binary(*alu, *left, Operand::Imm(imm)));
            }
            let Operand::Imm(imm) = right else { return None };
            if let Some(number) = constant(function, *left) {
                return Some(Op::Const(fold(*alu, number, i64::from(*imm))));
            }
            if *alu == AluOp::Sub {
                return Some(Op::Binary(AluOp::Add, *left, Operand::Imm(imm.checked_neg()?)));
            }
            if *alu != AluOp::Add {
                return None;
            }
            if let Op::SlotAddr(slot, offset) = op_of(function, *left)? {
                return Some(Op::SlotAddr(*slot, offset.checked_add(*imm)?));
            }
            let (inner, other) = sum(function, *left)?;
            Some(Op::Binary(AluOp::Add, inner, Operand::Imm(other.checked_add(*imm)?)))
        }
        Op::Compare(cond, left, right) => {
            if let Some(imm) = small(right) {
                return Some(Op::Compare(*cond, *left, Operand::Imm(imm)));
            }
            if let (Some(number), Operand::Imm(imm)) = (constant(function, *left), right) {
                return Some(Op::Const(i64::from(holds(*cond, number, i64::from(*imm)))));
            }
            let (left, right) = turned(function, *left, right)?;
            Some(Op::Compare(mirrored(*cond), left, Operand::Imm(right)))
        }
        Op::Load { size, signed, base, displacement, field } => {
            let (size, signed, displacement) = (*size, *signed, *displacement);
            if let Some((inner, imm)) = sum(function, *base) {
                let displacement = displacement.checked_add(imm).filter(|d| fits(*d))?;
                // A relocated displacement must be the member's offset alone.
                return field.is_none().then_some(Op::Load {
                    size,
                    signed,
                    base: inner,
                    displacement,
                    field: None,
                });
            }
            if field.is_some() || displacement != 0 {
                return None;
            }
            let Op::Binary(AluOp::Add, inner, Operand::Value(offset)) = op_of(function, *base)? else {
                return None;
            };
            let Op::FieldOffset(access) = op_of(function, *offset)? else { return None };
            let displacement = i32::try_from(accesses[*access].offset).ok().filter(|d| fits(*d))?;
            Some(Op::Load { size, signed, base: *inner, displacement, field: Some(*access) })
        }
        Op::Store { size, base, displacement, value } => {
            if let Some(imm) = small(value) {
                let value = Operand::Imm(imm);
                return Some(Op::Store { size: *size, base: *base, displacement: *displacement, value });
            }
            let (base, imm) = sum(function, *base)?;
            let displacement = displacement.checked_add(imm).filter(|d| fits(*d))?;
            Some(Op::Store { size: *size, base, displacement, value: *value })
        }
        Op::Atomic { op, size, base, displacement, value } => {
            let (base, imm) = sum(function, *base)?;
            let displacement = displacement.checked_add(imm).filter(|d| fits(*d))?;
            Some(Op::Atomic { op: *op, size: *size, base, displacement, value: *value })
        }
        Op::AtomicFetch { op, size, base, displacement, value } => {
            let (base, imm) = sum(function, *base)?;
            let displacement = displacement.checked_add(imm).filter(|d| fits(*d))?;
            Some(Op::AtomicFetch { op: *op, size: *size, base, displacement, value: *value })
        }
        Op::CompareExchange { base, displacement, expected, value } => {
            let (base, imm) = sum(function, *base)?;
            let displacement = displacement.checked_add(imm).filter(|d| fits(*d))?;
            Some(Op::CompareExchange { base, displacement, expected: *expected, value: *value })
        }
        Op::Const(_)
        | Op::Neg(_)
        | Op::ZeroExtend(..)
        | Op::SignExtend(..)
        | Op::ByteSwap(..)
        | Op::SlotAddr(..)
        | Op::MapRef(_)
        | Op::GlobalAddr(_)
        | Op::CallbackRef(_)
        | Op::FieldOffset(_)
        | Op::FieldShift(..)
        | Op::ReadonlyCast(_)
        | Op::Call(..) => None,
    }
}

/// Makes a branch on the result of a comparison a branch on the comparison, and constants immediates.
fn fuse(function: &Function, terminator: &mut Terminator) -> bool {
    let Terminator::Branch { cond, left, right, .. } = terminator else { return false };
    if let Operand::Value(value) = right
        && let Some(imm) = constant(function, *value).and_then(|number| i32::try_from(number).ok())
    {
        *right = Operand::Imm(imm);
        return true;
    }
    if let Some((value, imm)) = turned(function, *left, right) {
        (*cond, *left, *right) = (mirrored(*cond), value, Operand::Imm(imm));
        return true;
    }
    let (Some(Op::Compare(inner, a, b)), Operand::Imm(0)) = (op_of(function, *left), &right) else {
        return false;
    };
    let fused = if *cond == Cond::Ne { Some(*inner) } else { inverse(*inner).filter(|_| *cond == Cond::Eq) };
    let Some(fused) = fused else { return false };
    (*cond, *left, *right) = (fused, *a, *b);
    true
}

/// The condition that holds where this one does not; a test of bits has none.
pub fn inverse(cond: Cond) -> Option<Cond> {
    Some(match cond {
        Cond::Eq => Cond::Ne,
        Cond::Ne => Cond::Eq,
        Cond::Gt => Cond::Le,
        Cond::Ge => Cond::Lt,
        Cond::Lt => Cond::Ge,
        Cond::Le => Cond::Gt,
        Cond::Sgt => Cond::Sle,
        Cond::Sge => Cond::Slt,
        Cond::Slt => Cond::Sge,
        Cond::Sle => Cond::Sgt,
        Cond::Set => return None,
    })
}

/// The two sides of a comparison the other way round, where that makes a constant an immediate.
fn turned(function: &Function, left: Value, right: &Operand) -> Option<(Value, i32)> {
    let Operand::Value(right) = right else { return None };
    let imm = i32::try_from(constant(function, left)?).ok()?;
    Some((*right, imm))
}

/// The condition that holds for the two sides the other way round.
fn mirrored(cond: Cond) -> Cond {
    match cond {
        Cond::Eq | Cond::Ne | Cond::Set => cond,
        Cond::Gt => Cond::Lt,
        Cond::Ge => Cond::Le,
        Cond::Lt => Cond::Gt,
        Cond::Le => Cond::Ge,
        Cond::Sgt => Cond::Slt,
        Cond::Sge => Cond::Sle,
        Cond::Slt => Cond::Sgt,
        Cond::Sle => Cond::Sge,
    }
}
