//! How many invocations share a line of a reduction (`shaders/lib/row_threads.wgsl`), and how much of a line is walked at once.

use crate::plan::profile::DeviceProfile;
use crate::types::{ElementType, Error, Result};

/// Threads of a line of `length` elements where there are `lines` of them: several elements a thread, so that the tree pays. On a CPU-like
/// device barriers cost and lines run on a handful of cores, so lines are shared only where they are few or long: measured over 14 shapes on
/// three software drivers (benchmarks/notebook/2026-11-21-what-was-learnt.md), one invocation a line is up to 15 times as fast there.
pub(crate) fn threads(length: u64, lines: u64, profile: &DeviceProfile) -> u32 {
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
    let mut threads = 1 << (length / 8).clamp(1, held.min(most)).ilog2();
    // A long line needs threads enough for a driver that ends long loops.
    while row_iterations(length, threads) > profile.max_loop_iterations && u64::from(threads) < held {
        threads *= 2;
    }
    threads
}

/// Iterations of one thread's loops, at most four walks over its part of the line, and those of the joins.
pub(crate) fn row_iterations(length: u64, threads: u32) -> u64 {
    (length / u64::from(threads)).saturating_mul(4).saturating_add(64)
}

/// Longest line that one invocation walks alone: beyond, its serial sum is needlessly inaccurate, and some drivers end long loops.
pub(crate) const LONGEST_SERIAL_LINE: u64 = 4096;

/// The prelude of a kernel of lines: a workgroup of 64, or of all the threads if they are more.
pub(crate) fn row_consts(threads: u32) -> Vec<(&'static str, u32)> {
    vec![("WG_SIZE", threads.max(64)), ("ROW_THREADS", threads)]
}

/// Lines of one workgroup.
pub(crate) fn lines_per_workgroup(threads: u32) -> u64 {
    u64::from(threads.max(64) / threads)
}

/// Of a tensor \[outer\]\[length\]\[inner\] so many elements of every line of a slab as a binding holds wherever they begin: all of them, or those of a part.
///
/// # Errors
/// One element of every line, which lie beside each other, is more than a binding holds.
pub(crate) fn line_at_once([outer, length, inner]: [u64; 3], element: ElementType, profile: &DeviceProfile) -> Result<u64> {
    let row = inner * element.bytes();
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    let room = limit.saturating_sub(profile.storage_alignment);
    if length * row <= room || outer * length * row <= limit {
        return Ok(length);
    }
    if row > room {
        let (argument, limit_name) = ("one element of every line, which lie beside each other,".into(), "max_storage_buffer_binding_size");
        return Err(Error::TooLarge { argument, needed: row.into(), unit: "bytes", limit_name, limit });
    }
    // Equal parts, but for the last.
    Ok(length.div_ceil(length.div_ceil(room / row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree joins threads by halves, and a workgroup holds no more than the device says.
    #[test]
    fn lanes_are_a_power_of_two_that_a_workgroup_holds() {
        for invocations in [0, 1, 3, 64, 100, 255, 256, 300, 1024, u32::MAX] {
            for max_loop_iterations in [10, 65_535, u64::MAX] {
                for is_cpu in [false, true] {
                    let profile = DeviceProfile { max_workgroup_invocations: invocations, max_loop_iterations, is_cpu, ..DeviceProfile::MINIMAL };
                    for length in [1, 8, 1000, 1 << 20, 1 << 60] {
                        let threads = threads(length, 100, &profile);
                        assert!(threads.is_power_of_two() && threads <= invocations.clamp(1, 256), "{threads} of {length} with {invocations}");
                    }
                }
            }
        }
    }
}
