//! Training steps: the forward pass, the backward pass, the optimizer's step, and a whole step of the library's trainer.
//!
//! Parts and engines are timed in turn, round by round, so that whatever else the machine does falls on all of them alike; ratios are medians of the
//! ratios of rounds. Before anything is timed, the graph of the gradients is run op by op and held to the reference, as networks are.

use super::document::{Record, Samples, TrainingRecord};
use super::layer::{Repeats, What};
use super::network::engines::{Subject, bound, by_op, run};
use super::network::{check_memory, compare, relative_difference, usual};
use crate::suites::{self, Suite};
use crate::{Failure, interrupt};
use std::time::Instant;
use wgconv::gpu::Peak;
use wgconv::graph::{Graph, Pass, ValueId};
use wgconv::ndarray::{ArrayD, Axis};
use wgconv::op::{Bound, Prepared, Problem};
use wgconv::session::BoundSession;
use wgconv::train::{Adam, CrossEntropyDescriptor, Dataset, Engine, Loss, Optimizer, OptimizerProblem, Trainer, TrainerDescriptor};
use wgconv::{ElementType, Gpu, Layout, Session, Tensor};

/// Samples of a step where nobody asks for others: a small network's are many.
pub fn usual_batch(suite: Suite) -> usize {
    if suite == Suite::Lenet5 { 64 } else { 1 }
}

/// What is timed, and on what.
pub struct Bench<'a> {
    pub suite: Suite,
    pub gpu: Option<&'a Gpu>,
    pub peak: Option<&'a Peak>,
    pub cpu: bool,
    /// Products in f16.
    pub mixed: bool,
    pub repeats: Repeats,
}

/// What is run; the backward pass is what running it adds to the forward pass.
const PARTS: [&str; 4] = ["forward", "forward and backward", "optimizer", "step"];

/// What is told, in this order.
pub const RECORDS: [&str; 4] = ["forward", "backward", "optimizer", "step"];

/// How the backward pass is timed.
pub const BY_DIFFERENCE: &str = "by difference";

/// The passes of a trainer: those that keep parameters as they are.
const PASSES: [Pass; 3] = [Pass::RemoveIdentities, Pass::FuseActivation, Pass::Order];

/// The optimizer of every step. A small rate: the numbers must stay what they are meant to be however often a step is run.
const ADAM: Adam = Adam { rate: 1e-5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false, amsgrad: false };

/// What the records of a step call its shape.
pub fn shape(batch: usize, mixed: bool) -> String {
    format!("batch {batch}{}", if mixed { ", products in f16" } else { "" })
}

/// Adds the distinct ops of a step's graph, forward and backward, that are not there yet.
pub fn add_layers(layers: &mut Vec<suites::Layer>, suite: Suite, batch: usize, mixed: bool) -> Result<(), Failure> {
    suites::add_ops(layers, &Task::new(suite, batch, mixed)?.both.graph, batch)
}

/// A network with its loss, without and with gradients, and a batch for it.
struct Task {
    model: Graph,
    forward: Subject,
    both: Subject,
    /// Names and extents.
    parameters: Vec<(String, Vec<usize>)>,
    data: Dataset,
    mixed: bool,
}

impl Task {
    fn new(suite: Suite, batch: usize, mixed: bool) -> Result<Self, Failure> {
        let model = suites::training(suite)?;
        let closed = model.closed(batch)?;
        let mut graph = if mixed { closed.in_half()? } else { closed };
        let Some((_, output)) = graph.outputs().next() else { return Err(Failure::Run("the network has no output".into())) };
        let extents: Vec<usize> = (0..graph.rank(output)).filter_map(|axis| graph.extent(output, axis)).collect();
        let fixed: Vec<wgconv::Extent> = extents.iter().map(|&extent| extent.into()).collect();
        let target = graph.input_as("target", &fixed, ElementType::F32, Layout::ChannelsFirst)?;
        let loss = graph.cross_entropy(output, target, None, &CrossEntropyDescriptor::default())?;
        let parameters: Vec<ValueId> = graph.parameters().map(|(_, value)| value).collect();
        let gradients = graph.differentiate(loss, &parameters)?.with_outputs(|name| name == "loss" || name.starts_with("grad."));
        graph.output("loss", loss)?;
        let forward = graph.with_outputs(|name| name == "loss");
        let [mut forward, mut both] = [Subject::new(forward.after(&PASSES)?.0, batch)?, Subject::new(gradients.after(&PASSES)?.0, batch)?];
        // One class each, in turn.
        let classes = extents.get(1).copied().unwrap_or(1);
        let mut targets = ArrayD::<f32>::zeros(extents);
        let positions: usize = targets.len() / classes;
        for i in 0..positions {
            let inner = positions / batch;
            let (item, position) = (i / inner, i % inner);
            if let Some(slot) = targets.as_slice_mut().and_then(|all| all.get_mut((item * classes + i % classes) * inner + position)) {
                *slot = 1.0;
            }
        }
        for subject in [&mut forward, &mut both] {
            subject.inputs.iter_mut().filter(|(name, _)| name == "target").for_each(|(_, array)| array.assign(&targets));
        }
        let Some((_, input)) = both.inputs.iter().find(|(name, _)| name == "input") else {
            return Err(Failure::Run("the network has no input".into()));
        };
        let data = Dataset::values(input.view(), targets.view())?;
        let parameters = both.graph.parameters().map(|(name, value)| (name.to_string(), both.at.types[value.index()].extents.clone())).collect();
        Ok(Self { model, forward, both, parameters, data, mixed })
    }

    fn batch(&self) -> usize {
        self.data.inputs().len_of(Axis(0))
    }

    fn trainer(&self, engine: Engine) -> Result<Trainer, Failure> {
        let descriptor = TrainerDescriptor { batch: self.batch(), mixed_precision: self.mixed, ..Default::default() };
        Ok(Trainer::new(engine, &self.model, Loss::cross_entropy(), ADAM, &descriptor)?)
    }

    fn elements(&self) -> usize {
        self.parameters.iter().map(|(_, extents)| extents.iter().product::<usize>()).sum()
    }

    /// A step on all parameters in one flat tensor, as trainers keep them on a GPU.
    fn optimizer(&self) -> Result<OptimizerProblem, Failure> {
        Ok(OptimizerProblem::new(Optimizer::from(ADAM).rule(), &[self.elements()])?)
    }
}

/// An engine with everything ready to run.
trait Ready {
    /// Runs a part of [`PARTS`] to its end.
    fn run(&mut self, part: usize) -> Result<(), Failure>;
}

struct OnGpu<'a> {
    gpu: &'a Gpu,
    task: &'a Task,
    passes: [BoundSession; 2],
    optimizer: Bound,
    trainer: Trainer,
    samples: Vec<usize>,
}

impl<'a> OnGpu<'a> {
    fn new(gpu: &'a Gpu, task: &'a Task, [forward, both]: [&Session; 2]) -> Result<Self, Failure> {
        let zeros = |extents: &[usize]| gpu.zeros(extents, ElementType::F32, Layout::ChannelsFirst);
        let optimizer = Optimizer::from(ADAM);
        let scalars = gpu.upload(&ndarray::Array1::from_vec(optimizer.scalars(1, ADAM.rate).to_array().to_vec()))?;
        let flat = [task.elements()];
        let state = optimizer.rule().state().iter().map(|_| zeros(&flat)).collect::<wgconv::Result<Vec<Tensor>>>()?;
        let (parameters, gradients) = (zeros(&flat)?, zeros(&flat)?);
        let changed: Vec<&Tensor> = std::iter::once(&parameters).chain(&state).collect();
        let step = Prepared::new(gpu, task.optimizer()?, &[])?.bind(&[&gradients, &scalars], &changed)?;
        let passes = [bound(gpu, forward, &task.forward)?, bound(gpu, both, &task.both)?];
        Ok(Self { gpu, task, passes, optimizer: step, trainer: task.trainer(gpu.into())?, samples: (0..task.batch()).collect() })
    }
}

impl Ready for OnGpu<'_> {
    fn run(&mut self, part: usize) -> Result<(), Failure> {
        match part {
            0 | 1 => {
                let mut recorder = self.gpu.recorder();
                self.passes[part].record(&mut recorder)?;
                recorder.submit()?;
            }
            2 => {
                let mut recorder = self.gpu.recorder();
                self.optimizer.record(&mut recorder)?;
                recorder.submit()?;
            }
            _ => drop(self.trainer.step(&self.task.data, &self.samples)?),
        }
        Ok(self.gpu.wait()?)
    }
}

/// A parameter with what an optimizer keeps of it, and its gradient.
struct Numbers {
    parameter: Vec<f32>,
    state: Vec<Vec<f32>>,
    gradient: Vec<f32>,
}

struct OnCpu<'a> {
    task: &'a Task,
    passes: [Session; 2],
    parameters: Vec<Numbers>,
    trainer: Trainer,
    samples: Vec<usize>,
}

impl<'a> OnCpu<'a> {
    fn new(task: &'a Task) -> Result<Self, Failure> {
        let kept = Optimizer::from(ADAM).rule().state().len();
        let numbers = |(_, extents): &(String, Vec<usize>)| {
            let zeros = vec![0.0; extents.iter().product()];
            Numbers { parameter: zeros.clone(), state: vec![zeros.clone(); kept], gradient: zeros }
        };
        let passes = [Session::cpu(&task.forward.graph)?, Session::cpu(&task.both.graph)?];
        let parameters = task.parameters.iter().map(numbers).collect();
        Ok(Self { task, passes, parameters, trainer: task.trainer(Engine::Cpu)?, samples: (0..task.batch()).collect() })
    }
}

impl Ready for OnCpu<'_> {
    fn run(&mut self, part: usize) -> Result<(), Failure> {
        match part {
            0 => drop(self.passes[0].run(&self.task.forward.given())?),
            1 => drop(self.passes[1].run(&self.task.both.given())?),
            2 => {
                let optimizer = Optimizer::from(ADAM);
                let scalars = optimizer.scalars(1, ADAM.rate);
                for Numbers { parameter, state, gradient } in &mut self.parameters {
                    wgconv::cpu::optimizer_step(optimizer.rule(), scalars, parameter, state, gradient);
                }
            }
            _ => drop(self.trainer.step(&self.task.data, &self.samples)?),
        }
        Ok(())
    }
}

/// Seconds by part and round.
type Times = [Vec<f64>; PARTS.len()];

impl Bench<'_> {
    /// Times a step on batches of so many samples: a record for each part, and what was counted.
    pub fn time(&self, batch: usize) -> Result<(Vec<Record>, TrainingRecord), Failure> {
        let task = Task::new(self.suite, batch, self.mixed)?;
        let (mut dispatches, mut checked, mut difference) = (None, None, None);
        let mut engines: Vec<Box<dyn Ready + '_>> = vec![];
        let mut output = None;
        if let Some(gpu) = self.gpu {
            let sessions = [Session::gpu(gpu, &task.forward.graph)?, Session::gpu(gpu, &task.both.graph)?];
            check_memory(&sessions[1].memory(batch)?)?;
            let whole = run(&sessions[1], &task.both)?;
            let (one_by_one, count) = by_op(gpu, &task.both)?;
            compare(&whole, &one_by_one)?;
            checked = Some(count);
            dispatches = sessions[1].dispatches(batch)?;
            output = Some(whole);
            engines.push(Box::new(OnGpu::new(gpu, &task, sessions.each_ref())?));
        }
        if self.cpu {
            check_memory(&Session::cpu(&task.both.graph)?.memory(batch)?)?;
            let own = OnCpu::new(&task)?;
            difference = output.map(|output| Ok::<f64, Failure>(relative_difference(&output, &run(&own.passes[1], &task.both)?))).transpose()?;
            engines.push(Box::new(own));
        }
        let times = self.rounds(&mut engines)?;
        let [mut gpu, mut cpu] = [None, None];
        let mut times = times.into_iter();
        if self.gpu.is_some() {
            gpu = times.next();
        }
        if self.cpu {
            cpu = times.next();
        }
        let rounds = gpu.as_ref().or(cpu.as_ref()).map_or(0, |times| times[0].len());
        let count = TrainingRecord {
            network: self.suite.name(),
            batch,
            loss: "cross_entropy".into(),
            optimizer: "adam".into(),
            parameters: task.elements() as u64,
            tensors: task.parameters.len(),
            forward_ops: task.forward.ops().count(),
            ops: task.both.ops().count(),
            dispatches,
            checked,
            difference,
            rounds,
        };
        Ok((self.records(&task, gpu.as_ref(), cpu.as_ref())?, count))
    }

    /// All parts on all engines in turn, again and again.
    fn rounds(&self, engines: &mut [Box<dyn Ready + '_>]) -> Result<Vec<Times>, Failure> {
        let mut once = 0.0;
        for engine in engines.iter_mut() {
            for part in 0..PARTS.len() {
                engine.run(part)?; // compiles, allocates
                let start = Instant::now();
                engine.run(part)?;
                once += start.elapsed().as_secs_f64();
            }
        }
        let mut times: Vec<Times> = engines.iter().map(|_| Times::default()).collect();
        for _ in 0..self.repeats.extra_warmup() {
            engines.iter_mut().try_for_each(|engine| (0..PARTS.len()).try_for_each(|part| engine.run(part)))?;
        }
        for _ in 0..self.repeats.count(once, usual(once)) {
            if interrupt::pressed() && times.first().is_some_and(|times| !times[0].is_empty()) {
                break;
            }
            for (engine, times) in engines.iter_mut().zip(&mut times) {
                for (part, seconds) in times.iter_mut().enumerate() {
                    let start = Instant::now();
                    engine.run(part)?;
                    seconds.push(start.elapsed().as_secs_f64());
                }
            }
        }
        Ok(times)
    }

    fn records(&self, task: &Task, gpu: Option<&Times>, cpu: Option<&Times>) -> Result<Vec<Record>, Failure> {
        let (forward, both) = (&task.forward, &task.both);
        let optimizer = task.optimizer()?;
        let optimizer = (optimizer.flops(), optimizer.bytes());
        let amounts = [
            (forward.flops(), forward.bytes()),
            (both.flops() - forward.flops(), both.bytes().saturating_sub(forward.bytes())),
            optimizer,
            (both.flops() + optimizer.0, both.bytes() + optimizer.1),
        ];
        let record = |(i, (flops, bytes)): (usize, (f64, u64))| {
            let of = |times: &Times| match i {
                1 => times[1].iter().zip(&times[0]).map(|(both, forward)| both - forward).collect(),
                _ => times[i].clone(),
            };
            let [gpu, cpu] = [gpu, cpu].map(|times| times.map(|times| Samples { seconds: of(times) }));
            let name = format!("{} {}", self.suite.name(), RECORDS[i]);
            let how = if i == 1 { BY_DIFFERENCE } else { "one submit" };
            let what = What { name: &name, op: "training", shape: shape(task.batch(), self.mixed), flops, bytes };
            let ratios = gpu.as_ref().zip(cpu.as_ref()).map(|(gpu, cpu)| Samples::ratios(cpu, gpu));
            let mut record = what.record(self.peak, gpu.is_some().then(|| (how.to_string(), true)), gpu, cpu);
            if let Some(ratios) = ratios {
                record.cpu_over_gpu = Some(ratios.median());
                record.ratio_spread = Some(ratios.spread());
            }
            record
        };
        Ok(amounts.into_iter().enumerate().map(record).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use wgconv::session::Arena;

    /// Each sample, and each pixel of a map, has one class.
    #[test]
    fn targets_are_one_class_each() {
        let Ok(task) = Task::new(Suite::Lenet5, 3, false) else { panic!("LeNet-5 differentiates") };
        let wgconv::train::Labels::Values(targets) = task.data.labels() else { panic!("targets are values") };
        assert_eq!(targets.shape(), [3, 10]);
        assert!(targets.outer_iter().all(|row| row.sum() == 1.0 && row.iter().filter(|v| **v == 1.0).count() == 1));
        assert_eq!(task.elements(), 61_706);
        // A gradient of each parameter and the loss.
        assert_eq!(task.both.graph.outputs().count(), 11);
        assert!(task.both.flops() > 2.5 * task.forward.flops());
        // Other batch norms than those of statistics of a trained network are no parameters.
        let resnet = suites::training(Suite::Resnet18).unwrap();
        assert!(resnet.parameters().all(|(name, _)| !name.contains("running")));
        assert_eq!(resnet.parameters().map(|(_, value)| resnet.elements(value)).sum::<u64>(), 11_689_512);
    }

    /// Bytes that are live at once between the ops of forward and backward, before and with all recomputed that helps.
    #[test]
    fn cheap_values_that_are_computed_again_need_not_be_kept() {
        // LeNet-5 is at its floor: the gradient of its first activation reads two values of the largest size and gives a third.
        for (suite, batch, most) in [(Suite::Lenet5, 64, 1.0), (Suite::Resnet18, 4, 0.64), (Suite::MobilenetV2, 1, 0.36)] {
            let Ok(task) = Task::new(suite, batch, false) else { panic!("{} differentiates", suite.name()) };
            let graph = &task.both.graph;
            let (again, change) = graph.recomputed(batch, 0).unwrap();
            let [before, after] = [graph, &again].map(|graph| Arena::of(graph, batch).unwrap());
            println!("{} at batch {batch}: {}; buffers of {} instead of {}", suite.name(), change.unwrap(), after.total(), before.total());
            let share = after.lower_bound() as f64 / before.lower_bound() as f64;
            assert!(share <= most && after.total() <= before.total(), "{}: {share}", suite.name());
        }
    }

    #[test]
    fn a_ratio_is_that_of_a_round() {
        let [cpu, gpu] = [vec![2.0, 40.0, 6.0], vec![1.0, 10.0, 2.0]].map(|seconds| Samples { seconds });
        assert_eq!(Samples::ratios(&cpu, &gpu).seconds, [2.0, 4.0, 3.0]);
    }
}
