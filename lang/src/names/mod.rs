//! Numbers that print as what they stand for: errors, signals, system calls.
//!
//! A value is the number as long as the script runs, which costs nothing; its text is looked up where it is printed, and
//! where the script compares it with a literal. Where it must be text, as beside a string in one variable, the program
//! itself looks it up: [`texts`] are the tables that it is given.

mod allocation;
mod syscalls;

pub use allocation::allocation_flags;

use crate::types::Label;

/// Bytes that the text of every number fits into, its NUL included.
pub const TEXT: u32 = 64;

/// The text of a number; `None` for labels whose text only the running system knows.
pub fn text_of(label: &Label, number: i64) -> Option<String> {
    let (table, unknown) = (numbers(label)?, unknown(label)?);
    let number = match label {
        // Functions of the kernel return errors as negative numbers.
        Label::Error => number.checked_abs().unwrap_or(number),
        Label::Signal | Label::Syscall | Label::Cgroup(_) => number,
    };
    let known = u16::try_from(number).ok().and_then(|number| find(table, number));
    Some(match (known, label) {
        (Some(name), _) => name.to_string(),
        (None, Label::Signal) if (34..=64).contains(&number) => format!("{REAL_TIME}{}", number - 34),
        (None, _) => format!("{unknown}{number}"),
    })
}

/// The number whose text this is.
pub fn number_of(label: &Label, text: &str) -> Option<i64> {
    let table = numbers(label)?;
    if let Some((number, _)) = table.iter().find(|(_, name)| *name == text) {
        return Some(i64::from(*number));
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').len();
    let number: i64 = text[digits..].parse().ok()?;
    [Some(number), number.checked_add(34)]
        .into_iter()
        .flatten()
        .find(|&number| text_of(label, number).as_deref() == Some(text))
}

/// The texts of the numbers from 0 on, as far as any are known; none for labels whose text only the running system knows.
pub fn texts(label: &Label) -> Vec<String> {
    let last = match label {
        // The real-time signals have no rows.
        Label::Signal => Some(64),
        Label::Error | Label::Syscall | Label::Cgroup(_) => {
            numbers(label).and_then(|table| table.last()).map(|(number, _)| *number)
        }
    };
    last.iter().flat_map(|last| (0..=*last).filter_map(|number| text_of(label, number.into()))).collect()
}

/// What stands in front of a number that has no name.
pub fn unknown(label: &Label) -> Option<&'static str> {
    match label {
        Label::Error => Some("Unknown error "),
        Label::Signal => Some("Unknown signal "),
        Label::Syscall => Some("Unknown syscall "),
        Label::Cgroup(_) => None,
    }
}

fn numbers(label: &Label) -> Option<&'static [(u16, &'static str)]> {
    match label {
        Label::Error => Some(ERRORS),
        Label::Signal => Some(SIGNAL_TEXTS),
        Label::Syscall => Some(syscalls::SYSCALLS),
        Label::Cgroup(_) => None,
    }
}

fn find(table: &[(u16, &'static str)], number: u16) -> Option<&'static str> {
    let at = table.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    Some(table[at].1)
}

/// As `strerror` of the C library says them.
#[rustfmt::skip]
static ERRORS: &[(u16, &str)] = &[
    (0, "Success"), (1, "Operation not permitted"), (2, "No such file or directory"), (3, "No such process"),
    (4, "Interrupted system call"), (5, "Input/output error"), (6, "No such device or address"),
    (7, "Argument list too long"), (8, "Exec format error"), (9, "Bad file descriptor"), (10, "No child processes"),
    (11, "Resource temporarily unavailable"), (12, "Cannot allocate memory"), (13, "Permission denied"),
    (14, "Bad address"), (15, "Block device required"), (16, "Device or resource busy"), (17, "File exists"),
    (18, "Invalid cross-device link"), (19, "No such device"), (20, "Not a directory"), (21, "Is a directory"),
    (22, "Invalid argument"), (23, "Too many open files in system"), (24, "Too many open files"),
    (25, "Inappropriate ioctl for device"), (26, "Text file busy"), (27, "File too large"),
    (28, "No space left on device"), (29, "Illegal seek"), (30, "Read-only file system"), (31, "Too many links"),
    (32, "Broken pipe"), (33, "Numerical argument out of domain"), (34, "Numerical result out of range"),
    (35, "Resource deadlock avoided"), (36, "File name too long"), (37, "No locks available"),
    (38, "Function not implemented"), (39, "Directory not empty"), (40, "Too many levels of symbolic links"),
    (42, "No message of desired type"), (43, "Identifier removed"), (44, "Channel number out of range"),
    (45, "Level 2 not synchronized"), (46, "Level 3 halted"), (47, "Level 3 reset"),
    (48, "Link number out of range"), (49, "Protocol driver not attached"), (50, "No CSI structure available"),
    (51, "Level 2 halted"), (52, "Invalid exchange"), (53, "Invalid request descriptor"), (54, "Exchange full"),
    (55, "No anode"), (56, "Invalid request code"), (57, "Invalid slot"), (59, "Bad font file format"),
    (60, "Device not a stream"), (61, "No data available"), (62, "Timer expired"), (63, "Out of streams resources"),
    (64, "Machine is not on the network"), (65, "Package not installed"), (66, "Object is remote"),
    (67, "Link has been severed"), (68, "Advertise error"), (69, "Srmount error"),
    (70, "Communication error on send"), (71, "Protocol error"), (72, "Multihop attempted"),
    (73, "RFS specific error"), (74, "Bad message"), (75, "Value too large for defined data type"),
    (76, "Name not unique on network"), (77, "File descriptor in bad state"), (78, "Remote address changed"),
    (79, "Can not access a needed shared library"), (80, "Accessing a corrupted shared library"),
    (81, ".lib section in a.out corrupted"), (82, "Attempting to link in too many shared libraries"),
    (83, "Cannot exec a shared library directly"), (84, "Invalid or incomplete multibyte or wide character"),
    (85, "Interrupted system call should be restarted"), (86, "Streams pipe error"), (87, "Too many users"),
    (88, "Socket operation on non-socket"), (89, "Destination address required"), (90, "Message too long"),
    (91, "Protocol wrong type for socket"), (92, "Protocol not available"), (93, "Protocol not supported"),
    (94, "Socket type not supported"), (95, "Operation not supported"), (96, "Protocol family not supported"),
    (97, "Address family not supported by protocol"), (98, "Address already in use"),
    (99, "Cannot assign requested address"), (100, "Network is down"), (101, "Network is unreachable"),
    (102, "Network dropped connection on reset"), (103, "Software caused connection abort"),
    (104, "Connection reset by peer"), (105, "No buffer space available"),
    (106, "Transport endpoint is already connected"), (107, "Transport endpoint is not connected"),
    (108, "Cannot send after transport endpoint shutdown"), (109, "Too many references: cannot splice"),
    (110, "Connection timed out"), (111, "Connection refused"), (112, "Host is down"), (113, "No route to host"),
    (114, "Operation already in progress"), (115, "Operation now in progress"), (116, "Stale file handle"),
    (117, "Structure needs cleaning"), (118, "Not a XENIX named type file"), (119, "No XENIX semaphores available"),
    (120, "Is a named type file"), (121, "Remote I/O error"), (122, "Disk quota exceeded"),
    (123, "No medium found"), (124, "Wrong medium type"), (125, "Operation canceled"),
    (126, "Required key not available"), (127, "Key has expired"), (128, "Key has been revoked"),
    (129, "Key was rejected by service"), (130, "Owner died"), (131, "State not recoverable"),
    (132, "Operation not possible due to RF-kill"), (133, "Memory page has hardware error"),
];

/// What `strsignal` of the C library puts in front of the number of a real-time signal.
const REAL_TIME: &str = "Real-time signal ";

/// As `strsignal` of the C library says them.
#[rustfmt::skip]
static SIGNAL_TEXTS: &[(u16, &str)] = &[
    (1, "Hangup"), (2, "Interrupt"), (3, "Quit"), (4, "Illegal instruction"), (5, "Trace/breakpoint trap"),
    (6, "Aborted"), (7, "Bus error"), (8, "Floating point exception"), (9, "Killed"), (10, "User defined signal 1"),
    (11, "Segmentation fault"), (12, "User defined signal 2"), (13, "Broken pipe"), (14, "Alarm clock"),
    (15, "Terminated"), (16, "Stack fault"), (17, "Child exited"), (18, "Continued"), (19, "Stopped (signal)"),
    (20, "Stopped"), (21, "Stopped (tty input)"), (22, "Stopped (tty output)"), (23, "Urgent I/O condition"),
    (24, "CPU time limit exceeded"), (25, "File size limit exceeded"), (26, "Virtual timer expired"),
    (27, "Profiling timer expired"), (28, "Window changed"), (29, "I/O possible"), (30, "Power failure"),
    (31, "Bad system call"),
];

/// The number of a signal by its name in `include/uapi/asm-generic/signal.h`.
pub fn signal_by_name(name: &str) -> Option<i64> {
    let above = match name.strip_prefix("SIGRTMIN") {
        Some("") => Some(0),
        Some(above) => above.strip_prefix('+').and_then(|above| above.parse().ok()),
        None => None,
    };
    let real_time = above.filter(|above| (0..=30).contains(above)).map(|above: i64| 34 + above);
    real_time.or_else(|| Some(i64::from(SIGNALS.iter().find(|(_, known)| *known == name)?.0)))
}

/// `include/uapi/asm-generic/signal.h`.
#[rustfmt::skip]
pub static SIGNALS: &[(u16, &str)] = &[
    (1, "SIGHUP"), (2, "SIGINT"), (3, "SIGQUIT"), (4, "SIGILL"), (5, "SIGTRAP"), (6, "SIGABRT"), (7, "SIGBUS"),
    (8, "SIGFPE"), (9, "SIGKILL"), (10, "SIGUSR1"), (11, "SIGSEGV"), (12, "SIGUSR2"), (13, "SIGPIPE"),
    (14, "SIGALRM"), (15, "SIGTERM"), (16, "SIGSTKFLT"), (17, "SIGCHLD"), (18, "SIGCONT"), (19, "SIGSTOP"),
    (20, "SIGTSTP"), (21, "SIGTTIN"), (22, "SIGTTOU"), (23, "SIGURG"), (24, "SIGXCPU"), (25, "SIGXFSZ"),
    (26, "SIGVTALRM"), (27, "SIGPROF"), (28, "SIGWINCH"), (29, "SIGIO"), (30, "SIGPWR"), (31, "SIGSYS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order() {
        for table in [ERRORS, SIGNALS, SIGNAL_TEXTS, syscalls::SYSCALLS] {
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn texts_have_room() {
        for label in [Label::Error, Label::Signal, Label::Syscall] {
            let texts = texts(&label);
            let longest = format!("{}{}", unknown(&label).unwrap(), i64::MIN);
            assert!(texts.iter().chain([&longest]).all(|text| text.len() < TEXT as usize));
            assert!((0..).zip(&texts).all(|(number, text)| number_of(&label, text) == Some(number)));
        }
    }

    #[test]
    fn texts_and_numbers_find_each_other() {
        let cases = [
            (Label::Error, 2, "No such file or directory"),
            (Label::Error, 999, "Unknown error 999"),
            (Label::Signal, 9, "Killed"),
            (Label::Signal, 34, "Real-time signal 0"),
            (Label::Signal, 64, "Real-time signal 30"),
            (Label::Signal, 65, "Unknown signal 65"),
            (Label::Syscall, 100_000, "Unknown syscall 100000"),
        ];
        for (label, number, text) in cases {
            assert_eq!(text_of(&label, number).as_deref(), Some(text));
            assert_eq!(number_of(&label, text), Some(number));
        }
        let openat = number_of(&Label::Syscall, "openat").unwrap();
        assert_eq!(text_of(&Label::Syscall, openat).as_deref(), Some("openat"));
        assert_eq!(number_of(&Label::Signal, "SIGKILL"), None);
        assert_eq!(number_of(&Label::Error, "-"), None);
        assert_eq!(text_of(&Label::Error, -2).as_deref(), Some("No such file or directory"));
        assert_eq!(text_of(&Label::Error, i64::MIN).as_deref(), Some("Unknown error -9223372036854775808"));
    }

    #[test]
    fn signals_have_names() {
        let names = ["SIGKILL", "SIGRTMIN", "SIGRTMIN+30", "SIGRTMIN+31", "SIGRTMIN-1", "SIGNONE"];
        let numbers = names.map(signal_by_name);
        assert_eq!(numbers, [Some(9), Some(34), Some(64), None, None, None]);
    }
}
