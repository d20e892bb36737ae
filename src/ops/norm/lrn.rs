//! Local response normalisation, as AlexNet has it.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::types::bits::by_bits;
use crate::types::shape::MAX_COUNT;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// y = x / (bias + alpha / size sum of x^2)^beta over the channels c - floor((size - 1) / 2) .. c + ceil((size - 1) / 2).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrnDescriptor {
    /// Channels of the window.
    pub size: usize,
    /// Multiplies the mean of the squares.
    pub alpha: f32,
    /// The exponent.
    pub beta: f32,
    /// Added to the mean of the squares.
    pub bias: f32,
}

by_bits! {
    LrnDescriptor { size } bits { alpha, beta, bias }
}

impl Default for LrnDescriptor {
    /// ONNX's, with AlexNet's window of five.
    fn default() -> Self {
        Self { size: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 }
    }
}

/// A resolved local response normalisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Lrn", into = "crate::ops::written::Lrn")]
pub struct LrnProblem {
    pub(crate) descriptor: LrnDescriptor,
    pub(crate) x: Vec<usize>,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl LrnProblem {
    /// The numbers.
    pub fn descriptor(&self) -> LrnDescriptor {
        self.descriptor
    }

    /// Extents of x and y, N C ....
    pub fn x(&self) -> &[usize] {
        &self.x
    }

    /// Element type of x and y.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x and y.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

impl LrnProblem {
    /// Resolves a local response normalisation.
    ///
    /// # Errors
    /// x below rank 2, a size of 0 or above 2^60, a bias that is not positive (the sum of squares may be 0), numbers that are not finite.
    pub fn new(x: &TensorType, descriptor: &LrnDescriptor) -> Result<Self> {
        x.checked_float("x")?;
        let TensorType { extents: x, element, layout } = x.clone();
        if x.len() < 2 {
            return Err(Error::invalid("x", format!("{x:?}"), format!("it has rank 2 or more, N C ..., not {}", x.len())));
        }
        if descriptor.size == 0 {
            return Err(Error::invalid("size", 0, "size must be at least 1"));
        }
        if descriptor.size as u64 > MAX_COUNT {
            return Err(Error::invalid("size", descriptor.size, "size must be at most 2^60"));
        }
        for (name, value) in [("alpha", descriptor.alpha), ("beta", descriptor.beta), ("bias", descriptor.bias)] {
            if !value.is_finite() {
                return Err(Error::invalid(name, value, format!("{name} must be finite")));
            }
        }
        if descriptor.bias <= 0.0 || descriptor.alpha < 0.0 {
            let given = format!("bias {}, alpha {}", descriptor.bias, descriptor.alpha);
            return Err(Error::invalid("lrn", given, "the base of the power must be positive: bias above 0, alpha not below"));
        }
        Ok(Self { descriptor: *descriptor, x, element, layout })
    }

    /// Channels before and after an output's own in its window.
    pub(crate) fn reach(&self) -> [usize; 2] {
        let others = self.descriptor.size - 1;
        [others / 2, others - others / 2]
    }
}

impl Problem for LrnProblem {
    fn name(&self) -> &'static str {
        "lrn"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("x", &self.x, self.element, self.layout)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.x, self.element, self.layout)]
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn flops(&self) -> f64 {
        self.x.iter().map(|&e| e as f64).product::<f64>() * 2.0 * self.descriptor.size as f64
    }
}

impl std::fmt::Display for LrnProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::ops::spec::write_tensor(f, &self.x, self.element, self.layout)?;
        let LrnDescriptor { size, alpha, beta, bias } = self.descriptor;
        write!(f, "_size{size}_{alpha}_{beta}_{bias}")
    }
}
