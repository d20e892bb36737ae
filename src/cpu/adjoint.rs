//! Adjoints on all cores: each element of dx gathers what it went into.

use crate::cpu::Computed;
use crate::ops::adjoint::{AdjointProblem, Gathered};
use crate::types::tensor_type::TensorType;
use rayon::prelude::*;

/// Elements of dx that are worth a task of their own.
const GRAIN: usize = 1 << 12;

impl Gathered {
    fn of(&self, i: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// Every element where it is.
    fn identity(extent: usize) -> Self {
        Self { starts: (0..=extent as u32).collect(), entries: (0..extent as u32).map(|i| (i, 1.0)).collect() }
    }
}

impl Computed for AdjointProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (dx, dy) = (self.dx(), self.dy());
        let gathered = self.axes();
        let rank = dx.rank();
        // Rows of the last axis; a scalar is one.
        let Some(inner) = dx.extents.last().copied() else {
            y.copy_from_slice(inputs[0]);
            return Some(());
        };
        let tables: Vec<Gathered> =
            (0..rank).map(|axis| if gathered.contains(&axis) { self.gathered(axis) } else { Gathered::identity(dx.extents[axis]) }).collect();
        let strides = TensorType::logical_strides(&dy);
        let spatial = dx.extents[2.min(rank)..].iter().product::<usize>();
        let (dy, indices) = (inputs[0], inputs.get(1).copied());
        y.par_chunks_mut(inner).with_min_len((GRAIN / inner).max(1)).enumerate().for_each(|(row, y)| {
            // What the outer axes gather: offsets into dy, with weights, in ascending order.
            let mut lines = vec![(0usize, 1.0f32)];
            let (mut rest, mut coordinates) = (row, vec![0; rank - 1]);
            for axis in (0..rank - 1).rev() {
                coordinates[axis] = rest % dx.extents[axis];
                rest /= dx.extents[axis];
            }
            for (axis, &i) in coordinates.iter().enumerate() {
                let step = strides[axis] as usize;
                let list = tables[axis].of(i);
                lines = lines.iter().flat_map(|&(at, w)| list.iter().map(move |&(o, v)| (at + o as usize * step, w * v))).collect();
            }
            let first = (row * inner) % spatial.max(1);
            for (i, y) in y.iter_mut().enumerate() {
                let list = tables[rank - 1].of(i);
                let mut sum = 0.0;
                for &(line, weight) in &lines {
                    for &(o, own) in list {
                        let at = line + o as usize;
                        if indices.is_none_or(|indices| indices[at] as usize == first + i) {
                            sum += weight * own * dy[at];
                        }
                    }
                }
                *y = sum;
            }
        });
        Some(())
    }
}
