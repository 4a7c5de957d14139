//! The maps of a script, read and changed from user space.
//!
//! Knows how the kernel stores each: a keyed map as a hash, a scalar one as an array of one element whose value is
//! followed by a word that says whether it was assigned. What a value means is not known here.

use std::io;

use cranelift_entity::PrimaryMap;
use rtscript_codegen::object::{Manifest, MapRef};
use rtscript_lang::record::presence_offset;
use rtscript_lang::typed::MapId;

use crate::bpf::Map;

const BPF_ANY: u64 = 0;
const BPF_EXIST: u64 = 2;
/// The key of the only element of an array.
const ONLY: [u8; 4] = [0; 4];

/// One element: its key (empty for a scalar map), and its value, or the values of all CPUs one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub key: Vec<u8>,
    pub values: Vec<Vec<u8>>,
}

#[derive(Clone, Copy)]
pub struct Maps<'a> {
    manifest: &'a Manifest,
    maps: &'a PrimaryMap<MapRef, Map>,
}

impl<'a> Maps<'a> {
    pub fn new(manifest: &'a Manifest, maps: &'a PrimaryMap<MapRef, Map>) -> Maps<'a> {
        Maps { manifest, maps }
    }

    /// All elements, in no order. A scalar map that was never assigned, or was cleared, has none.
    pub fn elements(&self, id: MapId) -> io::Result<Vec<Element>> {
        let Some(map) = self.storage(id) else { return Ok(Vec::new()) };
        if self.is_scalar(id) {
            let values = self.scalar(id, map)?;
            return Ok(values.map(|values| Element { key: Vec::new(), values }).into_iter().collect());
        }
        let entries = map.entries()?;
        let element = |(key, value): (&[u8], &[u8])| Element {
            key: key.to_vec(),
            values: map.cpu_values(value).map(<[u8]>::to_vec).collect(),
        };
        Ok(entries.iter().map(element).collect())
    }

    /// The value of one element, or the values of all CPUs; the key of a scalar map does not matter.
    pub fn element(&self, id: MapId, key: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let Some(map) = self.storage(id) else { return Ok(None) };
        if self.is_scalar(id) {
            return self.scalar(id, map);
        }
        let Some(key) = key.get(..map.key_size()) else { return Ok(None) };
        let value = map.lookup(key)?;
        Ok(value.map(|value| map.cpu_values(&value).map(<[u8]>::to_vec).collect()))
    }

    /// Removes everything; a scalar map is as if it was never assigned.
    pub fn clear(&self, id: MapId) -> io::Result<()> {
        let Some(map) = self.storage(id) else { return Ok(()) };
        if self.is_scalar(id) {
            return map.update(&ONLY, &vec![0; map.value_len()], BPF_ANY);
        }
        map.delete_all(map.entries()?.keys())
    }

    /// Sets all values to zero, and keeps the keys.
    pub fn zero(&self, id: MapId) -> io::Result<()> {
        let Some(map) = self.storage(id) else { return Ok(()) };
        let mut zeros = vec![0; map.value_len()];
        if self.is_scalar(id) {
            let presence = self.presence(id);
            let Some(old) = map.lookup(&ONLY)? else { return Ok(()) };
            for (new, old) in zeros.chunks_exact_mut(map.value_size()).zip(map.cpu_values(&old)) {
                if let (Some(new), Some(old)) = (new.get_mut(presence..), old.get(presence..)) {
                    new.copy_from_slice(old);
                }
            }
            return map.update(&ONLY, &zeros, BPF_ANY);
        }
        for (key, _) in map.entries()?.iter() {
            match map.update(key, &zeros, BPF_EXIST) {
                // Removed meanwhile.
                Err(error) if crate::bpf::errno(&error) == Some(libc::ENOENT) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// The values of a scalar map, without the word behind them.
    fn scalar(&self, id: MapId, map: &Map) -> io::Result<Option<Vec<Vec<u8>>>> {
        let presence = self.presence(id);
        let Some(value) = map.lookup(&ONLY)? else { return Ok(None) };
        let is_present =
            |cpu: &[u8]| cpu.get(presence..).is_some_and(|word| word.iter().any(|&byte| byte != 0));
        if !map.cpu_values(&value).any(is_present) {
            return Ok(None);
        }
        Ok(Some(map.cpu_values(&value).map(|cpu| cpu[..presence.min(cpu.len())].to_vec()).collect()))
    }

    fn storage(&self, id: MapId) -> Option<&'a Map> {
        self.maps.get(self.manifest.maps.get(id)?.storage)
    }

    fn is_scalar(&self, id: MapId) -> bool {
        self.manifest.maps[id].map.key.is_none()
    }

    fn presence(&self, id: MapId) -> usize {
        presence_offset(&self.manifest.maps[id].map.value, &self.manifest.structs) as usize
    }
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::{BPF_F_NO_PREALLOC, bpf_map_type};
    use rtscript_codegen::object::MapInfo;
    use rtscript_lang::aggregate::Aggregate;
    use rtscript_lang::config::Config;
    use rtscript_lang::syntax::source::Span;
    use rtscript_lang::typed::{self, MapKind};
    use rtscript_lang::types::{Structs, Type};

    use super::*;
    use crate::bpf::test::requires_bpf;
    use crate::bpf::{MapSpec, possible_cpus};

    /// A map of the script over one of the kernel.
    fn maps(key: Option<Type>, value: Type, kind: bpf_map_type) -> (Manifest, PrimaryMap<MapRef, Map>) {
        let (key_size, entries, extra) = if key.is_some() { (8, 100, 0) } else { (4, 1, 8) };
        let mut spec = MapSpec::new(kind, "map", key_size, 8 + extra, entries);
        if key.is_some() {
            spec.flags = BPF_F_NO_PREALLOC;
        }
        let mut stored = PrimaryMap::new();
        let storage = stored.push(Map::create(&spec, possible_cpus().unwrap()).unwrap());
        let map = typed::Map {
            name: "m".to_owned(),
            key,
            value,
            kind: MapKind::Hash,
            max_entries: entries,
            span: Span::default(),
        };
        let mut infos = PrimaryMap::new();
        infos.push(MapInfo { map, storage });
        let manifest = Manifest {
            programs: Vec::new(),
            actions: PrimaryMap::new(),
            maps: infos,
            structs: Structs::default(),
            probe_names: Vec::new(),
            config: Config::default(),
            sites: Vec::new(),
            sites_offset: 0,
            tables: Vec::new(),
            ring: None,
            reserve: None,
        };
        (manifest, stored)
    }

    #[test]
    fn a_hash_is_read_zeroed_and_cleared() {
        if !requires_bpf() {
            return;
        }
        let (manifest, stored) = maps(Some(Type::U64), Type::U64, bpf_map_type::BPF_MAP_TYPE_HASH);
        let maps = Maps::new(&manifest, &stored);
        let m = MapId::from_u32(0);
        let kernel = stored.values().next().unwrap();
        for key in 1..=3u64 {
            kernel.update(&key.to_ne_bytes(), &(key * 10).to_ne_bytes(), BPF_ANY).unwrap();
        }
        let mut elements = maps.elements(m).unwrap();
        elements.sort_by(|a, b| a.key.cmp(&b.key));
        assert_eq!(
            elements[2],
            Element { key: 3u64.to_ne_bytes().to_vec(), values: vec![30u64.to_ne_bytes().to_vec()] }
        );
        assert_eq!(maps.element(m, &2u64.to_ne_bytes()).unwrap(), Some(vec![20u64.to_ne_bytes().to_vec()]));
        assert_eq!(maps.element(m, &9u64.to_ne_bytes()).unwrap(), None);
        assert_eq!(maps.element(m, &[1]).unwrap(), None);
        maps.zero(m).unwrap();
        assert_eq!(maps.element(m, &2u64.to_ne_bytes()).unwrap(), Some(vec![vec![0; 8]]));
        assert_eq!(maps.elements(m).unwrap().len(), 3);
        maps.clear(m).unwrap();
        assert_eq!(maps.elements(m).unwrap(), []);
    }

    #[test]
    fn a_scalar_map_has_an_element_once_it_is_assigned() {
        if !requires_bpf() {
            return;
        }
        let count = Type::Aggregate(Aggregate::Count);
        let (manifest, stored) = maps(None, count, bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY);
        let maps = Maps::new(&manifest, &stored);
        let m = MapId::from_u32(0);
        let kernel = stored.values().next().unwrap();
        assert_eq!(maps.elements(m).unwrap(), []);
        let cpus = possible_cpus().unwrap();
        let mut value = vec![0; kernel.value_len()];
        // The last CPU counted 5.
        value[(cpus - 1) * 16] = 5;
        value[(cpus - 1) * 16 + 8] = 1;
        kernel.update(&ONLY, &value, BPF_ANY).unwrap();
        let elements = maps.elements(m).unwrap();
        assert_eq!(elements.len(), 1);
        assert_eq!(elements[0].values.len(), cpus);
        assert_eq!(elements[0].values[cpus - 1], 5u64.to_ne_bytes());
        maps.zero(m).unwrap();
        assert_eq!(maps.elements(m).unwrap()[0].values, vec![vec![0; 8]; cpus]);
        maps.clear(m).unwrap();
        assert_eq!(maps.element(m, &[]).unwrap(), None);
    }
}
