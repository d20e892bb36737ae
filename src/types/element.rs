//! Element types: what a tensor stores. Sums are always f32 or better, whatever is stored.

use crate::types::{Error, Result};
use half::f16;
use serde::{Deserialize, Serialize};

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// IEEE 754 binary16; needs an adapter with `shader-f16`.
    F16,
    /// Unsigned 32-bit whole numbers: the indices that pooling and argmax give.
    U32,
}

impl ElementType {
    /// Bytes of one element.
    pub const fn bytes(self) -> u64 {
        match self {
            ElementType::F32 | ElementType::U32 => 4,
            ElementType::F16 => 2,
        }
    }

    /// `f32`, `f16` or `u32`: the name in labels, reports and WGSL.
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
            ElementType::U32 => "u32",
        }
    }

    /// The largest number that it holds.
    pub const fn largest(self) -> f64 {
        match self {
            ElementType::F32 => f32::MAX as f64,
            ElementType::F16 => 65_504.0,
            ElementType::U32 => u32::MAX as f64,
        }
    }

    /// The smallest positive number that it holds at full precision; numbers below are subnormal. 0 for whole numbers.
    pub const fn smallest_normal(self) -> f64 {
        match self {
            ElementType::F32 => f32::MIN_POSITIVE as f64,
            ElementType::F16 => 1.0 / 16_384.0, // 2^-14
            ElementType::U32 => 0.0,
        }
    }

    /// `v`, or the infinity that stands for what is past the largest number.
    pub fn held(self, v: f64) -> f64 {
        if v.is_finite() && v.abs() > self.largest() { f64::INFINITY.copysign(v) } else { v }
    }

    /// `v` as it is stored: rounded to the nearest number of the type.
    pub fn rounded(self, v: f64) -> f64 {
        match self {
            ElementType::F16 => f64::from(f16::from_f64(v)),
            ElementType::F32 => f64::from(v as f32),
            ElementType::U32 => f64::from(v as u32),
        }
    }

    /// Half the distance between 1 and the next larger number: the relative error of one rounding; 0 for whole numbers.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            ElementType::F32 => 1.0 / 16_777_216.0, // 2^-24
            ElementType::F16 => 1.0 / 2048.0,       // 2^-11
            ElementType::U32 => 0.0,
        }
    }
}

impl ElementType {
    /// Indices are for ops that move or give them; arithmetic wants f32 or f16.
    pub(crate) fn check_float(self, argument: &str) -> Result<()> {
        match self {
            ElementType::F32 | ElementType::F16 => Ok(()),
            ElementType::U32 => Err(Error::invalid(argument, "of u32", "this op computes on f32 or f16")),
        }
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for u32 {}
}

/// A Rust type that a tensor can hold: `f32`, [`half::f16`], or `u32` for indices.
pub trait Element: sealed::Sealed + bytemuck::Pod + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// The element type it stands for.
    const TYPE: ElementType;
    /// The value in f64, exactly.
    fn to_f64(self) -> f64;
    /// The nearest value, ties to even.
    fn from_f64(value: f64) -> Self;
}

impl Element for f32 {
    const TYPE: ElementType = ElementType::F32;
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Element for f16 {
    const TYPE: ElementType = ElementType::F16;
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn from_f64(value: f64) -> Self {
        f16::from_f64(value)
    }
}

impl Element for u32 {
    const TYPE: ElementType = ElementType::U32;
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn from_f64(value: f64) -> Self {
        value as u32
    }
}
