//! `wgconv bench`: standard layers on the GPU and on the CPU engine, each verified once before it is timed.
//!
//! GPU time is the device's own (timestamps) where it has a clock, else the wall clock around submit and wait; the table says which.
//! Medians and the spread between the 10th and 90th percentile; inputs are pseudo-random reals, never zeros.

mod axis;
mod bars;
mod compare;
mod document;
mod layer;
mod markdown;
mod page;
mod roofline;
mod table;

use crate::suites::{self, Suite};
use crate::{Failure, Outcome, adapter_named, complain, one_line, open_gpu, say, write_json, write_text};
use document::{Adapter, Document};
use indicatif::{ProgressBar, ProgressStyle};
use layer::{Engines, time_layer};
use std::path::{Path, PathBuf};
use wgconv::conv::Accuracy;
use wgconv::gpu::{driver_hint, measure_peak};
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
    /// Writes a Markdown table; - prints it instead of the plain one
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Writes a page with charts that needs no other file and no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints how each layer's time compares with a file that --json wrote; status 1 where one is slower than --max-regression allows
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Largest ratio of new time to old that --compare lets pass
    #[arg(long, value_name = "RATIO", default_value = "1.10", requires = "compare", value_parser = regression)]
    max_regression: f64,
    /// Takes the times from a file that --json wrote instead of running
    #[arg(long, value_name = "NEW.json", conflicts_with_all = ["suite", "shapes", "adapter", "every_algorithm", "no_cpu", "accuracy", "json"])]
    against: Option<PathBuf>,
}

/// The value of `--max-regression`.
fn regression(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|limit: &f64| limit.is_finite() && *limit >= 1.0).ok_or_else(|| "it must be a number of at least 1".to_string())
}

pub fn run(args: &Args) -> Outcome {
    // What can be wrong with the files is found before the minutes of timing.
    for (argument, path) in [("--json", &args.json), ("--md", &args.md), ("--html", &args.html)] {
        path.iter().try_for_each(|path| check_folder(argument, path))?;
    }
    let old = args.compare.as_ref().map(|path| Document::read("--compare", path)).transpose()?;
    let as_markdown = args.md.as_ref().is_some_and(|path| path == Path::new("-"));
    let document = match &args.against {
        Some(path) => Document::read("--against", path)?,
        None => measure(args, as_markdown)?,
    };
    if as_markdown {
        say!("{}", markdown::markdown(&document).trim_end());
    } else {
        if args.against.is_some() {
            document.facts().iter().for_each(|(name, value)| say!("{name}: {}", one_line(value)));
        }
        table::print(&document);
    }
    if let Some(path) = &args.json {
        write_json(path, &document)?;
    }
    if let Some(path) = args.md.as_ref().filter(|_| !as_markdown) {
        write_text(path, &markdown::markdown(&document))?;
    }
    if let Some(path) = &args.html {
        write_text(path, &page::page(&document))?;
    }
    let mut wrong = Vec::new();
    if !document.failed.is_empty() {
        let count = document.failed.len();
        wrong.push(format!("{count} of {} layers failed", count + document.picks().count()));
    }
    if let (Some(old), Some(path)) = (&old, &args.compare) {
        let comparison = compare::Comparison::new(old, &document).map_err(|why| Failure::Run(format!("--compare is {}: {why}", path.display())))?;
        let lines = comparison.lines(&path.display().to_string(), args.max_regression);
        // Plain text within Markdown keeps its columns in a fence.
        if as_markdown {
            say!("\n```text\n{}\n```", lines.join("\n"));
        } else {
            say!("\n{}", lines.join("\n"));
        }
        wrong.extend(comparison.verdict(args.max_regression));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Run(wrong.join("; "))) }
}

/// Refuses a path whose folder does not exist.
fn check_folder(argument: &str, path: &Path) -> Outcome {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure::Run(format!("{argument} is {}: its folder must exist", path.display())))
        }
        _ => Ok(()),
    }
}

/// Times the layers. `quiet` leaves standard output to others.
fn measure(args: &Args, quiet: bool) -> Result<Document, Failure> {
    let date = document::now();
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
            if !quiet {
                say!("No GPU adapter on this machine: timing the CPU engine alone. {}.", driver_hint());
            }
            None
        }
        Err(error) => return Err(error.into()),
    };
    let mut document = Document {
        version: env!("CARGO_PKG_VERSION").into(),
        wgpu: option_env!("WGCONV_WGPU_VERSION").map(str::to_string),
        date: Some(date),
        command: std::env::args().collect(),
        adapter: gpu.as_ref().map(|gpu| Adapter::new(gpu.report())).transpose()?,
        peak: gpu.as_ref().map(measure_peak).transpose()?,
        clock: None,
        cpu: document::processor(),
        cpu_threads: std::thread::available_parallelism().map_or(1, usize::from),
        layers: Vec::new(),
        failed: Vec::new(),
    };
    if !quiet {
        announce(&document, args.no_cpu);
    }
    time_layers(&mut document, &layers, gpu.as_ref(), args)?;
    Ok(document)
}

/// Says what is about to be timed.
fn announce(document: &Document, no_cpu: bool) {
    if let (Some(adapter), Some(peak)) = (&document.adapter, &document.peak) {
        say!("GPU: {adapter}");
        say!("     measured peak: {}", document::peaks(peak));
    }
    if !no_cpu {
        say!("CPU: wgconv's CPU engine on {} threads", document.cpu_threads);
    }
}

/// Adds the records of every layer.
fn time_layers(document: &mut Document, layers: &[suites::Layer], gpu: Option<&Gpu>, args: &Args) -> Outcome {
    let bar = ProgressBar::new(layers.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let peak = document.peak;
    let engines = Engines { gpu, peak: peak.as_ref(), cpu: !args.no_cpu, every_algorithm: args.every_algorithm };
    for layer in layers {
        bar.set_message(layer.name.clone());
        match time_layer(layer, &engines, &mut document.clock) {
            Ok(timed) => document.layers.extend(timed),
            // One layer that cannot be run or is wrong is named and ends in status 1; the others are still worth their lines.
            Err(Failure::Run(why)) => {
                let why = format!("{}: {why}", layer.name);
                bar.suspend(|| complain(&why));
                document.failed.push(why);
                if let Some(gpu) = gpu {
                    gpu.wait()?; // a lost device ends the run
                }
            }
            Err(failure) => return Err(failure),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}
