//! Building a network of the checks: every input and parameter has numbers that follow from its name, the case and the kind of data.

use crate::graph::{At, Extent, Graph, ValueId};
use crate::numeric::Generator;
use crate::ops::image::ImageFormat;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use crate::validate::data::Data;
use ndarray::{ArrayD, IxDyn};

/// What an input or a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Integers up to this one, or real numbers in [-1, 1).
    Reach(u64),
    /// The same for weights: real ones are scaled by their number, so that what a layer gives is about as large as what it reads.
    Weight(u64),
    /// Variances: 1/4, 1 and 4, whose roots are exact, or positive numbers.
    Variance,
    /// Scales: powers of two of both signs, or real numbers.
    Scale,
    /// Zeros, and among them -1e9, or minus infinity where data are special: what attention adds to scores that do not count.
    Mask,
    /// Words of four bytes.
    Bytes,
}

/// A network that is being built.
pub(super) struct Build {
    pub graph: Graph,
    /// Of the parameters that are made next.
    pub element: ElementType,
    seed: String,
    data: Data,
    inputs: Vec<(String, Fill)>,
}

impl Build {
    /// `round` distinguishes numbers of the same names: other ones that a parameter is given later.
    pub fn new(network: &str, data: Data, round: usize) -> Self {
        Self { graph: Graph::new(), element: ElementType::F32, seed: format!("{network}/{round}"), data, inputs: vec![] }
    }

    /// An f32 input, channels-first.
    pub fn input(&mut self, name: &str, extents: &[Extent], fill: Fill) -> Result<ValueId> {
        self.input_as(name, extents, Layout::ChannelsFirst, fill)
    }

    /// An input of the network's element type, in a layout.
    pub fn input_as(&mut self, name: &str, extents: &[Extent], layout: Layout, fill: Fill) -> Result<ValueId> {
        self.inputs.push((name.into(), fill));
        self.graph.input_as(name, extents, self.element, layout)
    }

    /// Images of bytes.
    pub fn image_input(&mut self, name: &str, images: Extent, format: ImageFormat, size: [usize; 2]) -> Result<ValueId> {
        self.inputs.push((name.into(), Fill::Bytes));
        self.graph.image_input(name, images, format, size)
    }

    /// A weight of integers up to 1.
    pub fn weight(&mut self, name: &str, extents: &[usize]) -> Result<ValueId> {
        self.parameter(name, extents, Fill::Weight(1))
    }

    /// A bias of integers up to 2.
    pub fn bias(&mut self, name: &str, extent: usize) -> Result<ValueId> {
        self.parameter(name, &[extent], Fill::Reach(2))
    }

    pub fn parameter(&mut self, name: &str, extents: &[usize], fill: Fill) -> Result<ValueId> {
        let tensor = TensorType::new(extents, self.element, Layout::ChannelsFirst);
        // Special numbers stand in inputs: an infinite weight over padding is left open (docs/verification.md).
        let data = if self.data == Data::Special { Data::Real } else { self.data };
        let values = numbers(fill, data, &tensor, &mut Generator::from_text(&format!("{}/{name}", self.seed)));
        let array = array(name, extents, values.iter().map(|&v| v as f32).collect())?;
        match self.element {
            ElementType::F16 => self.graph.parameter(name, array.mapv(half::f16::from_f32).view()),
            _ => self.graph.parameter(name, array.view()),
        }
    }

    /// What the inputs hold at an open extent, in the graph's order.
    pub fn inputs(&self, at: &At) -> Vec<Vec<f64>> {
        let of = |(name, value): (&str, ValueId)| {
            let fill = self.inputs.iter().find(|(own, _)| own == name).map_or(Fill::Reach(1), |(_, fill)| *fill);
            let tensor = &at.types[value.index()];
            let mut generator = Generator::from_text(&format!("{}/{name}/{:?}", self.seed, tensor.extents));
            numbers(fill, self.data, tensor, &mut generator)
        };
        self.graph.inputs().map(of).collect()
    }
}

/// An array of as many numbers as its extents say.
pub(super) fn array(name: &str, extents: &[usize], numbers: Vec<f32>) -> Result<ArrayD<f32>> {
    let count = numbers.len();
    ArrayD::from_shape_vec(IxDyn(extents), numbers).map_err(|e| Error::invalid(name, format!("{count} numbers"), e.to_string()))
}

fn numbers(fill: Fill, data: Data, tensor: &TensorType, generator: &mut Generator) -> Vec<f64> {
    let count: usize = tensor.extents.iter().product();
    let exact = data == Data::Exact;
    let one_of = |generator: &mut Generator, choices: [f64; 3]| choices[generator.below(3) as usize];
    let terms: usize = tensor.extents.iter().skip(1).product();
    let draw = |i: usize, generator: &mut Generator| match fill {
        Fill::Bytes => generator.below(1 << 32) as f64,
        Fill::Reach(limit) | Fill::Weight(limit) if exact => generator.integer(limit),
        Fill::Reach(_) if data == Data::Special => special(i, count, tensor, generator),
        Fill::Reach(_) => generator.real(),
        Fill::Weight(_) => generator.real() * (3.0 / terms.max(1) as f64).sqrt(),
        Fill::Variance if exact => one_of(generator, [0.25, 1.0, 4.0]),
        Fill::Variance => generator.real().abs() + 0.25,
        Fill::Scale if exact => one_of(generator, [-1.0, 1.0, 2.0]),
        Fill::Scale => generator.real() + 1.5,
        Fill::Mask if generator.below(3) > 0 => 0.0,
        Fill::Mask if data == Data::Special && generator.below(2) == 0 => f64::NEG_INFINITY,
        Fill::Mask => -1e9,
    };
    (0..count).map(|i| tensor.element.rounded(draw(i, generator))).collect()
}

/// Element `i` of an input of special data. Images along the first axis take turns, so that what is special stays apart from what is not: one is tame but
/// for a -0, one has infinities and a very large number, one a NaN and -1e9, which stands for a mask.
fn special(i: usize, count: usize, tensor: &TensorType, generator: &mut Generator) -> f64 {
    let image = (count / tensor.extents.first().copied().unwrap_or(1).max(1)).max(1);
    let (large, mask) = if tensor.element == ElementType::F16 { (6e4, -6e4) } else { (1e30, -1e9) };
    let real = generator.real();
    let stand = |parts: [(usize, f64); 3]| parts.iter().find(|(part, _)| i % image == image * part / 8).map_or(real, |(_, value)| *value);
    match i / image % 3 {
        0 => stand([(3, -0.0), (3, -0.0), (3, -0.0)]),
        1 => stand([(1, f64::INFINITY), (4, f64::NEG_INFINITY), (6, large)]),
        _ => stand([(2, f64::NAN), (5, mask), (5, mask)]),
    }
}
