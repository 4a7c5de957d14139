//! What the strata share that compile scripts: the kernel of `tests/fixtures`, each stage as text, and the file of a case.

#![allow(dead_code, reason = "each driver uses a part")]

pub mod file;
pub mod random;
pub mod values;
pub mod wide;

use std::fs;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, Report};
use rtscript_codegen::compile::{compile, optimize};
use rtscript_codegen::ir::Module;
use rtscript_codegen::lower::lower;
use rtscript_codegen::object::Object;
use rtscript_codegen::target::Target;
use rtscript_lang::check::{Checked, Options, check};
use rtscript_lang::expand::{Called, expand};
use rtscript_lang::kernel::{FixtureKernel, Kernel};
use rtscript_lang::provider::Provider;
use rtscript_lang::syntax::parse;
use rtscript_lang::syntax::source::Sources;
use rtscript_runtime::providers::PROVIDERS;

/// A path of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The files of a directory with this extension, in the order of their names. There is at least one.
pub fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let directory = path(directory);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    assert!(!files.is_empty(), "there are no cases in {}", directory.display());
    files
}

/// The kernel of `tests/fixtures`: what is checked and compiled for it is the same on every machine.
pub fn fixture_kernel() -> FixtureKernel {
    let btf = fs::read(path("tests/fixtures/kernel.btf")).expect("the fixture");
    let mut kernel =
        FixtureKernel::new(btf).expect("the fixture is BTF").with_symbol("vfs_read", 0xffff_ffff_8123_4560);
    let categories = directories(&path("tests/fixtures/events"));
    for category in categories {
        let name = category.file_name().expect("a name").to_string_lossy().into_owned();
        for event in files(&format!("tests/fixtures/events/{name}"), "format") {
            let format = fs::read_to_string(&event).expect("a format");
            kernel =
                kernel.with_tracepoint(&name, &event.file_stem().expect("a name").to_string_lossy(), &format);
        }
    }
    kernel
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// A script that was parsed and checked, or everything that is wrong with it as it is shown to users.
pub struct Front {
    pub tree: String,
    pub checked: Checked,
    pub sources: Sources,
}

/// Parses, expands and checks.
pub fn front(name: &str, text: &str, kernel: &dyn Kernel, options: &Options) -> Result<Front, String> {
    let mut sources = Sources::new();
    let source = sources.add(name, text);
    let script = parse(&source).map_err(|errors| render(errors, &sources))?;
    let tree = script.to_string();
    let script = expand(script, &mut sources).map_err(|errors| render(errors, &sources))?;
    let providers: Vec<&dyn Provider> = PROVIDERS.iter().map(|&provider| provider as _).collect();
    let checked = check(&script, kernel, &providers, options).map_err(|errors| render(errors, &sources))?;
    Ok(Front { tree, checked, sources })
}

impl Front {
    pub fn warnings(&self) -> String {
        render(self.checked.warnings.clone(), &self.sources)
    }

    pub fn types(&self) -> String {
        self.checked.program.to_string()
    }

    /// The IR after its passes.
    pub fn ir(&self, target: Target) -> String {
        let mut module = lower(&self.checked.program, target);
        let mut functions = std::mem::take(&mut module.functions);
        functions.iter_mut().for_each(|function| optimize(function, &module));
        Module { functions, ..module }.to_string()
    }

    pub fn object(&self, target: Target) -> Result<Object, String> {
        let module = lower(&self.checked.program, target);
        compile(module, self.sources.clone()).map_err(|error| error.to_string())
    }
}

/// Diagnostics as a terminal shows them, without colours.
pub fn render<E: Diagnostic + Send + Sync + 'static>(errors: Vec<E>, sources: &Sources) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let mut text = String::new();
    for error in errors {
        let report = Report::new(Called::new(error, sources));
        handler.render_report(&mut text, report.as_ref()).expect("text takes all");
        text.push('\n');
    }
    // Lines without text end in blanks, which editors remove.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
