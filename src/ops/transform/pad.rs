//! Padding over all axes: with a constant, or with the tensor itself mirrored, extended or repeated.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::ops::transform::NOTHING;
use crate::types::bits::by_key;
use crate::types::tensor_type::{TensorType, joined};
use crate::types::{ElementType, Error, Result};
use serde::{Deserialize, Serialize};

/// What stands in the pads.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// This value, rounded to the element type.
    Constant(#[serde(with = "crate::types::float")] f32),
    /// The tensor mirrored at its edge, the edge itself not repeated. Pads must be smaller than the extent.
    Reflect,
    /// The edge repeated.
    Replicate,
    /// The tensor repeated. Pads must not be larger than the extent.
    Circular,
}

by_key!(PadMode, |mode: &PadMode| (mode.name(), if let PadMode::Constant(value) = mode { value.to_bits() } else { 0 }));

impl PadMode {
    /// `constant`, `reflect`, `replicate` or `circular`.
    pub const fn name(self) -> &'static str {
        match self {
            PadMode::Constant(_) => "constant",
            PadMode::Reflect => "reflect",
            PadMode::Replicate => "replicate",
            PadMode::Circular => "circular",
        }
    }
}

impl Default for PadMode {
    /// Zeros.
    fn default() -> Self {
        PadMode::Constant(0.0)
    }
}

/// Padding over all axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PadDescriptor {
    /// Elements before the first one, of all axes, then those after the last one, as ONNX has it.
    pub pads: Vec<usize>,
    /// What stands there.
    pub mode: PadMode,
}

/// y is x with `begin` elements before and `end` elements after it along each axis. y keeps x's layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Pad", into = "crate::ops::written::Pad")]
pub struct Pad {
    pub(crate) x: TensorType,
    pub(crate) begin: Vec<usize>,
    pub(crate) end: Vec<usize>,
    pub(crate) mode: PadMode,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl Pad {
    /// The input.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Pads before the first element, per axis.
    pub fn begin(&self) -> &[usize] {
        &self.begin
    }

    /// Pads after the last element, per axis.
    pub fn end(&self) -> &[usize] {
        &self.end
    }

    /// What stands in them.
    pub fn mode(&self) -> PadMode {
        self.mode
    }
}

impl Pad {
    /// Pads `x`.
    ///
    /// # Errors
    /// A number of pads other than two per axis, reflect pads that reach the extent, circular pads past it, a constant that a u32
    /// tensor cannot hold, extents past 64 bits.
    pub fn new(x: &TensorType, descriptor: &PadDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        let (pads, mode) = (&descriptor.pads, descriptor.mode);
        let rank = x.rank();
        if pads.len() != 2 * rank {
            return Err(Error::invalid(
                "pads",
                format!("{pads:?}"),
                format!("it must hold a begin and an end per axis: {} for rank {rank}, not {}", 2 * rank, pads.len()),
            ));
        }
        for (i, &pad) in pads.iter().enumerate() {
            let (axis, extent) = (i % rank, x.extents[i % rank]);
            let rule = match mode {
                PadMode::Reflect if pad >= extent => "a reflect pad must be smaller than",
                PadMode::Circular if pad > extent => "a circular pad must not be larger than",
                _ => continue,
            };
            return Err(Error::invalid(
                "pads",
                format!("{pads:?}"),
                format!("{rule} the extent, and along axis {axis} it is {pad} against {extent}"),
            ));
        }
        if let PadMode::Constant(value) = mode
            && x.element == ElementType::U32
            && !(value >= 0.0 && value.fract() == 0.0 && value < 4_294_967_296.0)
        {
            return Err(Error::invalid("value", value, "in a u32 tensor it must be a whole number from 0 to below 4294967296"));
        }
        let (begin, end) = pads.split_at(rank);
        let extents: Vec<usize> = x
            .extents
            .iter()
            .zip(begin)
            .zip(end)
            .map(|((&n, &b), &e)| n.checked_add(b).and_then(|n| n.checked_add(e)))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::invalid("pads", format!("{pads:?}"), format!("the extents {:?} + pads do not fit 64 bits", x.extents)))?;
        x.resized("y", &extents, x.layout)?;
        Ok(Self { begin: begin.to_vec(), end: end.to_vec(), x, mode })
    }

    /// The same with zeros where a constant stands.
    pub(crate) fn with_zeros(&self) -> Self {
        let mode = if let PadMode::Constant(_) = self.mode { PadMode::Constant(0.0) } else { self.mode };
        Self { mode, ..self.clone() }
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        self.x.extents.iter().zip(&self.begin).zip(&self.end).map(|((n, b), e)| n + b + e).collect() // checked when it was made
    }

    /// The constant as the element type holds it; 0 in the other modes.
    pub(crate) fn value(&self) -> f32 {
        match (self.mode, self.x.element) {
            (PadMode::Constant(value), ElementType::F16) => half::f16::from_f32(value).to_f32(),
            (PadMode::Constant(value), _) => value,
            _ => 0.0,
        }
    }

    pub(crate) fn kind(&self) -> TensorType {
        TensorType { extents: self.output_extents(), ..self.x.clone() }
    }

    /// Per axis and coordinate of y, the coordinate of x, or [`NOTHING`].
    pub(crate) fn tables(&self) -> Vec<Vec<u32>> {
        let axis = |axis: usize| {
            let (n, begin) = (self.x.extents[axis] as i64, self.begin[axis] as i64);
            let end = n + self.end[axis] as i64;
            let source = |c: i64| match self.mode {
                PadMode::Constant(_) => c,
                PadMode::Reflect => (n - 1) - ((n - 1) - c.abs()).abs(),
                PadMode::Replicate => c.clamp(0, n - 1),
                PadMode::Circular => c.rem_euclid(n),
            };
            (-begin..end).map(|c| u32::try_from(source(c)).ok().filter(|&c| i64::from(c) < n).unwrap_or(NOTHING)).collect()
        };
        (0..self.x.rank()).map(axis).collect()
    }
}

impl std::fmt::Display for Pad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.x, self.mode.name())?;
        if let PadMode::Constant(value) = self.mode {
            write!(f, "{value}")?;
        }
        write!(f, "_p{},{}", joined(&self.begin, "x"), joined(&self.end, "x"))
    }
}

impl Problem for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("x", &self.x)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("y", &self.kind())]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        0.0
    }
}
