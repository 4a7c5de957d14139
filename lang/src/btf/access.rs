//! Questions about types: what lies behind typedefs and qualifiers, how large a type is, where a field lies.
//!
//! Chains in a damaged file may be circular, so every walk is bounded; one that is too long ends in `void` or
//! in `None`.

use super::{Btf, Kind, Type, TypeId};

/// As many typedefs, qualifiers, array dimensions or nested anonymous structs as anybody uses, and more.
const MAX_DEPTH: u32 = 64;

/// What was passed on the way from a type to what it is in truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// `__user`: a pointer to this points to user memory.
    pub user: bool,
    /// `__percpu`: a pointer to this is an offset into each CPU's area.
    pub percpu: bool,
    /// `__rcu`
    pub rcu: bool,
}

/// A type without its typedefs and qualifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub id: TypeId,
    pub tags: Tags,
}

/// Where a field lies in a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    /// The indices of the members from the outer type to the field; more than one where it lies in anonymous
    /// members. With a 0 before them they are the access string of a CO-RE relocation.
    pub path: Vec<u32>,
    pub ty: TypeId,
    /// From the start of the outer type.
    pub bit_offset: u32,
    /// The width, when it is a bit-field.
    pub bit_size: Option<u32>,
}

impl Btf {
    /// Skips typedefs, qualifiers and type tags, and tells which tags there were. The tags of a pointer are
    /// found by resolving what it points to.
    pub fn resolve(&self, id: TypeId) -> Resolved {
        let mut resolved = Resolved { id, tags: Tags::default() };
        for _ in 0..MAX_DEPTH {
            resolved.id = match self.ty(resolved.id) {
                Type::Typedef(typedef) => typedef.target,
                Type::Volatile(target) | Type::Const(target) | Type::Restrict(target) => target,
                Type::TypeTag(tag) => {
                    match tag.name {
                        "user" => resolved.tags.user = true,
                        "percpu" => resolved.tags.percpu = true,
                        "rcu" => resolved.tags.rcu = true,
                        _ => {}
                    }
                    tag.target
                }
                Type::Void
                | Type::Int(_)
                | Type::Ptr(_)
                | Type::Array(_)
                | Type::Struct(_)
                | Type::Union(_)
                | Type::Enum(_)
                | Type::Forward(_)
                | Type::Func(_)
                | Type::FuncProto(_)
                | Type::Var(_)
                | Type::DataSec(_)
                | Type::Float(_)
                | Type::DeclTag(_) => return resolved,
            };
        }
        Resolved { id: TypeId::VOID, tags: resolved.tags }
    }

    /// The size of a type in bytes; `None` for `void`, functions, forward declarations, and sizes past 2^32.
    pub fn size_of(&self, id: TypeId) -> Option<u32> {
        let mut id = id;
        let mut count: u32 = 1;
        for _ in 0..MAX_DEPTH {
            let size = match self.ty(self.resolve(id).id) {
                Type::Int(int) => int.size,
                Type::Ptr(_) => 8,
                Type::Struct(composite) | Type::Union(composite) => composite.size,
                Type::Enum(an_enum) => an_enum.size,
                Type::Float(float) => float.size,
                Type::DataSec(section) => section.size,
                Type::Array(array) => {
                    count = count.checked_mul(array.length)?;
                    id = array.element;
                    continue;
                }
                Type::Var(var) => {
                    id = var.ty;
                    continue;
                }
                Type::Void
                | Type::Forward(_)
                | Type::Typedef(_)
                | Type::Volatile(_)
                | Type::Const(_)
                | Type::Restrict(_)
                | Type::Func(_)
                | Type::FuncProto(_)
                | Type::DeclTag(_)
                | Type::TypeTag(_) => return None,
            };
            return count.checked_mul(size);
        }
        None
    }

    /// The struct, or else the union, with this name.
    pub fn find_composite(&self, name: &str) -> Option<TypeId> {
        self.find(name, Kind::Struct).or_else(|| self.find(name, Kind::Union))
    }

    /// The field with this name in a struct or union (or a typedef of one), also inside anonymous members.
    pub fn field(&self, id: TypeId, name: &str) -> Option<Field<'_>> {
        let mut found = None;
        FieldWalk::new(self).visit(id, 0, &mut |field| {
            let hit = field.name == name;
            if hit {
                found = Some(field);
            }
            hit
        });
        found
    }

    /// All fields with a name of a struct or union, those of its anonymous members among them, in order.
    pub fn fields(&self, id: TypeId) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        FieldWalk::new(self).visit(id, 0, &mut |field| {
            fields.push(field);
            false
        });
        fields
    }

    /// Offset and width of a member. Older compilers told the width of a bit-field by an integer type of its own.
    pub(crate) fn bit_field(&self, ty: TypeId, bit_offset: u32, bit_size: Option<u32>) -> (u32, Option<u32>) {
        if bit_size.is_some() {
            return (bit_offset, bit_size);
        }
        if let Type::Int(int) = self.ty(self.resolve(ty).id)
            && (int.bits != int.size.saturating_mul(8) || int.bit_offset != 0)
        {
            return (bit_offset.saturating_add(int.bit_offset), Some(int.bits));
        }
        (bit_offset, None)
    }
}

/// A walk through the members of a struct and those of its anonymous members.
struct FieldWalk<'a> {
    btf: &'a Btf,
    path: Vec<u32>,
    /// Members that it may still look at: in a damaged file a struct may contain itself, twice.
    budget: u32,
}

impl<'a> FieldWalk<'a> {
    fn new(btf: &'a Btf) -> FieldWalk<'a> {
        FieldWalk { btf, path: Vec::new(), budget: 1 << 17 }
    }

    /// Shows the named fields to `visit` until it returns true, and tells whether it did.
    fn visit(&mut self, id: TypeId, start: u32, visit: &mut dyn FnMut(Field<'a>) -> bool) -> bool {
        let btf = self.btf;
        let (Type::Struct(composite) | Type::Union(composite)) = btf.ty(btf.resolve(id).id) else {
            return false;
        };
        for (index, member) in (0..).zip(composite.members()) {
            if self.budget == 0 || self.path.len() as u32 >= MAX_DEPTH {
                return false;
            }
            self.budget -= 1;
            self.path.push(index);
            let bit_offset = start.saturating_add(member.bit_offset);
            let done = if member.name.is_empty() {
                self.visit(member.ty, bit_offset, visit)
            } else {
                let (bit_offset, bit_size) = btf.bit_field(member.ty, bit_offset, member.bit_size);
                visit(Field {
                    name: member.name,
                    path: self.path.clone(),
                    ty: member.ty,
                    bit_offset,
                    bit_size,
                })
            };
            self.path.pop();
            if done {
                return true;
            }
        }
        false
    }
}
