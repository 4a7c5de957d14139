//! Which variables code reads and assigns, and which numbers it wants as text.

use super::{Block, Expr, ExprKind, LocalId, StepPlace, Stmt, StmtKind};
use crate::types::Type;

/// A place where a variable stands, or a text is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention<'p> {
    Reads(LocalId),
    /// An element of the tuple in it is read, by its number.
    ReadsPart(LocalId, u32),
    Assigns(LocalId),
    /// A value of this type becomes a string.
    Texts(&'p Type),
}

/// Calls `f` for everything of that kind in the block, and in blocks within it.
pub fn mentions<'p>(block: &'p Block, f: &mut impl FnMut(Mention<'p>)) {
    for stmt in block {
        in_stmt(stmt, f);
    }
}

fn in_stmt<'p>(stmt: &'p Stmt, f: &mut impl FnMut(Mention<'p>)) {
    match &stmt.kind {
        StmtKind::Expr(value) | StmtKind::Discard(value) | StmtKind::Join(_, value) => in_expr(value, f),
        StmtKind::SetLocal(local, value) => {
            in_expr(value, f);
            f(Mention::Assigns(*local));
        }
        StmtKind::SetMap(element, value) | StmtKind::UpdateMap(element, _, value) => {
            element.key.iter().for_each(|key| in_expr(key, f));
            in_expr(value, f);
        }
        StmtKind::Aggregate(element, _, value) => {
            element.key.iter().for_each(|key| in_expr(key, f));
            value.iter().for_each(|value| in_expr(value, f));
        }
        StmtKind::If(condition, then, otherwise) => {
            in_expr(condition, f);
            mentions(then, f);
            mentions(otherwise, f);
        }
        StmtKind::While(condition, body) => {
            in_expr(condition, f);
            mentions(body, f);
        }
        StmtKind::Range { local, from, to, body } => {
            in_expr(from, f);
            in_expr(to, f);
            f(Mention::Assigns(*local));
            mentions(body, f);
        }
        StmtKind::Each { body, .. } | StmtKind::Unroll(_, body) | StmtKind::Block(body) => mentions(body, f),
        StmtKind::Return(value) | StmtKind::Exit(_, value) => {
            value.iter().for_each(|value| in_expr(value, f));
        }
        StmtKind::Emit(_, args) => args.iter().for_each(|arg| in_expr(arg, f)),
        StmtKind::Break | StmtKind::Continue => {}
    }
}

/// The same for an expression.
pub fn in_expr<'p>(expr: &'p Expr, f: &mut impl FnMut(Mention<'p>)) {
    match &expr.kind {
        ExprKind::Local(local) => f(Mention::Reads(*local)),
        ExprKind::TupleField(of, index) => {
            if let ExprKind::Local(local) = of.kind {
                return f(Mention::ReadsPart(local, *index));
            }
        }
        ExprKind::Step { place: StepPlace::Local(local), .. } => f(Mention::Assigns(*local)),
        ExprKind::Find(_, local) => f(Mention::Assigns(*local)),
        ExprKind::Block(block, _) => mentions(block, f),
        ExprKind::Cast(of)
            if matches!((&of.ty, &expr.ty), (Type::Label(_) | Type::Probe, Type::String(_))) =>
        {
            f(Mention::Texts(&of.ty));
        }
        ExprKind::Int(_)
        | ExprKind::String(_)
        | ExprKind::Map(_)
        | ExprKind::Merged(_)
        | ExprKind::HasKey(_)
        | ExprKind::Delete(_)
        | ExprKind::Len(_)
        | ExprKind::Arg(_)
        | ExprKind::Word(_)
        | ExprKind::Retval
        | ExprKind::Unary(..)
        | ExprKind::Binary(..)
        | ExprKind::Compare(..)
        | ExprKind::Equal(..)
        | ExprKind::EqualPrefix(..)
        | ExprKind::And(..)
        | ExprKind::Or(..)
        | ExprKind::Select(..)
        | ExprKind::Cast(_)
        | ExprKind::Step { place: StepPlace::Map(_), .. }
        | ExprKind::Field(..)
        | ExprKind::Index(..)
        | ExprKind::Deref(_)
        | ExprKind::AddressOf(_)
        | ExprKind::Tuple(_)
        | ExprKind::Call(..) => {}
    }
    expr.children().into_iter().for_each(|child| in_expr(child, f));
}
