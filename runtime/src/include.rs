//! `#include`: reads the files that a script includes, for their C definitions and macros.
//!
//! A file in quotes is looked for beside the file that includes it, then in the directories of `-I`, then in those of
//! the environment's `CPATH`, and must be there. A header in angle brackets is looked for in those directories alone, and none
//! is needed: the kernel's types come from BTF, and common constants are built in. Where one is found, what
//! cannot be read in it is passed over, and so are the types that the kernel itself describes: a header does not know how
//! this kernel was configured. Each file counts once.
//!
//! A file is read when the `#include` of it is met, so that `#ifdef` and `#if` behind it know its macros, and it those in front of it.
//! What it defines is taken over afterwards.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use rtscript_lang::btf::Kind;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::syntax::ast::{self, CDef, CDefKind, Tag};
use rtscript_lang::syntax::source::{Source, Sources, Span};
use rtscript_lang::syntax::{Header, Headers, Macros, SyntaxError, given, parse_header_with, parse_with};

use crate::cli::{CommandLine, Script};
use crate::files::Files;
use crate::report::{Failure, MissingInclude};

/// Files within files.
const MAX_DEPTH: usize = 64;

/// Reads the files that a script includes.
pub struct Includer<'a> {
    kernel: &'a dyn Kernel,
    files: &'a Files,
    /// Those that the command line names.
    first: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
    /// Where the files lie that are being read, one within the other, and whether they are headers of others.
    beside: Vec<(PathBuf, bool)>,
    /// What was read, by resolved paths; nothing of a file that is being read.
    read: HashMap<PathBuf, io::Result<Header>>,
    /// Errors in files that are the script's own.
    wrong: Vec<SyntaxError>,
    /// What is taken over already.
    seen: HashSet<PathBuf>,
    definitions: Vec<CDef>,
    pub sources: Sources,
}

impl<'a> Includer<'a> {
    pub fn new(script: &Script, kernel: &'a dyn Kernel, line: &'a CommandLine, sources: Sources) -> Self {
        let beside = match script {
            Script::File(path) => path.parent().unwrap_or(Path::new("")),
            Script::Text(_) | Script::Stdin => Path::new(""),
        };
        Includer {
            kernel,
            files: &line.files,
            first: line.includes.clone(),
            dirs: include_dirs(line),
            beside: vec![(beside.to_owned(), false)],
            read: HashMap::new(),
            wrong: Vec::new(),
            seen: HashSet::new(),
            definitions: Vec::new(),
            sources,
        }
    }

    /// Parses a script, and reads what it includes.
    pub fn parse(&mut self, source: &Source) -> Result<ast::Script, Failure> {
        let mut macros = given();
        for path in self.first.clone() {
            if let Some(found) = self.find(&path, Some(Path::new(""))) {
                self.read_file(&found, false, &mut macros);
            }
        }
        let parsed = parse_with(source, &mut macros, self);
        parsed.map_err(|mut errors| {
            // What is wrong in a header may be why something is wrong behind it.
            errors.splice(0..0, std::mem::take(&mut self.wrong));
            Failure::wrong(errors, &self.sources)
        })
    }

    /// Puts what the included files define in place of the `#include`s of a script.
    pub fn include(mut self, tree: &mut ast::Script) -> Result<Sources, Failure> {
        for path in std::mem::take(&mut self.first) {
            let Some(found) = self.find(&path, Some(Path::new(""))) else {
                return Err(Failure::line(format!("cannot find {}, which --include names", path.display())));
            };
            self.file(&found, false, 0)?;
        }
        let (beside, _) = self.beside[0].clone();
        self.all(std::mem::take(&mut tree.definitions), &beside, false, 0)?;
        tree.definitions = self.definitions;
        Ok(self.sources)
    }
}

/// The directories of `-I` and of the environment.
pub fn include_dirs(line: &CommandLine) -> Vec<PathBuf> {
    // What is carried was looked for where the program was made.
    let more = std::env::var_os("CPATH").filter(|_| !line.files.is_carried()).unwrap_or_default();
    let more = std::env::split_paths(&more).filter(|dir| !dir.as_os_str().is_empty());
    line.include_dirs.iter().cloned().chain(more).collect()
}

impl Headers for Includer<'_> {
    fn read(&mut self, path: &str, system: bool, macros: &mut Macros) {
        let (beside, of_others) = self.beside.last().cloned().unwrap_or_default();
        if let Some(found) = self.find(Path::new(path), (!system).then_some(&beside))
            && self.beside.len() <= MAX_DEPTH
        {
            self.read_file(&found, system || of_others, macros);
        }
    }
}

impl Includer<'_> {
    /// Reads a file, unless it was read before.
    fn read_file(&mut self, path: &Path, of_others: bool, macros: &mut Macros) {
        let resolved = self.resolved(path);
        if self.read.contains_key(&resolved) {
            return;
        }
        self.read.insert(resolved.clone(), Ok(Header::default()));
        let header = self.files.text(path).map(|text| {
            let source = self.sources.add(path.display().to_string(), text);
            self.beside.push((path.parent().unwrap_or(Path::new("")).to_owned(), of_others));
            let header = parse_header_with(&source, macros, self);
            self.beside.pop();
            if !of_others {
                self.wrong.extend(header.errors.iter().cloned());
            }
            header
        });
        self.read.insert(resolved, header);
    }

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
        dirs.map(|dir| dir.join(path)).find(|path| self.files.is_file(path))
    }

    fn file(&mut self, path: &Path, of_others: bool, depth: usize) -> Result<(), Failure> {
        let resolved = self.resolved(path);
        if !self.seen.insert(resolved.clone()) {
            return Ok(());
        }
        // One that an imported script includes was not met yet.
        self.read_file(path, of_others, &mut given());
        let header = match self.read.insert(resolved, Ok(Header::default())) {
            Some(Ok(header)) => header,
            Some(Err(error)) if !of_others => {
                return Err(Failure::line(format!("cannot read {}: {error}", path.display())));
            }
            Some(Err(_)) | None => return Ok(()),
        };
        if !of_others && !header.errors.is_empty() {
            return Err(Failure::wrong(header.errors, &self.sources));
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
        let (Ok(btf), Some(name)) = (self.kernel.btf(), name) else { return false };
        kinds.iter().any(|&kind| btf.find(&name.name, kind).is_some())
    }

    fn resolved(&self, path: &Path) -> PathBuf {
        self.files.resolved(path).unwrap_or_else(|_| path.to_owned())
    }

    fn missing(&self, path: &str, at: Span) -> Failure {
        Failure::wrong(vec![MissingInclude { path: path.to_owned(), at }], &self.sources)
    }
}
