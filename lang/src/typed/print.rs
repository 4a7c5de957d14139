//! The text of a typed program: what `--emit types` shows and what tests compare.
//!
//! Types stand where they cannot be seen from the parts: at variables, maps, arguments and casts.

use std::fmt::{self, Display, Formatter, Write};

use super::{Block, CompareOp, Element, Expr, ExprKind, Probe, Program, StepPlace, Stmt, StmtKind, UnaryOp};
use crate::types::Type;

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for map in self.maps.values() {
            let key = map.key.as_ref().map(|key| format!("[{}]", self.structs.type_name(key)));
            let value = self.structs.type_name(&map.value);
            writeln!(f, "map @{}{}: {value}", map.name, key.unwrap_or_default())?;
        }
        for (index, probe) in self.probes.iter().enumerate() {
            if index > 0 || !self.maps.is_empty() {
                f.write_char('\n')?;
            }
            Printer { program: self, probe, out: f, indent: 1 }.probe()?;
        }
        Ok(())
    }
}

struct Printer<'a, 'f> {
    program: &'a Program,
    probe: &'a Probe,
    out: &'f mut dyn Write,
    indent: usize,
}

impl Printer<'_, '_> {
    fn probe(&mut self) -> fmt::Result {
        let names: Vec<&str> = self.probe.targets.iter().map(|target| target.name.as_str()).collect();
        match names[..] {
            [first, _, _, ..] => writeln!(self.out, "{first} and {} more", names.len() - 1)?,
            _ => writeln!(self.out, "{}", names.join(", "))?,
        }
        for local in self.probe.locals.values() {
            writeln!(self.out, "  let ${}: {}", local.name, self.program.structs.type_name(&local.ty))?;
        }
        if let Some(predicate) = &self.probe.predicate {
            let predicate = self.expr(predicate);
            writeln!(self.out, "  where {predicate}")?;
        }
        let probe = self.probe;
        self.block(&probe.body)
    }

    fn block(&mut self, block: &Block) -> fmt::Result {
        for stmt in block {
            self.stmt(stmt)?;
        }
        Ok(())
    }

    fn inner(&mut self, block: &Block) -> fmt::Result {
        self.indent += 1;
        self.block(block)?;
        self.indent -= 1;
        self.line("}")
    }

    fn line(&mut self, text: &str) -> fmt::Result {
        writeln!(self.out, "{:1$}{text}", "", self.indent * 2)
    }

    fn stmt(&mut self, stmt: &Stmt) -> fmt::Result {
        let text = match &stmt.kind {
            StmtKind::Expr(expr) => self.expr(expr),
            StmtKind::Discard(expr) => format!("_ = {}", self.expr(expr)),
            StmtKind::SetLocal(local, value) => format!("${} = {}", self.local(*local), self.expr(value)),
            StmtKind::SetMap(element, value) => format!("{} = {}", self.element(element), self.expr(value)),
            StmtKind::UpdateMap(element, op, value) => {
                format!("{} {}= {}", self.element(element), op.symbol(), self.expr(value))
            }
            StmtKind::Aggregate(element, aggregate, value) => {
                let value = value.as_ref().map(|value| self.expr(value)).unwrap_or_default();
                format!("{} = {}({value})", self.element(element), aggregate.name())
            }
            StmtKind::If(cond, then, otherwise) => {
                let cond = self.expr(cond);
                self.line(&format!("if {cond} {{"))?;
                if otherwise.is_empty() {
                    return self.inner(then);
                }
                self.indent += 1;
                self.block(then)?;
                self.indent -= 1;
                self.line("} else {")?;
                return self.inner(otherwise);
            }
            StmtKind::While(cond, body) => {
                let cond = self.expr(cond);
                self.line(&format!("while {cond} {{"))?;
                return self.inner(body);
            }
            StmtKind::Range { local, from, to, body } => {
                let (from, to) = (self.expr(from), self.expr(to));
                let name = self.local(*local);
                self.line(&format!("for ${name} in {from}..{to} {{"))?;
                return self.inner(body);
            }
            StmtKind::Each { map, local, body } => {
                let (name, of) = (self.local(*local), &self.program.maps[*map].name);
                self.line(&format!("for ${name} in @{of} {{"))?;
                return self.inner(body);
            }
            StmtKind::Unroll(count, body) => {
                self.line(&format!("unroll {count} {{"))?;
                return self.inner(body);
            }
            StmtKind::Break => "break".to_string(),
            StmtKind::Continue => "continue".to_string(),
            StmtKind::Return(None) => "return".to_string(),
            StmtKind::Return(Some(value)) => format!("return {}", self.expr(value)),
            StmtKind::Emit(action, args) => format!("emit {action}({})", self.list(args)),
            StmtKind::Join(action, argv) => format!("join {action}({})", self.expr(argv)),
            StmtKind::Exit(_, code) => {
                format!("exit({})", code.as_ref().map(|code| self.expr(code)).unwrap_or_default())
            }
            StmtKind::Block(block) => {
                self.line("{")?;
                return self.inner(block);
            }
        };
        self.line(&text)
    }

    fn local(&self, local: super::LocalId) -> &str {
        self.probe.locals.get(local).map_or("?", |local| &local.name)
    }

    fn list(&self, exprs: &[Expr]) -> String {
        let texts: Vec<String> = exprs.iter().map(|expr| self.expr(expr)).collect();
        texts.join(", ")
    }

    fn element(&self, element: &Element) -> String {
        let name = &self.program.maps[element.map].name;
        match &element.key {
            Some(key) => format!("@{name}[{}]", self.expr(key)),
            None => format!("@{name}"),
        }
    }

    fn expr(&self, expr: &Expr) -> String {
        let ty = |ty: &Type| self.program.structs.type_name(ty);
        match &expr.kind {
            ExprKind::Int(value) => match &expr.ty {
                Type::Int(int) if int.signed => format!("{}", *value as i64),
                Type::Bool => format!("{}", *value != 0),
                _ => format!("{value}"),
            },
            ExprKind::String(text) => format!("{:?}", String::from_utf8_lossy(text)),
            ExprKind::Local(local) => format!("${}", self.local(*local)),
            ExprKind::Map(element) => self.element(element),
            ExprKind::Merged(element) => format!("merged({})", self.element(element)),
            ExprKind::HasKey(element) => format!("has({})", self.element(element)),
            ExprKind::Find(element, local) => {
                format!("find({}, ${})", self.element(element), self.local(*local))
            }
            ExprKind::Delete(element) => format!("delete({})", self.element(element)),
            ExprKind::Len(map) => format!("len(@{})", self.program.maps[*map].name),
            ExprKind::Arg(index) => {
                let name = self.probe.context.args.get(*index as usize).map_or("?", |arg| &arg.name);
                format!("args.{name}:{}", ty(&expr.ty))
            }
            ExprKind::Word(index) => format!("arg{index}"),
            ExprKind::Retval => format!("retval:{}", ty(&expr.ty)),
            ExprKind::Unary(op, operand) => {
                let sign = match op {
                    UnaryOp::Neg => '-',
                    UnaryOp::Not => '~',
                    UnaryOp::IsZero => '!',
                };
                format!("{sign}{}", self.expr(operand))
            }
            ExprKind::Binary(op, left, right) => {
                format!("({} {} {})", self.expr(left), op.symbol(), self.expr(right))
            }
            ExprKind::Compare(op, left, right) => {
                let sign = match op {
                    CompareOp::Eq => "==",
                    CompareOp::Ne => "!=",
                    CompareOp::Lt => "<",
                    CompareOp::Le => "<=",
                    CompareOp::Gt => ">",
                    CompareOp::Ge => ">=",
                };
                format!("({} {sign} {})", self.expr(left), self.expr(right))
            }
            ExprKind::Equal(equal, left, right) => {
                format!("({} {} {})", self.expr(left), if *equal { "==" } else { "!=" }, self.expr(right))
            }
            ExprKind::EqualPrefix(left, right, length) => {
                format!("strncmp({}, {}, {length})", self.expr(left), self.expr(right))
            }
            ExprKind::And(left, right) => format!("({} && {})", self.expr(left), self.expr(right)),
            ExprKind::Or(left, right) => format!("({} || {})", self.expr(left), self.expr(right)),
            ExprKind::Select(cond, then, otherwise) => {
                format!("({} ? {} : {})", self.expr(cond), self.expr(then), self.expr(otherwise))
            }
            ExprKind::Block(statements, value) => {
                let mut text = "{\n".to_string();
                let indent = self.indent + 1;
                let mut inner = Printer { program: self.program, probe: self.probe, out: &mut text, indent };
                let value = inner.expr(value);
                // Writing to a string does not fail.
                let _ = inner.block(statements).and_then(|()| inner.line(&value));
                let _ = write!(text, "{:1$}}}", "", self.indent * 2);
                text
            }
            ExprKind::Cast(inner) => format!("({}){}", ty(&expr.ty), self.expr(inner)),
            ExprKind::Step { place, by, post } => {
                let place = match place {
                    StepPlace::Local(local) => format!("${}", self.local(*local)),
                    StepPlace::Map(element) => self.element(element),
                };
                format!("step({place}, {by}, {})", if *post { "after" } else { "before" })
            }
            ExprKind::Field(base, path) => {
                let mut text = self.expr(base);
                for (id, index) in &path.steps {
                    let field = self.program.structs.structs[*id].fields.as_ref();
                    let name = field.and_then(|fields| fields.get(*index as usize)).map_or("?", |f| &f.name);
                    if !name.is_empty() {
                        text.push('.');
                        text.push_str(name);
                    }
                }
                text
            }
            ExprKind::Index(base, index) => format!("{}[{}]", self.expr(base), self.expr(index)),
            ExprKind::AddressOf(place) => format!("(&{})", self.expr(place)),
            ExprKind::Deref(pointer) => format!("(*{})", self.expr(pointer)),
            ExprKind::Tuple(parts) => format!("({})", self.list(parts)),
            ExprKind::TupleField(base, index) => format!("{}.{index}", self.expr(base)),
            ExprKind::Call(intrinsic, args) => {
                let name = format!("{intrinsic:?}").to_lowercase();
                format!("{name}({}):{}", self.list(args), ty(&expr.ty))
            }
        }
    }
}
