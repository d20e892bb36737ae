//! Element types: what a tensor stores. Sums are always f32 or better, whatever is stored.

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
}

impl ElementType {
    /// Bytes of one element.
    pub const fn bytes(self) -> u64 {
        match self {
            ElementType::F32 => 4,
            ElementType::F16 => 2,
        }
    }

    /// `f32` or `f16`: the name in labels, reports and WGSL.
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
        }
    }

    /// Half the distance between 1 and the next larger number: the relative error of one rounding.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            ElementType::F32 => 1.0 / 16_777_216.0, // 2^-24
            ElementType::F16 => 1.0 / 2048.0,       // 2^-11
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
}

/// A Rust type that a tensor can hold: `f32` or [`half::f16`].
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
