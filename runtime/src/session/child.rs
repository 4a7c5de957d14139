//! The process that `-c` starts: made before anything is attached, let go once everything is.
//!
//! The standard library's `Command` waits until the program is executed, so that it cannot hold one back before that.
//! This forks by hand: the child blocks on a pipe until a byte comes, and says on a second one, which closes by itself
//! at the `exec`, why it could not be executed.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// A child that waits to be let go, or runs, or has ended.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    program: String,
    /// Readable once the child has ended.
    pidfd: OwnedFd,
    go: Option<File>,
    failure: Option<File>,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Forks, with the words of a command; the program is executed by [`Child::release`].
    pub fn prepare(words: &[String]) -> io::Result<Child> {
        let args =
            words.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<Vec<_>, _>>().map_err(
                |_| io::Error::new(io::ErrorKind::InvalidInput, "the command has a NUL byte in it"),
            )?;
        let Some(program) = words.first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let file = find_program(OsStr::new(program))?;
        let mut pointers: Vec<*const libc::c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let (go_read, go_write) = pipe()?;
        let (failure_read, failure_write) = pipe()?;
        // SAFETY: this process has one thread here; the child calls only functions that are safe after a fork.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            drop(go_write);
            run_child(go_read, failure_write, &file, &pointers);
        }
        // Where this fails the child sees the end of its pipe, and leaves.
        let pidfd = watch(pid)?;
        let program = program.clone();
        Ok(Child { pid, program, pidfd, go: Some(go_write), failure: Some(failure_read), ended: None })
    }

    /// What is executed, as the command names it.
    pub fn program(&self) -> &str {
        &self.program
    }

    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Lets the child execute its program; an error says why it could not.
    pub fn release(&mut self) -> io::Result<()> {
        if let Some(mut go) = self.go.take() {
            go.write_all(&[1])?;
        }
        let mut error = [0; 4];
        match self.failure.take().map(|mut failure| failure.read_exact(&mut error)) {
            Some(Ok(())) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(error))),
            // The pipe closed at the exec.
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// Reaps the child if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.wait(libc::WNOHANG)
    }

    fn wait(&mut self, flags: libc::c_int) -> Option<ExitStatus> {
        if self.ended.is_none() {
            let mut status = 0;
            // SAFETY: it is our child and not reaped yet; `status` is valid.
            let pid = unsafe { libc::waitpid(self.pid, &raw mut status, flags) };
            if pid == self.pid {
                self.ended = Some(ExitStatus::from_raw(status));
            }
        }
        self.ended
    }
}

/// A descriptor that is readable once a process has ended.
pub fn watch(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes a pid and flags; the result is a new descriptor or an error.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if pidfd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd as i32) })
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    /// Ends a child that still runs, by SIGTERM, and reaps one that has ended.
    fn drop(&mut self) {
        let waits = self.go.take().is_some();
        if self.try_wait().is_some() {
            return;
        }
        if !waits {
            // SAFETY: it is our child and not reaped, so the pid is still its own.
            unsafe { libc::kill(self.pid, libc::SIGTERM) };
        }
        // One that was never let go leaves at once; another may take its time, and need not be waited for.
        if waits {
            self.wait(0);
        } else {
            self.try_wait();
        }
    }
}

/// In the child: waits, then executes. Never returns.
fn run_child(mut go: File, mut failure: File, file: &CStr, args: &[*const libc::c_char]) -> ! {
    let mut byte = [0];
    let released = matches!(go.read(&mut byte), Ok(1));
    if released {
        // SAFETY: valid pointers; signals are as a new program expects them.
        unsafe {
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execv(file.as_ptr(), args.as_ptr());
        }
        let error = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        // Nobody is left to tell if this fails.
        let _ = failure.write_all(&error.to_ne_bytes());
    }
    // SAFETY: leaves without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// The file of a command, as the shell's search would find it. So a trace shows one `execve`, and none that fails.
fn find_program(program: &OsStr) -> io::Result<CString> {
    let executable = |path: &std::path::Path| {
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        // SAFETY: a valid C string.
        (unsafe { libc::access(path.as_ptr(), libc::X_OK) } == 0).then_some(path)
    };
    if program.as_bytes().contains(&b'/') {
        let path = std::path::Path::new(program);
        if let Some(path) = executable(path) {
            return Ok(path);
        }
        std::fs::metadata(path)?;
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).filter(|path| path.is_file());
    found.filter_map(|path| executable(&path)).next().ok_or(io::Error::from_raw_os_error(libc::ENOENT))
}

/// A pipe that closes at an exec: `(read end, write end)`.
fn pipe() -> io::Result<(File, File)> {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors, which are then owned once each.
    unsafe {
        if libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1])))
    }
}

/// Splits a command into words as a shell does: blanks separate, quotes keep together, a backslash takes the next
/// character as it is.
pub fn split_words(command: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => loop {
                match chars.next() {
                    Some('\'') => {
                        word.get_or_insert_default();
                        break;
                    }
                    Some(c) => word.get_or_insert_default().push(c),
                    None => return Err("a single quote is not closed"),
                }
            },
            '"' => {
                let inside = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => inside.push(c),
                            Some(c) => inside.extend(['\\', c]),
                            None => return Err("a double quote is not closed"),
                        },
                        Some(c) => inside.push(c),
                        None => return Err("a double quote is not closed"),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("it ends in a backslash"),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_split_as_a_shell_does() {
        let words = |text: &str| split_words(text).unwrap();
        assert_eq!(words("  ls  -l\t/tmp "), ["ls", "-l", "/tmp"]);
        assert_eq!(words("sh -c 'echo \"a  b\"'"), ["sh", "-c", "echo \"a  b\""]);
        assert_eq!(words(r#"echo "a \" \n b" c\ d"#), ["echo", r#"a " \n b"#, "c d"]);
        assert_eq!(words("a'b'\"c\"d ''"), ["abcd", ""]);
        assert!(words("").is_empty());
        assert!(split_words("a 'b").is_err());
        assert!(split_words("a \"b").is_err());
        assert!(split_words("a\\").is_err());
    }

    #[test]
    fn a_child_waits_until_it_is_released() {
        let mut child = Child::prepare(&["true".to_string()]).unwrap();
        assert!(child.try_wait().is_none());
        child.release().unwrap();
        assert!(child.wait(0).unwrap().success());
    }

    #[test]
    fn a_command_that_does_not_exist_is_an_error() {
        let error = Child::prepare(&["/no/such/program".to_string()]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = Child::prepare(&["no-such-program-anywhere".to_string()]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
