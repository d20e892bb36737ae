//! What a plan takes on a device: pipelines, uniforms, tables, scratch memory, and what was packed there; and the kernel calls over it, once tensors are bound.

use crate::gpu::Gpu;
use crate::gpu::buffer::Buffer;
use crate::gpu::pipelines::{Binding, Dispatch, Kernel};
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::gpu::trace::{Stage, span};
use crate::plan::packing::{Packing, transient};
use crate::plan::step::{BufferRef, Plan, Step, check_binding};
use crate::shader::source::BindingKind;
use crate::types::{Error, Result};
use std::sync::{Arc, OnceLock};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) calls: Vec<Call>,
    /// By input: the tensor, where it is a constant and recorded steps read it. What was only packed is released.
    pub(crate) constants: Vec<Option<Tensor>>,
    /// By input: [`Tensor::origin`], where it is a constant.
    pub(crate) origins: Vec<Option<u64>>,
    pub(crate) scratch: Vec<Buffer>,
    tables: Vec<Buffer>,
    /// What packs the constants, once it was needed.
    packing: OnceLock<Vec<Call>>,
}

/// What a prepared op may have from outside instead of making it.
#[derive(Default)]
pub(crate) struct Shares<'a> {
    /// Prepared ops that may have packed the same constants alike.
    pub others: &'a [Prepared],
    /// Buffers for what each recording writes anew, the largest first; each at least as large as the plan's.
    pub transient: Option<&'a [Buffer]>,
}

/// A step with its pipeline and uniform.
#[derive(Debug)]
pub(crate) struct Call {
    kernel: Arc<Kernel>,
    uniform: Option<Binding>,
}

impl Call {
    fn new(gpu: &Gpu, step: &Step) -> Result<Self> {
        let kernel = gpu.kernels().get(gpu, &step.kernel)?;
        let uniform = match step.kernel.source.bindings.first() {
            Some(BindingKind::Uniform) => Some(Binding::whole(&gpu.uniform(&kernel.label, &step.params)?)),
            _ => None,
        };
        Ok(Self { kernel, uniform })
    }
}

impl Shared {
    /// For constants that are given in each call.
    pub(crate) fn without_constants(gpu: &Gpu, plan: Plan, transient: Option<&[Buffer]>) -> Result<Self> {
        let constants = vec![None; plan.inputs.len()];
        Ok(Self::new(gpu, plan, constants, &Shares { others: &[], transient })?.0)
    }

    /// Bytes of its buffers.
    pub(crate) fn bytes(&self) -> u64 {
        let uniforms = self.calls.iter().chain(self.packing.get().into_iter().flatten()).filter_map(|call| call.uniform.as_ref());
        let uniforms: u64 = uniforms.map(|uniform| uniform.size).sum();
        self.scratch.iter().chain(&self.tables).map(|buffer| buffer.size()).sum::<u64>() + uniforms
    }

    /// Allocates what a plan takes; `constants` by input. True where they have to be packed yet.
    pub(crate) fn new(gpu: &Gpu, plan: Plan, constants: Vec<Option<Tensor>>, shares: &Shares<'_>) -> Result<(Self, bool)> {
        let _span = span(Stage::Prepare, &plan.label);
        gpu.compile(&[&plan])?;
        let calls: Vec<Call> = plan.steps.iter().map(|step| Call::new(gpu, step)).collect::<Result<_>>()?;
        let origins: Vec<Option<u64>> = constants.iter().map(|tensor| tensor.as_ref().map(Tensor::origin)).collect();
        let packed = shares.others.iter().find_map(|other| other.shared().packed(&plan, &origins)).unwrap_or_default();
        let to_pack = packed.is_empty() && !plan.prepare.is_empty();
        let given: Vec<(usize, Buffer)> =
            shares.transient.map(|buffers| transient(&plan).into_iter().zip(buffers.iter().cloned()).collect()).unwrap_or_default();
        let buffer = |label: &str, bytes: u64| {
            check_binding(label, bytes, gpu.profile())?;
            gpu.storage(label, bytes)
        };
        let parts_of = |index: usize| {
            plan.steps.iter().flat_map(|step| &step.refs).any(|place| matches!(place, BufferRef::ScratchPart { index: own, .. } if *own == index))
        };
        let scratch = (0..).zip(&plan.scratch).map(|(index, &bytes)| match packed.iter().chain(&given).find(|(own, _)| *own == index) {
            Some((_, shared)) => Ok(shared.clone()),
            None if parts_of(index) => gpu.storage("scratch memory", bytes),
            None => buffer("scratch memory", bytes),
        });
        let scratch = scratch.collect::<Result<_>>()?;
        let tables = plan.tables.iter().map(|table| gpu.table("wgconv table", bytemuck::cast_slice(table))).collect::<Result<_>>()?;
        Ok((Self { plan, calls, constants, origins, scratch, tables, packing: OnceLock::new() }, to_pack))
    }

    /// The calls of what packs the constants, made on first use.
    pub(crate) fn packing(&self, gpu: &Gpu) -> Result<&[Call]> {
        if let Some(calls) = self.packing.get() {
            return Ok(calls);
        }
        let calls = self.plan.prepare.iter().map(|step| Call::new(gpu, step)).collect::<Result<Vec<_>>>()?;
        Ok(self.packing.get_or_init(|| calls))
    }

    /// Records what packs the constants, which are among `inputs`.
    pub(crate) fn pack(&self, recorder: &mut Recorder<'_>, inputs: &[Option<&Tensor>]) -> Result<()> {
        let gpu = recorder.gpu().clone();
        let calls = self.packing(&gpu)?;
        recorder.scoped(&self.plan.label, |recorder| recorder.push(&self.dispatches(&gpu, &self.plan.prepare, calls, inputs, &[])?))
    }

    /// What `plan` would pack of constants of these origins, if it is here already: its scratch buffers, by the plan's number.
    fn packed(&self, plan: &Plan, origins: &[Option<u64>]) -> Option<Vec<(usize, Buffer)>> {
        let (own, wanted) = (Packing::of(&self.plan)?, Packing::of(plan)?);
        let same = |index: &usize| self.origins[*index].is_some() && self.origins[*index] == origins[*index];
        let is_here = own.equals(&wanted) && own.inputs == wanted.inputs && own.inputs.iter().all(same);
        is_here.then(|| wanted.scratch.iter().zip(&own.scratch).map(|(index, own)| (*index, self.scratch[*own].clone())).collect())
    }

    /// Binds what the steps name, within an error scope; inputs that they do not name may be absent.
    pub(crate) fn dispatches(
        &self,
        gpu: &Gpu,
        steps: &[Step],
        calls: &[Call],
        inputs: &[Option<&Tensor>],
        outputs: &[&Tensor],
    ) -> Result<Vec<Dispatch>> {
        let bind = |place: &BufferRef| -> Result<Option<Binding>> {
            let missing = || Error::Internal { label: self.plan.op.into(), message: format!("the plan names {place:?}, which is not there") };
            Ok(Some(match *place {
                BufferRef::Input { index, first, bytes } => inputs.get(index).copied().flatten().ok_or_else(missing)?.binding(first, bytes),
                BufferRef::Output { index, first, bytes } => outputs.get(index).ok_or_else(missing)?.binding(first, bytes),
                // A shared buffer may be larger than this op's part of it.
                BufferRef::Scratch(index) => {
                    let bytes = self.plan.scratch.get(index).ok_or_else(missing)?.next_multiple_of(16);
                    Binding::part(self.scratch.get(index).ok_or_else(missing)?, 0, bytes)
                }
                BufferRef::ScratchPart { index, first, bytes } => Binding::part(self.scratch.get(index).ok_or_else(missing)?, first, bytes),
                BufferRef::Table(index) => Binding::whole(self.tables.get(index).ok_or_else(missing)?),
                BufferRef::Nothing => return Ok(None),
            }))
        };
        steps
            .iter()
            .zip(calls)
            .map(|(step, call)| {
                let bindings: Vec<Binding> = call
                    .uniform
                    .iter()
                    .cloned()
                    .map(Ok)
                    .chain(step.refs.iter().filter_map(|place| bind(place).transpose()))
                    .collect::<Result<_>>()?;
                Ok(Dispatch::new(gpu, &call.kernel, bindings, step.workgroups))
            })
            .collect()
    }
}
