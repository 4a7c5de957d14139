//! The tree as text: in the language itself, so that what is printed parses to the same tree again, spans aside.
//!
//! One statement a line. An operand that has operands of its own stands in parentheses, so the structure can be seen. Comments are
//! not in the tree, and so are not printed; C definitions come first.

use std::fmt;

use crate::ast::*;

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::default();
        printer.script(self);
        f.write_str(&printer.out)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::default();
        printer.expr(self);
        f.write_str(&printer.out)
    }
}

/// As in a cast or an annotation.
impl fmt::Display for TypeExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::default();
        printer.ty(self);
        f.write_str(&printer.out)
    }
}

#[derive(Default)]
struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("    ", self.indent));
    }

    /// Each element with `, ` between.
    fn list<T>(&mut self, list: &[T], mut one: impl FnMut(&mut Printer, &T)) {
        for (index, element) in list.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            one(self, element);
        }
    }

    fn script(&mut self, script: &Script) {
        for definition in &script.definitions {
            self.definition(&definition.kind);
            self.put("\n");
        }
        if let Some(config) = &script.config {
            self.put("config = {");
            self.indent += 1;
            for ConfigEntry { key, value } in &config.entries {
                self.line();
                self.put(&key.name);
                self.put(" = ");
                self.expr(value);
                self.put(";");
            }
            self.indent -= 1;
            self.put("\n}\n");
        }
        for import in &script.imports {
            self.put("import ");
            self.string(import.path.as_bytes());
            self.put(";\n");
        }
        for item in &script.items {
            match item {
                Item::Probe(probe) => self.probe(probe),
                Item::Macro(Macro { span: _, name, params, body }) => {
                    self.put("macro ");
                    self.put(&name.name);
                    self.put("(");
                    self.list(params, |printer, param| {
                        printer.put(match param.kind {
                            MacroParamKind::Variable => "$",
                            MacroParamKind::Map => "@",
                            MacroParamKind::Expr => "",
                        });
                        printer.put(&param.name.name);
                    });
                    self.put(") ");
                    self.block(body);
                }
                Item::MapDecl(MapDecl { span: _, name, kind, args }) => {
                    self.put(&format!("let @{} = {}(", name.name, kind.name));
                    self.list(args, Printer::no_block);
                    self.put(");");
                }
                Item::Fn(Fn { span: _, name, params, result, body }) => {
                    self.put(&format!("fn {}(", name.name));
                    self.list(params, |printer, param| {
                        printer.put(&format!("${} : ", param.name.name));
                        printer.ty(&param.ty);
                    });
                    self.put(") ");
                    if let Some(result) = result {
                        self.put(": ");
                        self.ty(result);
                        self.put(" ");
                    }
                    self.block(body);
                }
            }
            self.put("\n");
        }
    }

    fn probe(&mut self, probe: &Probe) {
        if let Some(name) = &probe.name {
            self.put(&name.name);
            self.put("=");
        }
        for (index, point) in probe.attach_points.iter().enumerate() {
            if index > 0 {
                self.put(",\n");
            }
            self.put(&point.text);
        }
        self.put(" ");
        if let Some(predicate) = &probe.predicate {
            self.put("/");
            self.no_block(predicate);
            self.put("/ ");
        }
        self.block(&probe.body);
    }

    fn block(&mut self, block: &Block) {
        self.put("{");
        self.indent += 1;
        for stmt in &block.stmts {
            self.line();
            self.stmt(&stmt.kind);
        }
        if let Some(value) = &block.value {
            self.line();
            self.no_block(value);
        }
        self.indent -= 1;
        if !block.stmts.is_empty() || block.value.is_some() {
            self.line();
        }
        self.put("}");
    }

    fn stmt(&mut self, stmt: &StmtKind) {
        match stmt {
            StmtKind::Let { name, ty, value } => {
                self.put(&format!("let ${}", name.name));
                if let Some(ty) = ty {
                    self.put(" : ");
                    self.ty(ty);
                }
                if let Some(value) = value {
                    self.put(" = ");
                    self.expr(value);
                }
                self.put(";");
            }
            StmtKind::Assign { target, op, value } => {
                // A prefix operator needs no parentheses here, but a cast in front of a field does.
                self.operand(target);
                self.put(&format!(" {}= ", op.map_or("", BinaryOp::symbol)));
                self.expr(value);
                self.put(";");
            }
            StmtKind::Discard(value) => {
                self.put("_ = ");
                self.expr(value);
                self.put(";");
            }
            StmtKind::Expr(value) => {
                self.no_block(value);
                self.put(";");
            }
            StmtKind::If(inner) => self.if_(inner),
            StmtKind::Block(block) => self.block(block),
            StmtKind::For { name, over, body } => {
                self.put(&format!("for ${} : ", name.name));
                match over {
                    ForOver::Each(each) => self.operand(each),
                    ForOver::Range { start, end } => {
                        self.operand(start);
                        self.put("..");
                        self.operand(end);
                    }
                }
                self.put(" ");
                self.block(body);
            }
            StmtKind::While { condition, body } => {
                self.put("while ");
                self.operand(condition);
                self.put(" ");
                self.block(body);
            }
            StmtKind::Unroll { count, body } => {
                self.put("unroll ");
                self.operand(count);
                self.put(" ");
                self.block(body);
            }
            StmtKind::Break => self.put("break;"),
            StmtKind::Continue => self.put("continue;"),
            StmtKind::Return(None) => self.put("return;"),
            StmtKind::Return(Some(value)) => {
                self.put("return ");
                self.expr(value);
                self.put(";");
            }
        }
    }

    fn if_(&mut self, If { span: _, condition, then, otherwise }: &If) {
        self.put("if ");
        self.operand(condition);
        self.put(" ");
        self.block(then);
        if let Some(otherwise) = otherwise {
            self.put(" else ");
            match (otherwise.stmts.as_slice(), &otherwise.value) {
                ([Stmt { kind: StmtKind::If(inner), .. }], None) => self.if_(inner),
                _ => self.block(otherwise),
            }
        }
    }

    /// An expression where a block or an `if` would not be taken for one.
    fn no_block(&mut self, expr: &Expr) {
        if let ExprKind::Block(_) | ExprKind::If(_) = expr.kind {
            self.operand(expr);
        } else {
            self.expr(expr);
        }
    }

    /// An expression in parentheses, unless it holds together without them.
    fn operand(&mut self, expr: &Expr) {
        let loose = match &expr.kind {
            ExprKind::Unary { .. }
            | ExprKind::Step { .. }
            | ExprKind::Binary { .. }
            | ExprKind::Ternary { .. }
            | ExprKind::Elvis { .. }
            | ExprKind::Cast { .. }
            | ExprKind::Block(_)
            | ExprKind::If(_)
            | ExprKind::Comptime(_) => true,
            ExprKind::Int { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Ident(_)
            | ExprKind::Variable(_)
            | ExprKind::Map { .. }
            | ExprKind::Positional(_)
            | ExprKind::PositionalCount
            | ExprKind::Call { .. }
            | ExprKind::Field { .. }
            | ExprKind::TupleIndex { .. }
            | ExprKind::Index { .. }
            | ExprKind::Tuple(_)
            | ExprKind::Record(_)
            | ExprKind::Sizeof(_)
            | ExprKind::Offsetof { .. }
            | ExprKind::Typeinfo(_)
            | ExprKind::Type(_) => false,
        };
        if loose {
            self.put("(");
        }
        self.expr(expr);
        if loose {
            self.put(")");
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int { value, suffix } => self.put(&format!("{value}{}", suffix_text(*suffix))),
            ExprKind::String(bytes) => self.string(bytes),
            ExprKind::Bool(value) => self.put(if *value { "true" } else { "false" }),
            ExprKind::Ident(name) => self.put(name),
            ExprKind::Variable(name) => self.put(&format!("${name}")),
            ExprKind::Map { name, key } => {
                self.put(&format!("@{name}"));
                if let Some(key) = key {
                    self.put("[");
                    self.list(key, Printer::expr);
                    self.put("]");
                }
            }
            ExprKind::Positional(index) => self.put(&format!("${index}")),
            ExprKind::PositionalCount => self.put("$#"),
            ExprKind::Unary { op, operand } => {
                self.put(op.symbol());
                self.operand(operand);
            }
            ExprKind::Step { op, order: StepOrder::Prefix, target } => {
                self.put(op.symbol());
                self.operand(target);
            }
            ExprKind::Step { op, order: StepOrder::Postfix, target } => {
                self.operand(target);
                self.put(op.symbol());
            }
            ExprKind::Binary { op, left, right } => {
                self.operand(left);
                self.put(&format!(" {} ", op.symbol()));
                self.operand(right);
            }
            ExprKind::Ternary { condition, then, otherwise } => {
                self.operand(condition);
                self.put(" ? ");
                self.operand(then);
                self.put(" : ");
                self.operand(otherwise);
            }
            ExprKind::Elvis { condition, otherwise } => {
                self.operand(condition);
                self.put(" ?: ");
                self.operand(otherwise);
            }
            ExprKind::Cast { ty, operand } => {
                self.put("(");
                self.ty(ty);
                self.put(")");
                self.operand(operand);
            }
            ExprKind::Call { name, args } => {
                self.put(&name.name);
                self.put("(");
                self.list(args, Printer::expr);
                self.put(")");
            }
            ExprKind::Field { object, name, arrow } => {
                self.operand(object);
                self.put(if *arrow { "->" } else { "." });
                self.put(&name.name);
            }
            ExprKind::TupleIndex { object, index } => {
                self.operand(object);
                self.put(&format!(".{index}"));
            }
            ExprKind::Index { object, index } => {
                // Without parentheses the index of a map's name would be a key.
                let map = matches!(object.kind, ExprKind::Map { key: None, .. });
                self.put(if map { "(" } else { "" });
                self.operand(object);
                self.put(if map { ")[" } else { "[" });
                self.expr(index);
                self.put("]");
            }
            ExprKind::Tuple(elements) => {
                self.put("(");
                self.list(elements, Printer::expr);
                self.put(if elements.len() == 1 { ",)" } else { ")" });
            }
            ExprKind::Record(fields) => {
                self.put("(");
                self.list(fields, |printer, field| {
                    printer.put(&format!("{} = ", field.name.name));
                    printer.expr(&field.value);
                });
                self.put(")");
            }
            ExprKind::Block(block) => self.block(block),
            ExprKind::If(inner) => self.if_(inner),
            ExprKind::Comptime(operand) => {
                self.put("comptime ");
                self.operand(operand);
            }
            ExprKind::Sizeof(of) => self.type_or_expr("sizeof", of),
            ExprKind::Typeinfo(of) => self.type_or_expr("typeinfo", of),
            ExprKind::Offsetof { of, path } => {
                self.put("offsetof(");
                match of.as_ref() {
                    TypeOrExpr::Type(ty) => self.ty(ty),
                    TypeOrExpr::Expr(expr) => self.expr(expr),
                }
                let path: Vec<&str> = path.iter().map(|name| name.name.as_str()).collect();
                self.put(&format!(", {})", path.join(".")));
            }
            ExprKind::Type(ty) => self.ty(ty),
        }
    }

    fn type_or_expr(&mut self, operator: &str, of: &TypeOrExpr) {
        self.put(operator);
        self.put("(");
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(expr) => self.expr(expr),
        }
        self.put(")");
    }

    fn string(&mut self, bytes: &[u8]) {
        self.put("\"");
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => self.put("\\n"),
                    '\t' => self.put("\\t"),
                    '\r' => self.put("\\r"),
                    '"' => self.put("\\\""),
                    '\\' => self.put("\\\\"),
                    c if c.is_ascii_control() => self.put(&format!("\\x{:02x}", u32::from(c))),
                    c => self.out.push(c),
                }
            }
            for byte in chunk.invalid() {
                self.put(&format!("\\x{byte:02x}"));
            }
        }
        self.put("\"");
    }

    /// A type of the language: what changes it follows it, from left to right.
    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Named(name) => self.put(name),
            TypeExprKind::Tagged { tag, name } => self.put(&format!("{} {}", tag.keyword(), name.name)),
            TypeExprKind::Pointer(inner) => {
                self.ty(inner);
                self.put(if let TypeExprKind::Pointer(_) = inner.kind { "*" } else { " *" });
            }
            TypeExprKind::Array { element, len } => {
                self.ty(element);
                self.len(len.as_deref());
            }
            TypeExprKind::Typeof(of) => self.type_or_expr("typeof", of),
            TypeExprKind::Inline(_) | TypeExprKind::Function => self.declare(ty, String::new()),
        }
    }

    fn len(&mut self, len: Option<&Expr>) {
        self.put("[");
        if let Some(len) = len {
            self.no_block(len);
        }
        self.put("]");
    }

    fn definition(&mut self, definition: &CDefKind) {
        match definition {
            CDefKind::Include { path, system: true } => self.put(&format!("#include <{path}>")),
            CDefKind::Include { path, system: false } => self.put(&format!("#include \"{path}\"")),
            CDefKind::Define(Define { name, params, body, value: _ }) => {
                self.put(&format!("#define {}", name.name));
                if let Some(params) = params {
                    self.put(&format!("({})", params.join(", ")));
                }
                if !body.is_empty() {
                    self.put(&format!(" {body}"));
                }
            }
            CDefKind::Type(def) => {
                self.type_def(def);
                self.put(";");
            }
            CDefKind::Typedef { name, ty } => {
                self.put("typedef ");
                self.declare(ty, name.name.clone());
                self.put(";");
            }
        }
    }

    fn type_def(&mut self, def: &TypeDef) {
        self.put(def.tag.keyword());
        if let Some(name) = &def.name {
            self.put(&format!(" {}", name.name));
        }
        match &def.body {
            TypeBody::Opaque => {}
            TypeBody::Members(members) => {
                self.put(" {");
                self.indent += 1;
                for member in members {
                    self.line();
                    let name = member.name.as_ref().map_or("", |name| name.name.as_str());
                    self.declare(&member.ty, name.into());
                    if let Some(bits) = &member.bits {
                        self.put(" : ");
                        self.expr(bits);
                    }
                    self.attributes(&member.attributes);
                    self.put(";");
                }
                self.indent -= 1;
                self.line();
                self.put("}");
            }
            TypeBody::Enumerators(enumerators) => {
                self.put(" {");
                self.indent += 1;
                for Enumerator { name, value } in enumerators {
                    self.line();
                    self.put(&name.name);
                    if let Some(value) = value {
                        self.put(" = ");
                        self.expr(value);
                    }
                    self.put(",");
                }
                self.indent -= 1;
                self.line();
                self.put("}");
            }
        }
        self.attributes(&def.attributes);
    }

    fn attributes(&mut self, attributes: &Attributes) {
        if attributes.packed {
            self.put(" __attribute__((packed))");
        }
        if let Some(aligned) = attributes.aligned {
            self.put(&format!(" __attribute__((aligned({aligned})))"));
        }
    }

    /// A declaration as in C, where what changes a type surrounds the declared name.
    fn declare(&mut self, ty: &TypeExpr, name: String) {
        match &ty.kind {
            TypeExprKind::Pointer(inner) => match inner.kind {
                TypeExprKind::Array { .. } | TypeExprKind::Function => {
                    self.declare(inner, format!("(*{name})"))
                }
                TypeExprKind::Named(_)
                | TypeExprKind::Tagged { .. }
                | TypeExprKind::Pointer(_)
                | TypeExprKind::Typeof(_)
                | TypeExprKind::Inline(_) => self.declare(inner, format!("*{name}")),
            },
            TypeExprKind::Array { element, len } => {
                let mut suffix = Printer::default();
                suffix.len(len.as_deref());
                self.declare(element, name + &suffix.out);
            }
            TypeExprKind::Function => self.put(&format!("void {name}()")),
            TypeExprKind::Inline(def) => {
                self.type_def(def);
                self.put(if name.is_empty() { "" } else { " " });
                self.put(&name);
            }
            TypeExprKind::Named(_) | TypeExprKind::Tagged { .. } | TypeExprKind::Typeof(_) => {
                self.ty(ty);
                self.put(if name.is_empty() { "" } else { " " });
                self.put(&name);
            }
        }
    }
}

fn suffix_text(suffix: IntSuffix) -> &'static str {
    match suffix {
        IntSuffix::None => "",
        IntSuffix::U => "u",
        IntSuffix::L => "l",
        IntSuffix::Ul => "ul",
        IntSuffix::Ll => "ll",
        IntSuffix::Ull => "ull",
        IntSuffix::Duration => "ns",
    }
}
