//! Facts about the kernel that runs, each read when it is first asked for and kept.
//!
//! Making a [`RunningKernel`] does nothing. A script that needs types maps `/sys/kernel/btf/vmlinux` and passes
//! over it once (about 1 ms for the 126 000 types of a 6.18 kernel); one that needs none does not. Nothing here
//! changes the kernel, loads a program, or mounts a file system where others see it; the one exception are
//! the programs of a few instructions by which `features.rs` asks kernels older than a feature whether it was
//! ported back to them.
//!
//! | file | what |
//! |---|---|
//! | `types.rs` | BTF of the kernel and its modules |
//! | `tracefs.rs` | tracefs: mounted, given, or a mount of our own that nobody else sees |
//! | `functions.rs` | which functions can be traced |
//! | `programs.rs` | functions of BPF programs |
//! | `symbols.rs` | addresses by name, from `/proc/kallsyms` |
//! | `features.rs` | what its BPF offers |
//! | `privileges.rs` | what this process may do |
//! | `info.rs` | what `--info` shows |

mod features;
mod functions;
mod info;
mod places;
mod privileges;
mod programs;
mod symbols;
mod tracefs;
mod types;

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rtscript_lang::btf::Btf;
use rtscript_lang::kernel::{BpfFunction, FIRST_PROGRAM, Features, Kernel, KernelError, TracepointFormat};
use rtscript_lang::provider::ProgramKind;

use programs::Programs;
use tracefs::Tracefs;
use types::Types;

pub use info::{Section, info};
pub use privileges::{Unprivileged, check_privileges};

/// Where to read from, if not from the usual places.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A BTF file in place of `/sys/kernel/btf/vmlinux`; then no module has types.
    pub btf: Option<PathBuf>,
    /// The directory of a mounted tracefs, or of a copy of one.
    pub tracefs: Option<PathBuf>,
    /// Directories with debug information of programs, in place of those of distributions.
    pub debug_dirs: Vec<String>,
    /// The functions that can be traced, in place of the kernel's list: `NAME`, or `NAME [MODULE]`, a line.
    pub functions: Option<PathBuf>,
    /// The process of `-p`.
    pub process: Option<u32>,
}

/// The kernel that runs.
#[derive(Debug)]
pub struct RunningKernel {
    types: Types,
    sources: Sources,
    tracefs: OnceCell<Result<Tracefs, KernelError>>,
    functions: OnceCell<Result<Vec<(String, String)>, KernelError>>,
    programs: OnceCell<Result<Programs, KernelError>>,
    features: OnceCell<Features>,
}

impl RunningKernel {
    pub fn new(sources: Sources) -> RunningKernel {
        RunningKernel {
            types: Types::new(sources.btf.clone()),
            sources,
            tracefs: OnceCell::new(),
            functions: OnceCell::new(),
            programs: OnceCell::new(),
            features: OnceCell::new(),
        }
    }

    fn programs(&self) -> Result<&Programs, KernelError> {
        self.programs.get_or_init(Programs::read).as_ref().map_err(KernelError::clone)
    }

    fn tracefs(&self) -> Result<&Tracefs, KernelError> {
        self.tracefs
            .get_or_init(|| Tracefs::open(self.sources.tracefs.as_deref()))
            .as_ref()
            .map_err(KernelError::clone)
    }
}

impl Kernel for RunningKernel {
    fn debug_dirs(&self) -> &[String] {
        &self.sources.debug_dirs
    }

    fn modules(&self) -> Result<&[String], KernelError> {
        Ok(self.types.modules())
    }

    fn module_btf(&self, module: u16) -> Result<&Btf, KernelError> {
        if module >= FIRST_PROGRAM {
            let missing = || KernelError::Missing { what: "the types of a BPF program".to_owned() };
            return self.programs()?.of(module).ok_or_else(missing);
        }
        self.types.of_module(module)
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<TracepointFormat, KernelError> {
        self.tracefs()?.format(category, event)
    }

    fn tracepoints(&self) -> Result<Vec<(String, String)>, KernelError> {
        let mut events = self.tracefs()?.events()?;
        events.sort_unstable();
        Ok(events)
    }

    fn traceable_functions(&self) -> Result<&[(String, String)], KernelError> {
        let read = || functions::traceable(self.sources.functions.as_deref(), self.tracefs(), self.btf());
        self.functions.get_or_init(read).as_deref().map_err(KernelError::clone)
    }

    fn symbol_address(&self, name: &str) -> Result<Option<u64>, KernelError> {
        symbols::address_of(name)
    }

    fn process(&self) -> Option<u32> {
        self.sources.process
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        places::cgroup_id(path)
    }

    fn pid_namespace(&self) -> Option<(u64, u64)> {
        places::pid_namespace()
    }

    fn allows_kfunc(&self, name: &str, program: ProgramKind) -> bool {
        features::allows_kfunc(self, name, program)
    }

    fn allows_write_user(&self) -> bool {
        features::allows_write_user()
    }

    fn bpf_functions(&self) -> Result<&[BpfFunction], KernelError> {
        Ok(&self.programs()?.functions)
    }

    fn allows_override(&self) -> bool {
        features::allows_override()
    }

    fn ticks_per_second(&self) -> Option<u32> {
        let mut tick = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // The coarse clocks advance by one tick.
        // SAFETY: it writes the struct that it is given.
        let found = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut tick) };
        let nanoseconds = u32::try_from(tick.tv_nsec).ok().filter(|count| found == 0 && *count > 0)?;
        Some((1_000_000_000 + nanoseconds / 2) / nanoseconds)
    }

    fn cpu_count(&self) -> u32 {
        crate::bpf::possible_cpus().map_or(1, |count| count as u32)
    }

    fn features(&self) -> &Features {
        self.features.get_or_init(|| features::find(self))
    }
}

/// Reads a file of the kernel; an error says what could not be had.
fn read(path: &Path, what: &str) -> Result<Vec<u8>, KernelError> {
    fs::read(path).map_err(|error| unreadable(&error, path, what))
}

fn unreadable(error: &io::Error, path: &Path, what: &str) -> KernelError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            KernelError::Missing { what: format!("{what} (there is no {})", path.display()) }
        }
        io::ErrorKind::PermissionDenied => KernelError::Denied {
            what: format!("{what} ({})", path.display()),
            help: "run it as root".to_owned(),
        },
        _ => {
            KernelError::Malformed { what: format!("{what} ({})", path.display()), reason: error.to_string() }
        }
    }
}

/// Major and minor number of the release, `6.18` of `6.18.5-cloud`; zeroes where it has none.
pub(crate) fn version() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    parse_version(&release)
}

fn parse_version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_two_numbers() {
        assert_eq!(parse_version("6.18.5-1-cloud"), (6, 18));
        assert_eq!(parse_version("5.4"), (5, 4));
        assert_eq!(parse_version("6"), (6, 0));
        assert_eq!(parse_version(""), (0, 0));
        assert!(version() >= (4, 0));
    }

    #[test]
    fn files_take_the_place_of_the_kernels_own() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        let kernel = RunningKernel::new(Sources {
            btf: Some(fixtures.join("kernel.btf")),
            tracefs: Some(fixtures),
            ..Sources::default()
        });
        assert_eq!(kernel.modules().unwrap(), ["vmlinux"]);
        let btf = kernel.btf().unwrap();
        assert!(btf.find_composite("task_struct").is_some());
        assert!(btf.find_composite("xfs_inode").is_none());
        assert!(kernel.module_btf(1).is_err());

        let format = kernel.tracepoint_format("task", "task_rename").unwrap();
        assert!(format.fields.iter().any(|field| field.name == "newcomm"));
        let none = kernel.tracepoint_format("task", "task_nothing");
        assert!(matches!(none, Err(KernelError::Missing { .. })), "{none:?}");
    }

    #[test]
    fn the_running_kernel_has_types() {
        let kernel = RunningKernel::new(Sources::default());
        match kernel.btf() {
            Ok(btf) => {
                let task = btf.find_composite("task_struct").unwrap();
                assert!(btf.field(task, "pid").is_some());
                let features = kernel.features();
                assert!(version() < (6, 2) || features.rdonly_cast, "{features:?}");
            }
            Err(error) => println!("skipped: {error:?}"),
        }
    }

    #[test]
    fn tracepoints_are_read_also_where_tracefs_is_not_mounted() {
        let kernel = RunningKernel::new(Sources::default());
        let events = match kernel.tracepoints() {
            Ok(events) => events,
            Err(error) => return println!("skipped: {error:?}"),
        };
        assert!(events.contains(&("task".to_owned(), "task_rename".to_owned())));
        let format = kernel.tracepoint_format("task", "task_rename").unwrap();
        assert!(format.id > 0 && !format.fields.is_empty());
        for (category, event) in [("..", "x"), ("task", "../task"), ("", "")] {
            assert!(kernel.tracepoint_format(category, event).is_err());
        }
    }
}
