//! Reductions on all cores, where the reduced axes lie together, as they do in networks; other sets are left to the reference.

use crate::cpu::Computed;
use crate::numeric::sum_unit;
use crate::ops::reduce::{ArgmaxProblem, ReduceKind, ReduceProblem};
use rayon::prelude::*;

/// y over x as [outer][n][inner], channels-first; `None` where reduced axes do not lie together.
pub(crate) fn reduce(problem: &ReduceProblem, x: &[f32], y: &mut [f32]) -> Option<()> {
    let first = problem.reduced.iter().position(|r| *r)?;
    let last = problem.reduced.iter().rposition(|r| *r)?;
    if !problem.reduced[first..=last].iter().all(|r| *r) {
        return None;
    }
    let n: usize = problem.x[first..=last].iter().product();
    let inner: usize = problem.x[last + 1..].iter().product();
    // A mean sums in a unit of which no sum leaves f32.
    let unit = if problem.kind == ReduceKind::Mean { sum_unit(n as u64) } else { 1.0 };
    let divisor = if problem.kind == ReduceKind::Mean { n as f32 * unit } else { 1.0 };
    let max = problem.kind == ReduceKind::Max;
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    y.par_chunks_mut(inner).zip(x.par_chunks(n * inner)).for_each(|(y, x)| {
        if inner == 1 {
            y[0] = if max { x.iter().copied().fold(f32::NEG_INFINITY, larger) } else { sum_of(x, |v| v * unit) / divisor };
            return;
        }
        y.fill(if max { f32::NEG_INFINITY } else { 0.0 });
        for line in x.chunks_exact(inner) {
            if max {
                y.iter_mut().zip(line).for_each(|(y, v)| *y = larger(*y, *v));
            } else {
                y.iter_mut().zip(line).for_each(|(y, v)| *y += v * unit);
            }
        }
        if divisor != 1.0 {
            y.iter_mut().for_each(|y| *y /= divisor);
        }
    });
    Some(())
}

/// The sum of a term of each element, in sixteen lanes, which the compiler keeps in vector registers.
#[inline(always)]
pub(crate) fn sum_of<T: Copy + std::iter::Sum + std::ops::AddAssign + std::ops::Add<Output = T> + Default>(x: &[f32], term: impl Fn(f32) -> T) -> T {
    let mut lanes = [T::default(); 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += term(*v);
        }
    }
    lanes.into_iter().sum::<T>() + rest.iter().map(|v| term(*v)).sum::<T>()
}

impl Computed for ReduceProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        reduce(self, inputs[0], y)
    }
}

impl Computed for ArgmaxProblem {
    fn compute(&self, _: &[&[f32]], _: &mut [f32]) -> Option<()> {
        None // indices are no f32
    }
}
