//! Elementwise ops: one operand, an activation too ([`UnaryProblem`]), and two operands with broadcasting ([`BinaryProblem`]), each also in place; dropout. All
//! of them move one element in and one out, so memory is what they cost.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::dropout::{DropoutDescriptor, DropoutProblem};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::types::{Activation, ElementType, Error, Result};

impl Recorder<'_> {
    /// Records activation(x).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.activation(x, Activation::Gelu))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Parameters that make no function; a tensor of another device.
    pub fn activation(&mut self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.unary(x, activation)
    }

    /// Records x = activation(x).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// gpu.run(|r| r.activation_in_place(x, Activation::Relu))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::activation`].
    pub fn activation_in_place(&mut self, x: &Tensor, activation: Activation) -> Result<()> {
        self.unary_in_place(x, activation)
    }

    /// Records activation(op(x)). A [`UnaryOp`](crate::elementwise::UnaryOp) alone has no activation; with one, both are one kernel.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::elementwise::{UnaryDescriptor, UnaryOp};
    /// let roots = gpu.run(|r| r.unary(x, UnaryOp::Sqrt))?;
    /// let large = gpu.run(|r| r.unary(x, UnaryDescriptor { op: UnaryOp::Abs, activation: Activation::Threshold { threshold: 1.0, value: 0.0 } }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::activation`].
    pub fn unary(&mut self, x: &Tensor, descriptor: impl Into<UnaryDescriptor>) -> Result<Tensor> {
        let problem = UnaryProblem::new(&x.tensor_type(), descriptor)?;
        self.op1(&problem, &[x])
    }

    /// Records x = activation(op(x)).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// gpu.run(|r| r.unary_in_place(x, wgconv::elementwise::UnaryOp::Exp))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::activation`].
    pub fn unary_in_place(&mut self, x: &Tensor, descriptor: impl Into<UnaryDescriptor>) -> Result<()> {
        let problem = UnaryProblem::new(&x.tensor_type(), descriptor)?;
        self.op_into(problem.in_place(), &[], &[x])
    }

    /// Records x in another element type: rounded to f16, or as f32. Layout and extents stay.
    ///
    /// ```no_run
    /// # use wgconv::{ElementType, Gpu, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let half = gpu.run(|r| r.cast(x, ElementType::F16))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A tensor that is of this type already, or of indices; a device without f16; a tensor of another device.
    pub fn cast(&mut self, x: &Tensor, to: ElementType) -> Result<Tensor> {
        self.op1(&CastProblem::new(&x.tensor_type(), to)?, &[x])
    }

    /// Records dropout as it is in training: x / (1 - p), or 0 where the element is dropped, which follows from `key` (of
    /// [`DropoutKey::to_array`](crate::dropout::DropoutKey::to_array)), the descriptor's stream and the element's index. The same call on dy gives dx.
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::dropout::{DropoutDescriptor, DropoutKey};
    /// let key = gpu.upload(&wgconv::ndarray::arr1(&DropoutKey { seed: 1, step: 0 }.to_array()))?;
    /// let y = gpu.run(|r| r.dropout(x, &key, &DropoutDescriptor { probability: 0.5, ..Default::default() }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A probability outside 0 to below 1; a key that is not of 4 numbers; tensors of another device.
    pub fn dropout(&mut self, x: &Tensor, key: &Tensor, descriptor: &DropoutDescriptor) -> Result<Tensor> {
        self.op1(&DropoutProblem::new(&x.tensor_type(), descriptor)?, &[x, key])
    }

    /// Records activation(a op b), broadcast by numpy's rules. A [`BinaryOp`] alone has no activation; with one, a residual connection and its
    /// activation are one kernel.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// use wgconv::elementwise::{BinaryDescriptor, BinaryOp};
    /// let smaller = gpu.run(|r| r.binary(a, b, BinaryOp::Min))?;
    /// let sum = gpu.run(|r| r.binary(a, b, BinaryDescriptor { op: BinaryOp::Add, activation: Activation::Relu }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Extents that do not broadcast, element types that differ, parameters that make no activation, tensors of another device.
    pub fn binary(&mut self, a: &Tensor, b: &Tensor, descriptor: impl Into<BinaryDescriptor>) -> Result<Tensor> {
        self.op1(&binary_problem(a, b, descriptor.into())?, &[a, b])
    }

    /// Records a = activation(a op b); b broadcasts to a.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// use wgconv::elementwise::BinaryOp;
    /// gpu.run(|r| r.binary_in_place(a, b, BinaryOp::Add))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`]; a result of another shape than a's; an a and b that overlap.
    pub fn binary_in_place(&mut self, a: &Tensor, b: &Tensor, descriptor: impl Into<BinaryDescriptor>) -> Result<()> {
        self.op_into(binary_problem(a, b, descriptor.into())?.in_place()?, &[b], &[a])
    }

    /// Records a + b.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.add(a, b))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn add(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(a, b, BinaryOp::Add)
    }

    /// Records a - b.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.sub(a, b))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn sub(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(a, b, BinaryOp::Sub)
    }

    /// Records a b, element by element.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.mul(a, b))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn mul(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(a, b, BinaryOp::Mul)
    }

    /// Records a / b.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.div(a, b))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn div(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary(a, b, BinaryOp::Div)
    }

    /// Records the smallest of several tensors, element by element; NaN wins.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor, c: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.min(&[a, b, c]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`]; no tensor at all.
    pub fn min(&mut self, tensors: &[&Tensor]) -> Result<Tensor> {
        self.fold(BinaryOp::Min, tensors)
    }

    /// Records the largest of several tensors, element by element; NaN wins.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor, c: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.max(&[a, b, c]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`]; no tensor at all.
    pub fn max(&mut self, tensors: &[&Tensor]) -> Result<Tensor> {
        self.fold(BinaryOp::Max, tensors)
    }

    /// Records x where x >= 0, else slope x; the slope broadcasts to x (one per channel: shape C, 1, 1).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, slope: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.prelu(x, slope))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn prelu(&mut self, x: &Tensor, slope: &Tensor) -> Result<Tensor> {
        self.binary(x, slope, BinaryOp::Prelu)
    }

    /// Records a where the condition is not 0, else b, broadcast by numpy's rules. A comparison ([`BinaryOp::Less`] and its like) makes a condition.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// use wgconv::elementwise::BinaryOp;
    /// let mut recorder = gpu.recorder();
    /// let is_less = recorder.binary(a, b, BinaryOp::Less)?;
    /// let smaller = recorder.where_cond(&is_less, a, b)?;
    /// recorder.submit()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Extents that do not broadcast, element types that differ, tensors of another device.
    pub fn where_cond(&mut self, condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.op1(&WhereProblem::new(&condition.tensor_type(), &a.tensor_type(), &b.tensor_type())?, &[condition, a, b])
    }

    /// Records min(max(x, low), high), broadcast by numpy's rules, as two kernels; NaN wins. Bounds that are numbers are [`Activation::Clip`].
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, low: &Tensor, high: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.clamp(x, low, high))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::binary`].
    pub fn clamp(&mut self, x: &Tensor, low: &Tensor, high: &Tensor) -> Result<Tensor> {
        let raised = self.binary(x, low, BinaryOp::Max)?;
        self.binary(&raised, high, BinaryOp::Min)
    }

    fn fold(&mut self, op: BinaryOp, tensors: &[&Tensor]) -> Result<Tensor> {
        match tensors {
            [] => Err(Error::invalid("tensors", 0, format!("{} takes at least one tensor", op.name()))),
            [one] => self.activation(one, Activation::None),
            [first, second, rest @ ..] => {
                let mut y = self.binary(first, second, op)?;
                for next in rest {
                    y = self.binary(&y, next, op)?;
                }
                Ok(y)
            }
        }
    }
}

fn binary_problem(a: &Tensor, b: &Tensor, descriptor: BinaryDescriptor) -> Result<BinaryProblem> {
    if a.element() != b.element() {
        return Err(Error::invalid("b", b.element(), format!("both operands have one element type, and a holds {}", a.element())));
    }
    BinaryProblem::new(&a.tensor_type(), &b.tensor_type(), descriptor)
}
