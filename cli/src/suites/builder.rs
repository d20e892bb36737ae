//! What networks are built with: a graph whose parameters have names as frameworks give them, and numbers that keep magnitudes from layer to layer.

use super::Kind;
use wgconv::conv::{Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvTranspose2dDescriptor};
use wgconv::graph::{BatchNormParameters, ValueId};
use wgconv::matmul::LinearDescriptor;
use wgconv::ndarray::ArrayD;
use wgconv::norm::{BatchNormDescriptor, LayerNormDescriptor};
use wgconv::numeric::Generator;
use wgconv::pool::{PoolDescriptor, PoolKind};
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::transform::SliceDescriptor;
use wgconv::{Activation, ElementType, Error, Extent, Graph, Layout, Padding, Result, half};

/// A value, or why there is none.
pub type Made = Result<ValueId>;

/// A graph that is being built.
pub struct Builder {
    pub graph: Graph,
    kind: Kind,
    /// For a trainer: the input is called `input`, statistics of batch norms are constants, and no softmax comes last, for losses take logits.
    trained: bool,
}

/// A 2-D convolution with a square window.
#[derive(Clone, Copy)]
pub struct Square {
    pub filters: usize,
    pub size: usize,
    pub stride: usize,
    pub pad: usize,
    pub groups: usize,
    pub bias: bool,
    /// Variance of the output over that of the input: a rectifier behind it halves the mean square (He and others, 2015).
    pub gain: f64,
}

/// As many positions as the input has, over the stride; a rectifier behind it.
pub fn same(filters: usize, size: usize, stride: usize) -> Square {
    Square { filters, size, stride, pad: size / 2, groups: 1, bias: false, gain: 2.0 }
}

/// Windows inside the input alone; a rectifier behind it.
pub fn valid(filters: usize, size: usize) -> Square {
    Square { pad: 0, ..same(filters, size, 1) }
}

/// One filter a channel, over as many positions as the input has, over the stride.
pub fn depthwise(channels: usize, size: usize, stride: usize) -> Square {
    Square { groups: channels, ..same(channels, size, stride) }
}

impl Square {
    pub fn biased(self) -> Self {
        Self { bias: true, ..self }
    }

    /// No rectifier behind it.
    pub fn linear(self) -> Self {
        Self { gain: 1.0, ..self }
    }
}

/// The pads of so many elements on every side.
fn pads<const N: usize>(pad: usize) -> Padding<N> {
    Padding::Explicit { begin: [pad; N], end: [pad; N] }
}

impl Builder {
    pub fn new(kind: Kind) -> Self {
        Self { graph: Graph::new(), kind, trained: false }
    }

    /// For a network that a trainer takes.
    pub fn trained() -> Self {
        Self { trained: true, ..Self::new(Kind::PLAIN) }
    }

    /// How exact its ops must be.
    pub fn accuracy(&self) -> wgconv::conv::Accuracy {
        self.kind.accuracy
    }

    /// An input of any number of items of these extents.
    pub fn input(&mut self, name: &str, extents: &[usize]) -> Made {
        let extents: Vec<Extent> = [Extent::Open].into_iter().chain(extents.iter().map(|&extent| extent.into())).collect();
        let name = if self.trained { "input" } else { name };
        self.graph.input_as(name, &extents, self.kind.element, self.kind.layout)
    }

    /// An input of these extents.
    pub fn fixed(&mut self, name: &str, extents: &[usize]) -> Made {
        let extents: Vec<Extent> = extents.iter().map(|&extent| extent.into()).collect();
        self.graph.input_as(name, &extents, self.kind.element, self.kind.layout)
    }

    /// An extent that does not depend on the number of items.
    pub fn extent(&self, x: ValueId, axis: usize) -> Result<usize> {
        let open = || Error::invalid("a network", self.graph.shape(x), format!("axis {axis} has an extent of its own"));
        self.graph.extent(x, axis).ok_or_else(open)
    }

    pub fn channels(&self, x: ValueId) -> Result<usize> {
        self.extent(x, 1)
    }

    /// A parameter of uniform numbers around `center`.
    pub fn parameter(&mut self, name: &str, extents: &[usize], center: f64, spread: f64) -> Made {
        let mut generator = Generator::from_text(name);
        let count = extents.iter().product();
        let numbers: Vec<f32> = (0..count).map(|_| (center + generator.real() * spread) as f32).collect();
        self.given(name, extents, numbers)
    }

    /// A parameter of these numbers.
    pub fn given(&mut self, name: &str, extents: &[usize], numbers: Vec<f32>) -> Made {
        let array = ArrayD::from_shape_vec(extents.to_vec(), numbers).map_err(|e| Error::invalid(name, format!("{extents:?}"), e.to_string()))?;
        match self.kind.element {
            _ if self.trained && name.contains(".running_") => self.graph.constant(name, array.view()),
            ElementType::F16 => self.graph.parameter(name, array.mapv(half::f16::from_f32).view()),
            _ => self.graph.parameter(name, array.view()),
        }
    }

    /// A filter of the variance that has this gain.
    fn filter(&mut self, name: &str, extents: &[usize], gain: f64) -> Made {
        let terms = extents[1..].iter().product::<usize>() as f64;
        self.parameter(&format!("{name}.weight"), extents, 0.0, (3.0 * gain / terms).sqrt())
    }

    fn bias(&mut self, name: &str, count: usize, there: bool) -> Result<Option<ValueId>> {
        there.then(|| self.parameter(&format!("{name}.bias"), &[count], 0.0, 0.1)).transpose()
    }

    fn named(&mut self, y: ValueId, name: &str) -> Made {
        self.graph.name(y, name)?;
        Ok(y)
    }

    pub fn conv(&mut self, name: &str, x: ValueId, square: Square) -> Made {
        let Square { filters, size, stride, pad, groups, bias, gain } = square;
        let filter = self.filter(name, &[filters, self.channels(x)? / groups, size, size], gain)?;
        let bias = self.bias(name, filters, bias)?;
        let descriptor = Conv2dDescriptor { stride: [stride; 2], padding: pads(pad), groups, accuracy: self.kind.accuracy, ..Default::default() };
        let y = self.graph.conv2d(x, filter, bias, &descriptor)?;
        self.named(y, name)
    }

    /// A 1-D convolution inside the input alone, without a bias; GELU behind it.
    pub fn conv1d(&mut self, name: &str, x: ValueId, filters: usize, size: usize, stride: usize) -> Made {
        let filter = self.filter(name, &[filters, self.channels(x)?, size], 2.0)?;
        let descriptor = Conv1dDescriptor { stride: [stride], accuracy: self.kind.accuracy, ..Default::default() };
        let y = self.graph.conv1d(x, filter, None, &descriptor)?;
        self.named(y, name)
    }

    /// A 3-D convolution with a bias over as many positions as the input has; a rectifier behind it.
    pub fn conv3d(&mut self, name: &str, x: ValueId, filters: usize, size: usize) -> Made {
        let filter = self.filter(name, &[filters, self.channels(x)?, size, size, size], 2.0)?;
        let bias = self.bias(name, filters, true)?;
        let descriptor = Conv3dDescriptor { padding: pads(size / 2), accuracy: self.kind.accuracy, ..Default::default() };
        let y = self.graph.conv3d(x, filter, bias, &descriptor)?;
        self.named(y, name)
    }

    /// A transposed convolution by 2 x 2 with stride 2 and a bias. Of its taps an output reads one in four.
    pub fn up(&mut self, name: &str, x: ValueId, filters: usize) -> Made {
        let filter = self.parameter(&format!("{name}.weight"), &[self.channels(x)?, filters, 2, 2], 0.0, (3.0 / self.channels(x)? as f64).sqrt())?;
        let bias = self.bias(name, filters, true)?;
        let descriptor = ConvTranspose2dDescriptor { stride: [2, 2], accuracy: self.kind.accuracy, ..Default::default() };
        let y = self.graph.conv_transpose2d(x, filter, bias, &descriptor)?;
        self.named(y, name)
    }

    /// As [`Builder::up`], by 2 x 2 x 2 and without a bias.
    pub fn up3d(&mut self, name: &str, x: ValueId, filters: usize) -> Made {
        let channels = self.channels(x)?;
        let filter = self.parameter(&format!("{name}.weight"), &[channels, filters, 2, 2, 2], 0.0, (3.0 / channels as f64).sqrt())?;
        let descriptor = wgconv::conv::ConvTranspose3dDescriptor { stride: [2; 3], accuracy: self.kind.accuracy, ..Default::default() };
        let y = self.graph.conv_transpose3d(x, filter, None, &descriptor)?;
        self.named(y, name)
    }

    /// A batch norm with statistics as a trained network has them; `scale`: around which its factors lie.
    pub fn batch_norm(&mut self, name: &str, x: ValueId, scale: f64) -> Made {
        let channels = [self.channels(x)?];
        let mut vector = |part: &str, center, spread| self.parameter(&format!("{name}.{part}"), &channels, center, spread);
        let parameters = BatchNormParameters {
            scale: Some(vector("weight", scale, scale / 4.0)?),
            bias: Some(vector("bias", 0.0, 0.1)?),
            mean: vector("running_mean", 0.0, 0.1)?,
            variance: vector("running_var", 1.0, 0.25)?,
        };
        let y = self.graph.batch_norm(x, &parameters, &BatchNormDescriptor::default())?;
        self.named(y, name)
    }

    /// A convolution, a batch norm, an activation.
    pub fn conv_norm(&mut self, [conv, norm]: [&str; 2], x: ValueId, square: Square, activation: Activation) -> Made {
        let y = self.conv(conv, x, square)?;
        let y = self.batch_norm(norm, y, 1.0)?;
        self.activation(y, activation)
    }

    pub fn activation(&mut self, x: ValueId, activation: Activation) -> Made {
        if activation == Activation::None { Ok(x) } else { self.graph.activation(x, activation) }
    }

    /// A dense layer with a bias.
    pub fn dense(&mut self, name: &str, x: ValueId, outputs: usize, gain: f64) -> Made {
        let axes = self.graph.rank(x);
        let filter = self.filter(name, &[outputs, self.extent(x, axes - 1)?], gain)?;
        let bias = self.bias(name, outputs, true)?;
        let y = self.graph.linear(x, filter, bias, &LinearDescriptor { accuracy: self.kind.accuracy, ..Default::default() })?;
        self.named(y, name)
    }

    /// A layer norm of the last axis.
    pub fn layer_norm(&mut self, name: &str, x: ValueId, epsilon: f32) -> Made {
        let axes = self.graph.rank(x);
        let extents = [self.extent(x, axes - 1)?];
        let scale = self.parameter(&format!("{name}.weight"), &extents, 1.0, 0.25)?;
        let bias = self.parameter(&format!("{name}.bias"), &extents, 0.0, 0.1)?;
        let y = self.graph.layer_norm(x, Some(scale), Some(bias), &LayerNormDescriptor { epsilon, ..Default::default() })?;
        self.named(y, name)
    }

    pub fn pool(&mut self, kind: PoolKind, x: ValueId, size: usize, stride: usize, pad: usize) -> Made {
        let descriptor = PoolDescriptor { kind, stride: Some([stride; 2]), padding: pads(pad), ..PoolDescriptor::window([size; 2]) };
        self.graph.pool2d(x, &descriptor)
    }

    pub fn max_pool(&mut self, x: ValueId, size: usize, stride: usize, pad: usize) -> Made {
        self.pool(PoolKind::MAX, x, size, stride, pad)
    }

    pub fn global_average(&mut self, x: ValueId) -> Made {
        self.graph.global_pool(x, PoolKind::Average { count_include_pad: false })
    }

    /// Everything of an item in one row.
    pub fn flatten(&mut self, x: ValueId) -> Made {
        let x = self.graph.to_layout(x, Layout::ChannelsFirst)?;
        self.graph.flatten(x, 1)
    }

    /// The softmax at the end of a classifier.
    pub fn softmax(&mut self, x: ValueId) -> Made {
        if self.trained {
            return Ok(x);
        }
        self.graph.softmax(x, &SoftmaxDescriptor { axis: 1, ..Default::default() })
    }

    /// Positions `first ..` of an axis, `count` of them.
    pub fn slice(&mut self, x: ValueId, axis: isize, first: usize, count: usize) -> Made {
        let [first, end] = [first, first + count].map(|position| vec![position as isize]);
        self.graph.slice(x, &SliceDescriptor { starts: first, ends: end, axes: vec![axis], steps: vec![] })
    }
}
