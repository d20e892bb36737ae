//! The filter gradient on all cores: dy times the windows of x, image after image, by blocks or by rows (`filter_rows`); 3 x 3
//! windows by fewer multiplications where the accuracy admits it (`winograd_gradient`). A task owns some channels of x and
//! some images; the sums of tasks that differ in their images alone are added in order, so that any number of cores computes the same bits.

use crate::cpu::Computed;
use crate::cpu::filter_rows::{self, Rows, Scratch, Task};
use crate::cpu::gemm::{BLOCK_BYTES, Shared, TASKS, im2col, is_pointwise};
use crate::cpu::product::{Operand, add_product};
use crate::cpu::window::Windows;
use crate::cpu::winograd_gradient;
use crate::ops::conv::filter_gradient::FilterGradient;
use pulp::Arch;
use rayon::prelude::*;

/// Fewest positions of a block.
const FEWEST_POSITIONS: usize = 64;

impl Computed for FilterGradient {
    fn compute(&self, inputs: &[&[f32]], dw: &mut [f32]) -> Option<()> {
        let (x, dy) = if self.x_is_wide() { (inputs[0], inputs[1]) } else { (inputs[1], inputs[0]) };
        if let Some(algorithm) = winograd_gradient::algorithm(self) {
            return winograd_gradient::compute(self, algorithm, x, dy, dw);
        }
        let [channels, filters] = self.channels().map(|c| c as usize);
        let [x_plane, positions] = self.positions().map(|p| p as usize);
        let (batch, groups, taps) = (self.conv.batch as usize, self.conv.groups as usize, self.conv.taps() as usize);
        let problem = self.windows();
        let windows = Windows::new(&problem);
        let (in_place, arch) = (is_pointwise(&problem), Arch::new());
        let rows = filter_rows::suits(&problem).then(|| Rows::new(&problem));
        // Channels of a task, then images: the number of tasks follows from the shape alone.
        let channel_parts = TASKS.div_ceil(groups).min(channels);
        let channels_each = channels.div_ceil(channel_parts);
        let channel_parts = channels.div_ceil(channels_each);
        let image_parts = TASKS.div_ceil(groups * channel_parts).min(batch);
        let images_each = batch.div_ceil(image_parts);
        let image_parts = batch.div_ceil(images_each);
        let row = channels * taps;
        let mut partial = vec![0.0; if image_parts > 1 { image_parts * dw.len() } else { 0 }];
        dw.fill(0.0);
        let size = dw.len();
        let sums = Shared(if image_parts > 1 { partial.as_mut_ptr() } else { dw.as_mut_ptr() });
        (0..groups * channel_parts * image_parts).into_par_iter().for_each_init(<(Vec<f32>, Scratch)>::default, |(block, scratch), task| {
            let (image_part, task) = (task / (groups * channel_parts), task % (groups * channel_parts));
            let (g, channel_part) = (task / channel_parts, task % channel_parts);
            let first_channel = channel_part * channels_each;
            let own = channels_each.min(channels - first_channel);
            let depth = own * taps;
            let start = image_part * size + g * filters * row + first_channel * taps;
            // SAFETY: rows start + k row, columns 0 .. depth, which lie inside the sums of this task's images, and no other task writes them: tasks
            // differ in images (other sums), group (other rows) or channels (other columns).
            let sums = unsafe { sums.slice(start, (filters - 1) * row + depth) };
            let images = image_part * images_each..((image_part + 1) * images_each).min(batch);
            if let Some(rows) = &rows {
                let own = first_channel..first_channel + own;
                return arch.dispatch(Task { rows, x, dy, images, group: g, groups, channels, own, filters, x_plane, dw: sums, scratch });
            }
            let columns = (BLOCK_BYTES / 4 / depth).max(FEWEST_POSITIONS).min(positions);
            for image in images {
                let x = &x[((image * groups + g) * channels + first_channel) * x_plane..][..own * x_plane];
                let dy = &dy[(image * groups + g) * filters * positions..][..filters * positions];
                for first in (0..positions).step_by(columns) {
                    let count = columns.min(positions - first);
                    let a = Operand { elements: &dy[first..], row: positions, column: 1 };
                    let b = if in_place {
                        Operand { elements: &x[first..], row: 1, column: x_plane }
                    } else {
                        block.resize(depth * count, 0.0);
                        im2col(&problem, &windows, x, first, count, block);
                        Operand { elements: block, row: 1, column: count }
                    };
                    add_product([filters, depth, count], a, b, sums, row);
                }
            }
        });
        if image_parts > 1 {
            dw.par_chunks_mut(1 << 12).enumerate().for_each(|(i, dw)| {
                for part in partial.chunks(size) {
                    dw.iter_mut().zip(&part[i << 12..]).for_each(|(sum, v)| *sum += v);
                }
            });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::ops::Problem;
    use crate::ops::conv::descriptor::{Conv2dDescriptor, Conv3dDescriptor, ConvTranspose2dDescriptor};
    use crate::ops::conv::problem::{ConvInputs, ConvProblem};
    use crate::types::Padding;

    fn integers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * step + i / 7) % 9) as f32 - 4.0).collect()
    }

    fn check(gradient: &FilterGradient, x: &[f32]) {
        let dy = integers(gradient.conv.output_count() as usize, 7);
        let mut dw = vec![f32::NAN; gradient.conv.filter_count() as usize];
        gradient.compute(&[x, &dy], &mut dw).unwrap();
        let wide = |numbers: &[f32]| numbers.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let want = crate::reference::compute(gradient.clone(), &[&wide(x), &wide(&dy)]).unwrap().remove(0).value;
        assert!(want.iter().any(|w| *w != 0.0), "{}: all zeros verify nothing", gradient.name());
        for (i, (got, want)) in dw.iter().zip(want).enumerate() {
            let same = f64::from(*got) == want || got.is_nan() && want.is_nan();
            assert!(same, "{}: element {i} is {got}, the reference {want}", gradient.conv);
        }
    }

    /// Few filters and many, which have a way each: rows of one vector and of several, tiles of every size, and windows that need a layout of x.
    #[test]
    fn rows_and_blocks_are_the_reference() {
        let uneven = Padding::Explicit { begin: [1, 0], end: [2, 3] };
        let of = |descriptor: &Conv2dDescriptor, x: &[usize], filter: &[usize]| {
            FilterGradient::new(&ConvProblem::forward(&ConvInputs::new(x, filter, None), descriptor).unwrap()).unwrap()
        };
        let plain = Conv2dDescriptor::default();
        let spread = Conv2dDescriptor { stride: [2, 3], dilation: [1, 2], padding: uneven, ..Default::default() };
        let all = [
            of(&plain, &[3, 2, 9, 12], &[7, 2, 3, 5]),
            of(&plain, &[2, 3, 6, 45], &[16, 3, 2, 2]),
            of(&plain, &[2, 3, 6, 45], &[17, 3, 2, 2]),
            of(&plain, &[20, 2, 5, 5], &[3, 2, 5, 5]),
            of(&plain, &[2, 5, 4, 9], &[20, 5, 1, 1]),
            of(&spread, &[2, 3, 11, 40], &[5, 3, 3, 4]),
            of(&spread, &[2, 3, 11, 40], &[33, 3, 3, 4]),
            of(&Conv2dDescriptor { groups: 6, padding: Padding::Same, ..Default::default() }, &[2, 6, 7, 19], &[6, 1, 3, 3]),
            of(&Conv2dDescriptor { groups: 2, stride: [1, 2], ..Default::default() }, &[17, 4, 5, 18], &[6, 2, 2, 3]),
        ];
        for gradient in &all {
            check(gradient, &integers(gradient.conv.input_count() as usize, 5));
        }
        let deep = Conv3dDescriptor { stride: [2, 1, 2], padding: Padding::uniform(1), ..Default::default() };
        let deep = ConvProblem::forward(&ConvInputs::new(&[2, 2, 5, 4, 14], &[5, 2, 3, 2, 3], None), &deep).unwrap();
        check(&FilterGradient::new(&deep).unwrap(), &integers(deep.input_count() as usize, 5));
        for channels in [3, 18] {
            let descriptor = ConvTranspose2dDescriptor { stride: [2, 2], ..Default::default() };
            let problem = ConvProblem::transposed(&ConvInputs::new(&[2, channels, 5, 8], &[channels, 4, 3, 3], None), &descriptor).unwrap();
            check(&FilterGradient::new(&problem).unwrap(), &integers(problem.input_count() as usize, 5));
        }
    }

    /// What no window reads must not reach a sum, nor what stands behind the last output of a row.
    #[test]
    fn numbers_that_are_not_finite_reach_only_their_taps() {
        for filters in [3, 20] {
            // The last column is read by no window, the one before by the last tap alone.
            let descriptor = Conv2dDescriptor { stride: [1, 2], ..Default::default() };
            let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, 4, 20], &[filters, 1, 2, 3], None), &descriptor).unwrap();
            let gradient = FilterGradient::new(&problem).unwrap();
            let mut x = integers(80, 5);
            x.iter_mut().skip(19).step_by(20).for_each(|v| *v = f32::NAN);
            check(&gradient, &x);
            x.iter_mut().skip(18).step_by(20).for_each(|v| *v = f32::INFINITY);
            check(&gradient, &x);
        }
        let plain = ConvProblem::forward(&ConvInputs::new(&[1, 1, 4, 19], &[3, 1, 2, 3], None), &Conv2dDescriptor::default()).unwrap();
        let mut x = integers(76, 5);
        x.iter_mut().skip(18).step_by(19).for_each(|v| *v = f32::NEG_INFINITY);
        check(&FilterGradient::new(&plain).unwrap(), &x);
    }
}
