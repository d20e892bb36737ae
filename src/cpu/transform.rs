//! Shape ops on all cores, f32, in logical order: strided copies and gathers by table.

use crate::cpu::Computed;
use crate::ops::transform::NOTHING;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::DepthToSpace;
use crate::ops::transform::moves::Moves;
use crate::ops::transform::pad::Pad;
use crate::ops::transform::slice::Slice;
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::strided::{StridedAxis, StridedCopy};
use rayon::prelude::*;

/// Elements that are worth a task of their own.
const GRAIN: usize = 1 << 14;

/// Makes a merged copy. Its axes are in y's memory order and y is row-major, so every step along the first one is a stretch of y.
pub(crate) fn copy(copy: &StridedCopy, x: &[f32], y: &mut [f32]) {
    let Some((outer, inner)) = copy.axes.split_first() else { return };
    let y = &mut y[copy.y_base as usize..];
    if inner.is_empty() && outer.y == 1 {
        y[..outer.extent as usize].par_chunks_mut(GRAIN).enumerate().for_each(|(part, y)| {
            line(outer, copy.x_base + (part * GRAIN) as i64 * outer.x, x, y);
        });
        return;
    }
    let grain = (GRAIN as i64 / outer.y).max(1) as usize;
    y.par_chunks_mut(outer.y as usize).take(outer.extent as usize).with_min_len(grain).enumerate().for_each(|(i, y)| {
        nested(inner, copy.x_base + i as i64 * outer.x, x, y);
    });
}

fn nested(axes: &[StridedAxis], x_base: i64, x: &[f32], y: &mut [f32]) {
    match axes {
        [] => y[0] = x[x_base as usize],
        [last] if last.y == 1 => line(last, x_base, x, &mut y[..last.extent as usize]),
        [outer, inner @ ..] => {
            for i in 0..outer.extent as i64 {
                nested(inner, x_base + i * outer.x, x, &mut y[(i * outer.y) as usize..]);
            }
        }
    }
}

fn line(axis: &StridedAxis, x_base: i64, x: &[f32], y: &mut [f32]) {
    if axis.x == 1 {
        y.copy_from_slice(&x[x_base as usize..][..y.len()]);
    } else {
        y.iter_mut().enumerate().for_each(|(i, y)| *y = x[(x_base + i as i64 * axis.x) as usize]);
    }
}

/// y\[c\] = x at the coordinates that the tables name, or `value` where one of them names nothing.
pub(crate) fn gather(tables: &[Vec<u32>], strides: &[i64], value: f32, x: &[f32], y: &mut [f32]) {
    let Some((last, outer)) = tables.split_last() else {
        y.copy_from_slice(x); // a scalar
        return;
    };
    // The last axis is contiguous in logical order.
    y.par_chunks_mut(last.len()).with_min_len((GRAIN / last.len()).max(1)).enumerate().for_each(|(row, y)| {
        let mut rest = row;
        let mut base = Some(0);
        for (table, stride) in outer.iter().zip(strides).rev() {
            let entry = table[rest % table.len()];
            rest /= table.len();
            base = if entry == NOTHING { None } else { base.map(|b| b + entry as usize * *stride as usize) };
        }
        match base {
            None => y.fill(value),
            Some(base) => y.iter_mut().zip(last).for_each(|(y, &entry)| *y = if entry == NOTHING { value } else { x[base + entry as usize] }),
        }
    });
}

impl Computed for Pad {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        gather(&self.tables(), &self.x.logical_strides(), self.value(), inputs[0], y);
        Some(())
    }
}

macro_rules! moves {
    ($($problem:ident),*) => {
        $(impl Computed for $problem {
            fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
                for one in self.logical_copies() {
                    copy(&one.clone().merged(), inputs.get(one.input)?, y);
                }
                Some(())
            }
        })*
    };
}

moves!(Slice, Concat, Transpose, ToLayout, DepthToSpace);
