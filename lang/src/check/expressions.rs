//! Expressions, apart from what has a file of its own.

use rtscript_syntax::ast::{self, ExprKind as Ast, IntSuffix};
use rtscript_syntax::literal::number_in;
use rtscript_syntax::source::Span;

use super::comptime::element_of;
use super::error::{self, CFact, DidYouMean, Fact, TypeFact};
use super::nearest::nearest;
use super::numbers::{constant, literal, signed_literal};
use super::shape::Shape;
use super::{CheckError, Checker};
use crate::builtins::{self, BUILTINS};
use crate::constants;
use crate::defines;
use crate::names;
use crate::provider::Place;
use crate::typed::{Expr, ExprKind, StepPlace};
use crate::types::{Label, Type};

/// As deep as anybody nests, and shallow enough for the stack.
pub(super) const MAX_DEPTH: u32 = 200;

impl Checker<'_> {
    /// An expression with its type; `None` where it has none (yet), which is reported.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Option<Expr> {
        if self.walk.depth >= MAX_DEPTH {
            self.error(Fact::TooDeep { at: expr.span, limit: MAX_DEPTH });
            return None;
        }
        self.walk.depth += 1;
        let found = self.expr_inside(expr);
        self.walk.depth -= 1;
        found
    }

    fn expr_inside(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let span = expr.span;
        match &expr.kind {
            Ast::Int { value, suffix } => self.int(*value, *suffix, span),
            Ast::String(bytes) => Some(text(bytes.clone(), span)),
            Ast::Bool(value) => Some(constant(u64::from(*value), Type::Bool, span)),
            Ast::Ident(name) => self.name(name, span),
            Ast::Variable(name) => self.variable(name, span),
            Ast::Map { name, key } => self.map_read(name, key.as_deref(), span),
            Ast::Positional(index) => Some(match self.positional(*index as usize) {
                None => literal(0, span),
                Some(value) => match number_of(value) {
                    Some(Number::Positive(value)) => literal(value, span),
                    Some(Number::Negative(value)) => signed_literal(value, span),
                    None => text(value.as_bytes().to_vec(), span),
                },
            }),
            Ast::PositionalCount => Some(literal(self.options.positional.len() as u64, span)),
            Ast::Unary { op: ast::UnaryOp::AddressOf, operand } => self.address_of(operand, span),
            Ast::Unary { op, operand } => {
                let operand = self.expr(operand)?;
                self.unary(*op, operand, span)
            }
            Ast::Step { op, order, target } => self.step(*op, *order, target, span),
            Ast::Binary { op, left, right } => {
                let (left, right) = (self.expr(left), self.expr(right));
                self.binary(*op, left?, right?, span)
            }
            Ast::Ternary { condition, then, otherwise } => {
                let (condition, then, otherwise) =
                    (self.expr(condition), self.expr(then), self.expr(otherwise));
                self.select(condition?, then?, otherwise?, span)
            }
            Ast::Elvis { condition, otherwise } => {
                let (condition, otherwise) = (self.expr(condition), self.expr(otherwise));
                let condition = condition?;
                let otherwise = otherwise?;
                if !is_repeatable(&condition) {
                    return self.held(condition, |checker, held| {
                        checker.select(held.clone(), held, otherwise, span)
                    });
                }
                self.select(condition.clone(), condition, otherwise, span)
            }
            Ast::Cast { ty, operand } => self.cast(ty, operand, span),
            Ast::Call { name, args } => self.call(name, args, span),
            Ast::Field { object, name, .. } => self.field(object, name, span),
            Ast::TupleIndex { object, index } => {
                let object = self.expr(object)?;
                self.tuple_field(object, *index, span)
            }
            Ast::Index { object, index } => {
                let (object, index) = (self.expr(object), self.expr(index));
                self.index(object?, index?, span)
            }
            Ast::Tuple(parts) => {
                let parts: Vec<Option<Expr>> = parts.iter().map(|part| self.expr(part)).collect();
                let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
                self.tuple(parts, span)
            }
            Ast::Sizeof(of) => {
                let ty = self.type_of(of)?;
                Some(constant(u64::from(self.structs.size_in_memory(&ty)), Type::U64, span))
            }
            Ast::Offsetof { of, path } => self.offsetof(of, path, span),
            Ast::Record(fields) => self.record(fields, span),
            Ast::Block(block) => self.block_value(block),
            Ast::If(inner) => self.if_value(inner),
            Ast::Comptime(operand) => self.comptime(operand, span),
            Ast::Typeinfo(of) => self.typeinfo(of, span),
            Ast::Type(_) => self.later("a type as a value", span),
        }
    }

    fn later(&mut self, what: &str, at: Span) -> Option<Expr> {
        self.not_yet(what, at);
        None
    }

    fn int(&mut self, value: u64, suffix: IntSuffix, span: Span) -> Option<Expr> {
        let (most, ty) = match suffix {
            IntSuffix::U => (u64::from(u32::MAX), "unsigned int"),
            IntSuffix::L | IntSuffix::Ll => (i64::MAX as u64, "long"),
            IntSuffix::None | IntSuffix::Ul | IntSuffix::Ull | IntSuffix::Duration => {
                (u64::MAX, "unsigned long")
            }
        };
        if value > most {
            self.error(TypeFact::OutOfRange { value: i128::from(value), ty: ty.to_string(), at: span });
            return None;
        }
        Some(literal(value, span))
    }

    /// A bare name: a builtin, an argument, or a constant of the script, of headers, or of the kernel.
    fn name(&mut self, name: &str, span: Span) -> Option<Expr> {
        if let Some(row) = builtins::find(name) {
            return self.builtin(row, &[], span);
        }
        if let Some(index) = builtins::word_index(name) {
            return self.word(index, span);
        }
        if let Some((id, value)) = self.defined_enumerator(name) {
            return Some(constant(value as u64, Type::Enum(id), span));
        }
        if let Some(value) = constants::find(name) {
            return Some(signed_literal(value, span));
        }
        if let ("HZ" | "CONFIG_HZ", Some(ticks)) = (name, self.kernel.ticks_per_second()) {
            return Some(literal(u64::from(ticks), span));
        }
        // A kernel without BTF has no enumerators, and the name is unknown.
        if let Ok(Some((id, value))) = self.structs.enumerator(name, self.kernel) {
            return Some(constant(value as u64, Type::Enum(id), span));
        }
        let call = name.strip_prefix("__NR_").or_else(|| name.strip_prefix("SYS_"));
        if let Some(number) = call.and_then(|call| names::number_of(&Label::Syscall, call)) {
            return Some(signed_literal(number, span));
        }
        if let Some(value) = constants::find_enumerator(name) {
            return Some(signed_literal(value, span));
        }
        if self.unreplaced(name, None, span) {
            return None;
        }
        let script = self.script;
        let mut known: Vec<&str> = BUILTINS.iter().map(|row| row.name).chain(constants::names()).collect();
        known.extend(script.definitions.iter().filter_map(|definition| match &definition.kind {
            ast::CDefKind::Define(define) => Some(define.name.name.as_str()),
            ast::CDefKind::Include { .. } | ast::CDefKind::Type(_) | ast::CDefKind::Typedef { .. } => None,
        }));
        let help = builtins::ours(name).map(|ours| DidYouMean(vec![ours.to_string()]));
        let help = help.or_else(|| nearest(name, known));
        self.error(Fact::UnknownName { name: name.to_string(), at: span, help });
        None
    }

    /// Reports a macro that could not be replaced by its body; whether there is one of that name.
    pub(super) fn unreplaced(&mut self, name: &str, args: Option<usize>, at: Span) -> bool {
        let Some((define, defined)) = defines::find(self.script, name) else { return false };
        let name = name.to_string();
        let wanted = define.params.as_ref().map(Vec::len);
        self.error(if wanted != args {
            let expected = error::macro_arguments(wanted);
            CFact::Arguments { name, expected, at, defined }
        } else if define.value.is_none() {
            CFact::NoExpression { name, at, defined }
        } else if defines::leads_back(self.script, &name) {
            CFact::Cycle { name, at, defined }
        } else {
            // The names that are left are many, and all for the same reason.
            let is_size = |error: &CheckError| matches!(error.fact, Fact::C(CFact::MacroSize { .. }));
            if self.errors.iter().any(is_size) {
                return true;
            }
            CFact::MacroSize { name, at, defined }
        });
        true
    }

    fn word(&mut self, index: u32, span: Span) -> Option<Expr> {
        let instance = &self.instances[self.walk.instance?];
        let count = instance.context.words.len();
        if (index as usize) < count {
            if instance.context.words[index as usize] == Place::Unreadable {
                let probe = instance.targets[0].name.clone();
                self.error(Fact::UnreadableArgument { probe, index, at: span });
                return None;
            }
            return Some(Expr { kind: ExprKind::Word(index), ty: Type::I64, span });
        }
        let probe = instance.targets[0].name.clone();
        let help = if count == 0 { error::instead_of_words(instance.context.program, &probe) } else { None };
        self.error(Fact::NoWord { probe, index, count, at: span, help });
        None
    }

    fn variable(&mut self, name: &str, span: Span) -> Option<Expr> {
        let Some(local) = self.local(name) else {
            // Its other uses in this body would only say the same.
            if !self.walk.unknown.insert(name.to_string()) {
                return None;
            }
            let instance = &self.instances[self.walk.instance?];
            let elsewhere = instance.locals.iter().find(|local| local.name == name).map(|local| local.span);
            // Those of macros and functions have a number behind their name.
            let written = |name: &'_ str| name.split('\'').next().unwrap_or(name).to_string();
            let name = written(name);
            let visible = self.walk.scopes.iter().flatten();
            let mut visible: Vec<String> = visible.map(|(name, _)| written(name)).collect();
            // One of the same name belongs to another body.
            visible.retain(|known| *known != name);
            let nearest = nearest(&name, visible.iter().map(String::as_str));
            let later = elsewhere.is_some_and(|elsewhere| elsewhere.start > span.start);
            let help = match elsewhere {
                Some(_) if later => None,
                Some(_) => Some(format!("what outlives a block is declared in front of it: `let ${name};`")),
                None => nearest.map(|names| names.to_string()),
            };
            self.error(Fact::UnknownVariable { name, at: span, elsewhere, later, help });
            return None;
        };
        let entity = self.local_entity(local)?;
        let ty = match self.entities.ty(entity) {
            Some(ty) => ty,
            // `let $x;` that nothing is assigned to is 0.
            None if !self.quiet && self.entities.get(entity).assigned.is_none() => Type::I64,
            None => return None,
        };
        Some(Expr { kind: ExprKind::Local(local), ty, span })
    }

    fn step(
        &mut self,
        op: ast::StepOp,
        order: ast::StepOrder,
        target: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let shape = match op {
            ast::StepOp::Increment => Shape::counter(),
            ast::StepOp::Decrement => Shape::difference(),
        };
        let (place, entity) = match &target.kind {
            Ast::Variable(name) => {
                let Some(local) = self.local(name) else {
                    self.variable(name, target.span)?;
                    return None;
                };
                (StepPlace::Local(local), self.local_entity(local)?)
            }
            Ast::Map { name, key } => {
                let element = self.element(name, key.as_deref(), target.span);
                let map = self.map(name, target.span);
                let entity = self.entities.maps[map].value;
                // The value is counted, whatever becomes of the key.
                self.count(entity, &shape, target.span);
                (StepPlace::Map(element?), entity)
            }
            _ => {
                self.error(Fact::NotAssignable { at: target.span, help: None });
                return None;
            }
        };
        self.count(entity, &shape, target.span);
        let ty = self.entities.ty(entity)?;
        let sign = match op {
            ast::StepOp::Increment => 1,
            ast::StepOp::Decrement => -1,
        };
        let by = match &ty {
            Type::Int(_) => sign,
            Type::Pointer(..) => {
                let pointer = Expr { kind: ExprKind::Int(0), ty: ty.clone(), span: target.span };
                sign * i64::from(self.pointee_size(&pointer)?)
            }
            _ => {
                let ty = self.type_name(&ty);
                self.error(TypeFact::Operand { op: op.symbol(), ty, at: target.span });
                return None;
            }
        };
        let post = order == ast::StepOrder::Postfix;
        Some(Expr { kind: ExprKind::Step { place, by, post }, ty, span })
    }

    /// The entity is counted up or down: a number gets all 64 bits.
    pub(super) fn count(&mut self, entity: super::solve::EntityId, shape: &Shape, at: Span) {
        match &self.entities.get(entity).shape {
            None | Some(Shape::Int(_) | Shape::Exactly(Type::Enum(_))) => {
                self.flow(entity, Some(shape.clone()), at);
            }
            Some(
                Shape::Bool
                | Shape::String(_)
                | Shape::Buffer(_)
                | Shape::Tuple(_)
                | Shape::Record(_)
                | Shape::Aggregate(_)
                | Shape::Exactly(_),
            ) => {}
        }
    }

    pub(super) fn tuple(&mut self, parts: Vec<Expr>, span: Span) -> Option<Expr> {
        let ty = Type::Tuple(parts.iter().map(|part| part.ty.clone()).collect());
        Some(Expr { kind: ExprKind::Tuple(parts), ty, span })
    }

    fn record(&mut self, fields: &[ast::RecordField], span: Span) -> Option<Expr> {
        for (index, field) in fields.iter().enumerate() {
            if let Some(first) = fields[..index].iter().find(|other| other.name.name == field.name.name) {
                let name = field.name.name.clone();
                self.error(Fact::FieldTwice { name, at: field.name.span, first: first.name.span });
            }
        }
        let parts: Vec<Option<Expr>> = fields.iter().map(|field| self.expr(&field.value)).collect();
        let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
        let names = fields.iter().map(|field| field.name.name.clone());
        let ty = Type::Record(names.zip(parts.iter().map(|part| part.ty.clone())).collect());
        Some(Expr { kind: ExprKind::Tuple(parts), ty, span })
    }

    pub(super) fn tuple_field(&mut self, object: Expr, index: u32, span: Span) -> Option<Expr> {
        let Type::Tuple(types) = &object.ty else {
            let ty = self.type_name(&object.ty);
            self.error(TypeFact::NoElements { ty, at: object.span });
            return None;
        };
        let Some(ty) = types.get(index as usize).cloned() else {
            self.error(TypeFact::TupleIndex { index, count: types.len(), at: span });
            return None;
        };
        Some(element_of(object, index, ty, span))
    }
}

/// A string literal; its type has room for the NUL.
pub(super) fn text(bytes: Vec<u8>, span: Span) -> Expr {
    let ty = Type::String(bytes.len() as u32 + 1);
    Expr { kind: ExprKind::String(bytes), ty, span }
}

pub(super) enum Number {
    Positive(u64),
    Negative(i64),
}

/// The number that a positional parameter is, if it is one: as in a script, or `0b` and binary, each with a sign.
pub(super) fn number_of(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.strip_prefix("0b").or_else(|| digits.strip_prefix("0B")) {
        Some(bits) if bits.bytes().all(|bit| matches!(bit, b'0' | b'1')) => {
            u64::from_str_radix(bits, 2).ok()?
        }
        Some(_) => return None,
        None => number_in(digits)?,
    };
    if negative {
        Some(Number::Negative(i64::try_from(-i128::from(value)).ok()?))
    } else {
        Some(Number::Positive(value))
    }
}

/// Whether evaluating it twice is the same as once. A call may yield something else the second time (`rand`).
fn is_repeatable(expr: &Expr) -> bool {
    let is_call = matches!(expr.kind, ExprKind::Call(..));
    !is_call && !expr.has_effect() && expr.children().into_iter().all(is_repeatable)
}
