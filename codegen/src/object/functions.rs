//! The functions of a program that has callbacks, as the kernel wants them described when it is loaded at once: it calls
//! only what BTF names (`missing btf func_info` otherwise; Linux 6.18).

use super::Program;
use super::btf::Writer;
use crate::insn::Insn;

/// BTF, and the `bpf_func_info` records about it: `u32 insn_off` in slots, `u32 type_id`.
#[derive(Debug, PartialEq, Eq)]
pub struct Functions {
    pub btf: Vec<u8>,
    pub records: Vec<u8>,
}

impl Program {
    /// The description; nothing where the program has no callbacks, and needs none.
    pub fn functions(&self) -> Option<Functions> {
        if self.callbacks.is_empty() {
            return None;
        }
        let mut btf = Writer::default();
        let mut starts = vec![(0, btf.function(&self.name))];
        for (callback, start) in self.callbacks.iter().zip(self.callback_starts()) {
            starts.push((start, btf.callback(&callback.name, callback.role)));
        }
        let records =
            starts.into_iter().flat_map(|(start, id)| [start, id]).flat_map(u32::to_le_bytes).collect();
        Some(Functions { btf: btf.finish(), records })
    }

    /// The slot that each callback begins at, with the program's own instructions before them.
    pub fn callback_starts(&self) -> Vec<u32> {
        let mut at = slots(&self.insns);
        let mut starts = Vec::with_capacity(self.callbacks.len());
        for callback in &self.callbacks {
            starts.push(at);
            at += slots(&callback.insns);
        }
        starts
    }

    /// How many slots the program and its callbacks take.
    pub fn slots(&self) -> u32 {
        slots(&self.insns) + self.callbacks.iter().map(|callback| slots(&callback.insns)).sum::<u32>()
    }
}

fn slots(insns: &[Insn]) -> u32 {
    insns.iter().map(|insn| insn.slots() as u32).sum()
}
