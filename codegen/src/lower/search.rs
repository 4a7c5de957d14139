//! Searching, joining and comparing text and bytes.

use rtscript_lang::typed::{Expr, ExprKind, Intrinsic};
use rtscript_lang::types::Type;

use super::Lowering;
use super::memory::Address;
use crate::insn::{AluOp, Cond, Size, SwapBits};
use crate::ir::{Op, Operand, Place, Value};

impl Lowering<'_, '_> {
    /// Where a text has a part that is the other one, or -1.
    pub(super) fn find_text(&mut self, text: &Expr, part: &Expr) -> Value {
        match &part.kind {
            ExprKind::String(literal) => self.find_literal(text, literal),
            _ => self.find_variable(text, part),
        }
    }

    /// The last eight bytes that were seen are kept in a register, and compared with the first eight of the literal.
    fn find_literal(&mut self, text: &Expr, literal: &[u8]) -> Value {
        if literal.is_empty() {
            self.place(text);
            return self.b.iconst(0);
        }
        let capacity = capacity(text);
        let head = literal.len().min(8);
        let place = self.own_text(text, literal.len() as u32);
        let wanted = literal[..head].iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let mask = if head == 8 { u64::MAX } else { (1 << (8 * head)) - 1 };
        let wanted = self.b.iconst(wanted as i64);
        let mask = self.b.iconst(mask as i64);
        let (found, window) = (self.b.variable(), self.b.variable());
        let (none, zero) = (self.b.iconst(-1), self.b.iconst(0));
        self.b.set(found, none);
        self.b.set(window, zero);
        self.counted_loop(capacity, |this, index, after| {
            let at = this.element(&place, index, 1);
            let byte = this.read_int(&at, Size::B, false, text.span);
            this.go_on_if(Cond::Ne, byte, Operand::Imm(0), after);
            let seen = this.b.get(window);
            let seen = this.b.binary(AluOp::Lsh, seen, Operand::Imm(8));
            let seen = this.b.binary(AluOp::Or, seen, Operand::Value(byte));
            this.b.set(window, seen);
            let seen = this.b.binary(AluOp::And, seen, Operand::Value(mask));
            let (candidate, next) = (this.b.block(), this.b.block());
            this.b.branch(Cond::Eq, seen, Operand::Value(wanted), candidate, next);
            this.b.switch_sealed(candidate);
            for (distance, byte) in (1..).zip(&literal[head..]) {
                // There is room for the literal behind the text.
                let other = this.read_int(&at.plus(distance), Size::B, false, text.span);
                this.go_on_if(Cond::Eq, other, Operand::Imm(i32::from(*byte)), next);
            }
            let start = this.b.add(index, Operand::Imm(1 - head as i32));
            this.b.set(found, start);
            this.b.jump(after, &[]);
            this.b.switch_sealed(next);
        });
        self.b.get(found)
    }

    /// Every place of the text whose byte is the part's first one is held against the part.
    fn find_variable(&mut self, text: &Expr, part: &Expr) -> Value {
        let (text_room, part_room) = (capacity(text), capacity(part));
        let place = self.own_text(text, part_room);
        let wanted = self.own_text(part, 1);
        let first = self.read_int(&wanted, Size::B, false, part.span);
        let found = self.b.variable();
        let none = self.b.iconst(-1);
        self.b.set(found, none);
        self.counted_loop(text_room, |this, index, after| {
            let at = this.element(&place, index, 1);
            let byte = this.read_int(&at, Size::B, false, text.span);
            let (compare, other, next) = (this.b.block(), this.b.block(), this.b.block());
            // The empty part is everywhere.
            let same = this.b.block();
            this.b.branch(Cond::Eq, first, Operand::Imm(0), same, compare);
            this.b.switch_sealed(compare);
            let inside = this.b.block();
            this.b.branch(Cond::Eq, byte, Operand::Value(first), inside, other);
            this.b.switch_sealed(inside);
            this.counted_loop(part_room, |this, ahead, ended| {
                let from = this.element(&wanted, ahead, 1);
                let wanted = this.read_int(&from, Size::B, false, part.span);
                this.go_on_if(Cond::Ne, wanted, Operand::Imm(0), ended);
                let here = this.element(&at, ahead, 1);
                let here = this.read_int(&here, Size::B, false, text.span);
                this.go_on_if(Cond::Eq, here, Operand::Value(wanted), other);
            });
            this.b.jump(same, &[]);
            this.b.switch_sealed(same);
            this.b.set(found, index);
            this.b.jump(after, &[]);
            this.b.switch_sealed(other);
            this.b.branch(Cond::Ne, byte, Operand::Imm(0), next, after);
            this.b.switch_sealed(next);
        });
        self.b.get(found)
    }

    /// A copy of a text in our memory, with room for so many bytes more behind its capacity.
    fn own_text(&mut self, text: &Expr, behind: u32) -> Address {
        let capacity = capacity(text);
        let slot = self.b.slot((capacity + behind).next_multiple_of(8));
        let to = self.slot_address(slot);
        self.put_text(text, &to, capacity);
        to
    }

    /// Where a text lies, and how many bytes of it count.
    fn text_and_limit(&mut self, text: &Expr, most: u32) -> (Address, Value) {
        match &text.kind {
            ExprKind::Call(Intrinsic::Str, args) => {
                let from = self.text_source(&args[0]);
                (from, self.text_limit(args.get(1), most))
            }
            _ => (self.place(text), self.b.iconst(i64::from(most))),
        }
    }

    /// Copies a text of at most so many bytes, its NUL included, and returns its length with the NUL, at least 1.
    fn put_text(&mut self, text: &Expr, to: &Address, most: u32) -> Value {
        self.b.store(Size::B, to.base, to.offset, Operand::Imm(0));
        let (from, limit) = self.text_and_limit(text, most);
        let length = self.read_text_into(&from, to, limit, text.span);
        let result = self.b.variable();
        let (bad, good, done) = (self.b.block(), self.b.block(), self.b.block());
        self.b.branch(Cond::Sle, length, Operand::Imm(0), bad, good);
        self.b.switch_sealed(bad);
        let one = self.b.iconst(1);
        self.b.set_known(result, one);
        self.b.jump(done, &[]);
        self.b.switch_sealed(good);
        let bounded = self.at_most(length, most);
        self.b.set_known(result, bounded);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(result)
    }

    /// `a` and `b` behind one another, in a string of this capacity.
    pub(super) fn concat(&mut self, left: &Expr, right: &Expr, to: &Address, room: u32, exact: bool) {
        let (first, second) = (capacity(left), capacity(right));
        // The helper is told that it may write `second` bytes behind up to `first` ones. Before 6.3 such a
        // place in the stack has to be initialized.
        let slot = self.b.slot_in(Place::Outside, first + second);
        let whole = self.slot_address(slot);
        let length = self.put_text(left, &whole, first);
        let end = self.b.add(length, Operand::Imm(-1));
        let end = self.at_most(end, first);
        let start = self.pointer(&whole);
        let behind = self.b.add(start, Operand::Value(end));
        self.put_text(right, &Address::own(behind, 0), second);
        self.read_text(&whole, to, room, room.next_multiple_of(8), exact, left.span);
    }

    /// Two buffers of one capacity whose bytes behind their lengths are not looked at: -1, 0 or 1.
    pub(super) fn compare_bytes(&mut self, left: &Expr, right: &Expr) -> Value {
        let (a, b) = (self.zeroed_buffer(left), self.zeroed_buffer(right));
        let words = left.ty.capacity().map_or(0, |capacity| capacity.div_ceil(8));
        let result = self.b.variable();
        let zero = self.b.iconst(0);
        self.b.set(result, zero);
        self.counted_loop(words, |this, index, after| {
            let (x, y) = (this.element(&a, index, 8), this.element(&b, index, 8));
            let x = this.read_int(&x, Size::D, false, left.span);
            let y = this.read_int(&y, Size::D, false, right.span);
            let (different, next) = (this.b.block(), this.b.block());
            this.b.branch(Cond::Eq, x, Operand::Value(y), next, different);
            this.b.switch_sealed(different);
            // The first byte that differs decides.
            let x = this.b.value(Op::ByteSwap(SwapBits::B64, x));
            let y = this.b.value(Op::ByteSwap(SwapBits::B64, y));
            let (less, more) = (this.b.block(), this.b.block());
            this.b.branch(Cond::Lt, x, Operand::Value(y), less, more);
            for (block, value) in [(less, -1), (more, 1)] {
                this.b.switch_sealed(block);
                let value = this.b.iconst(value);
                this.b.set(result, value);
                this.b.jump(after, &[]);
            }
            this.b.switch_sealed(next);
        });
        self.b.get(result)
    }

    /// The bytes of a buffer at an address of whole words, with zeros behind them.
    fn zeroed_buffer(&mut self, buffer: &Expr) -> Address {
        let room = self.structs().layout(&buffer.ty).size + 8;
        let slot = self.b.slot(room);
        let whole = self.slot_address(slot);
        match (&buffer.kind, &buffer.ty) {
            (ExprKind::Call(_, args), Type::Buffer(bytes)) if matches!(args[1].kind, ExprKind::Int(_)) => {
                // All bytes are read, so only those behind them are left.
                self.clear(&whole.plus(8 + bytes / 8 * 8), 8);
            }
            _ => self.clear(&whole, room),
        }
        // The length stands before the bytes, so that these begin at a whole word.
        self.write(buffer, &whole.plus(4), false);
        whole.plus(8)
    }
}

fn capacity(text: &Expr) -> u32 {
    text.ty.capacity().map_or(1, |capacity| capacity.max(1))
}
