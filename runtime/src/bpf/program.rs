//! Programs: load them, run them for a test, ask what they did. Program BTF.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use aya_obj::generated::{
    BPF_F_TEST_RUN_ON_CPU, bpf_attr, bpf_cmd, bpf_prog_info, bpf_prog_type, bpf_stats_type,
};

use super::{bpf, bpf_fd, errno, object_info, object_name, zeroed_attr};

/// The sizes of the records that describe a program. They are the kernel's of every version so far (`bpf_func_info`,
/// `bpf_line_info`, `bpf_core_relo`).
const FUNC_INFO_SIZE: usize = 8;
const LINE_INFO_SIZE: usize = 16;
const CORE_RELO_SIZE: usize = 16;

/// A log of this size holds the verifier's way through all but very large programs.
const FIRST_LOG_SIZE: usize = 256 << 10;
/// A larger one is the verifier walking in circles: its tail tells what went wrong.
const LARGEST_LOG_SIZE: usize = 64 << 20;

/// What is to be loaded. [`ProgramSpec::new`] fills in what is not always needed.
#[derive(Clone, Copy)]
pub struct ProgramSpec<'a> {
    pub kind: bpf_prog_type,
    /// Shown by tools. Shortened to 15 bytes; what the kernel does not allow in it becomes `_`.
    pub name: &'a str,
    /// Instruction slots in the kernel's encoding, maps already replaced by descriptors.
    pub insns: &'a [u64],
    /// "GPL" where a helper asks for it.
    pub license: &'a CStr,
    /// `BPF_F_SLEEPABLE`, …
    pub flags: u32,
    /// A `bpf_attach_type`; 0 for programs that need none.
    pub expected_attach_type: u32,
    /// What the program is for, by its number in the kernel's BTF: for `tp_btf` the `btf_trace_*` typedef. 0 for none.
    pub attach_btf_id: u32,
    /// Where that number counts, if not in the kernel proper: a module's BTF, or another BPF program.
    pub attach_to: Option<BorrowedFd<'a>>,
    /// The program's own BTF ([`load_btf`]). The three tables below are about it.
    pub btf: Option<BorrowedFd<'a>>,
    /// `bpf_func_info` records of 8 bytes each.
    pub func_info: &'a [u8],
    /// `bpf_line_info` records of 16 bytes each.
    pub line_info: &'a [u8],
    /// `bpf_core_relo` records of 16 bytes each (Linux 5.17 and later). The kernel skips them in silence where neither
    /// `func_info` nor `line_info` is given.
    pub core_relos: &'a [u8],
    /// Descriptors that instructions refer to by index, for calls of functions in modules.
    pub fd_array: &'a [RawFd],
    /// 0: a log on failure only; 1: also on success; 2: with every instruction; 4: the statistics alone.
    pub log_level: u32,
}

impl<'a> ProgramSpec<'a> {
    pub fn new(kind: bpf_prog_type, name: &'a str, insns: &'a [u64]) -> ProgramSpec<'a> {
        ProgramSpec {
            kind,
            name,
            insns,
            license: c"GPL",
            flags: 0,
            expected_attach_type: 0,
            attach_btf_id: 0,
            attach_to: None,
            btf: None,
            func_info: &[],
            line_info: &[],
            core_relos: &[],
            fd_array: &[],
            log_level: 0,
        }
    }
}

/// The kernel refused a program or a BTF.
///
/// `EPERM` with an empty log: this kernel, or this user, may not have such programs at all; nothing was looked at.
#[derive(Debug)]
pub struct Rejection {
    pub error: io::Error,
    /// The verifier's log; empty where it had nothing to say.
    pub log: String,
}

/// A verified program in the kernel. It lives as long as this, or a link, uses it.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    /// Empty unless a log level was asked for.
    log: String,
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Program {
    /// Has the verifier check a program (`BPF_PROG_LOAD`).
    ///
    /// Without a log level the first try is without a log, which is faster; a refused program is tried again with one.
    pub fn load(spec: &ProgramSpec<'_>) -> Result<Program, Rejection> {
        if spec.log_level == 0 {
            match load_once(spec, 0, &mut []) {
                Ok(fd) => return Ok(Program { fd, log: String::new() }),
                // Nothing was verified, so that there is no log to be had.
                Err(error) if matches!(errno(&error), Some(libc::EBADF | libc::ENOSYS)) => {
                    return Err(Rejection { error, log: String::new() });
                }
                Err(_) => {}
            }
        }
        let level = spec.log_level.max(1);
        let (result, log) = with_log(|buffer| load_once(spec, level, buffer));
        match result {
            Ok(fd) => Ok(Program { fd, log }),
            // Its log is too long for any buffer, which is no fault of the program.
            Err(error) if errno(&error) == Some(libc::ENOSPC) && spec.log_level > 0 => {
                match load_once(spec, 0, &mut []) {
                    Ok(fd) => Ok(Program { fd, log }),
                    Err(error) => Err(Rejection { error, log }),
                }
            }
            Err(error) => Err(Rejection { error, log }),
        }
    }

    /// The verifier's log, where one was asked for.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// What the kernel knows about the program.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        // SAFETY: this is a program's descriptor, and bpf_prog_info is a struct of integers.
        let info: bpf_prog_info = unsafe { object_info(self.fd.as_fd())? };
        Ok(ProgramInfo {
            id: info.id,
            run_time_ns: info.run_time_ns,
            run_count: info.run_cnt,
            recursion_misses: info.recursion_misses,
            verified_insns: info.verified_insns,
            insns: info.xlated_prog_len / 8,
        })
    }

    /// Runs the program now, without an event (`BPF_PROG_TEST_RUN`).
    pub fn test_run(&self, run: TestRun<'_>) -> io::Result<TestRunResult> {
        let mut attr = zeroed_attr();
        attr.test.prog_fd = self.fd.as_raw_fd() as u32;
        attr.test.ctx_in = if run.context.is_empty() { 0 } else { run.context.as_ptr() as u64 };
        attr.test.ctx_size_in = run.context.len() as u32;
        attr.test.data_in = if run.packet.is_empty() { 0 } else { run.packet.as_ptr() as u64 };
        attr.test.data_size_in = run.packet.len() as u32;
        attr.test.repeat = run.repeat;
        if let Some(cpu) = run.cpu {
            attr.test.flags = BPF_F_TEST_RUN_ON_CPU;
            attr.test.cpu = cpu;
        }
        // SAFETY: context and packet are as large as said. A `syscall` program's context is written back to where it was read
        // from; that the slice is behind `&mut` allows it.
        unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)? };
        // SAFETY: the kernel has filled these integers in.
        let test = unsafe { attr.test };
        Ok(TestRunResult { return_value: test.retval, duration_ns: test.duration })
    }
}

/// How to run a program for a test. What is possible depends on its type (Linux 6.18): `raw_tracepoint` takes a context of one
/// `u64` for each argument and a CPU, `syscall` a context that it may change, `socket_filter` a packet of at least 14 bytes and a
/// number of repeats. The other tracing types cannot be run so.
#[derive(Default)]
pub struct TestRun<'a> {
    pub context: &'a mut [u8],
    pub packet: &'a [u8],
    pub repeat: u32,
    pub cpu: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestRunResult {
    pub return_value: u32,
    /// Of one repeat on average, where the program's type measures it.
    pub duration_ns: u32,
}

/// What the kernel knows about a loaded program.
#[derive(Debug, Clone, Copy)]
pub struct ProgramInfo {
    pub id: u32,
    /// Counted only while [`enable_run_time_stats`] is held. Includes about 60 ns a run for the measurement itself.
    pub run_time_ns: u64,
    /// Counted only while [`enable_run_time_stats`] is held.
    pub run_count: u64,
    /// Events missed because the program was running on that CPU already (Linux 5.12 and later).
    pub recursion_misses: u64,
    /// Instructions the verifier walked, of at most a million (Linux 5.16 and later).
    pub verified_insns: u32,
    /// Instruction slots after the kernel's own rewriting.
    pub insns: u32,
}

/// The kernel counts the runs of all programs, and their time, until the descriptor is dropped (Linux 5.8 and later).
pub fn enable_run_time_stats() -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.enable_stats.type_ = bpf_stats_type::BPF_STATS_RUN_TIME as u32;
    // SAFETY: this command uses no address.
    unsafe { bpf_fd(bpf_cmd::BPF_ENABLE_STATS, &mut attr) }
}

/// Gives the kernel a program's BTF (`BPF_BTF_LOAD`).
pub fn load_btf(btf: &[u8]) -> Result<OwnedFd, Rejection> {
    let load = |log: &mut [u8]| {
        let mut attr = zeroed_attr();
        // SAFETY: the attribute is all zero, so that this struct of integers in the union is valid.
        let to = unsafe { &mut attr.__bindgen_anon_7 };
        to.btf = btf.as_ptr() as u64;
        to.btf_size = btf.len() as u32;
        if !log.is_empty() {
            to.btf_log_level = 1;
            to.btf_log_buf = log.as_mut_ptr() as u64;
            to.btf_log_size = log.len() as u32;
        }
        // SAFETY: BTF and log are as large as said.
        unsafe { bpf_fd(bpf_cmd::BPF_BTF_LOAD, &mut attr) }
    };
    match load(&mut []) {
        Ok(fd) => Ok(fd),
        Err(_) => {
            let (result, log) = with_log(load);
            result.map_err(|error| Rejection { error, log })
        }
    }
}

/// The BTF of a loaded module, as the kernel has it (Linux 5.11 and later).
pub fn module_btf(name: &str) -> io::Result<OwnedFd> {
    let mut id = 0;
    loop {
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
        // SAFETY: this command uses no address.
        unsafe { bpf(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut attr) }?;
        // SAFETY: the kernel has filled this integer in.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
        // SAFETY: this command uses no address.
        let Ok(fd) = (unsafe { bpf_fd(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) }) else { continue };
        if is_named(&fd, name)? {
            return Ok(fd);
        }
    }
}

/// The kernel's `bpf_btf_info` (5.11).
#[repr(C)]
#[derive(Default)]
struct BtfInfo {
    btf: u64,
    btf_size: u32,
    id: u32,
    name: u64,
    name_len: u32,
    kernel_btf: u32,
}

/// Whether a BTF is that of the kernel or a module with this name.
fn is_named(btf: &OwnedFd, name: &str) -> io::Result<bool> {
    let mut found = [0_u8; 64];
    let mut info =
        BtfInfo { name: found.as_mut_ptr() as u64, name_len: found.len() as u32, ..BtfInfo::default() };
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = btf.as_raw_fd() as u32;
    attr.info.info_len = size_of::<BtfInfo>() as u32;
    attr.info.info = &raw mut info as u64;
    // SAFETY: both buffers are as large as said and outlive the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let end = found.iter().position(|byte| *byte == 0).unwrap_or(found.len());
    Ok(info.kernel_btf != 0 && found[..end] == *name.as_bytes())
}

/// Calls `attempt` with log buffers that grow until the log fits, and returns the log as text.
fn with_log(attempt: impl Fn(&mut [u8]) -> io::Result<OwnedFd>) -> (io::Result<OwnedFd>, String) {
    let mut size = FIRST_LOG_SIZE;
    loop {
        let mut buffer = vec![0; size];
        let result = attempt(&mut buffer);
        let full = result.as_ref().is_err_and(|error| errno(error) == Some(libc::ENOSPC));
        if !full || size >= LARGEST_LOG_SIZE {
            let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(size);
            return (result, String::from_utf8_lossy(&buffer[..end]).trim_end().to_owned());
        }
        size *= 8;
    }
}

fn load_once(spec: &ProgramSpec<'_>, log_level: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: the attribute is all zero, so that this struct of integers in the union is valid.
    let to = unsafe { &mut attr.__bindgen_anon_3 };
    to.prog_type = spec.kind as u32;
    to.insns = spec.insns.as_ptr() as u64;
    to.insn_cnt = spec.insns.len() as u32;
    to.license = spec.license.as_ptr() as u64;
    to.prog_flags = spec.flags;
    to.prog_name = object_name(spec.name);
    to.expected_attach_type = spec.expected_attach_type;
    to.attach_btf_id = spec.attach_btf_id;
    if let Some(object) = spec.attach_to {
        to.__bindgen_anon_1.attach_btf_obj_fd = object.as_raw_fd() as u32;
    }
    if !log.is_empty() {
        to.log_level = log_level;
        to.log_buf = log.as_mut_ptr() as u64;
        to.log_size = log.len() as u32;
    }
    if let Some(btf) = spec.btf {
        to.prog_btf_fd = btf.as_raw_fd() as u32;
        if !spec.func_info.is_empty() {
            to.func_info = spec.func_info.as_ptr() as u64;
            to.func_info_cnt = (spec.func_info.len() / FUNC_INFO_SIZE) as u32;
            to.func_info_rec_size = FUNC_INFO_SIZE as u32;
        }
        if !spec.line_info.is_empty() {
            to.line_info = spec.line_info.as_ptr() as u64;
            to.line_info_cnt = (spec.line_info.len() / LINE_INFO_SIZE) as u32;
            to.line_info_rec_size = LINE_INFO_SIZE as u32;
        }
        if !spec.core_relos.is_empty() {
            to.core_relos = spec.core_relos.as_ptr() as u64;
            to.core_relo_cnt = (spec.core_relos.len() / CORE_RELO_SIZE) as u32;
            to.core_relo_rec_size = CORE_RELO_SIZE as u32;
        }
    }
    if !spec.fd_array.is_empty() {
        to.fd_array = spec.fd_array.as_ptr() as u64;
    }
    load_until_not_interrupted(&mut attr)
}

/// The verifier gives up with `EAGAIN` when a signal is pending, such as Ctrl-C or a timer's.
fn load_until_not_interrupted(attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let mut attempts = 5;
    loop {
        // SAFETY: the only caller has filled `attr` from slices that are as large as it says and outlive the call.
        match unsafe { bpf_fd(bpf_cmd::BPF_PROG_LOAD, attr) } {
            Err(error) if errno(&error) == Some(libc::EAGAIN) && attempts > 1 => attempts -= 1,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::bpf_prog_type::*;

    use super::super::test::{EXIT, RETURN_0, insn, mov, requires_bpf};
    use super::*;

    #[test]
    fn a_program_runs_and_tells_about_itself() {
        if !requires_bpf() {
            return;
        }
        // r0 = the second argument
        let insns = [insn(0x79, 0, 1, 8, 0), EXIT];
        let program =
            Program::load(&ProgramSpec::new(BPF_PROG_TYPE_RAW_TRACEPOINT, "second", &insns)).unwrap();
        let mut context: Vec<u8> = [5u64, 6].iter().flat_map(|v| v.to_ne_bytes()).collect();
        let stats = enable_run_time_stats().unwrap();
        for cpu in [None, Some(0)] {
            let run = TestRun { context: &mut context, cpu, ..TestRun::default() };
            assert_eq!(program.test_run(run).unwrap().return_value, 6);
        }
        drop(stats);
        let info = program.info().unwrap();
        assert_eq!(info.insns, 2);
        assert_eq!(info.verified_insns, 2);
        assert_eq!(info.recursion_misses, 0);
        assert_eq!(program.log(), "");
    }

    #[test]
    fn a_syscall_program_changes_its_context() {
        if !requires_bpf() {
            return;
        }
        // *(u32 *)(ctx + 4) = 7; return 9
        let insns = [insn(0x62, 1, 0, 4, 7), mov(0, 9), EXIT];
        let mut spec = ProgramSpec::new(BPF_PROG_TYPE_SYSCALL, "write", &insns);
        spec.flags = aya_obj::generated::BPF_F_SLEEPABLE;
        let program = Program::load(&spec).unwrap();
        let mut context = [0; 8];
        let run = TestRun { context: &mut context, ..TestRun::default() };
        assert_eq!(program.test_run(run).unwrap().return_value, 9);
        assert_eq!(context, [0, 0, 0, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn a_packet_program_runs_repeatedly() {
        if !requires_bpf() {
            return;
        }
        let program =
            Program::load(&ProgramSpec::new(BPF_PROG_TYPE_SOCKET_FILTER, "zero", &RETURN_0)).unwrap();
        let run = TestRun { packet: &[0; 64], repeat: 100, ..TestRun::default() };
        assert_eq!(program.test_run(run).unwrap().return_value, 0);
    }

    #[test]
    fn a_log_comes_with_failure_or_when_asked_for() {
        if !requires_bpf() {
            return;
        }
        // r0 is never set.
        let rejection =
            Program::load(&ProgramSpec::new(BPF_PROG_TYPE_RAW_TRACEPOINT, "bad", &[EXIT])).unwrap_err();
        assert!(rejection.log.contains("R0 !read_ok"), "{}", rejection.log);
        assert_eq!(errno(&rejection.error), Some(libc::EACCES));
        assert!(rejection.error.to_string().contains("BPF_PROG_LOAD"));

        let mut spec = ProgramSpec::new(BPF_PROG_TYPE_RAW_TRACEPOINT, "good", &RETURN_0);
        spec.log_level = 2;
        assert!(Program::load(&spec).unwrap().log().contains("exit"));
    }

    #[test]
    fn a_log_larger_than_the_first_buffer_is_read_whole() {
        if !requires_bpf() {
            return;
        }
        let mut insns = vec![mov(0, 0); 20_000];
        insns.push(EXIT);
        let mut spec = ProgramSpec::new(BPF_PROG_TYPE_RAW_TRACEPOINT, "long", &insns);
        spec.log_level = 2;
        let program = Program::load(&spec).unwrap();
        assert!(program.log().len() > FIRST_LOG_SIZE);
        assert!(program.log().contains("\n20000: "));
    }

    #[test]
    fn refused_btf_says_why() {
        if !requires_bpf() {
            return;
        }
        let rejection = load_btf(&[0; 64]).unwrap_err();
        assert!(rejection.error.to_string().contains("BPF_BTF_LOAD"));
        assert!(rejection.log.contains("Invalid magic"), "{}", rejection.log);
    }
}
