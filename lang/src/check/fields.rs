//! Members, elements, and what pointers point at.
//!
//! `.` and `->` are the same, and both look through a pointer. A place in user memory hands out pointers into
//! user memory.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::comptime::element_of;
use super::error::{self, Fact, PlaceFact, TypeFact};
use super::nearest::nearest;
use super::numbers::{cast, constant, value_of};
use crate::builtins::{self, Means, Value};
use crate::typed::{BinaryOp, BitField, Expr, ExprKind, FieldPath};
use crate::types::{Int, Space, StructId, Type};

/// A member that was found, perhaps inside anonymous ones.
struct Member {
    steps: Vec<(StructId, u32)>,
    ty: Type,
    /// From the start of the structure that was searched.
    offset_bits: u32,
    bits: Option<u8>,
}

/// Anonymous members nest no deeper.
const MAX_NESTING: u32 = 16;

impl Checker<'_> {
    pub(super) fn field(&mut self, object: &ast::Expr, name: &ast::Ident, span: Span) -> Option<Expr> {
        if let ast::ExprKind::Ident(of) = &object.kind
            && builtins::find(of).is_some_and(|row| row.means == Means::Value(Value::Args))
        {
            return self.argument(name, object.span, span);
        }
        let object = self.expr(object)?;
        self.member(object, name, span)
    }

    /// `args.name`
    fn argument(&mut self, name: &ast::Ident, at: Span, span: Span) -> Option<Expr> {
        let instance = &self.instances[self.walk.instance?];
        let args = &instance.context.args;
        if let Some(index) = args.iter().position(|arg| arg.name == name.name) {
            return Some(Expr { kind: ExprKind::Arg(index as u32), ty: args[index].ty.clone(), span });
        }
        let probe = instance.targets[0].name.clone();
        if args.is_empty() {
            self.error(Fact::NoArguments { probe, at });
        } else {
            let names = args.iter().map(|arg| arg.name.as_str());
            let nearest = nearest(&name.name, names.clone()).map(|names| names.to_string());
            let help = Some(nearest.unwrap_or_else(|| error::argument_names(names)));
            self.error(Fact::UnknownArgument { probe, name: name.name.clone(), at: name.span, help });
        }
        None
    }

    pub(super) fn member(&mut self, object: Expr, name: &ast::Ident, span: Span) -> Option<Expr> {
        let at = object.span;
        let leads_there = matches!(&object.ty, Type::Pointer(to, _) if matches!(**to, Type::Struct(_)));
        let place = if leads_there { self.deref(object, at)? } else { object };
        let id = match &place.ty {
            Type::Struct(id) => *id,
            Type::Record(fields) => {
                if let Some(index) = fields.iter().position(|(known, _)| *known == name.name) {
                    let ty = fields[index].1.clone();
                    return Some(element_of(place, index as u32, ty, span));
                }
                let help = nearest(&name.name, fields.iter().map(|(known, _)| known.as_str()));
                let ty = self.type_name(&place.ty);
                self.error(Fact::UnknownField { ty, name: name.name.clone(), at: name.span, help });
                return None;
            }
            _ => {
                let help = match &place.ty {
                    Type::Int(_) => Some("cast it to a pointer first: `((struct name *)value)->field`"),
                    Type::Pointer(..) => Some("cast it to a pointer to a structure first"),
                    _ => None,
                };
                let ty = self.type_name(&place.ty);
                self.error(TypeFact::NoFields { ty, at: place.span, help });
                return None;
            }
        };
        let Some(member) = self.find_member(id, &name.name, span, 0)? else {
            let mut names = Vec::new();
            self.member_names(id, &mut names, span, 0);
            let ty = self.type_name(&place.ty);
            if names.is_empty() {
                let help = Some("the kernel's BTF has no definition of it");
                self.error(TypeFact::Opaque { ty, at: place.span, help });
            } else {
                let help = nearest(&name.name, names.iter().map(String::as_str));
                self.error(Fact::UnknownField { ty, name: name.name.clone(), at: name.span, help });
            }
            return None;
        };
        let mut ty = member.ty.clone();
        if let Some(space @ (Space::User | Space::Either)) = space_of(&place) {
            ty = seen_in(space, ty);
        }
        let path = self.path_of(member, name.span)?;
        // A member of a member is one way from the outer structure.
        let kind = match place.kind {
            ExprKind::Field(outer, mut way) if way.bits.is_none() => {
                way.steps.extend(path.steps);
                way.offset += path.offset;
                way.bits = path.bits;
                ExprKind::Field(outer, way)
            }
            kind => ExprKind::Field(Box::new(Expr { kind, ..place }), path),
        };
        Some(Expr { kind, ty, span })
    }

    fn path_of(&mut self, member: Member, at: Span) -> Option<FieldPath> {
        let Some(width) = member.bits else {
            let offset = member.offset_bits / 8;
            return Some(FieldPath { steps: member.steps, offset, bits: None });
        };
        // The unit of the declared type that the bits begin in, or as large a one as holds all of them.
        let first = self.structs.size_in_memory(&member.ty).clamp(1, 8).next_power_of_two();
        let units = [1, 2, 4, 8].into_iter().filter(|&unit| unit >= first);
        let aligned = units.map(|unit| (unit, member.offset_bits / 8 / unit * unit));
        // A packed one may lie across the units: from the byte that it begins in.
        let places = aligned.chain([(8, member.offset_bits / 8)]);
        for (unit, offset) in places {
            let shift = member.offset_bits - offset * 8;
            if shift + u32::from(width) <= unit * 8 {
                let bits = BitField { unit: unit as u8, shift: shift as u8, width };
                return Some(FieldPath { steps: member.steps, offset, bits: Some(bits) });
            }
        }
        self.not_yet("a bit-field that lies in nine bytes", at);
        None
    }

    /// The member of this name. The outer `None` is an error that was reported.
    fn find_member(&mut self, id: StructId, name: &str, at: Span, depth: u32) -> Option<Option<Member>> {
        let done = self.structs.complete(id, self.kernel);
        self.fact(done, at)?;
        let fields = self.structs.structs[id].fields.as_deref().unwrap_or_default();
        if let Some(index) = fields.iter().position(|field| field.name == name) {
            let field = &fields[index];
            return Some(Some(Member {
                steps: vec![(id, index as u32)],
                ty: field.ty.clone(),
                offset_bits: field.offset_bits,
                bits: field.bits,
            }));
        }
        if depth >= MAX_NESTING {
            return Some(None);
        }
        let anonymous = fields.iter().zip(0..).filter_map(|(field, index)| {
            let Type::Struct(inner) = field.ty else { return None };
            field.name.is_empty().then_some((index, inner, field.offset_bits))
        });
        for (index, inner, offset_bits) in anonymous.collect::<Vec<_>>() {
            if let Some(mut member) = self.find_member(inner, name, at, depth + 1)? {
                member.steps.insert(0, (id, index));
                member.offset_bits += offset_bits;
                return Some(Some(member));
            }
        }
        Some(None)
    }

    fn member_names(&mut self, id: StructId, names: &mut Vec<String>, at: Span, depth: u32) {
        let done = self.structs.complete(id, self.kernel);
        if self.fact(done, at).is_none() {
            return;
        }
        for field in self.structs.structs[id].fields.clone().unwrap_or_default() {
            if let Type::Struct(inner) = field.ty
                && field.name.is_empty()
                && depth < MAX_NESTING
            {
                self.member_names(inner, names, at, depth + 1);
            } else {
                names.push(field.name);
            }
        }
    }

    /// `*pointer`; an address that is a plain number leads to a `uint64`.
    pub(super) fn deref(&mut self, pointer: Expr, span: Span) -> Option<Expr> {
        let pointer = if matches!(pointer.ty, Type::Int(_)) {
            let space = self.instances[self.walk.instance?].context.space;
            cast(pointer, &Type::pointer(Type::U64, space))
        } else {
            pointer
        };
        let Type::Pointer(to, _) = &pointer.ty else {
            let ty = self.type_name(&pointer.ty);
            self.error(TypeFact::NoPointer { ty, at: pointer.span });
            return None;
        };
        let ty = (**to).clone();
        if ty == Type::Void {
            let ty = self.type_name(&pointer.ty);
            let help = Some("cast it to a pointer to what is there");
            self.error(TypeFact::Opaque { ty, at: pointer.span, help });
            return None;
        }
        Some(Expr { kind: ExprKind::Deref(Box::new(pointer)), ty, span })
    }

    pub(super) fn index(&mut self, object: Expr, index: Expr, span: Span) -> Option<Expr> {
        let object = self.as_text(object);
        let element = if let Type::Array(element, count) = &object.ty {
            Some(((**element).clone(), *count))
        } else if let Type::String(capacity) = object.ty {
            Some((Type::Int(Int::I8), capacity))
        } else {
            None
        };
        if let Some((ty, count)) = element {
            let index = self.number(index, "an index")?;
            if let Some(value) = value_of(&index)
                && !(0..i128::from(count)).contains(&value)
                && (count > 0 || value < 0)
            {
                self.error(TypeFact::ArrayIndex { index: value, count, at: index.span });
                return None;
            }
            if value_of(&index).is_none() && Self::in_context(&object) {
                self.error(PlaceFact::Context { at: index.span });
                return None;
            }
            let index = cast(index, &Type::I64);
            return Some(Expr { kind: ExprKind::Index(Box::new(object), Box::new(index)), ty, span });
        }
        match &object.ty {
            Type::Tuple(types) => {
                let most = types.len() as i128 - 1;
                let index =
                    self.constant_in(&index, "the index of a tuple", "an element's number", 0..=most)?;
                self.tuple_field(object, index as u32, span)
            }
            Type::Pointer(..) => {
                let element = self.pointer_offset(object, BinaryOp::Add, index, span)?;
                self.deref(element, span)
            }
            _ => {
                let ty = self.type_name(&object.ty);
                self.error(TypeFact::NoElements { ty, at: object.span });
                None
            }
        }
    }

    pub(super) fn offsetof(&mut self, of: &ast::TypeOrExpr, path: &[ast::Ident], span: Span) -> Option<Expr> {
        let mut ty = self.type_of(of)?;
        if let Type::Pointer(to, _) = ty {
            ty = *to;
        }
        let mut offset = 0;
        for name in path {
            let Type::Struct(id) = ty else {
                let ty = self.type_name(&ty);
                self.error(TypeFact::NoFields { ty, at: name.span, help: None });
                return None;
            };
            let Some(member) = self.find_member(id, &name.name, span, 0)? else {
                let mut names = Vec::new();
                self.member_names(id, &mut names, span, 0);
                let ty = self.type_name(&ty);
                let help = nearest(&name.name, names.iter().map(String::as_str));
                self.error(Fact::UnknownField { ty, name: name.name.clone(), at: name.span, help });
                return None;
            };
            offset += member.offset_bits / 8;
            ty = member.ty;
        }
        Some(constant(u64::from(offset), Type::U64, span))
    }
}

/// Whose memory a place lies in; `None` where it is ours.
pub(super) fn space_of(place: &Expr) -> Option<Space> {
    match &place.kind {
        ExprKind::Field(inner, _) | ExprKind::Index(inner, _) => space_of(inner),
        ExprKind::Deref(pointer) => {
            let Type::Pointer(_, space) = pointer.ty else { return None };
            Some(space)
        }
        _ => None,
    }
}

/// A type as it is read from memory of this space: its pointers point there too.
pub(super) fn seen_in(space: Space, ty: Type) -> Type {
    match ty {
        Type::Pointer(to, _) => Type::Pointer(Box::new(seen_in(space, *to)), space),
        Type::Array(element, count) => Type::Array(Box::new(seen_in(space, *element)), count),
        other => other,
    }
}
