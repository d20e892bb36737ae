//! Concatenation along one axis: one copy per input into the same output.

use crate::ops::transform::moves::Moves;
use crate::types::TensorType;
use crate::types::shape::front_axis;
use crate::types::strided::{StridedAxis, StridedCopy};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// y is the inputs one after another along `axis`. y has the layout of the first; the others may have any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Concat", into = "crate::ops::written::Concat")]
pub struct Concat {
    /// The inputs; at least one.
    pub(crate) inputs: Vec<TensorType>,
    pub(crate) axis: usize,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl Concat {
    /// The axis, counted from the front.
    pub fn axis(&self) -> usize {
        self.axis
    }
}

impl Concat {
    /// A concatenation of `inputs` along `axis`; a negative axis counts from the end.
    ///
    /// # Errors
    /// No input, an axis outside the rank, inputs of different ranks, element types, or extents beside the axis.
    pub fn new(inputs: &[TensorType], axis: isize) -> Result<Self> {
        let inputs: Vec<TensorType> = inputs.iter().enumerate().map(|(i, input)| input.clone().checked(&format!("x{i}"))).collect::<Result<_>>()?;
        let Some(first) = inputs.first() else {
            return Err(Error::invalid("inputs", "empty", "a concatenation takes at least one tensor"));
        };
        let axis = front_axis("axis", axis, first.rank())?;
        let mut total = 0usize;
        for (i, input) in inputs.iter().enumerate() {
            let others = |kind: &TensorType| kind.extents.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, e)| *e).collect::<Vec<_>>();
            if input.rank() != first.rank() || others(input) != others(first) {
                return Err(Error::invalid(
                    format!("x{i}"),
                    format!("{:?}", input.extents),
                    format!("every extent but that of axis {axis} must be that of x0, {:?}", first.extents),
                ));
            }
            if input.element != first.element {
                return Err(Error::invalid(format!("x{i}"), input.element, format!("every input must be of x0's element type, {}", first.element)));
            }
            total = total.checked_add(input.extents[axis]).ok_or_else(|| {
                Error::invalid(format!("x{i}"), format!("{:?}", input.extents), format!("the sum of the extents along axis {axis} does not fit"))
            })?;
        }
        let mut extents = first.extents.clone();
        extents[axis] = total;
        first.resized("y", &extents, first.layout)?;
        Ok(Self { inputs, axis })
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        let mut extents = self.inputs.first().map(|x| x.extents.clone()).unwrap_or_default();
        if let Some(extent) = extents.get_mut(self.axis) {
            *extent = self.inputs.iter().map(|x| x.extents[self.axis]).sum(); // checked when it was made
        }
        extents
    }
}

impl Moves for Concat {
    fn op_name(&self) -> &'static str {
        "concat"
    }

    fn kinds(&self) -> Vec<TensorType> {
        self.inputs.clone()
    }

    fn kind(&self) -> TensorType {
        TensorType { extents: self.output_extents(), ..self.inputs[0].clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let mut y_base = 0;
        let mut copies = Vec::with_capacity(self.inputs.len());
        for (input, (kind, x)) in self.inputs.iter().zip(x).enumerate() {
            let axes = kind.extents.iter().zip(x).zip(y).map(|((&extent, &x), &y)| StridedAxis { extent: extent as u64, x, y }).collect();
            copies.push(StridedCopy { input, x_base: 0, y_base, axes });
            y_base += kind.extents[self.axis] as i64 * y[self.axis];
        }
        copies
    }
}

impl std::fmt::Display for Concat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for input in &self.inputs {
            write!(f, "{input}_")?;
        }
        write!(f, "axis{}", self.axis)
    }
}
