//! `import`: reads the scripts and headers that a script imports, and puts them together.
//!
//! A path is looked for beside the file that names it. It is a script (`.bt`), a header with C definitions (`.h`), a program in
//! C (`.bpf.c`), or a directory of those, in the order of their names. Each file counts once, however often and in whatever circle it is imported.
//! What is imported comes in front of what imports it. An imported script has no settings of its own. Nothing is read from a
//! directory that everybody can write to, since tracing runs with all rights.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use rtscript_lang::foreign::ForeignFunction;
use rtscript_lang::syntax::ast::{self, CDef, CDefKind, Import, Item};
use rtscript_lang::syntax::parse;
use rtscript_lang::syntax::source::Sources;

use crate::cli::{CommandLine, Script};
use crate::files::Files;
use crate::foreign::{self, ForeignError};
use crate::report::{Failure, ImportRefused};

/// Imports within imports.
const MAX_DEPTH: usize = 64;

/// Puts what a script imports in front of what it says itself. Returns the functions in C, which look for headers in the directories
/// of `-I`.
pub fn import(
    tree: &mut ast::Script,
    script: &Script,
    line: &CommandLine,
    sources: &mut Sources,
) -> Result<Vec<ForeignFunction>, Failure> {
    if tree.imports.is_empty() {
        return Ok(Vec::new());
    }
    let mut importer = Importer {
        seen: HashSet::new(),
        definitions: Vec::new(),
        items: Vec::new(),
        foreign: Vec::new(),
        depth: 0,
        include_dirs: &line.include_dirs,
        files: &line.files,
        sources,
    };
    let beside = match script {
        Script::File(path) => {
            importer.seen.extend(line.files.resolved(path));
            path.parent().unwrap_or(Path::new(""))
        }
        Script::Text(_) | Script::Stdin => Path::new(""),
    };
    importer.all(&std::mem::take(&mut tree.imports), beside)?;
    importer.definitions.append(&mut tree.definitions);
    importer.items.append(&mut tree.items);
    tree.definitions = importer.definitions;
    tree.items = importer.items;
    Ok(importer.foreign)
}

struct Importer<'s> {
    /// By their resolved paths.
    seen: HashSet<PathBuf>,
    definitions: Vec<CDef>,
    items: Vec<Item>,
    foreign: Vec<ForeignFunction>,
    depth: usize,
    include_dirs: &'s [PathBuf],
    files: &'s Files,
    sources: &'s mut Sources,
}

impl Importer<'_> {
    fn all(&mut self, imports: &[Import], beside: &Path) -> Result<(), Failure> {
        imports.iter().try_for_each(|import| self.one(import, &beside.join(&import.path)))
    }

    /// A path that an import names.
    fn one(&mut self, import: &Import, path: &Path) -> Result<(), Failure> {
        let found = self.files.is_directory(path);
        if !found.map_err(|error| self.unreadable(import, path, &error))? {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.trust(import, directory.unwrap_or(Path::new(".")))?;
            return self.file(import, path);
        }
        self.trust(import, path)?;
        let files = self.files.entries(path);
        let mut files = files.map_err(|error| self.unreadable(import, path, &error))?;
        files.retain(|file| matches!(extension(file), "bt" | "h") || is_c(file));
        files.iter().try_for_each(|file| self.file(import, file))
    }

    fn file(&mut self, import: &Import, path: &Path) -> Result<(), Failure> {
        let resolved = self.files.resolved(path).map_err(|error| self.unreadable(import, path, &error))?;
        if !self.seen.insert(resolved.clone()) {
            return Ok(());
        }
        match extension(path) {
            "bt" => self.script(import, path),
            "h" => {
                // It is read with the files that `#include` names.
                let path = resolved.display().to_string();
                let kind = CDefKind::Include { path, system: false };
                self.definitions.push(CDef { kind, span: import.span, lenient: false });
                Ok(())
            }
            "c" if is_c(path) => {
                let object = self.files.object(path, || foreign::compile(path, self.include_dirs));
                let functions = object.and_then(|object| foreign::functions(&object, import.span));
                let compiled = functions.map_err(|error| {
                    let help = match error {
                        ForeignError::NoCompiler => {
                            Some("install it, or write this as `fn` or `macro` in a `.bt` file")
                        }
                        _ => None,
                    };
                    self.refused(import, format!("{} cannot be linked: {error}", path.display()), help)
                })?;
                // Each file counts its own functions.
                let before = self.foreign.len() as u32;
                self.foreign.extend(compiled.into_iter().map(|mut function| {
                    function.calls.iter_mut().for_each(|(_, callee)| *callee += before);
                    function
                }));
                Ok(())
            }
            _ => {
                let help =
                    "scripts end in `.bt`, headers with C definitions in `.h`, programs in C in `.bpf.c`";
                Err(self.refused(import, format!("{} cannot be imported", path.display()), Some(help)))
            }
        }
    }

    fn script(&mut self, import: &Import, path: &Path) -> Result<(), Failure> {
        if self.depth >= MAX_DEPTH {
            return Err(self.refused(import, "imports are nested too deeply".to_owned(), None));
        }
        let text = self.files.text(path).map_err(|error| self.unreadable(import, path, &error))?;
        let source = self.sources.add(path.display().to_string(), text);
        let tree = parse(&source).map_err(|errors| Failure::wrong(errors, self.sources))?;
        if let Some(config) = &tree.config {
            let message = "an imported script has no settings".to_owned();
            let help = Some("settings are those of the script that is run".to_owned());
            return Err(Failure::wrong(
                vec![ImportRefused { message, span: config.span, help }],
                self.sources,
            ));
        }
        let beside = path.parent().unwrap_or(Path::new(""));
        self.depth += 1;
        self.all(&tree.imports, beside)?;
        self.depth -= 1;
        self.definitions.extend(tree.definitions.into_iter().map(|definition| match definition.kind {
            CDefKind::Include { path, system: false } => {
                let path = beside.join(path).display().to_string();
                CDef { kind: CDefKind::Include { path, system: false }, ..definition }
            }
            CDefKind::Include { .. } | CDefKind::Define(_) | CDefKind::Type(_) | CDefKind::Typedef { .. } => {
                definition
            }
        }));
        self.items.extend(tree.items);
        Ok(())
    }

    /// Refuses a directory that everybody can write to.
    fn trust(&self, import: &Import, directory: &Path) -> Result<(), Failure> {
        let is_open = self.files.is_open_to_all(directory);
        if !is_open.map_err(|error| self.unreadable(import, directory, &error))? {
            return Ok(());
        }
        let message = format!("everybody can write to the directory {}", directory.display());
        let help = "what is imported runs with your rights; `chmod o-w` the directory";
        Err(self.refused(import, message, Some(help)))
    }

    fn unreadable(&self, import: &Import, path: &Path, error: &io::Error) -> Failure {
        self.refused(import, format!("cannot read {}: {error}", path.display()), None)
    }

    fn refused(&self, import: &Import, message: String, help: Option<&str>) -> Failure {
        let refused = ImportRefused { message, span: import.span, help: help.map(str::to_owned) };
        Failure::wrong(vec![refused], self.sources)
    }
}

fn is_c(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(".bpf.c"))
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or("")
}
