//! Softmax on all cores: a task takes a slab of the axis; lines that lie beside each other go together, and loops are compiled for the vectors that there are.

use crate::cpu::Computed;
use crate::cpu::exponential::exp_below_0;
use crate::cpu::reduce::sum_of;
use crate::ops::softmax::SoftmaxProblem;
use crate::types::Layout;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Neighbouring lines that are computed at once.
const LINES: usize = 64;

#[inline(always)]
fn larger(m: f32, v: f32) -> f32 {
    if v > m || v.is_nan() { v } else { m }
}

/// y over x as [outer][length][inner].
pub(crate) fn softmax(logarithm: bool, [_, length, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    let arch = Arch::new();
    y.par_chunks_mut(length * inner).zip(x.par_chunks(length * inner)).for_each(|(y, x)| arch.dispatch(Slab { logarithm, inner, x, y }));
}

/// The lines of one outer index.
struct Slab<'a> {
    logarithm: bool,
    inner: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Slab<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { logarithm, inner, x, y } = self;
        if inner == 1 {
            return line(logarithm, x, y);
        }
        for first in (0..inner).step_by(LINES) {
            lines(logarithm, inner, first..inner.min(first + LINES), x, y);
        }
    }
}

/// One line of neighbours. Each loop does one thing, so that it stays in vectors.
#[inline(always)]
fn line(logarithm: bool, x: &[f32], y: &mut [f32]) {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *v);
        }
    }
    let largest = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, v| larger(m, *v));
    y.iter_mut().zip(x).for_each(|(y, x)| *y = exp_below_0(*x - largest));
    // f64: a long line's sum in f32 loses digits that its gradient shows.
    let sum = sum_of(y, f64::from);
    if logarithm {
        let log = sum.ln() as f32;
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (*x - largest) - log);
    } else {
        let sum = sum as f32;
        y.iter_mut().for_each(|y| *y /= sum);
    }
}

/// Lines beside each other: those at `own` of each step along the axis.
#[inline(always)]
fn lines(logarithm: bool, inner: usize, own: Range<usize>, x: &[f32], y: &mut [f32]) {
    let (mut largest, mut sums) = ([f32::NEG_INFINITY; LINES], [0.0f64; LINES]);
    for x in x.chunks_exact(inner) {
        largest.iter_mut().zip(&x[own.clone()]).for_each(|(m, v)| *m = larger(*m, *v));
    }
    for (y, x) in y.chunks_exact_mut(inner).zip(x.chunks_exact(inner)) {
        let (y, x) = (&mut y[own.clone()], &x[own.clone()]);
        y.iter_mut().zip(x).zip(&largest).for_each(|((y, x), largest)| *y = exp_below_0(*x - *largest));
        sums.iter_mut().zip(y).for_each(|(sum, e)| *sum += f64::from(*e));
    }
    let totals = sums.map(|sum| if logarithm { sum.ln() as f32 } else { sum as f32 });
    for (y, x) in y.chunks_exact_mut(inner).zip(x.chunks_exact(inner)) {
        let (y, x) = (&mut y[own.clone()], &x[own.clone()]);
        if logarithm {
            y.iter_mut().zip(x).zip(largest.iter().zip(&totals)).for_each(|((y, x), (largest, log))| *y = (*x - *largest) - *log);
        } else {
            y.iter_mut().zip(&totals).for_each(|(y, sum)| *y /= *sum);
        }
    }
}

impl Computed for SoftmaxProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let plain = Self { layout: Layout::ChannelsFirst, ..self.clone() };
        softmax(self.logarithm, plain.lines().map(|e| e as usize), inputs[0], y);
        Some(())
    }
}
