//! The filter gradient on all cores: dy times the windows of x, image after image. A task owns some channels of x and some images; the sums of tasks that
//! differ in their images alone are added in order, so that any number of cores computes the same bits.

use crate::cpu::Computed;
use crate::cpu::gemm::{BLOCK_BYTES, Shared, TASKS, im2col};
use crate::cpu::product::{Operand, add_product};
use crate::cpu::window::Windows;
use crate::ops::conv::filter_gradient::FilterGradient;
use rayon::prelude::*;

/// Fewest positions of a block.
const FEWEST_POSITIONS: usize = 64;

impl Computed for FilterGradient {
    fn compute(&self, inputs: &[&[f32]], dw: &mut [f32]) -> Option<()> {
        let (x, dy) = if self.x_is_wide() { (inputs[0], inputs[1]) } else { (inputs[1], inputs[0]) };
        let [channels, filters] = self.channels().map(|c| c as usize);
        let [x_plane, positions] = self.positions().map(|p| p as usize);
        let (batch, groups, taps) = (self.conv.batch as usize, self.conv.groups as usize, self.conv.taps() as usize);
        let problem = self.windows();
        let windows = Windows::new(&problem);
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
        (0..groups * channel_parts * image_parts).into_par_iter().for_each_init(Vec::new, |block: &mut Vec<f32>, task| {
            let (image_part, task) = (task / (groups * channel_parts), task % (groups * channel_parts));
            let (g, channel_part) = (task / channel_parts, task % channel_parts);
            let first_channel = channel_part * channels_each;
            let own = channels_each.min(channels - first_channel);
            let depth = own * taps;
            let start = image_part * size + g * filters * row + first_channel * taps;
            // SAFETY: rows start + k row, columns 0 .. depth, which lie inside the sums of this task's images, and no other task writes them: tasks
            // differ in images (other sums), group (other rows) or channels (other columns).
            let sums = unsafe { sums.slice(start, (filters - 1) * row + depth) };
            let columns = (BLOCK_BYTES / 4 / depth).max(FEWEST_POSITIONS).min(positions);
            for image in image_part * images_each..((image_part + 1) * images_each).min(batch) {
                let x = &x[((image * groups + g) * channels + first_channel) * x_plane..][..own * x_plane];
                let dy = &dy[(image * groups + g) * filters * positions..][..filters * positions];
                for first in (0..positions).step_by(columns) {
                    let count = columns.min(positions - first);
                    block.resize(depth * count, 0.0);
                    im2col(&problem, &windows, x, first, count, block);
                    let a = Operand { elements: &dy[first..], row: positions, column: 1 };
                    let b = Operand { elements: block, row: 1, column: count };
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
