//! Depth to space (pixel shuffle) and back: blocks of channels become blocks of positions.

use crate::ops::transform::moves::Moves;
use crate::types::TensorType;
use crate::types::strided::{StridedAxis, StridedCopy};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// In which order a channel of the deep tensor is split, slowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DepthToSpaceMode {
    /// Row in the block, column in the block, channel of the wide tensor (ONNX's default).
    #[default]
    Dcr,
    /// Channel of the wide tensor, row, column (PyTorch's pixel shuffle).
    Crd,
}

impl DepthToSpaceMode {
    /// `DCR` or `CRD`.
    pub const fn name(self) -> &'static str {
        match self {
            DepthToSpaceMode::Dcr => "DCR",
            DepthToSpaceMode::Crd => "CRD",
        }
    }
}

impl std::str::FromStr for DepthToSpaceMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Dcr, Self::Crd].into_iter().find(|m| m.name() == name).ok_or_else(|| Error::invalid("mode", name, "it is one of DCR, CRD"))
    }
}

/// Depth to space, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DepthToSpaceDescriptor {
    /// Side of the blocks.
    pub block: usize,
    /// How the deep channels are ordered.
    pub mode: DepthToSpaceMode,
}

impl Default for DepthToSpaceDescriptor {
    /// Blocks of 2 x 2, in ONNX's order.
    fn default() -> Self {
        Self { block: 2, mode: DepthToSpaceMode::Dcr }
    }
}

/// x \[N, C b b, H, W\] to y \[N, C, H b, W b\], or the reverse. y keeps x's layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::DepthToSpace", into = "crate::ops::written::DepthToSpace")]
pub struct DepthToSpace {
    pub(crate) x: TensorType,
    pub(crate) block: usize,
    pub(crate) mode: DepthToSpaceMode,
    pub(crate) inverse: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl DepthToSpace {
    /// The input.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Side b of the blocks.
    pub fn block(&self) -> usize {
        self.block
    }

    /// How the deep channels are ordered.
    pub fn mode(&self) -> DepthToSpaceMode {
        self.mode
    }

    /// Space to depth instead.
    pub fn is_inverse(&self) -> bool {
        self.inverse
    }
}

impl DepthToSpace {
    /// Depth to space.
    ///
    /// # Errors
    /// A rank other than 4, a block of 0, channels that are no multiple of the block squared.
    pub fn new(x: &TensorType, descriptor: &DepthToSpaceDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        let &DepthToSpaceDescriptor { block, mode } = descriptor;
        let square = check(&x, block)?;
        if !x.extents[1].is_multiple_of(square) {
            return Err(Error::invalid(
                "x",
                format!("{:?}", x.extents),
                format!("its {} channels must be a multiple of blocksize squared, {square}", x.extents[1]),
            ));
        }
        let problem = Self { x, block, mode, inverse: false };
        problem.x.resized("y", &problem.output_extents(), problem.x.layout)?;
        Ok(problem)
    }

    /// Space to depth: undoes [`DepthToSpace::new`] of the same descriptor.
    ///
    /// # Errors
    /// A rank other than 4, a block of 0, a height or width that is no multiple of the block.
    pub fn inverse(x: &TensorType, descriptor: &DepthToSpaceDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        let &DepthToSpaceDescriptor { block, mode } = descriptor;
        check(&x, block)?;
        for (axis, name) in [(2, "height"), (3, "width")] {
            if !x.extents[axis].is_multiple_of(block) {
                return Err(Error::invalid(
                    "x",
                    format!("{:?}", x.extents),
                    format!("its {name} {} must be a multiple of blocksize, {block}", x.extents[axis]),
                ));
            }
        }
        let problem = Self { x, block, mode, inverse: true };
        problem.x.resized("y", &problem.output_extents(), problem.x.layout)?;
        Ok(problem)
    }

    /// The op that undoes it.
    ///
    /// # Errors
    /// None: what it takes, this one gives.
    pub(crate) fn inverse_of(&self) -> Result<Self> {
        let y = TensorType { extents: self.output_extents(), ..self.x.clone() };
        let descriptor = DepthToSpaceDescriptor { block: self.block, mode: self.mode };
        if self.inverse { Self::new(&y, &descriptor) } else { Self::inverse(&y, &descriptor) }
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        let (b, e) = (self.block, &self.x.extents);
        // Saturation cannot be reached: the count is x's, which was checked.
        match self.inverse {
            false => vec![e[0], e[1] / (b * b), e[2].saturating_mul(b), e[3].saturating_mul(b)],
            true => vec![e[0], e[1].saturating_mul(b).saturating_mul(b), e[2] / b, e[3] / b],
        }
    }

    /// Distances, in deep channels, of the wide channel, the row and the column in the block.
    pub(crate) fn channel_steps(&self) -> [usize; 3] {
        let b = self.block;
        let wide = if self.inverse { self.x.extents[1] } else { self.x.extents[1] / (b * b) };
        match self.mode {
            DepthToSpaceMode::Dcr => [1, b * wide, wide],
            DepthToSpaceMode::Crd => [b * b, b, 1],
        }
    }
}

/// The block squared.
fn check(x: &TensorType, block: usize) -> Result<usize> {
    if x.rank() != 4 {
        return Err(Error::invalid("x", format!("{:?}", x.extents), format!("it must be N C H W, of rank 4, not {}", x.rank())));
    }
    if block == 0 {
        return Err(Error::invalid("blocksize", block, "it must be at least 1"));
    }
    block.checked_mul(block).ok_or_else(|| Error::invalid("blocksize", block, "its square does not fit"))
}

impl Moves for DepthToSpace {
    fn op_name(&self) -> &'static str {
        if self.inverse { "space_to_depth" } else { "depth_to_space" }
    }

    fn kinds(&self) -> Vec<TensorType> {
        vec![self.x.clone()]
    }

    fn kind(&self) -> TensorType {
        TensorType { extents: self.output_extents(), ..self.x.clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let (deep, wide) = if self.inverse { (y, x[0].as_slice()) } else { (x[0].as_slice(), y) };
        let (out, b) = (self.output_extents(), self.block);
        let wide_extents = if self.inverse { &self.x.extents } else { &out };
        let [channel, row, column] = self.channel_steps().map(|s| s as i64);
        let side = b as i64;
        let axis = |extent: usize, deep: i64, wide: i64| {
            let (x, y) = if self.inverse { (wide, deep) } else { (deep, wide) };
            StridedAxis { extent: extent as u64, x, y }
        };
        let axes = vec![
            axis(wide_extents[0], deep[0], wide[0]),
            axis(wide_extents[1], channel * deep[1], wide[1]),
            axis(wide_extents[2] / b, deep[2], side * wide[2]),
            axis(b, row * deep[1], wide[2]),
            axis(wide_extents[3] / b, deep[3], side * wide[3]),
            axis(b, column * deep[1], wide[3]),
        ];
        vec![StridedCopy { input: 0, x_base: 0, y_base: 0, axes }]
    }
}

impl std::fmt::Display for DepthToSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_block{}_{}", self.x, self.block, self.mode.name())
    }
}
