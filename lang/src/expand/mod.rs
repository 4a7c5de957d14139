//! `expand`: calls of macros and of functions are replaced by what those say.
//!
//! A macro's body takes the place of the call, as a block. Its parameters stand for the arguments: `$v` for a variable of the
//! caller, `@m` for a map, and a plain name for an expression, a type or a member, which is put wherever the name is. What a macro
//! declares itself gets a name that no script can write, so it never meets the caller's. An argument is expanded where it is
//! put, in the view of its caller ([`Frame`]); so macros that are handed on to macros need nothing more.
//!
//! A function is a macro whose parameters are values (`functions.rs`).
//!
//! The library's modules are parsed when a macro of theirs is first called.
//!
//! Assumes a tree that was parsed without an error. Ensures that no macro, no function and no call of one remains, that the tree is no
//! deeper and no larger than later stages bear, and that a span of what a call became leads to the macro's text and to the call
//! (the calls are added to `sources`). Which overload is meant is decided by the look of the arguments alone; types are not known
//! yet.

mod called;
mod copy;
mod error;
mod forms;
mod functions;

use std::rc::Rc;

use rtscript_syntax::ast::{self, Item, Script};
use rtscript_syntax::source::Sources;
use rustc_hash::FxHashSet;

pub use called::Called;
pub use error::ExpandError;

use crate::defines;
use forms::Forms;
use functions::{Function, Returns};

/// Expands a script. The errors are all that were found, in the order of the text.
pub fn expand(script: Script, sources: &mut Sources) -> Result<Script, Vec<ExpandError>> {
    // What stands for something in C comes first, since that may be a call.
    let script = defines::replace(&script).unwrap_or(script);
    let mut macros = Vec::new();
    let mut functions = Vec::new();
    let mut rest = Vec::new();
    for item in script.items {
        match item {
            Item::Macro(item) => macros.push(Rc::new(item)),
            Item::Fn(item) => functions.push(Rc::new(Function::new(item))),
            Item::Probe(_) | Item::MapDecl(_) => rest.push(item),
        }
    }
    let mut expander = Expander {
        forms: Forms::default(),
        sources,
        errors: Vec::new(),
        calls: 0,
        nodes: 0,
        depth: 0,
        loops: 0,
        called: FxHashSet::default(),
        full: false,
    };
    for item in macros {
        expander.define(item);
    }
    for function in &functions {
        expander.define_function(Rc::clone(function));
    }
    let items = rest.iter().map(|item| expander.item(item)).collect();
    let uncalled = expander.uncalled(&functions);
    if expander.errors.is_empty() {
        return Ok(Script { items, uncalled, ..script });
    }
    expander.errors.sort_by_key(ExpandError::start);
    Err(expander.errors)
}

/// What is known on the way. Everything belongs to one run of [`expand`].
struct Expander<'s> {
    forms: Forms,
    sources: &'s mut Sources,
    errors: Vec<ExpandError>,
    /// Calls so far; the number of a call is part of the names that its macro declares.
    calls: u32,
    /// Nodes so far.
    nodes: u32,
    /// Of the node that is being made.
    depth: u32,
    /// Loops of the function that is being made around the place.
    loops: u32,
    /// The names of the functions that something calls.
    called: FxHashSet<String>,
    /// There is too much already: macros are left alone, so that the walk ends.
    full: bool,
}

/// One call of a macro, in whose view a part of a tree is seen.
struct Frame<'f> {
    definition: Rc<ast::Macro>,
    /// One for each parameter.
    args: Vec<Argument<'f>>,
    /// Where the call stands; `None` for the script itself.
    caller: View<'f>,
    number: u32,
    /// How far the spans of this call lie behind those of the macro.
    shift: u32,
    /// What `return` does, in a function.
    returns: Option<Returns>,
}

type View<'f> = Option<&'f Frame<'f>>;

/// An argument that is no parameter of its caller itself, and the view in which it is seen.
#[derive(Clone, Copy)]
struct Argument<'f> {
    expr: &'f ast::Expr,
    view: View<'f>,
}

impl Expander<'_> {
    /// Reports an error, once for each place.
    fn error(&mut self, error: ExpandError) {
        let same = |other: &ExpandError| {
            other.start() == error.start() && std::mem::discriminant(other) == std::mem::discriminant(&error)
        };
        if !self.errors.iter().any(same) {
            self.errors.push(error);
        }
    }

    fn define_function(&mut self, function: Rc<Function>) {
        let name = &function.source.name;
        let params = &function.source.params;
        for (index, param) in params.iter().enumerate() {
            if let Some(first) = params[..index].iter().find(|other| other.name.name == param.name.name) {
                let name = param.name.name.clone();
                self.error(ExpandError::ParamTwice { name, at: param.name.span, first: first.name.span });
            }
        }
        if let Some(first) = self.forms.add_function(Rc::clone(&function)) {
            self.error(ExpandError::NameTwice { name: name.name.clone(), at: name.span, first });
        }
    }

    /// Takes a macro of the script, and looks at what can be said without a call.
    fn define(&mut self, item: Rc<ast::Macro>) {
        for (index, param) in item.params.iter().enumerate() {
            let same =
                |other: &&ast::MacroParam| other.kind == param.kind && other.name.name == param.name.name;
            if let Some(first) = item.params[..index].iter().find(same) {
                let name = param.name.name.clone();
                self.error(ExpandError::ParamTwice { name, at: param.name.span, first: first.name.span });
            }
        }
        if let Some(first) = self.forms.add(Rc::clone(&item)) {
            let name = item.name.name.clone();
            self.error(ExpandError::Twice { name, at: item.name.span, first });
        }
    }
}
