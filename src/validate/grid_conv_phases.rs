//! Transposed convolutions and data gradients with a stride, whose outputs are computed phase by phase.

use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::types::{Activation, ElementType, Result, TensorType};
use crate::validate::grid_conv::{BIAS, Extra, Grid, LAYOUTS, PLAIN, pads};

/// Phases with the same taps, with more and fewer, and with none, because the window is smaller than the stride or stride and dilation have a common
/// divisor; of fewer outputs than others, and fewer phases than the stride; over one to three axes, groups, layouts and f16, with all that an epilogue adds.
pub(crate) fn phases(grid: &mut Grid, full: bool) -> Result<()> {
    let two = ConvTransposeDescriptor::<2>::default();
    // Stride, dilation, window.
    let windows: &[([usize; 2], [usize; 2], [usize; 2])] = if full {
        &[
            ([2, 2], [1, 1], [3, 3]),
            ([2, 2], [1, 1], [4, 4]),
            ([3, 4], [1, 1], [2, 1]),
            ([2, 2], [2, 2], [3, 3]),
            ([4, 6], [2, 3], [4, 5]),
            ([6, 4], [4, 6], [3, 4]),
            ([5, 2], [3, 5], [7, 3]),
            ([3, 3], [1, 1], [3, 3]),
            ([1, 3], [2, 2], [2, 5]),
        ]
    } else {
        &[([2, 2], [1, 1], [3, 3]), ([3, 4], [1, 1], [2, 1]), ([4, 6], [2, 3], [4, 5]), ([2, 1], [1, 2], [4, 2])]
    };
    for (i, &(stride, dilation, window)) in windows.iter().enumerate() {
        let output_padding = [stride[0] / 2, (stride[1] - 1).min(1)];
        let descriptor = ConvTransposeDescriptor { stride, dilation, padding: pads([1, 2], [2, 0]), output_padding, ..two };
        let (x_layout, y_layout) = LAYOUTS[i % 4];
        let extra = Extra { x_layout, y_layout, ..if i % 2 == 0 { BIAS } else { PLAIN } };
        grid.transposed::<2>(ConvTransposeDescriptor { activation: Activation::Relu, ..descriptor }, &[2, 8, 5, 4], 36, window, extra)?;
        grid.transposed::<2>(ConvTransposeDescriptor { groups: 2, ..descriptor }, &[1, 6, 4, 5], 10, window, extra)?;
        grid.transposed::<2>(ConvTransposeDescriptor { groups: 3, ..descriptor }, &[2, 3, 4, 7], 6, window, extra)?;
        if i % 2 == 0 {
            grid.transposed::<2>(descriptor, &[1, 4, 3, 5], 9, window, Extra { element: ElementType::F16, ..extra })?;
        }
    }
    // Cropped to fewer outputs than the stride is long, and to phases of one output.
    for output in [[3, 2], [5, 6]] {
        let cropped = ConvTransposeDescriptor { stride: [5, 4], output_shape: Some(output), ..two };
        grid.transposed::<2>(cropped, &[2, 5, 2, 3], 6, [3, 5], BIAS)?;
        grid.transposed::<2>(ConvTransposeDescriptor { groups: 5, ..cropped }, &[2, 5, 2, 3], 5, [3, 5], PLAIN)?;
    }
    // The other engines' staple: windows as long as the stride, and twice.
    grid.transposed::<2>(ConvTransposeDescriptor { stride: [4, 4], ..two }, &[1, 16, 2, 3], 5, [4, 4], BIAS)?;
    let twice = ConvTransposeDescriptor { stride: [2, 2], padding: pads([1, 1], [1, 1]), ..two };
    grid.transposed::<2>(twice, &[2, 32, 5, 7], 20, [4, 4], BIAS)?;
    for (stride, dilation, window) in [(2, 1, 3), (4, 2, 3), (3, 1, 1)] {
        let one = ConvTransposeDescriptor { stride: [stride], dilation: [dilation], padding: pads([1], [0]), ..Default::default() };
        grid.transposed::<1>(one, &[2, 5, 9], 7, [window], BIAS)?;
        grid.transposed::<1>(ConvTransposeDescriptor { groups: 5, ..one }, &[1, 5, 9], 10, [window], PLAIN)?;
        let three = ConvTransposeDescriptor {
            stride: [2, stride, 2],
            dilation: [2, dilation, 1],
            padding: pads([0, 1, 1], [1, 0, 1]),
            output_padding: [1, 0, 1],
            ..Default::default()
        };
        grid.transposed::<3>(three, &[1, 3, 3, 2, 4], 5, [2, window, 3], BIAS)?;
        grid.transposed::<3>(ConvTransposeDescriptor { groups: 3, ..three }, &[1, 3, 3, 2, 4], 3, [3, window, 2], PLAIN)?;
    }
    // Data gradients, where the windows do not come out even: what they leave over has no taps.
    for (stride, window, pad) in [([2, 2], [3, 3], 1), ([3, 2], [2, 1], 0), ([4, 3], [3, 5], 2)] {
        let descriptor = ConvDescriptor { stride, padding: pads([pad, pad], [pad, 0]), ..Default::default() };
        for (groups, filters) in [(1, 12), (4, 8)] {
            let filter = [filters, 8 / groups, window[0], window[1]];
            let inputs = ConvInputs { x: TensorType::f32(&[2, 8, 9, 12]), ..ConvInputs::new(&[], &filter, None) };
            grid.problems.push(ConvProblem::forward(&inputs, &ConvDescriptor { groups, ..descriptor })?.data_gradient()?);
        }
    }
    Ok(())
}
