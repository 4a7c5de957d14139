//! An array map as memory shared with the programs that use it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};

use super::{Map, invalid_input, last_error};

/// The values of an array map that was created with `BPF_F_MMAPABLE`, one after the other, each rounded up to 8 bytes.
///
/// Programs change them at any time, so that every access is atomic.
#[derive(Debug)]
pub struct Mapped {
    memory: Mapping,
    /// The bytes that are values; the mapping goes on to the end of its page.
    len: usize,
}

impl Mapped {
    /// Maps the values for reading and writing. A frozen map is refused.
    pub fn new(map: &Map) -> io::Result<Mapped> {
        if !map.is_kind(bpf_map_type::BPF_MAP_TYPE_ARRAY) || map.flags() & BPF_F_MMAPABLE == 0 {
            return Err(invalid_input("only an array map with BPF_F_MMAPABLE can be mapped"));
        }
        let len = map.value_size().next_multiple_of(8) * map.max_entries() as usize;
        Ok(Mapped { memory: Mapping::new(map.as_fd(), 0, len, libc::PROT_READ | libc::PROT_WRITE)?, len })
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The 4 bytes at `offset`; `None` where they are not inside or not aligned.
    pub fn u32(&self, offset: usize) -> Option<&AtomicU32> {
        self.holds(offset, 4).then(|| {
            // SAFETY: inside the mapping and aligned; the memory is only ever accessed atomically by us.
            unsafe { AtomicU32::from_ptr(self.memory.start.as_ptr().add(offset).cast()) }
        })
    }

    /// The 8 bytes at `offset`; `None` where they are not inside or not aligned.
    pub fn u64(&self, offset: usize) -> Option<&AtomicU64> {
        self.holds(offset, 8).then(|| {
            // SAFETY: as in `u32`.
            unsafe { AtomicU64::from_ptr(self.memory.start.as_ptr().add(offset).cast()) }
        })
    }

    /// A copy of all the values. Each aligned 8 bytes are of one moment, the whole is not.
    pub fn to_vec(&self) -> Vec<u8> {
        (0..self.len)
            .step_by(8)
            .filter_map(|offset| self.u64(offset))
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect()
    }

    fn holds(&self, offset: usize, size: usize) -> bool {
        offset.is_multiple_of(size) && offset.checked_add(size).is_some_and(|end| end <= self.len)
    }
}

/// Memory that a descriptor was mapped to, until it is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process and not to a thread; what may be done with the memory is decided by those who use it,
// and they do it by atomics, or behind `&mut`.
unsafe impl Send for Mapping {}
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `offset` is a multiple of the page size.
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        protection: libc::c_int,
    ) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(last_error("mmap"));
        }
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Mapping { start, len }),
            None => Err(invalid_input("the map was mapped at address 0")),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever refers to its memory borrows from its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// In bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions, and every system has a page size.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[cfg(test)]
mod tests {
    use super::super::test::requires_bpf;
    use super::super::{MapSpec, possible_cpus};
    use super::*;

    #[test]
    fn memory_and_map_are_the_same() {
        if !requires_bpf() {
            return;
        }
        let mut spec = MapSpec::new(bpf_map_type::BPF_MAP_TYPE_ARRAY, "values", 4, 12, 3);
        assert!(Mapped::new(&Map::create(&spec, 1).unwrap()).is_err());
        spec.flags = BPF_F_MMAPABLE;
        let map = Map::create(&spec, possible_cpus().unwrap()).unwrap();
        let mapped = Mapped::new(&map).unwrap();
        assert_eq!(mapped.len(), 48);

        mapped.u32(16 + 8).unwrap().store(5, Ordering::Relaxed);
        assert_eq!(map.lookup(&1u32.to_ne_bytes()).unwrap().unwrap()[8], 5);
        map.update(&2u32.to_ne_bytes(), &[7; 12], 0).unwrap();
        assert_eq!(mapped.u64(32).unwrap().load(Ordering::Relaxed), u64::from_ne_bytes([7; 8]));
        assert_eq!(&mapped.to_vec()[32..44], [7; 12]);

        assert!(mapped.u64(48).is_none());
        assert!(mapped.u64(4).is_none());
        assert!(mapped.u32(usize::MAX).is_none());
    }
}
