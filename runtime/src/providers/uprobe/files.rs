//! Finding programs and libraries by what a script calls them.
//!
//! A path is itself, and may have wildcards. A bare name is looked for as the system does: a program in `PATH`, a library
//! in the loader's cache (`libc`, `c`, `libc.so` and `libc.so.6` are the same). One with wildcards means programs, and `*` all files that
//! a process has mapped to run.
//!
//! A process may have another tree of files than we have: in a container, or after `chroot`. Where one is given, its own files are meant, which
//! we reach by `/proc/PID/root`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;

use crate::providers::pattern::{is_wildcard, matches};
use crate::providers::registers::{ARCH, Arch};

const CACHE: &str = "/etc/ld.so.cache";
/// Where libraries are, if there is no cache.
const DIRECTORIES: &[&str] =
    &["lib64", "usr/lib64", "lib", "usr/lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"];
/// What the cache begins with, since glibc 2.2 and alone since 2.32.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// The cache's flags of a library for this processor (of glibc, with 64 bits).
const FLAGS: u32 = match ARCH {
    Arch::X86_64 => 0x0303,
    Arch::Aarch64 => 0x0a03,
};
/// The most symbolic links that lead from one to the next.
const MOST_LINKS: u32 = 40;

/// The files that are meant, which exist; several only for a wildcard.
pub fn find(name: &str, process: Option<u32>) -> Vec<PathBuf> {
    if name == "*" {
        return process.map_or_else(Vec::new, mapped);
    }
    let root = process.and_then(root_of).unwrap_or_else(|| PathBuf::from("/"));
    if !name.contains('/') && is_wildcard(name) {
        return programs(name, &root);
    }
    if !name.contains('/') {
        return program(name, &root).or_else(|| library(name, &root)).into_iter().collect();
    }
    let Ok(path) = std::path::absolute(name) else { return Vec::new() };
    let there = within(&root, &path);
    if let Some(file) = [there, path.clone()].into_iter().find(|path| path.is_file()) {
        return vec![file];
    }
    match path.to_str() {
        Some(pattern) if is_wildcard(pattern) => matching(pattern, &root),
        Some(_) | None => Vec::new(),
    }
}

/// The same for listing, where `*` without a process means all programs.
pub fn find_all(name: &str, process: Option<u32>) -> Vec<PathBuf> {
    if name == "*" && process.is_none() { programs("*", Path::new("/")) } else { find(name, process) }
}

/// Where we find the files of a process that has others than we have.
pub fn root_of(pid: u32) -> Option<PathBuf> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let identity = |path: &Path| fs::metadata(path).ok().map(|data| (data.dev(), data.ino()));
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
    let theirs = identity(&root)?;
    let same = Some(theirs) == identity(Path::new("/")) && namespace(&pid.to_string()) == namespace("self");
    (!same).then_some(root)
}

/// A path below a root, whose symbolic links are followed as a process with that root does.
pub fn within(root: &Path, path: &Path) -> PathBuf {
    if root == Path::new("/") {
        return path.to_owned();
    }
    let parts = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    let (mut rest, mut at, mut links) = (parts(path), PathBuf::new(), 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        if part == "/" || part == "." {
            continue;
        }
        at.push(part);
        if let Ok(link) = fs::read_link(root.join(&at))
            && links < MOST_LINKS
        {
            links += 1;
            at.pop();
            if link.is_absolute() {
                at.clear();
            }
            rest.extend(parts(&link));
        }
    }
    root.join(at)
}

/// The files that a process has mapped to run code of them, as we reach them.
fn mapped(pid: u32) -> Vec<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let root = root_of(pid);
    let mut paths: Vec<PathBuf> = Vec::new();
    for line in maps.lines() {
        // `7f00-7f01 r-xp 00001000 fd:01 1234   /usr/lib/libc.so.6`
        let Some(at) = line.find('/') else { continue };
        let mut columns = line.split_whitespace();
        if columns.nth(1).is_none_or(|access| !access.contains('x')) {
            continue;
        }
        let inode: Option<u64> = columns.nth(2).and_then(|inode| inode.parse().ok());
        let seen_by_us = PathBuf::from(&line[at..]);
        // A path is told from our root where that leads there, and otherwise from the process's own.
        let seen_there = root.as_ref().map(|root| within(root, &seen_by_us));
        let is_it = |path: &PathBuf| std::fs::metadata(path).ok().map(|file| file.ino()) == inode;
        let path = seen_there.into_iter().chain([seen_by_us]).find(is_it);
        paths.extend(path.filter(|path| !paths.contains(path)));
    }
    paths
}

fn program(name: &str, root: &Path) -> Option<PathBuf> {
    directories().map(|dir| within(root, &dir.join(name))).find(|path| is_program(path))
}

/// The programs whose names match, each once, in the order of `PATH` and of their names.
fn programs(pattern: &str, root: &Path) -> Vec<PathBuf> {
    let found = directories().flat_map(|dir| below(&within(root, &dir), pattern));
    let mut seen = FxHashSet::default();
    let is_new = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| seen.insert((data.dev(), data.ino())));
    found.filter(|path| is_program(path)).filter(is_new).collect()
}

/// Where programs are.
fn directories() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn library(name: &str, root: &Path) -> Option<PathBuf> {
    let cache = fs::read(within(root, Path::new(CACHE))).unwrap_or_default();
    let in_cache = entries(&cache).find(|(known, _)| is_library(known, name));
    let in_cache = in_cache.map(|(_, path)| within(root, Path::new(path)));
    let in_directories = || {
        let directories = DIRECTORIES.iter().filter_map(|dir| fs::read_dir(root.join(dir)).ok());
        let files = directories.flatten().flatten();
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
        (u32_at(at)? == FLAGS).then_some((text(u32_at(at + 4)?)?, text(u32_at(at + 8)?)?))
    })
}

/// The files whose absolute path a pattern describes, part by part, in the order of their names.
fn matching(pattern: &str, root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
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
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

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
    fn links_are_followed_below_a_root() {
        let root = std::env::temp_dir().join(format!("rtscript-root-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::write(root.join("usr/lib/real"), "").unwrap();
        for (name, to) in [("lib", "usr/lib"), ("usr/lib/other", "/lib/real"), ("round", "/round")] {
            std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        }
        for path in ["/lib/real", "/lib/other", "/lib/../lib/./other", "/../../usr/lib/real"] {
            assert_eq!(within(&root, Path::new(path)), root.join("usr/lib/real"), "{path}");
        }
        assert_eq!(within(&root, Path::new("/round")), root.join("round"));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(root_of(std::process::id()), None);
    }

    #[test]
    fn a_process_may_have_other_files() {
        let dir = std::env::temp_dir().join(format!("rtscript-mount-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mount =
            format!("mount -t tmpfs none {0} && echo > {0}/there && echo ready && cat", dir.display());
        let mut child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(child) = &mut child {
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let (name, pid) = (dir.join("there").display().to_string(), child.id());
            if line == "ready\n" {
                let theirs = format!("/proc/{pid}/root{name}");
                for name in [name.clone(), name.replace("there", "t*")] {
                    assert_eq!(super::find(&name, Some(pid)), [PathBuf::from(&theirs)], "{name}");
                }
                assert!(super::find(&name, None).is_empty());
            } else {
                println!("skipped: nothing can be mounted");
            }
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn files_are_found() {
        let find = |name: &str| find(name, None);
        assert_eq!(find("/proc/self/../self/exe").len(), 1);
        assert!(find("sh").first().is_some_and(|path| path.ends_with("sh")));
        assert!(find("libc").first().is_some_and(|path| path.to_string_lossy().contains("libc.so")));
        assert!(find("no-such-program").is_empty() && find("/no/such/file").is_empty());
        assert_eq!(find("/bin/s[h]"), [PathBuf::from("/bin/sh")]);
        assert_eq!(find("bas[h]"), find("bash"));
        assert!(find("*").is_empty() && find_all("*", None).contains(&find("bash")[0]));
        let ours = std::env::current_exe().unwrap();
        assert!(super::find("*", Some(std::process::id())).contains(&ours));
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
