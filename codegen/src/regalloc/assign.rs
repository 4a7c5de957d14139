//! Chooses registers where `spill` has decided what is in one.
//!
//! One walk in reverse postorder. A block starts with the registers of a predecessor that is done, so most edges need
//! no move; the others get theirs at the end. Nothing here can fail: the plan leaves a free register wherever one is
//! needed, and a value that lies where it must not stay is moved. Hints only make such moves rare:
//!
//! - what is in a register across a call wants r6 to r9, everything else wants the others;
//! - an argument of a call wants the register that the call expects;
//! - a parameter and the arguments for it, and the two sides of a two-operand form, want the same register.

use super::live::{Flow, Interference, NextUse, Room};
use super::moves;
use super::spill::Plan;
use super::{Allocation, Move, Place, Source, Step};
use crate::insn::Reg;
use crate::machine::{Block, Code, End, Inst, Value};
use cranelift_entity::{EntitySet, SecondaryMap};

pub fn assign<T>(code: &Code<T>, flow: Flow, next: &NextUse, plan: &Plan) -> Allocation {
    let (slot, slots) = share_slots(code, &flow, next, &plan.spilled);
    let mut a = Assign {
        code,
        plan,
        hints: Hints::of(code, &flow, plan),
        slot,
        holder: [None; 10],
        entry: SecondaryMap::new(),
        exit: SecondaryMap::new(),
        call_args: 0,
        out: Vec::new(),
    };
    let mut done = EntitySet::new();
    let mut steps: SecondaryMap<Block, Vec<Step>> = SecondaryMap::new();
    for &block in &flow.order {
        let pred = flow.preds[block].iter().copied().find(|p| done.contains(*p));
        a.start(block, pred);
        a.block(block);
        steps[block] = std::mem::take(&mut a.out);
        done.insert(block);
    }
    for &block in &flow.order {
        let edges: Vec<_> = code.blocks[block].end.edges().collect();
        for edge in &edges {
            let moves: Vec<Step> =
                a.edge(block, edge.to, &edge.args, next).into_iter().map(Step::Move).collect();
            if edges.len() == 1 {
                let end = steps[block].len() - 1;
                steps[block].splice(end..end, moves);
            } else {
                assert!(
                    flow.preds[edge.to].len() == 1 || moves.is_empty(),
                    "{} has a critical edge",
                    edge.to
                );
                steps[edge.to].splice(0..0, moves);
            }
        }
    }
    let scratch = |n| {
        let at = Place::Scratch(n);
        steps.values().flatten().any(|s| matches!(s, Step::Move(m) if m.to == at))
    };
    let scratch = if scratch(1) { 2 } else { u32::from(scratch(0)) };
    Allocation { order: flow.order, steps, slots, scratch }
}

/// Gives each spilled value a slot; values that are never live at once may share one.
fn share_slots<T>(
    code: &Code<T>,
    flow: &Flow,
    next: &NextUse,
    spilled: &EntitySet<Value>,
) -> (SecondaryMap<Value, Option<u32>>, u32) {
    let interference = Interference::of(code, flow, next, spilled);
    let mut slot = SecondaryMap::new();
    let mut rooms: Vec<Room> = Vec::new();
    for value in code.values.keys().filter(|v| spilled.contains(*v)) {
        slot[value] = Some(interference.place(value, &mut rooms) as u32);
    }
    (slot, rooms.len() as u32)
}

struct Assign<'a, T> {
    code: &'a Code<T>,
    plan: &'a Plan,
    hints: Hints,
    slot: SecondaryMap<Value, Option<u32>>,
    /// What is in each register now.
    holder: [Option<Value>; 10],
    /// The registers at the start and the end of each block that is done.
    entry: SecondaryMap<Block, Vec<(Value, Reg)>>,
    exit: SecondaryMap<Block, Vec<(Value, Reg)>>,
    /// How many arguments the block's next call takes.
    call_args: usize,
    out: Vec<Step>,
}

impl<T> Assign<'_, T> {
    /// Chooses the registers in which a block finds its values.
    fn start(&mut self, block: Block, pred: Option<Block>) {
        self.holder = [None; 10];
        let data = &self.code.blocks[block];
        let live = &self.plan.entry[block];
        if block == self.code.entry {
            for (i, param) in data.params.iter().enumerate().filter(|(_, p)| live.contains(p)) {
                self.put(*param, Reg::argument(i));
            }
        }
        let before = pred.map(|p| self.exit[p].clone()).unwrap_or_default();
        for &(value, reg) in before.iter().filter(|(v, _)| live.contains(v) && !data.params.contains(v)) {
            self.put(value, reg);
        }
        self.call_args = data.insts.iter().find(|i| i.is_call()).map_or(0, |i| i.uses.len());
        for (i, param) in data.params.iter().enumerate() {
            if live.contains(param) && self.reg_of(*param).is_none() {
                // The register of the argument, if nothing else wants to stay in it.
                let arg = pred.and_then(|p| {
                    let edge = self.code.blocks[p].end.edges().find(|e| e.to == block)?;
                    before.iter().find(|(v, _)| *v == edge.args[i]).map(|(_, r)| *r)
                });
                let suits = |r: &Reg| r.survives_call() || !self.plan.crossing.contains(*param);
                let reg = arg.filter(|r| self.holder[*r as usize].is_none()).filter(suits);
                let reg = reg.unwrap_or_else(|| self.pick(*param, &[]));
                self.put(*param, reg);
            }
        }
        for value in live {
            if self.reg_of(*value).is_none() {
                let reg = self.pick(*value, &[]);
                self.put(*value, reg);
            }
        }
        self.entry[block] = self.held();
        for param in &data.params {
            self.store(*param);
        }
    }

    fn block(&mut self, block: Block) {
        let code = self.code;
        let plan = self.plan;
        let data = &code.blocks[block];
        let mut calls = data.insts.iter().enumerate().filter(|(_, inst)| inst.is_call()).peekable();
        for (index, (inst, step)) in data.insts.iter().zip(&plan.steps[block]).enumerate() {
            while calls.next_if(|(call, _)| *call < index).is_some() {}
            self.call_args = calls.peek().map_or(0, |(_, call)| call.uses.len());
            self.load(&step.drop, &step.reload);
            let (def, uses) = if inst.is_call() {
                self.call(inst, &step.done)
            } else if inst.fixed_def().is_some() {
                self.compare_exchange(inst, &step.done)
            } else {
                self.plain(inst, &step.done)
            };
            self.out.push(Step::Inst { index, def, uses });
            if let (Some(value), Some(reg)) = (inst.def, def) {
                self.put(value, reg);
                self.store(value);
                if step.done.contains(&value) {
                    self.release(value);
                }
            }
        }
        let step = plan.steps[block].last().expect("a step for the block's end");
        self.load(&step.drop, &step.reload);
        let uses = match &data.end {
            End::Goto(..) | End::MayGoto { .. } => Vec::new(),
            End::Branch { uses, .. } => uses.iter().map(|v| self.expect(*v)).collect(),
            End::Return(value, _) => {
                let m = Move { to: Place::Reg(Reg::R0), from: self.find(*value), what: *value };
                self.resolve(&[m], &[]);
                vec![Reg::R0]
            }
        };
        self.out.push(Step::End { uses });
        let mut exit = self.held();
        exit.retain(|(v, _)| plan.exit[block].contains(v));
        self.exit[block] = exit;
    }

    /// Makes the changes before an instruction.
    fn load(&mut self, drop: &[Value], reload: &[Value]) {
        for value in drop {
            self.release(*value);
        }
        for value in reload {
            let from = self.find(*value);
            let reg = self.pick(*value, &[]);
            self.out.push(Step::Move(Move { to: Place::Reg(reg), from, what: *value }));
            self.put(*value, reg);
        }
    }

    fn plain(&mut self, inst: &Inst<T>, done: &[Value]) -> (Option<Reg>, Vec<Reg>) {
        let mut uses: Vec<Reg> = inst.uses.iter().map(|v| self.expect(*v)).collect();
        let stays = |v: Value| !done.contains(&v);
        match (inst.tied(), inst.def) {
            (Some(tied), Some(def)) => {
                let mut tied_value = inst.uses[tied];
                if inst.commutes() && stays(tied_value) && !stays(inst.uses[1]) {
                    uses.swap(0, 1);
                    tied_value = inst.uses[1];
                }
                if stays(tied_value) {
                    let reg = self.pick(def, &uses);
                    let from = Source::At(Place::Reg(uses[tied]));
                    self.out.push(Step::Move(Move { to: Place::Reg(reg), from, what: tied_value }));
                    uses[tied] = reg;
                }
                self.release_all(done);
                (Some(uses[tied]), uses)
            }
            (None, Some(def)) => {
                self.release_all(done);
                (Some(self.pick(def, &[])), uses)
            }
            (tied, None) => {
                assert!(tied.is_none(), "an instruction that overwrites a register must define a value");
                self.release_all(done);
                (None, uses)
            }
        }
    }

    /// Moves the arguments to r1 to r5, and what lives on to registers that survive.
    fn call(&mut self, inst: &Inst<T>, done: &[Value]) -> (Option<Reg>, Vec<Reg>) {
        let mut wanted = Vec::new();
        for (i, value) in inst.uses.iter().enumerate() {
            let to = Place::Reg(Reg::argument(i));
            wanted.push(Move { to, from: self.find(*value), what: *value });
        }
        let stay: Vec<(Value, Reg)> = self.held().into_iter().filter(|(v, _)| !done.contains(v)).collect();
        self.holder = [None; 10];
        for (value, reg) in stay.iter().filter(|(_, r)| r.survives_call()) {
            self.put(*value, *reg);
        }
        for (value, reg) in stay.iter().filter(|(_, r)| !r.survives_call()) {
            let volatile = &Reg::ALL[..6];
            let to = self.pick(*value, volatile);
            wanted.push(Move { to: Place::Reg(to), from: Source::At(Place::Reg(*reg)), what: *value });
            self.put(*value, to);
        }
        // No argument goes to r0, so it is empty when only cycles remain.
        self.resolve(&wanted, &[Reg::R0]);
        (Some(Reg::R0), (0..inst.uses.len()).map(Reg::argument).collect())
    }

    /// Puts the expected value into r0, and elsewhere what was there.
    fn compare_exchange(&mut self, inst: &Inst<T>, done: &[Value]) -> (Option<Reg>, Vec<Reg>) {
        let expected = inst.uses[inst.uses.len() - 2];
        let mut wanted = vec![Move { to: Place::Reg(Reg::R0), from: self.find(expected), what: expected }];
        if let Some(value) = self.holder[0] {
            let others = inst.uses.iter().enumerate().filter(|(i, _)| inst.fixed_use(*i).is_none());
            if !done.contains(&value) || others.into_iter().any(|(_, v)| *v == value) {
                let to = self.pick(value, &[Reg::R0]);
                let from = Source::At(Place::Reg(Reg::R0));
                wanted.push(Move { to: Place::Reg(to), from, what: value });
                self.release(value);
                self.put(value, to);
            }
        }
        self.resolve(&wanted, &[]);
        let uses = inst.uses.iter().enumerate();
        let uses = uses.map(|(i, v)| inst.fixed_use(i).unwrap_or_else(|| self.expect(*v))).collect();
        self.release_all(done);
        (Some(Reg::R0), uses)
    }

    /// The moves of one edge.
    fn edge(&mut self, from: Block, to: Block, args: &[Value], next: &NextUse) -> Vec<Move> {
        self.holder = [None; 10];
        for (value, reg) in self.exit[from].clone() {
            self.put(value, reg);
        }
        let params = &self.code.blocks[to].params;
        let mut wanted = Vec::new();
        let entry = self.entry[to].clone();
        let register = |v: Value| entry.iter().find(|(w, _)| *w == v).map(|(_, r)| Place::Reg(*r));
        for (value, reg) in entry.iter().filter(|(v, _)| !params.contains(v)) {
            wanted.push(Move { to: Place::Reg(*reg), from: self.find(*value), what: *value });
        }
        for (param, arg) in params.iter().zip(args).filter(|(p, _)| next.entry[to].contains_key(p)) {
            let to = register(*param).or(self.slot[*param].map(Place::Slot));
            let to = to.expect("a live parameter is in a register or a slot");
            wanted.push(Move { to, from: self.find(*arg), what: *arg });
        }
        let targeted = |r: Reg| wanted.iter().any(|m| m.to == Place::Reg(r));
        let free: Vec<Reg> = Reg::ALL[..10]
            .iter()
            .copied()
            .filter(|r| self.holder[*r as usize].is_none() && !targeted(*r))
            .collect();
        let mut out = Vec::new();
        moves::resolve(&wanted, &free, |v| self.is_small(v), &mut out);
        out
    }

    fn resolve(&mut self, wanted: &[Move], free: &[Reg]) {
        let mut out = Vec::new();
        moves::resolve(wanted, free, |v| self.is_small(v), &mut out);
        self.out.extend(out.into_iter().map(Step::Move));
    }

    fn is_small(&self, value: Value) -> bool {
        self.code.values[value].as_ref().is_some_and(|repeat| repeat.op.small_constant().is_some())
    }

    /// Stores a value that has just been defined, if it has a slot.
    fn store(&mut self, value: Value) {
        if let (Some(slot), Some(reg)) = (self.slot[value], self.reg_of(value)) {
            let from = Source::At(Place::Reg(reg));
            self.out.push(Step::Move(Move { to: Place::Slot(slot), from, what: value }));
        }
    }

    /// Where a value can be had from now.
    fn find(&self, value: Value) -> Source {
        match self.reg_of(value) {
            Some(reg) => Source::At(Place::Reg(reg)),
            None if self.code.values[value].is_some() => Source::Again,
            None => Source::At(Place::Slot(self.slot[value].expect("a value is in a register or a slot"))),
        }
    }

    fn reg_of(&self, value: Value) -> Option<Reg> {
        let i = self.holder.iter().position(|h| *h == Some(value))?;
        Some(Reg::ALL[i])
    }

    fn expect(&self, value: Value) -> Reg {
        self.reg_of(value).unwrap_or_else(|| panic!("{value} is not in a register"))
    }

    fn held(&self) -> Vec<(Value, Reg)> {
        Reg::ALL.iter().zip(self.holder).filter_map(|(r, v)| Some((v?, *r))).collect()
    }

    fn put(&mut self, value: Value, reg: Reg) {
        debug_assert!(self.holder[reg as usize].is_none(), "{reg} is taken");
        self.holder[reg as usize] = Some(value);
        self.hints.chosen(value, reg);
    }

    fn release(&mut self, value: Value) {
        for holder in &mut self.holder {
            if *holder == Some(value) {
                *holder = None;
            }
        }
    }

    fn release_all(&mut self, values: &[Value]) {
        for value in values {
            self.release(*value);
        }
    }

    /// The free register that suits a value best.
    fn pick(&self, value: Value, forbidden: &[Reg]) -> Reg {
        let crossing = self.plan.crossing.contains(value);
        let (group, fixed) = self.hints.of_value(value);
        let surviving = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
        let mut order = Vec::with_capacity(14);
        if crossing {
            order.extend(group.filter(|r| r.survives_call()));
            order.extend(surviving);
        } else {
            order.extend(group);
            order.extend(fixed);
        }
        // First what the next call does not need for an argument.
        order.extend(&Reg::ALL[1 + self.call_args..6]);
        order.push(Reg::R0);
        order.extend(Reg::ALL[1..1 + self.call_args].iter().rev());
        order.extend(surviving);
        let free = |r: &Reg| self.holder[*r as usize].is_none() && !forbidden.contains(r);
        order.into_iter().find(free).expect("the plan leaves a register free")
    }
}

/// Which values want the same register, and which one.
struct Hints {
    /// Union-find over the values that moves would connect.
    parent: SecondaryMap<Value, Option<Value>>,
    /// Of each group: the register last chosen, and one that a call, a return or the entry wants.
    last: SecondaryMap<Value, Option<Reg>>,
    fixed: SecondaryMap<Value, Option<Reg>>,
}

impl Hints {
    fn of<T>(code: &Code<T>, flow: &Flow, plan: &Plan) -> Hints {
        let mut hints =
            Hints { parent: SecondaryMap::new(), last: SecondaryMap::new(), fixed: SecondaryMap::new() };
        for &block in &flow.order {
            let data = &code.blocks[block];
            for edge in data.end.edges() {
                for (arg, param) in edge.args.iter().zip(&code.blocks[edge.to].params) {
                    if code.values[*arg].is_none() {
                        hints.join(*arg, *param);
                    }
                }
            }
            for inst in &data.insts {
                if let (Some(tied), Some(def)) = (inst.tied(), inst.def)
                    && plan.crossing.contains(inst.uses[tied]) == plan.crossing.contains(def)
                {
                    hints.join(def, inst.uses[tied]);
                }
            }
        }
        for &block in flow.order.iter().rev() {
            let data = &code.blocks[block];
            if let End::Return(value, _) = &data.end {
                let root = hints.root(*value);
                hints.fixed[root] = Some(Reg::R0);
            }
            for inst in data.insts.iter().rev() {
                for (i, value) in inst.uses.iter().enumerate() {
                    if let Some(reg) = inst.fixed_use(i)
                        && !plan.crossing.contains(*value)
                    {
                        let root = hints.root(*value);
                        hints.fixed[root] = Some(reg);
                    }
                }
            }
        }
        hints
    }

    fn root(&self, mut value: Value) -> Value {
        while let Some(parent) = self.parent[value] {
            value = parent;
        }
        value
    }

    fn join(&mut self, a: Value, b: Value) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.parent[a.max(b)] = Some(a.min(b));
        }
    }

    fn chosen(&mut self, value: Value, reg: Reg) {
        let root = self.root(value);
        self.last[root] = Some(reg);
    }

    /// The register last chosen for the value's group, and the one that a fixed use wants.
    fn of_value(&self, value: Value) -> (Option<Reg>, Option<Reg>) {
        let root = self.root(value);
        (self.last[root], self.fixed[root])
    }
}
