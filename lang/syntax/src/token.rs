//! Tokens. Those with a pattern are found by logos inside code; the others are made by the driver in `lexer.rs`, which knows
//! where in a script it is.

use logos::Logos;

#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n\f]+")]
#[logos(skip(r"//[^\n]*", allow_greedy = true))]
#[logos(skip r"/\*([^*]|\*+[^*/])*\*+/")]
pub(crate) enum Token<'s> {
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Ident(&'s str),
    /// With its `$`.
    #[regex(r"\$[A-Za-z_][A-Za-z0-9_]*")]
    Variable(&'s str),
    /// With its `@`.
    #[regex("@([A-Za-z_][A-Za-z0-9_]*)?")]
    Map(&'s str),
    /// `$1`
    #[regex(r"\$[0-9]+")]
    Positional(&'s str),
    #[token("$#")]
    PositionalCount,
    /// Whatever starts with a digit; `literal.rs` says what is wrong with it.
    #[regex("[0-9][A-Za-z0-9_]*")]
    Int(&'s str),
    /// With its quotes.
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    String(&'s str),

    #[token("break")]
    Break,
    #[token("comptime")]
    Comptime,
    #[token("continue")]
    Continue,
    #[token("else")]
    Else,
    #[token("enum")]
    Enum,
    #[token("false")]
    False,
    #[token("for")]
    For,
    #[token("if")]
    If,
    #[token("let")]
    Let,
    #[token("offsetof")]
    Offsetof,
    #[token("return")]
    Return,
    #[token("sizeof")]
    Sizeof,
    #[token("struct")]
    Struct,
    #[token("true")]
    True,
    #[token("typeinfo")]
    Typeinfo,
    #[token("typeof")]
    Typeof,
    #[token("union")]
    Union,
    #[token("unroll")]
    Unroll,
    #[token("while")]
    While,

    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token("?")]
    Question,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("->")]
    Arrow,
    #[token("=")]
    Assign,
    #[token("+=")]
    AddAssign,
    #[token("-=")]
    SubAssign,
    #[token("*=")]
    MulAssign,
    #[token("/=")]
    DivAssign,
    #[token("%=")]
    RemAssign,
    #[token("&=")]
    AndAssign,
    #[token("|=")]
    OrAssign,
    #[token("^=")]
    XorAssign,
    #[token("<<=")]
    ShlAssign,
    #[token(">>=")]
    ShrAssign,
    #[token("||")]
    OrOr,
    #[token("&&")]
    AndAnd,
    #[token("|")]
    Or,
    #[token("^")]
    Xor,
    #[token("&")]
    And,
    #[token("==")]
    EqEq,
    #[token("!=")]
    NotEq,
    #[token("<")]
    Lt,
    #[token(">")]
    Gt,
    #[token("<=")]
    Le,
    #[token(">=")]
    Ge,
    #[token("<<")]
    Shl,
    #[token(">>")]
    Shr,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("!")]
    Not,
    #[token("~")]
    Tilde,
    #[token("++")]
    PlusPlus,
    #[token("--")]
    MinusMinus,

    /// A string that the line's end cuts off.
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#)]
    OpenString,
    /// A comment that never ends.
    #[token("/*")]
    OpenComment,
    /// `'c'`, which the language does not have.
    #[regex(r"'([^'\\\n]|\\[^\n])*'")]
    Char,

    // Made by the driver.
    /// The `(` of a cast, or of `sizeof(` and its like before a type.
    CastOpen,
    /// The first token: what follows is a script.
    StartScript,
    /// The first token: what follows is one expression.
    StartExpr,
    /// Empty; behind every item, so that an error in one item leaves the next one alone.
    EndItem,
    AttachPoint(&'s str),
    /// The `name` of `name=probe`.
    ProbeName(&'s str),
    PredicateOpen,
    PredicateClose,
    Config,
    Import,
    Macro,
    Fn,
    /// What the driver has complained about already.
    Error,
}

impl Token<'_> {
    /// True for the words that mean something in code; behind a `.` they are ordinary names.
    pub(crate) fn is_keyword(self) -> bool {
        matches!(
            self,
            Token::Break
                | Token::Comptime
                | Token::Continue
                | Token::Else
                | Token::Enum
                | Token::False
                | Token::For
                | Token::If
                | Token::Let
                | Token::Offsetof
                | Token::Return
                | Token::Sizeof
                | Token::Struct
                | Token::True
                | Token::Typeinfo
                | Token::Typeof
                | Token::Union
                | Token::Unroll
                | Token::While
        )
    }
}
