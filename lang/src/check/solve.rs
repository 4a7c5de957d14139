//! Finds the types of entities: variables, map keys, map values.
//!
//! The constraints are "what flows into this entity": each assignment gives a shape. A worklist holds the bodies to
//! walk. A walk replaces the shapes that its body contributes; where an entity changed by that, the bodies
//! that read it are walked again. So a type may come from an assignment that stands later, or in another
//! probe: `begin { @a = @b; @b = @c; } end { @c = "hello" }`.
//!
//! What is unknown when nothing changes any more depends on itself alone, as in `@n = @n + 1`, or is a map that nothing is stored
//! in. The values of such maps are numbers, which start at 0.
//!
//! It ends: shapes have finite height, and a body that was walked often only adds to what it contributed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cranelift_entity::{PrimaryMap, entity_impl};
use rtscript_syntax::ast;
use rtscript_syntax::source::Span;
use rustc_hash::FxHashMap;

use super::error::{self, TypeFact, Warning};
use super::outlive::{Outliving, outliving};
use super::shape::Shape;
use super::{Checker, attach};
use crate::provider::ProgramKind;
use crate::typed::{self, CompareOp, ExprKind, Intrinsic, LocalId, MapId, MapKind};
use crate::types::{Int, Structs, Type};

/// After so many walks of a body its contributions only widen.
const PATIENCE: u32 = 16;
/// The part of an entity that no body contributes.
const ASSUMED: usize = usize::MAX;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EntityId(u32);
entity_impl!(EntityId, "entity");

/// Something that has one type in the whole script, or in the whole of a body.
#[derive(Debug, Default)]
pub(super) struct Entity {
    /// For diagnostics: "`$x`", "the key of `@x`".
    pub what: String,
    /// What is known so far.
    pub shape: Option<Shape>,
    /// Where the first known shape came from.
    pub origin: Option<Span>,
    /// The type that the script gave it.
    pub annotated: Option<Type>,
    /// Where something is assigned, even if its type is not known.
    pub assigned: Option<Span>,
    /// What each body contributes, by the body's index.
    parts: BTreeMap<usize, Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    shape: Shape,
    span: Span,
}

#[derive(Debug, Default)]
pub(super) struct Entities {
    all: PrimaryMap<EntityId, Entity>,
    /// Of each body: what it contributes to.
    parts_of: FxHashMap<usize, BTreeSet<EntityId>>,
    pub maps: PrimaryMap<MapId, MapFacts>,
    pub map_names: FxHashMap<String, MapId>,
}

/// A map, as far as it is known.
#[derive(Debug)]
pub(super) struct MapFacts {
    pub name: String,
    pub first: Span,
    pub key: EntityId,
    pub value: EntityId,
    /// Where it is used with a key, and where without one.
    pub keyed: Option<Span>,
    pub scalar: Option<Span>,
    /// `let @m = kind(entries)`
    pub declared: Option<Span>,
    pub kind: MapKind,
    pub max_entries: Option<u32>,
    /// The bodies that use it.
    users: BTreeSet<usize>,
}

/// A variable of a body.
#[derive(Debug)]
pub(super) struct Local {
    pub name: String,
    pub span: Span,
    pub entity: EntityId,
    /// The variable of the innermost loop over a map that it is declared in.
    pub within: Option<LocalId>,
    /// Somewhere its address is taken.
    pub addressed: bool,
}

/// Where the walk stands.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The body that is walked.
    pub instance: Option<usize>,
    /// The names that are visible, by block, innermost last.
    pub scopes: Vec<Vec<(String, LocalId)>>,
    /// How many variables this walk has declared.
    pub declared: usize,
    /// Loops around the place.
    pub loops: u32,
    /// How often what stands here is there once the loops around it are unrolled; 0 outside of them.
    pub unrolled: u32,
    /// The variables of the loops over maps around the place, innermost last.
    pub each: Vec<LocalId>,
    /// Expressions and statements around the place.
    pub depth: u32,
    /// The variables that were reported as unknown.
    pub unknown: BTreeSet<String>,
    contributions: BTreeMap<EntityId, Part>,
    /// What was known of those before the walk.
    before: BTreeMap<EntityId, Option<Shape>>,
}

impl Entities {
    pub fn add(&mut self, what: String) -> EntityId {
        self.all.push(Entity { what, ..Entity::default() })
    }

    pub fn get(&self, id: EntityId) -> &Entity {
        &self.all[id]
    }

    pub fn get_mut(&mut self, id: EntityId) -> &mut Entity {
        &mut self.all[id]
    }

    /// The type, as far as it is known.
    pub fn ty(&self, id: EntityId) -> Option<Type> {
        let entity = &self.all[id];
        entity.annotated.clone().or_else(|| entity.shape.as_ref().map(Shape::ty))
    }

    /// Whether only literals flow into it, so that its sign is still open.
    pub fn is_flexible(&self, id: EntityId) -> bool {
        let entity = &self.all[id];
        entity.annotated.is_none() && entity.shape.as_ref().is_some_and(Shape::is_flexible)
    }
}

impl<'a> Checker<'a> {
    pub(super) fn solve(&mut self) {
        self.quiet = true;
        let mut walks = vec![0; self.instances.len()];
        self.propagate((0..self.instances.len()).collect(), &mut walks);
        while let Some(users) = self.assume_a_number() {
            self.propagate(users, &mut walks);
        }
        self.quiet = false;
    }

    /// Takes one map whose value is unknown for one of numbers, and gives the bodies that use it. Where something is wrong with the
    /// script, a value may be unknown for that reason.
    fn assume_a_number(&mut self) -> Option<VecDeque<usize>> {
        let unknown = |map: &&MapFacts| {
            let value = &self.entities.all[map.value];
            value.shape.is_none() && value.annotated.is_none()
        };
        let map = self.entities.maps.values().find(unknown)?;
        let (value, first, users) = (map.value, map.first, map.users.iter().copied().collect());
        self.failed = false;
        for &index in &users {
            self.walk_body(index);
            self.settle(index, true);
        }
        if self.failed {
            return None;
        }
        let part = Part { shape: Shape::any_number(), span: first };
        let entity = &mut self.entities.all[value];
        entity.shape = Some(part.shape.clone());
        entity.origin = Some(first);
        entity.parts.insert(ASSUMED, part);
        Some(users)
    }

    /// Walks bodies until nothing changes any more.
    fn propagate(&mut self, mut queue: VecDeque<usize>, walks: &mut [u32]) {
        let mut waiting: BTreeSet<usize> = queue.iter().copied().collect();
        while let Some(index) = queue.pop_front() {
            waiting.remove(&index);
            let known_locals = self.instances[index].locals.len();
            self.walk_body(index);
            walks[index] += 1;
            let changed = self.settle(index, walks[index] > PATIENCE);
            // A variable that was read before its type was known was declared by this walk, or is known by now.
            let mut again: BTreeSet<usize> = BTreeSet::new();
            let instance = &self.instances[index];
            if instance.locals.len() > known_locals
                || instance.locals.iter().any(|local| changed.contains(&local.entity))
            {
                again.insert(index);
            }
            for map in self.entities.maps.values() {
                if changed.contains(&map.key) || changed.contains(&map.value) {
                    again.extend(&map.users);
                }
            }
            for index in again {
                if waiting.insert(index) {
                    queue.push_back(index);
                }
            }
        }
    }

    /// Walks a body: its predicate and its statements.
    pub(super) fn walk_body(&mut self, index: usize) -> (Option<typed::Expr>, typed::Block) {
        self.walk = Walk { instance: Some(index), ..Walk::default() };
        let attach::Instance { probe, filter_pid, ref dispatch, .. } = self.instances[index];
        let is_dispatched = dispatch.is_some();
        let span = probe.span;
        let filter = filter_pid.map(|pid| {
            let wide = |kind| typed::Expr { kind, ty: Type::U64, span };
            let current =
                typed::Expr { kind: ExprKind::Call(Intrinsic::Pid, Vec::new()), ty: Type::U32, span };
            let current = wide(ExprKind::Cast(Box::new(current)));
            let asked = wide(ExprKind::Int(u64::from(pid)));
            let kind = ExprKind::Compare(CompareOp::Eq, Box::new(current), Box::new(asked));
            typed::Expr { kind, ty: Type::Bool, span }
        });
        self.walk.scopes.push(Vec::new());
        let native = if is_dispatched { self.is_native(span) } else { None };
        let own = probe.predicate.as_ref().and_then(|predicate| {
            let value = self.expr(predicate)?;
            self.truth(value)
        });
        let both = |first, second| {
            let kind = ExprKind::And(Box::new(first), Box::new(second));
            typed::Expr { kind, ty: Type::Bool, span }
        };
        let object = self.has_object(span);
        let predicate = [filter, native, object, own].into_iter().flatten().reduce(both);
        let mut body = self.declare_outliving(probe);
        body.extend(self.block(&probe.body));
        self.walk.scopes.pop();
        if !self.quiet {
            self.walk.instance = None;
        }
        (predicate, body)
    }

    /// Variables that outlive their blocks are 0 from the start.
    fn declare_outliving(&mut self, probe: &ast::Probe) -> typed::Block {
        let mut declarations = Vec::new();
        for Outliving { name, read } in outliving(&probe.body) {
            // A macro's own variables have a number behind their name.
            let shown = name.name.split('\'').next().unwrap_or(&name.name).to_string();
            self.warn(Warning::Outlives { name: shown, at: name.span, read });
            let span = name.span;
            declarations.extend(self.declaration(&name, None, None, span));
        }
        declarations
    }

    /// Of an iterator: whether there is an object, and not the end, for which the kernel runs the program once more.
    fn has_object(&self, span: Span) -> Option<typed::Expr> {
        let context = &self.instances[self.walk.instance?].context;
        if context.program != ProgramKind::Iter {
            return None;
        }
        let last = context.args.iter().rposition(|arg| matches!(arg.ty, Type::Pointer(..)))?;
        let object =
            typed::Expr { kind: ExprKind::Arg(last as u32), ty: context.args[last].ty.clone(), span };
        let null = typed::Expr { kind: ExprKind::Int(0), ty: object.ty.clone(), span };
        let kind = ExprKind::Compare(CompareOp::Ne, Box::new(object), Box::new(null));
        Some(typed::Expr { kind, ty: Type::Bool, span })
    }

    /// Whether the running program is a 64-bit one: bit 1 of its status (TS_COMPAT of x86) is not set.
    fn is_native(&mut self, span: Span) -> Option<typed::Expr> {
        let expr = |kind| ast::Expr { kind, span };
        let int = |value| expr(ast::ExprKind::Int { value, suffix: ast::IntSuffix::None });
        let field = |object, name: &str| {
            let name = ast::Ident { name: name.to_string(), span };
            expr(ast::ExprKind::Field { object: Box::new(object), name, arrow: false })
        };
        let binary = |op, left, right| {
            expr(ast::ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) })
        };
        let task = expr(ast::ExprKind::Ident("curtask".to_string()));
        let status = field(field(task, "thread_info"), "status");
        let compat = binary(ast::BinaryOp::BitAnd, status, int(2));
        self.expr(&binary(ast::BinaryOp::Eq, compat, int(0)))
    }

    /// Takes over what the last walk contributed, and tells which entities changed by it.
    fn settle(&mut self, index: usize, only_widen: bool) -> BTreeSet<EntityId> {
        let mut contributions = std::mem::take(&mut self.walk.contributions);
        let mut changed = BTreeSet::new();
        let mut ids = self.entities.parts_of.remove(&index).unwrap_or_default();
        ids.extend(contributions.keys());
        for &id in &ids {
            let entity = &mut self.entities.all[id];
            let new = contributions.remove(&id);
            let old = entity.parts.get(&index);
            let before = self.walk.before.remove(&id).unwrap_or_else(|| entity.shape.clone());
            if new.is_some() && new.as_ref() == old {
                entity.shape = before;
                continue;
            }
            let part = match (old.cloned(), new) {
                (Some(old), Some(new)) if only_widen => {
                    let shape = old.shape.join(&new.shape, &self.structs).unwrap_or(old.shape);
                    Some(Part { shape, span: old.span })
                }
                (Some(old), None) if only_widen => Some(old),
                (_, new) => new,
            };
            // What stands behind all others joins what is known; the parts need not be gone through again.
            let is_last = entity.parts.last_key_value().is_none_or(|(last, _)| *last < index);
            let (shape, origin) = match part {
                Some(part) if is_last => {
                    let known = before.clone().zip(entity.origin);
                    let whole = join_part(known, &part, &self.structs);
                    entity.parts.insert(index, part);
                    Some(whole).unzip()
                }
                part => {
                    match part {
                        Some(part) => entity.parts.insert(index, part),
                        None => entity.parts.remove(&index),
                    };
                    join_parts(entity.parts.values(), &self.structs)
                }
            };
            if shape != before {
                changed.insert(id);
            }
            entity.shape = shape;
            entity.origin = origin;
        }
        ids.retain(|id| self.entities.all[*id].parts.contains_key(&index));
        self.entities.parts_of.insert(index, ids);
        changed
    }

    /// Something of this shape is assigned to an entity. While types are found out, that widens the entity; after
    /// that, it tells whether the entity's type holds it, and reports if not.
    pub(super) fn flow(&mut self, id: EntityId, shape: Option<Shape>, span: Span) -> bool {
        let entity = &mut self.entities.all[id];
        entity.assigned.get_or_insert(span);
        let Some(shape) = shape else { return false };
        if self.quiet {
            let joined = match &entity.shape {
                None => Some(shape.clone()),
                Some(known) => known.join(&shape, &self.structs),
            };
            if let Some(joined) = joined {
                self.walk.before.entry(id).or_insert_with(|| entity.shape.clone());
                entity.shape = Some(joined);
            }
            match self.walk.contributions.get_mut(&id) {
                None => {
                    self.walk.contributions.insert(id, Part { shape, span });
                }
                Some(part) => {
                    if let Some(joined) = part.shape.join(&shape, &self.structs) {
                        part.shape = joined;
                    }
                }
            }
            return true;
        }
        let known = match (&entity.annotated, &entity.shape) {
            (Some(annotated), _) => Shape::of_type(annotated),
            (None, Some(known)) => known.clone(),
            (None, None) => return false,
        };
        if known.join(&shape, &self.structs).is_some() {
            return true;
        }
        let (what, first) = (entity.what.clone(), entity.origin);
        let (is, was) = (self.type_name(&shape.ty()), self.type_name(&known.ty()));
        self.error(TypeFact::TypeConflict { what, is, was, at: span, first });
        false
    }

    /// Reports entities whose type could not be found, and those that mix signs.
    pub(super) fn finish_entities(&mut self) {
        for id in self.entities.all.keys().collect::<Vec<_>>() {
            let entity = &self.entities.all[id];
            let what = entity.what.clone();
            match (&entity.shape, &entity.annotated, entity.assigned) {
                (None, None, Some(at)) if self.errors.is_empty() && !self.passed_over => {
                    self.error(TypeFact::Untyped { what, at })
                }
                (Some(Shape::Int(int)), None, _) if int.is_lossy() => {
                    let at = entity
                        .parts
                        .values()
                        .find(|part| is_mixed(&part.shape))
                        .or(entity.parts.values().last());
                    if let Some(at) = at.map(|part| part.span) {
                        self.warn(Warning::MixedSigns { what, at });
                    }
                }
                _ => {}
            }
        }
    }

    /// The variable that a name means here.
    pub(super) fn local(&self, name: &str) -> Option<LocalId> {
        let mut visible = self.walk.scopes.iter().rev().flatten();
        visible.find(|(known, _)| known == name).map(|(_, local)| *local)
    }

    pub(super) fn local_entity(&self, local: LocalId) -> Option<EntityId> {
        Some(self.instances[self.walk.instance?].locals.get(local.as_u32() as usize)?.entity)
    }

    /// Declares a variable in the innermost block. A walk declares the same variables in the same order as the
    /// walk before it.
    pub(super) fn declare(&mut self, name: &ast::Ident) -> LocalId {
        let local = LocalId::from_u32(self.walk.declared as u32);
        self.walk.declared += 1;
        if let Some(index) = self.walk.instance
            && self.instances[index].locals.len() < self.walk.declared
        {
            let entity = self.entities.add(error::variable(&name.name));
            let within = self.walk.each.last().copied();
            self.instances[index].locals.push(Local {
                name: name.name.clone(),
                span: name.span,
                entity,
                within,
                addressed: false,
            });
        }
        if let Some(scope) = self.walk.scopes.last_mut() {
            scope.push((name.name.clone(), local));
        }
        local
    }

    /// The map of a name, which need not have been seen before.
    pub(super) fn map(&mut self, name: &str, at: Span) -> MapId {
        let id = match self.entities.map_names.get(name) {
            Some(&id) => id,
            None => {
                let key = self.entities.add(error::map_key(name));
                let value = self.entities.add(error::map_value(name));
                let id = self.entities.maps.push(MapFacts {
                    name: name.to_string(),
                    first: at,
                    key,
                    value,
                    keyed: None,
                    scalar: None,
                    declared: None,
                    kind: MapKind::Hash,
                    max_entries: None,
                    users: BTreeSet::new(),
                });
                self.entities.map_names.insert(name.to_string(), id);
                id
            }
        };
        self.entities.maps[id].users.extend(self.walk.instance);
        id
    }
}

/// The shape that holds all parts, in the order of the script; one that conflicts with those before it is left
/// out, and is reported where it flows.
fn join_parts<'p>(parts: impl Iterator<Item = &'p Part>, structs: &Structs) -> (Option<Shape>, Option<Span>) {
    let mut whole: Option<(Shape, Span)> = None;
    for part in parts {
        whole = Some(join_part(whole, part, structs));
    }
    whole.unzip()
}

fn join_part(known: Option<(Shape, Span)>, part: &Part, structs: &Structs) -> (Shape, Span) {
    match known {
        None => (part.shape.clone(), part.span),
        Some((shape, span)) => (shape.join(&part.shape, structs).unwrap_or(shape), span),
    }
}

fn is_mixed(shape: &Shape) -> bool {
    matches!(shape, Shape::Int(int) if int.signed > 0 && int.unsigned == Int::U64.size)
}
