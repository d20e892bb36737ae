//! Properties of shape arithmetic on random numbers: each formula against the definition, walked element by element.

use crate::types::Layout;
use crate::types::shape::{AxisPadding, TensorShape, WindowAxis, ceil_output_extent, output_extent, resolve_axis};
use crate::types::strided::{StridedAxis, StridedCopy};
use crate::types::strided_axes::{StridedAxes, offsets};
use proptest::prelude::*;

/// A window by the definition: starts that step over the padded input as long as they are allowed.
fn starts(input: u64, window: u64, stride: u64, [begin, end]: [u64; 2], ceil_mode: bool) -> u64 {
    let padded = input + begin + end;
    let fits = |start: &u64| start + window <= padded;
    let whole = (0..).map(|o| o * stride).take_while(fits).count() as u64;
    let next = whole * stride;
    // One more may reach past the end, where the last whole one does not reach the end itself and the next begins in the input or before it.
    let uncovered = (whole - 1) * stride + window < padded;
    whole + u64::from(ceil_mode && uncovered && next < input + begin)
}

/// Every coordinate of these extents, row-major.
fn coordinates(extents: &[usize]) -> Vec<Vec<usize>> {
    extents.iter().fold(vec![vec![]], |all, &extent| all.iter().flat_map(|head| (0..extent).map(move |i| [&head[..], &[i]].concat())).collect())
}

proptest! {
    #[test]
    fn outputs_are_as_many_as_windows_fit(input in 1u64..40, window in 1u64..20, stride in 1u64..9, begin in 0u64..12, end in 0u64..12) {
        let [floor, ceil] = [output_extent, ceil_output_extent].map(|f| f("width", input, window, stride, begin, end));
        if window > input + begin + end {
            prop_assert!(floor.is_err() && ceil.is_err());
        } else {
            prop_assert_eq!(floor.unwrap(), starts(input, window, stride, [begin, end], false));
            // Pools alone round up, and their pads are shorter than a window.
            if end < window {
                prop_assert_eq!(ceil.unwrap(), starts(input, window, stride, [begin, end], true));
            }
        }
    }

    #[test]
    fn same_padding_gives_the_input_over_the_stride(input in 1u64..60, filter in 1u64..9, stride in 1u64..6, dilation in 1u64..4) {
        for (padding, odd_at_end) in [(AxisPadding::SameUpper, true), (AxisPadding::SameLower, false)] {
            let axis = resolve_axis("width", input, filter, stride, dilation, padding, false).unwrap();
            prop_assert_eq!(axis.output, input.div_ceil(stride));
            let (more, less) = if odd_at_end { (axis.pad_end, axis.pad_begin) } else { (axis.pad_begin, axis.pad_end) };
            prop_assert!((0..=1).contains(&(more - less)), "{:?}", axis);
        }
    }

    /// Whatever 64 bits hold is an error or an axis whose numbers are in range, and never a panic.
    #[test]
    fn no_number_overflows(numbers in any::<[u64; 6]>(), small in any::<[bool; 6]>(), ceil_mode: bool) {
        let mut picked = numbers.iter().zip(small).map(|(&n, small)| if small { n % 9 } else { n });
        let mut next = || picked.next().unwrap_or(1);
        let (input, filter, stride, dilation) = (next().max(1) % (1 << 60), next(), next(), next());
        let padding = AxisPadding::Explicit { begin: next(), end: next() };
        if let Ok(WindowAxis { output, .. }) = resolve_axis("width", input, filter, stride, dilation, padding, ceil_mode) {
            prop_assert!((1..=1 << 60).contains(&output));
        }
    }

    #[test]
    fn strides_number_every_element_once(extents in prop::collection::vec(1usize..6, 0..=5), last: bool) {
        let layout = if last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
        let strides = TensorShape::new(&extents).unwrap().strides(layout);
        let mut places: Vec<u64> =
            coordinates(&extents).iter().map(|at| at.iter().zip(&strides).map(|(&i, s)| i as u64 * s).sum()).collect();
        places.sort_unstable();
        prop_assert_eq!(places, (0..extents.iter().product::<usize>() as u64).collect::<Vec<_>>());
    }

    /// Merged axes visit what the axes did, in the same order, for every operand.
    #[test]
    fn merged_axes_walk_as_the_axes_did(
        extents in prop::collection::vec(1usize..5, 1..=4),
        broadcast in any::<[[bool; 4]; 2]>(),
    ) {
        // The first operand is dense, the others lack the axes along which they are broadcast.
        let dense = |kept: &dyn Fn(usize) -> bool| -> Vec<i64> {
            let (mut step, mut strides) = (1, vec![0; extents.len()]);
            for i in (0..extents.len()).rev().filter(|&i| kept(i)) {
                (strides[i], step) = (step, step * extents[i] as i64);
            }
            strides
        };
        let strides = [dense(&|_| true), dense(&|i| !broadcast[0][i]), dense(&|i| !broadcast[1][i])];
        let axes: Vec<(u64, [i64; 3])> = (0..extents.len()).map(|i| (extents[i] as u64, [0, 1, 2].map(|k| strides[k][i]))).collect();
        let strided_axes = StridedAxes::new(&axes);
        prop_assert!(strided_axes.axes.len() <= axes.len());
        let want: Vec<[usize; 3]> =
            coordinates(&extents).iter().map(|at| [0, 1, 2].map(|k| at.iter().zip(&strides[k]).map(|(&i, s)| i * *s as usize).sum())).collect();
        let got: Vec<[usize; 3]> = (0..strided_axes.count() as usize).map(|number| offsets(&strided_axes.axes, number)).collect();
        prop_assert_eq!(got, want);
    }

    /// A merged copy moves the same elements to the same places.
    #[test]
    fn merged_copies_move_what_the_axes_moved(extents in prop::collection::vec(1u64..5, 1..=4), order in any::<[u8; 4]>(), backwards in any::<[bool; 4]>()) {
        let mut walk: Vec<usize> = (0..extents.len()).collect();
        walk.sort_by_key(|&i| order[i]);
        let step = |axes: &[usize]| {
            let (mut step, mut steps) = (1i64, vec![0; extents.len()]);
            for &i in axes.iter().rev() {
                (steps[i], step) = (step, step * extents[i] as i64);
            }
            steps
        };
        let (x, y) = (step(&walk), step(&(0..extents.len()).collect::<Vec<_>>()));
        let axis = |i: usize| StridedAxis { extent: extents[i], x: if backwards[i] { -x[i] } else { x[i] }, y: y[i] };
        let x_base = (0..extents.len()).filter(|&i| backwards[i]).map(|i| (extents[i] as i64 - 1) * x[i]).sum();
        let copy = StridedCopy { input: 0, x_base, y_base: 0, axes: (0..extents.len()).map(axis).collect() };
        let moves = |copy: &StridedCopy| {
            let extents: Vec<usize> = copy.axes.iter().map(|a| a.extent as usize).collect();
            let at = |c: &Vec<usize>| c.iter().zip(&copy.axes).fold((copy.x_base, copy.y_base), |(x, y), (&i, a)| (x + i as i64 * a.x, y + i as i64 * a.y));
            let mut moves: Vec<(i64, i64)> = coordinates(&extents).iter().map(at).collect();
            moves.sort_unstable();
            moves
        };
        let merged = copy.clone().merged();
        prop_assert!(merged.axes.len() <= copy.axes.len());
        prop_assert_eq!(moves(&merged), moves(&copy));
    }
}
