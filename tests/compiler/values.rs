//! Random programs with numbers of every width and sign, and what they have to print: computed here, with the rules of
//! `docs/language.md` and nothing of the compiler.
//!
//! - An operation is done in 64 bits, with a sign where an operand has one; a literal that is not negative sides with the other operand.
//! - A difference has a sign; the number of bits of a shift does not decide, and counts modulo 64.
//! - A division by zero gives 1.
//! - A cast cuts, and extends by the sign of what is cast.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

/// The type of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Int {
    signed: bool,
    bits: u32,
}

const I64: Int = Int { signed: true, bits: 64 };
const U64: Int = Int { signed: false, bits: 64 };
/// What a truth is where it is calculated with.
const TRUTH: Int = Int { signed: false, bits: 8 };

impl Display for Int {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}int{}", if self.signed { "" } else { "u" }, self.bits)
    }
}

impl Int {
    /// The number of this type that has the same lowest bits.
    fn cut(self, value: i128) -> i128 {
        let range = 1i128 << self.bits;
        let value = value.rem_euclid(range);
        if self.signed && value >= range / 2 { value - range } else { value }
    }
}

/// Variables that keep what they are given at first, one of each type; then those that are assigned to.
const VARIABLES: &[(&str, Int)] = &[
    ("$i8", Int { signed: true, bits: 8 }),
    ("$u8", Int { signed: false, bits: 8 }),
    ("$i16", Int { signed: true, bits: 16 }),
    ("$u16", Int { signed: false, bits: 16 }),
    ("$i32", Int { signed: true, bits: 32 }),
    ("$u32", Int { signed: false, bits: 32 }),
    ("$i64", I64),
    ("$u64", U64),
    ("$a", I64),
    ("$b", I64),
    ("$c", U64),
    ("$d", Int { signed: true, bits: 16 }),
    ("$e", Int { signed: false, bits: 32 }),
    ("$f", Int { signed: true, bits: 8 }),
];
const FIRST_ASSIGNED: usize = 8;
/// Some programs have more variables than registers and the stack can hold.
const MORE: usize = 90;

/// A variable's name and type.
fn variable(index: usize) -> (String, Int) {
    match VARIABLES.get(index) {
        Some((name, ty)) => ((*name).to_owned(), *ty),
        None => (format!("$more{index}"), I64),
    }
}

#[derive(Clone, Debug)]
enum Expr {
    Literal(i128),
    Variable(usize),
    /// The variables of loops around it, from the outermost.
    Counter(usize),
    /// `@m[key]`
    Element(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Compare(&'static str, Box<Expr>, Box<Expr>),
    Logical(&'static str, Box<Expr>, Box<Expr>),
    Unary(&'static str, Box<Expr>),
    Cast(Int, Box<Expr>),
    /// Both sides are cast to the type.
    Select(Box<Expr>, Int, Box<Expr>, Box<Expr>),
    /// `(e, 1).0`
    Part(Box<Expr>),
}

impl Expr {
    /// Whether it is true or false, and not a number.
    fn is_truth(&self) -> bool {
        match self {
            Expr::Compare(..) | Expr::Logical(..) | Expr::Unary("!", _) => true,
            Expr::Binary(op, left, right) => {
                matches!(*op, "&" | "|" | "^") && left.is_truth() && right.is_truth()
            }
            Expr::Part(value) => value.is_truth(),
            Expr::Literal(_)
            | Expr::Variable(_)
            | Expr::Counter(_)
            | Expr::Element(_)
            | Expr::Unary(..)
            | Expr::Cast(..)
            | Expr::Select(..) => false,
        }
    }
}

#[derive(Clone, Debug)]
enum Statement {
    Print(Expr),
    Assign(usize, Expr),
    /// `@m[key] = value`, `@m[key] += value`
    Store(&'static str, Expr, Expr),
    Count(Expr),
    If(Expr, Vec<Statement>, Vec<Statement>),
    /// So many rounds; in those where the condition holds at the end of the body it is left.
    For(usize, i128, Vec<Statement>, Option<Expr>),
    Unroll(i128, Vec<Statement>),
}

/// A program, and the values that it begins with.
#[derive(Clone, Debug)]
pub struct Program {
    values: Vec<i128>,
    body: Vec<Statement>,
}

impl Program {
    pub fn random(seed: u64) -> Program {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let variables = VARIABLES.len() + if seed.is_multiple_of(10) { MORE } else { 0 };
        let mut random = Random { state, depth: 0, counters: 0, variables };
        let values = (0..variables).map(|index| variable(index).1.cut(random.number())).collect();
        let body = (0..15 + random.below(15)).map(|_| random.statement()).collect();
        Program { values, body }
    }

    /// What it prints.
    pub fn output(&self) -> String {
        let mut state = State { variables: self.values.clone(), ..State::default() };
        state.run(&self.body);
        if self.values.len() > VARIABLES.len() {
            state.variables.iter().for_each(|value| state.printed += &format!("{value}\n"));
        }
        state.printed
    }

    /// Leaves out statements as long as `fails` says that what is left fails too.
    pub fn reduce(mut self, fails: impl Fn(&Program) -> bool) -> Program {
        let mut at = 0;
        while at < self.body.len() {
            let mut smaller = self.clone();
            match smaller.body.remove(at) {
                Statement::If(_, then, otherwise) => {
                    smaller.body.splice(at..at, then.into_iter().chain(otherwise));
                }
                Statement::Unroll(_, body) => {
                    smaller.body.splice(at..at, body);
                }
                Statement::Print(_)
                | Statement::Assign(..)
                | Statement::Store(..)
                | Statement::Count(_)
                | Statement::For(..) => {}
            }
            if fails(&smaller) {
                self = smaller;
                continue;
            }
            let mut smaller = self.clone();
            smaller.body.remove(at);
            if fails(&smaller) {
                self = smaller;
            } else {
                at += 1;
            }
        }
        self
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Values go through a map, so that the compiler does not know them.
        writeln!(f, "begin {{")?;
        for (index, value) in self.values.iter().enumerate() {
            writeln!(f, "    @first[{index}] = (uint64){};", value.rem_euclid(1 << 64))?;
        }
        writeln!(f, "    @m[0] = (int64)0;")?;
        for index in 0..self.values.len() {
            let (name, ty) = variable(index);
            writeln!(f, "    {name} = ({ty})@first[{index}];")?;
        }
        write_block(f, &self.body, 1)?;
        // All of them are needed to the end.
        if self.values.len() > VARIABLES.len() {
            for index in 0..self.values.len() {
                writeln!(f, "    print({});", variable(index).0)?;
            }
        }
        writeln!(f, "}}\nend {{ clear(@first); clear(@m); }}")
    }
}

fn write_block(f: &mut Formatter<'_>, block: &[Statement], depth: usize) -> fmt::Result {
    let indent = "    ".repeat(depth);
    for statement in block {
        match statement {
            Statement::Print(value) => writeln!(f, "{indent}print({value});")?,
            Statement::Assign(variable, value) => {
                let (name, ty) = self::variable(*variable);
                writeln!(f, "{indent}{name} = ({ty})({value});")?;
            }
            Statement::Store(op, key, value) => writeln!(f, "{indent}@m[{key}] {op} {value};")?,
            Statement::Count(key) => writeln!(f, "{indent}@m[{key}]++;")?,
            Statement::If(condition, then, otherwise) => {
                writeln!(f, "{indent}if ({condition}) {{")?;
                write_block(f, then, depth + 1)?;
                if !otherwise.is_empty() {
                    writeln!(f, "{indent}}} else {{")?;
                    write_block(f, otherwise, depth + 1)?;
                }
                writeln!(f, "{indent}}}")?;
            }
            Statement::For(counter, rounds, body, leave) => {
                writeln!(f, "{indent}for ($r{counter} : 0..{rounds}) {{")?;
                write_block(f, body, depth + 1)?;
                if let Some(condition) = leave {
                    writeln!(f, "{indent}    if ({condition}) {{ break; }}")?;
                }
                writeln!(f, "{indent}}}")?;
            }
            Statement::Unroll(rounds, body) => {
                writeln!(f, "{indent}unroll ({rounds}) {{")?;
                write_block(f, body, depth + 1)?;
                writeln!(f, "{indent}}}")?;
            }
        }
    }
    Ok(())
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Literal(value) => write!(f, "{value}"),
            Expr::Variable(index) => write!(f, "{}", variable(*index).0),
            Expr::Counter(index) => write!(f, "((int64)$r{index})"),
            Expr::Element(key) => write!(f, "@m[{key}]"),
            Expr::Binary(op, left, right)
            | Expr::Compare(op, left, right)
            | Expr::Logical(op, left, right) => write!(f, "({left} {op} {right})"),
            Expr::Unary(op, operand) => write!(f, "{op}({operand})"),
            Expr::Cast(ty, operand) => write!(f, "(({ty})({operand}))"),
            Expr::Select(condition, ty, then, otherwise) => {
                write!(f, "({condition} ? ({ty})({then}) : ({ty})({otherwise}))")
            }
            Expr::Part(value) => write!(f, "(({value}, 1).0)"),
        }
    }
}

/// A program that runs.
#[derive(Default)]
struct State {
    variables: Vec<i128>,
    counters: HashMap<usize, i128>,
    map: HashMap<i128, i128>,
    printed: String,
}

impl State {
    fn run(&mut self, block: &[Statement]) {
        for statement in block {
            match statement {
                Statement::Print(value) => {
                    let (value, ty) = self.value(value);
                    match ty {
                        Some(ty) => self.printed += &format!("{}\n", ty.cut(value)),
                        None => self.printed += if value == 0 { "false\n" } else { "true\n" },
                    }
                }
                Statement::Assign(index, value) => {
                    self.variables[*index] = variable(*index).1.cut(self.value(value).0);
                }
                Statement::Store(op, key, value) => {
                    let (key, value) = (self.number(key), self.number(value));
                    let old = if *op == "=" { 0 } else { self.map.get(&key).copied().unwrap_or(0) };
                    self.map.insert(key, I64.cut(old + value));
                }
                Statement::Count(key) => {
                    let key = self.number(key);
                    let old = self.map.get(&key).copied().unwrap_or(0);
                    self.map.insert(key, I64.cut(old + 1));
                }
                Statement::If(condition, then, otherwise) => {
                    let holds = self.holds(condition);
                    self.run(if holds { then } else { otherwise });
                }
                Statement::For(counter, rounds, body, leave) => {
                    for round in 0..*rounds {
                        self.counters.insert(*counter, round);
                        self.run(body);
                        if leave.as_ref().is_some_and(|condition| self.holds(condition)) {
                            break;
                        }
                    }
                }
                Statement::Unroll(rounds, body) => (0..*rounds).for_each(|_| self.run(body)),
            }
        }
    }

    fn holds(&self, condition: &Expr) -> bool {
        self.number(condition) != 0
    }

    fn number(&self, expr: &Expr) -> i128 {
        self.value(expr).0
    }

    /// The value of an expression, and its type; none is that of a truth.
    fn value(&self, expr: &Expr) -> (i128, Option<Int>) {
        let number = |value: i128, ty: Int| (ty.cut(value), Some(ty));
        let truth = |holds: bool| (i128::from(holds), None);
        match expr {
            Expr::Literal(value) => number(*value, I64),
            Expr::Variable(index) => number(self.variables[*index], variable(*index).1),
            Expr::Counter(index) => number(self.counters[index], I64),
            Expr::Element(key) => number(self.map.get(&self.number(key)).copied().unwrap_or(0), I64),
            Expr::Binary(op, left, right) => {
                let ty = match *op {
                    "-" => I64,
                    "<<" | ">>" => self.common(left, left),
                    _ => self.common(left, right),
                };
                let (a, b) = (ty.cut(self.number(left)), ty.cut(self.number(right)));
                let bits = U64.cut(b) as u32 % 64;
                let value = match *op {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a.wrapping_mul(b),
                    "/" | "%" if b == 0 => 1,
                    "/" => a / b,
                    "%" => a % b,
                    "&" => a & b,
                    "|" => a | b,
                    "^" => a ^ b,
                    "<<" => a << bits,
                    ">>" => a >> bits,
                    other => unreachable!("the operator {other}"),
                };
                if expr.is_truth() { truth(value != 0) } else { number(value, ty) }
            }
            Expr::Compare(op, left, right) => {
                let ty = self.common(left, right);
                let (a, b) = (ty.cut(self.number(left)), ty.cut(self.number(right)));
                truth(match *op {
                    "==" => a == b,
                    "!=" => a != b,
                    "<" => a < b,
                    "<=" => a <= b,
                    ">" => a > b,
                    ">=" => a >= b,
                    other => unreachable!("the operator {other}"),
                })
            }
            Expr::Logical("&&", left, right) => truth(self.holds(left) && self.holds(right)),
            Expr::Logical(_, left, right) => truth(self.holds(left) || self.holds(right)),
            Expr::Unary("!", operand) => truth(!self.holds(operand)),
            Expr::Unary("-", operand) => number(-self.number(operand), I64),
            Expr::Unary(_, operand) => {
                let own = self.value(operand).1.unwrap_or(TRUTH);
                let ty = if own.signed { I64 } else { own };
                number(-1 - self.number(operand), ty)
            }
            Expr::Cast(ty, operand) => number(self.number(operand), *ty),
            Expr::Select(condition, ty, then, otherwise) => {
                let chosen = if self.holds(condition) { then } else { otherwise };
                number(self.number(chosen), *ty)
            }
            Expr::Part(value) => self.value(value),
        }
    }

    /// The type in which an operation is done.
    fn common(&self, left: &Expr, right: &Expr) -> Int {
        let has_sign = |expr: &Expr| match expr {
            Expr::Literal(value) => *value < 0,
            _ => self.value(expr).1.unwrap_or(TRUTH).signed,
        };
        if has_sign(left) || has_sign(right) { I64 } else { U64 }
    }
}

struct Random {
    state: u64,
    depth: usize,
    /// How many loops are around what is made.
    counters: usize,
    /// How many variables there are.
    variables: usize,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 33) % limit as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Numbers at the edges of types, and others.
    fn number(&mut self) -> i128 {
        let bits = self.one_of(&[7, 8, 15, 16, 31, 32, 63, 64]);
        match self.below(6) {
            0 => i128::from(self.next()),
            1 => self.below(10) as i128 - 5,
            2 => (1i128 << bits) - 1,
            3 => -(1i128 << bits),
            4 => (1i128 << bits) + self.below(3) as i128 - 1,
            _ => i128::from(self.next() >> self.below(64)),
        }
    }

    fn type_(&mut self) -> Int {
        Int { signed: self.below(2) == 0, bits: self.one_of(&[8, 16, 32, 64]) }
    }

    fn statement(&mut self) -> Statement {
        let nested = self.depth < 4;
        match self.below(if nested { 20 } else { 14 }) {
            0..6 => Statement::Print(match self.expr(4) {
                // An element is printed with its key.
                element @ Expr::Element(_) => Expr::Cast(I64, Box::new(element)),
                expr => expr,
            }),
            6..10 => {
                let variable = FIRST_ASSIGNED + self.below(self.variables - FIRST_ASSIGNED);
                Statement::Assign(variable, self.expr(3))
            }
            10..13 => {
                let op = self.one_of(&["=", "+="]);
                let value = Expr::Cast(I64, Box::new(self.expr(2)));
                Statement::Store(op, self.key(), value)
            }
            13 => Statement::Count(self.key()),
            14..17 => {
                let condition = self.truth(2);
                let then = self.block();
                let otherwise = if self.below(2) == 0 { self.block() } else { Vec::new() };
                Statement::If(condition, then, otherwise)
            }
            17 | 18 => {
                let counter = self.counters;
                self.counters += 1;
                let body = self.block();
                let leave = (self.below(2) == 0).then(|| self.truth(2));
                self.counters -= 1;
                Statement::For(counter, self.below(6) as i128, body, leave)
            }
            _ => Statement::Unroll(1 + self.below(3) as i128, self.block()),
        }
    }

    fn block(&mut self) -> Vec<Statement> {
        self.depth += 1;
        let count = 1 + self.below(4);
        let block = (0..count).map(|_| self.statement()).collect();
        self.depth -= 1;
        block
    }

    /// One of four keys, so that they come again.
    fn key(&mut self) -> Expr {
        let number = Expr::Cast(I64, Box::new(self.expr(1)));
        Expr::Binary("&", Box::new(number), Box::new(Expr::Literal(3)))
    }

    /// No literal, and nothing that is made of literals alone: the compiler may give those another type.
    fn expr(&mut self, depth: usize) -> Expr {
        if depth == 0 || self.below(5) == 0 {
            return match self.below(8) {
                0 if self.counters > 0 => Expr::Counter(self.below(self.counters)),
                1 if depth > 0 => Expr::Element(Box::new(self.key())),
                _ => Expr::Variable(self.below(self.variables)),
            };
        }
        match self.below(14) {
            0..6 => {
                let op = self.one_of(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
                let (left, right) = self.operands(depth, op);
                Expr::Binary(op, left, right)
            }
            6 | 7 => self.truth(depth),
            8 => {
                let op = self.one_of(&["-", "~"]);
                let operand = self.expr(depth - 1);
                // Of a truth there is neither.
                let operand =
                    if operand.is_truth() { Expr::Cast(self.type_(), Box::new(operand)) } else { operand };
                Expr::Unary(op, Box::new(operand))
            }
            9..12 => Expr::Cast(self.type_(), Box::new(self.expr(depth - 1))),
            12 => {
                let condition = Box::new(self.truth(depth - 1));
                let ty = self.type_();
                let (then, otherwise) = (self.expr(depth - 1), self.expr(depth - 1));
                Expr::Select(condition, ty, Box::new(then), Box::new(otherwise))
            }
            _ => Expr::Part(Box::new(self.expr(depth - 1))),
        }
    }

    fn truth(&mut self, depth: usize) -> Expr {
        let depth = depth.max(1);
        match self.below(6) {
            0 => {
                let op = self.one_of(&["&&", "||"]);
                Expr::Logical(op, Box::new(self.truth(depth - 1)), Box::new(self.truth(depth - 1)))
            }
            1 => Expr::Unary("!", Box::new(self.expr(depth - 1))),
            _ => {
                let op = self.one_of(&["==", "!=", "<", "<=", ">", ">="]);
                let (left, right) = self.operands(depth, op);
                Expr::Compare(op, left, right)
            }
        }
    }

    /// One of the two may be a literal.
    fn operands(&mut self, depth: usize, op: &str) -> (Box<Expr>, Box<Expr>) {
        let (left, right) = (self.expr(depth - 1), self.expr(depth - 1));
        let value = match op {
            "<<" | ">>" => self.below(64) as i128,
            _ => I64.cut(self.number()),
        };
        let literal = Expr::Literal(if value == 0 { 1 } else { value });
        match self.below(5) {
            0 => (Box::new(left), Box::new(literal)),
            1 if !matches!(op, "<<" | ">>") => (Box::new(literal), Box::new(right)),
            _ => (Box::new(left), Box::new(right)),
        }
    }
}
