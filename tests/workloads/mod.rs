//! The workloads: small C programs that make a known number of events. Each says in its head what it does and prints.
//! `workload(name)` builds one by `cc` where it is not built yet.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of the workload `name` (`rename`, `threads`, `open`, `exec`, `syscalls`), built and ready to run.
/// An error is a sentence that says why there is none, for the report of a test that cannot run.
pub fn workload(name: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workloads");
    let build = Command::new(root.join("tests/workloads/build"))
        .arg(&directory)
        .arg(name)
        .output()
        .map_err(|error| format!("tests/workloads/build does not run: {error}"))?;
    if !build.status.success() {
        return Err(format!(
            "the workload {name} does not build: {}",
            String::from_utf8_lossy(&build.stderr).trim()
        ));
    }
    Ok(directory.join(name))
}
