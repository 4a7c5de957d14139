//! Calls of functions in C.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::Fact;
use super::numbers::cast;
use crate::typed::{Expr, ExprKind, Intrinsic};
use crate::types::{Int, Type};

impl Checker<'_> {
    /// A call of one of the functions that the script imports, by its place among them.
    pub(super) fn foreign(&mut self, index: usize, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let options = self.options;
        let function = &options.foreign[index];
        if args.len() != function.params.len() {
            let (name, at) = (function.name.clone(), function.span);
            let (expected, found) = (function.params.len(), args.len());
            self.error(Fact::ForeignArity { name, expected, found, at: span, imported: at });
            return None;
        }
        let what = format!("an argument of `{}`", function.name);
        let args = args.iter().zip(&function.params).map(|(arg, ty)| {
            let value = self.expr(arg)?;
            if matches!(ty, Type::Pointer(..)) && matches!(value.ty, Type::Pointer(..)) {
                return Some(value);
            }
            let value = self.number(value, &what)?;
            Some(cast(value, if matches!(ty, Type::Int(_)) { ty } else { &Type::U64 }))
        });
        let args = args.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
        let ty = match &function.result {
            // What it leaves behind means nothing, and nobody asks for it.
            Type::Void => Type::Int(Int::I64),
            other => other.clone(),
        };
        Some(Expr { kind: ExprKind::Call(Intrinsic::Foreign(index as u32), args), ty, span })
    }
}
