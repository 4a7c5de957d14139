//! Maps: look-up, assignment, atomic updates, deletion.

use rtscript_lang::record::presence_offset;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{BinaryOp, Element, Expr, LocalId, MapId};
use rtscript_lang::types::Type;

use super::Lowering;
use super::memory::{Address, size_of};
use crate::insn::{AluOp, AtomicOp, Cond, Helper, Size};
use crate::ir::{Op, Operand, Value};
use crate::object::SiteKind;

pub(super) const BPF_ANY: i32 = 0;
pub(super) const BPF_NOEXIST: i32 = 1;

/// A map and the address of a key in our memory.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub map: MapId,
    pub address: Value,
}

impl Lowering<'_, '_> {
    /// Evaluates the key of an element.
    pub(super) fn key(&mut self, element: &Element) -> Key {
        let address = match &element.key {
            Some(key) => {
                let to = self.temporary(&key.ty);
                self.write(key, &to, true);
                self.pointer(&to)
            }
            None => match self.known.zero_key {
                Some(known) => known,
                None => {
                    let slot = self.b.slot(8);
                    let at = self.slot_address(slot);
                    self.b.store(Size::D, at.base, 0, Operand::Imm(0));
                    self.known.zero_key = Some(at.base);
                    at.base
                }
            },
        };
        Key { map: element.map, address }
    }

    pub(super) fn map_ref(&mut self, map: MapId) -> Value {
        match self.shared.storage[map] {
            Some(storage) => self.b.value(Op::MapRef(storage)),
            None => self.b.iconst(0),
        }
    }

    pub(super) fn map_and_key(&mut self, key: Key) -> (Value, Value) {
        (self.map_ref(key.map), key.address)
    }

    /// The address of the element's value, or null.
    pub(super) fn lookup(&mut self, key: Key) -> Value {
        let map = self.map_ref(key.map);
        self.b.call(Helper::MapLookupElem, &[Operand::Value(map), Operand::Value(key.address)])
    }

    fn update(&mut self, key: Key, value: Value, flags: i32) -> Value {
        let map = self.map_ref(key.map);
        let args =
            [Operand::Value(map), Operand::Value(key.address), Operand::Value(value), Operand::Imm(flags)];
        self.b.call(Helper::MapUpdateElem, &args)
    }

    /// Does something with the element's value where there is one, and something else where not.
    fn with_found(
        &mut self,
        key: Key,
        found: impl FnOnce(&mut Self, Value),
        missing: impl FnOnce(&mut Self),
    ) {
        let pointer = self.lookup(key);
        let (yes, no, done) = (self.b.block(), self.b.block(), self.b.block());
        self.b.branch(Cond::Ne, pointer, Operand::Imm(0), yes, no);
        self.b.switch_sealed(yes);
        self.branch_scope(|this| found(this, pointer));
        self.b.jump(done, &[]);
        self.b.switch_sealed(no);
        self.branch_scope(missing);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// The address of the element's value as a number; 0 where there is none.
    pub(super) fn map_address(&mut self, element: &Element) -> Value {
        let key = self.key(element);
        let result = self.b.variable();
        self.with_found(
            key,
            |this, pointer| {
                let address = this.as_number(pointer);
                this.b.set(result, address);
            },
            |this| {
                let none = this.b.iconst(0);
                this.b.set(result, none);
            },
        );
        self.b.get(result)
    }

    /// Does something with the element's value, which is made of zeros first where it is not there yet.
    ///
    /// Two CPUs may find the same element missing: only one of them makes it, and both go on with the one that is
    /// there, so that no update is lost.
    pub(super) fn with_element(
        &mut self,
        element: &Element,
        span: Span,
        update: impl FnOnce(&mut Self, Value),
    ) {
        let key = self.key(element);
        let presence = element
            .key
            .is_none()
            .then(|| presence_offset(&self.program.maps[element.map].value, self.structs()) as i32);
        let (there, done) = (self.b.block(), self.b.block());
        let pointer = self.b.param(there);
        let first = self.lookup(key);
        let (hit, miss) = (self.b.block(), self.b.cold_block());
        self.b.branch(Cond::Ne, first, Operand::Imm(0), hit, miss);
        self.b.switch_sealed(hit);
        self.b.jump(there, &[first]);
        self.b.switch_sealed(miss);
        if presence.is_none() {
            let zeros = self.b.value(Op::GlobalAddr(rtscript_lang::record::globals::ZEROS));
            let result = self.update(key, zeros, BPF_NOEXIST);
            let second = self.lookup(key);
            let (made, full) = (self.b.block(), self.b.block());
            self.b.branch(Cond::Ne, second, Operand::Imm(0), made, full);
            self.b.switch_sealed(made);
            self.b.jump(there, &[second]);
            self.b.switch_sealed(full);
            self.count_site(SiteKind::MapFull, span, Some(result));
        }
        self.b.jump(done, &[]);
        self.b.switch_sealed(there);
        self.branch_scope(|this| {
            update(this, pointer);
            if let Some(presence) = presence {
                this.b.store(Size::D, pointer, presence, Operand::Imm(1));
            }
        });
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    // Reading.

    pub(super) fn map_scalar(&mut self, element: &Element, ty: &Type) -> Value {
        let key = self.key(element);
        let result = self.b.variable();
        let int = self.int_of(ty);
        let has_key = element.key.is_some();
        self.with_found(
            key,
            |this, pointer| {
                let value = this.read_int(
                    &Address::own(pointer, 0),
                    size_of(u32::from(int.size)),
                    int.signed,
                    this.b.span(),
                );
                this.b.set(result, value);
            },
            |this| {
                this.count_missing(has_key);
                let zero = this.b.iconst(0);
                this.b.set(result, zero);
            },
        );
        self.b.get(result)
    }

    pub(super) fn map_bytes(&mut self, element: &Element, ty: &Type, to: &Address) {
        let key = self.key(element);
        let room = self.structs().layout(ty).size;
        self.with_found(
            key,
            |this, pointer| this.copy(&Address::own(pointer, 0), to, room, room, this.b.span()),
            |this| {
                this.count_missing(element.key.is_some());
                this.clear(to, room);
            },
        );
    }

    /// Counts an element that was to be read and is not there, where every failure is asked for.
    fn count_missing(&mut self, has_key: bool) {
        if has_key && self.shared.target.report_failures {
            self.count_site(SiteKind::LookupMissing, self.b.span(), None);
        }
    }

    pub(super) fn has_key(&mut self, element: &Element) -> Value {
        let key = self.key(element);
        let presence = element.key.is_none();
        let offset = presence_offset(&self.program.maps[element.map].value, self.structs()) as i32;
        let result = self.b.variable();
        self.with_found(
            key,
            |this, pointer| {
                let value =
                    if presence { this.b.load(Size::D, false, pointer, offset) } else { this.b.iconst(1) };
                this.b.set(result, value);
            },
            |this| {
                let zero = this.b.iconst(0);
                this.b.set(result, zero);
            },
        );
        self.b.get(result)
    }

    /// Copies the value of an element that is there into a variable, and says whether it is.
    pub(super) fn find(&mut self, element: &Element, local: LocalId, span: Span) -> Value {
        let key = self.key(element);
        let stored = &self.program.maps[element.map].value;
        let ty = &self.probe.locals[local].ty;
        let storage = self.locals[local];
        let result = self.b.variable();
        self.with_found(
            key,
            |this, pointer| {
                let one = this.b.iconst(1);
                this.b.set(result, one);
                match storage {
                    Some(_) if ty.is_scalar() => {
                        let value = match stored {
                            Type::Aggregate(_) => this.merged_at(key, span),
                            _ => this.read(&Address::own(pointer, 0), stored, span),
                        };
                        let int = this.int_of(ty);
                        let value = this.b.extend(value, size_of(u32::from(int.size)), int.signed);
                        this.set_local_number(local, value);
                    }
                    Some(storage) => {
                        let to = this.bytes_address(storage);
                        let size = this.structs().layout(stored).size;
                        let room = this.structs().layout(ty).size;
                        this.copy(&Address::own(pointer, 0), &to, size.min(room), room, span);
                    }
                    None => {}
                }
            },
            |this| {
                let zero = this.b.iconst(0);
                this.b.set(result, zero);
            },
        );
        self.b.get(result)
    }

    // Writing.

    pub(super) fn set_map(&mut self, element: &Element, value: &Expr, span: Span) {
        let stored = &self.program.maps[element.map].value;
        let room = self.structs().layout(stored).size;
        let presence = presence_offset(stored, self.structs()) as i32;
        let key = self.key(element);
        if element.key.is_some() {
            let to = self.temporary(stored);
            self.write(value, &to, true);
            let source = self.pointer(&to);
            let result = self.update(key, source, BPF_ANY);
            let site = (SiteKind::MapFull, span);
            return self.count_site_if(Cond::Ne, result, Operand::Imm(0), site, Some(result));
        }
        let (scalar, bytes) = if stored.is_scalar() {
            (Some(self.scalar(value)), None)
        } else {
            let to = self.temporary(stored);
            self.write(value, &to, true);
            (None, Some(to))
        };
        let size = size_of(u32::from(self.int_of(stored).size));
        self.with_found(
            key,
            |this, pointer| {
                let to = Address::own(pointer, 0);
                if let Some(value) = scalar {
                    this.b.store(size, pointer, 0, Operand::Value(value));
                }
                if let Some(from) = bytes {
                    this.copy(&from, &to, room, room, span);
                }
                this.b.store(Size::D, pointer, presence, Operand::Imm(1));
            },
            |_| (),
        );
    }

    /// Adds to a number in place; the result is the value before.
    pub(super) fn step_map(&mut self, element: &Element, by: i64, span: Span) -> Value {
        let before = self.b.variable();
        let zero = self.b.iconst(0);
        self.b.set(before, zero);
        let by = self.b.iconst(by);
        self.with_element(element, span, |this, pointer| {
            let value = this.b.value(Op::AtomicFetch {
                op: AtomicOp::Add,
                size: Size::D,
                base: pointer,
                displacement: 0,
                value: by,
            });
            this.b.set(before, value);
        });
        self.b.get(before)
    }

    /// `@m op= value`: atomic where the machine has such an operation.
    pub(super) fn update_map(&mut self, element: &Element, op: BinaryOp, value: &Expr, span: Span) {
        let signed = self.int_of(&self.program.maps[element.map].value).signed;
        let by = self.scalar(value);
        let atomic = match op {
            BinaryOp::Add => Some((AtomicOp::Add, by)),
            BinaryOp::Sub => {
                let zero = self.b.iconst(0);
                let negated = match self.b.constant(by) {
                    Some(constant) => self.b.iconst(constant.wrapping_neg()),
                    None => self.b.binary(AluOp::Sub, zero, Operand::Value(by)),
                };
                Some((AtomicOp::Add, negated))
            }
            BinaryOp::And => Some((AtomicOp::And, by)),
            BinaryOp::Or => Some((AtomicOp::Or, by)),
            BinaryOp::Xor => Some((AtomicOp::Xor, by)),
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Shl | BinaryOp::Shr => None,
        };
        self.with_element(element, span, |this, pointer| match atomic {
            Some((op, value)) => {
                this.b.effect(Op::Atomic { op, size: Size::D, base: pointer, displacement: 0, value });
            }
            None => {
                let before = this.b.load(Size::D, false, pointer, 0);
                let after = this.arithmetic(op, signed, before, by, span);
                this.b.store(Size::D, pointer, 0, Operand::Value(after));
            }
        });
    }

    /// Removes an element; the result says whether it was there.
    pub(super) fn delete(&mut self, element: &Element, span: Span) -> Value {
        let _ = span;
        let key = self.key(element);
        if element.key.is_some() {
            let map = self.map_ref(key.map);
            let args = [Operand::Value(map), Operand::Value(key.address)];
            let result = self.b.call(Helper::MapDeleteElem, &args);
            return self.b.compare(Cond::Eq, result, Operand::Imm(0));
        }
        let stored = &self.program.maps[element.map].value;
        let presence = presence_offset(stored, self.structs());
        let was = self.b.variable();
        self.with_found(
            key,
            |this, pointer| {
                let before = this.b.load(Size::D, false, pointer, presence as i32);
                this.b.set(was, before);
                this.clear(&Address::own(pointer, 0), presence + 8);
            },
            |this| {
                let zero = this.b.iconst(0);
                this.b.set(was, zero);
            },
        );
        self.b.get(was)
    }

    /// `delete` as a statement: that the element was not there is counted.
    pub(super) fn delete_discarded(&mut self, element: &Element, span: Span) {
        let was = self.delete(element, span);
        self.count_site_if(Cond::Eq, was, Operand::Imm(0), (SiteKind::DeleteMissing, span), None);
    }
}
