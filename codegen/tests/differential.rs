//! Random programs give the same result three ways: computed here with the functions that fold constants, and run as
//! compiled code by an interpreter of eBPF that others wrote.
//!
//! A program has variables, branches, bounded loops, memory in slots, and calls that all its values have to survive.
//! What the interpreter does not know is left out: atomics, signed division, sign-extending moves.

use cranelift_entity::PrimaryMap;
use proptest::prelude::*;
use rtscript_codegen::compile::compile;
use rtscript_codegen::insn::{AluOp, Cond, Helper, Insn, Operand as Source, Size, SwapBits};
use rtscript_codegen::ir::builder::{Builder, Variable, fold, holds};
use rtscript_codegen::ir::{Function, Module, Op, Operand, Role, Slot, Value};
use rtscript_codegen::object::{Manifest, MapDef, MapKind};
use rtscript_codegen::target::{Loops, ReadForm, Target};
use rtscript_lang::config::Config;
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::syntax::source::{Sources, Span};
use rtscript_lang::types::Structs;

const VARIABLES: usize = 8;
const INPUTS: usize = 4;
/// Slots, and the 8-byte cells in each. The last one is too large for the frame.
const CELLS: [usize; 3] = [2, 4, 18];

#[derive(Clone, Debug)]
enum Expr {
    Const(i64),
    Variable(usize),
    Input(usize),
    Load { slot: usize, cell: usize, size: Size },
    Binary(AluOp, Box<Expr>, Box<Expr>),
    Neg(Box<Expr>),
    Extend(Size, bool, Box<Expr>),
    Swap(SwapBits, Box<Expr>),
    Compare(Cond, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Debug)]
enum Stmt {
    Set(usize, Expr),
    Store { slot: usize, cell: usize, size: Size, value: Expr },
    Call(usize, [Expr; 5]),
    If(Cond, Expr, Expr, Vec<Stmt>, Vec<Stmt>),
    Loop(u32, Vec<Stmt>),
}

fn size() -> impl Strategy<Value = Size> {
    proptest::sample::select(&Size::ALL[..])
}

fn cell() -> impl Strategy<Value = (usize, usize)> {
    (0..CELLS.len()).prop_flat_map(|slot| (Just(slot), 0..CELLS[slot]))
}

fn cond() -> impl Strategy<Value = Cond> {
    proptest::sample::select(&Cond::ALL[..])
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 0..70i64,
        1 => any::<i32>().prop_map(i64::from),
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::from(u32::MAX)),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        2 => number().prop_map(Expr::Const),
        5 => (0..VARIABLES).prop_map(Expr::Variable),
        2 => (0..INPUTS).prop_map(Expr::Input),
        1 => (cell(), size()).prop_map(|((slot, cell), size)| Expr::Load { slot, cell, size }),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        use AluOp::*;
        let op =
            proptest::sample::select(&[Add, Sub, Mul, Div, Mod, Or, And, Xor, Lsh, Rsh, Arsh, Add, Sub][..]);
        let bits = proptest::sample::select(&[SwapBits::B16, SwapBits::B32, SwapBits::B64][..]);
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            6 => (op, boxed(), boxed()).prop_map(|(op, a, b)| Expr::Binary(op, a, b)),
            1 => boxed().prop_map(Expr::Neg),
            2 => (size(), any::<bool>(), boxed()).prop_map(|(size, signed, a)| Expr::Extend(size, signed, a)),
            1 => (bits, boxed()).prop_map(|(bits, a)| Expr::Swap(bits, a)),
            2 => (cond(), boxed(), boxed()).prop_map(|(cond, a, b)| Expr::Compare(cond, a, b)),
        ]
    })
}

fn stmts() -> impl Strategy<Value = Vec<Stmt>> {
    let args = [expr(), expr(), expr(), expr(), expr()];
    let leaf = prop_oneof![
        4 => (0..VARIABLES, expr()).prop_map(|(variable, value)| Stmt::Set(variable, value)),
        2 => (cell(), size(), expr())
            .prop_map(|((slot, cell), size, value)| Stmt::Store { slot, cell, size, value }),
        1 => (0..VARIABLES, args).prop_map(|(variable, args)| Stmt::Call(variable, args)),
    ];
    let stmt = leaf.prop_recursive(3, 24, 5, |inner| {
        let block = || proptest::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            3 => (cond(), expr(), expr(), block(), block())
                .prop_map(|(cond, a, b, then, otherwise)| Stmt::If(cond, a, b, then, otherwise)),
            1 => (0..4u32, block()).prop_map(|(times, body)| Stmt::Loop(times, body)),
        ]
    });
    proptest::collection::vec(stmt, 0..8)
}

/// What a call computes.
fn mix(a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
    [a, b, c, d, e].iter().fold(7, |sum: u64, next| sum.wrapping_mul(31).wrapping_add(*next))
}

/// The meaning of a program, computed here.
struct Meaning<'a> {
    inputs: &'a [i64; INPUTS],
    variables: [i64; VARIABLES],
    cells: [Vec<u64>; CELLS.len()],
}

impl Meaning<'_> {
    fn run(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Set(variable, value) => self.variables[*variable] = self.value(value),
                Stmt::Store { slot, cell, size, value } => {
                    let (value, mask) = (self.value(value) as u64, mask(*size));
                    let cell = &mut self.cells[*slot][*cell];
                    *cell = *cell & !mask | value & mask;
                }
                Stmt::Call(variable, args) => {
                    let [a, b, c, d, e] = args.each_ref().map(|arg| self.value(arg) as u64);
                    self.variables[*variable] = mix(a, b, c, d, e) as i64;
                }
                Stmt::If(cond, a, b, then, otherwise) => {
                    let taken = holds(*cond, self.value(a), self.value(b));
                    self.run(if taken { then } else { otherwise });
                }
                Stmt::Loop(times, body) => (0..*times).for_each(|_| self.run(body)),
            }
        }
    }

    fn value(&self, expr: &Expr) -> i64 {
        match expr {
            Expr::Const(number) => *number,
            Expr::Variable(variable) => self.variables[*variable],
            Expr::Input(input) => self.inputs[*input],
            Expr::Load { slot, cell, size } => (self.cells[*slot][*cell] & mask(*size)) as i64,
            Expr::Binary(op, a, b) => fold(*op, self.value(a), self.value(b)),
            Expr::Neg(a) => self.value(a).wrapping_neg(),
            Expr::Extend(size, signed, a) => {
                let (value, shift) = (self.value(a), 64 - 8 * size.bytes());
                let high = value << shift;
                if *signed { high >> shift } else { ((high as u64) >> shift) as i64 }
            }
            Expr::Swap(bits, a) => (self.value(a) as u64).swap_bytes().wrapping_shr(64 - bits.bits()) as i64,
            Expr::Compare(cond, a, b) => i64::from(holds(*cond, self.value(a), self.value(b))),
        }
    }
}

fn mask(size: Size) -> u64 {
    u64::MAX >> (64 - 8 * size.bytes())
}

/// A program as a function of the IR.
struct Lower {
    b: Builder,
    inputs: Vec<Value>,
    variables: Vec<Variable>,
    slots: Vec<Slot>,
}

impl Lower {
    fn function(stmts: &[Stmt]) -> Function {
        let span = Span { start: 0, end: 0 };
        let mut b = Builder::new("program".to_string(), ProgramKind::RawTracepoint, Role::Program, span);
        let context = b.context();
        let inputs = (0..INPUTS).map(|i| b.load(Size::D, false, context, 8 * i as i32)).collect();
        let variables: Vec<Variable> = (0..VARIABLES).map(|_| b.variable()).collect();
        let slots: Vec<Slot> = CELLS.iter().map(|cells| b.slot(8 * *cells as u32)).collect();
        let mut lower = Lower { b, inputs, variables, slots };
        for (slot, cells) in CELLS.iter().enumerate() {
            for cell in 0..*cells {
                let (base, displacement) = lower.cell(slot, cell);
                lower.b.store(Size::D, base, displacement, Operand::Imm(0));
            }
        }
        lower.run(stmts);
        let mut result = lower.b.iconst(0);
        for variable in lower.variables.clone() {
            let value = lower.b.get(variable);
            result = lower.b.binary(AluOp::Mul, result, Operand::Imm(31));
            result = lower.b.add(result, Operand::Value(value));
        }
        for (slot, cells) in CELLS.iter().enumerate() {
            for cell in 0..*cells {
                let (base, displacement) = lower.cell(slot, cell);
                let value = lower.b.load(Size::D, false, base, displacement);
                result = lower.b.binary(AluOp::Mul, result, Operand::Imm(31));
                result = lower.b.add(result, Operand::Value(value));
            }
        }
        lower.b.ret(Operand::Value(result));
        lower.b.finish()
    }

    /// A base and a displacement; both ways to name the same place are used.
    fn cell(&mut self, slot: usize, cell: usize) -> (Value, i32) {
        let offset = 8 * cell as i32;
        if cell.is_multiple_of(2) {
            (self.b.value(Op::SlotAddr(self.slots[slot], offset)), 0)
        } else {
            let base = self.b.value(Op::SlotAddr(self.slots[slot], 0));
            let base = self.b.add(base, Operand::Imm(offset - 8));
            (base, 8)
        }
    }

    fn run(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Set(variable, value) => {
                    let value = self.value(value);
                    self.b.set(self.variables[*variable], value);
                }
                Stmt::Store { slot, cell, size, value } => {
                    let value = self.value(value);
                    let (base, displacement) = self.cell(*slot, *cell);
                    self.b.store(*size, base, displacement, Operand::Value(value));
                }
                Stmt::Call(variable, args) => {
                    let args: Vec<Operand> = args.iter().map(|arg| Operand::Value(self.value(arg))).collect();
                    let result = self.b.call(Helper::TracePrintk, &args);
                    self.b.set(self.variables[*variable], result);
                }
                Stmt::If(cond, a, b, then, otherwise) => {
                    let (a, b) = (self.value(a), self.value(b));
                    let (yes, no, after) = (self.b.block(), self.b.cold_block(), self.b.block());
                    self.b.branch(*cond, a, Operand::Value(b), yes, no);
                    for (block, stmts) in [(yes, then), (no, otherwise)] {
                        self.b.switch_sealed(block);
                        self.run(stmts);
                        self.b.jump(after, &[]);
                    }
                    self.b.switch_sealed(after);
                }
                Stmt::Loop(times, body) => {
                    let counter = self.b.variable();
                    let zero = self.b.iconst(0);
                    self.b.set(counter, zero);
                    let (head, inside, after) = (self.b.block(), self.b.block(), self.b.block());
                    self.b.jump(head, &[]);
                    self.b.switch(head);
                    let count = self.b.get(counter);
                    self.b.branch(Cond::Lt, count, Operand::Imm(*times as i32), inside, after);
                    self.b.switch_sealed(inside);
                    self.run(body);
                    let count = self.b.get(counter);
                    let next = self.b.add(count, Operand::Imm(1));
                    self.b.set(counter, next);
                    self.b.jump(head, &[]);
                    self.b.seal(head);
                    self.b.switch_sealed(after);
                }
            }
        }
    }

    fn value(&mut self, expr: &Expr) -> Value {
        match expr {
            Expr::Const(number) => self.b.iconst(*number),
            Expr::Variable(variable) => self.b.get(self.variables[*variable]),
            Expr::Input(input) => self.inputs[*input],
            Expr::Load { slot, cell, size } => {
                let (base, displacement) = self.cell(*slot, *cell);
                self.b.load(*size, false, base, displacement)
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                self.b.binary(*op, a, Operand::Value(b))
            }
            Expr::Neg(a) => {
                let a = self.value(a);
                self.b.value(Op::Neg(a))
            }
            Expr::Extend(size, signed, a) => {
                let a = self.value(a);
                self.b.extend(a, *size, *signed)
            }
            Expr::Swap(bits, a) => {
                let a = self.value(a);
                self.b.value(Op::ByteSwap(*bits, a))
            }
            Expr::Compare(cond, a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                self.b.compare(*cond, a, Operand::Value(b))
            }
        }
    }
}

fn module(function: Function) -> Module {
    let mut maps = PrimaryMap::new();
    let globals = maps.push(MapDef {
        name: "globals".to_string(),
        kind: MapKind::MappedArray,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
    });
    let manifest = Manifest {
        programs: Vec::new(),
        actions: PrimaryMap::new(),
        maps: PrimaryMap::new(),
        structs: Structs::default(),
        probe_names: Vec::new(),
        config: Config::default(),
        sites: Vec::new(),
        sites_offset: 0,
        tables: Vec::new(),
        ring: None,
        reserve: None,
    };
    let target = Target {
        read: ReadForm::Probe,
        loops: Loops::Walked,
        isa_v4: false,
        relocate: false,
        sleepable: false,
        report_failures: false,
    };
    Module {
        functions: vec![function],
        maps,
        globals,
        accesses: PrimaryMap::new(),
        manifest,
        target,
        foreign: Vec::new(),
    }
}

/// What a compiled program returns; `None` where the interpreter would be wrong.
fn execute(function: Function, inputs: &[i64; INPUTS]) -> Option<u64> {
    let object = compile(module(function), Sources::new()).expect("small enough");
    let mut code = Vec::new();
    for insn in &object.programs[0].insns {
        // The kernel extends the immediate by its sign, the interpreter by zeros.
        if let Insn::Jump { cond, src: Source::Imm(..0), .. } = insn
            && !matches!(cond, Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle | Cond::Set)
        {
            return None;
        }
        insn.encode(&mut code);
    }
    let mut context: Vec<u8> = inputs.iter().flat_map(|input| input.to_le_bytes()).collect();
    let mut machine = rbpf::EbpfVmRaw::new(None).expect("a machine");
    // References to maps are no plain constants, which its own verifier does not know.
    machine.set_verifier(|_| Ok(())).expect("no program yet");
    machine.set_program(&code).expect("a program");
    let scratch = vec![0xaau8; 4096];
    let start = scratch.as_ptr() as u64;
    SCRATCH.set(start);
    machine.register_allowed_memory(start..start + 4096);
    machine.register_helper(Helper::MapLookupElem.number(), |_, _, _, _, _| SCRATCH.get()).expect("a helper");
    machine.register_helper(Helper::TracePrintk.number(), mix).expect("a helper");
    Some(machine.execute_program(&mut context).expect("the program runs"))
}

thread_local! {
    static SCRATCH: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn compiled_programs_mean_what_they_say(
        stmts in stmts(),
        inputs in [number(), number(), number(), number()],
    ) {
        let cells = CELLS.map(|cells| vec![0; cells]);
        let mut meaning = Meaning { inputs: &inputs, variables: [0; VARIABLES], cells };
        meaning.run(&stmts);
        let mut expected = 0u64;
        for value in meaning.variables.iter().map(|v| *v as u64).chain(meaning.cells.iter().flatten().copied()) {
            expected = expected.wrapping_mul(31).wrapping_add(value);
        }
        let function = Lower::function(&stmts);
        let text = function.to_string();
        if let Some(result) = execute(function, &inputs) {
            prop_assert_eq!(result, expected, "{}", text);
        }
    }
}
