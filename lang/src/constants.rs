//! Constants that scripts usually take from kernel headers and that BTF does not have, since they are macros.
//!
//! Values are those of x86-64 Linux, from `include/uapi/`.

/// The value of a constant.
pub fn find(name: &str) -> Option<i64> {
    CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// All of them, by topic.
#[rustfmt::skip]
pub static CONSTANTS: &[(&str, i64)] = &[
    ("NULL", 0),

    // linux/socket.h
    ("AF_UNSPEC", 0), ("AF_UNIX", 1), ("AF_LOCAL", 1), ("AF_INET", 2), ("AF_BRIDGE", 7), ("AF_INET6", 10),
    ("AF_NETLINK", 16), ("AF_PACKET", 17), ("AF_VSOCK", 40), ("AF_XDP", 44),
    ("PF_UNIX", 1), ("PF_INET", 2), ("PF_INET6", 10),
    ("ETH_P_IP", 0x0800), ("ETH_P_ARP", 0x0806), ("ETH_P_IPV6", 0x86dd),

    // asm/signal.h
    ("SIGHUP", 1), ("SIGINT", 2), ("SIGQUIT", 3), ("SIGILL", 4), ("SIGTRAP", 5), ("SIGABRT", 6), ("SIGBUS", 7),
    ("SIGFPE", 8), ("SIGKILL", 9), ("SIGUSR1", 10), ("SIGSEGV", 11), ("SIGUSR2", 12), ("SIGPIPE", 13),
    ("SIGALRM", 14), ("SIGTERM", 15), ("SIGSTKFLT", 16), ("SIGCHLD", 17), ("SIGCONT", 18), ("SIGSTOP", 19),
    ("SIGTSTP", 20), ("SIGTTIN", 21), ("SIGTTOU", 22), ("SIGURG", 23), ("SIGXCPU", 24), ("SIGXFSZ", 25),
    ("SIGVTALRM", 26), ("SIGPROF", 27), ("SIGWINCH", 28), ("SIGIO", 29), ("SIGPWR", 30), ("SIGSYS", 31),

    // asm-generic/fcntl.h
    ("O_ACCMODE", 0o3), ("O_RDONLY", 0), ("O_WRONLY", 0o1), ("O_RDWR", 0o2), ("O_CREAT", 0o100),
    ("O_EXCL", 0o200), ("O_NOCTTY", 0o400), ("O_TRUNC", 0o1000), ("O_APPEND", 0o2000), ("O_NONBLOCK", 0o4000),
    ("O_DSYNC", 0o10000), ("O_DIRECT", 0o40000), ("O_LARGEFILE", 0o100000), ("O_DIRECTORY", 0o200000),
    ("O_NOFOLLOW", 0o400000), ("O_NOATIME", 0o1000000), ("O_CLOEXEC", 0o2000000), ("O_SYNC", 0o4010000),
    ("O_PATH", 0o10000000), ("O_TMPFILE", 0o20200000), ("AT_FDCWD", -100),

    // linux/stat.h
    ("S_IFMT", 0o170000), ("S_IFSOCK", 0o140000), ("S_IFLNK", 0o120000), ("S_IFREG", 0o100000),
    ("S_IFBLK", 0o060000), ("S_IFDIR", 0o040000), ("S_IFCHR", 0o020000), ("S_IFIFO", 0o010000),

    // linux/sched.h
    ("CLONE_VM", 0x100), ("CLONE_FS", 0x200), ("CLONE_FILES", 0x400), ("CLONE_SIGHAND", 0x800),
    ("CLONE_VFORK", 0x4000), ("CLONE_THREAD", 0x10000), ("CLONE_NEWNS", 0x20000), ("CLONE_NEWCGROUP", 0x2000000),
    ("CLONE_NEWUTS", 0x4000000), ("CLONE_NEWIPC", 0x8000000), ("CLONE_NEWUSER", 0x10000000),
    ("CLONE_NEWPID", 0x20000000), ("CLONE_NEWNET", 0x40000000),
    ("PF_EXITING", 0x4), ("PF_KTHREAD", 0x200000),
    ("TASK_RUNNING", 0), ("TASK_INTERRUPTIBLE", 1), ("TASK_UNINTERRUPTIBLE", 2),
    ("TASK_COMM_LEN", 16),

    // asm-generic/mman-common.h
    ("PROT_READ", 1), ("PROT_WRITE", 2), ("PROT_EXEC", 4), ("MAP_SHARED", 1), ("MAP_PRIVATE", 2), ("MAP_FIXED", 0x10),
    ("MAP_ANONYMOUS", 0x20), ("PAGE_SIZE", 4096), ("PAGE_SHIFT", 12),

    // asm-generic/errno.h
    ("EPERM", 1), ("ENOENT", 2), ("ESRCH", 3), ("EINTR", 4), ("EIO", 5), ("ENXIO", 6), ("E2BIG", 7), ("ENOEXEC", 8),
    ("EBADF", 9), ("ECHILD", 10), ("EAGAIN", 11), ("EWOULDBLOCK", 11), ("ENOMEM", 12), ("EACCES", 13), ("EFAULT", 14),
    ("EBUSY", 16), ("EEXIST", 17), ("EXDEV", 18), ("ENODEV", 19), ("ENOTDIR", 20), ("EISDIR", 21), ("EINVAL", 22),
    ("ENFILE", 23), ("EMFILE", 24), ("ENOTTY", 25), ("EFBIG", 27), ("ENOSPC", 28), ("ESPIPE", 29), ("EROFS", 30),
    ("EMLINK", 31), ("EPIPE", 32), ("EDOM", 33), ("ERANGE", 34), ("EDEADLK", 35), ("ENAMETOOLONG", 36),
    ("ENOSYS", 38), ("ENOTEMPTY", 39), ("ELOOP", 40), ("EOVERFLOW", 75), ("ENOTSOCK", 88), ("EOPNOTSUPP", 95),
    ("EADDRINUSE", 98), ("EADDRNOTAVAIL", 99), ("ENETDOWN", 100), ("ENETUNREACH", 101), ("ECONNABORTED", 103),
    ("ECONNRESET", 104), ("ENOBUFS", 105), ("EISCONN", 106), ("ENOTCONN", 107), ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111), ("EHOSTUNREACH", 113), ("EALREADY", 114), ("EINPROGRESS", 115),

    // linux/limits and the like
    ("INT_MAX", 0x7fff_ffff), ("UINT_MAX", 0xffff_ffff), ("INT_MIN", -0x8000_0000), ("LONG_MAX", i64::MAX),
];
