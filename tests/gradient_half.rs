//! Gradients of f16 tensors: f32, those of the same op on f32 at the numbers that f16 holds. Each op of them is held to the reference within its bound, on
//! what it read; master weights in f32, loss scaling, and a network that learns in mixed precision.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod gradients;

use gradients::{Case, GPU, Runner, array};
use std::ops::ControlFlow;
use wgconv::conv::{Algorithm, Conv2dDescriptor, ConvDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor, FusedPool};
use wgconv::elementwise::{BinaryDescriptor, BinaryOp, CastProblem, UnaryDescriptor, UnaryOp};
use wgconv::gpu::DeviceProfile;
use wgconv::gradient::{Item, Of, backward};
use wgconv::graph::{BatchNormParameters, Ranked, Recipe};
use wgconv::indexed::Indexing;
use wgconv::matmul::{GemmDescriptor, LinearDescriptor};
use wgconv::norm::{BatchNormDescriptor, GroupNormDescriptor, LayerNormDescriptor, LrnDescriptor};
use wgconv::op::{Planned, Problem};
use wgconv::pool::{IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use wgconv::reduce::{ReduceDescriptor, ReduceKind, TopKDescriptor, TopKOrder};
use wgconv::softmax::SoftmaxDescriptor;

use wgconv::transform::{CoordinateMode, PadDescriptor, PadMode, ResizeDescriptor, ResizeMode, SliceDescriptor};
use wgconv::validate_network::{Engines, compare_engines};
use wgconv::{Activation, ElementType, Graph, Layout, Padding, Session, TensorType};

/// One case for each op that has a gradient, and forms of it whose fragment reads something else.
fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for activation in [Activation::None, Activation::Relu, Activation::Gelu] {
        let conv = ConvDescriptor::<2> { activation, padding: Padding::uniform(1), ..Default::default() };
        let of = |g: &mut Graph, v: &[wgconv::graph::ValueId], conv: &ConvDescriptor<2>| g.conv2d(v[0], v[1], Some(v[2]), conv);
        cases.push(Case::new(&format!("conv, {activation}"), &[&[2, 3, 6, 5], &[4, 3, 3, 3], &[4]], move |g, v| of(g, v, &conv)));
        let reflected = ConvDescriptor { padding_mode: wgconv::shape::PaddingMode::Reflect, stride: [2, 1], ..conv };
        cases.push(Case::new(&format!("conv, reflected, {activation}"), &[&[2, 3, 6, 5], &[4, 3, 3, 3], &[4]], move |g, v| of(g, v, &reflected)));
        cases.push(
            Case::new(&format!("conv, last, {activation}"), &[&[2, 3, 6, 5], &[4, 3, 3, 3], &[4]], move |g, v| of(g, v, &conv)).channels_last(),
        );
        let linear = LinearDescriptor { activation, ..Default::default() };
        cases.push(Case::new(&format!("linear, {activation}"), &[&[5, 7], &[6, 7], &[6]], move |g, v| g.linear(v[0], v[1], Some(v[2]), &linear)));
        let gemm = GemmDescriptor { activation, alpha: 0.5, beta: -2.0, trans_a: true, ..Default::default() };
        cases.push(Case::new(&format!("gemm, {activation}"), &[&[4, 3], &[4, 2], &[3, 1]], move |g, v| g.gemm(v[0], v[1], Some(v[2]), &gemm)));
        for op in [BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max, BinaryOp::Prelu] {
            let name = format!("{}, {activation}", op.name());
            cases.push(Case::new(&name, &[&[2, 3, 4], &[3, 1]], move |g, v| g.binary(v[0], v[1], BinaryDescriptor { op, activation })));
        }
        for op in [UnaryOp::Exp, UnaryOp::Abs, UnaryOp::Erf] {
            let name = format!("{}, {activation}", op.name());
            cases.push(Case::new(&name, &[&[2, 3, 4]], move |g, v| g.unary(v[0], UnaryDescriptor { op, activation })));
        }
    }
    let pooled = ConvDescriptor::<2> { activation: Activation::Relu, pool: Some(FusedPool::Max), ..Default::default() };
    cases.push(Case::new("a fused pool and a residual", &[&[1, 2, 6, 6], &[3, 2, 3, 3], &[1, 3, 4, 4]], move |g, v| {
        Ok(g.node(Recipe::Conv { descriptor: Ranked::Two(pooled), bias: false, residual: true }, v)?[0])
    }));
    let transposed = ConvTransposeDescriptor::<2> { stride: [2, 1], ..Default::default() };
    cases.push(Case::new("transposed", &[&[1, 3, 3, 2], &[3, 2, 2, 2], &[2]], move |g, v| g.conv_transpose2d(v[0], v[1], Some(v[2]), &transposed)));
    cases.push(Case::new("matmul", &[&[2, 1, 4, 5], &[3, 5, 2]], |g, v| g.matmul(v[0], v[1], &Default::default())));
    cases.push(Case::new("where", &[&[2, 3], &[4, 1, 3]], |g, v| {
        let condition = g.unary(v[0], Activation::Relu)?;
        g.where_cond(condition, v[0], v[1])
    }));
    let window = PoolDescriptor::<2>::window([3, 2]).with_stride([2, 1]);
    for kind in [PoolKind::MAX, PoolKind::AVERAGE, PoolKind::Lp { p: 2.0 }, PoolKind::Lp { p: 3.0 }] {
        cases.push(Case::new(&format!("{kind:?}"), &[&[2, 3, 6, 7]], move |g, v| g.pool2d(v[0], &window.with_kind(kind))));
        cases.push(Case::new(&format!("{kind:?}, last"), &[&[2, 3, 6, 7]], move |g, v| g.pool2d(v[0], &window.with_kind(kind))).channels_last());
    }
    let unpooled = PoolDescriptor::<2>::window([2, 2]).with_kind(PoolKind::Max { indices: Some(IndexOrder::RowMajor) });
    cases.push(Case::new("unpool", &[&[1, 2, 4, 6]], move |g, v| {
        let [y, indices] = g.max_pool2d_with_indices(v[0], &unpooled)?;
        g.max_unpool2d(y, indices, &MaxUnpoolDescriptor { pool: unpooled, output_shape: None })
    }));
    for logarithm in [false, true] {
        let softmax = SoftmaxDescriptor { axis: 1, logarithm };
        cases.push(Case::new(&format!("{softmax:?}"), &[&[4, 9]], move |g, v| g.softmax(v[0], &softmax)));
    }
    let layer = LayerNormDescriptor::default();
    cases.push(Case::new("layer norm", &[&[4, 9], &[9], &[9]], move |g, v| g.layer_norm(v[0], Some(v[1]), Some(v[2]), &layer)));
    let group = GroupNormDescriptor { groups: 2, epsilon: 1e-3 };
    cases.push(Case::new("group norm", &[&[2, 4, 5], &[4], &[4]], move |g, v| g.group_norm(v[0], Some(v[1]), Some(v[2]), &group)));
    cases.push(Case::new("batch norm", &[&[2, 3, 5], &[3], &[3]], |g, v| {
        let [mean, variance] = [("mean", 0.25f32), ("variance", 2.0)]
            .map(|(name, number)| g.constant(name, ndarray::Array1::from_elem(3, half::f16::from_f32(number)).view()));
        let of = BatchNormParameters { scale: Some(v[1]), bias: Some(v[2]), mean: mean?, variance: variance? };
        g.batch_norm(v[0], &of, &BatchNormDescriptor { activation: Activation::Relu, ..Default::default() })
    }));
    cases.push(Case::new("lrn", &[&[2, 6, 3, 4]], |g, v| g.lrn(v[0], &LrnDescriptor { size: 3, ..Default::default() })));
    for kind in [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max, ReduceKind::Prod] {
        cases.push(Case::new(&format!("{kind:?}"), &[&[2, 3, 4]], move |g, v| g.reduce(v[0], &ReduceDescriptor::new(kind, &[1]))));
    }
    let resize = ResizeDescriptor { sizes: vec![7, 3], mode: ResizeMode::Linear, coordinates: CoordinateMode::HalfPixel, scales: None };
    cases.push(Case::new("resize", &[&[1, 2, 4, 5]], move |g, v| g.resize(v[0], &resize)));
    let pad = PadDescriptor { pads: vec![0, 1, 2, 1], mode: PadMode::Reflect };
    cases.push(Case::new("pad", &[&[4, 5]], move |g, v| g.pad(v[0], &pad)));
    let slice = SliceDescriptor { starts: vec![0, 4], ends: vec![4, 0], axes: vec![0, 1], steps: vec![2, -1] };
    cases.push(Case::new("slice", &[&[4, 5]], move |g, v| g.slice(v[0], &slice)));
    cases.push(Case::new("concat and transpose", &[&[2, 3], &[2, 4]], |g, v| {
        let y = g.concat(v, 1)?;
        g.transpose(y, &[1, 0])
    }));
    cases.push(Case::new("gather", &[&[5, 3]], |g, v| {
        let rows = g.constant("rows", array(&[4], &[3.0, 0.0, 3.0, 1.0]).view())?;
        g.gather(v[0], rows, Indexing::Slices { axis: 0 })
    }));
    cases.push(Case::new("top k", &[&[4, 6]], |g, v| Ok(g.top_k(v[0], &TopKDescriptor { k: 2, axis: -1, order: TopKOrder::Largest })?[0])));
    cases
}

/// The graph of a case with its parameters at `numbers`, what its inputs hold there, in the graph's order, all in f16's reach.
fn at(case: &Case) -> (Graph, Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let mut graph = case.graph();
    let numbers = case.numbers(&graph, |generator| ElementType::F16.rounded(generator.real() * 1.5));
    let last = numbers.len() - 1;
    for (i, (operand, numbers)) in case.operands.iter().zip(&numbers).enumerate().skip(1) {
        graph.set(&format!("x{i}"), array(&operand.extents, numbers).view()).unwrap();
    }
    (graph, vec![numbers[0].clone(), numbers[last].clone()], numbers)
}

/// By the definitions a gradient of f16 is that of f32 at the same numbers, whose differences `gradient_slopes.rs` takes; on the engines each of its ops is
/// within its bound of the definition, of what f16 tensors hold.
#[test]
fn every_op_of_f16_has_f32_gradients_within_their_bounds() {
    let mut failures = vec![];
    for case in cases() {
        let half = case.in_half();
        let (graph, given, numbers) = at(&half);
        let stored = graph.at(0).unwrap().types;
        assert!(stored.iter().any(|tensor| tensor.element == ElementType::F16), "{}: it has no f16", half.name);
        for (name, value) in graph.outputs().filter(|(name, _)| *name != "y") {
            assert_eq!(stored[value.index()].element, ElementType::F32, "{}: {name}", half.name);
        }
        if case.name != "batch norm" {
            let (got, want) = (Runner::reference(&graph).run(&numbers), Runner::reference(&case.graph()).run(&numbers));
            assert_eq!(got, want, "{}: the definitions differ from those of f32", half.name);
            assert!(want.keys().filter(|name| name.starts_with('g')).count() == case.operands.len(), "{}: {:?}", half.name, want.keys());
        }
        let engines = Engines { gpu: Some(&GPU), cpu: true };
        compare_engines(&graph, 0, &given, engines, &mut |compared| {
            for measured in [&compared.gpu, &compared.cpu].into_iter().flatten() {
                failures.extend(measured.fault.as_ref().map(|why| format!("{}: {} by {}: {why}", half.name, compared.node, measured.algorithm)));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        // The whole, in a session: as near as f16 is.
        let want = Runner::reference(&graph).run(&numbers);
        for runner in [Runner::gpu(&graph), Runner::cpu(&graph)] {
            for (name, got) in runner.run(&numbers) {
                gradients::assert_close(&format!("{}: {name} on {}", half.name, runner.name), &got, &want[&name], 4e-3);
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A filter in f32 that f16 reads through a cast: its gradient is f32 and is not rounded; what differs from the filter's f16 by less than a unit of f16 is
/// the same network.
#[test]
fn a_master_weight_has_an_f32_gradient() {
    let mut g = Graph::new();
    let x = g.input("x", [1.into(), 1.into(), 1.into(), 4.into()]).unwrap();
    let w = g.parameter("w", array(&[1, 1, 1, 2], &[1.0 + 1.0 / 8192.0, -2.0]).view()).unwrap();
    let [x, v] = [x, w].map(|value| g.cast(value, ElementType::F16).unwrap());
    assert_eq!(g.cast(v, ElementType::F16).unwrap(), v, "a cast to its own type is the value itself");
    let y = g.conv2d(x, v, None, &Conv2dDescriptor::default()).unwrap();
    let y = g.cast(y, ElementType::F32).unwrap();
    let scaled = g.constant("scale", array(&[], &[1e-6]).view()).unwrap();
    let y = g.mul(y, scaled).unwrap();
    let loss = g.reduce(y, &ReduceDescriptor::sum(&[])).unwrap();
    let whole = g.differentiate(loss, &[w]).unwrap();
    let casts = whole.nodes().iter().filter(|node| matches!(node.recipe(), Recipe::Fixed(op) if op.to_string().contains("to_f32"))).count();
    assert_eq!(casts, 1, "x is read in f32 once, the filter not at all");
    for session in [Session::gpu(&GPU, &whole).unwrap(), Session::cpu(&whole).unwrap()] {
        let outputs = session.run(&[("x", array(&[1, 1, 1, 4], &[1.0, 2.0, 4.0, 8.0]).view())]).unwrap();
        // The filter is 1 and -2 in f16. 1e-6 times 7 and 14: f16 has 0.75 units of 2^-24 for the smallest term, and would lose it.
        assert!((outputs["loss"].sum() + 21e-6).abs() < 1e-11, "{}", outputs["loss"].sum());
        let got: Vec<f32> = outputs["grad.w"].iter().copied().collect();
        assert!((got[0] - 7e-6).abs() < 1e-11 && (got[1] - 14e-6).abs() < 1e-11, "{got:?}");
    }
}

/// A loss that is scaled by a power of two has gradients that are: f32 between ops, so that nothing is lost without.
#[test]
fn loss_scaling_changes_no_bit() {
    let graph = |scale: f64| {
        let mut g = Graph::new();
        let x = g.input("x", [2.into(), 3.into(), 6.into(), 6.into()]).unwrap();
        let mut generator = wgconv::numeric::Generator::from_text("scaling");
        let numbers: Vec<f64> = (0..4 * 27).map(|_| generator.real()).collect();
        let w = g.parameter("w", array(&[4, 3, 3, 3], &numbers).view()).unwrap();
        let [x, v] = [x, w].map(|value| g.cast(value, ElementType::F16).unwrap());
        let y = g.conv2d(x, v, None, &Conv2dDescriptor { activation: Activation::Gelu, ..Default::default() }).unwrap();
        let y = g.cast(y, ElementType::F32).unwrap();
        let square = g.mul(y, y).unwrap();
        let scale = g.constant("scale", array(&[], &[scale]).view()).unwrap();
        let scaled = g.mul(square, scale).unwrap();
        let loss = g.reduce(scaled, &ReduceDescriptor::mean(&[])).unwrap();
        g.differentiate(loss, &[w]).unwrap()
    };
    let x: Vec<f64> = (0..216).map(|i| f64::from(i).sin()).collect();
    let run = |session: Session| session.run(&[("x", array(&[2, 3, 6, 6], &x).view())]).unwrap()["grad.w"].clone();
    for on_gpu in [true, false] {
        let session = |graph: &Graph| if on_gpu { Session::gpu(&GPU, graph) } else { Session::cpu(graph) }.unwrap();
        let (one, many) = (run(session(&graph(1.0))), run(session(&graph(1024.0))));
        assert!(one.iter().any(|g| *g != 0.0));
        assert_eq!(one.mapv(|g| g * 1024.0), many);
    }
}

#[test]
fn what_f16_gradients_refuse_is_named() {
    let mut g = Graph::new();
    let x = g.input_as("x", &[2.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    let y = g.relu(x).unwrap();
    let dy = g.input_as("dy", &[2.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    let error = g.gradients(&[(y, dy)], &[x]).unwrap_err().to_string();
    assert_eq!(error, "an upstream gradient is 2_f16: of 2_f16 it is 2");
    // A loss of f16, whose gradients are f32.
    let loss = g.reduce(y, &ReduceDescriptor::sum(&[])).unwrap();
    let whole = g.differentiate(loss, &[x]).unwrap();
    let gradient = whole.outputs().find(|(name, _)| *name == "grad.x").unwrap().1;
    assert_eq!(whole.at(0).unwrap().types[gradient.index()], TensorType::f32(&[2]));
    // A cast's gradient is the gradient; of a cast to f16 too.
    for (from, to) in [(ElementType::F32, ElementType::F16), (ElementType::F16, ElementType::F32)] {
        let cast = CastProblem::new(&TensorType::new(&[2], from, Layout::ChannelsFirst), to).unwrap();
        let fragment = backward(&cast.into(), &[true]).unwrap();
        assert_eq!((fragment.items.len(), fragment.gradients), (0, vec![Some(Of::Upstream)]));
    }
    let half = wgconv::elementwise::UnaryProblem::new(&TensorType::new(&[2], ElementType::F16, Layout::ChannelsFirst), UnaryOp::Exp).unwrap();
    let fragment = backward(&half.into(), &[true]).unwrap();
    assert!(matches!(&fragment.items[0], Item::Op { op, inputs } if op.to_string() == "to_f32_2_f16" && inputs == &[Of::Output(0)]));
}

/// An algorithm that was asked for is of f16 alone, on a device that has it: what is computed again is f32 and takes any.
#[test]
fn gradients_do_not_ask_for_the_algorithm_of_f16() {
    let tensors =
        ConvInputs { x: TensorType::new(&[1, 64, 8, 8], ElementType::F16, Layout::ChannelsFirst), ..ConvInputs::new(&[], &[64, 64, 3, 3], None) };
    let descriptor = Conv2dDescriptor { activation: Activation::Gelu, algorithm: Some(Algorithm::ImplicitGemmCoop), ..Default::default() };
    let conv = ConvProblem::forward(&tensors, &descriptor).unwrap();
    let profile = DeviceProfile { has_f16: true, ..DeviceProfile::MINIMAL };
    assert!(conv.plan(&profile, None).is_err(), "the device has no cooperative matrices");
    let fragment = backward(&conv.into(), &[true, true]).unwrap();
    let ops = fragment.items.iter().filter_map(|item| if let Item::Op { op, .. } = item { Some(op) } else { None });
    let planned = ops.map(|op| op.plan(&profile, None).map(|_| op.name()).unwrap()).collect::<Vec<_>>();
    assert_eq!(planned, ["cast", "cast", "conv", "activation_backward", "conv_backward_filter", "conv_transpose"]);
}
