//! `for ($kv : @map) { … }`: the body is run for each element.

use rtscript_syntax::ast;

use super::Checker;
use super::error::MapFact;
use super::shape::Shape;
use crate::typed::StmtKind;
use crate::types::Type;

/// Loops over maps within each other: the kernel calls each body, and their frames share one stack.
const DEEPEST: usize = 3;

impl Checker<'_> {
    pub(super) fn each(
        &mut self,
        name: &ast::Ident,
        over: &ast::Expr,
        body: &ast::Block,
    ) -> Option<StmtKind> {
        let ast::ExprKind::Map { name: map_name, key: None } = &over.kind else {
            self.error(MapFact::NotIterable { at: over.span, scalar: false });
            return None;
        };
        if !self.kernel.features().for_each {
            self.error(MapFact::OldKernel { what: "a loop over a map", since: "5.13", at: over.span });
            return None;
        }
        if self.walk.each.len() >= DEEPEST {
            self.error(MapFact::LoopsTooDeep { at: over.span, limit: DEEPEST });
            return None;
        }
        let map = self.map(map_name, over.span);
        let facts = &self.entities.maps[map];
        if facts.scalar.is_some() && facts.keyed.is_none() && !self.quiet {
            self.error(MapFact::NotIterable { at: over.span, scalar: true });
            return None;
        }
        let (key, value) = (self.entities.ty(facts.key), self.entities.ty(facts.value));
        self.missing_value(map, over.span);
        let value = match value {
            Some(Type::Aggregate(aggregate)) => Some(self.merged_type(aggregate, map_name, over.span)?),
            value => value,
        };
        // The body is walked in any case, since it may tell what is in the map.
        self.walk.scopes.push(Vec::new());
        let local = self.declare_each(name);
        let element = key.zip(value).map(|(key, value)| Shape::of_type(&Type::Tuple(vec![key, value])));
        let known = element.is_some();
        self.flow(self.local_entity(local)?, element, name.span);
        let body = self.in_loop(body);
        self.walk.each.pop();
        self.walk.scopes.pop();
        known.then_some(StmtKind::Each { map, local, body })
    }

    /// Declares the variable of a loop, which is the first that belongs to it.
    fn declare_each(&mut self, name: &ast::Ident) -> crate::typed::LocalId {
        let local = crate::typed::LocalId::from_u32(self.walk.declared as u32);
        self.walk.each.push(local);
        self.declare(name)
    }
}
