//! Layers of a [`Sequential`](crate::train::Sequential), and the graph that they become: nodes and parameters with names and first numbers.

use crate::graph::{BatchNormParameters, Graph, Ranked, Recipe, ValueId};
use crate::numeric::Generator;
use crate::ops::conv::descriptor::{Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvTranspose2dDescriptor};
use crate::ops::matmul::LinearDescriptor;
use crate::ops::norm::batch::BatchNormDescriptor;
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor};
use crate::ops::transform::resize::{ResizeDescriptor, ResizeMode};
use crate::train::sequential::Initializer;
use crate::types::{Activation, Error, Result};
use ndarray::{ArrayD, IxDyn};
use std::collections::HashMap;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layer {
    /// Windows of the same extent along each axis.
    Conv {
        filters: usize,
        window: usize,
        descriptor: Ranked<Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor>,
    },
    /// So many filters for each channel.
    Depthwise2d {
        multiplier: usize,
        window: usize,
        descriptor: Conv2dDescriptor,
    },
    ConvTranspose2d {
        filters: usize,
        window: usize,
        descriptor: ConvTranspose2dDescriptor,
    },
    Dense {
        outputs: usize,
        activation: Activation,
    },
    /// An op of one tensor that has no parameters.
    Plain(Recipe),
    /// (x - mean) / deviation of each channel, by numbers that are known.
    Normalize {
        mean: Vec<f32>,
        deviation: Vec<f32>,
    },
    /// Spatial extents so many times as large.
    Upsample {
        factor: usize,
        mode: ResizeMode,
    },
    BatchNorm,
    /// Over all axes of each sample.
    SampleNorm,
    GroupNorm {
        groups: usize,
    },
    InstanceNorm,
    /// A slope of each channel, for what is negative.
    Prelu,
    /// What two lists of layers make of the same, added or one behind the other.
    Joined {
        branch: Vec<Layer>,
        shortcut: Vec<Layer>,
        how: Join,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    Sum,
    /// Along the channels; the shortcut's are first.
    Concat,
}

/// A graph that layers are added to.
pub(super) struct Building {
    pub graph: Graph,
    pub initializer: Initializer,
    pub generator: Generator,
    /// Layers so far, by what their names begin with.
    pub counts: HashMap<&'static str, usize>,
}

impl Building {
    pub fn layers(&mut self, layers: &[Layer], x: ValueId) -> Result<ValueId> {
        layers.iter().try_fold(x, |x, layer| self.layer(layer, x))
    }

    fn layer(&mut self, layer: &Layer, x: ValueId) -> Result<ValueId> {
        match layer {
            Layer::Conv { filters, window, descriptor } => self.conv(x, *filters, *window, *descriptor),
            Layer::Depthwise2d { multiplier, window, descriptor } => {
                let channels = known(&self.graph, x, 1, "a depthwise convolution")?;
                let descriptor = Conv2dDescriptor { groups: channels, ..*descriptor };
                self.conv(x, channels.saturating_mul(*multiplier), *window, Ranked::Two(descriptor))
            }
            Layer::ConvTranspose2d { filters, window, descriptor } => {
                let name = self.called("conv");
                let channels = known(&self.graph, x, 1, &name)?;
                let filter = self.filter(&name, &[channels, filters / descriptor.groups.max(1), *window, *window])?;
                let bias = self.filled(&name, "bias", &[*filters], 0.0)?;
                let plain = ConvTranspose2dDescriptor { activation: Activation::None, ..*descriptor };
                let y = self.graph.conv_transpose2d(x, filter, Some(bias), &plain)?;
                self.named(y, &name, descriptor.activation)
            }
            Layer::Dense { outputs, activation } => {
                let name = self.called("dense");
                let inputs = known(&self.graph, x, self.graph.rank(x) - 1, &name)?;
                let w = self.filter(&name, &[*outputs, inputs])?;
                let bias = self.filled(&name, "bias", &[*outputs], 0.0)?;
                let y = self.graph.linear(x, w, Some(bias), &LinearDescriptor::default())?;
                self.named(y, &name, *activation)
            }
            Layer::Plain(recipe) => match self.graph.node(recipe.clone(), &[x])?[..] {
                [y] => Ok(y),
                _ => Err(Error::invalid("layer", recipe.name(), "it gives one tensor")),
            },
            Layer::Normalize { mean, deviation } => {
                let channels = known(&self.graph, x, 1, "normalize")?;
                let rule = |what: &str, got: &dyn std::fmt::Debug, rule: String| Error::invalid(what, format!("{got:?}"), rule);
                for (what, numbers) in [("mean", mean), ("deviation", deviation)] {
                    if numbers.len() != channels {
                        return Err(rule(what, numbers, format!("there are {channels} channels, and it has a number for each")));
                    }
                }
                if let Some(wrong) = deviation.iter().find(|deviation| !(deviation.is_finite() && **deviation > 0.0)) {
                    return Err(rule("deviation", wrong, "it is positive".into()));
                }
                let extents: Vec<usize> = std::iter::once(channels).chain((2..self.graph.rank(x)).map(|_| 1)).collect();
                let name = self.called("normalize");
                let mut constant = |what: &str, numbers: Vec<f32>| {
                    self.graph.constant(&format!("{name}.{what}"), crate::train::data::shaped(numbers, &extents)?.view())
                };
                let mean = constant("mean", mean.clone())?;
                let factor = constant("factor", deviation.iter().map(|deviation| 1.0 / deviation).collect())?;
                let centred = self.graph.sub(x, mean)?;
                self.graph.mul(centred, factor)
            }
            Layer::Upsample { factor, mode } => {
                let axes = 2..self.graph.rank(x);
                let sizes = axes.map(|axis| Ok(known(&self.graph, x, axis, "upsampling")?.saturating_mul(*factor))).collect::<Result<_>>()?;
                self.graph.resize(x, &ResizeDescriptor { sizes, mode: *mode, ..Default::default() })
            }
            Layer::BatchNorm => {
                let (name, [channels, ..]) = self.norm(x)?;
                let mut vector = |what: &str, number: f32| self.filled(&name, what, &[channels], number);
                let (scale, bias) = (Some(vector("weight", 1.0)?), Some(vector("bias", 0.0)?));
                let statistics = BatchNormParameters { scale, bias, mean: vector("mean", 0.0)?, variance: vector("variance", 1.0)? };
                let y = self.graph.batch_norm(x, &statistics, &BatchNormDescriptor::default())?;
                self.named(y, &name, Activation::None)
            }
            Layer::SampleNorm => {
                let name = self.called("norm");
                let extents: Vec<usize> = (1..self.graph.rank(x)).map(|axis| known(&self.graph, x, axis, &name)).collect::<Result<_>>()?;
                let [scale, bias] = self.affine(&name, &extents)?;
                let y = self.graph.layer_norm(x, scale, bias, &LayerNormDescriptor { axis: 1, ..Default::default() })?;
                self.named(y, &name, Activation::None)
            }
            Layer::GroupNorm { groups } => {
                let (name, channels) = self.norm(x)?;
                let [scale, bias] = self.affine(&name, &channels)?;
                let y = self.graph.group_norm(x, scale, bias, &GroupNormDescriptor { groups: *groups, ..Default::default() })?;
                self.named(y, &name, Activation::None)
            }
            Layer::InstanceNorm => {
                let (name, channels) = self.norm(x)?;
                let [scale, bias] = self.affine(&name, &channels)?;
                let y = self.graph.instance_norm(x, scale, bias, &InstanceNormDescriptor::default())?;
                self.named(y, &name, Activation::None)
            }
            Layer::Prelu => {
                let name = self.called("prelu");
                let channels = known(&self.graph, x, 1, &name)?;
                // One number for each channel, broadcast over the axes behind it; PyTorch begins with 0.25.
                let extents: Vec<usize> = std::iter::once(channels).chain((2..self.graph.rank(x)).map(|_| 1)).collect();
                let slope = self.filled(&name, "weight", &extents, 0.25)?;
                let y = self.graph.prelu(x, slope)?;
                self.named(y, &name, Activation::None)
            }
            Layer::Joined { branch, shortcut, how } => {
                let (branch, shortcut) = (self.layers(branch, x)?, self.layers(shortcut, x)?);
                if *how == Join::Concat {
                    return self.graph.concat(&[shortcut, branch], 1);
                }
                let [own, other] = [branch, shortcut].map(|value| self.graph.shape(value));
                if own != other {
                    return Err(Error::invalid("residual", own, format!("what the branch gives has the shape of what it is added to, {other}")));
                }
                self.graph.add(branch, shortcut)
            }
        }
    }

    /// A name of its own: `conv1`, `conv2`, ....
    fn called(&mut self, stem: &'static str) -> String {
        let count = self.counts.entry(stem).or_default();
        *count += 1;
        format!("{stem}{count}")
    }

    fn conv(
        &mut self,
        x: ValueId,
        filters: usize,
        window: usize,
        descriptor: Ranked<Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor>,
    ) -> Result<ValueId> {
        let name = self.called("conv");
        let channels = known(&self.graph, x, 1, &name)?;
        let (axes, groups) = match &descriptor {
            Ranked::One(descriptor) => (1, descriptor.groups),
            Ranked::Two(descriptor) => (2, descriptor.groups),
            Ranked::Three(descriptor) => (3, descriptor.groups),
        };
        let extents: Vec<usize> = [filters, channels / groups.max(1)].into_iter().chain(std::iter::repeat_n(window, axes)).collect();
        let filter = self.filter(&name, &extents)?;
        let bias = Some(self.filled(&name, "bias", &[filters], 0.0)?);
        let none = Activation::None;
        let (y, activation) = match descriptor {
            Ranked::One(own) => (self.graph.conv1d(x, filter, bias, &Conv1dDescriptor { activation: none, ..own })?, own.activation),
            Ranked::Two(own) => (self.graph.conv2d(x, filter, bias, &Conv2dDescriptor { activation: none, ..own })?, own.activation),
            Ranked::Three(own) => (self.graph.conv3d(x, filter, bias, &Conv3dDescriptor { activation: none, ..own })?, own.activation),
        };
        self.named(y, &name, activation)
    }

    /// The name of a norm, and the channels of what it reads.
    fn norm(&mut self, x: ValueId) -> Result<(String, [usize; 1])> {
        let name = self.called("norm");
        let channels = known(&self.graph, x, 1, &name)?;
        Ok((name, [channels]))
    }

    /// A scale of ones and a bias of zeros.
    fn affine(&mut self, name: &str, extents: &[usize]) -> Result<[Option<ValueId>; 2]> {
        Ok([Some(self.filled(name, "weight", extents, 1.0)?), Some(self.filled(name, "bias", extents, 0.0)?)])
    }

    fn filter(&mut self, name: &str, extents: &[usize]) -> Result<ValueId> {
        if extents.contains(&0) {
            return Err(Error::invalid(name, format!("{extents:?}"), "every extent of its filter is at least 1"));
        }
        let filter = self.initializer.fill(extents, &mut self.generator);
        self.graph.parameter(&format!("{name}.weight"), filter.view())
    }

    fn filled(&mut self, name: &str, what: &str, extents: &[usize], number: f32) -> Result<ValueId> {
        self.graph.parameter(&format!("{name}.{what}"), ArrayD::from_elem(IxDyn(extents), number).view())
    }

    /// The name of a layer, and its activation.
    fn named(&mut self, y: ValueId, name: &str, activation: Activation) -> Result<ValueId> {
        self.graph.name(y, name)?;
        if activation == Activation::None { Ok(y) } else { self.graph.activation(y, activation) }
    }
}

fn known(graph: &Graph, x: ValueId, axis: usize, layer: &str) -> Result<usize> {
    graph.extent(x, axis).ok_or_else(|| Error::invalid(layer, graph.shape(x), format!("extent {axis} of what it reads is known")))
}
