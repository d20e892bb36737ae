//! Gradients of what is not linear against central differences of the definitions, in f64; and both engines against the same ops by their definitions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod gradients;

use gradients::{Case, Runner, array, assert_close, inner};
use wgconv::conv::{ConvDescriptor, ConvTransposeDescriptor, FusedPool};
use wgconv::elementwise::{BinaryDescriptor, BinaryOp, UnaryDescriptor, UnaryOp};
use wgconv::graph::{BatchNormParameters, CrossEntropyDescriptor, KlDescriptor, Ranked, Recipe, Reduction, Targets};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor};
use wgconv::norm::{BatchNormDescriptor, GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor};
use wgconv::pool::{AdaptivePoolDescriptor, PoolDescriptor, PoolKind};
use wgconv::reduce::ReduceDescriptor;
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::transform::{CoordinateMode, ResizeDescriptor, ResizeMode};
use wgconv::{Activation, Padding};

/// The step of the differences: their error is of its square, and of what f64 rounds of a loss divided by it.
const STEP: f64 = 1e-5;

/// Gradients by every operand are the limits of differences, and what the engines give is near. Numbers are `number` of those in [-1, 1).
fn differences_agree(cases: &[Case], number: impl Fn(f64) -> f64) {
    for case in cases {
        let graph = case.graph();
        let mut numbers = case.numbers(&graph, |generator| f64::from(number(generator.real()) as f32));
        let last = numbers.len() - 1;
        let reference = Runner::reference(&graph);
        let want = reference.run(&numbers);
        for i in 0..last {
            let gradient = &want[&format!("g{i}")];
            let scale = gradient.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            for (j, &gradient) in gradient.iter().enumerate() {
                let x = numbers[i][j];
                let [above, below] = [x + STEP, x - STEP].map(|moved| {
                    numbers[i][j] = moved;
                    inner(&reference.run(&numbers)["y"], &numbers[last])
                });
                numbers[i][j] = x;
                let difference = (above - below) / (2.0 * STEP);
                let what = format!("{}: by element {j} of operand {i}", case.name);
                assert!((gradient - difference).abs() <= 2e-6 * scale, "{what}: {gradient}, not {difference} ({above} {below})");
            }
        }
        for runner in [Runner::cpu(&graph), Runner::gpu(&graph)] {
            for (name, got) in runner.run(&numbers) {
                assert_close(&format!("{}: {name} on {}", case.name, runner.name), &got, &want[&name], 2e-5);
            }
        }
    }
}

#[test]
fn activations_alone() {
    let cases = |extents: &'static [usize]| -> Vec<Case> {
        let of = |activation: Activation| Case::new(&format!("{activation}"), &[extents], move |g, v| g.activation(v[0], activation));
        Activation::ALL.into_iter().chain([Activation::Clip { min: -0.5, max: 0.25 }]).map(of).collect()
    };
    differences_agree(&cases(&[2, 3, 7]), |v| 4.0 * v);
    differences_agree(&cases(&[2, 3, 5]), |v| 12.0 * v);
}

#[test]
fn operations_on_one_tensor() {
    let case = |(op, activation): (UnaryOp, Activation)| {
        Case::new(&format!("{}, {activation}", op.name()), &[&[2, 3, 4]], move |g, v| g.unary(v[0], UnaryDescriptor { op, activation }))
    };
    let of = |ops: &[UnaryOp]| -> Vec<Case> {
        [Activation::None, Activation::Relu, Activation::Tanh]
            .into_iter()
            .flat_map(|activation| ops.iter().map(move |op| case((*op, activation))))
            .collect()
    };
    differences_agree(&of(&[UnaryOp::Abs, UnaryOp::Neg, UnaryOp::Exp, UnaryOp::Erf, UnaryOp::Sin, UnaryOp::Cos]), |v| 2.0 * v);
    differences_agree(&of(&[UnaryOp::Log, UnaryOp::Sqrt, UnaryOp::Reciprocal]), |v| v.abs() + 0.5);
    differences_agree(&of(&[UnaryOp::Reciprocal]), |v| -v.abs() - 0.5);
    for op in [UnaryOp::Sign, UnaryOp::Floor, UnaryOp::Ceil, UnaryOp::Round] {
        let graph = case((op, Activation::None)).graph();
        assert!(!Runner::cpu(&graph).run(&[vec![0.25; 24], vec![1.0; 24]]).contains_key("g0"), "{} is flat", op.name());
    }
}

#[test]
fn choices_between_two_tensors() {
    let mut cases = vec![];
    for (condition, a, b) in [(&[2usize, 3][..], &[2usize, 3][..], &[2usize, 3][..]), (&[2, 3], &[4, 1, 3], &[]), (&[2, 1], &[3], &[2, 1])] {
        cases.push(Case::new(&format!("where {condition:?} {a:?} {b:?}"), &[a, b], move |g, v| {
            let numbers: Vec<f64> = (0..condition.iter().product()).map(|i: usize| f64::from(u32::from(i.is_multiple_of(3)))).collect();
            let condition = g.constant("condition", array(condition, &numbers).view())?;
            g.where_cond(condition, v[0], v[1])
        }));
        cases.push(Case::new(&format!("clamp {a:?} {b:?}"), &[a, b], move |g, v| {
            let low = g.constant("low", array(&[], &[-0.5]).view())?;
            g.clamp(v[0], low, v[1])
        }));
    }
    differences_agree(&cases, |v| v);
}

#[test]
fn activations_of_sums() {
    let mut cases = vec![];
    for (i, activation) in Activation::ALL.into_iter().enumerate() {
        let conv = ConvDescriptor::<2> { activation, padding: Padding::Explicit { begin: [1, 0], end: [0, 1] }, ..Default::default() };
        let case =
            Case::new(&format!("conv, {activation}"), &[&[2, 2, 3, 4], &[3, 2, 2, 3], &[3]], move |g, v| g.conv2d(v[0], v[1], Some(v[2]), &conv));
        cases.push(if i % 3 == 0 { case.channels_last() } else { case });
        let linear = LinearDescriptor { activation, ..Default::default() };
        cases.push(Case::new(&format!("linear, {activation}"), &[&[2, 3, 4], &[5, 4], &[5]], move |g, v| g.linear(v[0], v[1], Some(v[2]), &linear)));
    }
    for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh] {
        let transposed = ConvTransposeDescriptor::<2> { activation, stride: [2, 1], ..Default::default() };
        cases.push(Case::new(&format!("transposed, {activation}"), &[&[1, 3, 3, 2], &[3, 2, 2, 2], &[2]], move |g, v| {
            g.conv_transpose2d(v[0], v[1], Some(v[2]), &transposed)
        }));
        let gemm = GemmDescriptor { activation, alpha: 0.5, beta: -2.0, trans_a: true, ..Default::default() };
        cases.push(Case::new(&format!("gemm, {activation}"), &[&[4, 3], &[4, 2], &[3, 1]], move |g, v| g.gemm(v[0], v[1], Some(v[2]), &gemm)));
        let conv = ConvDescriptor::<2> { activation, ..Default::default() };
        cases.push(Case::new(&format!("conv with a residual, {activation}"), &[&[1, 2, 4, 4], &[2, 2, 3, 3], &[2], &[1, 2, 2, 2]], move |g, v| {
            Ok(g.node(Recipe::Conv { descriptor: Ranked::Two(conv), bias: true, residual: true }, v)?[0])
        }));
        let linear = LinearDescriptor { activation, ..Default::default() };
        cases.push(Case::new(&format!("linear with a residual, {activation}"), &[&[3, 4], &[2, 4], &[2], &[3, 2]], move |g, v| {
            Ok(g.node(Recipe::Linear { descriptor: linear, bias: true, residual: true }, v)?[0])
        }));
        for op in [BinaryOp::Mul, BinaryOp::Sub] {
            let name = format!("{}, {activation}", op.name());
            cases.push(Case::new(&name, &[&[2, 3, 4], &[3, 1]], move |g, v| g.binary(v[0], v[1], BinaryDescriptor { op, activation })));
        }
    }
    differences_agree(&cases, |v| 2.0 * v);
}

#[test]
fn pools_of_convolutions() {
    let mut cases = vec![];
    for pool in [FusedPool::Max, FusedPool::Average] {
        for activation in [Activation::None, Activation::Relu, Activation::Silu] {
            // An odd extent: the last row is in no window.
            let conv = ConvDescriptor::<2> { activation, pool: Some(pool), padding: Padding::uniform(1), ..Default::default() };
            let name = format!("{pool:?} of {activation}");
            cases.push(Case::new(&name, &[&[2, 2, 5, 4], &[3, 2, 3, 3], &[3]], move |g, v| g.conv2d(v[0], v[1], Some(v[2]), &conv)));
        }
    }
    let conv = ConvDescriptor::<2> { activation: Activation::Tanh, pool: Some(FusedPool::Max), ..Default::default() };
    cases.push(Case::new("max of tanh with a residual", &[&[1, 2, 4, 5], &[3, 2, 1, 1], &[1, 3, 4, 5]], move |g, v| {
        Ok(g.node(Recipe::Conv { descriptor: Ranked::Two(conv), bias: false, residual: true }, v)?[0])
    }));
    differences_agree(&cases, |v| 2.0 * v);
}

#[test]
fn operations_on_two_tensors() {
    let mut cases = vec![];
    for (a, b) in [(&[2usize, 3, 4][..], &[2usize, 3, 4][..]), (&[2, 3, 4], &[3, 1]), (&[1, 4], &[2, 3, 1]), (&[], &[5]), (&[5], &[])] {
        for op in [BinaryOp::Div, BinaryOp::Max, BinaryOp::Min, BinaryOp::Prelu] {
            if op == BinaryOp::Prelu && a.len() < b.len() {
                continue;
            }
            cases.push(Case::new(&format!("{} {a:?} {b:?}", op.name()), &[a, b], move |g, v| g.binary(v[0], v[1], op)));
        }
    }
    // Away from 0, by which something is divided.
    differences_agree(&cases, |v| 2.0 * v + 0.5f64.copysign(v));
    // Powers of what is not negative.
    let mut cases = vec![];
    for (a, b) in [(&[2usize, 3, 4][..], &[2usize, 3, 4][..]), (&[2, 3, 4], &[3, 1]), (&[1, 4], &[2, 3, 1]), (&[], &[5]), (&[5], &[])] {
        for activation in [Activation::None, Activation::Tanh] {
            let descriptor = BinaryDescriptor { op: BinaryOp::Power, activation };
            cases.push(Case::new(&format!("power {a:?} {b:?}, {activation}"), &[a, b], move |g, v| g.binary(v[0], v[1], descriptor)));
        }
    }
    // And their slopes, which a loss of a graph may hold.
    for op in [BinaryOp::PowerByBase, BinaryOp::PowerByExponent] {
        for (a, b) in [(&[2usize, 3][..], &[2usize, 3][..]), (&[4], &[2, 1]), (&[2, 3], &[])] {
            cases.push(Case::new(&format!("{} {a:?} {b:?}", op.name()), &[a, b], move |g, v| g.binary(v[0], v[1], op)));
        }
    }
    differences_agree(&cases, |v| v.abs() + 0.25);
}

#[test]
fn losses() {
    let mut cases = vec![];
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::BatchMean] {
        for log_targets in [false, true] {
            let descriptor = KlDescriptor { reduction, log_targets };
            cases.push(Case::new(&format!("{descriptor:?}"), &[&[3, 4], &[3, 4]], move |g, v| g.kl_div(v[0], v[1], &descriptor)));
        }
        cases.push(Case::new(&format!("likelihood, {reduction:?}"), &[&[3, 4, 2], &[3, 4, 2], &[4]], move |g, v| {
            g.nll_loss(v[0], v[1], Some(v[2]), reduction)
        }));
        for targets in [Targets::Classes, Targets::Probabilities] {
            let descriptor = CrossEntropyDescriptor { reduction, label_smoothing: 0.25, targets };
            cases.push(Case::new(&format!("{descriptor:?}"), &[&[3, 4], &[3, 4], &[4]], move |g, v| {
                g.cross_entropy(v[0], v[1], Some(v[2]), &descriptor)
            }));
        }
    }
    differences_agree(&cases, |v| v.abs() + 0.25);
}

#[test]
fn rows() {
    let mut cases = vec![];
    for axis in [0isize, 1, -1] {
        for logarithm in [false, true] {
            let descriptor = SoftmaxDescriptor { axis, logarithm };
            cases.push(Case::new(&format!("{descriptor:?}"), &[&[3, 4, 5]], move |g, v| g.softmax(v[0], &descriptor)));
            cases.push(Case::new(&format!("{descriptor:?}"), &[&[3, 4, 5]], move |g, v| g.softmax(v[0], &descriptor)).channels_last());
        }
    }
    for axis in [0isize, 1, -1] {
        let layer = LayerNormDescriptor { axis, epsilon: 1e-2 };
        let x = [2usize, 3, 5];
        let own = &x[if axis < 0 { 2 } else { axis as usize }..];
        cases.push(Case::new(&format!("{layer:?}"), &[&x], move |g, v| g.layer_norm(v[0], None, None, &layer)));
        cases.push(Case::new(&format!("{layer:?} with scale and bias"), &[&x, own, own], move |g, v| {
            g.layer_norm(v[0], Some(v[1]), Some(v[2]), &layer)
        }));
        let biased = Case::new(&format!("{layer:?} with a bias"), &[&x, own], move |g, v| g.layer_norm(v[0], None, Some(v[1]), &layer));
        cases.push(if axis == 0 { biased } else { biased.channels_last() });
    }
    for groups in [1, 2, 4] {
        let group = GroupNormDescriptor { groups, epsilon: 1e-2 };
        cases.push(Case::new(&format!("{group:?}"), &[&[2, 4, 2, 3], &[4], &[4]], move |g, v| g.group_norm(v[0], Some(v[1]), Some(v[2]), &group)));
        cases.push(
            Case::new(&format!("{group:?}, scale"), &[&[2, 4, 3], &[4]], move |g, v| g.group_norm(v[0], Some(v[1]), None, &group)).channels_last(),
        );
    }
    let instance = InstanceNormDescriptor { epsilon: 1e-2 };
    cases.push(Case::new("instance norm", &[&[2, 3, 2, 3], &[3], &[3]], move |g, v| g.instance_norm(v[0], Some(v[1]), Some(v[2]), &instance)));
    cases.push(Case::new("instance norm alone", &[&[2, 3, 5]], move |g, v| g.instance_norm(v[0], None, None, &instance)).channels_last());
    for size in [1usize, 2, 3, 7] {
        for beta in [0.75f32, 1.0] {
            let lrn = LrnDescriptor { size, alpha: 0.5, beta, bias: 1.5 };
            cases.push(Case::new(&format!("{lrn:?}"), &[&[2, 5, 2, 2]], move |g, v| g.lrn(v[0], &lrn)));
        }
    }
    let lrn = LrnDescriptor { size: 3, alpha: 2.0, beta: 0.5, bias: 1.0 };
    cases.push(Case::new("lrn, last", &[&[2, 4, 3]], move |g, v| g.lrn(v[0], &lrn)).channels_last());
    for (axes, keepdims) in [(&[][..], false), (&[1isize][..], false), (&[0, 2], true), (&[-1], true)] {
        let reduce = ReduceDescriptor::max(axes).with_keepdims(keepdims);
        cases.push(Case::new(&format!("{reduce:?}"), &[&[3, 4, 5]], move |g, v| g.reduce(v[0], &reduce)));
    }
    for (axes, keepdims) in [(&[][..], false), (&[1isize][..], false), (&[0, 2], true)] {
        for reduce in [ReduceDescriptor::min(axes), ReduceDescriptor::prod(axes)] {
            let reduce = reduce.with_keepdims(keepdims);
            cases.push(Case::new(&format!("{reduce:?}"), &[&[3, 2, 4]], move |g, v| g.reduce(v[0], &reduce)));
        }
    }
    cases.push(Case::new("max, last", &[&[2, 3, 2, 4]], |g, v| g.reduce(v[0], &ReduceDescriptor::max(&[1]).with_keepdims(true))).channels_last());
    differences_agree(&cases, |v| 2.0 * v);
}

#[test]
fn batch_norms() {
    let mut cases = vec![];
    for activation in [Activation::None, Activation::Relu, Activation::Gelu] {
        for (scale, bias) in [(true, true), (true, false), (false, true), (false, false)] {
            let build = move |g: &mut wgconv::Graph, v: &[wgconv::graph::ValueId]| {
                let mean = g.constant("mean", array(&[3], &[0.5, -0.25, 2.0]).view())?;
                let variance = g.constant("variance", array(&[3], &[0.25, 2.0, 9.0]).view())?;
                let (scale, bias) = (scale.then(|| v[1]), bias.then(|| v[v.len() - 1]));
                g.batch_norm(v[0], &BatchNormParameters { scale, bias, mean, variance }, &BatchNormDescriptor { epsilon: 1e-3, activation })
            };
            let operands = [&[2usize, 3, 2, 3][..], &[3], &[3]];
            let name = format!("batch norm, {activation}, {scale}, {bias}");
            let case = Case::new(&name, &operands[..1 + usize::from(scale) + usize::from(bias)], build);
            cases.push(if scale && !bias { case.channels_last() } else { case });
        }
    }
    differences_agree(&cases, |v| 2.0 * v);
}

#[test]
fn pools() {
    let mut cases = vec![];
    for p in [1.0f32, 2.0, 3.0, 1.5] {
        let lp = PoolDescriptor::<2>::window([2, 3]).with_kind(PoolKind::Lp { p });
        cases.push(Case::new(&format!("norms, p = {p}"), &[&[1, 2, 4, 6]], move |g, v| g.pool2d(v[0], &lp)));
        let wide = lp.with_stride([1, 2]).with_padding(Padding::uniform(1));
        cases.push(Case::new(&format!("overlapping norms, p = {p}"), &[&[2, 2, 4, 5]], move |g, v| g.pool2d(v[0], &wide)).channels_last());
        let adaptive = AdaptivePoolDescriptor { kind: PoolKind::Lp { p }, output: [2, 2] };
        cases.push(Case::new(&format!("adaptive norms, p = {p}"), &[&[1, 2, 5, 3]], move |g, v| g.adaptive_pool2d(v[0], &adaptive)));
    }
    let max = PoolDescriptor::<2>::window([3, 2]).with_stride([2, 1]).with_padding(Padding::uniform(1));
    cases.push(Case::new("max", &[&[2, 2, 5, 4]], move |g, v| g.pool2d(v[0], &max)));
    // Averages whose weights are no powers of two, and a linear resize of the same kind.
    let average = PoolDescriptor::<2>::window([3, 3]).with_kind(PoolKind::AVERAGE).with_stride([2, 1]).with_padding(Padding::uniform(1));
    cases.push(Case::new("average", &[&[2, 2, 5, 4]], move |g, v| g.pool2d(v[0], &average)));
    cases.push(Case::new("adaptive average", &[&[2, 2, 7, 5]], |g, v| {
        g.adaptive_pool2d(v[0], &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [3, 2] })
    }));
    for coordinates in CoordinateMode::ALL {
        let resize = ResizeDescriptor { sizes: vec![7, 3], mode: ResizeMode::Linear, coordinates, scales: None };
        cases.push(Case::new(&format!("{resize:?}"), &[&[1, 2, 4, 5]], move |g, v| g.resize(v[0], &resize)));
    }
    differences_agree(&cases, |v| v + 0.05f64.copysign(v));
}
