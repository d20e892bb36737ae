//! `wgconv validate`: the library's proofs on one adapter or all, or test vectors from a folder.

use crate::vectors::{self, BrokenEntry, Entry, Family};
use crate::{Failure, Outcome, one_line, open_gpu, say, write_json};
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wgconv::Gpu;
use wgconv::validate::{CaseResult, Options, Outcome as CaseOutcome, Report, run as prove};

#[derive(clap::Args)]
pub struct Args {
    /// Adapter by number or part of its name
    #[arg(long, conflicts_with = "all_adapters")]
    adapter: Option<String>,
    /// Every adapter of this machine in turn
    #[arg(long)]
    all_adapters: bool,
    /// Only cases whose id contains this
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// The full grid
    #[arg(long)]
    full: bool,
    /// Test vectors instead of the grid: a family folder, or a folder of such
    #[arg(long, value_name = "DIR")]
    vectors: Vec<PathBuf>,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let mut reports = Vec::new();
    if args.all_adapters {
        let all = wgconv::gpu::adapters();
        if all.is_empty() {
            open_gpu(None)?; // fails with the reason and the remedy
        }
        for adapter in all {
            let index = adapter.index.to_string();
            reports.push(match open_gpu(Some(&index)) {
                Ok(gpu) => run_on(&gpu, args, Some(&index))?,
                // An adapter that does not open is a failure of its own; the others still have their turn.
                Err(error) => {
                    let result = CaseResult { id: format!("adapter/{index}"), outcome: CaseOutcome::Failed(error.to_string()) };
                    say!("FAILED {}: {} [wgconv info]", result.id, one_line(&error.to_string()));
                    Report { adapter, version: env!("CARGO_PKG_VERSION"), results: vec![result] }
                }
            });
        }
    } else {
        reports.push(run_on(&open_gpu(args.adapter.as_deref())?, args, args.adapter.as_deref())?);
    }
    let mut counts = [0; 3];
    for report in &reports {
        for (sum, count) in counts.iter_mut().zip(report.counts()) {
            *sum += count;
        }
    }
    if let Some(path) = &args.json {
        write_json(path, &reports)?;
    }
    let [passed, failed, skipped] = counts;
    say!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        return Err(Failure::Reported);
    }
    if passed == 0 {
        let what = args
            .only
            .as_ref()
            .map_or_else(|| "there was nothing to run".to_string(), |only| format!("no case that can run here contains \"{only}\""));
        return Err(Failure::Run(format!("nothing was proven: {what}")));
    }
    Ok(())
}

/// One adapter's run; `adapter` is how the user, or the list, names it.
fn run_on(gpu: &Gpu, args: &Args, adapter: Option<&str>) -> Result<Report, Failure> {
    say!("{}", gpu.report());
    let again = adapter.map_or_else(String::new, |a| format!("--adapter {} ", quoted(a)));
    let report = if args.vectors.is_empty() { run_grid(gpu, args, &again)? } else { run_vectors(gpu, args, &again)? };
    print_skips(&report);
    Ok(report)
}

/// As a shell takes it back: in single quotes where it is more than letters, digits and the signs of a path.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-,:=+@%".contains(c)) {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64); // hidden by itself when stderr is no terminal
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn print_failure(bar: &ProgressBar, result: &CaseResult, reproduce: &str) {
    if let CaseOutcome::Failed(why) = &result.outcome {
        let (id, why) = (&result.id, one_line(why)); // one line, whatever a driver says
        bar.suspend(|| say!("FAILED {id}: {why} [wgconv validate {reproduce}--only {}]", quoted(id)));
    }
}

/// Skips, one line a reason.
fn print_skips(report: &Report) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for result in &report.results {
        if let CaseOutcome::Skipped(why) = &result.outcome {
            *reasons.entry(why).or_default() += 1;
        }
    }
    for (why, count) in reasons {
        say!("skipped {count}: {why}");
    }
}

fn run_grid(gpu: &Gpu, args: &Args, again: &str) -> Result<Report, Failure> {
    let progress_bar = bar(0);
    let options = Options { only: args.only.clone(), full: args.full };
    let reproduce = format!("{again}{}", if args.full { "--full " } else { "" });
    let report = prove(gpu, &options, &mut |progress| {
        progress_bar.set_length(progress.total as u64);
        progress_bar.set_position(progress.done as u64);
        progress_bar.set_message(progress.result.id.clone());
        print_failure(&progress_bar, progress.result, &reproduce);
    })?;
    progress_bar.finish_and_clear();
    Ok(report)
}

fn run_vectors(gpu: &Gpu, args: &Args, again: &str) -> Result<Report, Failure> {
    let mut results = Vec::new();
    let (mut gradients, mut training) = (0, 0);
    for dir in &args.vectors {
        let wanted = |address: &str| args.only.as_deref().is_none_or(|only| address.contains(only));
        let reproduce = format!("{again}--vectors {} ", quoted(&dir.display().to_string()));
        let folders = vectors::read(dir).map_err(Failure::Run)?;
        let total = folders.iter().map(|f| match &f.family {
            Family::Cases { cases, .. } => cases.len(),
            Family::Bad(calls) => calls.len(),
            Family::Broken(_) => 1,
        });
        let progress_bar = bar(total.sum());
        let mut push = |result: CaseResult| {
            print_failure(&progress_bar, &result, &reproduce);
            results.push(result);
        };
        for folder in &folders {
            match &folder.family {
                // A broken folder is reported whatever --only says: which cases it would have held, nobody knows.
                Family::Broken(why) => push(CaseResult { id: folder.name.clone(), outcome: CaseOutcome::Failed(why.clone()) }),
                Family::Bad(calls) => {
                    for call in calls {
                        progress_bar.inc(1);
                        let id = address(&folder.name, call, |call| &call.name);
                        if wanted(&id) {
                            let outcome = match call {
                                Ok(call) => vectors::refuse(gpu, call),
                                Err(broken) => Some(CaseOutcome::Failed(broken.why.clone())),
                            };
                            match outcome {
                                Some(outcome) => push(CaseResult { id, outcome }),
                                None => training += 1,
                            }
                        }
                    }
                }
                Family::Cases { cases, tensors } => {
                    let tensors = SafeTensors::deserialize(tensors).map_err(|e| Failure::Run(format!("{}: {e}", folder.name)))?;
                    for case in cases {
                        progress_bar.inc(1);
                        let id = address(&folder.name, case, |case| &case.name);
                        if !wanted(&id) {
                            continue;
                        }
                        progress_bar.set_message(id.clone());
                        let checked = match case {
                            Ok(case) => vectors::check(gpu, case, &tensors).inspect(|_| gradients += usize::from(!case.grads.is_empty())),
                            Err(BrokenEntry { why, .. }) => Some(CaseOutcome::Failed(why.clone())),
                        };
                        match checked {
                            Some(outcome) => push(CaseResult { id, outcome }),
                            None => training += 1,
                        }
                        gpu.wait()?; // a lost device ends the run here, not as a failure of every case after it
                    }
                }
            }
        }
        progress_bar.finish_and_clear();
    }
    if gradients > 0 {
        say!("grads: not checked ({gradients} cases have them; counted neither as passed nor as failed)");
    }
    if training > 0 {
        say!("training: not checked ({training} cases of losses, optimizers and training-mode batch norm; counted neither way)");
    }
    Ok(Report { adapter: gpu.report().clone(), version: env!("CARGO_PKG_VERSION"), results })
}

/// `<family>/<name>` of an entry, broken or not.
fn address<T>(family: &str, entry: &Entry<T>, name: impl Fn(&T) -> &String) -> String {
    let name = match entry {
        Ok(whole) => name(whole),
        Err(broken) => &broken.name,
    };
    format!("{family}/{name}")
}
