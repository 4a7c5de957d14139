//! tracefs: the kernel's list of tracepoints, and the layout of each one's record.
//!
//! Where it is not mounted, a mount of our own is made that has no place in the tree of files: nobody else sees
//! it, and it is gone with the last descriptor (`fsopen` and `fsmount`, Linux 5.2; 92 µs on 6.18). Files are
//! reached through the directory's descriptor in `/proc/self/fd`, which serves all three kinds alike.

use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rtscript_lang::kernel::{KernelError, TracepointFormat};
use rustc_hash::FxHashMap;

use super::unreadable;

const MOUNT_POINT: &str = "/sys/kernel/tracing";
/// Where it is found on old systems, below debugfs. Looking there may mount it, so this comes last.
const OLD_MOUNT_POINT: &str = "/sys/kernel/debug/tracing";

#[derive(Debug)]
pub struct Tracefs {
    directory: OwnedFd,
    /// What was read already: by `category:event`, for who checks a script and for who attaches to it.
    formats: RefCell<FxHashMap<String, TracepointFormat>>,
}

impl Tracefs {
    /// Opens the directory that is given, or finds the kernel's.
    pub fn open(given: Option<&Path>) -> Result<Tracefs, KernelError> {
        if let Some(path) = given {
            let file = File::open(path).map_err(|error| unreadable(&error, path, "tracefs"))?;
            return Ok(Tracefs::at(file.into()));
        }
        if let Some(mounted) = mounted_at(MOUNT_POINT) {
            return Ok(mounted);
        }
        let error = match mount_detached() {
            Ok(directory) => return Ok(Tracefs::at(directory)),
            Err(error) => error,
        };
        if let Some(mounted) = mounted_at(OLD_MOUNT_POINT) {
            return Ok(mounted);
        }
        Err(match error.raw_os_error() {
            Some(libc::ENODEV) => KernelError::Missing { what: "tracefs (CONFIG_FTRACE)".to_owned() },
            Some(libc::EPERM | libc::EACCES) => KernelError::Denied {
                what: "the kernel's tracepoints (tracefs)".to_owned(),
                help: "run it as root, or name a readable tracefs with --tracefs DIR".to_owned(),
            },
            Some(_) | None => KernelError::Denied {
                what: format!(
                    "the kernel's tracepoints (tracefs is not mounted; mounting it failed: {error})"
                ),
                help: format!("mount it: mount -t tracefs tracefs {MOUNT_POINT}"),
            },
        })
    }

    fn at(directory: OwnedFd) -> Tracefs {
        Tracefs { directory, formats: RefCell::default() }
    }

    /// The description of an event, which is read once.
    pub fn format(&self, category: &str, event: &str) -> Result<TracepointFormat, KernelError> {
        let name = format!("{category}:{event}");
        if let Some(known) = self.formats.borrow().get(&name) {
            return Ok(known.clone());
        }
        let format = self.read_format(category, event)?;
        self.formats.borrow_mut().insert(name, format.clone());
        Ok(format)
    }

    /// Reads and parses `events/CATEGORY/EVENT/format`.
    fn read_format(&self, category: &str, event: &str) -> Result<TracepointFormat, KernelError> {
        let what = format!("the tracepoint {category}:{event}");
        if !is_name(category) || !is_name(event) {
            return Err(KernelError::Missing { what });
        }
        let path = self.path(&format!("events/{category}/{event}/format"));
        // A copy of the tree may have plain files in place of directories.
        let copy = self.path(&format!("events/{category}/{event}.format"));
        let text = match read_small(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_to_string(copy) {
                Ok(text) => text,
                Err(_) => return Err(KernelError::Missing { what }),
            },
            Err(error) => return Err(refused(&error, &what)),
        };
        TracepointFormat::parse(&format!("{category}:{event}"), &text)
    }

    /// Reads `available_events`: lines of `category:event`.
    pub fn events(&self) -> Result<Vec<(String, String)>, KernelError> {
        let what = "the list of tracepoints (tracefs, available_events)";
        let text =
            fs::read_to_string(self.path("available_events")).map_err(|error| refused(&error, what))?;
        let events = text.lines().filter_map(|line| line.split_once(':'));
        Ok(events.map(|(category, event)| (category.to_owned(), event.to_owned())).collect())
    }

    /// Reads `available_filter_functions`, where the kernel has the function tracer.
    pub fn functions(&self) -> Result<String, KernelError> {
        let what = "the list of functions that can be traced (tracefs, available_filter_functions)";
        fs::read_to_string(self.path("available_filter_functions")).map_err(|error| refused(&error, what))
    }

    fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{file}", self.directory.as_raw_fd()))
    }
}

/// Reads a file of a page or so. It says of itself that it is empty, so that growing steps would be tried.
fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::with_capacity(8192);
    File::open(path)?.read_to_string(&mut text)?;
    text.shrink_to_fit();
    Ok(text)
}

/// The magic number of the file system that a file lies in.
pub fn file_system(file: &impl AsRawFd) -> Option<i64> {
    // SAFETY: statfs is a struct of integers, for all of which zero is a value.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `status` has the size that the call fills.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut status) };
    (result == 0).then_some(status.f_type)
}

/// An event's or a category's name, and not a way out of the directory.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn refused(error: &io::Error, what: &str) -> KernelError {
    unreadable(error, Path::new("tracefs"), what)
}

/// The directory, if tracefs is mounted there and can be read.
fn mounted_at(path: &str) -> Option<Tracefs> {
    let directory = File::open(path).ok()?;
    (file_system(&directory) == Some(libc::TRACEFS_MAGIC)).then(|| Tracefs::at(directory.into()))
}

fn mount_detached() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_long = 1;
    const FSCONFIG_CMD_CREATE: libc::c_long = 6;
    const FSMOUNT_CLOEXEC: libc::c_long = 1;
    const NAME: &CStr = c"tracefs";
    const NULL: usize = 0;

    // SAFETY: the name ends in NUL and lives as long as the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, NAME.as_ptr(), FSOPEN_CLOEXEC) })?;
    let fd = context.as_raw_fd();
    // SAFETY: this command takes no key and no value.
    if unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no address is passed.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0) })
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_an_event_is_read_once() {
        let directory = std::env::temp_dir().join(format!("rtscript-tracefs-{}", std::process::id()));
        let file = directory.join("events/c/e.format");
        fs::create_dir_all(directory.join("events/c")).unwrap();
        fs::write(&file, "name: e\nID: 7\nformat:\n\tfield:int x;\toffset:8;\tsize:4;\tsigned:1;\n").unwrap();
        let tracefs = Tracefs::open(Some(&directory)).unwrap();
        let first = tracefs.format("c", "e");
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(first.as_ref().map(|format| format.id), Ok(7));
        assert_eq!(tracefs.format("c", "e"), first);
        assert!(tracefs.format("c", "other").is_err());
    }
}
