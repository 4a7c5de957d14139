//! Statements and control flow.

use rtscript_lang::typed::{Block, Expr, ExprKind, LocalId, Stmt, StmtKind};

use super::{Loop, Lowering, Storage};
use crate::insn::Cond;
use crate::ir::builder::Variable;
use crate::ir::{Operand, Value};
use crate::object::SiteKind;
use crate::target::Loops;

impl Lowering<'_, '_> {
    pub(super) fn statements(&mut self, block: &Block) {
        for stmt in block {
            if !self.b.is_reachable() {
                return;
            }
            let outer = self.b.at(stmt.span);
            self.statement(stmt);
            self.b.at(outer);
        }
    }

    fn statement(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Delete(element), span, .. }) => {
                self.delete_discarded(element, *span);
            }
            StmtKind::Expr(expr) | StmtKind::Discard(expr) => {
                if expr.ty.is_scalar() {
                    self.scalar(expr);
                } else {
                    self.place(expr);
                }
            }
            StmtKind::SetLocal(local, value) => self.set_local(*local, value),
            StmtKind::SetMap(element, value) => self.set_map(element, value, stmt.span),
            StmtKind::UpdateMap(element, op, value) => self.update_map(element, *op, value, stmt.span),
            StmtKind::Aggregate(element, aggregate, value) => {
                self.aggregate(element, *aggregate, value.as_ref(), stmt.span);
            }
            StmtKind::If(cond, then, otherwise) => {
                self.either(cond, |this| this.statements(then), |this| this.statements(otherwise));
            }
            StmtKind::While(cond, body) => self.while_loop(cond, body),
            StmtKind::Range { local, from, to, body } => self.range_loop(*local, from, to, body),
            StmtKind::Each { map, local, body } => self.each(*map, *local, body),
            StmtKind::Unroll(count, body) => self.unroll(*count, body),
            StmtKind::Break => {
                if let Some(innermost) = self.loops.last() {
                    let after = innermost.after;
                    self.b.jump(after, &[]);
                }
            }
            StmtKind::Continue => {
                if let Some(innermost) = self.loops.last() {
                    let next = innermost.next;
                    self.b.jump(next, &[]);
                }
            }
            StmtKind::Return(value) => {
                let value = match value {
                    Some(value) if value.ty.is_scalar() => Operand::Value(self.scalar(value)),
                    Some(_) | None => Operand::Imm(0),
                };
                self.leave(value);
            }
            StmtKind::Emit(action, args) => self.emit(*action, args, stmt.span),
            StmtKind::Join(action, argv) => self.join(*action, argv, stmt.span),
            StmtKind::Exit(action, code) => self.exit(*action, code.as_ref()),
            StmtKind::Block(block) => self.statements(block),
        }
    }

    fn set_local(&mut self, local: LocalId, value: &rtscript_lang::typed::Expr) {
        if value.ty.is_scalar() {
            let value = self.scalar(value);
            return self.set_local_number(local, value);
        }
        match self.locals[local] {
            Some(Storage::Scalar(_)) | None => {}
            Some(storage @ (Storage::Bytes(_) | Storage::Outside { .. })) => {
                // The value may be made of the variable's old one.
                let from = self.temporary(&value.ty);
                self.write(value, &from, true);
                let to = self.bytes_address(storage);
                let room = self.structs().layout(&self.probe.locals[local].ty).size;
                let size = self.structs().layout(&value.ty).size.min(room);
                self.copy(&from, &to, size, room, value.span);
            }
        }
    }

    fn while_loop(&mut self, cond: &rtscript_lang::typed::Expr, body: &Block) {
        let (head, inside, after) = (self.b.block(), self.b.block(), self.b.block());
        self.enter_loop();
        self.b.jump(head, &[]);
        self.b.switch(head);
        self.branch_scope(|this| {
            this.bound_loop(after);
            this.condition(cond, inside, after);
            this.b.switch_sealed(inside);
            this.loops.push(Loop { next: head, after });
            this.branch_scope(|this| this.statements(body));
            this.loops.pop();
            this.b.jump(head, &[]);
        });
        self.b.seal(head);
        self.leave_loop();
        self.b.switch_sealed(after);
    }

    /// Before a loop of the script: the verifier forgets what all variables hold. One that it knows to be 0 would make
    /// each round a new state to it, to be walked on its own; of an unknown one the second round is like the first.
    fn enter_loop(&mut self) {
        if self.shared.target.loops == Loops::Walked {
            return;
        }
        let is_outermost = !self.b.in_loop();
        self.b.enter_loop();
        if !is_outermost {
            return;
        }
        let variables: Vec<Variable> = self
            .locals
            .values()
            .filter_map(|local| match local {
                Some(Storage::Scalar(variable)) => Some(*variable),
                Some(Storage::Bytes(_) | Storage::Outside { .. }) | None => None,
            })
            .collect();
        for variable in variables {
            let value = self.b.get(variable);
            self.b.set(variable, value);
        }
    }

    fn leave_loop(&mut self) {
        if self.shared.target.loops != Loops::Walked {
            self.b.leave_loop();
        }
    }

    /// Lets the kernel end a loop that runs too long; that it did is counted.
    fn bound_loop(&mut self, after: crate::ir::Block) {
        if self.shared.target.loops == Loops::Walked {
            return;
        }
        let (go_on, cut) = (self.b.block(), self.b.block());
        self.b.may_goto(go_on, cut);
        self.b.switch_sealed(cut);
        let span = self.b.span();
        self.count_site(SiteKind::LoopCut, span, None);
        self.b.jump(after, &[]);
        self.b.switch_sealed(go_on);
    }

    fn range_loop(
        &mut self,
        local: LocalId,
        from: &rtscript_lang::typed::Expr,
        to: &rtscript_lang::typed::Expr,
        body: &Block,
    ) {
        let start = self.scalar(from);
        let end = self.scalar(to);
        let counter = self.b.variable();
        self.enter_loop();
        self.b.set(counter, start);
        let (head, inside, next, after) = (self.b.block(), self.b.block(), self.b.block(), self.b.block());
        self.b.jump(head, &[]);
        self.b.switch(head);
        self.branch_scope(|this| {
            this.bound_loop(after);
            let here: Value = this.b.get(counter);
            let (compared, end) = (this.b.to_compare(here), this.b.to_compare(end));
            this.b.branch(Cond::Slt, compared, Operand::Value(end), inside, after);
            this.b.switch_sealed(inside);
            this.set_local_number(local, here);
            this.loops.push(Loop { next, after });
            this.branch_scope(|this| this.statements(body));
            this.loops.pop();
            this.b.jump(next, &[]);
            this.b.switch_sealed(next);
            let here = this.b.get(counter);
            let sum = this.b.add(here, Operand::Imm(1));
            this.b.set(counter, sum);
            this.b.jump(head, &[]);
        });
        self.b.seal(head);
        self.leave_loop();
        self.b.switch_sealed(after);
    }

    fn unroll(&mut self, count: u32, body: &Block) {
        let after = self.b.block();
        for _ in 0..count {
            if !self.b.is_reachable() {
                break;
            }
            let next = self.b.block();
            self.loops.push(Loop { next, after });
            self.branch_scope(|this| this.statements(body));
            self.loops.pop();
            self.b.jump(next, &[]);
            self.b.switch_sealed(next);
        }
        self.b.jump(after, &[]);
        self.b.switch_sealed(after);
    }
}
