//! Names of user addresses: functions, files and lines.
//!
//! An address belongs to a process. What the process maps (`spaces.rs`, kept up to date by `follow.rs`) says which file
//! lies there and at which offset, and the file's symbols and debug information are read by the crate `blazesym` when the first
//! address of it is printed. What was found is kept by file and offset, so that processes of the same program share it.
//!
//! Code that was made while a process ran has names where the process wrote them into a perf map (`jit.rs`).
//!
//! Return addresses point behind a call, which may be the end of a function or of a line. So the line, and what was
//! inlined there, is that of the byte before; only the innermost frame is taken as it is.

mod follow;
mod jit;
pub mod names;
mod spaces;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};
use rtscript_lang::config::Config;
use rustc_hash::FxHashMap;

use follow::Followed;
use jit::PerfMaps;
use spaces::Place;

pub use follow::Interest;

/// The symbols of all processes.
#[derive(Debug)]
pub struct UserSymbols {
    /// Looks into files by their debug information as well.
    with_lines: bool,
    demangle: bool,
    debug_dirs: Option<Vec<PathBuf>>,
    /// It keeps what it has read of each path.
    symbolizer: RefCell<Option<Symbolizer>>,
    /// How often files had been closed when it began.
    closed: Cell<u64>,
    spaces: Followed,
    perf_maps: RefCell<PerfMaps>,
    /// By place, and whether it is a return address.
    known: RefCell<FxHashMap<(Place, bool), Calls>>,
}

/// Where an address lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file that is mapped there, as the process calls it.
    pub module: Option<Arc<str>>,
    /// The functions, innermost first: those that were inlined, then the one that has code of its own. Empty where
    /// there is no symbol.
    pub calls: Calls,
}

type Calls = Rc<Vec<Call>>;

/// So many addresses are remembered.
const KNOWN: usize = 64 << 10;

/// A function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    /// From the function's start; `None` for one that was inlined.
    pub offset: Option<u64>,
    /// `file:line`
    pub source: Option<String>,
}

impl UserSymbols {
    /// Follows what processes map from now on, those of `interest` and all that are started; without an interest, and
    /// where the script wants nothing to be kept, each look-up asks the process.
    pub fn new(config: &Config, interest: Option<Interest>, debug_dirs: Option<Vec<PathBuf>>) -> UserSymbols {
        UserSymbols {
            with_lines: config.show_debug_info,
            demangle: config.demangle,
            debug_dirs,
            symbolizer: RefCell::default(),
            closed: Cell::default(),
            spaces: match interest {
                Some(interest) if config.cache_user_symbols => Followed::start(interest),
                Some(_) | None => Followed::nothing(),
            },
            perf_maps: RefCell::default(),
            known: RefCell::default(),
        }
    }

    /// What lies at an address of a process. `returned`: the address is the one behind a call.
    pub fn find(&self, pid: u32, address: u64, returned: bool) -> Location {
        let found = self.spaces.find(pid, address, |found, closed| {
            if self.closed.replace(closed) != closed {
                // The path of a descriptor may lead to another file by now.
                self.symbolizer.take();
            }
            let (place, file) = found?;
            let known = self.known.borrow().get(&(place, returned)).cloned();
            let path = if known.is_none() { file.path() } else { None };
            Some((place, Arc::clone(&file.name), known, path))
        });
        let Some((place, module, known, path)) = found else {
            let calls = self.perf_maps.borrow_mut().find(pid, address).into_iter().collect();
            return Location { module: None, calls: Rc::new(calls) };
        };
        let calls = known.unwrap_or_else(|| {
            // The descriptor stays open while the file is read.
            let calls = path.map_or_else(Vec::new, |(path, _open)| self.calls(path, place.offset, returned));
            let calls = Rc::new(calls);
            let mut known = self.known.borrow_mut();
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert((place, returned), Rc::clone(&calls));
            calls
        });
        Location { module: Some(module), calls }
    }

    /// The functions at an offset of a file.
    fn calls(&self, path: PathBuf, offset: u64, returned: bool) -> Vec<Call> {
        let mut symbolizer = self.symbolizer.borrow_mut();
        let symbolizer = symbolizer.get_or_insert_with(|| {
            Symbolizer::builder()
                .enable_auto_reload(false)
                .enable_code_info(self.with_lines)
                .enable_inlined_fns(self.with_lines)
                .enable_demangling(false)
                .set_debug_dirs(self.debug_dirs.clone())
                .build()
        });
        let mut elf = Elf::new(path);
        elf.debug_syms = self.with_lines;
        let source = Source::Elf(elf);
        // A file that cannot be read, or understood, has no symbols.
        let at = |offset| match symbolizer.symbolize_single(&source, Input::FileOffset(offset)) {
            Ok(Symbolized::Sym(symbol)) => Some(symbol),
            Ok(Symbolized::Unknown(_)) | Err(_) => None,
        };
        let here = at(offset);
        let starts_here = here.as_ref().is_some_and(|symbol| symbol.offset == 0);
        if !returned || starts_here || offset == 0 {
            return here.map_or_else(Vec::new, |symbol| calls(&symbol, 0, self.demangle));
        }
        at(offset - 1).map_or_else(Vec::new, |symbol| calls(&symbol, 1, self.demangle))
    }
}

/// The functions of a symbol, innermost first.
fn calls(symbol: &Sym<'_>, behind: u64, demangle: bool) -> Vec<Call> {
    let named =
        |name: &str| if demangle { names::demangled(name) } else { None }.unwrap_or_else(|| name.to_owned());
    // Each function has the place of the next one's call; the innermost has the address's own.
    let inlined = symbol.inlined.iter().rev().map(|call| Call {
        name: named(&call.name),
        offset: None,
        source: call.code_info.as_ref().and_then(source),
    });
    let own = Call {
        name: named(&symbol.name),
        offset: Some(symbol.offset as u64 + behind),
        source: symbol.code_info.as_deref().and_then(source),
    };
    inlined.chain([own]).collect()
}

fn source(info: &CodeInfo<'_>) -> Option<String> {
    let line = info.line?;
    Some(format!("{}:{line}", info.to_path().display()))
}
