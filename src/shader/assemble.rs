//! The assembler: joins shader files by the directives in their comments, so that every file stays plain WGSL for an editor.
//!
//! - `//@use lib/number.wgsl`: that file, once, in order of first use.
//! - `//@if NAME`, `//@if !NAME`, `//@if NAME == 2` (`!=`, `>`), `//@elif ..`, `//@else`, `//@end`: what stands between, where the const is so; `NAME`
//!   alone asks whether it is other than 0. At the end of a line, `//@if ..` is about that line alone.
//! - `//@for I < NAME`, `//@end`: what stands between, so many times. There `I` is the number, `0u` and on, and part of names: `sum_I` is `sum_0`.
//!   For what must have a name of its own: an array that is indexed by a variable lies in memory, not in registers.
//!
//! A const that nobody names, a file that is not there and a block that is left open are errors.

use crate::shader::files;
use std::fmt::Write;

/// The text of `roots` and of all that they use. `value` gives the consts of the conditions.
///
/// # Errors
/// File, line and what is wrong there.
pub(crate) fn assemble(roots: &[&str], value: &dyn Fn(&str) -> Option<u32>) -> Result<String, String> {
    let mut assembly = Assembly { text: String::new(), used: vec![], value, file: &files::text };
    roots.iter().try_for_each(|root| assembly.file(root, "the kernel"))?;
    Ok(assembly.text)
}

struct Assembly<'a> {
    text: String,
    /// Files that are in it or under way.
    used: Vec<String>,
    value: &'a dyn Fn(&str) -> Option<u32>,
    file: &'a dyn Fn(&str) -> Option<&'static str>,
}

/// An `//@if` that is open.
struct Block {
    line: usize,
    /// Whether its present branch is taken.
    taken: bool,
    /// Whether a branch has been taken.
    decided: bool,
    has_else: bool,
    /// Whether all blocks around it are taken.
    outside: bool,
}

impl Assembly<'_> {
    fn file(&mut self, name: &str, user: &str) -> Result<(), String> {
        if self.used.iter().any(|own| own == name) {
            return Ok(());
        }
        self.used.push(name.to_string());
        let text = (self.file)(name).ok_or_else(|| format!("{user} uses shaders/{name}, which does not exist"))?;
        // What it uses comes first, so a banner is written where lines of its own begin.
        let (mut open, mut banner): (Vec<Block>, _) = (vec![], false);
        let lines: Vec<(usize, String)> = (1..).zip(text.lines().map(str::to_string)).collect();
        for (number, line) in self.repeated(lines).map_err(|(number, why)| format!("shaders/{name}:{number}: {why}"))? {
            let line = line.as_str();
            let at = |why: String| format!("shaders/{name}:{number}: {why}");
            let taken = open.last().is_none_or(|block| block.taken);
            if let Some(directive) = line.trim_start().strip_prefix("//@") {
                let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
                match word {
                    "use" if taken => {
                        self.file(rest.trim(), &format!("shaders/{name}:{number}"))?;
                        banner = false;
                    }
                    "use" => {}
                    _ => self.branch(&mut open, word, rest, number, taken).map_err(at)?,
                }
                continue;
            }
            let (line, condition) = line.split_once("//@if ").map_or((line, None), |(line, condition)| (line.trim_end(), Some(condition)));
            let stays = match condition {
                Some(condition) => self.holds(condition).map_err(at)?,
                None => true,
            };
            if taken && stays && (banner || !line.is_empty()) {
                if !banner {
                    let _ = writeln!(self.text, "\n// ---- shaders/{name}"); // a String takes all
                    banner = true;
                }
                self.text.push_str(line);
                self.text.push('\n');
            }
        }
        match open.last() {
            Some(block) => Err(format!("shaders/{name}:{}: //@if without //@end", block.line)),
            None => Ok(()),
        }
    }

    /// The lines with every `//@for` written out.
    fn repeated(&self, lines: Vec<(usize, String)>) -> Result<Vec<(usize, String)>, (usize, String)> {
        let mut all = Vec::new();
        let mut lines = lines.into_iter();
        while let Some((number, line)) = lines.next() {
            let Some(range) = line.trim_start().strip_prefix("//@for ") else {
                all.push((number, line));
                continue;
            };
            let (variable, count) = self.range(range).map_err(|why| (number, why))?;
            let (mut body, mut depth) = (Vec::new(), 1);
            loop {
                let Some((own, line)) = lines.next() else { return Err((number, "//@for without //@end".into())) };
                let directive = line.trim_start();
                depth += usize::from(directive.starts_with("//@for ") || directive.starts_with("//@if "));
                depth -= usize::from(directive == "//@end");
                if depth == 0 {
                    break;
                }
                body.push((own, line));
            }
            for iteration in 0..count {
                let written = body.iter().map(|(own, line)| (*own, numbered(line, variable, iteration))).collect();
                all.extend(self.repeated(written)?);
            }
        }
        Ok(all)
    }

    /// Variable and count of a `//@for`.
    fn range<'t>(&self, text: &'t str) -> Result<(&'t str, u32), String> {
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            [variable, "<", name] => Ok((variable, (self.value)(name).ok_or_else(|| format!("no const {name} is given"))?)),
            _ => Err(format!("{text:?} is no range: it is a letter < NAME")),
        }
    }

    fn branch(&self, open: &mut Vec<Block>, word: &str, condition: &str, line: usize, outside: bool) -> Result<(), String> {
        if word == "if" {
            let holds = self.holds(condition)?;
            open.push(Block { line, taken: outside && holds, decided: holds, has_else: false, outside });
            return Ok(());
        }
        let Some(block) = open.last_mut() else { return Err(format!("//@{word} outside an //@if")) };
        match word {
            "elif" | "else" if block.has_else => return Err(format!("//@{word} after //@else")),
            "elif" => {
                let holds = self.holds(condition)?;
                block.taken = block.outside && holds && !block.decided;
                block.decided |= holds;
            }
            "else" => (block.taken, block.has_else) = (block.outside && !block.decided, true),
            "end" => drop(open.pop()),
            _ => return Err(format!("//@{word} is no directive: it is one of use, if, elif, else, for, end")),
        }
        Ok(())
    }

    /// Whether a condition is so. Those in branches that are not taken are looked at too, so that a name nobody gives is found.
    fn holds(&self, condition: &str) -> Result<bool, String> {
        let words: Vec<&str> = condition.split_whitespace().collect();
        let value = |name: &str| (self.value)(name).ok_or_else(|| format!("no const {name} is given"));
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
        match words[..] {
            [name] => match name.strip_prefix('!') {
                Some(name) => Ok(value(name)? == 0),
                None => Ok(value(name)? != 0),
            },
            [name, "==", other] => Ok(value(name)? == number(other)?),
            [name, "!=", other] => Ok(value(name)? != number(other)?),
            [name, ">", other] => Ok(value(name)? > number(other)?),
            _ => Err(format!("{condition:?} is no condition: it is NAME, !NAME, or NAME == (or !=, >) a number")),
        }
    }
}

/// A line of a `//@for` in one of its iterations.
fn numbered(line: &str, variable: &str, iteration: u32) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut text = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| in_word(c) != in_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match word == variable {
            true => text.push_str(&format!("{iteration}u")),
            false => {
                let parts = word.split('_').map(|part| if part == variable { iteration.to_string() } else { part.to_string() });
                text.push_str(&parts.collect::<Vec<_>>().join("_"));
            }
        }
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(files: &'static [(&'static str, &'static str)], consts: &[(&str, u32)]) -> Result<String, String> {
        let value = |name: &str| consts.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
        let file = |name: &str| files.iter().find(|(own, _)| *own == name).map(|(_, text)| *text);
        let mut assembly = Assembly { text: String::new(), used: vec![], value: &value, file: &file };
        assembly.file(files[0].0, "the kernel")?;
        Ok(assembly.text)
    }

    #[test]
    fn a_file_is_joined_once_before_what_uses_it() {
        let files = &[("k", "// k\n//@use a\n//@use b\nk\n"), ("a", "//@use b\na\n"), ("b", "//@use a\nb\n")];
        let text = run(files, &[]).unwrap();
        assert_eq!(text, "\n// ---- shaders/k\n// k\n\n// ---- shaders/b\nb\n\n// ---- shaders/a\na\n\n// ---- shaders/k\nk\n");
    }

    #[test]
    fn the_first_branch_that_holds_is_taken() {
        let files = &[("k", "//@if A == 1\none\n//@elif A > 1\nmore\n//@if B\nB\n//@end\n//@else\nnone\n//@end\nx; //@if !B\ny; //@if A != 2\n")];
        for (a, b, want) in [(0, 0, "none x; y;"), (0, 1, "none y;"), (1, 0, "one x; y;"), (2, 0, "more x;"), (2, 7, "more B"), (3, 7, "more B y;")] {
            let text = run(files, &[("A", a), ("B", b)]).unwrap();
            assert_eq!(text.lines().skip(2).collect::<Vec<_>>().join(" "), want, "{a} {b}");
        }
    }

    #[test]
    fn lines_are_repeated_with_names_of_their_own() {
        let files = &[("k", "a\n//@for J < B\n//@for I < A\nlet sum_J_I = I + J; // IJ\n//@end\nx_J; //@if A > 1\n//@end\nb\n")];
        let text = |a, b| run(files, &[("A", a), ("B", b)]).unwrap().lines().skip(2).collect::<Vec<_>>().join(" ");
        assert_eq!(text(1, 2), "a let sum_0_0 = 0u + 0u; // IJ let sum_1_0 = 0u + 1u; // IJ b");
        assert_eq!(text(2, 1), "a let sum_0_0 = 0u + 0u; // IJ let sum_0_1 = 1u + 0u; // IJ x_0; b");
        assert_eq!(text(0, 3), "a b");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (files, want) in [
            (&[("k", "//@if A\n//@if B\nx\n//@end\n//@end\n")][..], "shaders/k:2: no const B is given"), // A is 0
            (&[("k", "x; //@if B > 2\n")], "shaders/k:1: no const B is given"),
            (&[("k", "\n//@use a\n")], "shaders/k:2 uses shaders/a, which does not exist"),
            (&[("k", "//@if A\nx\n")], "shaders/k:1: //@if without //@end"),
            (&[("k", "//@end\n")], "shaders/k:1: //@end outside an //@if"),
            (&[("k", "//@if A\n//@else\n//@elif A\n//@end\n")], "shaders/k:3: //@elif after //@else"),
            (&[("k", "//@if A\n//@otherwise\n")], "shaders/k:2: //@otherwise is no directive: it is one of use, if, elif, else, for, end"),
            (&[("k", "//@if A < 2\n")], "shaders/k:1: \"A < 2\" is no condition: it is NAME, !NAME, or NAME == (or !=, >) a number"),
            (&[("k", "\n//@for I < A\nx\n")], "shaders/k:2: //@for without //@end"),
            (&[("k", "//@for I < C\n//@end\n")], "shaders/k:1: no const C is given"),
            (&[("k", "//@for I in A\n//@end\n")], "shaders/k:1: \"I in A\" is no range: it is a letter < NAME"),
            (&[("k", "//@if A == two\n")], "shaders/k:1: two is no number"),
        ] {
            assert_eq!(run(files, &[("A", 0)]).unwrap_err(), want);
        }
    }
}
