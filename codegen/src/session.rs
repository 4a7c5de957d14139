//! Makes one program of two: what runs where a function begins, and what runs where it ends.
//!
//! The kernel (6.10 and later) calls a program at both ends of a function, if it is loaded as a session, and tells it which of them this
//! is. So the two bodies stand behind that question, as they are:
//!
//! ```text
//!     r6 = r1
//!     call bpf_session_is_return
//!     r1 = r6
//!     if r0 != 0 goto end
//!     (the body of the beginning)
//! end:
//!     (the body of the end)
//! ```
//!
//! Only one of them runs at a time, so they share the frame. Both return 0, which asks the kernel for the end, too.

use crate::insn::{AluOp, Cond, Insn, Operand, Reg, Width};
use crate::object::{Callback, Kfunc, Line, Program, Relocation, RelocationKind};

/// Puts `end` behind `begin`; nothing where the way there is too far for a jump. The programs are of functions: they know their
/// context alone when they begin, and leave nothing behind.
pub fn session(begin: &Program, end: &Program) -> Option<Program> {
    let slots: usize = begin.insns.iter().map(Insn::slots).sum();
    let mov = |dst, src| Insn::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Operand::Reg(src) };
    let question = [
        mov(Reg::R6, Reg::R1),
        Insn::CallKfunc { btf_id: 0, module: 0 },
        mov(Reg::R1, Reg::R6),
        Insn::Jump {
            width: Width::W64,
            cond: Cond::Ne,
            dst: Reg::R0,
            src: Operand::Imm(0),
            offset: slots.try_into().ok()?,
        },
    ];
    let kind = RelocationKind::Kfunc(Kfunc::SessionIsReturn);
    let span = begin.lines.first()?.span;
    let mut made = Program {
        name: begin.name.clone(),
        kind: begin.kind,
        sleepable: false,
        insns: question.to_vec(),
        relocations: vec![Relocation { insn: 1, kind }],
        lines: vec![Line { insn: 0, span }],
        callbacks: Vec::new(),
    };
    for body in [begin, end] {
        let (before, callbacks) = (made.insns.len() as u32, made.callbacks.len() as u32);
        made.insns.extend_from_slice(&body.insns);
        let moved = |relocation: &Relocation| Relocation { insn: relocation.insn + before, ..*relocation };
        made.relocations.extend(body.relocations.iter().map(moved).map(|r| counted_from(r, callbacks)));
        made.lines.extend(body.lines.iter().map(|line| Line { insn: line.insn + before, ..*line }));
        made.callbacks.extend(body.callbacks.iter().map(|callback| Callback {
            name: callback.name.clone(),
            role: callback.role,
            insns: callback.insns.clone(),
            relocations: callback.relocations.iter().map(|r| counted_from(*r, callbacks)).collect(),
            lines: callback.lines.clone(),
        }));
    }
    Some(made)
}

/// A relocation that counts callbacks behind `first` others.
fn counted_from(relocation: Relocation, first: u32) -> Relocation {
    let kind = match relocation.kind {
        RelocationKind::Callback(index) => RelocationKind::Callback(index + first),
        RelocationKind::Call(index) => RelocationKind::Call(index + first),
        kind @ (RelocationKind::Map(_)
        | RelocationKind::Global(_)
        | RelocationKind::Kfunc(_)
        | RelocationKind::Field(..)) => kind,
    };
    Relocation { kind, ..relocation }
}

#[cfg(test)]
mod tests {
    use rtscript_lang::provider::ProgramKind;
    use rtscript_lang::syntax::source::Span;

    use super::*;
    use crate::insn::Imm64;

    fn body(length: usize, at: u32) -> Program {
        let mut insns = vec![Insn::LdImm64 { dst: Reg::R2, imm: Imm64::Value(1) }; length];
        insns.push(Insn::Exit);
        let lines = vec![Line { insn: 0, span: Span::new(at, at + 1) }];
        Program {
            name: format!("p{at}"),
            kind: ProgramKind::Kprobe,
            sleepable: false,
            insns,
            relocations: vec![Relocation { insn: 0, kind: RelocationKind::Callback(0) }],
            lines: lines.clone(),
            callbacks: vec![Callback {
                name: format!("c{at}"),
                role: None,
                insns: vec![Insn::Exit],
                relocations: vec![Relocation { insn: 0, kind: RelocationKind::Call(0) }],
                lines,
            }],
        }
    }

    #[test]
    fn the_end_stands_behind_the_beginning() {
        let made = session(&body(3, 0), &body(2, 7)).unwrap();
        assert!(matches!(made.insns[3], Insn::Jump { offset: 7, .. }));
        assert_eq!(made.insns.len(), 4 + 4 + 3);
        let kinds: Vec<_> = made.relocations.iter().map(|r| (r.insn, r.kind)).collect();
        let expected = [
            (1, RelocationKind::Kfunc(Kfunc::SessionIsReturn)),
            (4, RelocationKind::Callback(0)),
            (8, RelocationKind::Callback(1)),
        ];
        assert_eq!(kinds, expected);
        let lines: Vec<_> = made.lines.iter().map(|line| (line.insn, line.span.start)).collect();
        assert_eq!(lines, [(0, 0), (4, 0), (8, 7)]);
        let within: Vec<_> = made.callbacks.iter().map(|callback| callback.relocations[0].kind).collect();
        assert_eq!(within, [RelocationKind::Call(0), RelocationKind::Call(1)]);
    }

    #[test]
    fn what_is_too_far_is_no_session() {
        assert!(session(&body(20_000, 0), &body(1, 1)).is_none());
    }
}
