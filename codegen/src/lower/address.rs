//! Variables that lie in memory, and addresses as numbers.
//!
//! The verifier follows pointers into our memory and allows little to be done with them. An address that the script
//! computes with must be a number to it, so it is stored, and read back by a helper.

use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{Expr, ExprKind, LocalId};

use super::memory::{Memory, size_of};
use super::{Lowering, Storage};
use crate::insn::Size;
use crate::ir::{Operand, Value};

impl Lowering<'_, '_> {
    /// Where a variable, an element of a map, or a place of what is traced lies, as a number.
    pub(super) fn address_of(&mut self, place: &Expr) -> Value {
        if let ExprKind::Map(element) = &place.kind {
            return self.map_address(element);
        }
        let address = self.place(place);
        let pointer = self.pointer(&address);
        match address.memory {
            Memory::Own | Memory::Context => self.as_number(pointer),
            Memory::Kernel | Memory::User | Memory::Either if self.is_in_context(address.base) => {
                self.as_number(pointer)
            }
            Memory::Kernel | Memory::User | Memory::Either => pointer,
        }
    }

    /// An argument of a function in C. The address of something of ours is what the verifier knows it to be.
    pub(super) fn argument(&mut self, arg: &Expr) -> Value {
        match &arg.kind {
            ExprKind::AddressOf(place) if !matches!(place.kind, ExprKind::Map(_)) => {
                let address = self.place(place);
                self.pointer(&address)
            }
            _ => self.scalar(arg),
        }
    }

    /// A pointer that the verifier follows, as a number that it knows nothing of.
    pub(super) fn as_number(&mut self, pointer: Value) -> Value {
        let (from, to) = (self.b.slot(8), self.b.slot(8));
        let (from, to) = (self.slot_address(from), self.slot_address(to));
        self.b.store(Size::D, from.base, from.offset, Operand::Value(pointer));
        self.read_bytes_by_helper(&from, &to, 8, Span::default());
        self.b.load(Size::D, false, to.base, to.offset)
    }

    /// The value of a variable that is a number.
    pub(super) fn local_number(&mut self, local: LocalId) -> Value {
        match self.locals[local] {
            Some(Storage::Scalar(variable)) => self.b.get(variable),
            Some(storage @ (Storage::Bytes(_) | Storage::Outside { .. })) => {
                let place = self.bytes_address(storage);
                let local = &self.probe.locals[local];
                self.read(&place, &local.ty, local.span)
            }
            None => self.b.iconst(0),
        }
    }

    pub(super) fn set_local_number(&mut self, local: LocalId, value: Value) {
        match self.locals[local] {
            Some(Storage::Scalar(variable)) => self.b.set(variable, value),
            Some(storage @ (Storage::Bytes(_) | Storage::Outside { .. })) => {
                let place = self.bytes_address(storage);
                let size = size_of(u32::from(self.int_of(&self.probe.locals[local].ty).size));
                self.b.store(size, place.base, place.offset, Operand::Value(value));
            }
            None => {}
        }
    }
}
