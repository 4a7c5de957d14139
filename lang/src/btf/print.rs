//! Types as C text, for listings and diagnostics.
//!
//! A pointer is written with a space on both sides, `struct task_struct * p`, as listings of this language
//! always did. Types in a damaged file may be circular: what lies too deep, or is too much, is `...`.

use std::fmt::Write;

use super::{Btf, Composite, Type, TypeId};

impl Btf {
    /// A type by itself: `unsigned int`, `struct file *`, `char[16]`.
    pub fn type_name(&self, id: TypeId) -> String {
        self.declare(id, "")
    }

    /// A declaration of `name`: `int pid`, `char comm[16]`, `struct task_struct * p`, `void (*f)(int)`.
    pub fn declare(&self, id: TypeId, name: &str) -> String {
        Printer::new(self).declare(id, name.to_owned())
    }

    /// The definition of a struct, union, enum or typedef over several lines, ending in `;`. `None` for types
    /// that have no definition.
    pub fn definition(&self, id: TypeId) -> Option<String> {
        match self.ty(id) {
            Type::Struct(composite) => Some(Printer::new(self).body("struct", &composite, 0) + ";"),
            Type::Union(composite) => Some(Printer::new(self).body("union", &composite, 0) + ";"),
            Type::Enum(an_enum) => {
                let mut text = head("enum", an_enum.name) + " {\n";
                for value in an_enum.values() {
                    let _ = if an_enum.signed {
                        writeln!(text, "\t{} = {},", value.name, value.value)
                    } else {
                        writeln!(text, "\t{} = {},", value.name, value.value as u64)
                    };
                }
                Some(text + "};")
            }
            Type::Typedef(typedef) => {
                Some(format!("typedef {};", self.declare(typedef.target, typedef.name)))
            }
            Type::Void
            | Type::Int(_)
            | Type::Ptr(_)
            | Type::Array(_)
            | Type::Forward(_)
            | Type::Volatile(_)
            | Type::Const(_)
            | Type::Restrict(_)
            | Type::Func(_)
            | Type::FuncProto(_)
            | Type::Var(_)
            | Type::DataSec(_)
            | Type::Float(_)
            | Type::DeclTag(_)
            | Type::TypeTag(_) => None,
        }
    }
}

struct Printer<'a> {
    btf: &'a Btf,
    /// Levels that it may still go down.
    depth: u32,
    /// Types that it may still print.
    budget: u32,
}

impl Printer<'_> {
    fn new(btf: &Btf) -> Printer<'_> {
        Printer { btf, depth: 32, budget: 1 << 16 }
    }

    /// Wraps `inner`, what stands nearer to the name, in the type: C declares from the inside out.
    fn declare(&mut self, id: TypeId, inner: String) -> String {
        if self.depth == 0 || self.budget == 0 {
            return join("...", &inner);
        }
        self.depth -= 1;
        self.budget -= 1;
        let text = match self.btf.ty(id) {
            Type::Void => join("void", &inner),
            Type::Int(int) => join(int.name, &inner),
            Type::Float(float) => join(float.name, &inner),
            Type::Struct(composite) => join(&reference("struct", composite.name), &inner),
            Type::Union(composite) => join(&reference("union", composite.name), &inner),
            Type::Enum(an_enum) => join(&reference("enum", an_enum.name), &inner),
            Type::Forward(forward) => {
                join(&reference(if forward.is_union { "union" } else { "struct" }, forward.name), &inner)
            }
            Type::Typedef(typedef) => join(typedef.name, &inner),
            Type::Const(target) => self.qualify("const", target, inner),
            Type::Volatile(target) => self.qualify("volatile", target, inner),
            Type::Restrict(target) => self.qualify("restrict", target, inner),
            Type::TypeTag(tag) => self.declare(tag.target, inner),
            Type::Ptr(target) => {
                let inner = if self.binds_tighter_than_pointer(target) {
                    format!("(*{inner})")
                } else if inner.is_empty() || inner.starts_with(['*', '[']) {
                    format!("*{inner}")
                } else {
                    format!("* {inner}")
                };
                self.declare(target, inner)
            }
            Type::Array(array) => self.declare(array.element, format!("{inner}[{}]", array.length)),
            Type::FuncProto(proto) => {
                let mut params = Vec::new();
                for param in proto.params() {
                    if param.name.is_empty() && param.ty == TypeId::VOID {
                        params.push("...".to_owned());
                    } else {
                        params.push(self.declare(param.ty, param.name.to_owned()));
                    }
                }
                let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
                self.declare(proto.result, format!("{inner}({params})"))
            }
            Type::Func(func) => self.declare(func.proto, func.name.to_owned()),
            Type::Var(var) => self.declare(var.ty, var.name.to_owned()),
            Type::DataSec(section) => join(section.name, &inner),
            Type::DeclTag(tag) => self.declare(tag.target, inner),
        };
        self.depth += 1;
        text
    }

    /// A qualifier stands right of the `*` that it qualifies, and left of everything else.
    fn qualify(&mut self, word: &str, target: TypeId, inner: String) -> String {
        if matches!(self.btf.ty(self.untagged(target)), Type::Ptr(_)) {
            self.declare(target, join(word, &inner))
        } else {
            format!("{word} {}", self.declare(target, inner))
        }
    }

    fn binds_tighter_than_pointer(&self, id: TypeId) -> bool {
        matches!(self.btf.ty(self.untagged(id)), Type::Array(_) | Type::FuncProto(_))
    }

    fn untagged(&self, mut id: TypeId) -> TypeId {
        for _ in 0..self.depth {
            let Type::TypeTag(tag) = self.btf.ty(id) else { break };
            id = tag.target;
        }
        id
    }

    fn body(&mut self, word: &str, composite: &Composite<'_>, level: usize) -> String {
        let mut text = head(word, composite.name) + " {\n";
        let indent = "\t".repeat(level + 1);
        for member in composite.members() {
            if self.depth == 0 || self.budget == 0 {
                let _ = writeln!(text, "{indent}...");
                break;
            }
            self.depth -= 1;
            self.budget -= 1;
            let ty = self.btf.ty(member.ty);
            let declaration = if let Type::Struct(inner) = ty
                && inner.name.is_empty()
            {
                join(&self.body("struct", &inner, level + 1), member.name)
            } else if let Type::Union(inner) = ty
                && inner.name.is_empty()
            {
                join(&self.body("union", &inner, level + 1), member.name)
            } else {
                self.declare(member.ty, member.name.to_owned())
            };
            self.depth += 1;
            let _ = match member.bit_size {
                Some(width) => writeln!(text, "{indent}{declaration} : {width};"),
                None => writeln!(text, "{indent}{declaration};"),
            };
        }
        text + &"\t".repeat(level) + "}"
    }
}

/// How a definition starts: `struct list_head`, or `struct` alone for an anonymous one.
fn head(word: &str, name: &str) -> String {
    if name.is_empty() { word.to_owned() } else { format!("{word} {name}") }
}

/// How a type is mentioned: `struct list_head`, or `struct {...}` for an anonymous one.
fn reference(word: &str, name: &str) -> String {
    if name.is_empty() { format!("{word} {{...}}") } else { format!("{word} {name}") }
}

fn join(left: &str, right: &str) -> String {
    if right.is_empty() || right.starts_with('[') {
        format!("{left}{right}")
    } else {
        format!("{left} {right}")
    }
}
