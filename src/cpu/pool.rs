//! Pooling on all cores: a task takes channel planes, an output line at a time.

use crate::cpu::Computed;
use crate::ops::pool::descriptor::{IndexOrder, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::types::shape::WindowAxis;
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;

/// y = pool(x), channels-first; a maximum without its index.
pub(crate) fn pool(problem: &PoolProblem, x: &[f32], y: &mut [f32]) {
    let (plane_in, plane_out) = (problem.input_positions() as usize, problem.output_positions() as usize);
    let tables = problem.axes.each_ref().map(|axis| table(problem, axis));
    let larger = |best: f32, v: f32| if v > best || v.is_nan() { v } else { best };
    let add = |sum: f32, v: f32| sum + v;
    let unit = problem.power();
    y.par_chunks_mut(plane_out).zip(x.par_chunks(plane_in)).for_each(|(y, x)| {
        Arch::new().dispatch(
            #[inline(always)]
            || match problem.kind {
                PoolKind::Max { .. } => plane(problem, &tables, x, y, f32::NEG_INFINITY, |v| v, larger, |v, _| v),
                // In a unit of which no window's sum leaves f32.
                PoolKind::Average { .. } => plane(problem, &tables, x, y, 0.0, |v| v * unit, add, |sum, count| sum / (count * unit)),
                PoolKind::Lp { p: 1.0 } => plane(problem, &tables, x, y, 0.0, f32::abs, add, |sum, _| sum),
                // f64 holds the squares of all f32 numbers.
                PoolKind::Lp { p: 2.0 } => {
                    plane(problem, &tables, x, y, 0.0, |v| f64::from(v) * f64::from(v), |sum, v| sum + v, |sum, _| sum.sqrt() as f32);
                }
                PoolKind::Lp { p } => norms(problem, &tables, f64::from(p), x, y),
            },
        );
    });
}

/// By output: first coordinate inside the input, how many taps lie inside, how many an average counts.
fn table(problem: &PoolProblem, axis: &WindowAxis) -> Vec<[usize; 3]> {
    let include_pad = problem.kind == PoolKind::Average { count_include_pad: true };
    (0..axis.output)
        .map(|o| {
            if problem.adaptive {
                let first = o * axis.input / axis.output;
                let count = ((o + 1) * axis.input).div_ceil(axis.output) - first;
                return [first as usize, count as usize, count as usize];
            }
            let start = (o * axis.stride) as i64 - axis.pad_begin;
            let taps = (0..axis.filter as i64).map(|tap| start + tap * axis.dilation as i64);
            let inside = |i: &i64| *i >= 0 && *i < axis.input as i64;
            let count = taps.clone().filter(inside).count();
            let padded = taps.clone().filter(|i| *i < axis.input as i64 + axis.pad_end).count();
            [taps.clone().find(inside).unwrap_or(0) as usize, count, if include_pad { padded } else { count }]
        })
        .collect()
}

/// One plane of norms of any order: powers of elements over the largest of their window, of which none overflows.
fn norms(problem: &PoolProblem, [depth, height, width]: &[Vec<[usize; 3]>; 3], p: f64, x: &[f32], y: &mut [f32]) {
    let [in_h, in_w] = [problem.axes[1].input as usize, problem.axes[2].input as usize];
    let [dz, dy, dx] = problem.axes.each_ref().map(|a| a.dilation as usize);
    let outputs = depth.iter().flat_map(|z| height.iter().flat_map(move |y| width.iter().map(move |x| (z, y, x))));
    for (&(&[z0, nz, _], &[y0, ny, _], &[x0, nx, _]), out) in outputs.collect::<Vec<_>>().iter().zip(y) {
        let lines = (0..nz).flat_map(|z| (0..ny).map(move |r| ((z0 + z * dz) * in_h + y0 + r * dy) * in_w + x0));
        let window: Vec<f64> = lines.flat_map(|line| (0..nx).map(move |s| f64::from(x[line + s * dx].abs()))).collect();
        let largest = window.iter().copied().fold(0.0, f64::max);
        let scale = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
        *out = (scale * window.iter().map(|v| (v / scale).powf(p)).sum::<f64>().powf(1.0 / p)) as f32;
    }
}

/// Outputs whose windows lie inside the input along the width, so that neighbouring ones read a stride apart.
fn inner(problem: &PoolProblem, width: &[[usize; 3]]) -> Range<usize> {
    let taps = problem.axes[2].filter as usize;
    let is_whole = |[_, inside, counted]: &[usize; 3]| !problem.adaptive && *inside == taps && *counted == taps;
    let first = width.iter().position(is_whole).unwrap_or(width.len());
    let count = width[first..].iter().take_while(|output| is_whole(output)).count();
    first..first + count
}

/// One plane. A window's step is the same along every axis, so its rows are joined first, whole input rows at a time, and the joined row is pooled along the
/// width: a stride's phases apart, so that a tap of all inner outputs reads neighbours. The compiler keeps both in vector registers.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the geometry, the planes, and the four parts of a kind")]
fn plane<T: Copy>(
    problem: &PoolProblem,
    [depth, height, width]: &[Vec<[usize; 3]>; 3],
    x: &[f32],
    y: &mut [f32],
    start: T,
    term: impl Fn(f32) -> T,
    join: impl Fn(T, T) -> T,
    finish: impl Fn(T, f32) -> f32,
) {
    let [in_h, in_w] = [problem.axes[1].input as usize, problem.axes[2].input as usize];
    let [dz, dy, dx] = problem.axes.each_ref().map(|a| a.dilation as usize);
    let (taps, stride) = (problem.axes[2].filter as usize, problem.axes[2].stride as usize);
    let inner = inner(problem, width);
    let origin = width.get(inner.start).map_or(0, |[x0, ..]| *x0);
    // Steps from the first tap of an inner window to its last: none where no window lies inside, which then may be of any length.
    let (taps, reach) = if inner.is_empty() { (0, 0) } else { (taps, (taps - 1) * dx) };
    // Places of a phase that the inner outputs read; of a long stride, only some phases are read.
    let pitch = inner.len() + reach / stride;
    let mut joined = vec![start; in_w];
    let mut phases = vec![start; if inner.is_empty() || stride == 1 { 0 } else { stride.min(reach + 1) * pitch }];
    let mut pooled = vec![start; inner.len()];
    let mut lines = y.chunks_exact_mut(width.len());
    for &[z0, nz, cz] in depth {
        for (&[y0, ny, cy], line) in height.iter().zip(&mut lines) {
            joined.fill(start);
            for (z, r) in (0..nz).flat_map(|z| (0..ny).map(move |r| (z, r))) {
                let row = &x[((z0 + z * dz) * in_h + y0 + r * dy) * in_w..][..in_w];
                joined.iter_mut().zip(row).for_each(|(j, v)| *j = join(*j, term(*v)));
            }
            if !phases.is_empty() {
                for (p, phase) in phases.chunks_exact_mut(pitch).enumerate() {
                    let read = joined.get(origin + p..).unwrap_or(&[]);
                    match stride {
                        2 => phase.iter_mut().zip(read.iter().step_by(2)).for_each(|(to, v)| *to = *v),
                        _ => phase.iter_mut().zip(read.iter().step_by(stride)).for_each(|(to, v)| *to = *v),
                    }
                }
            }
            pooled.fill(start);
            for s in 0..taps {
                let read = if phases.is_empty() {
                    joined.get(origin + s * dx..).unwrap_or(&[])
                } else {
                    &phases[s * dx % stride * pitch + s * dx / stride..]
                };
                pooled.iter_mut().zip(read).for_each(|(value, v)| *value = join(*value, *v));
            }
            let whole = (cz * cy * taps) as f32;
            line[inner.clone()].iter_mut().zip(&pooled).for_each(|(out, value)| *out = finish(*value, whole));
            for q in (0..inner.start).chain(inner.end..width.len()) {
                let [x0, nx, cx] = width[q];
                let value = (0..nx).fold(start, |value, s| join(value, joined[x0 + s * dx]));
                line[q] = finish(value, (cz * cy * cx) as f32);
            }
        }
    }
}

impl Computed for PoolProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        pool(self, inputs[0], y);
        Some(())
    }

    fn compute_several(&self, inputs: &[&[f32]]) -> Option<Vec<Vec<f32>>> {
        // f32 counts to 2^24.
        let is_row_major = self.indices() == Some(IndexOrder::RowMajor) && self.input_positions() < 1 << 24;
        is_row_major.then(|| maxima(self, inputs[0]))
    }
}

/// The largest elements and where they stand, the first of equals in row-major order; NaN wins.
fn maxima(problem: &PoolProblem, x: &[f32]) -> Vec<Vec<f32>> {
    let (plane_in, plane_out) = (problem.input_positions() as usize, problem.output_positions() as usize);
    let [depth, height, width] = problem.axes.each_ref().map(|axis| table(problem, axis));
    let [in_h, in_w] = [problem.axes[1].input as usize, problem.axes[2].input as usize];
    let [dz, dy, dx] = problem.axes.each_ref().map(|a| a.dilation as usize);
    let count = x.len() / plane_in * plane_out;
    let (mut y, mut indices) = (vec![0.0; count], vec![0.0; count]);
    y.par_chunks_mut(plane_out).zip(indices.par_chunks_mut(plane_out)).zip(x.par_chunks(plane_in)).for_each(|((y, indices), x)| {
        let mut outputs = y.iter_mut().zip(indices);
        for (&[z0, nz, _], &[y0, ny, _]) in depth.iter().flat_map(|z| height.iter().map(move |y| (z, y))) {
            for (&[x0, nx, _], (y, index)) in width.iter().zip(&mut outputs) {
                let first = (z0 * in_h + y0) * in_w + x0;
                let (mut best, mut at) = (x[first], first);
                for (z, r) in (0..nz).flat_map(|z| (0..ny).map(move |r| (z, r))) {
                    let line = ((z0 + z * dz) * in_h + y0 + r * dy) * in_w + x0;
                    for place in (0..nx).map(|s| line + s * dx) {
                        if x[place] > best || x[place].is_nan() && !best.is_nan() {
                            (best, at) = (x[place], place);
                        }
                    }
                }
                (*y, *index) = (best, at as f32);
            }
        }
    });
    vec![y, indices]
}

/// Positions of a plane whose indices are exact in f32.
const EXACT: u64 = 1 << 24;

impl Computed for MaxUnpoolProblem {
    /// A plane after the other, its elements in order, so that of equal indices the last wins.
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let [plane_x, plane_y] = self.positions();
        if plane_y > EXACT {
            return None;
        }
        let (planes_x, planes_i) = (inputs[0].par_chunks(plane_x as usize), inputs[1].par_chunks(plane_x as usize));
        y.par_chunks_mut(plane_y as usize).zip(planes_x).zip(planes_i).for_each(|((y, x), indices)| {
            y.fill(0.0);
            for (&x, &index) in x.iter().zip(indices) {
                if let Some(y) = y.get_mut(index as usize) {
                    *y = x;
                }
            }
        });
        Some(())
    }
}

impl Computed for MaxUnpoolGradient {
    fn compute(&self, inputs: &[&[f32]], dx: &mut [f32]) -> Option<()> {
        let [plane_x, plane_y] = self.of.positions();
        if plane_y > EXACT {
            return None;
        }
        let (planes_y, planes_i) = (inputs[0].par_chunks(plane_y as usize), inputs[1].par_chunks(plane_x as usize));
        dx.par_chunks_mut(plane_x as usize).zip(planes_y).zip(planes_i).for_each(|((dx, dy), indices)| {
            // From the last to the first: an output that is taken has its winner.
            let mut taken = vec![false; dy.len()];
            for (dx, &index) in dx.iter_mut().zip(indices).rev() {
                let was_taken = taken.get_mut(index as usize).is_none_or(|taken| std::mem::replace(taken, true));
                *dx = if was_taken { 0.0 } else { dy[index as usize] };
            }
        });
        Some(())
    }
}
