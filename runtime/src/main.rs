//! The command `rtscript`. All it adds to the library is the way in which diagnostics are drawn (miette's `fancy`).

use std::process::ExitCode;

use miette::MietteHandlerOpts;

fn main() -> ExitCode {
    let color = match std::env::var("BPFTRACE_COLOR").as_deref() {
        Ok("always") => Some(true),
        Ok("never") => Some(false),
        // Colours where the output is a terminal that has some, and NO_COLOR is not set.
        Ok(_) | Err(_) => None,
    };
    if let Some(color) = color {
        // It can only be set once, and nobody did before.
        let _ = miette::set_hook(Box::new(move |_| Box::new(MietteHandlerOpts::new().color(color).build())));
    }
    ExitCode::from(rtscript_runtime::run(std::env::args_os()))
}
