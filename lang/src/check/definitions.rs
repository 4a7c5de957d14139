//! The types that the script defines in C: `struct`, `union`, `enum` and `typedef`.
//!
//! They come before the kernel's of the same name. A type is laid out when it is first asked for, or at the end of
//! [`Checker::define_types`]; what is found in the headers of others only when it is asked for. So a type may name another that
//! stands further down, as long as only a pointer needs it.

use rtscript_syntax::ast::{self, Tag, TypeBody, TypeExprKind};
use rtscript_syntax::source::Span;
use rustc_hash::FxHashMap;

use super::Checker;
use super::error::{CFact, Fact};
use super::numbers::value_of;
use crate::layout::{Footprint, Layouter};
use crate::types::{EnumId, Field, Int, Origin, Space, Struct, StructId, Type};

mod enums;

/// No type is larger, in bytes.
const MAX_SIZE: u64 = 1 << 28;
/// Types within types.
const MAX_DEPTH: u32 = 64;

/// The definitions of a script, and how far each has come.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a> {
    structs: FxHashMap<&'a str, Definition<'a>>,
    /// By where they are defined, since they may have no name.
    done: FxHashMap<Span, StructId>,
    enums: FxHashMap<&'a str, EnumId>,
    inline_enums: FxHashMap<Span, EnumId>,
    typedefs: FxHashMap<&'a str, Typedef<'a>>,
    enumerators: FxHashMap<String, (EnumId, i64)>,
    /// Of structures of the script, in bytes.
    aligns: FxHashMap<StructId, u64>,
    /// Structures that are nowhere defined, behind pointers.
    opaque: FxHashMap<(Tag, String), StructId>,
    /// The structures that are being laid out.
    open: Vec<Span>,
    depth: u32,
}

#[derive(Clone, Copy, Debug)]
struct Definition<'a> {
    def: &'a ast::TypeDef,
    lenient: bool,
}

#[derive(Clone, Debug)]
struct Typedef<'a> {
    name: &'a ast::Ident,
    ty: &'a ast::TypeExpr,
    lenient: bool,
    /// `None` until it is asked for, then what it means, or that it means nothing.
    found: Option<Option<Measured>>,
}

/// A type, and its alignment in bytes.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    ty: Type,
    align: u64,
}

impl<'a> Checker<'a> {
    /// Takes over the C definitions in front of the script.
    pub(super) fn define_types(&mut self) {
        let script: &'a ast::Script = self.script;
        for definition in &script.definitions {
            let lenient = definition.lenient;
            match &definition.kind {
                ast::CDefKind::Include { .. } | ast::CDefKind::Define(_) => {}
                ast::CDefKind::Type(of) => self.register(of, lenient),
                ast::CDefKind::Typedef { name, ty } => {
                    self.register_within(ty, lenient);
                    let typedef = Typedef { name, ty, lenient, found: None };
                    if let Some(first) = self.definitions.typedefs.get(name.name.as_str()) {
                        let (first, both) = (first.name.span, !first.lenient && !lenient);
                        let (before, now) = (self.measured_name(&name.name), self.measured(ty));
                        if both && before != now {
                            self.redefined(format!("`{}`", name.name), name.span, first);
                        }
                        continue;
                    }
                    self.definitions.typedefs.insert(&name.name, typedef);
                }
            }
        }
        // The rest of what is wrong in the script's own.
        for definition in script.definitions.iter().filter(|definition| !definition.lenient) {
            match &definition.kind {
                ast::CDefKind::Include { .. } | ast::CDefKind::Define(_) => {}
                ast::CDefKind::Type(of) => {
                    if matches!(of.body, TypeBody::Members(_)) {
                        self.laid_out(of);
                    }
                }
                ast::CDefKind::Typedef { name, .. } => {
                    self.measured_name(&name.name);
                }
            }
        }
    }

    /// The structure or the union of this name, if the script defines it.
    pub(super) fn defined_type(&mut self, tag: Tag, name: &str) -> Option<Option<Type>> {
        match tag {
            Tag::Enum => self.definitions.enums.get(name).map(|&id| Some(Type::Enum(id))),
            Tag::Struct | Tag::Union => {
                let Definition { def, lenient } = *self.definitions.structs.get(name)?;
                if def.tag != tag {
                    return None;
                }
                match self.aloud(lenient, |checker| checker.laid_out(def)) {
                    Some(id) => Some(Some(Type::Struct(id))),
                    // A header of others that cannot be understood is as good as none.
                    None if lenient => None,
                    None => Some(None),
                }
            }
        }
    }

    /// What a `typedef` of the script means.
    pub(super) fn defined_name(&mut self, name: &str) -> Option<Option<Type>> {
        let lenient = self.definitions.typedefs.get(name)?.lenient;
        match self.measured_name(name) {
            Some(found) => Some(Some(found.ty)),
            None if lenient => None,
            None => Some(None),
        }
    }

    /// The value of an enumerator of the script.
    pub(super) fn defined_enumerator(&self, name: &str) -> Option<(EnumId, i64)> {
        self.definitions.enumerators.get(name).copied()
    }

    /// Makes a structure, a union or an enumeration known, with those that are defined inside.
    fn register(&mut self, def: &'a ast::TypeDef, lenient: bool) {
        match &def.body {
            TypeBody::Opaque => {}
            TypeBody::Enumerators(enumerators) => {
                let first = def.name.as_ref().and_then(|name| self.definitions.enums.get(name.name.as_str()));
                if let (Some(_), Some(name)) = (first, &def.name) {
                    if !lenient {
                        let is_it = |of: &&ast::CDef| matches!(&of.kind, ast::CDefKind::Type(of) if of.tag == Tag::Enum && of.name.as_ref().is_some_and(|other| other.name == name.name));
                        let first =
                            self.script.definitions.iter().find(is_it).map_or(name.span, |of| of.span);
                        self.redefined(format!("`enum {}`", name.name), name.span, first);
                    }
                    return;
                }
                self.aloud(lenient, |checker| checker.define_enum(def, enumerators));
            }
            TypeBody::Members(members) => {
                for member in members {
                    self.register_within(&member.ty, lenient);
                }
                let Some(name) = &def.name else { return };
                if let Some(first) = self.definitions.structs.get(name.name.as_str()) {
                    if !first.lenient && !lenient {
                        let first = first.def.name.as_ref().map_or(first.def.span, |name| name.span);
                        self.redefined(format!("`{} {}`", def.tag.keyword(), name.name), name.span, first);
                    }
                    return;
                }
                self.definitions.structs.insert(&name.name, Definition { def, lenient });
            }
        }
    }

    fn register_within(&mut self, ty: &'a ast::TypeExpr, lenient: bool) {
        match &ty.kind {
            TypeExprKind::Inline(of) => self.register(of, lenient),
            TypeExprKind::Pointer(inner) | TypeExprKind::Array { element: inner, .. } => {
                self.register_within(inner, lenient);
            }
            TypeExprKind::Named(_)
            | TypeExprKind::Tagged { .. }
            | TypeExprKind::Typeof(_)
            | TypeExprKind::Function => {}
        }
    }

    fn redefined(&mut self, what: String, at: Span, first: Span) {
        self.error(CFact::Redefined { what, at, first });
    }

    /// The number that an expression in a definition stands for.
    fn constant_number(&mut self, expr: &ast::Expr) -> Option<i128> {
        let value = self.expr(expr)?;
        let value = self.number(value, "a constant")?;
        let number = value_of(&value);
        if number.is_none() {
            self.error(Fact::NotConstant { what: "a number in a definition".to_string(), at: value.span });
        }
        number
    }

    /// Lets something report, even while types are being found out, since it is done once; or keeps it silent.
    fn aloud<T>(&mut self, lenient: bool, work: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.quiet, lenient);
        let done = work(self);
        self.quiet = outer;
        done
    }

    fn measured_name(&mut self, name: &str) -> Option<Measured> {
        let typedef = self.definitions.typedefs.get_mut(name)?;
        if let Some(found) = &typedef.found {
            return found.clone();
        }
        let (ty, lenient) = (typedef.ty, typedef.lenient);
        // Whoever asks while it is being found out gets nothing.
        typedef.found = Some(None);
        let found = self.aloud(lenient, |checker| checker.measured(ty));
        if let Some(typedef) = self.definitions.typedefs.get_mut(name) {
            typedef.found = Some(found.clone());
        }
        found
    }

    /// A type in a definition, by C's rules.
    fn measured(&mut self, ty: &'a ast::TypeExpr) -> Option<Measured> {
        if self.definitions.depth >= MAX_DEPTH {
            self.error(Fact::TooDeep { at: ty.span, limit: MAX_DEPTH });
            return None;
        }
        self.definitions.depth += 1;
        let found = self.measured_at(ty);
        self.definitions.depth -= 1;
        found
    }

    fn measured_at(&mut self, ty: &'a ast::TypeExpr) -> Option<Measured> {
        let whole = match &ty.kind {
            TypeExprKind::Named(name) => {
                if let Some(measured) = c_type(name) {
                    return Some(measured);
                }
                if self.definitions.typedefs.contains_key(name.as_str()) {
                    return self.measured_name(name);
                }
                self.written_type(ty, Space::Kernel)?
            }
            TypeExprKind::Tagged { tag, name } => self.tagged_within(*tag, name)?,
            TypeExprKind::Pointer(to) => {
                let to = match &to.kind {
                    TypeExprKind::Tagged { tag, name } => self.behind_pointer(*tag, name),
                    TypeExprKind::Function => Type::Void,
                    _ => self.measured(to)?.ty,
                };
                return Some(Measured { ty: Type::pointer(to, Space::Kernel), align: 8 });
            }
            TypeExprKind::Array { element, len } => {
                let count = match len {
                    Some(len) => {
                        let at = len.span;
                        let count = self.constant_number(len)?;
                        if !(0..=i128::from(MAX_SIZE)).contains(&count) {
                            let expected = "a number from 0 on".to_string();
                            let what = "the length of an array".to_string();
                            self.error(Fact::BadConstant { what, expected, value: count.to_string(), at });
                            return None;
                        }
                        count as u64
                    }
                    None => 0,
                };
                let element = self.measured(element)?;
                if count * u64::from(self.structs.size_in_memory(&element.ty)) > MAX_SIZE {
                    self.error(CFact::TooLarge { at: ty.span });
                    return None;
                }
                let array = match element.ty {
                    Type::Int(Int::I8) if count > 0 => Type::String(count as u32),
                    element => Type::Array(Box::new(element), count as u32),
                };
                return Some(Measured { ty: array, align: element.align });
            }
            TypeExprKind::Inline(of) => match &of.body {
                TypeBody::Enumerators(_) => Type::Enum(*self.definitions.inline_enums.get(&of.span)?),
                TypeBody::Members(_) | TypeBody::Opaque => Type::Struct(self.laid_out(of)?),
            },
            TypeExprKind::Typeof(_) => self.written_type(ty, Space::Kernel)?,
            TypeExprKind::Function => Type::Void,
        };
        let align = self.align_of(&whole, ty.span)?;
        Some(Measured { ty: whole, align })
    }

    /// A structure, a union or an enumeration as a whole.
    fn tagged_within(&mut self, tag: Tag, name: &ast::Ident) -> Option<Type> {
        if let Some(Definition { def, .. }) = self.definitions.structs.get(name.name.as_str()).copied()
            && def.tag == tag
        {
            return self.laid_out(def).map(Type::Struct);
        }
        let found = self.tagged_type(tag, name)?;
        if let Type::Struct(id) = found
            && self.structs.structs[id].size == 0
        {
            let done = self.structs.complete(id, self.kernel);
            self.fact(done, name.span)?;
            if self.structs.structs[id].fields.as_ref().is_none_or(Vec::is_empty) {
                let ty = self.type_name(&found);
                self.error(CFact::Incomplete { ty, at: name.span });
                return None;
            }
        }
        Some(found)
    }

    /// What a pointer points at need not be defined anywhere, and may be what is just being defined.
    fn behind_pointer(&mut self, tag: Tag, name: &ast::Ident) -> Type {
        if tag == Tag::Enum {
            return self.tagged_type(tag, name).unwrap_or(Type::Void);
        }
        if let Some(Definition { def, .. }) = self.definitions.structs.get(name.name.as_str()).copied()
            && def.tag == tag
        {
            return Type::Struct(self.begun(def));
        }
        if let Ok(Some(found)) = self.structs.tagged(tag, &name.name, self.kernel) {
            return found;
        }
        let key = (tag, name.name.clone());
        if let Some(&known) = self.definitions.opaque.get(&key) {
            return Type::Struct(known);
        }
        let id = self.structs.structs.push(Struct {
            name: name.name.clone(),
            union: tag == Tag::Union,
            size: 0,
            origin: Origin::Script,
            fields: Some(Vec::new()),
        });
        self.definitions.opaque.insert(key, id);
        Type::Struct(id)
    }

    /// The structure of a definition, which need not be laid out.
    fn begun(&mut self, def: &'a ast::TypeDef) -> StructId {
        if let Some(&known) = self.definitions.done.get(&def.span) {
            return known;
        }
        let id = self.structs.structs.push(Struct {
            name: def.name.as_ref().map_or(String::new(), |name| name.name.clone()),
            union: def.tag == Tag::Union,
            size: 0,
            origin: Origin::Script,
            fields: None,
        });
        self.definitions.done.insert(def.span, id);
        id
    }

    /// The structure of a definition, laid out.
    fn laid_out(&mut self, def: &'a ast::TypeDef) -> Option<StructId> {
        let id = self.begun(def);
        if self.structs.structs[id].fields.is_some() {
            // One that could not be laid out has no alignment.
            return self.definitions.aligns.contains_key(&id).then_some(id);
        }
        let TypeBody::Members(members) = &def.body else { return None };
        if self.definitions.open.contains(&def.span) {
            let ty = self.type_name(&Type::Struct(id));
            let at = def.name.as_ref().map_or(def.span, |name| name.span);
            self.error(CFact::HoldsItself { ty, at });
            return None;
        }
        self.definitions.open.push(def.span);
        let done = self.lay_out(def, members);
        self.definitions.open.pop();
        let Some((fields, size, align)) = done else {
            self.structs.structs[id].fields = Some(Vec::new());
            return None;
        };
        let of = &mut self.structs.structs[id];
        of.fields = Some(fields);
        of.size = size as u32;
        self.definitions.aligns.insert(id, align);
        Some(id)
    }

    /// All members, so that all that is wrong with them is reported.
    fn lay_out(&mut self, def: &ast::TypeDef, members: &'a [ast::Member]) -> Option<(Vec<Field>, u64, u64)> {
        let mut layouter = Layouter::new(def.tag == Tag::Union, def.attributes);
        let mut fields: Vec<Field> = Vec::with_capacity(members.len());
        let mut fine = self.is_alignment(def.attributes, def.span);
        for member in members {
            let measured = self.measured(&member.ty);
            fine &= self.is_alignment(member.attributes, member.span);
            if let Some(name) = &member.name
                && let Some(first) = members
                    .iter()
                    .filter_map(|other| other.name.as_ref())
                    .find(|first| first.name == name.name)
                && first.span != name.span
            {
                self.redefined(format!("the member `{}`", name.name), name.span, first.span);
                fine = false;
            }
            let width = match &member.bits {
                Some(bits) => match measured.as_ref().and_then(|of| self.width(bits, &of.ty, member)) {
                    Some(width) => Some(width),
                    None => {
                        fine = false;
                        continue;
                    }
                },
                None => None,
            };
            let Some(Measured { ty, align }) = measured else {
                fine = false;
                continue;
            };
            if ty == Type::Void {
                let ty = "void".to_string();
                self.error(CFact::Incomplete { ty, at: member.ty.span });
                fine = false;
                continue;
            }
            let size = u64::from(self.structs.size_in_memory(&ty));
            let footprint = Footprint { size, align, attributes: member.attributes };
            let name = member.name.as_ref().map_or(String::new(), |name| name.name.clone());
            let offset = match width {
                Some(width) => layouter.bits(footprint, width, member.name.is_some()),
                None => layouter.member(footprint),
            };
            if offset > 8 * MAX_SIZE {
                self.error(CFact::TooLarge { at: member.span });
                return None;
            }
            if width.is_some() && member.name.is_none() {
                continue;
            }
            fields.push(Field { name, ty, offset_bits: offset as u32, bits: width.map(|width| width as u8) });
        }
        if !fine {
            return None;
        }
        let (size, align) = layouter.finish(def.attributes);
        if size > MAX_SIZE {
            self.error(CFact::TooLarge { at: def.span });
            return None;
        }
        Some((fields, size, align))
    }

    /// The width of a bit-field.
    fn width(&mut self, bits: &ast::Expr, ty: &Type, member: &ast::Member) -> Option<u64> {
        let is_number = matches!(ty, Type::Int(_) | Type::Bool | Type::Enum(_));
        let value = self.constant_number(bits)?;
        let most = if *ty == Type::Bool { 1 } else { 8 * i128::from(self.structs.size_in_memory(ty)) };
        let least = i128::from(member.name.is_some());
        if is_number && (least..=most).contains(&value) {
            return Some(value as u64);
        }
        let ty = self.type_name(ty);
        self.error(CFact::BadWidth { ty, width: value, at: bits.span });
        None
    }

    fn is_alignment(&mut self, attributes: ast::Attributes, at: Span) -> bool {
        let fine = attributes.aligned.is_none_or(|to| to.is_power_of_two() && to <= MAX_SIZE);
        if !fine {
            let expected = "a power of two".to_string();
            let value = attributes.aligned.unwrap_or(0).to_string();
            self.error(Fact::BadConstant { what: "an alignment".to_string(), expected, value, at });
        }
        fine
    }

    /// The alignment of a type by C's rules, in bytes. BTF does not know it, so that of a kernel structure is what its
    /// members need.
    fn align_of(&mut self, ty: &Type, at: Span) -> Option<u64> {
        let align = match ty {
            Type::Struct(id) => {
                if let Some(&known) = self.definitions.aligns.get(id) {
                    return Some(known);
                }
                let done = self.structs.complete(*id, self.kernel);
                self.fact(done, at)?;
                let (size, fields) = {
                    let of = &self.structs.structs[*id];
                    (u64::from(of.size), of.fields.clone().unwrap_or_default())
                };
                // One that does not lie where it should is packed.
                let mut whole = 1;
                for field in fields {
                    let align = self.align_of(&field.ty, at)?;
                    let is_natural = field.bits.is_some() || u64::from(field.offset_bits) % (8 * align) == 0;
                    if is_natural && size.is_multiple_of(align) {
                        whole = whole.max(align);
                    }
                }
                self.definitions.aligns.insert(*id, whole);
                whole
            }
            Type::Array(element, _) => self.align_of(element, at)?,
            Type::String(_) | Type::Void | Type::Mac | Type::Buffer(_) => 1,
            Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Pointer(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Label(_)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Timestamp(..)
            | Type::Username
            | Type::Probe
            | Type::Aggregate(_) => u64::from(self.structs.layout(ty).align),
        };
        Some(align)
    }
}

/// C's own types, whoever asks.
fn c_type(name: &str) -> Option<Measured> {
    let int = |size, signed| Measured { ty: Type::Int(Int { size, signed }), align: u64::from(size) };
    // What the language cannot compute with passes by as bytes.
    let bytes =
        |size: u32| Measured { ty: Type::Array(Box::new(Type::Int(Int::U8)), size), align: u64::from(size) };
    Some(match name {
        "char" | "signed char" | "int8_t" => int(1, true),
        "unsigned char" | "uint8_t" => int(1, false),
        "short int" | "int16_t" => int(2, true),
        "short unsigned int" | "uint16_t" => int(2, false),
        "int" | "int32_t" => int(4, true),
        "unsigned int" | "uint32_t" => int(4, false),
        "long int" | "long long int" | "int64_t" | "ssize_t" | "intptr_t" => int(8, true),
        "long unsigned int" | "long long unsigned int" | "uint64_t" | "size_t" | "uintptr_t" => int(8, false),
        "_Bool" | "bool" => Measured { ty: Type::Bool, align: 1 },
        "float" => bytes(4),
        "double" => bytes(8),
        "__int128" => bytes(16),
        _ => return None,
    })
}
