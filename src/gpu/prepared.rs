//! A plan with its pipelines, uniforms, tables and scratch on a device. Recording it checks and binds tensors and dispatches; it
//! compiles, plans and submits nothing.

use crate::gpu::Gpu;
use crate::gpu::allocated::{Shared, Shares};
use crate::gpu::buffer::Buffer;
use crate::gpu::pipelines::Dispatch;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::Op;
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::packing::Packing;
use crate::plan::step::Plan;
use crate::types::{Error, Result};
use std::sync::{Arc, Weak};

/// An op that is ready to record. Cheap to clone; clones share the buffers.
///
/// Constants (filters, biases, scales) are given once and read when this is made, where the plan packs them; what is written to
/// them later is seen after [`Prepared::refresh`].
#[must_use = "what was compiled and packed is lost with it"]
#[derive(Debug, Clone)]
pub struct Prepared {
    gpu: Gpu,
    shared: Arc<Shared>,
}

impl Prepared {
    /// Plans `op` for `gpu` (see [`crate::Tuning`]) and prepares it; `constants` are those inputs, in order. What has to be packed is packed in a submit of its
    /// own.
    ///
    /// # Errors
    /// As [`Op::plan`]; constants of another number, shape, element type, layout or device than the op's.
    pub fn new(gpu: &Gpu, op: impl Into<Op>, constants: &[&Tensor]) -> Result<Self> {
        Self::with_plan(gpu, gpu.plan(op)?, constants)
    }

    /// As [`Prepared::new`], without blocking the calling thread, which drivers do for up to a second a pipeline: a thread of its own compiles. In a
    /// browser, which compiles by itself, the same as [`Prepared::new`].
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub async fn new_async(gpu: &Gpu, op: impl Into<Op>, constants: &[&Tensor]) -> Result<Self> {
        let op = op.into();
        #[cfg(target_arch = "wasm32")]
        return Self::new(gpu, op, constants);
        #[cfg(not(target_arch = "wasm32"))]
        {
            let (gpu, constants): (Gpu, Vec<Tensor>) = (gpu.clone(), constants.iter().map(|&tensor| tensor.clone()).collect());
            gpu.clone().off_thread("prepare", move || Self::new(&gpu, op, &constants.iter().collect::<Vec<_>>())).await
        }
    }

    /// As [`Prepared::new`], by one of [`Op::algorithms`].
    ///
    /// # Errors
    /// As [`Prepared::new`]; an algorithm that does not apply.
    pub fn with_algorithm(gpu: &Gpu, op: impl Into<Op>, algorithm: &str, constants: &[&Tensor]) -> Result<Self> {
        Self::with_plan(gpu, op.into().plan(gpu.profile(), Some(algorithm))?, constants)
    }

    pub(crate) fn with_plan(gpu: &Gpu, plan: Plan, constants: &[&Tensor]) -> Result<Self> {
        Self::with_shares(gpu, plan, constants, &Shares::default())
    }

    /// Prepares `op` as [`Prepared::new`] does, over the same constants: this op for another batch size, say. What both plans pack alike
    /// is not packed again, and both share the buffers; where the plans pack differently, or another tensor is given, `constants` are packed anew.
    ///
    /// ```no_run
    /// # use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
    /// # use wgconv::{ElementType, Gpu, Layout, Result, op::Prepared};
    /// # fn main() -> Result<()> {
    /// let gpu = Gpu::new()?;
    /// let filter = gpu.zeros(&[64, 32, 3, 3], ElementType::F32, Layout::ChannelsFirst)?;
    /// let problem = |batch| {
    ///     let inputs = ConvInputs::new(&[batch, 32, 56, 56], &[64, 32, 3, 3], None); // f32, channels-first
    ///     ConvProblem::forward(&inputs, &Conv2dDescriptor::default())
    /// };
    /// let one = Prepared::new(&gpu, problem(1)?, &[&filter])?;
    /// let eight = one.also(problem(8)?, &[&filter])?; // one packed filter on the device
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn also(&self, op: impl Into<Op>, constants: &[&Tensor]) -> Result<Self> {
        self.also_with_plan(self.gpu.plan(op)?, constants)
    }

    /// As [`Prepared::also`], by one of [`Op::algorithms`]. The planner may choose another tile or algorithm for another batch size, which packs
    /// differently; by the label of this plan (`prepared.plan().label`) every batch size shares.
    ///
    /// # Errors
    /// As [`Prepared::with_algorithm`].
    pub fn also_with_algorithm(&self, op: impl Into<Op>, algorithm: &str, constants: &[&Tensor]) -> Result<Self> {
        self.also_with_plan(op.into().plan(self.gpu.profile(), Some(algorithm))?, constants)
    }

    fn also_with_plan(&self, plan: Plan, constants: &[&Tensor]) -> Result<Self> {
        Self::with_shares(&self.gpu, plan, constants, &Shares { others: std::slice::from_ref(self), transient: None })
    }

    /// Prepares a plan with what is there already; what has to be packed is packed in a submit of its own.
    pub(crate) fn with_shares(gpu: &Gpu, plan: Plan, constants: &[&Tensor], shares: &Shares<'_>) -> Result<Self> {
        let mut recorder = gpu.recorder();
        let prepared = Self::recorded_beside(&mut recorder, plan, constants, shares)?;
        if !prepared.plan().prepare.is_empty() {
            recorder.submit()?;
        }
        Ok(prepared)
    }

    /// Prepares with the packing recorded into `recorder`, so that a filter computed earlier in the same recording is seen.
    pub(crate) fn recorded(recorder: &mut Recorder<'_>, plan: Plan, constants: &[&Tensor]) -> Result<Self> {
        Self::recorded_beside(recorder, plan, constants, &Shares::default())
    }

    /// Prepares a plan whose constants are computed by what runs before it: [`Prepared::bind_packing`] takes them and packs them in every run.
    pub(crate) fn without_constants(gpu: &Gpu, plan: Plan, transient: Option<&[Buffer]>) -> Result<Self> {
        Ok(Self::of(gpu, Arc::new(Shared::without_constants(gpu, plan, transient)?)))
    }

    pub(crate) fn of(gpu: &Gpu, shared: Arc<Shared>) -> Self {
        Self { gpu: gpu.clone(), shared }
    }

    /// Records one [without constants](Prepared::without_constants): `inputs` are all of them, in order, and with `packs` their packing comes first.
    pub(crate) fn record_all(&self, recorder: &mut Recorder<'_>, inputs: &[&Tensor], outputs: &[&Tensor], packs: bool) -> Result<()> {
        let inputs = self.checked(inputs, outputs, |_| true)?;
        if packs && !self.plan().prepare.is_empty() {
            self.shared.pack(recorder, &inputs)?;
        }
        self.shared.record(recorder, &inputs, outputs)
    }

    /// Records the packing of one without constants; `inputs` are all of them.
    pub(crate) fn pack_all(&self, recorder: &mut Recorder<'_>, inputs: &[&Tensor]) -> Result<()> {
        self.shared.pack(recorder, &inputs.iter().map(|&tensor| Some(tensor)).collect::<Vec<_>>())
    }

    fn recorded_beside(recorder: &mut Recorder<'_>, plan: Plan, constants: &[&Tensor], shares: &Shares<'_>) -> Result<Self> {
        let gpu = recorder.gpu().clone();
        let wanted = plan.inputs.iter().filter(|i| i.constant).count();
        if constants.len() != wanted {
            return Err(Error::invalid("constants", constants.len(), format!("this {} takes {wanted}", plan.op)));
        }
        let mut given = constants.iter();
        let constants: Vec<Option<Tensor>> = plan
            .inputs
            .iter()
            .map(|spec| {
                let tensor = if spec.constant { given.next() } else { None };
                tensor.map(|&tensor| check_tensor(&gpu, plan.op, spec, tensor).map(|()| tensor.clone())).transpose()
            })
            .collect::<Result<_>>()?;
        let (mut shared, to_pack) = Shared::new(&gpu, plan, constants, shares)?;
        if to_pack {
            let inputs: Vec<Option<&Tensor>> = shared.constants.iter().map(Option::as_ref).collect();
            shared.pack(recorder, &inputs)?;
        }
        for (i, constant) in shared.constants.iter_mut().enumerate() {
            if !shared.plan.steps.iter().any(|step| step.reads(i)) {
                *constant = None;
            }
        }
        Ok(Self { gpu, shared: Arc::new(shared) })
    }

    /// Records the packing of the constants again, after something was written to their tensors: an optimizer's step, say. `constants` are the tensors
    /// that this was prepared with. Prepared ops that share packed buffers see it too, so one of them is enough.
    ///
    /// # Errors
    /// Constants of another number, or other tensors than this was prepared with; a recorder of another device; loss of the device.
    pub fn refresh(&self, recorder: &mut Recorder<'_>, constants: &[&Tensor]) -> Result<()> {
        check_recorder(recorder, &self.gpu)?;
        let specs = &self.plan().inputs;
        let wanted = specs.iter().filter(|spec| spec.constant).count();
        if constants.len() != wanted {
            return Err(Error::invalid("constants", constants.len(), format!("this {} takes {wanted}", self.plan().op)));
        }
        let mut given = constants.iter().copied();
        let inputs: Vec<Option<&Tensor>> = specs.iter().map(|spec| if spec.constant { given.next() } else { None }).collect();
        for ((spec, tensor), origin) in specs.iter().zip(&inputs).zip(&self.shared.origins) {
            if let Some(tensor) = tensor.filter(|tensor| Some(tensor.origin()) != *origin) {
                return Err(Error::invalid(
                    spec.name.clone(),
                    tensor.shape(),
                    format!("it is not the tensor that this {} was prepared with", self.plan().op),
                ));
            }
        }
        if self.plan().prepare.is_empty() { Ok(()) } else { self.shared.pack(recorder, &inputs) }
    }

    /// Whether both read the same packed buffers.
    pub(crate) fn packed_with(&self, other: &Self) -> bool {
        let packed = |of: &Self| {
            Packing::of(of.plan())
                .map(|packing| packing.scratch.iter().map(|&index| (*of.shared.scratch[index]).clone()).collect::<Vec<wgpu::Buffer>>())
        };
        packed(self).is_some_and(|own| Some(own) == packed(other))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// A reference that does not keep it.
    pub(crate) fn downgrade(&self) -> WeakPrepared {
        WeakPrepared { gpu: self.gpu.clone(), shared: Arc::downgrade(&self.shared) }
    }

    /// The plan that was prepared.
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// A new tensor for the output of an op that has one.
    ///
    /// # Errors
    /// Out of memory; an op of several outputs.
    pub fn output(&self) -> Result<Tensor> {
        let mut outputs = self.outputs()?;
        match (outputs.pop(), outputs.len()) {
            (Some(output), 0) => Ok(output),
            (_, more) => Err(Error::invalid("outputs", more + 1, format!("{} gives several tensors: Prepared::outputs makes them", self.plan().op))),
        }
    }

    /// New tensors for the outputs.
    ///
    /// # Errors
    /// Out of memory.
    pub fn outputs(&self) -> Result<Vec<Tensor>> {
        self.plan().outputs.iter().map(|spec| self.gpu.zeros(&spec.tensor.extents, spec.tensor.element, spec.tensor.layout)).collect()
    }

    /// Records the op: `inputs` are those that are no constants, in order.
    ///
    /// # Errors
    /// Tensors of another number, device, shape, element type or layout than prepared for; an output in the buffer of an input.
    pub fn record(&self, recorder: &mut Recorder<'_>, inputs: &[&Tensor], outputs: &[&Tensor]) -> Result<()> {
        check_recorder(recorder, &self.gpu)?;
        let inputs = self.checked(inputs, outputs, |spec| !spec.constant)?;
        self.shared.record(recorder, &inputs, outputs)
    }

    /// Checks and binds tensors once, to be recorded again and again: a frame's or a batch's, whose contents change and whose tensors stay. Takes
    /// what [`Prepared::record`] takes.
    ///
    /// # Errors
    /// As [`Prepared::record`].
    pub fn bind(&self, inputs: &[&Tensor], outputs: &[&Tensor]) -> Result<Bound> {
        let inputs = self.checked(inputs, outputs, |spec| !spec.constant)?;
        Ok(Bound { prepared: self.clone(), dispatches: self.shared.bind(&self.gpu, &inputs, outputs, false)? })
    }

    /// As [`Prepared::bind`], for one [without constants](Prepared::without_constants): `inputs` are all of them, in order; what is recorded packs first.
    pub(crate) fn bind_packing(&self, inputs: &[&Tensor], outputs: &[&Tensor]) -> Result<Bound> {
        let inputs = self.checked(inputs, outputs, |_| true)?;
        Ok(Bound { prepared: self.clone(), dispatches: self.shared.bind(&self.gpu, &inputs, outputs, true)? })
    }

    /// All inputs in order, those that are not `given` from what this was prepared with, once they and the outputs are what the plan says.
    fn checked<'a>(&'a self, inputs: &[&'a Tensor], outputs: &[&Tensor], given: fn(&TensorSpec) -> bool) -> Result<Vec<Option<&'a Tensor>>> {
        let (plan, shared) = (self.plan(), &self.shared);
        let wanted: Vec<&TensorSpec> = plan.inputs.iter().filter(|spec| given(spec)).collect();
        for (what, count, wanted) in [("inputs", inputs.len(), wanted.len()), ("outputs", outputs.len(), plan.outputs.len())] {
            if count != wanted {
                return Err(Error::invalid(what, count, format!("this {} takes {wanted}", plan.op)));
            }
        }
        for (spec, tensor) in wanted.iter().copied().zip(inputs).chain(plan.outputs.iter().zip(outputs)) {
            check_tensor(&self.gpu, plan.op, spec, tensor)?;
        }
        let mut tensors = inputs.iter();
        let inputs: Vec<Option<&Tensor>> = plan
            .inputs
            .iter()
            .zip(&shared.constants)
            .map(|(spec, constant)| if given(spec) { tensors.next().copied() } else { constant.as_ref() })
            .collect();
        for (i, (spec, output)) in plan.outputs.iter().zip(outputs).enumerate() {
            output.raw().note_volatile();
            let beside = |i: usize| plan.shared.get(i) == Some(&true);
            let named = (0..).zip(&plan.inputs).zip(&inputs).filter_map(|((i, spec), tensor)| tensor.map(|tensor| (spec, tensor, beside(i))));
            let others = plan.outputs.iter().zip(outputs.iter().copied()).take(i).map(|(spec, tensor)| (spec, tensor, !plan.shared.is_empty()));
            let is_taken =
                |(_, other, beside): &(&TensorSpec, &Tensor, bool)| **other.raw() == **output.raw() && !(*beside && other.is_apart_from(output));
            if let Some((other, ..)) = named.chain(others).find(is_taken) {
                return Err(Error::invalid(
                    spec.name.clone(),
                    format!("a range of the buffer of {}", other.name),
                    "a kernel cannot read and write one buffer at once, not even separate ranges of it",
                ));
            }
        }
        Ok(inputs)
    }
}

/// A prepared op that may be gone.
#[derive(Debug, Clone)]
pub(crate) struct WeakPrepared {
    gpu: Gpu,
    shared: Weak<Shared>,
}

impl WeakPrepared {
    /// It, where something still has it.
    pub fn upgrade(&self) -> Option<Prepared> {
        self.shared.upgrade().map(|shared| Prepared { gpu: self.gpu.clone(), shared })
    }
}

/// A prepared op with its tensors, by [`Prepared::bind`]: recording it checks and binds nothing anew. It keeps the tensors' buffers alive.
#[must_use = "nothing runs before it is recorded and submitted"]
#[derive(Debug, Clone)]
pub struct Bound {
    prepared: Prepared,
    dispatches: Vec<Dispatch>,
}

impl Bound {
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.prepared.gpu
    }

    /// Its kernel calls.
    pub(crate) fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// The same, without the rest.
    pub(crate) fn into_dispatches(self) -> Vec<Dispatch> {
        self.dispatches
    }

    /// Records the op over the tensors that it was bound to.
    ///
    /// # Errors
    /// A recorder of another device; loss of the device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        check_recorder(recorder, &self.prepared.gpu)?;
        recorder.scoped(&self.prepared.plan().label, |recorder| recorder.push(&self.dispatches))
    }
}

fn check_recorder(recorder: &Recorder<'_>, gpu: &Gpu) -> Result<()> {
    if recorder.gpu() != gpu {
        return Err(Error::OtherDevice { argument: "the recorder".into() });
    }
    Ok(())
}

/// A tensor must be what the spec says, on the same device.
pub(crate) fn check_tensor(gpu: &Gpu, op: &str, spec: &TensorSpec, tensor: &Tensor) -> Result<()> {
    let name = &spec.name;
    if tensor.gpu() != gpu {
        return Err(Error::OtherDevice { argument: name.to_string() });
    }
    if tensor.shape().extents() != spec.tensor.extents {
        return Err(Error::invalid(name.clone(), tensor.shape(), format!("this {op} takes {name} of shape {:?}", spec.tensor.extents)));
    }
    if tensor.element() != spec.tensor.element {
        return Err(Error::invalid(name.clone(), tensor.element(), format!("this {op} takes {name} of {}", spec.tensor.element)));
    }
    if tensor.layout() != spec.tensor.layout && spec.tensor.extents.len() >= 3 {
        return Err(Error::invalid(name.clone(), tensor.layout().name(), format!("this {op} takes {name} stored {}", spec.tensor.layout.name())));
    }
    Ok(())
}
