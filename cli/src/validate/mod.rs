//! `wgconv validate`: the library's checks on one adapter or all, or test vectors from a folder.
//!
//! `grid` and `family` run the cases, `sink` takes what they find, `report` writes it, `failure` keeps what a failing case read and wrote.

mod failure;
mod family;
mod grid;
mod lists;
mod report;
mod sink;

use crate::arguments::{all, seconds, try_outputs};
use crate::{Failure, Outcome, interrupt, machine, one_line, say, write_json, write_text};
use clap::ValueEnum;
use lists::{Lists, Status};
use report::{Counts, Document, Options, Record, Run};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgconv::validate::{CaseResult, Outcome as CaseOutcome};
use wgconv::{Gpu, GpuDescriptor, wgpu};

#[derive(clap::Args)]
pub struct Args {
    /// Adapter by number or part of its name
    #[arg(long, conflicts_with = "all_adapters")]
    adapter: Option<String>,
    /// Every adapter of this machine in turn
    #[arg(long)]
    all_adapters: bool,
    /// Limits to open the device with: the adapter's own, WebGPU's defaults (every browser), wgpu's for downlevel devices, or the least that this crate is checked
    /// with: bindings of 1 MiB, 64 workgroups an axis, 4 storage buffers, 16 KiB of workgroup memory
    #[arg(long, value_enum, default_value_t)]
    limits: Limits,
    /// Only cases whose id contains this, or the one case whose id it is; given several times, any of them
    #[arg(long, value_name = "SUBSTRING")]
    only: Vec<String>,
    /// The full grid
    #[arg(long)]
    full: bool,
    /// Only the I-th of N parts of the cases that are asked for, such as 1/8: neighbours, as many in each part, for processes side by side
    #[arg(long, value_name = "I/N", value_parser = Shard::parse, conflicts_with = "vectors")]
    shard: Option<Shard>,
    /// Test vectors instead of the grid: a family folder, or a folder of such
    #[arg(long, value_name = "DIR")]
    vectors: Vec<PathBuf>,
    /// Prints the ids of the cases and runs none
    #[arg(long, conflicts_with_all = ["json", "results", "junit", "failures", "adapter", "all_adapters"])]
    list: bool,
    /// Ends after so many seconds on each adapter, after the case under way; cases of the grid come in a fixed order that mixes all ops then
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    budget: Option<Duration>,
    #[command(flatten)]
    lists: lists::ListFiles,
    /// Writes the report as JSON: machine, driver, command, counts, every case with its time
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes name, status and seconds of each case, as deqp-runner's results.csv
    #[arg(long, value_name = "FILE.csv")]
    results: Option<PathBuf>,
    /// Writes the report as JUnit's XML
    #[arg(long, value_name = "FILE.xml")]
    junit: Option<PathBuf>,
    /// Keeps, of each op and algorithm, the smallest failing case in a folder within this one: inputs, what was expected, what came out, WGSL and SPIR-V;
    /// of each failing network its graph
    #[arg(long, value_name = "DIR", conflicts_with = "vectors")]
    failures: Option<PathBuf>,
}

/// Limits of the device that is opened.
#[derive(Clone, Copy, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Limits {
    #[default]
    Adapter,
    Webgpu,
    Downlevel,
    Tiny,
}

/// The `index`-th of `count` parts, from 1 on.
#[derive(Clone, Copy, serde::Serialize)]
struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if 1 <= index && index <= count => Ok(Self { index, count }),
            _ => Err("it is I/N with I from 1 to N, such as 1/8".into()),
        }
    }

    /// Where its part of so many cases lies: every case is in one part.
    fn range(self, cases: usize) -> std::ops::Range<usize> {
        let begin = |part: usize| (part as u128 * cases as u128 / self.count as u128) as usize;
        begin(self.index - 1)..begin(self.index)
    }
}

impl Args {
    fn open(&self, adapter: Option<&str>) -> Result<Gpu, wgconv::Error> {
        let limits = match self.limits {
            Limits::Adapter => None,
            Limits::Webgpu => Some(wgpu::Limits::default()),
            Limits::Downlevel => Some(wgpu::Limits::downlevel_defaults()),
            Limits::Tiny => Some(wgconv::validate::tiny_limits()),
        };
        Gpu::with_descriptor(&GpuDescriptor { adapter: adapter.map(str::to_string), limits, ..Default::default() })
    }

    /// Whether a case of this id is asked for.
    fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| id.contains(only))
    }
}

pub fn run(args: &Args) -> Outcome {
    if args.list {
        return list(args);
    }
    let files = [("--json", &args.json), ("--results", &args.results), ("--junit", &args.junit)];
    try_outputs(files.map(|(argument, path)| (argument, path.as_deref())))?;
    if let Some(folder) = &args.failures {
        std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("--failures is {}: {e}", folder.display())))?;
        try_outputs([("--failures", Some(folder.join("README.md").as_path()))])?;
    }
    let lists = args.lists.read()?;
    let start = Instant::now();
    let mut document = Document::new(Options {
        full: args.full,
        limits: args.limits,
        only: args.only.clone(),
        shard: args.shard,
        vectors: args.vectors.iter().map(|dir| dir.display().to_string()).collect(),
        budget_seconds: args.budget.map(|budget| budget.as_secs_f64()),
        lists: args.lists.any(),
    });
    let outcome = run_all(args, &lists, &mut document);
    document.seconds = start.elapsed().as_secs_f64();
    for run in &document.runs {
        document.counts.add(&run.counts);
    }
    let counts = document.counts;
    if document.runs.is_empty() {
        return outcome; // nothing ran: there is nothing to write
    }
    // Whatever ended the run, what was found is kept, in every file that can be written.
    let written = all([
        args.json.as_ref().map_or(Ok(()), |path| write_json(path, &document)),
        args.results.as_ref().map_or(Ok(()), |path| document.write_results(path)),
        args.junit.as_ref().map_or(Ok(()), |path| write_text(path, &document.junit())),
    ]);
    if let Some(why) = &document.ended_early {
        say!("{why}: {} cases not run", counts.not_run);
    }
    say!("time: {}", machine::stretch(document.seconds));
    say!("{counts}");
    all([outcome, written])?;
    if counts.wrong() > 0 {
        return Err(Failure::Reported);
    }
    if interrupt::pressed() {
        return Err(Failure::Interrupted);
    }
    if counts.ran() == 0 && document.ended_early.is_none() {
        let only: Vec<String> = args.only.iter().map(|only| format!("\"{only}\"")).collect();
        let what =
            if only.is_empty() { "there was nothing to run".into() } else { format!("no case that can run here contains {}", only.join(" or ")) };
        return Err(Failure::Run(format!("nothing was verified: {what}")));
    }
    Ok(())
}

/// Prints the ids of the cases.
fn list(args: &Args) -> Outcome {
    let lists = args.lists.read()?;
    let ids: Vec<String> = if args.vectors.is_empty() { grid::cases(args)?.iter().map(grid::Subject::id).collect() } else { family::ids(args)? };
    ids.iter().filter(|id| !lists.skips(id)).for_each(|id| say!("{}", one_line(id)));
    Ok(())
}

/// Runs on every adapter that is asked for, each of which leaves its results in the document.
fn run_all(args: &Args, lists: &Lists, document: &mut Document) -> Outcome {
    if !args.all_adapters {
        let gpu = args.open(args.adapter.as_deref())?;
        interrupt::listen();
        return run_on(&gpu, args, lists, args.adapter.as_deref(), document);
    }
    let every = wgconv::gpu::adapters();
    if every.is_empty() {
        args.open(None)?; // fails with the reason and the remedy
    }
    interrupt::listen();
    let mut outcomes = Vec::new();
    for adapter in every {
        if interrupt::pressed() {
            break;
        }
        let index = adapter.index.to_string();
        match args.open(Some(&index)) {
            Ok(gpu) => outcomes.push(run_on(&gpu, args, lists, Some(&index), document)),
            // An adapter that does not open is a failure of its own; the others still have their turn.
            Err(error) => {
                let result = CaseResult { id: format!("adapter/{index}"), outcome: CaseOutcome::Failed(error.to_string()) };
                say!("FAILED {}: {} [wgconv info]", result.id, one_line(&error.to_string()));
                let results = vec![Record { result, status: Status::Fail, seconds: 0.0 }];
                document.runs.push(Run { adapter, seconds: 0.0, counts: Counts::of(&results, 0), error: None, results });
            }
        }
    }
    all(outcomes)
}

/// One adapter's run; `adapter` is how the user, or the list, names it.
fn run_on(gpu: &Gpu, args: &Args, lists: &Lists, adapter: Option<&str>, document: &mut Document) -> Outcome {
    say!("{}", gpu.report());
    let start = Instant::now();
    // A budget that no clock reaches is none.
    let deadline = args.budget.and_then(|budget| start.checked_add(budget));
    let mut again = adapter.map_or_else(String::new, |a| format!("--adapter {} ", quoted(a)));
    if let Some(limits) = args.limits.to_possible_value().filter(|_| !matches!(args.limits, Limits::Adapter)) {
        again += &format!("--limits {} ", limits.get_name());
    }
    let (mut sink, outcome) =
        if args.vectors.is_empty() { grid::run(gpu, args, lists, deadline, &again) } else { family::run(gpu, args, lists, deadline, &again) };
    let left = sink.left();
    let error = match &outcome {
        Err(Failure::Run(why) | Failure::Usage(why)) => Some(why.clone()),
        _ => None,
    };
    // What cannot even begin has no report.
    if sink.records.is_empty() && error.is_some() {
        return outcome;
    }
    if let Some(why) = sink.ended_early.take().or_else(|| error.clone()) {
        document.ended_early = Some(why);
    }
    let results = std::mem::take(&mut sink.records);
    let counts = Counts::of(&results, left);
    document.runs.push(Run { adapter: gpu.report().clone(), seconds: start.elapsed().as_secs_f64(), counts, error, results });
    outcome
}

/// As a shell takes it back: in single quotes where it is more than letters, digits and the signs of a path.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-,:=+@%".contains(c)) {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts lie side by side from the first case to the last, as long as each other but for one case.
    #[test]
    fn every_case_is_in_one_shard() {
        for (cases, count) in [(0, 1), (1, 3), (7, 3), (9, 3), (14_974, 60), (5, 5)] {
            let parts: Vec<_> = (1..=count).map(|index| Shard { index, count }.range(cases)).collect();
            assert_eq!((parts[0].start, parts[count - 1].end), (0, cases));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].start), "{cases} in {count}");
            assert!(parts.iter().all(|part| part.len() == cases / count || part.len() == cases.div_ceil(count)), "{cases} in {count}");
        }
        assert!(["", "3", "0/3", "4/3", "1/0", "-1/3", "1/3/4", "a/b", "1/99999999999999999999"].iter().all(|text| Shard::parse(text).is_err()));
        assert!(Shard::parse("3/3").is_ok_and(|shard| (shard.index, shard.count) == (3, 3)));
    }
}
