//! The names that come nearest to one that does not exist.
//!
//! Names of events are made of words, which people mix up as often as letters; so names are alike when they have
//! pairs of neighbouring letters in common, wherever those stand.

/// How much two names must have in common, of 100.
const ENOUGH: usize = 55;
const AT_MOST: usize = 3;

/// Up to three of `names`, the nearest first.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let wanted = pairs(name);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .map(|other| (likeness(&wanted, &pairs(other)), other))
        .filter(|(likeness, _)| *likeness >= ENOUGH)
        .collect();
    found.sort_by(|(a, a_name), (b, b_name)| b.cmp(a).then_with(|| a_name.cmp(b_name)));
    found.dedup();
    found.into_iter().take(AT_MOST).map(|(_, name)| name.to_owned()).collect()
}

/// Twice the pairs in common, of all pairs of both, in percent.
fn likeness(a: &[[u8; 2]], b: &[[u8; 2]]) -> usize {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        match left.cmp(right) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
            }
        }
    }
    200 * common / (a.len() + b.len()).max(1)
}

/// The pairs of neighbouring letters, sorted; the ends count as letters.
fn pairs(name: &str) -> Vec<[u8; 2]> {
    let letters: Vec<u8> = [b" ", name.to_ascii_lowercase().as_bytes(), b" "].concat();
    let mut pairs: Vec<[u8; 2]> = letters.windows(2).filter_map(|pair| pair.try_into().ok()).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "sched:sched_switch",
        "sched:sched_wakeup",
        "task:task_rename",
        "task:task_newtask",
        "skb:kfree_skb",
        "a:b",
    ];

    #[test]
    fn mistyped_and_misplaced_names_are_found() {
        let first = |name| nearest(name, NAMES).into_iter().next();
        assert_eq!(first("sched:sched_swich").as_deref(), Some("sched:sched_switch"));
        assert_eq!(first("sched:task_rename").as_deref(), Some("task:task_rename"));
        assert_eq!(first("task:rename_task").as_deref(), Some("task:task_rename"));
        assert_eq!(first("skb:skb_free").as_deref(), Some("skb:kfree_skb"));
        assert_eq!(first("xyzzy"), None);
        assert!(nearest("sched:sched_w", NAMES).len() <= AT_MOST);
    }
}
