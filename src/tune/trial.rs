//! The trial of a candidate: the four proofs on a small problem of the same class, agreement with a proven plan on the problem itself,
//! and only then the clock.

use super::Verdict;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::op::{Op, Prepared, TensorSpec};
use crate::tensor::Tensor;
use crate::validate::data::{Data, Generator};
use crate::validate::{Outcome, compare, download, prove, upload};
use std::time::{Duration, Instant};

/// Multiply-adds up to which the problem itself is small enough for the proofs, which compute it in f64.
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

/// The operands of a problem and the results that candidates must agree with.
pub(super) struct Trials<'a> {
    gpu: &'a Gpu,
    op: &'a dyn Op,
    /// A small problem of the same class, if the op has one.
    proxy: Option<Box<dyn Op>>,
    small: bool,
    /// Integers and real numbers: operands, and each output as the baseline computed it.
    sets: Vec<Set>,
}

struct Set {
    data: Data,
    tensors: Vec<Tensor>,
    /// Of the baseline; filled by the first candidate of all that passes its proofs.
    expected: Option<Vec<Vec<f64>>>,
}

impl<'a> Trials<'a> {
    pub fn new(gpu: &'a Gpu, op: &'a dyn Op) -> Result<Self> {
        let mut generator = Generator::from_text(&op.to_string());
        let mut set = |data: Data| -> Result<Set> {
            let tensors = op.inputs().iter().map(|spec| upload(gpu, spec, &data.fill(spec, op.depth(), &mut generator))).collect::<Result<_>>()?;
            Ok(Set { data, tensors, expected: None })
        };
        let sets = vec![set(Data::Exact)?, set(Data::Real)?];
        let mut trials = Self { gpu, op, proxy: op.proxy(), small: op.flops() <= 2.0 * SMALL, sets };
        // The naive kernel is what the others are held to, once it is proven itself.
        if let Some(naive) = op.algorithms(gpu.profile()).first()
            && trials.proof(naive)?.is_none()
        {
            for i in 0..trials.sets.len() {
                let (results, broken) = trials.results(naive, &trials.sets[i])?;
                trials.sets[i].expected = broken.is_none().then_some(results);
            }
        }
        Ok(trials)
    }

    /// The verdict over one candidate; `best` is the fastest so far.
    pub fn run(&mut self, label: &str, best: Option<f64>) -> Result<Verdict> {
        if let Some(reason) = self.proof(label)? {
            return Ok(Verdict::Wrong { reason });
        }
        if let Some(reason) = self.disagreement(label)? {
            return Ok(Verdict::Wrong { reason });
        }
        let prepared = self.prepare(label, &self.sets[1])?;
        let once = self.time(&prepared, 1, 1)?;
        if best.is_some_and(|best| once > HOPELESS * best) {
            return Ok(Verdict::Slow { seconds: once });
        }
        let seconds = if once > LONG { once } else { self.time(&prepared, batch(once), BATCHES)? };
        Ok(Verdict::Proven { seconds })
    }

    /// Times proven candidates in turns, and gives the lowest of each: where others use the machine too, a time can only be too long, and a
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
        let outputs = prepared.outputs()?;
        let (given, written) = (self.part(&self.sets[1], false), outputs.iter().collect::<Vec<_>>());
        let timing = self.gpu.time(batches, &mut |recorder| (0..runs).try_for_each(|_| prepared.record(recorder, &given, &written)))?;
        Ok(timing.median() / runs as f64)
    }

    /// The four proofs, on the proxy or the problem itself; why they fail.
    fn proof(&self, label: &str) -> Result<Option<String>> {
        let proven = |op: &dyn Op| match prove(self.gpu, op, label)? {
            Outcome::Passed => Ok(None),
            Outcome::Failed(why) => Ok(Some(format!("{op}: {why}"))),
            Outcome::Skipped(why) => Err(Error::Unsupported { algorithm: label.to_string(), reason: why }),
        };
        match &self.proxy {
            Some(proxy) if !self.small => match proven(proxy.as_ref()) {
                // A tile that the small problem does not have is left to the comparison on the large one.
                Err(Error::Unsupported { .. }) => Ok(None),
                other => other,
            },
            _ if self.small => proven(self.op),
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
                // Nothing is proven yet to compare with: this candidate passed the proofs and becomes the baseline.
                self.sets[i].expected = Some(got);
                continue;
            };
            let exact = set.data == Data::Exact && self.op.is_exact_for(label);
            let allowed = match (exact, self.op.largest_error(label), self.op.largest_error(naive)) {
                (true, ..) => 0.0,
                (false, Some(own), Some(other)) => set.data.largest() * (own + other),
                _ => continue, // no bound that holds for every element: the proofs on the small problem must do
            };
            for ((spec, got), want) in self.op.outputs().iter().zip(&got).zip(expected) {
                if let Some(mismatch) = compare::compare(got, want, |_| allowed) {
                    let proof = if exact { "exact" } else { "bounded" };
                    return Ok(Some(format!("{proof}: {}: {}", spec.name, mismatch.describe(&spec.extents))));
                }
            }
        }
        Ok(None)
    }

    fn part<'b>(&self, set: &'b Set, fixed: bool) -> Vec<&'b Tensor> {
        self.op.inputs().iter().zip(&set.tensors).filter(|(spec, _)| spec.fixed == fixed).map(|(_, tensor)| tensor).collect()
    }

    fn prepare(&self, label: &str, set: &Set) -> Result<Prepared> {
        Prepared::with_algorithm(self.gpu, self.op, label, &self.part(set, true))
    }

    /// Every output of one run, by output, and how it was not written as it should be.
    fn results(&self, label: &str, set: &Set) -> Result<(Vec<Vec<f64>>, Option<String>)> {
        let prepared = self.prepare(label, set)?;
        let specs: Vec<TensorSpec> = self.op.outputs();
        let outputs: Vec<Tensor> =
            specs.iter().map(|spec| Tensor::guarded(self.gpu, &spec.extents, spec.element, spec.layout, None)).collect::<Result<_>>()?;
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
