//! The adjoint of Winograd's formula, for the gradient by the filter: dw = G^T \[sum over tiles of (A dy A^T) * (B^T x B)\] G.
//!
//! It is the derivative of y = A^T \[(G w G^T) * (B^T x B)\] A by w, so it has the transforms of `winograd.rs` and as few products. Its sum is long, over the
//! tiles of all images: cut into sums of some tiles each, which are added behind, it errs by less than plain sums over all positions, as none of the
//! forward transforms but F(2,3) does.

use crate::numeric::bound::gamma;
use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::winograd::Transforms;
use crate::types::ElementType;
use crate::types::shape::WindowAxis;

/// Fewest and most tiles of a sum, as far as its error lets them be chosen.
const FEWEST: u64 = 128;

const MOST: u64 = 1024;

/// How a filter gradient is cut into tiles, and these into sums. It follows from the problem alone: so does the bound of its error.
#[derive(Clone, Copy)]
pub(crate) struct GradientTiles {
    pub transforms: Transforms,
    /// Tiles of an image along the height and the width.
    pub tiles: [u64; 2],
    /// Tiles of all images.
    pub all: u64,
    /// Tiles of a sum; the last has fewer.
    pub depth: u64,
}

impl GradientTiles {
    /// `None`: the algorithm is not one of Winograd's, or has no transforms of these windows.
    pub fn of(algorithm: Algorithm, gradient: &FilterGradient) -> Option<Self> {
        let [depth, height, width] = &gradient.conv.axes;
        let is_dense = |axis: &WindowAxis| axis.stride == 1 && axis.dilation == 1;
        if *depth != WindowAxis::UNIT || !is_dense(height) || !is_dense(width) {
            return None;
        }
        let transforms = Transforms::of(algorithm, &gradient.conv)?;
        let positions = [height, width].map(|axis| gradient.extents(axis)[1]);
        let tiles = [0, 1].map(|i| positions[i].div_ceil(transforms.axes()[i].tile));
        let all = gradient.conv.batch * tiles[0] * tiles[1];
        let mut own = Self { transforms, tiles, all, depth: all };
        // Each sum is written and read once: an operand has (x + dy) depth numbers for each x dy of a sum, and a quarter of that is little.
        let [x, dy] = gradient.channels();
        let most = (4 * x * dy / (x + dy)).clamp(FEWEST, MOST);
        let mut sums = all.div_ceil(most);
        own.depth = all.div_ceil(sums);
        let longest = own.depth;
        // Longer sums err more, and so do more of them.
        while own.relative_error(gradient) > 1.0 {
            sums += sums.div_ceil(2);
            if sums > own.depth {
                return Some(Self { depth: longest, ..own });
            }
            own.depth = all.div_ceil(sums);
        }
        Some(own)
    }

    /// How many sums there are.
    pub fn sums(&self) -> u64 {
        self.all.div_ceil(self.depth)
    }

    /// Roundings on the way to a number of dw: the transforms, a sum, and the sum of sums, of which the CPU engine has twice as many where its sums are of
    /// whole rows of tiles.
    pub fn roundings(&self) -> u64 {
        self.transforms.gradient_roundings() + self.depth + 2 * self.sums() + 1
    }

    /// The largest error over all operands of magnitude 1, relative to the same of plain f32 sums over all positions: n gamma_(n+1).
    pub fn relative_error(&self, gradient: &FilterGradient) -> f64 {
        let unit = ElementType::F32.unit_roundoff();
        let terms = gradient.terms();
        let own = self.transforms.gradient_amplification() * self.all as f64 * gamma(self.roundings(), unit);
        own / (terms as f64 * gamma(terms + 1, unit))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::ops::conv::descriptor::Conv2dDescriptor;
    use crate::ops::conv::problem::{ConvInputs, ConvProblem};
    use crate::types::Padding;

    fn gradient(x: [usize; 4], filters: usize, window: usize) -> FilterGradient {
        let padded = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
        FilterGradient::new(&ConvProblem::forward(&ConvInputs::new(&x, &[filters, x[1], window, window], None), &padded).unwrap()).unwrap()
    }

    /// Fewest tiles, one an image, whose error `F32` admits: those of docs/kernels.md.
    #[test]
    fn so_many_tiles_are_enough() {
        for (algorithm, window, want) in
            [(Algorithm::WinogradF2, 3, 80), (Algorithm::WinogradF4, 3, 135), (Algorithm::WinogradF2, 5, 80), (Algorithm::WinogradF4, 5, 5520)]
        {
            let tile = if algorithm == Algorithm::WinogradF4 { 4 } else { 2 };
            let is_admitted = |n: &usize| {
                let gradient = gradient([*n, 64, tile, tile], 64, window);
                GradientTiles::of(algorithm, &gradient).unwrap().relative_error(&gradient) <= 1.0
            };
            let first = (1..10_000).find(is_admitted).unwrap();
            assert!((want * 9 / 10..=want).contains(&first), "{algorithm} of {window}: {first}");
            assert!((want..want + 300).all(|n| is_admitted(&n)), "{algorithm} of {window}");
        }
    }

    /// Sums cover all tiles, are no longer than their limit, and are short enough where any length is.
    #[test]
    fn sums_are_as_long_as_their_error_lets_them_be() {
        let of = |algorithm, x, filters| {
            let gradient = gradient(x, filters, 3);
            let tiles = GradientTiles::of(algorithm, &gradient).unwrap();
            assert!((tiles.sums() - 1) * tiles.depth < tiles.all && tiles.sums() * tiles.depth >= tiles.all);
            (tiles.all, tiles.depth, tiles.relative_error(&gradient) <= 1.0)
        };
        assert_eq!(of(Algorithm::WinogradF2, [32, 64, 56, 56], 64), (25_088, 128, true));
        assert_eq!(of(Algorithm::WinogradF4, [32, 64, 56, 56], 64), (6272, 128, true));
        assert_eq!(of(Algorithm::WinogradF4, [128, 512, 7, 7], 512), (512, 64, true));
        assert_eq!(of(Algorithm::WinogradF2, [1, 64, 28, 28], 64), (196, 66, true));
        // Of few tiles no sums are short enough.
        assert_eq!(of(Algorithm::WinogradF2, [1, 256, 14, 14], 256), (49, 49, false));
        assert_eq!(of(Algorithm::WinogradF4, [1, 64, 28, 28], 64), (49, 49, false));
    }
}
