//! Where a trainer computes: one of two engines behind one face.

use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::ops::dropout::DropoutKey;
use crate::ops::optimizer::{Rule, Scalars};
use crate::train::on_cpu::OnCpu;
use crate::train::on_gpu::OnGpu;
use crate::train::slots::{Kind, Slots};
use crate::train::step::vectors;
use crate::train::trainer::TrainerDescriptor;
use crate::types::{Error, Result};
use ndarray::{ArrayD, ArrayViewD};
use std::collections::HashSet;

/// Where to train.
#[derive(Debug, Clone, Default)]
pub enum Engine {
    /// On a GPU.
    Gpu(Gpu),
    /// On the CPU engine.
    #[default]
    Cpu,
}

impl From<&Gpu> for Engine {
    fn from(gpu: &Gpu) -> Self {
        Engine::Gpu(gpu.clone())
    }
}

/// Tensors by name.
pub(super) type Named = Vec<(String, ArrayD<f32>)>;

/// Parameters with running statistics, and what the optimizer keeps.
pub(super) type Kept = (Named, Named);

/// What an engine runs.
pub(super) struct Job<'a> {
    /// Inputs `input` and `target`, and a key where elements are dropped; outputs `loss`, a gradient for each parameter, a statistic of the batch for each running one.
    pub step: &'a Graph,
    /// What changes samples before they are its input, where any are.
    pub augmenting: Option<&'a Graph>,
    /// Where parameters and running statistics begin.
    pub model: &'a Graph,
    /// Which follow their gradient.
    pub learned: &'a [String],
    pub rule: Rule,
    pub descriptor: &'a TrainerDescriptor,
    /// Extents of `input` and `target`.
    pub extents: [&'a [usize]; 2],
}

impl Job<'_> {
    /// The tensors that stay from step to step.
    pub fn slots(&self, alignment: usize, most: usize) -> Result<Slots> {
        let extents = |name: &str| {
            let value = self.model.find(name).ok_or_else(|| missing(name))?;
            self.model.extents(value).ok_or_else(|| missing(name))
        };
        let plain = if self.descriptor.decay_vectors { HashSet::new() } else { vectors(self.model) };
        let mut tensors = vec![];
        for name in self.learned {
            let is_plain = self.model.find(name).is_some_and(|value| plain.contains(&value));
            tensors.push((name.clone(), extents(name)?, if is_plain { Kind::Plain } else { Kind::Decayed }));
        }
        for name in self.model.running_statistics() {
            tensors.push((name.to_string(), extents(name)?, Kind::Carried));
        }
        Ok(Slots::new(tensors, alignment, most))
    }

    /// The numbers that a parameter begins with.
    pub fn first(&self, name: &str) -> Result<Vec<f32>> {
        let numbers = self.model.find(name).and_then(|value| self.model.numbers(value)).ok_or_else(|| missing(name))?;
        Ok(numbers.as_f32().into_owned())
    }
}

/// One part of a step.
pub(super) struct Part<'a> {
    /// The samples as they are.
    pub input: ArrayViewD<'a, f32>,
    /// What is changed in them.
    pub changes: Option<ArrayViewD<'a, f32>>,
    pub target: ArrayViewD<'a, f32>,
    /// What is dropped in this part.
    pub key: DropoutKey,
    /// Whether gradients begin anew.
    pub is_first: bool,
    /// The numbers of the optimizer's step, behind the last part.
    pub last: Option<Scalars>,
}

/// What is seen of a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub loss: f32,
    /// Behind the last part of a step: finite where all gradients are.
    pub gradients: f32,
}

impl Seen {
    pub fn is_finite(self) -> bool {
        self.loss.is_finite() && self.gradients.is_finite()
    }
}

/// A training graph on an engine.
pub(super) enum Running {
    Cpu(Box<OnCpu>),
    Gpu(Box<OnGpu>),
}

impl Running {
    pub fn new(engine: &Engine, job: &Job<'_>) -> Result<Self> {
        match engine {
            Engine::Cpu => Ok(Running::Cpu(Box::new(OnCpu::new(job)?))),
            Engine::Gpu(gpu) => Ok(Running::Gpu(Box::new(OnGpu::new(gpu, job)?))),
        }
    }

    /// One part; the loss, where it is known at once. Where that or a gradient is not finite nothing changes, from this part on.
    pub fn part(&mut self, part: &Part<'_>) -> Result<Option<Seen>> {
        match self {
            Running::Cpu(on) => on.part(part).map(Some),
            Running::Gpu(on) => on.part(part).map(|()| None),
        }
    }

    /// What was not known at once, of all parts since the last look.
    pub fn seen(&self) -> Result<Vec<Seen>> {
        match self {
            Running::Cpu(_) => Ok(vec![]),
            Running::Gpu(on) => on.seen(),
        }
    }

    /// The same, for the last time: what was stopped may go on.
    pub fn take_seen(&mut self) -> Result<Vec<Seen>> {
        let seen = self.seen()?;
        if let Running::Gpu(on) = self {
            on.go_on()?;
        }
        Ok(seen)
    }

    /// Parameters, running statistics, and what the rule keeps of parameters (`m.conv1.weight`), as they are now.
    pub fn kept(&self) -> Result<Kept> {
        match self {
            Running::Cpu(on) => on.kept(),
            Running::Gpu(on) => on.kept(),
        }
    }

    /// Sets them to what [`Running::kept`] gave.
    pub fn restore(&mut self, kept: &Kept) -> Result<()> {
        match self {
            Running::Cpu(on) => on.restore(kept),
            Running::Gpu(on) => on.restore(kept),
        }
    }
}

/// The numbers called `name`, of these extents.
pub(super) fn find(from: &Named, name: &str, extents: &[usize]) -> Result<ArrayD<f32>> {
    let found = from.iter().find(|(own, _)| own == name).map(|(_, array)| array.clone()).ok_or_else(|| missing(name))?;
    if found.shape() == extents { Ok(found) } else { Err(Error::invalid(name, format!("{:?}", found.shape()), format!("it is {extents:?}"))) }
}

pub(super) fn missing(name: &str) -> Error {
    Error::invalid("name", format!("\"{name}\""), "training has nothing of this name")
}
