//! `-l`: attach points that match a pattern, or those of a script; with `-v` also their arguments.

use std::io::{self, Write};

use rtscript_lang::btf::Kind;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Target};

use crate::attach::Attach;
use crate::providers::PROVIDERS;
use crate::providers::pattern::{is_wildcard, matches};
use crate::report::{Failure, list_failure, say};

/// Writes the full names of everything that `pattern` matches.
///
/// `rt:task*` asks the providers of that name, and `*:open*` all of them; a pattern without a colon is matched with
/// whole names and their last parts, unless it is a provider's own name. Several patterns have commas between them. A provider
/// that cannot list is passed over with a warning, except where it is the only one that was asked.
pub fn list(pattern: &str, kernel: &dyn Kernel, verbose: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some((tag, name)) = pattern.split_once(' ')
        && let Some(kinds) = kinds_of(tag)
    {
        return list_types(tag, kinds, name.trim(), kernel, verbose, out);
    }
    let mut found = false;
    for pattern in patterns(pattern) {
        found |= list_one(pattern, kernel, verbose, out)?;
    }
    if !found {
        say(format_args!("rtscript: nothing matches {pattern}"));
    }
    Ok(())
}

/// The parts between the commas that are not within quotes.
fn patterns(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(str::trim).collect()
}

/// Whether there was anything to list.
fn list_one(pattern: &str, kernel: &dyn Kernel, verbose: bool, out: &mut dyn Write) -> Result<bool, Failure> {
    let (provider, point) = pattern.split_once(':').unwrap_or((pattern, "*"));
    let mut asked: Vec<&dyn Attach> =
        PROVIDERS.iter().copied().filter(|it| is_named(*it, provider)).collect();
    let mut whole_names = false;
    if asked.is_empty() {
        if pattern.contains(':') {
            return Err(Failure::line(unknown_provider(provider)));
        }
        asked = PROVIDERS.to_vec();
        whole_names = true;
    }
    let only = asked.len() == 1;
    let mut found = false;
    // Nobody wants to see all functions of all programs who did not ask for them.
    let of_files = only || point.contains('/') || kernel.process().is_some();
    let is_asked =
        |provider: &&dyn Attach| only || !provider.is_the_end() && (of_files || !provider.is_in_files());
    for provider in asked.into_iter().filter(is_asked) {
        let mut targets = match provider.list(point, kernel) {
            Ok(targets) => targets,
            Err(error) if only => return Err(Failure::line(list_failure(&error))),
            Err(error) => {
                say(format_args!(
                    "rtscript: {} is not listed: {}",
                    provider.names()[0],
                    list_failure(&error)
                ));
                continue;
            }
        };
        targets.retain(|target| {
            let last = target.name.rsplit(':').next().unwrap_or_default();
            !whole_names || matches(pattern, &target.name) || matches(pattern, last)
        });
        targets.sort_by(|one, other| one.name.cmp(&other.name));
        found |= !targets.is_empty();
        write_targets(provider, targets.iter(), kernel, verbose, out)
            .map_err(|error| Failure::unwritten("the list", &error))?;
    }
    Ok(found)
}

/// What `struct`, `union` and `enum` are in BTF.
fn kinds_of(tag: &str) -> Option<&'static [Kind]> {
    match tag {
        "struct" => Some(&[Kind::Struct]),
        "union" => Some(&[Kind::Union]),
        "enum" => Some(&[Kind::Enum, Kind::Enum64]),
        _ => None,
    }
}

/// Writes the names of the kernel's types that match, in their order; with `verbose` their definitions in C.
fn list_types(
    tag: &str,
    kinds: &[Kind],
    pattern: &str,
    kernel: &dyn Kernel,
    verbose: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let btf = kernel.btf().map_err(|error| Failure::line(list_failure(&AttachError::Kernel(error))))?;
    let of_kind = kinds.iter().flat_map(|&kind| btf.of_kind(kind));
    let mut found: Vec<_> = of_kind.filter(|(_, name)| !name.is_empty() && matches(pattern, name)).collect();
    found.sort_by_key(|(id, name)| (*name, *id));
    found.dedup_by_key(|(_, name)| *name);
    for (id, name) in found {
        let text = if verbose { btf.definition(id) } else { None };
        let text = text.unwrap_or_else(|| format!("{tag} {name}"));
        writeln!(out, "{text}").map_err(|error| Failure::unwritten("the list", &error))?;
    }
    Ok(())
}

/// Writes the full names of given attach points, such as those of a script, each once.
pub fn list_targets<'t>(
    targets: impl Iterator<Item = &'t Target>,
    kernel: &dyn Kernel,
    verbose: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut seen = std::collections::HashSet::new();
    for target in targets.filter(|target| seen.insert(*target)) {
        if let Some(provider) = provider_of(target) {
            write_targets(provider, std::iter::once(target), kernel, verbose, out)
                .map_err(|error| Failure::unwritten("the list", &error))?;
        }
    }
    Ok(())
}

/// The provider that a target belongs to.
pub fn provider_of(target: &Target) -> Option<&'static dyn Attach> {
    PROVIDERS.iter().copied().find(|provider| provider.names()[0] == target.provider)
}

fn write_targets<'t>(
    provider: &dyn Attach,
    targets: impl Iterator<Item = &'t Target>,
    kernel: &dyn Kernel,
    verbose: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    for target in targets {
        writeln!(out, "{}", target.name)?;
        if verbose {
            // A target whose arguments cannot be read is listed without them.
            for argument in provider.describe(target, kernel).unwrap_or_default() {
                writeln!(out, "    {argument}")?;
            }
        }
    }
    Ok(())
}

fn is_named(provider: &dyn Attach, pattern: &str) -> bool {
    if is_wildcard(pattern) {
        // By its full name only: short names would make `t*` mean more than it says.
        return matches(&pattern.to_ascii_lowercase(), provider.names()[0]);
    }
    provider.is_named(pattern)
}

fn unknown_provider(name: &str) -> String {
    let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.names()[0]).collect();
    format!("there is no probe type {name}; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use rtscript_lang::kernel::FixtureKernel;

    use super::*;

    fn listed(pattern: &str, verbose: bool) -> Result<String, Failure> {
        let kernel = FixtureKernel::new(include_bytes!("../../tests/fixtures/kernel.btf")).unwrap();
        let mut out = Vec::new();
        list(pattern, &kernel, verbose, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_pattern_names_a_provider_or_all_of_them() {
        let names = listed("rt:task_rename*", false).unwrap();
        assert_eq!(names, "rawtracepoint:vmlinux:task_rename\n");
        assert_eq!(listed("RAWTRACEPOINT:task_rename", false).unwrap(), names);
        assert_eq!(listed("raw*:task_rename", false).unwrap(), names);
        assert_eq!(listed("*:vmlinux:task_rename", false).unwrap(), names);
        assert!(listed("rawtracepoint", false).unwrap().contains(&names));
        assert_eq!(listed("rt:no_such_event", false).unwrap(), "");
        assert!(listed("nothing:x", false).is_err());
    }

    #[test]
    fn types_are_listed_by_their_tag() {
        assert_eq!(listed("struct task_struct", false).unwrap(), "struct task_struct\n");
        assert!(listed("struct task_struct", true).unwrap().starts_with("struct task_struct {\n\t"));
        assert!(listed("struct task_*", false).unwrap().contains("struct task_struct\n"));
        assert_eq!(listed("union there_is_none", true).unwrap(), "");
    }

    #[test]
    fn arguments_stand_below_their_attach_point() {
        let text = listed("rt:task_rename", true).unwrap();
        assert!(text.starts_with("rawtracepoint:vmlinux:task_rename\n    struct task_struct * "), "{text}");
    }
}
