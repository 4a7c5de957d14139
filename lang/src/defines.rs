//! Replaces the names of macros (`#define`) by what they stand for.
//!
//! A macro's body is an expression, or a type; it is put in place of the name as a whole, so it needs no
//! parentheses around it. A macro with parameters gets its arguments as expressions; a parameter may also be the
//! name of a type, of a member or of a function. As in C, a name within its own body means something else, so
//! `#define X X` is harmless.
//!
//! What cannot be replaced stays as it is, and `check` says why: a body that is no expression, another number of
//! arguments, a name that only leads back to itself.

use rtscript_syntax::ast::*;
use rtscript_syntax::parts;
use rtscript_syntax::source::Span;
use rustc_hash::FxHashMap;

use crate::constants;

/// Macros within macros.
const MAX_DEPTH: usize = 64;
/// More are put in place in one script only where macros double and double again.
const MAX_REPLACED: u32 = 100_000;

/// The script without the names of its macros; `None` where it defines none.
pub fn replace(script: &Script) -> Option<Script> {
    let mut macros = FxHashMap::default();
    for definition in &script.definitions {
        if let CDefKind::Define(define) = &definition.kind {
            // A header of others says in its own way what is known already.
            let name = &define.name.name;
            let is_known = || {
                constants::find(name).is_some() || rtscript_stdlib::defines(rtscript_stdlib::HEADERS.1, name)
            };
            if definition.lenient && is_known() {
                continue;
            }
            // The last definition of a name counts.
            macros.insert(name.as_str(), define);
        }
    }
    if macros.is_empty() {
        return None;
    }
    let mut script_without = script.clone();
    let mut replacer = Replacer { macros: &macros, open: Vec::new(), replaced: 0 };
    replacer.script(&mut script_without);
    Some(script_without)
}

type Macros<'a> = FxHashMap<&'a str, &'a Define>;

struct Replacer<'a> {
    macros: &'a Macros<'a>,
    /// The macros whose bodies surround the place.
    open: Vec<&'a str>,
    replaced: u32,
}

impl<'a> Replacer<'a> {
    fn script(&mut self, script: &mut Script) {
        for definition in &mut script.definitions {
            match &mut definition.kind {
                CDefKind::Include { .. } | CDefKind::Define(_) => {}
                CDefKind::Type(of) => self.type_def(of),
                CDefKind::Typedef { ty, .. } => self.ty(ty),
            }
        }
        for entry in script.config.iter_mut().flat_map(|config| &mut config.entries) {
            self.expr(&mut entry.value);
        }
        for item in &mut script.items {
            match item {
                Item::Probe(probe) => {
                    probe.predicate.iter_mut().for_each(|predicate| self.expr(predicate));
                    self.block(&mut probe.body);
                }
                Item::Macro(item) => self.block(&mut item.body),
                Item::MapDecl(decl) => self.exprs(&mut decl.args),
                Item::Fn(item) => {
                    item.params.iter_mut().for_each(|param| self.ty(&mut param.ty));
                    item.result.iter_mut().for_each(|ty| self.ty(ty));
                    self.block(&mut item.body);
                }
            }
        }
    }

    /// What a name stands for here, if it is that of a macro with so many arguments (`None`: without brackets).
    fn body(&mut self, name: &str, args: Option<usize>) -> Option<(&'a Define, &'a Expr)> {
        let define = *self.macros.get(name)?;
        let fits = define.params.as_ref().map(Vec::len) == args;
        if !fits || self.open.contains(&name) || self.open.len() >= MAX_DEPTH || self.replaced >= MAX_REPLACED
        {
            return None;
        }
        let value = define.value.as_ref()?;
        self.replaced += 1;
        Some((define, value))
    }

    /// Replaces what a macro's body itself is made of.
    fn within(&mut self, define: &'a Define, expr: &mut Expr) {
        self.open.push(&define.name.name);
        self.expr(expr);
        self.open.pop();
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Ident(name) => {
                if let Some((define, value)) = self.body(name, None) {
                    *expr = Expr { kind: value.kind.clone(), span: expr.span };
                    self.within(define, expr);
                }
            }
            ExprKind::Call { name, args } => {
                // As in C, arguments are expanded before they are put in place.
                self.exprs(args);
                if let Some((define, value)) = self.body(&name.name, Some(args.len())) {
                    let mut body = Expr { kind: value.kind.clone(), span: expr.span };
                    let args = std::mem::take(args);
                    self.open.push(&define.name.name);
                    // The body's own macros come first: arguments are expanded already, and may name any.
                    self.expr(&mut body);
                    self.open.pop();
                    put_arguments(&mut body, define.params.as_deref().unwrap_or_default(), &args);
                    *expr = body;
                } else if let Some((_, Expr { kind: ExprKind::Ident(other), .. })) =
                    self.body(&name.name, None)
                {
                    // Another name for a function or for a macro.
                    let define = self.macros[name.name.as_str()];
                    name.name = other.clone();
                    self.within(define, expr);
                }
            }
            ExprKind::Cast { ty, operand } => {
                self.ty(ty);
                self.expr(operand);
            }
            ExprKind::Sizeof(of) | ExprKind::Typeinfo(of) | ExprKind::Offsetof { of, .. } => {
                self.type_or_expr(of)
            }
            ExprKind::Type(ty) => self.ty(ty),
            ExprKind::Block(block) => self.block(block),
            ExprKind::If(inner) => self.if_stmt(inner),
            _ => each_child(expr, &mut |child| self.expr(child)),
        }
    }

    fn exprs(&mut self, exprs: &mut [Expr]) {
        exprs.iter_mut().for_each(|expr| self.expr(expr));
    }

    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(expr) => self.expr(expr),
        }
    }

    fn block(&mut self, block: &mut Block) {
        each_in_block(block, &mut |part| self.part(part));
    }

    fn if_stmt(&mut self, inner: &mut If) {
        self.expr(&mut inner.condition);
        self.block(&mut inner.then);
        inner.otherwise.iter_mut().for_each(|block| self.block(block));
    }

    fn part(&mut self, part: Part<'_>) {
        match part {
            Part::Expr(expr) => self.expr(expr),
            Part::Type(ty) => self.ty(ty),
            Part::Block(block) => self.block(block),
            Part::If(inner) => self.if_stmt(inner),
        }
    }

    fn type_def(&mut self, of: &mut TypeDef) {
        match &mut of.body {
            TypeBody::Opaque => {}
            TypeBody::Members(members) => {
                for member in members {
                    self.ty(&mut member.ty);
                    member.bits.iter_mut().for_each(|bits| self.expr(bits));
                }
            }
            TypeBody::Enumerators(enumerators) => {
                enumerators
                    .iter_mut()
                    .filter_map(|one| one.value.as_mut())
                    .for_each(|value| self.expr(value));
            }
        }
    }

    fn ty(&mut self, ty: &mut TypeExpr) {
        match &mut ty.kind {
            TypeExprKind::Named(name) => {
                let kind = match self.body(name, None).map(|(define, value)| (define, &value.kind)) {
                    Some((define, ExprKind::Ident(other))) => {
                        Some((define, TypeExprKind::Named(other.clone())))
                    }
                    Some((define, ExprKind::Type(other))) => Some((define, other.kind.clone())),
                    _ => None,
                };
                if let Some((define, kind)) = kind {
                    ty.kind = kind;
                    self.open.push(&define.name.name);
                    self.ty(ty);
                    self.open.pop();
                }
            }
            TypeExprKind::Tagged { name, .. } => {
                if let Some((_, Expr { kind: ExprKind::Ident(other), .. })) = self.body(&name.name, None) {
                    name.name = other.clone();
                }
            }
            TypeExprKind::Pointer(to) => self.ty(to),
            TypeExprKind::Array { element, len } => {
                self.ty(element);
                len.iter_mut().for_each(|len| self.expr(len));
            }
            TypeExprKind::Typeof(of) => self.type_or_expr(of),
            TypeExprKind::Inline(of) => self.type_def(of),
            TypeExprKind::Function => {}
        }
    }
}

/// Puts arguments in place of parameters; whatever stood around a parameter stands around the argument.
fn put_arguments(expr: &mut Expr, params: &[String], args: &[Expr]) {
    let arg = |name: &str| params.iter().zip(args).find(|(param, _)| *param == name).map(|(_, arg)| arg);
    let rename = |ident: &mut Ident| {
        if let Some(Expr { kind: ExprKind::Ident(other), span }) = arg(&ident.name) {
            *ident = Ident { name: other.clone(), span: *span };
        }
    };
    match &mut expr.kind {
        ExprKind::Ident(name) => {
            if let Some(arg) = arg(name) {
                *expr = arg.clone();
            }
            return;
        }
        ExprKind::Call { name, .. } | ExprKind::Field { name, .. } => rename(name),
        ExprKind::Offsetof { path, .. } => path.iter_mut().for_each(rename),
        _ => {}
    }
    match &mut expr.kind {
        ExprKind::Cast { ty, operand } => {
            put_in_type(ty, params, args);
            put_arguments(operand, params, args);
        }
        ExprKind::Sizeof(of) | ExprKind::Typeinfo(of) | ExprKind::Offsetof { of, .. } => {
            put_in_operand(of, params, args)
        }
        ExprKind::Type(ty) => put_in_type(ty, params, args),
        ExprKind::Block(block) => each_in_block(block, &mut |part| put_in_part(part, params, args)),
        ExprKind::If(inner) => put_in_part(Part::If(inner), params, args),
        _ => each_child(expr, &mut |child| put_arguments(child, params, args)),
    }
}

fn put_in_operand(of: &mut TypeOrExpr, params: &[String], args: &[Expr]) {
    match of {
        TypeOrExpr::Type(ty) => put_in_type(ty, params, args),
        TypeOrExpr::Expr(expr) => put_arguments(expr, params, args),
    }
}

fn put_in_part(part: Part<'_>, params: &[String], args: &[Expr]) {
    match part {
        Part::Expr(expr) => put_arguments(expr, params, args),
        Part::Type(ty) => put_in_type(ty, params, args),
        Part::Block(block) => each_in_block(block, &mut |part| put_in_part(part, params, args)),
        Part::If(inner) => {
            put_arguments(&mut inner.condition, params, args);
            put_in_part(Part::Block(&mut inner.then), params, args);
            inner.otherwise.iter_mut().for_each(|block| put_in_part(Part::Block(block), params, args));
        }
    }
}

fn put_in_type(ty: &mut TypeExpr, params: &[String], args: &[Expr]) {
    let arg = |name: &str| params.iter().zip(args).find(|(param, _)| *param == name).map(|(_, arg)| arg);
    match &mut ty.kind {
        TypeExprKind::Named(name) => match arg(name).map(|arg| &arg.kind) {
            Some(ExprKind::Ident(other)) => *name = other.clone(),
            Some(ExprKind::Type(other)) => ty.kind = other.kind.clone(),
            _ => {}
        },
        TypeExprKind::Tagged { name, .. } => {
            if let Some(Expr { kind: ExprKind::Ident(other), span }) = arg(&name.name) {
                *name = Ident { name: other.clone(), span: *span };
            }
        }
        TypeExprKind::Pointer(to) => put_in_type(to, params, args),
        TypeExprKind::Array { element, len } => {
            put_in_type(element, params, args);
            len.iter_mut().for_each(|len| put_arguments(len, params, args));
        }
        TypeExprKind::Typeof(of) => put_in_operand(of, params, args),
        TypeExprKind::Inline(_) | TypeExprKind::Function => {}
    }
}

/// A part of a statement.
enum Part<'a> {
    Expr(&'a mut Expr),
    Type(&'a mut TypeExpr),
    Block(&'a mut Block),
    If(&'a mut If),
}

/// What the statements of a block are made of.
fn each_in_block(block: &mut Block, take: &mut dyn FnMut(Part<'_>)) {
    for stmt in &mut block.stmts {
        match &mut stmt.kind {
            StmtKind::Let { ty, value, .. } => {
                ty.iter_mut().for_each(|ty| take(Part::Type(ty)));
                value.iter_mut().for_each(|value| take(Part::Expr(value)));
            }
            StmtKind::Assign { target, value, .. } => {
                take(Part::Expr(target));
                take(Part::Expr(value));
            }
            StmtKind::Discard(value) | StmtKind::Expr(value) => take(Part::Expr(value)),
            StmtKind::If(inner) => take(Part::If(inner)),
            StmtKind::Block(inner) => take(Part::Block(inner)),
            StmtKind::For { over, body, .. } => {
                match over {
                    ForOver::Each(over) => take(Part::Expr(over)),
                    ForOver::Range { start, end } => {
                        take(Part::Expr(start));
                        take(Part::Expr(end));
                    }
                }
                take(Part::Block(body));
            }
            StmtKind::While { condition: value, body } | StmtKind::Unroll { count: value, body } => {
                take(Part::Expr(value));
                take(Part::Block(body));
            }
            StmtKind::Break | StmtKind::Continue | StmtKind::Return(None) => {}
            StmtKind::Return(Some(value)) => take(Part::Expr(value)),
        }
    }
    if let Some(value) = &mut block.value {
        take(Part::Expr(value));
    }
}

/// The expressions that an expression is made of; types and blocks in it are left out.
fn each_child(expr: &mut Expr, take: &mut dyn FnMut(&mut Expr)) {
    match &mut expr.kind {
        ExprKind::Int { .. }
        | ExprKind::String(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Variable(_)
        | ExprKind::Map { key: None, .. }
        | ExprKind::Positional(_)
        | ExprKind::PositionalCount
        | ExprKind::Sizeof(_)
        | ExprKind::Offsetof { .. }
        | ExprKind::Typeinfo(_)
        | ExprKind::Type(_)
        | ExprKind::Block(_)
        | ExprKind::If(_) => {}
        ExprKind::Map { key: Some(parts), .. }
        | ExprKind::Call { args: parts, .. }
        | ExprKind::Tuple(parts) => parts.iter_mut().for_each(take),
        ExprKind::Unary { operand: inner, .. }
        | ExprKind::Step { target: inner, .. }
        | ExprKind::Cast { operand: inner, .. }
        | ExprKind::Field { object: inner, .. }
        | ExprKind::TupleIndex { object: inner, .. }
        | ExprKind::Comptime(inner) => take(inner),
        ExprKind::Binary { left, right, .. }
        | ExprKind::Elvis { condition: left, otherwise: right }
        | ExprKind::Index { object: left, index: right } => {
            take(left);
            take(right);
        }
        ExprKind::Ternary { condition, then, otherwise } => {
            take(condition);
            take(then);
            take(otherwise);
        }
        ExprKind::Record(fields) => fields.iter_mut().for_each(|field| take(&mut field.value)),
    }
}

/// Whether a macro's name is somewhere in what it stands for.
pub fn leads_back(script: &Script, name: &str) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut open = vec![name];
    while let Some(next) = open.pop() {
        let Some(value) = find(script, next).and_then(|(define, _)| define.value.as_ref()) else { continue };
        let mut names = Vec::new();
        names_in(parts::Part::Expr(value), &mut names);
        if names.contains(&name) {
            return true;
        }
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
                open.push(name);
            }
        }
    }
    false
}

fn names_in<'a>(part: parts::Part<'a>, names: &mut Vec<&'a str>) {
    if let parts::Part::Expr(Expr { kind: ExprKind::Ident(name), .. }) = part {
        names.push(name);
    }
    if let parts::Part::Expr(Expr { kind: ExprKind::Call { name, .. }, .. }) = part {
        names.push(&name.name);
    }
    part.each(&mut |part| names_in(part, names));
}

/// Where the last definition of a macro stands, and whether its body is an expression.
pub fn find<'s>(script: &'s Script, name: &str) -> Option<(&'s Define, Span)> {
    script.definitions.iter().rev().find_map(|definition| match &definition.kind {
        CDefKind::Define(define) if define.name.name == name => Some((define, definition.span)),
        _ => None,
    })
}
