//! The loop: batches in a seeded order, one step each, epochs, evaluation.

use crate::graph::{BinaryWeights, CrossEntropyDescriptor, Graph, Reduction, ValueId};
use crate::ops::dropout::DropoutKey;
use crate::train::augment::Augmentation;
use crate::train::data::Dataset;
use crate::train::engine::{Engine, Job, Kept, Named, Part, Running};
use crate::train::metrics::Epoch;
use crate::train::optimizer::{Optimizer, Schedule};
use crate::train::sequential::Model;
use crate::train::step;
use crate::types::{ElementType, Error, Result};
use ndarray::{ArrayD, Axis, Slice};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use web_time::Instant;

/// What training makes small.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The cross-entropy of logits and classes.
    CrossEntropy {
        /// How much of each target is spread over all classes.
        label_smoothing: f32,
    },
    /// The binary cross-entropy of logits.
    BinaryCrossEntropy,
    /// The mean squared error.
    Mse,
    /// The mean magnitude of the error.
    L1,
    /// The Huber loss.
    Huber {
        /// Where it becomes linear.
        delta: f32,
    },
}

impl Loss {
    /// The cross-entropy of logits and classes, without smoothing.
    pub const fn cross_entropy() -> Self {
        Loss::CrossEntropy { label_smoothing: 0.0 }
    }

    /// The mean loss of what the model gives, as a value of the graph.
    pub(super) fn of(self, graph: &mut Graph, output: ValueId, target: ValueId) -> Result<ValueId> {
        match self {
            Loss::CrossEntropy { label_smoothing } => {
                graph.cross_entropy(output, target, None, &CrossEntropyDescriptor { label_smoothing, ..Default::default() })
            }
            Loss::BinaryCrossEntropy => graph.bce_with_logits(output, target, BinaryWeights::default(), Reduction::Mean),
            Loss::Mse => graph.mse_loss(output, target, Reduction::Mean),
            Loss::L1 => graph.l1_loss(output, target, Reduction::Mean),
            Loss::Huber { delta } => graph.huber_loss(output, target, delta, Reduction::Mean),
        }
    }
}

/// How a trainer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerDescriptor {
    /// Samples of a run of the network.
    pub batch: usize,
    /// Runs of a step, whose gradients are added up: a step of `accumulate` batches is one of their mean loss. What is left of an epoch is left out of it.
    pub accumulate: usize,
    /// How the rate changes.
    pub schedule: Schedule,
    /// The largest norm of all gradients together.
    pub clip_norm: Option<f32>,
    /// The largest magnitude of each gradient; before `clip_norm`.
    pub clip_value: Option<f32>,
    /// Whether weight decay acts on vectors too: biases, what norms scale by and add, slopes of prelu.
    pub decay_vectors: bool,
    /// How much of the running statistics of batch norms stays at each run (ONNX's momentum; PyTorch's is what enters).
    pub norm_momentum: f32,
    /// The most bytes between the ops of a run of the network, parameters, gradients and samples not counted. Where it needs more, cheap values are computed
    /// again instead of being kept ([`Graph::recomputed`]): the bits are the same, and a run takes longer. None for as many as it takes.
    pub memory_limit: Option<u64>,
    /// Whether products compute in f16, of parameters that stay f32 ([`Graph::in_half`]); gradients are f32. On a GPU it needs `shader-f16`.
    pub mixed_precision: bool,
    /// What is changed at random in the samples.
    pub augmentation: Augmentation,
    /// What the numbers of the model, the order of the samples, their changes and what is dropped follow from.
    pub seed: u64,
}

impl Default for TrainerDescriptor {
    /// Batches of 64.
    fn default() -> Self {
        Self {
            batch: 64,
            accumulate: 1,
            schedule: Schedule::Constant,
            clip_norm: None,
            clip_value: None,
            decay_vectors: true,
            norm_momentum: 0.9,
            memory_limit: None,
            mixed_precision: false,
            augmentation: Augmentation::default(),
            seed: 0,
        }
    }
}

impl TrainerDescriptor {
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        self.augmentation.check()?;
        if let Some((name, _)) = [("batch", self.batch), ("accumulate", self.accumulate)].into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::invalid(name, 0, "a step takes at least one sample"));
        }
        if self.batch.checked_mul(self.accumulate).is_none() {
            return Err(Error::invalid("accumulate", self.accumulate, "no data has so many samples"));
        }
        for (name, most) in [("clip_norm", self.clip_norm), ("clip_value", self.clip_value)] {
            if let Some(most) = most.filter(|most| most.is_nan() || *most <= 0.0) {
                return Err(Error::invalid(name, most, format!("{name} is positive")));
            }
        }
        if !(0.0..=1.0).contains(&self.norm_momentum) {
            return Err(Error::invalid("norm_momentum", self.norm_momentum, "norm_momentum is from 0 to 1"));
        }
        Ok(())
    }

    /// Samples of a step.
    fn samples(&self) -> usize {
        self.batch * self.accumulate // checked in `check`
    }
}

/// A model that learns.
///
/// ```
/// use ndarray::{Array2, Array4};
/// use wgconv::Activation;
/// use wgconv::train::{Adam, Dataset, Engine, Loss, Sequential, Trainer, TrainerDescriptor};
/// # fn main() -> wgconv::Result<()> {
/// // Left or right: which half of a picture is lighter.
/// let pictures = Array4::from_shape_fn((32, 1, 6, 6), |(n, _, y, x)| if (x < 3) == (n % 2 == 0) { 1.0 } else { y as f32 / 20.0 });
/// let data = Dataset::classes(pictures.view(), (0..32).map(|n| n % 2).collect(), 2)?;
/// let model = Sequential::new([1, 6, 6]).conv2d(4, 3, Activation::Relu).flatten().dense(2, Activation::None);
/// let optimizer = Adam { rate: 0.01, ..Default::default() };
/// let mut trainer = Trainer::new(Engine::Cpu, &model, Loss::cross_entropy(), optimizer, &TrainerDescriptor { batch: 8, ..Default::default() })?;
/// for _ in 0..10 {
///     println!("{}", trainer.epoch(&data)?);
/// }
/// assert_eq!(trainer.evaluate(&data)?.accuracy, Some(1.0));
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    pub(super) engine: Engine,
    pub(super) model: Graph,
    /// The parameters that follow their gradient.
    pub(super) learned: Vec<String>,
    pub(super) loss: Loss,
    pub(super) optimizer: Optimizer,
    pub(super) descriptor: TrainerDescriptor,
    pub(super) running: Option<Running>,
    /// What a checkpoint held, until there is something to put it in.
    pub(super) waiting: Option<Kept>,
    /// The samples of the steps whose loss was not looked at yet.
    pub(super) unseen: Vec<Vec<usize>>,
    /// The losses of the runs of this epoch that were looked at.
    pub(super) sum: f64,
    pub(super) steps: u64,
    pub(super) epochs: u64,
    #[cfg(feature = "weights")]
    pub(super) rescue: Option<std::path::PathBuf>,
}

/// Runs between looks at the loss on a device.
pub(super) const LOOK: usize = 32;

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trainer")
    }
}

impl Trainer {
    /// A trainer of a model with one input called `input` and one output called `output`.
    ///
    /// # Errors
    /// Numbers that make no optimizer; a batch of 0; a model whose input, output or parameters are not as said.
    pub fn new(
        engine: impl Into<Engine>,
        model: &impl Model,
        loss: Loss,
        optimizer: impl Into<Optimizer>,
        descriptor: &TrainerDescriptor,
    ) -> Result<Self> {
        let optimizer = optimizer.into();
        optimizer.check()?;
        descriptor.check()?;
        let model = model.graph(descriptor.seed)?;
        let inputs: Vec<&str> = model.inputs().map(|(name, _)| name).collect();
        let outputs: Vec<&str> = model.outputs().map(|(name, _)| name).collect();
        if inputs != ["input"] || outputs != ["output"] {
            let given = format!("inputs {}, outputs {}", inputs.join(", "), outputs.join(", "));
            return Err(Error::invalid("model", given, "it has the input \"input\" and the output \"output\""));
        }
        if let Some((name, _)) = model.parameters().find(|(_, value)| model.numbers(*value).is_none()) {
            return Err(Error::of_all("parameter", &[name], "without numbers", "training begins from some: Graph::set gives them"));
        }
        check_elements(&model)?;
        let (engine, learned, descriptor) = (engine.into(), step::learned(&model), *descriptor);
        let (running, waiting, unseen) = (None, None, vec![]);
        Ok(Self {
            engine,
            model,
            learned,
            loss,
            optimizer,
            descriptor,
            running,
            waiting,
            unseen,
            sum: 0.0,
            steps: 0,
            epochs: 0,
            #[cfg(feature = "weights")]
            rescue: None,
        })
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What a run computes, before anything is computed again.
    pub(super) fn step_graph(&self, data: &Dataset) -> Result<Graph> {
        step::improved(&step::step(&self.model, &self.learned, self.loss, &self.descriptor, &data.target_extents())?)
    }

    fn running(&mut self, data: &Dataset) -> Result<&mut Running> {
        if self.running.is_none() {
            let (graph, target) = (self.step_graph(data)?, data.target_extents());
            let graph = match self.descriptor.memory_limit {
                Some(limit) => step::within(&graph, limit, self.gpu())?,
                None => graph,
            };
            let sample = &data.inputs().shape()[1..];
            let augmentation = Some(self.descriptor.augmentation).filter(|augmentation| !augmentation.is_none());
            let augmenting = augmentation.map(|augmentation| augmentation.graph(self.descriptor.batch, sample)).transpose()?;
            let with_batch = |own: &[usize]| std::iter::once(self.descriptor.batch).chain(own.iter().copied()).collect::<Vec<usize>>();
            let (input, target) = (with_batch(sample), with_batch(&target));
            let job = Job {
                step: &graph,
                augmenting: augmenting.as_ref(),
                model: &self.model,
                learned: &self.learned,
                rule: self.optimizer.rule(),
                descriptor: &self.descriptor,
                extents: [&input, &target],
            };
            let mut running = Running::new(&self.engine, &job)?;
            if let Some(kept) = &self.waiting {
                running.restore(kept)?;
            }
            self.waiting = None;
            self.running = Some(running);
        }
        self.running.as_mut().ok_or_else(|| Error::Internal { label: "training".into(), message: "nothing runs".into() })
    }

    /// What is changed in these samples at step `step`; none where nothing is.
    fn changes(&self, data: &Dataset, samples: &[usize], step: u64) -> Result<Option<ArrayD<f32>>> {
        let TrainerDescriptor { augmentation, seed, .. } = self.descriptor;
        if augmentation.is_none() {
            return Ok(None);
        }
        augmentation.changes(samples, &data.inputs().shape()[1..], seed, step).map(Some)
    }

    /// These samples of the data as step `step`, counted from 0, gets them: changed as the descriptor's augmentation says.
    ///
    /// # Errors
    /// A sample that the data do not have; none; samples that are no pictures; loss of the device.
    pub fn augmented(&self, data: &Dataset, samples: &[usize], step: u64) -> Result<ArrayD<f32>> {
        check_samples(data, samples)?;
        self.changed(&self.engine, data, samples, step)
    }

    fn changed(&self, engine: &Engine, data: &Dataset, samples: &[usize], step: u64) -> Result<ArrayD<f32>> {
        let (TrainerDescriptor { augmentation, seed, .. }, (inputs, _)) = (self.descriptor, data.batch(samples));
        if augmentation.is_none() { Ok(inputs) } else { augmentation.apply(engine, inputs.view(), samples, seed, step) }
    }

    /// The samples of step `step` and their targets, for a look at what went wrong there: changed on the CPU engine, whatever engine trains.
    pub(super) fn batch(&self, data: &Dataset, samples: &[usize], step: u64) -> Result<(ArrayD<f32>, ArrayD<f32>)> {
        Ok((self.changed(&Engine::Cpu, data, samples, step)?, data.batch(samples).1))
    }

    /// What is dropped in a part of a step.
    pub(super) fn key(&self, step: u64, part: usize) -> DropoutKey {
        let (TrainerDescriptor { seed, accumulate, .. }, low) = (self.descriptor, u64::from(u32::MAX));
        let run = step.wrapping_mul(accumulate as u64).wrapping_add(part as u64);
        DropoutKey { seed: ((seed ^ seed >> 32) & low) as u32, step: (run & low) as u32 }
    }

    /// One step on these samples of the data, `batch` times `accumulate` of them; the loss, where the engine knows it at once.
    ///
    /// # Errors
    /// Another number of samples than a step has; a loss or a gradient that is not finite, with the step; what the engine or `memory_limit` cannot hold.
    pub fn step(&mut self, data: &Dataset, samples: &[usize]) -> Result<Option<f64>> {
        let TrainerDescriptor { batch, accumulate, .. } = self.descriptor;
        if samples.len() != self.descriptor.samples() {
            let each = if accumulate == 1 { format!("a batch has {batch}") } else { format!("a step has {accumulate} batches of {batch}") };
            return Err(Error::invalid("samples", samples.len(), each));
        }
        check_samples(data, samples)?;
        let rate = self.optimizer.rate() * self.descriptor.schedule.factor(self.steps);
        let scalars = self.optimizer.scalars(self.steps + 1, rate);
        let (input, target) = data.batch(samples);
        let changes = self.changes(data, samples, self.steps)?;
        let mut total = 0.0;
        let mut is_known = true;
        for i in 0..accumulate {
            let own = Slice::from(i * batch..(i + 1) * batch);
            let (input, target) = (input.slice_axis(Axis(0), own), target.slice_axis(Axis(0), own));
            let (key, last) = (self.key(self.steps, i), (i + 1 == accumulate).then_some(scalars));
            let changes = changes.as_ref().map(|changes| changes.slice_axis(Axis(0), own));
            let part = Part { input, changes, target, key, is_first: i == 0, last };
            match self.running(data)?.part(&part)? {
                Some(seen) if !seen.is_finite() => return Err(self.stopped(seen, data, samples, i)),
                Some(seen) => total += f64::from(seen.loss),
                None => is_known = false,
            }
        }
        self.steps += 1;
        if is_known {
            self.sum += total;
            return Ok(Some(total / accumulate as f64));
        }
        self.unseen.push(samples.to_vec());
        if self.unseen.len() * accumulate >= LOOK {
            self.look(data)?;
        }
        Ok(None)
    }

    /// One pass over the data, in an order of its own.
    ///
    /// # Errors
    /// Less data than a step; as [`Trainer::step`].
    pub fn epoch(&mut self, data: &Dataset) -> Result<Epoch> {
        self.epoch_with(data, |_, _| ())
    }

    /// As [`Trainer::epoch`], and calls `after` with the steps that are done and all steps.
    ///
    /// # Errors
    /// As [`Trainer::epoch`].
    pub fn epoch_with(&mut self, data: &Dataset, mut after: impl FnMut(u64, u64)) -> Result<Epoch> {
        let samples = self.descriptor.samples();
        let steps = data.len() / samples;
        if steps == 0 {
            return Err(Error::invalid("data", format!("{} samples", data.len()), format!("an epoch has at least one batch of {samples}")));
        }
        let start = Instant::now();
        self.look(data)?; // at steps from before
        self.sum = 0.0;
        let order = data.order(&format!("order {} {}", self.descriptor.seed, self.epochs));
        for (i, samples) in order.chunks_exact(samples).enumerate() {
            self.step(data, samples)?;
            after(i as u64 + 1, steps as u64);
        }
        self.look(data)?;
        self.epochs += 1;
        let loss = self.sum / (steps * self.descriptor.accumulate) as f64;
        Ok(Epoch { number: self.epochs, steps: self.steps, loss, seconds: start.elapsed().as_secs_f64() })
    }

    /// The model with its parameters as they are now.
    ///
    /// # Errors
    /// Loss of the device.
    pub fn model(&self) -> Result<Graph> {
        let mut model = self.model.clone();
        for (name, numbers) in self.kept()?.0 {
            model.set(&name, numbers.view())?;
        }
        Ok(model)
    }

    /// Parameters with running statistics, and the optimizer's state, as they are now.
    pub(super) fn kept(&self) -> Result<Kept> {
        match (&self.running, &self.waiting) {
            (Some(running), _) => running.kept(),
            (None, Some(kept)) => Ok(kept.clone()),
            // Before the first step the rule keeps zeros.
            (None, None) => {
                let statistics = self.model.running_statistics();
                let array = |name: &str| -> Result<(String, ArrayD<f32>)> {
                    let numbers = self.model.find(name).and_then(|value| self.model.numbers(value));
                    let numbers = numbers.ok_or_else(|| crate::train::engine::missing(name))?;
                    Ok((name.to_string(), crate::train::data::shaped(numbers.as_f32().into_owned(), &numbers.tensor_type().extents)?))
                };
                let mut parameters = self.learned.iter().map(|name| array(name)).collect::<Result<Vec<_>>>()?;
                let names = self.optimizer.rule().state();
                let zeros = |(name, array): &(String, ArrayD<f32>)| {
                    names.iter().map(|kept| (format!("{kept}.{name}"), ArrayD::zeros(array.raw_dim()))).collect::<Vec<_>>()
                };
                let state = parameters.iter().flat_map(zeros).collect();
                parameters.extend(statistics.into_iter().map(array).collect::<Result<Vec<_>>>()?);
                Ok((parameters, state))
            }
        }
    }

    /// Goes on from here.
    #[cfg(feature = "weights")]
    pub(super) fn restore(&mut self, kept: Kept, (steps, epochs): (u64, u64)) -> Result<()> {
        self.set_kept(kept)?;
        (self.steps, self.epochs) = (steps, epochs);
        Ok(())
    }

    /// Other parameters, running statistics and state; nothing changes where they are of another model or optimizer.
    pub(super) fn set_kept(&mut self, kept: Kept) -> Result<()> {
        let extents = |of: &Named| of.iter().map(|(name, array)| (name.clone(), array.shape().to_vec())).collect::<BTreeMap<_, _>>();
        let own = self.kept()?;
        for (own, given) in [(extents(&own.0), extents(&kept.0)), (extents(&own.1), extents(&kept.1))] {
            if let Some((name, own)) = own.iter().find(|(name, own)| given.get(*name) != Some(own)) {
                let found = given.get(name).map_or("missing".to_string(), |found| format!("{found:?}"));
                return Err(Error::invalid(name.clone(), found, format!("this trainer's is {own:?}")));
            }
            if let Some(name) = given.keys().find(|name| !own.contains_key(*name)) {
                let rule = "this trainer has nothing of this name: it is of another model or optimizer";
                return Err(Error::invalid("the checkpoint", format!("with {name}"), rule));
            }
        }
        match &mut self.running {
            Some(running) => {
                running.take_seen()?;
                running.restore(&kept)?;
            }
            None => self.waiting = Some(kept),
        }
        self.unseen.clear();
        Ok(())
    }
}

fn check_samples(data: &Dataset, samples: &[usize]) -> Result<()> {
    match samples.iter().find(|sample| **sample >= data.len()) {
        Some(out) => Err(Error::invalid("samples", out, format!("there are {} samples", data.len()))),
        None => Ok(()),
    }
}

/// Samples and what learns are f32, and so is what a loss is of.
fn check_elements(model: &Graph) -> Result<()> {
    let halves = |name: &str, value: ValueId, rule: &str| match model.element(value) {
        ElementType::F32 => Ok(()),
        other => Err(Error::invalid(name, format!("of {other}"), rule)),
    };
    model.inputs().try_for_each(|(name, value)| halves(name, value, "samples are f32: Graph::cast makes f16 of them in the network"))?;
    model.parameters().try_for_each(|(name, value)| halves(name, value, "what learns is f32: Graph::cast makes f16 of it in the network"))?;
    model.outputs().try_for_each(|(name, value)| halves(name, value, "a loss is of f32: Graph::cast makes it of f16"))
}
