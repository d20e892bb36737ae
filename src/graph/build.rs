//! Building a graph: inputs, parameters, constants, outputs, and a method for every op.

use super::show::spelled_apart;
use super::{Extent, Folded, Graph, Numbers, OPEN, Ranked, Recipe, Source, ValueId};
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::elementwise::unary::UnaryDescriptor;
use crate::ops::indexed::{Indexing, ScatterDescriptor};
use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulDescriptor};
use crate::ops::named::nearest::nearest;
use crate::ops::norm::batch::BatchNormDescriptor;
use crate::ops::norm::lrn::LrnDescriptor;
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor};
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::reduce::{ArgmaxDescriptor, ReduceDescriptor};
use crate::ops::softmax::SoftmaxDescriptor;
use crate::ops::top_k::TopKDescriptor;
use crate::ops::transform::depth_to_space::DepthToSpaceDescriptor;
use crate::ops::transform::grid_sample::GridSampleDescriptor;
use crate::ops::transform::pad::PadDescriptor;
use crate::ops::transform::resize::ResizeDescriptor;
use crate::ops::transform::slice::SliceDescriptor;
use crate::types::{Activation, Element, ElementType, Error, Layout, Result, TensorType};
use ndarray::{ArrayView, Dimension};
use std::sync::Arc;

/// Scale, bias, mean and variance of a batch normalisation, one number per channel each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchNormParameters {
    /// None for 1.
    pub scale: Option<ValueId>,
    /// None for 0.
    pub bias: Option<ValueId>,
    /// Running mean.
    pub mean: ValueId,
    /// Running variance.
    pub variance: ValueId,
}

impl Graph {
    /// An f32 input, channels-first; extents that are open are known when the network runs.
    ///
    /// # Errors
    /// A name that another value has; extents that make no tensor.
    pub fn input<const RANK: usize>(&mut self, name: &str, extents: [Extent; RANK]) -> Result<ValueId> {
        self.input_as(name, &extents, ElementType::F32, Layout::ChannelsFirst)
    }

    /// As [`Graph::input`], of another element type or layout.
    ///
    /// # Errors
    /// As [`Graph::input`].
    pub fn input_as(&mut self, name: &str, extents: &[Extent], element: ElementType, layout: Layout) -> Result<ValueId> {
        let extent = |extent: &Extent| match extent {
            Extent::Open => Ok(OPEN),
            Extent::Is(OPEN) => Err(Error::invalid(name, format!("{extents:?}"), "no tensor has so many elements")),
            Extent::Is(known) => Ok(*known),
        };
        let known = extents.iter().map(extent).collect::<Result<_>>()?;
        self.declare(name, Source::Input, TensorType { extents: known, element, layout })
    }

    /// A parameter with its numbers, which are copied.
    ///
    /// # Errors
    /// As [`Graph::input`]; an array of indices.
    pub fn parameter<T: Element, D: Dimension>(&mut self, name: &str, numbers: ArrayView<'_, T, D>) -> Result<ValueId> {
        let numbers = Numbers::copied(numbers)?;
        let declared = numbers.tensor_type();
        self.declare(name, Source::Parameter(Some(Arc::new(numbers))), declared)
    }

    /// A parameter whose numbers come later, from a file ([`Graph::set`]).
    ///
    /// # Errors
    /// As [`Graph::input`].
    pub fn parameter_of(&mut self, name: &str, extents: &[usize], element: ElementType) -> Result<ValueId> {
        element.check_float(name)?;
        self.declare(name, Source::Parameter(None), TensorType::new(extents, element, Layout::ChannelsFirst))
    }

    /// A constant.
    ///
    /// # Errors
    /// As [`Graph::parameter`].
    pub fn constant<T: Element, D: Dimension>(&mut self, name: &str, numbers: ArrayView<'_, T, D>) -> Result<ValueId> {
        let numbers = Numbers::copied(numbers)?;
        let declared = numbers.tensor_type();
        self.declare(name, Source::Constant(Arc::new(numbers)), declared)
    }

    /// Gives the parameter called `name` its numbers.
    ///
    /// # Errors
    /// No parameter of this name, such as one that a pass has folded ([`Graph::optimized`]); another shape or element type.
    pub fn set<T: Element, D: Dimension>(&mut self, name: &str, numbers: ArrayView<'_, T, D>) -> Result<()> {
        let numbers = Numbers::copied(numbers)?;
        let value = self.parameter_called(name)?;
        let value = &mut self.values[value.0];
        let found = numbers.tensor_type();
        if let Some(wanted) = value.declared.as_ref().filter(|wanted| (&wanted.extents, wanted.element) != (&found.extents, found.element)) {
            let [found, wanted] = spelled_apart(&found, wanted);
            return Err(Error::invalid(name, found, format!("it must be {wanted}")));
        }
        value.source = Source::Parameter(Some(Arc::new(numbers)));
        Ok(())
    }

    /// Changes the numbers of an f32 parameter; they are copied first where another graph has them too.
    ///
    /// # Errors
    /// As [`Graph::set`]; a parameter without numbers, or of f16.
    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut [f32])) -> Result<()> {
        let value = self.parameter_called(name)?;
        if let Source::Parameter(Some(numbers)) = &mut self.values[value.0].source
            && let Numbers::F32(array) = Arc::make_mut(numbers)
            && let Some(numbers) = array.as_slice_mut()
        {
            change(numbers);
            return Ok(());
        }
        Err(Error::invalid(name, "without numbers of f32", "what is learned is f32"))
    }

    /// The parameter called `name`.
    ///
    /// # Errors
    /// None of this name: what a pass made of it, even where another node still reads it, or the name that was probably meant.
    pub(crate) fn parameter_called(&self, name: &str) -> Result<ValueId> {
        let unknown = |state: &str, rule: String| Err(Error::of_all("parameter", &[name], state, rule));
        if let Some(Folded { pass, into, .. }) = self.folded.iter().find(|folded| folded.name == name) {
            let rule = format!("Pass::{pass} put it into {}; load and save by the graph that no pass has changed yet", into.join(" and "));
            return unknown("folded", rule);
        }
        if let Some((_, value)) = self.parameters().find(|(own, _)| *own == name) {
            return Ok(value);
        }
        if let Some(other) = self.find(name) {
            let kind = match self.values[other.0].source {
                Source::Input => "an input",
                Source::Constant(_) => "a constant",
                _ => "what a node gives",
            };
            return unknown("unknown", format!("{name} is {kind}, not a parameter"));
        }
        let names: Vec<&str> = self.parameters().map(|(name, _)| name).collect();
        let rule = match (nearest(name, names.iter().copied()), &names[..]) {
            (Some(meant), _) => format!("did you mean {meant}?"),
            (None, []) => "the graph has no parameters".into(),
            (None, [one]) => format!("the graph's parameter is {one}"),
            (None, few) if few.len() <= 8 => format!("the graph's parameters are {}", few.join(", ")),
            (None, many) => format!("the graph has {} parameters, from {} to {}", many.len(), many[0], many[many.len() - 1]),
        };
        unknown("unknown", rule)
    }

    /// Makes `value` an output of the network.
    ///
    /// # Errors
    /// A name that another output has; a value past this graph's last ([`ValueId`]).
    pub fn output(&mut self, name: &str, value: ValueId) -> Result<()> {
        self.check("value", value)?;
        if name.is_empty() || self.outputs.iter().any(|(known, _)| known == name) {
            return Err(Error::invalid("name", format!("\"{name}\""), "an output has a name, and no two of a graph have the same"));
        }
        self.outputs.push((name.to_string(), value));
        Ok(())
    }

    /// Renames a value that a node gave, and the node with its first output.
    ///
    /// # Errors
    /// A name that another value has; a value past this graph's last ([`ValueId`]); one that no node gives.
    pub fn name(&mut self, value: ValueId, name: &str) -> Result<()> {
        self.check("value", value)?;
        let Source::Node { node, output } = self.values[value.0].source else {
            return Err(Error::invalid("value", &self.values[value.0].name, "what is declared has its name already"));
        };
        if name.is_empty() || self.find(name).is_some_and(|other| other != value) {
            return Err(Error::invalid("name", format!("\"{name}\""), "a value has a name, and no two of a graph have the same"));
        }
        self.named.remove(&self.values[value.0].name);
        self.named.insert(name.to_string(), value);
        self.values[value.0].name = name.to_string();
        if output == 0 {
            self.nodes[node].name = name.to_string();
        }
        Ok(())
    }

    /// A node of one output.
    pub(super) fn one(&mut self, recipe: Recipe, inputs: &[ValueId]) -> Result<ValueId> {
        let outputs = self.node(recipe, inputs)?;
        outputs.first().copied().ok_or_else(|| Error::Internal { label: "a graph".into(), message: "a node without an output".into() })
    }

    /// x, a filter and a bias, with another tensor that is added before the activation.
    fn convolution(
        &mut self,
        descriptor: Ranked<ConvDescriptor<1>, ConvDescriptor<2>, ConvDescriptor<3>>,
        inputs: [ValueId; 2],
        bias: Option<ValueId>,
    ) -> Result<ValueId> {
        let inputs: Vec<ValueId> = inputs.into_iter().chain(bias).collect();
        self.one(Recipe::Conv { descriptor, bias: bias.is_some(), residual: false }, &inputs)
    }

    /// A convolution over the width, x N C W with filter O C/g kW.
    ///
    /// # Errors
    /// What the op does not take; a value past this graph's last ([`ValueId`]).
    pub fn conv1d(&mut self, x: ValueId, filter: ValueId, bias: Option<ValueId>, descriptor: &ConvDescriptor<1>) -> Result<ValueId> {
        self.convolution(Ranked::One(*descriptor), [x, filter], bias)
    }

    /// A convolution over height and width, x N C H W with filter O C/g kH kW.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn conv2d(&mut self, x: ValueId, filter: ValueId, bias: Option<ValueId>, descriptor: &ConvDescriptor<2>) -> Result<ValueId> {
        self.convolution(Ranked::Two(*descriptor), [x, filter], bias)
    }

    /// A convolution over depth, height and width, x N C D H W with filter O C/g kD kH kW.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn conv3d(&mut self, x: ValueId, filter: ValueId, bias: Option<ValueId>, descriptor: &ConvDescriptor<3>) -> Result<ValueId> {
        self.convolution(Ranked::Three(*descriptor), [x, filter], bias)
    }

    /// A transposed convolution over height and width, x N C H W with filter C O/g kH kW.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn conv_transpose2d(
        &mut self,
        x: ValueId,
        filter: ValueId,
        bias: Option<ValueId>,
        descriptor: &ConvTransposeDescriptor<2>,
    ) -> Result<ValueId> {
        self.transposed(Ranked::Two(*descriptor), [x, filter], bias)
    }

    /// A transposed convolution over the width, x N C W with filter C O/g kW.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn conv_transpose1d(
        &mut self,
        x: ValueId,
        filter: ValueId,
        bias: Option<ValueId>,
        descriptor: &ConvTransposeDescriptor<1>,
    ) -> Result<ValueId> {
        self.transposed(Ranked::One(*descriptor), [x, filter], bias)
    }

    /// A transposed convolution over depth, height and width, x N C D H W with filter C O/g kD kH kW.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn conv_transpose3d(
        &mut self,
        x: ValueId,
        filter: ValueId,
        bias: Option<ValueId>,
        descriptor: &ConvTransposeDescriptor<3>,
    ) -> Result<ValueId> {
        self.transposed(Ranked::Three(*descriptor), [x, filter], bias)
    }

    fn transposed(
        &mut self,
        descriptor: Ranked<ConvTransposeDescriptor<1>, ConvTransposeDescriptor<2>, ConvTransposeDescriptor<3>>,
        inputs: [ValueId; 2],
        bias: Option<ValueId>,
    ) -> Result<ValueId> {
        let inputs: Vec<ValueId> = inputs.into_iter().chain(bias).collect();
        self.one(Recipe::ConvTranspose { descriptor }, &inputs)
    }

    /// A dense layer: x \[..., I\] with w \[O, I\].
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn linear(&mut self, x: ValueId, w: ValueId, bias: Option<ValueId>, descriptor: &LinearDescriptor) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [x, w].into_iter().chain(bias).collect();
        self.one(Recipe::Linear { descriptor: *descriptor, bias: bias.is_some(), residual: false }, &inputs)
    }

    /// A layer normalisation; scale and bias have the extents of the normalised axes.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn layer_norm(&mut self, x: ValueId, scale: Option<ValueId>, bias: Option<ValueId>, descriptor: &LayerNormDescriptor) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [x].into_iter().chain(scale).chain(bias).collect();
        self.one(Recipe::LayerNorm { descriptor: *descriptor, has: [scale.is_some(), bias.is_some()] }, &inputs)
    }

    /// A group normalisation; scale and bias have one number per channel.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn group_norm(&mut self, x: ValueId, scale: Option<ValueId>, bias: Option<ValueId>, descriptor: &GroupNormDescriptor) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [x].into_iter().chain(scale).chain(bias).collect();
        self.one(Recipe::GroupNorm { descriptor: *descriptor, has: [scale.is_some(), bias.is_some()] }, &inputs)
    }

    /// An instance normalisation; scale and bias have one number per channel.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn instance_norm(
        &mut self,
        x: ValueId,
        scale: Option<ValueId>,
        bias: Option<ValueId>,
        descriptor: &InstanceNormDescriptor,
    ) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [x].into_iter().chain(scale).chain(bias).collect();
        self.one(Recipe::InstanceNorm { descriptor: *descriptor, has: [scale.is_some(), bias.is_some()] }, &inputs)
    }

    /// A batch normalisation with known statistics.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn batch_norm(&mut self, x: ValueId, parameters: &BatchNormParameters, descriptor: &BatchNormDescriptor) -> Result<ValueId> {
        let BatchNormParameters { scale, bias, mean, variance } = *parameters;
        let inputs: Vec<ValueId> = [x].into_iter().chain(scale).chain(bias).chain([mean, variance]).collect();
        self.one(Recipe::BatchNorm { descriptor: *descriptor, has: [scale.is_some(), bias.is_some()] }, &inputs)
    }

    /// alpha op(a) op(b) + beta c, on matrices.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn gemm(&mut self, a: ValueId, b: ValueId, c: Option<ValueId>, descriptor: &GemmDescriptor) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [a, b].into_iter().chain(c).collect();
        self.one(Recipe::Gemm(*descriptor), &inputs)
    }

    /// Tensors one after another along `axis`; negative: from the end.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn concat(&mut self, xs: &[ValueId], axis: isize) -> Result<ValueId> {
        self.one(Recipe::Concat { axis }, xs)
    }

    /// A max pool with the indices of its maxima.
    ///
    /// # Errors
    /// As [`Graph::conv1d`]; a kind without indices.
    pub fn max_pool2d_with_indices(&mut self, x: ValueId, descriptor: &PoolDescriptor<2>) -> Result<[ValueId; 2]> {
        match self.node(Recipe::Pool(Ranked::Two(*descriptor)), &[x])?[..] {
            [y, indices] => Ok([y, indices]),
            _ => Err(Error::invalid("kind", format!("{:?}", descriptor.kind), "it is a maximum with an order of indices")),
        }
    }

    /// x with its channels in `layout`.
    ///
    /// # Errors
    /// A value past this graph's last ([`ValueId`]).
    pub fn to_layout(&mut self, x: ValueId, layout: Layout) -> Result<ValueId> {
        self.one(Recipe::ToLayout(layout), &[x])
    }
}

/// Methods for ops of one tensor and a descriptor.
macro_rules! of_one {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty) = $recipe:expr;)*) => {
        impl Graph {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Graph::conv1d`].
                pub fn $name(&mut self, x: ValueId, $argument: $type) -> Result<ValueId> {
                    self.one($recipe, &[x])
                }
            )*
        }
    };
}

of_one! {
    /// An operation on one tensor, such as [`UnaryOp::Sqrt`](crate::elementwise::UnaryOp::Sqrt), with an activation of its result if wanted.
    unary(descriptor: impl Into<UnaryDescriptor>) = Recipe::Unary(descriptor.into());
    /// An activation.
    activation(activation: Activation) = Recipe::Activation(activation);
    /// Pooling over the width.
    pool1d(descriptor: &PoolDescriptor<1>) = Recipe::Pool(Ranked::One(*descriptor));
    /// Pooling over height and width.
    pool2d(descriptor: &PoolDescriptor<2>) = Recipe::Pool(Ranked::Two(*descriptor));
    /// Pooling over depth, height and width.
    pool3d(descriptor: &PoolDescriptor<3>) = Recipe::Pool(Ranked::Three(*descriptor));
    /// Pooling to a given width.
    adaptive_pool1d(descriptor: &AdaptivePoolDescriptor<1>) = Recipe::AdaptivePool(Ranked::One(*descriptor));
    /// Pooling to given extents of depth, height and width.
    adaptive_pool3d(descriptor: &AdaptivePoolDescriptor<3>) = Recipe::AdaptivePool(Ranked::Three(*descriptor));
    /// Pooling to given extents of height and width.
    adaptive_pool2d(descriptor: &AdaptivePoolDescriptor<2>) = Recipe::AdaptivePool(Ranked::Two(*descriptor));
    /// Pooling of each whole plane: N C H W becomes N C 1 1. [`Graph::flatten`] makes rows of that for [`Graph::linear`].
    global_pool(kind: PoolKind) = Recipe::GlobalPool(kind);
    /// Softmax, or its logarithm.
    softmax(descriptor: &SoftmaxDescriptor) = Recipe::Softmax(*descriptor);
    /// Local response normalisation.
    lrn(descriptor: &LrnDescriptor) = Recipe::Lrn(*descriptor);
    /// Sum, mean, maximum, minimum or product over axes.
    reduce(descriptor: &ReduceDescriptor) = Recipe::Reduce(descriptor.clone());
    /// Where the largest element stands.
    argmax(descriptor: &ArgmaxDescriptor) = Recipe::Argmax(*descriptor);
    /// Other spatial extents.
    resize(descriptor: &ResizeDescriptor) = Recipe::Resize(descriptor.clone());
    /// Padding.
    pad(descriptor: &PadDescriptor) = Recipe::Pad(descriptor.clone());
    /// A part of every axis.
    slice(descriptor: &SliceDescriptor) = Recipe::Slice(descriptor.clone());
    /// Axis i of y is axis `perm[i]` of x.
    transpose(perm: &[usize]) = Recipe::Transpose { perm: perm.to_vec() };
    /// Blocks of channels to blocks of positions.
    depth_to_space(descriptor: &DepthToSpaceDescriptor) = Recipe::DepthToSpace(*descriptor);
    /// The reverse.
    space_to_depth(descriptor: &DepthToSpaceDescriptor) = Recipe::SpaceToDepth(*descriptor);
    /// Another shape: 0 keeps an extent, and one -1 is what the count leaves.
    reshape(shape: &[isize]) = Recipe::Reshape { shape: shape.to_vec() };
    /// A matrix whose rows are the axes before `axis`.
    flatten(axis: isize) = Recipe::Flatten { axis };
}

/// Methods for ops of two tensors.
macro_rules! of_two {
    ($($(#[$doc:meta])* $name:ident = $op:expr;)*) => {
        impl Graph {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Graph::conv1d`].
                pub fn $name(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
                    self.one($op.into(), &[a, b])
                }
            )*
        }
    };
}

of_two! {
    /// a + b, broadcast.
    add = BinaryOp::Add;
    /// a - b, broadcast.
    sub = BinaryOp::Sub;
    /// a b, element by element, broadcast.
    mul = BinaryOp::Mul;
    /// a / b, broadcast.
    div = BinaryOp::Div;
    /// The larger, broadcast.
    max = BinaryOp::Max;
    /// The smaller, broadcast.
    min = BinaryOp::Min;
    /// x where it is positive, else x times a slope that broadcasts to it.
    prelu = BinaryOp::Prelu;
}

impl Graph {
    /// An operation on two tensors with an activation of its result.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn binary(&mut self, a: ValueId, b: ValueId, descriptor: impl Into<BinaryDescriptor>) -> Result<ValueId> {
        self.one(Recipe::Binary(descriptor.into()), &[a, b])
    }

    /// a where the condition is not 0, else b, broadcast: ONNX's `Where`.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn where_cond(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.one(Recipe::Where, &[condition, a, b])
    }

    /// min(max(x, low), high), broadcast; NaN wins. Bounds that are numbers are [`Activation::Clip`].
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn clamp(&mut self, x: ValueId, low: ValueId, high: ValueId) -> Result<ValueId> {
        let raised = self.max(x, low)?;
        self.min(raised, high)
    }

    /// x at the positions of a grid, of one image or volume each: ONNX's `GridSample`.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn grid_sample(&mut self, x: ValueId, grid: ValueId, descriptor: &GridSampleDescriptor) -> Result<ValueId> {
        self.one(Recipe::GridSample(*descriptor), &[x, grid])
    }

    /// x at indices: ONNX's `Gather`, `GatherElements` and `GatherND`.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn gather(&mut self, x: ValueId, indices: ValueId, indexing: Indexing) -> Result<ValueId> {
        self.one(Recipe::Gather(indexing), &[x, indices])
    }

    /// x with updates at indices: ONNX's `ScatterElements` and `ScatterND`.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn scatter(&mut self, x: ValueId, indices: ValueId, updates: ValueId, descriptor: &ScatterDescriptor) -> Result<ValueId> {
        self.one(Recipe::Scatter(*descriptor), &[x, indices, updates])
    }

    /// The first elements of an order along an axis, and where they stand.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn top_k(&mut self, x: ValueId, descriptor: &TopKDescriptor) -> Result<[ValueId; 2]> {
        match self.node(Recipe::TopK(*descriptor), &[x])?[..] {
            [y, indices] => Ok([y, indices]),
            _ => Err(Error::Internal { label: "top_k".into(), message: "an op of two outputs gave another number".into() }),
        }
    }

    /// A product by numpy's rules.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn matmul(&mut self, a: ValueId, b: ValueId, descriptor: &MatMulDescriptor) -> Result<ValueId> {
        self.one(Recipe::MatMul(*descriptor), &[a, b])
    }

    /// The inverse of a max pool with indices.
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn max_unpool2d(&mut self, x: ValueId, indices: ValueId, descriptor: &MaxUnpoolDescriptor<2>) -> Result<ValueId> {
        self.one(Recipe::MaxUnpool(Ranked::Two(*descriptor)), &[x, indices])
    }

    /// max(x, 0)
    ///
    /// # Errors
    /// As [`Graph::conv1d`].
    pub fn relu(&mut self, x: ValueId) -> Result<ValueId> {
        self.activation(x, Activation::Relu)
    }

    /// x itself: dropout does nothing to a trained network. [`Graph::learning`] makes [`Graph::dropout_training`] of it, with this probability.
    ///
    /// # Errors
    /// A value past this graph's last ([`ValueId`]); a probability outside 0 to below 1.
    pub fn dropout(&mut self, x: ValueId, probability: f32) -> Result<ValueId> {
        self.one(Recipe::Dropout { probability }, &[x])
    }

    /// x in another element type: rounded to f16, or as f32; x itself where it is of this type. What it gives to its gradient is the gradient, in f32.
    ///
    /// # Errors
    /// A value past this graph's last ([`ValueId`]); indices, on either side.
    pub fn cast(&mut self, x: ValueId, to: ElementType) -> Result<ValueId> {
        self.check("x", x)?;
        if self.types[x.0][0].element == to { Ok(x) } else { self.one(Recipe::Cast(to), &[x]) }
    }

    /// x itself.
    ///
    /// # Errors
    /// A value past this graph's last ([`ValueId`]).
    pub fn identity(&mut self, x: ValueId) -> Result<ValueId> {
        self.one(Recipe::Identity, &[x])
    }
}
