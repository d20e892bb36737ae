//! The name that was probably meant.

/// The one of `known` that `name` was most likely meant to be: the fewest letters to add, drop or change, and no more than a third of them.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = name.chars().count();
    let distances = known.into_iter().map(|candidate| {
        // Plurals, and names that go on, are the commonest slips.
        let close = letters >= 3 && (candidate.starts_with(name) || name.starts_with(candidate) && candidate.len() >= 3);
        (if close { 1 } else { distance(name, candidate) }, candidate)
    });
    distances
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= letters.max(candidate.len()).div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped or changed to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["kernel_shape", "strides", "dilations", "pads", "group"];
        for (slip, meant) in [
            ("stride", Some("strides")),
            ("pad", Some("pads")),
            ("groups", Some("group")),
            ("dilation", Some("dilations")),
            ("kernel", Some("kernel_shape")),
            ("kernelshape", Some("kernel_shape")),
            ("wobble", None),
            ("x", None),
        ] {
            assert_eq!(nearest(slip, known), meant, "{slip}");
        }
        assert_eq!([distance("kitten", "sitting"), distance("", "ab"), distance("ab", "ab")], [3, 2, 0]);
    }
}
