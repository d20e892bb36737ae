//! Depthwise convolution: one input channel per group, any number of filters for it. Each invocation computes a block of
//! outputs where the window is small, else a strip.

use super::descriptor::Algorithm;
use super::fused;
use super::plan::{Choice, Companion, overrides};
use super::problem::{ConvProblem, Direction};
use crate::error::{Error, Result};
use crate::gpu::DeviceProfile;
use crate::kernel::{CONV_DEPTHWISE, CONV_DEPTHWISE_BLOCK, CONV_DEPTHWISE_BLOCK_PAIRS, KernelSpec};
use crate::shape::{Layout, PaddingMode, WindowAxis};

/// Outputs of one row that an invocation computes.
const STRIP: u64 = 4;

pub(crate) fn supports(problem: &ConvProblem) -> Result<()> {
    if problem.channels_per_group() != 1 {
        return Err(Error::Unsupported {
            algorithm: Algorithm::Depthwise.name().into(),
            reason: format!(
                "it needs one input channel per group, and {} channels in {} groups make {}",
                problem.in_channels,
                problem.groups,
                problem.channels_per_group()
            ),
        });
    }
    Ok(())
}

/// Longest tap axis of the kernel that owns blocks: its sums, taps and a row of the input are registers.
const LONGEST_BLOCK_TAPS: u64 = 5;

pub(crate) fn choice(problem: &ConvProblem, profile: &DeviceProfile) -> Choice {
    match block_extents(problem) {
        Some(extents) => block(problem, extents, profile),
        None => strip(problem),
    }
}

/// Rows and columns of the block of outputs that an invocation computes; `None` where it computes a strip.
pub(crate) fn block_extents(problem: &ConvProblem) -> Option<[u64; 2]> {
    let [depth, height, width] = &problem.axes;
    let small = |axis: &WindowAxis| axis.filter <= LONGEST_BLOCK_TAPS && axis.stride <= 2 && axis.dilation == 1;
    let is_block = problem.direction == Direction::Forward && *depth == WindowAxis::UNIT && small(height) && small(width);
    // At stride 2 a block needs twice the rows, of which only a third serves two outputs: fewer rows, fewer registers.
    is_block.then(|| [if height.output == 1 { 1 } else { 4 / height.stride }, 4])
}

fn all_overrides(problem: &ConvProblem) -> Vec<(&'static str, u32)> {
    let mut overrides = overrides(problem);
    if problem.y_layout == Layout::ChannelsLast {
        overrides.push(("CHANNELS_LAST", 1));
    }
    overrides
}

/// Whether a block of so many columns may read and write two elements of a row at once, where 64-bit loads pay: each pair begins at an even
/// element of its row and is wholly inside or outside.
fn takes_pairs(problem: &ConvProblem, block_q: u64, profile: &DeviceProfile) -> bool {
    let width = &problem.axes[2];
    let channels_first = [problem.x_layout, problem.y_layout] == [Layout::ChannelsFirst; 2];
    let even = width.input.is_multiple_of(2) && width.output.is_multiple_of(block_q);
    let plain = problem.padding_mode == PaddingMode::Zeros && problem.pool.is_none();
    profile.loads_half_quads(problem.element) && channels_first && even && plain
}

/// A block of outputs for each invocation, rows of the input read once for all of them.
fn block(problem: &ConvProblem, [block_p, block_q]: [u64; 2], profile: &DeviceProfile) -> Choice {
    let [_, height, width] = &problem.axes;
    let pairs = takes_pairs(problem, block_q, profile);
    let consts = [
        ("BLOCK_P", block_p),
        ("BLOCK_Q", block_q),
        ("TAPS_R", height.filter),
        ("TAPS_S", width.filter),
        ("STRIDE_P", height.stride),
        ("STRIDE_Q", width.stride),
    ];
    let odd = pairs.then_some(("ODD", u32::from(width.pad_begin % 2 != 0)));
    let consts = consts.into_iter().map(|(name, value)| (name, value as u32)).chain(fused::consts(problem)).chain(odd).collect();
    let source = if pairs { &CONV_DEPTHWISE_BLOCK_PAIRS } else { &CONV_DEPTHWISE_BLOCK };
    Choice {
        kernel: KernelSpec { source, element: problem.element, consts, overrides: all_overrides(problem) },
        tile: format!("block {block_p}x{block_q}"),
        packed_multiple: None,
        count: Box::new(move |problem, batch, params| {
            let blocks = problem.axes[1].output.div_ceil(block_p) * problem.axes[2].output.div_ceil(block_q);
            let items = batch * problem.out_channels * blocks;
            params.items = items as u32;
            items.div_ceil(64)
        }),
        companion: Companion::None,
    }
}

/// A strip of one row of outputs for each invocation; any window.
fn strip(problem: &ConvProblem) -> Choice {
    Choice {
        kernel: KernelSpec {
            source: &CONV_DEPTHWISE,
            element: problem.element,
            consts: vec![("STRIP", STRIP as u32)],
            overrides: all_overrides(problem),
        },
        tile: format!("strip {STRIP}"),
        packed_multiple: None,
        count: Box::new(|problem, batch, params| {
            let rows = problem.axes[0].output * problem.axes[1].output;
            let items = batch * problem.out_channels * rows * problem.axes[2].output.div_ceil(STRIP);
            params.items = items as u32;
            items.div_ceil(64)
        }),
        companion: Companion::None,
    }
}
