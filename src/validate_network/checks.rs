//! A session held to the four checks on one kind of data.

use super::build::{Build, array};
use super::op_by_op::{self, Held, OpByOp, guards};
use super::{Case, Make};
use crate::gpu::Gpu;
use crate::gpu::tensor::Tensor;
use crate::graph::{At, Graph, Numbers, Resolved};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::session::Session;
use crate::session::bytes::{Given, Owned};
use crate::types::{ElementType, Error, Result};
use crate::validate::compare::{Mismatch, compare};
use crate::validate::data::Data;
use crate::validate::{download, guard};

/// What a session is given at one open extent, and what is right.
struct Set {
    open: usize,
    inputs: Vec<(TensorSpec, Vec<f64>)>,
    outputs: Vec<TensorSpec>,
    /// What the ops give one by one: the bits that a session must give.
    op_by_op: OpByOp,
    /// What the reference makes of the graph before any pass, where every sum is exact.
    expected: Option<Vec<Vec<f64>>>,
}

impl Set {
    /// `graph` is what the session runs, made by passes from the one that was built.
    fn new(gpu: &Gpu, built: &Build, graph: &Graph, open: usize, data: Data) -> Result<Self> {
        let at = graph.at(open)?;
        let values = built.inputs(&at);
        let spec = |(name, value): (&str, crate::graph::ValueId)| TensorSpec::of(name.to_string(), &at.types[value.index()]);
        let is_exact = data == Data::Exact && is_exact(gpu, &at)?;
        let to = match data {
            Data::Special => Held::Guarded,
            _ if is_exact => Held::Exactly,
            _ => Held::Bounded,
        };
        Ok(Self {
            open,
            outputs: graph.outputs().map(spec).collect(),
            op_by_op: op_by_op::run(gpu, graph, open, &values, to)?,
            expected: if is_exact { Some(op_by_op::expected(&built.graph, open, &values)?) } else { None },
            inputs: graph.inputs().map(spec).zip(values).collect(),
        })
    }

    /// Which check these outputs fail.
    fn fault(&self, got: &[Vec<f64>]) -> Option<String> {
        if let Some(expected) = &self.expected {
            for ((spec, got), want) in self.outputs.iter().zip(got).zip(expected) {
                if let Some(mismatch) = compare(got, want, |_| 0.0) {
                    return Some(format!("exact: {}: {}", spec.name, mismatch.describe(&spec.tensor.extents)));
                }
            }
        }
        let differs = differs(&self.outputs, got, &self.op_by_op.outputs)?;
        Some(format!("bounded: {differs}; expected are the bits of the same ops one by one"))
    }

    /// As benchdnn's trust check: outputs that are all zero test nothing.
    fn verifies_nothing(&self) -> bool {
        self.op_by_op.outputs.iter().flatten().all(|v| *v == 0.0)
    }

    /// One run at once.
    fn run(&self, session: &Session) -> Result<Vec<Vec<f64>>> {
        let given = |(spec, values): &(TensorSpec, Vec<f64>)| -> Result<(String, Owned)> {
            let given = match spec.tensor.element {
                // Words: no network here is given indices.
                ElementType::U32 => Owned::Bytes(values.iter().flat_map(|&word| (word as u32).to_le_bytes()).collect()),
                _ => Owned::Numbers(array(&spec.name, &spec.tensor.extents, values.iter().map(|&v| v as f32).collect())?),
            };
            Ok((spec.name.to_string(), given))
        };
        let given: Vec<(String, Owned)> = self.inputs.iter().map(given).collect::<Result<_>>()?;
        let views: Vec<_> = given.iter().map(|(name, given)| (name.as_str(), given.view())).collect();
        let outputs = session.run_with(&views)?;
        let of = |spec: &TensorSpec| match (outputs.get(&spec.name), outputs.bytes(&spec.name)) {
            (Some(array), _) => array.iter().map(|&v| f64::from(v)).collect(),
            (None, bytes) => Given::words(bytes.unwrap_or_default()).map(f64::from).collect(),
        };
        Ok(self.outputs.iter().map(of).collect())
    }

    /// Two runs in one submit, over tensors of the caller between guard words; which check they fail.
    fn run_bound(&self, gpu: &Gpu, session: &Session) -> Result<Option<String>> {
        let inputs: Vec<Tensor> = self.inputs.iter().map(|(spec, values)| guard(gpu, spec, Some(values))).collect::<Result<_>>()?;
        let outputs: Vec<Tensor> = self.outputs.iter().map(|spec| guard(gpu, spec, None)).collect::<Result<_>>()?;
        let given: Vec<(&str, &Tensor)> = self.inputs.iter().map(|(spec, _)| spec.name.as_ref()).zip(&inputs).collect();
        let wanted: Vec<(&str, &Tensor)> = self.outputs.iter().map(|spec| spec.name.as_ref()).zip(&outputs).collect();
        let bound = session.bind(&given, &wanted)?;
        let mut recorder = gpu.recorder();
        bound.record(&mut recorder)?;
        bound.record(&mut recorder)?;
        recorder.submit()?;
        for (spec, tensor) in self.outputs.iter().zip(&outputs) {
            if let Some(why) = guards(&spec.name, tensor)? {
                return Ok(Some(why));
            }
        }
        for ((spec, values), tensor) in self.inputs.iter().zip(&inputs) {
            let now = vec![download(tensor)?];
            if !tensor.read_guarded()?.untouched_guards || differs(std::slice::from_ref(spec), &now, std::slice::from_ref(values)).is_some() {
                return Ok(Some(format!("guarded: the input {}, or a guard word beside it, was overwritten", spec.name)));
            }
        }
        Ok(self.fault(&outputs.iter().map(download).collect::<Result<Vec<_>>>()?))
    }
}

/// Whether integers pass without any rounding through the plans of all ops.
fn is_exact(gpu: &Gpu, at: &At) -> Result<bool> {
    for node in &at.nodes {
        if let Resolved::Op(op) = node
            && !op.is_exact_for(gpu.plan(op.as_ref())?.algorithm())
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Outputs whose bits differ. A NaN is a NaN: WGSL leaves its payload open.
fn differs(specs: &[TensorSpec], got: &[Vec<f64>], want: &[Vec<f64>]) -> Option<String> {
    for ((spec, got), want) in specs.iter().zip(got).zip(want) {
        let is_other = |i: &usize| got[*i].to_bits() != want[*i].to_bits() && !(got[*i].is_nan() && want[*i].is_nan());
        let others: Vec<usize> = (0..want.len().min(got.len())).filter(is_other).collect();
        if got.len() != want.len() || !others.is_empty() {
            let shown = others.iter().take(4).map(|&i| (i, got[i], want[i], 0.0)).collect();
            let mismatch = Mismatch { count: others.len().max(got.len().abs_diff(want.len())), total: want.len(), shown };
            return Some(format!("{}: {}", spec.name, mismatch.describe(&spec.tensor.extents)));
        }
    }
    None
}

/// Holds a session to the checks on one kind of data; `Some` says which check failed. `changes`: parameters are changed too.
pub(super) fn hold(gpu: &Gpu, case: &Case, data: Data, changes: bool, make: Make<'_>) -> Result<Option<String>> {
    let built = case.build(data, 0)?;
    let graph = case.graph_of(&built.graph)?;
    let sets: Vec<Set> = case.network.extents.iter().map(|&open| Set::new(gpu, &built, &graph, open, data)).collect::<Result<_>>()?;
    if sets.iter().any(Set::verifies_nothing) {
        return Ok(Some("every output is zero, so the case verifies nothing".into()));
    }
    let session = make(gpu, &graph)?;
    let said = |set: &Set, what: &str, why: String| {
        let other = match &set.op_by_op.fault {
            Some(fault) => format!("op by op {fault}"),
            None => "op by op the graph is right: the session is at fault".into(),
        };
        let extent = if graph.is_open() { format!(", N = {}", set.open) } else { String::new() };
        Ok(Some(format!("{why} ({what}{extent}, {data:?} data); {other}")))
    };
    for set in &sets {
        if let Some(why) = set.run_bound(gpu, &session)? {
            return said(set, "over the caller's tensors", why);
        }
    }
    // Runs of each extent in turn, and once more: what other extents and other runs left in memory must not show.
    let mut first: Vec<Vec<Vec<f64>>> = vec![];
    for set in &sets {
        let got = set.run(&session)?;
        if let Some(why) = set.fault(&got) {
            return said(set, "run at once", why);
        }
        first.push(got);
    }
    for (set, first) in sets.iter().zip(&first) {
        if let Some(why) = differs(&set.outputs, &set.run(&session)?, first) {
            return said(set, "run again after the other extents", format!("repeatable: {why}"));
        }
    }
    if changes {
        let changed = Changed::new(case, data, &built, &graph, &session, gpu)?;
        for set in &sets {
            let set = Set::new(gpu, &changed.built, &changed.graph, set.open, data)?;
            if let Some(why) = set.fault(&set.run(&session)?) {
                return said(&set, &format!("after {} changed", changed.names), why);
            }
        }
    }
    // The session did what its ops did; whether that is right is their own matter.
    Ok(sets.iter().find_map(|set| set.op_by_op.fault.clone().map(|fault| format!("op by op, {fault} (N = {}, {data:?} data)", set.open))))
}

/// A network after two of its parameters were given other numbers.
struct Changed {
    built: Build,
    graph: Graph,
    names: String,
}

impl Changed {
    /// Gives the first parameter other numbers from the host, and the last from the device, packed by `refresh`. Only those that no pass folded away: of
    /// these the graph knows no more.
    fn new(case: &Case, data: Data, built: &Build, graph: &Graph, session: &Session, gpu: &Gpu) -> Result<Self> {
        let other = case.build(data, 1)?.graph;
        let mut changed = Self { built: case.build(data, 0)?, graph: graph.clone(), names: String::new() };
        let kept: Vec<&str> = graph.parameters().map(|(name, _)| name).filter(|name| built.graph.find(name).is_some()).collect();
        let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else {
            return Err(Error::invalid("parameters", 0, format!("{} needs one that no pass folds away", case.id())));
        };
        changed.names = if first == last { first.into() } else { format!("{first} and {last}") };
        for name in if first == last { vec![first] } else { vec![first, last] } {
            let numbers = other.find(name).and_then(|value| other.numbers(value));
            match numbers {
                Some(Numbers::F32(array)) => {
                    changed.built.graph.set(name, array.view())?;
                    changed.graph.set(name, array.view())?;
                    if name == first { session.set_parameter(name, array.view())? } else { session.parameter(name)?.write(array)? }
                }
                Some(Numbers::F16(array)) => {
                    changed.built.graph.set(name, array.view())?;
                    changed.graph.set(name, array.view())?;
                    if name == first { session.set_parameter(name, array.view())? } else { session.parameter(name)?.write(array)? }
                }
                None => {}
            }
        }
        if first != last {
            let mut recorder = gpu.recorder();
            session.refresh(&mut recorder, &[last])?;
            recorder.submit()?;
        }
        Ok(changed)
    }
}
