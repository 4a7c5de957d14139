//! Which of the things that a probe hands over a body uses, found by reading the tree alone.

use rtscript_syntax::ast::{Expr, ExprKind, Ident, Probe};
use rtscript_syntax::parts::Part;

use crate::builtins::{self, Means, Value};
use crate::provider::Context;
use crate::typed::Intrinsic;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    args: bool,
    words: bool,
    retval: bool,
    pub probe: bool,
}

impl Uses {
    pub fn of(probe: &Probe) -> Uses {
        let mut uses = Uses::default();
        if let Some(predicate) = &probe.predicate {
            uses.part(Part::Expr(predicate));
        }
        uses.part(Part::Block(&probe.body));
        uses
    }

    /// Whether anything is used whose type the provider has to find out.
    pub fn has_types(self) -> bool {
        self.args || self.retval
    }

    /// The context without what is not used, so that contexts that differ in that alone are equal.
    pub fn trim(self, mut context: Context) -> Context {
        if !self.args {
            context.args.clear();
        }
        if !self.words {
            context.words.clear();
        }
        if !self.retval {
            context.retval = None;
        }
        context
    }

    fn name(&mut self, name: &str) {
        if builtins::word_index(name).is_some() {
            self.words = true;
        }
        match builtins::find(name).map(|row| row.means) {
            Some(Means::Value(Value::Args)) => self.args = true,
            Some(Means::Value(Value::Retval)) => self.retval = true,
            Some(Means::Computed(Intrinsic::Probe, _)) => self.probe = true,
            Some(
                Means::Value(_)
                | Means::Computed(..)
                | Means::Constant(_)
                | Means::Action(_)
                | Means::Summary(_)
                | Means::Library
                | Means::Later,
            )
            | None => {}
        }
    }

    fn part(&mut self, part: Part<'_>) {
        if let Part::Expr(Expr {
            kind: ExprKind::Ident(name) | ExprKind::Call { name: Ident { name, .. }, .. },
            ..
        }) = part
        {
            self.name(name);
        }
        part.each(&mut |part| self.part(part));
    }
}
