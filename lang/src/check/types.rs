//! Types as they are written: in casts, annotations, `sizeof`, and C definitions.

use rtscript_syntax::ast::{self, Tag, TypeExprKind, TypeOrExpr};
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::Fact;
use super::nearest::nearest;
use super::numbers::cast;
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
                match self.structs.named(name, self.kernel) {
                    Ok(Some(ty)) => Some(ty),
                    Ok(None) | Err(_) => {
                        let name = ast::Expr { kind: ast::ExprKind::Ident(name.clone()), span: *span };
                        Some(self.expr(&name)?.ty)
                    }
                }
            }
            TypeOrExpr::Expr(expr) => Some(self.expr(expr)?.ty),
        }
    }

    fn named_type(&mut self, name: &str, at: Span, space: Space) -> Option<Type> {
        if let Some((_, ty)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(ty.clone());
        }
        if name == STRING {
            return Some(Type::String(self.config.max_strlen));
        }
        if name == BUFFER {
            return Some(Type::Buffer(self.config.max_strlen));
        }
        for definition in &self.script.definitions {
            if let ast::CDefKind::Typedef { name: known, ty } = &definition.kind
                && known.name == name
            {
                return self.written_type(ty, space);
            }
        }
        let found = self.structs.named(name, self.kernel);
        if let Some(ty) = self.fact(found, at)? {
            return Some(ty);
        }
        let help = nearest(name, NAMES.iter().map(|(name, _)| *name).chain([STRING, BUFFER]));
        self.error(Fact::UnknownType { name: name.to_string(), at, help });
        None
    }

    fn tagged_type(&mut self, tag: Tag, name: &ast::Ident) -> Option<Type> {
        let found = self.structs.tagged(tag, &name.name, self.kernel);
        if let Some(ty) = self.fact(found, name.span)? {
            return Some(ty);
        }
        if self.quiet {
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

    /// `(type)operand`
    pub(super) fn cast(&mut self, ty: &ast::TypeExpr, operand: &ast::Expr, span: Span) -> Option<Expr> {
        let operand = self.expr(operand);
        // A pointer keeps pointing where it did; a number points where the probe's numbers do.
        let space = match operand.as_ref().map(|operand| &operand.ty) {
            Some(Type::Pointer(_, space)) => *space,
            Some(_) | None => self.instances[self.walk.instance?].context.space,
        };
        let to = self.written_type(ty, space);
        let (operand, to) = (operand?, to?);
        let is_address = matches!(operand.ty, Type::Pointer(..)) || self.is_number(&operand.ty);
        let done = match &to {
            Type::Int(_) if is_address || operand.ty == Type::Probe => Some(cast(operand.clone(), &to)),
            Type::Bool | Type::Enum(_) | Type::Pointer(..) | Type::KernelSymbol | Type::Username
                if is_address =>
            {
                Some(cast(operand.clone(), &to))
            }
            Type::String(_) | Type::Buffer(_) => self.convert(operand.clone(), &to).ok(),
            Type::Array(..) if self.is_number(&operand.ty) || matches!(operand.ty, Type::String(_)) => {
                self.not_yet("a cast to an array", span);
                return None;
            }
            _ if to == operand.ty => Some(operand.clone()),
            _ => None,
        };
        if let Some(done) = done {
            return Some(Expr { span, ..done });
        }
        if matches!(operand.ty, Type::String(_) | Type::Array(..))
            && !matches!(operand.kind, ExprKind::String(_))
            && matches!(to, Type::Pointer(..) | Type::Int(_))
        {
            self.not_yet("a cast of an array to its address", span);
            return None;
        }
        let help = match to {
            Type::Struct(_) => {
                Some("a value cannot become a structure; cast it to a pointer: `(struct name *)`")
            }
            _ => None,
        };
        let (from, to) = (self.type_name(&operand.ty), self.type_name(&to));
        self.error(Fact::BadCast { from, to, at: operand.span, help });
        None
    }

    /// Takes over the C definitions in front of the script.
    pub(super) fn define_types(&mut self) {
        for definition in &self.script.definitions {
            match &definition.kind {
                // What they would bring comes from BTF and from the table of constants.
                ast::CDefKind::Include { .. } => {}
                ast::CDefKind::Define(_) | ast::CDefKind::Typedef { .. } => {}
                ast::CDefKind::Type(of) => {
                    // A definition of what the kernel has is how scripts do without BTF.
                    let name = of.name.as_ref();
                    let known = name.map(|name| self.structs.tagged(of.tag, &name.name, self.kernel));
                    if !matches!(known, Some(Ok(Some(_)))) {
                        self.not_yet(format!("defining a type by `{}`", of.tag.keyword()), definition.span);
                    }
                }
            }
        }
    }
}
