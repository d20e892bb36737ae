//! Ops that read at positions which are computed: every mode with every padding, aligned and not, 1 to 3 axes, one element along an axis, in parts.

use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use crate::types::ElementType::{F16, F32};
use crate::types::Layout::{ChannelsFirst, ChannelsLast};
use crate::types::{ElementType, Layout, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;

/// `x` sampled at so many positions along each axis.
fn sample(x: &[usize], to: &[usize], (element, layout): (ElementType, Layout), descriptor: GridSampleDescriptor) -> Result<GridSample> {
    let grid: Vec<usize> = x[..1].iter().chain(to).copied().chain([to.len()]).collect();
    GridSample::new(&TensorType::new(x, element, layout), &TensorType::new(&grid, element, ChannelsFirst), &descriptor)
}

pub(crate) fn samples(full: bool) -> Result<Vec<GridSample>> {
    let shapes: [(&[usize], &[usize]); 5] =
        [(&[2, 3, 9, 13], &[11, 7]), (&[2, 3, 34], &[45]), (&[1, 2, 5, 6, 7], &[4, 5, 9]), (&[1, 5, 1, 6], &[3, 35]), (&[3, 2, 4, 1], &[7, 6])];
    let mut all = Vec::new();
    for (i, mode) in GridSampleMode::ALL.into_iter().enumerate() {
        for (j, padding) in GridSamplePadding::ALL.into_iter().enumerate() {
            for (k, align_corners) in [false, true].into_iter().enumerate() {
                for (l, (x, to)) in shapes.into_iter().enumerate() {
                    let number = i + 2 * j + 3 * k + l;
                    if (mode == GridSampleMode::Cubic && x.len() == 5) || (!full && l > 0 && !number.is_multiple_of(3)) {
                        continue;
                    }
                    let kind = ([F32, F32, F16][number % 3], [ChannelsFirst, ChannelsLast][(number + j) % 2]);
                    all.push(sample(x, to, kind, GridSampleDescriptor { mode, padding, align_corners })?);
                }
            }
        }
    }
    Ok(all)
}

/// Batches that no binding holds whole: parts begin inside their bindings.
pub(crate) fn sliced_samples() -> Result<Vec<(GridSample, Elsewhere)>> {
    let mut all = Vec::new();
    for layout in [ChannelsFirst, ChannelsLast] {
        let descriptor = GridSampleDescriptor { padding: GridSamplePadding::Border, ..Default::default() };
        all.push((sample(&[7, 3, 9, 13], &[11, 9], (F32, layout), descriptor)?, Elsewhere::Binding(4096)));
    }
    Ok(all)
}
