//! Puts the functions in C that a program calls behind it, and those that they call in turn.

use rtscript_lang::foreign::ForeignFunction;

use crate::insn::{DecodeError, Insn};
use crate::object::{Callback, Line, Program, Relocation, RelocationKind};

/// Appends what is called to the program's callbacks, and makes the calls count those: until here they count `foreign`.
pub fn link(program: &mut Program, foreign: &[ForeignFunction]) -> Result<(), DecodeError> {
    let own = program.callbacks.len();
    let mut linked: Vec<u32> = Vec::new();
    point(&mut program.relocations, own, &mut linked);
    for callback in &mut program.callbacks {
        point(&mut callback.relocations, own, &mut linked);
    }
    let mut next = 0;
    while let Some(&index) = linked.get(next) {
        let mut function = decode(&foreign[index as usize])?;
        point(&mut function.relocations, own, &mut linked);
        program.callbacks.push(function);
        next += 1;
    }
    Ok(())
}

/// The bytes of stack that the functions take which these calls lead to, all on top of each other, in the kernel's steps.
pub fn stack_of(called: impl IntoIterator<Item = u32>, foreign: &[ForeignFunction], step: u32) -> u32 {
    let mut reached: Vec<u32> = Vec::new();
    let mut open: Vec<u32> = called.into_iter().collect();
    while let Some(index) = open.pop() {
        if !reached.contains(&index) {
            reached.push(index);
            open.extend(foreign[index as usize].calls.iter().map(|(_, callee)| *callee));
        }
    }
    reached.iter().map(|index| foreign[*index as usize].frame.max(1).next_multiple_of(step)).sum()
}

fn point(relocations: &mut [Relocation], own: usize, linked: &mut Vec<u32>) {
    for relocation in relocations {
        if let RelocationKind::Call(index) = &mut relocation.kind {
            let known = linked.iter().position(|known| known == index);
            let place = known.unwrap_or_else(|| {
                linked.push(*index);
                linked.len() - 1
            });
            *index = (own + place) as u32;
        }
    }
}

fn decode(function: &ForeignFunction) -> Result<Callback, DecodeError> {
    let mut insns = Vec::new();
    let mut relocations = Vec::new();
    let mut at = 0;
    while at * 8 < function.code.len() {
        let insn = Insn::decode(&function.code[at * 8..])?;
        if let Some((_, callee)) = function.calls.iter().find(|(slot, _)| *slot as usize == at) {
            let kind = RelocationKind::Call(*callee);
            relocations.push(Relocation { insn: insns.len() as u32, kind });
        }
        at += insn.slots();
        insns.push(insn);
    }
    let lines = vec![Line { insn: 0, span: function.span }];
    // The kernel's names are short.
    let name = function.name.chars().take(15).collect();
    Ok(Callback { name, role: None, insns, relocations, lines })
}

#[cfg(test)]
mod tests {
    use rtscript_lang::provider::ProgramKind;
    use rtscript_lang::syntax::source::Span;
    use rtscript_lang::types::Type;

    use super::*;
    use crate::insn::{AluOp, Operand, Reg, Width};

    fn foreign(name: &str, insns: &[Insn], calls: &[(u32, u32)], frame: u32) -> ForeignFunction {
        let mut code = Vec::new();
        insns.iter().for_each(|insn| insn.encode(&mut code));
        ForeignFunction {
            name: name.to_string(),
            params: Vec::new(),
            result: Type::Void,
            span: Span::new(0, 1),
            code,
            calls: calls.to_vec(),
            frame,
        }
    }

    #[test]
    fn what_is_called_is_linked_once() {
        let call = Insn::CallLocal { offset: -1 };
        let zero = Insn::Alu { width: Width::W64, op: AluOp::Mov, dst: Reg::R0, src: Operand::Imm(0) };
        let all = [
            foreign("unused", &[zero, Insn::Exit], &[], 0),
            foreign("leaf", &[zero, Insn::Exit], &[], 40),
            foreign("root", &[zero, call, call, Insn::Exit], &[(1, 1), (2, 1)], 8),
        ];
        let called = Relocation { insn: 0, kind: RelocationKind::Call(2) };
        let mut program = Program {
            name: "p".to_string(),
            kind: ProgramKind::RawTracepoint,
            sleepable: false,
            insns: vec![call, Insn::Exit],
            relocations: vec![called],
            lines: Vec::new(),
            callbacks: Vec::new(),
        };
        link(&mut program, &all).unwrap();
        let names: Vec<&str> = program.callbacks.iter().map(|callback| callback.name.as_str()).collect();
        assert_eq!(names, ["root", "leaf"]);
        assert_eq!(program.relocations[0].kind, RelocationKind::Call(0));
        let within = &program.callbacks[0].relocations;
        assert!(within.iter().all(|call| call.kind == RelocationKind::Call(1)) && within.len() == 2);
        assert_eq!(stack_of([2], &all, 32), 64 + 32);
    }
}
