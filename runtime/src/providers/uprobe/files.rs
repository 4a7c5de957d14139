//! Finding programs and libraries by what a script calls them.
//!
//! A path is itself, and may have wildcards. A bare name is looked for as the system does: a program in `PATH`, a library
//! in the loader's cache (`libc`, `c`, `libc.so` and `libc.so.6` are the same).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::providers::pattern::{is_wildcard, matches};

const CACHE: &str = "/etc/ld.so.cache";
/// Where libraries are, if there is no cache.
const DIRECTORIES: &[&str] = &["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/lib/x86_64-linux-gnu"];
/// What the cache begins with, since glibc 2.2 and alone since 2.32.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// The cache's flags of a library for x86-64.
const X86_64: u32 = 0x0303;

/// The files that are meant, which exist; several only for a wildcard.
pub fn find(name: &str) -> Vec<PathBuf> {
    if !name.contains('/') {
        return program(name).or_else(|| library(name)).into_iter().collect();
    }
    let Ok(path) = std::path::absolute(name) else { return Vec::new() };
    if path.is_file() {
        return vec![path];
    }
    match path.to_str() {
        Some(pattern) if is_wildcard(pattern) => matching(pattern),
        Some(_) | None => Vec::new(),
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(is_program)
}

fn library(name: &str) -> Option<PathBuf> {
    let cache = fs::read(CACHE).unwrap_or_default();
    let in_cache = entries(&cache).find(|(known, _)| is_library(known, name)).map(|(_, path)| path.into());
    let in_directories = || {
        let files = DIRECTORIES.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        let mut files =
            files.filter(|file| file.file_name().to_str().is_some_and(|known| is_library(known, name)));
        files.next().map(|file| file.path())
    };
    in_cache.or_else(in_directories).filter(|path: &PathBuf| path.is_file())
}

/// Whether `libc.so.6` is what `c`, `libc`, `libc.so` or `libc.so.6` mean.
fn is_library(known: &str, name: &str) -> bool {
    if known == name {
        return true;
    }
    let Some((stem, _)) = known.split_once(".so") else { return false };
    let name = name.strip_suffix(".so").unwrap_or(name);
    stem == name || stem.strip_prefix("lib") == Some(name)
}

/// The libraries for this architecture: names and paths.
fn entries(cache: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    // An old cache may stand before the new one, aligned to eight bytes.
    let start = memchr::memmem::find(cache, MAGIC).unwrap_or(cache.len());
    let cache = &cache[start..];
    let u32_at = |at: usize| Some(u32::from_ne_bytes(*cache.get(at..)?.first_chunk()?));
    let text = move |at: u32| {
        let bytes = cache.get(at as usize..)?;
        std::str::from_utf8(&bytes[..memchr::memchr(0, bytes)?]).ok()
    };
    let count = u32_at(MAGIC.len()).unwrap_or(0) as usize;
    let most = cache.len().saturating_sub(HEADER) / ENTRY;
    (0..count.min(most)).filter_map(move |index| {
        let at = HEADER + index * ENTRY;
        let u32_at = |at: usize| Some(u32::from_ne_bytes(*cache.get(at..)?.first_chunk()?));
        (u32_at(at)? == X86_64).then_some((text(u32_at(at + 4)?)?, text(u32_at(at + 8)?)?))
    })
}

/// The files whose absolute path a pattern describes, part by part, in the order of their names.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|dir| below(dir, part)).collect();
    }
    found.retain(|path| path.is_file());
    found
}

fn below(dir: &Path, part: &str) -> Vec<PathBuf> {
    if !is_wildcard(part) {
        return vec![dir.join(part)];
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.retain(|name| name.to_str().is_some_and(|name| matches(part, name)));
    names.sort();
    names.into_iter().map(|name| dir.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_many_names() {
        for name in ["c", "libc", "libc.so", "libc.so.6"] {
            assert!(is_library("libc.so.6", name), "{name}");
        }
        for name in ["libcap", "lib", "cap", ""] {
            assert!(!is_library("libc.so.6", name), "{name}");
        }
    }

    #[test]
    fn files_are_found() {
        assert_eq!(find("/proc/self/../self/exe").len(), 1);
        assert!(find("sh").first().is_some_and(|path| path.ends_with("sh")));
        assert!(find("libc").first().is_some_and(|path| path.to_string_lossy().contains("libc.so")));
        assert!(find("no-such-program").is_empty() && find("/no/such/file").is_empty());
        assert_eq!(find("/bin/s[h]"), [PathBuf::from("/bin/sh")]);
        assert!(find("/etc/*").iter().all(|path| path.is_file()));
    }

    #[test]
    fn no_cache_makes_it_panic() {
        let cache = fs::read(CACHE).unwrap_or_default();
        for length in [0, 10, 20, 47, 48, 60, 100, 1000] {
            entries(&cache[..length.min(cache.len())]).for_each(drop);
        }
        let mut bad = cache;
        bad.iter_mut().skip(20).step_by(7).for_each(|byte| *byte = 0xff);
        entries(&bad).for_each(drop);
    }
}
