//! Which tensors of a call lie in one buffer: a host may cut its tensors out of a large one, where an output lies beside what the op reads.

use crate::gpu::Gpu;
use crate::gpu::tensor::Tensor;
use crate::ops::{Op, Problem};
use crate::plan::step::Plan;
use crate::types::{Error, Result};

/// By input and output: the first output in the same buffer, none where there is none. Empty where no output shares its buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sharing {
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
}

impl Sharing {
    /// Of the tensors of a call; `outputs` are those that are there before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where two of them overlap in the buffer of an output.
    pub fn of(op: &Op, inputs: &[&Tensor], outputs: &[&Tensor]) -> Result<Self> {
        let first = |tensor: &&Tensor| outputs.iter().position(|output| **output.raw() == **tensor.raw());
        let sharing = Self { inputs: inputs.iter().map(first).collect(), outputs: outputs.iter().map(first).collect() };
        if sharing.inputs.iter().all(Option::is_none) && (0..).zip(&sharing.outputs).all(|(i, buffer)| *buffer == Some(i)) {
            return Ok(Self::default());
        }
        let places = sharing.inputs.iter().chain(&sharing.outputs);
        let tensors: Vec<(&Tensor, &Option<usize>)> = inputs.iter().chain(outputs).copied().zip(places).collect();
        for (i, (tensor, buffer)) in tensors.iter().enumerate() {
            let overlaps = |(other, place): &(&Tensor, &Option<usize>)| buffer.is_some() && place == buffer && !tensor.is_apart_from(other);
            if let Some(other) = tensors[..i].iter().position(overlaps) {
                let names: Vec<_> = op.inputs().into_iter().chain(op.outputs()).map(|spec| spec.name).collect();
                let name = |i: usize| names.get(i).map_or("a tensor", |name| name);
                let rule = "in a buffer that the op writes to, tensors lie side by side: no byte is of two of them";
                return Err(Error::invalid(name(i).to_string(), format!("a range of the buffer of {}", name(other)), rule));
            }
        }
        Ok(sharing)
    }

    /// The plan of `op` for tensors that lie so.
    pub fn plan(&self, gpu: &Gpu, op: &Op) -> Result<Plan> {
        let mut plan = gpu.plan(op)?;
        if !self.outputs.is_empty() && (self.inputs.len(), self.outputs.len()) == (plan.inputs.len(), plan.outputs.len()) {
            plan.share(&self.inputs, &self.outputs)?;
        }
        Ok(plan)
    }
}
