//! The syntax tree: what a script says, before anything is decided about what it means.
//!
//! Names are not resolved: a builtin, a constant, an enumerator and a macro without arguments are all [`ExprKind::Ident`].
//! Attach points are opaque text; their provider parses them. Every node has a [`Span`]. Sigils are not part of names: `$x`
//! is the variable `x`, `@x` the map `x`, and `@` alone the map "". The tree's text form is in `print.rs`.

use crate::source::Span;

/// A whole file: a script, an import or a module of the library.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Script {
    pub definitions: Vec<CDef>,
    pub config: Option<Config>,
    pub imports: Vec<Import>,
    pub items: Vec<Item>,
    /// Of an expanded script: the bodies of functions that nothing calls, as probes without attach points. They are checked,
    /// and nothing else.
    pub uncalled: Vec<Probe>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Probe(Probe),
    Macro(Macro),
    MapDecl(MapDecl),
    Fn(Fn),
}

/// `a:b,c:d /predicate/ { body }`
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// From the first attach point to the closing brace.
    pub span: Span,
    /// The reserved `name=` in front of the first attach point.
    pub name: Option<Ident>,
    pub attach_points: Vec<AttachPoint>,
    pub predicate: Option<Expr>,
    pub body: Block,
}

/// The text between two commas in front of a body, as typed, without white space around it: `kprobe:vfs_*`, `BEGIN`,
/// `interval:s:$1`.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachPoint {
    pub text: String,
    pub span: Span,
}

/// `macro name($v, @m, expr) { body }`
#[derive(Clone, Debug, PartialEq)]
pub struct Macro {
    pub span: Span,
    pub name: Ident,
    pub params: Vec<MacroParam>,
    pub body: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MacroParam {
    pub kind: MacroParamKind,
    pub name: Ident,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacroParamKind {
    /// `$x`: a variable, by reference.
    Variable,
    /// `@x`: a map, by reference.
    Map,
    /// `x`: any expression.
    Expr,
}

/// `let @name = kind(args);`
#[derive(Clone, Debug, PartialEq)]
pub struct MapDecl {
    pub span: Span,
    pub name: Ident,
    /// `hash`, `lruhash`, …
    pub kind: Ident,
    pub args: Vec<Expr>,
}

/// `fn name($a : type, …) : type { body }`
#[derive(Clone, Debug, PartialEq)]
pub struct Fn {
    pub span: Span,
    pub name: Ident,
    pub params: Vec<FnParam>,
    pub result: Option<TypeExpr>,
    pub body: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FnParam {
    pub name: Ident,
    pub ty: TypeExpr,
}

/// `config = { key = value; … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub span: Span,
    pub entries: Vec<ConfigEntry>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    pub key: Ident,
    /// A literal or a bare identifier.
    pub value: Expr,
}

/// `import "path";`
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub span: Span,
    pub path: String,
}

/// A name and where it stands; the span includes the sigil, the name does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

/// `{ stmts; value }`. `value` is the last expression, if no `;` follows it. Where no value is wanted (the body of a probe
/// or of a loop) it is one more statement. Where one is wanted and `value` is `None`, a last statement that is an `If` or a `Block`
/// stands for it: see [`Block::result`].
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// From brace to brace.
    pub span: Span,
    pub stmts: Vec<Stmt>,
    pub value: Option<Box<Expr>>,
}

impl Block {
    /// What yields the block's value where one is wanted, if anything does.
    pub fn result(&self) -> Option<BlockResult<'_>> {
        if let Some(value) = &self.value {
            return Some(BlockResult::Expr(value));
        }
        match &self.stmts.last()?.kind {
            StmtKind::If(inner) => Some(BlockResult::If(inner)),
            StmtKind::Block(inner) => Some(BlockResult::Block(inner)),
            StmtKind::Let { .. }
            | StmtKind::Assign { .. }
            | StmtKind::Discard(_)
            | StmtKind::Expr(_)
            | StmtKind::For { .. }
            | StmtKind::While { .. }
            | StmtKind::Unroll { .. }
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Return(_) => None,
        }
    }
}

/// The part of a block that yields its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BlockResult<'a> {
    Expr(&'a Expr),
    /// The last statement; it yields a value if both its blocks do.
    If(&'a If),
    /// The last statement.
    Block(&'a Block),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let $x : type = value`
    Let {
        name: Ident,
        ty: Option<TypeExpr>,
        value: Option<Expr>,
    },
    /// `target = value`, `target op= value`. The target is any postfix expression; which ones can be assigned to is decided later.
    Assign {
        target: Expr,
        op: Option<BinaryOp>,
        value: Expr,
    },
    /// `_ = value`
    Discard(Expr),
    Expr(Expr),
    If(If),
    Block(Block),
    /// `for ($name : over) { body }`
    For {
        name: Ident,
        over: ForOver,
        body: Block,
    },
    While {
        condition: Expr,
        body: Block,
    },
    Unroll {
        count: Expr,
        body: Block,
    },
    Break,
    Continue,
    Return(Option<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ForOver {
    /// All entries of a map (or whatever else the expression is).
    Each(Expr),
    /// From `start` up to, but without, `end`.
    Range { start: Expr, end: Expr },
}

/// `if condition { then } else { otherwise }`. An `else if` is an `otherwise` whose only statement is an `If`; the span of that block
/// is the span of its `if`. `if comptime c` has an [`ExprKind::Comptime`] as its condition.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    pub span: Span,
    pub condition: Box<Expr>,
    pub then: Block,
    pub otherwise: Option<Box<Block>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// An integer as written, without sign; a duration in nanoseconds.
    Int {
        value: u64,
        suffix: IntSuffix,
    },
    /// The bytes after escapes were replaced; they need not be UTF-8, and have no NUL at the end.
    String(Vec<u8>),
    Bool(bool),
    /// Whatever the name means: a builtin, a constant, an enumerator, a macro without arguments, a macro's parameter.
    Ident(String),
    /// `$x`
    Variable(String),
    /// `@x`, `@x[key, …]`. Several keys are one tuple key; a key list is never empty.
    Map {
        name: String,
        key: Option<Vec<Expr>>,
    },
    /// `$1`, counted from 1
    Positional(u32),
    /// `$#`
    PositionalCount,
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    /// `++x`, `x++`, `--x`, `x--`
    Step {
        op: StepOp,
        order: StepOrder,
        target: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `condition ? then : otherwise`
    Ternary {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    /// `condition ?: otherwise`
    Elvis {
        condition: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Cast {
        ty: TypeExpr,
        operand: Box<Expr>,
    },
    Call {
        name: Ident,
        args: Vec<Expr>,
    },
    /// `object.name`, or `object->name` with `arrow`
    Field {
        object: Box<Expr>,
        name: Ident,
        arrow: bool,
    },
    /// `object.0`
    TupleIndex {
        object: Box<Expr>,
        index: u32,
    },
    /// `object[index]`, where the object is not a map's name (that is [`ExprKind::Map`])
    Index {
        object: Box<Expr>,
        index: Box<Expr>,
    },
    /// `()`, `(a,)`, `(a, b)`
    Tuple(Vec<Expr>),
    /// `(name = value, …)`
    Record(Vec<RecordField>),
    Block(Box<Block>),
    If(Box<If>),
    /// `comptime operand`
    Comptime(Box<Expr>),
    Sizeof(Box<TypeOrExpr>),
    /// `offsetof(of, path)`; the path has at least one name.
    Offsetof {
        of: Box<TypeOrExpr>,
        path: Vec<Ident>,
    },
    Typeinfo(Box<TypeOrExpr>),
    /// A type as an argument: `typeof(…)`, `struct x`, `struct x *`
    Type(TypeExpr),
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecordField {
    pub name: Ident,
    pub value: Expr,
}

/// An operand that may be either. A bare name (`sizeof(pid_t)`) is an [`ExprKind::Ident`] here: whether it is a type is decided
/// later; the language's own type names (`uint64`) are types.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeOrExpr {
    Type(TypeExpr),
    Expr(Expr),
}

/// What followed the digits of an integer. It checks the literal's range, and does not set its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntSuffix {
    None,
    U,
    L,
    Ul,
    Ll,
    Ull,
    /// `ns us ms s m h d`; the value is in nanoseconds.
    Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `+`
    Plus,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddressOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepOp {
    Increment,
    Decrement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepOrder {
    /// `++x`: the value after the step
    Prefix,
    /// `x++`: the value before it
    Postfix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    Shl,
    Shr,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl BinaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::BitAnd => "&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Gt => ">",
            BinaryOp::Le => "<=",
            BinaryOp::Ge => ">=",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
        }
    }
}

impl UnaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Plus => "+",
            UnaryOp::Not => "!",
            UnaryOp::BitNot => "~",
            UnaryOp::Deref => "*",
            UnaryOp::AddressOf => "&",
        }
    }
}

impl StepOp {
    pub fn symbol(self) -> &'static str {
        match self {
            StepOp::Increment => "++",
            StepOp::Decrement => "--",
        }
    }
}

/// A type as written, in a cast, an annotation or a C definition.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    pub kind: TypeExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeExprKind {
    /// `uint64`, `string`, `pid_t`. C's own names are spelled as BTF does, whatever the order of their words: `unsigned long` is `long unsigned int`.
    Named(String),
    /// `struct x`, `union x`, `enum x`
    Tagged {
        tag: Tag,
        name: Ident,
    },
    Pointer(Box<TypeExpr>),
    /// `element[len]`; for `string[64]` and its like the size, for which `element` is the name. `len` is absent in `int8[]`.
    Array {
        element: Box<TypeExpr>,
        len: Option<Box<Expr>>,
    },
    /// `typeof(…)`
    Typeof(Box<TypeOrExpr>),
    /// Only in C definitions: a `struct`, `union` or `enum` that is defined where it is used.
    Inline(Box<TypeDef>),
    /// Only in C definitions, behind a pointer: a function, of which nothing is kept.
    Function,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    Struct,
    Union,
    Enum,
}

impl Tag {
    pub fn keyword(self) -> &'static str {
        match self {
            Tag::Struct => "struct",
            Tag::Union => "union",
            Tag::Enum => "enum",
        }
    }
}

/// A C definition in front of the script. Conditionals (`#ifdef`) are resolved already.
#[derive(Clone, Debug, PartialEq)]
pub struct CDef {
    pub kind: CDefKind,
    pub span: Span,
    /// Found in a header of others: what is wrong with it is of no interest unless it is used.
    pub lenient: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CDefKind {
    /// `#include <path>`, or `"path"` where not `system`
    Include {
        path: String,
        system: bool,
    },
    Define(Define),
    Type(TypeDef),
    /// `typedef type name;`
    Typedef {
        name: Ident,
        ty: TypeExpr,
    },
}

/// `#define name body`, `#define name(params) body`
#[derive(Clone, Debug, PartialEq)]
pub struct Define {
    pub name: Ident,
    /// Of a function-like macro.
    pub params: Option<Vec<String>>,
    /// The text behind the name and the parameters, with continued lines joined.
    pub body: String,
    /// The body as an expression, if it is one.
    pub value: Option<Expr>,
}

/// `struct name { … }`, `union …`, `enum …`, or a declaration without a body.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeDef {
    pub span: Span,
    pub tag: Tag,
    pub name: Option<Ident>,
    pub body: TypeBody,
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeBody {
    /// `struct x;`
    Opaque,
    /// Of a struct or a union, in order.
    Members(Vec<Member>),
    /// Of an enum, in order.
    Enumerators(Vec<Enumerator>),
}

/// `__attribute__((packed, aligned(n)))`; other attributes do not change a layout and are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes {
    pub packed: bool,
    /// In bytes.
    pub aligned: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub span: Span,
    /// Absent for an anonymous struct or union, and for an unnamed bit-field.
    pub name: Option<Ident>,
    pub ty: TypeExpr,
    /// The width of a bit-field.
    pub bits: Option<Expr>,
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Enumerator {
    pub name: Ident,
    pub value: Option<Expr>,
}
