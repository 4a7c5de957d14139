//! Turns comparisons whose result is wanted as a number into branches: the machine has no other form. Comparisons that
//! were fused into branches are gone by then.

use super::dominance::Flow;
use crate::ir::{BlockData, Def, Function, InstData, Jump, Op, Operand, Terminator, Value};

pub fn expand_compares(function: &mut Function) {
    for block in Flow::of(function).order {
        let mut here = block;
        let mut index = 0;
        while index < function.blocks[here].insts.len() {
            let inst = function.blocks[here].insts[index];
            let data = function.insts[inst].clone();
            let (Op::Compare(cond, left, right), Some(result)) = (data.op, data.result) else {
                index += 1;
                continue;
            };
            let rest = function.blocks[here].insts.split_off(index + 1);
            function.blocks[here].insts.pop();
            let ending =
                std::mem::replace(&mut function.blocks[here].terminator, Terminator::Return(Operand::Imm(0)));
            let span = function.blocks[here].span;
            let after = function.blocks.push(BlockData {
                params: vec![result],
                insts: rest,
                terminator: ending,
                span,
                cold: function.blocks[here].cold,
            });
            function.values[result] = Def::Param(after, 0);
            let mut number = |number: i64| -> Value {
                let inst = function.insts.next_key();
                let value = function.values.push(Def::Inst(inst));
                function.insts.push(InstData { op: Op::Const(number), result: Some(value), span: data.span });
                function.blocks[here].insts.push(inst);
                value
            };
            let (one, zero) = (number(1), number(0));
            let to = |value| Jump { block: after, args: vec![value] };
            function.blocks[here].terminator =
                Terminator::Branch { cond, left, right, then: to(one), otherwise: to(zero) };
            function.blocks[here].span = data.span;
            here = after;
            index = 0;
        }
    }
}
