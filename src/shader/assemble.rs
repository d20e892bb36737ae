//! The assembler: joins shader files by the directives in their comments, so that every file stays plain WGSL for an editor.
//!
//! - `//@use lib/number.wgsl`: that file, once, in order of first use.
//! - `//@if NAME`, `//@if !NAME`, `//@if NAME == 2` (`!=`, `>`), `//@elif ..`, `//@else`, `//@end`: what stands between, where the const is so; `NAME`
//!   alone asks whether it is other than 0. At the end of a line, `//@if ..` is about that line alone.
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
        for (number, line) in (1..).zip(text.lines()) {
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
            _ => return Err(format!("//@{word} is no directive: it is one of use, if, elif, else, end")),
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
    fn what_is_wrong_is_said_with_its_place() {
        for (files, want) in [
            (&[("k", "//@if A\n//@if B\nx\n//@end\n//@end\n")][..], "shaders/k:2: no const B is given"), // A is 0
            (&[("k", "x; //@if B > 2\n")], "shaders/k:1: no const B is given"),
            (&[("k", "\n//@use a\n")], "shaders/k:2 uses shaders/a, which does not exist"),
            (&[("k", "//@if A\nx\n")], "shaders/k:1: //@if without //@end"),
            (&[("k", "//@end\n")], "shaders/k:1: //@end outside an //@if"),
            (&[("k", "//@if A\n//@else\n//@elif A\n//@end\n")], "shaders/k:3: //@elif after //@else"),
            (&[("k", "//@if A\n//@otherwise\n")], "shaders/k:2: //@otherwise is no directive: it is one of use, if, elif, else, end"),
            (&[("k", "//@if A < 2\n")], "shaders/k:1: \"A < 2\" is no condition: it is NAME, !NAME, or NAME == (or !=, >) a number"),
            (&[("k", "//@if A == two\n")], "shaders/k:1: two is no number"),
        ] {
            assert_eq!(run(files, &[("A", 0)]).unwrap_err(), want);
        }
    }
}
