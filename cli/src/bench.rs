//! `wgconv bench`: standard layers on the GPU and on the CPU engine, each verified once before it is timed.
//!
//! GPU time is the device's own (timestamps) where it has a clock, else the wall clock around submit and wait; the table says which.
//! Medians and the spread between the 10th and 90th percentile; inputs are pseudo-random reals, never zeros.

use crate::suites::{self, Layer, Suite, Work};
use crate::{Failure, Outcome, adapter_named, complain, open_gpu, say, write_json};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgconv::conv::{Accuracy, ConvProblem};
use wgconv::gpu::{AdapterReport, Clock, Peak, driver_hint, measure_peak};
use wgconv::op::{Op, Prepared};
use wgconv::reference::Bounded;
use wgconv::validate::bound;
use wgconv::validate::compare::compare;
use wgconv::validate::data::{Data, Generator};
use wgconv::validate::{download, upload};
use wgconv::{Error, Gpu, Tensor};

#[derive(clap::Args)]
pub struct Args {
    /// The layers
    #[arg(long, value_enum, default_value = "quick", conflicts_with = "shapes")]
    suite: Suite,
    /// Layers from a JSON list of {"name", "op", "attrs", "inputs": {"x": [..], ..}} in the vocabulary of test vectors; a convolution also as
    /// {"name", "op": "conv", "input", "filter", "strides", "pads", "dilations", "group"}
    #[arg(long, value_name = "FILE.json")]
    shapes: Option<PathBuf>,
    /// Adapter by number or part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// Does not time the CPU engine
    #[arg(long)]
    no_cpu: bool,
    /// exact, f32 or reduced
    #[arg(long, default_value = "f32", value_parser = |text: &str| text.parse::<Accuracy>().map_err(|e| e.to_string()))]
    accuracy: Accuracy,
    /// Writes one record per layer, with the raw samples
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Seconds of repeated runs.
#[derive(Serialize, Clone)]
struct Samples {
    seconds: Vec<f64>,
}

impl Samples {
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(((sorted.len().saturating_sub(1)) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Half the distance between the 10th and the 90th percentile, as a share of the median.
    fn spread(&self) -> f64 {
        (self.quantile(0.9) - self.quantile(0.1)) / 2.0 / self.median()
    }
}

/// One line of the table.
#[derive(Serialize)]
struct Record {
    layer: String,
    op: &'static str,
    shape: String,
    flops: f64,
    bytes: u64,
    algorithm: Option<String>,
    gpu_ms: Option<f64>,
    gpu_spread: Option<f64>,
    cpu_ms: Option<f64>,
    cpu_spread: Option<f64>,
    cpu_over_gpu: Option<f64>,
    gflops: f64,
    share_of_peak: Option<f64>,
    gbytes_per_s: f64,
    share_of_copy: Option<f64>,
    gpu_samples: Option<Samples>,
    cpu_samples: Option<Samples>,
}

/// The JSON file.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    command: Vec<String>,
    adapter: Option<&'a AdapterReport>,
    peak: Option<Peak>,
    clock: Option<Clock>,
    cpu_threads: usize,
    layers: &'a [Record],
}

pub fn run(args: &Args) -> Outcome {
    let layers = match &args.shapes {
        Some(path) => suites::read(path, args.accuracy)?,
        None => suites::layers(args.suite, args.accuracy)?,
    };
    let gpu = match open_gpu(args.adapter.as_deref()) {
        Ok(gpu) => Some(gpu),
        Err(Error::NoAdapter { .. }) if !adapter_named(args.adapter.as_deref()) => {
            if args.no_cpu {
                return Err(Failure::Run(format!("no GPU adapter, and --no-cpu leaves nothing to time. {}", driver_hint())));
            }
            say!("No GPU adapter on this machine: timing the CPU engine alone. {}.", driver_hint());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let peak = gpu.as_ref().map(measure_peak).transpose()?;
    if let (Some(gpu), Some(peak)) = (&gpu, &peak) {
        say!("GPU: {}", gpu.report());
        say!("     measured peak: {:.1} GFLOP/s of f32 multiply-adds, {:.1} GB/s of copies", peak.gflops, peak.gbytes_per_s);
    }
    if !args.no_cpu {
        say!("CPU: wgconv's CPU engine on {threads} threads");
    }

    let bar = ProgressBar::new(layers.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let (mut records, mut clock, mut failed) = (Vec::new(), None, 0);
    for layer in &layers {
        bar.set_message(layer.name.clone());
        match time_layer(layer, gpu.as_ref(), !args.no_cpu, peak.as_ref(), &mut clock) {
            Ok(record) => records.push(record),
            // One layer that cannot be run or is wrong is named and ends in status 1; the others are still worth their lines.
            Err(Failure::Run(why)) => {
                bar.suspend(|| complain(&format!("{}: {why}", layer.name)));
                failed += 1;
                if let Some(gpu) = &gpu {
                    gpu.wait()?; // a lost device ends the run
                }
            }
            Err(failure) => return Err(failure),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !records.is_empty() {
        print_table(&records);
    }
    match clock {
        Some(Clock::Timestamps) => say!("GPU times: the device's timestamps. Each output was verified before it was timed."),
        Some(Clock::Wall) => {
            say!("GPU times: wall clock around submit and wait, for the device has no timestamps. Each output was verified before it was timed.")
        }
        None => {}
    }
    if let Some(path) = &args.json {
        let command = std::env::args().collect();
        let adapter = gpu.as_ref().map(Gpu::report);
        write_json(path, &Document { version: env!("CARGO_PKG_VERSION"), command, adapter, peak, clock, cpu_threads: threads, layers: &records })?;
    }
    if failed > 0 {
        return Err(Failure::Run(format!("{failed} of {} layers failed", layers.len())));
    }
    Ok(())
}

/// Most time that the repeats of one layer take on one engine.
const BUDGET: Duration = Duration::from_millis(1500);
const FEWEST: usize = 5;
const MOST: usize = 50;

fn repeats(once: f64) -> usize {
    ((BUDGET.as_secs_f64() / once.max(1e-6)) as usize).clamp(FEWEST, MOST)
}

fn time_layer(layer: &Layer, gpu: Option<&Gpu>, cpu: bool, peak: Option<&Peak>, clock: &mut Option<Clock>) -> Result<Record, Failure> {
    let op = layer.op();
    if let Some(gpu) = gpu {
        op.plan(gpu.profile(), None)?; // refused before anything is allocated for it
    }
    check_memory(op)?;
    let mut generator = Generator::from_text(&layer.name);
    let specs = op.inputs();
    let data: Vec<Vec<f64>> = specs.iter().map(|spec| Data::Real.fill(spec, op.depth(), &mut generator)).collect();
    let narrow: Vec<Vec<f32>> = data.iter().map(|values| values.iter().map(|v| *v as f32).collect()).collect();
    let operands: Vec<&[f32]> = narrow.iter().map(Vec::as_slice).collect();
    let mut y = vec![0.0; op.outputs()[0].count() as usize];
    let start = Instant::now();
    let engine = op.compute(&operands, &mut y).is_some();
    let once = start.elapsed().as_secs_f64();
    let expected = Expected::new(layer, &data, engine.then_some(&y))?;

    let cpu_samples = if cpu && engine {
        let mut seconds = Vec::new();
        let mut scratch = vec![0.0; y.len()];
        for _ in 0..repeats(once) {
            let start = Instant::now();
            op.compute(&operands, &mut scratch);
            seconds.push(start.elapsed().as_secs_f64());
        }
        Some(Samples { seconds })
    } else {
        None
    };
    let (mut algorithm, mut gpu_samples) = (None, None);
    if let Some(gpu) = gpu {
        let tensors: Vec<Tensor> = specs.iter().zip(&data).map(|(spec, values)| upload(gpu, spec, values)).collect::<Result<_, _>>()?;
        let part = |fixed: bool| -> Vec<&Tensor> { specs.iter().zip(&tensors).filter(|(spec, _)| spec.fixed == fixed).map(|(_, t)| t).collect() };
        let prepared = Prepared::new(gpu, op, &part(true))?;
        let outputs = prepared.outputs()?;
        let (given, written) = (part(false), outputs.iter().collect::<Vec<_>>());
        let mut record = |recorder: &mut wgconv::Recorder<'_>| prepared.record(recorder, &given, &written);
        let once = gpu.time(1, &mut record)?;
        expected.check(op, &download(&outputs[0])?)?;
        let timing = gpu.time(repeats(once.median()), &mut record)?;
        *clock = Some(timing.clock);
        algorithm = Some(prepared.plan().label.clone());
        gpu_samples = Some(Samples { seconds: timing.seconds });
    }
    let best = gpu_samples.as_ref().or(cpu_samples.as_ref());
    let rate = |amount: f64| best.map_or(0.0, |s| amount / s.median() * 1e-9);
    let (gflops, gbytes_per_s) = (rate(op.flops()), rate(op.bytes() as f64));
    let milliseconds = |s: &Samples| s.median() * 1e3;
    Ok(Record {
        layer: layer.name.clone(),
        op: op.name(),
        shape: op.to_string(),
        flops: op.flops(),
        bytes: op.bytes(),
        algorithm,
        gpu_ms: gpu_samples.as_ref().map(milliseconds),
        gpu_spread: gpu_samples.as_ref().map(Samples::spread),
        cpu_ms: cpu_samples.as_ref().map(milliseconds),
        cpu_spread: cpu_samples.as_ref().map(Samples::spread),
        cpu_over_gpu: cpu_samples.as_ref().zip(gpu_samples.as_ref()).map(|(c, g)| c.median() / g.median()),
        gflops,
        share_of_peak: gpu_samples.as_ref().and(peak).map(|p| gflops / p.gflops),
        gbytes_per_s,
        share_of_copy: gpu_samples.as_ref().and(peak).map(|p| gbytes_per_s / p.gbytes_per_s),
        gpu_samples,
        cpu_samples,
    })
}

/// Refuses a layer whose arrays the host cannot hold, which would otherwise end the program: inputs in f64, f32 and as they are
/// uploaded, outputs in f32, f64 and as they are downloaded.
fn check_memory(op: &dyn Op) -> Result<(), Failure> {
    let elements: u64 = op.inputs().iter().map(|spec| 4 * spec.count()).chain(op.outputs().iter().map(|spec| 8 * spec.count())).sum(); // each at most 2^60
    let mut trial: Vec<f32> = Vec::new();
    let fits = usize::try_from(elements).is_ok_and(|n| trial.try_reserve_exact(n).is_ok());
    std::hint::black_box(&trial); // else the optimiser may leave the trial out and call it a success
    if fits { Ok(()) } else { Err(Failure::Run(format!("this machine has no {} MiB of memory for it", elements >> 18))) }
}

/// Multiply-adds up to which a layer is computed by the reference in full.
const REFERENCE_LIMIT: f64 = 300e6;

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
        match (&layer.work, y) {
            (Work::Conv(problem), Some(y)) if op.flops() > 2.0 * REFERENCE_LIMIT && problem.groups == 1 => {
                let part = ConvProblem { batch: 1, out_channels: problem.out_channels.min(2), ..problem.as_ref().clone() };
                let cut: Vec<&[f64]> = part.inputs().iter().zip(&operands).map(|(spec, values)| &values[..spec.count() as usize]).collect();
                let want = part.reference(&cut).swap_remove(0);
                check("the CPU engine", &part, &wide(&y[..part.output_count() as usize]), &want, 1.0)?;
                // The magnitude is bounded by the largest |x| times the sum of a filter's |w|, and 1 each of bias and residual.
                let largest = data[0].iter().fold(0.0f64, |m, v| m.max(v.abs()));
                let depth = problem.reduction_depth() as usize;
                let weights: Vec<f64> = data[1].chunks(depth).map(|w| w.iter().map(|w| w.abs()).sum()).collect();
                let positions = problem.output_positions() as usize;
                let value = wide(y);
                let magnitude = |i: usize| largest * weights[i / positions % weights.len()] + 2.0;
                let error = (0..value.len()).map(|i| bound::computed(problem, value[i], magnitude(i))).collect();
                Ok(Expected::Engine(Bounded { value, error }))
            }
            _ => {
                let want = op.reference(&operands).swap_remove(0);
                if let Some(y) = y {
                    check("the CPU engine", op, &wide(y), &want, 1.0)?;
                }
                Ok(Expected::Reference(want))
            }
        }
    }

    /// The GPU's result. Where it is compared with another computed one, both are within the bound of the true value, and so within
    /// twice the bound of each other.
    fn check(&self, op: &dyn Op, got: &[f64]) -> Result<(), Failure> {
        match self {
            Expected::Reference(want) => check("the GPU", op, got, want, 1.0),
            Expected::Engine(want) => check("the GPU", op, got, want, 2.0),
        }
    }
}

fn check(who: &str, op: &dyn Op, got: &[f64], want: &Bounded, times: f64) -> Result<(), Failure> {
    let spec = &op.outputs()[0];
    match compare(got, &want.value, |i| times * want.allowed(i, spec.element)) {
        None => Ok(()),
        Some(mismatch) => Err(Failure::Run(format!("{who}'s result is wrong: {}", mismatch.describe(&spec.extents)))),
    }
}

fn print_table(records: &[Record]) {
    let time = |ms: Option<f64>, spread: Option<f64>| match (ms, spread) {
        (Some(ms), Some(spread)) => format!("{ms:.3} ±{:.0}%", spread * 100.0),
        _ => "-".into(),
    };
    let share = |value: Option<f64>| value.map_or("-".into(), |v| format!("{:.0}%", v * 100.0));
    let header = ["layer", "shape", "algorithm", "GPU ms", "CPU ms", "CPU/GPU", "GFLOP/s", "of peak", "GB/s", "of copy"].map(String::from);
    let rows: Vec<[String; 10]> = std::iter::once(header)
        .chain(records.iter().map(|r| {
            [
                r.layer.clone(),
                format!("{} {}", r.op, r.shape),
                r.algorithm.clone().unwrap_or_else(|| "cpu".into()),
                time(r.gpu_ms, r.gpu_spread),
                time(r.cpu_ms, r.cpu_spread),
                r.cpu_over_gpu.map_or("-".into(), |v| format!("{v:.2}")),
                format!("{:.1}", r.gflops),
                share(r.share_of_peak),
                format!("{:.1}", r.gbytes_per_s),
                share(r.share_of_copy),
            ]
        }))
        .collect();
    let widths: [usize; 10] = std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(i, (cell, width))| if i < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        say!("{}", cells.join("  ").trim_end());
    }
}
