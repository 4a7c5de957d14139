//! Keeps programs of uprobes on the stack of the task that they run for.
//!
//! From 6.13 on the kernel gives each CPU a stack of its own for a program that needs 64 bytes or more. That is safe where a program
//! is passed over while it runs on the same CPU already. Programs of uprobes are not: they can be preempted, and sleep, and another task
//! that meets the probe on that CPU would write over their stack. But a program that has a tail call stays on the task's stack. So these
//! begin with one that is never reached:
//!
//! ```text
//!     r0 = 0
//!     if r0 == 0 goto body
//!     call bpf_tail_call
//! body:
//! ```
//!
//! The verifier knows how the question ends, never looks at the call, and takes both away.

use crate::insn::{AluOp, Cond, Helper, Insn, Operand, Reg, Width};
use crate::object::Program;

pub fn stay_on_task_stack(program: &mut Program) {
    let zero = Operand::Imm(0);
    let before = [
        Insn::Alu { width: Width::W64, op: AluOp::Mov, dst: Reg::R0, src: zero },
        Insn::Jump { width: Width::W64, cond: Cond::Eq, dst: Reg::R0, src: zero, offset: 1 },
        Insn::CallHelper { number: Helper::TailCall.number() },
    ];
    let count = before.len() as u32;
    program.insns.splice(..0, before);
    program.relocations.iter_mut().for_each(|relocation| relocation.insn += count);
    // The first line is where the program begins.
    program.lines.iter_mut().skip(1).for_each(|line| line.insn += count);
}
