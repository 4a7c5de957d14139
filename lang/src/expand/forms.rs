//! The macros that a script can call, and which of several forms a call means.

use std::rc::Rc;

use rtscript_syntax::ast::{self, ExprKind, MacroParamKind};
use rtscript_syntax::parse;
use rtscript_syntax::source::{Sources, Span};
use rustc_hash::FxHashMap;

use super::Argument;
use super::functions::Function;
use crate::builtins::{self, Means};

/// All forms by their names.
#[derive(Default)]
pub(super) struct Forms {
    own: FxHashMap<String, Vec<Rc<ast::Macro>>>,
    functions: FxHashMap<String, Rc<Function>>,
    /// Of the modules that were needed.
    library: FxHashMap<String, Vec<Rc<ast::Macro>>>,
}

impl Forms {
    /// Adds a macro of the script. Where there is one of the same kind already, it stays, and its place is returned.
    pub fn add(&mut self, item: Rc<ast::Macro>) -> Option<Span> {
        let forms = self.own.entry(item.name.name.clone()).or_default();
        let kinds = |item: &ast::Macro| item.params.iter().map(|param| param.kind).collect::<Vec<_>>();
        if let Some(first) = forms.iter().find(|form| kinds(form) == kinds(&item)) {
            return Some(first.name.span);
        }
        forms.push(item);
        None
    }

    /// Adds a function. Where there is a macro or a function of its name already, it stays, and its place is returned.
    pub fn add_function(&mut self, function: Rc<Function>) -> Option<Span> {
        let name = &function.source.name.name;
        if let Some(form) = self.own.get(name).and_then(|forms| forms.first()) {
            return Some(form.name.span);
        }
        if let Some(first) = self.functions.get(name) {
            return Some(first.source.name.span);
        }
        self.functions.insert(name.clone(), function);
        None
    }

    pub fn function(&self, name: &str) -> Option<Rc<Function>> {
        self.functions.get(name).cloned()
    }

    /// The forms of a name: the script's own, and those of the library behind them, which may also be forms of a builtin
    /// with arguments.
    pub fn of(&mut self, name: &str, has_args: bool, sources: &mut Sources) -> Vec<Rc<ast::Macro>> {
        let mut forms = self.own.get(name).cloned().unwrap_or_default();
        let in_library = |row: &builtins::Builtin| match row.means {
            Means::Library => true,
            Means::Computed(..) | Means::Summary(_) => has_args,
            Means::Constant(_) | Means::Value(_) | Means::Action(_) | Means::Later => false,
        };
        let in_headers = || rtscript_stdlib::defines(rtscript_stdlib::HEADERS.1, name);
        if builtins::find(name).map_or_else(in_headers, in_library) {
            if !self.library.contains_key(name) {
                self.load(name, sources);
            }
            forms.extend(self.library.get(name).into_iter().flatten().cloned());
        }
        forms
    }

    /// Parses the module that has a macro of this name. A test parses them all, so that none has an error here.
    fn load(&mut self, name: &str, sources: &mut Sources) {
        let has_it = |(_, text): &&(&str, &str)| rtscript_stdlib::defines(text, name);
        let Some((module, text)) = rtscript_stdlib::MODULES.iter().find(has_it) else {
            return;
        };
        let source = sources.add(*module, *text);
        for item in parse(&source).map(|script| script.items).unwrap_or_default() {
            if let ast::Item::Macro(item) = item {
                self.library.entry(item.name.name.clone()).or_default().push(Rc::new(item));
            }
        }
    }
}

/// The form that fits the arguments best: a variable is rather meant by `$v` than by a name.
pub(super) fn choose(forms: &[Rc<ast::Macro>], args: &[Argument<'_>]) -> Option<Rc<ast::Macro>> {
    let fit = |form: &Rc<ast::Macro>| {
        if form.params.len() != args.len() {
            return None;
        }
        let mut exact = 0;
        for (param, arg) in form.params.iter().zip(args) {
            match (param.kind, &arg.expr.kind) {
                (MacroParamKind::Expr, _) => {}
                (MacroParamKind::Variable, ExprKind::Variable(_))
                | (MacroParamKind::Map, ExprKind::Map { key: None, .. }) => exact += 1,
                (MacroParamKind::Variable | MacroParamKind::Map, _) => return None,
            }
        }
        Some(exact)
    };
    let mut best: Option<(usize, &Rc<ast::Macro>)> = None;
    for form in forms {
        if let Some(exact) = fit(form)
            && best.is_none_or(|(most, _)| exact > most)
        {
            best = Some((exact, form));
        }
    }
    best.map(|(_, form)| Rc::clone(form))
}

/// `name($v, @m, expr)`, as it is defined.
pub(super) fn signature(form: &ast::Macro) -> String {
    let params: Vec<String> = form
        .params
        .iter()
        .map(|param| match param.kind {
            MacroParamKind::Variable => format!("${}", param.name.name),
            MacroParamKind::Map => format!("@{}", param.name.name),
            MacroParamKind::Expr => param.name.name.clone(),
        })
        .collect();
    format!("{}({})", form.name.name, params.join(", "))
}

/// The kinds of a call's arguments, for a diagnostic.
pub(super) fn kinds(args: &[Argument<'_>]) -> String {
    let kinds: Vec<&str> = args
        .iter()
        .map(|arg| match &arg.expr.kind {
            ExprKind::Variable(_) => "a variable",
            ExprKind::Map { key: None, .. } => "a map",
            ExprKind::Type(_) => "a type",
            ExprKind::Map { key: Some(_), .. } => "an element of a map",
            ExprKind::Int { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Ident(_)
            | ExprKind::Positional(_)
            | ExprKind::PositionalCount
            | ExprKind::Unary { .. }
            | ExprKind::Step { .. }
            | ExprKind::Binary { .. }
            | ExprKind::Ternary { .. }
            | ExprKind::Elvis { .. }
            | ExprKind::Cast { .. }
            | ExprKind::Call { .. }
            | ExprKind::Field { .. }
            | ExprKind::TupleIndex { .. }
            | ExprKind::Index { .. }
            | ExprKind::Tuple(_)
            | ExprKind::Record(_)
            | ExprKind::Block(_)
            | ExprKind::If(_)
            | ExprKind::Comptime(_)
            | ExprKind::Sizeof(_)
            | ExprKind::Offsetof { .. }
            | ExprKind::Typeinfo(_) => "an expression",
        })
        .collect();
    if kinds.is_empty() { "no arguments".to_owned() } else { kinds.join(", ") }
}
