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

mod c;
mod known;
mod place;
mod warning;
mod words;

pub use c::{CFact, macro_arguments};
pub use known::KnownFact;
pub use place::PlaceFact;
pub use warning::Warning;
pub use words::{argument_of, arity, format_of, map_key, map_value, variable};

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
    C(CFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Known(KnownFact),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Place(PlaceFact),

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
        #[label("assigned here, in another block")]
        elsewhere: Option<Span>,
        #[help]
        help: Option<DidYouMean>,
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
        help: Option<DidYouMean>,
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
    #[error("`{probe}` has {count} arguments as words, and no `arg{index}`")]
    #[diagnostic(code("rt::no-word"))]
    NoWord {
        probe: String,
        index: u32,
        count: usize,
        #[label("no such argument; the first one is `arg0`")]
        at: Span,
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

    // Types.
    /// Two uses of one variable, key or value that no type suits.
    #[error("{what} holds `{was}`, and cannot hold `{is}`")]
    #[diagnostic(code("rt::type-conflict"))]
    TypeConflict {
        what: String,
        is: String,
        was: String,
        #[label("`{is}` here")]
        at: Span,
        #[label("first used as `{was}` here")]
        first: Option<Span>,
    },
    /// Of a variable or map, nothing says what it holds.
    #[error("nothing says which type {what} has")]
    #[diagnostic(code("rt::no-type"))]
    Untyped {
        what: String,
        #[label("it depends on itself alone")]
        at: Span,
    },
    #[error("{value} is outside the range of `{ty}`")]
    #[diagnostic(code("rt::out-of-range"))]
    OutOfRange {
        value: i128,
        ty: String,
        #[label("does not fit into `{ty}`")]
        at: Span,
    },
    #[error("`{op}` cannot be applied to `{left}` and `{right}`")]
    #[diagnostic(code("rt::operands"))]
    Operands {
        op: &'static str,
        left: String,
        right: String,
        #[label("this is `{left}`")]
        left_at: Span,
        #[label("this is `{right}`")]
        right_at: Span,
    },
    #[error("`{op}` cannot be applied to `{ty}`")]
    #[diagnostic(code("rt::operand"))]
    Operand {
        op: &'static str,
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
    },
    #[error("{what} must be {expected}, and this is `{found}`")]
    #[diagnostic(code("rt::wrong-type"))]
    WrongType {
        what: String,
        expected: &'static str,
        found: String,
        #[label("this is `{found}`")]
        at: Span,
    },
    #[error("the two arms of `?:` are `{left}` and `{right}`")]
    #[diagnostic(code("rt::arms"))]
    Arms {
        left: String,
        right: String,
        #[label("this is `{left}`")]
        left_at: Span,
        #[label("this is `{right}`")]
        right_at: Span,
    },
    #[error("`{from}` cannot be cast to `{to}`")]
    #[diagnostic(code("rt::bad-cast"))]
    BadCast {
        from: String,
        to: String,
        #[label("this is `{from}`")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    /// `.` of something without members.
    #[error("`{ty}` has no fields")]
    #[diagnostic(code("rt::no-fields"))]
    NoFields {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("`{ty}` is no pointer")]
    #[diagnostic(code("rt::no-pointer"))]
    NoPointer {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
    },
    /// `[i]` of something without elements.
    #[error("`{ty}` has no elements")]
    #[diagnostic(code("rt::no-elements"))]
    NoElements {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
    },
    #[error("this tuple has {count} elements, and no number {index}")]
    #[diagnostic(code("rt::tuple-index"))]
    TupleIndex {
        index: u32,
        count: usize,
        #[label("elements count from 0")]
        at: Span,
    },
    #[error("this array has {count} elements, and no number {index}")]
    #[diagnostic(code("rt::array-index"))]
    ArrayIndex {
        index: i128,
        count: u32,
        #[label("elements count from 0")]
        at: Span,
    },
    /// What is behind the pointer is not known, or has no size.
    #[error("nothing is known about what `{ty}` points at")]
    #[diagnostic(code("rt::opaque"))]
    Opaque {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("division by zero")]
    #[diagnostic(code("rt::division-by-zero"))]
    DivisionByZero {
        #[label("this is always 0")]
        at: Span,
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

    // Formats.
    #[error("the format wants {}, and got {found}", words::arguments(*expected))]
    #[diagnostic(code("rt::format-count"))]
    FormatMissing {
        expected: usize,
        found: usize,
        #[label("`{spec}` has no argument")]
        at: Span,
        spec: String,
    },
    #[error("the format wants {}, and got {found}", words::arguments(*expected))]
    #[diagnostic(code("rt::format-count"))]
    FormatExtra {
        expected: usize,
        found: usize,
        #[label("nothing in the format prints this")]
        at: Span,
    },
    #[error("`{spec}` prints {expected}, and its argument is `{found}`")]
    #[diagnostic(code("rt::format-type"))]
    FormatType {
        spec: String,
        expected: &'static str,
        found: String,
        #[label("prints {expected}")]
        at: Span,
        #[label("this is `{found}`")]
        argument: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("`{spec}` is no format: {reason}")]
    #[diagnostic(code("rt::bad-format"))]
    BadFormat {
        spec: String,
        reason: &'static str,
        #[label("{reason}")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },

    // Maps.
    /// With a key here and without one there.
    #[error("`@{name}` is used with a key and without one")]
    #[diagnostic(code("rt::key-conflict"))]
    KeyConflict {
        name: String,
        #[label("with a key here")]
        keyed: Span,
        #[label("without one here")]
        scalar: Span,
    },
    /// All of a map where one value is wanted.
    #[error("`@{name}` has keys, and this asks for one value")]
    #[diagnostic(code("rt::whole-map"), help("name an element: `@{name}[key]`"))]
    WholeMap {
        name: String,
        #[label("all of the map")]
        at: Span,
        #[label("used with a key here")]
        keyed: Span,
    },
    /// An element or something else where a map is wanted.
    #[error("`{function}` works on a whole map")]
    #[diagnostic(code("rt::not-a-map"), help("it is `{signature}`"))]
    NotAMap {
        function: &'static str,
        signature: String,
        #[label("this is not a map")]
        at: Span,
    },
    /// `delete(@keyed)`, `has_key(@scalar, …)` and the like.
    #[error("`@{name}` has {}", if *.keyed { "keys" } else { "no keys" })]
    #[diagnostic(code("rt::wrong-kind-of-map"))]
    WrongKindOfMap {
        name: String,
        keyed: bool,
        #[label("{}", if *keyed { "which element is meant?" } else { "there is only one value" })]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("the value of `@{name}` is {summary}(), and is no number")]
    #[diagnostic(code("rt::no-number"), help("print it with `print(@{name})`"))]
    NotReadable {
        name: String,
        summary: &'static str,
        #[label("read here")]
        at: Span,
    },
    #[error("`{ty}` cannot be {role} of a map")]
    #[diagnostic(code("rt::not-storable"))]
    NotStorable {
        ty: String,
        role: &'static str,
        #[label("this is `{ty}`")]
        at: Span,
    },

    #[error("`{what}` may still change, and is turned off")]
    #[diagnostic(code("rt::unstable"), help("config = {{ {key} = enable }} turns it on"))]
    Unstable {
        what: &'static str,
        key: &'static str,
        #[label("used here")]
        at: Span,
    },
    #[error("there is no kind of map `{name}`")]
    #[diagnostic(code("rt::unknown-map-kind"))]
    UnknownMapKind {
        name: String,
        #[label("one of hash, lruhash, percpuhash, percpulruhash")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("`@{name}` is declared twice")]
    #[diagnostic(code("rt::map-twice"))]
    MapTwice {
        name: String,
        #[label("again")]
        at: Span,
        #[label("first here")]
        first: Span,
    },
    /// A declared map is one with keys.
    #[error("`@{name}` is declared as a map with keys, and used without one")]
    #[diagnostic(code("rt::declared-with-keys"), help("a map of one value needs no declaration"))]
    DeclaredWithKeys {
        name: String,
        #[label("without a key here")]
        scalar: Span,
        #[label("declared here")]
        declared: Span,
    },
    /// Something else where a variable is to be filled in.
    #[error("this is to get the value that was found, and must be a variable")]
    #[diagnostic(code("rt::not-a-variable"), help("it is `{signature}`"))]
    NotAVariable {
        signature: String,
        #[label("this is not a variable")]
        at: Span,
    },
    /// A loop over something that has no elements.
    #[error("this has no elements to loop over")]
    #[diagnostic(
        code("rt::not-iterable"),
        help(
            "a loop goes over a map with keys, `for ($kv : @map) {{ … }}`, or over a range, `for ($i : 0..10) {{ … }}`"
        )
    )]
    NotIterable {
        #[label("{}", if *.scalar { "this map has no keys" } else { "neither a map nor a range" })]
        at: Span,
        scalar: bool,
    },
    /// Too many callbacks would be running at once.
    #[error("loops over maps are nested too deep")]
    #[diagnostic(code("rt::too-deep"), help("at most {limit} may run within each other"))]
    LoopsTooDeep {
        #[label("this one is too deep")]
        at: Span,
        limit: usize,
    },
    #[error("{what} needs Linux {since} or later")]
    #[diagnostic(code("rt::old-kernel"))]
    OldKernel {
        what: &'static str,
        since: &'static str,
        #[label("this kernel cannot do that")]
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

    // Attach points.
    #[error("there is no probe type `{name}`")]
    #[diagnostic(code("rt::unknown-probe-type"))]
    UnknownProvider {
        name: String,
        #[label("unknown probe type")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("`{text}` is not written as this probe type wants it")]
    #[diagnostic(code("rt::attach-form"), help("write `{expected}`"))]
    AttachForm {
        text: String,
        expected: String,
        #[label("expected `{expected}`")]
        at: Span,
    },
    #[error("there is no {what} `{name}`")]
    #[diagnostic(code("rt::unknown-probe"))]
    AttachUnknown {
        what: String,
        name: String,
        #[label("no such {what}")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("nothing matches `{text}`")]
    #[diagnostic(code("rt::no-match"))]
    AttachNoMatch {
        text: String,
        #[label("no match")]
        at: Span,
    },
    #[error("this kernel cannot trace `{text}`: {reason}")]
    #[diagnostic(code("rt::unsupported"))]
    AttachUnsupported {
        text: String,
        reason: String,
        #[label("not on this kernel")]
        at: Span,
    },
    #[error("the script has {found} attach points, and no more than {limit} are allowed")]
    #[diagnostic(code("rt::too-many-probes"), help("`config = {{ max_probes = {found} }}` allows them"))]
    TooManyProbes {
        found: usize,
        limit: u32,
        #[label("too many with this one")]
        at: Span,
    },

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
