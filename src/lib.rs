//! wgconv: a convolution engine for any GPU that Vulkan, Metal or DX12 reaches, on wgpu compute shaders.
//!
//! ```text
//! ConvDescriptor --check--> ConvProblem --plan--> Plan --prepare--> Prepared --record--> one compute pass --submit--> Tensor
//! what is wanted        resolved numbers    algorithm,      pipelines, packed      dispatches only,
//! (struct literal)      (pure, no GPU)      kernels (pure)  filters (GPU)          nothing compiled
//! ```
//!
//! Three levels of use, each a thin layer over the next: at once ([`Gpu::run`]), recorded ([`Recorder`]: many ops, one submit,
//! also on the caller's own encoder) and prepared ([`op::Prepared`]: pipelines compiled and filters packed beforehand). The caller's
//! own wgpu device is adopted by [`Gpu::from_wgpu`], a buffer of its by [`Tensor::from_buffer`].
//!
//! A network as a whole is a [`Graph`], run by a [`Session`] on the GPU or on the CPU engine. [`Graph::differentiate`] adds the gradients, which are ops too
//! ([`gradient`]); [`mod@train`] has models layer by layer, losses, optimizers and the loop.
//!
//! All but GPU ops is a feature, on unless default features are off: `cpu`, `graph`, `train`, `tune`, `verify`, and wgpu's backends (`vulkan`, `metal`, `dx12`, `webgpu`);
//! docs/features.md has the table. `tracing` adds spans. The feature `weights` adds reading and writing numbers by name: `graph::Weights`, `Graph::set_all`, `Graph::to_safetensors`, and a trainer's checkpoints.
//!
//! Convolution is the heart ([`conv`]); around it stand [`pool`], [`matmul`], [`elementwise`], [`softmax`], [`reduce`], [`norm`] and
//! [`transform`], all of them [`op::Op`]s: planned without a GPU, verified by [`mod@validate`] against [`mod@reference`], computed by [`cpu`]
//! where there is no GPU.
//!
//! ```no_run
//! use wgconv::{Activation, Gpu, Padding, conv::Conv2dDescriptor};
//! # fn main() -> wgconv::Result<()> {
//! let gpu = Gpu::new()?; // the best adapter; WGCONV_ADAPTER picks another
//! let image = ndarray::Array4::<f32>::ones((1, 3, 224, 224));
//! let filter = ndarray::Array4::<f32>::ones((64, 3, 7, 7));
//! let descriptor = Conv2dDescriptor { stride: [2, 2], padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
//! let y = gpu.run(|r| r.conv2d(&gpu.upload(&image)?, &gpu.upload(&filter)?, None, &descriptor))?;
//! let out: ndarray::Array4<f32> = y.download()?;
//! assert_eq!(out.shape(), [1, 64, 112, 112]);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    any(target_arch = "wasm32", not(all(feature = "cpu", feature = "graph", feature = "train", feature = "tune", feature = "verify"))),
    allow(dead_code, unused_imports, reason = "what uses it is absent there: the tuner and the checks, or what a feature has")
)]
#![warn(missing_debug_implementations)]

#[cfg(feature = "cpu")]
pub mod cpu;
mod fragments;
pub mod gpu;
#[cfg(feature = "graph")]
pub mod graph;
pub mod numeric;
mod open;
mod ops;
mod plan;
pub mod reference;
#[cfg(feature = "graph")]
pub mod session;
mod shader;
#[cfg(all(feature = "train", not(target_arch = "wasm32")))]
pub mod train;
#[cfg(all(feature = "tune", not(target_arch = "wasm32")))]
pub mod tune;
pub mod types;
#[cfg(all(feature = "verify", not(target_arch = "wasm32")))]
pub mod validate;
#[cfg(all(feature = "verify", feature = "graph", not(target_arch = "wasm32")))]
pub mod validate_network;

mod face;

pub use face::{conv, dropout, elementwise, gradient, image, indexed, kernel, matmul, norm, op, pool, prelude, reduce, softmax, tensor, transform};
pub use gpu::recorder::Recorder;
pub use gpu::tensor::Tensor;
pub use gpu::{Gpu, GpuDescriptor};
#[cfg(feature = "graph")]
pub use graph::{Extent, Graph};
#[cfg(feature = "graph")]
pub use session::Session;
#[cfg(all(feature = "tune", not(target_arch = "wasm32")))]
pub use tune::Tuning;
pub use types::{Activation, Element, ElementType, Error, Layout, Padding, PaddingMode, Result, TensorShape, TensorType, activation, element, shape};
/// The wgpu this crate is built on, for callers that own the device; the arrays and the f16 of its signatures.
pub use {half, ndarray, wgpu};

#[cfg(doctest)]
mod sealed;

/// The README's program, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of the pages on networks, on training, on images and on sound.
#[cfg(all(doctest, feature = "weights"))]
#[doc = include_str!("../docs/networks.md")]
struct Networks;

#[cfg(doctest)]
#[doc = include_str!("../docs/training.md")]
struct Training;

#[cfg(doctest)]
#[doc = include_str!("../docs/images.md")]
struct Images;

#[cfg(doctest)]
#[doc = include_str!("../docs/audio.md")]
struct Audio;
