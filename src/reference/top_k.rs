//! The first elements of an order, straight from its definition: a stable sort of each line.

use crate::ops::top_k::{TopKOrder, TopKProblem};
use crate::reference::{Bounded, Referenced};
use std::cmp::Ordering;

impl Referenced for TopKProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let x = inputs[0];
        let extents = &self.x.extents;
        let (length, k) = (extents[self.axis], self.k);
        let [outer, inner] = [&extents[..self.axis], &extents[self.axis + 1..]].map(|axes| axes.iter().product::<usize>());
        let (mut values, mut indices) = (vec![0.0; outer * k * inner], vec![0.0; outer * k * inner]);
        for outer in 0..outer {
            for inner_at in 0..inner {
                let at = |i: usize| x[(outer * length + i) * inner + inner_at];
                let mut order: Vec<usize> = (0..length).collect();
                order.sort_by(|&a, &b| {
                    let up = match (at(a).is_nan(), at(b).is_nan()) {
                        (false, false) => at(a).partial_cmp(&at(b)).unwrap_or(Ordering::Equal),
                        (a, b) => a.cmp(&b),
                    };
                    if self.order == TopKOrder::Largest { up.reverse() } else { up }
                });
                for (rank, &i) in order[..k].iter().enumerate() {
                    let to = (outer * k + rank) * inner + inner_at;
                    (values[to], indices[to]) = (at(i), i as f64);
                }
            }
        }
        vec![Bounded::exact(values), Bounded::exact(indices)]
    }
}
