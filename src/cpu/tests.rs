//! The CPU engine against the reference: exactly on integers, within the bound on every activation.

use crate::cpu::conv;
use crate::cpu::packed::Way;
use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::{Algorithm, ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::descriptor::{Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor};
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::reference::Referenced;
use crate::types::{Activation, Padding, PaddingMode, TensorType};

fn integers(count: u64, step: u64) -> Vec<f32> {
    (0..count).map(|i| ((i * step + i / 7) % 9) as f32 - 4.0).collect()
}

fn check(problem: &ConvProblem) {
    let (x, filter) = (integers(problem.input_count(), 5), integers(problem.filter_count(), 7));
    let bias = problem.has_bias.then(|| integers(problem.out_channels, 4));
    let mut y = vec![f32::NAN; problem.output_count() as usize];
    conv(problem, &x, &filter, bias.as_deref(), &mut y).unwrap();
    let reference = crate::reference::conv(problem, &x, &filter, bias.as_deref()).unwrap();
    let want = reference.output(problem.activation);
    assert!(want.iter().any(|w| *w != 0.0), "{problem}: all zeros verify nothing");
    for (i, (got, want)) in y.iter().zip(&want).enumerate() {
        let allowed = if problem.activation.is_exact() { 0.0 } else { problem.activation.own_error(reference.sum[i], *want) };
        let difference = (f64::from(*got) - want).abs();
        assert!(difference <= allowed, "{problem}: element {i} is {got}, the reference {want}");
    }
}

fn forward<const N: usize>(descriptor: &ConvDescriptor<N>, x: &[usize], filter: &[usize], bias: bool) {
    let bias_extents = [filter[0]];
    check(&ConvProblem::forward(&ConvInputs::new(x, filter, bias.then_some(&bias_extents[..])), descriptor).unwrap());
}

fn transposed<const N: usize>(descriptor: &ConvTransposeDescriptor<N>, x: &[usize], filter: &[usize], bias: bool) {
    let bias_extents = [filter[1] * descriptor.groups];
    check(&ConvProblem::transposed(&ConvInputs::new(x, filter, bias.then_some(&bias_extents[..])), descriptor).unwrap());
}

#[test]
fn forward_shapes_and_options() {
    let four_pads = Padding::Explicit { begin: [1, 0], end: [2, 3] };
    for (groups, filter) in [(1, [5, 6, 3, 2]), (2, [4, 3, 3, 2]), (3, [12, 2, 1, 3])] {
        for stride in [[1, 1], [2, 1], [1, 3]] {
            let descriptor = Conv2dDescriptor { stride, dilation: [1, 2], padding: four_pads, groups, ..Default::default() };
            forward(&descriptor, &[2, 6, 9, 11], &filter, stride[0] == 2);
        }
    }
    forward(&Conv2dDescriptor::default(), &[3, 7, 5, 13], &[9, 7, 1, 1], true);
    forward(&Conv2dDescriptor { stride: [2, 2], ..Default::default() }, &[1, 7, 6, 13], &[9, 7, 1, 1], false);
    forward(&Conv2dDescriptor { padding: Padding::Same, ..Default::default() }, &[1, 70, 40, 37], &[20, 70, 3, 3], true);
    forward(&Conv1dDescriptor { padding: Padding::SameLower, stride: [2], ..Default::default() }, &[2, 3, 19], &[4, 3, 4], true);
    forward(&Conv3dDescriptor { stride: [1, 2, 1], padding: Padding::uniform(1), ..Default::default() }, &[1, 3, 4, 5, 6], &[5, 3, 2, 3, 3], true);
}

#[test]
fn padding_modes() {
    for padding_mode in PaddingMode::ALL {
        let padding = Padding::Explicit { begin: [2, 3], end: [1, 2] };
        for (groups, filter) in [(1, [5, 4, 3, 4]), (4, [4, 1, 3, 4])] {
            forward(&Conv2dDescriptor { padding, padding_mode, groups, stride: [1, 2], ..Default::default() }, &[1, 4, 5, 7], &filter, false);
        }
    }
}

#[test]
fn depthwise_with_multiplier() {
    for multiplier in [1, 2, 6] {
        let descriptor = Conv2dDescriptor { groups: 5, padding: Padding::uniform(1), ..Default::default() };
        forward(&descriptor, &[2, 5, 8, 9], &[5 * multiplier, 1, 3, 3], true);
        forward(&Conv2dDescriptor { stride: [2, 2], dilation: [2, 1], ..descriptor }, &[2, 5, 8, 9], &[5 * multiplier, 1, 3, 3], true);
    }
}

/// Rows of every stride, dilation and padding, shorter than a vector and longer than several.
#[test]
fn depthwise_rows() {
    for (i, width) in [1, 2, 15, 16, 17, 63, 70, 131].into_iter().enumerate() {
        for (stride, dilation, taps) in [(1, 1, 3), (1, 3, 5), (2, 1, 2), (2, 1, 3), (2, 3, 4), (3, 1, 7), (3, 2, 3), (5, 1, 2), (4, 7, 2)] {
            let padding = Padding::Explicit { begin: [1, dilation * (taps - 1) + i % 2], end: [0, i % 3] };
            let padding_mode = if i % 2 == 0 || width < 15 { PaddingMode::Replicate } else { PaddingMode::Zeros };
            let descriptor = ConvDescriptor { stride: [1, stride], dilation: [1, dilation], padding, padding_mode, groups: 2, ..Default::default() };
            forward::<2>(&descriptor, &[1, 2, 3, width], &[2, 1, 2, taps], false);
            let back = ConvTransposeDescriptor { stride: [2, stride], dilation: [1, dilation], groups: 2, ..Default::default() };
            transposed::<2>(&back, &[1, 2, 3, width], &[2, 1, 2, taps], false);
        }
    }
    // Planes whose rows are laid out in several bands.
    for (stride, padding_mode) in [([1, 1], PaddingMode::Zeros), ([2, 3], PaddingMode::Reflect), ([1, 2], PaddingMode::Circular)] {
        let padding = Padding::Explicit { begin: [2, 1], end: [1, 2] };
        let descriptor = Conv2dDescriptor { stride, dilation: [2, 1], padding, padding_mode, groups: 2, ..Default::default() };
        forward(&descriptor, &[1, 2, 150, 1000], &[2, 1, 3, 3], true);
    }
    let deep = Conv3dDescriptor { groups: 1, padding: Padding::uniform(1), ..Default::default() };
    forward(&deep, &[1, 1, 3, 70, 900], &[1, 1, 3, 2, 3], false);
    transposed::<2>(&ConvTransposeDescriptor { padding: Padding::uniform(1), ..Default::default() }, &[1, 1, 130, 1000], &[1, 1, 3, 4], false);
    // A window that reaches far beyond the input; a stride longer than it.
    let far = Padding::Explicit { begin: [0, 9_000], end: [0, 0] };
    let spread = Conv2dDescriptor { dilation: [1, 9_000], padding: far, groups: 2, ..Default::default() };
    forward(&spread, &[1, 2, 3, 17], &[2, 1, 2, 2], false);
    forward(&Conv2dDescriptor { stride: [1, 1 << 40], groups: 2, ..Default::default() }, &[1, 2, 3, 17], &[2, 1, 2, 3], false);
    let cropped = ConvTransposeDescriptor { padding: Padding::uniform(2), groups: 3, ..Default::default() };
    transposed::<2>(&cropped, &[1, 3, 6, 40], &[3, 1, 3, 3], true);
    forward(
        &Conv3dDescriptor { groups: 2, padding: Padding::uniform(1), stride: [1, 2, 2], ..Default::default() },
        &[2, 2, 3, 5, 40],
        &[4, 1, 3, 2, 3],
        true,
    );
}

/// A weight that is no number meets the zeros around the input, as the definition has it, and no further element.
#[test]
fn depthwise_weights_that_are_not_finite() {
    let descriptor = Conv2dDescriptor { groups: 1, padding: Padding::uniform(1), ..Default::default() };
    let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, 4, 20], &[1, 1, 3, 3], None), &descriptor).unwrap();
    let x: Vec<f32> = (1..=80).map(|v| v as f32).collect();
    let mut filter = [0.0; 9];
    filter[0] = f32::INFINITY; // the top left neighbour
    let mut y = vec![0.0; 80];
    conv(&problem, &x, &filter, None, &mut y).unwrap();
    for (i, v) in y.iter().enumerate() {
        let outside = i < 20 || i % 20 == 0;
        assert_eq!((v.is_nan(), *v == f32::INFINITY), (outside, !outside), "{i}: {v}");
    }
}

/// Blocks of channels that are full and not, planes padded in every way, strides, dilations; backwards; an infinite weight, which meets zeros of the padding, and
/// a NaN of the input reach their channel alone.
#[test]
fn depthwise_lanes() {
    for (i, channels) in [16, 17, 19, 31, 40].into_iter().enumerate() {
        for (stride, dilation, taps) in [([1, 1], [1, 1], [3, 3]), ([2, 2], [1, 1], [5, 5]), ([1, 2], [2, 1], [2, 4]), ([3, 1], [1, 3], [1, 7])] {
            let padding = Padding::Explicit { begin: [i % 3, (dilation[1] * (taps[1] - 1)).min(9)], end: [1, i % 2] };
            let padding_mode = PaddingMode::ALL[i % PaddingMode::ALL.len()];
            let activation = if i % 2 == 0 { Activation::Relu6 } else { Activation::None };
            let descriptor = Conv2dDescriptor { stride, dilation, padding, padding_mode, groups: channels, activation, ..Default::default() };
            for (height, width) in [(7, 13), (9, 22), (4, 10)] {
                forward(&descriptor, &[2, channels, height, width], &[channels, 1, taps[0], taps[1]], i % 2 == 0);
                let back = ConvTransposeDescriptor { stride, dilation, groups: channels, ..Default::default() };
                transposed::<2>(&back, &[2, channels, height, width], &[channels, 1, taps[0], taps[1]], i % 2 == 1);
            }
        }
    }
    forward(&Conv1dDescriptor { padding: Padding::Same, groups: 20, ..Default::default() }, &[2, 20, 90], &[20, 1, 9], true);

    let descriptor = Conv2dDescriptor { padding: Padding::uniform(1), groups: 18, ..Default::default() };
    let problem = ConvProblem::forward(&ConvInputs::new(&[1, 18, 6, 5], &[18, 1, 3, 3], None), &descriptor).unwrap();
    assert_eq!(Way::of(&problem), Way::Lanes);
    let (mut x, mut filter) = (integers(18 * 30, 5), integers(18 * 9, 7));
    filter[3 * 9] = f32::INFINITY;
    x[17 * 30 + 12] = f32::NAN;
    let mut y = vec![0.0; 18 * 30];
    conv(&problem, &x, &filter, None, &mut y).unwrap();
    let reference = crate::reference::conv(&problem, &x, &filter, None).unwrap().sum;
    let classes = |v: f64| (v.is_nan(), v.is_infinite(), v > 0.0);
    assert!(y[3 * 30..4 * 30].iter().any(|v| v.is_nan()) && y[17 * 30..].iter().any(|v| v.is_nan()));
    for (i, (got, want)) in y.iter().zip(&reference).enumerate() {
        assert_eq!(classes(f64::from(*got)), classes(*want), "element {i} is {got}, the reference {want}");
    }
}

/// Windows of one tap over a few positions: every number of these, panels that are full and not, groups; backwards.
#[test]
fn pointwise_of_few_positions() {
    for (i, (height, width)) in [(1, 2), (1, 3), (2, 2), (1, 5), (2, 3), (1, 7), (2, 4), (3, 3), (5, 5), (7, 7), (8, 8)].into_iter().enumerate() {
        for (groups, filters) in [(1, 16), (1, 17), (2, 31), (1, 33), (3, 48)] {
            let activation = if i % 2 == 0 { Activation::Relu } else { Activation::None };
            let descriptor = Conv2dDescriptor { groups, activation, ..Default::default() };
            let problem = ConvProblem::forward(&ConvInputs::new(&[3, groups * 9, height, width], &[groups * filters, 9, 1, 1], None), &descriptor);
            assert_eq!(Way::of(&problem.unwrap()), Way::Pointwise);
            forward(&descriptor, &[3, groups * 9, height, width], &[groups * filters, 9, 1, 1], i % 3 == 0);
            let back = ConvTransposeDescriptor { groups, ..Default::default() };
            transposed::<2>(&back, &[2, groups * 5, height, width], &[groups * 5, filters, 1, 1], i % 3 == 1);
        }
    }
}

#[test]
fn transposed_options() {
    for groups in [1, 2, 4] {
        let descriptor = ConvTransposeDescriptor {
            stride: [3, 2],
            dilation: [1, 2],
            padding: Padding::Explicit { begin: [1, 0], end: [0, 2] },
            output_padding: [2, 1],
            groups,
            ..Default::default()
        };
        transposed::<2>(&descriptor, &[2, 4, 5, 3], &[4, 3, 3, 2], false);
    }
    transposed::<1>(&ConvTransposeDescriptor { stride: [3], output_shape: Some([23]), ..Default::default() }, &[1, 2, 6], &[2, 3, 4], false);
}

/// With one tap to four; with none, where the bias alone is the sum; of uneven extents; fewer than the stride; by both ways of computing one.
#[test]
fn phases_of_a_stride() {
    let padding = Padding::Explicit { begin: [1, 2], end: [2, 0] };
    for (stride, dilation, window) in [([2, 2], [1, 1], [3, 3]), ([3, 4], [1, 1], [2, 1]), ([4, 6], [2, 3], [4, 5]), ([1, 3], [2, 1], [2, 4])] {
        for (groups, channels, filters) in [(1, 5, 7), (2, 4, 3), (3, 3, 2)] {
            let descriptor = ConvTransposeDescriptor { stride, dilation, padding, groups, activation: Activation::Relu, ..Default::default() };
            transposed::<2>(&descriptor, &[2, channels, 5, 4], &[channels, filters, window[0], window[1]], true);
        }
    }
    transposed::<2>(
        &ConvTransposeDescriptor { stride: [5, 4], output_shape: Some([3, 2]), ..Default::default() },
        &[2, 5, 2, 3],
        &[5, 6, 3, 5],
        true,
    );
    // One output along an axis, which reads the second input and not the third.
    for (groups, channels) in [(1, 2), (3, 3)] {
        for (dilation, window, begin) in [(1, 1, 2), (2, 2, 4)] {
            let padding = Padding::Explicit { begin: [begin], end: [2] };
            let one = ConvTransposeDescriptor { stride: [2], dilation: [dilation], padding, groups, ..Default::default() };
            transposed::<1>(&one, &[2, channels, 3], &[channels, 2, window], true);
        }
    }
    // Two rows of y alike, of which every other column takes no tap: its phases are parts of their own.
    let columns = ConvTransposeDescriptor { stride: [2, 2], padding: Padding::Explicit { begin: [0, 1], end: [0, 0] }, ..Default::default() };
    transposed::<2>(&columns, &[2, 3, 4, 5], &[3, 2, 2, 1], true);
    let deep = ConvTransposeDescriptor { stride: [2, 1, 3], dilation: [2, 1, 1], padding: Padding::uniform(1), ..Default::default() };
    transposed::<3>(&deep, &[1, 3, 3, 2, 4], &[3, 5, 2, 3, 3], true);
}

#[test]
fn every_activation_within_its_own_error() {
    for activation in Activation::ALL {
        forward(&Conv2dDescriptor { activation, ..Default::default() }, &[1, 2, 5, 6], &[3, 2, 2, 2], true);
        forward(&Conv2dDescriptor { activation, groups: 2, ..Default::default() }, &[1, 2, 5, 6], &[2, 1, 2, 2], true);
    }
}

/// Windows over enough outputs that no im2col block is made: several bands, panels of every size, phases of strides, every padding mode, rows past the end.
#[test]
fn laid_out_windows() {
    for (i, filters) in [1, 4, 5, 8, 9, 19].into_iter().enumerate() {
        for (stride, dilation, taps) in
            [([1, 1], [1, 1], [3, 3]), ([2, 2], [1, 1], [3, 3]), ([1, 3], [2, 1], [2, 5]), ([2, 1], [1, 3], [7, 2]), ([3, 2], [1, 1], [2, 1])]
        {
            let padding_mode = PaddingMode::ALL[i % PaddingMode::ALL.len()];
            let padding = Padding::Explicit { begin: [1, 2], end: [2, 0] };
            let descriptor = Conv2dDescriptor { stride, dilation, padding, padding_mode, groups: 1 + i % 2, ..Default::default() };
            let groups = descriptor.groups;
            let problem_filters = filters * groups;
            forward(&descriptor, &[2, 6, 37 + i, 41 + i], &[problem_filters, 6 / groups, taps[0], taps[1]], i % 2 == 0);
        }
    }
    // Several bands by memory; planes of three axes; a phase that reads backwards.
    forward(&Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() }, &[1, 130, 40, 30], &[9, 130, 3, 3], true);
    forward(&Conv3dDescriptor { stride: [1, 2, 1], padding: Padding::uniform(1), ..Default::default() }, &[1, 3, 6, 15, 16], &[11, 3, 3, 3, 3], true);
    let back = ConvTransposeDescriptor { stride: [2, 1], dilation: [1, 2], ..Default::default() };
    transposed::<2>(&back, &[2, 5, 20, 31], &[5, 10, 3, 3], true);
}

/// Winograd, asked for: small integers go through F(2,3) and F(2,5) without rounding; planes about the edges of tiles, blocks and bands.
#[test]
fn winograd_of_integers() {
    for (i, [height, width]) in [[1, 1], [2, 3], [5, 4], [7, 34], [13, 100], [33, 66]].into_iter().enumerate() {
        for (channels, filters, groups, taps) in [(3, 5, 1, 3), (4, 18, 2, 3), (70, 9, 1, 3), (3, 5, 1, 5), (4, 18, 2, 5), (70, 9, 1, 5)] {
            let padding_mode = if height > 3 { PaddingMode::ALL[i % PaddingMode::ALL.len()] } else { PaddingMode::Zeros };
            let padding = Padding::Explicit { begin: [1, 3], end: [3, 2] };
            let descriptor = Conv2dDescriptor {
                padding,
                padding_mode,
                groups,
                activation: Activation::Relu,
                accuracy: Accuracy::Reduced,
                algorithm: Some(Algorithm::WinogradF2),
                ..Default::default()
            };
            let problem = ConvProblem::forward(
                &ConvInputs::new(&[2, channels, height, width], &[filters, channels / groups, taps, taps], Some(&[filters])),
                &descriptor,
            );
            let problem = problem.unwrap();
            assert_eq!(crate::cpu::algorithm(&problem.clone().into()), Some("winograd_f2".to_string()));
            check(&problem);
        }
    }
}

/// Of every kind, over rows shorter than a vector and longer than several; with NaN, infinities and a mask, by what is exact on integers.
#[test]
fn pools_of_every_window() {
    let check = |problem: PoolProblem, x: &[f32]| {
        let mut got = vec![f32::NAN; problem.output_extents().iter().product()];
        assert_eq!(crate::cpu::compute(problem.clone(), &[x], &mut got), Ok(true));
        let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
        let want = problem.reference(&[&wide]).remove(0);
        for (i, ((got, want), allowed)) in got.iter().zip(&want.value).zip(&want.error).enumerate() {
            let (got, is_kept) = (f64::from(*got), want.is_nan() && got.is_nan());
            assert!(
                is_kept || got == *want || (got - want).abs() <= *allowed,
                "{problem:?}: element {i} is {got}, the reference {want} to {allowed}"
            );
        }
    };
    let kinds = [
        PoolKind::Max { indices: None },
        PoolKind::Average { count_include_pad: true },
        PoolKind::Average { count_include_pad: false },
        PoolKind::Lp { p: 1.0 },
        PoolKind::Lp { p: 2.0 },
        PoolKind::Lp { p: 3.0 },
    ];
    for width in [4, 5, 15, 16, 17, 31, 33, 70] {
        let mut x = integers(2 * 3 * 7 * width as u64, 5);
        for special in [false, true] {
            for kind in kinds {
                for (window, stride, dilation, pad) in
                    [(2, 2, 1, [0, 1]), (3, 2, 1, [1, 1]), (3, 1, 1, [2, 0]), (2, 3, 2, [1, 2]), (4, 5, 1, [3, 3]), (2, 1, 3, [0, 0])]
                {
                    let padding = Padding::Explicit { begin: [1, pad[0]], end: [0, pad[1]] };
                    let descriptor =
                        PoolDescriptor { kind, window: [2, window], stride: Some([1, stride]), dilation: [1, dilation], padding, ceil_mode: special };
                    check(PoolProblem::new(&TensorType::f32(&[2, 3, 7, width]), &descriptor).unwrap(), &x);
                }
                let adaptive = AdaptivePoolDescriptor { kind, output: [3, width.min(6) - 1] };
                check(PoolProblem::adaptive(&TensorType::f32(&[2, 3, 7, width]), &adaptive).unwrap(), &x);
            }
            let at = |i: usize| i * 37 % (6 * 7 * width);
            for (i, v) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e9, f32::MAX].into_iter().enumerate() {
                x[at(i + width)] = v;
            }
        }
    }
    let deep = PoolDescriptor { stride: Some([1, 1, 2]), padding: Padding::uniform(1), ..PoolDescriptor::window([2, 3, 3]) };
    check(PoolProblem::new(&TensorType::f32(&[1, 2, 4, 5, 21]), &deep).unwrap(), &integers(840, 5));
}

#[test]
fn winograd_is_taken_where_accuracy_admits_it() {
    let of_taps = |taps: usize, accuracy, algorithm, channels: usize, hw: usize| {
        let descriptor = Conv2dDescriptor { padding: Padding::uniform(taps / 2), accuracy, algorithm, ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&[1, channels, hw, hw], &[64, channels, taps, taps], None), &descriptor).unwrap();
        crate::cpu::algorithm(&problem.into()).unwrap_or_default()
    };
    let of = |accuracy, algorithm, channels, hw| of_taps(3, accuracy, algorithm, channels, hw);
    assert_eq!(of(Accuracy::Exact, None, 64, 56), "");
    assert_eq!(of(Accuracy::Exact, Some(Algorithm::WinogradF2), 64, 56), "");
    assert_eq!(of(Accuracy::F32, None, 64, 56), "winograd_f2");
    assert_eq!(of(Accuracy::F32, Some(Algorithm::WinogradF4), 64, 56), "", "its error is larger than that of plain sums");
    assert_eq!(of(Accuracy::F32, Some(Algorithm::WinogradF2), 16, 56), "", "so is this with few channels");
    assert_eq!(of(Accuracy::F32, Some(Algorithm::Direct), 64, 56), "");
    assert_eq!(of(Accuracy::Reduced, None, 64, 56), "winograd_f4");
    assert_eq!(of(Accuracy::Reduced, None, 64, 28), "winograd_f2");
    assert_eq!(of(Accuracy::Reduced, None, 64, 14), "winograd_f2");
    assert_eq!(of(Accuracy::Reduced, None, 64, 7), "");
}

#[test]
fn fourier_transforms_are_taken_where_accuracy_admits_them_and_they_multiply_less() {
    let of = |x: [usize; 4], filter: [usize; 4], descriptor: &Conv2dDescriptor| {
        let groups = x[1] / filter[1];
        let descriptor = Conv2dDescriptor { groups, padding: Padding::uniform(filter[2] / 2), ..*descriptor };
        let problem = ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &descriptor).unwrap();
        crate::cpu::algorithm(&problem.into()).unwrap_or_default()
    };
    let plain = Conv2dDescriptor::default();
    let is_fft = |label: String| label.starts_with("fft ");
    assert!(is_fft(of([1, 1, 2048, 2048], [1, 1, 127, 127], &plain)));
    assert!(is_fft(of([1, 64, 56, 56], [64, 1, 31, 31], &plain)));
    assert!(is_fft(of([1, 64, 56, 56], [64, 64, 15, 15], &plain)));
    assert_eq!(of([1, 64, 56, 56], [64, 1, 7, 7], &plain), "", "its error is larger than that of plain sums");
    assert_eq!(of([1, 64, 56, 56], [64, 64, 15, 15], &Conv2dDescriptor { accuracy: Accuracy::Exact, ..plain }), "");
    assert_eq!(of([1, 64, 56, 56], [64, 64, 15, 15], &Conv2dDescriptor { algorithm: Some(Algorithm::Direct), ..plain }), "");
    assert_eq!(of([1, 64, 56, 56], [64, 64, 15, 15], &Conv2dDescriptor { stride: [2, 1], ..plain }), "");
    assert_eq!(of([1, 4, 16, 16], [4, 4, 5, 5], &plain), "", "direct multiplies less");
}
