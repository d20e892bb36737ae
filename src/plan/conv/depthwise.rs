//! Depthwise convolution: one input channel per group, any number of filters for it. Each invocation computes a block of outputs where the
//! window is not dilated and moves by a few elements at most, taking long windows part by part; else a strip.

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::fused;
use crate::plan::conv::steps::overrides;
use crate::plan::gemm::method::{Call, Method, Work};
use crate::plan::profile::DeviceProfile;
use crate::shader::source_gemm::{CONV_DEPTHWISE, CONV_DEPTHWISE_BLOCK, CONV_DEPTHWISE_BLOCK_PAIRS};
use crate::types::shape::WindowAxis;
use crate::types::{Error, Layout, PaddingMode, Result};

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

/// Longest stride of the kernel that owns blocks: further apart, its outputs share nothing of a row.
const LONGEST_BLOCK_STRIDE: u64 = 4;

/// Most taps that it takes at once, and along one axis: they, its sums and a row of the input are registers.
const MOST_PART_TAPS: u64 = 49;

const LONGEST_PART: u64 = 15;

/// Taps of a part where a window needs several: all of them, and columns, an even number for the kernel that reads pairs; more where there are but one
/// or two rows.
const PART_TAPS: u64 = 40;

const PART_COLUMNS: u64 = 8;

const PART_COLUMNS_OF_LINES: u64 = 16;

pub(crate) fn method(problem: &ConvProblem, profile: &DeviceProfile) -> Method {
    match block_extents(problem) {
        Some(extents) => block(problem, extents, profile),
        None => strip(problem),
    }
}

/// Rows and columns of the block of outputs that an invocation computes; `None` where it computes a strip.
pub(crate) fn block_extents(problem: &ConvProblem) -> Option<[u64; 2]> {
    let [depth, height, width] = &problem.axes;
    let dense = |axis: &WindowAxis| axis.stride <= LONGEST_BLOCK_STRIDE && (axis.dilation == 1 || axis.filter == 1);
    let is_block = problem.direction == Direction::Forward && *depth == WindowAxis::UNIT && dense(height) && dense(width);
    // At stride 2 a block needs twice the rows, of which only a third serves two outputs if the window is short: fewer rows, fewer registers.
    let [rows, _] = part(height.filter, width.filter);
    let block_p = if height.stride == 1 || rows >= 3 * height.stride { 4 } else { 2 };
    is_block.then_some([if height.output == 1 { 1 } else { block_p }, 4])
}

/// Rows and columns of the parts in which a block takes a window: all of it where its taps are registers, else parts as even as can be.
fn part(rows: u64, columns: u64) -> [u64; 2] {
    if rows * columns <= MOST_PART_TAPS && rows.max(columns) <= LONGEST_PART {
        return [rows, columns];
    }
    let even = |taps: u64, most: u64| taps.div_ceil(taps.div_ceil(most));
    let most = if rows <= 2 { PART_COLUMNS_OF_LINES } else { PART_COLUMNS };
    let columns = if columns <= most { columns } else { even(columns, most).next_multiple_of(2) };
    [even(rows, (PART_TAPS / columns).min(LONGEST_PART)), columns]
}

/// Iterations of the loops of one invocation.
pub(crate) fn iterations(problem: &ConvProblem) -> u64 {
    let [_, height, width] = &problem.axes;
    match block_extents(problem) {
        Some(_) => {
            let [rows, columns] = part(height.filter, width.filter);
            width.filter.div_ceil(columns).saturating_mul(1 + height.filter.div_ceil(rows))
        }
        None => problem.taps_of_output().saturating_mul(3),
    }
}

/// Loads of an invocation for each product that counts.
fn loads(problem: &ConvProblem, profile: &DeviceProfile) -> f64 {
    let [_, height, width] = &problem.axes;
    let Some([block_p, block_q]) = block_extents(problem) else { return 1.0 / STRIP as f64 + 1.0 }; // a tap, and an element for each output
    let [rows, columns] = part(height.filter, width.filter);
    // Drivers leave out what no output reads: what lies between windows that are further apart than a part is long.
    let reach = |outputs: u64, stride: u64, taps: u64| ((outputs - 1) * stride + taps).min(outputs * taps);
    let odd = width.pad_begin.unsigned_abs() % 2;
    let (lines, line) = (reach(block_p, height.stride, rows), reach(block_q, width.stride, columns));
    let halves = ((block_q - 1) * width.stride + columns + odd).div_ceil(2).min(line);
    let line = if takes_pairs(problem, block_q, profile) { halves } else { line };
    let parts = height.filter.div_ceil(rows) * width.filter.div_ceil(columns);
    (parts * (lines * line + rows * columns)) as f64 / (block_p * block_q * height.filter * width.filter) as f64
}

/// Cycles that llvmpipe takes for a product and for the loads that it needs (docs/drivers.md).
pub(crate) fn cycles(problem: &ConvProblem, profile: &DeviceProfile) -> f64 {
    14.0 * loads(problem, profile) + 0.85
}

/// Cycles that the register core takes for one tap in one column: for the column; for each filter, of which tiles have four or a multiple; and for each
/// filter's part in the end of a tile, which all taps share. With one channel, an outer K step is one step long. Fitted to
/// benchmarks/notebook/2026-11-22-several-filters-of-a-channel.md, in the unit of [`cycles`]: Mesa 22 and Mesa 26.
pub(crate) fn register_cycles(problem: &ConvProblem, profile: &DeviceProfile) -> f64 {
    let [column, filter, end] = if profile.is_old_llvmpipe() { [18.0, 1.7, 0.0] } else { [32.0, 1.8, 23.0] };
    column + (filter + end / problem.taps() as f64) * problem.filters_per_group().next_multiple_of(4) as f64
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
    profile.loads_half_vec4(problem.element) && channels_first && even && plain
}

/// A block of outputs for each invocation, rows of the input read once for all of them.
fn block(problem: &ConvProblem, [block_p, block_q]: [u64; 2], profile: &DeviceProfile) -> Method {
    let [_, height, width] = &problem.axes;
    let pairs = takes_pairs(problem, block_q, profile);
    let [rows, columns] = part(height.filter, width.filter);
    let one_part = [rows, columns] == [height.filter, width.filter];
    let has_rest = !height.filter.is_multiple_of(rows) || !width.filter.is_multiple_of(columns);
    // Rows are written out for GPUs, whose compilers keep what a variable picks in memory, or pick it by comparisons. A processor's registers hold little of a
    // block either way, and its compiler takes longer the longer a kernel is.
    let lines = if profile.is_cpu { 0 } else { (block_p - 1) * height.stride + rows };
    let consts = [
        ("BLOCK_P", block_p),
        ("BLOCK_Q", block_q),
        ("TAPS_R", rows),
        ("TAPS_S", columns),
        ("STRIDE_P", height.stride),
        ("STRIDE_Q", width.stride),
        ("ONE_PART", one_part.into()),
        ("REST", has_rest.into()),
        ("LINES", lines),
    ];
    let odd = pairs.then_some(("ODD", u32::from(width.pad_begin % 2 != 0)));
    let consts = consts.into_iter().map(|(name, value)| (name, value as u32)).chain(fused::consts(problem)).chain(odd).collect();
    let source = if pairs { &CONV_DEPTHWISE_BLOCK_PAIRS } else { &CONV_DEPTHWISE_BLOCK };
    let tile = format!("block {block_p}x{block_q}") + &if one_part { String::new() } else { format!(" by {rows}x{columns}") };
    let work = blocks(problem, [block_p, block_q]);
    Method::plain(tile, Call { source, consts, overrides: all_overrides(problem), work })
}

/// One block of so many rows and columns an invocation.
fn blocks(problem: &ConvProblem, [block_p, block_q]: [u64; 2]) -> Work {
    let [depth, height, width] = problem.axes.each_ref().map(|axis| axis.output);
    Work::Blocks { blocks: depth * height.div_ceil(block_p) * width.div_ceil(block_q), positions: problem.output_positions() }
}

/// A strip of one row of outputs for each invocation, of one phase if they have several; any window.
fn strip(problem: &ConvProblem) -> Method {
    let consts = vec![("STRIP", STRIP as u32)];
    let [depth, height, width] = &problem.axes;
    let [_, _, phases] = problem.phases();
    let phase = if problem.direction == Direction::Transposed { width.output.div_ceil(width.stride) } else { width.output };
    let blocks = depth.output * height.output * phases * phase.div_ceil(STRIP);
    let work = Work::Blocks { blocks, positions: problem.output_positions() };
    Method::plain(format!("strip {STRIP}"), Call { source: &CONV_DEPTHWISE, consts, overrides: all_overrides(problem), work })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::plan::conv::choice::depthwise_pays as pays;
    use crate::types::shape::Padding;

    const PLAIN: DeviceProfile = DeviceProfile { is_cpu: true, ..DeviceProfile::MINIMAL };
    const PAIRS: DeviceProfile = DeviceProfile { has_int64: true, ..PLAIN };
    const OLD: DeviceProfile = DeviceProfile { max_loop_iterations: 65_535, ..PAIRS };

    /// A window over one channel of 240 x 240, which all strides to 4 divide into whole blocks.
    fn conv(window: [u64; 2], stride: u64, filters: u64) -> ConvProblem {
        let padding = Padding::Explicit { begin: window.map(|taps| taps as usize / 2), end: window.map(|taps| (taps as usize - 1) / 2) };
        let descriptor = ConvDescriptor::<2> { stride: [stride as usize; 2], padding, ..Default::default() };
        let filter = [filters as usize, 1, window[0] as usize, window[1] as usize];
        ConvProblem::forward(&ConvInputs::new(&[1, 1, 240, 240], &filter, None), &descriptor).unwrap()
    }

    #[test]
    fn parts_cover_a_window_and_stay_small() {
        for (rows, columns) in (1..=300).flat_map(|r| (1..=300).map(move |s| (r, s))) {
            let [r, s] = part(rows, columns);
            let taps = rows.next_multiple_of(r) * columns.next_multiple_of(s);
            assert!(
                (1..=LONGEST_PART).contains(&r) && (1..=PART_COLUMNS_OF_LINES).contains(&s) && r * s <= MOST_PART_TAPS,
                "{rows} x {columns}: {r} x {s}"
            );
            assert!(s == columns || s.is_multiple_of(2), "pairs begin at even columns: {columns} by {s}");
            assert!(taps <= 2 * rows * columns, "{rows} x {columns} by {r} x {s} multiplies {taps} times");
        }
        assert_eq!([part(7, 7), part(9, 1), part(1, 15), part(149, 149), part(1, 31)], [[7, 7], [9, 1], [1, 15], [5, 8], [1, 16]]);
    }

    /// box:149 of an image left every kernel but the slowest out: its taps, three iterations each, are more than the driver's loops may have.
    #[test]
    fn a_large_window_is_no_reason_to_leave_blocks() {
        for side in [147, 149, 255, 999] {
            let problem = conv([side, side], 1, 1);
            assert!(crate::plan::conv::supports(Algorithm::Depthwise, &problem, &OLD).is_ok(), "{side}");
            assert!(block_extents(&problem).is_some());
        }
    }

    /// What was measured: strips of 64 and 512 filters took 4 to 7 times as long as the register core on Mesa 26, a strip of one filter half as long;
    /// blocks of 3 x 3 and 5 x 5 were faster with any number there, with 8 at most on Mesa 22, with one alone on SwiftShader.
    #[test]
    fn many_filters_of_a_channel_go_where_they_are_fast() {
        let dilated = ConvDescriptor::<1> { stride: [5], ..Default::default() };
        let first_of_wav2vec = |filters| ConvProblem::forward(&ConvInputs::new(&[1, 1, 16_000], &[filters, 1, 10], None), &dilated).unwrap();
        assert_eq!([1, 4, 512].map(|filters| pays(&first_of_wav2vec(filters), &PAIRS)), [true, false, false]);
        assert!(
            [[7, 2], [11, 4]].iter().all(|&[side, stride]| !pays(&conv([side; 2], stride, 64), &PAIRS) && pays(&conv([side; 2], stride, 1), &PAIRS))
        );
        for (window, filters, fast) in [(3, 64, [true, false, false]), (5, 32, [true, false, false]), (5, 8, [true, true, false]), (3, 1, [true; 3])]
        {
            let problem = conv([window; 2], 1, filters);
            assert_eq!([PAIRS, OLD, PLAIN].map(|profile| pays(&problem, &profile)), fast, "{window} x {window}, {filters} filters");
        }
        let gpu = DeviceProfile::MINIMAL;
        assert!(pays(&conv([7, 7], 1, 64), &gpu) && !pays(&first_of_wav2vec(512), &gpu) && pays(&first_of_wav2vec(8), &gpu));
    }

    /// By the estimate that the choice is made with, one more tap, filter or step of a stride never costs more than twice what its products would (from
    /// stride 1 to 2 three times: outputs share half as much either way). With blocks for windows of 5 taps a side alone, the next one cost 6 times.
    #[test]
    fn neighbours_cost_alike() {
        let mut worst = (0.0, String::new());
        for profile in [PAIRS, OLD] {
            let cost = |window: [u64; 2], stride: u64, filters: u64| {
                let problem = conv(window, stride, filters);
                let own = cycles(&problem, &profile);
                if pays(&problem, &profile) { own } else { register_cycles(&problem, &profile) / filters as f64 }
            };
            for (r, s) in (1..=31).flat_map(|r| (1..=31).map(move |s| (r, s))) {
                for (stride, filters) in (1..=4).flat_map(|stride| (1..64).map(move |filters| (stride, filters))) {
                    let own = cost([r, s], stride, filters);
                    let longer = [cost([r + 1, s], stride, filters), cost([r, s + 1], stride, filters), cost([r, s], stride, filters + 1)];
                    let mut neighbours: Vec<(f64, f64)> = longer.into_iter().map(|other| (other, 1.0)).collect();
                    if stride < 4 {
                        neighbours.push((cost([r, s], stride + 1, filters), if stride == 1 { 1.5 } else { 1.0 }));
                    }
                    for (other, share) in neighbours {
                        let ratio = (own / other).max(other / own / share);
                        if ratio > worst.0 {
                            worst = (ratio, format!("{r} x {s}, stride {stride}, {filters} filters, {profile:?}"));
                        }
                    }
                }
            }
        }
        assert!(worst.0 <= 2.0, "{worst:?}");
    }
}
