//! The trial of a candidate: the four checks on a small problem of the same class, agreement with a verified plan on the problem itself,
//! and only then the clock.

use crate::gpu::Gpu;
use crate::gpu::prepared::Prepared;
use crate::gpu::tensor::Tensor;
use crate::numeric::Generator;
use crate::ops::Op;
use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::tune::Verdict;
use crate::types::{Error, Result};
use crate::validate::data::Data;
use crate::validate::{Case, guard};
use crate::validate::{Outcome, compare, download, upload, verify};
use std::time::Duration;
use web_time::Instant;

/// Multiply-adds up to which the problem itself is small enough for the checks, which compute it in f64.
const SMALL: f64 = 50e6;

/// A timed batch lasts at least so long, so that the signal beats the clock.
const LEAST_SIGNAL: f64 = 2e-3;

/// Runs of a batch at most.
const LONGEST_BATCH: f64 = 64.0;

/// Batches of a trial, of which the median is taken.
const BATCHES: usize = 5;

/// Turns of the finals: at least and at most, and the time after which no more begin.
const TURNS: std::ops::Range<usize> = 4..25;

const FINALS_TIME: Duration = Duration::from_secs(1);

/// A run that takes so many seconds is its own trial: the finals have it run again.
const LONG: f64 = 0.02;

/// A first run this many times as long as the best ends the trial.
const HOPELESS: f64 = 4.0;

/// What a budget leaves.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    start: Instant,
    budget: Duration,
}

impl Time {
    /// The budget begins now.
    pub fn new(budget: Duration) -> Self {
        Self { start: Instant::now(), budget }
    }

    /// Whether something that takes so long still fits.
    pub fn has(&self, needed: Duration) -> bool {
        let left = self.budget.saturating_sub(self.start.elapsed());
        !left.is_zero() && needed <= left
    }
}

/// Seconds as a duration; what no duration holds is the longest.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// The least that finals take whose finalists take `turn` seconds together: every turn, and a run of each beforehand.
pub(crate) fn least_finals(turn: f64) -> Duration {
    duration(turn * (TURNS.start + 2) as f64)
}

/// The operands of a problem and the results that candidates must agree with.
pub(crate) struct Trials<'a> {
    gpu: &'a Gpu,
    op: &'a Op,
    time: Time,
    /// A small problem of the same class, if the op has one.
    proxy: Option<Op>,
    small: bool,
    /// Integers and real numbers: operands, and each output as the baseline computed it.
    sets: Vec<Set>,
}

struct Set {
    data: Data,
    tensors: Vec<Tensor>,
    /// What outputs that are in-out hold beforehand, in order.
    held: Vec<Vec<f64>>,
    /// Of the baseline; filled by the first candidate of all that passes its checks.
    expected: Option<Vec<Vec<f64>>>,
}

impl<'a> Trials<'a> {
    pub fn new(gpu: &'a Gpu, op: &'a Op, time: Time) -> Result<Self> {
        let mut generator = Generator::from_text(&op.to_string());
        let mut set = |data: Data| -> Result<Set> {
            let mut fill = |spec: &TensorSpec| data.fill(spec, op.terms(), &mut generator);
            let tensors = op.inputs().iter().map(|spec| upload(gpu, spec, &fill(spec))).collect::<Result<_>>()?;
            let held = op.outputs().iter().filter(|spec| spec.in_out).map(fill).collect();
            Ok(Set { data, tensors, held, expected: None })
        };
        let sets = vec![set(Data::Exact)?, set(Data::Real)?];
        let mut trials = Self { gpu, op, time, proxy: op.proxy(), small: op.flops() <= 2.0 * SMALL, sets };
        // The naive kernel is what the others are held to, once it is verified itself; where there is no time for it, the first that is verified.
        if let Some(naive) = op.algorithms(gpu.profile()).first()
            && trials.check(naive)?.is_none()
            && trials.fits(naive, trials.sets.len())?
        {
            for i in 0..trials.sets.len() {
                let (results, broken) = trials.results(naive, &trials.sets[i])?;
                trials.sets[i].expected = broken.is_none().then_some(results);
            }
        }
        Ok(trials)
    }

    /// The verdict over one candidate; `best` is the fastest so far. `None`: its runs on the problem itself would not fit into the budget.
    pub fn run(&mut self, label: &str, best: Option<f64>) -> Result<Option<Verdict>> {
        if !self.time.has(Duration::ZERO) {
            return Ok(None); // what came before the first trial took it all
        }
        if let Some(reason) = self.check(label)? {
            return Ok(Some(Verdict::Wrong { reason }));
        }
        // One run of each set, one to warm up, one that is timed.
        if !self.fits(label, self.sets.len() + 2)? {
            return Ok(None);
        }
        if let Some(reason) = self.disagreement(label)? {
            return Ok(Some(Verdict::Wrong { reason }));
        }
        let prepared = self.prepare(label, &self.sets[1])?;
        let once = self.time(&prepared, 1, 1)?;
        if best.is_some_and(|best| once > HOPELESS * best) {
            return Ok(Some(Verdict::Slow { seconds: once }));
        }
        let seconds = if once > LONG { once } else { self.time(&prepared, batch(once), BATCHES)? };
        Ok(Some(Verdict::Verified { seconds }))
    }

    /// Whether so many runs of a candidate on the problem itself fit into the budget, by the time of one on the small problem. What is small
    /// itself, or has no small problem, is not foreseen: it fits while there is any time.
    fn fits(&self, label: &str, runs: usize) -> Result<bool> {
        let foreseen = match &self.proxy {
            Some(proxy) if !self.small => self.foreseen(proxy, label)?,
            _ => 0.0,
        };
        Ok(self.time.has(duration(foreseen * runs as f64)))
    }

    /// Seconds of a run on the problem itself, by its operations and the rate at which `proxy` runs; 0 for a tile that `proxy` does not have.
    fn foreseen(&self, proxy: &Op, label: &str) -> Result<f64> {
        if proxy.plan(self.gpu.profile(), Some(label)).is_err() {
            return Ok(0.0);
        }
        let mut generator = Generator::from_text(&proxy.to_string());
        let specs = proxy.inputs();
        let tensors: Vec<Tensor> =
            specs.iter().map(|spec| upload(self.gpu, spec, &Data::Real.fill(spec, proxy.terms(), &mut generator))).collect::<Result<_>>()?;
        let part =
            |constant: bool| -> Vec<&Tensor> { specs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect() };
        let prepared = Prepared::with_algorithm(self.gpu, proxy, label, &part(true))?;
        let outputs = prepared.outputs()?;
        let (given, written) = (part(false), outputs.iter().collect::<Vec<_>>());
        let seconds = self.gpu.time(1, &mut |recorder| prepared.record(recorder, &given, &written))?.median();
        Ok(seconds * self.op.flops() / proxy.flops().max(1.0))
    }

    /// Times verified candidates in turns, and gives the lowest of each: where others use the machine too, a time can only be too long, and a
    /// median of few turns is that of the moment. On llvmpipe, moments differ by 1.7 and last for seconds.
    pub fn finals(&self, labels: &[String]) -> Result<Vec<f64>> {
        let prepared = labels.iter().map(|label| self.prepare(label, &self.sets[1])).collect::<Result<Vec<_>>>()?;
        let runs = prepared.iter().map(|p| Ok(batch(self.time(p, 1, 1)?))).collect::<Result<Vec<_>>>()?;
        let mut lowest = vec![f64::INFINITY; labels.len()];
        let start = Instant::now();
        for turn in 0..TURNS.end {
            if turn >= TURNS.start && start.elapsed() > FINALS_TIME {
                break;
            }
            for ((prepared, runs), lowest) in prepared.iter().zip(&runs).zip(&mut lowest) {
                *lowest = lowest.min(self.time(prepared, *runs, 1)?);
            }
        }
        Ok(lowest)
    }

    /// Median seconds of a run, over so many batches of so many runs.
    fn time(&self, prepared: &Prepared, runs: usize, batches: usize) -> Result<f64> {
        let set = &self.sets[1];
        let mut held = set.held.iter();
        let output = |spec: &TensorSpec| match if spec.in_out { held.next() } else { None } {
            Some(values) => upload(self.gpu, spec, values),
            None => self.gpu.zeros(&spec.tensor.extents, spec.tensor.element, spec.tensor.layout),
        };
        let outputs: Vec<Tensor> = prepared.plan().outputs.iter().map(output).collect::<Result<_>>()?;
        let (given, written) = (self.part(set, false), outputs.iter().collect::<Vec<_>>());
        let timing = self.gpu.time(batches, &mut |recorder| (0..runs).try_for_each(|_| prepared.record(recorder, &given, &written)))?;
        Ok(timing.median() / runs as f64)
    }

    /// The four checks, on the proxy or the problem itself; why they fail.
    fn check(&self, label: &str) -> Result<Option<String>> {
        let verified = |op: &Op| match verify(self.gpu, &Case::new(op, label))? {
            Outcome::Passed => Ok(None),
            Outcome::Failed(why) => Ok(Some(format!("{op}: {why}"))),
            Outcome::Skipped(why) => Err(Error::Unsupported { algorithm: label.to_string(), reason: why }),
        };
        match &self.proxy {
            Some(proxy) if !self.small => match verified(proxy) {
                // A tile that the small problem does not have is left to the comparison on the large one.
                Err(Error::Unsupported { .. }) => Ok(None),
                other => other,
            },
            _ if self.small => verified(self.op),
            _ => Ok(None),
        }
    }

    /// How the results on the problem itself differ from the baseline's: integers not at all, real numbers by no more than both may err.
    fn disagreement(&mut self, label: &str) -> Result<Option<String>> {
        let naive = self.op.algorithms(self.gpu.profile()).first().copied().unwrap_or_default();
        for i in 0..self.sets.len() {
            let set = &self.sets[i];
            let (got, broken) = self.results(label, set)?;
            if broken.is_some() {
                return Ok(broken);
            }
            let Some(expected) = &set.expected else {
                // Nothing is verified yet to compare with: this candidate passed the checks and becomes the baseline.
                self.sets[i].expected = Some(got);
                continue;
            };
            let exact = set.data == Data::Exact && self.op.is_exact_for(label);
            let allowed = match (exact, self.op.largest_error(label), self.op.largest_error(naive)) {
                (true, ..) => 0.0,
                (false, Some(own), Some(other)) => set.data.largest() * (own + other),
                _ => continue, // no bound that holds for every element: the checks on the small problem must do
            };
            for ((spec, got), want) in self.op.outputs().iter().zip(&got).zip(expected) {
                if let Some(mismatch) = compare::compare(got, want, |_| allowed) {
                    let check = if exact { "exact" } else { "bounded" };
                    return Ok(Some(format!("{check}: {}: {}", spec.name, mismatch.describe(&spec.tensor.extents))));
                }
            }
        }
        Ok(None)
    }

    fn part<'b>(&self, set: &'b Set, constant: bool) -> Vec<&'b Tensor> {
        self.op.inputs().iter().zip(&set.tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, tensor)| tensor).collect()
    }

    fn prepare(&self, label: &str, set: &Set) -> Result<Prepared> {
        Prepared::with_algorithm(self.gpu, self.op, label, &self.part(set, true))
    }

    /// Every output of one run, by output, and how it was not written as it should be.
    fn results(&self, label: &str, set: &Set) -> Result<(Vec<Vec<f64>>, Option<String>)> {
        let prepared = self.prepare(label, set)?;
        let specs: Vec<TensorSpec> = self.op.outputs();
        let mut held = set.held.iter();
        let outputs: Vec<Tensor> =
            specs.iter().map(|spec| guard(self.gpu, spec, if spec.in_out { held.next() } else { None })).collect::<Result<_>>()?;
        let mut recorder = self.gpu.recorder();
        prepared.record(&mut recorder, &self.part(set, false), &outputs.iter().collect::<Vec<_>>())?;
        recorder.submit()?;
        let mut broken = None;
        for (spec, tensor) in specs.iter().zip(&outputs) {
            let read = tensor.read_guarded()?;
            if !read.untouched_guards || read.unwritten > 0 {
                let guards = if read.untouched_guards { "untouched" } else { "overwritten" };
                broken = Some(format!("guarded: {} of {} elements of {} unwritten, guard words {guards}", read.unwritten, spec.count(), spec.name));
            }
        }
        Ok((outputs.iter().map(download).collect::<Result<_>>()?, broken))
    }
}

/// Runs of a batch, by the time of one.
fn batch(seconds: f64) -> usize {
    (LEAST_SIGNAL / seconds.max(1e-9)).ceil().clamp(1.0, LONGEST_BATCH) as usize
}
