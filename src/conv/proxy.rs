//! A small problem of a convolution's class, on which a tuner's candidates are proven.

use super::descriptor::Accuracy;
use super::problem::{ConvProblem, Direction};
use crate::shape::WindowAxis;

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
pub(super) fn proxy(problem: &ConvProblem) -> Option<ConvProblem> {
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
        // With fewer channels an algorithm may not keep the bound that it keeps with many; its own bound is what is proven.
        accuracy: Accuracy::Reduced,
        algorithm: None,
        ..problem.clone()
    })
}

/// As many outputs less as leave at most a few more than [`OUTPUTS`]; the input ends so much earlier. A remainder by 4 is kept.
fn shorter(axis: &WindowAxis) -> WindowAxis {
    let output = if axis.output <= OUTPUTS + 4 { axis.output } else { OUTPUTS + axis.output % 4 };
    let cut = (axis.output - output) * axis.stride;
    // An input that is shorter than what is cut off lies in the padding almost whole: it stays.
    if cut + axis.filter * axis.dilation >= axis.input { *axis } else { WindowAxis { input: axis.input - cut, output, ..*axis } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{ConvDescriptor, ConvInputs};
    use crate::shape::Padding;

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
                ConvProblem::forward(&descriptor, &ConvInputs::new(&[8, channels, extent, extent], &[filters, channels / groups, 3, 3], None))
                    .unwrap();
            let proxy = proxy(&problem).unwrap();
            assert!(proxy.flops() < 30e6, "{proxy}: {}", proxy.flops());
            let x: Vec<usize> = proxy.input_extents();
            let descriptor = ConvDescriptor::<2> { groups: proxy.groups as usize, accuracy: Accuracy::Reduced, ..descriptor };
            let again = ConvProblem::forward(&descriptor, &ConvInputs::new(&x, &proxy.filter_extents(), None)).unwrap();
            assert_eq!(again, proxy);
        }
    }
}
