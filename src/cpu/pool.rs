//! Pooling on all cores: a task takes channel planes, in vector registers (`pool_rows`) where windows are the same everywhere.

use crate::cpu::Computed;
use crate::cpu::pool_rows::{self, Largest, Mean, Plane, SumOfSizes};
use crate::ops::pool::descriptor::{IndexOrder, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::types::shape::WindowAxis;
use pulp::Arch;
use rayon::prelude::*;

/// y = pool(x), channels-first; a maximum without its index.
pub(crate) fn pool(problem: &PoolProblem, x: &[f32], y: &mut [f32]) {
    let (plane_in, plane_out) = (problem.input_positions() as usize, problem.output_positions() as usize);
    let tables = problem.axes.each_ref().map(|axis| table(problem, axis));
    let (arch, in_rows, unit) = (Arch::new(), pool_rows::suits(problem), problem.power());
    y.par_chunks_mut(plane_out).zip(x.par_chunks(plane_in)).for_each(|(y, x)| match problem.kind {
        PoolKind::Max { .. } if in_rows => arch.dispatch(Plane { problem, tables: &tables, kind: Largest, x, y }),
        PoolKind::Average { .. } if in_rows => arch.dispatch(Plane { problem, tables: &tables, kind: Mean { unit }, x, y }),
        PoolKind::Lp { p: 1.0 } if in_rows => arch.dispatch(Plane { problem, tables: &tables, kind: SumOfSizes, x, y }),
        PoolKind::Max { .. } => {
            let larger = |best: f32, v: f32| if v > best || v.is_nan() { v } else { best };
            windows(problem, &tables, x, y, f32::NEG_INFINITY, larger, |v, _| v);
        }
        // In a unit of which no window's sum leaves f32.
        PoolKind::Average { .. } => windows(problem, &tables, x, y, 0.0, |sum, v| sum + v * unit, |sum, count| sum / (count * unit)),
        PoolKind::Lp { p: 1.0 } => windows(problem, &tables, x, y, 0.0, |sum, v| sum + v.abs(), |sum, _| sum),
        // f64 holds the squares of all f32 numbers.
        PoolKind::Lp { p: 2.0 } => windows(problem, &tables, x, y, 0.0, |sum, v| sum + f64::from(v) * f64::from(v), |sum, _| sum.sqrt() as f32),
        PoolKind::Lp { p } => norms(problem, &tables, f64::from(p), x, y),
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

/// One plane, window by window.
fn windows<T: Copy>(
    problem: &PoolProblem,
    [depth, height, width]: &[Vec<[usize; 3]>; 3],
    x: &[f32],
    y: &mut [f32],
    start: T,
    join: impl Fn(T, f32) -> T,
    finish: impl Fn(T, f32) -> f32,
) {
    let [in_h, in_w] = [problem.axes[1].input as usize, problem.axes[2].input as usize];
    let [dz, dy, dx] = problem.axes.each_ref().map(|a| a.dilation as usize);
    let mut outputs = y.iter_mut();
    for &[z0, nz, cz] in depth {
        for &[y0, ny, cy] in height {
            for (&[x0, nx, cx], out) in width.iter().zip(&mut outputs) {
                let mut value = start;
                for z in 0..nz {
                    for r in 0..ny {
                        let line = ((z0 + z * dz) * in_h + y0 + r * dy) * in_w + x0;
                        value = (0..nx).fold(value, |value, s| join(value, x[line + s * dx]));
                    }
                }
                *out = finish(value, (cz * cy * cx) as f32);
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
