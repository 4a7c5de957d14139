//! The text of the IR: what `--emit ir` shows and what tests compare. Blocks stand in reverse postorder.

use std::fmt::{self, Display, Formatter};

use super::{Callee, Function, Jump, Module, Op, Operand, Place, Role, Shift, Terminator};
use crate::insn::{AluOp, AtomicOp, Cond, Narrow, Size, SwapBits};
use crate::passes::dominance::Flow;

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_functions(&self.functions))
    }
}

impl Module {
    /// The module's text with other functions in the place of its own: those of a later pass.
    pub fn with_functions(&self, functions: &[Function]) -> String {
        let mut text = String::new();
        for (id, map) in &self.maps {
            text.push_str(&format!(
                "{id} {}: {:?} key {} value {} entries {}\n",
                map.name, map.kind, map.key_size, map.value_size, map.max_entries
            ));
        }
        text.extend(functions.iter().map(|function| format!("\n{function}")));
        text
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Program => writeln!(f, "function {} {:?} {{", self.name, self.program)?,
            Role::EachElement | Role::Round => writeln!(f, "callback {} {{", self.name)?,
        }
        for (slot, data) in &self.slots {
            let place = match data.place {
                Place::Anywhere => "",
                Place::Stack => " of the stack",
                Place::Outside => " outside of the stack",
                Place::Scratch => " of scratch memory",
            };
            writeln!(f, "  {slot}: {} bytes{place}", data.size)?;
        }
        for block in Flow::of(self).order {
            let data = &self.blocks[block];
            write!(f, "{block}")?;
            if !data.params.is_empty() {
                let params: Vec<String> = data.params.iter().map(|param| param.to_string()).collect();
                write!(f, "({})", params.join(", "))?;
            }
            writeln!(f, ":{}", if data.cold { " cold" } else { "" })?;
            for &inst in &data.insts {
                let inst = &self.insts[inst];
                match inst.result {
                    Some(result) => writeln!(f, "  {result} = {}", inst.op)?,
                    None => writeln!(f, "  {}", inst.op)?,
                }
            }
            writeln!(f, "  {}", data.terminator)?;
        }
        writeln!(f, "}}")?;
        for callback in &self.callbacks {
            write!(f, "\n{callback}")?;
        }
        Ok(())
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Op::Const(number) => write!(f, "{number}"),
            Op::Binary(op, left, right) => write!(f, "{} {left}, {right}", alu(*op)),
            Op::Neg(value) => write!(f, "neg {value}"),
            Op::ZeroExtend(size, value) => write!(f, "zext.{} {value}", letter(*size)),
            Op::SignExtend(narrow, value) => {
                let size = match narrow {
                    Narrow::S8 => Size::B,
                    Narrow::S16 => Size::H,
                    Narrow::S32 => Size::W,
                };
                write!(f, "sext.{} {value}", letter(size))
            }
            Op::ByteSwap(bits, value) => {
                let bits = match bits {
                    SwapBits::B16 => 16,
                    SwapBits::B32 => 32,
                    SwapBits::B64 => 64,
                };
                write!(f, "bswap{bits} {value}")
            }
            Op::Compare(cond, left, right) => write!(f, "{left} {} {right}", sign(*cond)),
            Op::SlotAddr(slot, offset) => write!(f, "{slot}{}", displaced(*offset)),
            Op::MapRef(map) => write!(f, "{map}"),
            Op::GlobalAddr(offset) => write!(f, "globals{}", displaced(*offset as i32)),
            Op::CallbackRef(index) => write!(f, "callback{index}"),
            Op::FieldOffset(access) => write!(f, "offset {access}"),
            Op::FieldShift(access, Shift::Left) => write!(f, "shift-left {access}"),
            Op::FieldShift(access, Shift::Right) => write!(f, "shift-right {access}"),
            Op::ReadonlyCast(value) => write!(f, "readonly {value}"),
            Op::Load { size, signed, base, displacement, field } => {
                let sign = if *signed { "s" } else { "" };
                write!(f, "load.{sign}{} [{base}{}]", letter(*size), displaced(*displacement))?;
                match field {
                    Some(access) => write!(f, " at {access}"),
                    None => Ok(()),
                }
            }
            Op::Store { size, base, displacement, value } => {
                write!(f, "store.{} [{base}{}], {value}", letter(*size), displaced(*displacement))
            }
            Op::Atomic { op, size, base, displacement, value } => {
                let at = displaced(*displacement);
                write!(f, "atomic.{}.{} [{base}{at}], {value}", atomic(*op), letter(*size))
            }
            Op::AtomicFetch { op, size, base, displacement, value } => {
                let at = displaced(*displacement);
                write!(f, "fetch.{}.{} [{base}{at}], {value}", atomic(*op), letter(*size))
            }
            Op::CompareExchange { base, displacement, expected, value } => {
                write!(f, "exchange.d [{base}{}], {expected}, {value}", displaced(*displacement))
            }
            Op::Call(callee, args) => {
                let args = args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>().join(", ");
                match callee {
                    Callee::Helper(helper) => write!(f, "{}({args})", helper.name()),
                    Callee::Foreign(index) => write!(f, "foreign{index}({args})"),
                }
            }
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Value(value) => write!(f, "{value}"),
            Operand::Imm(imm) => write!(f, "{imm}"),
        }
    }
}

impl Display for Jump {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.block)?;
        if self.args.is_empty() {
            return Ok(());
        }
        let args: Vec<String> = self.args.iter().map(|arg| arg.to_string()).collect();
        write!(f, "({})", args.join(", "))
    }
}

impl Display for Terminator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Terminator::Jump(jump) => write!(f, "jump {jump}"),
            Terminator::Branch { cond, left, right, then, otherwise } => {
                write!(f, "if {left} {} {right} then {then} else {otherwise}", sign(*cond))
            }
            Terminator::MayGoto { body, exit } => write!(f, "loop {body} else {exit}"),
            Terminator::Return(value) => write!(f, "return {value}"),
        }
    }
}

fn displaced(offset: i32) -> String {
    match offset {
        0 => String::new(),
        offset if offset < 0 => format!(" - {}", offset.unsigned_abs()),
        offset => format!(" + {offset}"),
    }
}

fn letter(size: Size) -> char {
    match size {
        Size::B => 'b',
        Size::H => 'h',
        Size::W => 'w',
        Size::D => 'd',
    }
}

fn alu(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "add",
        AluOp::Sub => "sub",
        AluOp::Mul => "mul",
        AluOp::Div => "udiv",
        AluOp::Sdiv => "sdiv",
        AluOp::Mod => "umod",
        AluOp::Smod => "smod",
        AluOp::Or => "or",
        AluOp::And => "and",
        AluOp::Xor => "xor",
        AluOp::Lsh => "shl",
        AluOp::Rsh => "lshr",
        AluOp::Arsh => "ashr",
        AluOp::Mov => "mov",
    }
}

fn atomic(op: AtomicOp) -> &'static str {
    match op {
        AtomicOp::Add => "add",
        AtomicOp::Or => "or",
        AtomicOp::And => "and",
        AtomicOp::Xor => "xor",
    }
}

fn sign(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "==",
        Cond::Ne => "!=",
        Cond::Gt => ">",
        Cond::Ge => ">=",
        Cond::Lt => "<",
        Cond::Le => "<=",
        Cond::Sgt => "s>",
        Cond::Sge => "s>=",
        Cond::Slt => "s<",
        Cond::Sle => "s<=",
        Cond::Set => "&",
    }
}
