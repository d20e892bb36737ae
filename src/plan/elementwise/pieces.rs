//! Coordinates of operands that broadcast, cut so that what each operand has of a piece fits one binding: along the slowest axis, and where one point of it is too
//! large, at each point along the next.

use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Range, check_parts};
use crate::types::{ElementType, Error, Result};

/// A part of the coordinates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece<const N: usize> {
    /// Points along each axis, the slowest first.
    pub extents: Vec<u64>,
    /// What it binds of each operand.
    pub ranges: [Range; N],
}

/// Cuts `axes` (extent and strides of the operands, none negative; the slowest first) for the device. `names` are what a refusal says.
///
/// # Errors
/// More parts than a plan has; an element that fits no binding.
pub(crate) fn pieces<const N: usize>(
    axes: &[(u64, [i64; N])],
    names: [&str; N],
    element: ElementType,
    profile: &DeviceProfile,
) -> Result<Vec<Piece<N>>> {
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    let bytes = element.bytes();
    // Elements from the first to the last that an operand has of so many points.
    let reach = |extents: &[u64], operand: usize| -> u64 {
        1 + extents.iter().zip(axes).map(|(extent, (_, strides))| (extent - 1) * strides[operand].unsigned_abs()).sum::<u64>()
    };
    let whole: Vec<u64> = axes.iter().map(|(extent, _)| *extent).collect();
    let fits = |extents: &[u64], room: u64| (0..N).all(|operand| reach(extents, operand) * bytes <= room);
    let piece = |extents: &[u64], first: &[u64]| {
        let ranges = std::array::from_fn(|operand| {
            let start = first.iter().zip(axes).map(|(at, (_, strides))| at * strides[operand].unsigned_abs()).sum::<u64>() * bytes;
            let from = start / profile.storage_alignment * profile.storage_alignment;
            Range { first: from, bytes: start - from + reach(extents, operand) * bytes, base: ((start - from) / bytes) as u32 }
        });
        Piece { extents: extents.to_vec(), ranges }
    };
    if fits(&whole, limit) {
        return Ok(vec![piece(&whole, &vec![0; axes.len()])]);
    }
    // A piece may start up to one alignment before its first element.
    let room = limit.saturating_sub(profile.storage_alignment);
    // The axis that is cut: at one point of those before it, so many of its points with all behind it fit.
    let of = |axis: usize, count: u64| -> Vec<u64> {
        let behind = whole[axis + 1..].iter().copied();
        std::iter::repeat_n(1, axis).chain([count]).chain(behind).collect()
    };
    let Some(axis) = (0..axes.len()).find(|&axis| fits(&of(axis, 1), room)) else {
        let argument = names[0].to_string();
        return Err(Error::TooLarge { argument, needed: bytes.into(), unit: "bytes", limit_name: "max_storage_buffer_binding_size", limit });
    };
    // Elements that one point more adds, and those that one point has.
    let most = |operand: usize| match axes[axis].1[operand].unsigned_abs() {
        0 => whole[axis],
        stride => (room / bytes - reach(&of(axis, 1), operand)) / stride + 1,
    };
    let each = (0..N).map(most).min().unwrap_or(1).clamp(1, whole[axis]);
    let outer: u64 = whole[..axis].iter().product();
    let largest = (0..N).max_by_key(|&operand| reach(&whole, operand)).map_or("", |operand| names[operand]);
    check_parts(largest, u128::from(outer) * u128::from(whole[axis].div_ceil(each)))?;
    let mut all = vec![];
    for number in 0..outer {
        let mut first = vec![0; axes.len()];
        let mut rest = number;
        for i in (0..axis).rev() {
            first[i] = rest % whole[i];
            rest /= whole[i];
        }
        for from in (0..whole[axis]).step_by(each as usize) {
            first[axis] = from;
            all.push(piece(&of(axis, each.min(whole[axis] - from)), &first));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_point_once_and_fit() {
        let profile = DeviceProfile { max_binding_bytes: 4096, ..DeviceProfile::MINIMAL };
        // A plane of 2,000 elements is too large; a bias steps with the second axis alone.
        let axes = [(3u64, [6000i64, 0, 6000]), (3, [2000, 1, 2000]), (2000, [1, 0, 1])];
        let all = pieces(&axes, ["a", "b", "y"], ElementType::F32, &profile).unwrap();
        assert_eq!(all.len(), 9 * 3);
        let mut written = vec![0; 18_000];
        for piece in &all {
            assert!(piece.ranges.iter().all(|range| range.first % 256 == 0 && range.bytes <= 4096), "{piece:?}");
            let [_, _, y] = piece.ranges;
            let start = y.first / 4 + u64::from(y.base);
            (start..start + piece.extents.iter().product::<u64>()).for_each(|i| written[i as usize] += 1);
        }
        assert!(written.iter().all(|times| *times == 1));
        let whole = pieces(&axes, ["a", "b", "y"], ElementType::F32, &DeviceProfile::MINIMAL).unwrap();
        assert_eq!((whole.len(), whole[0].extents.as_slice()), (1, &[3, 3, 2000][..]));
        assert_eq!(whole[0].ranges[1], Range { first: 0, bytes: 12, base: 0 });
    }
}
