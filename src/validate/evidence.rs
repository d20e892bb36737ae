//! Evidence of a failure, for whoever mends the kernel or the driver: what went in, what was expected, what came out, and every kernel call
//! with the text that the driver was given.

use crate::gpu::{Gpu, SourcePatch};
use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::plan::step::{BufferRef, Plan, Step};
use crate::reference::Bounded;
use crate::shader::source::BindingKind;
use crate::types::Result;
use crate::validate::data::Data;
use crate::validate::{Case, Known, Outcome, observe, verify};

/// A failing case, run once more.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Which check failed, and where.
    pub failure: String,
    /// The kind of data on which it failed: `integers` or `reals`.
    pub data: &'static str,
    /// What in-out tensors hold beforehand, then the inputs.
    pub operands: Vec<Operand>,
    /// Every output.
    pub outputs: Vec<Written>,
    /// The kernel calls in order: those that pack constants, then those of a recording.
    pub calls: Vec<Call>,
}

/// A tensor that a case reads.
#[derive(Debug, Clone)]
pub struct Operand {
    /// Name, extents, element type, layout.
    pub spec: TensorSpec,
    /// In logical order; each is exact in the element type.
    pub values: Vec<f64>,
}

/// A tensor that a case writes.
#[derive(Debug, Clone)]
pub struct Written {
    /// Name, extents, element type, layout.
    pub spec: TensorSpec,
    /// What is right, and how far each element may be from it.
    pub expected: Bounded,
    /// What the first run wrote.
    pub got: Vec<f64>,
    /// What the second run wrote.
    pub again: Vec<f64>,
}

/// One dispatch.
#[derive(Debug, Clone)]
pub struct Call {
    /// The kernel and its numbers, such as `conv_direct[f32,PADDING_MODE=1]`.
    pub label: String,
    /// The text that the driver's compiler begins with, and the numbers that replace its `override`s; its entry point is `main`.
    pub wgsl: String,
    /// The `override`s that differ from their defaults.
    pub overrides: Vec<(&'static str, u32)>,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
    /// What each binding of group 0 holds, in order.
    pub bindings: Vec<String>,
}

/// Runs a failing case again and keeps what went in and what came out; `None` where it passes now, or is skipped.
///
/// # Errors
/// What preparing or running it returns.
pub fn evidence(gpu: &Gpu, case: &Case) -> Result<Option<Evidence>> {
    if !matches!(verify(gpu, case)?, Outcome::Failed(_)) {
        return Ok(None);
    }
    let plan = case.plan(gpu.profile())?;
    let steps = plan.prepare.iter().chain(&plan.steps);
    let calls: Vec<Call> = steps.map(|step| Call::new(gpu, &plan, step)).collect();
    for (data, name) in [(Data::Exact, "integers"), (Data::Real, "reals"), (Data::Mixed, "mixed"), (Data::Special, "special")] {
        let observed = observe(gpu, case, data, true, &mut Known::default())?;
        let Some(failure) = observed.failure(&case.op, &case.algorithm, data) else { continue };
        let outputs = case.op.outputs();
        let specs = outputs.iter().filter(|spec| spec.in_out).cloned().chain(case.op.inputs());
        let operands = specs.zip(observed.operands).map(|(spec, values)| Operand { spec, values }).collect();
        let again = observed.again.unwrap_or_default();
        let runs = outputs.into_iter().zip(observed.expected).zip(observed.got).zip(again);
        let outputs = runs.map(|(((spec, expected), got), again)| Written { spec, expected, got, again }).collect();
        return Ok(Some(Evidence { failure, data: name, operands, outputs, calls }));
    }
    Ok(None)
}

impl Call {
    fn new(gpu: &Gpu, plan: &Plan, step: &Step) -> Self {
        let label = step.kernel.label();
        let wgsl = match (gpu.source_patch(), step.kernel.wgsl()) {
            (Some(SourcePatch(patch)), Ok(text)) => patch(&label, text),
            (None, Ok(text)) => text,
            (_, Err(error)) => error.to_string(),
        };
        let mut bindings = Vec::new();
        if step.kernel.source.bindings.first() == Some(&BindingKind::Uniform) {
            let hex: String = step.params.iter().map(|byte| format!("{byte:02x}")).collect();
            bindings.push(format!("uniform, {} bytes: {hex}", step.params.len()));
        }
        let name = |specs: &[TensorSpec], index: usize| specs.get(index).map_or(String::new(), |spec| spec.name.to_string());
        bindings.extend(step.refs.iter().map(|place| match *place {
            BufferRef::Input { index, first, bytes } => format!("input {}, {bytes} bytes from byte {first} on", name(&plan.inputs, index)),
            BufferRef::Output { index, first, bytes } => format!("output {}, {bytes} bytes from byte {first} on", name(&plan.outputs, index)),
            BufferRef::Scratch(index) => format!("scratch {index}, {} bytes", plan.scratch.get(index).copied().unwrap_or(0)),
            BufferRef::ScratchPart { index, first, bytes } => format!("scratch {index}, {bytes} bytes from byte {first} on"),
            BufferRef::Table(index) => format!("table {index}: {:?}", plan.tables.get(index).map_or(&[][..], Vec::as_slice)),
            BufferRef::Nothing => "nothing: not read".into(),
        }));
        Self { label, wgsl, overrides: step.kernel.overrides.clone(), workgroups: step.workgroups, bindings }
    }
}
