//! Where the bodies of random scripts run, and what they can see there.

/// Where a body runs, and what it can see there.
pub(super) struct Place {
    pub(super) attach: &'static str,
    pub(super) ints: &'static [&'static str],
    pub(super) texts: &'static [&'static str],
    pub(super) tasks: &'static [&'static str],
    /// Printed, and used as keys.
    pub(super) others: &'static [&'static str],
    /// Where structures may be read from.
    pub(super) addresses: &'static [&'static str],
}

pub(super) const NOWHERE: Place =
    Place { attach: "begin", ints: &[], texts: &[], tasks: &[], others: &[], addresses: &[] };

pub(super) const PLACES: &[Place] = &[
    NOWHERE,
    Place {
        attach: "rt:task_rename",
        ints: &["arg0", "args.task.signal.oom_score_adj", "args.task.mm.pgd.pgd", "args.task.in_execve"],
        texts: &["str(args.comm)", "str(arg1, 200)", "args.task.comm"],
        tasks: &["args.task", "(struct task_struct *)arg0"],
        others: &["kstack", "kstack(perf, 5)", "probe", "ksym(arg0)"],
        addresses: &["arg0", "arg1", "args.task"],
    },
    Place {
        attach: "rt:sched_switch, rt:sched_process_exec",
        ints: &["arg1", "arg2"],
        texts: &["str(arg1)"],
        tasks: &[],
        others: &["kstack(3)", "ustack(3)", "probe"],
        addresses: &["arg1"],
    },
    Place {
        attach: "rt:sys_enter",
        ints: &["args.id", "args.regs.di", "args.regs.ip"],
        texts: &["str(uptr(args.regs.si))", "str(uptr(args.regs.di), 64)"],
        tasks: &[],
        others: &["ustack(2)", "usym(args.regs.ip)", "syscall_name(args.id)"],
        addresses: &["uptr(args.regs.di)", "args.regs"],
    },
    Place {
        attach: "tracepoint:syscalls:sys_enter_openat",
        ints: &["args.dfd", "args.flags", "args.mode"],
        texts: &["str(args.filename)", "str(args.filename, 33)", "str(args->filename, 1000)"],
        tasks: &[],
        others: &["ustack", "kstack", "probe"],
        addresses: &["args.filename"],
    },
    Place {
        attach: "tracepoint:sched:sched_switch",
        ints: &["args.prev_pid", "args.next_prio", "args.prev_state"],
        texts: &["args.prev_comm", "args.next_comm"],
        tasks: &[],
        others: &["kstack(4)"],
        addresses: &["curtask"],
    },
    Place {
        attach: "tracepoint:sched:sched_process_exec",
        ints: &["args.pid"],
        texts: &["args.filename"],
        tasks: &[],
        others: &["ustack(3)"],
        addresses: &["curtask.mm"],
    },
    Place {
        attach: "uprobe:libc:puts, uprobe:libc:*getenv",
        ints: &["arg0", "arg1", "arg3", "reg(\"sp\")", "*(int32 *)arg1"],
        texts: &["str(arg0)", "str(arg1, 64)", "str(*(uint64 *)arg1)"],
        tasks: &[],
        others: &["ustack", "func", "usym(arg0)", "probe"],
        addresses: &["arg0", "arg1", "arg2"],
    },
    Place {
        attach: "uretprobe:libc:*getenv",
        ints: &["retval"],
        texts: &["str(retval)"],
        tasks: &[],
        others: &["ustack(5)", "func"],
        addresses: &["retval"],
    },
    Place {
        attach: "iter:task",
        ints: &["ctx.task.pid", "ctx.task.mm.total_vm", "ctx.meta.seq_num"],
        texts: &["ctx.task.comm", "ctx.task.real_parent.comm"],
        tasks: &["ctx.task"],
        others: &["probe"],
        addresses: &["ctx.task"],
    },
    Place {
        attach: "iter:task_file",
        ints: &["ctx.fd", "ctx.task.tgid", "ctx.file.f_inode.i_ino", "ctx.file.f_flags"],
        texts: &["str(ctx.file.f_path.dentry.d_name.name)"],
        tasks: &["ctx.task"],
        others: &["path(ctx.file.f_path)"],
        addresses: &["ctx.file"],
    },
    Place {
        attach: "software:cpu-clock:1000000, profile:hz:99",
        ints: &[],
        texts: &[],
        tasks: &[],
        others: &["kstack", "ustack(perf)"],
        addresses: &["curtask"],
    },
    Place { attach: "interval:s:1, self:signal:SIGUSR1", ..NOWHERE },
    Place { attach: "end", ..NOWHERE },
];
