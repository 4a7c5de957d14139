//! What the tests of this crate that need the kernel share.

use aya_obj::generated::bpf_prog_type;

use super::{Program, ProgramSpec, errno};

/// Whether programs may be loaded here. Where not, says that the test is skipped, and why.
///
/// ```ignore
/// if !requires_bpf() { return; }
/// ```
pub(crate) fn requires_bpf() -> bool {
    match Program::load(&ProgramSpec::new(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, "probe", &RETURN_0)) {
        Ok(_) => true,
        Err(rejection)
            if matches!(errno(&rejection.error), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) =>
        {
            println!("skipped: loading a program is not permitted here ({})", rejection.error);
            false
        }
        Err(rejection) => panic!("the smallest program is refused: {} {}", rejection.error, rejection.log),
    }
}

/// `r0 = 0; exit`
pub(crate) const RETURN_0: [u64; 2] = [mov(0, 0), EXIT];

pub(crate) const EXIT: u64 = 0x95;

/// `dst = imm`
pub(crate) const fn mov(dst: u8, imm: i32) -> u64 {
    insn(0xb7, dst, 0, 0, imm)
}

/// `dst = src`
pub(crate) const fn mov_reg(dst: u8, src: u8) -> u64 {
    insn(0xbf, dst, src, 0, 0)
}

/// `call helper`
pub(crate) const fn call(helper: i32) -> u64 {
    insn(0x85, 0, 0, 0, helper)
}

/// `dst = map`, two slots.
pub(crate) const fn load_map(dst: u8, fd: i32) -> [u64; 2] {
    [insn(0x18, dst, 1, 0, fd), 0]
}

pub(crate) const fn insn(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> u64 {
    op as u64
        | ((dst as u64) << 8)
        | ((src as u64) << 12)
        | ((off as u16 as u64) << 16)
        | ((imm as u32 as u64) << 32)
}
