//! What the tests of this crate that need the kernel share.

use std::os::fd::{AsFd, AsRawFd};

use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type, bpf_prog_type};

use super::{Map, MapSpec, Program, ProgramSpec, errno};

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

const GET_PID_TGID: i32 = 14;
const GET_ATTACH_COOKIE: i32 = 174;

/// A program that adds its cookie to the map's first u64 whenever this very thread comes by.
pub(crate) fn add_cookie(kind: bpf_prog_type) -> (Program, Map) {
    let mut spec = MapSpec::new(bpf_map_type::BPF_MAP_TYPE_ARRAY, "cookies", 4, 8, 1);
    spec.flags = BPF_F_MMAPABLE;
    let map = Map::create(&spec, 1).unwrap();
    // SAFETY: gettid has no preconditions.
    let tid = unsafe { libc::gettid() };
    let [lo, hi] = load_map(1, map.as_fd().as_raw_fd());
    let insns = [
        mov_reg(6, 1),
        call(GET_PID_TGID),
        // if (u32)r0 != tid goto exit
        insn(0x56, 0, 0, 11, tid),
        mov_reg(1, 6),
        call(GET_ATTACH_COOKIE),
        mov_reg(7, 0),
        insn(0x62, 10, 0, -4, 0),
        mov_reg(2, 10),
        insn(0x07, 2, 0, 0, -4),
        lo,
        hi,
        call(1),
        // if r0 != 0: lock *r0 += r7
        insn(0x15, 0, 0, 1, 0),
        insn(0xdb, 0, 7, 0, 0),
        mov(0, 0),
        EXIT,
    ];
    (Program::load(&ProgramSpec::new(kind, "cookie", &insns)).unwrap(), map)
}

/// What such a program has added up.
pub(crate) fn total(map: &Map) -> u64 {
    u64::from_ne_bytes(map.lookup(&[0; 4]).unwrap().unwrap().try_into().unwrap())
}

/// A file in memory, of so many zero bytes.
pub(crate) fn memory_file(size: u64) -> std::fs::File {
    // SAFETY: the name ends in a NUL.
    let fd = unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: the descriptor is new and ours.
    let file = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    file.set_len(size).unwrap();
    file
}
