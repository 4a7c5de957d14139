//! The text of an object: what `--emit asm` shows. Instructions in the kernel's own syntax, numbered by slots, each run of
//! them under the script's line that they were made for.

use std::fmt::{self, Display, Formatter};

use super::{FieldInfo, Line, Object, Program, Relocation, RelocationKind};
use crate::insn::Insn;

impl Display for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, program) in self.programs.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.program(program, f)?;
        }
        Ok(())
    }
}

impl Object {
    fn program(&self, program: &Program, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: ; {:?}", program.name, program.kind)?;
        self.code(program, (&program.insns, &program.relocations, &program.lines), 0, f)?;
        for (callback, start) in program.callbacks.iter().zip(program.callback_starts()) {
            writeln!(f, "{}:", callback.name)?;
            let code = (&callback.insns[..], &callback.relocations[..], &callback.lines[..]);
            self.code(program, code, start as usize, f)?;
        }
        Ok(())
    }

    fn code(
        &self,
        program: &Program,
        (insns, relocations, lines): (&[Insn], &[Relocation], &[Line]),
        start: usize,
        f: &mut Formatter<'_>,
    ) -> fmt::Result {
        let mut lines = lines.iter().peekable();
        let mut relocations = relocations.iter().peekable();
        let mut shown = None;
        let mut slot = start;
        for (index, insn) in insns.iter().enumerate() {
            while let Some(line) = lines.next_if(|line| line.insn as usize <= index) {
                let Some(source) = self.sources.find(line.span) else { continue };
                let (number, _) = source.line_col(line.span.start);
                if shown != Some((source.start, number)) {
                    shown = Some((source.start, number));
                    writeln!(
                        f,
                        "; {}:{number} {}",
                        source.name,
                        source.line(number).unwrap_or_default().trim()
                    )?;
                }
            }
            write!(f, "{slot:5}: {insn}")?;
            while let Some(relocation) = relocations.next_if(|relocation| relocation.insn as usize == index) {
                match relocation.kind {
                    RelocationKind::Map(map) => write!(f, "  ; map {}", self.maps[map].name)?,
                    RelocationKind::Kfunc(kfunc) => write!(f, "  ; {}", kfunc.name())?,
                    RelocationKind::Callback(callback) | RelocationKind::Call(callback) => {
                        let name = program.callbacks.get(callback as usize).map_or("?", |to| &to.name);
                        write!(f, "  ; {name}")?;
                    }
                    RelocationKind::Global(offset) => write!(f, "  ; globals+{offset}")?,
                    RelocationKind::Field(access, info) => {
                        let fact = match info {
                            FieldInfo::ByteOffset => "offset",
                            FieldInfo::ShiftLeft => "left shift",
                            FieldInfo::ShiftRight => "right shift",
                        };
                        write!(f, "  ; {fact} of {access}")?;
                    }
                }
            }
            writeln!(f)?;
            slot += insn.slots();
        }
        Ok(())
    }
}
