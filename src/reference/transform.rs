//! Shape ops, straight from their definitions: walk the output, find the element of the input.

use crate::numeric::bound::gamma;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::DepthToSpace;
use crate::ops::transform::pad::{Pad, PadMode};
use crate::ops::transform::resize::{NearestMode, Resize, ResizeMode};
use crate::ops::transform::slice::Slice;
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Calls `visit` with every coordinate of a tensor of these extents, in logical order.
pub(crate) fn walk(extents: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut at = vec![0; extents.len()];
    for _ in 0..extents.iter().product::<usize>() {
        visit(&at);
        for axis in (0..extents.len()).rev() {
            at[axis] += 1;
            if at[axis] < extents[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
}

/// The place of a coordinate in logical order.
pub(crate) fn place(extents: &[usize], at: &[usize]) -> usize {
    extents.iter().zip(at).fold(0, |place, (extent, c)| place * extent + c)
}

/// y of these extents, each element the one of x at the coordinate that `source` gives.
fn gathered(extents: &[usize], x_extents: &[usize], x: &[f64], mut source: impl FnMut(&[usize]) -> Vec<usize>) -> Vec<f64> {
    let mut y = Vec::new();
    walk(extents, |at| y.push(x[place(x_extents, &source(at))]));
    y
}

/// Axis i of y is axis perm\[i\] of x.
pub fn transpose(problem: &Transpose, x: &[f64]) -> Vec<f64> {
    gathered(&problem.output_extents(), &problem.x.extents, x, |at| {
        let mut source = vec![0; at.len()];
        for (i, &axis) in problem.perm.iter().enumerate() {
            source[axis] = at[i];
        }
        source
    })
}

/// Element first + i step along each axis.
pub fn slice(problem: &Slice, x: &[f64]) -> Vec<f64> {
    gathered(&problem.output_extents(), &problem.x.extents, x, |at| {
        at.iter().zip(&problem.ranges).map(|(&i, range)| (range.first as i64 + i as i64 * range.step as i64) as usize).collect()
    })
}

/// The inputs one after another along the axis.
pub fn concat(problem: &Concat, inputs: &[&[f64]]) -> Vec<f64> {
    let mut y = Vec::new();
    walk(&problem.output_extents(), |at| {
        let mut at = at.to_vec();
        let mut input = 0;
        while at[problem.axis] >= problem.inputs[input].extents[problem.axis] {
            at[problem.axis] -= problem.inputs[input].extents[problem.axis];
            input += 1;
        }
        y.push(inputs[input][place(&problem.inputs[input].extents, &at)]);
    });
    y
}

/// Depth to space as ONNX writes it: channel (row, column, c) for DCR, (c, row, column) for CRD, of the block at (h, w); or back.
pub fn depth_to_space(problem: &DepthToSpace, x: &[f64]) -> Vec<f64> {
    let b = problem.block;
    let out = problem.output_extents();
    let wide_channels = if problem.inverse { problem.x.extents[1] } else { out[1] };
    let deep = |c: usize, row: usize, column: usize| match problem.mode {
        crate::ops::transform::depth_to_space::DepthToSpaceMode::Dcr => (row * b + column) * wide_channels + c,
        crate::ops::transform::depth_to_space::DepthToSpaceMode::Crd => (c * b + row) * b + column,
    };
    if !problem.inverse {
        return gathered(&out, &problem.x.extents, x, |at| vec![at[0], deep(at[1], at[2] % b, at[3] % b), at[2] / b, at[3] / b]);
    }
    let mut y = vec![0.0; x.len()];
    let mut i = 0;
    walk(&problem.x.extents, |at| {
        y[place(&out, &[at[0], deep(at[1], at[2] % b, at[3] % b), at[2] / b, at[3] / b])] = x[i];
        i += 1;
    });
    y
}

/// x where the coordinate less the pad is inside; else the constant, or what is found by stepping back inside.
pub fn pad(problem: &Pad, x: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    walk(&problem.output_extents(), |at| {
        let mut source = Vec::with_capacity(at.len());
        for (axis, &c) in at.iter().enumerate() {
            let n = problem.x.extents[axis] as i64;
            let mut c = c as i64 - problem.begin[axis] as i64;
            match problem.mode {
                PadMode::Constant(_) if c < 0 || c >= n => return y.push(f64::from(problem.value())),
                PadMode::Constant(_) => {}
                PadMode::Reflect if c < 0 => c = -c,
                PadMode::Reflect if c >= n => c = 2 * (n - 1) - c,
                PadMode::Reflect => {}
                PadMode::Replicate if c < 0 => c = 0,
                PadMode::Replicate if c >= n => c = n - 1,
                PadMode::Replicate => {}
                PadMode::Circular if c < 0 => c += n,
                PadMode::Circular if c >= n => c -= n,
                PadMode::Circular => {}
            }
            source.push(c as usize);
        }
        y.push(x[place(&problem.x.extents, &source)]);
    });
    y
}

/// The element nearest to the coordinate along each spatial axis.
pub fn resize_nearest(problem: &Resize, mode: NearestMode, x: &[f64]) -> Vec<f64> {
    gathered(&problem.output_extents(), &problem.x.extents, x, |at| {
        let spatial = at[2..].iter().enumerate().map(|(axis, &o)| problem.nearest(mode, axis, o));
        at[..2].iter().copied().chain(spatial).collect()
    })
}

/// Linear along each spatial axis: the sum over the 2^k neighbours of the product of their weights times their value.
///
/// The bound is derived for a kernel that blends axis after axis. Let M be the largest |value| among the neighbours that count, u = 2^-24.
/// One blend of exact operands computes w b + (1 - w) a with the stored weight w' of |w' - w| <= u w: the coefficient of b errs by at
/// most u w, that of a by u w from the weight and u (1 - w') from the subtraction, in sum u (1 + w) + O(u^2) <= 2 u + O(u^2). The product(s)
/// and the sum are rounded once each, with or without fused multiply-add: products add at most u M together (their weights sum to 1), the sum
/// another u M. So one blend errs by at most (4 u + 8 u^2) M, and one whose operands already err by e by that plus e (1 + 4 u + 8 u^2). k
/// blends in a row err by at most ((1 + 4 u + 8 u^2)^k - 1) M <= gamma(4 k + 1) M, since 8 k u^2 < u.
pub fn resize_linear(problem: &Resize, x: &[f64]) -> Bounded {
    let spatial = problem.sizes().len();
    let factor = gamma(4 * spatial as u64 + 1, ElementType::F32.unit_roundoff());
    let (mut value, mut error) = (Vec::new(), Vec::new());
    walk(&problem.output_extents(), |at| {
        let neighbours: Vec<(usize, usize, f64)> = (0..spatial).map(|axis| problem.neighbours(axis, at[2 + axis])).collect();
        let (mut sum, mut largest) = (0.0, 0.0f64);
        for corner in 0..1 << spatial {
            let mut source = at.to_vec();
            let mut weight = 1.0;
            for (axis, &(first, second, second_weight)) in neighbours.iter().enumerate() {
                let is_second = corner >> axis & 1 == 1;
                source[2 + axis] = if is_second { second } else { first };
                weight *= if is_second { second_weight } else { 1.0 - second_weight };
            }
            if weight != 0.0 {
                let v = x[place(&problem.x.extents, &source)];
                sum += weight * v;
                largest = largest.max(v.abs());
            }
        }
        value.push(sum);
        error.push(factor * largest);
    });
    Bounded { value, error }
}

impl Referenced for Pad {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![Bounded::exact(pad(self, inputs[0]))]
    }
}

impl Referenced for Resize {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![match self.descriptor.mode {
            ResizeMode::Nearest(mode) => Bounded::exact(resize_nearest(self, mode, inputs[0])),
            ResizeMode::Linear => resize_linear(self, inputs[0]),
        }]
    }
}

macro_rules! moves {
    ($($problem:ident: $computes:expr,)*) => {
        $(impl Referenced for $problem {
            fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
                vec![Bounded::exact($computes(self, inputs))]
            }
        })*
    };
}

moves! {
    Slice: |problem, inputs: &[&[f64]]| slice(problem, inputs[0]),
    Concat: concat,
    Transpose: |problem, inputs: &[&[f64]]| transpose(problem, inputs[0]),
    ToLayout: |_: &ToLayout, inputs: &[&[f64]]| inputs[0].to_vec(),
    DepthToSpace: |problem, inputs: &[&[f64]]| depth_to_space(problem, inputs[0]),
}
