//! Pooling straight from its definition.

use crate::numeric::bound::{SQUARE_ROOT_ERROR, UNDERFLOW, gamma, power_error};
use crate::ops::pool::descriptor::{IndexOrder, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Values, and indices where the problem wants them.
///
/// An average of n elements sums with an error of at most gamma_n times the sum of the absolute values, and divides, for which WGSL
/// allows 2.5 units in the last place; in the power of two that it sums in, what is smaller than n of the smallest normal numbers may count as 0.
/// An Lp norm sums powers, each with the error of [`power_error`] (of p = 1 and p = 2, a copy and a product, without), and takes a root, whose relative error is that of the sum divided by p, and its
/// own. Powers are those of elements divided by the power of two below the largest, so that they neither overflow nor vanish.
pub fn pool(problem: &PoolProblem, x: &[f64]) -> Vec<Bounded> {
    let u = ElementType::F32.unit_roundoff();
    let [depth, height, width] = &problem.axes;
    let (plane_in, planes) = (problem.input_positions() as usize, (problem.batch * problem.channels) as usize);
    let (mut values, mut errors, mut indices) = (vec![], vec![], vec![]);
    for plane in 0..planes {
        let x = &x[plane * plane_in..][..plane_in];
        for z in 0..depth.output {
            let (zs, count_z) = problem.window(depth, z);
            for p in 0..height.output {
                let (ys, count_y) = problem.window(height, p);
                for q in 0..width.output {
                    let (xs, count_x) = problem.window(width, q);
                    let element = |[z, y, w]: [u64; 3]| x[((z * height.input + y) * width.input + w) as usize];
                    let lines = zs.iter().flat_map(|&z| ys.iter().map(move |&y| (z, y)));
                    let at: Vec<[u64; 3]> = lines.flat_map(|(z, y)| xs.iter().map(move |&w| [z, y, w])).collect();
                    let n = at.len() as u64;
                    let sum = |f: &dyn Fn(f64) -> f64| at.iter().map(|&i| f(element(i))).sum::<f64>();
                    let (value, error) = match problem.kind {
                        PoolKind::Max { .. } => {
                            let mut best: Option<[u64; 3]> = None;
                            for &i in &at {
                                let v = element(i);
                                if best.is_none_or(|b| v > element(b) || (v.is_nan() && !element(b).is_nan())) {
                                    best = Some(i);
                                }
                            }
                            let [z, y, w] = best.unwrap_or_default();
                            indices.push(match problem.indices() {
                                Some(IndexOrder::ColumnMajor) => z + depth.input * (y + height.input * w),
                                _ => (z * height.input + y) * width.input + w,
                            } as f64);
                            (best.map_or(f64::NEG_INFINITY, element), 0.0)
                        }
                        PoolKind::Average { .. } => {
                            let count = (count_z * count_y * count_x) as f64;
                            let magnitude = sum(&f64::abs) / count;
                            (sum(&|v| v) / count, gamma(n + 6, u) * magnitude + 2.0 * n as f64 * UNDERFLOW)
                        }
                        PoolKind::Lp { p } => {
                            let p = f64::from(p);
                            let largest = at.iter().map(|&i| element(i).abs()).fold(0.0, f64::max);
                            // 0, or what has an infinity, is its own scale; so is NaN, which `max` has dropped but the sum has not.
                            let scale = if largest > 0.0 && largest.is_finite() { 2f64.powf(largest.log2().floor()) } else { 1.0 };
                            let powers = sum(&|v| (v.abs() / scale).powf(p));
                            // The kernel's powers are of the elements, or of elements between 1 and 2: the worse of both.
                            let error = |v: f64| if p == 1.0 || p == 2.0 { 0.0 } else { power_error(v, p).max(power_error(v / scale, p)) };
                            let terms = gamma(n + 1, u) * powers + sum(&|v| (v.abs() / scale).powf(p) * error(v.abs()));
                            let root = scale * powers.powf(1.0 / p);
                            let relative = if powers == 0.0 || !powers.is_finite() { 0.0 } else { (terms / powers).ln_1p() / p };
                            let own = match p {
                                1.0 => 0.0,
                                2.0 => SQUARE_ROOT_ERROR,
                                _ => {
                                    let whole = scale.powf(p) * powers;
                                    let of = |v: f64| power_error(v, 1.0 / p);
                                    of(powers).max(if whole.is_finite() { of(whole.min(3.4e38)) } else { 0.0 })
                                }
                            };
                            (root, root * (relative.exp_m1() + own) + UNDERFLOW)
                        }
                    };
                    values.push(value);
                    errors.push(error);
                }
            }
        }
    }
    let mut outputs = vec![Bounded { value: values, error: errors }];
    if problem.indices().is_some() {
        outputs.push(Bounded::exact(indices));
    }
    outputs
}

impl Referenced for PoolProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        pool(self, inputs[0])
    }
}

impl Referenced for MaxUnpoolProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let [positions_x, positions_y] = self.positions().map(|p| p as usize);
        let mut y = vec![0.0; self.y.iter().product()];
        for (i, (&v, &index)) in inputs[0].iter().zip(inputs[1]).enumerate() {
            if (index as usize) < positions_y {
                y[i / positions_x * positions_y + index as usize] = v;
            }
        }
        vec![Bounded::exact(y)]
    }
}

impl Referenced for MaxUnpoolGradient {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let [positions_x, positions_y] = self.of.positions().map(|p| p as usize);
        let (dy, indices) = (inputs[0], inputs[1]);
        let mut dx = vec![0.0; indices.len()];
        // From the last to the first: an output that is taken has its winner.
        let mut taken = vec![false; dy.len()];
        for (i, &index) in indices.iter().enumerate().rev() {
            let at = i / positions_x * positions_y + index as usize;
            if (index as usize) < positions_y && !taken[at] {
                (dx[i], taken[at]) = (dy[at], true);
            }
        }
        vec![Bounded::exact(dx)]
    }
}
