//! Adjoints straight from their ops: every element of dy goes to what it was computed from.

use crate::numeric::bound::gamma;
use crate::ops::Problem;
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::pool::descriptor::PoolKind;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::transform::resize::{Resize, ResizeMode};
use crate::reference::transform::{pad, place, resize_nearest, slice, walk};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Sums that dy is scattered into, with the sums of the magnitudes.
struct Sums {
    value: Vec<f64>,
    magnitude: Vec<f64>,
}

impl Sums {
    fn add(&mut self, i: usize, term: f64) {
        self.value[i] += term;
        self.magnitude[i] += term.abs();
    }
}

/// Numbers 1, 2, ...: an op that moves elements says by them where each came from.
fn numbered(count: usize) -> Vec<f64> {
    (1..=count).map(|i| i as f64).collect()
}

/// dx. Sums of n terms err by gamma_n; each weight is a product of at most three, which are rounded as they are stored (a quotient of whole numbers) and as they
/// are multiplied, and the term itself is one more product.
fn adjoint(problem: &AdjointProblem, inputs: &[&[f64]]) -> Bounded {
    let dy = inputs[0];
    let count = problem.dx().extents.iter().product();
    let mut sums = Sums { value: vec![0.0; count], magnitude: vec![0.0; count] };
    let mut moved =
        |sources: Vec<f64>| sources.iter().zip(dy).filter(|(source, _)| **source > 0.0).for_each(|(source, v)| sums.add(*source as usize - 1, *v));
    match problem.of() {
        AdjointOf::Pad(op) => moved(pad(&op.with_zeros(), &numbered(count))),
        AdjointOf::Slice(op) => moved(slice(op, &numbered(count))),
        AdjointOf::Resize(op) => match op.descriptor().mode {
            ResizeMode::Nearest(mode) => moved(resize_nearest(op, mode, &numbered(count))),
            ResizeMode::Linear => linear(op, dy, &mut sums),
        },
        AdjointOf::Pool(op) => pool(op, dy, inputs.get(1).copied(), &mut sums),
    }
    let roundings = if problem.is_exact() { 0 } else { 9 };
    let factor = gamma(problem.terms() + roundings, ElementType::F32.unit_roundoff());
    Bounded { error: sums.magnitude.iter().map(|magnitude| factor * magnitude).collect(), value: sums.value }
}

fn linear(op: &Resize, dy: &[f64], sums: &mut Sums) {
    let spatial = op.sizes().len();
    let mut values = dy.iter();
    walk(&op.output_extents(), |at| {
        let v = values.next().copied().unwrap_or_default();
        let neighbours: Vec<(usize, usize, f64)> = (0..spatial).map(|axis| op.neighbours(axis, at[2 + axis])).collect();
        for corner in 0..1 << spatial {
            let (mut source, mut weight) = (at.to_vec(), 1.0);
            for (axis, &(first, second, second_weight)) in neighbours.iter().enumerate() {
                let is_second = corner >> axis & 1 == 1;
                source[2 + axis] = if is_second { second } else { first };
                weight *= if is_second { second_weight } else { 1.0 - second_weight };
            }
            if weight != 0.0 {
                sums.add(place(&op.x.extents, &source), weight * v);
            }
        }
    });
}

/// Of an average, its weight to every element of the window; of a maximum, all to the element that the index names, if the window has it.
fn pool(op: &PoolProblem, dy: &[f64], indices: Option<&[f64]>, sums: &mut Sums) {
    let (plane, outputs) = (op.input_positions() as usize, op.output_positions() as usize);
    let [depth, height, width] = &op.axes;
    for (o, &v) in dy.iter().enumerate() {
        let (base, position) = (o / outputs * plane, (o % outputs) as u64);
        let (row, q) = (position / width.output, position % width.output);
        let ((zs, count_z), (ys, count_y), (xs, count_x)) =
            (op.window(depth, row / height.output), op.window(height, row % height.output), op.window(width, q));
        for (z, y) in zs.iter().flat_map(|z| ys.iter().map(move |y| (z, y))) {
            for x in &xs {
                let i = ((z * height.input + y) * width.input + x) as usize;
                match (op.kind, indices) {
                    (PoolKind::Average { .. }, _) => sums.add(base + i, v / (count_z * count_y * count_x) as f64),
                    (PoolKind::Lp { .. }, _) => sums.add(base + i, v),
                    (_, Some(indices)) if indices[o] as usize == i => sums.add(base + i, v),
                    _ => {}
                }
            }
        }
    }
}

impl Referenced for AdjointProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![adjoint(self, inputs)]
    }
}
