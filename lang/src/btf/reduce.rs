//! Makes a small BTF out of a large one: the types that are asked for and all that they need, so that tests
//! have a kernel's types without a kernel.
//!
//! Ensures that every type that is kept has the size, the member offsets and the names that it had: a struct
//! keeps its size also where only some of its members are kept. A struct that is needed only behind pointers,
//! and is no root, becomes a forward declaration. The same input gives the same bytes.
//!
//! Left out: variables and data sections.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Btf, Composite, Kind, Linkage, Member, Type, TypeId};

/// A type or function to keep.
#[derive(Clone, Debug)]
pub struct Root<'a> {
    pub id: TypeId,
    /// The names of the members to keep, of a struct or union; all when this is empty. Those that lie in
    /// anonymous members are named as if they lay outside.
    pub members: &'a [&'a str],
}

/// Writes a BTF that holds the roots and all that they need.
pub fn reduce(btf: &Btf, roots: &[Root<'_>]) -> Vec<u8> {
    let mut selection = Selection {
        btf,
        members: roots.iter().map(|root| (root.id, root.members.iter().copied().collect())).collect(),
        needs: FxHashMap::default(),
        order: Vec::new(),
    };
    selection.reach(roots);
    selection.add_tags();

    let ids = selection.order.iter().copied().zip((1..).map(TypeId)).collect();
    let mut writer = Writer { ids, types: Vec::new(), strings: vec![0], offsets: FxHashMap::default() };
    for &id in &selection.order {
        selection.write(id, &mut writer);
    }
    writer.finish()
}

/// How much of a type is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Only pointers lead to it.
    Name,
    Definition,
}

/// What is kept, and in which order it is written.
struct Selection<'a> {
    btf: &'a Btf,
    members: FxHashMap<TypeId, FxHashSet<&'a str>>,
    needs: FxHashMap<TypeId, Need>,
    order: Vec<TypeId>,
}

impl<'a> Selection<'a> {
    /// Selects all that the roots need. A type is looked at again when more of it turns out to be needed.
    fn reach(&mut self, roots: &[Root<'_>]) {
        let mut queue: VecDeque<(TypeId, Need)> =
            roots.iter().map(|root| (root.id, Need::Definition)).collect();
        while let Some((id, need)) = queue.pop_front() {
            let need = if self.has_no_forward(id) { Need::Definition } else { need };
            let known = self.needs.get(&id).copied();
            if id == TypeId::VOID || known >= Some(need) {
                continue;
            }
            if known.is_none() {
                self.order.push(id);
            }
            self.needs.insert(id, need);
            self.references(id, need, &mut |target, need| queue.push_back((target, need)));
        }
    }

    /// Roots are always defined, and a struct without a name cannot be declared.
    fn has_no_forward(&self, id: TypeId) -> bool {
        self.members.contains_key(&id) || self.btf.name(id).is_empty() && self.is_composite(id)
    }

    fn is_composite(&self, id: TypeId) -> bool {
        matches!(self.btf.kind(id), Some(Kind::Struct | Kind::Union))
    }

    /// Shows the types that a type names, and how much of each it needs.
    fn references(&self, id: TypeId, need: Need, show: &mut dyn FnMut(TypeId, Need)) {
        match self.btf.ty(id) {
            Type::Ptr(target) => show(target, Need::Name),
            Type::Volatile(target) | Type::Const(target) | Type::Restrict(target) => show(target, need),
            Type::TypeTag(tag) => show(tag.target, need),
            Type::Typedef(typedef) => show(typedef.target, need),
            Type::Array(array) => {
                show(array.element, Need::Definition);
                show(array.index, Need::Definition);
            }
            Type::Struct(composite) | Type::Union(composite) => {
                if need == Need::Definition {
                    for member in self.kept_members(id, &composite) {
                        show(member.ty, Need::Definition);
                    }
                }
            }
            Type::Func(func) => show(func.proto, Need::Definition),
            Type::FuncProto(proto) => {
                for param in proto.params() {
                    show(param.ty, Need::Name);
                }
                show(proto.result, Need::Name);
            }
            Type::Void
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Forward(_)
            | Type::Var(_)
            | Type::DataSec(_)
            | Type::Float(_)
            | Type::DeclTag(_) => {}
        }
    }

    fn kept_members(&self, id: TypeId, composite: &Composite<'a>) -> Vec<Member<'a>> {
        let wanted = self.members.get(&id).filter(|wanted| !wanted.is_empty());
        let is_wanted = |member: &Member<'_>| match wanted {
            None => true,
            Some(names) if member.name.is_empty() => {
                self.btf.fields(member.ty).iter().any(|field| names.contains(field.name))
            }
            Some(names) => names.contains(member.name),
        };
        composite.members().filter(is_wanted).collect()
    }

    /// Keeps the notes on functions and types that are kept whole, such as `bpf_kfunc`.
    fn add_tags(&mut self) {
        for (id, _) in self.btf.of_kind(Kind::DeclTag) {
            if let Type::DeclTag(tag) = self.btf.ty(id)
                && tag.component < 0
                && self.needs.get(&tag.target) == Some(&Need::Definition)
            {
                self.order.push(id);
            }
        }
    }

    fn write(&self, id: TypeId, writer: &mut Writer) {
        let is_defined = self.needs.get(&id) == Some(&Need::Definition);
        match self.btf.ty(id) {
            Type::Int(int) => {
                let encoding = u32::from(int.signed) << 24
                    | u32::from(int.is_char) << 25
                    | u32::from(int.is_bool) << 26
                    | int.bit_offset << 16
                    | int.bits;
                writer.head(int.name, Kind::Int, 0, false, int.size);
                writer.words(&[encoding]);
            }
            Type::Ptr(target) => writer.reference("", Kind::Ptr, 0, target),
            Type::Array(array) => {
                let (element, index) = (writer.id(array.element), writer.id(array.index));
                writer.head("", Kind::Array, 0, false, 0);
                writer.words(&[element, index, array.length]);
            }
            Type::Struct(composite) if is_defined => {
                self.write_composite(id, &composite, Kind::Struct, writer)
            }
            Type::Union(composite) if is_defined => self.write_composite(id, &composite, Kind::Union, writer),
            Type::Struct(composite) => writer.head(composite.name, Kind::Forward, 0, false, 0),
            Type::Union(composite) => writer.head(composite.name, Kind::Forward, 0, true, 0),
            Type::Forward(forward) => writer.head(forward.name, Kind::Forward, 0, forward.is_union, 0),
            Type::Enum(an_enum) => {
                let wide = an_enum.size == 8;
                let kind = if wide { Kind::Enum64 } else { Kind::Enum };
                writer.head(an_enum.name, kind, an_enum.values().len(), an_enum.signed, an_enum.size);
                for value in an_enum.values() {
                    let name = writer.string(value.name);
                    writer.words(&[name, value.value as u32]);
                    if wide {
                        writer.words(&[(value.value >> 32) as u32]);
                    }
                }
            }
            Type::Typedef(typedef) => writer.reference(typedef.name, Kind::Typedef, 0, typedef.target),
            Type::Volatile(target) => writer.reference("", Kind::Volatile, 0, target),
            Type::Const(target) => writer.reference("", Kind::Const, 0, target),
            Type::Restrict(target) => writer.reference("", Kind::Restrict, 0, target),
            Type::TypeTag(tag) => writer.reference(tag.name, Kind::TypeTag, 0, tag.target),
            Type::Func(func) => {
                let linkage = match func.linkage {
                    Linkage::Static => 0,
                    Linkage::Global => 1,
                    Linkage::Extern => 2,
                };
                writer.reference(func.name, Kind::Func, linkage, func.proto);
            }
            Type::FuncProto(proto) => {
                writer.reference("", Kind::FuncProto, proto.params().len(), proto.result);
                for param in proto.params() {
                    let words = [writer.string(param.name), writer.id(param.ty)];
                    writer.words(&words);
                }
            }
            Type::Float(float) => writer.head(float.name, Kind::Float, 0, false, float.size),
            Type::DeclTag(tag) => {
                writer.reference(tag.name, Kind::DeclTag, 0, tag.target);
                writer.words(&[tag.component as u32]);
            }
            // Nothing leads to these, but a root may be one: something must take its number.
            Type::Void | Type::Var(_) | Type::DataSec(_) => {
                writer.reference("", Kind::Const, 0, TypeId::VOID)
            }
        }
    }

    fn write_composite(&self, id: TypeId, composite: &Composite<'a>, kind: Kind, writer: &mut Writer) {
        let members = self.kept_members(id, composite);
        let packed = members.iter().any(|member| member.bit_size.is_some());
        writer.head(composite.name, kind, members.len(), packed, composite.size);
        for member in members {
            let place = member.bit_size.unwrap_or(0) << 24 | member.bit_offset;
            let words = [writer.string(member.name), writer.id(member.ty), place];
            writer.words(&words);
        }
    }
}

/// The sections of the new file.
struct Writer {
    /// From the ids of the old file to those of the new.
    ids: FxHashMap<TypeId, TypeId>,
    types: Vec<u8>,
    strings: Vec<u8>,
    offsets: FxHashMap<String, u32>,
}

impl Writer {
    fn head(&mut self, name: &str, kind: Kind, vlen: usize, flag: bool, size: u32) {
        let name = self.string(name);
        self.words(&[name, u32::from(flag) << 31 | (kind as u32) << 24 | vlen as u32, size]);
    }

    fn reference(&mut self, name: &str, kind: Kind, vlen: usize, target: TypeId) {
        let target = self.id(target);
        self.head(name, kind, vlen, false, target);
    }

    fn id(&self, old: TypeId) -> u32 {
        self.ids.get(&old).map_or(0, |id| id.0)
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(&offset) = self.offsets.get(text) {
            return offset;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.offsets.insert(text.to_owned(), offset);
        offset
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut file = Vec::with_capacity(24 + self.types.len() + self.strings.len());
        file.extend_from_slice(&[0x9f, 0xeb, 1, 0]);
        for word in [24, 0, self.types.len(), self.types.len(), self.strings.len()] {
            file.extend_from_slice(&(word as u32).to_le_bytes());
        }
        file.extend_from_slice(&self.types);
        file.extend_from_slice(&self.strings);
        file
    }
}
