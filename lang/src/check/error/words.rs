//! Words that several messages share.

/// The words for what a use is of.
pub fn variable(name: &str) -> String {
    // Variables of macros and functions have a number behind their name.
    format!("`${}`", name.split('\'').next().unwrap_or(name))
}

pub fn map_value(name: &str) -> String {
    format!("`@{name}`")
}

pub fn map_key(name: &str) -> String {
    format!("the key of `@{name}`")
}

pub fn argument_of(function: &str) -> String {
    format!("the argument of `{function}`")
}

pub fn format_of(function: &str) -> String {
    format!("the format of `{function}`")
}

pub fn arguments(count: usize) -> String {
    if count == 1 { "1 argument".to_string() } else { format!("{count} arguments") }
}

/// How many arguments a function takes.
pub fn arity((least, most): (usize, usize)) -> String {
    match (least, most) {
        (0, 0) => "no arguments".to_string(),
        (least, usize::MAX) => format!("at least {}", arguments(least)),
        (least, most) if least == most => arguments(least),
        (least, most) => format!("{least} to {}", arguments(most)),
    }
}
