//! Pools whose window is the same everywhere, a plane at a time in vector registers: the rows of a window are joined first, whole input rows at once, between
//! pads that change nothing; then the joined row is pooled along the width, a stride's phases apart, so that a tap of all outputs reads neighbours.

use crate::ops::pool::problem::PoolProblem;
use pulp::{Simd, WithSimd};

/// What a pool makes of the numbers of its windows.
pub(crate) trait Kind: Copy {
    /// What changes no result: pads, and where a window begins.
    const START: f32;

    fn term<S: Simd>(self, simd: S, v: S::f32s) -> S::f32s;

    fn join<S: Simd>(self, simd: S, all: S::f32s, v: S::f32s) -> S::f32s;

    /// The result of windows of which `count` elements are counted.
    fn finish<S: Simd>(self, simd: S, all: S::f32s, count: S::f32s) -> S::f32s;
}

/// The largest, or NaN where there is one.
#[derive(Clone, Copy)]
pub(crate) struct Largest;

impl Kind for Largest {
    const START: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn term<S: Simd>(self, _: S, v: S::f32s) -> S::f32s {
        v
    }

    #[inline(always)]
    fn join<S: Simd>(self, simd: S, all: S::f32s, v: S::f32s) -> S::f32s {
        let larger = simd.select_f32s(simd.greater_than_f32s(v, all), v, all);
        simd.select_f32s(simd.equal_f32s(v, v), larger, v)
    }

    #[inline(always)]
    fn finish<S: Simd>(self, _: S, all: S::f32s, _: S::f32s) -> S::f32s {
        all
    }
}

/// The mean, summed in a unit (a power of two) of which no window's sum leaves f32.
#[derive(Clone, Copy)]
pub(crate) struct Mean {
    pub unit: f32,
}

impl Kind for Mean {
    const START: f32 = 0.0;

    #[inline(always)]
    fn term<S: Simd>(self, simd: S, v: S::f32s) -> S::f32s {
        simd.mul_f32s(v, simd.splat_f32s(self.unit))
    }

    #[inline(always)]
    fn join<S: Simd>(self, simd: S, all: S::f32s, v: S::f32s) -> S::f32s {
        simd.add_f32s(all, v)
    }

    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, all: S::f32s, count: S::f32s) -> S::f32s {
        simd.div_f32s(all, simd.mul_f32s(count, simd.splat_f32s(self.unit)))
    }
}

/// The sum of absolute values.
#[derive(Clone, Copy)]
pub(crate) struct SumOfSizes;

impl Kind for SumOfSizes {
    const START: f32 = 0.0;

    #[inline(always)]
    fn term<S: Simd>(self, simd: S, v: S::f32s) -> S::f32s {
        simd.abs_f32s(v)
    }

    #[inline(always)]
    fn join<S: Simd>(self, simd: S, all: S::f32s, v: S::f32s) -> S::f32s {
        simd.add_f32s(all, v)
    }

    #[inline(always)]
    fn finish<S: Simd>(self, _: S, all: S::f32s, _: S::f32s) -> S::f32s {
        all
    }
}

/// Numbers of the longest vector.
const LONGEST: usize = 16;

/// Whether windows are the same everywhere, and pads not much longer than rows.
pub(crate) fn suits(problem: &PoolProblem) -> bool {
    let axis = &problem.axes[2];
    let reach = (axis.filter - 1).saturating_mul(axis.dilation);
    !problem.adaptive && axis.pad_begin >= 0 && reach <= 4 * axis.input + 1024 && axis.stride <= reach + axis.input
}

/// One plane of a problem that [`suits`].
pub(crate) struct Plane<'a, K> {
    pub problem: &'a PoolProblem,
    /// By axis and output: first coordinate inside the input, how many taps lie inside, how many a mean counts.
    pub tables: &'a [Vec<[usize; 3]>; 3],
    pub kind: K,
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}

impl<K: Kind> WithSimd for Plane<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { problem, tables: [depth, height, width], kind, x, y } = self;
        let [in_h, in_w] = [problem.axes[1].input as usize, problem.axes[2].input as usize];
        let [step_d, step_h, step_w] = problem.axes.each_ref().map(|axis| axis.dilation as usize);
        let (taps, stride, pad) = (problem.axes[2].filter as usize, problem.axes[2].stride as usize, problem.axes[2].pad_begin as usize);
        let (outputs, reach) = (width.len(), (taps - 1) * step_w);
        let mut joined = vec![K::START; (pad + in_w).max((outputs - 1) * stride + reach + 1) + LONGEST];
        // A phase's places, and what a vector reads past them; of a long stride, only some phases are read.
        let pitch = outputs + reach / stride + LONGEST;
        let mut phases = vec![K::START; if stride == 1 { 0 } else { stride.min(reach + 1) * pitch }];
        let starts: Vec<usize> = (0..taps).map(|s| s * step_w).map(|at| at % stride * pitch + at / stride).collect();
        let mut counts: Vec<f32> = width.iter().map(|[_, _, counted]| *counted as f32).collect();
        counts.resize(outputs + LONGEST, 1.0);
        let mut rows: Vec<usize> = vec![];
        let mut lines = y.chunks_exact_mut(outputs);
        for &[z, taps_d, counted_d] in depth {
            for (&[row, taps_h, counted_h], line) in height.iter().zip(&mut lines) {
                rows.clear();
                for t in 0..taps_d {
                    rows.extend((0..taps_h).map(|r| ((z + t * step_d) * in_h + row + r * step_h) * in_w));
                }
                for at in (0..in_w).step_by(S::F32_LANES) {
                    let mut all = simd.splat_f32s(K::START);
                    for row in &rows {
                        all = kind.join(simd, all, kind.term(simd, load(simd, &x[row + at..])));
                    }
                    store(simd, &mut joined[pad + at..][..S::F32_LANES], all);
                }
                // What the last vector has of the next row.
                joined[pad + in_w..pad + in_w.next_multiple_of(S::F32_LANES)].fill(K::START);
                for (p, phase) in phases.chunks_exact_mut(pitch).enumerate() {
                    apart(stride, &joined[p..], phase);
                }
                let read = if stride == 1 { &joined } else { &phases };
                let counted = simd.splat_f32s((counted_d * counted_h) as f32);
                for (at, line) in line.chunks_mut(S::F32_LANES).enumerate() {
                    let at = at * S::F32_LANES;
                    let mut all = simd.splat_f32s(K::START);
                    for start in &starts {
                        all = kind.join(simd, all, load(simd, &read[start + at..]));
                    }
                    let count = simd.mul_f32s(counted, load(simd, &counts[at..]));
                    store(simd, line, kind.finish(simd, all, count));
                }
            }
        }
    }
}

/// A vector, or what there is of one at the end of a plane.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    match from.get(..S::F32_LANES) {
        Some(whole) => S::as_simd_f32s(whole).0[0],
        None => simd.partial_load_f32s(from),
    }
}

/// A vector, or as much of it as `to` takes.
#[inline(always)]
fn store<S: Simd>(simd: S, to: &mut [f32], values: S::f32s) {
    match S::as_mut_simd_f32s(to) {
        ([whole], _) => *whole = values,
        _ => simd.partial_store_f32s(to, values),
    }
}

/// Every `stride`-th number of `row`, as far as `phase` and `row` go.
#[inline(always)]
fn apart(stride: usize, row: &[f32], phase: &mut [f32]) {
    match stride {
        2 => phase.iter_mut().zip(row.as_chunks::<2>().0).for_each(|(to, [v, _])| *to = *v),
        3 => phase.iter_mut().zip(row.as_chunks::<3>().0).for_each(|(to, [v, ..])| *to = *v),
        stride => phase.iter_mut().zip(row.chunks_exact(stride)).for_each(|(to, v)| *to = v[0]),
    }
}
