//! Attaching: what a provider does with a loaded program.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use aya_obj::generated::bpf_attach_type;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{Provider, Target};

/// The half of a provider that does I/O.
pub trait Attach: Provider {
    /// How the kernel is to load the program of some targets: once for all of them, unless a provider says otherwise.
    fn loading(&self, _targets: &[(Target, u64)], _kernel: &dyn Kernel) -> io::Result<Loading> {
        Ok(Loading::Once(LoadAs::default()))
    }

    /// Attaches a program to one target. The program runs until the descriptors are closed. Never called for targets of
    /// the phases `Begin` and `End`.
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>>;

    /// Where the link of an iterator is pinned once everything is attached; without a pin it is read at once.
    fn pin(&self, _: &Target) -> Option<PathBuf> {
        None
    }

    /// The address that a target watches: `unwatch` detaches it by this.
    fn watched(&self, _: &Target) -> Option<u64> {
        None
    }

    /// Attaches a program that was loaded as [`Loading::Together`] to many targets in one call; the numbers are their
    /// cookies.
    fn attach_together(
        &self,
        _targets: &[(Target, u64)],
        _program: BorrowedFd<'_>,
        _environment: &Environment<'_>,
    ) -> io::Result<OwnedFd> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there is no call that attaches to many"))
    }

    /// Attaches a program that was loaded as a session to both ends of functions in one call; see `kprobe_sessions.rs`.
    fn attach_session(&self, _: &[(Target, u64)], _: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there are no sessions of this"))
    }
}

/// What attaching may depend on.
pub struct Environment<'k> {
    pub kernel: &'k dyn Kernel,
    /// Only this process (`-p`), for providers that filter where they attach.
    pub pid: Option<u32>,
    /// The process of the command of `-c`, for providers that need some process.
    pub child: Option<u32>,
}

/// How often a program is loaded for its targets.
pub enum Loading {
    Once(LoadAs),
    /// Once, and attached to all of them by [`Attach::attach_together`].
    Together(LoadAs),
    /// Once for each target, in their order: a program that belongs to one function.
    Each(Vec<LoadAs>),
}

/// What the kernel must be told when a program is loaded, beyond its type.
#[derive(Debug, Default)]
pub struct LoadAs {
    pub attach_type: Option<bpf_attach_type>,
    /// The id of what it is for, in the kernel's BTF or in that of `object`; 0 for nothing.
    pub btf_id: u32,
    /// The BTF of a module, or a BPF program.
    pub object: Option<OwnedFd>,
}
