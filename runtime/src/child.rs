//! The command of `-c`: started, but held back until everything is attached.
//!
//! The child is forked at once, so that its process id is known, and waits at a pipe; when it is let go it executes
//! the command. What the execution itself does is traced as well, then still under the tracer's name.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A child process. Dropping it ends it: by SIGTERM if it runs, and quietly if it was never let go.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    /// Readable when the child has ended.
    pidfd: OwnedFd,
    /// A byte written here lets it go; closing it without ends it.
    gate: Option<File>,
    /// The error number of an execution that failed; empty where it did not.
    failure: File,
    ended: bool,
}

impl Child {
    /// Forks. The words are the command and its arguments.
    ///
    /// An error of kind `NotFound` or `PermissionDenied`: there is no such command.
    pub fn start(words: &[String]) -> io::Result<Child> {
        let Some((name, args)) = words.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        // Found out now and not by the child, so that nothing is attached for a command that does not exist.
        let path = find(OsStr::new(name))?;
        let (mut hold, gate) = pipe()?;
        let (failure, mut report) = pipe()?;
        let mut command = Command::new(path);
        command.arg0(name).args(args);
        // SAFETY: this process has one thread, so the child may do whatever it could have done.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop((gate, failure));
                let mut byte = [0];
                if hold.read_exact(&mut byte).is_ok() {
                    // Returns only if it fails. It gives the command the usual signals: none blocked, no SIGPIPE ignored.
                    let error = command.exec();
                    let number = error.raw_os_error().unwrap_or(libc::ENOEXEC);
                    let _ = report.write_all(&number.to_ne_bytes());
                }
                // SAFETY: ends the process without running what belongs to the parent.
                unsafe { libc::_exit(127) }
            }
            pid => {
                // Once this is closed here, a read ends when the child has executed or ended.
                drop(report);
                // If this fails, the gate is closed and the child ends by itself.
                let pidfd = pidfd_of(pid)?;
                Ok(Child { pid, pidfd, gate: Some(gate), failure, ended: false })
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Readable once the child has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Lets it execute the command, and waits until it has. The error says why it could not.
    pub fn release(&mut self) -> io::Result<()> {
        let Some(mut gate) = self.gate.take() else { return Ok(()) };
        gate.write_all(&[1])?;
        let mut number = [0; 4];
        match self.failure.read_exact(&mut number) {
            Ok(()) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(number))),
            // The end of the pipe, without a number: it executed.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes note that it has ended, which `pidfd` told.
    pub fn reap(&mut self) {
        if !self.ended {
            // SAFETY: our own child, which is waited for once.
            self.ended = unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) } == self.pid;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.reap();
        if self.ended {
            return;
        }
        if self.gate.take().is_none() {
            // SAFETY: the child was not waited for, so the number is still its own.
            unsafe { libc::kill(self.pid, libc::SIGTERM) };
        }
    }
}

/// Splits a command into words as a shell would: blanks part words; `'…'` keeps everything; in `"…"` and outside of
/// quotes a backslash keeps the next character. Nothing is expanded.
pub fn split_words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a ' is never closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            // A line that goes on.
                            Some('\n') => {}
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a \" is never closed"),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a \" is never closed"),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => word.get_or_insert_default().push('\\'),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The file that a command's name stands for.
fn find(name: &OsStr) -> io::Result<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        check_executable(Path::new(name))?;
        return Ok(name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| check_executable(file).is_ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn check_executable(file: &Path) -> io::Result<()> {
    let data = file.metadata()?;
    if data.is_file() && data.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EACCES))
    }
}

/// The reading and the writing end, both closed on execution.
fn pipe() -> io::Result<(File, File)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made both for us.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}

/// Linux 5.3 and later.
fn pidfd_of(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: no address is passed.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn wait_readable(fd: BorrowedFd<'_>) {
        let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry is passed.
        while unsafe { libc::poll(&raw mut poll, 1, -1) } != 1 {}
    }

    fn words(text: &str) -> Vec<String> {
        split_words(text).unwrap()
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        assert_eq!(words("ls -l  /tmp"), ["ls", "-l", "/tmp"]);
        assert_eq!(words("  "), [""; 0]);
        assert_eq!(words(r#"sh -c 'echo "a b"; exit'"#), ["sh", "-c", r#"echo "a b"; exit"#]);
        assert_eq!(words(r#"a" b"'c '"#), ["a bc "]);
        assert_eq!(words(r#"'' """#), ["", ""]);
        assert_eq!(words(r"a\ b \\ \'"), ["a b", r"\", "'"]);
        assert_eq!(words(r#""\"\\\n$x""#), [r#""\\n$x"#]);
        assert!(split_words("'a").is_err() && split_words(r#""a"#).is_err() && split_words("\"a\\").is_err());
    }

    #[test]
    fn a_child_runs_once_it_is_let_go() {
        let mut child = Child::start(&words("true")).unwrap();
        child.release().unwrap();
        wait_readable(child.pidfd());
        child.reap();
        assert!(child.ended);
    }

    #[test]
    fn a_child_that_was_never_let_go_ends_without_running_its_command() {
        let name = format!("rtscript-child-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let mut child = Child::start(&["touch".to_owned(), file.to_str().unwrap().to_owned()]).unwrap();
        child.gate = None;
        wait_readable(child.pidfd());
        child.reap();
        assert!(child.ended && !file.exists());
    }

    #[test]
    fn a_command_that_cannot_be_executed_is_told() {
        let error = |command: &str| Child::start(&words(command)).unwrap_err().kind();
        assert_eq!(error("no-such-command-anywhere"), io::ErrorKind::NotFound);
        assert_eq!(error("/no/such/file"), io::ErrorKind::NotFound);
        assert_eq!(error("/etc/passwd"), io::ErrorKind::PermissionDenied);
        assert_eq!(error(""), io::ErrorKind::InvalidInput);

        // Executable by its mode, but not in fact.
        let file = std::env::temp_dir().join(format!("rtscript-broken-{}", std::process::id()));
        std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Child::start(&[file.to_str().unwrap().to_owned()]).unwrap();
        let released = child.release();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(released.unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }
}
