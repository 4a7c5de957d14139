//! Builds a function, and keeps it in SSA form while it grows.
//!
//! Variables are turned into values on the fly, after Braun et al., "Simple and Efficient Construction of Static
//! Single Assignment Form" (CC 2013): a block knows the current value of each variable; a use in a block that does
//! not asks its predecessors, and gets a block parameter where they may differ. A block is *sealed* once no further
//! predecessor can come; only then are its parameters filled in. Parameters that turn out to be the same value on
//! every edge are left to the passes.
//!
//! Constants are folded here, since the rest then never sees a foldable operation: `binary`, `extend` and `compare`
//! return constants for constants, and simplify the usual identities.
//!
//! # What the verifier is to forget
//!
//! The kernel's verifier walks a loop until it meets a state that it has seen. Inside of one it takes two states for the
//! same only where each number has a range that lies in the other's, even a number that no longer matters: each `if` in
//! a loop would double what it walks. So variables that are set in a loop forget what is known of them: they are
//! combined with a zero that lies in memory, where the verifier does not see that it is one. For the same reason
//! conditions there compare copies, so that they tell nothing about the number itself.
//!
//! Outside of loops two states are the same as long as they differ in what does not matter. A range matters once it has
//! decided a condition; so in a long chain of conditions on the same variables each can double what is walked. A
//! function with many conditions compares copies everywhere.

use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::record::globals;
use rtscript_lang::syntax::source::Span;
use rustc_hash::FxHashMap;

use super::{
    Block, BlockData, Callee, Def, Function, Inst, InstData, Jump, Op, Operand, Place, Role, Slot, SlotData,
    Terminator, Value,
};
use crate::insn::{AluOp, Cond, Helper, Narrow, Size};
use crate::object::AccessId;

/// A variable of the script or of the lowering: a scalar that may be assigned many times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variable(u32);
entity_impl!(Variable, "var");

pub struct Builder {
    function: Function,
    context: Value,
    current: Block,
    /// Whether the current block has its terminator already: what follows is unreachable.
    ended: bool,
    span: Span,
    variables: PrimaryMap<Variable, ()>,
    definitions: FxHashMap<(Block, Variable), Value>,
    predecessors: SecondaryMap<Block, Vec<Block>>,
    sealed: SecondaryMap<Block, bool>,
    /// Joins whose predecessors are being asked, with the parameter that one of them needed.
    asked: FxHashMap<(Block, Variable), Option<(u32, Value)>>,
    /// How many loops the current place is in, as far as the verifier is to forget there.
    loops: u32,
    /// Whether conditions outside of loops compare copies too.
    copies: bool,
    /// How many values were compared.
    compared: u32,
    /// The zero of which the verifier knows nothing, and the block that loaded it.
    hidden_zero: Option<(Block, Value)>,
    /// Parameters of unsealed blocks, to be filled in when the block is sealed.
    incomplete: SecondaryMap<Block, Vec<(Variable, u32)>>,
    /// The slot that callbacks are lent, and where in it other slots come to lie.
    lent: Option<Slot>,
    parts: Vec<(Slot, i32)>,
}

impl Builder {
    /// A function whose entry block is current; its first parameter is taken for the context.
    pub fn new(name: String, program: ProgramKind, role: Role, span: Span) -> Builder {
        let mut blocks = PrimaryMap::new();
        let entry = blocks.push(BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            terminator: Terminator::Return(Operand::Imm(0)),
            span,
            cold: false,
        });
        let mut values = PrimaryMap::new();
        blocks[entry].params =
            (0..role.params() as u32).map(|index| values.push(Def::Param(entry, index))).collect();
        let context = blocks[entry].params[0];
        let function = Function {
            name,
            program,
            role,
            sleepable: false,
            callbacks: Vec::new(),
            blocks,
            insts: PrimaryMap::new(),
            values,
            slots: PrimaryMap::new(),
            entry,
            span,
        };
        let mut sealed = SecondaryMap::new();
        sealed[entry] = true;
        Builder {
            function,
            context,
            current: entry,
            ended: false,
            span,
            variables: PrimaryMap::new(),
            definitions: FxHashMap::default(),
            predecessors: SecondaryMap::new(),
            sealed,
            asked: FxHashMap::default(),
            loops: 0,
            copies: false,
            compared: 0,
            hidden_zero: None,
            incomplete: SecondaryMap::new(),
            lent: None,
            parts: Vec::new(),
        }
    }

    /// The finished function. Every block must be sealed.
    pub fn finish(mut self) -> Function {
        if !self.ended {
            self.ret(Operand::Imm(0));
        }
        debug_assert!(self.function.blocks.keys().all(|block| self.sealed[block]));
        if let Some(lent) = self.lent {
            let parts = self.parts.into_iter().map(|(slot, offset)| (slot, (lent, offset))).collect();
            self.function.join_slots(&parts);
        }
        self.function
    }

    /// The pointer to the context.
    pub fn context(&self) -> Value {
        self.context
    }

    /// Says that a callback finds the context here.
    pub fn set_context(&mut self, context: Value) {
        self.context = context;
    }

    /// What the function is called with.
    pub fn params(&self) -> &[Value] {
        &self.function.blocks[self.function.entry].params
    }

    /// The span of all instructions that follow, until the next call; returns the one before.
    pub fn at(&mut self, span: Span) -> Span {
        std::mem::replace(&mut self.span, span)
    }

    pub fn span(&self) -> Span {
        self.span
    }

    /// Whether what follows can be reached.
    pub fn is_reachable(&self) -> bool {
        !self.ended
    }

    // Blocks.

    pub fn block(&mut self) -> Block {
        self.function.blocks.push(BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            terminator: Terminator::Return(Operand::Imm(0)),
            span: self.span,
            cold: false,
        })
    }

    /// A block that is rarely run.
    pub fn cold_block(&mut self) -> Block {
        let block = self.block();
        self.function.blocks[block].cold = true;
        block
    }

    /// Adds a parameter to a block that has no predecessors yet.
    pub fn param(&mut self, block: Block) -> Value {
        debug_assert!(self.predecessors[block].is_empty());
        self.push_param(block).1
    }

    /// Goes on in `block`.
    pub fn switch(&mut self, block: Block) {
        debug_assert!(self.ended, "the block before must end first");
        self.current = block;
        self.ended = false;
    }

    /// Goes on in `block`, to which no further jump will be made.
    pub fn switch_sealed(&mut self, block: Block) {
        self.seal(block);
        self.switch(block);
    }

    /// Says that all jumps to `block` have been made.
    pub fn seal(&mut self, block: Block) {
        if self.sealed[block] {
            return;
        }
        self.sealed[block] = true;
        for (variable, index) in std::mem::take(&mut self.incomplete[block]) {
            self.fill_param(block, variable, index);
        }
    }

    pub fn jump(&mut self, block: Block, args: &[Value]) {
        self.end(Terminator::Jump(Jump { block, args: args.to_vec() }));
    }

    /// Branches on a comparison; folded where both sides are constants.
    pub fn branch(&mut self, cond: Cond, left: Value, right: Operand, then: Block, otherwise: Block) {
        let right = self.operand(right);
        if let (Some(a), Some(b)) = (self.constant(left), self.operand_constant(right)) {
            return self.jump(if holds(cond, a, b) { then } else { otherwise }, &[]);
        }
        let to = |block| Jump { block, args: Vec::new() };
        self.end(Terminator::Branch { cond, left, right, then: to(then), otherwise: to(otherwise) });
    }

    pub fn may_goto(&mut self, body: Block, exit: Block) {
        let to = |block| Jump { block, args: Vec::new() };
        self.end(Terminator::MayGoto { body: to(body), exit: to(exit) });
    }

    pub fn ret(&mut self, value: Operand) {
        self.end(Terminator::Return(value));
    }

    fn end(&mut self, terminator: Terminator) {
        if self.ended {
            return;
        }
        for jump in terminator.jumps() {
            debug_assert!(!self.sealed[jump.block], "a sealed block gets no further predecessor");
            self.predecessors[jump.block].push(self.current);
        }
        let data = &mut self.function.blocks[self.current];
        data.terminator = terminator;
        data.span = self.span;
        self.ended = true;
    }

    // Variables.

    pub fn variable(&mut self) -> Variable {
        self.variables.push(())
    }

    /// Assigns a variable; in loops the verifier forgets what it knows of the number.
    pub fn set(&mut self, variable: Variable, value: Value) {
        let value = if self.loops > 0 { self.hidden(value) } else { value };
        self.set_known(variable, value);
    }

    /// Assigns a variable of which the verifier has to know the range, or which is a pointer.
    pub fn set_known(&mut self, variable: Variable, value: Value) {
        // What is set behind a jump does not reach its target.
        if self.ended {
            return;
        }
        self.definitions.insert((self.current, variable), value);
    }

    /// Enters a loop that the verifier walks only until it knows it.
    pub fn enter_loop(&mut self) {
        self.loops += 1;
    }

    pub fn leave_loop(&mut self) {
        self.loops -= 1;
    }

    pub fn in_loop(&self) -> bool {
        self.loops > 0
    }

    /// From here on all conditions compare copies.
    pub fn compare_copies(&mut self) {
        self.copies = true;
    }

    /// How many values were compared that are no constants.
    pub fn compared(&self) -> u32 {
        self.compared
    }

    /// What a condition compares: in loops, and with [`Builder::compare_copies`], a copy. What the verifier learns of
    /// that, it does not learn of the number itself.
    pub fn to_compare(&mut self, value: Value) -> Value {
        if self.constant(value).is_some() || value == self.context() {
            return value;
        }
        self.compared += 1;
        if self.loops == 0 && !self.copies {
            return value;
        }
        // With a zero of its own: two copies must not be taken for the same value.
        self.hidden_zero = None;
        self.hidden(value)
    }

    fn hidden(&mut self, value: Value) -> Value {
        if value == self.context() {
            return value;
        }
        let zero = match self.hidden_zero {
            Some((block, zero)) if block == self.current => zero,
            Some(_) | None => {
                let zeros = self.value(Op::GlobalAddr(globals::ZEROS));
                let zero = self.load(Size::D, false, zeros, 0);
                self.hidden_zero = Some((self.current, zero));
                zero
            }
        };
        self.value(Op::Binary(AluOp::Xor, value, Operand::Value(zero)))
    }

    pub fn get(&mut self, variable: Variable) -> Value {
        self.value_in(self.current, variable)
    }

    fn value_in(&mut self, block: Block, variable: Variable) -> Value {
        if let Some(&value) = self.definitions.get(&(block, variable)) {
            return value;
        }
        let value = if !self.sealed[block] {
            let (index, value) = self.push_param(block);
            self.incomplete[block].push((variable, index));
            value
        } else if let [predecessor] = self.predecessors[block][..] {
            self.value_in(predecessor, variable)
        } else if self.predecessors[block].is_empty() {
            // Unreachable, or never assigned: variables begin as zero.
            self.zero_in(block)
        } else {
            self.joined_value(block, variable)
        };
        self.definitions.insert((block, variable), value);
        value
    }

    /// The value at the start of a block with several predecessors: theirs, if it is the same in all, and otherwise a
    /// parameter.
    fn joined_value(&mut self, block: Block, variable: Variable) -> Value {
        if let Some(param) = self.asked.get_mut(&(block, variable)) {
            // A loop leads back here while the predecessors are asked.
            if let Some((_, value)) = *param {
                return value;
            }
            let made = self.push_param(block);
            self.asked.insert((block, variable), Some(made));
            return made.1;
        }
        self.asked.insert((block, variable), None);
        let values: Vec<Value> = self.predecessors[block]
            .clone()
            .into_iter()
            .map(|predecessor| self.value_in(predecessor, variable))
            .collect();
        let param = self.asked.remove(&(block, variable)).flatten();
        if param.is_none() && values.windows(2).all(|pair| pair[0] == pair[1]) {
            return values[0];
        }
        let (index, value) = param.unwrap_or_else(|| self.push_param(block));
        self.definitions.insert((block, variable), value);
        self.fill_param(block, variable, index);
        value
    }

    fn push_param(&mut self, block: Block) -> (u32, Value) {
        let index = self.function.blocks[block].params.len() as u32;
        let value = self.function.values.push(Def::Param(block, index));
        self.function.blocks[block].params.push(value);
        (index, value)
    }

    fn fill_param(&mut self, block: Block, variable: Variable, index: u32) {
        for predecessor in self.predecessors[block].clone() {
            let value = self.value_in(predecessor, variable);
            // A branch may lead here by both of its edges; its block is then listed twice.
            let terminator = &mut self.function.blocks[predecessor].terminator;
            for jump in terminator.jumps_mut().filter(|jump| jump.block == block) {
                if jump.args.len() == index as usize {
                    jump.args.push(value);
                }
            }
        }
    }

    /// A zero at the start of a block without predecessors.
    fn zero_in(&mut self, block: Block) -> Value {
        let inst = self.function.insts.next_key();
        let value = self.function.values.push(Def::Inst(inst));
        self.function.insts.push(InstData { op: Op::Const(0), result: Some(value), span: self.span });
        self.function.blocks[block].insts.insert(0, inst);
        value
    }

    // Instructions.

    pub fn slot(&mut self, size: u32) -> Slot {
        self.slot_in(Place::Anywhere, size)
    }

    pub fn slot_in(&mut self, place: Place, size: u32) -> Slot {
        self.function.slots.push(SlotData { size: size.next_multiple_of(8).max(8), align: 8, place })
    }

    /// Says that callbacks use a slot: it becomes a part of the one that is lent to them. Returns where it lies there.
    pub fn lend(&mut self, slot: Slot) -> i32 {
        if let Some((_, offset)) = self.parts.iter().find(|(part, _)| *part == slot) {
            return *offset;
        }
        let lent = self.lent();
        let part = self.function.slots[slot];
        let whole = &mut self.function.slots[lent];
        let offset = whole.size as i32;
        whole.size += part.size.next_multiple_of(8);
        if part.place == Place::Scratch {
            whole.place = part.place;
        }
        self.parts.push((slot, offset));
        offset
    }

    /// The slot that is lent to callbacks.
    pub fn lent(&mut self) -> Slot {
        let slots = &mut self.function.slots;
        *self.lent.get_or_insert_with(|| slots.push(SlotData { size: 0, align: 8, place: Place::Outside }))
    }

    /// Appends an instruction that has a result.
    pub fn value(&mut self, op: Op) -> Value {
        debug_assert!(op.has_result());
        let value = self.function.values.push(Def::Inst(self.function.insts.next_key()));
        self.push(op, Some(value));
        value
    }

    /// Appends an instruction without a result.
    pub fn effect(&mut self, op: Op) {
        debug_assert!(!op.has_result());
        self.push(op, None);
    }

    fn push(&mut self, op: Op, result: Option<Value>) {
        let inst: Inst = self.function.insts.push(InstData { op, result, span: self.span });
        if !self.ended {
            self.function.blocks[self.current].insts.push(inst);
        }
    }

    pub fn iconst(&mut self, value: i64) -> Value {
        self.value(Op::Const(value))
    }

    /// The constant that a value is.
    pub fn constant(&self, value: Value) -> Option<i64> {
        match self.op_of(value)? {
            Op::Const(constant) => Some(*constant),
            _ => None,
        }
    }

    fn op_of(&self, value: Value) -> Option<&Op> {
        match self.function.values[value] {
            Def::Inst(inst) => Some(&self.function.insts[inst].op),
            Def::Param(..) => None,
        }
    }

    fn operand_constant(&self, operand: Operand) -> Option<i64> {
        match operand {
            Operand::Value(value) => self.constant(value),
            Operand::Imm(imm) => Some(i64::from(imm)),
        }
    }

    /// An immediate where the value is a constant that fits one.
    pub fn operand(&self, operand: Operand) -> Operand {
        match self.operand_constant(operand).map(i32::try_from) {
            Some(Ok(imm)) => Operand::Imm(imm),
            Some(Err(_)) | None => operand,
        }
    }

    pub fn binary(&mut self, op: AluOp, left: Value, right: Operand) -> Value {
        let right = self.operand(right);
        match (self.constant(left), self.operand_constant(right)) {
            (Some(a), Some(b)) => {
                let folded = fold(op, a, b);
                return self.iconst(folded);
            }
            (None, Some(0)) if matches!(op, AluOp::Add | AluOp::Sub | AluOp::Or | AluOp::Xor) => return left,
            (None, Some(0)) if matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh) => return left,
            (None, Some(1)) if matches!(op, AluOp::Mul | AluOp::Div | AluOp::Sdiv) => return left,
            (Some(_), None)
                if matches!(op, AluOp::Add | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor) =>
            {
                // Constants stand on the right, where they become immediates.
                if let Operand::Value(variable) = right {
                    return self.binary(op, variable, Operand::Value(left));
                }
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        self.value(Op::Binary(op, left, right))
    }

    pub fn add(&mut self, left: Value, right: Operand) -> Value {
        self.binary(AluOp::Add, left, right)
    }

    /// `value`, cut to `size` bytes and extended again by `signed`.
    pub fn extend(&mut self, value: Value, size: Size, signed: bool) -> Value {
        let narrow = match size {
            Size::B => Narrow::S8,
            Size::H => Narrow::S16,
            Size::W => Narrow::S32,
            Size::D => return value,
        };
        if let Some(constant) = self.constant(value) {
            let shift = 64 - narrow.bits();
            let high = constant << shift;
            return self.iconst(if signed { high >> shift } else { ((high as u64) >> shift) as i64 });
        }
        // What a load of this width gave is extended already.
        if let Some(Op::Load { size: loaded, signed: by_sign, .. }) = self.op_of(value)
            && (*loaded == size && *by_sign == signed || loaded.bytes() < size.bytes() && !by_sign)
        {
            return value;
        }
        self.value(if signed { Op::SignExtend(narrow, value) } else { Op::ZeroExtend(size, value) })
    }

    /// 0 or 1.
    pub fn compare(&mut self, cond: Cond, left: Value, right: Operand) -> Value {
        let right = self.operand(right);
        match (self.constant(left), self.operand_constant(right)) {
            (Some(a), Some(b)) => self.iconst(i64::from(holds(cond, a, b))),
            (Some(_) | None, Some(_) | None) => self.value(Op::Compare(cond, left, right)),
        }
    }

    pub fn load(&mut self, size: Size, signed: bool, base: Value, displacement: i32) -> Value {
        self.value(Op::Load { size, signed, base, displacement, field: None })
    }

    pub fn store(&mut self, size: Size, base: Value, displacement: i32, value: Operand) {
        let value = self.operand(value);
        self.effect(Op::Store { size, base, displacement, value });
    }

    pub fn call(&mut self, helper: Helper, args: &[Operand]) -> Value {
        let args = args.iter().map(|arg| self.operand(*arg)).collect();
        self.value(Op::Call(Callee::Helper(helper), args))
    }

    pub fn field_offset(&mut self, access: AccessId) -> Value {
        self.value(Op::FieldOffset(access))
    }
}

/// What the kernel computes for 64-bit operands.
pub fn fold(op: AluOp, a: i64, b: i64) -> i64 {
    let (ua, ub) = (a as u64, b as u64);
    let shift = (ub & 63) as u32;
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => ua.checked_div(ub).unwrap_or(0) as i64,
        AluOp::Sdiv => {
            if b == 0 {
                0
            } else {
                a.wrapping_div(b)
            }
        }
        AluOp::Mod => ua.checked_rem(ub).unwrap_or(ua) as i64,
        AluOp::Smod => {
            if b == 0 {
                a
            } else {
                a.wrapping_rem(b)
            }
        }
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a << shift,
        AluOp::Rsh => (ua >> shift) as i64,
        AluOp::Arsh => a >> shift,
        AluOp::Mov => b,
    }
}

/// Whether a comparison of two 64-bit values holds.
pub fn holds(cond: Cond, a: i64, b: i64) -> bool {
    let (ua, ub) = (a as u64, b as u64);
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Gt => ua > ub,
        Cond::Ge => ua >= ub,
        Cond::Lt => ua < ub,
        Cond::Le => ua <= ub,
        Cond::Sgt => a > b,
        Cond::Sge => a >= b,
        Cond::Slt => a < b,
        Cond::Sle => a <= b,
        Cond::Set => ua & ub != 0,
    }
}
