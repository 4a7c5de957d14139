//! What the kernel hands to a program: arguments, at their places in the context.

use rtscript_lang::provider::Place;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::Expr;
use rtscript_lang::types::Type;

use super::Lowering;
use super::memory::{Address, Memory};
use crate::insn::{AluOp, Helper, Size};
use crate::ir::{Operand, Value};

impl Lowering<'_, '_> {
    pub(super) fn context_scalar(&mut self, place: Place, ty: &Type, span: Span) -> Value {
        let context = self.b.context();
        match place {
            Place::Word(offset) => {
                let word = self.b.load(Size::D, false, context, offset as i32);
                let word = self.of_iteration(word, Size::D);
                self.cut(word, ty)
            }
            Place::Bytes(_) | Place::DataLoc(_) | Place::RelLoc(_) => {
                let at = self.context_address(place);
                self.read(&at, ty, span)
            }
            Place::Indirect { word, offset } => {
                let base = self.b.load(Size::D, false, context, word as i32);
                self.trust(base);
                let at =
                    Address { memory: Memory::Kernel, base, offset: offset as i32, field: None, align: 8 };
                let value = self.read_int(&at, Size::D, false, span);
                self.cut(value, ty)
            }
            Place::Operand(operand) => {
                let value = self.operand(&operand, span);
                self.cut(value, ty)
            }
            Place::BySite(operands) => {
                let value = self.operand_by_site(operands, span);
                self.cut(value, ty)
            }
            Place::Returned => {
                let slot = self.b.slot(8);
                let to = self.slot_address(slot);
                self.clear(&to, 8);
                let pointer = self.pointer(&to);
                self.b.call(Helper::GetFuncRet, &[Operand::Value(context), Operand::Value(pointer)]);
                let value = self.b.load(Size::D, false, to.base, to.offset);
                self.cut(value, ty)
            }
            // Not accepted by the checker.
            Place::Unreadable => self.b.iconst(0),
        }
    }

    pub(super) fn context_place(&mut self, place: Place, expr: &Expr) -> Address {
        match place {
            Place::Bytes(_) | Place::DataLoc(_) | Place::RelLoc(_) => self.context_address(place),
            Place::Word(_)
            | Place::Indirect { .. }
            | Place::Operand(_)
            | Place::BySite(_)
            | Place::Returned
            | Place::Unreadable => self.in_slot(expr),
        }
    }

    pub(super) fn context_address(&mut self, place: Place) -> Address {
        let context = self.b.context();
        match place {
            Place::DataLoc(offset) | Place::RelLoc(offset) => {
                let word = self.b.load(Size::W, false, context, offset as i32);
                let distance = self.b.binary(AluOp::And, word, Operand::Imm(0xffff));
                let from = match place {
                    Place::RelLoc(offset) => offset as i32 + 4,
                    Place::DataLoc(_)
                    | Place::Bytes(_)
                    | Place::Word(_)
                    | Place::Indirect { .. }
                    | Place::Operand(_)
                    | Place::BySite(_)
                    | Place::Returned
                    | Place::Unreadable => 0,
                };
                let base = self.b.add(context, Operand::Value(distance));
                let base = self.b.add(base, Operand::Imm(from));
                self.trust(base);
                self.known.in_context.insert(base);
                Address { memory: Memory::Kernel, base, offset: 0, field: None, align: 8 }
            }
            Place::Bytes(offset) | Place::Word(offset) => Address {
                memory: Memory::Context,
                base: context,
                offset: offset as i32,
                field: None,
                align: 8,
            },
            Place::Indirect { .. }
            | Place::Operand(_)
            | Place::BySite(_)
            | Place::Returned
            | Place::Unreadable => {
                Address { memory: Memory::Context, base: context, offset: 0, field: None, align: 8 }
            }
        }
    }
}
