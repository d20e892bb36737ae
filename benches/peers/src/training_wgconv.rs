//! The library's own trainer on a GPU or on the CPU engine.

use crate::Failure;
use crate::training::{BATCH, CLASSES, INPUT, Learner, PARAMETERS, RATE, input, labels, parameter};
use wgconv::ndarray::{ArrayD, IxDyn};
use wgconv::train::{Adam, Dataset, Engine, Loss, Model, Sequential, Trainer, TrainerDescriptor};
use wgconv::{Activation, Gpu};

pub struct Wgconv {
    gpu: Option<Gpu>,
    trainer: Trainer,
    data: Dataset,
    samples: Vec<usize>,
}

impl Wgconv {
    /// On `gpu`, or without one on the CPU engine.
    pub fn new(gpu: Option<Gpu>) -> Result<Self, Failure> {
        let tanh = Activation::Tanh;
        let model = Sequential::new([1, 32, 32]).conv2d(6, 5, tanh).average_pool2d(2).conv2d(16, 5, tanh).average_pool2d(2).conv2d(120, 5, tanh);
        let mut graph = model.flatten().dense(84, tanh).dense(CLASSES, Activation::None).graph(0)?;
        for (place, (name, extents, _)) in PARAMETERS.into_iter().enumerate() {
            graph.set(name, ArrayD::from_shape_vec(IxDyn(extents), parameter(place))?.view())?;
        }
        let data = Dataset::classes(ArrayD::from_shape_vec(IxDyn(&INPUT), input())?.view(), labels(), CLASSES)?;
        let descriptor = TrainerDescriptor { batch: BATCH, ..Default::default() };
        let engine = gpu.as_ref().map_or(Engine::Cpu, Engine::from);
        let trainer = Trainer::new(engine, &graph, Loss::cross_entropy(), Adam { rate: RATE, ..Default::default() }, &descriptor)?;
        Ok(Self { gpu, trainer, data, samples: (0..BATCH).collect() })
    }
}

impl Learner for Wgconv {
    fn device(&self) -> String {
        self.gpu.as_ref().map_or_else(|| format!("CPU, threads: {}", crate::threads()), |gpu| gpu.report().to_string())
    }

    fn step(&mut self) -> Result<(), Failure> {
        self.trainer.step(&self.data, &self.samples)?;
        Ok(self.gpu.as_ref().map_or(Ok(()), Gpu::wait)?)
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        Ok(self.trainer.evaluate(&self.data)?.loss)
    }
}
