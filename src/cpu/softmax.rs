//! Softmax on all cores: a task takes a slab of the axis.

use crate::cpu::Computed;
use crate::ops::softmax::SoftmaxProblem;
use crate::types::Layout;
use rayon::prelude::*;

/// y over x as [outer][length][inner].
pub(crate) fn softmax(logarithm: bool, [_, length, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    y.par_chunks_mut(length * inner).zip(x.par_chunks(length * inner)).for_each(|(y, x)| {
        for i in 0..inner {
            let line = || x[i..].iter().step_by(inner).copied();
            let largest = line().fold(f32::NEG_INFINITY, |m, v| if v > m || v.is_nan() { v } else { m });
            // f64: a long line's sum in f32 loses digits that its gradient shows.
            let mut sum = 0.0f64;
            for (y, v) in y[i..].iter_mut().step_by(inner).zip(line()) {
                let e = (v - largest).exp();
                sum += f64::from(e);
                *y = if logarithm { v - largest } else { e };
            }
            let (log, sum) = (sum.ln() as f32, sum as f32);
            y[i..].iter_mut().step_by(inner).for_each(|y| *y = if logarithm { *y - log } else { *y / sum });
        }
    });
}

impl Computed for SoftmaxProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let plain = Self { layout: Layout::ChannelsFirst, ..self.clone() };
        softmax(self.logarithm, plain.lines().map(|e| e as usize), inputs[0], y);
        Some(())
    }
}
