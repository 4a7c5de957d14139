//! Names with wildcards, as in attach points and listings: `*` stands for any text, `?` for one character, and
//! `[abc]`, `[a-z]` or `[!a-z]` for one character of a set. A bracket that is never closed is itself.

/// Whether a name is a pattern at all.
pub fn is_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether the whole of `name` is what `pattern` describes. Takes time in proportion to the product of their
/// lengths at worst.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Behind the last `*`, and the first byte of the name that it does not yet stand for.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        match (pattern.get(p..).filter(|rest| !rest.is_empty()), name.get(n)) {
            (None, None) => return true,
            (Some(rest), Some(&byte)) => {
                if let Some(length) = match_one(rest, byte) {
                    p += length;
                    n += 1;
                    continue;
                }
            }
            (None, Some(_)) => {}
            (Some(_), None) => return false,
        }
        // Let the last `*` stand for one byte more.
        match retry {
            Some((behind, from)) => {
                (p, n) = (behind, from + 1);
                retry = Some((p, n));
            }
            None => return false,
        }
    }
}

/// How long the first element of a pattern is, if it stands for `byte`.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match rest.iter().position(|&end| end == b']') {
            Some(end) => is_in_set(&rest[..end], byte).then_some(end + 2),
            None => (byte == b'[').then_some(1),
        },
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

fn is_in_set(set: &[u8], byte: u8) -> bool {
    let (set, negated) = match set {
        [b'!' | b'^', rest @ ..] => (rest, true),
        _ => (set, false),
    };
    let mut set = set;
    let mut found = false;
    loop {
        set = match set {
            [low, b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                rest
            }
            [] => return found != negated,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "sched_switch"),
            ("sched_*", "sched_switch"),
            ("*_switch", "sched_switch"),
            ("s*d_*w*h", "sched_switch"),
            ("sched_switch*", "sched_switch"),
            ("a*b*b", "abbb"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("sched_*", "sched"), ("*x", "sched_switch"), ("a", ""), ("", "a"), ("a*b", "abc")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn brackets_stand_for_one_of_a_set() {
        assert!(matches("vfs_[rw]*", "vfs_read") && matches("vfs_[rw]*", "vfs_write"));
        assert!(!matches("vfs_[rw]*", "vfs_open"));
        assert!(matches("tp[0-9]", "tp7") && !matches("tp[0-9]", "tpx"));
        assert!(matches("tp[!0-9]", "tpx") && !matches("tp[!0-9]", "tp7"));
        assert!(matches("tp[", "tp[") && !matches("tp[", "tpx"));
        assert!(matches("a?c", "abc") && !matches("a?c", "ac"));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_its_start(name in "[a-z_]{1,12}", at in 0usize..12) {
            prop_assert!(matches(&name, &name));
            let at = at.min(name.len());
            let pattern = format!("{}*", &name[..at]);
            let inner = format!("*{}*", &name[at..]);
            prop_assert!(matches(&pattern, &name));
            prop_assert!(matches(&inner, &name));
        }

        #[test]
        fn any_text_is_a_pattern(pattern in ".{0,16}", name in ".{0,16}") {
            let _ = matches(&pattern, &name);
        }
    }
}
