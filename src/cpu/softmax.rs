//! Softmax on all cores: a task takes a slab of the axis; lines that lie beside each other go together, and loops are compiled for the vectors that there are.

use crate::cpu::Computed;
use crate::cpu::exponential::exp_below_0;
use crate::ops::softmax::SoftmaxProblem;
use crate::types::Layout;
use pulp::Arch;
use rayon::prelude::*;

/// Neighbouring lines that are computed at once.
const LINES: usize = 64;

#[inline(always)]
fn larger(m: f32, v: f32) -> f32 {
    if v > m || v.is_nan() { v } else { m }
}

/// y over x as [outer][length][inner].
pub(crate) fn softmax(logarithm: bool, [_, length, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    let arch = Arch::new();
    y.par_chunks_mut(length * inner).zip(x.par_chunks(length * inner)).for_each(|(y, x)| {
        arch.dispatch(
            #[inline(always)]
            || {
                if inner == 1 {
                    line(logarithm, x, y);
                } else {
                    (0..inner).step_by(LINES).for_each(|first| lines(logarithm, inner, first..inner.min(first + LINES), x, y));
                }
            },
        );
    });
}

/// One line of neighbours.
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
    // f64: a long line's sum in f32 loses digits that its gradient shows.
    let mut sums = [0.0f64; 16];
    let (places, last) = y.as_chunks_mut::<16>();
    for (y, x) in places.iter_mut().zip(chunks) {
        for ((y, x), sum) in y.iter_mut().zip(x).zip(&mut sums) {
            let d = *x - largest;
            let e = exp_below_0(d);
            *sum += f64::from(e);
            *y = if logarithm { d } else { e };
        }
    }
    for ((y, x), sum) in last.iter_mut().zip(rest).zip(&mut sums) {
        let d = *x - largest;
        let e = exp_below_0(d);
        *sum += f64::from(e);
        *y = if logarithm { d } else { e };
    }
    let sum: f64 = sums.iter().sum();
    let (log, sum) = (sum.ln() as f32, sum as f32);
    if logarithm {
        y.iter_mut().for_each(|y| *y -= log);
    } else {
        y.iter_mut().for_each(|y| *y /= sum);
    }
}

/// Lines beside each other: those at `own` of each step along the axis.
#[inline(always)]
fn lines(logarithm: bool, inner: usize, own: std::ops::Range<usize>, x: &[f32], y: &mut [f32]) {
    let (mut largest, mut sums) = ([f32::NEG_INFINITY; LINES], [0.0f64; LINES]);
    for x in x.chunks_exact(inner) {
        largest.iter_mut().zip(&x[own.clone()]).for_each(|(m, v)| *m = larger(*m, *v));
    }
    for (y, x) in y.chunks_exact_mut(inner).zip(x.chunks_exact(inner)) {
        for (((y, x), largest), sum) in y[own.clone()].iter_mut().zip(&x[own.clone()]).zip(&largest).zip(&mut sums) {
            let d = *x - *largest;
            let e = exp_below_0(d);
            *sum += f64::from(e);
            *y = if logarithm { d } else { e };
        }
    }
    let totals = sums.map(|sum| if logarithm { sum.ln() as f32 } else { sum as f32 });
    for y in y.chunks_exact_mut(inner) {
        for (y, total) in y[own.clone()].iter_mut().zip(&totals) {
            *y = if logarithm { *y - *total } else { *y / *total };
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
