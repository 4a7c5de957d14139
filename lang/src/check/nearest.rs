//! "Did you mean": the names that a mistyped one is nearest to.

use super::error::DidYouMean;

/// Up to three of `names` that differ from `name` in about a third of its letters or less, the nearest first.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<DidYouMean> {
    let limit = (name.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|other| other.len().abs_diff(name.len()) <= limit)
        .map(|other| (distance(name, other), other))
        .filter(|&(distance, other)| distance <= limit && !other.is_empty())
        .collect();
    found.sort();
    found.dedup();
    let best = found.first()?.0;
    let names =
        found.iter().filter(|&&(distance, _)| distance <= best).take(3).map(|(_, name)| name.to_string());
    Some(DidYouMean(names.collect()))
}

/// Letters to insert, remove, replace or swap with a neighbour; case counts as nothing.
/// (Optimal string alignment: the table's rows, of which three are kept.)
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_near() {
        let names = ["pid", "tid", "comm", "curtask", "nsecs"];
        assert_eq!(nearest("pidd", names), Some(DidYouMean(vec!["pid".into()])));
        assert_eq!(nearest("cmom", names), Some(DidYouMean(vec!["comm".into()])));
        assert_eq!(nearest("nsec", names), Some(DidYouMean(vec!["nsecs".into()])));
        assert_eq!(nearest("elephant", names), None);
        assert_eq!(nearest("id", names), Some(DidYouMean(vec!["pid".into(), "tid".into()])));
    }
}
