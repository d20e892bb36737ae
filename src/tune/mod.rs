//! Choosing by measurement what was first verified: every candidate plan of an op is held to the checks on this device, and only then
//! may its time count. A kernel that is the fastest and wrong is named and never chosen.
//!
//! [`Tuning`] says how a [`Gpu`] plans; [`tune`] measures one op; verdicts, good and bad, are kept in a file that a person can read
//! (`cache`).

pub(crate) mod cache;
mod trial;
mod units;

pub use units::{CoopDoubts, doubt_coop_matrix};

use crate::gpu::{Chooser, Gpu};
use crate::ops::Op;
use crate::plan::Planned;
use crate::plan::step::Plan;
use crate::tune::cache::Tuner;
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::ops::ControlFlow;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;
use web_time::Instant;

/// How a device chooses among the plans of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// By the planner's rules: the same problem and profile always give the same plan.
    #[default]
    Heuristic,
    /// As the cache has it; by the planner's rules where it has nothing.
    Cached,
    /// As the cache has it; else the candidates are verified and timed, for about so long per problem, and the verdicts kept.
    Measure {
        /// Time for one problem: a trial that does not fit into what is left is not begun. Where not even one fits, the planner's own choice stays.
        budget: Duration,
    },
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It passed the checks and was timed.
    Verified {
        /// A run: the lowest of the finals' turns, or the trial's own where it was too slow for the finals.
        seconds: f64,
    },
    /// It passed the checks, and its first run already took several times as long as the best.
    Slow {
        /// That run.
        seconds: f64,
    },
    /// A check failed.
    Wrong {
        /// Which, and where.
        reason: String,
    },
    /// It could not be prepared or run.
    Failed {
        /// The error.
        reason: String,
    },
    /// Its trial began and has not ended: it is under way, or the process or the device went down with it, which may have had nothing to do
    /// with it. It is tried once more, and left alone after that.
    Interrupted {
        /// Trials that began.
        #[serde(default = "once")]
        times: u32,
    },
}

fn once() -> u32 {
    1
}

/// Trials of a candidate that may end with the process or the device; whoever crashes them is not tried for ever.
const MOST_INTERRUPTIONS: u32 = 2;

/// A candidate and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The plan's label, such as `winograd_f2 16x8x4`.
    pub label: String,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// All that was found out about one problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The label that is planned from now on: a verified one, or the planner's own where none is.
    pub choice: String,
    /// What the planner's rules choose.
    pub heuristic: String,
    /// Whether every candidate had its trial; false where the budget ended first.
    pub complete: bool,
    /// In the order of their trials.
    pub candidates: Vec<Candidate>,
}

impl Tuned {
    /// Seconds of a verified candidate.
    pub fn seconds(&self, label: &str) -> Option<f64> {
        self.candidates.iter().find(|c| c.label == label).and_then(|c| match c.verdict {
            Verdict::Verified { seconds } => Some(seconds),
            _ => None,
        })
    }

    /// How many times as long as the fastest the planner's own choice takes; `None` where it was not verified.
    pub fn lag(&self) -> Option<f64> {
        Some(self.seconds(&self.heuristic)? / self.fastest()?.1)
    }

    fn fastest(&self) -> Option<(&str, f64)> {
        let verified = self.candidates.iter().filter_map(|c| self.seconds(&c.label).map(|s| (c.label.as_str(), s)));
        verified.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The choice by the verdicts, whatever `choice` says: the fastest, or the planner's own where that is as good as equal. Where what a slow one
    /// was slow beside turned out wrong, the fastest of the slow. `None` where nothing passed the checks.
    pub fn verified_choice(&self) -> Option<&str> {
        /// Differences below this are noise.
        const AS_GOOD: f64 = 1.03;
        let slow = |c: &'_ Candidate| if let Verdict::Slow { seconds } = c.verdict { Some(seconds) } else { None };
        let Some((label, seconds)) = self.fastest() else {
            let passed = self.candidates.iter().filter_map(|c| Some((c.label.as_str(), slow(c)?)));
            return passed.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(label, _)| label);
        };
        let own = self.seconds(&self.heuristic).is_some_and(|own| own <= seconds * AS_GOOD);
        Some(if own { &self.heuristic } else { label })
    }

    pub(crate) fn choose(&mut self) {
        self.choice = self.verified_choice().unwrap_or(&self.heuristic).to_string();
    }

    /// Adds what another process found out about the same problem. Where both have a verdict this one's stays, and any verdict is worth more
    /// than a trial that has not ended.
    pub(crate) fn merge(&mut self, other: &Tuned) {
        for candidate in &other.candidates {
            match self.candidates.iter_mut().find(|own| own.label == candidate.label) {
                None => self.candidates.push(candidate.clone()),
                Some(own) => {
                    if matches!(own.verdict, Verdict::Interrupted { .. }) && !matches!(candidate.verdict, Verdict::Interrupted { .. }) {
                        own.verdict = candidate.verdict.clone();
                    }
                }
            }
        }
        self.complete |= other.complete;
        self.choose();
    }
}

/// A candidate up to so many times as slow as the fastest comes into the finals: more than the moments of a shared machine differ by.
const FINALS: f64 = 2.0;

/// The labels of everything that may be planned for `op`, in the order of their trials: the planner's own choice first.
///
/// # Errors
/// As [`Op::plan`].
pub fn candidates(gpu: &Gpu, op: impl Into<Op>) -> Result<Vec<String>> {
    let op = &op.into();
    // The naive kernel comes last: on a large problem its trial takes as long as those of all others, and it is seldom the fastest.
    let mut candidates = op.candidates(gpu.profile());
    let naive = op.algorithms(gpu.profile()).first().copied().unwrap_or_default();
    candidates.sort_by_key(|label| label == naive);
    let mut labels = vec![name(gpu, op, &units::heuristic(gpu, op)?)];
    for candidate in candidates {
        let plan = match op.plan(gpu.profile(), Some(&candidate)) {
            // One that binds more than the device allows is none.
            Err(Error::TooLarge { .. }) => continue,
            plan => plan?,
        };
        let label = name(gpu, op, &plan);
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    Ok(labels)
}

/// Verifies and times the candidates of `op` on `gpu`. `known` are verdicts from before, which are kept. `keep` is called before each trial, so
/// that one which takes the process down leaves its trace, and at the end; `Break` ends the tuning without the trial, as the budget does.
///
/// A trial that would not fit into what is left of `budget` is not begun: one is expected to take as long as the longest so far, and no less
/// than its runs on the problem itself, by its time on the small one.
///
/// # Errors
/// Loss of the device; no memory for the operands; [`Error::Unsupported`] where no candidate passes the checks.
pub fn tune(gpu: &Gpu, op: impl Into<Op>, budget: Duration, known: Option<Tuned>, keep: &mut dyn FnMut(&Tuned) -> ControlFlow<()>) -> Result<Tuned> {
    let op = &op.into();
    let time = trial::Time::new(budget);
    let labels = candidates(gpu, op)?;
    let heuristic = labels.first().cloned().unwrap_or_default();
    // Labels that the op does not have come from elsewhere.
    let candidates = known.map_or(vec![], |k| k.candidates).into_iter().filter(|c| labels.contains(&c.label)).collect();
    let mut tuned = Tuned { choice: heuristic.clone(), heuristic, complete: false, candidates };
    let mut trials: Option<trial::Trials<'_>> = None;
    let mut longest = Duration::ZERO;
    // What stands there of a trial that is not made says nothing about the candidate.
    let end = |mut tuned: Tuned, known: Vec<Candidate>, keep: &mut dyn FnMut(&Tuned) -> ControlFlow<()>| {
        tuned.candidates = known;
        tuned.choose();
        let _ = keep(&tuned); // it ends in any case
        Ok(tuned)
    };
    for label in labels {
        let before = tuned.candidates.iter().find(|c| c.label == label).map(|c| c.verdict.clone());
        let interruptions = match before {
            None => 0,
            Some(Verdict::Interrupted { times }) if times < MOST_INTERRUPTIONS => times,
            Some(_) => continue,
        };
        let known = tuned.candidates.clone();
        if !time.has(longest) {
            return end(tuned, known, keep);
        }
        let best = tuned.fastest().map(|(_, seconds)| seconds);
        // In the order of the trials: it moves to the end.
        let untried: Vec<Candidate> = tuned.candidates.iter().filter(|c| c.label != label).cloned().collect();
        let place = untried.len();
        let under_way = Candidate { label: label.clone(), verdict: Verdict::Interrupted { times: interruptions + 1 } };
        tuned.candidates = untried.into_iter().chain([under_way]).collect();
        if keep(&tuned).is_break() {
            return end(tuned, known, keep);
        }
        let trials = match &mut trials {
            Some(trials) => trials,
            none => match trial::Trials::new(gpu, op, time) {
                Ok(trials) => none.insert(trials),
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => {
                    // Such as memory for the operands: no fault of the candidate's.
                    let _ = end(tuned, known, keep)?;
                    return Err(error);
                }
            },
        };
        let begun = Instant::now();
        match trials.run(&label, best) {
            Ok(Some(verdict)) => tuned.candidates[place].verdict = verdict,
            Ok(None) => return end(tuned, known, keep),
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) => tuned.candidates[place].verdict = Verdict::Failed { reason: error.to_string() },
        }
        longest = longest.max(begun.elapsed());
    }
    // Trials lie minutes apart on a machine that others use too: the planner's choice and those that may be the fastest run once more, in turns.
    if let (Some(trials), Some((_, best))) = (&trials, tuned.fastest()) {
        let near = |label: &str| tuned.seconds(label).is_some_and(|s| s <= best * FINALS || label == tuned.heuristic);
        let finalists: Vec<String> = tuned.candidates.iter().map(|c| c.label.clone()).filter(|label| near(label)).collect();
        let turn: f64 = finalists.iter().filter_map(|label| tuned.seconds(label)).sum();
        if finalists.len() > 1 && time.has(trial::least_finals(turn)) {
            match trials.finals(&finalists) {
                Ok(times) => {
                    for (label, seconds) in finalists.iter().zip(times) {
                        if let Some(candidate) = tuned.candidates.iter_mut().find(|c| c.label == *label) {
                            candidate.verdict = Verdict::Verified { seconds };
                        }
                    }
                }
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                // Such as memory that does not hold the operands of all of them at once.
                Err(error) => log::warn!("{op}: no finals: {error}"),
            }
        }
    }
    tuned.complete = true;
    tuned.choose();
    let _ = keep(&tuned); // nothing is left to end
    if tuned.fastest().is_none() {
        let reasons: Vec<String> = tuned.candidates.iter().map(|c| format!("{}: {:?}", c.label, c.verdict)).collect();
        return Err(Error::Unsupported {
            algorithm: format!("every candidate of {op}"),
            reason: format!("none is verified: {}", reasons.join("; ")),
        });
    }
    Ok(tuned)
}

/// What a plan is asked for by: its label, or the algorithm alone where the label says more than `op` can be asked for.
fn name(gpu: &Gpu, op: &Op, plan: &Plan) -> String {
    match op.plan(gpu.profile(), Some(&plan.label)) {
        Ok(_) => plan.label.clone(),
        Err(_) => plan.algorithm().to_string(),
    }
}

/// Whether `label`, which `op` plans as `plan`, is one of those that are tuned.
fn is_candidate(gpu: &Gpu, op: &Op, label: &str, plan: &Plan) -> Result<bool> {
    let listed = op.candidates(gpu.profile()).iter().any(|candidate| candidate == label || candidate == plan.algorithm());
    Ok(listed || name(gpu, op, &units::heuristic(gpu, op)?) == label)
}

impl Gpu {
    /// How this device plans from now on, and the folder in which verdicts are kept; `None`: `wgconv` in the user's folder for caches.
    /// Clones share it. What is prepared already stays as it is.
    pub fn set_tuning(&self, tuning: Tuning, folder: Option<&std::path::Path>) {
        self.seen().clear();
        match self.tuner() {
            Ok(tuner) => tuner.set(self, tuning, folder),
            Err(error) => log::warn!("{error}"),
        }
    }

    /// What is known of `op` once it has been measured; `None` where there is nothing to measure, or another thread is at it.
    fn measured(&self, op: &Op, budget: Duration) -> Result<Option<Tuned>> {
        let is_complete = |tuned: &Option<Tuned>| tuned.as_ref().is_some_and(|tuned| tuned.complete);
        let known = self.tuner()?.find(op);
        if is_complete(&known) || op.candidates(self.profile()).len() < 2 {
            return Ok(known);
        }
        let turn = self.tuner()?.turn(op);
        let guard = match turn.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        // Another thread may have been at it in between.
        let known = self.tuner()?.find(op);
        if is_complete(&known) {
            return Ok(known);
        }
        let tuned = self.tune_alone(op, budget, known, &mut |_| ControlFlow::Continue(()));
        drop(guard);
        match tuned {
            Ok(tuned) => Ok(Some(tuned)),
            Err(lost @ Error::DeviceLost { .. }) => Err(lost),
            Err(error) => {
                log::warn!("{op}: the planner's own choice, since tuning failed: {error}");
                Ok(None)
            }
        }
    }

    /// As [`tune`], with the verdicts kept in the folder of [`Gpu::set_tuning`]. Waits for another thread that tunes the same op.
    ///
    /// # Errors
    /// As [`tune`].
    pub fn tune(&self, op: impl Into<Op>, budget: Duration, known: Option<Tuned>) -> Result<Tuned> {
        self.tune_while(op, budget, known, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`Gpu::tune`]; `go_on` is asked before each trial, and `Break` ends the tuning with what is found.
    ///
    /// # Errors
    /// As [`tune`].
    pub fn tune_while(
        &self,
        op: impl Into<Op>,
        budget: Duration,
        known: Option<Tuned>,
        go_on: &mut dyn FnMut(&Tuned) -> ControlFlow<()>,
    ) -> Result<Tuned> {
        let op = &op.into();
        let turn = self.tuner()?.turn(op);
        let _guard = turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.tune_alone(op, budget, known, go_on)
    }

    fn tune_alone(&self, op: &Op, budget: Duration, known: Option<Tuned>, go_on: &mut dyn FnMut(&Tuned) -> ControlFlow<()>) -> Result<Tuned> {
        let tuner = self.tuner()?;
        let tuned = tune(self, op, budget, known, &mut |tuned| {
            tuner.keep(op, tuned);
            go_on(tuned)
        });
        // What was planned without the verdict is planned anew.
        self.seen().clear();
        tuned
    }

    /// What the cache has about `op`.
    pub fn tuned(&self, op: impl Into<Op>) -> Option<Tuned> {
        self.tuner().ok()?.find(&op.into())
    }
}

impl Chooser for Tuner {
    fn plan(&self, gpu: &Gpu, op: &Op) -> Result<Plan> {
        let tuned = match self.tuning() {
            Tuning::Heuristic => None,
            Tuning::Cached => self.find(op),
            Tuning::Measure { budget } => gpu.measured(op, budget)?,
        };
        if let Some(choice) = tuned.as_ref().and_then(Tuned::verified_choice) {
            // A choice that does not apply, such as one of another accuracy, is no reason to fail.
            match op.plan(gpu.profile(), Some(choice)) {
                Ok(plan) if is_candidate(gpu, op, choice, &plan)? => return Ok(plan),
                Ok(_) => log::warn!("{op}: the tuned choice {choice} is none of its candidates"),
                Err(error) => log::warn!("{op}: the tuned choice {choice} does not apply: {error}"),
            }
        }
        units::heuristic(gpu, op)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Gpu {
    /// The tuner beside this device.
    fn tuner(&self) -> Result<&Tuner> {
        let other = || Error::Internal { label: "tuning".into(), message: "this device has no tuner".into() };
        self.chooser().as_any().downcast_ref().ok_or_else(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_never_the_choice_where_anything_passed() {
        let candidate = |label: &str, verdict| Candidate { label: label.into(), verdict };
        let wrong = || Verdict::Wrong { reason: "planted".into() };
        let of = |candidates| Tuned { choice: "a".into(), heuristic: "a".into(), complete: true, candidates };
        let slow = |seconds| Verdict::Slow { seconds };
        let two = of(vec![candidate("a", wrong()), candidate("b", slow(3.0)), candidate("c", slow(2.0))]);
        assert_eq!(two.verified_choice(), Some("c"));
        let timed = of(vec![candidate("a", wrong()), candidate("b", Verdict::Verified { seconds: 5.0 }), candidate("c", slow(2.0))]);
        assert_eq!(timed.verified_choice(), Some("b"), "what was timed in the finals");
        let own = of(vec![candidate("a", Verdict::Verified { seconds: 1.02 }), candidate("b", Verdict::Verified { seconds: 1.0 })]);
        assert_eq!(own.verified_choice(), Some("a"), "as good as equal");
        assert_eq!(of(vec![candidate("a", wrong())]).verified_choice(), None);
    }
}
