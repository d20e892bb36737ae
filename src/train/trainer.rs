//! The loop: batches in a seeded order, one step each, epochs, evaluation.

use crate::graph::{BinaryWeights, CrossEntropyDescriptor, Graph, Pass, Reduction, ValueId};
use crate::session::Session;
use crate::train::data::{Augmentation, Dataset, Labels};
use crate::train::engine::{Engine, Running};
use crate::train::metrics::{Confusion, Epoch, Evaluation};
use crate::train::optimizer::{Optimizer, Schedule};
use crate::train::sequential::Model;
use crate::types::{Error, Result};
use ndarray::{ArrayD, ArrayViewD};
use serde::{Deserialize, Serialize};
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
    fn of(self, graph: &mut Graph, output: ValueId, target: ValueId) -> Result<ValueId> {
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
    /// Samples of a step; what is left of an epoch is left out of it.
    pub batch: usize,
    /// How the rate changes.
    pub schedule: Schedule,
    /// The largest norm of all gradients together.
    pub clip_norm: Option<f32>,
    /// What is changed at random in the samples.
    pub augmentation: Augmentation,
    /// What the numbers of the model, the order of the samples and their changes follow from.
    pub seed: u64,
}

impl Default for TrainerDescriptor {
    /// Batches of 64.
    fn default() -> Self {
        Self { batch: 64, schedule: Schedule::Constant, clip_norm: None, augmentation: Augmentation::default(), seed: 0 }
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
    engine: Engine,
    model: Graph,
    loss: Loss,
    optimizer: Optimizer,
    descriptor: TrainerDescriptor,
    running: Option<Running>,
    /// What a checkpoint held, until there is something to put it in.
    waiting: Option<Kept>,
    steps: u64,
    epochs: u64,
}

/// Tensors by name.
type Named = Vec<(String, ArrayD<f32>)>;

/// Parameters and the optimizer's state.
type Kept = (Named, Named);

/// Steps between looks at the loss: one that is not finite is found after at most so many.
const LOOK: u64 = 32;

/// Samples of one run of an evaluation.
const EVALUATED: usize = 256;

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
        descriptor.schedule.check()?;
        if descriptor.batch == 0 {
            return Err(Error::invalid("batch", 0, "a step takes at least one sample"));
        }
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
        Ok(Self { engine: engine.into(), model, loss, optimizer, descriptor: *descriptor, running: None, waiting: None, steps: 0, epochs: 0 })
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The graph of a step: the network, its loss and the gradients, for batches whose targets have these extents.
    fn training_graph(&self, target: &[usize]) -> Result<Graph> {
        let mut graph = self.model.closed(self.descriptor.batch)?;
        let Some((_, output)) = graph.outputs().next() else { return Err(Error::invalid("model", "without output", "it has one")) };
        let extents: Vec<crate::graph::Extent> = std::iter::once(self.descriptor.batch).chain(target.iter().copied()).map(Into::into).collect();
        let target = graph.input_as("target", &extents, crate::types::ElementType::F32, crate::types::Layout::ChannelsFirst)?;
        let loss = self.loss.of(&mut graph, output, target)?;
        let parameters: Vec<ValueId> = graph.parameters().map(|(_, value)| value).collect();
        let graph = graph.differentiate_with(loss, &parameters, self.descriptor.clip_norm)?;
        let graph = graph.with_outputs(|name| name == "loss" || name.starts_with("grad."));
        // Folding would change what is learned; all others keep parameters as they are.
        Ok(graph.after(&[Pass::RemoveIdentities, Pass::FuseActivation, Pass::Order])?.0)
    }

    fn running(&mut self, data: &Dataset) -> Result<&mut Running> {
        if self.running.is_none() {
            let target = data.target_extents();
            let graph = self.training_graph(&target)?;
            let batch = self.descriptor.batch;
            let with_batch = |own: &[usize]| std::iter::once(batch).chain(own.iter().copied()).collect::<Vec<usize>>();
            let (input, target) = (with_batch(&data.inputs().shape()[1..]), with_batch(&target));
            let names = graph.parameters().map(|(name, _)| name.to_string()).collect();
            let mut running = Running::new(&self.engine, &graph, names, self.optimizer.rule(), [&input, &target])?;
            if let Some((parameters, state)) = self.waiting.take() {
                running.restore(&parameters, &state)?;
            }
            self.running = Some(running);
        }
        self.running.as_mut().ok_or_else(|| Error::Internal { label: "training".into(), message: "nothing runs".into() })
    }

    /// One step on these samples of the data, as many as a batch has; the loss, where the engine knows it at once.
    ///
    /// # Errors
    /// Another number of samples than a batch; a loss that is not finite, with the step; what the engine cannot hold.
    pub fn step(&mut self, data: &Dataset, samples: &[usize]) -> Result<Option<f64>> {
        if samples.len() != self.descriptor.batch {
            return Err(Error::invalid("samples", samples.len(), format!("a batch has {}", self.descriptor.batch)));
        }
        if let Some(out) = samples.iter().find(|sample| **sample >= data.len()) {
            return Err(Error::invalid("samples", out, format!("there are {} samples", data.len())));
        }
        let rate = self.optimizer.rate() * self.descriptor.schedule.factor(self.steps);
        let scalars = self.optimizer.scalars(self.steps + 1, rate);
        let (input, target) = match self.descriptor.augmentation {
            none if none == Augmentation::default() => data.batch(samples),
            augmentation => data.augmented(samples, &augmentation, &format!("changes {} {}", self.descriptor.seed, self.steps)),
        };
        let loss = self.running(data)?.step(input.view(), target.view(), scalars)?;
        self.steps += 1;
        match loss {
            Some(loss) if !loss.is_finite() => Err(self.not_finite(loss, 1)),
            loss => Ok(loss),
        }
    }

    fn not_finite(&self, loss: f64, within: u64) -> Error {
        let at = if within == 1 { format!("at step {}", self.steps) } else { format!("within the {within} steps up to {}", self.steps) };
        Error::invalid("loss", loss, format!("it must stay finite: {at} it did not; a smaller rate or clip_norm may help"))
    }

    /// One pass over the data, in an order of its own.
    ///
    /// # Errors
    /// Less data than a batch; as [`Trainer::step`].
    pub fn epoch(&mut self, data: &Dataset) -> Result<Epoch> {
        self.epoch_with(data, |_, _| ())
    }

    /// As [`Trainer::epoch`], and calls `after` with the steps that are done and all steps.
    ///
    /// # Errors
    /// As [`Trainer::epoch`].
    pub fn epoch_with(&mut self, data: &Dataset, mut after: impl FnMut(u64, u64)) -> Result<Epoch> {
        let batches = data.len() / self.descriptor.batch;
        if batches == 0 {
            return Err(Error::invalid(
                "data",
                format!("{} samples", data.len()),
                format!("an epoch has at least one batch of {}", self.descriptor.batch),
            ));
        }
        let start = Instant::now();
        let order = data.order(&format!("order {} {}", self.descriptor.seed, self.epochs));
        let (mut total, mut since) = (0.0, 0);
        for (i, samples) in order.chunks_exact(self.descriptor.batch).enumerate() {
            total += self.step(data, samples)?.unwrap_or(0.0);
            since += 1;
            if since == LOOK || i + 1 == batches {
                let more = self.running(data)?.take_total()?;
                if !more.is_finite() {
                    return Err(self.not_finite(more, since));
                }
                (total, since) = (total + more, 0);
            }
            after(i as u64 + 1, batches as u64);
        }
        self.running(data)?.finish()?;
        self.epochs += 1;
        Ok(Epoch { number: self.epochs, steps: self.steps, loss: total / batches as f64, seconds: start.elapsed().as_secs_f64() })
    }

    /// The model with its parameters as they are now.
    ///
    /// # Errors
    /// Loss of the device.
    pub fn model(&self) -> Result<Graph> {
        let mut model = self.model.clone();
        let parameters = match (&self.running, &self.waiting) {
            (Some(running), _) => running.parameters()?,
            (None, Some((parameters, _))) => parameters.clone(),
            (None, None) => vec![],
        };
        for (name, numbers) in parameters {
            model.set(&name, numbers.view())?;
        }
        Ok(model)
    }

    /// Parameters and the optimizer's state, as they are now.
    #[cfg(feature = "weights")]
    pub(super) fn kept(&self) -> Result<Kept> {
        match (&self.running, &self.waiting) {
            (Some(running), _) => Ok((running.parameters()?, running.state()?)),
            (None, Some(kept)) => Ok(kept.clone()),
            // Before the first step the rule keeps zeros.
            (None, None) => {
                let array = |value: ValueId| -> Result<ArrayD<f32>> {
                    let numbers =
                        self.model.numbers(value).ok_or_else(|| Error::invalid("a parameter", "without numbers", "training begins from some"))?;
                    crate::train::data::shaped(numbers.as_f32().into_owned(), &numbers.tensor_type().extents)
                };
                let parameters = self.model.parameters().map(|(name, value)| Ok((name.to_string(), array(value)?))).collect::<Result<Vec<_>>>()?;
                let names = self.optimizer.rule().state();
                let zeros = |(name, array): &(String, ArrayD<f32>)| {
                    names.iter().map(|kept| (format!("{kept}.{name}"), ArrayD::zeros(array.raw_dim()))).collect::<Vec<_>>()
                };
                let state = parameters.iter().flat_map(zeros).collect();
                Ok((parameters, state))
            }
        }
    }

    /// Steps and epochs so far.
    #[cfg(feature = "weights")]
    pub(super) fn place(&self) -> (u64, u64) {
        (self.steps, self.epochs)
    }

    /// Goes on from here.
    #[cfg(feature = "weights")]
    pub(super) fn restore(&mut self, parameters: Named, state: Named, (steps, epochs): (u64, u64)) -> Result<()> {
        let extents =
            |of: &Named| of.iter().map(|(name, array)| (name.clone(), array.shape().to_vec())).collect::<std::collections::BTreeMap<_, _>>();
        let (own_parameters, own_state) = self.kept()?;
        for (own, given) in [(extents(&own_parameters), extents(&parameters)), (extents(&own_state), extents(&state))] {
            if let Some((name, own)) = own.iter().find(|(name, own)| given.get(*name) != Some(own)) {
                let found = given.get(name).map_or("missing".to_string(), |found| format!("{found:?}"));
                return Err(Error::invalid(name.clone(), found, format!("this trainer's is {own:?}")));
            }
            if let Some(name) = given.keys().find(|name| !own.contains_key(*name)) {
                return Err(Error::invalid(
                    "the checkpoint",
                    format!("with {name}"),
                    "this trainer has nothing of this name: it is of another model or optimizer",
                ));
            }
        }
        match &mut self.running {
            Some(running) => running.restore(&parameters, &state)?,
            None => self.waiting = Some((parameters, state)),
        }
        (self.steps, self.epochs) = (steps, epochs);
        Ok(())
    }

    /// The classes of data: those of its labels; of a `BinaryCrossEntropy` with one logit two, 1 where the logit is above 0.
    fn classes(&self, data: &Dataset) -> Option<usize> {
        match data.labels() {
            Labels::Classes { classes, .. } => Some(*classes),
            Labels::Values(_) if self.loss == Loss::BinaryCrossEntropy && data.target_extents() == [1] => Some(2),
            Labels::Values(_) => None,
        }
    }

    /// How the model does on data.
    ///
    /// # Errors
    /// Samples of another shape than the model takes; targets of another shape than it gives; loss of the device.
    pub fn evaluate(&self, data: &Dataset) -> Result<Evaluation> {
        let mut graph = self.model()?;
        let Some((_, output)) = graph.outputs().next() else { return Err(Error::invalid("model", "without output", "it has one")) };
        let extents: Vec<crate::graph::Extent> =
            std::iter::once(crate::graph::Extent::Open).chain(data.target_extents().into_iter().map(Into::into)).collect();
        let target = graph.input_as("target", &extents, crate::types::ElementType::F32, crate::types::Layout::ChannelsFirst)?;
        let loss = self.loss.of(&mut graph, output, target)?;
        graph.output("loss", loss)?;
        let graph = graph.optimized()?;
        let session = match &self.engine {
            Engine::Gpu(gpu) => Session::gpu(gpu, &graph)?,
            Engine::Cpu => Session::cpu(&graph)?,
        };
        let (mut total, mut misread) = (0.0, vec![]);
        let mut confusion = self.classes(data).map(Confusion::new);
        let is_binary = matches!(data.labels(), Labels::Values(_));
        let all: Vec<usize> = (0..data.len()).collect();
        for samples in all.chunks(EVALUATED) {
            let (input, target) = data.batch(samples);
            let outputs = session.run(&[("input", input.view()), ("target", target.view())])?;
            total += f64::from(outputs["loss"].sum()) * samples.len() as f64;
            if let Some(confusion) = &mut confusion {
                for ((&sample, row), wanted) in samples.iter().zip(outputs["output"].outer_iter()).zip(target.outer_iter()) {
                    let (label, taken_for) = match is_binary {
                        true => (above(wanted, 0.5), above(row, 0.0)),
                        false => (largest(wanted), largest(row)),
                    };
                    confusion.count(label, taken_for);
                    if taken_for != label {
                        misread.push((sample, taken_for));
                    }
                }
            }
        }
        let accuracy = confusion.as_ref().map(|_| 1.0 - misread.len() as f64 / data.len() as f64);
        Ok(Evaluation { samples: data.len(), loss: total / data.len() as f64, accuracy, confusion, misread })
    }
}

/// Which is the largest, the first of equals, as argmax has it.
fn largest(row: ArrayViewD<'_, f32>) -> usize {
    row.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
}

/// 1 where the only number of the row is above `half`, else 0.
fn above(row: ArrayViewD<'_, f32>, half: f32) -> usize {
    usize::from(row.iter().any(|v| *v > half))
}
