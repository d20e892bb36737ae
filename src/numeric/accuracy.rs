//! How exact an answer must be: what the caller states, and every planner keeps to.

use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// How exact an answer must be. Each level also admits what the levels before it admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accuracy {
    /// f32 products and f32 sums of them, in whatever order.
    Exact,
    /// Also algorithms that transform or split their operands, where their largest error is verified to be no larger than that of plain f32 sums: over
    /// inputs of magnitude X and filters of magnitude W, n X W gamma_(n+2) for n products (Higham, Accuracy and Stability of Numerical
    /// Algorithms, section 3.1). What single outputs may differ in from their own plain sum:
    ///
    /// - Winograd adds neighbours: an infinity, a NaN, or a number much larger than its neighbours counts in all outputs of its tile (2 x 2, or
    ///   4 x 4). Its transforms sum up to four inputs (F(4,3): 56, F(4,5): 225) and 2.25 weights (F(2,5): four): inputs beyond `f32::MAX` / 4
    ///   (/ 56, / 225) give NaN where a plain sum is finite.
    ///   In a filter gradient a number of x or dy counts in all taps that its channel and filter share; sums over parts of the tiles let F(4,3) in.
    /// - Fourier transforms take two neighbouring tiles of an image at once, of 512 x 512 elements at most (on the CPU engine 1024 x 1024, or 2^18 in a
    ///   line), as the plan's label says: an infinity, a NaN, or a number much larger than the others counts in all outputs of both. Images do not
    ///   touch each other.
    /// - Cooperative matrices split f32 numbers at one scale: what lies 2^14 and more below the largest number that its own row, column or pixel has loses
    ///   digits, as it would in a sum with that number. Rows and images do not touch each other: operands whose rows differ by more than one scale
    ///   serves (a mask of -1e9), infinities and NaN are computed by plain sums.
    #[default]
    F32,
    /// Also algorithms with larger errors: f16 operands with f32 sums, transforms beyond that bound.
    Reduced,
}

impl Accuracy {
    /// `exact`, `f32` or `reduced`.
    pub const fn name(self) -> &'static str {
        match self {
            Accuracy::Exact => "exact",
            Accuracy::F32 => "f32",
            Accuracy::Reduced => "reduced",
        }
    }
}

impl std::str::FromStr for Accuracy {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Accuracy::Exact, Accuracy::F32, Accuracy::Reduced]
            .into_iter()
            .find(|a| a.name() == text)
            .ok_or_else(|| Error::invalid("accuracy", text, "it is one of exact, f32, reduced"))
    }
}
