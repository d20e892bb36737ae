//! How many invocations share a line of a reduction (`shaders/lib/lanes.wgsl`).

use crate::plan::profile::DeviceProfile;

/// Lanes of a line of `length` elements where there are `lines` of them: several elements a lane, so that the tree pays. On a CPU-like
/// device barriers cost and lines run on a handful of cores, so lines are shared only where they are few or long: measured over 14 shapes on
/// three software drivers (benchmarks/notebook/2026-11-21-what-was-learnt.md), one invocation a line is up to 15 times as fast there.
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
    // A power of two that a workgroup holds, whatever the device's own limit is.
    let held = 1u64 << profile.max_workgroup_invocations.clamp(1, 256).ilog2();
    let mut lanes = 1 << (length / 8).clamp(1, held.min(most)).ilog2();
    // A long line needs lanes enough for a driver that ends long loops.
    while lane_turns(length, lanes) > profile.max_loop_turns && u64::from(lanes) < held {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree joins lanes by halves, and a workgroup holds no more than the device says.
    #[test]
    fn lanes_are_a_power_of_two_that_a_workgroup_holds() {
        for invocations in [0, 1, 3, 64, 100, 255, 256, 300, 1024, u32::MAX] {
            for max_loop_turns in [10, 65_535, u64::MAX] {
                for is_cpu in [false, true] {
                    let profile = DeviceProfile { max_workgroup_invocations: invocations, max_loop_turns, is_cpu, ..DeviceProfile::MINIMAL };
                    for length in [1, 8, 1000, 1 << 20, 1 << 60] {
                        let lanes = lanes(length, 100, &profile);
                        assert!(lanes.is_power_of_two() && lanes <= invocations.clamp(1, 256), "{lanes} of {length} with {invocations}");
                    }
                }
            }
        }
    }
}
