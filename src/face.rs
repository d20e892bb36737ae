//! The crate as its users see it: one module for each family of ops, whatever layer a thing lives in.

pub mod conv {
    //! Convolution, forward and transposed, 1-D to 3-D: what is wanted ([`ConvDescriptor`]), the resolved numbers ([`ConvProblem`]), the decision
    //! ([`plan()`]), and the same as an op of any kind ([`Prepared`](crate::op::Prepared)).

    pub use crate::numeric::Accuracy;
    pub use crate::ops::conv::descriptor::{
        Algorithm, Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvDescriptor, ConvTranspose1dDescriptor, ConvTranspose2dDescriptor,
        ConvTranspose3dDescriptor, ConvTransposeDescriptor,
    };
    pub use crate::ops::conv::fused::FusedPool;
    pub use crate::ops::conv::partitions::StreamingDescriptor;
    pub use crate::ops::conv::problem::{ConvInputs, ConvProblem, Direction};
    pub use crate::ops::conv::separable::{Separated, separate_plane};
    pub use crate::ops::conv::taps::ReadingTaps;
    pub use crate::plan::conv::{admitted, plan, supports};
}

/// Operations on one tensor, activations and casts among them, and on two with numpy's broadcasting.
pub mod elementwise {
    pub use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem, broadcast};
    pub use crate::ops::elementwise::cast::CastProblem;
    pub use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp, UnaryProblem};
    pub use crate::ops::elementwise::where_cond::WhereProblem;
}

/// Dropout in training: a mask that follows from a seed, a step and each element's index.
pub mod dropout {
    pub use crate::ops::dropout::{DropoutDescriptor, DropoutKey, DropoutProblem};
}

/// Images in and out: bytes of 8 bits a channel, and textures.
pub mod image {
    pub use crate::gpu::api::image::BoundImage;
    pub use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem};
}

/// Reading and writing at indices that are computed: gather and scatter.
pub mod indexed {
    pub use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
}

/// Kernels: what makes their text, and what they bind.
pub mod kernel {
    pub use crate::gpu::pipelines::Compiled;
    #[doc(hidden)]
    pub use crate::plan::image::texture_kernels;
    pub use crate::shader::{BindingKind, FILES, File, KernelSource, KernelSpec, StructLayout, all_sources, fold_workgroups};
}

/// Matrix products: [`matmul`](crate::Recorder::matmul) with numpy's broadcasting, [`gemm`](crate::Recorder::gemm) with transposes and a broadcast c, and
/// [`linear`](crate::Recorder::linear), the dense layer.
pub mod matmul {
    pub use crate::ops::matmul::{Addend, GemmDescriptor, LinearDescriptor, MatMulDescriptor, MatMulInputs, MatMulProblem, Operand, Product};
}

/// Normalisation: layer, group, instance, batch, and local response.
pub mod norm {
    pub use crate::gpu::api::norm::BatchNorm;
    pub use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormValues, BatchNormVectors, fold_batch_norm};
    pub use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
    pub use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormKind, NormProblem};
}

/// Gradients of ops, each an op of its own: adjoints of what reads by axis, and a convolution's gradient by its filter. The others are made of the ops
/// that there are: [`Graph::differentiate`](crate::Graph::differentiate) puts them together.
pub mod gradient {
    pub use crate::fragments::{Fragment, Item, Of, backward};
    pub use crate::ops::adjoint::{AdjointOf, AdjointProblem};
    pub use crate::ops::conv::filter_gradient::FilterGradient;
    pub use crate::ops::pool::unpool::MaxUnpoolGradient;
}

pub mod op {
    //! What every op shares: [`Op`] is any resolved problem, a [`Plan`] lists kernel calls, [`Prepared`] is a plan with its pipelines, ready to record.

    pub use crate::gpu::api::Addends;
    pub use crate::gpu::prepared::{Bound, Prepared};
    pub use crate::ops::named;
    pub use crate::ops::spec::{Domain, TensorSpec};
    pub use crate::ops::{Op, Problem};
    pub use crate::plan::Planned;
    pub use crate::plan::step::{Plan, Step};
    pub use crate::reference::Referenced;
}

/// What most programs name: `use wgconv::prelude::*`.
pub mod prelude {
    pub use crate::gpu::recorder::Recorder;
    pub use crate::gpu::tensor::Tensor;
    pub use crate::gpu::{Gpu, GpuDescriptor};
    #[cfg(feature = "graph")]
    pub use crate::graph::{Extent, Graph};
    pub use crate::numeric::Accuracy;
    pub use crate::ops::conv::descriptor::{
        Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvTranspose1dDescriptor, ConvTranspose2dDescriptor, ConvTranspose3dDescriptor,
    };
    pub use crate::ops::matmul::{GemmDescriptor, LinearDescriptor};
    pub use crate::ops::pool::descriptor::{Pool1dDescriptor, Pool2dDescriptor, Pool3dDescriptor, PoolKind};
    #[cfg(feature = "graph")]
    pub use crate::session::Session;
    pub use crate::types::{Activation, ElementType, Layout, Padding, PaddingMode};
}

/// Pooling: max, average, Lp, adaptive, global; max unpooling.
pub mod pool {
    pub use crate::ops::pool::descriptor::{
        AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, Pool1dDescriptor, Pool2dDescriptor, Pool3dDescriptor, PoolDescriptor, PoolKind,
    };
    pub use crate::ops::pool::global;
    pub use crate::ops::pool::problem::PoolProblem;
    pub use crate::ops::pool::unpool::MaxUnpoolProblem;
}

/// Reductions over axes, argmax, and the first elements of an order.
pub mod reduce {
    pub use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
    pub use crate::ops::top_k::{TopKDescriptor, TopKOrder, TopKProblem};
}

/// Softmax and log-softmax along one axis, stable for large values, also in place.
pub mod softmax {
    pub use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
}

/// Tensors in device memory.
pub mod tensor {
    pub use crate::gpu::tensor::*;
}

/// Shape ops: what networks need between convolutions to move, cut, join, pad and resize tensors.
pub mod transform {
    pub use crate::ops::transform::concat::Concat;
    pub use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceDescriptor, DepthToSpaceMode};
    pub use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
    pub use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
    pub use crate::ops::transform::reshape::{flatten_extents, reshape_extents};
    pub use crate::ops::transform::resize::{CoordinateMode, NearestMode, Resize, ResizeDescriptor, ResizeMode};
    pub use crate::ops::transform::slice::{Slice, SliceDescriptor, SliceRange};
    pub use crate::ops::transform::transpose::{ToLayout, Transpose};
}
