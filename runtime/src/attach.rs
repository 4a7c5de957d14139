//! Attaching: what a provider does with a loaded program.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{Provider, Target};

/// The half of a provider that does I/O.
pub trait Attach: Provider {
    /// Attaches a program to one target. The program runs until the descriptors are closed. Never called for targets of
    /// the phases `Begin` and `End`.
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>>;
}

/// What attaching may depend on.
pub struct Environment<'k> {
    pub kernel: &'k dyn Kernel,
    /// Only this process (`-p`), for providers that filter where they attach.
    pub pid: Option<u32>,
    /// The process of the command of `-c`, for providers that need some process.
    pub child: Option<u32>,
}
