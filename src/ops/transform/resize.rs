//! Resizing the spatial axes of N C \[D\] \[H\] W: nearest (a gather) or linear (`linear`). Coordinates are computed on the host in
//! f64, from exact integers where no scale is given, so that kernels only look them up.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::ops::transform::NOTHING;
use crate::ops::transform::linear;
use crate::types::bits::by_key;
use crate::types::tensor_type::{TensorType, joined};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where in x an element of y lies; s is the scale, extent of y / extent of x unless it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinateMode {
    /// (o + 1/2) / s - 1/2: elements are areas (ONNX's default; PyTorch's `align_corners=False`).
    #[default]
    HalfPixel,
    /// o / s.
    Asymmetric,
    /// o (extent of x - 1) / (extent of y - 1), and 0 where y has one element: the outermost elements coincide. Scales do not enter.
    AlignCorners,
}

impl CoordinateMode {
    /// All modes.
    pub const ALL: [CoordinateMode; 3] = [CoordinateMode::HalfPixel, CoordinateMode::Asymmetric, CoordinateMode::AlignCorners];

    /// `half_pixel`, `asymmetric` or `align_corners`.
    pub const fn name(self) -> &'static str {
        match self {
            CoordinateMode::HalfPixel => "half_pixel",
            CoordinateMode::Asymmetric => "asymmetric",
            CoordinateMode::AlignCorners => "align_corners",
        }
    }
}

impl std::str::FromStr for CoordinateMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let names = || Self::ALL.map(CoordinateMode::name).join(", ");
        Self::ALL.into_iter().find(|m| m.name() == name).ok_or_else(|| Error::invalid("coordinate_mode", name, format!("it is one of {}", names())))
    }
}

/// Which element is the nearest to a coordinate between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NearestMode {
    /// The one before.
    Floor,
    /// The one after.
    Ceil,
    /// The nearer; of two equally near, the one before (ONNX's default).
    #[default]
    RoundPreferFloor,
    /// The nearer; of two equally near, the one after.
    RoundPreferCeil,
}

impl NearestMode {
    /// All modes.
    pub const ALL: [NearestMode; 4] = [NearestMode::Floor, NearestMode::Ceil, NearestMode::RoundPreferFloor, NearestMode::RoundPreferCeil];

    /// `floor`, `ceil`, `round_prefer_floor` or `round_prefer_ceil`.
    pub const fn name(self) -> &'static str {
        match self {
            NearestMode::Floor => "floor",
            NearestMode::Ceil => "ceil",
            NearestMode::RoundPreferFloor => "round_prefer_floor",
            NearestMode::RoundPreferCeil => "round_prefer_ceil",
        }
    }

    pub(crate) fn round(self, coordinate: f64) -> f64 {
        match self {
            NearestMode::Floor => coordinate.floor(),
            NearestMode::Ceil => coordinate.ceil(),
            NearestMode::RoundPreferFloor => (coordinate - 0.5).ceil(),
            NearestMode::RoundPreferCeil => (coordinate + 0.5).floor(),
        }
    }
}

impl std::str::FromStr for NearestMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let names = || Self::ALL.map(NearestMode::name).join(", ");
        Self::ALL.into_iter().find(|m| m.name() == name).ok_or_else(|| Error::invalid("nearest_mode", name, format!("it is one of {}", names())))
    }
}

/// How values between elements are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// The nearest element.
    Nearest(NearestMode),
    /// Linear along each spatial axis: linear, bilinear, trilinear.
    Linear,
}

impl Default for ResizeMode {
    fn default() -> Self {
        ResizeMode::Nearest(NearestMode::default())
    }
}

/// A resize of the spatial axes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResizeDescriptor {
    /// Spatial extents of y, one for each spatial axis of x.
    pub sizes: Vec<usize>,
    /// Nearest or linear.
    pub mode: ResizeMode,
    /// How coordinates of y become those of x.
    pub coordinates: CoordinateMode,
    /// Exact factors per spatial axis, used in place of extent of y / extent of x.
    pub scales: Option<Vec<f64>>,
}

by_key!(ResizeDescriptor, |d: &ResizeDescriptor| (
    d.sizes.clone(),
    d.mode,
    d.coordinates,
    d.scales.as_ref().map(|scales| scales.iter().map(|scale| scale.to_bits()).collect::<Vec<_>>())
));

/// y is x, N C \[D\] \[H\] W, with other spatial extents. y keeps x's layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Resize", into = "crate::ops::written::Resize")]
pub struct Resize {
    pub(crate) x: TensorType,
    pub(crate) descriptor: ResizeDescriptor,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl Resize {
    /// The input.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Spatial extents of y.
    pub fn sizes(&self) -> &[usize] {
        &self.descriptor.sizes
    }

    /// How.
    pub fn descriptor(&self) -> &ResizeDescriptor {
        &self.descriptor
    }
}

impl Resize {
    /// Resizes the spatial axes of `x`.
    ///
    /// # Errors
    /// A rank below 3, a number of sizes or scales other than the spatial axes, a size of 0, a scale that is not positive and finite,
    /// linear on u32, sizes past 64 bits.
    pub fn new(x: &TensorType, descriptor: &ResizeDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        let sizes = &descriptor.sizes;
        if x.rank() < 3 {
            return Err(Error::invalid("x", format!("{:?}", x.extents), format!("it must be N C and 1 to 3 spatial axes, not of rank {}", x.rank())));
        }
        let spatial = x.rank() - 2;
        if sizes.len() != spatial {
            return Err(Error::invalid(
                "sizes",
                format!("{sizes:?}"),
                format!("it must have one entry per spatial axis of x, {spatial}, not {}", sizes.len()),
            ));
        }
        if sizes.contains(&0) {
            return Err(Error::invalid("sizes", format!("{sizes:?}"), "every size must be at least 1"));
        }
        if let Some(scales) = &descriptor.scales {
            if scales.len() != spatial {
                return Err(Error::invalid(
                    "scales",
                    format!("{scales:?}"),
                    format!("it must have one entry per spatial axis of x, {spatial}, not {}", scales.len()),
                ));
            }
            if !scales.iter().all(|s| s.is_finite() && *s > 0.0) {
                return Err(Error::invalid("scales", format!("{scales:?}"), "every scale must be positive and finite"));
            }
        }
        if descriptor.mode == ResizeMode::Linear {
            x.element.check_float("x")?;
        }
        let problem = Self { descriptor: descriptor.clone(), x };
        problem.x.resized("y", &problem.output_extents(), problem.x.layout)?;
        Ok(problem)
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        self.x.extents[..2].iter().chain(self.sizes()).copied().collect()
    }

    pub(crate) fn kind(&self) -> TensorType {
        TensorType { extents: self.output_extents(), ..self.x.clone() }
    }

    /// Where in x, along spatial axis `axis`, element `o` of y lies; may be outside. One rounding at most where no scale is given.
    pub(crate) fn coordinate(&self, axis: usize, o: usize) -> f64 {
        let (input, output, o) = (self.x.extents[2 + axis] as f64, self.sizes()[axis] as f64, o as f64);
        let scale = self.descriptor.scales.as_ref().map(|s| s[axis]);
        match (self.descriptor.coordinates, scale) {
            (CoordinateMode::AlignCorners, _) if output == 1.0 => 0.0,
            (CoordinateMode::AlignCorners, _) => o * (input - 1.0) / (output - 1.0),
            (CoordinateMode::Asymmetric, None) => o * input / output,
            (CoordinateMode::Asymmetric, Some(scale)) => o / scale,
            // (o + 1/2) input / output - 1/2 as one fraction, whose terms are whole numbers and exact.
            (CoordinateMode::HalfPixel, None) => ((2.0 * o + 1.0) * input - output) / (2.0 * output),
            (CoordinateMode::HalfPixel, Some(scale)) => (o + 0.5) / scale - 0.5,
        }
    }

    /// The element of x that stands for element `o` of y.
    pub(crate) fn nearest(&self, mode: NearestMode, axis: usize, o: usize) -> usize {
        let last = (self.x.extents[2 + axis] - 1) as f64;
        mode.round(self.coordinate(axis, o)).clamp(0.0, last) as usize
    }

    /// The two elements of x between which element `o` of y lies, and the weight of the second; that is 0 where one alone counts, and
    /// then both are the same.
    pub(crate) fn neighbours(&self, axis: usize, o: usize) -> (usize, usize, f64) {
        let last = self.x.extents[2 + axis] - 1;
        let coordinate = self.coordinate(axis, o).clamp(0.0, last as f64);
        let first = coordinate.floor();
        let (index, weight) = (first as usize, coordinate - first);
        if weight == 0.0 { (index, index, 0.0) } else { (index, (index + 1).min(last), weight) }
    }

    pub(crate) fn tables(&self, mode: NearestMode) -> Vec<Vec<u32>> {
        // Coordinates of x are below 2^31, else the plan has refused x; the CPU engine's tensors are in memory.
        let entry = |c: usize| u32::try_from(c).unwrap_or(NOTHING);
        let whole = self.x.extents[..2].iter().map(|&n| (0..n).map(entry).collect());
        let spatial = self.sizes().iter().enumerate().map(|(axis, &size)| (0..size).map(|o| entry(self.nearest(mode, axis, o))).collect());
        whole.chain(spatial).collect()
    }
}

impl std::fmt::Display for Resize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_to{}_", self.x, joined(self.sizes(), "x"))?;
        match self.descriptor.mode {
            ResizeMode::Linear => write!(f, "linear")?,
            ResizeMode::Nearest(mode) => write!(f, "nearest_{}", mode.name())?,
        }
        write!(f, "_{}", self.descriptor.coordinates.name())?;
        if let Some(scales) = &self.descriptor.scales {
            write!(f, "_by{}", joined(scales, "x"))?;
        }
        Ok(())
    }
}

impl Problem for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("x", &self.x)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("y", &self.kind())]
    }

    fn is_exact(&self) -> bool {
        self.descriptor.mode != ResizeMode::Linear || linear::is_exact(self)
    }

    fn flops(&self) -> f64 {
        linear::flops(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::element::ElementType;
    use crate::types::shape::Layout;

    fn resize(coordinates: CoordinateMode, input: usize, output: usize, scale: Option<f64>) -> Resize {
        let x = TensorType::new(&[1, 1, input], ElementType::F32, Layout::ChannelsFirst);
        let descriptor = ResizeDescriptor { coordinates, scales: scale.map(|s| vec![s]), sizes: vec![output], ..Default::default() };
        Resize::new(&x, &descriptor).unwrap()
    }

    #[test]
    fn coordinates_follow_the_modes() {
        let all = |r: &Resize| (0..r.sizes()[0]).map(|o| r.coordinate(0, o)).collect::<Vec<_>>();
        assert_eq!(all(&resize(CoordinateMode::HalfPixel, 2, 4, None)), [-0.25, 0.25, 0.75, 1.25]);
        assert_eq!(all(&resize(CoordinateMode::HalfPixel, 2, 4, Some(2.0))), [-0.25, 0.25, 0.75, 1.25]);
        assert_eq!(all(&resize(CoordinateMode::Asymmetric, 6, 4, None)), [0.0, 1.5, 3.0, 4.5]);
        assert_eq!(all(&resize(CoordinateMode::AlignCorners, 4, 7, None)), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(all(&resize(CoordinateMode::AlignCorners, 4, 1, None)), [0.0]);
    }

    #[test]
    fn rounding_and_neighbours_stay_inside() {
        // 0, 1.5, 3, 4.5 of 6 elements.
        let r = resize(CoordinateMode::Asymmetric, 6, 4, None);
        let nearest = |mode| (0..4).map(|o| r.nearest(mode, 0, o)).collect::<Vec<_>>();
        assert_eq!(nearest(NearestMode::Floor), [0, 1, 3, 4]);
        assert_eq!(nearest(NearestMode::Ceil), [0, 2, 3, 5]);
        assert_eq!(nearest(NearestMode::RoundPreferFloor), [0, 1, 3, 4]);
        assert_eq!(nearest(NearestMode::RoundPreferCeil), [0, 2, 3, 5]);
        let r = resize(CoordinateMode::HalfPixel, 2, 4, None);
        assert_eq!((0..4).map(|o| r.neighbours(0, o)).collect::<Vec<_>>(), [(0, 0, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.0)]);
    }
}
