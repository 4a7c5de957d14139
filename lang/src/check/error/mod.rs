//! Everything that can be wrong with a script, and how it is said. All wording of the stage is in this folder.
//!
//! What belongs to one topic stands in a file of its own, and is a transparent variant of [`Fact`].
//!
//! An error is a [`Fact`], and, where a wildcard led to it, which of its matches. Codes are stable.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, Severity};
use rtscript_syntax::source::Span;
use thiserror::Error;

use crate::kernel::KernelError;

mod attach;
mod c;
mod formats;
mod known;
mod maps;
mod place;
mod types;
mod warning;
mod words;

pub use attach::AttachFact;
pub use c::{CFact, macro_arguments};
pub use formats::FormatFact;
pub use known::KnownFact;
pub use maps::MapFact;
pub use place::PlaceFact;
pub use types::TypeFact;
pub use warning::Warning;
pub use words::{
    argument_names, argument_of, arity, format_of, instead_of_retval, instead_of_words, map_key, map_value,
    variable,
};

/// One error, ready to be rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckError {
    pub fact: Fact,
    /// Where the body was checked for one match of a wildcard.
    pub expanded: Option<Expanded>,
}

/// The match of a wildcard.
#[derive(Clone, Debug, PartialEq)]
pub struct Expanded {
    pub to: String,
    pub at: Span,
}

/// Names that are near to one that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidYouMean(pub Vec<String>);

/// What is wrong. `at` is the place; every variant names its own facts.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum Fact {
    /// A part of the language that this version cannot do.
    #[error("{what} cannot be used yet")]
    #[diagnostic(code("rt::not-yet"))]
    NotYet {
        what: String,
        #[label("not there yet")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },

    /// A value is wanted of something that yields none.
    #[error("{what} yields no value")]
    #[diagnostic(
        code("rt::no-value"),
        help("the last expression of a block, without a `;` behind it, is its value")
    )]
    Valueless {
        what: &'static str,
        #[label("a value is wanted here")]
        at: Span,
    },

    /// A record with two fields of one name.
    #[error("the field `{name}` is there twice")]
    #[diagnostic(code("rt::field-twice"))]
    FieldTwice {
        name: String,
        #[label("again")]
        at: Span,
        #[label("first here")]
        first: Span,
    },

    #[error(transparent)]
    #[diagnostic(transparent)]
    C(#[from] CFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Known(#[from] KnownFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Place(#[from] PlaceFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Type(#[from] TypeFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] FormatFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Map(#[from] MapFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Attach(#[from] AttachFact),

    // Names.
    /// A bare name that means nothing.
    #[error("there is no `{name}`")]
    #[diagnostic(code("rt::unknown-name"))]
    UnknownName {
        name: String,
        #[label("neither a builtin nor a constant")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("there is no function `{name}`")]
    #[diagnostic(code("rt::unknown-function"))]
    UnknownFunction {
        name: String,
        #[label("unknown function")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    /// A variable that was not assigned in this block or one around it.
    #[error("`${name}` has no value here")]
    #[diagnostic(code("rt::unknown-variable"))]
    UnknownVariable {
        name: String,
        #[label("not assigned in this block or one around it")]
        at: Span,
        #[label("assigned {}", if *.later { "only later, here" } else { "here, in another block" })]
        elsewhere: Option<Span>,
        later: bool,
        #[help]
        help: Option<String>,
    },
    /// A map that is read and that nothing assigns.
    #[error("nothing is ever stored in `@{name}`")]
    #[diagnostic(code("rt::unknown-map"))]
    UnknownMap {
        name: String,
        #[label("read here")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("`{ty}` has no field `{name}`")]
    #[diagnostic(code("rt::unknown-field"))]
    UnknownField {
        ty: String,
        name: String,
        #[label("no such field")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    /// `args.name`, and the probe has no such argument.
    #[error("`{probe}` has no argument `{name}`")]
    #[diagnostic(code("rt::unknown-argument"))]
    UnknownArgument {
        probe: String,
        name: String,
        #[label("no such argument")]
        at: Span,
        #[help]
        help: Option<String>,
    },
    /// `args`, and the probe has none.
    #[error("`{probe}` has no typed arguments")]
    #[diagnostic(code("rt::no-arguments"))]
    NoArguments {
        probe: String,
        #[label("nothing is known about arguments here")]
        at: Span,
    },
    /// `argN`, and the probe has fewer.
    #[error("`{probe}` has {} as words, and no `arg{index}`", words::arguments(*count))]
    #[diagnostic(code("rt::no-word"))]
    NoWord {
        probe: String,
        index: u32,
        count: usize,
        #[label("no such argument{}", if *.count > 0 { "; the first one is `arg0`" } else { "" })]
        at: Span,
        #[help]
        help: Option<String>,
    },
    /// `argN`, and no program can read it.
    #[error("`arg{index}` of `{probe}` cannot be read")]
    #[diagnostic(code("rt::unreadable-argument"))]
    UnreadableArgument {
        probe: String,
        index: u32,
        #[label("it is in a floating-point register, or at an address that only the linker knew")]
        at: Span,
    },
    #[error("`{probe}` has no return value")]
    #[diagnostic(code("rt::no-retval"))]
    NoRetval {
        probe: String,
        #[label("nothing has returned here")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("there is no type `{name}`")]
    #[diagnostic(code("rt::unknown-type"))]
    UnknownType {
        name: String,
        #[label("neither the script nor the kernel defines it")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    /// `let $x` where there is an `$x` already.
    #[error("`${name}` is declared twice")]
    #[diagnostic(code("rt::declared-twice"))]
    DeclaredTwice {
        name: String,
        #[label("declared again here")]
        at: Span,
        #[label("declared first here")]
        first: Span,
    },

    // Constants.
    #[error("{what} must be known when the script is compiled")]
    #[diagnostic(code("rt::not-constant"))]
    NotConstant {
        what: String,
        #[label("this is known only when the script runs")]
        at: Span,
    },
    #[error("{what} must be {expected}, and this is {value}")]
    #[diagnostic(code("rt::bad-constant"))]
    BadConstant {
        what: String,
        expected: String,
        value: String,
        #[label("must be {expected}")]
        at: Span,
    },

    // Calls.
    #[error("`{name}` takes {expected}, and got {found}")]
    #[diagnostic(code("rt::argument-count"), help("it is `{signature}`"))]
    Arity {
        name: &'static str,
        signature: String,
        expected: String,
        found: usize,
        #[label("{found} given")]
        at: Span,
    },
    /// Another number of arguments than a function in C has parameters.
    #[error("`{name}` takes {}, and got {found}", words::arguments(*expected))]
    #[diagnostic(code("rt::argument-count"))]
    ForeignArity {
        name: String,
        expected: usize,
        found: usize,
        #[label("{found} given")]
        at: Span,
        #[label("the function is in here")]
        imported: Span,
    },
    #[error("a format prints {limit} arguments at most, and here are {found}")]
    #[diagnostic(code("rt::format-arguments"), help("print them in several parts"))]
    TooManyArguments {
        found: usize,
        limit: usize,
        #[label("one too many")]
        at: Span,
    },
    /// A function that changes the system, without `--unsafe`.
    #[error("`{name}` changes the system, and is not allowed")]
    #[diagnostic(code("rt::unsafe"), help("`--unsafe` on the command line allows it"))]
    Unsafe {
        name: &'static str,
        #[label("not allowed")]
        at: Span,
    },
    /// A signal that does not exist.
    #[error("there is no signal `{name}`")]
    #[diagnostic(code("rt::unknown-signal"))]
    UnknownSignal {
        name: String,
        #[label("unknown signal")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    /// A specification that the kernel's trace pipe does not know.
    #[error("`debugf` cannot print `{spec}`")]
    #[diagnostic(code("rt::format"), help("the kernel prints %d, %u, %x, %p and %s there, without flags"))]
    TraceFormat {
        spec: String,
        #[label("not here")]
        at: Span,
    },
    /// A specification that the kernel's own `printf` does not know, which prints what a pinned iterator prints.
    #[error("a pinned iterator cannot print `{spec}`")]
    #[diagnostic(
        code("rt::format"),
        help(
            "the kernel prints %d, %u, %x, %X, %c and %p there, and %s of numbers, strings and kernel symbols; flags and a width, \
             but no precision"
        )
    )]
    ReaderFormat {
        spec: String,
        #[label("not here")]
        at: Span,
    },
    /// An action where a value is wanted.
    #[error("`{name}` has no value")]
    #[diagnostic(code("rt::no-value"))]
    NoValue {
        name: &'static str,
        #[label("does something, and yields nothing")]
        at: Span,
    },
    /// `count()` and its kin anywhere but on the right of a map's `=`.
    #[error("`{name}` can only be assigned to a map")]
    #[diagnostic(code("rt::summary"), help("write `@name = {signature}`"))]
    Summary {
        name: &'static str,
        signature: String,
        #[label("not assigned to a map")]
        at: Span,
    },
    /// A variable that is called.
    #[error("`{name}` is a function")]
    #[diagnostic(code("rt::call"), help("call it: `{signature}`"))]
    NotCalled {
        name: &'static str,
        signature: String,
        #[label("not called")]
        at: Span,
    },
    #[error("there is no kernel symbol `{name}`")]
    #[diagnostic(code("rt::unknown-symbol"))]
    UnknownSymbol {
        name: String,
        #[label("not found")]
        at: Span,
    },
    #[error("`{probe}` has no symbol `{name}`")]
    #[diagnostic(
        code("rt::unknown-symbol"),
        help("`uaddr` finds the symbols of the program or library that a uprobe is in")
    )]
    UnknownUserSymbol {
        probe: String,
        name: String,
        #[label("not found")]
        at: Span,
    },

    // Statements.
    #[error("this cannot be assigned to")]
    #[diagnostic(code("rt::not-assignable"))]
    NotAssignable {
        #[label("neither a variable nor a map")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("`{word}` outside of a loop")]
    #[diagnostic(code("rt::outside-loop"))]
    OutsideLoop {
        word: &'static str,
        #[label("there is no loop around this")]
        at: Span,
    },
    #[error("this is nested too deep")]
    #[diagnostic(code("rt::too-deep"))]
    TooDeep {
        #[label("deeper than {limit} levels")]
        at: Span,
        limit: u32,
    },
    #[error("the script has no probe")]
    #[diagnostic(
        code("rt::no-probe"),
        help("a probe is `begin {{ … }}`, or `rawtracepoint:task_rename {{ … }}`")
    )]
    NoProbe,

    /// A fact of the kernel that could not be had.
    #[error("{}", kernel_fact(.error))]
    #[diagnostic(code("rt::kernel"))]
    Kernel {
        error: KernelError,
        #[label("needed here")]
        at: Span,
        #[help]
        help: Option<String>,
    },

    // Settings.
    #[error("there is no setting `{name}`")]
    #[diagnostic(code("rt::unknown-setting"))]
    UnknownSetting {
        name: String,
        #[label("unknown setting")]
        at: Option<Span>,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("the setting `{name}` must be {expected}, and is `{value}`")]
    #[diagnostic(code("rt::bad-setting"))]
    BadSetting {
        name: String,
        expected: &'static str,
        value: String,
        #[label("must be {expected}")]
        at: Option<Span>,
    },

    /// A bug of ours.
    #[error("the checker is at fault: {what}")]
    #[diagnostic(code("rt::internal"), help("please report this with the script"))]
    Internal {
        what: &'static str,
        #[label("here")]
        at: Span,
    },
}

fn kernel_fact(error: &KernelError) -> String {
    match error {
        KernelError::Missing { what } => format!("this kernel does not have {what}"),
        KernelError::Denied { what, .. } => format!("{what} must not be read"),
        KernelError::Malformed { what, reason } => format!("{what} makes no sense: {reason}"),
    }
}

/// Where a diagnostic begins, for the order of reports: its first label.
fn start_of(diagnostic: &dyn Diagnostic) -> usize {
    let labels = diagnostic.labels().into_iter().flatten();
    labels.map(|label| label.offset()).next().unwrap_or(0)
}

impl Fact {
    pub fn start(&self) -> usize {
        start_of(self)
    }

    /// Whether the other one says the same of the same place.
    pub fn is_like(&self, other: &Fact) -> bool {
        let code = |fact: &Fact| fact.code().map(|code| code.to_string());
        self.start() == other.start() && code(self) == code(other)
    }

    /// Whether it may be right in another probe.
    pub fn is_of_probe(&self) -> bool {
        matches!(
            self,
            Fact::NoArguments { .. }
                | Fact::UnknownArgument { .. }
                | Fact::NoRetval { .. }
                | Fact::NoWord { .. }
                | Fact::UnreadableArgument { .. }
                | Fact::UnknownUserSymbol { .. }
                | Fact::Place(PlaceFact::NotHere { .. } | PlaceFact::Context { .. })
        )
    }

    pub fn kernel(error: KernelError, at: Span) -> Fact {
        let help = match &error {
            KernelError::Denied { help, .. } => Some(help.clone()),
            KernelError::Missing { .. } | KernelError::Malformed { .. } => None,
        };
        Fact::Kernel { error, at, help }
    }
}

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        write!(f, "did you mean {}?", names.join(" or "))
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fact.fmt(f)
    }
}

impl std::error::Error for CheckError {}

impl Diagnostic for CheckError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fact.code()
    }

    fn severity(&self) -> Option<Severity> {
        self.fact.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fact.help()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let own = self.fact.labels().into_iter().flatten();
        let expanded = self.expanded.iter().map(|expanded| {
            LabeledSpan::new_with_span(
                Some(format!("for `{}`, expanded from this", expanded.to)),
                expanded.at,
            )
        });
        Some(Box::new(own.chain(expanded)))
    }
}
