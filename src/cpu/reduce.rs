//! Reductions on all cores: one run of neighbouring reduced axes after the other, the last one first. Sums are f64: the engine's are exact enough for
//! gradients that cancel.

use crate::cpu::Computed;
use crate::ops::reduce::{ArgmaxProblem, ReduceKind, ReduceProblem};
use rayon::prelude::*;

/// y over x as [outer][n][inner], channels-first; a mean of means of equally many is the mean.
pub(crate) fn reduce(problem: &ReduceProblem, x: &[f32], y: &mut [f32]) {
    let mut extents: Vec<(usize, bool)> = vec![];
    for (&extent, &reduced) in problem.x.iter().zip(&problem.reduced) {
        match extents.last_mut() {
            Some((whole, same)) if *same == reduced => *whole *= extent,
            _ => extents.push((extent, reduced)),
        }
    }
    let runs = extents.iter().filter(|(_, reduced)| *reduced).count();
    if runs == 0 {
        y.copy_from_slice(x);
        return;
    }
    let mut owned: Vec<f32> = vec![];
    for run in 0..runs {
        let Some(at) = extents.iter().rposition(|(_, reduced)| *reduced) else { return };
        let (n, inner): (usize, usize) = (extents[at].0, extents[at + 1..].iter().map(|(extent, _)| extent).product());
        let source: &[f32] = if run == 0 { x } else { &owned };
        if run + 1 == runs {
            run_of(problem.kind, n, inner, source, y);
        } else {
            let mut next = vec![0.0; source.len() / n];
            run_of(problem.kind, n, inner, source, &mut next);
            owned = next;
        }
        extents[at] = (1, false);
    }
}

fn run_of(kind: ReduceKind, n: usize, inner: usize, x: &[f32], y: &mut [f32]) {
    let divisor = if kind == ReduceKind::Mean { n as f64 } else { 1.0 };
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let smaller = |a: f32, b: f32| if b < a || b.is_nan() { b } else { a };
    y.par_chunks_mut(inner).zip(x.par_chunks(n * inner)).for_each_init(Vec::new, |sums: &mut Vec<f64>, (y, x)| match (kind, inner) {
        (ReduceKind::Max, _) => folded(f32::NEG_INFINITY, x, y, larger),
        (ReduceKind::Min, _) => folded(f32::INFINITY, x, y, smaller),
        (ReduceKind::Prod, _) => {
            sums.clear();
            sums.resize(inner, 1.0);
            x.chunks_exact(inner).for_each(|line| sums.iter_mut().zip(line).for_each(|(product, v)| *product *= f64::from(*v)));
            y.iter_mut().zip(sums.iter()).for_each(|(y, product)| *y = *product as f32);
        }
        (_, 1) => y[0] = (sum_of(x, f64::from) / divisor) as f32,
        (_, _) => {
            sums.clear();
            sums.resize(inner, 0.0);
            x.chunks_exact(inner).for_each(|line| sums.iter_mut().zip(line).for_each(|(sum, v)| *sum += f64::from(*v)));
            y.iter_mut().zip(sums.iter()).for_each(|(y, sum)| *y = (sum / divisor) as f32);
        }
    });
}

/// x as [n][inner], folded over n.
#[inline(always)]
fn folded(start: f32, x: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    if let [y] = y {
        *y = x.iter().copied().fold(start, f);
        return;
    }
    y.fill(start);
    x.chunks_exact(y.len()).for_each(|line| y.iter_mut().zip(line).for_each(|(y, v)| *y = f(*y, *v)));
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
        reduce(self, inputs[0], y);
        Some(())
    }
}

impl Computed for ArgmaxProblem {
    fn compute(&self, _: &[&[f32]], _: &mut [f32]) -> Option<()> {
        None // indices are no f32
    }
}
