//! `wgconv bench`: standard layers on the GPU and on the CPU engine, each verified once before it is timed.
//!
//! GPU time is the device's own (timestamps) where it has a clock, else the wall clock around submit and wait; the table says which.
//! Medians and the spread between the 10th and 90th percentile; inputs are pseudo-random reals, never zeros.

mod layer;

use crate::suites::{self, Suite};
use crate::{Failure, Outcome, adapter_named, complain, open_gpu, say, write_json};
use indicatif::{ProgressBar, ProgressStyle};
use layer::{Engines, Record, time_layer};
use serde::Serialize;
use std::path::PathBuf;
use wgconv::conv::Accuracy;
use wgconv::gpu::{AdapterReport, Clock, Peak, driver_hint, measure_peak};
use wgconv::{Error, Gpu};

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
    /// Times every algorithm that admits a layer; <-- marks the planner's choice
    #[arg(long)]
    every_algorithm: bool,
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
    let engines = Engines { gpu: gpu.as_ref(), peak: peak.as_ref(), cpu: !args.no_cpu, every_algorithm: args.every_algorithm };
    for layer in &layers {
        bar.set_message(layer.name.clone());
        match time_layer(layer, &engines, &mut clock) {
            Ok(timed) => records.extend(timed),
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

fn print_table(records: &[Record]) {
    let time = |ms: Option<f64>, spread: Option<f64>| match (ms, spread) {
        (Some(ms), Some(spread)) => format!("{ms:.3} ±{:.0}%", spread * 100.0),
        _ => "-".into(),
    };
    let several = records.iter().any(|r| !r.picked);
    let share = |value: Option<f64>| value.map_or("-".into(), |v| format!("{:.0}%", v * 100.0));
    let header = ["layer", "shape", "algorithm", "GPU ms", "CPU ms", "CPU/GPU", "GFLOP/s", "of peak", "GB/s", "of copy"].map(String::from);
    let rows: Vec<[String; 10]> = std::iter::once(header)
        .chain(records.iter().map(|r| {
            [
                r.layer.clone(),
                format!("{} {}", r.op, r.shape),
                format!("{}{}", r.algorithm.as_deref().unwrap_or("cpu"), if r.picked && several { " <--" } else { "" }),
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
