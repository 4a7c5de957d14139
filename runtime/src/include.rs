//! `#include`: reads the files that a script includes, for their C definitions and macros.
//!
//! A file in quotes is looked for beside the file that includes it, then in the directories of `-I`, then in those of
//! the environment's `CPATH`, and must be there. A header in angle brackets is looked for in those directories alone, and none
//! is needed: the kernel's types come from BTF, and common constants are built in. Where one is found, what
//! cannot be read in it is passed over, and so are the types that the kernel itself describes: a header does not know how
//! this kernel was configured. Each file counts once.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rtscript_lang::btf::{Btf, Kind};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::syntax::ast::{self, CDef, CDefKind, Tag};
use rtscript_lang::syntax::parse_header;
use rtscript_lang::syntax::source::{Sources, Span};

use crate::cli::{CommandLine, Script};
use crate::report::{Failure, MissingInclude};

/// Files within files.
const MAX_DEPTH: usize = 64;

/// Puts what the included files define in place of the `#include`s of a script.
pub fn include(
    tree: &mut ast::Script,
    script: &Script,
    kernel: &dyn Kernel,
    line: &CommandLine,
    sources: &mut Sources,
) -> Result<(), Failure> {
    let is_asked = |definition: &CDef| matches!(definition.kind, CDefKind::Include { .. });
    if line.includes.is_empty() && !tree.definitions.iter().any(is_asked) {
        return Ok(());
    }
    let dirs = std::env::var_os("CPATH").unwrap_or_default();
    let dirs = line.include_dirs.iter().cloned().chain(std::env::split_paths(&dirs));
    let dirs = dirs.filter(|dir| !dir.as_os_str().is_empty()).collect();
    let mut includer =
        Includer { btf: kernel.btf().ok(), dirs, seen: HashSet::new(), definitions: Vec::new(), sources };
    for path in &line.includes {
        let Some(found) = includer.find(path, Some(Path::new(""))) else {
            return Err(Failure::line(format!("cannot find {}, which --include names", path.display())));
        };
        includer.file(&found, false, 0)?;
    }
    let beside = match script {
        Script::File(path) => path.parent().unwrap_or(Path::new("")),
        Script::Text(_) | Script::Stdin => Path::new(""),
    };
    includer.all(std::mem::take(&mut tree.definitions), beside, false, 0)?;
    tree.definitions = includer.definitions;
    Ok(())
}

struct Includer<'a> {
    btf: Option<&'a Btf>,
    dirs: Vec<PathBuf>,
    /// By their resolved paths.
    seen: HashSet<PathBuf>,
    definitions: Vec<CDef>,
    sources: &'a mut Sources,
}

impl Includer<'_> {
    /// Takes over definitions of a file that lies in `beside`. What is wrong in the headers of others is passed over.
    fn all(
        &mut self,
        definitions: Vec<CDef>,
        beside: &Path,
        of_others: bool,
        depth: usize,
    ) -> Result<(), Failure> {
        for mut definition in definitions {
            definition.lenient = of_others;
            let CDefKind::Include { path, system } = &definition.kind else {
                if !(of_others && self.is_of_the_kernel(&definition)) {
                    self.definitions.push(definition);
                }
                continue;
            };
            let found = self.find(Path::new(path), (!system).then_some(beside));
            match found {
                Some(found) if depth < MAX_DEPTH => self.file(&found, *system || of_others, depth)?,
                None if !system && !of_others => return Err(self.missing(path, definition.span)),
                Some(_) | None => {}
            }
            // It stays for those who print the script.
            self.definitions.push(definition);
        }
        Ok(())
    }

    fn find(&self, path: &Path, beside: Option<&Path>) -> Option<PathBuf> {
        let dirs = beside.into_iter().chain(self.dirs.iter().map(PathBuf::as_path));
        dirs.map(|dir| dir.join(path)).find(|path| path.is_file())
    }

    fn file(&mut self, path: &Path, of_others: bool, depth: usize) -> Result<(), Failure> {
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(resolved) {
            return Ok(());
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(_) if of_others => return Ok(()),
            Err(error) => return Err(Failure::line(format!("cannot read {}: {error}", path.display()))),
        };
        let source = self.sources.add(path.display().to_string(), text);
        let header = parse_header(&source);
        if !of_others && !header.errors.is_empty() {
            return Err(Failure::wrong(header.errors, self.sources));
        }
        self.all(header.definitions, path.parent().unwrap_or(Path::new("")), of_others, depth + 1)
    }

    fn is_of_the_kernel(&self, definition: &CDef) -> bool {
        let (name, kinds): (_, &[Kind]) = match &definition.kind {
            CDefKind::Include { .. } | CDefKind::Define(_) => return false,
            CDefKind::Typedef { name, .. } => (Some(name), &[Kind::Typedef]),
            CDefKind::Type(of) => match of.tag {
                Tag::Struct => (of.name.as_ref(), &[Kind::Struct]),
                Tag::Union => (of.name.as_ref(), &[Kind::Union]),
                Tag::Enum => (of.name.as_ref(), &[Kind::Enum, Kind::Enum64]),
            },
        };
        let (Some(btf), Some(name)) = (self.btf, name) else { return false };
        kinds.iter().any(|&kind| btf.find(&name.name, kind).is_some())
    }

    fn missing(&self, path: &str, at: Span) -> Failure {
        Failure::wrong(vec![MissingInclude { path: path.to_owned(), at }], self.sources)
    }
}
