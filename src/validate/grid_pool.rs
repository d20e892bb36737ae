//! Pooling problems: every kind over windows with odd extents, strides larger and smaller than the window, dilation, four different
//! pads, ceil_mode, both layouts, every rank; adaptive windows that divide and that do not; unpooling.

use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::types::{ElementType, Layout, Padding, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;

const KINDS: [PoolKind; 8] = [
    PoolKind::MAX,
    PoolKind::Max { indices: Some(IndexOrder::RowMajor) },
    PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) },
    PoolKind::AVERAGE,
    PoolKind::Average { count_include_pad: true },
    PoolKind::Lp { p: 1.0 },
    PoolKind::Lp { p: 2.0 },
    PoolKind::Lp { p: 3.5 },
];

const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

pub(crate) fn pools(full: bool) -> Result<Vec<PoolProblem>> {
    let plain = PoolDescriptor::<2>::window;
    let windows: Vec<PoolDescriptor<2>> = vec![
        plain([2, 2]),
        plain([3, 3]).with_stride([2, 2]).with_padding(Padding::uniform(1)),
        PoolDescriptor { ceil_mode: true, ..plain([3, 4]).with_stride([1, 3]).with_padding(four_pads()) },
        PoolDescriptor { dilation: [2, 3], ..plain([3, 2]).with_stride([2, 1]).with_padding(four_pads()) },
        PoolDescriptor { ceil_mode: true, dilation: [1, 2], ..plain([2, 3]).with_stride([4, 5]).with_padding(Padding::uniform(1)) },
        plain([2, 5]).with_stride([1, 2]).with_padding(Padding::Same),
        plain([4, 3]).with_stride([3, 1]).with_padding(Padding::SameLower),
        plain([1, 1]).with_stride([2, 3]),
        plain([7, 9]),
    ];
    let mut problems = Vec::new();
    for (i, window) in windows.iter().enumerate() {
        for (j, kind) in KINDS.into_iter().enumerate() {
            if !full && (i + j) % 3 != 0 {
                continue;
            }
            let layout = LAYOUTS[(i + j) % 2];
            // The random indices of a gradient seldom name the one element of a window of 1: of 150 windows perhaps none.
            let channels = if window.window == [1, 1] { 30 } else { 3 };
            problems.push(PoolProblem::new(&TensorType::new(&[2, channels, 9, 13], ElementType::F32, layout), &window.with_kind(kind))?);
            if full || j == 0 {
                problems
                    .push(PoolProblem::new(&TensorType::new(&[1, 70, 8, 9], ElementType::F32, LAYOUTS[(i + j + 1) % 2]), &window.with_kind(kind))?);
            }
        }
    }
    let windows = even_widths();
    for (i, (x, window)) in windows.iter().enumerate() {
        for (j, kind) in KINDS.into_iter().enumerate() {
            if full || (i + j) % 3 == 0 {
                problems.push(PoolProblem::new(&TensorType::f32(x), &window.with_kind(kind))?);
            }
            if full || (i + j) % 8 == 0 {
                problems.push(PoolProblem::new(&TensorType::new(x, ElementType::F16, LAYOUTS[j % 2]), &window.with_kind(kind))?);
            }
        }
    }
    for kind in KINDS {
        let volume = |descriptor: PoolDescriptor<3>, x: [usize; 5]| {
            PoolProblem::new(&TensorType::new(&x, ElementType::F32, LAYOUTS[0]), &descriptor.with_kind(kind))
        };
        problems.push(volume(PoolDescriptor::window([2, 2, 2]), [2, 3, 6, 5, 6])?);
        let padded = PoolDescriptor { dilation: [2, 1, 1], ..PoolDescriptor::window([2, 3, 3]).with_stride([1, 2, 2]) };
        problems.push(volume(padded.with_padding(Padding::uniform(1)), [1, 3, 4, 5, 10])?);
        problems.push(PoolProblem::new(
            &TensorType::new(&[2, 3, 26], ElementType::F32, LAYOUTS[0]),
            &PoolDescriptor::window([4]).with_stride([2]).with_kind(kind),
        )?);
    }
    for kind in KINDS {
        for layout in LAYOUTS {
            problems.push(PoolProblem::new(
                &TensorType::new(&[2, 3, 7, 9], ElementType::F16, layout),
                &plain([3, 2]).with_stride([2, 1]).with_padding(Padding::uniform(1)).with_kind(kind),
            )?);
            problems.push(PoolProblem::adaptive(
                &TensorType::new(&[2, 5, 7, 8], ElementType::F32, layout),
                &AdaptivePoolDescriptor { kind, output: [3, 4] },
            )?);
        }
        problems.push(PoolProblem::new(
            &TensorType::new(&[2, 3, 17], ElementType::F32, LAYOUTS[0]),
            &PoolDescriptor::window([3]).with_stride([2]).with_padding(Padding::uniform(1)).with_kind(kind),
        )?);
        problems.push(PoolProblem::new(
            &TensorType::new(&[1, 3, 4, 5, 7], ElementType::F32, LAYOUTS[1]),
            &PoolDescriptor::window([2, 3, 2]).with_stride([1, 2, 3]).with_padding(Padding::uniform(1)).with_kind(kind),
        )?);
        problems.push(PoolProblem::global(&TensorType::new(&[2, 3, 5, 7], ElementType::F32, LAYOUTS[0]), kind)?);
        problems.push(PoolProblem::global(&TensorType::new(&[1, 2, 130, 141], ElementType::F32, LAYOUTS[1]), kind)?); // several passes
        problems.push(PoolProblem::new(&TensorType::new(&[2, 3, 6, 7], ElementType::F32, LAYOUTS[1]), &plain([6, 7]).with_kind(kind))?);
        problems.push(PoolProblem::adaptive(
            &TensorType::new(&[1, 4, 3, 7, 5], ElementType::F16, LAYOUTS[1]),
            &AdaptivePoolDescriptor { kind, output: [2, 3, 1] },
        )?);
        problems
            .push(PoolProblem::adaptive(&TensorType::new(&[1, 4, 6], ElementType::F32, LAYOUTS[0]), &AdaptivePoolDescriptor { kind, output: [9] })?);
    }
    Ok(problems)
}

/// Windows over rows of an even length, which some kernels read two elements at a time: outputs of even and odd widths, fewer than a strip
/// and more, pads of both parities, rows of a single pair, ends that ceil_mode adds and rests that no window sees.
fn even_widths() -> Vec<([usize; 4], PoolDescriptor<2>)> {
    let plain = PoolDescriptor::<2>::window;
    vec![
        ([2, 3, 8, 16], plain([2, 2])),
        ([2, 3, 9, 14], plain([2, 2])),
        ([1, 70, 5, 10], plain([3, 2]).with_stride([2, 2])),
        ([2, 3, 9, 20], plain([3, 3]).with_stride([2, 2]).with_padding(Padding::uniform(1))),
        ([1, 5, 8, 22], plain([3, 3]).with_stride([2, 2])),
        ([2, 3, 7, 12], plain([3, 3]).with_stride([1, 1]).with_padding(Padding::uniform(1))),
        ([1, 3, 9, 14], plain([5, 5]).with_stride([1, 1]).with_padding(Padding::uniform(2))),
        ([1, 3, 10, 24], PoolDescriptor { ceil_mode: true, ..plain([3, 4]).with_stride([2, 3]).with_padding(four_pads()) }),
        ([2, 2, 9, 12], PoolDescriptor { dilation: [2, 1], ..plain([3, 4]).with_stride([1, 3]).with_padding(four_pads()) }),
        ([2, 3, 4, 2], plain([3, 3]).with_stride([1, 1]).with_padding(Padding::uniform(1))),
        ([1, 3, 6, 18], PoolDescriptor { ceil_mode: true, ..plain([2, 5]).with_stride([3, 4]) }),
    ]
}

/// Four different pads.
fn four_pads() -> Padding<2> {
    Padding::Explicit { begin: [2, 1], end: [0, 3] }
}

/// Batches that no binding holds whole: parts begin inside their bindings.
pub(crate) fn sliced() -> Result<Vec<(PoolProblem, Elsewhere)>> {
    let mut problems = Vec::new();
    for (i, x) in [[5, 3, 9, 14], [7, 3, 9, 16], [5, 3, 9, 13]].into_iter().enumerate() {
        for layout in LAYOUTS {
            let window = PoolDescriptor::window([2, 2]);
            problems.push(PoolProblem::new(
                &TensorType::new(&x, ElementType::F32, layout),
                &window.with_kind([PoolKind::MAX, PoolKind::AVERAGE][i % 2]),
            )?);
            let window = PoolDescriptor::window([3, 3]).with_stride([2, 2]).with_padding(Padding::uniform(1));
            problems.push(PoolProblem::new(&TensorType::new(&x, ElementType::F32, layout), &window.with_kind(KINDS[3 * i]))?);
        }
    }
    Ok(problems.into_iter().map(|problem| (problem, Elsewhere::Binding(4096))).collect())
}

/// No image fits: plane by plane.
pub(crate) fn sliced_planes() -> Result<Vec<(PoolProblem, Elsewhere)>> {
    let window = PoolDescriptor::window([3, 2]).with_stride([2, 1]).with_padding(Padding::uniform(1));
    let of = |kind| Ok((PoolProblem::new(&TensorType::f32(&[2, 6, 20, 25]), &window.with_kind(kind))?, Elsewhere::Binding(4096)));
    [PoolKind::MAX, PoolKind::Max { indices: Some(IndexOrder::RowMajor) }, PoolKind::AVERAGE].into_iter().map(of).collect()
}

pub(crate) fn unpools() -> Result<Vec<MaxUnpoolProblem>> {
    let pool = PoolDescriptor::window([2, 3]);
    let mut problems = Vec::new();
    for layout in LAYOUTS {
        for element in [ElementType::F32, ElementType::F16] {
            for output_shape in [None, Some([9, 17])] {
                let x = [2, 3, 4, 5];
                problems.push(MaxUnpoolProblem::new(&TensorType::new(&x, element, layout), &x, &MaxUnpoolDescriptor { pool, output_shape })?);
            }
        }
        let line = MaxUnpoolDescriptor { pool: PoolDescriptor::window([3]).with_stride([2]).with_padding(Padding::uniform(1)), output_shape: None };
        problems.push(MaxUnpoolProblem::new(&TensorType::new(&[1, 5, 70], ElementType::F32, layout), &[1, 5, 70], &line)?);
        let volume = MaxUnpoolDescriptor { pool: PoolDescriptor::window([2, 2, 2]), output_shape: None };
        problems.push(MaxUnpoolProblem::new(&TensorType::new(&[1, 2, 2, 3, 4], ElementType::F32, layout), &[1, 2, 2, 3, 4], &volume)?);
    }
    Ok(problems)
}
