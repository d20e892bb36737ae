//! Gradients are ops: [`backward`] gives, for an op, the small list of ops that computes the gradients of its inputs from the gradient of its output. They
//! are planned, verified, bounded and run as any others are.
//!
//! Linear ops have their adjoints; the others multiply by a derivative that is computed from what the op read or gave. What is cheap is computed again
//! instead of being kept.

mod conv;
mod elementwise;
mod half;
mod indexed;
mod product;
mod rows;
mod shapes;

use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryProblem};
use crate::ops::reduce::{ReduceDescriptor, ReduceProblem};
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::ops::{Op, Problem};
use crate::types::{ElementType, Error, Layout, Result, TensorType};

/// A tensor of a fragment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Of {
    /// What the op read, by its inputs.
    Input(usize),
    /// What the op gave.
    Output(usize),
    /// The gradient of its first output: f32, whatever that is.
    Upstream,
    /// What an item of the fragment gives.
    Item {
        /// Position among the items.
        item: usize,
        /// Which of its outputs.
        output: usize,
    },
    /// One number.
    Constant(f32),
}

/// Something that a fragment computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// An op over these tensors.
    Op {
        /// The op.
        op: Box<Op>,
        /// What it reads.
        inputs: Vec<Of>,
    },
    /// The elements of a tensor under another shape.
    View {
        /// The tensor.
        of: Of,
        /// The extents.
        extents: Vec<usize>,
    },
}

/// The gradients of an op's inputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    /// In an order in which they can run.
    pub items: Vec<Item>,
    /// By input: its gradient, where it was wanted and is not zero everywhere.
    pub gradients: Vec<Option<Of>>,
}

/// The gradients of the inputs of `op` that are `wanted`, from the gradient of its first output.
///
/// Gradients are f32, those of f16 tensors too: an op of f16 has the gradients of the same op on f32, at the numbers that its tensors hold.
///
/// Where a derivative is undefined, the gradient is PyTorch's: at the kinks of activations as [`Activation::gradient`](crate::Activation::gradient) says; a
/// maximum gives it to the first of equals in row-major order where it has indices, and to all of them alike along reduced axes; of two equal operands of
/// min and max each gets half.
///
/// # Errors
/// [`Error::Invalid`] for an op or a form of it whose gradient is not computed: of the statistics of a norm, of argmax.
pub fn backward(op: &Op, wanted: &[bool]) -> Result<Fragment> {
    match half::on_f32(op) {
        Some(wide) => half::through_casts(op, of_f32(&wide, wanted)?),
        None => of_f32(op, wanted),
    }
}

/// As [`backward`], of an op whose tensors are f32, or of a cast.
fn of_f32(op: &Op, wanted: &[bool]) -> Result<Fragment> {
    let mut builder = Builder::new(op, wanted)?;
    match op {
        Op::Conv(problem) => conv::conv(&mut builder, problem),
        Op::MatMul(problem) => product::product(&mut builder, problem),
        Op::Pool(problem) => conv::pool(&mut builder, problem),
        Op::MaxUnpool(problem) => conv::unpool(&mut builder, problem),
        Op::Binary(problem) => elementwise::binary(&mut builder, problem),
        Op::Unary(problem) => elementwise::unary(&mut builder, problem),
        // The rounding of a cast counts for nothing.
        Op::Cast(_) => {
            builder.give(0, Of::Upstream);
            Ok(())
        }
        Op::Where(problem) => elementwise::where_cond(&mut builder, problem),
        Op::Dropout(problem) => elementwise::dropout(&mut builder, problem),
        Op::Softmax(problem) => rows::softmax(&mut builder, problem),
        Op::Norm(problem) => rows::norm(&mut builder, problem),
        Op::BatchNorm(problem) => rows::batch_norm(&mut builder, problem),
        Op::Lrn(problem) => rows::lrn(&mut builder, problem),
        Op::Reduce(problem) => rows::reduce(&mut builder, problem),
        Op::Resize(problem) => shapes::resize(&mut builder, problem),
        Op::Pad(problem) => shapes::pad(&mut builder, problem),
        Op::Slice(problem) => shapes::slice(&mut builder, problem),
        Op::Concat(problem) => shapes::concat(&mut builder, problem),
        Op::Transpose(problem) => shapes::transpose(&mut builder, problem),
        Op::ToLayout(problem) => shapes::to_layout(&mut builder, problem),
        Op::DepthToSpace(problem) => shapes::depth_to_space(&mut builder, problem),
        Op::TopK(problem) => indexed::top_k(&mut builder, problem),
        Op::Gather(problem) => indexed::gather(&mut builder, problem),
        Op::Scatter(problem) => indexed::scatter(&mut builder, problem),
        Op::Adjoint(_) | Op::MaxUnpoolGradient(_) | Op::FilterGradient(_) => Err(builder.refuse("gradients of gradients are not computed")),
        Op::Image(_) => Err(builder.refuse("bytes of images have no gradient")),
        Op::Optimizer(_) => Err(builder.refuse("a step of an optimizer is no part of a loss")),
        Op::GridSample(_) => {
            Err(builder.refuse("several outputs read one element, and which ones follows from numbers: a sum of them has no fixed order"))
        }
        Op::Argmax(_) => Err(builder.refuse("an index has no gradient")),
    }?;
    Ok(builder.fragment)
}

/// A fragment that grows.
struct Builder<'a> {
    op: &'a Op,
    wanted: &'a [bool],
    inputs: Vec<TensorType>,
    outputs: Vec<TensorType>,
    /// By item: the types of its outputs.
    types: Vec<Vec<TensorType>>,
    fragment: Fragment,
}

impl<'a> Builder<'a> {
    fn new(op: &'a Op, wanted: &'a [bool]) -> Result<Self> {
        let inputs: Vec<TensorType> = op.inputs().into_iter().map(|spec| spec.tensor).collect();
        let outputs: Vec<TensorType> = op.outputs().into_iter().map(|spec| spec.tensor).collect();
        if wanted.len() != inputs.len() {
            return Err(Error::invalid("wanted", wanted.len(), format!("{} has {} inputs", op.name(), inputs.len())));
        }
        let fragment = Fragment { items: vec![], gradients: vec![None; inputs.len()] };
        let builder = Self { op, wanted, inputs, outputs, types: vec![], fragment };
        if op.outputs().iter().any(|spec| spec.in_out) {
            return Err(builder.refuse("an op in place has lost what its gradient needs"));
        }
        match builder.outputs.first() {
            Some(y) if y.element == ElementType::U32 => Err(builder.refuse("an index has no gradient")),
            Some(_) => Ok(builder),
            None => Err(builder.refuse("it gives nothing")),
        }
    }

    fn refuse(&self, rule: &str) -> Error {
        Error::invalid("gradient", self.op.name(), rule)
    }

    fn wants(&self, input: usize) -> bool {
        self.wanted.get(input).copied().unwrap_or(false)
    }

    fn give(&mut self, input: usize, gradient: Of) {
        if self.wants(input) {
            self.fragment.gradients[input] = Some(gradient);
        }
    }

    fn of(&self, of: Of) -> TensorType {
        match of {
            Of::Input(i) => self.inputs[i].clone(),
            Of::Output(i) => self.outputs[i].clone(),
            Of::Upstream => self.outputs[0].clone(),
            Of::Item { item, output } => self.types[item][output].clone(),
            Of::Constant(_) => TensorType::f32(&[]),
        }
    }

    /// Adds an op; its first output.
    fn op(&mut self, op: impl Into<Op>, inputs: &[Of]) -> Of {
        let op = op.into();
        self.types.push(op.outputs().into_iter().map(|spec| spec.tensor).collect());
        self.fragment.items.push(Item::Op { op: Box::new(op), inputs: inputs.to_vec() });
        Of::Item { item: self.fragment.items.len() - 1, output: 0 }
    }

    /// The output behind the first.
    fn second(&self, of: Of) -> Of {
        if let Of::Item { item, .. } = of { Of::Item { item, output: 1 } } else { of }
    }

    /// The same elements under other extents; channels-first.
    fn view(&mut self, of: Of, extents: &[usize]) -> Result<Of> {
        let of = self.in_layout(of, Layout::ChannelsFirst)?;
        if self.of(of).extents == extents {
            return Ok(of);
        }
        self.types.push(vec![TensorType::f32(extents)]);
        self.fragment.items.push(Item::View { of, extents: extents.to_vec() });
        Ok(Of::Item { item: self.fragment.items.len() - 1, output: 0 })
    }

    fn in_layout(&mut self, of: Of, layout: Layout) -> Result<Of> {
        let tensor = self.of(of);
        if tensor.layout == layout || tensor.rank() < 3 {
            return Ok(of);
        }
        Ok(self.op(ToLayout::new(&tensor, layout)?, &[of]))
    }

    fn binary(&mut self, op: impl Into<BinaryDescriptor>, a: Of, b: Of) -> Result<Of> {
        let problem = BinaryProblem::new(&self.of(a), &self.of(b), op)?;
        Ok(self.op(problem, &[a, b]))
    }

    fn unary(&mut self, op: impl Into<UnaryDescriptor>, x: Of) -> Result<Of> {
        let problem = UnaryProblem::new(&self.of(x), op)?;
        Ok(self.op(problem, &[x]))
    }

    fn mul(&mut self, a: Of, b: Of) -> Result<Of> {
        match b {
            Of::Constant(1.0) => Ok(a),
            _ => self.binary(BinaryOp::Mul, a, b),
        }
    }

    fn sub(&mut self, a: Of, b: Of) -> Result<Of> {
        self.binary(BinaryOp::Sub, a, b)
    }

    fn transpose(&mut self, of: Of, perm: &[usize]) -> Result<Of> {
        Ok(self.op(Transpose::new(&self.of(of), perm)?, &[of]))
    }

    /// The sum over axes, which are gone.
    fn sum(&mut self, of: Of, axes: &[usize]) -> Result<Of> {
        if axes.is_empty() {
            return Ok(of);
        }
        let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
        let problem = ReduceProblem::new(&self.of(of), &ReduceDescriptor::sum(&axes))?;
        Ok(self.op(problem, &[of]))
    }

    /// The mean over the last axis, which stays with extent 1.
    fn row_mean(&mut self, of: Of) -> Result<Of> {
        let problem = ReduceProblem::new(&self.of(of), &ReduceDescriptor::mean(&[-1]).with_keepdims(true))?;
        Ok(self.op(problem, &[of]))
    }

    /// The gradient of what was broadcast to these extents: the sum over the axes that it lacks or has extent 1 on. In the input's own layout.
    fn unbroadcast(&mut self, gradient: Of, input: usize) -> Result<Of> {
        let (wide, own) = (self.of(gradient), self.inputs[input].clone());
        let missing = wide.rank() - own.rank();
        let is_summed = |axis: &usize| *axis < missing || own.extents[axis - missing] == 1 && wide.extents[*axis] > 1;
        let axes: Vec<usize> = (0..wide.rank()).filter(is_summed).collect();
        let sum = self.sum(gradient, &axes)?;
        self.shaped(sum, &own)
    }

    /// The same elements as a tensor of this type.
    fn shaped(&mut self, of: Of, wanted: &TensorType) -> Result<Of> {
        let viewed = if self.of(of).extents == wanted.extents { of } else { self.view(of, &wanted.extents)? };
        self.in_layout(viewed, wanted.layout)
    }
}
