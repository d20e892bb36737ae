//! Convolution, forward and transposed, 1-D to 3-D: what is wanted ([`ConvDescriptor`]), the resolved numbers
//! ([`ConvProblem`]), the decision ([`plan()`]), and the prepared thing that records itself ([`Conv`]).
//!
//! One file per algorithm: `direct`, `depthwise`, `pointwise`, `implicit_gemm`, `matrix`, `winograd`; `fused` has the pool that may follow.

mod dense;
mod depthwise;
mod descriptor;
mod direct;
mod display;
pub(crate) mod fused;
mod implicit_gemm;
mod matrix;
mod op;
mod params;
mod plan;
mod pointwise;
mod prepared;
mod problem;
mod proxy;
pub(crate) mod winograd;

pub use crate::numeric::Accuracy;
pub use descriptor::{
    Algorithm, Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvDescriptor, ConvTranspose1dDescriptor, ConvTranspose2dDescriptor,
    ConvTranspose3dDescriptor, ConvTransposeDescriptor,
};
pub use fused::FusedPool;
pub(crate) use params::{ConvParams, PackParams};
pub use plan::{admitted, plan, supports};
pub use prepared::{Conv, Conv2d};
pub use problem::{ConvInputs, ConvProblem, Direction};
