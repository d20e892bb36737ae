//! A validation by the library's own grid of cases.

use super::failure;
use super::lists::Lists;
use super::sink::Sink;
use super::{Args, quoted};
use crate::{Failure, complain};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;
use wgconv::Gpu;
use wgconv::numeric::Generator;
use wgconv::op::Problem;
use wgconv::validate::{Case, grid, run_cases};

/// The cases that are asked for. With a budget they come in a fixed order that mixes all ops, so that what it ends says something of each.
pub fn cases(args: &Args) -> Result<Vec<Case>, Failure> {
    let mut cases = grid::cases(args.full)?;
    // What is the whole id of a case is not meant as a part of others.
    let ids: HashSet<String> = cases.iter().map(Case::id).collect();
    let wanted = |id: &str| args.only.iter().any(|only| if ids.contains(only) { id == only } else { id.contains(only) });
    cases.retain(|case| args.only.is_empty() || wanted(&case.id()));
    if args.budget.is_some() {
        cases.sort_by_cached_key(|case| Generator::from_text(&case.id()).real().to_bits());
    }
    Ok(cases)
}

/// Runs them; `again` names the adapter for whoever runs one of them again. An error ends the run, and what is done stays in the sink.
pub fn run<'a>(gpu: &Gpu, args: &Args, lists: &'a Lists, deadline: Option<Instant>, again: &str) -> (Sink<'a>, Result<(), Failure>) {
    let cases = match cases(args) {
        Ok(cases) => cases,
        Err(failure) => return (Sink::new(lists, 0, deadline), Err(failure)),
    };
    let again = format!("{again}{}", if args.full { "--full " } else { "" });
    let mut sink = Sink::new(lists, cases.len(), deadline);
    let (left_out, cases): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| lists.skips(&case.id()));
    left_out.iter().for_each(|case| sink.skip(case.id()));
    if sink.next().is_break() {
        return (sink, Ok(()));
    }
    let outcome = run_cases(gpu, &cases, &mut |progress| {
        sink.add(progress.result.clone(), progress.seconds, &again);
        sink.next()
    });
    sink.finish();
    if let (Some(folder), Ok(_)) = (&args.failures, &outcome) {
        for case in smallest(&cases, &sink) {
            // What a failure cannot be kept by is no reason to lose the others.
            let replay = format!("wgconv validate {again}--only {}", quoted(&case.id()));
            if let Err(Failure::Run(why)) = failure::write(gpu, case, folder, &replay) {
                complain(&format!("--failures: {}: {why}", case.id()));
            }
        }
    }
    (sink, outcome.map(|_| ()).map_err(Failure::from))
}

/// Of each op and algorithm the failing case with the fewest elements.
fn smallest<'a>(cases: &'a [Case], sink: &Sink<'_>) -> Vec<&'a Case> {
    let failed: HashSet<&str> = sink.records.iter().filter(|record| record.status.is_wrong()).map(|record| record.result.id.as_str()).collect();
    let elements = |case: &Case| -> u64 { case.op.inputs().iter().chain(&case.op.outputs()).map(|spec| spec.count()).sum() };
    let mut smallest: BTreeMap<(&str, &str), &Case> = BTreeMap::new();
    for case in cases.iter().filter(|case| failed.contains(case.id().as_str())) {
        let kept = smallest.entry((case.op.name(), &case.algorithm)).or_insert(case);
        if elements(case) < elements(kept) {
            *kept = case;
        }
    }
    smallest.into_values().collect()
}
