//! A validation by test vectors: families of cases and of calls that must be refused, one folder after the other.

use super::lists::Lists;
use super::sink::Sink;
use super::{Args, quoted};
use crate::Failure;
use crate::vectors::{self, Entry, Family};
use safetensors::SafeTensors;
use std::path::PathBuf;
use std::time::Instant;
use wgconv::Gpu;
use wgconv::validate::{CaseResult, Outcome};

/// Pipelines that are kept: those of a few cases.
const MOST_PIPELINES: usize = 64;

/// The addresses of what is asked for.
pub fn ids(args: &Args) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for folder in folders(args)? {
        let folder = vectors::read_family(&folder.1);
        match &folder.family {
            Family::Broken(_) => ids.push(folder.name.clone()),
            Family::Bad(calls) => ids.extend(calls.iter().map(|call| address(&folder.name, call, |call| &call.name))),
            Family::Cases { cases, .. } => ids.extend(cases.iter().map(|case| address(&folder.name, case, |case| &case.name))),
        }
    }
    ids.retain(|id| args.wants(id));
    Ok(ids)
}

/// Every family folder, with the argument that it comes from.
fn folders(args: &Args) -> Result<Vec<(&PathBuf, PathBuf)>, Failure> {
    let mut all = Vec::new();
    for dir in &args.vectors {
        all.extend(vectors::folders(dir).map_err(Failure::Run)?.into_iter().map(|folder| (dir, folder)));
    }
    Ok(all)
}

/// Runs them; see [`super::grid::run`]. One family is in memory at a time.
pub fn run<'a>(gpu: &Gpu, args: &Args, lists: &'a Lists, deadline: Option<Instant>, again: &str) -> (Sink<'a>, Result<(), Failure>) {
    let folders = match folders(args) {
        Ok(folders) => folders,
        Err(failure) => return (Sink::new(lists, 0, deadline), Err(failure)),
    };
    // A case forces every algorithm, so few kernels come again: on a software driver each takes megabytes for nothing.
    gpu.set_pipeline_limit(MOST_PIPELINES);
    let total = folders.iter().map(|(_, folder)| vectors::entry_count(folder)).sum();
    let mut sink = Sink::new(lists, total, deadline);
    let mut outcome = Ok(());
    for (dir, folder) in &folders {
        let again = format!("{again}--vectors {} ", quoted(&dir.display().to_string()));
        outcome = run_folder(gpu, args, lists, &vectors::read_family(folder), &again, &mut sink);
        if outcome.is_err() || sink.ended_early.is_some() {
            break;
        }
    }
    sink.finish();
    (sink, outcome)
}

fn run_folder(gpu: &Gpu, args: &Args, lists: &Lists, folder: &vectors::Folder, again: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
    // Whether a case is to run; `Break` ends the run.
    let begins = |sink: &mut Sink<'_>, id: &str| -> Option<bool> {
        if sink.next().is_break() {
            return None;
        }
        if !args.wants(id) {
            sink.pass_over();
            return Some(false);
        }
        if lists.skips(id) {
            sink.skip(id.to_string());
            return Some(false);
        }
        sink.begin(id);
        Some(true)
    };
    match &folder.family {
        // A broken folder is reported whatever --only says: which cases it would have held, nobody knows.
        Family::Broken(why) => sink.add(CaseResult { id: folder.name.clone(), outcome: Outcome::Failed(why.clone()) }, 0.0, again),
        Family::Bad(calls) => {
            for call in calls {
                let id = address(&folder.name, call, |call| &call.name);
                match begins(sink, &id) {
                    None => return Ok(()),
                    Some(false) => continue,
                    Some(true) => {}
                }
                let start = Instant::now();
                let outcome = match call {
                    Ok(call) => vectors::refuse(gpu, call),
                    Err(broken) => Outcome::Failed(broken.why.clone()),
                };
                sink.add(CaseResult { id, outcome }, start.elapsed().as_secs_f64(), again);
            }
        }
        Family::Cases { cases, tensors } => {
            let tensors = SafeTensors::deserialize(tensors).map_err(|e| Failure::Run(format!("{}: {e}", folder.name)))?;
            for case in cases {
                let id = address(&folder.name, case, |case| &case.name);
                match begins(sink, &id) {
                    None => return Ok(()),
                    Some(false) => continue,
                    Some(true) => {}
                }
                let start = Instant::now();
                let outcome = match case {
                    Ok(case) => vectors::check(gpu, case, &tensors),
                    Err(broken) => Outcome::Failed(broken.why.clone()),
                };
                sink.add(CaseResult { id, outcome }, start.elapsed().as_secs_f64(), again);
                gpu.wait()?; // a lost device ends the run here, not as a failure of every case after it
            }
        }
    }
    Ok(())
}

/// `<family>/<name>` of an entry, broken or not.
fn address<T>(family: &str, entry: &Entry<T>, name: impl Fn(&T) -> &String) -> String {
    let name = match entry {
        Ok(whole) => name(whole),
        Err(broken) => &broken.name,
    };
    format!("{family}/{name}")
}
