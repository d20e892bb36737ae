//! Gather and scatter on all cores, f32. A scatter walks the updates of an outer coordinate in their order, so its bits do not depend on the threads.

use crate::cpu::Computed;
use crate::ops::indexed::{GatherProblem, Geometry, ScatterProblem, ScatterReduction};
use rayon::prelude::*;

/// Elements that are worth a task of their own.
const GRAIN: usize = 1 << 14;

/// The place that the row of numbers from `first` on names. [`crate::cpu::compute`] has checked the numbers.
fn place(geometry: &Geometry, indices: &[f32], first: usize) -> usize {
    let mut place = 0;
    for (number, &extent) in indices[first..].iter().zip(&geometry.extents) {
        let front = if *number < 0.0 { f64::from(*number) + extent as f64 } else { f64::from(*number) };
        place = place * extent as usize + front as usize;
    }
    place
}

impl Computed for GatherProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (geometry, x, indices) = (&self.geometry, inputs[0], inputs[1]);
        let [inner, rows, places] = [geometry.inner, geometry.rows, geometry.places()].map(|count| count as usize);
        y.par_chunks_mut(inner).with_min_len((GRAIN / inner).max(1)).enumerate().for_each(|(number, y)| {
            let (outer, row) = (number / rows, number % rows);
            let x = &x[outer * places * inner..][..places * inner];
            let at = |i: usize| place(geometry, indices, geometry.first(outer as u64, row as u64, i as u64)) * inner;
            if geometry.steps[2] == 0 {
                y.copy_from_slice(&x[at(0)..][..inner]);
            } else {
                y.iter_mut().enumerate().for_each(|(i, y)| *y = x[at(i) + i]);
            }
        });
        Some(())
    }
}

impl Computed for ScatterProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (geometry, indices, updates) = (&self.geometry, inputs[1], inputs[2]);
        let [inner, rows, places] = [geometry.inner, geometry.rows, geometry.places()].map(|count| count as usize);
        y.copy_from_slice(inputs[0]);
        let into = |own: &mut f32, v: f32| match self.descriptor.reduction {
            ScatterReduction::Last => *own = v,
            ScatterReduction::Add => *own += v,
            ScatterReduction::Mul => *own *= v,
            ScatterReduction::Max => {
                if v > *own || v.is_nan() {
                    *own = v
                }
            }
            ScatterReduction::Min => {
                if v < *own || v.is_nan() {
                    *own = v
                }
            }
        };
        y.par_chunks_mut(places * inner).enumerate().for_each(|(outer, y)| {
            for row in 0..rows {
                let updates = &updates[(outer * rows + row) * inner..][..inner];
                let at = |i: usize| place(geometry, indices, geometry.first(outer as u64, row as u64, i as u64)) * inner;
                if geometry.steps[2] == 0 {
                    y[at(0)..][..inner].iter_mut().zip(updates).for_each(|(own, v)| into(own, *v));
                } else {
                    updates.iter().enumerate().for_each(|(i, v)| into(&mut y[at(i) + i], *v));
                }
            }
        });
        Some(())
    }
}
