//! The BPF programs that the kernel has loaded, whoever loaded them, as far as BTF describes them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aya_obj::generated::{bpf_cmd, bpf_prog_info, bpf_prog_type};

use super::{bpf, bpf_fd, errno, object_info, zeroed_attr};

/// A program, and the BTF that describes its functions.
#[derive(Debug, Clone)]
pub struct Described {
    pub id: u32,
    pub btf: u32,
    /// The BTF ids of its functions; the first is the one that it begins with.
    pub functions: Vec<u32>,
    /// Its kind, as the kernel counts them (`bpf_prog_type`).
    pub kind: u32,
}

impl Described {
    /// Whether it is itself attached to functions: the kernel lets no program be attached to such a one.
    pub fn is_tracing(&self) -> bool {
        [
            bpf_prog_type::BPF_PROG_TYPE_TRACING,
            bpf_prog_type::BPF_PROG_TYPE_LSM,
            bpf_prog_type::BPF_PROG_TYPE_EXT,
        ]
        .iter()
        .any(|kind| *kind as u32 == self.kind)
    }
}

/// All programs that have BTF, in the order of their ids. One that ends meanwhile is left out.
pub fn described() -> io::Result<Vec<Described>> {
    let mut found = Vec::new();
    let mut id = 0;
    loop {
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
        // SAFETY: this command uses no address.
        match unsafe { bpf(bpf_cmd::BPF_PROG_GET_NEXT_ID, &mut attr) } {
            Ok(_) => {}
            Err(error) if errno(&error) == Some(libc::ENOENT) => return Ok(found),
            Err(error) => return Err(error),
        }
        // SAFETY: the kernel has filled this integer in.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        if let Ok(Some(program)) = program_by_id(id).and_then(|program| describe(id, &program)) {
            found.push(program);
        }
    }
}

/// A descriptor of the program with this id.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    // SAFETY: this command uses no address.
    unsafe { bpf_fd(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr) }
}

/// The bytes of the BTF with this id.
pub fn btf_by_id(id: u32) -> io::Result<Vec<u8>> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    // SAFETY: this command uses no address.
    let btf = unsafe { bpf_fd(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) }?;
    let mut bytes = Vec::new();
    // The kernel says how large it is, and then fills in as much.
    for _ in 0..2 {
        let mut info = BtfInfo { btf: bytes.as_mut_ptr() as u64, btf_size: bytes.len() as u32, id: 0 };
        let mut attr = zeroed_attr();
        attr.info.bpf_fd = btf.as_raw_fd() as u32;
        attr.info.info_len = size_of::<BtfInfo>() as u32;
        attr.info.info = &raw mut info as u64;
        // SAFETY: both buffers are as large as said and outlive the call.
        unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        bytes.resize(info.btf_size as usize, 0);
    }
    Ok(bytes)
}

/// The beginning of the kernel's `bpf_btf_info`, which is all that kernels before 5.11 have.
#[repr(C)]
struct BtfInfo {
    btf: u64,
    btf_size: u32,
    id: u32,
}

/// `struct bpf_func_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FuncInfo {
    insn_off: u32,
    type_id: u32,
}

fn describe(id: u32, program: &OwnedFd) -> io::Result<Option<Described>> {
    use std::os::fd::AsFd;
    // SAFETY: this is a program's descriptor, and bpf_prog_info is a struct of integers.
    let info: bpf_prog_info = unsafe { object_info(program.as_fd())? };
    if info.btf_id == 0 || info.nr_func_info == 0 {
        return Ok(None);
    }
    let mut functions = vec![FuncInfo::default(); info.nr_func_info as usize];
    // SAFETY: as above; zero is a value of each integer.
    let mut wanted: bpf_prog_info = unsafe { std::mem::zeroed() };
    wanted.nr_func_info = functions.len() as u32;
    wanted.func_info_rec_size = size_of::<FuncInfo>() as u32;
    wanted.func_info = functions.as_mut_ptr() as u64;
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = program.as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    attr.info.info = &raw mut wanted as u64;
    // SAFETY: both buffers are as large as said and outlive the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    functions.truncate(wanted.nr_func_info as usize);
    let functions = functions.iter().map(|function| function.type_id).collect();
    Ok(Some(Described { id, btf: info.btf_id, functions, kind: info.type_ }))
}
