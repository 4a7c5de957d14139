//! Calls of functions: `fn name($a : type) : type { … }`.
//!
//! A call becomes a block, like that of a macro, whose first statements declare the parameters with their types and the arguments
//! as values:
//!
//! ```text
//! { let $a : type = argument; let $result : type; …; $result }
//! ```
//!
//! A `return` assigns to `$result`. Where it is not the last thing that the body does, it also sets a flag, and what would
//! follow is skipped while the flag is set; out of a loop it breaks. So a function that is not called costs nothing, and one that is
//! called has no cost of a call.

use std::rc::Rc;

use rtscript_syntax::ast::*;
use rtscript_syntax::source::Span;

use super::copy::{at, called_block};
use super::error::arguments;
use super::{ExpandError, Expander, Frame, View};

/// What a `return` in a function does.
#[derive(Clone, Default)]
pub(super) struct Returns {
    /// The variable of the result, if there is one.
    result: Option<String>,
    /// The variable that says that the function has returned, if something may follow a `return`.
    flag: Option<String>,
}

impl Expander<'_> {
    /// The block that a call of a function becomes.
    pub(super) fn call_function(
        &mut self,
        function: &Rc<Function>,
        args: &[Expr],
        span: Span,
        view: View<'_>,
    ) -> Expr {
        let Function { source, body } = &**function;
        self.called.insert(source.name.name.clone());
        let called_at = at(span, view);
        if source.params.len() != args.len() {
            self.error(ExpandError::FunctionArguments {
                name: source.name.name.clone(),
                expected: arguments(source.params.len()),
                found: args.len(),
                at: called_at,
                definition: source.name.span,
            });
            return super::copy::nothing(called_at);
        }
        let Some((number, shift)) = self.enter(body, span, view) else {
            return super::copy::nothing(called_at);
        };
        let args: Vec<Expr> = args.iter().map(|arg| self.expr(arg, view)).collect();
        called_block(self.function_block(function, args, (number, shift), view), called_at)
    }

    /// The bodies of the functions that nothing calls. What they call counts as called; functions mostly stand behind those that
    /// they call, so the last one comes first.
    pub(super) fn uncalled(&mut self, functions: &[Rc<Function>]) -> Vec<Probe> {
        let mut bodies = Vec::new();
        for function in functions.iter().rev() {
            let source = &function.source;
            if self.called.contains(&source.name.name) {
                continue;
            }
            self.calls += 1;
            let mut body = self.function_block(function, Vec::new(), (self.calls, 0), None);
            if let Some(value) = body.value.take() {
                body.stmts.push(Stmt { span: value.span, kind: StmtKind::Discard(*value) });
            }
            bodies.push(Probe {
                span: source.span,
                name: None,
                attach_points: Vec::new(),
                predicate: None,
                body,
            });
        }
        bodies.reverse();
        bodies
    }

    /// The block that stands for a function. Parameters without an argument have no value.
    fn function_block(
        &mut self,
        function: &Rc<Function>,
        args: Vec<Expr>,
        (number, shift): (u32, u32),
        view: View<'_>,
    ) -> Block {
        let Function { source, body } = &**function;
        let returns_value = source.result.is_some() || any_return(&source.body, true);
        let early = match source.body.stmts.split_last() {
            _ if source.body.value.is_some() => source.body.stmts.iter().any(may_return),
            Some((last, before)) => {
                before.iter().any(may_return) || !matches!(last.kind, StmtKind::Return(_)) && may_return(last)
            }
            None => false,
        };
        let returns = Returns {
            result: returns_value.then(|| format!("result''{number}")),
            flag: early.then(|| format!("returned''{number}")),
        };
        let frame = Frame {
            definition: Rc::clone(body),
            args: Vec::new(),
            caller: view,
            number,
            shift,
            returns: Some(returns.clone()),
        };
        let here = at(source.name.span, Some(&frame));
        let ident = |name: &str| Ident { name: name.to_owned(), span: here };
        let declare = |name, ty, value| Stmt { kind: StmtKind::Let { name, ty, value }, span: here };
        let mut stmts = Vec::new();
        let mut args = args.into_iter();
        for param in &source.params {
            let value = args.next();
            let name = self.variable_ident(&param.name, Some(&frame));
            let ty = self.ty(&param.ty, Some(&frame));
            let span = value.as_ref().map_or(name.span, |value| value.span);
            stmts.push(Stmt { kind: StmtKind::Let { name, ty: Some(ty), value }, span });
        }
        if let Some(result) = &returns.result {
            let ty = source.result.as_ref().map(|ty| self.ty(ty, Some(&frame)));
            stmts.push(declare(ident(result), ty, None));
        }
        if let Some(flag) = &returns.flag {
            let no = Expr { kind: ExprKind::Bool(false), span: here };
            stmts.push(declare(ident(flag), None, Some(no)));
        }
        let mut inner = source.body.clone();
        // A function with a result may end with it, without `return`.
        if source.result.is_some()
            && let Some(value) = inner.value.take()
        {
            inner.stmts.push(Stmt { span: value.span, kind: StmtKind::Return(Some(*value)) });
        }
        let loops = std::mem::take(&mut self.loops);
        let copy = self.block(&inner, Some(&frame));
        self.loops = loops;
        stmts.extend(copy.stmts);
        stmts.extend(copy.value.map(|value| Stmt { span: value.span, kind: StmtKind::Expr(*value) }));
        let value = returns.result.map(|name| Box::new(Expr { kind: ExprKind::Variable(name), span: here }));
        Block { span: copy.span, stmts, value }
    }

    /// The statements of a block of a function; what follows one that may return is only reached if it did not.
    pub(super) fn returning_stmts(&mut self, stmts: &[Stmt], flag: &str, view: View<'_>) -> Vec<Stmt> {
        let mut copies = Vec::new();
        for (index, stmt) in stmts.iter().enumerate() {
            let copy = self.stmt(stmt, view);
            let span = copy.span;
            copies.extend(unblocked(copy, stmt));
            let rest = &stmts[index + 1..];
            if !may_return(stmt) || matches!(stmt.kind, StmtKind::Return(_)) {
                continue;
            }
            let returned = Expr { kind: ExprKind::Variable(flag.to_owned()), span };
            let block = |stmts| Block { span, stmts, value: None };
            if self.loops > 0 {
                // A `return` in an `if` breaks by itself.
                if is_loop(stmt) {
                    let then = block(vec![Stmt { kind: StmtKind::Break, span }]);
                    copies.push(branch(returned, then, span));
                }
                continue;
            }
            if !rest.is_empty() {
                let goes_on =
                    Expr { kind: ExprKind::Unary { op: UnaryOp::Not, operand: Box::new(returned) }, span };
                let rest = self.returning_stmts(rest, flag, view);
                copies.push(branch(goes_on, block(rest), span));
            }
            break;
        }
        copies
    }

    /// What a `return` of a function becomes.
    pub(super) fn return_stmts(
        &mut self,
        value: Option<&Expr>,
        span: Span,
        returns: &Returns,
        view: View<'_>,
    ) -> Block {
        let here = at(span, view);
        let mut stmts = Vec::new();
        let assign = |name: &str, value| {
            let target = Expr { kind: ExprKind::Variable(name.to_owned()), span: here };
            Stmt { kind: StmtKind::Assign { target, op: None, value }, span: here }
        };
        if let Some(value) = value
            && let Some(result) = &returns.result
        {
            let value = self.expr(value, view);
            stmts.push(assign(result, value));
        }
        if let Some(flag) = &returns.flag {
            stmts.push(assign(flag, Expr { kind: ExprKind::Bool(true), span: here }));
        }
        if self.loops > 0 {
            stmts.push(Stmt { kind: StmtKind::Break, span: here });
        }
        Block { span: here, stmts, value: None }
    }
}

/// A function, and its body as that of a macro without parameters: its variables are its own.
pub(super) struct Function {
    pub source: Fn,
    pub body: Rc<Macro>,
}

impl Function {
    pub fn new(source: Fn) -> Function {
        let body = Rc::new(Macro {
            span: source.span,
            name: source.name.clone(),
            params: Vec::new(),
            body: source.body.clone(),
        });
        Function { source, body }
    }
}

impl Returns {
    pub fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }
}

/// A `return` is a block only because it may be several statements.
fn unblocked(copy: Stmt, original: &Stmt) -> Vec<Stmt> {
    match (copy.kind, &original.kind) {
        (StmtKind::Block(block), StmtKind::Return(_)) => block.stmts,
        (kind, _) => vec![Stmt { kind, span: copy.span }],
    }
}

fn branch(condition: Expr, then: Block, span: Span) -> Stmt {
    let inner = If { span, condition: Box::new(condition), then, otherwise: None };
    Stmt { kind: StmtKind::If(inner), span }
}

fn is_loop(stmt: &Stmt) -> bool {
    matches!(stmt.kind, StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::Unroll { .. })
}

/// Whether a statement has a `return` in it.
pub(super) fn may_return(stmt: &Stmt) -> bool {
    has_return(stmt, false)
}

fn any_return(block: &Block, with_value: bool) -> bool {
    block.stmts.iter().any(|stmt| has_return(stmt, with_value))
}

fn has_return(stmt: &Stmt, with_value: bool) -> bool {
    match &stmt.kind {
        StmtKind::Return(value) => value.is_some() || !with_value,
        StmtKind::If(inner) => {
            any_return(&inner.then, with_value)
                || inner.otherwise.as_ref().is_some_and(|block| any_return(block, with_value))
        }
        StmtKind::Block(block)
        | StmtKind::For { body: block, .. }
        | StmtKind::While { body: block, .. }
        | StmtKind::Unroll { body: block, .. } => any_return(block, with_value),
        StmtKind::Let { .. }
        | StmtKind::Assign { .. }
        | StmtKind::Discard(_)
        | StmtKind::Expr(_)
        | StmtKind::Break
        | StmtKind::Continue => false,
    }
}
