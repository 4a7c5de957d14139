//! The walk that copies a tree, with the arguments in the place of parameters and bodies in the place of calls.

use std::rc::Rc;
use std::slice;

use rtscript_syntax::ast::*;
use rtscript_syntax::source::Span;

use super::forms::{choose, kinds, signature};
use super::functions::{Returns, may_return};
use super::{Argument, ExpandError, Expander, Frame, View};
use crate::builtins::{self, Means};

/// More nodes than any script has that is written by hand.
const MAX_NODES: u32 = 1 << 20;
/// Deeper than any single tree of the parser, and shallow enough for the stack.
const MAX_DEPTH: u32 = 400;

impl Expander<'_> {
    pub(super) fn item(&mut self, item: &Item) -> Item {
        match item {
            Item::Probe(probe) => Item::Probe(Probe {
                predicate: probe.predicate.as_ref().map(|predicate| self.expr(predicate, None)),
                body: self.block(&probe.body, None),
                ..probe.clone()
            }),
            Item::MapDecl(declaration) => {
                Item::MapDecl(MapDecl { args: self.exprs(&declaration.args, None), ..declaration.clone() })
            }
            // Their calls take their places.
            Item::Fn(_) | Item::Macro(_) => item.clone(),
        }
    }

    pub(super) fn block(&mut self, block: &Block, view: View<'_>) -> Block {
        let span = at(block.span, view);
        if let Some(flag) = view.and_then(|frame| frame.returns.as_ref()).and_then(Returns::flag)
            && block.stmts.iter().any(may_return)
        {
            let value = block.value.as_ref().map(|value| (**value).clone());
            let last = value.map(|value| Stmt { span: value.span, kind: StmtKind::Expr(value) });
            let stmts: Vec<Stmt> = block.stmts.iter().cloned().chain(last).collect();
            return Block { span, stmts: self.returning_stmts(&stmts, flag, view), value: None };
        }
        Block {
            span,
            stmts: block.stmts.iter().map(|stmt| self.stmt(stmt, view)).collect(),
            value: block.value.as_ref().map(|value| Box::new(self.expr(value, view))),
        }
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt, view: View<'_>) -> Stmt {
        let kind = match &stmt.kind {
            StmtKind::Let { name, ty, value } => StmtKind::Let {
                name: self.variable_ident(name, view),
                ty: ty.as_ref().map(|ty| self.ty(ty, view)),
                value: value.as_ref().map(|value| self.expr(value, view)),
            },
            StmtKind::Assign { target, op, value } => {
                StmtKind::Assign { target: self.expr(target, view), op: *op, value: self.expr(value, view) }
            }
            StmtKind::Discard(value) => StmtKind::Discard(self.expr(value, view)),
            StmtKind::Expr(value) => match self.expr(value, view) {
                Expr { kind: ExprKind::Block(block), .. } => StmtKind::Block(*block),
                value => StmtKind::Expr(value),
            },
            StmtKind::If(inner) => StmtKind::If(self.branch(inner, view)),
            StmtKind::Block(block) => StmtKind::Block(self.block(block, view)),
            StmtKind::For { name, over, body } => StmtKind::For {
                name: self.variable_ident(name, view),
                over: match over {
                    ForOver::Each(each) => ForOver::Each(self.expr(each, view)),
                    ForOver::Range { start, end } => {
                        ForOver::Range { start: self.expr(start, view), end: self.expr(end, view) }
                    }
                },
                body: self.loop_body(body, view),
            },
            StmtKind::While { condition, body } => {
                StmtKind::While { condition: self.expr(condition, view), body: self.loop_body(body, view) }
            }
            StmtKind::Unroll { count, body } => {
                StmtKind::Unroll { count: self.expr(count, view), body: self.loop_body(body, view) }
            }
            StmtKind::Break => StmtKind::Break,
            StmtKind::Continue => StmtKind::Continue,
            StmtKind::Return(value) if view.is_some_and(|frame| frame.returns.is_some()) => {
                let returns = view.and_then(|frame| frame.returns.clone()).unwrap_or_default();
                StmtKind::Block(self.return_stmts(value.as_ref(), stmt.span, &returns, view))
            }
            StmtKind::Return(_) if view.is_some() => {
                self.error(ExpandError::MacroReturn { at: at(stmt.span, view) });
                StmtKind::Return(None)
            }
            StmtKind::Return(value) => StmtKind::Return(value.as_ref().map(|value| self.expr(value, view))),
        };
        Stmt { kind, span: at(stmt.span, view) }
    }

    fn loop_body(&mut self, body: &Block, view: View<'_>) -> Block {
        self.loops += 1;
        let body = self.block(body, view);
        self.loops -= 1;
        body
    }

    fn branch(&mut self, inner: &If, view: View<'_>) -> If {
        If {
            span: at(inner.span, view),
            condition: Box::new(self.expr(&inner.condition, view)),
            then: self.block(&inner.then, view),
            otherwise: inner.otherwise.as_ref().map(|block| Box::new(self.block(block, view))),
        }
    }

    fn exprs(&mut self, exprs: &[Expr], view: View<'_>) -> Vec<Expr> {
        exprs.iter().map(|expr| self.expr(expr, view)).collect()
    }

    pub(super) fn expr(&mut self, expr: &Expr, view: View<'_>) -> Expr {
        let span = at(expr.span, view);
        self.nodes += 1;
        if !self.full && self.depth >= MAX_DEPTH {
            self.full = true;
            self.error(ExpandError::TooDeep { at: span });
        }
        if !self.full && self.nodes >= MAX_NODES {
            self.full = true;
            self.error(ExpandError::TooMuch { at: span });
        }
        self.depth += 1;
        let copy = self.expr_inside(expr, span, view);
        self.depth -= 1;
        copy
    }

    fn expr_inside(&mut self, expr: &Expr, span: Span, view: View<'_>) -> Expr {
        let kind = match &expr.kind {
            ExprKind::Ident(name) => {
                if let Some(arg) = argument(name, MacroParamKind::Expr, view) {
                    return if self.full { nothing(span) } else { self.expr(arg.expr, arg.view) };
                }
                let name = Ident { name: name.clone(), span: expr.span };
                return match self.call(&name, &[], expr.span, view) {
                    Some(body) => body,
                    None => Expr { kind: ExprKind::Ident(name.name), span },
                };
            }
            ExprKind::Call { name, args } => {
                if let Some(function) = self.forms.function(&name.name) {
                    return self.call_function(&function, args, expr.span, view);
                }
                if let Some(body) = self.call(name, args, expr.span, view) {
                    return body;
                }
                ExprKind::Call { name: ident(name, view), args: self.exprs(args, view) }
            }
            ExprKind::Variable(name) => ExprKind::Variable(variable(name, view)),
            ExprKind::Map { name, key } => ExprKind::Map {
                name: self.map(name, span, view),
                key: key.as_ref().map(|key| self.exprs(key, view)),
            },
            ExprKind::Int { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Positional(_)
            | ExprKind::PositionalCount => expr.kind.clone(),
            ExprKind::Unary { op, operand } => {
                ExprKind::Unary { op: *op, operand: self.boxed(operand, view) }
            }
            ExprKind::Step { op, order, target } => {
                ExprKind::Step { op: *op, order: *order, target: self.boxed(target, view) }
            }
            ExprKind::Binary { op, left, right } => {
                ExprKind::Binary { op: *op, left: self.boxed(left, view), right: self.boxed(right, view) }
            }
            ExprKind::Ternary { condition, then, otherwise } => ExprKind::Ternary {
                condition: self.boxed(condition, view),
                then: self.boxed(then, view),
                otherwise: self.boxed(otherwise, view),
            },
            ExprKind::Elvis { condition, otherwise } => ExprKind::Elvis {
                condition: self.boxed(condition, view),
                otherwise: self.boxed(otherwise, view),
            },
            ExprKind::Cast { ty, operand } => {
                ExprKind::Cast { ty: self.ty(ty, view), operand: self.boxed(operand, view) }
            }
            ExprKind::Field { object, name, arrow } => return self.field(object, name, *arrow, span, view),
            ExprKind::TupleIndex { object, index } => {
                ExprKind::TupleIndex { object: self.boxed(object, view), index: *index }
            }
            ExprKind::Index { object, index } => {
                ExprKind::Index { object: self.boxed(object, view), index: self.boxed(index, view) }
            }
            ExprKind::Tuple(parts) => ExprKind::Tuple(self.exprs(parts, view)),
            ExprKind::Record(fields) => ExprKind::Record(
                fields
                    .iter()
                    .map(|field| RecordField {
                        name: ident(&field.name, view),
                        value: self.expr(&field.value, view),
                    })
                    .collect(),
            ),
            ExprKind::Block(block) => ExprKind::Block(Box::new(self.block(block, view))),
            ExprKind::If(inner) => ExprKind::If(Box::new(self.branch(inner, view))),
            ExprKind::Comptime(operand) => ExprKind::Comptime(self.boxed(operand, view)),
            ExprKind::Sizeof(of) => ExprKind::Sizeof(self.type_or_expr(of, view)),
            ExprKind::Typeinfo(of) => ExprKind::Typeinfo(self.type_or_expr(of, view)),
            ExprKind::Offsetof { of, path } => {
                ExprKind::Offsetof { of: self.type_or_expr(of, view), path: self.path(path, view) }
            }
            ExprKind::Type(ty) => ExprKind::Type(self.ty(ty, view)),
        };
        Expr { kind, span }
    }

    fn boxed(&mut self, expr: &Expr, view: View<'_>) -> Box<Expr> {
        Box::new(self.expr(expr, view))
    }

    fn type_or_expr(&mut self, of: &TypeOrExpr, view: View<'_>) -> Box<TypeOrExpr> {
        Box::new(match of {
            TypeOrExpr::Type(ty) => TypeOrExpr::Type(self.ty(ty, view)),
            TypeOrExpr::Expr(expr) => match self.expr(expr, view) {
                Expr { kind: ExprKind::Type(ty), .. } => TypeOrExpr::Type(ty),
                expr => TypeOrExpr::Expr(expr),
            },
        })
    }

    pub(super) fn ty(&mut self, ty: &TypeExpr, view: View<'_>) -> TypeExpr {
        let span = at(ty.span, view);
        let kind = match &ty.kind {
            TypeExprKind::Named(name) => match argument(name, MacroParamKind::Expr, view) {
                None => TypeExprKind::Named(name.clone()),
                Some(arg) => match &arg.expr.kind {
                    ExprKind::Type(ty) => return self.ty(ty, arg.view),
                    ExprKind::Ident(name) => TypeExprKind::Named(name.clone()),
                    _ => {
                        let at = at(arg.expr.span, arg.view);
                        self.error(ExpandError::TypeWanted { param: name.clone(), at, used: span });
                        TypeExprKind::Named(name.clone())
                    }
                },
            },
            TypeExprKind::Tagged { tag, name } => TypeExprKind::Tagged { tag: *tag, name: ident(name, view) },
            TypeExprKind::Pointer(to) => TypeExprKind::Pointer(Box::new(self.ty(to, view))),
            TypeExprKind::Array { element, len } => TypeExprKind::Array {
                element: Box::new(self.ty(element, view)),
                len: len.as_ref().map(|len| self.boxed(len, view)),
            },
            TypeExprKind::Typeof(of) => TypeExprKind::Typeof(self.type_or_expr(of, view)),
            // These stand in C definitions alone, where no macro reaches.
            TypeExprKind::Inline(_) | TypeExprKind::Function => ty.kind.clone(),
        };
        TypeExpr { kind, span }
    }

    /// A member. What a cast to a parameter has, as in `((type *)0)->member`, may be a parameter as well.
    fn field(&mut self, object: &Expr, name: &Ident, arrow: bool, span: Span, view: View<'_>) -> Expr {
        let path = match &object.kind {
            ExprKind::Cast { ty, .. } if is_parameter(ty, view) => self.path(slice::from_ref(name), view),
            _ => vec![ident(name, view)],
        };
        let object = self.expr(object, view);
        path.into_iter().fold(object, |object, name| {
            let kind = ExprKind::Field { object: Box::new(object), name, arrow };
            Expr { kind, span }
        })
    }

    /// The path of an `offsetof`; its first name may be a parameter.
    fn path(&mut self, path: &[Ident], view: View<'_>) -> Vec<Ident> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let mut copy = Vec::new();
        match argument(&first.name, MacroParamKind::Expr, view) {
            None => copy.push(ident(first, view)),
            Some(arg) => {
                if !members(arg.expr, arg.view, &mut copy) {
                    self.error(ExpandError::MemberWanted {
                        param: first.name.clone(),
                        at: at(arg.expr.span, arg.view),
                        used: at(first.span, view),
                    });
                }
            }
        }
        copy.extend(rest.iter().map(|name| ident(name, view)));
        copy
    }

    pub(super) fn variable_ident(&mut self, name: &Ident, view: View<'_>) -> Ident {
        Ident { name: variable(&name.name, view), span: at(name.span, view) }
    }

    fn map(&mut self, name: &str, span: Span, view: View<'_>) -> String {
        let Some(frame) = view else { return name.to_owned() };
        // A function sees all maps.
        if frame.returns.is_some() {
            return name.to_owned();
        }
        if let Some(arg) = argument(name, MacroParamKind::Map, view)
            && let ExprKind::Map { name, .. } = &arg.expr.kind
        {
            return self.map(name, span, arg.view);
        }
        let called = frame.definition.name.name.clone();
        self.error(ExpandError::ForeignMap { name: called, map: name.to_owned(), at: span });
        name.to_owned()
    }

    /// The body of the macro that a call means, or `None` if it means none.
    fn call(&mut self, name: &Ident, args: &[Expr], span: Span, view: View<'_>) -> Option<Expr> {
        let forms = self.forms.of(&name.name, !args.is_empty(), self.sources);
        if forms.is_empty() {
            return None;
        }
        let args: Vec<Argument<'_>> = args.iter().map(|expr| resolved(expr, view)).collect();
        let called_at = at(span, view);
        let Some(definition) = choose(&forms, &args) else {
            // A macro may add a form to a builtin.
            if builtins::find(&name.name).is_some_and(|row| row.means != Means::Library) {
                return None;
            }
            let known: Vec<String> = forms.iter().map(|form| format!("`{}`", signature(form))).collect();
            self.error(ExpandError::NoForm {
                name: name.name.clone(),
                at: called_at,
                found: kinds(&args),
                definition: forms[0].name.span,
                help: format!("it is defined as {}", known.join(", ")),
            });
            return Some(nothing(called_at));
        };
        let Some((number, shift)) = self.enter(&definition, span, view) else {
            return Some(nothing(called_at));
        };
        let frame =
            Frame { definition: Rc::clone(&definition), args, caller: view, number, shift, returns: None };
        Some(called_block(self.block(&definition.body, Some(&frame)), called_at))
    }

    /// A number and offsets for a call; `None` where there can be none, which is reported.
    pub(super) fn enter(&mut self, definition: &Rc<Macro>, span: Span, view: View<'_>) -> Option<(u32, u32)> {
        let called_at = at(span, view);
        if callers(view).any(|frame| Rc::ptr_eq(&frame.definition, definition)) {
            let outer = callers(view).take_while(|frame| !Rc::ptr_eq(&frame.definition, definition));
            let mut names: Vec<&str> = outer.map(|frame| frame.definition.name.name.as_str()).collect();
            names.push(&definition.name.name);
            names.reverse();
            names.push(&definition.name.name);
            self.error(ExpandError::Recursive {
                name: definition.name.name.clone(),
                at: at(span, None),
                chain: names.join(" → "),
                definition: definition.name.span,
            });
            return None;
        }
        if self.full {
            return None;
        }
        let Some(shift) = self.sources.add_call(definition.span, called_at) else {
            self.full = true;
            self.error(ExpandError::TooMuch { at: called_at });
            return None;
        };
        self.calls += 1;
        Some((self.calls, shift))
    }
}

/// The body of a call as an expression: its value alone, where it has nothing else.
pub(super) fn called_block(body: Block, called_at: Span) -> Expr {
    match body {
        Block { stmts, value: Some(value), .. } if stmts.is_empty() => *value,
        body => Expr { span: called_at, kind: ExprKind::Block(Box::new(body)) },
    }
}

/// The calls around a place, the innermost first.
fn callers<'f>(view: View<'f>) -> impl Iterator<Item = &'f Frame<'f>> {
    std::iter::successors(view, |frame| frame.caller)
}

/// A span as it is in a view. What `#define` has put into a macro's body lies elsewhere, and stays there.
pub(super) fn at(span: Span, view: View<'_>) -> Span {
    let Some(frame) = view else { return span };
    let body = frame.definition.span;
    if span.start < body.start || span.end > body.end {
        return span;
    }
    Span::new(span.start + frame.shift, span.end + frame.shift)
}

fn ident(name: &Ident, view: View<'_>) -> Ident {
    Ident { name: name.name.clone(), span: at(name.span, view) }
}

/// Stands where something could not be expanded, which was reported.
pub(super) fn nothing(span: Span) -> Expr {
    Expr { kind: ExprKind::Int { value: 0, suffix: IntSuffix::None }, span }
}

/// What a parameter of the macro stands for.
fn argument<'f>(name: &str, kind: MacroParamKind, view: View<'f>) -> Option<Argument<'f>> {
    let frame = view?;
    let index =
        frame.definition.params.iter().position(|param| param.kind == kind && param.name.name == name)?;
    frame.args.get(index).copied()
}

/// An argument behind all parameters that hand it on.
fn resolved<'f>(expr: &'f Expr, view: View<'f>) -> Argument<'f> {
    let arg = match &expr.kind {
        ExprKind::Ident(name) => argument(name, MacroParamKind::Expr, view),
        ExprKind::Variable(name) => argument(name, MacroParamKind::Variable, view),
        ExprKind::Map { name, key: None } => argument(name, MacroParamKind::Map, view),
        _ => None,
    };
    arg.unwrap_or(Argument { expr, view })
}

/// The name that a variable has behind all macros. `'` is in no name of a script.
fn variable(name: &str, view: View<'_>) -> String {
    let Some(frame) = view else { return name.to_owned() };
    match argument(name, MacroParamKind::Variable, view) {
        Some(Argument { expr: Expr { kind: ExprKind::Variable(name), .. }, view }) => variable(name, view),
        Some(_) | None => format!("{name}'{}", frame.number),
    }
}

/// The names of `a.b.c`, or false if it is something else.
fn members(expr: &Expr, view: View<'_>, path: &mut Vec<Ident>) -> bool {
    match &expr.kind {
        ExprKind::Ident(name) => {
            path.push(Ident { name: name.clone(), span: at(expr.span, view) });
            true
        }
        ExprKind::Field { object, name, .. } => {
            let is_path = members(object, view, path);
            path.push(ident(name, view));
            is_path
        }
        _ => false,
    }
}

/// Whether the type, or what it points at, is a parameter.
fn is_parameter(ty: &TypeExpr, view: View<'_>) -> bool {
    match &ty.kind {
        TypeExprKind::Pointer(to) => is_parameter(to, view),
        TypeExprKind::Named(name) => argument(name, MacroParamKind::Expr, view).is_some(),
        TypeExprKind::Tagged { .. }
        | TypeExprKind::Array { .. }
        | TypeExprKind::Typeof(_)
        | TypeExprKind::Inline(_)
        | TypeExprKind::Function => false,
    }
}
