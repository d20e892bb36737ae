//! Two operands with numpy's broadcasting, and an activation on the result.

use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::strided_axes::StridedAxes;
use crate::types::tensor_type::strides;
use crate::types::{Activation, ElementType, Error, Layout, Result, TensorShape, TensorType};
use serde::{Deserialize, Serialize};

/// What is done with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOp {
    /// a + b
    #[default]
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// The smaller one; NaN wins.
    Min,
    /// The larger one; NaN wins.
    Max,
    /// a where a >= 0, else a b: b is the slope. y has a's shape.
    Prelu,
    /// b times the derivative of the descriptor's activation at a: the gradient of that activation, which is not applied here. Kinks are PyTorch's
    /// ([`Activation::gradient`]).
    ActivationGradient,
    /// 1 where a > b, 1/2 where they are equal, else 0: the derivative of the larger of a and b by a.
    Exceeds,
    /// a^b as IEEE 754's pow: of a negative a NaN where b is no whole number; a^0 and 1^b are 1, of a NaN too.
    Power,
    /// The derivative of the power by a: b a^(b - 1), and 0 where b is 0.
    PowerByBase,
    /// The derivative of the power by b: a^b ln a, NaN of a negative a, and 0 where a is 0 and b is not negative.
    PowerByExponent,
    /// 1 where a = b, else 0; both zeros are equal, a NaN is not equal to itself.
    Equal,
    /// 1 where a = b does not hold, else 0.
    NotEqual,
    /// 1 where a < b, else 0.
    Less,
    /// 1 where a <= b, else 0.
    LessOrEqual,
    /// 1 where a > b, else 0.
    Greater,
    /// 1 where a >= b, else 0.
    GreaterOrEqual,
}

impl BinaryOp {
    /// All of them, in the order of their numbers in the shader.
    pub const ALL: [BinaryOp; 18] = [
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Min,
        BinaryOp::Max,
        BinaryOp::Prelu,
        BinaryOp::ActivationGradient,
        BinaryOp::Exceeds,
        BinaryOp::Power,
        BinaryOp::PowerByBase,
        BinaryOp::PowerByExponent,
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Less,
        BinaryOp::LessOrEqual,
        BinaryOp::Greater,
        BinaryOp::GreaterOrEqual,
    ];

    /// Its name, as ONNX has it in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::Div => "div",
            BinaryOp::Min => "min",
            BinaryOp::Max => "max",
            BinaryOp::Prelu => "prelu",
            BinaryOp::ActivationGradient => "activation_backward",
            BinaryOp::Exceeds => "exceeds",
            BinaryOp::Power => "power",
            BinaryOp::PowerByBase => "power_by_base",
            BinaryOp::PowerByExponent => "power_by_exponent",
            BinaryOp::Equal => "equal",
            BinaryOp::NotEqual => "not_equal",
            BinaryOp::Less => "less",
            BinaryOp::LessOrEqual => "less_or_equal",
            BinaryOp::Greater => "greater",
            BinaryOp::GreaterOrEqual => "greater_or_equal",
        }
    }

    /// The definition, in f64; an activation's gradient is [`Activation::gradient`].
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Min => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            BinaryOp::Max => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            BinaryOp::Prelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
            BinaryOp::ActivationGradient => b,
            BinaryOp::PowerByBase if b == 0.0 => 0.0,
            BinaryOp::Power => a.powf(b),
            BinaryOp::PowerByBase => b * a.powf(b - 1.0),
            BinaryOp::PowerByExponent if a == 0.0 && b >= 0.0 => 0.0,
            BinaryOp::PowerByExponent => a.powf(b) * a.ln(),
            BinaryOp::Equal => f64::from(a == b),
            BinaryOp::NotEqual => f64::from(a != b),
            BinaryOp::Less => f64::from(a < b),
            BinaryOp::LessOrEqual => f64::from(a <= b),
            BinaryOp::Greater => f64::from(a > b),
            BinaryOp::GreaterOrEqual => f64::from(a >= b),
            BinaryOp::Exceeds => {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            }
        }
    }

    /// Names of its operands.
    const fn operands(self) -> [&'static str; 2] {
        match self {
            BinaryOp::Prelu => ["x", "slope"],
            BinaryOp::ActivationGradient => ["x", "dy"],
            _ => ["a", "b"],
        }
    }

    /// Whether it compares, and gives 1 or 0.
    pub(crate) const fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// What its operands hold where the checks make them. Of a divisor of zero there is no number, and a lone factor of zero would verify nothing; a power
    /// of a large exponent leaves f32, or has no digits left; of numbers that all differ none are equal.
    const fn domains(self) -> [Domain; 2] {
        match self {
            BinaryOp::Div | BinaryOp::Mul => [Domain::Real, Domain::NonZero],
            BinaryOp::Power | BinaryOp::PowerByBase => [Domain::NonZero, Domain::NonZero],
            // Of negative numbers there is none.
            BinaryOp::PowerByExponent => [Domain::Positive, Domain::Positive],
            op if op.is_comparison() => [Domain::Few, Domain::Few],
            _ => [Domain::Real, Domain::Real],
        }
    }

    pub(crate) const fn shader_id(self) -> u32 {
        self as u32
    }
}

/// An operation on two tensors, and an activation of its result. A [`BinaryOp`] alone is one too.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BinaryDescriptor {
    /// The operation.
    pub op: BinaryOp,
    /// Applied to its result, but for [`BinaryOp::ActivationGradient`], which is this one's.
    pub activation: Activation,
}

impl From<BinaryOp> for BinaryDescriptor {
    fn from(op: BinaryOp) -> Self {
        Self { op, activation: Activation::None }
    }
}

/// y = activation(a op b).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Binary", into = "crate::ops::written::Binary")]
pub struct BinaryProblem {
    pub(crate) op: BinaryOp,
    pub(crate) activation: Activation,
    pub(crate) a: Vec<usize>,
    pub(crate) b: Vec<usize>,
    pub(crate) y: Vec<usize>,
    pub(crate) element: ElementType,
    pub(crate) a_layout: Layout,
    pub(crate) b_layout: Layout,
    pub(crate) y_layout: Layout,
    pub(crate) in_place: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl BinaryProblem {
    /// The operation.
    pub fn op(&self) -> BinaryOp {
        self.op
    }

    /// Applied to its result.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Extents of a.
    pub fn a(&self) -> &[usize] {
        &self.a
    }

    /// Extents of b.
    pub fn b(&self) -> &[usize] {
        &self.b
    }

    /// Extents of y: a's and b's, broadcast.
    pub fn y(&self) -> &[usize] {
        &self.y
    }

    /// Element type of all.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of a.
    pub fn a_layout(&self) -> Layout {
        self.a_layout
    }

    /// Layout of b.
    pub fn b_layout(&self) -> Layout {
        self.b_layout
    }

    /// Layout of y: that of the first operand of y's rank.
    pub fn y_layout(&self) -> Layout {
        self.y_layout
    }

    /// Whether y is a itself: the op then takes b alone, and changes its output.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// The same with an activation of its result.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that make no function.
    pub fn with_activation(self, activation: Activation) -> Result<Self> {
        activation.check()?;
        Ok(Self { activation, ..self })
    }
}

/// Extents of `a` and `b` broadcast by numpy's rules: aligned at the last axis, equal or 1.
///
/// # Errors
/// Extents that are neither.
pub fn broadcast(a: (&str, &[usize]), b: (&str, &[usize])) -> Result<Vec<usize>> {
    let rank = a.1.len().max(b.1.len());
    let extent = |extents: &[usize], axis: usize| (axis + extents.len()).checked_sub(rank).map_or(1, |i| extents[i]);
    (0..rank)
        .map(|axis| match (extent(a.1, axis), extent(b.1, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            (x, y) => Err(Error::invalid(
                b.0,
                format!("{:?}", b.1),
                format!("it must broadcast with {} of shape {:?}: extents are equal or 1, not {x} and {y}", a.0, a.1),
            )),
        })
        .collect()
}

impl BinaryProblem {
    /// Resolves an operation on two tensors.
    ///
    /// # Errors
    /// Extents that do not broadcast; two element types; a slope that would enlarge y; parameters that make no activation.
    pub fn new(a: &TensorType, b: &TensorType, descriptor: impl Into<BinaryDescriptor>) -> Result<Self> {
        let BinaryDescriptor { op, activation } = descriptor.into();
        activation.check()?;
        let [first, second] = op.operands();
        a.checked_float(first)?;
        b.check_element(second, a.element, first)?;
        b.checked_float(second)?;
        let (TensorType { extents: a, element, layout: a_layout }, TensorType { extents: b, layout: b_layout, .. }) = (a.clone(), b.clone());
        let y = broadcast((first, &a), (second, &b))?;
        if op == BinaryOp::Prelu && y != a {
            return Err(Error::invalid(second, format!("{b:?}"), format!("it must broadcast to x of shape {a:?}")));
        }
        TensorShape::named("y", &y)?;
        let y_layout = if a.len() == y.len() { a_layout } else { b_layout };
        Ok(Self { op, activation, a, b, y, element, a_layout, b_layout, y_layout, in_place: false })
    }

    /// The same, with y written over a.
    ///
    /// # Errors
    /// A y of another shape than a's.
    pub fn in_place(self) -> Result<Self> {
        if self.y != self.a {
            return Err(Error::invalid("b", format!("{:?}", self.b), format!("in place, it must broadcast to a of shape {:?}", self.a)));
        }
        Ok(Self { in_place: true, ..self })
    }

    pub(crate) fn count(&self) -> u64 {
        self.y.iter().map(|&e| e as u64).product() // checked in `new`
    }

    /// Axes in y's memory order, with the strides of a, b and y.
    pub(crate) fn strided_axes(&self) -> StridedAxes {
        let rank = self.y.len();
        let strides = |extents: &[usize], layout: Layout| -> Vec<i64> {
            let own = strides(extents, layout);
            (0..rank)
                .map(|axis| match (axis + extents.len()).checked_sub(rank) {
                    Some(i) if extents[i] != 1 => own[i],
                    _ => 0,
                })
                .collect()
        };
        let [a, b, y] = [strides(&self.a, self.a_layout), strides(&self.b, self.b_layout), strides(&self.y, self.y_layout)];
        let axes: Vec<_> = self.y_layout.memory_order(rank).into_iter().map(|i| (self.y[i] as u64, [a[i], b[i], y[i]])).collect();
        StridedAxes::new(&axes)
    }
}

impl Problem for BinaryProblem {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let [first, second] = self.op.operands();
        let [of_a, of_b] = self.op.domains();
        let a = TensorSpec::new(first, &self.a, self.element, self.a_layout).with_domain(of_a);
        let b = TensorSpec::new(second, &self.b, self.element, self.b_layout).with_domain(of_b);
        if self.in_place { vec![b] } else { vec![a, b] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        let y = TensorSpec { in_out: self.in_place, ..TensorSpec::new("y", &self.y, self.element, self.y_layout) };
        // In place it is a.
        vec![if self.in_place { y.with_domain(self.op.domains()[0]) } else { y }]
    }

    fn is_exact(&self) -> bool {
        match self.op {
            BinaryOp::Div | BinaryOp::Power | BinaryOp::PowerByBase | BinaryOp::PowerByExponent => false,
            BinaryOp::ActivationGradient => self.activation.has_exact_gradient(),
            _ => self.activation.is_exact(),
        }
    }

    fn flops(&self) -> f64 {
        self.count() as f64
    }
}

impl std::fmt::Display for BinaryProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a")?;
        crate::ops::spec::write_tensor(f, &self.a, self.element, self.a_layout)?;
        write!(f, "_b")?;
        crate::ops::spec::write_tensor(f, &self.b, self.element, self.b_layout)?;
        if self.activation != Activation::None {
            write!(f, "_{}", self.activation)?;
        }
        if self.in_place { write!(f, "_in_place") } else { Ok(()) }
    }
}
