//! Statements: assignments, control flow, and expressions for their effect.

use rtscript_syntax::ast::{self, BlockResult, ForOver, StmtKind as Ast};
use rtscript_syntax::source::Span;

use super::Checker;
use super::comptime::Branch;
use super::error::{Fact, TypeFact, Warning};
use super::expressions::MAX_DEPTH;
use super::numbers::{cast, constant, fits, value_of};
use super::shape::Shape;
use crate::builtins::{self, Means};
use crate::typed::{BinaryOp, Block, Expr, LocalId, Stmt, StmtKind};
use crate::types::{Space, Type};

/// The most rounds of an `unroll`.
const MOST_ROUNDS: i128 = 100;
/// The most copies of a statement that stands in several of them.
const MOST_COPIES: i128 = 10_000;

impl Checker<'_> {
    pub(super) fn block(&mut self, block: &ast::Block) -> Block {
        self.walk.scopes.push(Vec::new());
        let statements = self.statements(block);
        self.walk.scopes.pop();
        statements
    }

    fn statements(&mut self, block: &ast::Block) -> Block {
        let mut statements = self.some_statements(block.span, &block.stmts);
        if let Some(value) = &block.value {
            statements.extend(self.effect(value, value.span));
        }
        statements
    }

    /// Those in front of the one that yields the block's value.
    pub(super) fn leading_statements(&mut self, block: &ast::Block) -> Block {
        let count = match block.result() {
            Some(BlockResult::If(_) | BlockResult::Block(_)) => block.stmts.len() - 1,
            Some(BlockResult::Expr(_)) | None => block.stmts.len(),
        };
        self.some_statements(block.span, &block.stmts[..count])
    }

    fn some_statements(&mut self, span: Span, stmts: &[ast::Stmt]) -> Block {
        if self.walk.depth >= MAX_DEPTH {
            self.error(Fact::TooDeep { at: span, limit: MAX_DEPTH });
            return Vec::new();
        }
        self.walk.depth += 1;
        let mut statements = Vec::new();
        let mut ended = false;
        for stmt in stmts {
            if ended {
                self.warn(Warning::Unreachable { at: stmt.span });
            }
            let typed = self.statement(stmt);
            ended = typed.as_ref().is_some_and(|typed| ends(&typed.kind));
            statements.extend(typed);
        }
        self.walk.depth -= 1;
        statements
    }

    fn statement(&mut self, stmt: &ast::Stmt) -> Option<Stmt> {
        let span = stmt.span;
        let kind = match &stmt.kind {
            Ast::Let { name, ty, value } => return self.declaration(name, ty.as_ref(), value.as_ref(), span),
            Ast::Assign { target, op, value } => return self.assignment(target, *op, value, span),
            Ast::Discard(value) if self.is_action(value) => return self.effect(value, span),
            Ast::Discard(value) => StmtKind::Discard(self.expr(value)?),
            Ast::Expr(value) => return self.effect(value, span),
            Ast::If(inner) => self.branch(inner)?,
            Ast::Block(block) => StmtKind::Block(self.block(block)),
            Ast::For { name, over: ForOver::Range { start, end }, body } => {
                self.range(name, start, end, body)?
            }
            Ast::For { name, over: ForOver::Each(of), body } => self.each(name, of, body)?,
            Ast::While { condition, body } => {
                let condition = self.expr(condition).and_then(|condition| self.truth(condition));
                let body = self.in_loop(body);
                StmtKind::While(condition?, body)
            }
            Ast::Unroll { count, body } => {
                let count = self.expr(count);
                let what = "the number of rounds";
                let outer = self.walk.unrolled.max(1);
                let most = MOST_ROUNDS.min(MOST_COPIES / i128::from(outer));
                let expected = match outer {
                    1 => "a number from 1 to 100".to_owned(),
                    _ => format!("a number from 1 to {most}, within {outer} rounds"),
                };
                let rounds = count.and_then(|count| self.constant_in(&count, what, &expected, 1..=most));
                self.walk.unrolled = outer * rounds.unwrap_or(1) as u32;
                let body = self.in_loop(body);
                self.walk.unrolled = outer;
                StmtKind::Unroll(rounds? as u32, body)
            }
            Ast::Break => {
                self.inside_loop("break", span)?;
                StmtKind::Break
            }
            Ast::Continue => {
                self.inside_loop("continue", span)?;
                StmtKind::Continue
            }
            Ast::Return(value) => {
                let value = match value {
                    Some(value) => {
                        let value = self.expr(value)?;
                        let value = self.number(value, "the value that a probe returns")?;
                        Some(cast(value, &Type::I64))
                    }
                    None => None,
                };
                StmtKind::Return(value)
            }
        };
        Some(Stmt { kind, span })
    }

    fn inside_loop(&mut self, word: &'static str, at: Span) -> Option<()> {
        if self.walk.loops == 0 {
            self.error(Fact::OutsideLoop { word, at });
            return None;
        }
        Some(())
    }

    pub(super) fn in_loop(&mut self, body: &ast::Block) -> Block {
        self.walk.loops += 1;
        let body = self.block(body);
        self.walk.loops -= 1;
        body
    }

    fn branch(&mut self, inner: &ast::If) -> Option<StmtKind> {
        if let Branch::Taken(block) = self.taken(inner)? {
            return Some(self.taken_statement(block));
        }
        let condition = self.expr(&inner.condition).and_then(|condition| self.truth(condition));
        let then = self.block(&inner.then);
        let otherwise = inner.otherwise.as_ref().map(|block| self.block(block)).unwrap_or_default();
        Some(StmtKind::If(condition?, then, otherwise))
    }

    fn range(
        &mut self,
        name: &ast::Ident,
        start: &ast::Expr,
        end: &ast::Expr,
        body: &ast::Block,
    ) -> Option<StmtKind> {
        let (start, end) = (self.expr(start), self.expr(end));
        self.walk.scopes.push(Vec::new());
        let local = self.declare(name);
        if let Some(entity) = self.local_entity(local) {
            self.flow(entity, Some(Shape::of_type(&Type::I64)), name.span);
        }
        let body = self.in_loop(body);
        self.walk.scopes.pop();
        let from = self.number(start?, "the start of a range");
        let to = self.number(end?, "the end of a range");
        let (from, to) = (cast(from?, &Type::I64), cast(to?, &Type::I64));
        Some(StmtKind::Range { local, from, to, body })
    }

    // Assignments.

    pub(super) fn declaration(
        &mut self,
        name: &ast::Ident,
        ty: Option<&ast::TypeExpr>,
        value: Option<&ast::Expr>,
        span: Span,
    ) -> Option<Stmt> {
        let ty = match ty {
            Some(ty) => Some(self.written_type(ty, Space::Kernel)?),
            None => None,
        };
        // The value is evaluated first: a variable is not visible in its own declaration.
        let value = value.map(|value| self.expr(value));
        if let Some(known) = self.local(&name.name) {
            let first = self.instances[self.walk.instance?].locals[known.as_u32() as usize].span;
            self.error(Fact::DeclaredTwice { name: name.name.clone(), at: name.span, first });
            return None;
        }
        let local = self.declare(name);
        let entity = self.local_entity(local)?;
        if let Some(ty) = ty {
            self.entities.get_mut(entity).annotated = Some(ty);
        }
        let value = match value {
            Some(value) => self.local_value(local, value, span)?,
            None => {
                // Where it is declared anew, in a loop, it is 0 again.
                let ty = self.entities.ty(entity)?;
                if !ty.is_scalar() {
                    return None;
                }
                constant(0, ty, name.span)
            }
        };
        Some(Stmt { kind: StmtKind::SetLocal(local, value), span })
    }

    fn assignment(
        &mut self,
        target: &ast::Expr,
        op: Option<ast::BinaryOp>,
        value: &ast::Expr,
        span: Span,
    ) -> Option<Stmt> {
        match &target.kind {
            ast::ExprKind::Variable(name) => {
                let value = self.expr(value);
                let value = match op {
                    Some(op) => {
                        let current = self.expr(target);
                        current.zip(value).and_then(|(current, value)| self.binary(op, current, value, span))
                    }
                    None => value,
                };
                let ident = ast::Ident { name: name.clone(), span: target.span };
                let local = match self.local(name) {
                    Some(local) => local,
                    // `$x += 1` of an unknown variable was reported.
                    None if op.is_some() => return None,
                    None => self.declare(&ident),
                };
                let value = self.local_value(local, value, span)?;
                Some(Stmt { kind: StmtKind::SetLocal(local, value), span })
            }
            ast::ExprKind::Map { name, key } => match op {
                None => self.map_assignment(name, key.as_deref(), target.span, value, span),
                Some(op) => self.map_update(name, key.as_deref(), target.span, op, value, span),
            },
            _ => {
                let help = match &target.kind {
                    ast::ExprKind::Field { .. }
                    | ast::ExprKind::Index { .. }
                    | ast::ExprKind::Unary { .. } => {
                        Some("what is traced is only read; its memory cannot be written")
                    }
                    ast::ExprKind::TupleIndex { .. } => Some("a tuple does not change; assign a new one"),
                    _ => None,
                };
                self.error(Fact::NotAssignable { at: target.span, help });
                None
            }
        }
    }

    /// Lets a value flow into a variable, and gives it that type.
    fn local_value(&mut self, local: LocalId, value: Option<Expr>, span: Span) -> Option<Expr> {
        let entity = self.local_entity(local)?;
        let Some(value) = value else {
            self.flow(entity, None, span);
            return None;
        };
        let annotated = self.entities.get(entity).annotated.clone();
        let Some(ty) = annotated else {
            return self.store(entity, Some(value), "a variable", span);
        };
        self.entities.get_mut(entity).assigned.get_or_insert(span);
        let (Type::Int(from), Type::Int(to)) = (&value.ty, &ty) else {
            // The NUL behind a literal has its place in the type, and needs none in the variable.
            if let (Type::String(from), Type::String(to)) = (&value.ty, &ty)
                && from.saturating_sub(1) > *to
            {
                self.warn_of_narrowing(&value, &ty);
            }
            return self.store(entity, Some(value), "a variable", span);
        };
        if let Some(number) = value_of(&value) {
            if !fits(number, *to) {
                let ty = self.type_name(&ty);
                self.error(TypeFact::OutOfRange { value: number, ty, at: value.span });
                return None;
            }
        } else if from.size > to.size {
            self.warn_of_narrowing(&value, &ty);
        }
        Some(cast(value, &ty))
    }

    fn warn_of_narrowing(&mut self, value: &Expr, ty: &Type) {
        let (from, to) = (self.type_name(&value.ty), self.type_name(ty));
        self.warn(Warning::Narrowing { from, to, at: value.span });
    }

    fn map_assignment(
        &mut self,
        name: &str,
        key: Option<&[ast::Expr]>,
        at: Span,
        value: &ast::Expr,
        span: Span,
    ) -> Option<Stmt> {
        if let Some((function, args)) = called(value)
            && let Some(row) = builtins::find(function)
            && let Means::Summary(summary) = row.means
        {
            let element = self.element(name, key, at);
            let map = self.map(name, at);
            let entity = self.entities.maps[map].value;
            let Some((aggregate, number)) = self.summary(row, summary, args, value.span) else {
                self.flow(entity, None, value.span);
                return None;
            };
            let shape = Shape::Aggregate(aggregate);
            if !self.flow(entity, Some(shape), value.span) {
                return None;
            }
            // What all uses together make of it.
            let Some(Type::Aggregate(aggregate)) = self.entities.ty(entity) else { return None };
            return Some(Stmt { kind: StmtKind::Aggregate(element?, aggregate, number), span });
        }
        let element = self.element(name, key, at);
        let value = self.expr(value);
        let map = self.map(name, at);
        let value = self.store(self.entities.maps[map].value, value, "the value", span);
        Some(Stmt { kind: StmtKind::SetMap(element?, value?), span })
    }

    fn map_update(
        &mut self,
        name: &str,
        key: Option<&[ast::Expr]>,
        at: Span,
        op: ast::BinaryOp,
        value: &ast::Expr,
        span: Span,
    ) -> Option<Stmt> {
        let element = self.element(name, key, at);
        let value = self.expr(value);
        let map = self.map(name, at);
        let entity = self.entities.maps[map].value;
        let counted = if op == ast::BinaryOp::Sub { Shape::difference() } else { Shape::counter() };
        self.count(entity, &counted, at);
        let Some(value) = value else {
            self.flow(entity, None, span);
            return None;
        };
        let value = self.number(value, "an operand")?;
        let shape = self.shape(&value).widened();
        if !self.flow(entity, Some(shape), value.span) {
            return None;
        }
        let ty = self.entities.ty(entity)?;
        if !matches!(ty, Type::Int(_)) {
            let ty = self.type_name(&ty);
            self.error(TypeFact::Operand { op: op.symbol(), ty, at });
            return None;
        }
        let op = match op {
            ast::BinaryOp::Add => BinaryOp::Add,
            ast::BinaryOp::Sub => BinaryOp::Sub,
            ast::BinaryOp::Mul => BinaryOp::Mul,
            ast::BinaryOp::Div => BinaryOp::Div,
            ast::BinaryOp::Rem => BinaryOp::Mod,
            ast::BinaryOp::BitAnd => BinaryOp::And,
            ast::BinaryOp::BitOr => BinaryOp::Or,
            ast::BinaryOp::BitXor => BinaryOp::Xor,
            ast::BinaryOp::Shl => BinaryOp::Shl,
            ast::BinaryOp::Shr => BinaryOp::Shr,
            ast::BinaryOp::Or
            | ast::BinaryOp::And
            | ast::BinaryOp::Eq
            | ast::BinaryOp::Ne
            | ast::BinaryOp::Lt
            | ast::BinaryOp::Gt
            | ast::BinaryOp::Le
            | ast::BinaryOp::Ge => {
                self.error(Fact::NotAssignable { at, help: None });
                return None;
            }
        };
        let divides = matches!(op, BinaryOp::Div | BinaryOp::Mod);
        if divides && value_of(&value) == Some(0) {
            self.error(TypeFact::DivisionByZero { at: value.span });
            return None;
        }
        Some(Stmt { kind: StmtKind::UpdateMap(element?, op, cast(value, &ty)), span })
    }

    // Expressions as statements.

    /// An expression for its effect.
    fn effect(&mut self, expr: &ast::Expr, span: Span) -> Option<Stmt> {
        if let Some((name, args)) = called(expr)
            && let Some(row) = builtins::find(name)
            && let Means::Action(act) = row.means
        {
            self.arity(row, args, expr.span)?;
            return self.act(row, act, args, span);
        }
        match &expr.kind {
            ast::ExprKind::Ternary { condition, then, otherwise }
                if self.is_action(then) || self.is_action(otherwise) =>
            {
                let condition = self.expr(condition).and_then(|condition| self.truth(condition));
                let arm =
                    |checker: &mut Self, arm: &ast::Expr| checker.effect(arm, arm.span).into_iter().collect();
                let (then, otherwise): (Block, Block) = (arm(self, then), arm(self, otherwise));
                Some(Stmt { kind: StmtKind::If(condition?, then, otherwise), span })
            }
            ast::ExprKind::Block(block) => Some(Stmt { kind: StmtKind::Block(self.block(block)), span }),
            ast::ExprKind::If(inner) => Some(Stmt { kind: self.branch(inner)?, span }),
            _ => {
                let value = self.expr(expr)?;
                if !value.has_effect() {
                    self.warn(Warning::Unused { at: expr.span });
                }
                Some(Stmt { kind: StmtKind::Expr(value), span })
            }
        }
    }

    fn is_action(&self, expr: &ast::Expr) -> bool {
        if let ast::ExprKind::Ternary { then, otherwise, .. } = &expr.kind {
            return self.is_action(then) || self.is_action(otherwise);
        }
        let row = called(expr).and_then(|(name, _)| builtins::find(name));
        row.is_some_and(|row| matches!(row.means, Means::Action(_)))
    }
}

/// What is called, and with what: a function may stand without parentheses.
fn called(expr: &ast::Expr) -> Option<(&str, &[ast::Expr])> {
    if let ast::ExprKind::Call { name, args } = &expr.kind {
        return Some((&name.name, args));
    }
    let ast::ExprKind::Ident(name) = &expr.kind else { return None };
    Some((name, &[]))
}

/// Whether nothing behind the statement is reached.
fn ends(kind: &StmtKind) -> bool {
    match kind {
        StmtKind::Break | StmtKind::Continue | StmtKind::Return(_) | StmtKind::Exit(..) => true,
        StmtKind::Expr(_)
        | StmtKind::Discard(_)
        | StmtKind::SetLocal(..)
        | StmtKind::SetMap(..)
        | StmtKind::UpdateMap(..)
        | StmtKind::Aggregate(..)
        | StmtKind::If(..)
        | StmtKind::While(..)
        | StmtKind::Range { .. }
        | StmtKind::Each { .. }
        | StmtKind::Unroll(..)
        | StmtKind::Emit(..)
        | StmtKind::Join(..)
        | StmtKind::Block(_) => false,
    }
}
