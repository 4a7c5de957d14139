//! The functions of the BPF programs that run, by the BTF that their loaders gave the kernel.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use rtscript_lang::btf::{Btf, TypeId};
use rtscript_lang::kernel::{BpfFunction, FIRST_PROGRAM, KernelError};

use crate::bpf::programs::{btf_by_id, described};

/// Functions, and the types of programs; a function's `types` minus [`FIRST_PROGRAM`] counts these.
#[derive(Debug, Default)]
pub struct Programs {
    pub functions: Vec<BpfFunction>,
    types: Vec<Arc<Btf>>,
}

impl Programs {
    /// What runs now.
    pub fn read() -> Result<Programs, KernelError> {
        let mut programs = Programs::default();
        let mut known = HashMap::new();
        for program in described().map_err(|error| unreadable(&error))? {
            // The kernel attaches nothing to what is itself attached to functions.
            if program.is_tracing() {
                continue;
            }
            let position = *known.entry(program.btf).or_insert_with(|| {
                let types = Btf::parse(btf_by_id(program.btf).ok()?).ok()?;
                let position = FIRST_PROGRAM.checked_add(u16::try_from(programs.types.len()).ok()?)?;
                programs.types.push(Arc::new(types));
                Some(position)
            });
            let Some(types) = position else { continue };
            for id in program.functions {
                let Some(name) = programs.of(types).map(|btf| btf.name(TypeId(id)).to_owned()) else {
                    continue;
                };
                programs.functions.push(BpfFunction { program: program.id, name, types, id });
            }
        }
        Ok(programs)
    }

    /// The types at a position.
    pub fn of(&self, position: u16) -> Option<&Btf> {
        self.types.get(usize::from(position.checked_sub(FIRST_PROGRAM)?)).map(|btf| &**btf)
    }
}

fn unreadable(error: &io::Error) -> KernelError {
    let what = "the BPF programs that run".to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied => KernelError::Denied { what, help: "run it as root".to_owned() },
        _ => KernelError::Malformed { what, reason: error.to_string() },
    }
}
