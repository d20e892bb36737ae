//! Losses, made of the ops that there are, so that their gradients follow.

use super::{Graph, ValueId};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::reduce::{ReduceDescriptor, ReduceKind};
use crate::ops::softmax::SoftmaxDescriptor;
use crate::types::{Activation, Error, Result};
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

/// What is made of the losses of all elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Nothing: each stays.
    None,
    /// Their sum.
    Sum,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum, divided by the first extent: by the samples of a batch.
    BatchMean,
}

/// What a target of a cross-entropy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// One class each: 1 for it and 0 for the others; all 0 where a sample does not count. A mean divides by the weights of those that count.
    #[default]
    Classes,
    /// A distribution over the classes. A mean divides by the number of samples.
    Probabilities,
}

/// A Kullback-Leibler divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlDescriptor {
    /// What is made of the elements' losses.
    pub reduction: Reduction,
    /// Whether targets are logarithms of probabilities.
    pub log_targets: bool,
}

/// A cross-entropy from logits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropyDescriptor {
    /// What is made of the samples' losses.
    pub reduction: Reduction,
    /// How much of each target is spread over all classes, from 0 to 1.
    pub label_smoothing: f32,
    /// What targets are.
    pub targets: Targets,
}

impl Graph {
    /// -sum over classes of target log_softmax(x), with a weight per class where there is one; x N C ... and the targets have one shape.
    ///
    /// # Errors
    /// Targets of another shape than x; a smoothing outside 0 to 1; a weight of another length than there are classes; an open number of classes.
    pub fn cross_entropy(&mut self, x: ValueId, targets: ValueId, weight: Option<ValueId>, descriptor: &CrossEntropyDescriptor) -> Result<ValueId> {
        let &CrossEntropyDescriptor { reduction, label_smoothing, targets: kind } = descriptor;
        self.alike("targets", targets, "x", x)?;
        if !(0.0..=1.0).contains(&label_smoothing) {
            return Err(Error::invalid("label_smoothing", label_smoothing, "it is from 0 to 1"));
        }
        let (classes, weight) = self.class_weight(x, weight)?;
        let logarithm = self.softmax(x, &SoftmaxDescriptor { axis: 1, logarithm: true })?;
        let negative = self.times(logarithm, -1.0)?;
        // What each class costs; and its share of what targets say and of what is spread.
        let cost = match weight {
            Some(weight) => self.mul(negative, weight)?,
            None => negative,
        };
        let over_classes = ReduceDescriptor::sum(&[1]);
        let own = match kind {
            Targets::Classes => self.share(targets, cost)?,
            Targets::Probabilities => self.mul(targets, cost)?, // whose slope by a target of 0 is the cost
        };
        let mut samples = self.reduce(own, &over_classes)?;
        if label_smoothing > 0.0 {
            let all = self.reduce(cost, &over_classes)?;
            let counted = self.reduce(targets, &over_classes)?; // 0 for a sample that does not count
            let spread = self.mul(all, counted)?;
            let spread = self.times(spread, label_smoothing / classes as f32)?;
            let kept = self.times(samples, 1.0 - label_smoothing)?;
            samples = self.add(kept, spread)?;
        }
        match kind {
            Targets::Classes => self.counted(samples, targets, weight, reduction),
            Targets::Probabilities => self.reduced(samples, reduction),
        }
    }

    /// The negative log likelihood: -sum over classes of target x, where x N C ... holds logarithms of probabilities, as
    /// [`SoftmaxDescriptor`] with `logarithm` gives them, with a weight per class where there is one. Targets are 1 for a sample's class and 0 for the others;
    /// a sample of zeros does not count, and a mean divides by the weights of those that do. A class that no target names costs nothing, be its logarithm
    /// -inf.
    ///
    /// # Errors
    /// Targets of another shape than x; a weight of another length than there are classes; an open number of classes.
    pub fn nll_loss(&mut self, x: ValueId, targets: ValueId, weight: Option<ValueId>, reduction: Reduction) -> Result<ValueId> {
        self.alike("targets", targets, "x", x)?;
        let (_, weight) = self.class_weight(x, weight)?;
        let negative = self.times(x, -1.0)?;
        let cost = match weight {
            Some(weight) => self.mul(negative, weight)?,
            None => negative,
        };
        let own = self.share(targets, cost)?;
        let samples = self.reduce(own, &ReduceDescriptor::sum(&[1]))?;
        self.counted(samples, targets, weight, reduction)
    }

    /// The Kullback-Leibler divergence of targets t from x, the logarithms of probabilities: t (ln t - x), element by element; of logarithms of
    /// probabilities t, e^t (t - x). [`Reduction::BatchMean`] is that of the definition, the mean over samples.
    ///
    /// Where t is 0 the loss is 0, whatever x is; PyTorch gives NaN for an x of -inf there. The slope by such a t, which is undefined, is 1.
    ///
    /// # Errors
    /// Targets of another shape than x.
    pub fn kl_div(&mut self, x: ValueId, targets: ValueId, descriptor: &KlDescriptor) -> Result<ValueId> {
        let &KlDescriptor { reduction, log_targets } = descriptor;
        self.alike("targets", targets, "x", x)?;
        let loss = if log_targets {
            let e = self.number(std::f32::consts::E)?;
            let probabilities = self.binary(e, targets, BinaryOp::Power)?;
            let difference = self.sub(targets, x)?;
            self.share(probabilities, difference)?
        } else {
            // t^1 ln t, which is 0 for a t of 0.
            let one = self.number(1.0)?;
            let entropy = self.binary(targets, one, BinaryOp::PowerByExponent)?;
            let cross = self.share(targets, x)?;
            self.sub(entropy, cross)?
        };
        self.reduced(loss, reduction)
    }

    /// t times what it costs, and 0 where t is 0, whatever that costs.
    fn share(&mut self, targets: ValueId, cost: ValueId) -> Result<ValueId> {
        let select = BinaryDescriptor { op: BinaryOp::ActivationGradient, activation: Activation::Relu };
        let counts = self.binary(targets, cost, select)?;
        self.mul(targets, counts)
    }

    /// The number of classes of x, and a weight per class as a tensor that broadcasts to x.
    fn class_weight(&mut self, x: ValueId, weight: Option<ValueId>) -> Result<(usize, Option<ValueId>)> {
        let Some(classes) = self.extent(x, 1) else {
            return Err(Error::invalid("x", self.shape(x), "it is N C ... with a known number of classes C"));
        };
        let Some(weight) = weight else { return Ok((classes, None)) };
        self.check("weight", weight)?;
        if self.extents(weight).as_deref() != Some(&[classes]) {
            return Err(Error::invalid("weight", self.shape(weight), format!("it has one value per class: [{classes}]")));
        }
        let extents: Vec<isize> = std::iter::once(classes as isize).chain(std::iter::repeat_n(1, self.rank(x) - 2)).collect();
        Ok((classes, Some(self.reshape(weight, &extents)?)))
    }

    /// Losses of samples with a class each, reduced: a mean divides by the weights of those that count.
    fn counted(&mut self, samples: ValueId, targets: ValueId, weight: Option<ValueId>, reduction: Reduction) -> Result<ValueId> {
        if reduction != Reduction::Mean {
            return self.reduced(samples, reduction);
        }
        let weights = match weight {
            Some(weight) => self.mul(targets, weight)?,
            None => targets,
        };
        let [sum, total] = [self.reduced(samples, Reduction::Sum)?, self.reduced(weights, Reduction::Sum)?];
        self.div(sum, total)
    }

    /// The binary cross-entropy of logits: (1 - t) x + (1 + (p - 1) t) ln(1 + e^-x), p the weight of what is positive, times `weight`; both broadcast.
    ///
    /// # Errors
    /// Targets of another shape than x; weights that do not broadcast.
    pub fn bce_with_logits(&mut self, x: ValueId, targets: ValueId, weights: BinaryWeights, reduction: Reduction) -> Result<ValueId> {
        self.alike("targets", targets, "x", x)?;
        let negative = self.times(x, -1.0)?;
        let soft = self.activation(negative, Activation::Softplus)?;
        let soft = match weights.positive {
            None => soft,
            Some(positive) => {
                let more = self.plus(positive, -1.0)?;
                let more = self.mul(targets, more)?;
                let factor = self.plus(more, 1.0)?;
                self.mul(factor, soft)?
            }
        };
        let rest = self.times(targets, -1.0)?;
        let rest = self.plus(rest, 1.0)?;
        let linear = self.mul(rest, x)?;
        let loss = self.add(linear, soft)?;
        let loss = match weights.element {
            None => loss,
            Some(weight) => self.mul(loss, weight)?,
        };
        self.reduced(loss, reduction)
    }

    /// (x - t)^2
    ///
    /// # Errors
    /// Targets of another shape than x.
    pub fn mse_loss(&mut self, x: ValueId, targets: ValueId, reduction: Reduction) -> Result<ValueId> {
        let difference = self.difference(x, targets)?;
        let square = self.mul(difference, difference)?;
        self.reduced(square, reduction)
    }

    /// |x - t|
    ///
    /// # Errors
    /// Targets of another shape than x.
    pub fn l1_loss(&mut self, x: ValueId, targets: ValueId, reduction: Reduction) -> Result<ValueId> {
        let difference = self.difference(x, targets)?;
        let magnitude = self.magnitude(difference)?;
        self.reduced(magnitude, reduction)
    }

    /// d^2 / 2 up to delta, then delta (d - delta / 2), with d = |x - t| (Huber, 1964).
    ///
    /// # Errors
    /// Targets of another shape than x; a delta that is not positive and finite.
    pub fn huber_loss(&mut self, x: ValueId, targets: ValueId, delta: f32, reduction: Reduction) -> Result<ValueId> {
        if !(delta > 0.0 && delta.is_finite()) {
            return Err(Error::invalid("delta", delta, "it is positive and finite"));
        }
        let difference = self.difference(x, targets)?;
        let magnitude = self.magnitude(difference)?;
        // q (d - q / 2) with q = min(d, delta)
        let near = self.activation(magnitude, Activation::Clip { min: f32::NEG_INFINITY, max: delta })?;
        let half = self.times(near, 0.5)?;
        let rest = self.sub(magnitude, half)?;
        let loss = self.mul(near, rest)?;
        self.reduced(loss, reduction)
    }

    /// The Huber loss divided by beta.
    ///
    /// # Errors
    /// As [`Graph::huber_loss`].
    pub fn smooth_l1_loss(&mut self, x: ValueId, targets: ValueId, beta: f32, reduction: Reduction) -> Result<ValueId> {
        let loss = self.huber_loss(x, targets, beta, reduction)?;
        self.times(loss, 1.0 / beta)
    }

    /// max(0, margin - t x), targets 1 and -1.
    ///
    /// # Errors
    /// Targets of another shape than x.
    pub fn hinge_loss(&mut self, x: ValueId, targets: ValueId, margin: f32, reduction: Reduction) -> Result<ValueId> {
        self.alike("targets", targets, "x", x)?;
        let product = self.mul(x, targets)?;
        let negative = self.times(product, -1.0)?;
        let rest = self.plus(negative, margin)?;
        let loss = self.relu(rest)?;
        self.reduced(loss, reduction)
    }

    /// The gradients scaled so that the norm of all of them together is at most `most`: by min(1, most / (norm + 1e-6)); and that norm.
    ///
    /// # Errors
    /// A bound that is not positive; no gradient.
    pub fn clip_norm(&mut self, gradients: &[ValueId], most: f32) -> Result<(Vec<ValueId>, ValueId)> {
        if most.is_nan() || most <= 0.0 {
            return Err(Error::invalid("most", most, "the largest norm is positive"));
        }
        let mut total: Option<ValueId> = None;
        for &gradient in gradients {
            let square = self.mul(gradient, gradient)?;
            let sum = self.reduced(square, Reduction::Sum)?;
            total = Some(match total {
                Some(total) => self.add(total, sum)?,
                None => sum,
            });
        }
        let Some(total) = total else { return Err(Error::invalid("gradients", "none", "a norm is of something")) };
        let half = self.number(0.5)?;
        let norm = self.binary(total, half, BinaryOp::Power)?;
        let under = self.plus(norm, 1e-6)?;
        let most = self.number(most)?;
        let factor = self.div(most, under)?;
        let factor = self.activation(factor, Activation::Clip { min: f32::NEG_INFINITY, max: 1.0 })?;
        Ok((gradients.iter().map(|&gradient| self.mul(gradient, factor)).collect::<Result<_>>()?, norm))
    }

    fn alike(&self, argument: &str, a: ValueId, of: &str, b: ValueId) -> Result<()> {
        self.check(argument, a)?;
        self.check(of, b)?;
        if self.types[a.0].iter().zip(&self.types[b.0]).all(|(a, b)| a.extents == b.extents) {
            return Ok(());
        }
        Err(Error::invalid(argument, self.shape(a), format!("it has the shape of {of}, {}", self.shape(b))))
    }

    fn difference(&mut self, x: ValueId, targets: ValueId) -> Result<ValueId> {
        self.alike("targets", targets, "x", x)?;
        self.sub(x, targets)
    }

    fn magnitude(&mut self, x: ValueId) -> Result<ValueId> {
        let negative = self.times(x, -1.0)?;
        self.max(x, negative)
    }

    fn reduced(&mut self, x: ValueId, reduction: Reduction) -> Result<ValueId> {
        let kind = match reduction {
            Reduction::None => return Ok(x),
            Reduction::Sum => ReduceKind::Sum,
            Reduction::Mean => ReduceKind::Mean,
            Reduction::BatchMean => {
                // A mean over the first axis, which may be open, of sums over the others.
                let others: Vec<isize> = (1..self.rank(x) as isize).collect();
                let sums = if others.is_empty() { x } else { self.reduce(x, &ReduceDescriptor::sum(&others))? };
                return self.reduced(sums, Reduction::Mean);
            }
        };
        if self.rank(x) == 0 { Ok(x) } else { self.reduce(x, &ReduceDescriptor::new(kind, &[])) }
    }

    /// A constant of one number; the same value for the same number.
    fn number(&mut self, number: f32) -> Result<ValueId> {
        let name = format!("number {number}");
        match self.find(&name) {
            Some(value) => Ok(value),
            None => self.constant(&name, ArrayD::<f32>::from_elem(IxDyn(&[]), number).view()),
        }
    }

    pub(super) fn times(&mut self, x: ValueId, factor: f32) -> Result<ValueId> {
        let factor = self.number(factor)?;
        self.mul(x, factor)
    }

    fn plus(&mut self, x: ValueId, summand: f32) -> Result<ValueId> {
        let summand = self.number(summand)?;
        self.add(x, summand)
    }
}

/// Weights of a binary cross-entropy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BinaryWeights {
    /// Of every element.
    pub element: Option<ValueId>,
    /// Of what is positive.
    pub positive: Option<ValueId>,
}
