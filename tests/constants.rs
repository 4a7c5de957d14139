//! Stratum *constants*: the built-in table of constants beside the headers of this machine. Each header's macros that the table
//! knows are evaluated by the C compiler. Where there is no compiler, that is said and the test counts as skipped; a header that is
//! not installed is left out.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rtscript_lang::constants;

const HEADERS: &[&str] = &[
    "errno.h",
    "signal.h",
    "fcntl.h",
    "poll.h",
    "sched.h",
    "time.h",
    "limits.h",
    "sys/stat.h",
    "sys/socket.h",
    "sys/un.h",
    "sys/mman.h",
    "sys/mount.h",
    "sys/epoll.h",
    "sys/inotify.h",
    "sys/eventfd.h",
    "sys/timerfd.h",
    "sys/ptrace.h",
    "sys/prctl.h",
    "sys/wait.h",
    "sys/resource.h",
    "sys/ioctl.h",
    "sys/syscall.h",
    "sys/shm.h",
    "net/if.h",
    "net/ethernet.h",
    "netinet/in.h",
    "netinet/ip.h",
    "netinet/ip_icmp.h",
    "netinet/icmp6.h",
    "netinet/tcp.h",
    "netinet/udp.h",
    "linux/capability.h",
    "linux/sched.h",
    "linux/magic.h",
    "linux/futex.h",
    "linux/seccomp.h",
    "linux/audit.h",
    "linux/bpf.h",
    "linux/if_ether.h",
    "linux/if_packet.h",
    "linux/if_arp.h",
    "linux/if_tun.h",
    "linux/netlink.h",
    "linux/rtnetlink.h",
    "linux/netfilter.h",
    "linux/perf_event.h",
    "linux/keyctl.h",
    "linux/mempolicy.h",
    "linux/personality.h",
    "linux/falloc.h",
    "linux/elf.h",
    "linux/fuse.h",
    "linux/loop.h",
    "linux/kvm.h",
    "linux/major.h",
    "linux/blktrace_api.h",
    "asm/vmx.h",
    "asm/svm.h",
];

/// Topics that scripts need, and a name of each: that none of them is lost with a header that is not installed.
const TOPICS: &[(&str, i64)] = &[
    ("AF_NETLINK", 16),
    ("IPPROTO_UDP", 17),
    ("SOCK_DGRAM", 2),
    ("SOL_SOCKET", 1),
    ("O_DIRECTORY", 0o200_000),
    ("SIGCHLD", 17),
    ("ETIMEDOUT", 110),
    ("CAP_NET_ADMIN", 12),
    ("CLONE_THREAD", 0x1_0000),
    ("MS_RDONLY", 1),
    ("MAP_ANONYMOUS", 0x20),
    ("EPOLLHUP", 0x10),
    ("ETH_P_IP", 0x800),
    ("NF_DROP", 0),
    ("NF_ACCEPT", 1),
    ("KVM_EXIT_MMIO", 6),
    ("EXIT_REASON_HLT", 12),
    ("AUDIT_ARCH_X86_64", 0xc000_003e),
];

#[test]
fn values_are_those_of_the_headers() {
    for (name, value) in TOPICS {
        let found = constants::find(name).or_else(|| constants::find_enumerator(name));
        assert_eq!(found, Some(*value), "{name}");
    }
    if Command::new("cc").arg("--version").output().is_err() {
        println!("constants: skipped: there is no C compiler");
        return;
    }
    let mut compared = 0;
    let mut wrong = Vec::new();
    for header in HEADERS {
        let known: Vec<String> =
            macros_of(header).into_iter().filter(|name| constants::find(name).is_some()).collect();
        for (name, theirs) in values(header, &known) {
            compared += 1;
            let ours = constants::find(&name).expect("a known name");
            // To the C library it is 0 where every file is large, to the kernel it is a flag.
            if ours != theirs && name != "O_LARGEFILE" {
                wrong.push(format!("{name} of {header}: {ours} is {theirs}"));
            }
        }
    }
    println!("constants: {compared} compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of the macros that a header defines, with those of the headers that it includes; none where it is not installed.
fn macros_of(header: &str) -> Vec<String> {
    let at = Source::new(&format!("{}#include <{header}>\n", Source::HEAD));
    let output = Command::new("cc").args(["-E", "-dM"]).arg(&at.0).output().expect("cc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.strip_prefix("#define ")?.split(' ').next());
    match output.status.success() {
        true => names.map(str::to_owned).collect(),
        false => Vec::new(),
    }
}

/// What the compiler says of these names; those that need a further header are left out.
fn values(header: &str, names: &[String]) -> Vec<(String, i64)> {
    let mut text = format!("{}#include <{header}>\n#include <stdio.h>\nint main(void) {{\n", Source::HEAD);
    let first = text.lines().count() + 1;
    let mut names = names.to_vec();
    loop {
        let mut program = text.clone();
        for name in &names {
            writeln!(program, "    printf(\"{name} %lld\\n\", (long long)({name}));")
                .expect("a string grows");
        }
        program.push_str("    return 0;\n}\n");
        let at = Source::new(&program);
        let base = at.0.with_extension("");
        let made = Command::new("cc").args(["-w", "-fmax-errors=0", "-o"]).arg(&base).arg(&at.0).output();
        let made = made.expect("cc runs");
        if made.status.success() {
            let output = Command::new(&base).output().expect("it runs");
            let _ = fs::remove_file(&base);
            text = String::from_utf8(output.stdout).expect("names and numbers");
            return text.lines().filter_map(|line| line.split_once(' ')).map(pair).collect();
        }
        let errors = String::from_utf8_lossy(&made.stderr).into_owned();
        let lines: Vec<usize> = errors
            .lines()
            .filter(|line| line.contains(": error:"))
            .filter_map(|line| line.rsplit_once(".c:")?.1.split(':').next()?.parse().ok())
            .collect();
        let before = names.len();
        let mut line = first - 1;
        names.retain(|_| {
            line += 1;
            !lines.contains(&line)
        });
        assert!(names.len() < before, "{header}: {errors}");
    }
}

fn pair((name, value): (&str, &str)) -> (String, i64) {
    (name.to_owned(), value.parse().expect("a number"))
}

/// A file for the compiler, removed when it is dropped.
struct Source(PathBuf);

impl Source {
    const HEAD: &'static str = "#define _GNU_SOURCE\n#include <sys/types.h>\n#include <stddef.h>\n";

    fn new(text: &str) -> Source {
        let path = std::env::temp_dir().join(format!("rtscript-constants-{}.c", std::process::id()));
        fs::write(&path, text).expect("a temporary file");
        Source(path)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
