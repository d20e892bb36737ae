//! The pooling kernel for CPU-like devices: strips of outputs from 64-bit loads (`shaders/pool/pairs.wgsl`).

use crate::ops::pool::descriptor::PoolKind;
use crate::ops::pool::problem::PoolProblem;
use crate::plan::pool::choice::STRIP_CPU as STRIP;
use crate::plan::profile::DeviceProfile;
use crate::shader::uniforms::{Axis, PoolPairsParams};
use crate::types::Layout;

/// Whether it computes this problem, and by no more loads than there are taps.
pub(crate) fn admits(problem: &PoolProblem, profile: &DeviceProfile) -> bool {
    let width = &problem.axes[2];
    let span = ((STRIP - 1) * width.stride).saturating_add(lead(problem) + width.filter);
    profile.loads_half_vec4(problem.element)
        && problem.layout == Layout::ChannelsFirst
        && problem.indices().is_none()
        // The kernel has no second walk for norms whose powers leave f32.
        && matches!(problem.kind, PoolKind::Max { .. } | PoolKind::Average { .. } | PoolKind::Lp { p: 1.0 })
        && !problem.adaptive
        && width.dilation == 1
        && width.input.is_multiple_of(2)
        && span.div_ceil(2) <= STRIP * width.filter
}

/// Columns by which a strip's first pair of them begins before its first window.
fn lead(problem: &PoolProblem) -> u64 {
    problem.axes[2].pad_begin.unsigned_abs() % 2
}

pub(crate) fn consts(problem: &PoolProblem) -> Vec<(&'static str, u32)> {
    let [depth, height, width] = &problem.axes;
    vec![
        ("STRIP", STRIP as u32),
        ("STRIDE", width.stride as u32),
        ("LEAD", lead(problem) as u32),
        ("TAPS_T", depth.filter as u32),
        ("TAPS_R", height.filter as u32),
        ("TAPS_S", width.filter as u32),
        ("STORE_PAIRS", u32::from(width.output.is_multiple_of(2))),
    ]
}

/// The uniform of a call that makes `strips` strips, x and y beginning at these elements of their bindings.
pub(crate) fn params(problem: &PoolProblem, strips: u64, x_base: u32, y_base: u32) -> PoolPairsParams {
    let [depth, height, width] = problem.axes.each_ref().map(|axis| axis.output);
    let [(strips_multiplier, strips_shift), (rows_multiplier, rows_shift), (depth_multiplier, depth_shift)] =
        [width.div_ceil(STRIP), height, depth].map(reciprocal);
    let power = problem.power();
    PoolPairsParams {
        depth: Axis::new(&problem.axes[0]),
        height: Axis::new(&problem.axes[1]),
        width: Axis::new(&problem.axes[2]),
        items: strips as u32,
        x_base,
        x_stride_c: problem.input_positions() as u32,
        y_base,
        strips_multiplier,
        strips_shift,
        rows_multiplier,
        rows_shift,
        depth_multiplier,
        depth_shift,
        power,
        inverse: 1.0 / power,
    }
}

/// Multiplier m and shift s that divide every n < 2^31 by a `d` of 1 to 2^31: n m / 2^s, rounded down (Granlund and Montgomery 1994).
/// With s = 31 + l, d <= 2^l, and m = ceil(2^s / d), m d is 2^s + e with e < d. So n m / 2^s is n / d + n e / (d 2^s), and too large by less
/// than 1 / d, as n e < 2^31 2^l: that never reaches the next whole number.
fn reciprocal(d: u64) -> (u32, u32) {
    let shift = 31 + d.next_power_of_two().trailing_zeros();
    ((1u64 << shift).div_ceil(d) as u32, shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_divide_exactly() {
        const N: u64 = (1 << 31) - 1;
        let near_powers = (0..=31).flat_map(|l| [(1u64 << l) - 1, 1 << l, (1 << l) + 1]);
        for d in (1..2000).chain(near_powers).filter(|d| (1..=1 << 31).contains(d)) {
            let (multiplier, shift) = reciprocal(d);
            for q in [0, 1, 2, 3, N / d / 2, (N / d).saturating_sub(1), N / d] {
                for n in [(q * d).saturating_sub(1), q * d, q * d + 1, q * d + d - 1, N].into_iter().filter(|n| *n <= N) {
                    assert_eq!((n * u64::from(multiplier)) >> shift, n / d, "{n} / {d}");
                }
            }
        }
    }
}
