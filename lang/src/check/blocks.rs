//! Blocks and `if` as values, and the variables that only the checker sees.

use rtscript_syntax::ast::{self, BlockResult};
use rtscript_syntax::source::Span;

use super::Checker;
use super::comptime::Branch;
use super::error::Fact;
use crate::typed::{Block, Expr, ExprKind, Stmt, StmtKind};

impl Checker<'_> {
    /// `{ statements; value }` as a value. What it declares is not visible behind it.
    pub(super) fn block_value(&mut self, block: &ast::Block) -> Option<Expr> {
        self.walk.scopes.push(Vec::new());
        let statements = self.leading_statements(block);
        let value = match block.result() {
            Some(BlockResult::Expr(value)) => self.expr(value),
            Some(BlockResult::If(inner)) => self.if_value(inner),
            Some(BlockResult::Block(inner)) => self.block_value(inner),
            None => {
                self.error(Fact::Valueless { what: "this block", at: block.span });
                None
            }
        };
        self.walk.scopes.pop();
        Some(in_block(statements, value?, block.span))
    }

    /// `if condition { value } else { value }` as a value.
    pub(super) fn if_value(&mut self, inner: &ast::If) -> Option<Expr> {
        match self.taken(inner)? {
            Branch::Taken(Some(block)) => return self.block_value(block),
            Branch::Taken(None) => {
                self.error(Fact::Valueless { what: "an `if` without an `else`", at: inner.span });
                return None;
            }
            Branch::Open => {}
        }
        let condition = self.expr(&inner.condition);
        let then = self.block_value(&inner.then);
        let Some(otherwise) = &inner.otherwise else {
            self.error(Fact::Valueless { what: "an `if` without an `else`", at: inner.span });
            return None;
        };
        let otherwise = self.block_value(otherwise);
        self.select(condition?, then?, otherwise?, inner.span)
    }

    /// Evaluates a value once, and hands it to `use_it` as often as that wants.
    pub(super) fn held(
        &mut self,
        value: Expr,
        use_it: impl FnOnce(&mut Self, Expr) -> Option<Expr>,
    ) -> Option<Expr> {
        let span = value.span;
        self.walk.scopes.push(Vec::new());
        // No script can name it.
        let local = self.declare(&ast::Ident { name: String::new(), span });
        let entity = self.local_entity(local);
        let held = entity.and_then(|entity| self.store(entity, Some(value), "a variable", span));
        let used = held.and_then(|held| {
            let ty = held.ty.clone();
            let used = use_it(self, Expr { kind: ExprKind::Local(local), ty, span })?;
            let assign = Stmt { kind: StmtKind::SetLocal(local, held), span };
            Some(in_block(vec![assign], used, span))
        });
        self.walk.scopes.pop();
        used
    }
}

/// A value behind statements; the value alone where there are none.
pub(super) fn in_block(statements: Block, value: Expr, span: Span) -> Expr {
    if statements.is_empty() {
        return value;
    }
    let ty = value.ty.clone();
    Expr { kind: ExprKind::Block(statements, Box::new(value)), ty, span }
}
