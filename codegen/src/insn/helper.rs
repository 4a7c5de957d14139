//! The kernel's helper functions that compiled programs call: one row each, as `include/uapi/linux/bpf.h` numbers them.

use std::fmt::{self, Display, Formatter};

macro_rules! helpers {
    ($($variant:ident = $number:literal, $name:literal;)*) => {
        /// A helper function of the kernel. The discriminant is its number.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        pub enum Helper {
            $($variant = $number,)*
        }

        impl Helper {
            pub const ALL: &[Helper] = &[$(Helper::$variant,)*];

            /// The kernel's name for it, with the `bpf_`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Helper::$variant => $name,)*
                }
            }
        }
    };
}

helpers! {
    MapLookupElem = 1, "bpf_map_lookup_elem";
    MapUpdateElem = 2, "bpf_map_update_elem";
    MapDeleteElem = 3, "bpf_map_delete_elem";
    ProbeRead = 4, "bpf_probe_read";
    KtimeGetNs = 5, "bpf_ktime_get_ns";
    TracePrintk = 6, "bpf_trace_printk";
    GetPrandomU32 = 7, "bpf_get_prandom_u32";
    GetSmpProcessorId = 8, "bpf_get_smp_processor_id";
    TailCall = 12, "bpf_tail_call";
    GetCurrentPidTgid = 14, "bpf_get_current_pid_tgid";
    GetCurrentUidGid = 15, "bpf_get_current_uid_gid";
    GetCurrentComm = 16, "bpf_get_current_comm";
    PerfEventOutput = 25, "bpf_perf_event_output";
    GetStackid = 27, "bpf_get_stackid";
    GetCurrentTask = 35, "bpf_get_current_task";
    ProbeWriteUser = 36, "bpf_probe_write_user";
    GetNumaNodeId = 42, "bpf_get_numa_node_id";
    ProbeReadStr = 45, "bpf_probe_read_str";
    OverrideReturn = 58, "bpf_override_return";
    GetStack = 67, "bpf_get_stack";
    GetCurrentCgroupId = 80, "bpf_get_current_cgroup_id";
    Strtol = 105, "bpf_strtol";
    SendSignal = 109, "bpf_send_signal";
    ProbeReadUser = 112, "bpf_probe_read_user";
    ProbeReadKernel = 113, "bpf_probe_read_kernel";
    ProbeReadUserStr = 114, "bpf_probe_read_user_str";
    ProbeReadKernelStr = 115, "bpf_probe_read_kernel_str";
    SendSignalThread = 117, "bpf_send_signal_thread";
    Jiffies64 = 118, "bpf_jiffies64";
    GetNsCurrentPidTgid = 120, "bpf_get_ns_current_pid_tgid";
    KtimeGetBootNs = 125, "bpf_ktime_get_boot_ns";
    SeqPrintf = 126, "bpf_seq_printf";
    RingbufOutput = 130, "bpf_ringbuf_output";
    RingbufReserve = 131, "bpf_ringbuf_reserve";
    RingbufSubmit = 132, "bpf_ringbuf_submit";
    RingbufDiscard = 133, "bpf_ringbuf_discard";
    RingbufQuery = 134, "bpf_ringbuf_query";
    GetTaskStack = 141, "bpf_get_task_stack";
    CopyFromUser = 148, "bpf_copy_from_user";
    PerCpuPtr = 153, "bpf_per_cpu_ptr";
    ThisCpuPtr = 154, "bpf_this_cpu_ptr";
    TaskStorageGet = 156, "bpf_task_storage_get";
    GetCurrentTaskBtf = 158, "bpf_get_current_task_btf";
    ForEachMapElem = 164, "bpf_for_each_map_elem";
    GetFuncIp = 173, "bpf_get_func_ip";
    GetAttachCookie = 174, "bpf_get_attach_cookie";
    TaskPtRegs = 175, "bpf_task_pt_regs";
    Loop = 181, "bpf_loop";
    Strncmp = 182, "bpf_strncmp";
    GetFuncArg = 183, "bpf_get_func_arg";
    GetFuncRet = 184, "bpf_get_func_ret";
    GetFuncArgCnt = 185, "bpf_get_func_arg_cnt";
    CopyFromUserTask = 191, "bpf_copy_from_user_task";
    MapLookupPercpuElem = 195, "bpf_map_lookup_percpu_elem";
    RingbufReserveDynptr = 198, "bpf_ringbuf_reserve_dynptr";
    RingbufSubmitDynptr = 199, "bpf_ringbuf_submit_dynptr";
    RingbufDiscardDynptr = 200, "bpf_ringbuf_discard_dynptr";
    DynptrWrite = 202, "bpf_dynptr_write";
    KtimeGetTaiNs = 208, "bpf_ktime_get_tai_ns";
}

impl Helper {
    pub fn number(self) -> u32 {
        self as u32
    }

    pub fn from_number(number: u32) -> Option<Helper> {
        Helper::ALL.iter().copied().find(|h| h.number() == number)
    }
}

impl Display for Helper {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
