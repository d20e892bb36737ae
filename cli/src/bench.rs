//! `wgconv bench`: standard layers on the GPU and on the CPU engine, each verified once before it is timed.
//!
//! GPU time is the device's own (timestamps) where it has a clock, else the wall clock around submit and wait; the table says which.
//! Medians and the spread between the 10th and 90th percentile; inputs are pseudo-random reals, never zeros.

use crate::suites::{self, Layer, Suite};
use crate::{Failure, Outcome, adapter_named, complain, open_gpu, say, write_json};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgconv::conv::{Accuracy, Conv, ConvProblem};
use wgconv::gpu::{AdapterReport, Clock, Peak, driver_hint, measure_peak};
use wgconv::op::Op;
use wgconv::validate::bound;
use wgconv::validate::compare::compare;
use wgconv::validate::data::{Data, Generator};
use wgconv::{Error, Gpu};

#[derive(clap::Args)]
pub struct Args {
    /// The layers
    #[arg(long, value_enum, default_value = "quick", conflicts_with = "shapes")]
    suite: Suite,
    /// Layers from a JSON list of {"name", "op": "conv", "input", "filter", "strides", "pads", "dilations", "group"}
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
    shape: String,
    flops: f64,
    algorithm: Option<String>,
    gpu_ms: Option<f64>,
    gpu_spread: Option<f64>,
    cpu_ms: Option<f64>,
    cpu_spread: Option<f64>,
    cpu_over_gpu: Option<f64>,
    gflops: f64,
    share_of_peak: Option<f64>,
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
    let problem = &layer.problem;
    if let Some(gpu) = gpu {
        wgconv::conv::plan(problem, gpu.profile())?; // refused before anything is allocated for it
    }
    check_memory(problem)?;
    let mut generator = Generator::from_text(&layer.name);
    let mut data = problem.inputs().into_iter().map(|spec| Data::Real.fill(&spec, problem.depth(), &mut generator));
    let mut next = || data.next().unwrap_or_default().into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let (x, filter) = (next(), next());
    let bias: Option<Vec<f32>> = problem.has_bias.then(next);
    let mut y = vec![0.0; problem.output_count() as usize];
    let start = Instant::now();
    wgconv::cpu::conv(problem, &x, &filter, bias.as_deref(), &mut y)?;
    let once = start.elapsed().as_secs_f64();
    verify_cpu(problem, &x, &filter, bias.as_deref(), &y)?;

    let cpu_samples = if cpu {
        let mut seconds = Vec::new();
        let mut scratch = vec![0.0; y.len()];
        for _ in 0..repeats(once) {
            let start = Instant::now();
            wgconv::cpu::conv(problem, &x, &filter, bias.as_deref(), &mut scratch)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Some(Samples { seconds })
    } else {
        None
    };
    let (mut algorithm, mut gpu_samples) = (None, None);
    if let Some(gpu) = gpu {
        let upload = |extents: &[usize], values: &[f32]| {
            let array = ArrayD::from_shape_vec(IxDyn(extents), values.to_vec()).map_err(|e| Failure::Run(e.to_string()))?;
            gpu.upload(&array).map_err(Failure::from)
        };
        let (x_tensor, filter_tensor) = (upload(&problem.input_extents(), &x)?, upload(&problem.filter_extents(), &filter)?);
        let bias_tensor = bias.as_ref().map(|b| upload(&[b.len()], b)).transpose()?;
        let conv = Conv::from_problem(gpu, problem, &filter_tensor, bias_tensor.as_ref())?;
        let output = conv.output()?;
        let mut record = |recorder: &mut wgconv::Recorder<'_>| conv.record(recorder, &x_tensor, &output);
        let once = gpu.time(1, &mut record)?;
        verify_gpu(problem, &x, &filter, &y, &output.download::<f32, IxDyn>()?)?;
        let timing = gpu.time(repeats(once.median()), &mut record)?;
        *clock = Some(timing.clock);
        algorithm = Some(conv.plan().label.clone());
        gpu_samples = Some(Samples { seconds: timing.seconds });
    }
    let best = gpu_samples.as_ref().or(cpu_samples.as_ref());
    let gflops = best.map_or(0.0, |s| problem.flops() / s.median() * 1e-9);
    let milliseconds = |s: &Samples| s.median() * 1e3;
    Ok(Record {
        layer: layer.name.clone(),
        shape: problem.to_string(),
        flops: problem.flops(),
        algorithm,
        gpu_ms: gpu_samples.as_ref().map(milliseconds),
        gpu_spread: gpu_samples.as_ref().map(Samples::spread),
        cpu_ms: cpu_samples.as_ref().map(milliseconds),
        cpu_spread: cpu_samples.as_ref().map(Samples::spread),
        cpu_over_gpu: cpu_samples.as_ref().zip(gpu_samples.as_ref()).map(|(c, g)| c.median() / g.median()),
        gflops,
        share_of_peak: gpu_samples.as_ref().and(peak).map(|p| gflops / p.gflops),
        gpu_samples,
        cpu_samples,
    })
}

/// Refuses a layer whose arrays the host cannot hold, which would otherwise end the program: input, filter, three outputs and the
/// copies for the upload.
fn check_memory(problem: &ConvProblem) -> Result<(), Failure> {
    let elements = 2 * (problem.input_count() + problem.filter_count()) + 4 * problem.output_count(); // each is at most 2^60
    let mut trial: Vec<f32> = Vec::new();
    let fits = usize::try_from(elements).is_ok_and(|n| trial.try_reserve_exact(n).is_ok());
    std::hint::black_box(&trial); // else the optimiser may leave the trial out and call it a success
    if fits { Ok(()) } else { Err(Failure::Run(format!("this machine has no {} MiB of memory for it", elements >> 18))) }
}

/// The CPU engine against the reference's f64 sums. Of a large layer only the first two filters on the first image, so that the check
/// takes no longer than the timing; the GPU's result is compared with all of it.
fn verify_cpu(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, y: &[f32]) -> Result<(), Failure> {
    let part = if problem.multiply_adds() > 300_000_000 && problem.groups == 1 {
        ConvProblem { batch: 1, out_channels: problem.out_channels.min(2), ..problem.clone() }
    } else {
        problem.clone()
    };
    let (x, filter) = (&x[..part.input_count() as usize], &filter[..part.filter_count() as usize]);
    let reference = wgconv::reference::conv(&part, x, filter, bias.map(|b| &b[..part.out_channels as usize]))?;
    let got: Vec<f64> = y[..part.output_count() as usize].iter().map(|v| f64::from(*v)).collect();
    let allowed = |i: usize| bound::allowed(&part, reference.sum[i], reference.magnitude[i]);
    match compare(&got, &reference.output(part.activation), allowed) {
        None => Ok(()),
        Some(mismatch) => Err(Failure::Run(format!("the CPU engine is wrong: {}", mismatch.describe(&part.output_extents())))),
    }
}

/// The whole GPU result against the CPU engine's. Both are within the bound of the true value, so they are within twice the bound
/// of each other; the magnitude is bounded by the largest |x| times the sum of a filter's |w|.
fn verify_gpu(problem: &ConvProblem, x: &[f32], filter: &[f32], cpu: &[f32], gpu: &ArrayD<f32>) -> Result<(), Failure> {
    let largest = x.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let depth = problem.reduction_depth() as usize;
    let weights: Vec<f64> = filter.chunks(depth).map(|w| w.iter().map(|w| f64::from(w.abs())).sum()).collect();
    let positions = problem.output_positions() as usize;
    let got: Vec<f64> = gpu.iter().map(|v| f64::from(*v)).collect();
    let want: Vec<f64> = cpu.iter().map(|v| f64::from(*v)).collect();
    let allowed = |i: usize| 2.0 * bound::allowed(problem, want[i], largest * weights[i / positions % weights.len()] + 1.0);
    match compare(&got, &want, allowed) {
        None => Ok(()),
        Some(mismatch) => Err(Failure::Run(format!("the GPU's result is wrong: {}", mismatch.describe(&problem.output_extents())))),
    }
}

fn print_table(records: &[Record]) {
    let time = |ms: Option<f64>, spread: Option<f64>| match (ms, spread) {
        (Some(ms), Some(spread)) => format!("{ms:.3} ±{:.0}%", spread * 100.0),
        _ => "-".into(),
    };
    let header = ["layer", "shape", "algorithm", "GPU ms", "CPU ms", "CPU/GPU", "GFLOP/s", "of peak"].map(String::from);
    let rows: Vec<[String; 8]> = std::iter::once(header)
        .chain(records.iter().map(|r| {
            [
                r.layer.clone(),
                r.shape.clone(),
                r.algorithm.clone().unwrap_or_else(|| "cpu".into()),
                time(r.gpu_ms, r.gpu_spread),
                time(r.cpu_ms, r.cpu_spread),
                r.cpu_over_gpu.map_or("-".into(), |v| format!("{v:.2}")),
                format!("{:.1}", r.gflops),
                r.share_of_peak.map_or("-".into(), |v| format!("{:.0}%", v * 100.0)),
            ]
        }))
        .collect();
    let widths: [usize; 8] = std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
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
