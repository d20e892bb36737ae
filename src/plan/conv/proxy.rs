//! A small problem of a convolution's class, on which a tuner's candidates are verified.

use crate::numeric::Accuracy;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;

/// Filters of a group at most: they fill the tallest tile and leave some over.
const FILTERS: u64 = 128;

/// Channels of a group at most.
const CHANNELS: u64 = 16;

/// Groups and images at most.
const GROUPS: u64 = 3;

/// Outputs along an axis at most: they fill a row of every tile.
const OUTPUTS: u64 = 12;

/// The same windows, padding, layouts and epilogue over fewer images, groups, channels, filters and places; remainders by 4 and 8 are
/// kept, for they decide which loads and loops a kernel has. `None` for transposed convolutions, whose extents hang together otherwise.
pub(crate) fn proxy(problem: &ConvProblem) -> Option<ConvProblem> {
    if problem.direction != Direction::Forward {
        return None;
    }
    let fewer = |value: u64, most: u64| if value <= most + 8 { value } else { most + value % 8 };
    let groups = problem.groups.min(GROUPS);
    let channels = fewer(problem.channels_per_group(), CHANNELS);
    let filters = fewer(problem.filters_per_group(), FILTERS);
    let axes = problem.axes.each_ref().map(shorter);
    Some(ConvProblem {
        batch: problem.batch.min(GROUPS),
        groups,
        in_channels: groups * channels,
        out_channels: groups * filters,
        axes,
        // With fewer channels an algorithm may not keep the bound that it keeps with many; its own bound is what is verified.
        accuracy: Accuracy::Reduced,
        algorithm: None,
        ..problem.clone()
    })
}

/// As many outputs less as leave at most a few more than [`OUTPUTS`], where the input is long enough; pads that hold windows of nothing else become
/// shorter first, then the input ends earlier. A remainder by 4 is kept.
fn shorter(axis: &WindowAxis) -> WindowAxis {
    let window = axis.window_extent() as i64; // at most 2^60, as pads are
    let mut axis = *axis;
    let surplus = |axis: &WindowAxis| axis.output.saturating_sub(OUTPUTS) / 4;
    // In steps of four windows: at least one that sees padding alone is left.
    let step = 4 * i128::from(axis.stride);
    for end in [false, true] {
        let pad = if end { axis.pad_end } else { axis.pad_begin };
        let fewer = (i128::from(pad - window) / step).clamp(0, surplus(&axis).into());
        let pad = pad - (fewer * step) as i64;
        axis = WindowAxis { output: axis.output - 4 * fewer as u64, ..axis };
        if end { axis.pad_end = pad } else { axis.pad_begin = pad }
    }
    // The input stays longer than a window and than either pad, which it may be mirrored into.
    let least = window.max(axis.pad_begin).max(axis.pad_end) + 1;
    let fewer = (i128::from(axis.input as i64 - least) / step).clamp(0, surplus(&axis).into());
    WindowAxis { input: axis.input - (fewer * step) as u64, output: axis.output - 4 * fewer as u64, ..axis }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::types::shape::Padding;
    use crate::types::shape::PaddingMode;

    #[test]
    fn a_proxy_is_a_problem_that_resolves_to_itself() {
        for (extent, stride, pad, channels, filters, groups) in
            [(56, 1, 1, 64, 64, 1), (112, 2, 1, 96, 96, 96), (7, 1, 1, 512, 2048, 1), (225, 2, 3, 3, 65, 1)]
        {
            let descriptor = ConvDescriptor::<2> {
                stride: [stride; 2],
                padding: Padding::Explicit { begin: [pad; 2], end: [pad; 2] },
                groups,
                ..Default::default()
            };
            let problem =
                ConvProblem::forward(&ConvInputs::new(&[8, channels, extent, extent], &[filters, channels / groups, 3, 3], None), &descriptor)
                    .unwrap();
            let proxy = proxy(&problem).unwrap();
            assert!(proxy.flops() < 30e6, "{proxy}: {}", proxy.flops());
            let x: Vec<usize> = proxy.input_extents();
            let descriptor = ConvDescriptor::<2> { groups: proxy.groups as usize, accuracy: Accuracy::Reduced, ..descriptor };
            let again = ConvProblem::forward(&ConvInputs::new(&x, &proxy.filter_extents(), None), &descriptor).unwrap();
            assert_eq!(again, proxy);
        }
    }

    /// Where most windows see padding alone, the proxy would be as large as the problem; its reference is computed in f64.
    #[test]
    fn large_pads_become_short() {
        for (input, pad, stride) in [(8, 1 << 30, 1), (56, 50, 1), (1 << 20, 1 << 20, 3), (1, 1 << 40, 1 << 20), (40, 7, 1)] {
            for mode in PaddingMode::ALL {
                let padding = Padding::Explicit { begin: [pad, 0], end: [pad, pad / 2] };
                let padding_mode = if pad < input { mode } else { PaddingMode::Zeros };
                let descriptor = ConvDescriptor::<2> { stride: [stride, 1], padding, padding_mode, ..Default::default() };
                let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, input, 7], &[1, 1, 3, 5], None), &descriptor);
                let Ok(problem) = problem else { continue }; // circular and reflect allow no such pad
                let proxy = proxy(&problem).unwrap();
                assert!(proxy.flops() < 1e6, "{problem} becomes {proxy}: {}", proxy.flops());
                for (own, small) in problem.axes.iter().zip(&proxy.axes) {
                    assert_eq!(own.output % 4, small.output % 4, "{problem} becomes {proxy}");
                    assert_eq!(own.pad_begin % own.stride as i64, small.pad_begin % small.stride as i64);
                    assert_eq!(own.pad_begin > own.window_extent() as i64, small.pad_begin >= small.window_extent() as i64);
                }
                let [begin, end] =
                    [|a: &WindowAxis| a.pad_begin as usize, |a: &WindowAxis| a.pad_end as usize].map(|pad| [1, 2].map(|i| pad(&proxy.axes[i])));
                let descriptor = ConvDescriptor::<2> { padding: Padding::Explicit { begin, end }, accuracy: Accuracy::Reduced, ..descriptor };
                let again = ConvProblem::forward(&ConvInputs::new(&proxy.input_extents(), &proxy.filter_extents(), None), &descriptor).unwrap();
                assert_eq!(again, proxy);
            }
        }
    }
}
