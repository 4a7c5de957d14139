//! What this kernel's BPF offers.
//!
//! A release says at once what it has; a kernel that is older than a feature may have it all the same, ported
//! back by its distribution, and is asked by loading a program of a few instructions.

use std::path::Path;

use aya_obj::generated::bpf_prog_type;
use rtscript_codegen::insn::{AluOp, Insn, Narrow, Operand, Reg, Width};
use rtscript_lang::btf::Kind;
use rtscript_lang::kernel::{Features, Kernel};

use super::version;
use crate::bpf::{Program, ProgramSpec};

const MAY_GOTO: Insn = Insn::MayGoto { offset: 0 };
/// One instruction of ISA v4, which came as a whole.
const SIGN_EXTEND: Insn = Insn::Movsx { width: Width::W64, from: Narrow::S8, dst: Reg::R0, src: Reg::R0 };

pub fn find(kernel: &dyn Kernel) -> Features {
    let version = version();
    // Where the release has it, types are not looked at before a program needs the function's id.
    let has_types = || Path::new("/sys/kernel/btf/vmlinux").exists();
    let in_btf = |name| kernel.btf().is_ok_and(|btf| btf.find(name, Kind::Func).is_some());
    Features {
        rdonly_cast: version >= (6, 2) && has_types() || in_btf("bpf_rdonly_cast"),
        may_goto: version >= (6, 9) || loads(MAY_GOTO),
        isa_v4: version >= (6, 6) || loads(SIGN_EXTEND),
        for_each: version >= (5, 13) || in_btf("bpf_for_each_map_elem"),
        percpu_lookup: version >= (5, 19) || in_btf("bpf_map_lookup_percpu_elem"),
    }
}

/// Whether the kernel takes `insn` in a program that does nothing else.
fn loads(insn: Insn) -> bool {
    let zero = Insn::Alu { width: Width::W64, op: AluOp::Mov, dst: Reg::R0, src: Operand::Imm(0) };
    let mut bytes = Vec::new();
    for insn in [zero, insn, Insn::Exit] {
        insn.encode(&mut bytes);
    }
    let insns: Vec<u64> =
        bytes.chunks_exact(8).filter_map(|slot| Some(u64::from_le_bytes(*slot.first_chunk()?))).collect();
    Program::load(&ProgramSpec::new(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, "feature", &insns)).is_ok()
}

#[cfg(test)]
mod tests {
    use rtscript_codegen::insn::Size;

    use super::*;

    #[test]
    fn a_kernel_says_what_its_release_says() {
        if !crate::bpf::test::requires_bpf() {
            return;
        }
        assert!(loads(Insn::Neg { width: Width::W64, dst: Reg::R0 }));
        // A load from address 0.
        assert!(!loads(Insn::Load { size: Size::D, dst: Reg::R0, base: Reg::R0, offset: 0 }));
        if version() >= (6, 9) {
            assert!(loads(MAY_GOTO) && loads(SIGN_EXTEND));
        }
    }
}
