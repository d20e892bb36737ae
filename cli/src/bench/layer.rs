//! One layer of a bench: its data, its verification, its times.

use super::document::{Record, Samples, StepRecord};
use crate::suites::Layer;
use crate::{Failure, interrupt};
use std::time::{Duration, Instant};
use wgconv::conv::{ConvProblem, Direction};
use wgconv::gpu::{Clock, Peak, StepTiming, Timing};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Planned, Prepared, Problem, Referenced};
use wgconv::reference;
use wgconv::reference::Bounded;
use wgconv::validate::compare::compare;
use wgconv::validate::data::Data;
use wgconv::validate::{download, upload};
use wgconv::{Gpu, Tensor};

/// Most time that the repeats of one layer take on one engine.
const BUDGET: Duration = Duration::from_millis(1500);
const FEWEST: usize = 5;
const MOST: usize = 50;

/// Runs that the library times at once.
const AT_ONCE: usize = 1000;

/// How often something is run, as the command line has it.
#[derive(Clone, Copy, Default, clap::Args)]
pub struct Repeats {
    /// So many timed runs of each layer on each engine [default: 1.5 seconds of them, 5 to 50]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "min_time")]
    runs: Option<u32>,
    /// Timed runs of each layer on each engine for so many seconds at least, and 5 at least
    #[arg(long, value_name = "SECONDS", value_parser = crate::arguments::seconds, allow_negative_numbers = true)]
    min_time: Option<Duration>,
    /// So many runs before the first that is timed [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    warmup: Option<u32>,
}

impl Repeats {
    /// Timed runs of something that takes so many seconds; `usual` where nothing was asked for.
    pub fn count(&self, once: f64, usual: usize) -> usize {
        match (self.runs, self.min_time) {
            (Some(runs), _) => runs as usize,
            (None, Some(time)) => (time.as_secs_f64() / once.max(1e-6)).ceil().clamp(FEWEST as f64, 1e6) as usize,
            (None, None) => usual,
        }
    }

    /// Runs beyond the one that whoever times something makes anyway.
    pub fn extra_warmup(&self) -> usize {
        self.warmup.map_or(0, |runs| runs as usize - 1)
    }

    /// Times on the GPU; Ctrl-C leaves it with fewer runs.
    pub fn time(&self, gpu: &Gpu, count: usize, run: &mut dyn FnMut(&mut wgconv::Recorder<'_>) -> wgconv::Result<()>) -> wgconv::Result<Timing> {
        if self.extra_warmup() > 0 {
            for _ in 0..self.extra_warmup() {
                let mut recorder = gpu.recorder();
                run(&mut recorder)?;
                recorder.submit()?;
            }
            gpu.wait()?;
        }
        let mut timing = gpu.time(count.min(AT_ONCE), run)?;
        while timing.seconds.len() < count && !interrupt::pressed() {
            timing.seconds.extend(gpu.time((count - timing.seconds.len()).min(AT_ONCE), run)?.seconds);
        }
        Ok(timing)
    }

    /// Times on the CPU, which has run it once before; Ctrl-C leaves it with fewer runs.
    pub fn time_cpu(&self, count: usize, mut run: impl FnMut() -> Result<(), Failure>) -> Result<Samples, Failure> {
        for _ in 0..self.extra_warmup() {
            run()?;
        }
        let mut seconds = Vec::new();
        while seconds.len() < count && !(seconds.len() >= FEWEST && interrupt::pressed()) {
            let start = Instant::now();
            run()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(Samples { seconds })
    }
}

fn usual(once: f64) -> usize {
    ((BUDGET.as_secs_f64() / once.max(1e-6)) as usize).clamp(FEWEST, MOST)
}

/// What layers are timed on.
pub struct Engines<'a> {
    pub gpu: Option<&'a Gpu>,
    pub peak: Option<&'a Peak>,
    pub cpu: bool,
    /// Times every algorithm that admits a layer, not the planner's choice alone.
    pub every_algorithm: bool,
    /// Times the kernel calls of each algorithm too.
    pub steps: bool,
    pub repeats: Repeats,
}

/// Times a layer: a record for each algorithm, or one for the CPU engine alone.
pub fn time_layer(layer: &Layer, engines: &Engines<'_>, clock: &mut Option<Clock>) -> Result<Vec<Record>, Failure> {
    let op = layer.op();
    if let Some(gpu) = engines.gpu {
        op.plan(gpu.profile(), None)?; // refused before anything is allocated for it
    }
    check_memory(op)?;
    let mut generator = Generator::from_text(&layer.name);
    let specs = op.inputs();
    let data: Vec<Vec<f64>> = specs.iter().map(|spec| Data::Real.fill(spec, op.terms(), &mut generator)).collect();
    let narrow: Vec<Vec<f32>> = data.iter().map(|values| values.iter().map(|v| *v as f32).collect()).collect();
    let operands: Vec<&[f32]> = narrow.iter().map(Vec::as_slice).collect();
    let mut y = vec![0.0; op.outputs()[0].count() as usize];
    // As on a GPU: what is constant is packed before.
    let of = |constant: bool| -> Vec<&[f32]> { specs.iter().zip(&operands).filter(|(spec, _)| spec.constant == constant).map(|(_, v)| *v).collect() };
    let (on_cpu, given) = (wgconv::cpu::Prepared::new(op, &of(true))?, of(false));
    let start = Instant::now();
    let engine = on_cpu.compute(&given, &mut y)?;
    let once = start.elapsed().as_secs_f64();
    let expected = Expected::new(layer, &data, engine.then_some(&y))?;

    let repeats = engines.repeats;
    let cpu_samples = match engines.cpu && engine {
        true => {
            let mut scratch = vec![0.0; y.len()];
            let run = || {
                on_cpu.compute(&given, &mut scratch)?;
                Ok(())
            };
            Some(repeats.time_cpu(repeats.count(once, usual(once)), run)?)
        }
        false => None,
    };
    let record = |algorithm: Option<(String, bool)>, gpu_samples: Option<Samples>| {
        let what = What { name: &layer.name, op: op.name(), shape: op.to_string(), flops: op.flops(), bytes: op.bytes() };
        what.record(engines.peak, algorithm, gpu_samples, cpu_samples.clone())
    };
    let Some(gpu) = engines.gpu else { return Ok(vec![record(None, None)]) };

    let tensors: Vec<Tensor> = specs.iter().zip(&data).map(|(spec, values)| upload(gpu, spec, values)).collect::<Result<_, _>>()?;
    let part =
        |constant: bool| -> Vec<&Tensor> { specs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect() };
    let choice = Prepared::new(gpu, op, &part(true))?;
    let picked = choice.plan().label.clone();
    let mut candidates = vec![choice];
    if engines.every_algorithm {
        for algorithm in op.candidates(gpu.profile()) {
            let candidate = Prepared::with_algorithm(gpu, op, &algorithm, &part(true))?;
            if candidate.plan().label != picked {
                candidates.push(candidate);
            }
        }
    }
    let mut records = Vec::new();
    for prepared in candidates {
        let outputs = prepared.outputs()?;
        let (given, written) = (part(false), outputs.iter().collect::<Vec<_>>());
        let mut run = |recorder: &mut wgconv::Recorder<'_>| prepared.record(recorder, &given, &written);
        let once = gpu.time(1, &mut run)?;
        expected.check(layer, &data, &prepared.plan().label, &download(&outputs[0])?)?;
        let once = once.median();
        let timing = repeats.time(gpu, repeats.count(once, usual(once)), &mut run)?;
        *clock = Some(timing.clock);
        let label = prepared.plan().label.clone();
        let chosen = label == picked;
        let mut timed = record(Some((label, chosen)), Some(Samples { seconds: timing.seconds }));
        if engines.steps {
            let bound = prepared.bind(&given, &written)?;
            timed.steps = bound.time_steps(repeats.count(once, usual(once)).min(AT_ONCE))?.into_iter().map(StepRecord::new).collect();
        }
        records.push(timed);
    }
    Ok(records)
}

/// What was timed: a layer, or a whole network.
pub struct What<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub shape: String,
    pub flops: f64,
    pub bytes: u64,
}

impl What<'_> {
    /// Its record, with the rates that follow from the times. `algorithm` comes with whether the planner chose it.
    pub fn record(
        self,
        peak: Option<&Peak>,
        algorithm: Option<(String, bool)>,
        gpu_samples: Option<Samples>,
        cpu_samples: Option<Samples>,
    ) -> Record {
        let best = gpu_samples.as_ref().or(cpu_samples.as_ref());
        let rate = |amount: f64| best.map(|s| amount / s.median() * 1e-9);
        let (gflops, gbytes_per_s) = (rate(self.flops), rate(self.bytes as f64));
        let milliseconds = |s: &Samples| s.median() * 1e3;
        Record {
            layer: self.name.to_string(),
            op: self.op.to_string(),
            shape: self.shape,
            flops: self.flops,
            bytes: self.bytes,
            picked: algorithm.as_ref().is_none_or(|(_, picked)| *picked),
            algorithm: algorithm.map(|(label, _)| label),
            gpu_ms: gpu_samples.as_ref().map(milliseconds),
            gpu_min_ms: gpu_samples.as_ref().map(|s| s.min() * 1e3),
            gpu_spread: gpu_samples.as_ref().map(Samples::spread),
            cpu_ms: cpu_samples.as_ref().map(milliseconds),
            cpu_min_ms: cpu_samples.as_ref().map(|s| s.min() * 1e3),
            cpu_spread: cpu_samples.as_ref().map(Samples::spread),
            cpu_over_gpu: cpu_samples.as_ref().zip(gpu_samples.as_ref()).map(|(c, g)| c.median() / g.median()),
            ratio_spread: None,
            gflops,
            share_of_peak: gpu_samples.as_ref().and(peak).zip(gflops).map(|(p, rate)| rate / p.gflops),
            gbytes_per_s,
            share_of_copy: gpu_samples.as_ref().and(peak).zip(gbytes_per_s).map(|(p, rate)| rate / p.gbytes_per_s),
            gpu_samples,
            cpu_samples,
            steps: Vec::new(),
        }
    }
}

impl StepRecord {
    fn new(step: StepTiming) -> Self {
        let gpu_samples = Samples { seconds: step.timing.seconds };
        Self { kernel: step.kernel, workgroups: step.workgroups, gpu_ms: gpu_samples.median() * 1e3, gpu_samples }
    }
}

/// Refuses a layer whose arrays the host cannot hold, which would otherwise end the program: inputs in f64, f32 and as they are
/// uploaded, outputs in f32, f64 and as they are downloaded.
fn check_memory(op: &Op) -> Result<(), Failure> {
    let elements: u64 = op.inputs().iter().map(|spec| 4 * spec.count()).chain(op.outputs().iter().map(|spec| 8 * spec.count())).sum(); // each at most 2^60
    let mut trial: Vec<f32> = Vec::new();
    let fits = usize::try_from(elements).is_ok_and(|n| trial.try_reserve_exact(n).is_ok());
    std::hint::black_box(&trial); // else the optimiser may leave the trial out and call it a success
    if fits { Ok(()) } else { Err(Failure::Run(format!("this machine has no {} MiB of memory for it", elements >> 18))) }
}

/// Multiply-adds up to which a layer is computed by the reference in full.
const REFERENCE_LIMIT: f64 = 300e6;

/// The first two filters on the first image of a convolution: its output is the beginning of the whole one's.
pub struct Part {
    pub problem: ConvProblem,
    /// Filters of the whole one.
    filters: usize,
}

impl Part {
    /// None of what has groups or is no convolution.
    pub fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Conv(whole) if whole.groups() == 1 => {
                let problem = whole.clone().first(1, whole.out_channels().min(2)).ok()?;
                Some(Self { problem, filters: whole.out_channels() as usize })
            }
            _ => None,
        }
    }

    /// Its operands, of those of the whole one in logical order: the beginning of each, but of a transposed convolution's filter, C O kH kW, that of
    /// each channel.
    pub fn operands(&self, whole: &[&[f64]]) -> Vec<Vec<f64>> {
        let specs = self.problem.inputs();
        let own = |(i, spec): (usize, &wgconv::op::TensorSpec)| {
            let count = spec.count() as usize;
            if i != 1 || self.problem.direction() == Direction::Forward {
                return whole[i][..count].to_vec();
            }
            let channels = self.problem.in_channels() as usize;
            let [row, kept] = [whole[i].len() / channels, count / channels];
            whole[i].chunks(row).flat_map(|channel| channel[..kept].iter().copied()).collect()
        };
        specs.iter().enumerate().map(own).collect()
    }

    /// The sum of |w| of each filter of the whole one.
    fn sums(&self, filter: &[f64]) -> Vec<f64> {
        let taps = self.problem.filter_extents()[2..].iter().product::<usize>();
        let depth = filter.len() / self.filters;
        let of = |o: usize, i: usize| match self.problem.direction() {
            Direction::Forward => filter[o * depth + i],
            Direction::Transposed => filter[(i / taps * self.filters + o) * taps + i % taps],
        };
        (0..self.filters).map(|o| (0..depth).map(|i| of(o, i).abs()).sum()).collect()
    }
}

/// What a GPU's result is compared with.
enum Expected {
    /// The reference's values and their errors.
    Reference(Bounded),
    /// The CPU engine's result, a part of which was compared with the reference, and the error that each output may have.
    Engine(Bounded),
}

impl Expected {
    /// Checks the CPU engine's result `y` where there is one. Of a large convolution only the first two filters on the first image are
    /// computed by the reference, so that the check takes no longer than the timing.
    fn new(layer: &Layer, data: &[Vec<f64>], y: Option<&Vec<f32>>) -> Result<Self, Failure> {
        let op = layer.op();
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let operands: Vec<&[f64]> = data.iter().map(Vec::as_slice).collect();
        match (layer.op(), Part::of(op), y) {
            (Op::Conv(problem), Some(part), Some(y)) if op.flops() > 2.0 * REFERENCE_LIMIT => {
                let cut = part.operands(&operands);
                let label = wgconv::cpu::algorithm(op).unwrap_or_default();
                let want = part.problem.reference_for(&label, &cut.iter().map(Vec::as_slice).collect::<Vec<_>>()).swap_remove(0);
                check("the CPU engine", &part.problem, &wide(&y[..part.problem.output_count() as usize]), &want, 1.0)?;
                // The magnitude is bounded by the largest |x| times the sum of a filter's |w|, and 1 each of bias and residual.
                let [largest, largest_weight] = [0, 1].map(|i| data[i].iter().fold(0.0f64, |m, v| m.max(v.abs())));
                let weights = part.sums(&data[1]);
                let positions = problem.output_positions() as usize;
                let value = wide(y);
                let magnitude = |i: usize| match label.as_str() {
                    "" => largest * weights[i / positions % weights.len()] + 2.0,
                    // An algorithm that transforms: over operands as large as the largest, so many times that of plain sums.
                    _ => problem.reduction_depth() as f64 * largest * largest_weight + 2.0,
                };
                let ratio = op.error_ratio(&label).max(1.0);
                let error = (0..value.len()).map(|i| ratio * reference::conv_error(problem, value[i], magnitude(i))).collect();
                Ok(Expected::Engine(Bounded { value, error }))
            }
            _ => {
                let want = op.reference(&operands).swap_remove(0);
                match (y, wgconv::cpu::algorithm(op)) {
                    (Some(y), None) => check("the CPU engine", op, &wide(y), &want, 1.0)?,
                    (Some(y), Some(label)) => check("the CPU engine", op, &wide(y), &op.reference_for(&label, &operands).swap_remove(0), 1.0)?,
                    (None, _) => {}
                }
                Ok(Expected::Reference(want))
            }
        }
    }

    /// The GPU's result, by the algorithm of this label. Where it is compared with another computed one, both are within their bounds of the
    /// true value.
    fn check(&self, layer: &Layer, data: &[Vec<f64>], label: &str, got: &[f64]) -> Result<(), Failure> {
        let (op, ratio) = (layer.op(), layer.op().error_ratio(label));
        match (self, layer.op()) {
            (Expected::Reference(want), _) if ratio == 1.0 => check("the GPU", op, got, want, 1.0),
            (Expected::Reference(_), _) => {
                let operands: Vec<&[f64]> = data.iter().map(Vec::as_slice).collect();
                check("the GPU", op, got, &op.reference_for(label, &operands).swap_remove(0), 1.0)
            }
            (Expected::Engine(want), Op::Conv(problem)) if ratio > 1.0 => {
                // Its bound is that of plain sums over operands as large as the largest, so many times.
                let [x, w] = [0, 1].map(|i| data[i].iter().fold(0.0f64, |m, v| m.max(v.abs())));
                let magnitude = problem.reduction_depth() as f64 * x * w + 2.0;
                let own = |i: usize| ratio * reference::conv_error(problem, want.value[i], magnitude);
                let error = want.error.iter().enumerate().map(|(i, engine)| engine + own(i)).collect();
                check("the GPU", op, got, &Bounded { value: want.value.clone(), error }, 1.0)
            }
            (Expected::Engine(want), _) => check("the GPU", op, got, want, 2.0),
        }
    }
}

/// Compares a result with `want`, within so many times its bound.
pub fn check(who: &str, op: impl Into<Op>, got: &[f64], want: &Bounded, times: f64) -> Result<(), Failure> {
    let spec = &op.into().outputs()[0];
    match compare(got, &want.value, |i| times * want.allowed(i, spec.tensor.element)) {
        None => Ok(()),
        Some(mismatch) => Err(Failure::Run(format!("{who}'s result is wrong: {}", mismatch.describe(&spec.tensor.extents)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvTranspose2dDescriptor};

    /// The part's result is the beginning of the whole one's, and each filter's sum is its own.
    #[test]
    fn a_part_is_the_beginning_of_the_whole() {
        let bias = [5];
        let forward = ConvProblem::forward(&ConvInputs::new(&[2, 3, 6, 6], &[5, 3, 2, 3], Some(&bias)), &Conv2dDescriptor::default()).unwrap();
        let inputs = ConvInputs::new(&[2, 3, 4, 4], &[3, 5, 2, 3], Some(&bias));
        let transposed = ConvProblem::transposed(&inputs, &ConvTranspose2dDescriptor { stride: [2, 2], ..Default::default() }).unwrap();
        for problem in [forward, transposed] {
            let mut generator = Generator::from_text("part");
            let data: Vec<Vec<f64>> = problem.inputs().iter().map(|spec| (0..spec.count()).map(|_| generator.integer(9)).collect()).collect();
            let operands: Vec<&[f64]> = data.iter().map(Vec::as_slice).collect();
            let part = Part::of(&Op::from(problem.clone())).unwrap();
            let cut = part.operands(&operands);
            let own = part.problem.reference(&cut.iter().map(Vec::as_slice).collect::<Vec<_>>()).swap_remove(0).value;
            let whole = problem.reference(&operands).swap_remove(0).value;
            assert_eq!(own, whole[..own.len()], "{problem}");
            assert!(own.len() < whole.len());
            // Of ones, an output inside is the sum of its filter.
            let sums = part.sums(&data[1]);
            assert_eq!((sums.len(), sums.iter().sum::<f64>()), (5, data[1].iter().map(|w| w.abs()).sum()));
            let first: f64 = cut[1].iter().map(|w| w.abs()).sum();
            assert_eq!(sums[0] + sums[1], first, "{problem}");
        }
    }
}
