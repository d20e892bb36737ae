//! Ops of networks that learn: batch normalisation by the statistics of its own batch, made of the ops that there are, and a network whose batch norms
//! are of that kind; dropout.

use super::{Graph, Node, Recipe, Source, ValueId, of_node};
use crate::ops::dropout::{DropoutDescriptor, DropoutKey};
use crate::ops::norm::rows::{LayerNormDescriptor, NormInputs, NormProblem};
use crate::ops::reduce::ReduceDescriptor;
use crate::types::{Activation, Error, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Batch normalisation by the statistics of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchStatisticsDescriptor {
    /// Added to the variance.
    pub epsilon: f32,
    /// How much of the running statistics stays (ONNX's; PyTorch's momentum is what enters).
    pub momentum: f32,
    /// Whether the variance that enters is that of count - 1 (PyTorch), or of count (ONNX).
    pub unbiased: bool,
}

impl Default for BatchStatisticsDescriptor {
    /// PyTorch's.
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.9, unbiased: true }
    }
}

/// What a batch normalisation by its own statistics gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchStatistics {
    /// The result.
    pub y: ValueId,
    /// Running mean and variance, the batch's mixed in, where there were some: \[C\] each.
    pub running: Option<[ValueId; 2]>,
}

/// A network as it learns.
#[derive(Debug, Clone)]
pub struct Learning {
    /// The network.
    pub graph: Graph,
    /// Of each running statistic, by the name of its parameter, what the batch had: its mean, or its variance with count - 1.
    pub statistics: Vec<(String, ValueId)>,
    /// The input that dropouts take their mask from, another [`DropoutKey`] at each step; none where nothing is dropped.
    pub key: Option<ValueId>,
}

impl Graph {
    /// (x - mean) / sqrt(variance + epsilon) scale + bias with the mean and the biased variance of each channel over the batch and all positions, x N C ....
    /// Gradients go through y; running statistics have none.
    ///
    /// # Errors
    /// x below rank 2, or with an open extent; vectors of another length than there are channels; one element a channel, whose unbiased variance is
    /// undefined.
    pub fn batch_norm_training(
        &mut self,
        x: ValueId,
        affine: [Option<ValueId>; 2],
        running: Option<[ValueId; 2]>,
        descriptor: &BatchStatisticsDescriptor,
    ) -> Result<BatchStatistics> {
        if let Some([mean, variance]) = running {
            self.check("x", x)?;
            let channels = self.extents(x).and_then(|extents| extents.get(1).copied()).unwrap_or(0);
            self.per_channel("the running mean", mean, channels)?;
            self.per_channel("the running variance", variance, channels)?;
        }
        let unbiased = running.map(|_| descriptor.unbiased);
        let (y, batch) = self.normed_by_batch(x, affine, descriptor.epsilon, unbiased)?;
        let (Some([old_mean, old_variance]), Some([mean, variance])) = (running, batch) else { return Ok(BatchStatistics { y, running: None }) };
        let mut mix = |old: ValueId, new: ValueId| -> Result<ValueId> {
            let old = self.times(old, descriptor.momentum)?;
            let new = self.times(new, 1.0 - descriptor.momentum)?;
            self.add(old, new)
        };
        let running = [mix(old_mean, mean)?, mix(old_variance, variance)?];
        Ok(BatchStatistics { y, running: Some(running) })
    }

    /// The result, and where `unbiased` says of which kind, the batch's mean and variance, \[C\] each.
    #[allow(clippy::type_complexity, reason = "a name would say no more")]
    fn normed_by_batch(
        &mut self,
        x: ValueId,
        affine: [Option<ValueId>; 2],
        epsilon: f32,
        unbiased: Option<bool>,
    ) -> Result<(ValueId, Option<[ValueId; 2]>)> {
        self.check("x", x)?;
        let Some(extents) = self.extents(x).filter(|extents| extents.len() >= 2) else {
            return Err(Error::invalid("x", self.shape(x), "it is N C ... with known extents: Graph::closed binds an open one"));
        };
        let (rank, channels) = (extents.len(), extents[1]);
        let count = extents.iter().product::<usize>() / channels;
        if unbiased == Some(true) && count == 1 {
            return Err(Error::invalid("x", self.shape(x), "an unbiased variance is of two elements a channel or more"));
        }
        for (name, vector) in ["scale", "bias"].into_iter().zip(affine).filter_map(|(name, v)| Some((name, v?))) {
            self.per_channel(name, vector, channels)?;
        }
        // Channels as rows.
        let perm: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
        let turned = self.transpose(x, &perm)?;
        let rows = self.reshape(turned, &[channels as isize, count as isize])?;
        let inputs = NormInputs { x: TensorType::f32(&[channels, count]), scale: None, bias: None };
        let norm = NormProblem::layer(&inputs, &LayerNormDescriptor { axis: 1, epsilon })?.with_statistics(true);
        let normed = self.node(Recipe::Fixed(Box::new(norm.into())), &[rows])?;
        let back: Vec<isize> = perm.iter().map(|&axis| extents[axis] as isize).collect();
        let back = self.reshape(normed[0], &back)?;
        let mut y = self.transpose(back, &perm)?;
        let wide: Vec<isize> = std::iter::once(channels as isize).chain(std::iter::repeat_n(1, rank - 2)).collect();
        if let Some(scale) = affine[0] {
            let scale = self.reshape(scale, &wide)?;
            y = self.mul(y, scale)?;
        }
        if let Some(bias) = affine[1] {
            let bias = self.reshape(bias, &wide)?;
            y = self.add(y, bias)?;
        }
        let Some(unbiased) = unbiased else { return Ok((y, None)) };
        let centred = self.sub(rows, normed[1])?;
        let square = self.mul(centred, centred)?;
        let variance = self.reduce(square, &ReduceDescriptor::mean(&[1]))?;
        let factor = if unbiased { count as f32 / (count as f32 - 1.0) } else { 1.0 };
        let variance = self.times(variance, factor)?;
        let mean = self.reshape(normed[1], &[channels as isize])?;
        Ok((y, Some([mean, variance])))
    }

    /// The parameters that batch norms read as mean and variance, and that nothing else reads and nothing reads twice: a network that learns does not
    /// follow their gradient but keeps running statistics in them.
    pub fn running_statistics(&self) -> Vec<&str> {
        (0..self.nodes.len()).filter_map(|i| self.statistics_of(i)).flatten().map(|value| self.values[value.0].name()).collect()
    }

    /// Mean and variance of node `i`, where it is a batch norm that has them as running statistics.
    fn statistics_of(&self, i: usize) -> Option<[ValueId; 2]> {
        let node = &self.nodes[i];
        let (Recipe::BatchNorm { .. }, &[.., mean, variance]) = (&node.recipe, &node.inputs[..]) else { return None };
        let reads = |value: ValueId| {
            let nodes = self.nodes.iter().flat_map(|node| &node.inputs).filter(|input| **input == value).count();
            nodes + self.outputs.iter().filter(|(_, output)| *output == value).count()
        };
        let is_own = |value: ValueId| matches!(self.values[value.0].source, Source::Parameter(_)) && reads(value) == 1;
        (is_own(mean) && is_own(variance)).then_some([mean, variance])
    }

    /// The network as it learns: batch norms with running statistics ([`Graph::running_statistics`]) normalise by the statistics of their batch
    /// ([`Graph::batch_norm_training`]), those whose mean and variance are constants stay as they are, and dropouts drop elements
    /// ([`Graph::dropout_training`]).
    ///
    /// # Errors
    /// As [`Graph::batch_norm_training`], with the node's name.
    pub fn learning(&self) -> Result<Learning> {
        let (mut graph, mut order, mut statistics, mut key) = (self.clone(), vec![], vec![], None);
        for i in 0..self.nodes.len() {
            let Node { name, recipe, inputs, .. } = &self.nodes[i];
            if let (Recipe::BatchNorm { descriptor, has }, Some(own)) = (recipe, self.statistics_of(i)) {
                let first = graph.nodes.len();
                let scale = has[0].then(|| inputs[1]);
                let bias = has[1].then(|| inputs[1 + usize::from(has[0])]);
                let (y, batch) =
                    graph.normed_by_batch(inputs[0], [scale, bias], descriptor.epsilon, Some(true)).map_err(|error| of_node(name, error))?;
                statistics.extend(own.iter().map(|value| self.values[value.0].name.clone()).zip(batch.into_iter().flatten()));
                order.extend(first..graph.nodes.len());
                let recipe = if descriptor.activation == Activation::None { Recipe::Identity } else { Recipe::Activation(descriptor.activation) };
                (graph.nodes[i].recipe, graph.nodes[i].inputs) = (recipe, vec![y]);
            }
            if let Recipe::Dropout { probability } = *recipe {
                let key = match key {
                    Some(key) => key,
                    None => *key.insert(graph.input(&graph.unused("dropout.key"), [DropoutKey::COUNT.into()])?),
                };
                let recipe = Recipe::DropoutTraining(DropoutDescriptor { probability, stream: graph.dropouts() });
                (graph.nodes[i].recipe, graph.nodes[i].inputs) = (recipe, vec![inputs[0], key]);
            }
            order.push(i);
        }
        Ok(Learning { graph: graph.in_order(&order), statistics, key })
    }

    /// Dropout in training: each element is 0 with this probability, else x / (1 - probability). Which, follows from `key`, a tensor of
    /// [`DropoutKey::to_array`](crate::dropout::DropoutKey::to_array), usually an input that is another one at each step; from the element's index in
    /// channels-first order; and from how many such dropouts the graph has already, so that each has a mask of its own. The gradient has the same mask.
    ///
    /// A dropped element is 0 whatever x is: PyTorch, which multiplies by a mask, gives NaN where x is infinite or NaN.
    ///
    /// # Errors
    /// A probability outside 0 to below 1; a key of another type.
    pub fn dropout_training(&mut self, x: ValueId, key: ValueId, probability: f32) -> Result<ValueId> {
        self.one(Recipe::DropoutTraining(DropoutDescriptor { probability, stream: self.dropouts() }), &[x, key])
    }

    /// Dropouts in training so far.
    fn dropouts(&self) -> u32 {
        self.nodes.iter().filter(|node| matches!(node.recipe, Recipe::DropoutTraining(_))).count() as u32
    }

    fn per_channel(&self, name: &str, vector: ValueId, channels: usize) -> Result<()> {
        self.check(name, vector)?;
        if self.extents(vector).as_deref() == Some(&[channels]) {
            return Ok(());
        }
        Err(Error::invalid(name, self.shape(vector), format!("it has one value per channel: [{channels}]")))
    }
}
