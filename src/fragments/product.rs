//! Gradients of matrix products: two more products.

use super::elementwise::through;
use super::{Builder, Of};
use crate::ops::matmul::{GemmDescriptor, MatMulInputs, MatMulProblem, Product};
use crate::types::{Activation, Result};

pub(super) fn product(b: &mut Builder<'_>, problem: &MatMulProblem) -> Result<()> {
    let count = b.inputs.len();
    let all: Vec<Of> = (0..count).map(Of::Input).collect();
    let mut gradient = Of::Upstream;
    if problem.activation != Activation::None {
        let before = match problem.activation {
            Activation::Relu => Of::Output(0),
            _ => b.op(MatMulProblem { activation: Activation::None, ..problem.clone() }, &all),
        };
        gradient = through(b, problem.activation, before, gradient)?;
    }
    if problem.has_residual {
        b.give(count - 1, gradient);
    }
    if problem.addend.is_some() && b.wants(2) {
        let scaled = b.mul(gradient, Of::Constant(problem.beta))?;
        let own = b.unbroadcast(scaled, 2)?;
        b.give(2, own);
    }
    match problem.product {
        Product::MatMul => matmul(b, gradient),
        Product::Gemm => gemm(b, problem, gradient),
        Product::Linear => linear(b, gradient),
    }
}

fn product_of(b: &mut Builder<'_>, [left, right]: [Of; 2], descriptor: &GemmDescriptor) -> Result<Of> {
    let (l, r) = (b.of(left).extents, b.of(right).extents);
    let problem = MatMulProblem::gemm(&MatMulInputs::new(&l, &r, None), descriptor)?;
    Ok(b.op(problem, &[left, right]))
}

/// x w' + b, over all rows of x: dx = dy w, dw = dy' x. x and w may have further axes that make rows as they lie, as those of a convolution do whose window
/// covers its input.
pub(super) fn linear(b: &mut Builder<'_>, gradient: Of) -> Result<()> {
    let (x, w) = (b.inputs[0].clone(), b.inputs[1].clone());
    let outputs = w.extents[0];
    let inputs = w.extents[1..].iter().product::<usize>();
    let rows = x.extents.iter().product::<usize>() / inputs;
    let dy = b.view(gradient, &[rows, outputs])?;
    if b.wants(0) {
        let matrix = b.view(Of::Input(1), &[outputs, inputs])?;
        let dx = product_of(b, [dy, matrix], &GemmDescriptor::default())?;
        let dx = b.shaped(dx, &x)?;
        b.give(0, dx);
    }
    if b.wants(1) {
        let x = b.view(Of::Input(0), &[rows, inputs])?;
        let dw = product_of(b, [dy, x], &GemmDescriptor { trans_a: true, ..Default::default() })?;
        let dw = b.shaped(dw, &w)?;
        b.give(1, dw);
    }
    Ok(())
}

/// alpha op(a) op(b): by op(a) it is alpha dy op(b)', and transposed where a was.
fn gemm(b: &mut Builder<'_>, problem: &MatMulProblem, gradient: Of) -> Result<()> {
    let [of_a, of_b] = [Of::Input(0), Of::Input(1)];
    // An operand of one row or column is both; what its extents say decides.
    let trans_a = problem.a.extents != [problem.m as usize, problem.k as usize] || problem.a.outer == 1 && problem.a.depth != 1;
    let trans_b = problem.b.extents != [problem.k as usize, problem.n as usize] || problem.b.depth == 1 && problem.b.outer != 1;
    let scaled = |trans_a, trans_b| GemmDescriptor { alpha: problem.alpha, trans_a, trans_b, ..Default::default() };
    if b.wants(0) {
        let da = if trans_a {
            product_of(b, [of_b, gradient], &scaled(trans_b, true))
        } else {
            product_of(b, [gradient, of_b], &scaled(false, !trans_b))
        }?;
        b.give(0, da);
    }
    if b.wants(1) {
        let db = if trans_b {
            product_of(b, [gradient, of_a], &scaled(true, trans_a))
        } else {
            product_of(b, [of_a, gradient], &scaled(!trans_a, false))
        }?;
        b.give(1, db);
    }
    Ok(())
}

/// numpy's product, whose batches broadcast.
fn matmul(b: &mut Builder<'_>, gradient: Of) -> Result<()> {
    let (a, c) = (b.inputs[0].extents.clone(), b.inputs[1].extents.clone());
    let wide_a = if a.len() == 1 { vec![1, a[0]] } else { a.clone() };
    let wide_b = if c.len() == 1 { vec![c[0], 1] } else { c.clone() };
    let mut wide_y = b.of(gradient).extents;
    if c.len() == 1 {
        wide_y.push(1);
    }
    if a.len() == 1 {
        wide_y.insert(wide_y.len() - 1, 1);
    }
    let dy = b.view(gradient, &wide_y)?;
    for (input, own) in [(0, &wide_a), (1, &wide_b)].into_iter().filter(|(input, _)| b.wants(*input)).collect::<Vec<_>>() {
        let other = if input == 0 { b.view(Of::Input(1), &wide_b)? } else { b.view(Of::Input(0), &wide_a)? };
        let turned = swapped(b, other)?;
        let pair = if input == 0 { [dy, turned] } else { [turned, dy] };
        let (l, r) = (b.of(pair[0]).extents, b.of(pair[1]).extents);
        let wide = b.op(MatMulProblem::matmul(&l, &r, crate::types::ElementType::F32)?, &pair);
        // Axes of the batch along which the operand was broadcast.
        let extents = b.of(wide).extents;
        let missing = extents.len() - own.len();
        let axes: Vec<usize> = (0..extents.len()).filter(|&axis| axis < missing || own[axis - missing] == 1 && extents[axis] > 1).collect();
        let sum = b.sum(wide, &axes)?;
        let tensor = b.inputs[input].clone();
        let own = b.shaped(sum, &tensor)?;
        b.give(input, own);
    }
    Ok(())
}

/// The last two axes exchanged.
fn swapped(b: &mut Builder<'_>, of: Of) -> Result<Of> {
    let rank = b.of(of).rank();
    let perm: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
    b.transpose(of, &perm)
}
