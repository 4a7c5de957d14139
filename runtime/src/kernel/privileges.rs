//! What this process may do.
//!
//! Loading and attaching programs needs `CAP_BPF` and `CAP_PERFMON` (Linux 5.8), or `CAP_SYS_ADMIN`, which holds
//! both. Asked before anything else happens, so that the answer is one line and not the first call that fails.

use std::fmt;
use std::fs;

/// Numbers of `capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Why programs cannot be loaded here: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unprivileged {
    /// These capabilities are not effective.
    Capabilities(Vec<&'static str>),
    /// Lockdown in its mode `confidentiality`: no program may read kernel memory.
    LockedDown,
}

impl fmt::Display for Unprivileged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unprivileged::Capabilities(missing) => write!(
                f,
                "tracing needs {}, which this process does not have: run it as root",
                missing.join(" and ")
            ),
            Unprivileged::LockedDown => f.write_str(
                "this kernel is locked down (mode confidentiality), which forbids programs to read kernel memory",
            ),
        }
    }
}

impl std::error::Error for Unprivileged {}

/// Whether this process may trace, as far as that can be known without trying.
pub fn check_privileges() -> Result<(), Unprivileged> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // An unreadable status decides nothing: then the kernel will.
    if let Some(effective) = effective_capabilities(&status) {
        check_capabilities(effective)?;
    }
    if lockdown().as_deref() == Some("confidentiality") {
        return Err(Unprivileged::LockedDown);
    }
    Ok(())
}

/// The mode of the lockdown; `None` where it cannot be seen, or there is no such thing.
pub fn lockdown() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    selected(&text).map(str::to_owned)
}

/// `none [integrity] confidentiality`: the word in brackets.
fn selected(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn check_capabilities(effective: u64) -> Result<(), Unprivileged> {
    let has = |capability: u32| effective >> capability & 1 == 1;
    if has(CAP_SYS_ADMIN) {
        return Ok(());
    }
    let needed = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")];
    let missing: Vec<_> =
        needed.into_iter().filter(|(number, _)| !has(*number)).map(|(_, name)| name).collect();
    if missing.is_empty() { Ok(()) } else { Err(Unprivileged::Capabilities(missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let check = |capabilities: &[u32]| {
            check_capabilities(capabilities.iter().fold(0, |all, capability| all | 1 << capability))
        };
        assert_eq!(check(&[CAP_SYS_ADMIN]), Ok(()));
        assert_eq!(check(&[CAP_BPF, CAP_PERFMON]), Ok(()));
        assert_eq!(check(&[CAP_BPF]), Err(Unprivileged::Capabilities(vec!["CAP_PERFMON"])));
        let nothing = check(&[]).unwrap_err().to_string();
        assert!(nothing.contains("CAP_BPF and CAP_PERFMON") && !nothing.contains('\n'), "{nothing}");
    }

    #[test]
    fn the_status_has_the_capabilities() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
    }

    #[test]
    fn the_lockdown_mode_is_the_word_in_brackets() {
        assert_eq!(selected("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(selected("none\n"), None);
    }
}
