//! Comparing text, and other values that are no scalars.

use rtscript_lang::typed::{Expr, ExprKind, Intrinsic};
use rtscript_lang::types::Type;

use super::Lowering;
use super::memory::{Address, Memory, size_of};
use crate::insn::{Cond, Size};
use crate::ir::{Block, Operand, Value};

impl Lowering<'_, '_> {
    /// Branches on whether two values that are no scalars are equal.
    pub(super) fn equal(&mut self, left: &Expr, right: &Expr, same: Block, different: Block) {
        match (&left.ty, &right.ty) {
            (Type::String(_), _) | (_, Type::String(_)) => {
                self.equal_text(left, right, None, same, different)
            }
            _ => {
                let size = self.structs().layout(&left.ty).size;
                let (a, b) = (self.exact_place(left), self.exact_place(right));
                let mut offset = 0;
                while offset < size {
                    // What lies behind the value is not part of it.
                    let bytes = 1 << (size - offset).min(8).ilog2();
                    let x = self.read_int(&a.plus(offset), size_of(bytes), false, left.span);
                    let y = self.read_int(&b.plus(offset), size_of(bytes), false, right.span);
                    self.go_on_if(Cond::Eq, x, Operand::Value(y), different);
                    offset += bytes;
                }
                self.b.jump(same, &[]);
            }
        }
    }

    /// A copy in our memory of which equal values have equal bytes.
    fn exact_place(&mut self, expr: &Expr) -> Address {
        let to = self.temporary(&expr.ty);
        self.write(expr, &to, true);
        to
    }

    /// Branches on whether two strings are equal up to their NUL, or in their first `prefix` bytes.
    pub(super) fn equal_text(
        &mut self,
        left: &Expr,
        right: &Expr,
        prefix: Option<u32>,
        same: Block,
        different: Block,
    ) {
        match (literal(left), literal(right)) {
            (Some(a), Some(b)) => {
                let end = prefix.map_or(usize::MAX, |n| n as usize);
                let cut = |text: &[u8]| text[..text.len().min(end)].to_vec();
                self.b.jump(if cut(a) == cut(b) { same } else { different }, &[]);
            }
            (None, Some(text)) => self.equal_literal(left, text, prefix, same, different),
            (Some(text), None) => self.equal_literal(right, text, prefix, same, different),
            (None, None) => self.equal_bytes(left, right, prefix, same, different),
        }
    }

    /// Compares with a literal, as many bytes as it has, by the widest loads.
    fn equal_literal(
        &mut self,
        expr: &Expr,
        text: &[u8],
        prefix: Option<u32>,
        same: Block,
        different: Block,
    ) {
        let mut wanted = text.to_vec();
        wanted.push(0);
        if let Some(prefix) = prefix {
            wanted.truncate(prefix as usize);
        }
        let capacity = expr.ty.capacity().unwrap_or(wanted.len() as u32);
        if wanted.len() as u32 > capacity {
            // The bytes of a shorter text decide; one that fills its capacity has no NUL to compare.
            wanted.truncate(capacity as usize);
        }
        let place = self.text_place(expr, wanted.len() as u32 + 1);
        let mut done = 0;
        while done < wanted.len() {
            let at = place.plus(done as u32);
            let left = wanted.len() - done;
            let aligned = match at.memory {
                Memory::Own | Memory::Context => 1usize << (at.offset as u32).trailing_zeros().min(3),
                Memory::Kernel | Memory::User | Memory::Either => 8,
            };
            let bytes = 1 << left.min(aligned).ilog2();
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(&wanted[done..done + bytes]);
            let value = self.read_int(&at, size_of(bytes as u32), false, expr.span);
            let expected = self.b.iconst(i64::from_le_bytes(word));
            self.go_on_if(Cond::Eq, value, Operand::Value(expected), different);
            done += bytes;
        }
        self.b.jump(same, &[]);
    }

    /// Compares byte by byte up to the first NUL, bounded by the smaller capacity.
    fn equal_bytes(&mut self, left: &Expr, right: &Expr, prefix: Option<u32>, same: Block, different: Block) {
        let capacity = |expr: &Expr| expr.ty.capacity().unwrap_or(0);
        let rounds = capacity(left).min(capacity(right)).min(prefix.unwrap_or(u32::MAX));
        let most = rounds + 1;
        let (a, b) = (self.text_place(left, most), self.text_place(right, most));
        let (a, b) = (self.readable(a, left, most), self.readable(b, right, most));
        self.counted_loop(rounds, |this, index, after| {
            let (at_a, at_b) = (this.element(&a, index, 1), this.element(&b, index, 1));
            let x = this.read_int(&at_a, Size::B, false, left.span);
            let y = this.read_int(&at_b, Size::B, false, right.span);
            this.go_on_if(Cond::Eq, x, Operand::Value(y), different);
            this.go_on_if(Cond::Ne, x, Operand::Imm(0), after);
        });
        self.b.jump(same, &[]);
    }

    /// Goes on where the comparison holds, and leaves for `otherwise` where not.
    pub(super) fn go_on_if(&mut self, cond: Cond, left: Value, right: Operand, otherwise: Block) {
        let next = self.b.block();
        self.b.branch(cond, left, right, next, otherwise);
        self.b.switch_sealed(next);
    }

    /// Where a string is, of which only so many bytes matter: `str()` reads no more than those.
    fn text_place(&mut self, expr: &Expr, most: u32) -> Address {
        match &expr.kind {
            ExprKind::Call(Intrinsic::Str, args) => {
                let capacity = expr.ty.capacity().map_or(most, |capacity| capacity.min(most));
                let from = self.text_source(&args[0]);
                let slot = self.b.slot(capacity);
                let to = self.slot_address(slot);
                self.clear(&to, 8.min(capacity.next_multiple_of(8)));
                let length = self.text_limit(args.get(1), capacity);
                self.read_text_into(&from, &to, length, expr.span);
                to
            }
            _ => self.place(expr),
        }
    }

    /// The same text where single bytes at variable offsets can be read.
    fn readable(&mut self, place: Address, expr: &Expr, most: u32) -> Address {
        if place.memory == Memory::Own {
            return place;
        }
        let capacity = expr.ty.capacity().map_or(most, |capacity| capacity.min(most));
        let slot = self.b.slot(capacity);
        let to = self.slot_address(slot);
        let length = self.b.iconst(i64::from(capacity));
        self.read_text_into(&place, &to, length, expr.span);
        to
    }

    /// The number of bytes before the NUL.
    pub(super) fn text_length(&mut self, expr: &Expr) -> Value {
        let capacity = expr.ty.capacity().unwrap_or(0);
        let place = self.text_place(expr, capacity);
        let place = self.readable(place, expr, capacity);
        let count = self.b.variable();
        let zero = self.b.iconst(0);
        self.b.set(count, zero);
        self.counted_loop(capacity, |this, index, after| {
            let at = this.element(&place, index, 1);
            let byte = this.read_int(&at, Size::B, false, expr.span);
            this.go_on_if(Cond::Ne, byte, Operand::Imm(0), after);
            let next = this.b.add(index, Operand::Imm(1));
            this.b.set(count, next);
        });
        self.b.get(count)
    }
}

fn literal(expr: &Expr) -> Option<&[u8]> {
    match &expr.kind {
        ExprKind::String(text) => Some(text),
        _ => None,
    }
}
