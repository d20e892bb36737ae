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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_goes_through() {
        assert_eq!(printable("a\nb\u{1b}[31m\0\u{9b}\u{202e}é漢|`\\"), "a\\nb\\u{1b}[31m\\u{0}\\u{9b}\\u{202e}é漢|`\\");
        assert_eq!(one_line(" two\n\nlines \u{7}"), "two lines \\u{7}");
    }
}
