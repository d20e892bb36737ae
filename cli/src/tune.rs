//! `wgconv tune`: proves and times every candidate plan of a suite's layers, keeps the verdicts, and says how far the planner's own
//! choice is from the best.

use crate::suites::Selection;
use crate::{Failure, Outcome, complain, open_gpu, say, write_json};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use wgconv::tune::{Tuned, Tuning, Verdict};

/// What to tune.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Seconds for each layer
    #[arg(long, default_value_t = 60.0)]
    budget: f64,
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

/// A layer in the JSON file.
#[derive(Serialize)]
struct Record {
    layer: String,
    problem: String,
    #[serde(flatten)]
    tuned: Tuned,
}

pub fn run(args: &Args) -> Outcome {
    if !(args.budget.is_finite() && args.budget >= 0.0) {
        return Err(Failure::Usage(format!("--budget is {}: it is a number of seconds, 0 or more", args.budget)));
    }
    if let Some(ratio) = args.assert
        && !(ratio.is_finite() && ratio >= 1.0)
    {
        return Err(Failure::Usage(format!("--assert is {ratio}: it is a ratio of 1 or more")));
    }
    let layers = args.selection.layers()?;
    let gpu = open_gpu(args.selection.adapter.as_deref())?;
    gpu.set_tuning(Tuning::Cached, args.cache.as_deref());
    say!("{}", gpu.report());
    match gpu.tuning_file() {
        Some(file) => say!("verdicts: {}", file.display()),
        None => say!("verdicts: not kept, for this system has no folder for caches; --cache names one"),
    }
    let (mut records, mut wrong, mut lagging, mut failed) = (Vec::new(), 0, Vec::new(), 0);
    for layer in &layers {
        let op = layer.op();
        say!("\n{}  {} {op}", layer.name, op.name());
        let known = if args.again { None } else { gpu.tuned(op) };
        let tuned = match gpu.tune(op, Duration::from_secs_f64(args.budget), known) {
            Ok(tuned) => tuned,
            Err(lost @ wgconv::Error::DeviceLost { .. }) => return Err(lost.into()),
            Err(error) => {
                complain(&format!("{}: {error}", layer.name));
                failed += 1;
                continue;
            }
        };
        print(&tuned);
        wrong += tuned.candidates.iter().filter(|c| matches!(c.verdict, Verdict::Wrong { .. })).count();
        match (args.assert, tuned.lag()) {
            (Some(most), Some(lag)) if lag > most => lagging.push(format!("{} ({lag:.2})", layer.name)),
            // What was not tried may be faster.
            (Some(_), Some(lag)) if !tuned.complete => lagging.push(format!("{} ({lag:.2} so far: the budget ended first)", layer.name)),
            (Some(_), None) => lagging.push(format!("{} (its own choice is not proven)", layer.name)),
            _ => {}
        }
        records.push(Record { layer: layer.name.clone(), problem: format!("{} {op}", op.name()), tuned });
    }
    let lags: Vec<f64> = records.iter().filter_map(|r| r.tuned.lag()).collect();
    let complete = records.iter().filter(|r| r.tuned.complete).count();
    if !lags.is_empty() {
        let mean = (lags.iter().map(|lag| lag.ln()).sum::<f64>() / lags.len() as f64).exp();
        let worst = lags.iter().copied().fold(1.0, f64::max);
        say!(
            "\n{} layers: the planner's own choice takes {mean:.2} times as long as the fastest (geometric mean), at worst {worst:.2} times",
            lags.len()
        );
        if complete < records.len() {
            say!("on {} of them the budget ended before every candidate had its trial: --budget takes more seconds", records.len() - complete);
        }
    }
    if wrong > 0 {
        say!("{wrong} candidates are wrong on this device and refused; please report them");
    }
    if let Some(path) = &args.json {
        write_json(path, &records)?;
    }
    if failed > 0 {
        return Err(Failure::Run(format!("{failed} of {} layers could not be tuned", layers.len())));
    }
    match (args.assert, lagging.is_empty()) {
        (Some(most), false) => Err(Failure::Run(format!("the planner's choice lags by more than {most}, or may, on {}", lagging.join(", ")))),
        _ => Ok(()),
    }
}

/// A line for each candidate, the fastest first; `<--` marks the planner's own choice.
fn print(tuned: &Tuned) {
    let mut candidates: Vec<_> = tuned.candidates.iter().collect();
    let place = |verdict: &Verdict| match verdict {
        Verdict::Proven { seconds } => (0, *seconds),
        Verdict::Slow { seconds } => (1, *seconds),
        _ => (2, 0.0),
    };
    candidates.sort_by(|a, b| place(&a.verdict).partial_cmp(&place(&b.verdict)).unwrap_or(std::cmp::Ordering::Equal));
    for candidate in candidates {
        let mark = if candidate.label == tuned.heuristic { " <--" } else { "" };
        let verdict = match &candidate.verdict {
            Verdict::Proven { seconds } => format!("{:10.3} ms", seconds * 1e3),
            Verdict::Slow { seconds } => format!("{:10.3} ms, slow: one run", seconds * 1e3),
            Verdict::Wrong { reason } => format!("WRONG, refused: {reason}"),
            Verdict::Failed { reason } => format!("failed: {reason}"),
            Verdict::Interrupted { times } => format!("{times} of its trials never ended"),
        };
        say!("  {:36} {verdict}{mark}", candidate.label);
    }
    if !tuned.complete {
        say!("  the budget ended before every candidate had its trial");
    }
}
