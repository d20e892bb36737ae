//! Sampling at positions that are computed: the spatial axes of N C \[D\] \[H\] W are read where a grid says. What spatial transformers, optical flow
//! and deformable attention are made of.

use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::tensor_type::{TensorType, joined};
use crate::types::{ElementType, Error, Layout, Result};
use serde::{Deserialize, Serialize};

/// How a value between elements is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GridSampleMode {
    /// The nearest element; of two equally near, the one with the even coordinate.
    Nearest,
    /// Linear along each spatial axis: linear, bilinear, trilinear.
    #[default]
    Linear,
    /// Cubic convolution over four elements along each of at most two spatial axes, with a = -3/4 (Keys, Cubic convolution interpolation for digital
    /// image processing, 1981).
    Cubic,
}

impl GridSampleMode {
    /// All modes.
    pub const ALL: [GridSampleMode; 3] = [GridSampleMode::Nearest, GridSampleMode::Linear, GridSampleMode::Cubic];

    /// `nearest`, `linear` or `cubic`.
    pub const fn name(self) -> &'static str {
        match self {
            GridSampleMode::Nearest => "nearest",
            GridSampleMode::Linear => "linear",
            GridSampleMode::Cubic => "cubic",
        }
    }
}

impl std::str::FromStr for GridSampleMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|m| m.name() == name);
        found.ok_or_else(|| Error::invalid("mode", name, format!("it is one of {}", Self::ALL.map(GridSampleMode::name).join(", "))))
    }
}

/// What is read at a position outside x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GridSamplePadding {
    /// Zeros.
    #[default]
    Zeros,
    /// The element at the edge.
    Border,
    /// What is found by reflecting at both ends until the position is inside: at the centres of the outermost elements with `align_corners`, else at
    /// their edges.
    Reflection,
}

impl GridSamplePadding {
    /// All of them.
    pub const ALL: [GridSamplePadding; 3] = [GridSamplePadding::Zeros, GridSamplePadding::Border, GridSamplePadding::Reflection];

    /// `zeros`, `border` or `reflection`.
    pub const fn name(self) -> &'static str {
        match self {
            GridSamplePadding::Zeros => "zeros",
            GridSamplePadding::Border => "border",
            GridSamplePadding::Reflection => "reflection",
        }
    }
}

impl std::str::FromStr for GridSamplePadding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|m| m.name() == name);
        found.ok_or_else(|| Error::invalid("padding_mode", name, format!("it is one of {}", Self::ALL.map(GridSamplePadding::name).join(", "))))
    }
}

/// How x is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridSampleDescriptor {
    /// Nearest, linear or cubic.
    pub mode: GridSampleMode,
    /// What is read outside x.
    pub padding: GridSamplePadding,
    /// Whether -1 and 1 are the centres of the outermost elements, not their outer edges.
    pub align_corners: bool,
}

/// y is x, N C \[D\] \[H\] W, at the positions of a grid, N \[D'\] \[H'\] W' k for the k spatial axes of x: y is N C \[D'\] \[H'\] W', in x's layout.
///
/// The k numbers of a position are its coordinates along W, H and D, in this order. -1 is the beginning of an axis of n elements and 1 its end: g stands
/// for the coordinate (g + 1) / 2 n - 1/2, or (g + 1) / 2 (n - 1) with `align_corners`, where whole numbers are elements. As PyTorch's `grid_sample` has
/// it and ONNX's `GridSample`.
///
/// A coordinate that is NaN or infinite in f32: with `Zeros` it is outside; with `Border` an infinity is that end, and NaN the first element; with
/// `Reflection` it is the first element. Cubic makes NaN of it. So does PyTorch, whose own engines differ on linear with zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::GridSample", into = "crate::ops::written::GridSample")]
pub struct GridSample {
    pub(crate) x: TensorType,
    pub(crate) grid: Vec<usize>,
    pub(crate) descriptor: GridSampleDescriptor,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl GridSample {
    /// The tensor that is sampled.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Extents of the grid.
    pub fn grid(&self) -> &[usize] {
        &self.grid
    }

    /// How.
    pub fn descriptor(&self) -> GridSampleDescriptor {
        self.descriptor
    }
}

impl GridSample {
    /// Samples `x` at the positions of `grid`.
    ///
    /// # Errors
    /// An x without 1 to 3 spatial axes, a grid of other extents than x asks for, of another element type or channels-last; cubic along three axes;
    /// u32; sizes past 64 bits.
    pub fn new(x: &TensorType, grid: &TensorType, descriptor: &GridSampleDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        x.checked_float("x")?;
        let spatial = x.rank().checked_sub(2).filter(|spatial| *spatial > 0).ok_or_else(|| {
            Error::invalid("x", format!("{:?}", x.extents), format!("it must be N C and 1 to 3 spatial axes, not of rank {}", x.rank()))
        })?;
        let grid = grid.clone().checked("grid")?;
        grid.check_element("grid", x.element, "x")?;
        let fits = grid.rank() == x.rank() && grid.extents[0] == x.extents[0] && grid.extents[grid.rank() - 1] == spatial;
        if !fits {
            let rule = format!(
                "it must be of rank {}, with {} first, as x has, and {spatial} last, a coordinate for each spatial axis",
                x.rank(),
                x.extents[0]
            );
            return Err(Error::invalid("grid", format!("{:?}", grid.extents), rule));
        }
        if grid.layout == Layout::ChannelsLast {
            let rule = "positions are read in row-major order: convert the grid to channels_first first".into();
            return Err(Error::Layout { argument: "grid".into(), layout: grid.layout, rule });
        }
        if descriptor.mode == GridSampleMode::Cubic && spatial == 3 {
            return Err(Error::invalid("mode", "cubic", "it is for at most 2 spatial axes, and x has 3"));
        }
        let problem = Self { x, grid: grid.extents, descriptor: *descriptor };
        problem.x.resized("the output", &problem.y(), problem.x.layout)?;
        Ok(problem)
    }

    /// Extents of y.
    pub fn y(&self) -> Vec<usize> {
        let spatial = self.spatial();
        self.x.extents[..2].iter().chain(&self.grid[1..=spatial]).copied().collect()
    }

    /// Elements that are read along each axis.
    pub(crate) fn taps(&self) -> u64 {
        match self.descriptor.mode {
            GridSampleMode::Nearest => 1,
            GridSampleMode::Linear => 2,
            GridSampleMode::Cubic => 4,
        }
    }

    pub(crate) fn spatial(&self) -> usize {
        self.x.rank() - 2
    }

    /// Depth, height and width of x; 1 for an axis that is not there.
    pub(crate) fn extents(&self) -> [usize; 3] {
        let missing = 3 - self.spatial();
        std::array::from_fn(|axis| if axis < missing { 1 } else { self.x.extents[2 + axis - missing] })
    }

    /// Positions of one image of x and of y.
    pub(crate) fn positions(&self) -> [u64; 2] {
        let product = |extents: &[usize]| extents.iter().map(|&e| e as u64).product();
        [product(&self.x.extents[2..]), product(&self.grid[1..=self.spatial()])]
    }
}

impl std::fmt::Display for GridSample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let GridSampleDescriptor { mode, padding, align_corners } = self.descriptor;
        write!(f, "{}_to{}_{}_{}", self.x, joined(&self.grid[1..=self.spatial()], "x"), mode.name(), padding.name())?;
        if align_corners { write!(f, "_align_corners") } else { Ok(()) }
    }
}

impl Problem for GridSample {
    fn name(&self) -> &'static str {
        "grid_sample"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let grid = TensorSpec::new("grid", &self.grid, self.x.element, Layout::ChannelsFirst);
        vec![TensorSpec::of("x", &self.x), grid.with_domain(Domain::Position)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y(), self.x.element, self.x.layout)]
    }

    /// The integers and positions of the checks give coordinates that are multiples of 1/4, and weights with few binary places. f16 has too few
    /// for cubic ones.
    fn is_exact(&self) -> bool {
        self.descriptor.mode != GridSampleMode::Cubic || self.x.element != ElementType::F16
    }

    /// The elements that one output reads.
    fn terms(&self) -> u64 {
        self.taps().pow(self.spatial() as u32)
    }

    /// Four operations per blend of two elements, seven per sum of four; coordinates are not counted.
    fn flops(&self) -> f64 {
        // Blends, or sums, of one output: one along the last axis, and those of each tap along the axes before it.
        let sums: u64 = (0..self.spatial() as u32).map(|axis| self.taps().pow(axis)).sum();
        let each = match self.descriptor.mode {
            GridSampleMode::Nearest => 0.0,
            GridSampleMode::Linear => 4.0,
            GridSampleMode::Cubic => 7.0,
        };
        each * sums as f64 * self.y().iter().map(|&e| e as f64).product::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_that_does_not_fit_is_refused_by_name() {
        let x = TensorType::f32(&[2, 3, 5, 6]);
        let error = |x: &TensorType, grid: &TensorType, mode| {
            let descriptor = GridSampleDescriptor { mode, ..Default::default() };
            GridSample::new(x, grid, &descriptor).unwrap_err().to_string()
        };
        let linear = GridSampleMode::Linear;
        let rule = "it must be of rank 4, with 2 first, as x has, and 2 last, a coordinate for each spatial axis";
        for grid in [&[2, 7, 8, 3][..], &[1, 7, 8, 2], &[2, 7, 2]] {
            assert_eq!(error(&x, &TensorType::f32(grid), linear), format!("grid is {grid:?}: {rule}"));
        }
        assert!(error(&TensorType::f32(&[2, 3]), &x, linear).contains("it must be N C and 1 to 3 spatial axes, not of rank 2"));
        let volume = TensorType::f32(&[1, 2, 3, 4, 5]);
        let grid = TensorType::f32(&[1, 2, 2, 2, 3]);
        assert_eq!(error(&volume, &grid, GridSampleMode::Cubic), "mode is cubic: it is for at most 2 spatial axes, and x has 3");
        assert_eq!(GridSample::new(&volume, &grid, &GridSampleDescriptor::default()).unwrap().y(), [1, 2, 2, 2, 2]);
        let last = TensorType::new(&[2, 7, 8, 2], ElementType::F32, Layout::ChannelsLast);
        assert!(error(&x, &last, linear).starts_with("grid is channels_last"));
        let half = TensorType::new(&[2, 7, 8, 2], ElementType::F16, Layout::ChannelsFirst);
        assert_eq!(error(&x, &half, linear), "grid is of f16: it must hold f32, as x does");
    }
}
