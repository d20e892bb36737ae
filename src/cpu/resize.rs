//! Linear resizes: lines of x are interpolated along the width once and kept for the rows of y that read them; a row of y is then a blend of two such lines,
//! or of four where there is a depth. Loops over contiguous numbers, compiled for the vectors of the machine.
//!
//! An element whose weight is 0 is not read, so that an infinity or NaN there reaches nothing.

use crate::cpu::Computed;
use crate::cpu::transform::gather;
use crate::ops::transform::linear::{Tap, taps};
use crate::ops::transform::resize::{Resize, ResizeMode};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements that are worth a task of their own.
const GRAIN: usize = 1 << 14;
/// An axis that is not there.
const ONE: Tap = Tap { first: 0, second: 0, weight: 0.0 };

impl Computed for Resize {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        match self.descriptor.mode {
            ResizeMode::Nearest(mode) => gather(&self.tables(mode), &self.x.logical_strides(), 0.0, inputs[0], y),
            ResizeMode::Linear => linear(&taps(self), &self.x.extents[2..], inputs[0], y),
        }
        Some(())
    }
}

/// Interpolates every plane of x, whose spatial extents are given.
fn linear(taps: &[Vec<Tap>], extents: &[usize], x: &[f32], y: &mut [f32]) {
    let one = [ONE];
    let axis = |i: usize| if i + taps.len() < 3 { &one[..] } else { &taps[i + taps.len() - 3] };
    let extent = |i: usize| if i + extents.len() < 3 { 1 } else { extents[i + extents.len() - 3] };
    let axes = Axes { depth: axis(0), height: axis(1), width: axis(2), extents: [extent(0), extent(1), extent(2)] };
    let (arch, columns) = (Arch::new(), axes.width.len());
    let rows = (GRAIN / columns).max(1);
    y.par_chunks_mut(columns * rows).enumerate().for_each(|(part, y)| arch.dispatch(Rows { axes: &axes, first: part * rows, x, y }));
}

/// What is read along each axis, and the extents of a plane of x.
struct Axes<'a> {
    depth: &'a [Tap],
    height: &'a [Tap],
    width: &'a [Tap],
    extents: [usize; 3],
}

impl Axes<'_> {
    /// The lines of x that row `row` of y reads, near and far in height, of the near and the far plane in depth; those of weight 0 are the others again.
    fn lines(&self, row: usize) -> ([usize; 4], [f32; 2]) {
        let (h, rest) = (self.height[row % self.height.len()], row / self.height.len());
        let (d, plane) = (self.depth[rest % self.depth.len()], rest / self.depth.len());
        let read = |tap: Tap| [tap.first, if tap.weight == 0.0 { tap.first } else { tap.second }];
        let [depth, rows, _] = self.extents;
        let line = |z: usize, at: usize| (plane * depth + z) * rows + at;
        let ([near, far], [low, high]) = (read(d), read(h));
        ([line(near, low), line(near, high), line(far, low), line(far, high)], [h.weight, d.weight])
    }
}

/// Consecutive rows of y.
struct Rows<'a> {
    axes: &'a Axes<'a>,
    first: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { axes, first, x, y } = self;
        let (columns, wide) = (axes.extents[2], axes.width.len());
        // The lines that are interpolated along the width, by their number in x. A row reads four at most.
        let mut kept: [(Option<usize>, Vec<f32>); 4] = std::array::from_fn(|_| (None, vec![0.0; wide]));
        let mut far = vec![0.0; wide];
        for (row, y) in y.chunks_exact_mut(wide).enumerate() {
            let (lines, [height, depth]) = axes.lines(first + row);
            let [a, b, c, e] = lines.map(|line| {
                let place = kept.iter().position(|(own, _)| *own == Some(line));
                place.unwrap_or_else(|| {
                    let free = kept.iter().position(|(own, _)| own.is_none_or(|own| !lines.contains(&own))).unwrap_or(0);
                    along_width(axes.width, &x[line * columns..][..columns], &mut kept[free].1);
                    kept[free].0 = Some(line);
                    free
                })
            });
            blend(&kept[a].1, &kept[b].1, height, y);
            if depth != 0.0 {
                blend(&kept[c].1, &kept[e].1, height, &mut far);
                y.iter_mut().zip(&far).for_each(|(y, far)| *y = depth.mul_add(*far, (1.0 - depth) * *y));
            }
        }
    }
}

#[inline(always)]
fn along_width(taps: &[Tap], line: &[f32], to: &mut [f32]) {
    for (to, tap) in to.iter_mut().zip(taps) {
        let near = line[tap.first];
        *to = if tap.weight == 0.0 { near } else { tap.weight.mul_add(line[tap.second], (1.0 - tap.weight) * near) };
    }
}

#[inline(always)]
fn blend(near: &[f32], far: &[f32], weight: f32, to: &mut [f32]) {
    if weight == 0.0 {
        to.copy_from_slice(near);
        return;
    }
    for ((to, near), far) in to.iter_mut().zip(near).zip(far) {
        *to = weight.mul_add(*far, (1.0 - weight) * *near);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Generator;
    use crate::ops::transform::resize::{CoordinateMode, ResizeDescriptor};
    use crate::types::TensorType;

    /// Element by element: along the width, the height, the depth, by the same roundings.
    fn plainly(problem: &Resize, x: &[f32]) -> Vec<f32> {
        let (taps, extents) = (taps(problem), &problem.x.extents[2..]);
        let blend = |a: f32, b: f32, weight: f32| if weight == 0.0 { a } else { weight.mul_add(b, (1.0 - weight) * a) };
        /// What the axes from the first on give at a position in x.
        fn value(taps: &[Tap], extents: &[usize], x: &[f32], at: usize, blend: &dyn Fn(f32, f32, f32) -> f32) -> f32 {
            match taps {
                [] => x[at],
                [tap, inner @ ..] => {
                    let of = |i: usize| value(inner, &extents[1..], x, at * extents[0] + i, blend);
                    blend(of(tap.first), of(tap.second), tap.weight)
                }
            }
        }
        let sizes: Vec<usize> = taps.iter().map(Vec::len).collect();
        let (per_plane, planes) = (sizes.iter().product::<usize>(), problem.x.extents[0] * problem.x.extents[1]);
        (0..planes * per_plane)
            .map(|i| {
                let mut rest = i % per_plane;
                let mut own: Vec<Tap> = sizes.iter().zip(&taps).rev().map(|(size, taps)| (taps[rest % size], rest /= size).0).collect();
                own.reverse();
                value(&own, extents, x, i / per_plane, &blend)
            })
            .collect()
    }

    /// Up and down, whole steps and others, one to three axes, several tasks; infinities, NaN, zeros of both signs and numbers near the largest.
    #[test]
    fn lines_that_are_kept_give_the_bits_of_each_element() {
        let shapes: [(&[usize], &[usize]); 9] = [
            (&[2, 3, 5], &[13]),
            (&[1, 2, 7, 5], &[14, 15]),
            (&[1, 21, 5, 5], &[65, 65]),
            (&[2, 2, 60, 41], &[17, 13]),
            (&[3, 5, 1, 1], &[4, 6]),
            (&[1, 1, 9, 400], &[90, 399]),
            (&[1, 2, 3, 4, 5], &[7, 9, 11]),
            (&[2, 1, 6, 5, 4], &[3, 2, 8]),
            (&[1, 2, 4, 6, 6], &[4, 12, 6]),
        ];
        for (index, (extents, sizes)) in shapes.into_iter().enumerate() {
            for coordinates in [CoordinateMode::HalfPixel, CoordinateMode::AlignCorners, CoordinateMode::Asymmetric] {
                let descriptor = ResizeDescriptor { sizes: sizes.to_vec(), mode: ResizeMode::Linear, coordinates, scales: None };
                let problem = Resize::new(&TensorType::f32(extents), &descriptor).unwrap();
                let generator = &mut Generator::from_text(&format!("{index}/{coordinates:?}"));
                let x: Vec<f32> = (0..extents.iter().product::<usize>())
                    .map(|_| match generator.below(40) {
                        0 => f32::INFINITY,
                        1 => f32::NEG_INFINITY,
                        2 => f32::NAN,
                        3 => -0.0,
                        4 => f32::MAX,
                        5 => -1e9,
                        _ => generator.real() as f32,
                    })
                    .collect();
                let want = plainly(&problem, &x);
                let mut got = vec![7.0; want.len()];
                problem.compute(&[&x], &mut got).unwrap();
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert_eq!(got.iter().zip(&want).position(|pair| !same(pair)), None, "{extents:?} to {sizes:?}, {coordinates:?}");
            }
        }
    }
}
