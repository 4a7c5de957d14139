//! The texts of numbers that stand for something: tables in the globals, and how programs read them.
//!
//! A text that no table has is put together from the number's digits. They are collected in registers, as a number of
//! 24 bytes whose lowest byte is the first character: to put a character in front is to shift by a byte.

use rtscript_lang::names;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::mentions::{Mention, in_expr, mentions};
use rtscript_lang::typed::{Expr, Program};
use rtscript_lang::types::Type;

use super::Lowering;
use super::memory::Address;
use crate::insn::{AluOp, Cond, Size};
use crate::ir::builder::Variable;
use crate::ir::{Op, Operand, Value};
use crate::object::Table;

/// The most digits of a number of 64 bits.
const DIGITS: u32 = 20;

/// The texts of all numbers of a type, each at a multiple of `pitch` bytes behind `offset` in the globals.
pub(super) struct Texts {
    ty: Type,
    rows: Vec<String>,
    pitch: u32,
    offset: u32,
}

impl Texts {
    pub(super) fn table(&self) -> Table {
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let row = |text: &String| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.truncate(self.pitch as usize - 1);
            bytes.resize(self.pitch as usize, 0);
            bytes.chunks(4).map(word).collect::<Vec<_>>()
        };
        Table { offset: self.offset, entries: self.rows.iter().flat_map(row).collect() }
    }
}

/// The tables that a program reads, laid out from `end` on.
pub(super) fn texts(program: &Program, end: &mut u32) -> Vec<Texts> {
    let mut wanted: Vec<&Type> = Vec::new();
    let mut keep = |mention| match mention {
        Mention::Texts(ty) if !wanted.contains(&ty) => wanted.push(ty),
        Mention::Texts(_) | Mention::Reads(_) | Mention::ReadsPart(..) | Mention::Assigns(_) => {}
    };
    for probe in &program.probes {
        probe.predicate.iter().for_each(|predicate| in_expr(predicate, &mut keep));
        mentions(&probe.body, &mut keep);
    }
    let lay_out = |ty: &Type| {
        let rows = match ty {
            Type::Label(label) => names::texts(label),
            _ => program.probe_names.clone(),
        };
        let longest = rows.iter().map(String::len).max().unwrap_or(0) as u32;
        let pitch = (longest + 1).next_multiple_of(8);
        let offset = *end;
        *end += pitch * rows.len() as u32;
        Texts { ty: ty.clone(), rows, pitch, offset }
    };
    wanted.into_iter().map(lay_out).collect()
}

impl Lowering<'_, '_> {
    /// Writes the text of a number, and zeros behind it.
    pub(super) fn write_text_of(&mut self, number: &Expr, to: &Address, room: u32, span: Span) {
        let value = self.scalar(number);
        let Some(texts) = self.shared.texts.iter().find(|texts| texts.ty == number.ty) else {
            return self.clear(to, room);
        };
        let (rows, pitch, offset) = (texts.rows.len() as i32, texts.pitch, texts.offset);
        let (known, unknown, done) = (self.b.block(), self.b.block(), self.b.block());
        self.b.branch(Cond::Lt, value, Operand::Imm(rows), known, unknown);
        self.b.switch_sealed(known);
        let table = self.b.value(Op::GlobalAddr(offset));
        let distance = self.b.binary(AluOp::Mul, value, Operand::Imm(pitch as i32));
        let at = self.b.add(table, Operand::Value(distance));
        let bytes = pitch.min(room);
        self.branch_scope(|this| this.copy(&Address::own(at, 0), to, bytes, room, span));
        self.b.jump(done, &[]);
        self.b.switch_sealed(unknown);
        let prefix = match &number.ty {
            Type::Label(label) => names::unknown(label).unwrap_or(""),
            _ => "",
        };
        self.branch_scope(|this| this.write_unknown(prefix, value, to, room));
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// Writes `prefix` and the number in decimal.
    fn write_unknown(&mut self, prefix: &str, number: Value, to: &Address, room: u32) {
        let rest = self.b.variable();
        let text = [self.b.variable(), self.b.variable(), self.b.variable()];
        let zero = self.b.iconst(0);
        for word in text {
            self.b.set(word, zero);
        }
        let (negative, positive, digits) = (self.b.block(), self.b.block(), self.b.block());
        self.b.branch(Cond::Slt, number, Operand::Imm(0), negative, positive);
        self.b.switch_sealed(negative);
        let magnitude = self.b.binary(AluOp::Sub, zero, Operand::Value(number));
        self.b.set(rest, magnitude);
        self.b.jump(digits, &[]);
        self.b.switch_sealed(positive);
        self.b.set(rest, number);
        self.b.jump(digits, &[]);
        self.b.switch_sealed(digits);
        self.counted_loop(DIGITS, |this, _, after| {
            let value = this.b.get(rest);
            let digit = this.b.binary(AluOp::Mod, value, Operand::Imm(10));
            let digit = this.b.add(digit, Operand::Imm(i32::from(b'0')));
            this.put_in_front(text, Operand::Value(digit));
            let left = this.b.binary(AluOp::Div, value, Operand::Imm(10));
            this.b.set(rest, left);
            this.go_on_if(Cond::Ne, left, Operand::Imm(0), after);
        });
        let (sign, signed) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Slt, number, Operand::Imm(0), sign, signed);
        self.b.switch_sealed(sign);
        self.put_in_front(text, Operand::Imm(i32::from(b'-')));
        self.b.jump(signed, &[]);
        self.b.switch_sealed(signed);
        // Whole words of the prefix, then one with its last bytes and the first ones of the number.
        let words = text.map(|word| self.b.get(word));
        let (whole, last) = prefix.as_bytes().split_at(prefix.len() / 8 * 8);
        let bits = 8 * last.len() as i32;
        let little =
            |bytes: &[u8]| bytes.iter().rev().fold(0, |word: u64, byte| word << 8 | u64::from(*byte)) as i64;
        let mut all: Vec<Value> = whole.chunks(8).map(|word| self.b.iconst(little(word))).collect();
        let mut before = self.b.iconst(little(last));
        for word in words {
            if bits == 0 {
                all.push(word);
                continue;
            }
            let low = self.b.binary(AluOp::Lsh, word, Operand::Imm(bits));
            all.push(self.b.binary(AluOp::Or, low, Operand::Value(before)));
            before = self.b.binary(AluOp::Rsh, word, Operand::Imm(64 - bits));
        }
        if bits != 0 {
            all.push(before);
        }
        all.truncate(room as usize / 8);
        for (offset, word) in (0..).step_by(8).zip(&all) {
            let at = to.plus(offset);
            self.b.store(Size::D, at.base, at.offset, Operand::Value(*word));
        }
        let used = 8 * all.len() as u32;
        self.clear(&to.plus(used), room - used);
    }

    fn put_in_front(&mut self, text: [Variable; 3], character: Operand) {
        let mut carried = character;
        for word in text {
            let value = self.b.get(word);
            let shifted = self.b.binary(AluOp::Lsh, value, Operand::Imm(8));
            let shifted = self.b.binary(AluOp::Or, shifted, carried);
            self.b.set(word, shifted);
            carried = Operand::Value(self.b.binary(AluOp::Rsh, value, Operand::Imm(56)));
        }
    }
}
