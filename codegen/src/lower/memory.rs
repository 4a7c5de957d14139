//! Memory: where values lie, and every way of reading and writing them.
//!
//! Kernel memory is read here and nowhere else. With [`ReadForm::Cast`] a read is a plain load; a null or user
//! pointer is noticed by its sign and counted, and the load then gives zero. With [`ReadForm::Probe`] the helper's
//! result tells. Where an address may be the kernel's or a process's, `bpf_probe_read` and `bpf_probe_read_str` tell them apart:
//! x86-64 has both in one space, and keeps these helpers for that.

use rtscript_lang::record::globals;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{BitField, FieldPath};
use rtscript_lang::types::{Int, Space, StructId, Type};

use super::Lowering;
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{Op, Operand, Shift, Slot, Value};
use crate::object::{Access, AccessStep, SiteKind};
use crate::target::ReadForm;

/// The most bytes that are copied by loads and stores; more go through a helper.
pub(super) const COPY_BY_LOADS: u32 = 128;

/// Whose memory an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Memory that the verifier follows: slots, map values, ring records.
    Own,
    /// The context: the same, but only by loads at constant, aligned offsets.
    Context,
    Kernel,
    User,
    /// The kernel's or the process's: read by a helper that looks at the address.
    Either,
}

impl Memory {
    /// The helper that reads so many bytes of it.
    pub fn reader(self) -> Helper {
        match self {
            Memory::Own | Memory::Context | Memory::Kernel => Helper::ProbeReadKernel,
            Memory::User => Helper::ProbeReadUser,
            Memory::Either => Helper::ProbeRead,
        }
    }

    /// The helper that reads a string of it.
    pub fn string_reader(self) -> Helper {
        match self {
            Memory::Own | Memory::Context | Memory::Kernel => Helper::ProbeReadKernelStr,
            Memory::User => Helper::ProbeReadUserStr,
            Memory::Either => Helper::ProbeReadStr,
        }
    }

    /// What a pointer of this type points into.
    pub fn of_pointer(ty: &Type) -> Memory {
        match ty {
            Type::Pointer(_, Space::User) => Memory::User,
            Type::Pointer(_, Space::Either) => Memory::Either,
            Type::Pointer(_, Space::Context) => Memory::Context,
            _ => Memory::Kernel,
        }
    }
}

/// An address: a base, and how far from it.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub memory: Memory,
    pub base: Value,
    /// Added to the base, besides `field`.
    pub offset: i32,
    /// A member of the kernel's structure at `base`, whose offset is relocated.
    pub field: Option<Access>,
    /// What the base is a multiple of: 8, or less where it is an element of an array of odd structures.
    pub align: u32,
}

impl Address {
    pub fn own(base: Value, offset: i32) -> Address {
        Address { memory: Memory::Own, base, offset, field: None, align: 8 }
    }

    /// So many bytes further on.
    pub fn plus(&self, bytes: u32) -> Address {
        Address { offset: self.offset + bytes as i32, ..self.clone() }
    }

    /// The largest access that is aligned here.
    fn chunk(&self) -> u32 {
        match self.memory {
            Memory::Own | Memory::Context => {
                self.align.min(1 << (self.offset as u32).trailing_zeros().min(3))
            }
            Memory::Kernel | Memory::User | Memory::Either => 8,
        }
    }
}

impl Lowering<'_, '_> {
    pub(super) fn slot_address(&mut self, slot: Slot) -> Address {
        let base = self.b.value(Op::SlotAddr(slot, 0));
        Address::own(base, 0)
    }

    /// New memory for a value of this type.
    pub(super) fn temporary(&mut self, ty: &Type) -> Address {
        let slot = self.b.slot(self.structs().layout(ty).size);
        self.slot_address(slot)
    }

    /// The address as one value.
    pub(super) fn pointer(&mut self, address: &Address) -> Value {
        let base = match &address.field {
            None => address.base,
            Some(access) => {
                let id = self.shared.access(access.clone());
                let offset = self.b.field_offset(id);
                self.b.add(address.base, Operand::Value(offset))
            }
        };
        self.b.add(base, Operand::Imm(address.offset))
    }

    // Parts of places.

    /// A member of the structure at `address`.
    pub(super) fn member(&mut self, address: &Address, path: &FieldPath) -> Address {
        let (root, _) = path.steps[0];
        let relocated = self.shared.target.relocate
            && super::is_kernel(&self.structs().structs[root])
            && matches!(address.memory, Memory::Kernel | Memory::User | Memory::Either);
        if !relocated {
            return self.flat(address).plus(path.offset);
        }
        let steps = path.steps.iter().map(|&(id, index)| AccessStep::Field(id, index));
        match &address.field {
            Some(outer) if address.offset == 0 => {
                let mut field = outer.clone();
                field.steps.extend(steps);
                field.offset += path.offset;
                Address { field: Some(field), ..address.clone() }
            }
            Some(_) | None => {
                let mut start = self.flat(address);
                if start.offset != 0 {
                    start.base = self.pointer(&start);
                    start.offset = 0;
                }
                let field = Access { root, steps: steps.collect(), offset: path.offset, shifts: None };
                Address { field: Some(field), ..start }
            }
        }
    }

    /// An element of the array at `address`, each of `size` bytes.
    pub(super) fn element(&mut self, address: &Address, index: Value, size: u32) -> Address {
        match (self.b.constant(index), &address.field) {
            (Some(index), Some(field)) if address.offset == 0 && u32::try_from(index).is_ok() => {
                let mut field = field.clone();
                field.steps.push(AccessStep::Element(index as u32));
                field.offset += index as u32 * size;
                Address { field: Some(field), ..address.clone() }
            }
            (Some(index), None) => Address {
                offset: address.offset + (index as i32).wrapping_mul(size as i32),
                ..address.clone()
            },
            (Some(_) | None, Some(_) | None) => {
                let start = self.pointer(address);
                let distance = self.b.binary(AluOp::Mul, index, Operand::Imm(size as i32));
                let base = self.b.add(start, Operand::Value(distance));
                let align = address.chunk().min(1 << size.trailing_zeros().min(3));
                Address { base, offset: 0, field: None, align, ..*address }
            }
        }
    }

    /// The same address without a relocated member.
    fn flat(&mut self, address: &Address) -> Address {
        if address.field.is_none() {
            return address.clone();
        }
        Address { base: self.pointer(address), offset: 0, field: None, ..*address }
    }

    // Reading.

    /// Reads a scalar.
    pub(super) fn read(&mut self, address: &Address, ty: &Type, span: Span) -> Value {
        let int = self.int_of(ty);
        let size = size_of(u32::from(int.size));
        self.read_int(address, size, int.signed, span)
    }

    /// Reads a number of this width.
    pub(super) fn read_int(&mut self, address: &Address, size: Size, signed: bool, span: Span) -> Value {
        match (address.memory, self.shared.target.read) {
            (Memory::Own | Memory::Context, _) if size.bytes() > address.chunk() => {
                self.read_in_parts(address, size, signed)
            }
            (Memory::Own | Memory::Context, _) => {
                let at = self.flat(address);
                let value = self.load(size, signed, at.base, at.offset);
                if at.memory == Memory::Context { self.of_iteration(value, size) } else { value }
            }
            (Memory::Kernel, ReadForm::Cast) => {
                self.test_kernel_pointer(address.base, span);
                let cast = self.b.value(Op::ReadonlyCast(address.base));
                let at = Address { base: cast, ..address.clone() };
                let at = self.flat(&at);
                self.load(size, signed, at.base, at.offset)
            }
            (Memory::Kernel, ReadForm::Probe) | (Memory::User | Memory::Either, _) => {
                let slot = self.b.slot(8);
                let to = self.slot_address(slot);
                self.read_bytes_by_helper(address, &to, size.bytes(), span);
                self.load(size, signed, to.base, to.offset)
            }
        }
    }

    /// Reads a number that does not lie at a multiple of its size, as in a packed structure: the verifier wants every
    /// load from our memory aligned.
    fn read_in_parts(&mut self, address: &Address, size: Size, signed: bool) -> Value {
        let at = self.flat(address);
        let part = at.chunk();
        let mut whole = self.load(size_of(part), false, at.base, at.offset);
        for index in 1..size.bytes() / part {
            let more = self.load(size_of(part), false, at.base, at.offset + (index * part) as i32);
            let placed = self.b.binary(AluOp::Lsh, more, Operand::Imm((8 * index * part) as i32));
            whole = self.b.binary(AluOp::Or, whole, Operand::Value(placed));
        }
        if signed && size != Size::D { self.b.extend(whole, size, true) } else { whole }
    }

    /// A load that extends by sign where the instruction set has it, and by two shifts where not.
    fn load(&mut self, size: Size, signed: bool, base: Value, displacement: i32) -> Value {
        if signed && size != Size::D && !self.shared.target.isa_v4 {
            let raw = self.b.load(size, false, base, displacement);
            return self.b.extend(raw, size, true);
        }
        self.b.load(size, signed, base, displacement)
    }

    /// Counts a pointer that cannot be the kernel's: null, or a user address. Such a load gives zero.
    fn test_kernel_pointer(&mut self, base: Value, span: Span) {
        if self.known.tested.insert(base) {
            let base = self.b.to_compare(base);
            self.count_site_if(Cond::Sge, base, Operand::Imm(0), (SiteKind::ReadFailed, span), None);
        }
    }

    /// Says that a pointer is the kernel's, so that it need not be tested.
    pub(super) fn trust(&mut self, base: Value) {
        self.known.tested.insert(base);
    }

    /// Reads a bit-field of the structure at `address`.
    pub(super) fn read_bits(
        &mut self,
        address: &Address,
        path: &FieldPath,
        bits: BitField,
        signed: bool,
        span: Span,
    ) -> Value {
        let mut at = self.member(address, path);
        let left = 64 - bits.shift - bits.width;
        let right = 64 - bits.width;
        let unit = size_of(u32::from(bits.unit));
        let shift_right = if signed { AluOp::Arsh } else { AluOp::Rsh };
        let Some(field) = &mut at.field else {
            let raw = self.read_int(&at, unit, false, span);
            let high = self.b.binary(AluOp::Lsh, raw, Operand::Imm(i32::from(left)));
            return self.b.binary(shift_right, high, Operand::Imm(i32::from(right)));
        };
        field.shifts = Some((left, right));
        let access = self.shared.access(field.clone());
        let raw = self.read_int(&at, unit, false, span);
        let left = self.b.value(Op::FieldShift(access, Shift::Left));
        let high = self.b.value(Op::Binary(AluOp::Lsh, raw, Operand::Value(left)));
        let right = self.b.value(Op::FieldShift(access, Shift::Right));
        self.b.value(Op::Binary(shift_right, high, Operand::Value(right)))
    }

    /// Fills `bytes` bytes at `to` by the probe-read helper; zeros and a count where they cannot be read.
    pub(super) fn read_bytes_by_helper(&mut self, from: &Address, to: &Address, bytes: u32, span: Span) {
        let helper = from.memory.reader();
        let source = self.pointer(from);
        let target = self.pointer(to);
        let result = self.call_reader(helper, target, (Operand::Imm(bytes as i32), bytes), source);
        if from.memory != Memory::Own {
            self.count_site_if(Cond::Ne, result, Operand::Imm(0), (SiteKind::ReadFailed, span), Some(result));
        }
    }

    // Copying.

    /// Copies `bytes` bytes to our memory, and fills up with zeros to `room` bytes.
    pub(super) fn copy(&mut self, from: &Address, to: &Address, bytes: u32, room: u32, span: Span) {
        let by_loads = bytes <= COPY_BY_LOADS
            && match from.memory {
                Memory::Own | Memory::Context => true,
                Memory::Kernel => matches!(self.shared.target.read, ReadForm::Cast),
                Memory::User | Memory::Either => false,
            };
        if !by_loads {
            self.read_bytes_by_helper(from, to, bytes, span);
            return self.clear(&to.plus(bytes), room.saturating_sub(bytes));
        }
        let mut done = 0;
        while done < bytes {
            let (source, target) = (from.plus(done), to.plus(done));
            let most = source.chunk().min(target.chunk()).min(bytes - done);
            let size = size_of(1 << most.ilog2());
            let value = self.read_int(&source, size, false, span);
            self.b.store(size, target.base, target.offset, Operand::Value(value));
            done += size.bytes();
        }
        self.clear(&to.plus(bytes), room.saturating_sub(bytes));
    }

    /// Writes zeros: many by a copy of those in the globals, since hundreds of stores would make programs too large.
    pub(super) fn clear(&mut self, at: &Address, bytes: u32) {
        let mut done = 0;
        if bytes > COPY_BY_LOADS && self.shared.zeros > COPY_BY_LOADS {
            let zeros = self.b.value(Op::GlobalAddr(globals::ZEROS));
            while done < bytes {
                let target = self.pointer(&at.plus(done));
                let some = (bytes - done).min(self.shared.zeros);
                let args = [Operand::Value(target), Operand::Imm(some as i32), Operand::Value(zeros)];
                self.b.call(Helper::ProbeReadKernel, &args);
                done += some;
            }
        }
        while done < bytes {
            let target = at.plus(done);
            let size = size_of(1 << target.chunk().min(bytes - done).ilog2());
            self.b.store(size, target.base, target.offset, Operand::Imm(0));
            done += size.bytes();
        }
    }

    /// Makes memory read as the zero of its type: for text, an empty string is enough.
    pub(super) fn clear_value(&mut self, at: &Address, ty: &Type) {
        let bytes = match ty {
            Type::String(_) | Type::Buffer(_) => 8,
            Type::Void
            | Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Pointer(..)
            | Type::Struct(_)
            | Type::Array(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe
            | Type::Aggregate(_) => self.structs().layout(ty).size,
        };
        self.clear(at, bytes);
    }

    pub(super) fn int_of(&self, ty: &Type) -> Int {
        match ty {
            Type::Int(int) => *int,
            Type::Bool => Int::U8,
            Type::Enum(id) => self.structs().enums[*id].int,
            Type::Username => Int::U32,
            Type::Pointer(..) | Type::KernelSymbol | Type::Timestamp(..) | Type::Label(_) | Type::Probe => {
                Int::U64
            }
            Type::Void
            | Type::String(_)
            | Type::Buffer(_)
            | Type::Struct(_)
            | Type::Array(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Stack(_)
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Aggregate(_) => Int::U64,
        }
    }

    /// A member of the current task's structure by name, where the checker met that structure.
    pub(super) fn task_member(&self, name: &str) -> Option<(StructId, u32, u32)> {
        let id = self.shared.task_struct?;
        let fields = self.structs().structs[id].fields.as_ref()?;
        let index = fields.iter().position(|field| field.name == name)?;
        Some((id, index as u32, fields[index].offset_bits / 8))
    }
}

/// The access of so many bytes: 1, 2, 4 or 8.
pub(super) fn size_of(bytes: u32) -> Size {
    Size::of_bytes(bytes).unwrap_or(Size::D)
}
