//! What the library's tests share: the adapter, and arrays of integers.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod damage;

use ndarray::Array4;
use wgconv::Gpu;

/// The adapter of this machine.
pub fn gpu() -> Gpu {
    Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one")
}

/// What the operands of a test hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Data {
    Integers,
    Reals,
    /// Reals, and -1e9 in places.
    Masks,
    /// Reals times powers of ten from -15 to 15.
    Mixed,
    /// Reals, and infinities and NaN in places.
    Special,
}

/// Integers that differ from place to place: the multiples of `step` modulo `period`, around 0.
pub fn ramp(shape: (usize, usize, usize, usize), step: usize, period: usize) -> Array4<f32> {
    let mut i = 0;
    Array4::from_shape_simple_fn(shape, || {
        i += step;
        (i % period) as f32 - (period / 2) as f32
    })
}
