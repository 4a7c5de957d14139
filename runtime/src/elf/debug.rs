//! Finding the file with the debug information of another one.
//!
//! Distributions ship it apart from the program: under the program's build id, `DIR/.build-id/ab/cdef….debug`, or under the name
//! in its section `.gnu_debuglink`, beside it or in a directory like its own under DIR.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Elf;

/// Where distributions put debug information.
pub const DEBUG_DIRS: &[&str] = &["/usr/lib/debug", "/lib/debug"];

/// The file that has the debug information of `elf`, if that is another one.
pub fn debug_file(elf: &Elf, dirs: &[PathBuf]) -> Option<Elf> {
    by_build_id(elf, dirs).or_else(|| by_link(elf, dirs))
}

fn by_build_id(elf: &Elf, dirs: &[PathBuf]) -> Option<Elf> {
    let id: String = elf.build_id()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = id.split_at_checked(2)?;
    let name = format!(".build-id/{first}/{rest}.debug");
    dirs.iter().find_map(|dir| Elf::open(&dir.join(&name)).ok().filter(|found| belongs_to(found, elf, None)))
}

fn by_link(elf: &Elf, dirs: &[PathBuf]) -> Option<Elf> {
    let (name, checksum) = elf.debug_link()?;
    let name = Path::new(OsStr::from_bytes(name));
    // It is a name and no path.
    let name = Path::new(name.file_name()?);
    let own = fs::canonicalize(elf.path()).ok()?;
    let own = own.parent()?;
    let below = own.strip_prefix("/").unwrap_or(own);
    let near = [own.to_path_buf(), own.join(".debug")];
    let places = near.into_iter().chain(dirs.iter().map(|dir| dir.join(below)));
    let mut found = places.filter_map(|place| Elf::open(&place.join(name)).ok());
    found.find(|found| found.identity() != elf.identity() && belongs_to(found, elf, Some(checksum)))
}

/// Whether both are of the same build.
fn belongs_to(debug: &Elf, elf: &Elf, checksum: Option<u32>) -> bool {
    match (debug.build_id(), elf.build_id(), checksum) {
        (Some(a), Some(b), _) => a == b,
        (_, _, Some(checksum)) => crc32fast::hash(&debug.data) == checksum,
        (_, _, None) => false,
    }
}
