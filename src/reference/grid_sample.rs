//! Sampling at the positions of a grid, straight from its definition, with a bound that knows how far a coordinate computed in f32 may lie.

use crate::numeric::bound::gamma;
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use crate::reference::transform::walk;
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Most that a sum of magnitudes of the four weights of a cubic is: 11/8, half way between two elements.
const CUBIC_WEIGHTS: f64 = 1.375;

/// A coordinate along an axis, before what is outside is brought inside, and an interval in which a kernel's lies.
#[derive(Debug, Clone, Copy)]
struct Coordinate {
    at: f64,
    low: f64,
    high: f64,
}

/// Elements that are read, each with its weight, and the range of elements that a kernel's coordinate may reach; places are not inside yet.
struct Taps {
    taps: Vec<(i64, f64)>,
    reach: (i64, i64),
    /// How far two coordinates of the interval lie apart.
    moved: f64,
}

struct Axis {
    n: f64,
    padding: GridSamplePadding,
    mode: GridSampleMode,
    align_corners: bool,
}

impl Axis {
    /// Reflects at both ends until inside, and keeps what rounding leaves outside at the edge.
    fn reflected(&self, c: f64) -> f64 {
        let (low, span) = if self.align_corners { (0.0, self.n - 1.0) } else { (-0.5, self.n) };
        if span == 0.0 {
            return 0.0;
        }
        let away = (c - low).abs();
        let (flips, rest) = ((away / span).floor(), away % span);
        low + if flips % 2.0 == 0.0 { rest } else { span - rest }
    }

    fn inside(&self, c: f64) -> f64 {
        c.clamp(0.0, self.n - 1.0)
    }

    /// The coordinate that `g` stands for; `None` where it reads nothing.
    ///
    /// A kernel computes ((g + 1) 1/2) n - 1/2 or ((g + 1) 1/2) (n - 1): three roundings of numbers up to ((|g| + 1) n + 1) / 2, none where each is a
    /// number of f32. A reflection adds those of a difference, a quotient (5 roundings' worth), a product, a difference and a sum, of numbers up to
    /// |c| + n + 1.
    fn coordinate(&self, g: f64) -> Option<Coordinate> {
        let u = ElementType::F32.unit_roundoff();
        let held = |v: f64| f64::from(v as f32) == v;
        let half = (g + 1.0) / 2.0;
        let scaled = half * if self.align_corners { self.n - 1.0 } else { self.n };
        let c = if self.align_corners { scaled } else { scaled - 0.5 };
        let c = ElementType::F32.held(c);
        let is_exact = held(half) && held(scaled) && held(c);
        let mut off = if is_exact { 0.0 } else { gamma(3, u) * ((g.abs() + 1.0) * self.n + 1.0) / 2.0 };
        if self.padding == GridSamplePadding::Reflection && !(is_exact && (0.0..=self.n - 1.0).contains(&c)) {
            off += gamma(10, u) * (c.abs() + self.n + 1.0);
        }
        let at = |at: f64, low: f64, high: f64| Some(Coordinate { at, low, high });
        match (self.mode, self.padding) {
            (GridSampleMode::Cubic, _) if c.is_finite() => at(c, c - off, c + off),
            (GridSampleMode::Cubic, _) => at(f64::NAN, 0.0, 0.0),
            (_, GridSamplePadding::Zeros) => {
                if c.is_finite() {
                    at(c, c - off, c + off)
                } else {
                    None
                }
            }
            (_, GridSamplePadding::Border) if c.is_nan() => at(0.0, 0.0, 0.0),
            (_, GridSamplePadding::Border) if c.is_finite() => at(self.inside(c), self.inside(c - off), self.inside(c + off)),
            (_, GridSamplePadding::Border) => at(self.inside(c), self.inside(c), self.inside(c)),
            (_, GridSamplePadding::Reflection) if c.is_finite() => {
                let c = self.reflected(c);
                at(self.inside(c), self.inside(c - off), self.inside(c + off))
            }
            (_, GridSamplePadding::Reflection) => at(0.0, 0.0, 0.0),
        }
    }

    fn taps(&self, g: f64) -> Option<Taps> {
        let Coordinate { at, low, high } = self.coordinate(g)?;
        // Outside, all is alike: far places need not be walked.
        let place = |v: f64| v.clamp(-8.0, self.n + 8.0) as i64;
        let moved = high - low;
        Some(match self.mode {
            GridSampleMode::Nearest => {
                let nearest = |c: f64| place(c.round_ties_even());
                Taps { taps: vec![(nearest(at), 1.0)], reach: (nearest(low), nearest(high)), moved }
            }
            GridSampleMode::Linear => {
                let (first, t) = (place(at.floor()), at - at.floor());
                Taps { taps: vec![(first, 1.0 - t), (first + 1, t)], reach: (place(low.floor()), place(high.floor()) + 1), moved }
            }
            GridSampleMode::Cubic => {
                let (floor, t) = (at.floor(), at - at.floor());
                let weights = cubic(t);
                let places = (0..4).map(|i| self.place(floor + f64::from(i) - 1.0));
                let reach = match self.padding {
                    GridSamplePadding::Reflection if moved < self.n => {
                        let of: Vec<i64> =
                            (0..=3 + (high.floor() - low.floor()) as i32).map(|i| self.place(low.floor() + f64::from(i) - 1.0)).collect();
                        (of.iter().copied().min().unwrap_or(0), of.iter().copied().max().unwrap_or(0))
                    }
                    GridSamplePadding::Reflection => (0, self.n as i64 - 1),
                    _ => (self.place(low.floor() - 1.0), self.place(high.floor() + 2.0)),
                };
                Taps { taps: places.zip(weights).collect(), reach, moved }
            }
        })
    }

    /// Where the element that a tap of a cubic names is found.
    fn place(&self, tap: f64) -> i64 {
        match self.padding {
            GridSamplePadding::Zeros => tap.clamp(-8.0, self.n + 8.0) as i64,
            GridSamplePadding::Border => self.inside(tap) as i64,
            GridSamplePadding::Reflection => self.inside(self.reflected(tap)) as i64,
        }
    }
}

/// The weights of the elements before, at, after and two after a coordinate that lies t behind the second, of a = -3/4. NaN of a NaN.
fn cubic(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| A * t * (1.0 - t) * (1.0 - t);
    [far(t), near(t), near(1.0 - t), far(1.0 - t)]
}

/// y at every position: the sum over the taps of each axis of the product of their weights times their element, 0 outside.
///
/// The bound. Let M be the largest magnitude among the elements that any coordinate of the intervals reads, u = 2^-24.
///
/// - Nearest: what an element may differ by from the one at the coordinate.
/// - Linear: a blend computes (1 - t) a + t b. t is the difference of two numbers and errs by u at most, 1 - t by u more; the products and the sum round
///   once each: 2 u M from the weights and 3 u M from the rest, in sum less than 6 u M with what is of second order; k blends in a row err by at most
///   gamma(6 k) M. A coordinate that moves by d along an axis moves the result by at most 2 M d.
/// - Cubic: a weight errs by at most 10 u (its t by u, its slope is at most 1.35; at most five roundings of numbers up to 9/4), and the magnitudes of four
///   of them sum to 11/8 at most; a sum of four products rounds by 5 u of that. So k axes err by at most k (11/8)^(k-1) (40 + 7) u M, less than gamma(130)
///   M for two. A coordinate that moves by d moves the result by at most 6 M d, as the slopes' magnitudes sum to 4.2, times 11/8 of the other axis.
fn sampled(problem: &GridSample, x: &[f64], grid: &[f64]) -> Bounded {
    let u = ElementType::F32.unit_roundoff();
    let (spatial, extents) = (problem.spatial(), problem.extents());
    let [positions, outputs] = problem.positions().map(|count| count as usize);
    let descriptor = problem.descriptor;
    let (mut value, mut error) = (Vec::new(), Vec::new());
    let one = || Taps { taps: vec![(0, 1.0)], reach: (0, 0), moved: 0.0 };
    for plane in 0..problem.x.extents[0] * problem.x.extents[1] {
        let image = plane / problem.x.extents[1];
        let x = &x[plane * positions..][..positions];
        let element = |at: [i64; 3]| {
            let is_inside = at.iter().zip(extents).all(|(&c, n)| c >= 0 && c < n as i64);
            if is_inside { x[((at[0] as usize * extents[1]) + at[1] as usize) * extents[2] + at[2] as usize] } else { 0.0 }
        };
        for position in 0..outputs {
            let own = &grid[(image * outputs + position) * spatial..][..spatial];
            // The last number of a position belongs to the first of its axes; an axis that is not there has one tap.
            let axes: Option<Vec<Taps>> = (0..3)
                .map(|axis| match (axis + spatial).checked_sub(3) {
                    None => Some(one()),
                    Some(i) => {
                        let GridSampleDescriptor { mode, padding, align_corners } = descriptor;
                        Axis { n: extents[axis] as f64, padding, mode, align_corners }.taps(own[spatial - 1 - i])
                    }
                })
                .collect();
            let Some(axes) = axes else {
                value.push(0.0);
                error.push(0.0);
                continue;
            };
            let mut sum = 0.0;
            for &(z, wz) in &axes[0].taps {
                for &(y, wy) in &axes[1].taps {
                    for &(w, ww) in &axes[2].taps {
                        sum += wz * wy * ww * element([z, y, w]);
                    }
                }
            }
            let reach: Vec<usize> = axes.iter().map(|taps| (taps.reach.1 - taps.reach.0 + 1) as usize).collect();
            let (mut largest, mut furthest) = (0.0f64, 0.0f64);
            walk(&reach, |at| {
                let v = element(std::array::from_fn(|axis| axes[axis].reach.0 + at[axis] as i64));
                largest = largest.max(v.abs());
                if v != sum && !(v.is_nan() && sum.is_nan()) {
                    let distance = (v - sum).abs();
                    furthest = if distance.is_nan() { f64::INFINITY } else { furthest.max(distance) };
                }
            });
            let moved: f64 = axes.iter().map(|taps| taps.moved).sum();
            value.push(sum);
            error.push(match descriptor.mode {
                GridSampleMode::Nearest => furthest,
                GridSampleMode::Linear => (gamma(6 * spatial as u64, u) + 2.0 * moved.min(1.0)) * largest,
                GridSampleMode::Cubic => (gamma(130, u) + 6.0 * moved.min(1.0)) * CUBIC_WEIGHTS.powi(2) * largest,
            });
        }
    }
    Bounded { value, error }
}

impl Referenced for GridSample {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![sampled(self, inputs[0], inputs[1])]
    }
}
