//! Lists of expected failures, known flakes and cases to leave out, as deqp-runner reads them: one a line, `#` begins a comment.
//!
//! Expected failures are names, with or without the status that a results file has behind them; flakes and skips are regular expressions
//! that a name contains.

use crate::{Failure, input};
use regex_lite::Regex;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use wgconv::validate::Outcome;

#[derive(clap::Args)]
pub struct ListFiles {
    /// Expected failures, a name a line, as --results writes it with or without its status; one that passes is a failure
    #[arg(long, value_name = "FILE")]
    fails: Option<PathBuf>,
    /// Known flakes, a regular expression a line: whether these pass or fail changes no exit status
    #[arg(long, value_name = "FILE")]
    flakes: Option<PathBuf>,
    /// Cases to leave out, a regular expression a line
    #[arg(long, value_name = "FILE")]
    skips: Option<PathBuf>,
}

/// What the files say.
#[derive(Default)]
pub struct Lists {
    fails: HashSet<String>,
    flakes: Vec<Regex>,
    skips: Vec<Regex>,
}

/// What became of a case, beside what was expected of it; the names are those of deqp-runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum Status {
    Pass,
    Fail,
    Skip,
    ExpectedFail,
    #[serde(rename = "UnexpectedImprovement(Pass)")]
    UnexpectedImprovement,
    KnownFlake,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Pass => "Pass",
            Status::Fail => "Fail",
            Status::Skip => "Skip",
            Status::ExpectedFail => "ExpectedFail",
            Status::UnexpectedImprovement => "UnexpectedImprovement(Pass)",
            Status::KnownFlake => "KnownFlake",
        }
    }

    /// Whether the run fails by it.
    pub fn is_wrong(self) -> bool {
        matches!(self, Status::Fail | Status::UnexpectedImprovement)
    }
}

impl ListFiles {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.fails.is_some() || self.flakes.is_some() || self.skips.is_some()
    }

    /// Reads the files.
    pub fn read(&self) -> Result<Lists, Failure> {
        let mut lists = Lists::default();
        if let Some(path) = &self.fails {
            for (number, line) in lines("--fails", path)? {
                lists
                    .fails
                    .insert(name(&line).ok_or_else(|| fault("--fails", path, number, "it is no name, with or without a status behind a comma"))?);
            }
        }
        for (argument, path, into) in [("--flakes", &self.flakes, &mut lists.flakes), ("--skips", &self.skips, &mut lists.skips)] {
            let Some(path) = path else { continue };
            for (number, line) in lines(argument, path)? {
                into.push(Regex::new(&line).map_err(|e| fault(argument, path, number, &format!("it is no regular expression: {e}")))?);
            }
        }
        Ok(lists)
    }
}

fn fault(argument: &str, path: &Path, number: usize, why: &str) -> Failure {
    Failure::Run(format!("{argument} is {}: line {number}: {why}", path.display()))
}

/// The lines of a file that say something, with their numbers.
fn lines(argument: &str, path: &Path) -> Result<Vec<(usize, String)>, Failure> {
    let text = input::text(path).map_err(|why| Failure::Run(format!("{argument} is {}: {why}", path.display())))?;
    let lines = text.lines().map(str::trim).enumerate();
    Ok(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(i, line)| (i + 1, line.to_string())).collect())
}

/// The name in a line of expected failures: names hold commas, so one that stands before a status is quoted as in any CSV file, or is what is
/// left in front of the last commas.
fn name(line: &str) -> Option<String> {
    if line.starts_with('"') {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
        return reader.records().next()?.ok()?.get(0).map(str::to_string);
    }
    const STATUSES: [&str; 9] = ["Pass", "Fail", "Skip", "Crash", "Timeout", "Missing", "ExpectedFail", "KnownFlake", "UnexpectedImprovement(Pass)"];
    let mut name = line;
    for status in STATUSES {
        if let Some((before, behind)) = line.rsplit_once(&format!(",{status}"))
            && (behind.is_empty() || behind.strip_prefix(',').is_some_and(|seconds| seconds.parse::<f64>().is_ok()))
        {
            name = before;
        }
    }
    (!name.is_empty()).then(|| name.to_string())
}

impl Lists {
    /// Whether a case is to be left out.
    pub fn skips(&self, id: &str) -> bool {
        self.skips.iter().any(|pattern| pattern.is_match(id))
    }

    pub fn status(&self, id: &str, outcome: &Outcome) -> Status {
        let flake = || self.flakes.iter().any(|pattern| pattern.is_match(id));
        match outcome {
            Outcome::Skipped(_) => Status::Skip,
            Outcome::Failed(_) if flake() => Status::KnownFlake,
            Outcome::Failed(_) if self.fails.contains(id) => Status::ExpectedFail,
            Outcome::Failed(_) => Status::Fail,
            Outcome::Passed if self.fails.contains(id) && !flake() => Status::UnexpectedImprovement,
            Outcome::Passed => Status::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_stand_before_a_status_and_its_seconds() {
        for line in
            ["conv/direct/p1,1,0,0_d1", "conv/direct/p1,1,0,0_d1,Fail", "conv/direct/p1,1,0,0_d1,Crash,0.25", "\"conv/direct/p1,1,0,0_d1\",Fail,0.1"]
        {
            assert_eq!(name(line).as_deref(), Some("conv/direct/p1,1,0,0_d1"), "{line}");
        }
        assert_eq!(name(",Fail"), None);
    }

    #[test]
    fn lists_change_what_an_outcome_means() {
        let regexes = |texts: &[&str]| texts.iter().map(|text| Regex::new(text).unwrap()).collect();
        let lists = Lists { fails: ["a".to_string(), "both".into()].into(), flakes: regexes(&["^f.ake$", "both"]), skips: regexes(&["skip"]) };
        let (failed, passed) = (Outcome::Failed("x".into()), Outcome::Passed);
        for (id, outcome, status) in [
            ("a", &failed, Status::ExpectedFail),
            ("a", &passed, Status::UnexpectedImprovement),
            ("ab", &failed, Status::Fail),
            ("flake", &failed, Status::KnownFlake),
            ("flake", &passed, Status::Pass),
            ("a flake", &failed, Status::Fail),
            ("both", &passed, Status::Pass),
        ] {
            assert_eq!(lists.status(id, outcome), status, "{id} {outcome:?}");
        }
        assert!(lists.skips("x/skip/y") && !lists.skips("x"));
        assert_eq!(lists.status("a", &Outcome::Skipped("no f16".into())), Status::Skip);
    }
}
