//! Telling others that everything is attached: test harnesses by a line on standard output, and the service manager that
//! started us by its socket (sd_notify(3)).

use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The environment variable by which test harnesses ask to be told, by this very word, that all is attached.
const NOTIFY: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/// Tells whoever asked. Nobody who does not listen keeps us from tracing.
pub fn tell_ready() {
    if std::env::var_os(NOTIFY).is_some_and(|value| value == "1") {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{NOTIFY}").and_then(|()| out.flush());
    }
    let _ = tell_manager();
}

/// The socket's name is a path, or begins with `@` where it is an abstract one.
fn tell_manager() -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(|_| ())
}
