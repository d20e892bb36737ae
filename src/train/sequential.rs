//! Networks layer by layer, as Keras and PyTorch's `nn.Sequential` have them: a list that becomes a [`Graph`] with seeded numbers.

use crate::graph::{Extent, Graph, Ranked, Recipe};
use crate::numeric::Generator;
use crate::ops::conv::descriptor::{Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvTranspose2dDescriptor};
use crate::ops::norm::lrn::LrnDescriptor;
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, Pool1dDescriptor, Pool2dDescriptor, PoolKind};
use crate::ops::softmax::SoftmaxDescriptor;
use crate::ops::transform::pad::{PadDescriptor, PadMode};
use crate::ops::transform::resize::ResizeMode;
use crate::train::layers::{Building, Join, Layer};
use crate::types::{Activation, Result};
use ndarray::{ArrayD, IxDyn};
use std::collections::HashMap;

/// Something that becomes a graph: an input with an open batch extent, and an output.
pub trait Model {
    /// The graph, with the numbers that follow from `seed`.
    ///
    /// # Errors
    /// What a layer does not take, by its name.
    fn graph(&self, seed: u64) -> Result<Graph>;
}

impl Model for Graph {
    /// The graph as it is.
    fn graph(&self, _: u64) -> Result<Graph> {
        Ok(self.clone())
    }
}

/// How numbers of a filter begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Initializer {
    /// Uniform within sqrt(6 / inputs) (He and others, 2015), for what is rectified after.
    #[default]
    He,
    /// Uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010).
    Glorot,
}

impl Initializer {
    /// Numbers of these extents; a filter's first extent counts outputs, the others inputs.
    pub fn fill(self, extents: &[usize], generator: &mut Generator) -> ArrayD<f32> {
        let taps: usize = extents.iter().skip(2).product();
        let (outputs, inputs) = (extents[0] * taps, extents.iter().skip(1).product::<usize>());
        let bound = match self {
            Initializer::He => (6.0 / inputs as f64).sqrt(),
            Initializer::Glorot => (6.0 / (inputs + outputs) as f64).sqrt(),
        };
        ArrayD::from_shape_simple_fn(IxDyn(extents), || (bound * generator.real()) as f32)
    }
}

/// Layers, one after the other.
///
/// ```
/// use wgconv::{Activation, train::{Model, Sequential}};
/// let model = Sequential::new([1, 28, 28]).conv2d(6, 5, Activation::Relu).max_pool2d(2).flatten().dense(10, Activation::None);
/// let graph = model.graph(1)?;
/// assert_eq!(graph.shape(graph.find("dense1").unwrap()), "N x 10");
/// # Ok::<(), wgconv::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sequential {
    input: Vec<usize>,
    layers: Vec<Layer>,
    initializer: Initializer,
}

impl Sequential {
    /// No layer yet, on inputs of these extents without the batch: C H W, or features.
    pub fn new<const RANK: usize>(input: [usize; RANK]) -> Self {
        Self { input: input.to_vec(), layers: vec![], initializer: Initializer::default() }
    }

    /// Another way to begin.
    #[must_use]
    pub fn with_initializer(self, initializer: Initializer) -> Self {
        Self { initializer, ..self }
    }

    fn with(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// A convolution over N C W without padding, with a bias.
    #[must_use]
    pub fn conv1d(self, filters: usize, window: usize, activation: Activation) -> Self {
        self.conv1d_as(filters, window, &Conv1dDescriptor { activation, ..Default::default() })
    }

    /// A convolution over N C W as the descriptor says, with a bias.
    #[must_use]
    pub fn conv1d_as(self, filters: usize, window: usize, descriptor: &Conv1dDescriptor) -> Self {
        self.with(Layer::Conv { filters, window, descriptor: Ranked::One(*descriptor) })
    }

    /// A convolution over N C D H W of cubic windows as the descriptor says, with a bias.
    #[must_use]
    pub fn conv3d_as(self, filters: usize, window: usize, descriptor: &Conv3dDescriptor) -> Self {
        self.with(Layer::Conv { filters, window, descriptor: Ranked::Three(*descriptor) })
    }

    /// A convolution of square windows without padding, with a bias.
    #[must_use]
    pub fn conv2d(self, filters: usize, window: usize, activation: Activation) -> Self {
        self.conv2d_as(filters, window, &Conv2dDescriptor { activation, ..Default::default() })
    }

    /// A convolution of square windows as the descriptor says, with a bias.
    #[must_use]
    pub fn conv2d_as(self, filters: usize, window: usize, descriptor: &Conv2dDescriptor) -> Self {
        self.with(Layer::Conv { filters, window, descriptor: Ranked::Two(*descriptor) })
    }

    /// A convolution of each channel by itself, with `multiplier` filters of square windows for each, and a bias; the descriptor's groups are not read.
    #[must_use]
    pub fn depthwise2d(self, multiplier: usize, window: usize, descriptor: &Conv2dDescriptor) -> Self {
        self.with(Layer::Depthwise2d { multiplier, window, descriptor: *descriptor })
    }

    /// A transposed convolution of square windows as the descriptor says, with a bias.
    #[must_use]
    pub fn conv_transpose2d_as(self, filters: usize, window: usize, descriptor: &ConvTranspose2dDescriptor) -> Self {
        self.with(Layer::ConvTranspose2d { filters, window, descriptor: *descriptor })
    }

    /// The largest of windows side by side, of N C W.
    #[must_use]
    pub fn max_pool1d(self, window: usize) -> Self {
        self.plain(Recipe::Pool(Ranked::One(Pool1dDescriptor::window([window]).with_kind(PoolKind::MAX))))
    }

    /// The largest of square windows side by side.
    #[must_use]
    pub fn max_pool2d(self, window: usize) -> Self {
        self.pool2d(&Pool2dDescriptor::window([window; 2]).with_kind(PoolKind::MAX))
    }

    /// The mean of square windows side by side.
    #[must_use]
    pub fn average_pool2d(self, window: usize) -> Self {
        self.pool2d(&Pool2dDescriptor::window([window; 2]).with_kind(PoolKind::AVERAGE))
    }

    /// A pool as the descriptor says.
    #[must_use]
    pub fn pool2d(self, descriptor: &Pool2dDescriptor) -> Self {
        self.plain(Recipe::Pool(Ranked::Two(*descriptor)))
    }

    /// Means of windows of which there are so many along height and width.
    #[must_use]
    pub fn adaptive_average_pool2d(self, output: [usize; 2]) -> Self {
        self.plain(Recipe::AdaptivePool(Ranked::Two(AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output })))
    }

    /// The mean of each channel: N C.
    #[must_use]
    pub fn global_average_pool(self) -> Self {
        self.plain(Recipe::GlobalPool(PoolKind::AVERAGE)).flatten()
    }

    /// The largest of each channel: N C.
    #[must_use]
    pub fn global_max_pool(self) -> Self {
        self.plain(Recipe::GlobalPool(PoolKind::MAX)).flatten()
    }

    /// A batch normalisation with a scale and a bias. It learns by the statistics of each batch, and the model that was learned has running ones:
    /// `norm1.weight`, `norm1.bias`, `norm1.mean`, `norm1.variance`.
    #[must_use]
    pub fn batch_norm(self) -> Self {
        self.with(Layer::BatchNorm)
    }

    /// A normalisation of each sample over all its axes, with a scale and a bias for each element.
    #[must_use]
    pub fn layer_norm(self) -> Self {
        self.with(Layer::SampleNorm)
    }

    /// A normalisation of each sample over so many groups of channels, with a scale and a bias for each channel.
    #[must_use]
    pub fn group_norm(self, groups: usize) -> Self {
        self.with(Layer::GroupNorm { groups })
    }

    /// A normalisation of each channel of each sample, with a scale and a bias for each channel.
    #[must_use]
    pub fn instance_norm(self) -> Self {
        self.with(Layer::InstanceNorm)
    }

    /// A local response normalisation, as AlexNet has it.
    #[must_use]
    pub fn lrn(self, descriptor: &LrnDescriptor) -> Self {
        self.plain(Recipe::Lrn(*descriptor))
    }

    /// x where it is positive, else x times a slope of its channel, which is learned: `prelu1.weight`.
    #[must_use]
    pub fn prelu(self) -> Self {
        self.with(Layer::Prelu)
    }

    /// Sets elements to zero with this probability while it learns, and lets the others grow so that the mean stays; nothing in the model that was learned.
    #[must_use]
    pub fn dropout(self, probability: f32) -> Self {
        self.plain(Recipe::Dropout { probability })
    }

    /// (x - mean) / deviation of each channel, as of samples whose mean and standard deviation are known ([`Dataset::statistics`]). The numbers are
    /// constants: they are not learned, and the model that was learned has them too.
    ///
    /// [`Dataset::statistics`]: crate::train::Dataset::statistics
    #[must_use]
    pub fn normalize(self, mean: &[f32], deviation: &[f32]) -> Self {
        self.with(Layer::Normalize { mean: mean.to_vec(), deviation: deviation.to_vec() })
    }

    /// A softmax over the channels. [`Loss::cross_entropy`](crate::train::Loss::cross_entropy) takes logits, without it.
    #[must_use]
    pub fn softmax(self) -> Self {
        self.plain(Recipe::Softmax(SoftmaxDescriptor { axis: 1, ..Default::default() }))
    }

    /// Height and width so many times as large.
    #[must_use]
    pub fn upsample(self, factor: usize, mode: ResizeMode) -> Self {
        self.with(Layer::Upsample { factor, mode })
    }

    /// So many zeros around height and width.
    #[must_use]
    pub fn zero_pad2d(self, width: usize) -> Self {
        let pads = vec![0, 0, width, width, 0, 0, width, width];
        self.plain(Recipe::Pad(PadDescriptor { pads, mode: PadMode::Constant(0.0) }))
    }

    /// Other extents of a sample.
    #[must_use]
    pub fn reshape<const RANK: usize>(self, extents: [usize; RANK]) -> Self {
        // 0 keeps the batch.
        let shape = std::iter::once(0).chain(extents.iter().map(|&extent| isize::try_from(extent).unwrap_or(isize::MAX))).collect();
        self.plain(Recipe::Reshape { shape })
    }

    /// Any op of one tensor that has no parameters, on N and the extents of a sample.
    #[must_use]
    pub fn plain(self, recipe: Recipe) -> Self {
        self.with(Layer::Plain(recipe))
    }

    /// x and what the layers of `branch` make of it, added; they keep its shape.
    #[must_use]
    pub fn residual(self, branch: impl FnOnce(Sequential) -> Sequential) -> Self {
        self.residual_with(branch, |same| same)
    }

    /// What the layers of `branch` make of x and what those of `shortcut` do, added: a block that changes the shape.
    #[must_use]
    pub fn residual_with(self, branch: impl FnOnce(Sequential) -> Sequential, shortcut: impl FnOnce(Sequential) -> Sequential) -> Self {
        self.joined(branch, shortcut, Join::Sum)
    }

    /// x, and behind its channels those of what the layers of `branch` make of it; they keep the other extents.
    #[must_use]
    pub fn concat(self, branch: impl FnOnce(Sequential) -> Sequential) -> Self {
        self.concat_with(branch, |same| same)
    }

    /// What the layers of `shortcut` make of x, and behind its channels those of what the layers of `branch` do.
    #[must_use]
    pub fn concat_with(self, branch: impl FnOnce(Sequential) -> Sequential, shortcut: impl FnOnce(Sequential) -> Sequential) -> Self {
        self.joined(branch, shortcut, Join::Concat)
    }

    fn joined(self, branch: impl FnOnce(Sequential) -> Sequential, shortcut: impl FnOnce(Sequential) -> Sequential, how: Join) -> Self {
        let (branch, shortcut) = (branch(Sequential::new([])).layers, shortcut(Sequential::new([])).layers);
        self.with(Layer::Joined { branch, shortcut, how })
    }

    /// All but the batch in one axis.
    #[must_use]
    pub fn flatten(self) -> Self {
        self.plain(Recipe::Flatten { axis: 1 })
    }

    /// A dense layer with a bias.
    #[must_use]
    pub fn dense(self, outputs: usize, activation: Activation) -> Self {
        self.with(Layer::Dense { outputs, activation })
    }

    /// An activation alone.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        self.plain(Recipe::Activation(activation))
    }
}

impl Model for Sequential {
    fn graph(&self, seed: u64) -> Result<Graph> {
        let mut graph = Graph::new();
        let extents: Vec<Extent> = std::iter::once(Extent::Open).chain(self.input.iter().map(|&extent| extent.into())).collect();
        let x = graph.input_as("input", &extents, crate::types::ElementType::F32, crate::types::Layout::ChannelsFirst)?;
        let generator = Generator::from_text(&format!("weights {seed}"));
        let mut building = Building { graph, initializer: self.initializer, generator, counts: HashMap::new() };
        let y = building.layers(&self.layers, x)?;
        building.graph.output("output", y)?;
        Ok(building.graph)
    }
}
