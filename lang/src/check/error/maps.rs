//! What can be wrong with a map and its uses.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::DidYouMean;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum MapFact {
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
    /// `print(1, 2)`
    #[error("only whole maps are printed in part")]
    #[diagnostic(code("rt::print-limits"), help("a tuple is printed by `print((a, b))`"))]
    PrintLimits {
        #[label("this is not a whole map")]
        value: Span,
        #[label("says how much of it is printed")]
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
}
