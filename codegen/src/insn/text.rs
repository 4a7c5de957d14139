//! `Display` of instructions, in the syntax of the kernel's own dumps.

use super::*;
use std::fmt::{self, Display, Formatter};

impl Display for Insn {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match *self {
            Insn::Alu { width, op, dst, src } => {
                let sign = match op {
                    AluOp::Add => "+=",
                    AluOp::Sub => "-=",
                    AluOp::Mul => "*=",
                    AluOp::Div => "/=",
                    AluOp::Sdiv => "s/=",
                    AluOp::Mod => "%=",
                    AluOp::Smod => "s%=",
                    AluOp::Or => "|=",
                    AluOp::And => "&=",
                    AluOp::Xor => "^=",
                    AluOp::Lsh => "<<=",
                    AluOp::Rsh => ">>=",
                    AluOp::Arsh => "s>>=",
                    AluOp::Mov => "=",
                };
                match src {
                    Operand::Reg(src) => write!(f, "{} {sign} {}", name(width, dst), name(width, src)),
                    Operand::Imm(imm) => write!(f, "{} {sign} {imm}", name(width, dst)),
                }
            }
            Insn::Neg { width, dst } => write!(f, "{} = -{}", name(width, dst), name(width, dst)),
            Insn::Movsx { width, from, dst, src } => {
                write!(f, "{} = (s{}){}", name(width, dst), from.bits(), name(width, src))
            }
            Insn::Swap { kind, bits, dst } => {
                let kind = match kind {
                    Swap::ToLe => "le",
                    Swap::ToBe => "be",
                    Swap::Always => "bswap",
                };
                write!(f, "{dst} = {kind}{} {dst}", bits.bits())
            }
            Insn::LdImm64 { dst, imm } => match imm {
                Imm64::Value(v) => write!(f, "{dst} = {v:#x}"),
                Imm64::MapFd(fd) => write!(f, "{dst} = map[fd:{fd}]"),
                Imm64::MapValue { fd, offset } => write!(f, "{dst} = map[fd:{fd}][0]+{offset}"),
                Imm64::Func(offset) => write!(f, "{dst} = subprog[{offset:+}]"),
                Imm64::BtfId { id, module } => write!(f, "{dst} = btf[id:{id}, module:{module}]"),
            },
            Insn::Load { size, dst, base, offset } => write!(f, "{dst} = *({size} *)({base} {offset:+})"),
            Insn::LoadSigned { from, dst, base, offset } => {
                write!(f, "{dst} = *(s{} *)({base} {offset:+})", from.bits())
            }
            Insn::Store { size, base, offset, src: Operand::Reg(src) } => {
                write!(f, "*({size} *)({base} {offset:+}) = {src}")
            }
            Insn::Store { size, base, offset, src: Operand::Imm(imm) } => {
                write!(f, "*({size} *)({base} {offset:+}) = {imm}")
            }
            Insn::Atomic { width, op, fetch, base, offset, src } => {
                let (sign, word) = match op {
                    AtomicOp::Add => ("+=", "add"),
                    AtomicOp::Or => ("|=", "or"),
                    AtomicOp::And => ("&=", "and"),
                    AtomicOp::Xor => ("^=", "xor"),
                };
                let size = width.size();
                if fetch {
                    let wide = wide(width);
                    write!(f, "{src} = atomic{wide}_fetch_{word}(({size} *)({base} {offset:+}), {src})")
                } else {
                    write!(f, "lock *({size} *)({base} {offset:+}) {sign} {src}")
                }
            }
            Insn::Xchg { width, base, offset, src } => {
                let (wide, size) = (wide(width), width.size());
                write!(f, "{src} = atomic{wide}_xchg(({size} *)({base} {offset:+}), {src})")
            }
            Insn::CmpXchg { width, base, offset, src } => {
                let (wide, size) = (wide(width), width.size());
                write!(f, "r0 = atomic{wide}_cmpxchg(({size} *)({base} {offset:+}), r0, {src})")
            }
            Insn::LoadAcquire { size, dst, base, offset } => {
                write!(f, "{dst} = load_acquire(({size} *)({base} {offset:+}))")
            }
            Insn::StoreRelease { size, base, offset, src } => {
                write!(f, "store_release(({size} *)({base} {offset:+}), {src})")
            }
            Insn::Jump { width, cond, dst, src, offset } => {
                let sign = match cond {
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
                };
                write!(f, "if {} {sign} ", name(width, dst))?;
                match src {
                    Operand::Reg(src) => write!(f, "{}", name(width, src))?,
                    Operand::Imm(imm) => write!(f, "{:#x}", imm)?,
                }
                write!(f, " goto pc{offset:+}")
            }
            Insn::Goto { offset } => write!(f, "goto pc{offset:+}"),
            Insn::GotoLong { offset } => write!(f, "gotol pc{offset:+}"),
            Insn::MayGoto { offset } => write!(f, "may_goto pc{offset:+}"),
            Insn::CallHelper { number } => match Helper::from_number(number) {
                Some(helper) => write!(f, "call {helper}#{number}"),
                None => write!(f, "call unknown#{number}"),
            },
            Insn::CallKfunc { btf_id, .. } => write!(f, "call kernel-function#{btf_id}"),
            Insn::CallLocal { offset } => write!(f, "call pc{offset:+}"),
            Insn::Exit => write!(f, "exit"),
        }
    }
}

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "r{}", self.number())
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "u{}", self.bytes() * 8)
    }
}

/// A register's name in an operation of a width: the low half of r1 is w1.
fn name(width: Width, reg: Reg) -> String {
    match width {
        Width::W64 => format!("r{}", reg.number()),
        Width::W32 => format!("w{}", reg.number()),
    }
}

/// What the names of the 64-bit atomics carry and those of the 32-bit ones do not.
fn wide(width: Width) -> &'static str {
    match width {
        Width::W64 => "64",
        Width::W32 => "",
    }
}
