//! Networks layer by layer, as Keras and PyTorch's `nn.Sequential` have them: a list that becomes a [`Graph`] with seeded numbers.

use crate::graph::{Extent, Graph, ValueId};
use crate::numeric::Generator;
use crate::ops::conv::descriptor::Conv2dDescriptor;
use crate::ops::matmul::LinearDescriptor;
use crate::ops::pool::descriptor::{Pool2dDescriptor, PoolKind};
use crate::types::{Activation, Error, Result};
use ndarray::{ArrayD, IxDyn};

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

#[derive(Debug, Clone, PartialEq)]
enum Layer {
    Conv2d { filters: usize, window: usize, descriptor: Conv2dDescriptor },
    Pool2d(Pool2dDescriptor),
    Flatten,
    Dense { outputs: usize, activation: Activation },
    Activation(Activation),
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

    /// A convolution of square windows without padding, with a bias.
    #[must_use]
    pub fn conv2d(self, filters: usize, window: usize, activation: Activation) -> Self {
        self.conv2d_as(filters, window, &Conv2dDescriptor { activation, ..Default::default() })
    }

    /// A convolution of square windows as the descriptor says, with a bias.
    #[must_use]
    pub fn conv2d_as(self, filters: usize, window: usize, descriptor: &Conv2dDescriptor) -> Self {
        self.with(Layer::Conv2d { filters, window, descriptor: *descriptor })
    }

    /// The largest of square windows side by side.
    #[must_use]
    pub fn max_pool2d(self, window: usize) -> Self {
        self.with(Layer::Pool2d(Pool2dDescriptor::window([window; 2]).with_kind(PoolKind::MAX)))
    }

    /// The mean of square windows side by side.
    #[must_use]
    pub fn average_pool2d(self, window: usize) -> Self {
        self.with(Layer::Pool2d(Pool2dDescriptor::window([window; 2]).with_kind(PoolKind::AVERAGE)))
    }

    /// All but the batch in one axis.
    #[must_use]
    pub fn flatten(self) -> Self {
        self.with(Layer::Flatten)
    }

    /// A dense layer with a bias.
    #[must_use]
    pub fn dense(self, outputs: usize, activation: Activation) -> Self {
        self.with(Layer::Dense { outputs, activation })
    }

    /// An activation alone.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        self.with(Layer::Activation(activation))
    }
}

impl Model for Sequential {
    fn graph(&self, seed: u64) -> Result<Graph> {
        let mut graph = Graph::new();
        let mut generator = Generator::from_text(&format!("weights {seed}"));
        let extents: Vec<Extent> = std::iter::once(Extent::Open).chain(self.input.iter().map(|&extent| extent.into())).collect();
        let mut x = graph.input_as("input", &extents, crate::types::ElementType::F32, crate::types::Layout::ChannelsFirst)?;
        let (mut convolutions, mut denses) = (0, 0);
        for layer in &self.layers {
            x = match layer {
                Layer::Conv2d { filters, window, descriptor } => {
                    convolutions += 1;
                    let name = format!("conv{convolutions}");
                    let channels = known(&graph, x, 1, &name)?;
                    let extents = [*filters, channels / descriptor.groups.max(1), *window, *window];
                    let [filter, bias] = self.parameters(&mut graph, &name, &extents, &mut generator)?;
                    let y = graph.conv2d(x, filter, Some(bias), &Conv2dDescriptor { activation: Activation::None, ..*descriptor })?;
                    named(&mut graph, y, &name, descriptor.activation)?
                }
                Layer::Pool2d(descriptor) => graph.pool2d(x, descriptor)?,
                Layer::Flatten => graph.flatten(x, 1)?,
                Layer::Dense { outputs, activation } => {
                    denses += 1;
                    let name = format!("dense{denses}");
                    let inputs = known(&graph, x, graph.rank(x) - 1, &name)?;
                    let [w, bias] = self.parameters(&mut graph, &name, &[*outputs, inputs], &mut generator)?;
                    let y = graph.linear(x, w, Some(bias), &LinearDescriptor::default())?;
                    named(&mut graph, y, &name, *activation)?
                }
                Layer::Activation(activation) => graph.activation(x, *activation)?,
            };
        }
        graph.output("output", x)?;
        Ok(graph)
    }
}

impl Sequential {
    fn parameters(&self, graph: &mut Graph, name: &str, extents: &[usize], generator: &mut Generator) -> Result<[ValueId; 2]> {
        if extents.contains(&0) {
            return Err(Error::invalid(name, format!("{extents:?}"), "every extent of its filter is at least 1"));
        }
        let filter = graph.parameter(&format!("{name}.weight"), self.initializer.fill(extents, generator).view())?;
        let bias = graph.parameter(&format!("{name}.bias"), ArrayD::<f32>::zeros(IxDyn(&extents[..1])).view())?;
        Ok([filter, bias])
    }
}

/// The name of a layer, and its activation.
fn named(graph: &mut Graph, y: ValueId, name: &str, activation: Activation) -> Result<ValueId> {
    graph.name(y, name)?;
    if activation == Activation::None { Ok(y) } else { graph.activation(y, activation) }
}

fn known(graph: &Graph, x: ValueId, axis: usize, layer: &str) -> Result<usize> {
    graph.extent(x, axis).ok_or_else(|| Error::invalid(layer, graph.shape(x), format!("extent {axis} of what it reads is known")))
}
