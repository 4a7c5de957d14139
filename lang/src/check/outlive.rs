//! Variables that outlive the block that assigns to them first, as in scripts from before there were blocks:
//!
//! ```text
//!   if ($family == AF_INET) { $size = 4; } else { $size = 16; }
//!   printf("%d\n", $size);
//! ```
//!
//! Such a variable belongs to the whole body. One that is declared, by `let` or by a loop, belongs to its block.

use std::collections::hash_map::Entry;

use rtscript_syntax::ast::{Block, Expr, ExprKind, Ident, Stmt, StmtKind};
use rtscript_syntax::parts::Part;
use rtscript_syntax::source::Span;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::builtins::{self, Means, Value};

/// A variable that is read where the block of its first assignment has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outliving {
    /// Where it is assigned first.
    pub name: Ident,
    /// Where it is read first, behind the block.
    pub read: Span,
}

/// The variables of a body that outlive their blocks, in the order in which they are read.
pub(super) fn outliving(body: &Block) -> Vec<Outliving> {
    let mut search = Search::default();
    search.part(Part::Block(body));
    let Search { mut found, declared, .. } = search;
    found.retain(|found| !declared.contains(&found.name.name.as_str()));
    found
}

#[derive(Default)]
struct Search<'a> {
    /// The names that are assigned to in the open blocks, innermost last.
    open: Vec<FxHashSet<&'a str>>,
    /// The first assignments, also those in blocks that have ended; by name, and in their order.
    ended: FxHashMap<&'a str, Span>,
    order: Vec<&'a str>,
    declared: FxHashSet<&'a str>,
    found: Vec<Outliving>,
}

impl<'a> Search<'a> {
    fn part(&mut self, part: Part<'a>) {
        match part {
            Part::Block(_) => {
                self.open.push(FxHashSet::default());
                part.each(&mut |part| self.part(part));
                self.open.pop();
                return;
            }
            Part::Stmt(Stmt { kind: StmtKind::Let { name, .. } | StmtKind::For { name, .. }, .. }) => {
                self.declared.insert(&name.name);
            }
            Part::Stmt(Stmt {
                kind:
                    StmtKind::Assign { target: Expr { kind: ExprKind::Variable(name), span }, op: None, value },
                ..
            }) => {
                self.part(Part::Expr(value));
                self.assigned(name, *span);
                return;
            }
            // `find(@map, key, $value)` assigns too.
            Part::Expr(Expr { kind: ExprKind::Call { name, args }, .. }) if is_find(&name.name) => {
                let Some((found, others)) = args.split_last() else { return };
                others.iter().for_each(|arg| self.part(Part::Expr(arg)));
                if let ExprKind::Variable(name) = &found.kind {
                    self.assigned(name, found.span);
                } else {
                    self.part(Part::Expr(found));
                }
                return;
            }
            Part::Expr(Expr { kind: ExprKind::Variable(name), span }) => self.read(name, *span),
            // A block that is a value keeps what is its own.
            Part::Expr(Expr { kind: ExprKind::Block(_) | ExprKind::If(_), .. }) => {
                let before = self.order.len();
                part.each(&mut |part| self.part(part));
                for name in self.order.drain(before..) {
                    self.ended.remove(name);
                }
                return;
            }
            Part::Stmt(_) | Part::Expr(_) | Part::Type(_) => {}
        }
        part.each(&mut |part| self.part(part));
    }

    fn assigned(&mut self, name: &'a str, span: Span) {
        if self.is_visible(name) {
            return;
        }
        if let Some(block) = self.open.last_mut() {
            block.insert(name);
        }
        if let Entry::Vacant(first) = self.ended.entry(name) {
            first.insert(span);
            self.order.push(name);
        }
    }

    fn read(&mut self, name: &'a str, read: Span) {
        if self.is_visible(name) {
            return;
        }
        let Some(span) = self.ended.get(name) else { return };
        self.found.push(Outliving { name: Ident { name: name.to_string(), span: *span }, read });
        // From here on it belongs to the body.
        self.open[0].insert(name);
    }

    fn is_visible(&self, name: &str) -> bool {
        self.open.iter().any(|block| block.contains(name))
    }
}

fn is_find(function: &str) -> bool {
    builtins::find(function).is_some_and(|row| row.means == Means::Value(Value::Find))
}

#[cfg(test)]
mod tests {
    use rtscript_syntax::ast::Item;
    use rtscript_syntax::source::Source;

    use super::*;

    fn names(body: &str) -> Vec<String> {
        let source = Source::new("a script", format!("begin {{ {body} }}"));
        let script = rtscript_syntax::parse(&source).expect("it parses");
        let [Item::Probe(probe)] = script.items.as_slice() else { panic!("one probe") };
        outliving(&probe.body).into_iter().map(|found| found.name.name).collect()
    }

    #[test]
    fn found_where_the_block_has_ended() {
        assert_eq!(names("if (1) { $a = 1; } else { $a = 2; } print($a);"), ["a"]);
        assert_eq!(names("while (1) { if (1) { $a = 1; $b = 2; } print($b); } print($a);"), ["b", "a"]);
        assert_eq!(names("if (1) { $a = 1; } $a += 1; print(($a, $a));"), ["a"]);
    }

    #[test]
    fn not_where_it_is_visible_or_declared_or_not_yet_assigned() {
        assert!(names("$a = 1; if (1) { $a = 2; } print($a);").is_empty());
        assert!(names("if (find(@m, 1, $a)) { $a = 2; } print($a);").is_empty());
        assert!(names("if (1) { $a = 1; print($a); } if (1) { $a = 2; print($a); }").is_empty());
        assert!(names("if (1) { let $a = 1; } print($a);").is_empty());
        assert!(names("$b = { $a = 1; 2 }; print($a);").is_empty());
        assert!(names("for ($a : 0..3) { } print($a);").is_empty());
        assert!(names("print($a); if (1) { $a = 1; }").is_empty());
        assert!(names("if (1) { $a = 1; } $a = 2; print($a);").is_empty());
    }
}
