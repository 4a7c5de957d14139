//! Constants that scripts usually take from headers, so that no header is needed on the machine.
//!
//! They are macros, which BTF does not have; what BTF has, the enumerators, is asked for there. Values are those of
//! x86-64 Linux: those of `include/uapi/` are fixed for ever, and those of the kernel itself, such as `PF_KTHREAD` and
//! `__GFP_*`, are those of Linux 6.12 and later. They stand below the header that usually brings them, by topic.

mod bpf;
mod devices;
mod enumerators;
mod errors;
mod files;
mod limits;
mod memory;
mod network;
mod processes;
mod subsystems;

static TOPICS: &[&[(&str, i64)]] = &[
    files::CONSTANTS,
    errors::CONSTANTS,
    processes::CONSTANTS,
    network::CONSTANTS,
    memory::CONSTANTS,
    devices::CONSTANTS,
    bpf::CONSTANTS,
    limits::CONSTANTS,
    subsystems::CONSTANTS,
];

/// The value of a constant.
pub fn find(name: &str) -> Option<i64> {
    value_in(all(), name)
}

/// The value of an enumerator that this kernel's BTF may lack.
pub fn find_enumerator(name: &str) -> Option<i64> {
    value_in(enumerators::CONSTANTS.iter().copied(), name)
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|(name, _)| name)
}

fn all() -> impl Iterator<Item = (&'static str, i64)> {
    TOPICS.iter().flat_map(|topic| topic.iter().copied())
}

fn value_in(mut constants: impl Iterator<Item = (&'static str, i64)>, name: &str) -> Option<i64> {
    constants.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_has_two_values() {
        let mut seen = HashSet::new();
        for (name, _) in all().chain(enumerators::CONSTANTS.iter().copied()) {
            assert!(seen.insert(name), "{name} is there twice");
        }
    }

    #[test]
    fn some_of_each_topic() {
        let known = [
            ("AF_INET6", 10),
            ("O_CLOEXEC", 0o2000000),
            ("S_IFDIR", 0o040000),
            ("SIGKILL", 9),
            ("ECONNREFUSED", 111),
            ("CAP_SYS_ADMIN", 21),
            ("CLONE_NEWNET", 0x4000_0000),
            ("MS_NOSUID", 2),
            ("EPOLLIN", 1),
            ("PROT_EXEC", 4),
            ("PF_KTHREAD", 0x20_0000),
            ("FIONREAD", 0x541b),
            ("MINORBITS", 20),
            ("AT_FDCWD", -100),
        ];
        for (name, value) in known {
            assert_eq!(find(name), Some(value), "{name}");
        }
        assert_eq!(find_enumerator("TCP_ESTABLISHED"), Some(1));
    }
}
