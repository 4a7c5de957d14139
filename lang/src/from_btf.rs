//! The kernel's types as the language sees them: BTF becomes [`Type`], [`Struct`] and [`Enum`].
//!
//! Structures are interned by name of their BTF id; their members are decoded when [`Structs::complete`] asks for
//! them, so a script that names `task_struct` does not decode half of the kernel. What the language has no value
//! for (floats, functions, 128-bit integers) becomes an array of bytes or `void`, which can be passed by and not
//! computed with.

use rtscript_syntax::ast::Tag;
use rustc_hash::FxHashSet;

use crate::btf::{self, Btf, Kind, TypeId};
use crate::kernel::{Kernel, KernelError};
use crate::types::{BtfRef, Enum, EnumId, Field, Int, Origin, Space, Struct, StructId, Structs, Type};

/// Arrays and pointers nest no deeper than this in a sound file.
const MAX_DEPTH: u32 = 32;
/// Nothing in a sound file is larger. So sizes and offsets in bits can be added and multiplied without a check.
const MAX_SIZE: u32 = 1 << 28;

impl Structs {
    /// The type with this BTF id. Pointers point into kernel memory unless the kernel marked them `__user`.
    /// `module` says whose BTF `btf` is, as [`BtfRef`] counts.
    pub fn of_btf(&mut self, btf: &Btf, module: u16, id: TypeId) -> Type {
        self.decode(btf, module, id, 0)
    }

    /// Decodes the members of a structure, if that has not been done.
    pub fn complete(&mut self, id: StructId, kernel: &dyn Kernel) -> Result<(), KernelError> {
        let Origin::Kernel(of) = self.structs[id].origin else { return Ok(()) };
        if self.structs[id].fields.is_some() {
            return Ok(());
        }
        let btf = kernel.module_btf(of.module)?;
        let mut fields = Vec::new();
        if let btf::Type::Struct(composite) | btf::Type::Union(composite) = btf.ty(TypeId(of.id)) {
            for member in composite.members() {
                let (offset_bits, bits) = btf.bit_field(member.ty, member.bit_offset, member.bit_size);
                let bits =
                    bits.and_then(|bits| u8::try_from(bits).ok()).filter(|bits| (1..=64).contains(bits));
                fields.push(Field {
                    name: member.name.to_string(),
                    ty: self.of_btf(btf, of.module, member.ty),
                    offset_bits,
                    bits,
                });
            }
        }
        self.structs[id].fields = Some(fields);
        Ok(())
    }

    /// Decodes the members of all structures that a value of this type holds, to the innermost: whoever prints the
    /// value prints all of them.
    pub fn complete_within(&mut self, ty: &Type, kernel: &dyn Kernel) -> Result<(), KernelError> {
        self.complete_held(ty, kernel, &mut Vec::new(), &mut FxHashSet::default())
    }

    /// `outer` are the structures that the value lies in, `done` those that were gone through.
    fn complete_held(
        &mut self,
        ty: &Type,
        kernel: &dyn Kernel,
        outer: &mut Vec<StructId>,
        done: &mut FxHashSet<StructId>,
    ) -> Result<(), KernelError> {
        match ty {
            Type::Struct(id) if outer.contains(id) => {
                // Nothing holds itself but in a file that is not sound.
                self.structs[*id].fields = Some(Vec::new());
                Ok(())
            }
            Type::Struct(id) => {
                if !done.insert(*id) {
                    return Ok(());
                }
                self.complete(*id, kernel)?;
                outer.push(*id);
                for field in self.structs[*id].fields.clone().unwrap_or_default() {
                    self.complete_held(&field.ty, kernel, outer, done)?;
                }
                outer.pop();
                Ok(())
            }
            Type::Array(element, _) => self.complete_held(element, kernel, outer, done),
            Type::Tuple(types) => types.iter().try_for_each(|ty| self.complete_held(ty, kernel, outer, done)),
            Type::Record(fields) => {
                fields.iter().try_for_each(|(_, ty)| self.complete_held(ty, kernel, outer, done))
            }
            Type::Void
            | Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::String(_)
            | Type::Buffer(_)
            | Type::Pointer(..)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe
            | Type::Aggregate(_) => Ok(()),
        }
    }

    /// The structure, union or enumeration with this name.
    pub fn tagged(&mut self, tag: Tag, name: &str, kernel: &dyn Kernel) -> Result<Option<Type>, KernelError> {
        let kind = match tag {
            Tag::Struct => Kind::Struct,
            Tag::Union => Kind::Union,
            Tag::Enum => Kind::Enum,
        };
        let btf = kernel.btf()?;
        let found = btf.find(name, kind).or_else(|| match tag {
            Tag::Enum => btf.find(name, Kind::Enum64),
            Tag::Struct | Tag::Union => None,
        });
        Ok(found.map(|id| self.of_btf(btf, 0, id)))
    }

    /// The type that a name without `struct` in front of it means in C: a typedef or an integer type.
    pub fn named(&mut self, name: &str, kernel: &dyn Kernel) -> Result<Option<Type>, KernelError> {
        let btf = kernel.btf()?;
        let found = btf.find(name, Kind::Typedef).or_else(|| btf.find(name, Kind::Int));
        Ok(found.map(|id| self.of_btf(btf, 0, id)))
    }

    /// The enumeration that has an enumerator of this name, and the enumerator's value.
    pub fn enumerator(
        &mut self,
        name: &str,
        kernel: &dyn Kernel,
    ) -> Result<Option<(EnumId, i64)>, KernelError> {
        let own = self.enums.iter().find_map(|(id, of)| {
            let (_, value) = of.variants.iter().find(|(variant, _)| variant == name)?;
            Some((id, *value))
        });
        if own.is_some() {
            return Ok(own);
        }
        if self.no_enumerators.contains(name) {
            return Ok(None);
        }
        let btf = kernel.btf()?;
        for kind in [Kind::Enum, Kind::Enum64] {
            for (id, _) in btf.of_kind(kind) {
                let btf::Type::Enum(of) = btf.ty(id) else { continue };
                if let Some(found) = of.values().find(|value| value.name == name) {
                    return Ok(Some((self.intern_enum(btf, 0, id, of), found.value)));
                }
            }
        }
        self.no_enumerators.insert(name.to_string());
        Ok(None)
    }

    fn decode(&mut self, btf: &Btf, module: u16, id: TypeId, depth: u32) -> Type {
        if depth > MAX_DEPTH {
            return Type::Void;
        }
        let id = btf.resolve(id).id;
        match btf.ty(id) {
            btf::Type::Int(int) if int.is_bool && int.size == 1 => Type::Bool,
            btf::Type::Int(int) => match int.size {
                1 | 2 | 4 | 8 => Type::Int(Int { size: int.size as u8, signed: int.signed }),
                _ => bytes(int.size.min(MAX_SIZE)),
            },
            btf::Type::Float(float) => bytes(float.size.min(MAX_SIZE)),
            btf::Type::Ptr(target) => {
                let space = if btf.resolve(target).tags.user { Space::User } else { Space::Kernel };
                Type::pointer(self.decode(btf, module, target, depth + 1), space)
            }
            btf::Type::Array(array)
                if (1..=MAX_SIZE).contains(&array.length) && is_char(btf, array.element) =>
            {
                Type::String(array.length)
            }
            btf::Type::Array(array) => {
                let is_sound = btf.size_of(id).is_some_and(|size| (1..=MAX_SIZE).contains(&size));
                let length = if is_sound { array.length } else { 0 };
                Type::Array(Box::new(self.decode(btf, module, array.element, depth + 1)), length)
            }
            btf::Type::Struct(composite) => Type::Struct(self.intern(btf, module, id, composite, false)),
            btf::Type::Union(composite) => Type::Struct(self.intern(btf, module, id, composite, true)),
            btf::Type::Enum(of) => Type::Enum(self.intern_enum(btf, module, id, of)),
            btf::Type::Forward(forward) => {
                let kind = if forward.is_union { Kind::Union } else { Kind::Struct };
                match btf.find(forward.name, kind) {
                    Some(whole) => self.decode(btf, module, whole, depth + 1),
                    None => Type::Struct(self.intern_forward(module, id, forward)),
                }
            }
            btf::Type::Void
            | btf::Type::Func(_)
            | btf::Type::FuncProto(_)
            | btf::Type::Typedef(_)
            | btf::Type::Volatile(_)
            | btf::Type::Const(_)
            | btf::Type::Restrict(_)
            | btf::Type::Var(_)
            | btf::Type::DataSec(_)
            | btf::Type::DeclTag(_)
            | btf::Type::TypeTag(_) => Type::Void,
        }
    }

    fn intern(
        &mut self,
        btf: &Btf,
        module: u16,
        id: TypeId,
        composite: btf::Composite<'_>,
        union: bool,
    ) -> StructId {
        let of = btf_ref(btf, module, id);
        if let Some(&known) = self.struct_of_btf.get(&of) {
            return known;
        }
        let interned = self.structs.push(Struct {
            name: composite.name.to_string(),
            union,
            size: composite.size.min(MAX_SIZE),
            origin: Origin::Kernel(of),
            fields: None,
        });
        self.struct_of_btf.insert(of, interned);
        interned
    }

    fn intern_forward(&mut self, module: u16, id: TypeId, forward: btf::Forward<'_>) -> StructId {
        let of = BtfRef { module, id: id.0 };
        if let Some(&known) = self.struct_of_btf.get(&of) {
            return known;
        }
        let interned = self.structs.push(Struct {
            name: forward.name.to_string(),
            union: forward.is_union,
            size: 0,
            origin: Origin::Kernel(of),
            fields: Some(Vec::new()),
        });
        self.struct_of_btf.insert(of, interned);
        interned
    }

    fn intern_enum(&mut self, btf: &Btf, module: u16, id: TypeId, of: btf::Enum<'_>) -> EnumId {
        let key = btf_ref(btf, module, id);
        if let Some(&known) = self.enum_of_btf.get(&key) {
            return known;
        }
        let size = match of.size {
            1 | 2 | 8 => of.size as u8,
            _ => 4,
        };
        let interned = self.enums.push(Enum {
            name: of.name.to_string(),
            int: Int { size, signed: of.signed },
            variants: of.values().map(|value| (value.name.to_string(), value.value)).collect(),
        });
        self.enum_of_btf.insert(key, interned);
        interned
    }
}

/// A type that a module shares with the kernel itself is the kernel's.
fn btf_ref(btf: &Btf, module: u16, id: TypeId) -> BtfRef {
    let own = btf.ids().next().is_none_or(|first| id >= first);
    BtfRef { module: if own { module } else { 0 }, id: id.0 }
}

fn bytes(size: u32) -> Type {
    Type::Array(Box::new(Type::Int(Int::U8)), size)
}

fn is_char(btf: &Btf, id: TypeId) -> bool {
    match btf.ty(btf.resolve(id).id) {
        btf::Type::Int(int) => {
            int.size == 1 && !int.is_bool && (int.signed || int.is_char || int.name == "char")
        }
        _ => false,
    }
}
