//! Everything that can be wrong with macros, imports and their uses, and how it is said.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

/// One error. `at` is the place.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum ExpandError {
    #[error("no form of the macro `{name}` takes these arguments")]
    #[diagnostic(code("rt::no-form"))]
    NoForm {
        name: String,
        #[label("called here with {found}")]
        at: Span,
        found: String,
        #[label("the macro")]
        definition: Span,
        #[help]
        help: String,
    },
    #[error("`{name}` would call itself without end")]
    #[diagnostic(
        code("rt::recursive"),
        help("nothing in a program of the kernel may call itself; use a loop")
    )]
    Recursive {
        name: String,
        #[label("this call closes the circle {chain}")]
        at: Span,
        /// The names, with arrows between.
        chain: String,
        #[label("defined here")]
        definition: Span,
    },
    #[error("the macro `{name}` is there twice with the same kinds of parameters")]
    #[diagnostic(
        code("rt::macro-twice"),
        help("macros of one name differ in the number or in the kinds of their parameters")
    )]
    Twice {
        name: String,
        #[label("again")]
        at: Span,
        #[label("first here")]
        first: Span,
    },
    #[error("the parameter `{name}` is there twice")]
    #[diagnostic(code("rt::parameter-twice"))]
    ParamTwice {
        name: String,
        #[label("again")]
        at: Span,
        #[label("first here")]
        first: Span,
    },
    #[error("`{name}` is defined twice")]
    #[diagnostic(code("rt::name-twice"))]
    NameTwice {
        name: String,
        #[label("again")]
        at: Span,
        #[label("first here")]
        first: Span,
    },
    #[error("the function `{name}` takes {expected}, and gets {found}")]
    #[diagnostic(code("rt::function-arguments"))]
    FunctionArguments {
        name: String,
        expected: String,
        found: usize,
        #[label("called here")]
        at: Span,
        #[label("the function")]
        definition: Span,
    },
    /// A `return` in a macro, which is no function.
    #[error("a macro cannot return")]
    #[diagnostic(
        code("rt::macro-return"),
        help("let the macro yield a value, and return that where it is called")
    )]
    MacroReturn {
        #[label("it would leave what calls the macro")]
        at: Span,
    },
    /// Macros see the maps that they are given.
    #[error("the macro `{name}` uses `@{map}`, which is none of its parameters")]
    #[diagnostic(code("rt::macro-map"), help("give it the map: `macro {name}(@{map}, …)`"))]
    ForeignMap {
        name: String,
        map: String,
        #[label("not passed to the macro")]
        at: Span,
    },
    /// `(a *)b` where `a` stands for something else than a type.
    #[error("`{param}` stands for a type here")]
    #[diagnostic(
        code("rt::macro-type"),
        help("`typeof(…)` makes an argument of a type: `name(typeof(uint8))`; a value needs no parentheses")
    )]
    TypeWanted {
        param: String,
        #[label("this is no type")]
        at: Span,
        #[label("used as a type")]
        used: Span,
    },
    /// `offsetof(type, member)` where `member` stands for something else than a member.
    #[error("`{param}` stands for a member here")]
    #[diagnostic(code("rt::macro-member"))]
    MemberWanted {
        param: String,
        #[label("this is no name of a member")]
        at: Span,
        #[label("used as a member")]
        used: Span,
    },
    #[error("the script and the calls of macros become too much code")]
    #[diagnostic(
        code("rt::macro-size"),
        help("an argument is put into every place that uses it; a million expressions are taken in all")
    )]
    TooMuch {
        #[label("given up here")]
        at: Span,
    },
    #[error("the calls of macros are nested too deeply")]
    #[diagnostic(code("rt::macro-depth"))]
    TooDeep {
        #[label("given up here")]
        at: Span,
    },
}

/// A number of arguments in words.
pub fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        count => format!("{count} arguments"),
    }
}

impl ExpandError {
    /// Where it is; the errors of a script are shown in this order.
    pub fn start(&self) -> u32 {
        match self {
            ExpandError::NoForm { at, .. }
            | ExpandError::Recursive { at, .. }
            | ExpandError::Twice { at, .. }
            | ExpandError::NameTwice { at, .. }
            | ExpandError::FunctionArguments { at, .. }
            | ExpandError::MacroReturn { at }
            | ExpandError::ParamTwice { at, .. }
            | ExpandError::ForeignMap { at, .. }
            | ExpandError::TypeWanted { at, .. }
            | ExpandError::MemberWanted { at, .. }
            | ExpandError::TooMuch { at }
            | ExpandError::TooDeep { at } => at.start,
        }
    }
}
