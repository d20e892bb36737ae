//! One operand: an elementary function, an activation, or one after the other; in place if wanted.

use crate::numeric::bound::{SQUARE_ROOT_ERROR, UNDERFLOW};
use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::activation::exponential_error;
use crate::types::{Activation, ElementType, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// What is done with one operand. A NaN stays one; at infinities and zeros all give what IEEE 754 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnaryOp {
    /// x
    #[default]
    Identity,
    /// |x|
    Abs,
    /// -x
    Neg,
    /// 1 where x > 0, -1 where x < 0, 0 of either zero.
    Sign,
    /// The largest whole number that is not above x.
    Floor,
    /// The smallest whole number that is not below x.
    Ceil,
    /// The nearest whole number; of two the even one.
    Round,
    /// The square root; NaN below zero.
    Sqrt,
    /// 1 / x
    Reciprocal,
    /// e^x
    Exp,
    /// The natural logarithm; -infinity of either zero, NaN below.
    Log,
    /// 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
    Erf,
    /// The sine of x radians, however large x is.
    Sin,
    /// The cosine of x radians, however large x is.
    Cos,
}

impl UnaryOp {
    /// All but [`UnaryOp::Identity`], in the order of their numbers in the shader, which begin at 1.
    pub const ALL: [UnaryOp; 13] = [
        UnaryOp::Abs,
        UnaryOp::Neg,
        UnaryOp::Sign,
        UnaryOp::Floor,
        UnaryOp::Ceil,
        UnaryOp::Round,
        UnaryOp::Sqrt,
        UnaryOp::Reciprocal,
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Erf,
        UnaryOp::Sin,
        UnaryOp::Cos,
    ];

    /// Its name, as ONNX has it in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            UnaryOp::Identity => "identity",
            UnaryOp::Abs => "abs",
            UnaryOp::Neg => "neg",
            UnaryOp::Sign => "sign",
            UnaryOp::Floor => "floor",
            UnaryOp::Ceil => "ceil",
            UnaryOp::Round => "round",
            UnaryOp::Sqrt => "sqrt",
            UnaryOp::Reciprocal => "reciprocal",
            UnaryOp::Exp => "exp",
            UnaryOp::Log => "log",
            UnaryOp::Erf => "erf",
            UnaryOp::Sin => "sin",
            UnaryOp::Cos => "cos",
        }
    }

    /// Number of the case in `shaders/elementwise/math.wgsl`.
    pub(crate) const fn shader_id(self) -> u32 {
        self as u32
    }

    /// The definition, in f64.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            UnaryOp::Identity => x,
            UnaryOp::Abs => x.abs(),
            UnaryOp::Neg => -x,
            UnaryOp::Sign if x > 0.0 => 1.0,
            UnaryOp::Sign if x < 0.0 => -1.0,
            UnaryOp::Sign if x == 0.0 => 0.0,
            UnaryOp::Sign => x,
            UnaryOp::Floor => x.floor(),
            UnaryOp::Ceil => x.ceil(),
            UnaryOp::Round => x.round_ties_even(),
            UnaryOp::Sqrt => x.sqrt(),
            UnaryOp::Reciprocal => 1.0 / x,
            UnaryOp::Exp => x.exp(),
            UnaryOp::Log => x.ln(),
            UnaryOp::Erf => libm::erf(x),
            UnaryOp::Sin => x.sin(),
            UnaryOp::Cos => x.cos(),
        }
    }

    /// True where the kernel makes no rounding of its own.
    pub const fn is_exact(self) -> bool {
        use UnaryOp::{Abs, Ceil, Floor, Identity, Neg, Round, Sign};
        matches!(self, Identity | Abs | Neg | Sign | Floor | Ceil | Round)
    }

    /// Error that a kernel may add to the result `y` of `x`: `shaders/elementwise/math.wgsl` computes exponentials, logarithms, the error function, sine and cosine
    /// itself, divides with 2.5 units in the last place (5 u) and takes roots with 4.5, which WGSL allows. Results below the smallest normal number may be 0.
    pub fn own_error(self, x: f64, y: f64) -> f64 {
        let u = ElementType::F32.unit_roundoff();
        let relative = match self {
            _ if self.is_exact() => return 0.0,
            UnaryOp::Sqrt => SQUARE_ROOT_ERROR,
            UnaryOp::Reciprocal => 5.0 * u,
            UnaryOp::Exp => exponential_error(x) + 2.0 * u,
            // x = m 2^n with m between sqrt(1/2) and sqrt 2: 2 atanh((m - 1) / (m + 1)) takes a quotient (5 u), a sum and few roundings of its series, 9 u in
            // all. n ln 2 adds its rounding and that of the sum to 2 |y| at most, since |ln m| <= ln 2 / 2 <= |y| where n is not 0.
            UnaryOp::Log => 14.0 * u,
            // x times a series in x^2 whose terms shrink at least by three.
            UnaryOp::Erf if x.abs() < ERF_SERIES => 6.0 * u,
            // 1 less the tail, whose polynomial errs by 6.4e-8 (as GELU's), and whose argument a = sqrt 2 |x| by two roundings, which e^(-a^2 / 2) takes a^2-fold.
            UnaryOp::Erf => {
                let square = (x * x).min(110.0);
                return libm::erfc(x.abs()) * (1.2e-7 + 2.0 * exponential_error(square) + 16.0 * u + 4.0 * u * square) + 2.0 * u + UNDERFLOW;
            }
            // The rest of x / (pi / 2) has 24 bits of 62 or more (2 u), pi / 2 and the product 1.5 u; the series and the last product 4 u.
            UnaryOp::Sin | UnaryOp::Cos => 8.0 * u,
            _ => 0.0,
        };
        // A result that is not finite errs by nothing.
        if y.is_finite() { relative * y.abs() + UNDERFLOW } else { 0.0 }
    }
}

/// Up to here the error function is a series, in `shaders/elementwise/math.wgsl` too.
const ERF_SERIES: f64 = 0.8;

/// An operation on one tensor, and an activation of its result. A [`UnaryOp`] alone is one, and so is an [`Activation`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnaryDescriptor {
    /// The operation.
    pub op: UnaryOp,
    /// Applied to its result.
    pub activation: Activation,
}

impl From<UnaryOp> for UnaryDescriptor {
    fn from(op: UnaryOp) -> Self {
        Self { op, activation: Activation::None }
    }
}

impl From<Activation> for UnaryDescriptor {
    fn from(activation: Activation) -> Self {
        Self { op: UnaryOp::Identity, activation }
    }
}

/// y = activation(op(x)), of x's shape and layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Unary", into = "crate::ops::written::Unary")]
pub struct UnaryProblem {
    pub(crate) op: UnaryOp,
    pub(crate) activation: Activation,
    pub(crate) extents: Vec<usize>,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
    pub(crate) in_place: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl UnaryProblem {
    /// The operation; [`UnaryOp::Identity`] of an activation alone.
    pub fn op(&self) -> UnaryOp {
        self.op
    }

    /// Applied to its result.
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
    /// Resolves an operation on one tensor.
    ///
    /// # Errors
    /// Extents that make no tensor, parameters that make no function.
    pub fn new(x: &TensorType, descriptor: impl Into<UnaryDescriptor>) -> Result<Self> {
        let UnaryDescriptor { op, activation } = descriptor.into();
        activation.check()?;
        x.checked_float("x")?;
        let TensorType { extents, element, layout } = x.clone();
        Ok(Self { op, activation, extents, element, layout, in_place: false })
    }

    /// x, or the y that it is in place.
    fn spec(&self, name: &'static str) -> TensorSpec {
        let is_rounding = matches!(self.op, UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round);
        TensorSpec::new(name, &self.extents, self.element, self.layout).with_domain(if is_rounding { Domain::Halves } else { Domain::Real })
    }

    pub(crate) fn count(&self) -> u64 {
        self.extents.iter().map(|&e| e as u64).product() // checked in `new`
    }
}

impl Problem for UnaryProblem {
    fn name(&self) -> &'static str {
        match self.op {
            UnaryOp::Identity => "activation",
            op => op.name(),
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        if self.in_place { vec![] } else { vec![self.spec("x")] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        let y = TensorSpec { in_out: self.in_place, ..self.spec("y") };
        vec![if self.in_place { y } else { y.with_domain(Domain::Real) }]
    }

    fn is_exact(&self) -> bool {
        self.op.is_exact() && self.activation.is_exact()
    }

    fn flops(&self) -> f64 {
        self.count() as f64
    }
}

impl std::fmt::Display for UnaryProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [alpha, beta] = self.activation.parameters();
        match (self.op, self.activation) {
            (UnaryOp::Identity, activation) => write!(f, "{activation}")?,
            (_, Activation::None) => write!(f, "x")?,
            (_, activation) => write!(f, "x_{activation}")?,
        }
        if [alpha, beta] != [0.0, 0.0] {
            write!(f, "_{alpha}_{beta}")?;
        }
        crate::ops::spec::write_tensor(f, &self.extents, self.element, self.layout)?;
        if self.in_place { write!(f, "_in_place") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_distinct() {
        for (i, op) in UnaryOp::ALL.into_iter().enumerate() {
            assert_eq!(op.shader_id(), i as u32 + 1, "{} is not at its own number", op.name());
            assert_eq!(serde_json::to_value(op).unwrap(), op.name());
        }
    }

    #[test]
    fn every_operation_passes_nan_through() {
        for op in UnaryOp::ALL {
            assert!(op.apply(f64::NAN).is_nan(), "{} swallowed a NaN", op.name());
        }
    }
}
