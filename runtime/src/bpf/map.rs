//! Maps whose key and value sizes are known at run time.
//!
//! A [`Map`] remembers its sizes, so that every buffer handed to the kernel is checked to be as large as the kernel takes it to be.
//!
//! A value of a per-CPU map is one value for each *possible* CPU, each rounded up to 8 bytes:
//!
//! ```text
//! value_size = 12:   | cpu 0: 12 bytes, 4 unused | cpu 1: 12 bytes, 4 unused | …
//! ```

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_map_info, bpf_map_type};

use super::{bpf, bpf_fd, errno, invalid_input, object_info, object_name, zeroed_attr};

/// The kernel's own `ENOTSUPP`, which escapes to user space and which libc does not know.
const ENOTSUPP: i32 = 524;

/// What a map is to be like. [`MapSpec::new`] fills in what is rarely needed.
#[derive(Clone, Copy)]
pub struct MapSpec<'a> {
    pub kind: bpf_map_type,
    /// Shown by tools. Shortened to 15 bytes; what the kernel does not allow in it becomes `_`.
    pub name: &'a str,
    /// In bytes; 0 for a ring buffer.
    pub key_size: u32,
    /// In bytes, of one CPU's value; 0 for a ring buffer.
    pub value_size: u32,
    /// Of a ring buffer: its size in bytes, a power of two and a multiple of the page size.
    pub max_entries: u32,
    /// `BPF_F_NO_PREALLOC`, `BPF_F_MMAPABLE`, …
    pub flags: u32,
    /// The program BTF and the ids in it that describe key and value, for tools that show the map.
    pub btf: Option<(BorrowedFd<'a>, u32, u32)>,
}

impl<'a> MapSpec<'a> {
    pub fn new(
        kind: bpf_map_type,
        name: &'a str,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    ) -> MapSpec<'a> {
        MapSpec { kind, name, key_size, value_size, max_entries, flags: 0, btf: None }
    }
}

/// A map in the kernel. It lives as long as this, a program or a link uses it.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    kind: u32,
    key_size: usize,
    value_size: usize,
    max_entries: u32,
    flags: u32,
    /// What one element's value takes in a buffer of ours: `value_size`, or the values of all possible CPUs.
    value_len: usize,
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Map {
    /// Creates a map (`BPF_MAP_CREATE`). `cpus` is [`possible_cpus`]: asked for once and not by every map.
    pub fn create(spec: &MapSpec<'_>, cpus: usize) -> io::Result<Map> {
        let mut attr = zeroed_attr();
        // SAFETY: the attribute is all zero, so that this struct of integers in the union is valid.
        let to = unsafe { &mut attr.__bindgen_anon_1 };
        to.map_type = spec.kind as u32;
        to.key_size = spec.key_size;
        to.value_size = spec.value_size;
        to.max_entries = spec.max_entries;
        to.map_flags = spec.flags;
        to.map_name = object_name(spec.name);
        if let Some((fd, key, value)) = spec.btf {
            to.btf_fd = fd.as_raw_fd() as u32;
            to.btf_key_type_id = key;
            to.btf_value_type_id = value;
        }
        // SAFETY: this command uses no address.
        let fd = unsafe { bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)? };
        Ok(Map::new(fd, spec.kind as u32, spec.key_size, spec.value_size, spec.max_entries, spec.flags, cpus))
    }

    /// The map behind a descriptor that comes from elsewhere, such as a pin; asks the kernel for its sizes.
    pub fn from_fd(fd: OwnedFd, cpus: usize) -> io::Result<Map> {
        // SAFETY: bpf_map_info is a struct of integers; for a descriptor of another kind the kernel refuses or writes its own
        // info cut to the size given, which leaves us with wrong numbers and not with wrong memory.
        let info: bpf_map_info = unsafe { object_info(fd.as_fd())? };
        Ok(Map::new(fd, info.type_, info.key_size, info.value_size, info.max_entries, info.map_flags, cpus))
    }

    fn new(
        fd: OwnedFd,
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        flags: u32,
        cpus: usize,
    ) -> Map {
        let per_cpu = [
            bpf_map_type::BPF_MAP_TYPE_PERCPU_HASH,
            bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            bpf_map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
            bpf_map_type::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
        ]
        .iter()
        .any(|k| *k as u32 == kind);
        let value_size = value_size as usize;
        let value_len = if per_cpu { value_size.next_multiple_of(8) * cpus } else { value_size };
        Map { fd, kind, key_size: key_size as usize, value_size, max_entries, flags, value_len }
    }

    pub fn is_kind(&self, kind: bpf_map_type) -> bool {
        self.kind == kind as u32
    }

    /// In bytes.
    pub fn key_size(&self) -> usize {
        self.key_size
    }

    /// In bytes, of one CPU's value.
    pub fn value_size(&self) -> usize {
        self.value_size
    }

    /// How many bytes a value is to user space: of a per-CPU map, all CPUs' values.
    pub fn value_len(&self) -> usize {
        self.value_len
    }

    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// A value taken apart into one value for each CPU. A map that is not per-CPU has a single one.
    pub fn cpu_values<'a>(&self, value: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let size = self.value_size;
        let stride = if self.value_len == size { size } else { size.next_multiple_of(8) };
        value.chunks_exact(stride.max(1)).map(move |cpu| &cpu[..size])
    }

    /// The value of `key`, or `None` where the map does not hold it.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.value_len];
        Ok(self.lookup_into(key, &mut value)?.then_some(value))
    }

    /// Puts the value of `key` into `value`, which is [`value_len`](Map::value_len) bytes. False where the map does not hold it.
    pub fn lookup_into(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        let mut attr = self.element_attr(key)?;
        self.check_value(value)?;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
        // SAFETY: key and value are as large as this map's, which was checked.
        match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) } {
            Ok(_) => Ok(true),
            Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of `key`. `flags`: `BPF_ANY`, `BPF_NOEXIST` or `BPF_EXIST`.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        let mut attr = self.element_attr(key)?;
        self.check_value(value)?;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
        attr.__bindgen_anon_2.flags = flags;
        // SAFETY: key and value are as large as this map's, which was checked.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }

    /// Removes `key`. False where the map did not hold it.
    pub fn delete(&self, key: &[u8]) -> io::Result<bool> {
        let mut attr = self.element_attr(key)?;
        // SAFETY: the key is as large as this map's, which was checked.
        match unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) } {
            Ok(_) => Ok(true),
            Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The key after `key`, or the first one. `None` at the end. A key that is gone starts from the first again.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let mut attr = match key {
            Some(key) => self.element_attr(key)?,
            None => self.attr(),
        };
        let mut next = vec![0; self.key_size];
        attr.__bindgen_anon_2.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
        // SAFETY: both keys are as large as this map's, which was checked; no key is a null address.
        match unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) } {
            Ok(_) => Ok(Some(next)),
            Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The whole map. In batches, twelve times faster than one by one (Linux 5.6 and later, for per-CPU arrays 5.13).
    ///
    /// What is added or removed meanwhile may be in it or not.
    pub fn entries(&self) -> io::Result<Entries> {
        match self.batches(bpf_cmd::BPF_MAP_LOOKUP_BATCH) {
            Err(error) if is_unsupported(&error) => self.entries_one_by_one(),
            result => result,
        }
    }

    /// The whole map, which is emptied: no update is lost between reading an element and removing it.
    pub fn take_entries(&self) -> io::Result<Entries> {
        match self.batches(bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_BATCH) {
            Err(error) if is_unsupported(&error) => {
                let entries = self.entries()?;
                for (key, _) in entries.iter() {
                    self.delete(key)?;
                }
                Ok(entries)
            }
            result => result,
        }
    }

    /// Removes all of `keys`, which lie one after the other. Those that the map does not hold are no error.
    pub fn delete_all(&self, keys: &[u8]) -> io::Result<()> {
        if self.key_size == 0 || !keys.len().is_multiple_of(self.key_size) {
            return Err(invalid_input("the keys' length is no multiple of the map's key size"));
        }
        let mut rest = keys;
        while !rest.is_empty() {
            let mut attr = zeroed_attr();
            attr.batch.map_fd = self.fd.as_raw_fd() as u32;
            attr.batch.keys = rest.as_ptr() as u64;
            attr.batch.count = (rest.len() / self.key_size).min(u32::MAX as usize) as u32;
            // SAFETY: `count` keys of this map's size lie at `keys`.
            let result = unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_BATCH, &mut attr) };
            // SAFETY: the kernel wrote a number of elements there, or left ours.
            let done = unsafe { attr.batch.count } as usize;
            match result {
                Ok(_) => rest = &rest[done * self.key_size..],
                // It stopped at a key that is not there.
                Err(error) if errno(&error) == Some(libc::ENOENT) => {
                    rest = &rest[((done + 1) * self.key_size).min(rest.len())..]
                }
                Err(error) if is_unsupported(&error) => {
                    for key in rest.chunks_exact(self.key_size) {
                        self.delete(key)?;
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// No more writing by user space (`BPF_MAP_FREEZE`): what the verifier asks of a map whose values it takes as constants.
    pub fn freeze(&self) -> io::Result<()> {
        let mut attr = self.attr();
        // SAFETY: this command uses no address.
        unsafe { bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }.map(drop)
    }

    /// Reads everything with a batch command.
    fn batches(&self, command: bpf_cmd) -> io::Result<Entries> {
        let mut entries = Entries::new(self);
        // A position in the map: a hash bucket's number or an array's key.
        let mut position = vec![0u8; self.key_size.max(4)];
        let mut started = false;
        // Enough for most maps in one call, without a large buffer for a map that may hold much and holds little.
        let mut room = (self.max_entries as usize).clamp(1, 1024);
        loop {
            let filled = entries.count;
            entries.keys.resize((filled + room) * self.key_size, 0);
            entries.values.resize((filled + room) * self.value_len, 0);
            let mut attr = zeroed_attr();
            attr.batch.map_fd = self.fd.as_raw_fd() as u32;
            attr.batch.in_batch = if started { position.as_ptr() as u64 } else { 0 };
            attr.batch.out_batch = position.as_mut_ptr() as u64;
            attr.batch.keys = entries.keys[filled * self.key_size..].as_mut_ptr() as u64;
            attr.batch.values = entries.values[filled * self.value_len..].as_mut_ptr() as u64;
            attr.batch.count = room as u32;
            // SAFETY: there is room for `count` keys and values, and a position is at most as large as a key or a u32. That it
            // is read and written in one place is fine: the kernel reads it first.
            let result = unsafe { bpf(command, &mut attr) };
            // SAFETY: the kernel wrote a number of elements there, or left ours.
            let got = unsafe { attr.batch.count } as usize;
            match result {
                Ok(_) => entries.count += got.min(room),
                Err(error) => match errno(&error) {
                    // The end; what was found on the way to it counts.
                    Some(libc::ENOENT) => {
                        entries.count += got.min(room);
                        break;
                    }
                    // One hash bucket holds more than there is room for.
                    Some(libc::ENOSPC) if room < self.max_entries as usize => {
                        room = (room * 2).min(self.max_entries as usize);
                        continue;
                    }
                    _ => return Err(error),
                },
            }
            started = true;
            room = room.max(4096.min(self.max_entries as usize));
        }
        entries.keys.truncate(entries.count * self.key_size);
        entries.values.truncate(entries.count * self.value_len);
        Ok(entries)
    }

    /// Reads everything key by key, where the kernel has no batch command for this kind of map.
    fn entries_one_by_one(&self) -> io::Result<Entries> {
        let mut entries = Entries::new(self);
        // When the current key is removed meanwhile, the kernel starts from the first key again.
        let mut seen = HashSet::new();
        let mut value = vec![0; self.value_len];
        let mut key = self.next_key(None)?;
        while let Some(current) = key {
            if seen.len() >= self.max_entries as usize {
                break;
            }
            if !seen.contains(&current) && self.lookup_into(&current, &mut value)? {
                entries.keys.extend_from_slice(&current);
                entries.values.extend_from_slice(&value);
                entries.count += 1;
            }
            key = self.next_key(Some(&current))?;
            seen.insert(current);
        }
        Ok(entries)
    }

    fn attr(&self) -> bpf_attr {
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_2.map_fd = self.fd.as_raw_fd() as u32;
        attr
    }

    fn element_attr(&self, key: &[u8]) -> io::Result<bpf_attr> {
        if key.len() != self.key_size {
            return Err(invalid_input("the key's length is not the map's key size"));
        }
        let mut attr = self.attr();
        attr.__bindgen_anon_2.key = key.as_ptr() as u64;
        Ok(attr)
    }

    fn check_value(&self, value: &[u8]) -> io::Result<()> {
        if value.len() == self.value_len {
            Ok(())
        } else {
            Err(invalid_input("the value's length is not the map's value size"))
        }
    }
}

/// Keys and values of a map, in the map's own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    keys: Vec<u8>,
    values: Vec<u8>,
    count: usize,
    key_size: usize,
    value_len: usize,
}

impl Entries {
    fn new(map: &Map) -> Entries {
        Entries { keys: vec![], values: vec![], count: 0, key_size: map.key_size, value_len: map.value_len }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each key with its value; of a per-CPU map all CPUs' values, see [`Map::cpu_values`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        (0..self.count).map(|i| {
            (
                &self.keys[i * self.key_size..][..self.key_size],
                &self.values[i * self.value_len..][..self.value_len],
            )
        })
    }

    /// All keys, one after the other: as [`Map::delete_all`] takes them.
    pub fn keys(&self) -> &[u8] {
        &self.keys
    }
}

/// How many CPUs this machine may ever have: the number of values in an element of a per-CPU map.
pub fn possible_cpus() -> io::Result<usize> {
    let path = "/sys/devices/system/cpu/possible";
    let text = std::fs::read_to_string(path)?;
    count_cpus(text.trim()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{path}: \"{}\" is no CPU list", text.trim()))
    })
}

/// The kernel's per-CPU buffers go by the highest number, so that `0-3,8` means nine.
fn count_cpus(list: &str) -> Option<usize> {
    let last = list.rsplit(',').next()?;
    let highest = last.rsplit('-').next()?;
    highest.parse::<usize>().ok()?.checked_add(1)
}

/// The kernel does not know the command, or not for this kind of map.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(errno(error), Some(libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP | libc::ENOSYS))
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::{BPF_F_NO_PREALLOC, bpf_map_type::*};

    use super::super::test::requires_bpf;
    use super::*;

    fn create(kind: bpf_map_type, key: u32, value: u32, entries: u32, flags: u32) -> Map {
        let mut spec = MapSpec::new(kind, "test", key, value, entries);
        spec.flags = flags;
        Map::create(&spec, possible_cpus().unwrap()).unwrap()
    }

    fn number(bytes: &[u8]) -> u64 {
        u64::from_ne_bytes(bytes[..8].try_into().unwrap())
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(count_cpus("0"), Some(1));
        assert_eq!(count_cpus("0-1"), Some(2));
        assert_eq!(count_cpus("0-3,8-11"), Some(12));
        assert_eq!(count_cpus(""), None);
        assert_eq!(count_cpus("0-x"), None);
    }

    #[test]
    fn one_element_comes_and_goes() {
        if !requires_bpf() {
            return;
        }
        let map = create(BPF_MAP_TYPE_HASH, 12, 3, 4, 0);
        let key = [7; 12];
        assert_eq!(map.lookup(&key).unwrap(), None);
        map.update(&key, b"abc", 0).unwrap();
        assert_eq!(map.lookup(&key).unwrap().as_deref(), Some(&b"abc"[..]));
        let exists = map.update(&key, b"abd", 1).unwrap_err();
        assert_eq!(errno(&exists), Some(libc::EEXIST));
        assert_eq!(map.next_key(None).unwrap(), Some(key.to_vec()));
        assert_eq!(map.next_key(Some(&key)).unwrap(), None);
        assert!(map.delete(&key).unwrap());
        assert!(!map.delete(&key).unwrap());
        assert!(map.entries().unwrap().is_empty());
        assert!(map.lookup(&[0; 11]).is_err());
        assert!(map.update(&key, b"abcd", 0).is_err());
    }

    #[test]
    fn whole_maps_are_the_same_in_batches_and_one_by_one() {
        if !requires_bpf() {
            return;
        }
        for (kind, flags) in [
            (BPF_MAP_TYPE_HASH, 0),
            (BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC),
            (BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC),
            (BPF_MAP_TYPE_LRU_HASH, 0),
        ] {
            let map = create(kind, 8, 8, 20_000, flags);
            for i in 0..5_000u64 {
                let value = (i * 3).to_ne_bytes().repeat(map.value_len() / 8);
                map.update(&i.to_ne_bytes(), &value, 0).unwrap();
            }
            let sorted = |entries: &Entries| {
                let mut all: Vec<_> = entries.iter().map(|(k, v)| (number(k), v.to_vec())).collect();
                all.sort();
                all
            };
            let batches = map.batches(bpf_cmd::BPF_MAP_LOOKUP_BATCH).unwrap();
            assert_eq!(batches.len(), 5_000, "{kind:?}");
            assert_eq!(sorted(&batches), sorted(&map.entries_one_by_one().unwrap()));
            for (key, value) in batches.iter() {
                assert!(map.cpu_values(value).all(|v| number(v) == number(key) * 3));
                assert_eq!(map.cpu_values(value).count(), map.value_len() / 8);
            }
            // Every second key is gone already.
            for i in (0..5_000u64).step_by(2) {
                map.delete(&i.to_ne_bytes()).unwrap();
            }
            map.delete_all(batches.keys()).unwrap();
            assert!(map.entries().unwrap().is_empty());
        }
    }

    #[test]
    fn taking_empties_the_map() {
        if !requires_bpf() {
            return;
        }
        let map = create(BPF_MAP_TYPE_HASH, 4, 8, 3_000, 0);
        for i in 0..3_000u32 {
            map.update(&i.to_ne_bytes(), &u64::from(i).to_ne_bytes(), 0).unwrap();
        }
        assert_eq!(map.take_entries().unwrap().len(), 3_000);
        assert!(map.entries().unwrap().is_empty());
    }

    #[test]
    fn arrays_are_read_whole_and_per_cpu_values_are_padded() {
        if !requires_bpf() {
            return;
        }
        let array = create(BPF_MAP_TYPE_ARRAY, 4, 4, 3, 0);
        array.update(&1u32.to_ne_bytes(), &9u32.to_ne_bytes(), 0).unwrap();
        let entries = array.entries().unwrap();
        assert_eq!(entries.iter().map(|(_, v)| v[0]).collect::<Vec<_>>(), [0, 9, 0]);

        let per_cpu = create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 2, 0);
        assert_eq!(per_cpu.value_len(), 16 * possible_cpus().unwrap());
        let entries = per_cpu.entries().unwrap();
        assert_eq!(entries.len(), 2);
        for (_, value) in entries.iter() {
            assert!(per_cpu.cpu_values(value).all(|v| v.len() == 12));
        }
    }

    #[test]
    fn a_frozen_map_takes_no_more_writes() {
        if !requires_bpf() {
            return;
        }
        let map = create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
        map.freeze().unwrap();
        assert_eq!(errno(&map.update(&[0; 4], &[0; 8], 0).unwrap_err()), Some(libc::EPERM));
    }

    #[test]
    fn a_descriptor_tells_its_sizes() {
        if !requires_bpf() {
            return;
        }
        let map = create(BPF_MAP_TYPE_PERCPU_HASH, 5, 3, 9, BPF_F_NO_PREALLOC);
        let again = Map::from_fd(map.fd.try_clone().unwrap(), possible_cpus().unwrap()).unwrap();
        assert!(again.is_kind(BPF_MAP_TYPE_PERCPU_HASH));
        assert_eq!((again.key_size(), again.value_size(), again.max_entries()), (5, 3, 9));
        assert_eq!(again.value_len(), map.value_len());
        assert_eq!(again.flags(), BPF_F_NO_PREALLOC);
    }
}
