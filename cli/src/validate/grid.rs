//! A validation by the library's own grid of cases, ops and networks.

use super::failure;
use super::lists::Lists;
use super::sink::Sink;
use super::{Args, quoted};
use crate::{Failure, complain};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::time::Instant;
use wgconv::Gpu;
use wgconv::numeric::Generator;
use wgconv::op::Problem;
use wgconv::validate::{self, Case, Progress, grid};
use wgconv::validate_network;

/// What is verified: an op by an algorithm, or a network as a session.
pub enum Subject {
    Op(Box<Case>),
    Network(validate_network::Case),
}

impl Subject {
    pub fn id(&self) -> String {
        match self {
            Subject::Op(case) => case.id(),
            Subject::Network(case) => case.id(),
        }
    }

    fn op(&self) -> Option<&Case> {
        if let Subject::Op(case) = self { Some(case) } else { None }
    }

    fn network(&self) -> Option<&validate_network::Case> {
        if let Subject::Network(case) = self { Some(case) } else { None }
    }
}

/// The cases that are asked for. With a budget they come in a fixed order that mixes all ops, so that what it ends says something of each.
pub fn cases(args: &Args) -> Result<Vec<Subject>, Failure> {
    let networks = validate_network::cases(args.full).into_iter().map(Subject::Network);
    let mut cases: Vec<Subject> = grid::cases(args.full)?.into_iter().map(|case| Subject::Op(Box::new(case))).chain(networks).collect();
    // What is the whole id of a case is not meant as a part of others.
    let ids: HashSet<String> = cases.iter().map(Subject::id).collect();
    let wanted = |id: &str| args.only.iter().any(|only| if ids.contains(only) { id == only } else { id.contains(only) });
    cases.retain(|case| args.only.is_empty() || wanted(&case.id()));
    if let Some(shard) = args.shard {
        cases = cases.drain(shard.range(cases.len())).collect();
    }
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
    let (left_out, cases): (Vec<Subject>, Vec<Subject>) = cases.into_iter().partition(|case| lists.skips(&case.id()));
    left_out.iter().for_each(|case| sink.skip(case.id()));
    if sink.next().is_break() {
        return (sink, Ok(()));
    }
    let mut outcome = Ok(());
    // In their order; neighbours of one kind are run together, since their pipelines are made together.
    for together in cases.chunk_by(|one, next| one.op().is_some() == next.op().is_some()) {
        let ops: Vec<Case> = together.iter().filter_map(Subject::op).cloned().collect();
        let networks: Vec<validate_network::Case> = together.iter().filter_map(Subject::network).copied().collect();
        let mut is_over = false;
        let mut progress = |progress: &Progress<'_>| -> ControlFlow<()> {
            sink.add(progress.result.clone(), progress.seconds, &again);
            let next = sink.next();
            is_over = next.is_break();
            next
        };
        let ran = validate::run_cases(gpu, &ops, &mut progress).and_then(|_| validate_network::run_cases(gpu, &networks, &mut progress));
        if let Err(error) = ran {
            outcome = Err(Failure::from(error));
        }
        if is_over || outcome.is_err() {
            break;
        }
    }
    sink.finish();
    if let (Some(folder), Ok(())) = (&args.failures, &outcome) {
        let replay = |id: &str| format!("wgconv validate {again}--only {}", quoted(id));
        // What a failure cannot be kept by is no reason to lose the others.
        let told = |id: &str, kept: Result<(), Failure>| {
            if let Err(Failure::Run(why)) = kept {
                complain(&format!("--failures: {id}: {why}"));
            }
        };
        let ops: Vec<&Case> = cases.iter().filter_map(Subject::op).collect();
        for case in smallest(&ops, &sink) {
            told(&case.id(), failure::write(gpu, case, folder, &replay(&case.id())));
        }
        for case in cases.iter().filter_map(Subject::network) {
            let id = case.id();
            if let Some(why) = sink.failure(&id) {
                told(&id, failure::write_network(gpu, case, why, folder, &replay(&id)));
            }
        }
    }
    (sink, outcome)
}

/// Of each op and algorithm the failing case with the fewest elements.
fn smallest<'a>(cases: &[&'a Case], sink: &Sink<'_>) -> Vec<&'a Case> {
    let failed: HashSet<&str> = sink.records.iter().filter(|record| record.status.is_wrong()).map(|record| record.result.id.as_str()).collect();
    let elements = |case: &Case| -> u64 { case.op.inputs().iter().chain(&case.op.outputs()).map(|spec| spec.count()).sum() };
    let mut smallest: BTreeMap<(&str, &str), &Case> = BTreeMap::new();
    for &case in cases.iter().filter(|case| failed.contains(case.id().as_str())) {
        let kept = smallest.entry((case.op.name(), &case.algorithm)).or_insert(case);
        if elements(case) < elements(kept) {
            *kept = case;
        }
    }
    smallest.into_values().collect()
}
