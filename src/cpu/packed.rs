//! How the engine computes a convolution, and its filter as that reads it: packed or transformed once, for as many calls as it stays.

use crate::cpu::kernel::{PANEL, Panels};
use crate::cpu::{depthwise, depthwise_lanes, direct, fourier, gemm, phases, pointwise, winograd};
use crate::ops::Op;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fft::FourierTile;
use crate::ops::conv::problem::{ConvProblem, Direction};
use std::borrow::Cow;

/// How a convolution of which every output takes all taps is computed. It follows from the problem alone, so that a call has the same bits whether its filter
/// was packed before or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Channel by channel.
    Rows,
    /// Channel beside channel.
    Lanes,
    Fourier(FourierTile),
    Winograd(Algorithm),
    Direct,
    /// Windows of one tap over few positions.
    Pointwise,
    Gemm,
}

impl Way {
    pub fn of(problem: &ConvProblem) -> Self {
        if let Some(tile) = fourier::tile(problem) {
            return Way::Fourier(tile);
        }
        if depthwise_lanes::suits(problem) {
            return Way::Lanes;
        }
        if depthwise::by_rows(problem) {
            return Way::Rows;
        }
        match winograd::algorithm(problem) {
            Some(algorithm) => Way::Winograd(algorithm),
            None if direct::suits(problem) => Way::Direct,
            None if pointwise::suits(problem) => Way::Pointwise,
            None => Way::Gemm,
        }
    }

    /// Bytes of the filter as this way reads it, beside the filter itself.
    fn bytes(self, problem: &ConvProblem) -> u64 {
        let in_panels = || {
            let filters = problem.filters_per_group().next_multiple_of(PANEL as u64);
            problem.groups * filters * problem.channels_per_group() * 4
        };
        match self {
            Way::Rows | Way::Lanes => 0,
            Way::Fourier(tile) => fourier::bytes(problem, tile),
            Way::Winograd(algorithm) => in_panels() * winograd::elements(problem, algorithm),
            Way::Direct => in_panels() * problem.taps(),
            Way::Pointwise => pointwise::Panels::count(problem) * 4,
            Way::Gemm if problem.direction == Direction::Transposed => problem.filter_count() * 4,
            Way::Gemm => 0,
        }
    }
}

/// What decides how a filter is packed: problems of one filter that agree in it share what was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packing {
    /// By part of a transposed convolution with a stride: how many phases it has, and no way where they have no tap.
    ways: Vec<(usize, Option<Way>)>,
    /// Of phases: stride, dilation and first pad of each axis, which say what taps they have.
    axes: Option<[(u64, u64, i64); 3]>,
    is_forward: bool,
    groups: u64,
}

/// A filter as the engine reads it.
pub(crate) enum Packed {
    /// As it is given.
    AsGiven,
    /// A transposed filter in the order of a forward one.
    Rows(Vec<f32>),
    /// Of `direct`, and transformed of `winograd`.
    Panels(Panels),
    /// Of `pointwise`.
    Beside(pointwise::Panels),
    Spectra(fourier::Spectra),
    /// By part of a transposed convolution with a stride.
    Phases(Vec<phases::Filter>),
}

/// Whether outputs are computed phase by phase: also the only one of an axis, whose input the stride may leave out.
pub(crate) fn has_phases(problem: &ConvProblem) -> bool {
    problem.direction == Direction::Transposed && problem.axes.iter().any(|axis| axis.stride > 1)
}

impl Packing {
    pub fn of(problem: &ConvProblem) -> Self {
        let (ways, axes) = match has_phases(problem) {
            true => {
                let ways = phases::parts(problem).iter().map(|part| (part.count(), part.problem.as_ref().map(Way::of))).collect();
                (ways, Some(problem.axes.each_ref().map(|axis| (axis.stride, axis.dilation, axis.pad_begin))))
            }
            false => (vec![(1, Some(Way::of(problem)))], None),
        };
        Self { ways, axes, is_forward: problem.direction == Direction::Forward, groups: problem.groups }
    }
}

impl Packed {
    /// What is packed of an op's inputs; those that are no constants may be empty.
    pub fn of(op: &Op, inputs: &[&[f32]]) -> Self {
        match op {
            Op::Conv(problem) => Self::new(&problem.convolution(), inputs[1]),
            _ => Packed::AsGiven,
        }
    }

    /// The filter of `problem`, which has no pool, packed.
    pub fn new(problem: &ConvProblem, filter: &[f32]) -> Self {
        if has_phases(problem) {
            return Packed::Phases(phases::pack(problem, filter));
        }
        match Way::of(problem) {
            Way::Rows | Way::Lanes => Packed::AsGiven,
            Way::Fourier(tile) => Packed::Spectra(fourier::pack(problem, tile, filter)),
            Way::Winograd(algorithm) => Packed::Panels(winograd::pack(problem, algorithm, filter)),
            Way::Direct => {
                let rows = gemm::rows(problem, filter);
                let (groups, filters) = (problem.groups as usize, problem.filters_per_group() as usize);
                Packed::Panels(Panels::new(&rows, groups, filters, problem.reduction_depth() as usize))
            }
            Way::Pointwise => Packed::Beside(pointwise::Panels::new(problem, &gemm::rows(problem, filter))),
            Way::Gemm => match gemm::rows(problem, filter) {
                Cow::Borrowed(_) => Packed::AsGiven,
                Cow::Owned(rows) => Packed::Rows(rows),
            },
        }
    }

    /// Bytes of what [`Packed::new`] makes, before it does.
    pub fn bytes(problem: &ConvProblem) -> u64 {
        if !has_phases(problem) {
            return Way::of(problem).bytes(problem);
        }
        let own = phases::parts(problem).into_iter().filter_map(|part| part.problem);
        own.map(|problem| problem.filter_count() * 4 + Way::of(&problem).bytes(&problem)).sum()
    }
}

/// y = activation(conv(x) + bias) of a problem without a pool, whose filter was packed for it.
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filter: &[f32], packed: &Packed, bias: Option<&[f32]>, y: &mut [f32]) {
    match (packed, Way::of(problem)) {
        (Packed::Phases(own), _) => phases::conv(problem, x, own, bias, y),
        (Packed::Spectra(spectra), _) => fourier::conv(problem, x, spectra, bias, y),
        (Packed::Panels(panels), Way::Winograd(algorithm)) => winograd::conv(problem, algorithm, x, panels, bias, y),
        (Packed::Panels(panels), _) => direct::Direct::new(problem, panels.count).conv(x, panels, bias, y),
        (Packed::Beside(panels), _) => pointwise::conv(problem, x, panels, bias, y),
        (Packed::Rows(rows), _) => gemm::conv(problem, x, rows, bias, y),
        (Packed::AsGiven, Way::Lanes) => depthwise_lanes::conv(problem, x, filter, bias, y),
        (Packed::AsGiven, Way::Rows) => depthwise::conv(problem, x, filter, bias, y),
        (Packed::AsGiven, _) => gemm::conv(problem, x, filter, bias, y),
    }
}
