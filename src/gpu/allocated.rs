//! What a plan takes on a device: pipelines, uniforms, tables, scratch memory, and what was packed there; and the kernel calls over it, once tensors are bound.

use crate::gpu::Gpu;
use crate::gpu::bind_groups::{BindGroups, CallKey};
use crate::gpu::buffer::Buffer;
use crate::gpu::pipelines::{Binding, Dispatch, Kernel};
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::gpu::trace::{Stage, span};
use crate::plan::packing::{Packing, transient};
use crate::plan::step::{BufferRef, Plan, Step, check_binding};
use crate::types::{Error, Result};
use std::sync::{Arc, OnceLock};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    calls: Vec<Call>,
    /// By input: the tensor, where it is a constant and recorded steps read it. What was only packed is released.
    pub(crate) constants: Vec<Option<Tensor>>,
    /// By input: [`Tensor::origin`], where it is a constant.
    pub(crate) origins: Vec<Option<u64>>,
    pub(crate) scratch: Vec<Buffer>,
    tables: Vec<Buffer>,
    /// The uniforms of all calls, those that pack before the others, and where each begins.
    uniforms: Option<Buffer>,
    begins: Vec<Option<u64>>,
    /// What packs the constants, once it was needed.
    packing: OnceLock<Vec<Call>>,
    groups: BindGroups,
}

/// What a prepared op may have from outside instead of making it.
#[derive(Default)]
pub(crate) struct Shares<'a> {
    /// Prepared ops that may have packed the same constants alike.
    pub others: &'a [Prepared],
    /// Buffers for what each recording writes anew, the largest first; each at least as large as the plan's.
    pub transient: Option<&'a [Buffer]>,
}

/// A step with its pipeline and the range of its uniform.
#[derive(Debug)]
pub(crate) struct Call {
    kernel: Arc<Kernel>,
    uniform: Option<Binding>,
}

impl Shared {
    /// For constants that are given in each call.
    pub(crate) fn without_constants(gpu: &Gpu, plan: Plan, transient: Option<&[Buffer]>) -> Result<Self> {
        let constants = vec![None; plan.inputs.len()];
        Ok(Self::new(gpu, plan, constants, &Shares { others: &[], transient })?.0)
    }

    /// Bytes of its buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.scratch.iter().chain(&self.tables).chain(&self.uniforms).map(|buffer| buffer.size()).sum()
    }

    /// Allocates what a plan takes; `constants` by input. True where they have to be packed yet.
    pub(crate) fn new(gpu: &Gpu, plan: Plan, constants: Vec<Option<Tensor>>, shares: &Shares<'_>) -> Result<(Self, bool)> {
        let _span = span(Stage::Prepare, &plan.label);
        gpu.compile(&[&plan])?;
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
        let (begins, bytes) = plan.uniforms(gpu.uniform_alignment());
        let uniforms = (bytes > 0).then(|| gpu.uniform(&plan.label, &uniform_bytes(&plan, &begins, bytes))).transpose()?;
        let groups = BindGroups::default();
        let mut made = Self { plan, calls: vec![], constants, origins, scratch, tables, uniforms, begins, packing: OnceLock::new(), groups };
        made.calls = made.calls_of(gpu, &made.plan.steps, made.plan.prepare.len())?;
        Ok((made, to_pack))
    }

    /// Steps with their pipelines and uniforms, of which `before` come before theirs.
    fn calls_of(&self, gpu: &Gpu, steps: &[Step], before: usize) -> Result<Vec<Call>> {
        let call = |(step, begin): (&Step, &Option<u64>)| {
            let kernel = gpu.kernels().get(gpu, &step.kernel)?;
            let uniform = begin.zip(self.uniforms.as_ref()).map(|(begin, buffer)| Binding::part(buffer, begin, step.params.len() as u64));
            Ok(Call { kernel, uniform })
        };
        steps.iter().zip(self.begins.iter().skip(before)).map(call).collect()
    }

    /// The calls of what packs the constants, made on first use.
    fn packing(&self, gpu: &Gpu) -> Result<&[Call]> {
        if let Some(calls) = self.packing.get() {
            return Ok(calls);
        }
        let calls = self.calls_of(gpu, &self.plan.prepare, 0)?;
        Ok(self.packing.get_or_init(|| calls))
    }

    /// Records what packs the constants, which are among `inputs`.
    pub(crate) fn pack(&self, recorder: &mut Recorder<'_>, inputs: &[Option<&Tensor>]) -> Result<()> {
        let gpu = recorder.gpu().clone();
        self.packing(&gpu)?;
        let recorded = recorder.scoped(&self.plan.label, |recorder| recorder.push(&self.packed_by(&gpu, inputs)?));
        self.unless_refused(recorded)
    }

    /// Records the op itself; `inputs` are all.
    pub(crate) fn record(&self, recorder: &mut Recorder<'_>, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Result<()> {
        let gpu = recorder.gpu().clone();
        let recorded = recorder.scoped(&self.plan.label, |recorder| recorder.push(&self.computed_by(&gpu, inputs, outputs)?));
        self.unless_refused(recorded)
    }

    /// What [`Shared::record`] records, with `packs` behind what packs the constants.
    pub(crate) fn bind(&self, gpu: &Gpu, inputs: &[Option<&Tensor>], outputs: &[&Tensor], packs: bool) -> Result<Vec<Dispatch>> {
        if packs {
            self.packing(gpu)?;
        }
        let bound = gpu.scoped(&self.plan.label, || {
            let mut dispatches = if packs { self.packed_by(gpu, inputs)? } else { vec![] };
            dispatches.extend(self.computed_by(gpu, inputs, outputs)?);
            Ok(dispatches)
        });
        self.unless_refused(bound)
    }

    /// What wgpu refuses is known behind the error scope: the bind groups that were kept within may be no good.
    fn unless_refused<T>(&self, done: Result<T>) -> Result<T> {
        done.inspect_err(|_| self.groups.clear())
    }

    fn packed_by(&self, gpu: &Gpu, inputs: &[Option<&Tensor>]) -> Result<Vec<Dispatch>> {
        self.dispatches(gpu, (&self.plan.prepare, self.packing(gpu)?), inputs, &[], true)
    }

    fn computed_by(&self, gpu: &Gpu, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Result<Vec<Dispatch>> {
        self.dispatches(gpu, (&self.plan.steps, &self.calls), inputs, outputs, false)
    }

    /// What `plan` would pack of constants of these origins, if it is here already: its scratch buffers, by the plan's number.
    fn packed(&self, plan: &Plan, origins: &[Option<u64>]) -> Option<Vec<(usize, Buffer)>> {
        let (own, wanted) = (Packing::of(&self.plan)?, Packing::of(plan)?);
        let same = |index: &usize| self.origins[*index].is_some() && self.origins[*index] == origins[*index];
        let is_here = own.equals(&wanted) && own.inputs == wanted.inputs && own.inputs.iter().all(same);
        is_here.then(|| wanted.scratch.iter().zip(&own.scratch).map(|(index, own)| (*index, self.scratch[*own].clone())).collect())
    }

    /// Binds what the steps name, within an error scope; inputs that they do not name may be absent. Bind groups of the same tensors are kept.
    fn dispatches(
        &self,
        gpu: &Gpu,
        (steps, calls): (&[Step], &[Call]),
        inputs: &[Option<&Tensor>],
        outputs: &[&Tensor],
        packs: bool,
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
        let key = CallKey::new(packs, inputs, outputs);
        let kept = self.groups.find(&key);
        let dispatch = |(i, (step, call)): (usize, (&Step, &Call))| {
            let places = step.refs.iter().filter_map(|place| bind(place).transpose());
            let bindings: Vec<Binding> = call.uniform.iter().cloned().map(Ok).chain(places).collect::<Result<_>>()?;
            Ok(match kept.as_ref().and_then(|groups| groups.get(i)) {
                Some(group) => Dispatch::again(&call.kernel, group.clone(), bindings, step.workgroups),
                None => Dispatch::new(gpu, &call.kernel, bindings, step.workgroups),
            })
        };
        let dispatches: Vec<Dispatch> = steps.iter().zip(calls).enumerate().map(dispatch).collect::<Result<_>>()?;
        if kept.is_none() {
            let groups = dispatches.iter().map(|dispatch| dispatch.bind_group.clone()).collect();
            self.groups.keep(key, groups, inputs.iter().flatten().chain(outputs).map(|tensor| tensor.raw()));
        }
        Ok(dispatches)
    }
}

/// The uniform structs of all calls, each where it begins.
fn uniform_bytes(plan: &Plan, begins: &[Option<u64>], bytes: u64) -> Vec<u8> {
    let mut all = vec![0; bytes as usize];
    for (step, begin) in plan.prepare.iter().chain(&plan.steps).zip(begins) {
        if let Some(begin) = begin.map(|begin| begin as usize) {
            all[begin..begin + step.params.len()].copy_from_slice(&step.params);
        }
    }
    all
}
