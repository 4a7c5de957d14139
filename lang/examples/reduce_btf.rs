//! Makes `tests/fixtures/kernel.btf`, the small BTF that tests use, from that of a running kernel:
//!
//! ```text
//! cargo run -p rtscript-lang --example reduce_btf -- /sys/kernel/btf/vmlinux tests/fixtures/kernel.btf
//! ```
//!
//! To have more in the fixture, add it to the lists below and run this again. Structs that no list names are
//! there as forward declarations, or whole where a struct of the lists holds one by value.

use std::error::Error;

use rtscript_lang::btf::{Btf, Kind, Root, TypeId, reduce};

/// Structs, and the members to keep; all of them where none is named.
const STRUCTS: &[(&str, &[&str])] = &[
    (
        "task_struct",
        &[
            "thread_info",
            "__state",
            "stack",
            "flags",
            "on_cpu",
            "prio",
            "static_prio",
            "normal_prio",
            "rt_priority",
            "policy",
            "nr_cpus_allowed",
            "exit_state",
            "exit_code",
            "exit_signal",
            "in_execve",
            "in_iowait",
            "sched_reset_on_fork",
            "pid",
            "tgid",
            "real_parent",
            "parent",
            "children",
            "sibling",
            "group_leader",
            "thread_pid",
            "utime",
            "stime",
            "nvcsw",
            "nivcsw",
            "start_time",
            "start_boottime",
            "min_flt",
            "maj_flt",
            "real_cred",
            "cred",
            "comm",
            "fs",
            "files",
            "nsproxy",
            "signal",
            "mm",
            "active_mm",
            "se",
            "cgroups",
        ],
    ),
    (
        "signal_struct",
        &[
            "nr_threads",
            "thread_head",
            "pids",
            "tty_old_pgrp",
            "utime",
            "stime",
            "cutime",
            "min_flt",
            "maj_flt",
            "inblock",
            "oublock",
            "rlim",
            "oom_flag_origin",
            "oom_score_adj",
            "oom_score_adj_min",
            "oom_mm",
        ],
    ),
    ("thread_info", &[]),
    ("sched_entity", &["exec_start", "sum_exec_runtime", "vruntime", "on_rq"]),
    (
        "mm_struct",
        &[
            "mm_users",
            "mm_count",
            "pgd",
            "total_vm",
            "arg_start",
            "arg_end",
            "env_start",
            "env_end",
            "exe_file",
            "start_code",
            "end_code",
        ],
    ),
    ("cred", &["usage", "uid", "gid", "suid", "euid", "egid"]),
    ("pid", &["count", "level", "numbers"]),
    ("upid", &[]),
    ("pid_namespace", &["pid_allocated", "level", "ns"]),
    ("ns_common", &["inum"]),
    ("nsproxy", &["count", "uts_ns", "mnt_ns", "pid_ns_for_children", "net_ns"]),
    ("fs_struct", &["users", "umask", "in_exec", "root", "pwd"]),
    ("files_struct", &["count", "fdt", "next_fd"]),
    ("fdtable", &["max_fds", "fd"]),
    ("path", &[]),
    ("file", &["f_mode", "f_op", "f_inode", "f_flags", "f_path", "f_pos", "private_data"]),
    ("dentry", &["d_flags", "d_parent", "d_name", "d_inode", "d_shortname", "d_sb"]),
    ("qstr", &[]),
    ("inode", &["i_mode", "i_flags", "i_uid", "i_gid", "i_sb", "i_ino", "i_rdev", "i_size", "i_blkbits"]),
    ("super_block", &["s_list", "s_dev", "s_blocksize", "s_magic", "s_id"]),
    ("linux_binprm", &["file", "interp", "filename", "argc", "envc", "exec"]),
    (
        "sk_buff",
        &[
            "next",
            "prev",
            "dev",
            "sk",
            "cb",
            "len",
            "data_len",
            "mac_len",
            "hdr_len",
            "queue_mapping",
            "cloned",
            "nohdr",
            "pkt_type",
            "ip_summed",
            "protocol",
            "transport_header",
            "network_header",
            "mac_header",
            "tail",
            "end",
            "head",
            "data",
            "truesize",
            "users",
            "mark",
            "hash",
            "skb_iif",
            "priority",
        ],
    ),
    ("net_device", &["name", "ifindex", "mtu", "flags", "type"]),
    ("sock", &["__sk_common", "sk_err", "sk_type", "sk_protocol", "sk_rcvbuf", "sk_sndbuf", "sk_uid"]),
    (
        "sock_common",
        &[
            "skc_daddr",
            "skc_rcv_saddr",
            "skc_hash",
            "skc_dport",
            "skc_num",
            "skc_family",
            "skc_state",
            "skc_reuse",
            "skc_reuseport",
            "skc_ipv6only",
            "skc_net_refcnt",
            "skc_v6_daddr",
            "skc_v6_rcv_saddr",
            "skc_refcnt",
        ],
    ),
    ("sockaddr", &[]),
    ("sockaddr_in", &[]),
    ("sockaddr_in6", &[]),
    ("in6_addr", &[]),
    ("iphdr", &[]),
    ("tcphdr", &[]),
    ("list_head", &[]),
    ("timespec64", &[]),
    ("pt_regs", &[]),
    ("trace_entry", &[]),
    ("trace_event_raw_task_rename", &[]),
    ("trace_event_raw_task_newtask", &[]),
    ("trace_event_raw_sched_switch", &[]),
    ("trace_event_raw_sched_process_exec", &[]),
    ("trace_event_raw_sched_process_fork", &[]),
    ("trace_event_raw_sys_enter", &[]),
    ("trace_event_raw_sys_exit", &[]),
    ("trace_event_raw_kfree_skb", &[]),
    ("trace_event_raw_block_rq_completion", &[]),
];

/// Raw tracepoints: of each the `btf_trace_` typedef and the `__traceiter_` function.
const RAW_TRACEPOINTS: &[&str] = &[
    "task_rename",
    "task_newtask",
    "sched_switch",
    "sched_wakeup",
    "sched_wakeup_new",
    "sched_process_exec",
    "sched_process_exit",
    "sched_process_fork",
    "sys_enter",
    "sys_exit",
    "kfree_skb",
];

const FUNCTIONS: &[&str] = &["bpf_rdonly_cast", "vfs_read", "vfs_write"];

const TYPEDEFS: &[&str] = &[
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "__u8",
    "__u16",
    "__u32",
    "__u64",
    "__s32",
    "__s64",
    "uint8_t",
    "uint16_t",
    "uint32_t",
    "uint64_t",
    "int8_t",
    "int16_t",
    "int32_t",
    "int64_t",
    "size_t",
    "ssize_t",
    "pid_t",
    "uid_t",
    "gid_t",
    "dev_t",
    "umode_t",
    "gfp_t",
    "sector_t",
    "loff_t",
    "bool",
    "uintptr_t",
];

const INTS: &[&str] = &[
    "char",
    "signed char",
    "unsigned char",
    "short int",
    "short unsigned int",
    "int",
    "unsigned int",
    "long int",
    "long unsigned int",
    "long long int",
    "long long unsigned int",
    "_Bool",
];

const ENUMS: &[&str] = &["pid_type", "hrtimer_restart", "skb_drop_reason"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(input), Some(output)) = (args.next(), args.next()) else {
        return Err("usage: reduce_btf INPUT OUTPUT".into());
    };
    let btf = Btf::parse(std::fs::read(input)?)?;
    let mut roots = Vec::new();
    let mut add = |name: &str, kind: Kind, members| match btf.find(name, kind) {
        Some(id) => roots.push(Root { id, members }),
        None => eprintln!("not in this kernel: {kind:?} {name}"),
    };
    for (name, members) in STRUCTS {
        add(name, Kind::Struct, members);
    }
    for name in RAW_TRACEPOINTS {
        add(&format!("btf_trace_{name}"), Kind::Typedef, &[]);
        add(&format!("__traceiter_{name}"), Kind::Func, &[]);
    }
    for name in FUNCTIONS {
        add(name, Kind::Func, &[]);
    }
    for name in TYPEDEFS {
        add(name, Kind::Typedef, &[]);
    }
    for name in INTS {
        add(name, Kind::Int, &[]);
    }
    for name in ENUMS {
        add(name, Kind::Enum, &[]);
    }
    for Root { id, members } in &roots {
        report_missing_members(&btf, *id, members);
    }
    let bytes = reduce(&btf, &roots);
    println!("{} types, {} bytes", Btf::parse(bytes.clone())?.len(), bytes.len());
    std::fs::write(output, bytes)?;
    Ok(())
}

fn report_missing_members(btf: &Btf, id: TypeId, members: &[&str]) {
    for member in members.iter().filter(|member| btf.field(id, member).is_none()) {
        eprintln!("not in this kernel: {}.{member}", btf.name(id));
    }
}
