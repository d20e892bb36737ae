//! Elementwise ops: activations ([`UnaryProblem`]) and two operands with broadcasting ([`BinaryProblem`]), each also in place. All
//! of them move one element in and one out, so memory is what they cost.

use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::elementwise::unary::UnaryProblem;
use crate::types::{Activation, Error, Result};

impl Recorder<'_> {
    /// Records activation(x).
    ///
    /// # Errors
    /// Parameters that make no function; a tensor of another device.
    pub fn activation(&mut self, activation: Activation, x: &Tensor) -> Result<Tensor> {
        let problem = UnaryProblem::new(activation, x.shape().extents(), x.element(), x.layout())?;
        self.op1(&problem, &[x])
    }

    /// Records x = activation(x).
    ///
    /// # Errors
    /// As [`Recorder::activation`].
    pub fn activation_in_place(&mut self, activation: Activation, x: &Tensor) -> Result<()> {
        let problem = UnaryProblem::new(activation, x.shape().extents(), x.element(), x.layout())?;
        let plan = self.gpu().plan(problem.in_place())?;
        Prepared::recorded(self, plan, &[])?.record(self, &[], &[x])
    }

    /// Records a op b, broadcast by numpy's rules.
    ///
    /// # Errors
    /// Extents that do not broadcast, element types that differ, tensors of another device.
    pub fn binary(&mut self, op: BinaryOp, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.op1(&binary_problem(op, a, b)?, &[a, b])
    }

    /// Records activation(a op b): a residual connection and its activation in one kernel.
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn binary_activation(&mut self, op: BinaryOp, activation: Activation, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        activation.check()?;
        self.op1(&binary_problem(op, a, b)?.with_activation(activation)?, &[a, b])
    }

    /// Records a = a op b; b broadcasts to a.
    ///
    /// # Errors
    /// As [`Recorder::binary`]; a result of another shape than a's; a and b in one buffer.
    pub fn binary_in_place(&mut self, op: BinaryOp, a: &Tensor, b: &Tensor) -> Result<()> {
        let problem = binary_problem(op, a, b)?.in_place()?;
        let plan = self.gpu().plan(problem)?;
        Prepared::recorded(self, plan, &[])?.record(self, &[b], &[a])
    }

    /// Records a + b.
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn add(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Add, a, b)
    }

    /// Records a - b.
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn sub(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Sub, a, b)
    }

    /// Records a b, element by element.
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn mul(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Mul, a, b)
    }

    /// Records a / b.
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn div(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Div, a, b)
    }

    /// Records the smallest of several tensors, element by element; NaN wins.
    ///
    /// # Errors
    /// As [`Recorder::binary`]; no tensor at all.
    pub fn min(&mut self, tensors: &[&Tensor]) -> Result<Tensor> {
        self.fold(BinaryOp::Min, tensors)
    }

    /// Records the largest of several tensors, element by element; NaN wins.
    ///
    /// # Errors
    /// As [`Recorder::binary`]; no tensor at all.
    pub fn max(&mut self, tensors: &[&Tensor]) -> Result<Tensor> {
        self.fold(BinaryOp::Max, tensors)
    }

    /// Records x where x >= 0, else slope x; the slope broadcasts to x (one per channel: shape C, 1, 1).
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn prelu(&mut self, x: &Tensor, slope: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Prelu, x, slope)
    }

    fn fold(&mut self, op: BinaryOp, tensors: &[&Tensor]) -> Result<Tensor> {
        match tensors {
            [] => Err(Error::invalid("tensors", 0, format!("{} takes at least one tensor", op.name()))),
            [one] => self.activation(Activation::None, one),
            [first, second, rest @ ..] => {
                let mut y = self.binary(op, first, second)?;
                for next in rest {
                    y = self.binary(op, &y, next)?;
                }
                Ok(y)
            }
        }
    }
}

fn binary_problem(op: BinaryOp, a: &Tensor, b: &Tensor) -> Result<BinaryProblem> {
    if a.element() != b.element() {
        return Err(Error::invalid("b", b.element(), format!("both operands have one element type, and a holds {}", a.element())));
    }
    BinaryProblem::new(op, (a.shape().extents(), a.layout()), (b.shape().extents(), b.layout()), a.element())
}
