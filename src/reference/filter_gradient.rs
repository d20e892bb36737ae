//! The filter gradient straight from its definition.

use crate::numeric::bound::{UNDERFLOW, gamma};
use crate::ops::Problem;
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::winograd_gradient::GradientTiles;
use crate::reference::conv::named;
use crate::reference::{Bounded, Referenced, winograd};
use crate::types::ElementType;
use rayon::prelude::*;

impl Referenced for FilterGradient {
    /// A sum of n products in f32 errs by at most gamma_n times the sum of their magnitudes, in whatever order.
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let (wide, narrow) = if self.x_is_wide() { (inputs[0], inputs[1]) } else { (inputs[1], inputs[0]) };
        let [wide_channels, narrow_channels] = self.channels().map(|c| c as usize);
        let [wide_positions, narrow_positions] = self.positions().map(|p| p as usize);
        let (groups, taps) = (self.conv.groups as usize, self.conv.taps() as usize);
        let axes = &self.conv.axes;
        let n = self.terms();
        let factor = gamma(n + 1, ElementType::F32.unit_roundoff());
        let sums = (0..self.conv.filter_count() as usize).into_par_iter().map(|i| {
            let (k, c, tap) = (i / taps / wide_channels, i / taps % wide_channels, i % taps);
            let group = k / narrow_channels;
            let (mut sum, mut magnitude) = (0.0, 0.0);
            for image in 0..self.conv.batch as usize {
                let plane = &wide[((image * groups + group) * wide_channels + c) * wide_positions..][..wide_positions];
                let dy = &narrow[((image * groups + group) * narrow_channels + k % narrow_channels) * narrow_positions..][..narrow_positions];
                for (o, v) in dy.iter().enumerate() {
                    // Coordinates of tap and position, the last axis first; the element that both meet at, if there is one.
                    let (mut rest_o, mut rest_tap, mut at, mut step) = (o as u64, tap as u64, Some(0), 1);
                    for axis in axes.iter().rev() {
                        let [extent, positions] = self.extents(axis);
                        let i = (rest_o % positions * axis.stride + rest_tap % axis.filter * axis.dilation) as i64 - axis.pad_begin;
                        at = at.filter(|_| i >= 0 && i < extent as i64).map(|at| at + i as u64 * step);
                        (rest_o, rest_tap, step) = (rest_o / positions, rest_tap / axis.filter, step * extent);
                    }
                    // A position that reads no element multiplies a zero, which an infinity or NaN of dy shows.
                    let product = v * at.map_or(0.0, |at| plane[at as usize]);
                    sum += product;
                    magnitude += product.abs();
                }
            }
            (sum, factor * magnitude + n as f64 * UNDERFLOW)
        });
        let (value, error) = sums.unzip();
        vec![Bounded { value, error }]
    }

    fn bound_for(&self, algorithm: &str, inputs: &[&[f64]], outputs: &mut [Bounded]) {
        let Some(tiles) = named(algorithm).and_then(|algorithm| GradientTiles::of(algorithm, self)) else { return };
        let (wide, narrow) = if self.x_is_wide() { (inputs[0], inputs[1]) } else { (inputs[1], inputs[0]) };
        let factor = gamma(tiles.roundings(), ElementType::F32.unit_roundoff());
        let lost = tiles.transforms.gradient_amplification() * (tiles.all * tiles.transforms.lines()) as f64 * UNDERFLOW;
        for (error, magnitude) in outputs[0].error.iter_mut().zip(winograd::gradient_magnitude(self, &tiles, wide, narrow)) {
            *error = factor * magnitude + lost;
        }
    }
}
