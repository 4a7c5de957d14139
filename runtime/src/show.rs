//! `-d`: what each stage made, printed to standard output while a script is on its way.
//!
//! A stage that was not asked for costs nothing. What is shown is the very value that the next stage takes; the text is the one
//! that `--emit` prints.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use rtscript_codegen::object::Object;

use crate::cli::Shown;
use crate::load::Loaded;
use crate::report::Failure;

/// The stages that were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a>(pub &'a [Shown]);

impl Show<'_> {
    pub fn has(self, stage: Shown) -> bool {
        self.0.contains(&stage) || self.0.contains(&Shown::All)
    }

    /// Prints what a stage made, if it was asked for.
    pub fn stage(self, stage: Shown, made: &dyn Display) -> Result<(), Failure> {
        if !self.has(stage) {
            return Ok(());
        }
        let title = title(stage);
        let mut text = format!("{title}\n{}\n{made}", "-".repeat(title.len()));
        text.truncate(text.trim_end().len());
        text.push_str("\n\n");
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| Failure::unwritten("the output", &error))
    }
}

fn title(stage: Shown) -> &'static str {
    match stage {
        Shown::Parse => "parse: the script as it is written",
        Shown::Ast => "ast: the script without macros, functions and imports",
        Shown::Types => "types: the typed program",
        Shown::Codegen => "codegen: the intermediate form",
        Shown::CodegenOpt => "codegen-opt: the intermediate form after its passes",
        Shown::Dis => "dis: the instructions",
        Shown::Libbpf => "libbpf: what was loaded",
        Shown::Verifier => "verifier: the log of each program",
        // It stands for the others, and is never shown itself.
        Shown::All => "all",
    }
}

/// The maps and programs of an object as the kernel has them.
pub struct InKernel<'a>(pub &'a Object, pub &'a Loaded);

impl Display for InKernel<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let InKernel(object, loaded) = self;
        for map in object.maps.values() {
            writeln!(
                f,
                "map {}: {:?}, key {}, value {}, entries {}",
                map.name, map.kind, map.key_size, map.value_size, map.max_entries
            )?;
        }
        for (index, (program, in_kernel)) in object.programs.iter().zip(&loaded.programs).enumerate() {
            let targets = object.manifest.programs.get(index).map_or(&[][..], |info| &info.targets);
            for (served, copy) in &in_kernel.copies {
                write!(f, "program {}: {:?}, {} instructions", program.name, program.kind, program.slots())?;
                // What the kernel does not tell is left out.
                if let Ok(info) = copy.info() {
                    write!(f, ", {} loaded, {} verified, id {}", info.insns, info.verified_insns, info.id)?;
                }
                writeln!(f)?;
                let ends =
                    in_kernel.session.as_ref().and_then(|session| object.manifest.programs.get(session.end));
                let ends = ends.map_or(&[][..], |info| &info.targets);
                for (target, _) in targets.get(served.clone()).unwrap_or_default().iter().chain(ends) {
                    writeln!(f, "    {}", target.name)?;
                }
            }
        }
        Ok(())
    }
}

/// The verifier's logs of an object's programs.
pub struct Logs<'a>(pub &'a Object, pub &'a Loaded);

impl Display for Logs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Logs(object, loaded) = self;
        for (program, in_kernel) in object.programs.iter().zip(&loaded.programs) {
            for (_, copy) in &in_kernel.copies {
                writeln!(f, "{}:\n{}\n", program.name, copy.log().trim_end())?;
            }
        }
        Ok(())
    }
}
