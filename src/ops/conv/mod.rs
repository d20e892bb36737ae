//! Convolution as data: descriptors, the resolved problem, the phases of a stride, filters that are separable, taps that read padding alone, the pool that may follow, Winograd's
//! matrices, the tiles and sums of filter gradients by them, the tiles of Fourier transforms, the partitions of an impulse response.

pub(crate) mod data_gradient;
pub(crate) mod descriptor;
pub(crate) mod display;
pub(crate) mod facts;
pub(crate) mod fft;
pub(crate) mod filter_gradient;
pub(crate) mod fused;
pub(crate) mod partitions;
pub(crate) mod phases;
pub(crate) mod problem;
pub(crate) mod separable;
pub(crate) mod taps;
pub(crate) mod winograd;
pub(crate) mod winograd_gradient;
