//! Paths of cgroups by their ids, in every hierarchy that is mounted.
//!
//! The id of a cgroup is the inode number of its directory (64-bit kernels from 5.5 on). Hierarchies of their own may use
//! the same number, so a path stands behind the name of its hierarchy.

use std::cell::RefCell;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use rtscript_lang::types::Label;
use rustc_hash::FxHashMap;

use super::number;

/// The deepest cgroup that is looked for.
const DEEPEST: u32 = 32;

#[derive(Debug, Default)]
pub struct Cgroups {
    /// By id and pattern, as far as they were asked for. Ids are not used twice while the system runs.
    known: RefCell<FxHashMap<(u64, String), Vec<u8>>>,
}

impl Cgroups {
    /// Appends `hierarchy:/path,…`, or the id where there is no such cgroup.
    pub fn path(&self, id: u64, label: &Label, out: &mut Vec<u8>) {
        let Label::Cgroup(pattern) = label else { return };
        let mut known = self.known.borrow_mut();
        let key = (id, pattern.clone());
        if let Some(text) = known.get(&key) {
            return out.extend_from_slice(text);
        }
        let mounts = fs::read("/proc/self/mounts").unwrap_or_default();
        let text = find(id, pattern, &mounts);
        if text.is_empty() {
            // One that does not exist yet may come.
            return number::unsigned(id, out);
        }
        out.extend_from_slice(&text);
        known.insert(key, text);
    }
}

fn find(id: u64, pattern: &str, mounts: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut seen = Vec::new();
    for (name, root) in hierarchies(mounts) {
        if !matches(pattern.as_bytes(), &name) || seen.contains(&name) {
            continue;
        }
        let Some(path) = directory(&root, &root, id, DEEPEST) else { continue };
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(&name);
        text.extend_from_slice(b":/");
        text.extend_from_slice(path.as_os_str().as_bytes());
        seen.push(name);
    }
    text
}

/// What `/proc/self/mounts` says of cgroups: names and mount points. The second version is always called `unified`.
fn hierarchies(mounts: &[u8]) -> Vec<(Vec<u8>, PathBuf)> {
    let mut found = Vec::new();
    for line in mounts.split(|&byte| byte == b'\n') {
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(point), Some(kind)) = (words.nth(1), words.next()) else { continue };
        let point = Path::new(std::ffi::OsStr::from_bytes(point));
        let name = match kind {
            b"cgroup2" => b"unified".to_vec(),
            b"cgroup" => point.file_name().map_or_else(Vec::new, |name| name.as_bytes().to_vec()),
            _ => continue,
        };
        found.push((name, point.to_owned()));
    }
    // The second version comes first, and the others by their names.
    found.sort_by(|(a, _), (b, _)| (a != b"unified", a).cmp(&(b != b"unified", b)));
    found
}

/// The directory under `at` with this inode number, relative to the root.
fn directory(root: &Path, at: &Path, id: u64, depth: u32) -> Option<PathBuf> {
    if at == root && fs::metadata(root).is_ok_and(|root| root.ino() == id) {
        return Some(PathBuf::new());
    }
    let mut inner = Vec::new();
    for entry in fs::read_dir(at).ok()?.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.ino() == id {
            return entry.path().strip_prefix(root).ok().map(Path::to_owned);
        }
        inner.push(entry.path());
    }
    let depth = depth.checked_sub(1)?;
    inner.iter().find_map(|path| directory(root, path, id, depth))
}

/// Whether a name matches a pattern in which `*` is any text.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        Some((first, rest)) => name.first() == Some(first) && matches(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\nproc /proc proc rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nbroken\n";

    #[test]
    fn hierarchies_have_names() {
        let names: Vec<Vec<u8>> = hierarchies(MOUNTS).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [b"unified".to_vec(), b"cpu".to_vec(), b"pids".to_vec()]);
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in
            [("*", "cpu", true), ("", "cpu", false), ("uni*", "unified", true), ("*i*x", "unified", false)]
        {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn directories_are_found_by_their_number() {
        let root = std::env::temp_dir().join(format!("rtscript-cgroups-{}", std::process::id()));
        let inside = root.join("a/b");
        fs::create_dir_all(&inside).unwrap();
        let id = fs::metadata(&inside).unwrap().ino();
        let found = directory(&root, &root, id, DEEPEST);
        let whole = directory(&root, &root, fs::metadata(&root).unwrap().ino(), DEEPEST);
        let none = directory(&root, &root, u64::MAX, DEEPEST);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((found, whole, none), (Some(PathBuf::from("a/b")), Some(PathBuf::new()), None));
    }
}
