//! The first elements of an order on all cores: each line's elements as whole numbers in that order, of which the first k are sorted.

use crate::cpu::Computed;
use crate::ops::top_k::{TopKOrder, TopKProblem};
use rayon::prelude::*;

/// Whole numbers in the order of x's, both zeros alike and every NaN above all numbers; the larger comes first.
fn key(v: f32, order: TopKOrder) -> u32 {
    let bits = v.to_bits();
    let up = match bits & 0x7fff_ffff {
        magnitude if v.is_nan() => magnitude | 0xffff_ffff,
        magnitude if bits >> 31 == 1 => 0x8000_0000 - magnitude,
        magnitude => 0x8000_0000 + magnitude,
    };
    if order == TopKOrder::Largest { up } else { !up }
}

impl Computed for TopKProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        y.copy_from_slice(self.compute_several(inputs)?.first()?);
        Some(())
    }

    fn compute_several(&self, inputs: &[&[f32]]) -> Option<Vec<Vec<f32>>> {
        let (x, extents, k) = (inputs[0], &self.x.extents, self.k);
        let length = extents[self.axis];
        // Indices are numbers here, exact below 2^24.
        if length > 1 << 24 {
            return None;
        }
        let inner: usize = extents[self.axis + 1..].iter().product();
        let lines = x.len() / length;
        let of = |line: usize| -> Vec<u32> {
            let first = line / inner * length * inner + line % inner;
            let mut order: Vec<(u32, u32)> = (0..length).map(|i| (!key(x[first + i * inner], self.order), i as u32)).collect();
            if k < length {
                order.select_nth_unstable(k - 1);
                order.truncate(k);
            }
            order.sort_unstable();
            order.into_iter().map(|(_, i)| i).collect()
        };
        let chosen: Vec<Vec<u32>> = (0..lines).into_par_iter().map(of).collect();
        let (mut values, mut indices) = (vec![0.0; lines * k], vec![0.0; lines * k]);
        for (line, chosen) in chosen.iter().enumerate() {
            let (outer, at) = (line / inner, line % inner);
            for (rank, &i) in chosen.iter().enumerate() {
                let to = (outer * k + rank) * inner + at;
                (values[to], indices[to]) = (x[(outer * length + i as usize) * inner + at], i as f32);
            }
        }
        Some(vec![values, indices])
    }
}
