//! Pooling on all cores: a task takes channel planes, and one output line at a time gathers its window row by row.

use crate::pool::{PoolKind, PoolProblem};
use crate::shape::WindowAxis;
use rayon::prelude::*;

/// y = pool(x), channels-first; a maximum without its index.
pub(crate) fn pool(problem: &PoolProblem, x: &[f32], y: &mut [f32]) {
    let (plane_in, plane_out) = (problem.input_positions() as usize, problem.output_positions() as usize);
    let tables = problem.axes.each_ref().map(|axis| table(problem, axis));
    y.par_chunks_mut(plane_out).zip(x.par_chunks(plane_in)).for_each(|(y, x)| match problem.kind {
        PoolKind::Max { .. } => plane(problem, &tables, x, y, f32::NEG_INFINITY, |best, v| if v > best || v.is_nan() { v } else { best }, |v, _| v),
        PoolKind::Average { .. } => plane(problem, &tables, x, y, 0.0, |sum, v| sum + v, |sum, count| sum / count),
        PoolKind::Lp { p: 1.0 } => plane(problem, &tables, x, y, 0.0, |sum, v| sum + v.abs(), |sum, _| sum),
        PoolKind::Lp { p: 2.0 } => plane(problem, &tables, x, y, 0.0, |sum, v| sum + v * v, |sum, _| sum.sqrt()),
        PoolKind::Lp { p } => plane(problem, &tables, x, y, 0.0, |sum, v| sum + v.abs().powf(p), |sum, _| sum.powf(1.0 / p)),
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

#[inline(always)]
fn plane(
    problem: &PoolProblem,
    [depth, height, width]: &[Vec<[usize; 3]>; 3],
    x: &[f32],
    y: &mut [f32],
    start: f32,
    step: impl Fn(f32, f32) -> f32,
    finish: impl Fn(f32, f32) -> f32,
) {
    let [in_h, in_w] = [problem.axes[1].input as usize, problem.axes[2].input as usize];
    let [dz, dy, dx] = problem.axes.each_ref().map(|a| a.dilation as usize);
    let mut lines = y.chunks_exact_mut(width.len());
    for &[z0, nz, cz] in depth {
        for (&[y0, ny, cy], line) in height.iter().zip(&mut lines) {
            for (&[x0, nx, cx], out) in width.iter().zip(line) {
                let mut value = start;
                for z in 0..nz {
                    for r in 0..ny {
                        let row = &x[((z0 + z * dz) * in_h + y0 + r * dy) * in_w + x0..];
                        for s in 0..nx {
                            value = step(value, row[s * dx]);
                        }
                    }
                }
                *out = finish(value, (cz * cy * cx) as f32);
            }
        }
    }
}
