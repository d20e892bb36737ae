//! The weights of linear interpolation, along each axis.

use crate::ops::transform::resize::{Resize, ResizeMode};
use crate::types::ElementType;

/// Two elements of an axis of x, and the weight of the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tap {
    pub first: usize,
    pub second: usize,
    pub weight: f32,
}

/// Those of coordinate `o` of y along a spatial axis. A weight that rounds to 0 or 1 in f32 does so here, once for every engine.
pub(crate) fn tap(problem: &Resize, axis: usize, o: usize) -> Tap {
    let (first, second, weight) = problem.neighbours(axis, o);
    Tap { first, second, weight: weight as f32 }
}

/// Per spatial axis and coordinate of y: for an engine that has x in memory.
pub(crate) fn taps(problem: &Resize) -> Vec<Vec<Tap>> {
    problem.sizes().iter().enumerate().map(|(axis, &size)| (0..size).map(|o| tap(problem, axis, o)).collect()).collect()
}

/// Longest axis of which every weight is looked at.
const MOST_WEIGHTS: usize = 1 << 16;

/// Whether no kernel rounds on small integers: every weight is a multiple of 1/16. Three of them multiply to 12 binary places, and with
/// integers up to 4 that is 15 bits of f32's 24. f16 stores 11 bits: integers up to 3 leave it 9, hence 3 axes of multiples of 1/4, 6 places.
/// An axis too long to look at all of it counts as one that rounds.
pub(crate) fn is_exact(problem: &Resize) -> bool {
    let units = if problem.x.element == ElementType::F16 { 4.0 } else { 16.0 };
    let is_exact = |(axis, &size): (usize, &usize)| (0..size).all(|o| (tap(problem, axis, o).weight * units).fract() == 0.0);
    problem.sizes().iter().all(|&size| size <= MOST_WEIGHTS) && problem.sizes().iter().enumerate().all(is_exact)
}

/// Four operations per blend (1 - w, a product, a multiply-add of two), and 2^k - 1 blends per output of k axes. Nearest computes nothing.
pub(crate) fn flops(problem: &Resize) -> f64 {
    match problem.descriptor.mode {
        ResizeMode::Nearest(_) => 0.0,
        ResizeMode::Linear => {
            4.0 * f64::from((1u32 << problem.sizes().len()) - 1) * problem.output_extents().iter().map(|&e| e as f64).product::<f64>()
        }
    }
}
