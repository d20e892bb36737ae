//! `wgconv tune`: verifies and times every candidate plan of a suite's layers, keeps the verdicts, and says how far the planner's own
//! choice is from the best.

use crate::arguments::{all, seconds, try_outputs};
use crate::suites::Selection;
use crate::{Failure, Outcome, complain, interrupt, machine, one_line, open_gpu, say, write_json};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use wgconv::Gpu;
use wgconv::gpu::AdapterReport;
use wgconv::op::{Op, Problem};
use wgconv::tune::{Tuned, Tuning, Verdict, candidates};

/// What to tune.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Seconds for each layer: a trial that does not fit into what is left of them is not begun
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, allow_negative_numbers = true)]
    budget: Duration,
    /// The folder that verdicts are kept in [default: wgconv in the user's folder for caches]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Forgets what the cache knows about these layers and measures anew
    #[arg(long)]
    again: bool,
    /// Fails where the planner's own choice takes more than so many times as long as the fastest candidate, or may: where the budget ended
    /// before every candidate had its trial
    #[arg(long, value_name = "RATIO")]
    assert: Option<f64>,
    /// Writes every verdict as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The JSON file.
#[derive(Serialize)]
struct Document {
    version: &'static str,
    wgpu: Option<&'static str>,
    /// When the run began, UTC.
    date: String,
    command: Vec<String>,
    adapter: AdapterReport,
    /// Why the run ended before its last layer.
    ended_early: Option<String>,
    layers: Vec<Record>,
}

/// A layer in the JSON file.
#[derive(Serialize)]
struct Record {
    layer: String,
    problem: String,
    /// Candidates that had no trial.
    untried: usize,
    #[serde(flatten)]
    tuned: Tuned,
}

pub fn run(args: &Args) -> Outcome {
    if let Some(ratio) = args.assert
        && !(ratio.is_finite() && ratio >= 1.0)
    {
        return Err(Failure::Usage(format!("--assert is {ratio}: it is a ratio of 1 or more")));
    }
    try_outputs([("--json", args.json.as_deref())])?;
    let layers = args.selection.layers()?;
    let gpu = open_gpu(args.selection.adapter.as_deref())?;
    gpu.set_tuning(Tuning::Cached, args.cache.as_deref());
    say!("{}", gpu.report());
    match gpu.tuning_file() {
        Some(file) => say!("verdicts: {}", one_line(&file.display().to_string())),
        None => say!("verdicts: not kept, for this system has no folder for caches; --cache names one"),
    }
    interrupt::listen();
    let mut document = Document {
        version: env!("CARGO_PKG_VERSION"),
        wgpu: option_env!("WGCONV_WGPU_VERSION"),
        date: machine::now(),
        command: std::env::args().collect(),
        adapter: gpu.report().clone(),
        ended_early: None,
        layers: Vec::new(),
    };
    let bar = ProgressBar::new(layers.len() as u64); // hidden by itself when stderr is no terminal
    if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} layers, {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    let (mut failed, mut outcome) = (0, Ok(()));
    for layer in &layers {
        if interrupt::pressed() {
            break;
        }
        let op = layer.op();
        let name = one_line(&layer.name);
        bar.suspend(|| say!("\n{name}  {} {op}", op.name()));
        match tune(&gpu, op, args, &name, &bar) {
            Ok((tuned, untried)) => {
                bar.suspend(|| print(&tuned, untried));
                document.layers.push(Record { layer: layer.name.clone(), problem: format!("{} {op}", op.name()), untried, tuned });
            }
            Err(lost @ wgconv::Error::DeviceLost { .. }) => {
                document.ended_early = Some(lost.to_string());
                outcome = Err(lost.into());
                break;
            }
            Err(error) => {
                bar.suspend(|| complain(&format!("{name}: {error}")));
                failed += 1;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if interrupt::pressed() {
        document.ended_early = Some("cancelled".into());
        say!("\ncancelled: {} of {} layers", document.layers.len(), layers.len());
    }
    let wrong = summary(&document.layers);
    if wrong > 0 {
        say!("{wrong} candidates are wrong on this device and refused; please report them");
    }
    all([outcome, args.json.as_ref().map_or(Ok(()), |path| write_json(path, &document))])?;
    if failed > 0 {
        return Err(Failure::Run(format!("{failed} of {} layers could not be tuned", layers.len())));
    }
    if interrupt::pressed() {
        return Err(Failure::Interrupted);
    }
    args.assert.map_or(Ok(()), |most| check_lags(&document.layers, most))
}

/// Tunes a layer within the budget, or until Ctrl-C, and counts the candidates that are left untried.
fn tune(gpu: &Gpu, op: &Op, args: &Args, name: &str, bar: &ProgressBar) -> Result<(Tuned, usize), wgconv::Error> {
    let labels = candidates(gpu, op)?;
    let known = if args.again { None } else { gpu.tuned(op) };
    let tuned = gpu.tune_while(op, args.budget, known, &mut |tuned| {
        let label = tuned.candidates.last().map_or("", |candidate| candidate.label.as_str());
        bar.set_message(format!("{name}: {} of {}, {label}", tuned.candidates.len(), labels.len()));
        if interrupt::pressed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let untried = labels.iter().filter(|label| tuned.candidates.iter().all(|candidate| candidate.label != **label)).count();
    Ok((tuned, untried))
}

/// Says how far the planner's choices are from the best, where they were compared with anything, and counts the wrong candidates.
fn summary(records: &[Record]) -> usize {
    let timed = |tuned: &Tuned| tuned.candidates.iter().filter(|c| matches!(c.verdict, Verdict::Verified { .. } | Verdict::Slow { .. })).count();
    let lags: Vec<f64> = records.iter().filter(|r| timed(&r.tuned) > 1).filter_map(|r| r.tuned.lag()).collect();
    if !lags.is_empty() {
        let mean = (lags.iter().map(|lag| lag.ln()).sum::<f64>() / lags.len() as f64).exp();
        let worst = lags.iter().copied().fold(1.0, f64::max);
        say!(
            "\n{} layers: the planner's own choice takes {mean:.2} times as long as the fastest (geometric mean), at worst {worst:.2} times",
            lags.len()
        );
    }
    let (incomplete, untried) = (records.iter().filter(|r| r.untried > 0).count(), records.iter().map(|r| r.untried).sum::<usize>());
    if incomplete > 0 {
        say!("\n{untried} candidates of {incomplete} layers are left untried: --budget takes more seconds, and what is known is kept");
    }
    records.iter().flat_map(|r| &r.tuned.candidates).filter(|c| matches!(c.verdict, Verdict::Wrong { .. })).count()
}

/// What was not tried may be faster, and what was not verified may be wrong.
fn check_lags(records: &[Record], most: f64) -> Outcome {
    let lagging = records.iter().filter_map(|record| {
        let why = match record.tuned.lag() {
            Some(lag) if lag > most => format!("{lag:.2}"),
            Some(lag) if !record.tuned.complete => format!("{lag:.2} so far: the budget ended first"),
            None if record.tuned.candidates.is_empty() => "nothing was tried: the budget ended first".into(),
            None => "its own choice is not verified".into(),
            Some(_) => return None,
        };
        Some(format!("{} ({why})", record.layer))
    });
    let lagging: Vec<String> = lagging.collect();
    if lagging.is_empty() {
        return Ok(());
    }
    Err(Failure::Run(format!("the planner's choice lags by more than {most}, or may, on {}", lagging.join(", "))))
}

/// A line for each candidate, the fastest first; `<--` marks the planner's own choice.
fn print(tuned: &Tuned, untried: usize) {
    let mut candidates: Vec<_> = tuned.candidates.iter().collect();
    let place = |verdict: &Verdict| match verdict {
        Verdict::Verified { seconds } => (0, *seconds),
        Verdict::Slow { seconds } => (1, *seconds),
        _ => (2, 0.0),
    };
    candidates.sort_by(|a, b| place(&a.verdict).partial_cmp(&place(&b.verdict)).unwrap_or(std::cmp::Ordering::Equal));
    for candidate in candidates {
        let mark = if candidate.label == tuned.heuristic { " <--" } else { "" };
        let verdict = match &candidate.verdict {
            Verdict::Verified { seconds } => format!("{:10.3} ms", seconds * 1e3),
            Verdict::Slow { seconds } => format!("{:10.3} ms, slow: one run", seconds * 1e3),
            Verdict::Wrong { reason } => format!("WRONG, refused: {}", one_line(reason)),
            Verdict::Failed { reason } => format!("failed: {}", one_line(reason)),
            Verdict::Interrupted { times } => format!("{times} of its trials never ended"),
        };
        say!("  {:36} {verdict}{mark}", one_line(&candidate.label));
    }
    match (untried, tuned.candidates.is_empty()) {
        (0, _) => {}
        (_, true) => say!("  nothing was tried: no trial fits into the budget"),
        (_, false) => say!("  {untried} of {} candidates are left untried", untried + tuned.candidates.len()),
    }
}
