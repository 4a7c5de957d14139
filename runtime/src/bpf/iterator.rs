//! Iterators: programs that the kernel runs for each of its objects of a kind, while somebody reads a file (Linux 5.8).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::{bpf, bpf_fd, zeroed_attr};

/// What of its objects an iterator goes over, where it must or may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterateOver {
    All,
    /// The threads of a process, and what they have (Linux 6.1).
    Process(u32),
    /// All cgroups, each before those within it (Linux 6.1).
    Cgroups,
}

/// From the kernel's ABI: `BPF_CGROUP_ITER_DESCENDANTS_PRE`.
const PARENTS_FIRST: u32 = 2;

/// The kernel's `bpf_iter_link_info`, by the members of its union: `{ order, cgroup_fd, cgroup_id }` and `{ tid, pid, pid_fd }`.
#[repr(C, align(8))]
struct LinkInfo([u32; 4]);

/// Makes a link of a `tracing` program that was loaded for an iterator.
pub fn attach_iterator(program: impl AsFd, over: IterateOver) -> io::Result<OwnedFd> {
    let info = match over {
        IterateOver::All => None,
        IterateOver::Process(pid) => Some(LinkInfo([0, pid, 0, 0])),
        IterateOver::Cgroups => Some(LinkInfo([PARENTS_FIRST, 0, 0, 0])),
    };
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    if let Some(info) = &info {
        // SAFETY: the attribute is all zero, so that this struct of integers in the union is valid.
        let to = unsafe { &mut attr.link_create.__bindgen_anon_3.__bindgen_anon_1 };
        to.iter_info = std::ptr::from_ref(info) as u64;
        to.iter_info_len = size_of::<LinkInfo>() as u32;
    }
    // SAFETY: the information is as large as said and outlives the call.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// A file whose reading runs the program, from the first object to the last.
pub fn open_iterator(link: impl AsFd) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.iter_create.link_fd = link.as_fd().as_raw_fd() as u32;
    // SAFETY: this command uses no address.
    unsafe { bpf_fd(bpf_cmd::BPF_ITER_CREATE, &mut attr) }
}

/// Gives a map, a program or a link a name in a BPF file system, which keeps it. `EEXIST`: the name is taken.
pub fn pin(object: impl AsFd, path: &CStr) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = object.as_fd().as_raw_fd() as u32;
    // SAFETY: the path ends in a NUL and outlives the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(|_| ())
}
