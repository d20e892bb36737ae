//! What a node does, before shapes are known: an op's descriptor. Given the types of its inputs it becomes an [`Op`], or a view that copies nothing.

use super::images::images_of;
use crate::ops::Op;
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::ops::dropout::{DropoutDescriptor, DropoutKey, DropoutProblem};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem};
use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem};
use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulDescriptor, MatMulInputs, MatMulProblem};
use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormProblem};
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::global;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceProblem};
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use crate::ops::top_k::{TopKDescriptor, TopKProblem};
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceDescriptor};
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor};
use crate::ops::transform::pad::{Pad, PadDescriptor};
use crate::ops::transform::reshape::{flatten_extents, reshape_extents};
use crate::ops::transform::resize::{Resize, ResizeDescriptor};
use crate::ops::transform::slice::{Slice, SliceDescriptor};
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::{Activation, ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// A descriptor of one spatial rank or another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranked<One, Two, Three> {
    /// Width.
    One(One),
    /// Height and width.
    Two(Two),
    /// Depth, height and width.
    Three(Three),
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Recipe {
    /// x, filter, bias if there is one, and with `residual` another tensor that is added before the activation.
    Conv {
        /// How.
        descriptor: Ranked<ConvDescriptor<1>, ConvDescriptor<2>, ConvDescriptor<3>>,
        /// Whether there is a bias.
        bias: bool,
        /// Whether the last input is added.
        residual: bool,
    },
    /// x, filter, bias if there is one.
    ConvTranspose {
        /// How.
        descriptor: Ranked<ConvTransposeDescriptor<1>, ConvTransposeDescriptor<2>, ConvTransposeDescriptor<3>>,
    },
    /// x
    Pool(Ranked<PoolDescriptor<1>, PoolDescriptor<2>, PoolDescriptor<3>>),
    /// x
    AdaptivePool(Ranked<AdaptivePoolDescriptor<1>, AdaptivePoolDescriptor<2>, AdaptivePoolDescriptor<3>>),
    /// x
    GlobalPool(PoolKind),
    /// x, indices
    MaxUnpool(Ranked<MaxUnpoolDescriptor<1>, MaxUnpoolDescriptor<2>, MaxUnpoolDescriptor<3>>),
    /// a, b
    MatMul(MatMulDescriptor),
    /// a, b, c if there is one
    Gemm(GemmDescriptor),
    /// x, w, bias if there is one, and with `residual` another tensor that is added before the activation.
    Linear {
        /// How.
        descriptor: LinearDescriptor,
        /// Whether there is a bias.
        bias: bool,
        /// Whether the last input is added.
        residual: bool,
    },
    /// a, b
    Binary(BinaryDescriptor),
    /// A condition, a, b
    Where,
    /// x
    Unary(UnaryDescriptor),
    /// x
    Activation(Activation),
    /// x, in this element type.
    Cast(ElementType),
    /// x
    Softmax(SoftmaxDescriptor),
    /// x, scale and bias as the flags say
    LayerNorm {
        /// How.
        descriptor: LayerNormDescriptor,
        /// Whether there are a scale and a bias.
        has: [bool; 2],
    },
    /// As a layer norm.
    GroupNorm {
        /// How.
        descriptor: GroupNormDescriptor,
        /// Whether there are a scale and a bias.
        has: [bool; 2],
    },
    /// As a layer norm.
    InstanceNorm {
        /// How.
        descriptor: InstanceNormDescriptor,
        /// Whether there are a scale and a bias.
        has: [bool; 2],
    },
    /// x, scale and bias as the flags say, mean, variance
    BatchNorm {
        /// How.
        descriptor: BatchNormDescriptor,
        /// Whether there are a scale and a bias.
        has: [bool; 2],
    },
    /// x
    Lrn(LrnDescriptor),
    /// x
    Reduce(ReduceDescriptor),
    /// x
    Argmax(ArgmaxDescriptor),
    /// x
    TopK(TopKDescriptor),
    /// x, indices
    Gather(Indexing),
    /// x, indices, updates
    Scatter(ScatterDescriptor),
    /// x
    Resize(ResizeDescriptor),
    /// x, grid
    GridSample(GridSampleDescriptor),
    /// x
    Pad(PadDescriptor),
    /// x
    Slice(SliceDescriptor),
    /// any number of tensors
    Concat {
        /// Along which axis; negative: from the end.
        axis: isize,
    },
    /// x
    Transpose {
        /// Axis i of y is axis `perm[i]` of x.
        perm: Vec<usize>,
    },
    /// x
    ToLayout(Layout),
    /// x
    DepthToSpace(DepthToSpaceDescriptor),
    /// x
    SpaceToDepth(DepthToSpaceDescriptor),
    /// x; 0 keeps an extent, and one -1 is what the count leaves.
    Reshape {
        /// The extents.
        shape: Vec<isize>,
    },
    /// x as a matrix, whose rows are the axes before `axis`.
    Flatten {
        /// The first axis of the columns.
        axis: isize,
    },
    /// x itself.
    Identity,
    /// x itself: dropout does nothing to a trained network. One that learns ([`Graph::learning`](crate::Graph::learning)) drops elements.
    Dropout {
        /// The probability that an element becomes zero then.
        probability: f32,
    },
    /// x and a key: dropout in training.
    DropoutTraining(DropoutDescriptor),
    /// One row of words: the bytes of images
    ImageFromBytes {
        /// Of a pixel.
        format: ImageFormat,
        /// Height and width.
        size: [usize; 2],
        /// How bytes become numbers.
        descriptor: ImageDescriptor,
    },
    /// x
    ImageToBytes {
        /// Of a pixel.
        format: ImageFormat,
        /// How numbers become bytes.
        descriptor: ImageDescriptor,
    },
    /// An op with all its numbers, which takes tensors of these types alone, such as a gradient.
    Fixed(Box<Op>),
}

/// A node whose shapes are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// A kernel's work.
    Op(Box<Op>),
    /// The first input under another shape.
    View(TensorType),
}

impl Resolved {
    /// What it gives.
    pub fn outputs(&self) -> Vec<TensorType> {
        match self {
            Resolved::Op(op) => crate::ops::Problem::outputs(op.as_ref()).into_iter().map(|spec| spec.tensor).collect(),
            Resolved::View(tensor) => vec![tensor.clone()],
        }
    }
}

/// Calls `$make` with the descriptor of the rank that it is of.
macro_rules! ranked {
    ($descriptor:expr, $bound:ident => $make:expr) => {
        match $descriptor {
            Ranked::One($bound) => $make,
            Ranked::Two($bound) => $make,
            Ranked::Three($bound) => $make,
        }
    };
}

impl Recipe {
    /// Name as ONNX spells it in snake case, such as `max_pool`.
    pub fn name(&self) -> &'static str {
        let pool = |kind: PoolKind, names: [&'static str; 3]| match kind {
            PoolKind::Max { .. } => names[0],
            PoolKind::Average { .. } => names[1],
            PoolKind::Lp { .. } => names[2],
        };
        match self {
            Recipe::Conv { .. } => "conv",
            Recipe::ConvTranspose { .. } => "conv_transpose",
            Recipe::Pool(d) => ranked!(d, d => pool(d.kind, ["max_pool", "average_pool", "lp_pool"])),
            Recipe::AdaptivePool(d) => ranked!(d, d => pool(d.kind, ["adaptive_max_pool", "adaptive_average_pool", "adaptive_lp_pool"])),
            Recipe::GlobalPool(kind) => pool(*kind, ["global_max_pool", "global_average_pool", "global_lp_pool"]),
            Recipe::MaxUnpool(_) => "max_unpool",
            Recipe::MatMul(_) => "matmul",
            Recipe::Gemm(_) => "gemm",
            Recipe::Linear { .. } => "linear",
            Recipe::Binary(d) => d.op.name(),
            Recipe::Where => "where",
            Recipe::Unary(UnaryDescriptor { op: UnaryOp::Identity, activation }) | Recipe::Activation(activation) => activation.name(),
            Recipe::Unary(d) => d.op.name(),
            Recipe::Cast(_) => "cast",
            Recipe::Softmax(d) => {
                if d.logarithm {
                    "log_softmax"
                } else {
                    "softmax"
                }
            }
            Recipe::LayerNorm { .. } => "layer_norm",
            Recipe::GroupNorm { .. } => "group_norm",
            Recipe::InstanceNorm { .. } => "instance_norm",
            Recipe::BatchNorm { .. } => "batch_norm",
            Recipe::Lrn(_) => "lrn",
            Recipe::Reduce(_) => "reduce",
            Recipe::Argmax(_) => "argmax",
            Recipe::TopK(_) => "top_k",
            Recipe::Gather(_) => "gather",
            Recipe::Scatter(_) => "scatter",
            Recipe::Resize(_) => "resize",
            Recipe::GridSample(_) => "grid_sample",
            Recipe::Pad(_) => "pad",
            Recipe::Slice(_) => "slice",
            Recipe::Concat { .. } => "concat",
            Recipe::Transpose { .. } => "transpose",
            Recipe::ToLayout(_) => "to_layout",
            Recipe::DepthToSpace(_) => "depth_to_space",
            Recipe::SpaceToDepth(_) => "space_to_depth",
            Recipe::Reshape { .. } => "reshape",
            Recipe::Flatten { .. } => "flatten",
            Recipe::Identity => "identity",
            Recipe::Dropout { .. } | Recipe::DropoutTraining(_) => "dropout",
            Recipe::ImageFromBytes { .. } => "image_from_bytes",
            Recipe::ImageToBytes { .. } => "image_to_bytes",
            Recipe::Fixed(op) => crate::ops::Problem::name(op.as_ref()),
        }
    }

    /// The op or view that it is on inputs of these types.
    ///
    /// # Errors
    /// As the problem's constructor; another number of inputs than the op takes.
    pub fn resolve(&self, inputs: &[&TensorType]) -> Result<Resolved> {
        let wrong = |takes: &str| Error::invalid("inputs", inputs.len(), format!("{} takes {takes}", self.name()));
        let extents = |i: usize| inputs.get(i).map(|t| t.extents.as_slice());
        if let Recipe::Fixed(op) = self {
            let specs = crate::ops::Problem::inputs(op.as_ref());
            if let Some((spec, given)) = specs.iter().zip(inputs).find(|(spec, given)| !is_alike(&spec.tensor, given)) {
                return Err(Error::invalid(spec.name.clone(), given, format!("it is {}", spec.tensor)));
            }
            return if specs.len() == inputs.len() { Ok(Resolved::Op(op.clone())) } else { Err(wrong("as many tensors as it was made for")) };
        }
        let &[x, ref others @ ..] = inputs else { return Err(wrong("at least one tensor")) };
        let exactly = |count: usize, takes: &str| if inputs.len() == count { Ok(()) } else { Err(wrong(takes)) };
        // The tensors behind x that are not data of the op alone must have its element type.
        let alike = |names: &[&str]| others.iter().zip(names).try_for_each(|(other, name)| other.check_element(name, x.element, "x"));
        let op: Op = match self {
            Recipe::Conv { descriptor, bias, residual } => {
                exactly(2 + usize::from(*bias) + usize::from(*residual), "x, a filter, a bias and a residual as it was made with")?;
                alike(&["filter", if *bias { "bias" } else { "residual" }, "residual"])?;
                let tensors = ConvInputs { x: x.clone(), filter: &others[0].extents, bias: extents(2).filter(|_| *bias), y_layout: x.layout };
                let problem = ranked!(descriptor, d => ConvProblem::forward(&tensors, d))?;
                if *residual {
                    same("residual", &inputs[inputs.len() - 1].extents, &problem.convolution().output_extents())?;
                }
                problem.with_residual(*residual).into()
            }
            Recipe::ConvTranspose { descriptor } => {
                let bias = extents(2);
                exactly(2 + usize::from(bias.is_some()), "x, a filter and at most a bias")?;
                alike(&["filter", "bias"])?;
                let tensors = ConvInputs { x: x.clone(), filter: &others[0].extents, bias, y_layout: x.layout };
                ranked!(descriptor, d => ConvProblem::transposed(&tensors, d))?.into()
            }
            Recipe::MaxUnpool(descriptor) => {
                exactly(2, "x and indices")?;
                others[0].check_element("indices", ElementType::U32, "what max_pool gives")?;
                ranked!(descriptor, d => MaxUnpoolProblem::new(x, &others[0].extents, d))?.into()
            }
            Recipe::MatMul(MatMulDescriptor { accuracy }) => {
                exactly(2, "a and b")?;
                alike(&["b"])?;
                MatMulProblem::matmul(&x.extents, &others[0].extents, x.element)?.with_accuracy(*accuracy).into()
            }
            Recipe::Gemm(descriptor) => {
                exactly(2 + usize::from(inputs.len() > 2), "a, b and at most c")?;
                alike(&["b", "c"])?;
                let tensors = MatMulInputs { a: &x.extents, b: &others[0].extents, addend: extents(2), element: x.element };
                MatMulProblem::gemm(&tensors, descriptor)?.into()
            }
            Recipe::Linear { descriptor, bias, residual } => {
                exactly(2 + usize::from(*bias) + usize::from(*residual), "x, w, a bias and a residual as it was made with")?;
                alike(&["w", if *bias { "bias" } else { "residual" }, "residual"])?;
                let tensors = MatMulInputs { a: &x.extents, b: &others[0].extents, addend: extents(2).filter(|_| *bias), element: x.element };
                let problem = MatMulProblem::linear(&tensors, descriptor)?;
                if *residual {
                    same("residual", &inputs[inputs.len() - 1].extents, problem.y())?;
                }
                problem.with_residual(*residual).into()
            }
            Recipe::Binary(descriptor) => {
                exactly(2, "two tensors")?;
                BinaryProblem::new(x, others[0], *descriptor)?.into()
            }
            Recipe::Where => {
                exactly(3, "a condition, a and b")?;
                WhereProblem::new(x, others[0], others[1])?.into()
            }
            Recipe::Gather(indexing) => {
                exactly(2, "x and indices")?;
                GatherProblem::new(x, others[0], *indexing)?.into()
            }
            Recipe::Scatter(descriptor) => {
                exactly(3, "x, indices and updates")?;
                ScatterProblem::new(x, others[0], others[1], descriptor)?.into()
            }
            Recipe::GridSample(descriptor) => {
                exactly(2, "x and a grid")?;
                GridSample::new(x, others[0], descriptor)?.into()
            }
            Recipe::LayerNorm { has, .. } | Recipe::GroupNorm { has, .. } | Recipe::InstanceNorm { has, .. } => {
                let [scale, bias] = *has;
                exactly(1 + usize::from(scale) + usize::from(bias), "x, a scale and a bias as it was made with")?;
                alike(&[if scale { "scale" } else { "bias" }, "bias"])?;
                let tensors =
                    NormInputs { x: x.clone(), scale: extents(1).filter(|_| scale), bias: extents(1 + usize::from(scale)).filter(|_| bias) };
                match self {
                    Recipe::LayerNorm { descriptor, .. } => NormProblem::layer(&tensors, descriptor)?.into(),
                    Recipe::GroupNorm { descriptor, .. } => NormProblem::group(&tensors, descriptor)?.into(),
                    Recipe::InstanceNorm { descriptor, .. } => NormProblem::instance(&tensors, descriptor)?.into(),
                    _ => return Err(wrong("what a norm takes")),
                }
            }
            Recipe::BatchNorm { descriptor, has } => {
                let [scale, bias] = has.map(usize::from);
                exactly(3 + scale + bias, "x, a scale and a bias as it was made with, mean and variance")?;
                let vectors = BatchNormVectors {
                    scale: extents(1).filter(|_| has[0]),
                    bias: extents(1 + scale).filter(|_| has[1]),
                    mean: &inputs[1 + scale + bias].extents,
                    variance: &inputs[2 + scale + bias].extents,
                };
                BatchNormProblem::new(x, &vectors, descriptor)?.into()
            }
            Recipe::DropoutTraining(descriptor) => {
                exactly(2, "x and a key")?;
                let problem = DropoutProblem::new(x, descriptor)?;
                let key = &crate::ops::Problem::inputs(&problem)[1].tensor;
                if !is_alike(key, others[0]) {
                    return Err(Error::invalid("key", others[0], format!("it is {} f32 numbers, those of DropoutKey::to_array", DropoutKey::COUNT)));
                }
                problem.into()
            }
            Recipe::Concat { axis } => Concat::new(&inputs.iter().map(|&t| t.clone()).collect::<Vec<_>>(), *axis)?.into(),
            of_one => {
                exactly(1, "one tensor")?;
                return of_one.resolve_one(x);
            }
        };
        Ok(Resolved::Op(Box::new(op)))
    }

    /// As [`Recipe::resolve`], for what takes one tensor.
    fn resolve_one(&self, x: &TensorType) -> Result<Resolved> {
        let op: Op = match self {
            Recipe::Pool(descriptor) => ranked!(descriptor, d => PoolProblem::new(x, d))?.into(),
            Recipe::AdaptivePool(descriptor) => ranked!(descriptor, d => PoolProblem::adaptive(x, d))?.into(),
            Recipe::GlobalPool(kind) => global(x, *kind)?,
            Recipe::Unary(descriptor) => UnaryProblem::new(x, *descriptor)?.into(),
            Recipe::Activation(activation) => UnaryProblem::new(x, *activation)?.into(),
            Recipe::Cast(to) => CastProblem::new(x, *to)?.into(),
            Recipe::Softmax(descriptor) => SoftmaxProblem::new(x, descriptor)?.into(),
            Recipe::Lrn(descriptor) => LrnProblem::new(x, descriptor)?.into(),
            Recipe::Reduce(descriptor) => ReduceProblem::new(x, descriptor)?.into(),
            Recipe::Argmax(descriptor) => ArgmaxProblem::new(x, descriptor)?.into(),
            Recipe::TopK(descriptor) => TopKProblem::new(x, descriptor)?.into(),
            Recipe::Resize(descriptor) => Resize::new(x, descriptor)?.into(),
            Recipe::Pad(descriptor) => Pad::new(x, descriptor)?.into(),
            Recipe::Slice(descriptor) => Slice::new(x, descriptor)?.into(),
            Recipe::Transpose { perm } => {
                let transpose = Transpose::new(x, perm)?;
                // Axes of extent 1 go anywhere in the same memory.
                let long: Vec<usize> = perm.iter().copied().filter(|&axis| x.extents[axis] != 1).collect();
                if long.is_sorted() && (x.rank() < 3 || x.layout == Layout::ChannelsFirst) {
                    return view(x, transpose.output_extents());
                }
                transpose.into()
            }
            Recipe::ToLayout(layout) if x.rank() < 3 || x.layout == *layout || has_one_order(x) => {
                return Ok(Resolved::View(TensorType { layout: if x.rank() < 3 { x.layout } else { *layout }, ..x.clone() }));
            }
            Recipe::ToLayout(layout) => ToLayout::new(x, *layout)?.into(),
            Recipe::DepthToSpace(descriptor) => DepthToSpace::new(x, descriptor)?.into(),
            Recipe::SpaceToDepth(descriptor) => DepthToSpace::inverse(x, descriptor)?.into(),
            Recipe::ImageFromBytes { format, size, descriptor } => {
                let images = images_of(x, *format, *size)?;
                ImageProblem::read(*format, [images, size[0], size[1]], descriptor)?.into()
            }
            Recipe::ImageToBytes { format, descriptor } => ImageProblem::write(*format, x, descriptor)?.into(),
            Recipe::Reshape { shape } => return view(x, reshape_extents(&x.extents, shape)?),
            Recipe::Flatten { axis } => return view(x, flatten_extents(&x.extents, *axis)?),
            Recipe::Dropout { probability } => {
                // As the one of a network that learns, which refuses what is no probability.
                DropoutProblem::new(x, &DropoutDescriptor { probability: *probability, stream: 0 })?;
                return Ok(Resolved::View(x.clone()));
            }
            _ => return Ok(Resolved::View(x.clone())),
        };
        Ok(Resolved::Op(Box::new(op)))
    }
}

/// Whether a tensor may stand for another: below rank 3 the layouts are one.
fn is_alike(wanted: &TensorType, given: &TensorType) -> bool {
    (&wanted.extents, wanted.element) == (&given.extents, given.element)
        && (wanted.rank() < 3 || wanted.layout == given.layout || has_one_order(wanted))
}

/// Whether both layouts store the elements in one order: there is one channel, or one position.
pub(crate) fn has_one_order(x: &TensorType) -> bool {
    x.rank() >= 3 && (x.extents[1] == 1 || x.extents[2..].iter().all(|&extent| extent == 1))
}

/// x under another shape.
fn view(x: &TensorType, extents: Vec<usize>) -> Result<Resolved> {
    if x.rank() >= 3 && x.layout == Layout::ChannelsLast && !has_one_order(x) {
        let rule = "a view counts in row-major order: convert x to channels_first first".into();
        return Err(Error::Layout { argument: "x".into(), layout: x.layout, rule });
    }
    Ok(Resolved::View(TensorType { extents, layout: Layout::ChannelsFirst, ..x.clone() }))
}

fn same(argument: &str, found: &[usize], wanted: &[usize]) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(Error::invalid(argument, format!("{found:?}"), format!("it has the output's shape, {wanted:?}"))) }
}

impl From<BinaryOp> for Recipe {
    fn from(op: BinaryOp) -> Self {
        Recipe::Binary(op.into())
    }
}
