//! Elementwise ops on all cores, in blocks that stay in a core's cache.

use crate::cpu::Computed;
use crate::cpu::epilogue::{BLOCK, finish};
use crate::cpu::exponential::{error_functions, exponentials, gradients, logarithms};
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryOp, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::types::strided_axes::{StridedAxes, offsets};
use crate::types::{Activation, ElementType, Layout};
use half::f16;
use rayon::prelude::*;

/// y = activation(op(x)). What rounds nothing stays in f32, so that the loop vectorises; the others are the definition, rounded once.
pub(crate) fn unary(op: UnaryOp, activation: Activation, x: &[f32], y: &mut [f32]) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        match op {
            UnaryOp::Identity => y.copy_from_slice(x),
            UnaryOp::Abs => map(x, y, f32::abs),
            UnaryOp::Neg => map(x, y, |x| -x),
            UnaryOp::Floor => map(x, y, f32::floor),
            UnaryOp::Ceil => map(x, y, f32::ceil),
            UnaryOp::Round => map(x, y, f32::round_ties_even),
            UnaryOp::Sqrt => map(x, y, f32::sqrt),
            UnaryOp::Exp => exponentials(x, y),
            UnaryOp::Log => logarithms(x, y),
            UnaryOp::Erf => error_functions(x, y),
            UnaryOp::Reciprocal => map(x, y, |x| 1.0 / x),
            other => map(x, y, |x| other.apply(x.into()) as f32),
        }
        finish(y, 0.0, activation);
    });
}

#[inline(always)]
fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x));
}

/// y = activation(a op b) over the strided axes of a, b and y; y is whole and in order.
pub(crate) fn binary(op: BinaryOp, activation: Activation, strided_axes: &StridedAxes, a: &[f32], b: &[f32], y: &mut [f32]) {
    let (outer, inner) = (&strided_axes.axes[..strided_axes.axes.len() - 1], strided_axes.inner());
    let line = inner.extent as usize;
    // Lines of a few elements are handed out many at a time; a long line is cut into blocks.
    if outer.is_empty() {
        let [step_a, step_b, _] = inner.strides.map(|s| s as usize);
        y.par_chunks_mut(BLOCK).enumerate().for_each(|(i, y)| {
            combine(op, activation, &a[i * BLOCK * step_a..], step_a, &b[i * BLOCK * step_b..], step_b, y);
        });
        return;
    }
    let lines = (BLOCK / line).max(1);
    y.par_chunks_mut(lines * line).enumerate().for_each(|(block, y)| {
        for (i, y) in y.chunks_mut(line).enumerate() {
            let [at_a, at_b, _] = offsets(outer, block * lines + i);
            combine(op, activation, &a[at_a..], inner.strides[0] as usize, &b[at_b..], inner.strides[1] as usize, y);
        }
    });
}

/// One line: operands that step by 1 or stay, as merged strided axes have them, or by any stride.
fn combine(op: BinaryOp, activation: Activation, a: &[f32], step_a: usize, b: &[f32], step_b: usize, y: &mut [f32]) {
    match op {
        BinaryOp::ActivationGradient => return gradient(activation, a, step_a, b, step_b, y),
        BinaryOp::Add => line(a, step_a, b, step_b, y, |a, b| a + b),
        BinaryOp::Sub => line(a, step_a, b, step_b, y, |a, b| a - b),
        BinaryOp::Mul => line(a, step_a, b, step_b, y, |a, b| a * b),
        BinaryOp::Div => line(a, step_a, b, step_b, y, |a, b| a / b),
        BinaryOp::Min => line(a, step_a, b, step_b, y, |a, b| if a < b || a.is_nan() { a } else { b }),
        BinaryOp::Max => line(a, step_a, b, step_b, y, |a, b| if a > b || a.is_nan() { a } else { b }),
        BinaryOp::Prelu => line(a, step_a, b, step_b, y, |a, b| if a < 0.0 { a * b } else { a }),
        BinaryOp::Equal => line(a, step_a, b, step_b, y, |a, b| f32::from(a == b)),
        BinaryOp::NotEqual => line(a, step_a, b, step_b, y, |a, b| f32::from(a != b)),
        BinaryOp::Less => line(a, step_a, b, step_b, y, |a, b| f32::from(a < b)),
        BinaryOp::LessOrEqual => line(a, step_a, b, step_b, y, |a, b| f32::from(a <= b)),
        BinaryOp::Greater => line(a, step_a, b, step_b, y, |a, b| f32::from(a > b)),
        BinaryOp::GreaterOrEqual => line(a, step_a, b, step_b, y, |a, b| f32::from(a >= b)),
        BinaryOp::Power | BinaryOp::PowerByBase | BinaryOp::PowerByExponent | BinaryOp::Exceeds => {
            line(a, step_a, b, step_b, y, |a, b| op.apply(a.into(), b.into()) as f32);
        }
    }
    finish(y, 0.0, activation);
}

/// One line of dy times an activation's derivative. Piecewise-linear ones stay in f32, so that the loop vectorises; the others are the definition, rounded
/// once.
fn gradient(activation: Activation, x: &[f32], step_x: usize, dy: &[f32], step_dy: usize, y: &mut [f32]) {
    match activation {
        Activation::Relu => line(x, step_x, dy, step_dy, y, |x, dy| if x <= 0.0 { 0.0 } else { dy }),
        Activation::LeakyRelu { alpha } => line(x, step_x, dy, step_dy, y, |x, dy| if x <= 0.0 { alpha * dy } else { dy }),
        other if (step_x, step_dy) == (1, 1) && gradients(other, x, dy, y) => {}
        other => line(x, step_x, dy, step_dy, y, |x, dy| other.gradient(x.into(), dy.into()) as f32),
    }
}

#[inline(always)]
fn line(a: &[f32], step_a: usize, b: &[f32], step_b: usize, y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (step_a, step_b) {
        (1, 1) => y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = f(*a, *b)),
        (1, 0) => y.iter_mut().zip(a).for_each(|(y, a)| *y = f(*a, b[0])),
        (0, 1) => y.iter_mut().zip(b).for_each(|(y, b)| *y = f(a[0], *b)),
        _ => y.iter_mut().enumerate().for_each(|(i, y)| *y = f(a[i * step_a], b[i * step_b])),
    }
}

impl Computed for BinaryProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let plain = Self { a_layout: Layout::ChannelsFirst, b_layout: Layout::ChannelsFirst, y_layout: Layout::ChannelsFirst, ..self.clone() };
        binary(self.op, self.activation, &plain.strided_axes(), inputs[0], inputs[1], y);
        Some(())
    }
}

impl Computed for WhereProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let axes = Self { layouts: [Layout::ChannelsFirst; 3], y_layout: Layout::ChannelsFirst, ..self.clone() }.axes();
        let (outer, inner) = axes.split_at(axes.len() - 1);
        let (line, [step_c, step_a, step_b, _]) = (inner[0].0 as usize, inner[0].1.map(|s| s as usize));
        // A line along the fastest axis after the other, cut into blocks.
        let blocks = line.div_ceil(BLOCK);
        let each = line.div_ceil(blocks);
        y.par_chunks_mut(line).enumerate().for_each(|(number, y)| {
            let (mut rest, mut at) = (number, [0usize; 4]);
            for (extent, strides) in outer.iter().rev() {
                let coordinate = rest % *extent as usize;
                rest /= *extent as usize;
                at.iter_mut().zip(strides).for_each(|(at, stride)| *at += coordinate * *stride as usize);
            }
            let one = |i: usize| if inputs[0][at[0] + i * step_c] != 0.0 { inputs[1][at[1] + i * step_a] } else { inputs[2][at[2] + i * step_b] };
            y.par_chunks_mut(each).enumerate().for_each(|(block, y)| y.iter_mut().enumerate().for_each(|(i, y)| *y = one(block * each + i)));
        });
        Some(())
    }
}

/// Numbers of f16 are f32 numbers here, so only a cast to f16 changes any.
impl Computed for CastProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        y.par_chunks_mut(BLOCK).zip(inputs[0].par_chunks(BLOCK)).for_each(|(y, x)| match self.to {
            ElementType::F16 => map(x, y, |x| f16::from_f32(x).to_f32()),
            _ => y.copy_from_slice(x),
        });
        Some(())
    }
}

impl Computed for UnaryProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        unary(self.op, self.activation, inputs[0], y);
        Some(())
    }
}
