//! Maps: their elements, and what is finally known about each of them.

use cranelift_entity::PrimaryMap;
use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, DidYouMean, Fact, MapFact, TypeFact, Warning};
use super::nearest::nearest;
use crate::aggregate::Aggregate;
use crate::typed::{self, Element, Expr, ExprKind, MapId, MapKind};
use crate::types::{Int, Space, Type};

/// The kinds of maps that `let @m = kind(entries)` knows.
const KINDS: &[(&str, MapKind)] = &[
    ("hash", MapKind::Hash),
    ("lruhash", MapKind::LruHash),
    ("percpuhash", MapKind::PerCpuHash),
    ("percpulruhash", MapKind::PerCpuLruHash),
];

/// The largest key that a hash of the kernel takes together with its value, in bytes (less than `KMALLOC_MAX_SIZE`).
const MAX_KEY: u32 = 1 << 16;

impl Checker<'_> {
    /// `let @m = hash(100);`
    pub(super) fn declare_maps(&mut self) {
        let script = self.script;
        for item in &script.items {
            let ast::Item::MapDecl(decl) = item else { continue };
            let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == decl.kind.name) else {
                let help = nearest(&decl.kind.name, KINDS.iter().map(|(name, _)| *name));
                self.error(MapFact::UnknownMapKind {
                    name: decl.kind.name.clone(),
                    at: decl.kind.span,
                    help,
                });
                continue;
            };
            let [entries] = &decl.args[..] else {
                self.error(Fact::NotConstant { what: "the number of entries".to_string(), at: decl.span });
                continue;
            };
            let Some(entries) = self.expr(entries) else { continue };
            let most = i128::from(u32::MAX);
            let entries =
                self.constant_in(&entries, "the number of entries", "a number, at least 1", 1..=most);
            let map = self.map(&decl.name.name, decl.name.span);
            let facts = &mut self.entities.maps[map];
            if let Some(first) = facts.declared {
                let name = decl.name.name.clone();
                self.error(MapFact::MapTwice { name, at: decl.span, first });
                continue;
            }
            facts.declared = Some(decl.span);
            facts.kind = *kind;
            facts.max_entries = entries.map(|entries| entries as u32);
        }
    }

    /// `@m` or `@m[key]` as something that has one value. Notes how the map is used.
    pub(super) fn element(&mut self, name: &str, key: Option<&[ast::Expr]>, at: Span) -> Option<Element> {
        let map = self.map(name, at);
        let Some(parts) = key else {
            self.entities.maps[map].scalar.get_or_insert(at);
            return Some(Element { map, key: None });
        };
        self.entities.maps[map].keyed.get_or_insert(at);
        let parts: Vec<Option<Expr>> = parts.iter().map(|part| self.expr(part)).collect();
        let mut parts = parts.into_iter().collect::<Option<Vec<_>>>();
        let key = match &mut parts {
            Some(parts) if parts.len() == 1 => parts.pop(),
            _ => parts.and_then(|parts| {
                let span = parts.first()?.span.to(parts.last()?.span);
                self.tuple(parts, span)
            }),
        };
        let key = self.store(self.entities.maps[map].key, key, "the key", at)?;
        Some(Element { map, key: Some(Box::new(key)) })
    }

    /// An element by the map's name alone and a key of its own, as `delete(@m, key)` has them.
    pub(super) fn element_by_key(&mut self, map: &ast::Expr, key: &ast::Expr) -> Option<Element> {
        let ast::ExprKind::Map { name, key: None } = &map.kind else { return None };
        self.element(name, Some(std::slice::from_ref(key)), map.span)
    }

    /// Lets a value flow into a key or a value of a map, and gives it that type.
    pub(super) fn store(
        &mut self,
        entity: super::solve::EntityId,
        value: Option<Expr>,
        role: &'static str,
        at: Span,
    ) -> Option<Expr> {
        let Some(value) = value else {
            self.flow(entity, None, at);
            return None;
        };
        // The kernel knows a context only where it does not leave the program.
        let is_context = matches!(value.ty, Type::Pointer(_, Space::Context)) && role == "a variable";
        if !is_context && !is_storable(&value.ty) {
            let ty = self.type_name(&value.ty);
            self.error(MapFact::NotStorable { ty, role, at: value.span });
            return None;
        }
        let shape = self.shape(&value);
        if !self.flow(entity, Some(shape), value.span) {
            return None;
        }
        let ty = self.entities.ty(entity)?;
        let (is, at) = (self.type_name(&value.ty), value.span);
        match self.convert(value, &ty) {
            Ok(value) => Some(value),
            Err(_) => {
                let entity = self.entities.get(entity);
                let (what, first) = (entity.what.clone(), entity.origin);
                let was = self.type_name(&ty);
                self.error(TypeFact::TypeConflict { what, is, was, at, first });
                None
            }
        }
    }

    /// A map as an expression: an element's value.
    pub(super) fn map_read(&mut self, name: &str, key: Option<&[ast::Expr]>, span: Span) -> Option<Expr> {
        let element = self.element(name, key, span);
        let map = self.map(name, span);
        let facts = &self.entities.maps[map];
        if let (None, Some(keyed), false) = (key, facts.keyed, self.quiet) {
            self.error(MapFact::WholeMap { name: name.to_string(), at: span, keyed });
            // This use is dealt with: it makes no conflict as well.
            let scalar = &mut self.entities.maps[map].scalar;
            *scalar = scalar.filter(|first| *first != span);
            return None;
        }
        let entity = facts.value;
        let Some(ty) = self.entities.ty(entity) else {
            self.missing_value(map, span);
            return None;
        };
        self.never_stored(map, span);
        let element = element?;
        let Type::Aggregate(aggregate) = ty else {
            return Some(Expr { kind: ExprKind::Map(element), ty, span });
        };
        let ty = self.merged_type(aggregate, name, span)?;
        Some(Expr { kind: ExprKind::Merged(element), ty, span })
    }

    /// The type of the number that a summary is over all CPUs; an error where it is none.
    pub(super) fn merged_type(&mut self, aggregate: Aggregate, name: &str, at: Span) -> Option<Type> {
        let Some(signed) = aggregate.sign() else {
            let summary = aggregate.name();
            self.error(MapFact::NotReadable { name: name.to_string(), summary, at });
            return None;
        };
        if !self.kernel.features().percpu_lookup {
            self.error(MapFact::OldKernel { what: "reading a summary in the script", since: "5.19", at });
            return None;
        }
        Some(Type::Int(Int { size: 8, signed }))
    }

    /// Warns of a map that is read and that nothing is stored in: its values are 0.
    fn never_stored(&mut self, map: MapId, at: Span) {
        let facts = &self.entities.maps[map];
        if !self.quiet && self.entities.get(facts.value).assigned.is_none() {
            let name = facts.name.clone();
            let help = self.nearest_map(&name);
            self.warn(Warning::NeverStored { name, at, help });
        }
    }

    fn nearest_map(&self, name: &str) -> Option<DidYouMean> {
        let stored =
            self.entities.maps.values().filter(|other| self.entities.get(other.value).assigned.is_some());
        nearest(name, stored.map(|other| other.name.as_str()))
    }

    /// Reports a map that nothing is stored in.
    pub(super) fn missing_value(&mut self, map: MapId, at: Span) {
        let facts = &self.entities.maps[map];
        if self.quiet || self.entities.get(facts.value).assigned.is_some() {
            return;
        }
        let name = facts.name.clone();
        let help = self.nearest_map(&name);
        self.error(Fact::UnknownMap { name, at, help });
    }

    /// The map that a function such as `clear` is given, without a key.
    pub(super) fn whole_map(&mut self, arg: &ast::Expr, row: &crate::builtins::Builtin) -> Option<MapId> {
        let ast::ExprKind::Map { name, key: None } = &arg.kind else {
            self.error(MapFact::NotAMap { function: row.name, signature: row.signature(), at: arg.span });
            return None;
        };
        let map = self.map(name, arg.span);
        self.missing_value(map, arg.span);
        Some(map)
    }

    /// What is known of every map in the end.
    pub(super) fn finish_maps(&mut self) -> PrimaryMap<MapId, typed::Map> {
        let mut maps = PrimaryMap::new();
        for id in self.entities.maps.keys().collect::<Vec<_>>() {
            let facts = &self.entities.maps[id];
            let name = facts.name.clone();
            if let (Some(keyed), Some(scalar)) = (facts.keyed, facts.scalar) {
                self.error(MapFact::KeyConflict { name: name.clone(), keyed, scalar });
            }
            let facts = &self.entities.maps[id];
            if let (Some(declared), Some(scalar), None) = (facts.declared, facts.scalar, facts.keyed) {
                self.error(MapFact::DeclaredWithKeys { name: name.clone(), scalar, declared });
            }
            let facts = &self.entities.maps[id];
            let key = facts.keyed.map(|at| (self.entities.ty(facts.key), at));
            let key = match key {
                Some((Some(ty), at)) => {
                    // A hash of the kernel has no keys without bytes.
                    if !(1..=MAX_KEY).contains(&self.structs.layout(&ty).size) {
                        let ty = self.type_name(&ty);
                        self.error(MapFact::NotStorable { ty, role: "the key", at });
                    }
                    Some(ty)
                }
                Some((None, at)) => {
                    if self.errors.is_empty() && !self.passed_over {
                        self.error(TypeFact::Untyped { what: error::map_key(&name), at });
                    }
                    None
                }
                None => None,
            };
            let facts = &self.entities.maps[id];
            maps.push(typed::Map {
                name,
                key,
                value: self.entities.ty(facts.value).unwrap_or(Type::I64),
                kind: facts.kind,
                max_entries: facts.max_entries.unwrap_or(self.config.max_map_keys),
                span: facts.first,
            });
        }
        maps
    }
}

/// Whether a map can hold it, as a key or as a value.
fn is_storable(ty: &Type) -> bool {
    match ty {
        Type::Void | Type::Aggregate(_) | Type::Pointer(_, Space::Context) => false,
        Type::Tuple(types) => types.iter().all(is_storable),
        Type::Record(fields) => fields.iter().all(|(_, ty)| is_storable(ty)),
        Type::Bool
        | Type::Int(_)
        | Type::Enum(_)
        | Type::String(_)
        | Type::Buffer(_)
        | Type::Pointer(..)
        | Type::Struct(_)
        | Type::Array(..)
        | Type::Stack(_)
        | Type::KernelSymbol
        | Type::UserSymbol
        | Type::Inet
        | Type::Mac
        | Type::Timestamp(..)
        | Type::Username
        | Type::Label(_)
        | Type::Probe => true,
    }
}
