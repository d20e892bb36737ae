//! How many invocations share a line of a reduction (`shaders/common/lanes.wgsl`).

use crate::gpu::DeviceProfile;

/// Lanes of a line of `length` elements where there are `lines` of them: several elements a lane, so that the tree pays. On a CPU-like
/// device barriers cost and lines run on a handful of cores, so lines are shared only where they are few or long: measured over 14 shapes on
/// three software drivers (BENCHMARKS.md), one invocation a line is up to 15 times as fast there.
pub(crate) fn lanes(length: u64, lines: u64, profile: &DeviceProfile) -> u32 {
    if profile.is_cpu && lines >= 64 && length <= LONGEST_SERIAL_LINE {
        return 1;
    }
    let most = match (profile.is_cpu, lines) {
        (true, _) => 16,
        // A few long lines: a whole large workgroup each.
        (false, 0..=1024) => 256,
        (false, _) => 64,
    };
    let most = most.min(u64::from(profile.max_workgroup_invocations));
    let mut lanes = 1 << (length / 8).clamp(1, most).ilog2();
    // A long line needs lanes enough for a driver that ends long loops.
    while lane_turns(length, lanes) > profile.max_loop_turns && lanes < 256.min(profile.max_workgroup_invocations) {
        lanes *= 2;
    }
    lanes
}

/// Turns of one lane's loops, at most four walks over its part of the line, and those of the joins.
pub(crate) fn lane_turns(length: u64, lanes: u32) -> u64 {
    (length / u64::from(lanes)).saturating_mul(4).saturating_add(64)
}

/// Longest line that one invocation walks alone: beyond, its serial sum is needlessly inaccurate, and some drivers end long loops.
pub(crate) const LONGEST_SERIAL_LINE: u64 = 4096;

/// The prelude of a kernel of lines: a workgroup of 64, or of all the lanes if they are more.
pub(crate) fn lane_consts(lanes: u32) -> Vec<(&'static str, u32)> {
    vec![("WG_SIZE", lanes.max(64)), ("LANES", lanes)]
}

/// Lines of one workgroup.
pub(crate) fn lines_per_workgroup(lanes: u32) -> u64 {
    u64::from(lanes.max(64) / lanes)
}
