//! Which of the things that a probe hands over a body uses, found by reading the tree alone.

use rtscript_syntax::ast::{self, ExprKind, ForOver, StmtKind, TypeExpr, TypeExprKind, TypeOrExpr};

use crate::builtins::{self, Means, Value};
use crate::provider::Context;
use crate::typed::Intrinsic;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    args: bool,
    words: bool,
    retval: bool,
    pub probe: bool,
}

impl Uses {
    pub fn of(probe: &ast::Probe) -> Uses {
        let mut uses = Uses::default();
        if let Some(predicate) = &probe.predicate {
            uses.expr(predicate);
        }
        uses.block(&probe.body);
        uses
    }

    /// Whether anything is used whose type the provider has to find out.
    pub fn has_types(self) -> bool {
        self.args || self.retval
    }

    /// The context without what is not used, so that contexts that differ in that alone are equal.
    pub fn trim(self, mut context: Context) -> Context {
        if !self.args {
            context.args.clear();
        }
        if !self.words {
            context.words.clear();
        }
        if !self.retval {
            context.retval = None;
        }
        context
    }

    fn name(&mut self, name: &str) {
        if builtins::word_index(name).is_some() {
            self.words = true;
        }
        match builtins::find(name).map(|row| row.means) {
            Some(Means::Value(Value::Args)) => self.args = true,
            Some(Means::Value(Value::Retval)) => self.retval = true,
            Some(Means::Computed(Intrinsic::Probe, _)) => self.probe = true,
            Some(
                Means::Value(_)
                | Means::Computed(..)
                | Means::Constant(_)
                | Means::Action(_)
                | Means::Summary(_)
                | Means::Library
                | Means::Later,
            )
            | None => {}
        }
    }

    fn block(&mut self, block: &ast::Block) {
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
        if let Some(value) = &block.value {
            self.expr(value);
        }
    }

    fn stmt(&mut self, stmt: &ast::Stmt) {
        match &stmt.kind {
            StmtKind::Let { ty, value, .. } => {
                if let Some(ty) = ty {
                    self.ty(ty);
                }
                if let Some(value) = value {
                    self.expr(value);
                }
            }
            StmtKind::Assign { target, value, .. } => {
                self.expr(target);
                self.expr(value);
            }
            StmtKind::Discard(value) | StmtKind::Expr(value) => self.expr(value),
            StmtKind::If(inner) => self.branch(inner),
            StmtKind::Block(block) => self.block(block),
            StmtKind::For { over, body, .. } => {
                match over {
                    ForOver::Each(each) => self.expr(each),
                    ForOver::Range { start, end } => {
                        self.expr(start);
                        self.expr(end);
                    }
                }
                self.block(body);
            }
            StmtKind::While { condition, body } => {
                self.expr(condition);
                self.block(body);
            }
            StmtKind::Unroll { count, body } => {
                self.expr(count);
                self.block(body);
            }
            StmtKind::Return(value) => {
                if let Some(value) = value {
                    self.expr(value);
                }
            }
            StmtKind::Break | StmtKind::Continue => {}
        }
    }

    fn branch(&mut self, inner: &ast::If) {
        self.expr(&inner.condition);
        self.block(&inner.then);
        if let Some(otherwise) = &inner.otherwise {
            self.block(otherwise);
        }
    }

    fn expr(&mut self, expr: &ast::Expr) {
        match &expr.kind {
            ExprKind::Int { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Variable(_)
            | ExprKind::Positional(_)
            | ExprKind::PositionalCount => {}
            ExprKind::Ident(name) => self.name(name),
            ExprKind::Map { key, .. } => key.iter().flatten().for_each(|key| self.expr(key)),
            ExprKind::Unary { operand, .. } | ExprKind::Comptime(operand) => self.expr(operand),
            ExprKind::Step { target, .. } => self.expr(target),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Ternary { condition, then, otherwise } => {
                self.expr(condition);
                self.expr(then);
                self.expr(otherwise);
            }
            ExprKind::Elvis { condition, otherwise } => {
                self.expr(condition);
                self.expr(otherwise);
            }
            ExprKind::Cast { ty, operand } => {
                self.ty(ty);
                self.expr(operand);
            }
            ExprKind::Call { name, args } => {
                self.name(&name.name);
                args.iter().for_each(|arg| self.expr(arg));
            }
            ExprKind::Field { object, .. } | ExprKind::TupleIndex { object, .. } => self.expr(object),
            ExprKind::Index { object, index } => {
                self.expr(object);
                self.expr(index);
            }
            ExprKind::Tuple(parts) => parts.iter().for_each(|part| self.expr(part)),
            ExprKind::Record(fields) => fields.iter().for_each(|field| self.expr(&field.value)),
            ExprKind::Block(block) => self.block(block),
            ExprKind::If(inner) => self.branch(inner),
            ExprKind::Sizeof(of) | ExprKind::Typeinfo(of) => self.type_or_expr(of),
            ExprKind::Offsetof { of, .. } => self.type_or_expr(of),
            ExprKind::Type(ty) => self.ty(ty),
        }
    }

    fn type_or_expr(&mut self, of: &TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(expr) => self.expr(expr),
        }
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Pointer(to) => self.ty(to),
            TypeExprKind::Array { element, len } => {
                self.ty(element);
                if let Some(len) = len {
                    self.expr(len);
                }
            }
            TypeExprKind::Typeof(of) => self.type_or_expr(of),
            TypeExprKind::Named(_)
            | TypeExprKind::Tagged { .. }
            | TypeExprKind::Inline(_)
            | TypeExprKind::Function => {}
        }
    }
}
