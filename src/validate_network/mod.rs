//! Network cases of the checks: small networks as sessions on the machine at hand, held to the four checks.
//!
//! What a single op cannot show is checked here: values that share planned memory, many dispatches in one pass and one submit, views, what passes fuse and
//! fold, several inputs and outputs, two sizes of the open extent in turn, parameters that change. A session is compared with the reference op by op over
//! the graph before any pass, where every sum is exact, and always with the same plans op by op, bit for bit.
//!
//! [`compare_engines`] holds any network on both engines to the reference, op by op.

mod build;
mod checks;
mod engines;
mod networks;
mod op_by_op;

use crate::gpu::Gpu;
use crate::graph::{Change, Graph, Pass, Resolved};
use crate::ops::{Op, Problem};
use crate::plan::step::Plan;
use crate::session::Session;
use crate::types::{ElementType, Error, Layout, Result};
use crate::validate::data::Data;
use crate::validate::{CaseResult, Outcome, Progress};
use build::Build;
pub use engines::{Compared, Engines, Measured, compare_engines};
use networks::{NETWORKS, Network};
use std::ops::ControlFlow;
use web_time::Instant;

/// What is done to a graph before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Nothing: every node is an op of its own.
    AsBuilt,
    /// [`Pass::ALL`].
    Optimized,
    /// The same, then channels-last between the ops ([`Graph::in_layout`]), where that changes any.
    ChannelsLast,
}

impl Variant {
    /// Its name in ids.
    pub const fn name(self) -> &'static str {
        match self {
            Variant::AsBuilt => "as_built",
            Variant::Optimized => "optimized",
            Variant::ChannelsLast => "channels_last",
        }
    }
}

/// A network, and what is done to it before it runs.
#[derive(Clone, Copy)]
pub struct Case {
    network: &'static Network,
    variant: Variant,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id())
    }
}

impl Case {
    /// `network/<variant>/<name>`: what `--only` matches.
    pub fn id(&self) -> String {
        format!("network/{}/{}", self.variant.name(), self.network.name)
    }

    /// The graph that its session runs, with the integers of the exact check as parameters, and what the passes did to it.
    ///
    /// # Errors
    /// None, unless the network itself is wrong.
    pub fn graph(&self) -> Result<(Graph, Vec<Change>)> {
        self.passed(&self.build(Data::Exact, 0)?.graph)
    }

    /// The network with numbers of one kind; `round` gives its parameters other ones.
    fn build(&self, data: Data, round: usize) -> Result<Build> {
        let mut build = Build::new(self.network.name, data, round);
        (self.network.build)(&mut build)?;
        Ok(build)
    }

    fn passed(&self, built: &Graph) -> Result<(Graph, Vec<Change>)> {
        match self.variant {
            Variant::AsBuilt => Ok((built.clone(), vec![])),
            Variant::Optimized => built.optimized_with_changes(),
            Variant::ChannelsLast => built.after(&[&Pass::ALL[..], &[Pass::Layout(Layout::ChannelsLast)]].concat()),
        }
    }

    /// What the session runs.
    fn graph_of(&self, built: &Graph) -> Result<Graph> {
        Ok(self.passed(built)?.0)
    }

    /// Its ops at all extents.
    fn ops(&self) -> Result<Vec<Op>> {
        let (graph, _) = self.graph()?;
        let mut ops = vec![];
        for &open in self.network.extents {
            let nodes = graph.at(open)?.nodes.into_iter();
            ops.extend(nodes.filter_map(|node| if let Resolved::Op(op) = node { Some(*op) } else { None }));
        }
        Ok(ops)
    }
}

/// Every case: the networks after all passes, and in the full grid as they are built and channels-last too.
pub fn cases(full: bool) -> Vec<Case> {
    let variants: &[Variant] = if full { &[Variant::Optimized, Variant::AsBuilt, Variant::ChannelsLast] } else { &[Variant::Optimized] };
    let all = variants.iter().flat_map(|&variant| NETWORKS.iter().map(move |network| Case { network, variant }));
    // A network that cannot be built fails where it is run.
    let has_layout = |case: &Case| case.graph().map_or(true, |(_, changes)| changes.iter().any(|change| matches!(change.pass, Pass::Layout(_))));
    all.filter(|case| case.variant != Variant::ChannelsLast || has_layout(case)).collect()
}

/// Runs `cases` in turn, as [`validate::run_cases`](crate::validate::run_cases) does.
///
/// # Errors
/// Loss of the device. Whatever else goes wrong in a case is that case's failure.
pub fn run_cases(gpu: &Gpu, cases: &[Case], progress: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>) -> Result<Vec<CaseResult>> {
    let mut results = Vec::with_capacity(cases.len());
    // Pipelines of a few networks are made at once, on all cores.
    for together in cases.chunks(2 * rayon::current_num_threads()) {
        let ops = together.iter().filter_map(|case| case.ops().ok()).flatten();
        let plans: Vec<Plan> = ops.filter_map(|op| gpu.plan(op).ok()).collect();
        // What cannot be planned or compiled is found once more by the case that needs it, and named there.
        let _ = gpu.compile(&plans.iter().collect::<Vec<_>>());
        for case in together {
            let start = Instant::now();
            let outcome = match verify(gpu, case) {
                Ok(outcome) => outcome,
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            let seconds = start.elapsed().as_secs_f64();
            let result = CaseResult { id: case.id(), outcome };
            let next = progress(&Progress { done: results.len() + 1, total: cases.len(), result: &result, seconds });
            results.push(result);
            if next.is_break() {
                return Ok(results);
            }
        }
    }
    Ok(results)
}

/// Makes the session that a case is held by.
pub type Make<'a> = &'a dyn Fn(&Gpu, &Graph) -> Result<Session>;

/// Holds a session of one network to the four checks.
///
/// # Errors
/// What preparing or running it returns.
pub fn verify(gpu: &Gpu, case: &Case) -> Result<Outcome> {
    verify_with(gpu, case, &Session::gpu)
}

/// As [`verify`], with the session that `make` gives: a negative control hands over one with a fault.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(gpu: &Gpu, case: &Case, make: Make<'_>) -> Result<Outcome> {
    if let Some(why) = refusal(gpu, case)? {
        return Ok(Outcome::Skipped(why));
    }
    // Integers say nothing more than real numbers where an op rounds them.
    let is_exact = case.ops()?.iter().all(|op| op.is_exact());
    let kinds: &[Data] = if is_exact { &[Data::Exact, Data::Real, Data::Special] } else { &[Data::Real, Data::Special] };
    // The first kind is also that of parameters which change: they pass the same kernels whatever they hold.
    for (i, &data) in kinds.iter().enumerate() {
        if let Some(failure) = checks::hold(gpu, case, data, i == 0, make)? {
            return Ok(Outcome::Failed(failure));
        }
    }
    Ok(Outcome::Passed)
}

/// Why the device does not take the network: an op of it that it lacks a feature or a limit for.
fn refusal(gpu: &Gpu, case: &Case) -> Result<Option<String>> {
    for op in case.ops()? {
        let halves = op.inputs().iter().chain(&op.outputs()).any(|spec| spec.tensor.element == ElementType::F16);
        if halves && !gpu.profile().has_f16 {
            return Ok(Some("the device has no f16".into()));
        }
        match gpu.plan(&op) {
            Ok(_) => {}
            Err(error @ (Error::Unsupported { .. } | Error::TooLarge { .. } | Error::MissingFeature { .. })) => return Ok(Some(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
