//! Names of users, from `/etc/passwd`, read when the first is asked for.
//!
//! It is read by hand: the C library would load and ask name services, in a process that must not stall.

use std::cell::OnceCell;

use rustc_hash::FxHashMap;

#[derive(Debug, Default)]
pub struct Users {
    names: OnceCell<FxHashMap<u32, Vec<u8>>>,
}

impl Users {
    /// The name of a user; `None` if it has none, or if the file cannot be read.
    pub fn name(&self, uid: u32) -> Option<&[u8]> {
        let names = self.names.get_or_init(|| parse(&std::fs::read("/etc/passwd").unwrap_or_default()));
        names.get(&uid).map(Vec::as_slice)
    }

    #[cfg(test)]
    pub fn of(passwd: &[u8]) -> Users {
        Users { names: OnceCell::from(parse(passwd)) }
    }
}

/// `name:password:uid:…`; where several names share a number, the first counts.
fn parse(passwd: &[u8]) -> FxHashMap<u32, Vec<u8>> {
    let mut names = FxHashMap::default();
    for line in passwd.split(|&byte| byte == b'\n') {
        let mut parts = line.split(|&byte| byte == b':');
        let (Some(name), Some(uid)) = (parts.next(), parts.nth(1)) else { continue };
        let Some(uid) = std::str::from_utf8(uid).ok().and_then(|uid| uid.parse().ok()) else { continue };
        names.entry(uid).or_insert_with(|| name.to_vec());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users() {
        let users = Users::of(
            b"root:x:0:0::/root:/bin/sh\nbroken line\ntoor:x:0:0::/:\nann:x:1000:1000::/:\n:x:-1:\n",
        );
        assert_eq!(users.name(0), Some(&b"root"[..]));
        assert_eq!(users.name(1000), Some(&b"ann"[..]));
        assert_eq!(users.name(7), None);
    }
}
