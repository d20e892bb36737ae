//! `wgconv bench`: standard layers and whole networks on the GPU and on the CPU engine, each verified once before it is timed.
//!
//! GPU time is the device's own (timestamps) where it has a clock, else the wall clock around submit and wait; the table says which.
//! Medians and the spread between the 10th and 90th percentile; inputs are pseudo-random reals, never zeros.

pub mod axis;
mod bars;
pub mod compare;
pub mod document;
mod layer;
mod markdown;
mod network;
mod page;
mod roofline;
mod rows;
mod samples;
mod table;
mod training;

use crate::arguments::{all, try_outputs};
use crate::suites::{self, Kind, Network, Selection};
use crate::{Failure, Outcome, adapter_named, complain, interrupt, keep_pipelines, machine, one_line, open_gpu, say, write_json, write_text};
use compare::Comparison;
use document::{Adapter, Document, Opened, Record};
use indicatif::{ProgressBar, ProgressStyle};
use layer::{Engines, Repeats, time_layer};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use table::{Column, Rows};
use wgconv::gpu::{Peak, driver_hint, measure_peak};
use wgconv::op::{Planned, Problem};
use wgconv::{Error, Gpu};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Times the whole network of the suite or of the model, all its ops in one submit, and the way to its first output, instead of its layers
    #[arg(long, conflicts_with_all = ["shapes", "layer"], group = "whole")]
    network: bool,
    /// Times a training step of the network of the suite instead of its layers: forward, backward, the optimizer, and all of it
    #[arg(long, conflicts_with_all = ["shapes", "layer", "model", "network"], group = "whole")]
    train: bool,
    /// With --network and --train: times the layers too; of a training step all its ops, gradients included
    #[arg(long, requires = "whole")]
    layers: bool,
    /// With --train: products in f16, of parameters that stay f32; gradients are f32
    #[arg(long, requires = "train")]
    mixed: bool,
    /// With --network: times each op in both layouts, then the network in each arrangement, and takes the fastest; the way to the first output stays that of
    /// the network as it is
    #[arg(long, requires = "network", conflicts_with = "layout")]
    fastest_layout: bool,
    /// With --network and --train: the batches [default: 1, and 16 where that is expected to take less than a minute; to train 64 for lenet5, else 1]
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "whole", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Vec<u16>,
    /// The folder that the driver's pipelines are kept in for later runs [default: wgconv in the user's folder for caches]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Times every algorithm that admits a layer; <-- marks the planner's choice
    #[arg(long)]
    every_algorithm: bool,
    /// Times each kernel call of a layer by itself too: where its time goes
    #[arg(long)]
    steps: bool,
    /// Does not time the CPU engine
    #[arg(long)]
    no_cpu: bool,
    #[command(flatten)]
    repeats: Repeats,
    /// The columns of every table, in this order [default: all that say something, as many as the terminal has room for; a pipe gets all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    columns: Vec<Column>,
    /// Writes one record per layer, with the raw samples
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a line of comma-separated values for each layer and algorithm
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Writes a Markdown table; - prints it instead of the plain one
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Writes a page with charts that needs no other file and no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Tells how each layer's time compares with a file that --json wrote; status 1 where one is slower than --max-regression allows and by more
    /// than both runs vary
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Largest ratio of new time to old that --compare lets pass
    #[arg(long, value_name = "RATIO", default_value = "1.10", requires = "compare", value_parser = regression)]
    max_regression: f64,
    /// Takes the times from a file that --json wrote instead of running
    #[arg(long, value_name = "NEW.json", conflicts_with_all = ["suite", "shapes", "layer", "model", "shape", "number", "room", "adapter", "network", "fastest_layout", "train", "mixed", "layers", "cache", "every_algorithm", "steps", "no_cpu", "accuracy", "element", "layout", "json", "runs", "min_time", "warmup"])]
    against: Option<PathBuf>,
}

/// The value of `--max-regression`.
fn regression(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|limit: &f64| limit.is_finite() && *limit >= 1.0).ok_or_else(|| "it must be a number of at least 1".to_string())
}

pub fn run(args: &Args) -> Outcome {
    // What can be wrong with the files is found before the minutes of timing.
    let files = [("--json", &args.json), ("--csv", &args.csv), ("--md", &args.md), ("--html", &args.html)];
    try_outputs(files.map(|(argument, path)| (argument, path.as_deref())))?;
    let old = args.compare.as_ref().map(|path| Document::read("--compare", path)).transpose()?;
    let as_markdown = args.md.as_ref().is_some_and(|path| path == Path::new("-"));
    let (document, outcome) = match &args.against {
        Some(path) => (Document::read("--against", path)?, Ok(())),
        None => measure(args, as_markdown, old.as_ref())?,
    };
    let comparison = match (&old, &args.compare) {
        (Some(old), Some(path)) => Some(
            Comparison::new(old, &document, &path.display().to_string(), args.max_regression)
                .map_err(|why| Failure::Run(format!("--compare is {}: {why}", path.display()))),
        ),
        _ => None,
    };
    // That nothing can be compared is told at the end; what was timed is written all the same.
    let compared = comparison.as_ref().and_then(|outcome| outcome.as_ref().ok());
    let markdown = || markdown::markdown(&document, &args.columns, compared);
    if as_markdown {
        say!("{}", markdown().trim_end());
    } else {
        if args.against.is_some() {
            document.facts().iter().for_each(|(name, value)| say!("{name}: {}", one_line(value)));
            let words: Vec<[String; 3]> = document.layers.iter().map(words).collect();
            let mut rows = Rows::new(&Column::of(&document, &args.columns), &words, document.has_candidates(), room(args));
            rows.lines(&document.layers).iter().for_each(|line| say!("{line}"));
            rows.note().iter().for_each(|note| say!("{note}"));
        }
        table::print_rest(&document);
        if let Some(compared) = compared {
            say!("\n{}", compared.lines().join("\n"));
        }
    }
    let written = all([
        args.json.as_ref().map_or(Ok(()), |path| write_json(path, &document)),
        args.csv.as_ref().map_or(Ok(()), |path| rows::write(path, &document)),
        args.md.as_ref().filter(|_| !as_markdown).map_or(Ok(()), |path| write_text(path, &markdown())),
        args.html.as_ref().map_or(Ok(()), |path| write_text(path, &page::page(&document, &args.columns, compared))),
    ]);
    let mut wrong = Vec::new();
    if !document.failed.is_empty() {
        let count = document.failed.len();
        let what = if args.network || args.train { "measurements" } else { "layers" };
        wrong.push(format!("{count} of {} {what} failed", count + document.timed().count()));
    }
    wrong.extend(compared.and_then(Comparison::verdict));
    let told = if wrong.is_empty() { Ok(()) } else { Err(Failure::Run(wrong.join("; "))) };
    // A run that was cut short need not have a layer to compare.
    let nothing_common = comparison.and_then(Result::err).filter(|_| document.ended_early.is_none());
    all([outcome, written, told, nothing_common.map_or(Ok(()), Err)])?;
    if interrupt::pressed() {
        say!("cancelled: what was timed until then is above and in the files");
        return Err(Failure::Interrupted);
    }
    Ok(())
}

/// The width of the terminal that the table goes to; none where it goes elsewhere, or its columns were chosen.
fn room(args: &Args) -> Option<usize> {
    if !args.columns.is_empty() || !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// The words of a record's row.
fn words(record: &Record) -> [String; 3] {
    [Column::Layer, Column::Shape, Column::Algorithm].map(|column| column.cell(record))
}

/// Times the layers. `quiet` leaves standard output to others. What was timed before an error comes with it.
fn measure(args: &Args, quiet: bool, old: Option<&Document>) -> Result<(Document, Outcome), Failure> {
    let date = machine::now();
    for (argument, given) in [("--every-algorithm", args.every_algorithm), ("--steps", args.steps)] {
        if given && (args.train || args.network) && !args.layers {
            return Err(Failure::Usage(format!("{argument} is of layers, and none are timed: --layers adds them")));
        }
    }
    let layers = match (args.train, args.network) {
        (true, _) => training_layers(args)?,
        (_, true) if !args.layers => vec![],
        _ => args.selection.layers()?,
    };
    let Kind { element, layout, .. } = args.selection.kind;
    if (args.network || args.train) && element != Kind::PLAIN.element {
        let argument = if args.train { "--train" } else { "--network" };
        return Err(Failure::Usage(format!("{argument} is given with --element {element}: networks are timed in f32")));
    }
    if args.train && layout != Kind::PLAIN.layout {
        return Err(Failure::Usage(format!("--train is given with --layout {}: training steps are timed channels first", layout.name())));
    }
    // Refused before anything is timed.
    let networks = if args.network || args.train { args.selection.networks()? } else { vec![] };
    if let [Network::Model { name, batch: own, .. }] = &networks[..]
        && args.batch.iter().any(|asked| usize::from(*asked) != *own)
    {
        return Err(Failure::Usage(format!("--batch is given with --model: {name} takes a batch of {own}; --shape gives others")));
    }
    if let (Some(old), Some(path)) = (old, &args.compare) {
        compare::check_common(old, &planned(args, &layers, &networks))
            .map_err(|why| Failure::Run(format!("--compare is {}: {why}", path.display())))?;
    }
    let adapter = args.selection.adapter.as_deref();
    let start = Instant::now();
    let mut gpu = match open_gpu(adapter) {
        Ok(gpu) => Some(gpu),
        Err(Error::NoAdapter { .. }) if !adapter_named(adapter) => {
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
    let adapter_ms = start.elapsed().as_secs_f64() * 1e3;
    let load = machine::load();
    let mut document = Document {
        version: env!("CARGO_PKG_VERSION").into(),
        wgpu: option_env!("WGCONV_WGPU_VERSION").map(str::to_string),
        date: Some(date),
        command: std::env::args().collect(),
        adapter: gpu.as_ref().map(|gpu| Adapter::new(gpu.report())).transpose()?,
        peak: None,
        clock: None,
        cpu: machine::processor(),
        cpu_threads: machine::threads(),
        opened: None,
        layers: Vec::new(),
        networks: Vec::new(),
        training: Vec::new(),
        starts: Vec::new(),
        failed: Vec::new(),
        load: None,
        ended_early: None,
    };
    let bar = ProgressBar::new(layers.len() as u64); // hidden by itself when stderr is no terminal
    if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} {elapsed}, {eta} left {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    interrupt::listen();
    let mut starts = None;
    if args.network
        && let [network] = &networks[..]
        && let Some(opened) = gpu.take()
    {
        // On the device that was opened first: nothing has been compiled yet, and the driver was not even loaded.
        bar.set_message(format!("{}: the way to its first output", network.name()));
        let batch = batches(args, network)[0];
        starts = Some(bench(args, network, None, None).starts(batch, adapter, (opened, adapter_ms)));
        gpu = Some(open_gpu(adapter)?);
    }
    let cached_bytes = gpu.as_ref().map_or(0, |gpu| gpu.set_pipeline_cache(args.cache.as_deref()));
    document.peak = gpu.as_ref().map(measure_peak).transpose()?;
    if !quiet {
        bar.suspend(|| announce(&document, args.no_cpu));
    }
    let time = || -> Outcome {
        match starts.transpose() {
            Ok(starts) => document.starts = starts.unwrap_or_default(),
            Err(failure) => fail(
                &mut document,
                &format!("{}, first output", networks.first().map_or_else(String::new, Network::name)),
                failure,
                gpu.as_ref(),
                &bar,
            )?,
        }
        time_layers(&mut document, &layers, gpu.as_ref(), args, quiet, &bar)?;
        if args.network {
            time_networks(&mut document, gpu.as_ref(), args, &networks, &bar)?;
        }
        if args.train {
            time_training(&mut document, gpu.as_ref(), args, quiet, &bar)?;
        }
        Ok(())
    };
    let outcome = time();
    bar.finish_and_clear();
    document.load = load.zip(machine::load()).map(|(before, after)| [before, after]);
    if let Err(Failure::Run(why)) = &outcome {
        document.ended_early = Some(why.clone());
    } else if interrupt::pressed() {
        document.ended_early = Some("cancelled".into());
    }
    document.opened = gpu.as_ref().map(|gpu| {
        keep_pipelines(gpu);
        let compiled = gpu.compiled();
        Opened { adapter_ms, pipelines: compiled.pipelines, compile_ms: compiled.seconds * 1e3, cached_bytes }
    });
    Ok((document, outcome))
}

/// Name, op and shape of all that will be timed.
fn planned(args: &Args, layers: &[suites::Layer], networks: &[Network]) -> Vec<(String, String, String)> {
    let mut planned: Vec<_> = layers.iter().map(|layer| (layer.name.clone(), layer.op().name().to_string(), layer.op().to_string())).collect();
    if args.network {
        for network in networks {
            let batches = batches(args, network);
            planned.extend(batches.into_iter().map(|batch| (network.name(), "network".into(), network::shape(batch, args.selection.kind.layout))));
        }
    }
    if args.train {
        for (suite, batch) in training_steps(args) {
            planned.extend(training::RECORDS.map(|part| (format!("{} {part}", suite.name()), "training".into(), training::shape(batch, args.mixed))));
        }
    }
    planned
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

/// Takes down what cannot be run or is wrong: it is named and ends in status 1, the others are still worth their lines. A lost device
/// ends the run.
fn fail(document: &mut Document, what: &str, failure: Failure, gpu: Option<&Gpu>, bar: &ProgressBar) -> Outcome {
    let Failure::Run(why) = failure else { return Err(failure) };
    let why = format!("{what}: {why}");
    bar.suspend(|| complain(&why));
    document.failed.push(why);
    Ok(gpu.map_or(Ok(()), Gpu::wait)?)
}

/// Adds the records of every layer, and prints them as they come unless told to be `quiet`.
fn time_layers(document: &mut Document, layers: &[suites::Layer], gpu: Option<&Gpu>, args: &Args, quiet: bool, bar: &ProgressBar) -> Outcome {
    let peak = document.peak;
    let engines =
        Engines { gpu, peak: peak.as_ref(), cpu: !args.no_cpu, every_algorithm: args.every_algorithm, steps: args.steps, repeats: args.repeats };
    let mut rows = Rows::new(&Column::on(gpu.is_some(), engines.cpu, &args.columns), &expected(layers, &engines), args.every_algorithm, room(args));
    for layer in layers {
        if interrupt::pressed() {
            break;
        }
        bar.set_message(one_line(&layer.name));
        match time_layer(layer, &engines, &mut document.clock) {
            Ok(timed) => {
                if !quiet {
                    bar.suspend(|| rows.lines(&timed).iter().for_each(|line| say!("{line}")));
                }
                document.layers.extend(timed);
            }
            Err(failure) => fail(document, &layer.name, failure, gpu, bar)?,
        }
        bar.inc(1);
    }
    if !quiet {
        bar.suspend(|| rows.note().iter().for_each(|note| say!("{note}")));
    }
    Ok(())
}

/// The words of the rows that will come, by which their columns get their widths; a layer that cannot be planned has none.
fn expected(layers: &[suites::Layer], engines: &Engines<'_>) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    for layer in layers {
        let op = layer.op();
        let row = |algorithm: String| [layer.name.clone(), format!("{} {op}", op.name()), algorithm];
        let Some(gpu) = engines.gpu else {
            rows.push(row("cpu".into()));
            continue;
        };
        rows.extend(op.plan(gpu.profile(), None).map(|plan| row(plan.label)));
        if engines.every_algorithm {
            rows.extend(op.candidates(gpu.profile()).into_iter().map(row));
        }
    }
    rows
}

/// The batches that a network is timed with.
fn batches(args: &Args, network: &Network) -> Vec<usize> {
    match (network.batch(), args.batch.is_empty()) {
        (Some(own), _) => vec![own],
        (None, true) => network::BATCHES.to_vec(),
        (None, false) => args.batch.iter().map(|batch| usize::from(*batch)).collect(),
    }
}

/// The networks and batches of `--train`.
fn training_steps(args: &Args) -> Vec<(suites::Suite, usize)> {
    let batches = |suite| match args.batch.is_empty() {
        true => vec![training::usual_batch(suite)],
        false => args.batch.iter().map(|batch| usize::from(*batch)).collect(),
    };
    let suites = args.selection.suite.networks().unwrap_or_default();
    suites.into_iter().flat_map(|suite| batches(suite).into_iter().map(move |batch| (suite, batch))).collect()
}

/// The layers that `--train --layers` times.
fn training_layers(args: &Args) -> Result<Vec<suites::Layer>, Failure> {
    let mut layers = vec![];
    if args.layers {
        for (suite, batch) in training_steps(args) {
            training::add_layers(&mut layers, suite, batch, args.mixed)?;
        }
    }
    Ok(layers)
}

/// Adds the records of training steps, and prints them as they come unless told to be `quiet`.
fn time_training(document: &mut Document, gpu: Option<&Gpu>, args: &Args, quiet: bool, bar: &ProgressBar) -> Outcome {
    let peak = document.peak;
    let words: Vec<[String; 3]> = planned(args, &[], &[])
        .into_iter()
        .map(|(name, op, shape)| [name, format!("{op} {shape}"), if gpu.is_some() { training::BY_DIFFERENCE } else { "cpu" }.into()])
        .collect();
    let mut rows = Rows::new(&Column::on(gpu.is_some(), !args.no_cpu, &args.columns), &words, false, room(args));
    for (suite, batch) in training_steps(args) {
        if interrupt::pressed() {
            break;
        }
        let name = format!("a step of {}, batch {batch}", suite.name());
        bar.set_message(name.clone());
        let bench = training::Bench { suite, gpu, peak: peak.as_ref(), cpu: !args.no_cpu, mixed: args.mixed, repeats: args.repeats };
        match bench.time(batch) {
            Ok((timed, counted)) => {
                if !quiet {
                    bar.suspend(|| rows.lines(&timed).iter().for_each(|line| say!("{line}")));
                }
                document.layers.extend(timed);
                document.training.push(counted);
            }
            Err(failure) => fail(document, &name, failure, gpu, bar)?,
        }
    }
    if !quiet {
        bar.suspend(|| rows.note().iter().for_each(|note| say!("{note}")));
    }
    Ok(())
}

fn bench<'a>(args: &Args, network: &'a Network, gpu: Option<&'a Gpu>, peak: Option<&'a Peak>) -> network::Bench<'a> {
    network::Bench { network, kind: args.selection.kind, fastest_layout: args.fastest_layout, gpu, peak, cpu: !args.no_cpu, repeats: args.repeats }
}

/// Adds the records of whole networks, one for each batch.
fn time_networks(document: &mut Document, gpu: Option<&Gpu>, args: &Args, networks: &[Network], bar: &ProgressBar) -> Outcome {
    let peak = document.peak;
    let all = networks.len() > 1;
    for network in networks {
        let bench = bench(args, network, gpu, peak.as_ref());
        let mut known: Option<usize> = None;
        for batch in batches(args, network) {
            let name = format!("{}, batch {batch}", network.name());
            if args.batch.is_empty()
                && let Some(known) = known.map(|at| &document.networks[at])
                && !bench.is_quick(batch, known)
            {
                bar.suspend(|| complain(&format!("{name} is left out, for it would take more than a minute here; --batch {batch} asks for it")));
                continue;
            }
            if interrupt::pressed() {
                return Ok(());
            }
            bar.set_message(name.clone());
            match bench.time(batch, &mut document.clock) {
                Ok(timed) => {
                    known = Some(document.networks.len());
                    if all {
                        bar.suspend(|| say!("{name}: {}", table::network_words(&timed)));
                    }
                    document.networks.push(timed);
                }
                Err(failure) => fail(document, &name, failure, gpu, bar)?,
            }
        }
    }
    Ok(())
}
