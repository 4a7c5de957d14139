//! Where this process is, and where cgroups are.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// The inode of the initial namespace of processes (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const INITIAL: u64 = 0xeffffffc;
const CGROUP_MAGIC: libc::__fsword_t = 0x0027_e0eb;
const CGROUP2_MAGIC: libc::__fsword_t = 0x6367_7270;

/// The id of a cgroup is the inode of its directory.
pub fn cgroup_id(path: &str) -> Option<u64> {
    let text = std::ffi::CString::new(path).ok()?;
    // SAFETY: `statfs` is plain data, which the call fills; the path ends in NUL.
    let (result, about) = unsafe {
        let mut about: libc::statfs = std::mem::zeroed();
        (libc::statfs(text.as_ptr(), &mut about), about)
    };
    let is_cgroup = result == 0 && matches!(about.f_type, CGROUP_MAGIC | CGROUP2_MAGIC);
    let meta = fs::metadata(path).ok().filter(|meta| is_cgroup && meta.is_dir())?;
    Some(meta.ino())
}

/// Device and inode of this process's namespace, unless it is the initial one.
pub fn pid_namespace() -> Option<(u64, u64)> {
    let meta = fs::metadata("/proc/self/ns/pid").ok()?;
    (meta.ino() != INITIAL).then(|| (meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_directory_is_no_cgroup() {
        assert_eq!(cgroup_id("/tmp"), None);
        assert_eq!(cgroup_id("/none"), None);
        assert_eq!(cgroup_id("a\0b"), None);
    }
}
