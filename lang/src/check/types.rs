//! Types as they are written: in casts, annotations, `sizeof`, and C definitions.

use rtscript_syntax::ast::{self, Tag, TypeExprKind, TypeOrExpr};
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{CFact, Fact, TypeFact};
use super::fields::seen_in;
use super::nearest::nearest;
use super::numbers::{cast, value_of};
use super::operators::is_literal;
use crate::btf::Kind;
use crate::builtins;
use crate::typed::{Expr, ExprKind};
use crate::types::{Int, Space, Type};

/// The names of the language's own types.
const NAMES: &[(&str, Type)] = &[
    ("void", Type::Void),
    ("bool", Type::Bool),
    ("int8", Type::Int(Int::I8)),
    ("int16", Type::Int(Int::I16)),
    ("int32", Type::Int(Int::I32)),
    ("int64", Type::Int(Int::I64)),
    ("uint8", Type::Int(Int::U8)),
    ("uint16", Type::Int(Int::U16)),
    ("uint32", Type::Int(Int::U32)),
    ("uint64", Type::Int(Int::U64)),
    ("inet", Type::Inet),
    ("ksym_t", Type::KernelSymbol),
    ("usym_t", Type::UserSymbol),
    ("macaddr_t", Type::Mac),
    ("username_t", Type::Username),
    // C's names where no kernel is asked.
    ("char", Type::Int(Int::I8)),
    ("short", Type::Int(Int::I16)),
    ("int", Type::Int(Int::I32)),
    ("long", Type::Int(Int::I64)),
];

/// These take their size in brackets, `string[64]`.
const STRING: &str = "string";
const BUFFER: &str = "buffer";

/// The largest value of one type, in bytes.
const MAX_SIZE: i128 = 1 << 20;

impl Checker<'_> {
    /// A type as it is written; pointers in it point into `space`.
    pub(super) fn written_type(&mut self, ty: &ast::TypeExpr, space: Space) -> Option<Type> {
        match &ty.kind {
            TypeExprKind::Named(name) => self.named_type(name, ty.span, space),
            TypeExprKind::Tagged { tag, name } => self.tagged_type(*tag, name),
            TypeExprKind::Pointer(to) => Some(Type::pointer(self.written_type(to, space)?, space)),
            TypeExprKind::Array { element, len } => {
                let Some(len) = len else {
                    self.not_yet("an array without a length", ty.span);
                    return None;
                };
                let value = self.expr(len)?;
                let count = self.constant_in(
                    &value,
                    "the length of an array",
                    "a number from 1 to 1048576",
                    1..=MAX_SIZE,
                )? as u32;
                match &element.kind {
                    TypeExprKind::Named(name) if name == STRING => Some(Type::String(count)),
                    TypeExprKind::Named(name) if name == BUFFER => Some(Type::Buffer(count)),
                    _ => {
                        let element = self.written_type(element, space)?;
                        let size = i128::from(self.structs.size_in_memory(&element)) * i128::from(count);
                        if size > MAX_SIZE {
                            self.not_yet("an array of more than a mebibyte", ty.span);
                            return None;
                        }
                        Some(Type::Array(Box::new(element), count))
                    }
                }
            }
            TypeExprKind::Typeof(of) => self.type_of(of),
            TypeExprKind::Inline(of) => {
                self.not_yet("a type that is defined where it is used", of.span);
                None
            }
            TypeExprKind::Function => Some(Type::Void),
        }
    }

    /// The type of the operand of `sizeof` and its kin. A bare name may be a type too.
    pub(super) fn type_of(&mut self, of: &TypeOrExpr) -> Option<Type> {
        match of {
            TypeOrExpr::Type(ty) => self.written_type(ty, Space::Kernel),
            TypeOrExpr::Expr(ast::Expr { kind: ast::ExprKind::Ident(name), span })
                if builtins::find(name).is_none() && builtins::word_index(name).is_none() =>
            {
                let defined = self.defined_name(name).flatten();
                let found = defined.map_or_else(|| self.structs.named(name, self.kernel), |ty| Ok(Some(ty)));
                let tagged = |checker: &mut Self| {
                    [Tag::Struct, Tag::Union, Tag::Enum].into_iter().find_map(|tag| checker.bare(tag, name))
                };
                match found {
                    Ok(Some(ty)) => Some(ty),
                    Ok(None) | Err(_) => {
                        if let Some(ty) = tagged(self) {
                            return Some(ty);
                        }
                        let name = ast::Expr { kind: ast::ExprKind::Ident(name.clone()), span: *span };
                        Some(self.expr(&name)?.ty)
                    }
                }
            }
            TypeOrExpr::Expr(expr) => Some(self.expr(expr)?.ty),
        }
    }

    /// The structure, union or enumeration that a name without its tag stands for.
    fn bare(&mut self, tag: Tag, name: &str) -> Option<Type> {
        self.defined_type(tag, name).flatten().or_else(|| self.structs.tagged(tag, name, self.kernel).ok()?)
    }

    fn named_type(&mut self, name: &str, at: Span, space: Space) -> Option<Type> {
        if let Some((_, ty)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(ty.clone());
        }
        if name == STRING {
            return Some(Type::String(self.config.text_capacity()));
        }
        if name == BUFFER {
            return Some(Type::Buffer(self.config.max_strlen));
        }
        if let Some(found) = self.defined_name(name) {
            let user = space == Space::User;
            return found.map(|ty| if user { seen_in(Space::User, ty) } else { ty });
        }
        let found = self.structs.named(name, self.kernel);
        if let Some(ty) = self.fact(found, at)? {
            return Some(ty);
        }
        // As in C++, a structure's name stands for it where it is no other type's.
        for tag in [Tag::Struct, Tag::Union, Tag::Enum] {
            if let Some(ty) = self.defined_type(tag, name).flatten() {
                return Some(ty);
            }
            let found = self.structs.tagged(tag, name, self.kernel);
            if let Some(ty) = self.fact(found, at)? {
                return Some(ty);
            }
        }
        let help = nearest(name, NAMES.iter().map(|(name, _)| *name).chain([STRING, BUFFER]));
        self.error(Fact::UnknownType { name: name.to_string(), at, help });
        None
    }

    pub(super) fn tagged_type(&mut self, tag: Tag, name: &ast::Ident) -> Option<Type> {
        if let Some(found) = self.defined_type(tag, &name.name) {
            return found;
        }
        let found = self.structs.tagged(tag, &name.name, self.kernel);
        if let Some(ty) = self.fact(found, name.span)? {
            return Some(ty);
        }
        if self.quiet {
            self.failed = true;
            return None;
        }
        let kind = match tag {
            Tag::Struct => Kind::Struct,
            Tag::Union => Kind::Union,
            Tag::Enum => Kind::Enum,
        };
        let help = self
            .kernel
            .btf()
            .ok()
            .and_then(|btf| nearest(&name.name, btf.of_kind(kind).map(|(_, name)| name)));
        let name_with_tag = format!("{} {}", tag.keyword(), name.name);
        self.error(Fact::UnknownType { name: name_with_tag, at: name.span, help });
        None
    }

    /// `(uint8[8])number`, `(int8[])"text"`: the same bytes as an array. What is written without a length has as many
    /// elements as there are bytes for.
    fn cast_to_array(
        &mut self,
        element: &ast::TypeExpr,
        len: Option<&ast::Expr>,
        operand: Expr,
        space: Space,
        span: Span,
    ) -> Option<Expr> {
        let element = self.written_type(element, space)?;
        let size = self.structs.size_in_memory(&element).max(1);
        let count = match len {
            Some(len) => {
                let value = self.expr(len)?;
                let expected = "a number from 1 to 1048576";
                Some(self.constant_in(&value, "the length of an array", expected, 1..=MAX_SIZE)? as u32)
            }
            None => None,
        };
        let operand = self.as_text(operand);
        let is_number = self.is_number(&operand.ty);
        let fits = matches!(element, Type::Int(_) | Type::Bool)
            && (is_number || matches!(operand.ty, Type::Array(..) | Type::String(_)));
        if !fits {
            let array = Type::Array(Box::new(element), count.unwrap_or(0));
            let (from, to) = (self.type_name(&operand.ty), self.type_name(&array));
            self.error(TypeFact::BadCast { from, to, at: operand.span, help: None });
            return None;
        }
        let operand = if is_number {
            // A literal has the width that is asked for, and its own where none is; other numbers are extended to it.
            let wanted = count.map_or(0, |count| count.saturating_mul(size));
            let number = self.number(operand, "a cast")?;
            let has = self.structs.size_in_memory(&number.ty);
            let width = wanted.next_power_of_two() as u8;
            match (value_of(&number), wanted) {
                (Some(value), 1..=8) if is_literal(&number) || wanted > has => {
                    let int = Int { size: width, signed: value < 0 };
                    if !fits_in_bytes(value, wanted) {
                        let array = Type::Array(Box::new(element), count.unwrap_or(0));
                        let ty = self.type_name(&array);
                        self.error(TypeFact::OutOfRange { value, ty, at: number.span });
                        return None;
                    }
                    cast(number, &Type::Int(int))
                }
                (None, 1..=8) if wanted > has => {
                    let signed = matches!(number.ty, Type::Int(Int { signed: true, .. }));
                    cast(number, &Type::Int(Int { size: width, signed }))
                }
                (Some(_) | None, _) => number,
            }
        } else {
            operand
        };
        let has = self.structs.size_in_memory(&operand.ty);
        let count = count.unwrap_or(has / size);
        let array = Type::Array(Box::new(element), count);
        let wants = count.saturating_mul(size);
        // An array of three bytes holds the lowest ones of a number of four.
        let holds = is_number && wants <= 8 && has == wants.next_power_of_two();
        if has != wants && !holds {
            return self.bad_cast_size(&operand, &array, has, wants);
        }
        Some(Expr { kind: ExprKind::Cast(Box::new(operand)), ty: array, span })
    }

    fn bad_cast_size(&mut self, operand: &Expr, to: &Type, has: u32, wants: u32) -> Option<Expr> {
        let (from, to) = (self.type_name(&operand.ty), self.type_name(to));
        self.error(CFact::CastSize { from, to, has, wants, at: operand.span });
        None
    }

    /// `(type)operand`
    pub(super) fn cast(&mut self, ty: &ast::TypeExpr, operand: &ast::Expr, span: Span) -> Option<Expr> {
        let operand = self.expr(operand);
        // A pointer keeps pointing where it did; a number points where the pointer did that it was made from, or where the
        // probe's numbers do.
        let origin = operand.as_ref().and_then(space_of_address);
        let space = origin.unwrap_or(self.instances[self.walk.instance?].context.space);
        if let TypeExprKind::Array { element, len } = &ty.kind
            && !matches!(&element.kind, TypeExprKind::Named(name) if name == STRING || name == BUFFER)
        {
            return self.cast_to_array(element, len.as_deref(), operand?, space, span);
        }
        let to = self.written_type(ty, space);
        let (operand, to) = (operand?, to?);
        let is_address = matches!(operand.ty, Type::Pointer(..)) || self.is_number(&operand.ty);
        let done = match &to {
            Type::Int(_) if is_address || operand.ty == Type::Probe => Some(cast(operand.clone(), &to)),
            Type::Bool if matches!(operand.kind, ExprKind::String(_)) => self.truth(operand.clone()),
            Type::Bool | Type::Enum(_) | Type::Pointer(..) | Type::KernelSymbol | Type::Username
                if is_address =>
            {
                Some(cast(operand.clone(), &to))
            }
            Type::String(_) | Type::Buffer(_) => self.convert(operand.clone(), &to).ok(),
            Type::Int(int) if matches!(operand.ty, Type::Array(..)) => {
                let (has, wants) = (self.structs.size_in_memory(&operand.ty), u32::from(int.size));
                if has != wants {
                    return self.bad_cast_size(&operand, &to, has, wants);
                }
                Some(cast(operand.clone(), &to))
            }
            _ if to == operand.ty => Some(operand.clone()),
            _ => None,
        };
        if let Some(done) = done {
            return Some(Expr { span, ..done });
        }
        // As in C, an array is the address of its first element where a pointer is wanted.
        let operand =
            if matches!(operand.ty, Type::String(_) | Type::Array(..)) && matches!(to, Type::Pointer(..)) {
                match self.address_in_memory(operand, span) {
                    Ok(Expr { ty: Type::Pointer(_, space), kind, span }) => {
                        let ty = match space {
                            Space::User | Space::Either => seen_in(space, to),
                            Space::Kernel | Space::Context => to,
                        };
                        return Some(Expr { kind, ty, span });
                    }
                    Ok(operand) | Err(operand) => operand,
                }
            } else {
                operand
            };
        let help = match to {
            Type::Struct(_) => {
                Some("a value cannot become a structure; cast it to a pointer: `(struct name *)`")
            }
            _ => None,
        };
        let (from, to) = (self.type_name(&operand.ty), self.type_name(&to));
        self.error(TypeFact::BadCast { from, to, at: operand.span, help });
        None
    }
}

/// Whether a constant is one of so many bytes, with a sign where it is negative.
fn fits_in_bytes(value: i128, bytes: u32) -> bool {
    let bits = 8 * bytes;
    if value < 0 { value >= -(1 << (bits - 1)) } else { value < 1 << bits }
}

/// Where an address points: what a pointer says, and a number that was computed from one.
fn space_of_address(address: &Expr) -> Option<Space> {
    if let Type::Pointer(_, space) = address.ty {
        return Some(space);
    }
    match &address.kind {
        ExprKind::Cast(inner) => space_of_address(inner),
        ExprKind::Binary(_, left, right) => space_of_address(left).or_else(|| space_of_address(right)),
        _ => None,
    }
}
