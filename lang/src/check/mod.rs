//! `check`: a syntax tree becomes a typed program, or the list of everything that is wrong with it.
//!
//! It runs in four steps, each in a file of its own:
//!
//! 1. `settings.rs` reads `config = { … }` and the environment.
//! 2. `attach.rs` asks the providers what the attach points stand for, and makes *instances*: a body together with
//!    one context. Matches of a wildcard that look the same to the body share an instance.
//! 3. `solve.rs` finds the types of variables, map keys and map values (*entities*): it walks the bodies in
//!    silence, joins the shapes that flow into each entity, and walks a body again while an entity that it
//!    reads still changes.
//! 4. One more walk of every body builds the tree, and reports.
//!
//! The walk is the same in steps 3 and 4. An expression that is wrong, or whose type is not known yet, is `None`
//! and silences all that depends on it; whoever returns the first `None` has reported why. So operands are
//! always all evaluated before `?` is applied to any.
//!
//! Assumes that macros and imports are expanded. Ensures what the head of `typed.rs` says.

mod actions;
mod addresses;
mod attach;
mod blocks;
mod calls;
mod comptime;
mod definitions;
mod each;
mod error;
mod expressions;
mod fields;
mod folding;
mod foreign;
mod format;
mod formatted;
mod maps;
mod nearest;
mod numbers;
mod operators;
mod options;
mod outlive;
mod reader;
mod settings;
mod shape;
mod solve;
mod statements;
mod strings;
mod summaries;
mod system;
mod text;
mod types;
mod uses;

use cranelift_entity::{EntityRef, PrimaryMap};
use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use crate::action::{Action, ActionId};
use crate::config::Config;
use crate::foreign::ForeignFunction;
use crate::kernel::{Kernel, KernelError};
use crate::provider::Provider;
use crate::typed::{self, Program};
use crate::types::{StackMode, Structs, Type};

pub use error::{CheckError, DidYouMean, Expanded, Fact, Warning};

use attach::Instance;
use definitions::Definitions;
use solve::{Entities, Walk};

/// What the command line and the environment say about a script.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `$1`, `$2`, …
    pub positional: Vec<String>,
    /// `--name=value` and `--name`.
    pub named: Vec<(String, Option<String>)>,
    /// Settings from the environment, which win over the script's: `("BPFTRACE_MAX_STRLEN", "200")`. The prefix and
    /// the case do not matter, and names that are no settings are passed over.
    pub environment: Vec<(String, String)>,
    /// The process that `-c` started.
    pub child_pid: Option<u32>,
    /// Only events of this process count (`-p`).
    pub filter_pid: Option<u32>,
    /// Functions that change the system are allowed.
    pub allow_unsafe: bool,
    /// The functions in C that the script imports.
    pub foreign: Vec<ForeignFunction>,
}

/// A correct script.
#[derive(Debug)]
pub struct Checked {
    pub program: Program,
    /// What it can be told by name, in the order of its probes.
    pub parameters: Vec<Parameter>,
    pub warnings: Vec<Warning>,
}

/// A parameter that a script takes by name (`getopt`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// Where it is asked for first.
    pub at: Span,
    /// What it takes.
    pub expected: &'static str,
    /// As it is written on the command line.
    pub default: String,
    pub description: String,
}

/// Checks a script against a kernel. The errors are all that were found, in the order of the script.
pub fn check(
    script: &ast::Script,
    kernel: &dyn Kernel,
    providers: &[&dyn Provider],
    options: &Options,
) -> Result<Checked, Vec<CheckError>> {
    let mut checker = Checker {
        script,
        kernel,
        options,
        config: Config::default(),
        stack_mode: StackMode::Symbols,
        structs: Structs::default(),
        definitions: Definitions::default(),
        instances: Vec::new(),
        entities: Entities::default(),
        actions: PrimaryMap::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
        parameters: Vec::new(),
        passed_over: false,
        quiet: false,
        failed: false,
        walk: Walk::default(),
    };
    checker.read_settings();
    checker.refuse_what_comes_later();
    checker.define_types();
    checker.declare_maps();
    checker.make_instances(providers);
    checker.solve();
    checker.build()
}

/// What is known so far. Everything belongs to one run of [`check`].
struct Checker<'a> {
    script: &'a ast::Script,
    kernel: &'a dyn Kernel,
    options: &'a Options,
    config: Config,
    /// The setting `stack_mode`.
    stack_mode: StackMode,
    structs: Structs,
    /// What the script defines in C.
    definitions: Definitions<'a>,
    instances: Vec<Instance<'a>>,
    entities: Entities,
    actions: PrimaryMap<ActionId, Action>,
    errors: Vec<CheckError>,
    warnings: Vec<Warning>,
    parameters: Vec<Parameter>,
    /// Something has no type because no probe calls the function that it is in.
    passed_over: bool,
    /// While types are being found out, nothing is reported and no action is kept.
    quiet: bool,
    /// Meanwhile something was wrong.
    failed: bool,
    walk: Walk,
}

impl Checker<'_> {
    /// The last walk over every body.
    fn build(mut self) -> Result<Checked, Vec<CheckError>> {
        let mut probes = Vec::with_capacity(self.instances.len());
        for index in 0..self.instances.len() {
            let (predicate, body) = self.walk_body(index);
            let instance = &self.instances[index];
            if instance.uncalled {
                continue;
            }
            let locals = instance
                .locals
                .iter()
                .map(|local| typed::Local {
                    name: local.name.clone(),
                    ty: self.entities.ty(local.entity).unwrap_or(Type::I64),
                    span: local.span,
                    within: local.within,
                    addressed: local.addressed,
                })
                .collect();
            probes.push(typed::Probe {
                span: instance.at,
                targets: instance.targets.clone(),
                context: instance.context.clone(),
                dispatch: instance.dispatch.clone(),
                locals,
                predicate,
                body,
                prints_to_reader: instance.provider.prints_to_reader(&instance.targets[0]),
            });
        }
        self.refuse_unknown_options();
        let maps = self.finish_maps();
        self.finish_entities();
        self.complete_printed(&maps);
        if !self.errors.is_empty() {
            self.errors.sort_by_key(|error| error.fact.start());
            return Err(self.errors);
        }
        self.warnings.sort_by_key(Warning::start);
        self.warnings.dedup();
        let probe_names =
            probes.iter().flat_map(|probe| probe.targets.iter().map(|target| target.name.clone())).collect();
        let program = Program {
            structs: self.structs,
            maps,
            actions: self.actions,
            probes,
            probe_names,
            config: self.config,
            foreign: self.options.foreign.clone(),
        };
        Ok(Checked { program, parameters: self.parameters, warnings: self.warnings })
    }

    /// Decodes the structures of all values that user space prints.
    fn complete_printed(&mut self, maps: &PrimaryMap<typed::MapId, typed::Map>) {
        let fields = self.actions.values().filter_map(Action::record).flat_map(|record| &record.fields);
        let sent = fields.map(|field| (field.ty.clone(), Span::default()));
        let kept =
            maps.values().flat_map(|map| map.key.iter().chain([&map.value]).map(|ty| (ty.clone(), map.span)));
        for (ty, span) in sent.chain(kept).collect::<Vec<_>>() {
            let done = self.structs.complete_within(&ty, self.kernel);
            self.fact(done, span);
        }
    }

    /// Reports an error, once for each place, however many bodies it is found in.
    fn error(&mut self, fact: impl Into<Fact>) {
        if self.quiet {
            self.failed = true;
            return;
        }
        let fact = fact.into();
        if self.errors.iter().any(|error| error.fact.is_like(&fact)) {
            return;
        }
        let uncalled = self.walk.instance.is_some_and(|index| self.instances[index].uncalled);
        if uncalled && fact.is_of_probe() {
            self.passed_over = true;
            return;
        }
        let expanded = self.walk.instance.and_then(|index| self.instances[index].expanded.clone());
        self.errors.push(CheckError { fact, expanded });
    }

    fn warn(&mut self, warning: Warning) {
        if !self.quiet && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn not_yet(&mut self, what: impl Into<String>, at: Span) {
        self.error(Fact::NotYet { what: what.into(), at, help: None });
    }

    /// A fact of the kernel, or an error at the place that needs it.
    fn fact<T>(&mut self, answer: Result<T, KernelError>, at: Span) -> Option<T> {
        match answer {
            Ok(fact) => Some(fact),
            Err(error) => {
                self.error(Fact::kernel(error, at));
                None
            }
        }
    }

    /// Keeps an action. In the silent walks all share one number, since none is kept.
    fn action(&mut self, action: Action) -> ActionId {
        if self.quiet { ActionId::new(0) } else { self.actions.push(action) }
    }

    fn type_name(&self, ty: &Type) -> String {
        self.structs.type_name(ty)
    }

    fn refuse_what_comes_later(&mut self) {
        let script = self.script;
        for import in &script.imports {
            self.not_yet("`import`", import.span);
        }
        let mut probes = 0;
        for item in &script.items {
            match item {
                // Its name, if it has one, means nothing.
                ast::Item::Probe(_) => probes += 1,
                ast::Item::Macro(item) => self.not_yet("`macro`", item.name.span),
                ast::Item::Fn(item) => self.not_yet("`fn`", item.name.span),
                ast::Item::MapDecl(_) => {}
            }
        }
        if probes == 0 && script.items.is_empty() {
            self.error(Fact::NoProbe);
        }
    }
}
