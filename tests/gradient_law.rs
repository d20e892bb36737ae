//! The law of gradients of linear ops, without any tolerance: for an op J of small integers, <J x, y> = <x, J' y>. By the definitions of the ops that
//! compute J', by sessions on the GPU and by those on the CPU engine; and all three give the same numbers. Each op in f32, and in f16 with f32 gradients.
//!
//! An op of two operands is linear in each; what does not depend on the operand (a bias, a pad's constant) is taken off as the op's result where the
//! operand is zero.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod gradients;

use gradients::{Case, Runner, inner};
use wgconv::Padding;
use wgconv::conv::{ConvDescriptor, ConvTransposeDescriptor};
use wgconv::elementwise::BinaryOp;
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulDescriptor};
use wgconv::numeric::Generator;
use wgconv::pool::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use wgconv::reduce::ReduceDescriptor;
use wgconv::shape::PaddingMode;
use wgconv::transform::{
    CoordinateMode, DepthToSpaceDescriptor, DepthToSpaceMode, NearestMode, PadDescriptor, PadMode, ResizeDescriptor, ResizeMode, SliceDescriptor,
};
use wgconv::{Graph, Layout};

/// The law for the operands that the op is linear in, on every engine.
fn holds(cases: &[Case], linear: impl Fn(&Case) -> Vec<usize>) {
    holds_for(cases, &linear, |generator| generator.integer(3));
    // Of f16 with f32 gradients: no sum of products up to 4 passes the 2048 to which f16 counts. No number is 0.
    let halves: Vec<Case> = cases.iter().map(Case::in_half).collect();
    holds_for(&halves, &linear, |generator| Some(generator.integer(2)).filter(|v| *v != 0.0).unwrap_or(1.0));
}

fn holds_for(cases: &[Case], linear: impl Fn(&Case) -> Vec<usize>, number: impl Fn(&mut Generator) -> f64) {
    let mut failures = vec![];
    for case in cases {
        let graph = case.graph();
        let mut numbers = case.numbers(&graph, &number);
        let dy = numbers.len() - 1;
        if numbers[dy].len() == 1 {
            numbers[dy] = vec![2.0];
        }
        let want = Runner::reference(&graph).run(&numbers);
        for runner in [Runner::reference(&graph), Runner::cpu(&graph), Runner::gpu(&graph)] {
            let got = runner.run(&numbers);
            let differing = want.iter().filter(|(name, want)| got[*name] != **want).map(|(name, _)| name);
            failures.extend(differing.map(|name| format!("{}: {name} on {} is not the reference's", case.name, runner.name)));
            for i in linear(case) {
                let (x, gradient) = (numbers[i].clone(), &got[&format!("g{i}")]);
                numbers[i] = vec![0.0; x.len()];
                let constant = &runner.run(&numbers)["y"];
                let moved: Vec<f64> = got["y"].iter().zip(constant).map(|(y, constant)| y - constant).collect();
                let sides = [inner(&moved, &numbers[dy]), inner(&x, gradient)];
                if sides[0] != sides[1] {
                    failures.push(format!("{}: operand {i} on {}: {} is not {}", case.name, runner.name, sides[0], sides[1]));
                }
                if x.iter().zip(gradient).all(|(x, gradient)| x * gradient == 0.0) && x.len() > 4 {
                    failures.push(format!("{}: operand {i}: all terms are 0, which says nothing", case.name));
                }
                numbers[i] = x;
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn every(case: &Case) -> Vec<usize> {
    (0..case.operands.len()).collect()
}

fn first(_: &Case) -> Vec<usize> {
    vec![0]
}

fn pads<const N: usize>(begin: [usize; N], end: [usize; N]) -> Padding<N> {
    Padding::Explicit { begin, end }
}

/// With a bias for as many filters as there are.
macro_rules! conv {
    ($method:ident, $name:expr, $x:expr, $w:expr, $filters:expr, $descriptor:expr) => {{
        let descriptor = $descriptor;
        Case::new($name, &[&$x, &$w, &[$filters]], move |g, v| g.$method(v[0], v[1], Some(v[2]), &descriptor))
    }};
}

#[test]
fn convolutions() {
    let two = ConvDescriptor::<2>::default();
    let uneven = ConvDescriptor { stride: [2, 3], dilation: [1, 2], padding: pads([1, 0], [2, 3]), ..two };
    let one = ConvDescriptor { padding: Padding::uniform(1), ..two };
    let mut cases = vec![
        conv!(
            conv1d,
            "1-D, grouped",
            [2, 4, 13],
            [6, 2, 3],
            6,
            ConvDescriptor { stride: [3], dilation: [2], padding: pads([2], [1]), groups: 2, ..Default::default() }
        ),
        // The last element is read by no window.
        conv!(conv1d, "1-D with a rest", [2, 3, 11], [5, 3, 2], 5, ConvDescriptor { stride: [4], ..Default::default() }),
        conv!(
            conv1d,
            "1-D, stride and dilation alike",
            [1, 2, 17],
            [3, 2, 3],
            3,
            ConvDescriptor { stride: [2], dilation: [2], ..Default::default() }
        ),
        conv!(conv2d, "2-D, uneven", [2, 3, 9, 10], [4, 3, 3, 2], 4, uneven),
        conv!(conv2d, "2-D, uneven, last", [2, 3, 9, 10], [4, 3, 3, 2], 4, uneven).channels_last(),
        // Rows 7 and 8 and column 9 are read by no window.
        conv!(conv2d, "2-D with rests", [3, 2, 9, 10], [3, 2, 2, 3], 3, ConvDescriptor { stride: [5, 3], ..two }),
        // Phases of a stride with one to four taps, over tiles; and such as have none, for stride and dilation have a common divisor.
        conv!(conv2d, "2-D, 3 x 3, stride 2", [2, 20, 12, 13], [36, 20, 3, 3], 36, ConvDescriptor { stride: [2, 2], ..one }),
        conv!(conv2d, "2-D, 3 x 3, stride 2, last", [2, 20, 12, 13], [36, 20, 3, 3], 36, ConvDescriptor { stride: [2, 2], ..one }).channels_last(),
        conv!(
            conv2d,
            "2-D, stride and dilation divisible",
            [1, 4, 23, 25],
            [6, 4, 4, 3],
            6,
            ConvDescriptor { stride: [4, 6], dilation: [2, 4], ..one }
        ),
        conv!(conv2d, "2-D, 3 x 3", [1, 8, 12, 12], [8, 8, 3, 3], 8, one),
        conv!(conv2d, "2-D, 3 x 3, last", [2, 5, 7, 6], [6, 5, 3, 3], 6, one).channels_last(),
        conv!(conv2d, "2-D, pointwise", [2, 5, 4, 6], [7, 5, 1, 1], 7, two),
        conv!(conv2d, "2-D, pointwise with a stride", [2, 3, 7, 6], [4, 3, 1, 1], 4, ConvDescriptor { stride: [2, 3], ..two }),
        conv!(conv2d, "2-D, depthwise", [2, 6, 8, 7], [6, 1, 3, 3], 6, ConvDescriptor { groups: 6, ..one }),
        conv!(conv2d, "2-D, depthwise, two filters each", [2, 3, 8, 9], [6, 1, 3, 2], 6, ConvDescriptor { groups: 3, stride: [2, 2], ..one }),
        conv!(conv2d, "2-D, groups, last", [2, 6, 5, 7], [4, 3, 2, 2], 4, ConvDescriptor { groups: 2, stride: [1, 2], ..two }).channels_last(),
        conv!(conv2d, "2-D, pads beyond the window", [1, 2, 3, 4], [3, 2, 2, 2], 3, ConvDescriptor { padding: pads([3, 4], [5, 2]), ..two }),
        conv!(conv2d, "2-D, the whole plane", [2, 3, 4, 4], [5, 3, 4, 4], 5, two),
        conv!(conv2d, "2-D, same", [1, 2, 7, 8], [3, 2, 4, 3], 3, ConvDescriptor { padding: Padding::Same, stride: [2, 3], ..two }),
        conv!(
            conv3d,
            "3-D, grouped",
            [1, 4, 5, 4, 6],
            [4, 2, 2, 3, 2],
            4,
            ConvDescriptor { stride: [1, 2, 2], dilation: [2, 1, 1], padding: pads([1, 0, 2], [0, 1, 1]), groups: 2, ..Default::default() }
        ),
        conv!(conv3d, "3-D, depthwise, last", [2, 2, 4, 5, 4], [2, 1, 3, 2, 2], 2, ConvDescriptor { groups: 2, ..Default::default() })
            .channels_last(),
    ];
    for mode in [PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular] {
        let name = mode.name();
        cases.push(conv!(
            conv1d,
            &format!("1-D, {name}"),
            [2, 2, 7],
            [3, 2, 3],
            3,
            ConvDescriptor { padding: pads([2], [4]), padding_mode: mode, stride: [2], ..Default::default() }
        ));
        let descriptor = ConvDescriptor { padding: pads([1, 2], [2, 0]), padding_mode: mode, stride: [2, 1], ..two };
        cases.push(conv!(conv2d, &format!("2-D, {name}"), [2, 4, 5, 6], [6, 2, 3, 2], 6, ConvDescriptor { groups: 2, ..descriptor }));
        cases.push(conv!(conv2d, &format!("2-D, {name}"), [2, 3, 5, 6], [4, 3, 3, 2], 4, descriptor).channels_last());
        let descriptor = ConvDescriptor { padding: pads([1, 0, 2], [1, 2, 1]), padding_mode: mode, ..Default::default() };
        cases.push(conv!(conv3d, &format!("3-D, {name}"), [1, 2, 3, 4, 4], [2, 2, 2, 2, 3], 2, descriptor));
    }
    // What a residual adds is linear too, and a bias is not needed.
    cases.push(Case::new("with a residual, without a bias", &[&[2, 3, 6, 5], &[4, 3, 3, 3], &[2, 4, 6, 5]], move |g, v| {
        let recipe = wgconv::graph::Recipe::Conv { descriptor: wgconv::graph::Ranked::Two(one), bias: false, residual: true };
        Ok(g.node(recipe, v)?[0])
    }));
    holds(&cases, every);
}

#[test]
fn transposed_convolutions() {
    let two = ConvTransposeDescriptor::<2>::default();
    let uneven = ConvTransposeDescriptor { stride: [2, 3], dilation: [2, 1], padding: pads([1, 0], [0, 2]), output_padding: [1, 2], ..two };
    let cases = [
        conv!(
            conv_transpose1d,
            "1-D, grouped",
            [2, 4, 5],
            [4, 3, 3],
            6,
            ConvTransposeDescriptor { stride: [3], dilation: [2], padding: pads([2], [1]), output_padding: [2], groups: 2, ..Default::default() }
        ),
        // A stride beyond the window leaves elements that hold the bias alone.
        conv!(conv_transpose1d, "1-D with gaps", [1, 2, 4], [2, 3, 2], 3, ConvTransposeDescriptor { stride: [4], ..Default::default() }),
        conv!(conv_transpose2d, "2-D, uneven", [2, 3, 4, 3], [3, 4, 3, 2], 4, uneven),
        conv!(conv_transpose2d, "2-D, uneven", [2, 3, 4, 3], [3, 4, 3, 2], 4, uneven).channels_last(),
        conv!(conv_transpose2d, "2-D, 3 x 3", [1, 8, 6, 6], [8, 8, 3, 3], 8, ConvTransposeDescriptor { padding: Padding::uniform(1), ..two }),
        conv!(
            conv_transpose2d,
            "2-D, 4 x 4, stride 2",
            [2, 16, 6, 7],
            [16, 20, 4, 4],
            20,
            ConvTransposeDescriptor { stride: [2, 2], padding: Padding::uniform(1), ..two }
        ),
        conv!(
            conv_transpose2d,
            "2-D, stride and dilation divisible",
            [2, 4, 4, 3],
            [4, 3, 3, 4],
            6,
            ConvTransposeDescriptor { stride: [4, 6], dilation: [2, 3], padding: pads([2, 1], [0, 3]), groups: 2, ..two }
        ),
        conv!(conv_transpose2d, "2-D, pointwise", [2, 5, 4, 3], [5, 6, 1, 1], 6, two),
        conv!(
            conv_transpose2d,
            "2-D, depthwise",
            [2, 3, 4, 5],
            [3, 1, 4, 4],
            3,
            ConvTransposeDescriptor { groups: 3, stride: [2, 2], padding: Padding::uniform(1), ..two }
        ),
        // Extent that is added, so that the data gradient's pads are negative: at the end, on both sides, at stride 1, by SAME.
        conv!(
            conv_transpose2d,
            "2-D, dilated beyond its end",
            [1, 2, 3, 4],
            [2, 3, 2, 2],
            3,
            ConvTransposeDescriptor { dilation: [3, 2], output_padding: [2, 1], ..two }
        ),
        conv!(
            conv_transpose2d,
            "2-D, same, with gaps",
            [2, 2, 3, 4],
            [2, 3, 2, 1],
            3,
            ConvTransposeDescriptor { stride: [5, 4], padding: Padding::Same, ..two }
        ),
        conv!(
            conv_transpose2d,
            "2-D, same lower",
            [2, 2, 3, 4],
            [2, 3, 2, 1],
            3,
            ConvTransposeDescriptor { stride: [5, 4], padding: Padding::SameLower, ..two }
        ),
        conv!(conv_transpose2d, "2-D, a wanted shape", [1, 3, 4, 3], [3, 2, 3, 3], 2, ConvTransposeDescriptor { output_shape: Some([9, 10]), ..two }),
        conv!(
            conv_transpose2d,
            "2-D, a wanted shape, depthwise",
            [1, 3, 4, 3],
            [3, 1, 3, 3],
            3,
            ConvTransposeDescriptor { output_shape: Some([11, 8]), padding: Padding::Same, groups: 3, ..two }
        ),
        conv!(
            conv_transpose2d,
            "2-D, a wanted shape, pointwise",
            [1, 5, 4, 3],
            [5, 4, 1, 1],
            4,
            ConvTransposeDescriptor { output_shape: Some([7, 5]), ..two }
        ),
        conv!(
            conv_transpose3d,
            "3-D, grouped",
            [1, 4, 2, 3, 2],
            [4, 1, 2, 3, 2],
            2,
            ConvTransposeDescriptor { stride: [2, 1, 3], padding: pads([1, 0, 0], [0, 1, 1]), groups: 2, ..Default::default() }
        ),
    ];
    holds(&cases, every);
}

#[test]
fn pools() {
    let averages = |kind| PoolDescriptor::<2>::window([2, 2]).with_kind(kind);
    let included = PoolKind::Average { count_include_pad: true };
    let lines = PoolDescriptor::<1>::window([4]).with_kind(PoolKind::AVERAGE);
    let max = PoolDescriptor::<2>::window([3, 2]);
    let rows = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    let mut cases = vec![
        Case::new("average, overlapping, with a rest", &[&[2, 3, 8, 7]], move |g, v| {
            g.pool2d(v[0], &averages(PoolKind::AVERAGE).with_stride([3, 1]))
        }),
        Case::new("average with pads that count", &[&[2, 3, 5, 6]], move |g, v| {
            g.pool2d(v[0], &averages(included).with_padding(Padding::uniform(1)))
        }),
        Case::new("average beyond the end", &[&[1, 2, 5, 7]], move |g, v| {
            g.pool2d(v[0], &PoolDescriptor { ceil_mode: true, padding: pads([1, 0], [0, 1]), ..averages(PoolKind::AVERAGE) })
        }),
        Case::new("average, last", &[&[2, 5, 6, 8]], move |g, v| g.pool2d(v[0], &averages(PoolKind::AVERAGE))).channels_last(),
        Case::new("average of a line, stride and dilation alike", &[&[2, 3, 19]], move |g, v| {
            g.pool1d(v[0], &PoolDescriptor { stride: Some([2]), dilation: [2], ..lines })
        }),
        Case::new("average in 3-D", &[&[1, 2, 5, 4, 6]], |g, v| {
            g.pool3d(v[0], &PoolDescriptor::<3>::window([2, 2, 1]).with_kind(PoolKind::AVERAGE).with_stride([1, 2, 3]))
        }),
        Case::new("adaptive average", &[&[2, 3, 8, 4]], |g, v| {
            g.adaptive_pool2d(v[0], &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [4, 1] })
        }),
        Case::new("adaptive average to more", &[&[1, 2, 4, 2]], |g, v| {
            g.adaptive_pool2d(v[0], &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [8, 3] })
        }),
        Case::new("global average", &[&[2, 3, 4, 8]], |g, v| g.global_pool(v[0], PoolKind::AVERAGE)),
        Case::new("max with a stride", &[&[2, 3, 10, 9]], move |g, v| g.pool2d(v[0], &max.with_stride([2, 3]))),
        Case::new("max, overlapping, padded", &[&[2, 3, 6, 7]], move |g, v| {
            g.pool2d(v[0], &max.with_stride([1, 1]).with_padding(pads([2, 1], [1, 0])))
        }),
        Case::new("max, dilated, last", &[&[2, 3, 9, 8]], move |g, v| {
            g.pool2d(v[0], &PoolDescriptor { dilation: [2, 3], stride: Some([2, 1]), ..max })
        })
        .channels_last(),
        Case::new("max with its indices", &[&[1, 2, 7, 7]], move |g, v| {
            Ok(g.max_pool2d_with_indices(v[0], &max.with_kind(rows).with_stride([2, 2]))?[0])
        }),
        Case::new("max, indices in columns", &[&[1, 2, 7, 7]], move |g, v| {
            g.pool2d(v[0], &max.with_kind(PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) }))
        }),
        Case::new("max in 3-D", &[&[1, 2, 4, 5, 6]], |g, v| g.pool3d(v[0], &PoolDescriptor::<3>::window([2, 3, 2]).with_stride([2, 1, 1]))),
        Case::new("max in 1-D", &[&[3, 2, 11]], |g, v| g.pool1d(v[0], &PoolDescriptor::<1>::window([3]).with_stride([2]))),
        Case::new("adaptive max", &[&[2, 3, 7, 5]], |g, v| g.adaptive_pool2d(v[0], &AdaptivePoolDescriptor { kind: PoolKind::MAX, output: [3, 2] })),
    ];
    // Where another operand has its maxima; windows that overlap share some.
    for (window, stride) in [([2, 2], [2, 2]), ([2, 3], [1, 1])] {
        let pool = PoolDescriptor::<2>::window(window).with_stride(stride).with_kind(rows);
        let output = [(6 - window[0]) / stride[0] + 1, (8 - window[1]) / stride[1] + 1];
        let x: &'static [usize] = if output == [3, 4] { &[2, 3, 3, 4] } else { &[2, 3, 5, 6] };
        let case = Case::new(&format!("unpool {window:?}"), &[x, &[2, 3, 6, 8]], move |g, v| {
            let [_, indices] = g.max_pool2d_with_indices(v[1], &pool)?;
            g.max_unpool2d(v[0], indices, &MaxUnpoolDescriptor { pool, output_shape: Some([6, 8]) })
        });
        cases.push(case);
    }
    holds(&cases, first);
    // A global maximum is a reduction, of which equals share: there are none among so many numbers.
    cases = vec![
        Case::new("global max", &[&[2, 3, 4, 5]], |g, v| g.global_pool(v[0], PoolKind::MAX)),
        Case::new("global max", &[&[2, 3, 4, 5]], |g, v| g.global_pool(v[0], PoolKind::MAX)).channels_last(),
        Case::new("max over an axis", &[&[2, 3, 4]], |g, v| g.reduce(v[0], &ReduceDescriptor::max(&[1]))),
    ];
    holds_for(&cases, first, |generator| generator.integer(50_000));
}

#[test]
fn products() {
    let mut cases = vec![];
    for (a, b) in [
        (&[5usize, 7][..], &[7usize, 6][..]),
        (&[7], &[7, 3]),
        (&[4, 7], &[7]),
        (&[7], &[7]),
        (&[2, 3, 4, 5], &[5, 6]),
        (&[2, 1, 4, 5], &[3, 5, 2]),
        (&[1, 5], &[3, 5, 1]),
        (&[3, 1, 2, 5], &[1, 4, 5, 3]),
        (&[6], &[3, 6, 2]),
        (&[2, 4, 6], &[6]),
        (&[2, 1, 3, 4, 5], &[4, 1, 5, 2]),
    ] {
        cases.push(Case::new(&format!("matmul {a:?} {b:?}"), &[a, b], |g, v| g.matmul(v[0], v[1], &MatMulDescriptor::default())));
    }
    holds(&cases, every);
    let mut cases = vec![];
    for [m, n, k] in [[5, 4, 7], [6, 6, 6], [1, 5, 4], [4, 1, 3], [3, 4, 1], [1, 1, 5]] {
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = (if trans_a { [k, m] } else { [m, k] }, if trans_b { [n, k] } else { [k, n] });
            let addend = [vec![m, n], vec![n], vec![m, 1], vec![]][cases.len() % 4].clone();
            let (alpha, beta) = [(1.0, 1.0), (-2.0, 0.5), (0.5, 4.0)][cases.len() % 3];
            let descriptor = GemmDescriptor { alpha, beta, trans_a, trans_b, ..Default::default() };
            let name = format!("gemm {m} {n} {k} {trans_a} {trans_b} + {addend:?}");
            cases.push(Case::new(&name, &[&a, &b, &addend], move |g, v| g.gemm(v[0], v[1], Some(v[2]), &descriptor)));
        }
    }
    holds(&cases, every);
    let linear = |name: &str, x: &[usize], w: &[usize]| {
        Case::new(name, &[x, w, &w[..1]], |g, v| g.linear(v[0], v[1], Some(v[2]), &LinearDescriptor::default()))
    };
    let cases = [
        linear("linear", &[5, 7], &[6, 7]),
        linear("linear over a batch of rows", &[2, 3, 4], &[5, 4]),
        linear("linear of a vector", &[4], &[3, 4]),
        linear("linear to one", &[9, 4], &[1, 4]),
        Case::new("linear with a residual", &[&[3, 4], &[5, 4], &[3, 5]], |g, v| {
            Ok(g.node(wgconv::graph::Recipe::Linear { descriptor: LinearDescriptor::default(), bias: false, residual: true }, v)?[0])
        }),
    ];
    holds(&cases, every);
}

#[test]
fn operations_on_two_tensors() {
    let mut cases = vec![];
    for (a, b) in [
        (&[2usize, 3, 4, 5][..], &[2usize, 3, 4, 5][..]),
        (&[2, 3, 4, 5], &[3, 1, 1]),
        (&[3, 1, 5], &[2, 1, 4, 1]),
        (&[], &[4, 3]),
        (&[4, 3], &[]),
        (&[1, 1], &[3]),
        (&[2, 1, 3], &[2, 4, 1]),
    ] {
        for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul] {
            cases.push(Case::new(&format!("{} {a:?} {b:?}", op.name()), &[a, b], move |g, v| g.binary(v[0], v[1], op)));
        }
    }
    for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul] {
        let name = op.name();
        cases.push(Case::new(&format!("{name} of layouts"), &[&[2, 3, 4, 5], &[2, 3, 4, 5]], move |g, v| g.binary(v[0], v[1], op)).channels_last());
        cases.push(Case::new(&format!("{name} of layouts"), &[&[2, 3, 4, 5], &[3, 1, 5]], move |g, v| {
            let last = g.to_layout(v[1], Layout::ChannelsLast)?;
            g.binary(v[0], last, op)
        }));
    }
    holds(&cases, every);
}

#[test]
fn sums_and_means() {
    let mut cases = vec![];
    for (x, axes) in [
        (&[2usize, 4, 8][..], &[][..]),
        (&[2, 4, 8], &[1isize]),
        (&[2, 4, 8], &[-1]),
        (&[2, 4, 2, 8], &[0, 2]),
        (&[2, 1, 8], &[1, 0]),
        (&[2, 4, 2, 8], &[1, 3]),
        (&[4], &[0]),
    ] {
        for keepdims in [false, true] {
            for descriptor in [ReduceDescriptor::sum(axes), ReduceDescriptor::mean(axes)] {
                let descriptor = descriptor.with_keepdims(keepdims);
                cases.push(Case::new(&format!("{descriptor:?} of {x:?}"), &[x], move |g, v| g.reduce(v[0], &descriptor)));
            }
        }
    }
    for axes in [&[1isize][..], &[2, 3], &[0, 2]] {
        let descriptor = ReduceDescriptor::sum(axes).with_keepdims(true);
        cases.push(Case::new(&format!("{descriptor:?}"), &[&[2, 3, 4, 5]], move |g, v| g.reduce(v[0], &descriptor)).channels_last());
    }
    holds(&cases, first);
}

fn slice(starts: &[isize], ends: &[isize], axes: &[isize], steps: &[isize]) -> SliceDescriptor {
    SliceDescriptor { starts: starts.to_vec(), ends: ends.to_vec(), axes: axes.to_vec(), steps: steps.to_vec() }
}

#[test]
fn moves() {
    const BACK: isize = isize::MIN;
    let mut cases = vec![];
    for (x, descriptor) in [
        (&[5usize, 7][..], slice(&[1, 2], &[4, 6], &[], &[])),
        (&[5, 7], slice(&[0, 1], &[5, 7], &[], &[2, 3])),
        (&[5, 7], slice(&[-1, 5], &[BACK, 0], &[], &[-1, -2])),
        (&[2, 3, 4, 5], slice(&[3, 0], &[BACK, 5], &[2, 3], &[-3, 2])),
        (&[4, 3, 4, 5, 3], slice(&[3, 0, 3, 1, 2], &[BACK, 3, 0, 5, BACK], &[], &[-2, 2, -1, 3, -1])),
        (&[2, 3], slice(&[], &[], &[], &[])),
    ] {
        cases.push(Case::new(&format!("{descriptor:?} of {x:?}"), &[x], move |g, v| g.slice(v[0], &descriptor)));
    }
    let descriptor = slice(&[0, 3], &[3, BACK], &[1, 3], &[2, -1]);
    cases.push(Case::new("slice, last", &[&[2, 3, 4, 5]], move |g, v| g.slice(v[0], &descriptor)).channels_last());
    for mode in [PadMode::Constant(5.0), PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        for (x, pads) in [
            (&[3usize, 4][..], &[2usize, 1, 0, 3][..]),
            (&[2, 3, 4, 5], &[0, 0, 3, 1, 0, 0, 2, 4]),
            (&[2, 2, 3, 2, 3], &[1, 1, 2, 1, 0, 0, 1, 1, 1, 2]),
            (&[2, 3], &[0, 0, 0, 0]),
        ] {
            let descriptor = PadDescriptor { pads: pads.to_vec(), mode };
            cases.push(Case::new(&format!("{descriptor:?} of {x:?}"), &[x], move |g, v| g.pad(v[0], &descriptor)));
        }
        let descriptor = PadDescriptor { pads: vec![1, 1, 2, 0, 0, 2, 0, 3], mode };
        cases.push(Case::new(&format!("{descriptor:?}"), &[&[2, 3, 3, 4]], move |g, v| g.pad(v[0], &descriptor)).channels_last());
    }
    for perm in [&[1usize, 0, 2][..], &[2, 0, 1], &[2, 1, 0], &[0, 1, 2]] {
        cases.push(Case::new(&format!("transpose {perm:?}"), &[&[2, 3, 4]], move |g, v| g.transpose(v[0], perm)));
        cases.push(Case::new(&format!("transpose {perm:?}"), &[&[2, 3, 4]], move |g, v| g.transpose(v[0], perm)).channels_last());
    }
    for mode in [DepthToSpaceMode::Dcr, DepthToSpaceMode::Crd] {
        let descriptor = DepthToSpaceDescriptor { block: 2, mode };
        cases.push(Case::new(&format!("depth to space {mode:?}"), &[&[2, 8, 3, 2]], move |g, v| g.depth_to_space(v[0], &descriptor)));
        cases.push(Case::new(&format!("space to depth {mode:?}"), &[&[2, 2, 6, 4]], move |g, v| g.space_to_depth(v[0], &descriptor)));
        cases.push(Case::new(&format!("depth to space {mode:?}"), &[&[2, 8, 3, 2]], move |g, v| g.depth_to_space(v[0], &descriptor)).channels_last());
    }
    cases.push(Case::new("to channels-last and back", &[&[2, 3, 4, 5]], |g, v| {
        let last = g.to_layout(v[0], Layout::ChannelsLast)?;
        let first = g.to_layout(last, Layout::ChannelsFirst)?;
        g.reshape(first, &[6, -1])
    }));
    cases.push(Case::new("to channels-first", &[&[2, 3, 4, 5]], |g, v| g.to_layout(v[0], Layout::ChannelsFirst)).channels_last());
    cases.push(Case::new("reshape and flatten", &[&[2, 3, 4, 5]], |g, v| {
        let wide = g.reshape(v[0], &[2, 2, -1])?;
        g.flatten(wide, 1)
    }));
    holds(&cases, first);
    let joined = |name: &str, axis: isize, extents: [&[usize]; 3]| Case::new(name, &extents, move |g, v| g.concat(v, axis));
    let cases = [
        joined("concat of channels", 1, [&[2, 3, 4, 2], &[2, 1, 4, 2], &[2, 2, 4, 2]]),
        joined("concat of channels, last", 1, [&[2, 3, 4, 2], &[2, 1, 4, 2], &[2, 2, 4, 2]]).channels_last(),
        joined("concat along the last axis", -1, [&[2, 3, 1], &[2, 3, 4], &[2, 3, 2]]),
        joined("concat of vectors", 0, [&[3], &[1], &[4]]),
        Case::new("a tensor beside itself", &[&[2, 3, 4]], |g: &mut Graph, v| g.concat(&[v[0], v[0]], 0)),
    ];
    holds(&cases, every);
}

#[test]
fn resizes() {
    let mut cases = vec![];
    for coordinates in CoordinateMode::ALL {
        for (i, mode) in NearestMode::ALL.into_iter().enumerate() {
            let (x, sizes): (&[usize], &[usize]) = [(&[2, 3, 7][..], &[4][..]), (&[2, 3, 4, 5], &[7, 3]), (&[1, 2, 3, 2, 4], &[2, 5, 4])][i % 3];
            let descriptor = ResizeDescriptor { sizes: sizes.to_vec(), mode: ResizeMode::Nearest(mode), coordinates, scales: None };
            let of = descriptor.clone();
            cases.push(Case::new(&format!("{descriptor:?}"), &[x], move |g, v| g.resize(v[0], &of)));
            cases.push(Case::new(&format!("{descriptor:?}"), &[x], move |g, v| g.resize(v[0], &descriptor)).channels_last());
        }
    }
    // Weights of quarters and halves.
    for (coordinates, x, sizes) in [
        (CoordinateMode::HalfPixel, &[2usize, 3, 5][..], &[10usize][..]),
        (CoordinateMode::HalfPixel, &[2, 3, 4, 6], &[8, 3]),
        (CoordinateMode::HalfPixel, &[1, 2, 2, 3, 4], &[4, 3, 2]),
        (CoordinateMode::Asymmetric, &[2, 3, 3, 4], &[6, 16]),
        (CoordinateMode::Asymmetric, &[2, 3, 8, 4], &[4, 1]),
        (CoordinateMode::AlignCorners, &[2, 3, 3, 2], &[5, 5]),
        (CoordinateMode::AlignCorners, &[2, 3, 9, 1], &[5, 4]),
    ] {
        let descriptor = ResizeDescriptor { sizes: sizes.to_vec(), mode: ResizeMode::Linear, coordinates, scales: None };
        let of = descriptor.clone();
        cases.push(Case::new(&format!("{descriptor:?} of {x:?}"), &[x], move |g, v| g.resize(v[0], &of)));
        cases.push(Case::new(&format!("{descriptor:?} of {x:?}"), &[x], move |g, v| g.resize(v[0], &descriptor)).channels_last());
    }
    holds(&cases, first);
}
