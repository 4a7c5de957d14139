//! `for ($kv : @map)`: the kernel calls the body for each element, so the body becomes a function of its own.
//!
//! What both need lies in memory of the function that loops:
//!
//! ```text
//!   in its stack frame, given to the callback     in scratch memory
//!   0    the context                              0    1 if the body left the probe
//!   8    the address of the scratch memory        8    what the probe returns then
//!   16   for each function around the body, the   16   each scalar that the body
//!        address of the variables that it lends        mentions
//! ```
//!
//! Pointers can only be kept in the stack, where the verifier follows them. Numbers are kept in scratch memory, of which
//! it knows nothing: in the stack each round would be a new state to it. Variables that are no scalars are lent: those of a
//! function lie behind one another, so that one address is enough for them, however many they are.

use std::collections::BTreeMap;

use rtscript_lang::provider::ProgramKind;
use rtscript_lang::record::Record;
use rtscript_lang::typed::mentions::{Mention, mentions};
use rtscript_lang::typed::{Block, LocalId, MapId};
use rtscript_lang::types::Type;

use super::map::Key;
use super::memory::{Address, size_of};
use super::{Loop, Lowering, Storage};
use crate::insn::{Cond, Helper, Size};
use crate::ir::builder::{Builder, Variable};
use crate::ir::{Function, Op, Operand, Place, Role, Value};

const LEFT: i32 = 0;
const RETURNED: i32 = 8;
const SCALARS: i32 = 16;
const AREAS: i32 = 16;

/// A round of the body, as seen from within.
pub(super) struct Round {
    /// The scratch memory of the function that loops.
    shared: Value,
}

/// A scalar that lies in shared memory while the loop runs.
struct Scalar {
    local: LocalId,
    variable: Variable,
    offset: i32,
    assigned: bool,
}

/// What the body uses of an element.
#[derive(Default)]
struct Parts {
    key: bool,
    value: bool,
}

impl Lowering<'_, '_> {
    /// Runs the body for each element of a map.
    pub(super) fn each(&mut self, map: MapId, element: LocalId, body: &Block) {
        let (used, parts) = uses(body, element);
        let mut scalars = Vec::new();
        let mut outside = Vec::new();
        for (local, assigned) in used {
            match self.locals[local] {
                Some(Storage::Scalar(variable)) => {
                    let offset = SCALARS + 8 * scalars.len() as i32;
                    scalars.push(Scalar { local, variable, offset, assigned });
                }
                Some(Storage::Bytes(slot)) => {
                    let storage = Storage::Outside { area: self.areas.len(), offset: self.b.lend(slot) };
                    outside.push((local, storage));
                }
                // Whoever lends it has said where it is.
                Some(Storage::Outside { .. }) => {}
                None => {}
            }
        }
        let shared = self.b.slot_in(Place::Outside, SCALARS as u32 + 8 * scalars.len() as u32);
        let shared = self.slot_address(shared).base;
        self.b.store(Size::D, shared, LEFT, Operand::Imm(0));
        for scalar in &scalars {
            let value = self.b.get(scalar.variable);
            self.b.store(Size::D, shared, scalar.offset, Operand::Value(value));
        }
        let mut areas = self.areas.clone();
        if !outside.is_empty() {
            let lent = self.b.lent();
            areas.push(self.slot_address(lent).base);
        }
        let given = self.b.slot_in(Place::Stack, AREAS as u32 + 8 * areas.len() as u32);
        let given = self.slot_address(given).base;
        let context = self.b.context();
        self.b.store(Size::D, given, 0, Operand::Value(context));
        self.b.store(Size::D, given, 8, Operand::Value(shared));
        for (area, offset) in areas.iter().zip((AREAS..).step_by(8)) {
            self.b.store(Size::D, given, offset, Operand::Value(*area));
        }
        let callback = self.round((map, element), &scalars, (&outside, areas.len()), &parts, body);
        self.for_each(map, callback, Operand::Value(given));
        for scalar in scalars.iter().filter(|scalar| scalar.assigned) {
            let value = self.b.load(Size::D, false, shared, scalar.offset);
            self.b.set(scalar.variable, value);
        }
        let (left, stays) = (self.b.block(), self.b.block());
        let has_left = self.b.load(Size::D, false, shared, LEFT);
        self.b.branch(Cond::Ne, has_left, Operand::Imm(0), left, stays);
        self.b.switch_sealed(left);
        let returned = self.b.load(Size::D, false, shared, RETURNED);
        self.leave(Operand::Value(returned));
        self.b.switch_sealed(stays);
    }

    /// Ends the probe, also from within the body of such a loop.
    pub(super) fn leave(&mut self, value: Operand) {
        let value = match self.probe.context.program {
            // The verifier takes no other value.
            ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::Iter => Operand::Imm(0),
            // At both ends of a function, anything else would keep the end from being seen.
            ProgramKind::Kprobe | ProgramKind::Kretprobe => Operand::Imm(0),
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::Uprobe => value,
        };
        let value = self.b.operand(value);
        let Some(round) = &self.round else { return self.b.ret(value) };
        let shared = round.shared;
        self.b.store(Size::D, shared, LEFT, Operand::Imm(1));
        self.b.store(Size::D, shared, RETURNED, value);
        self.b.ret(Operand::Imm(1));
    }

    /// The number of elements: as many as the kernel finds to call a function for that does nothing.
    pub(super) fn map_len(&mut self, map: MapId) -> Value {
        let b =
            Builder::new(self.callback_name(), self.probe.context.program, Role::EachElement, self.b.span());
        let callback = self.callback(b.finish());
        self.for_each(map, callback, Operand::Imm(0))
    }

    fn for_each(&mut self, map: MapId, callback: u32, given: Operand) -> Value {
        let map = self.map_ref(map);
        let callback = self.b.value(Op::CallbackRef(callback));
        let args = [Operand::Value(map), Operand::Value(callback), given, Operand::Imm(0)];
        self.b.call(Helper::ForEachMapElem, &args)
    }

    fn callback_name(&self) -> String {
        format!("{}_{}", self.name, self.callbacks.len())
    }

    fn callback(&mut self, function: Function) -> u32 {
        self.callbacks.push(function);
        self.callbacks.len() as u32 - 1
    }

    /// Makes the callback: one round of the body.
    fn round(
        &mut self,
        (map, element): (MapId, LocalId),
        scalars: &[Scalar],
        (outside, areas): (&[(LocalId, Storage)], usize),
        parts: &Parts,
        body: &Block,
    ) -> u32 {
        let span = self.b.span();
        let builder = Builder::new(self.callback_name(), self.probe.context.program, Role::EachElement, span);
        let outer_builder = std::mem::replace(&mut self.b, builder);
        // The kernel's verifier walks it like the body of a loop.
        self.b.enter_loop();
        self.b.at(span);
        let outer_known = std::mem::take(&mut self.known);
        let outer_locals = self.locals.clone();
        let outer_loops = std::mem::take(&mut self.loops);

        let &[_, key, value, given] = self.b.params() else { return 0 };
        let context = self.b.load(Size::D, false, given, 0);
        self.b.set_context(context);
        let shared = self.b.load(Size::D, false, given, 8);
        let outer_round = self.round.replace(Round { shared });
        let mut kept = Vec::new();
        for scalar in scalars {
            let variable = self.b.variable();
            let value = self.b.load(Size::D, false, shared, scalar.offset);
            self.b.set(variable, value);
            self.locals[scalar.local] = Some(Storage::Scalar(variable));
            if scalar.assigned {
                kept.push((variable, scalar.offset));
            }
        }
        let offsets = (AREAS..).step_by(8).take(areas);
        let areas = offsets.map(|offset| self.b.load(Size::D, false, given, offset)).collect();
        let outer_areas = std::mem::replace(&mut self.areas, areas);
        for (local, storage) in outside {
            self.locals[*local] = Some(*storage);
        }
        self.make_locals(Some(element), body);
        self.copy_element((map, element), (key, value), parts);
        let (next, after) = (self.b.block(), self.b.block());
        self.loops.push(Loop { next, after });
        self.statements(body);
        self.b.jump(next, &[]);
        for (block, stop) in [(next, 0), (after, 1)] {
            self.b.switch_sealed(block);
            for (variable, offset) in &kept {
                let value = self.b.get(*variable);
                self.b.store(Size::D, shared, *offset, Operand::Value(value));
            }
            self.b.ret(Operand::Imm(stop));
        }

        self.round = outer_round;
        self.areas = outer_areas;
        self.loops = outer_loops;
        self.locals = outer_locals;
        self.known = outer_known;
        let made = std::mem::replace(&mut self.b, outer_builder);
        self.callback(made.finish())
    }

    /// Copies what the body uses of an element into the loop's variable: the body may change or delete the element.
    fn copy_element(
        &mut self,
        (map, element): (MapId, LocalId),
        (key, value): (Value, Value),
        parts: &Parts,
    ) {
        let Some(storage) = self.locals[element] else { return };
        let to = self.bytes_address(storage);
        let Type::Tuple(types) = &self.probe.locals[element].ty else { return };
        let record = Record::of(types, self.structs());
        let [key_field, value_field] = &record.fields[..] else { return };
        let span = self.b.span();
        // What lies between them is part of the tuple where it becomes a key.
        let whole = parts.key && parts.value;
        if whole {
            self.clear(&to, record.size);
        }
        if parts.key {
            let size = self.structs().layout(&key_field.ty).size;
            self.copy(&Address::own(key, 0), &to.plus(key_field.offset), size, size, span);
        }
        if !parts.value {
            return;
        }
        let to = to.plus(value_field.offset);
        if matches!(self.program.maps[map].value, Type::Aggregate(_)) {
            let merged = self.merged_at(Key { map, address: key }, span);
            return self.b.store(Size::D, to.base, to.offset, Operand::Value(merged));
        }
        let stored = &self.program.maps[map].value;
        if value_field.ty.is_scalar() {
            let number = self.read(&Address::own(value, 0), stored, span);
            let size = size_of(self.structs().layout(&value_field.ty).size);
            return self.b.store(size, to.base, to.offset, Operand::Value(number));
        }
        let size = self.structs().layout(&value_field.ty).size;
        self.copy(&Address::own(value, 0), &to, size, size, span);
    }

    /// The address of a variable that is no scalar.
    pub(super) fn bytes_address(&mut self, storage: Storage) -> Address {
        match storage {
            Storage::Bytes(slot) => self.slot_address(slot),
            Storage::Outside { area, offset } => Address::own(self.areas[area], offset),
            // Whoever asks has looked.
            Storage::Scalar(_) => {
                let base = self.b.iconst(0);
                Address::own(base, 0)
            }
        }
    }
}

/// The variables from outside that a body mentions, and whether it assigns them; what it uses of the element.
fn uses(body: &Block, element: LocalId) -> (BTreeMap<LocalId, bool>, Parts) {
    let mut outside = BTreeMap::new();
    let mut parts = Parts::default();
    mentions(body, &mut |mention| {
        let (local, assigned) = match mention {
            Mention::ReadsPart(local, index) if local == element => {
                return if index == 0 { parts.key = true } else { parts.value = true };
            }
            Mention::Reads(local) | Mention::ReadsPart(local, _) => (local, false),
            Mention::Assigns(local) => (local, true),
            Mention::Texts(_) => return,
        };
        if local == element {
            parts = Parts { key: true, value: true };
        } else if local < element {
            // Those of the body were declared later.
            *outside.entry(local).or_insert(false) |= assigned;
        }
    });
    (outside, parts)
}
