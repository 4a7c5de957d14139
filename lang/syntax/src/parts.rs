//! What a node of the tree is made of, in the order of the text. A walk that only wants some kinds of nodes asks for the
//! parts of all others.

use crate::ast::{Block, Expr, ExprKind, ForOver, If, Stmt, StmtKind, TypeExpr, TypeExprKind, TypeOrExpr};

/// A part of a node.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    Block(&'a Block),
    Stmt(&'a Stmt),
    Expr(&'a Expr),
    Type(&'a TypeExpr),
}

impl<'a> Part<'a> {
    /// Hands over the parts of a part. The members of a structure that is defined in place are none.
    pub fn each(self, take: &mut dyn FnMut(Part<'a>)) {
        match self {
            Part::Block(block) => {
                block.stmts.iter().for_each(|stmt| take(Part::Stmt(stmt)));
                block.value.iter().for_each(|value| take(Part::Expr(value)));
            }
            Part::Stmt(stmt) => of_stmt(stmt, take),
            Part::Expr(expr) => of_expr(expr, take),
            Part::Type(ty) => of_type(ty, take),
        }
    }
}

fn of_stmt<'a>(stmt: &'a Stmt, take: &mut dyn FnMut(Part<'a>)) {
    match &stmt.kind {
        StmtKind::Let { ty, value, .. } => {
            ty.iter().for_each(|ty| take(Part::Type(ty)));
            value.iter().for_each(|value| take(Part::Expr(value)));
        }
        StmtKind::Assign { target, value, .. } => {
            take(Part::Expr(target));
            take(Part::Expr(value));
        }
        StmtKind::Discard(value) | StmtKind::Expr(value) => take(Part::Expr(value)),
        StmtKind::If(inner) => of_if(inner, take),
        StmtKind::Block(block) => take(Part::Block(block)),
        StmtKind::For { over, body, .. } => {
            match over {
                ForOver::Each(of) => take(Part::Expr(of)),
                ForOver::Range { start, end } => {
                    take(Part::Expr(start));
                    take(Part::Expr(end));
                }
            }
            take(Part::Block(body));
        }
        StmtKind::While { condition: value, body } | StmtKind::Unroll { count: value, body } => {
            take(Part::Expr(value));
            take(Part::Block(body));
        }
        StmtKind::Return(value) => value.iter().for_each(|value| take(Part::Expr(value))),
        StmtKind::Break | StmtKind::Continue => {}
    }
}

fn of_if<'a>(inner: &'a If, take: &mut dyn FnMut(Part<'a>)) {
    take(Part::Expr(&inner.condition));
    take(Part::Block(&inner.then));
    inner.otherwise.iter().for_each(|block| take(Part::Block(block)));
}

fn of_expr<'a>(expr: &'a Expr, take: &mut dyn FnMut(Part<'a>)) {
    match &expr.kind {
        ExprKind::Int { .. }
        | ExprKind::String(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Variable(_)
        | ExprKind::Map { key: None, .. }
        | ExprKind::Positional(_)
        | ExprKind::PositionalCount => {}
        ExprKind::Map { key: Some(parts), .. }
        | ExprKind::Call { args: parts, .. }
        | ExprKind::Tuple(parts) => parts.iter().for_each(|part| take(Part::Expr(part))),
        ExprKind::Record(fields) => fields.iter().for_each(|field| take(Part::Expr(&field.value))),
        ExprKind::Unary { operand: inner, .. }
        | ExprKind::Step { target: inner, .. }
        | ExprKind::Field { object: inner, .. }
        | ExprKind::TupleIndex { object: inner, .. }
        | ExprKind::Comptime(inner) => take(Part::Expr(inner)),
        ExprKind::Binary { left, right, .. }
        | ExprKind::Elvis { condition: left, otherwise: right }
        | ExprKind::Index { object: left, index: right } => {
            take(Part::Expr(left));
            take(Part::Expr(right));
        }
        ExprKind::Ternary { condition, then, otherwise } => {
            take(Part::Expr(condition));
            take(Part::Expr(then));
            take(Part::Expr(otherwise));
        }
        ExprKind::Cast { ty, operand } => {
            take(Part::Type(ty));
            take(Part::Expr(operand));
        }
        ExprKind::Block(block) => take(Part::Block(block)),
        ExprKind::If(inner) => of_if(inner, take),
        ExprKind::Sizeof(of) | ExprKind::Typeinfo(of) | ExprKind::Offsetof { of, .. } => {
            of_type_or_expr(of, take);
        }
        ExprKind::Type(ty) => take(Part::Type(ty)),
    }
}

fn of_type<'a>(ty: &'a TypeExpr, take: &mut dyn FnMut(Part<'a>)) {
    match &ty.kind {
        TypeExprKind::Pointer(to) => take(Part::Type(to)),
        TypeExprKind::Array { element, len } => {
            take(Part::Type(element));
            len.iter().for_each(|len| take(Part::Expr(len)));
        }
        TypeExprKind::Typeof(of) => of_type_or_expr(of, take),
        TypeExprKind::Named(_)
        | TypeExprKind::Tagged { .. }
        | TypeExprKind::Inline(_)
        | TypeExprKind::Function => {}
    }
}

fn of_type_or_expr<'a>(of: &'a TypeOrExpr, take: &mut dyn FnMut(Part<'a>)) {
    match of {
        TypeOrExpr::Type(ty) => take(Part::Type(ty)),
        TypeOrExpr::Expr(expr) => take(Part::Expr(expr)),
    }
}
