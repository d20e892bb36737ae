//! Where the results of a run arrive: failures are told as they come, progress is shown, and a run that is to end is told so.

use super::lists::{Lists, Status};
use super::report::Record;
use crate::{interrupt, machine, one_line, say};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use wgconv::validate::{CaseResult, Outcome};

/// Without a terminal for a bar, so often a line says how far the run is.
const LINE_EVERY: Duration = Duration::from_secs(30);

pub struct Sink<'a> {
    pub records: Vec<Record>,
    /// Why the run ended before its last case.
    pub ended_early: Option<String>,
    lists: &'a Lists,
    /// Where the budget ends.
    deadline: Option<Instant>,
    bar: ProgressBar,
    /// Cases begun or left out so far, and all.
    done: usize,
    total: usize,
    start: Instant,
    last_line: Instant,
}

impl<'a> Sink<'a> {
    pub fn new(lists: &'a Lists, total: usize, deadline: Option<Instant>) -> Self {
        let bar = ProgressBar::new(total as u64); // hidden by itself when stderr is no terminal
        if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} {elapsed}, {eta} left {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        let now = Instant::now();
        Self { records: Vec::new(), ended_early: None, lists, deadline, bar, done: 0, total, start: now, last_line: now }
    }

    /// What is under way.
    pub fn begin(&self, id: &str) {
        self.bar.set_message(id.to_string());
    }

    /// A case that is none of those that are asked for.
    pub fn pass_over(&mut self) {
        self.done += 1;
        self.bar.inc(1);
    }

    /// A case that a list leaves out.
    pub fn skip(&mut self, id: String) {
        self.pass_over();
        self.keep(CaseResult { id, outcome: Outcome::Skipped("a line of --skips names it".into()) }, 0.0);
    }

    /// A case that is done; `again` is what reproduces it, but for its id.
    pub fn add(&mut self, result: CaseResult, seconds: f64, again: &str) {
        self.pass_over();
        self.bar.set_message(result.id.clone());
        let status = self.lists.status(&result.id, &result.outcome);
        let id = one_line(&result.id);
        let told = match (&result.outcome, status) {
            (Outcome::Failed(why), Status::Fail) => Some(format!("FAILED {id}: {}", one_line(why))), // one line, whatever a driver says
            (Outcome::Failed(why), Status::KnownFlake) => Some(format!("known flake {id}: {}", one_line(why))),
            (_, Status::UnexpectedImprovement) => Some(format!("PASSED {id}: --fails expects it to fail")),
            _ => None,
        };
        if let Some(told) = told {
            self.bar.suspend(|| say!("{told} [wgconv validate {again}--only {}]", super::quoted(&result.id)));
        }
        self.keep(result, seconds);
        self.line();
    }

    fn keep(&mut self, result: CaseResult, seconds: f64) {
        let status = self.lists.status(&result.id, &result.outcome);
        self.records.push(Record { result, status, seconds });
    }

    /// Whether the run goes on; asked before each case.
    pub fn next(&mut self) -> ControlFlow<()> {
        if self.done < self.total {
            let why = if interrupt::pressed() {
                Some("cancelled")
            } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                Some("the budget ended")
            } else {
                None
            };
            if let Some(why) = why {
                self.ended_early = Some(why.into());
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Why a case failed, if it did against expectation.
    pub fn failure(&self, id: &str) -> Option<&str> {
        let record = self.records.iter().find(|record| record.result.id == id && record.status.is_wrong())?;
        if let Outcome::Failed(why) = &record.result.outcome { Some(why) } else { None }
    }

    /// Cases that had no turn.
    pub fn left(&self) -> usize {
        self.total - self.done.min(self.total)
    }

    fn line(&mut self) {
        if std::io::stderr().is_terminal() || self.last_line.elapsed() < LINE_EVERY {
            return;
        }
        self.last_line = Instant::now();
        let passed = self.start.elapsed().as_secs_f64();
        let left = passed / self.done.max(1) as f64 * self.left() as f64;
        let (passed, left) = (machine::stretch(passed), machine::stretch(left));
        let _ = writeln!(std::io::stderr(), "{} of {} cases in {passed}, about {left} left", self.done, self.total);
    }

    /// Takes the bar away and tells of skips, one line a reason.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for record in &self.records {
            if let Outcome::Skipped(why) = &record.result.outcome {
                *reasons.entry(one_line(why)).or_default() += 1;
            }
        }
        for (why, count) in reasons {
            say!("skipped {count}: {why}");
        }
    }
}
