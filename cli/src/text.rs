//! Text from outside on its way to a terminal or into a file that a terminal may show: names of layers and files, what drivers say.

use std::fmt::Write;

/// `text` with everything that acts instead of showing as an escape such as `\u{1b}` or `\n`: control characters, what turns the
/// direction of writing, and what has no width.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            '\t' => shown += "\\t",
            _ if acts(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c)); // writing to a string cannot fail
            }
            _ => shown.push(c),
        }
    }
    shown
}

/// Whether a character does something to the text around it.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `text` with every run of white space as one space, and otherwise [`printable`].
pub fn one_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The one of `known` that `name` was most likely meant to be: the fewest letters to add, drop or change, and no more than a third of them.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
    fn nothing_that_acts_on_a_terminal_goes_through() {
        assert_eq!(printable("a\nb\u{1b}[31m\0\u{9b}\u{202e}é漢|`\\"), "a\\nb\\u{1b}[31m\\u{0}\\u{9b}\\u{202e}é漢|`\\");
        assert_eq!(one_line(" two\n\nlines \u{7}"), "two lines \\u{7}");
    }

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
