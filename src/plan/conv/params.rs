//! The uniform structs of the convolution kernels, twins of those in `shaders/`. tests/shaders.rs compares size and offsets.

use crate::ops::conv::phases::tap_step;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::window::plane_strides;
use crate::shader::uniforms::{Axis, ConvParams, PackParams};

/// Strides of the filter in memory: group, output channel, input channel. Taps are contiguous.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterStrides {
    pub group: u32,
    pub k: u32,
    pub c: u32,
}

impl FilterStrides {
    pub fn new(problem: &ConvProblem) -> Self {
        let (channels, filters, taps) = (problem.channels_per_group() as u32, problem.filters_per_group() as u32, problem.taps() as u32);
        let group = channels * filters * taps;
        match problem.direction {
            Direction::Forward => Self { group, k: channels * taps, c: taps },
            Direction::Transposed => Self { group, k: taps, c: filters * taps },
        }
    }
}

impl ConvParams {
    /// The numbers of the whole problem. Every cast is in range: the plan checked element counts and coordinates first.
    pub(crate) fn new(problem: &ConvProblem) -> Self {
        let [x_stride_n, x_stride_c, x_stride_p] = plane_strides(problem.x_layout, problem.in_channels, problem.input_positions());
        let [y_stride_n, y_stride_k, y_stride_p] = plane_strides(problem.y_layout, problem.out_channels, problem.output_positions());
        let weights = FilterStrides::new(problem);
        let [alpha, beta] = problem.activation.parameters();
        let axis = |i: usize| {
            let own = &problem.axes[i];
            let step = if problem.direction == Direction::Transposed { tap_step(own) } else { 1 };
            Axis { tap_step: step as i32, ..Axis::new(own) }
        };
        Self {
            depth: axis(0),
            height: axis(1),
            width: axis(2),
            batch: problem.batch as u32,
            groups: problem.groups as u32,
            channels: problem.channels_per_group() as u32,
            filters: problem.filters_per_group() as u32,
            positions: problem.output_positions() as u32,
            taps: problem.taps() as u32,
            columns: 0,
            tiles_m: 0,
            tiles_n: 0,
            first_tile: 0,
            end_tile: 0,
            items: 0,
            x_base: 0,
            x_stride_n,
            x_stride_c,
            x_stride_p,
            x_stride_g: x_stride_c * problem.channels_per_group() as u32,
            y_base: 0,
            y_stride_n,
            y_stride_k,
            y_stride_p,
            w_base: 0,
            w_stride_g: weights.group,
            w_stride_k: weights.k,
            w_stride_c: weights.c,
            alpha,
            beta,
        }
    }
}

impl PackParams {
    /// Packed elements.
    pub(crate) fn count(problem: &ConvProblem, rows: u64, elements: u64) -> u64 {
        Self::padded_count(problem, problem.channels_per_group(), rows, elements)
    }

    /// The same with `channels` a group, of which some may be zeros.
    pub(crate) fn padded_count(problem: &ConvProblem, channels: u64, rows: u64, elements: u64) -> u64 {
        let padded = problem.filters_per_group().next_multiple_of(rows);
        (problem.groups * channels).saturating_mul(elements).saturating_mul(padded)
    }

    /// Filters per group padded to tiles of `rows`; one item for each element of every filter, or for each of `elements`.
    pub(crate) fn new(problem: &ConvProblem, rows: u64, elements: u64) -> Self {
        Self::of_channels(problem, problem.channels_per_group(), rows, elements)
    }

    /// The same with `channels` a group.
    pub(crate) fn of_channels(problem: &ConvProblem, channels: u64, rows: u64, elements: u64) -> Self {
        let strides = FilterStrides::new(problem);
        Self {
            items: Self::padded_count(problem, channels, rows, elements) as u32, // the plan checked that a binding holds them
            rows: rows as u32,
            filters: problem.filters_per_group() as u32,
            channels: problem.channels_per_group() as u32,
            taps: problem.taps() as u32,
            w_base: 0,
            w_stride_g: strides.group,
            w_stride_k: strides.k,
            w_stride_c: strides.c,
            padded: channels as u32,
        }
    }
}
