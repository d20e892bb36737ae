//! One operand: an activation as an op of its own, in place if wanted.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::types::{Activation, ElementType, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// y = activation(x), of x's shape and layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Unary", into = "crate::ops::written::Unary")]
pub struct UnaryProblem {
    pub(crate) activation: Activation,
    pub(crate) extents: Vec<usize>,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
    pub(crate) in_place: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl UnaryProblem {
    /// The function.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Extents of x and y.
    pub fn extents(&self) -> &[usize] {
        &self.extents
    }

    /// Their element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Their layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether y is x itself: the op then takes no input, and changes its output.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// The same, written over x.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }
}

impl UnaryProblem {
    /// Resolves an activation.
    ///
    /// # Errors
    /// Extents that make no tensor, parameters that make no function.
    pub fn new(x: &TensorType, activation: Activation) -> Result<Self> {
        activation.check()?;
        x.checked_float("x")?;
        let TensorType { extents, element, layout } = x.clone();
        Ok(Self { activation, extents, element, layout, in_place: false })
    }

    pub(crate) fn count(&self) -> u64 {
        self.extents.iter().map(|&e| e as u64).product() // checked in `new`
    }
}

impl Problem for UnaryProblem {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        if self.in_place { vec![] } else { vec![TensorSpec::new("x", &self.extents, self.element, self.layout)] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec { in_out: self.in_place, ..TensorSpec::new("y", &self.extents, self.element, self.layout) }]
    }

    fn is_exact(&self) -> bool {
        self.activation.is_exact()
    }

    fn flops(&self) -> f64 {
        self.count() as f64
    }
}

impl std::fmt::Display for UnaryProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [alpha, beta] = self.activation.parameters();
        write!(f, "{}", self.activation)?;
        if [alpha, beta] != [0.0, 0.0] {
            write!(f, "_{alpha}_{beta}")?;
        }
        crate::ops::spec::write_tensor(f, &self.extents, self.element, self.layout)?;
        if self.in_place { write!(f, "_in_place") } else { Ok(()) }
    }
}
