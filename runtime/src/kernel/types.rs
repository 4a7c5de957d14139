//! The kernel's own description of its types, and those of its modules.
//!
//! `vmlinux` is mapped, not read: only the pages that are looked at cost anything. A private mapping works on
//! 6.18 where a shared one is refused; kernels before 6.16 cannot map the file at all, and then it is read.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};
use rtscript_lang::btf::Btf;
use rtscript_lang::kernel::KernelError;

use super::{read, unreadable};

const DIRECTORY: &str = "/sys/kernel/btf";

type Loaded = Result<Arc<Btf>, KernelError>;

#[derive(Debug)]
pub struct Types {
    /// A file in place of the kernel's.
    given: Option<PathBuf>,
    vmlinux: OnceCell<Loaded>,
    modules: OnceCell<Modules>,
}

/// `vmlinux` first, then the modules by name.
#[derive(Debug)]
struct Modules {
    names: Vec<String>,
    btf: Vec<OnceCell<Loaded>>,
}

impl Types {
    pub fn new(given: Option<PathBuf>) -> Types {
        Types { given, vmlinux: OnceCell::new(), modules: OnceCell::new() }
    }

    pub fn modules(&self) -> &[String] {
        &self.found_modules().names
    }

    pub fn of_module(&self, module: u16) -> Result<&Btf, KernelError> {
        let loaded = if module == 0 {
            self.vmlinux()
        } else {
            let modules = self.found_modules();
            let position = usize::from(module);
            let (Some(name), Some(cell)) = (modules.names.get(position), modules.btf.get(position)) else {
                return Err(KernelError::Missing { what: format!("the types of module {module}") });
            };
            cell.get_or_init(|| self.load_module(name))
        };
        match loaded {
            Ok(btf) => Ok(btf),
            Err(error) => Err(error.clone()),
        }
    }

    fn vmlinux(&self) -> &Loaded {
        self.vmlinux.get_or_init(|| {
            let path = self.given.clone().unwrap_or_else(|| Path::new(DIRECTORY).join("vmlinux"));
            let what = "the kernel's type information (BTF)";
            let file = File::open(&path).map_err(|error| unreadable(&error, &path, what))?;
            let parsed = match map(&file) {
                Some(mapping) => Btf::parse(mapping),
                None => Btf::parse(read(&path, what)?),
            };
            parsed.map(Arc::new).map_err(|error| KernelError::Malformed {
                what: format!("{what} ({})", path.display()),
                reason: error.to_string(),
            })
        })
    }

    fn load_module(&self, name: &str) -> Loaded {
        let base = self.vmlinux().clone()?;
        let what = format!("the type information (BTF) of module {name}");
        let bytes = read(&Path::new(DIRECTORY).join(name), &what)?;
        Btf::parse_split(bytes, base)
            .map(Arc::new)
            .map_err(|error| KernelError::Malformed { what, reason: error.to_string() })
    }

    fn found_modules(&self) -> &Modules {
        self.modules.get_or_init(|| {
            let mut names: Vec<String> = match (&self.given, fs::read_dir(DIRECTORY)) {
                (None, Ok(entries)) => entries
                    .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                    .filter(|name| name != "vmlinux")
                    .collect(),
                // Another kernel's types, or none at all: then there are no modules to speak of.
                (Some(_), _) | (None, Err(_)) => Vec::new(),
            };
            names.sort_unstable();
            names.insert(0, "vmlinux".to_owned());
            let btf = names.iter().map(|_| OnceCell::new()).collect();
            Modules { names, btf }
        })
    }
}

/// A private mapping of a whole file; `None` where the kernel gives none.
fn map(file: &File) -> Option<Mmap> {
    // SAFETY: the bytes under the mapping must not change. The kernel never writes to its BTF. A file that the
    // user names could be written to or cut meanwhile; so only sysfs files, which have that promise, are mapped.
    is_sysfs(file).then(|| unsafe { MmapOptions::new().map_copy_read_only(file) })?.ok()
}

fn is_sysfs(file: &File) -> bool {
    super::tracefs::file_system(file) == Some(libc::SYSFS_MAGIC)
}
