//! Gather and scatter straight from their definitions.

use crate::numeric::bound::{UNDERFLOW, gamma};
use crate::ops::indexed::{GatherProblem, Geometry, ScatterProblem, ScatterReduction};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Calls `visit` with every row element in row-major order: its element in x, `None` where the index is none.
fn walk_rows(geometry: &Geometry, indices: &[f64], mut visit: impl FnMut(Option<usize>)) {
    for outer in 0..geometry.outer {
        for row in 0..geometry.rows {
            for inner in 0..geometry.inner {
                let numbers = indices[geometry.first(outer, row, inner)..].iter().copied();
                let place = geometry.place(numbers);
                visit(place.map(|place| ((outer * geometry.places() + place) * geometry.inner + inner) as usize));
            }
        }
    }
}

impl Referenced for GatherProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let mut y = Vec::new();
        walk_rows(&self.geometry, inputs[1], |at| y.push(at.map_or(0.0, |at| inputs[0][at])));
        vec![Bounded::exact(y)]
    }
}

/// A sum of n updates and an element rounds n times the absolute terms, a product n times itself, and each product may lose what is below the smallest normal
/// number; the other reductions choose.
impl Referenced for ScatterProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let (x, updates) = (inputs[0], inputs[2]);
        let mut y = x.to_vec();
        let mut magnitude: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        let mut counts = vec![0u64; x.len()];
        let mut update = updates.iter();
        walk_rows(&self.geometry, inputs[1], |at| {
            let (Some(at), Some(&v)) = (at, update.next()) else { return };
            counts[at] += 1;
            magnitude[at] += v.abs();
            let own = y[at];
            y[at] = match self.descriptor.reduction {
                ScatterReduction::Last => v,
                ScatterReduction::Add => own + v,
                ScatterReduction::Mul => own * v,
                ScatterReduction::Max => {
                    if v > own || v.is_nan() {
                        v
                    } else {
                        own
                    }
                }
                ScatterReduction::Min => {
                    if v < own || v.is_nan() {
                        v
                    } else {
                        own
                    }
                }
            };
        });
        let u = ElementType::F32.unit_roundoff();
        let error = (0..y.len()).map(|i| match (self.descriptor.reduction, counts[i]) {
            (_, 0) => 0.0,
            (ScatterReduction::Add, n) => gamma(n, u) * magnitude[i],
            (ScatterReduction::Mul, n) => gamma(n, u) * y[i].abs() + UNDERFLOW,
            _ => 0.0,
        });
        let error = error.collect();
        vec![Bounded { value: y, error }]
    }
}
