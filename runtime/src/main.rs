//! The command `rtscript`. All it adds to the library is the way in which diagnostics are drawn (miette's `fancy`).

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(rtscript_runtime::run(std::env::args_os()))
}
