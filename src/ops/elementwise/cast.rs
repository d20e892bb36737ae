//! The same numbers in another element type: f32 to f16, rounded, or back, exactly.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::types::{ElementType, Error, Result, TensorType};
use serde::{Deserialize, Serialize};

/// y = x, stored as another type. To f16 the nearest number, of two the even one; infinite past the largest one, 65504. A NaN stays one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Cast", into = "crate::ops::written::Cast")]
pub struct CastProblem {
    pub(crate) x: TensorType,
    pub(crate) to: ElementType,
}

impl CastProblem {
    /// Resolves a cast.
    ///
    /// # Errors
    /// Extents that make no tensor; indices, on either side; a tensor that is of this type already.
    pub fn new(x: &TensorType, to: ElementType) -> Result<Self> {
        x.checked_float("x")?;
        to.check_float("to")?;
        if x.element == to {
            return Err(Error::invalid("to", to, "x is of it already"));
        }
        Ok(Self { x: x.clone(), to })
    }

    /// What it takes.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// The element type of what it gives.
    pub fn to(&self) -> ElementType {
        self.to
    }

    pub(crate) fn count(&self) -> u64 {
        self.x.extents.iter().map(|&e| e as u64).product() // checked in `new`
    }
}

impl Problem for CastProblem {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("x", &self.x)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.x.extents, self.to, self.x.layout)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        0.0
    }
}

impl std::fmt::Display for CastProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to_{}", self.to)?;
        crate::ops::spec::write_tensor(f, &self.x.extents, self.x.element, self.x.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Layout;

    #[test]
    fn what_is_no_cast_is_refused() {
        let error =
            |from: ElementType, to: ElementType| CastProblem::new(&TensorType::new(&[2], from, Layout::ChannelsFirst), to).unwrap_err().to_string();
        assert_eq!(error(ElementType::F32, ElementType::F32), "to is f32: x is of it already");
        assert_eq!(error(ElementType::F16, ElementType::F16), "to is f16: x is of it already");
        assert_eq!(error(ElementType::U32, ElementType::F32), "x is of u32: this op computes on f32 or f16");
        assert_eq!(error(ElementType::F32, ElementType::U32), "to is of u32: this op computes on f32 or f16");
        let y = CastProblem::new(&TensorType::new(&[2, 3, 4], ElementType::F16, Layout::ChannelsLast), ElementType::F32);
        assert_eq!(y.map(|cast| cast.outputs()[0].tensor.to_string()), Ok("2x3x4_cl".to_string()));
    }
}
