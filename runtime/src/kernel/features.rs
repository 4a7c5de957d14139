//! What this kernel's BPF offers.
//!
//! A release says at once what it has; a kernel that is older than a feature may have it all the same, ported
//! back by its distribution, and is asked by loading a program of a few instructions.

use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use rtscript_codegen::insn::{AluOp, Helper, Insn, Narrow, Operand, Reg, Width};
use rtscript_lang::btf::Kind;
use rtscript_lang::kernel::{Features, Kernel};
use rtscript_lang::provider::ProgramKind;

use super::version;
use crate::bpf::{Program, ProgramSpec, Rejection};

const MAY_GOTO: Insn = Insn::MayGoto { offset: 0 };
/// One instruction of ISA v4, which came as a whole.
const SIGN_EXTEND: Insn = Insn::Movsx { width: Width::W64, from: Narrow::S8, dst: Reg::R0, src: Reg::R0 };

pub fn find(kernel: &dyn Kernel) -> Features {
    let version = version();
    // Where the release has it, types are not looked at before a program needs the function's id.
    let has_types = || Path::new("/sys/kernel/btf/vmlinux").exists();
    let in_btf = |name| kernel.btf().is_ok_and(|btf| btf.find(name, Kind::Func).is_some());
    let casts = || {
        let found = kernel.btf().ok().and_then(|btf| btf.find("bpf_rdonly_cast", Kind::Func));
        // The type 0 is "anything".
        found.is_some_and(|id| loads(&[mov(Reg::R2, 0), Insn::CallKfunc { btf_id: id.0 as i32, module: 0 }]))
    };
    let cookies = |kind| loads_as(kind, &[Insn::CallHelper { number: Helper::GetAttachCookie as u32 }]);
    Features {
        rdonly_cast: version >= (6, 17) && has_types() || casts(),
        may_goto: version >= (6, 9) || loads(&[MAY_GOTO]),
        bpf_loop: version >= (5, 17) || in_btf("bpf_loop"),
        isa_v4: version >= (6, 6) || loads(&[SIGN_EXTEND]),
        raw_cookies: version >= (6, 10) || cookies(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT),
        tracing_cookies: version >= (5, 19),
        func_ip: version >= (5, 15) || in_btf("bpf_get_func_ip_kprobe"),
        uretprobe_func_ip: version >= (6, 6) || in_btf("bpf_get_func_ip_uprobe_multi"),
        perf_cookies: version >= (5, 15) || cookies(bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT),
        for_each: version >= (5, 13) || in_btf("bpf_for_each_map_elem"),
        sleepable: version >= (6, 1),
        percpu_lookup: version >= (5, 19) || in_btf("bpf_map_lookup_percpu_elem"),
    }
}

/// Whether the kernel lets programs be loaded that go over its tasks (5.8 and later), as over its other objects.
pub fn has_iterators(kernel: &dyn Kernel) -> bool {
    loads_for(kernel, "bpf_iter_task", bpf_attach_type::BPF_TRACE_ITER)
}

/// Whether the kernel lets programs be loaded for the beginning of its functions (5.5 and later); some builds forbid it.
pub fn has_fentry(kernel: &dyn Kernel) -> bool {
    loads_for(kernel, "vfs_read", bpf_attach_type::BPF_TRACE_FENTRY)
}

/// Whether the kernel takes a program that does nothing and belongs to one of its functions.
fn loads_for(kernel: &dyn Kernel, function: &str, attach_type: bpf_attach_type) -> bool {
    let Some(id) = kernel.btf().ok().and_then(|btf| btf.find(function, Kind::Func)) else {
        return false;
    };
    // A program that returns 0.
    let insns = [mov(Reg::R0, 0), Insn::Exit];
    let mut bytes = Vec::new();
    insns.iter().for_each(|insn| insn.encode(&mut bytes));
    let insns = slots(&bytes);
    let spec = ProgramSpec {
        expected_attach_type: attach_type as u32,
        attach_btf_id: id.0,
        ..ProgramSpec::new(bpf_prog_type::BPF_PROG_TYPE_TRACING, "feature", &insns)
    };
    Program::load(&spec).is_ok()
}

/// Whether the verifier takes a call of the kfunc in programs of this kind, whatever it says of the arguments.
pub fn allows_kfunc(kernel: &dyn Kernel, name: &str, program: ProgramKind) -> bool {
    let Some(id) = kernel.btf().ok().and_then(|btf| btf.find(name, Kind::Func)) else { return false };
    is_known(crate::load::kind(program), Insn::CallKfunc { btf_id: id.0 as i32, module: 0 })
}

/// Whether programs may call `bpf_probe_write_user`: lockdown forbids it.
pub fn allows_write_user() -> bool {
    let call = Insn::CallHelper { number: Helper::ProbeWriteUser.number() };
    is_known(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, call)
}

/// Whether kprobes may call `bpf_override_return`: a kernel may be built without it.
pub fn allows_override() -> bool {
    is_known(
        bpf_prog_type::BPF_PROG_TYPE_KPROBE,
        Insn::CallHelper { number: Helper::OverrideReturn.number() },
    )
}

/// Whether a call gets as far as its arguments.
fn is_known(kind: bpf_prog_type, call: Insn) -> bool {
    let Err(rejection) = load_as(kind, &[call]) else { return true };
    let refusals = ["is not allowed", "cannot use helper", "cannot call", "unknown func"];
    !rejection.log.is_empty() && !refusals.iter().any(|refusal| rejection.log.contains(refusal))
}

fn mov(dst: Reg, value: i32) -> Insn {
    Insn::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Operand::Imm(value) }
}

/// Whether the kernel takes these instructions in a program that does nothing else.
fn loads(insns: &[Insn]) -> bool {
    loads_as(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, insns)
}

fn loads_as(kind: bpf_prog_type, insns: &[Insn]) -> bool {
    load_as(kind, insns).is_ok()
}

fn load_as(kind: bpf_prog_type, insns: &[Insn]) -> Result<Program, Rejection> {
    let mut bytes = Vec::new();
    mov(Reg::R0, 0).encode(&mut bytes);
    for insn in insns {
        insn.encode(&mut bytes);
    }
    mov(Reg::R0, 0).encode(&mut bytes);
    Insn::Exit.encode(&mut bytes);
    Program::load(&ProgramSpec::new(kind, "feature", &slots(&bytes)))
}

fn slots(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).filter_map(|slot| Some(u64::from_le_bytes(*slot.first_chunk()?))).collect()
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
        assert!(loads(&[Insn::Neg { width: Width::W64, dst: Reg::R0 }]));
        // A load from address 0.
        assert!(!loads(&[Insn::Load { size: Size::D, dst: Reg::R0, base: Reg::R0, offset: 0 }]));
        if version() >= (6, 9) {
            assert!(loads(&[MAY_GOTO]) && loads(&[SIGN_EXTEND]));
        }
    }
}
