//! Gradients where formulas leave a choice or numbers leave the ordinary: ties and kinks, what a loss does not depend on, what is refused, NaN, infinities,
//! masks; and that they are the same in every run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod gradients;

use gradients::{Case, GPU, Runner, array, interpret};
use std::collections::BTreeMap;
use wgconv::conv::{Conv2dDescriptor, ConvDescriptor, ConvInputs, ConvProblem, FusedPool};
use wgconv::elementwise::{BinaryDescriptor, BinaryOp, BinaryProblem};
use wgconv::gradient::{Item, backward};
use wgconv::graph::{BatchNormParameters, ValueId};
use wgconv::matmul::LinearDescriptor;
use wgconv::norm::{BatchNormDescriptor, GroupNormDescriptor, LayerNormDescriptor};
use wgconv::numeric::Generator;
use wgconv::op::Op;
use wgconv::pool::{IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use wgconv::reduce::{ArgmaxDescriptor, ReduceDescriptor};
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::validate::{Options, Outcome};
use wgconv::{Activation, ElementType, Extent, Graph, Layout, Padding, Session, TensorType};

/// The gradients of a case are these on every engine; the last of the numbers is the upstream gradient.
fn gives(case: &Case, numbers: &[&[f64]], want: &[&[f64]]) {
    let graph = case.graph();
    let numbers: Vec<Vec<f64>> = numbers.iter().map(|numbers| numbers.to_vec()).collect();
    for runner in [Runner::reference(&graph), Runner::cpu(&graph), Runner::gpu(&graph)] {
        let got = runner.run(&numbers);
        for (i, want) in want.iter().enumerate() {
            assert_eq!(got[&format!("g{i}")], *want, "{}: operand {i} on {}", case.name, runner.name);
        }
    }
}

#[test]
fn the_first_of_equals_is_a_pools_maximum() {
    let lines = PoolDescriptor::<1>::window([3]).with_stride([2]);
    let pool = Case::new("lines", &[&[1, 1, 7]], move |g, v| g.pool1d(v[0], &lines));
    gives(&pool, &[&[0.0, 0.0, 0.0, 5.0, 5.0, -1.0, 5.0], &[1.0, 2.0, 4.0]], &[&[1.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0]]);
    // Windows of zeros, as relu leaves them: the first element that is no pad.
    let planes = PoolDescriptor::<2>::window([2, 2]).with_padding(Padding::uniform(1));
    let pool = Case::new("planes", &[&[1, 1, 4, 4]], move |g, v| g.pool2d(v[0], &planes));
    let mut want = [0.0; 16];
    for (at, dy) in [(0, 1.0), (1, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (7, 6.0), (12, 7.0), (13, 8.0), (15, 9.0)] {
        want[at] += dy;
    }
    gives(&pool, &[&[0.0; 16], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]], &[&want]);
    // Row-major: the second row's first loses to the first row's last.
    let square = PoolDescriptor::<2>::window([2, 2]);
    for kind in [PoolKind::MAX, PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) }] {
        let pool = Case::new("a square", &[&[1, 1, 2, 2]], move |g, v| g.pool2d(v[0], &square.with_kind(kind)));
        gives(&pool, &[&[0.0, 3.0, 3.0, 3.0], &[2.0]], &[&[0.0, 2.0, 0.0, 0.0]]);
        gives(&pool.channels_last(), &[&[0.0, 3.0, 3.0, 3.0], &[2.0]], &[&[0.0, 2.0, 0.0, 0.0]]);
    }
    let fused = ConvDescriptor::<2> { activation: Activation::Relu, pool: Some(FusedPool::Max), ..Default::default() };
    let conv = Case::new("a fused pool", &[&[1, 1, 2, 4], &[1, 1, 1, 1]], move |g, v| g.conv2d(v[0], v[1], None, &fused));
    gives(&conv, &[&[1.0, 7.0, 0.0, -2.0, 7.0, 7.0, -1.0, -1.0], &[2.0], &[3.0, 5.0]], &[&[0.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], &[21.0]]);
}

#[test]
fn equals_share_along_reduced_axes_and_between_operands() {
    let max = Case::new("max", &[&[2, 4]], |g, v| g.reduce(v[0], &ReduceDescriptor::max(&[1])));
    gives(&max, &[&[3.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0], &[1.0, 2.0]], &[&[0.5, 0.0, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5]]);
    let global = Case::new("global", &[&[1, 1, 2, 2]], |g, v| g.global_pool(v[0], PoolKind::MAX));
    gives(&global, &[&[2.0, 2.0, 1.0, 2.0 - 1e-6], &[4.0]], &[&[2.0, 2.0, 0.0, 0.0]]);
    for (op, of_a, of_b) in [(BinaryOp::Max, [0.0, 1.0, 0.5], [2.0, 0.0, 1.0]), (BinaryOp::Min, [2.0, 0.0, 0.5], [0.0, 1.0, 1.0])] {
        let of = Case::new(op.name(), &[&[3], &[3]], move |g, v| g.binary(v[0], v[1], op));
        let [dy, a, b] = [[2.0, 1.0, 1.0], [1.0, 4.0, 3.0], [2.0, 3.0, 3.0]];
        let halves = |share: [f64; 3]| -> Vec<f64> { share.to_vec() };
        let (mut of_a, mut of_b) = (halves(of_a), halves(of_b));
        of_b[2] = 0.5;
        (of_a[2], of_b[1]) = (0.5, if op == BinaryOp::Max { 0.0 } else { 1.0 });
        gives(&of, &[&a, &b, &dy], &[&of_a, &of_b]);
    }
}

#[test]
fn kinks_have_the_slope_that_pytorch_gives_them() {
    for (activation, x, want) in [
        (Activation::Relu, 0.0, 0.0),
        (Activation::Relu, -0.0, 0.0),
        (Activation::Relu6, 6.0, 0.0),
        (Activation::Relu6, 0.0, 0.0),
        (Activation::Clip { min: -1.0, max: 2.0 }, -1.0, 1.0),
        (Activation::Clip { min: -1.0, max: 2.0 }, 2.0, 1.0),
        (Activation::Clip { min: -1.0, max: 2.0 }, 2.0 + 1e-6, 0.0),
        (Activation::LeakyRelu { alpha: 0.25 }, 0.0, 0.25),
        (Activation::Threshold { threshold: 1.0, value: 5.0 }, 1.0, 0.0),
        (Activation::Elu { alpha: 0.5 }, 0.0, 0.5),
        (Activation::HardSigmoid { alpha: 0.25, beta: 0.5 }, 2.0, 0.0),
        (Activation::HardSigmoid { alpha: 0.25, beta: 0.5 }, -2.0, 0.0),
    ] {
        let alone = Case::new(&format!("{activation} at {x}"), &[&[2]], move |g, v| g.activation(v[0], activation));
        gives(&alone, &[&[x, x], &[1.0, -2.0]], &[&[want, -2.0 * want]]);
        let linear = LinearDescriptor { activation, ..Default::default() };
        let fused = Case::new(&format!("linear, {activation} at {x}"), &[&[2, 1], &[1, 1]], move |g, v| g.linear(v[0], v[1], None, &linear));
        gives(&fused, &[&[x, x], &[1.0], &[1.0, -2.0]], &[&[want, -2.0 * want], &[x * -want]]);
    }
    let prelu = Case::new("prelu", &[&[4], &[]], |g, v| g.prelu(v[0], v[1]));
    gives(&prelu, &[&[0.0, 2.0, -3.0, -0.0], &[0.25], &[4.0, 1.0, 8.0, 4.0]], &[&[1.0, 1.0, 2.0, 1.0], &[-24.0]]);
    // A norm of zeros has no slope, and gives none; at x = 0 a norm of others is flat, and |x| has its kink.
    for p in [1.0f32, 2.0, 3.0, 1.5] {
        let lp = PoolDescriptor::<1>::window([2]).with_kind(PoolKind::Lp { p });
        let norm = Case::new(&format!("norms, p = {p}"), &[&[1, 1, 4]], move |g, v| g.pool1d(v[0], &lp));
        gives(&norm, &[&[0.0, 0.0, 0.0, -4.0], &[3.0, 5.0]], &[&[0.0, 0.0, 0.0, -5.0]]);
    }
}

/// A window over the whole input: the gradients of a dense layer, in either layout; with a pad it is a convolution's.
#[test]
fn a_window_over_the_whole_input_has_the_gradients_of_a_dense_layer() {
    let (x, w, dy) =
        ([1.0, 2.0, 3.0, 4.0, -1.0, 0.0, 2.0, 1.0], [1.0, 0.0, -2.0, 3.0, 2.0, 1.0, 1.0, 0.0, 0.0, -1.0, 4.0, 1.0], [1.0, 2.0, 0.0, 3.0, -1.0, 5.0]);
    // dx = dy w, dw = dy' x, of the filters and images as rows of four.
    let dx = [5.0, 2.0, 0.0, 3.0, 1.0, -6.0, 13.0, 14.0];
    let dw = [-2.0, 2.0, 9.0, 7.0, 3.0, 4.0, 4.0, 7.0, -5.0, 0.0, 10.0, 5.0];
    let case = Case::new("covering", &[&[2, 1, 2, 2], &[3, 1, 2, 2]], |g, v| g.conv2d(v[0], v[1], None, &ConvDescriptor::default()));
    gives(&case, &[&x, &w, &dy], &[&dx, &dw]);
    gives(&case.channels_last(), &[&x, &w, &dy], &[&dx, &dw]);
    let products = |descriptor: &ConvDescriptor<2>, x: &[usize], filter: &[usize]| {
        let op: Op = ConvProblem::forward(&ConvInputs::new(x, filter, None), descriptor).unwrap().into();
        let items = backward(&op, &[true, true]).unwrap().items;
        items.iter().filter(|item| matches!(item, Item::Op { op, .. } if matches!(**op, Op::MatMul(_)))).count()
    };
    let plain = ConvDescriptor::default();
    assert_eq!(products(&plain, &[2, 3, 4, 5], &[7, 3, 4, 5]), 2);
    assert_eq!(products(&plain, &[2, 3, 4, 5], &[7, 3, 4, 4]), 0);
    assert_eq!(products(&ConvDescriptor { padding: Padding::uniform(1), stride: [9, 9], ..plain }, &[2, 3, 4, 5], &[7, 3, 4, 5]), 0);
    assert_eq!(products(&ConvDescriptor { groups: 3, ..plain }, &[2, 3, 4, 5], &[6, 1, 4, 5]), 0);
}

#[test]
fn what_is_used_twice_accumulates_and_what_is_not_used_has_none() {
    let mut g = Graph::new();
    let x = g.input("x", [2.into()]).unwrap();
    let w = g.parameter("w", array(&[2], &[3.0, -1.0]).view()).unwrap();
    let idle = g.parameter("idle", array(&[2, 1], &[7.0, 7.0]).view()).unwrap();
    let square = g.mul(x, x).unwrap();
    let scaled = g.mul(square, w).unwrap();
    let sum = g.add(scaled, x).unwrap();
    let again = g.add(sum, scaled).unwrap();
    let loss = g.reduce(again, &ReduceDescriptor::sum(&[])).unwrap();
    let unread = g.mul(idle, x).unwrap();
    // 2 w x^2 + x: by x 4 w x + 1, by w 2 x^2, by itself 1.
    let of = [x, w, idle, scaled, loss, unread];
    let whole = g.differentiate(loss, &of).unwrap();
    let names: Vec<&str> = whole.outputs().map(|(name, _)| name).collect();
    assert_eq!(names, ["loss", "grad.x", "grad.w", "grad.idle", "grad.mul_2", "grad.reduce", "grad.mul_3"]);
    for session in [Session::gpu(&GPU, &whole).unwrap(), Session::cpu(&whole).unwrap(), Session::cpu(&whole.optimized().unwrap()).unwrap()] {
        let outputs = session.run(&[("x", array(&[2], &[2.0, 3.0]).view())]).unwrap();
        let of = |name: &str| outputs[name].iter().copied().collect::<Vec<f32>>();
        assert_eq!((of("loss"), of("grad.x"), of("grad.w")), (vec![11.0], vec![25.0, -11.0], vec![8.0, 18.0]));
        assert_eq!((of("grad.idle"), of("grad.mul_2"), of("grad.reduce")), (vec![0.0; 2], vec![2.0; 2], vec![1.0]));
        assert_eq!((of("grad.mul_3"), outputs["grad.idle"].shape()), (vec![0.0; 4], &[2, 1][..]));
    }
    let one = g.constant("one", array(&[], &[1.0]).view()).unwrap();
    let gradients = g.gradients(&[(loss, one), (loss, one)], &of).unwrap();
    assert_eq!(gradients.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true, true, false]);
    g.output("twice", gradients[0].unwrap()).unwrap();
    let outputs = Session::cpu(&g).unwrap().run(&[("x", array(&[2], &[2.0, 3.0]).view())]).unwrap();
    assert_eq!(outputs["twice"].as_slice().unwrap(), [50.0, -22.0]);
}

fn refused<T: std::fmt::Debug>(result: wgconv::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn what_has_no_gradient_is_refused_by_name_value_and_rule() {
    let mut g = Graph::new();
    let x = g.input("x", [2.into(), 3.into()]).unwrap();
    let y = g.relu(x).unwrap();
    let loss = g.reduce(y, &ReduceDescriptor::sum(&[])).unwrap();
    assert_eq!(refused(g.differentiate(y, &[x])), "loss is [2, 3]: a loss is one number: reduce it first");
    let turned = g.input("turned", [3.into(), 2.into()]).unwrap();
    assert_eq!(refused(g.gradients(&[(y, turned)], &[x])), "an upstream gradient is 3x2: it has the type of its value, 2x3");
    let mut larger = g.clone();
    let foreign = larger.relu(loss).unwrap();
    assert!(refused(g.differentiate(foreign, &[x])).starts_with("loss is value 4: this graph has 4 values"));
    assert!(refused(g.differentiate(loss, &[foreign])).starts_with("a parameter is value 4: this graph has 4 values"));
    let index = g.argmax(x, &ArgmaxDescriptor { axis: None, keepdims: false, select_last: false }).unwrap();
    assert!(refused(g.differentiate(index, &[x])).contains("u32"));
    let like = g.input_as("like", &[], ElementType::U32, Layout::ChannelsFirst).unwrap();
    assert_eq!(refused(g.gradients(&[(index, like)], &[x])), "argmax: gradient is argmax: an index has no gradient");

    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 3.into()]).unwrap();
    let w = g.parameter("w", array(&[2, 3], &[1.0; 6]).view()).unwrap();
    let y = g.linear(x, w, None, &LinearDescriptor::default()).unwrap();
    let loss = g.reduce(y, &ReduceDescriptor::sum(&[])).unwrap();
    assert_eq!(refused(g.differentiate(loss, &[w])), "the graph is open: gradients depend on every extent: Graph::closed binds an open one");
    let closed = g.closed(4).unwrap().differentiate(loss, &[w]).unwrap();
    let outputs = Session::cpu(&closed).unwrap().run(&[("x", array(&[4, 3], &[2.0; 12]).view())]).unwrap();
    assert_eq!(outputs["grad.w"].as_slice().unwrap(), [8.0; 6]);

    let mut g = Graph::new();
    let x = g.input_as("x", &[2.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    let y = g.relu(x).unwrap();
    let dy = g.input_as("dy", &[2.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    assert_eq!(refused(g.gradients(&[(y, dy)], &[x])), "an upstream gradient is 2_f16: of 2_f16 it is 2");

    let mut g = Graph::new();
    let x = g.input("x", [1.into(), 2.into(), 4.into(), 4.into()]).unwrap();
    let kind = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    let pool = PoolDescriptor::<2>::window([2, 2]).with_kind(kind);
    let [_, indices] = g.max_pool2d_with_indices(x, &pool).unwrap();
    let like = g.input_as("like", &[1.into(), 2.into(), 2.into(), 2.into()], ElementType::U32, Layout::ChannelsFirst).unwrap();
    assert!(refused(g.gradients(&[(indices, like)], &[x])).ends_with("only the first output of an op has a gradient"));

    let mut g = Graph::new();
    let x = g.input("x", [2.into(), 3.into(), 4.into()]).unwrap();
    let [mean, variance] = ["mean", "variance"].map(|name| g.parameter(name, array(&[3], &[1.0; 3]).view()).unwrap());
    let of = BatchNormParameters { scale: None, bias: None, mean, variance };
    let y = g.batch_norm(x, &of, &BatchNormDescriptor::default()).unwrap();
    let loss = g.reduce(y, &ReduceDescriptor::sum(&[])).unwrap();
    assert!(refused(g.differentiate(loss, &[mean])).ends_with("statistics of a trained network have no gradient"));

    let mut g = Graph::new();
    let x = g.input("x", [1.into(), 1.into(), 4.into(), 4.into()]).unwrap();
    let w = g.parameter("w", array(&[1, 1, 3, 3], &[1.0; 9]).view()).unwrap();
    let y = g.conv2d(x, w, None, &Conv2dDescriptor::default()).unwrap();
    let loss = g.reduce(y, &ReduceDescriptor::sum(&[])).unwrap();
    let mut twice = g.differentiate(loss, &[w]).unwrap();
    let gradient = twice.outputs().last().unwrap().1;
    let loss = twice.reduce(gradient, &ReduceDescriptor::sum(&[])).unwrap();
    let error = refused(twice.differentiate(loss, &[x]));
    assert!(error.ends_with("gradient is conv_backward_filter: gradients of gradients are not computed"), "{error}");

    let problem = wgconv::elementwise::UnaryProblem::new(&TensorType::f32(&[3]), Activation::Relu).unwrap();
    let lost = refused(backward(&problem.clone().in_place().into(), &[]));
    assert_eq!(lost, "gradient is activation: an op in place has lost what its gradient needs");
    assert_eq!(refused(backward(&problem.into(), &[])), "wanted is 0: activation has 1 inputs");
}

/// The product of the other elements, also where one of them is 0, or two.
#[test]
fn products_have_slopes_at_zeros() {
    let case = Case::new("product", &[&[3, 3]], |g, v| g.reduce(v[0], &ReduceDescriptor::prod(&[1])));
    let x = [2.0, 3.0, 4.0, 5.0, 0.0, 7.0, 0.0, 0.0, 9.0];
    gives(&case, &[&x, &[1.0, -2.0, 3.0]], &[&[12.0, 8.0, 6.0, 0.0, -70.0, 0.0, 0.0, 0.0, 0.0]]);
}

/// Of windows that share their maximum the last one's element went into y, and has the gradient.
#[test]
fn the_last_of_equal_indices_has_the_gradient_of_an_unpooling() {
    let pool = PoolDescriptor::<2>::window([1, 2]).with_stride([1, 1]).with_kind(PoolKind::Max { indices: Some(IndexOrder::RowMajor) });
    let case = Case::new("unpool", &[&[1, 1, 1, 3], &[1, 1, 1, 4]], move |g, v| {
        let [_, indices] = g.max_pool2d_with_indices(v[1], &pool)?;
        g.max_unpool2d(v[0], indices, &MaxUnpoolDescriptor { pool, output_shape: None })
    });
    // The indices are 1, 1, 3.
    gives(&case, &[&[5.0, 6.0, 7.0], &[0.0, 9.0, 1.0, 2.0], &[1.0, 2.0, 3.0, 4.0]], &[&[0.0, 2.0, 4.0]]);
}

/// `pow_backward_self` and `pow_backward_exponent` of PyTorch (torch/csrc/autograd/FunctionsManual.cpp): no slope by the base where the exponent is 0, none by the
/// exponent where the base is 0 and the exponent is not negative.
#[test]
fn powers_have_pytorchs_slopes_at_their_edges() {
    let power = |count: usize| {
        let extents: &'static [usize] = match count {
            8 => &[8],
            _ => &[5],
        };
        Case::new("power", &[extents, extents], |g, v| g.binary(v[0], v[1], BinaryOp::Power))
    };
    let [base, exponent] = [[0.0; 5], [0.0, 1.0, 2.0, 0.5, -1.0]];
    gives(&power(5), &[&base, &exponent, &[2.0; 5]], &[&[0.0, 2.0, 0.0, INF, -INF], &[0.0, 0.0, 0.0, 0.0, -INF]]);
    let base = [5.0, INF, INF, NAN, NAN, 2.0, -2.0, 1e30];
    let exponent = [0.0, 2.0, -1.0, 2.0, 0.0, NAN, 2.0, 1.5];
    goes_through(&power(8), &[&base, &exponent, &[1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1e-20]], 1e-4);
    // Second derivatives at ordinary numbers are those of gradient_slopes.rs. Steps are flat, and what is linear in dy has a gradient by it.
    let exceeds = Case::new("exceeds", &[&[3], &[3]], |g, v| g.binary(v[0], v[1], BinaryOp::Exceeds));
    assert!(!Runner::cpu(&exceeds.graph()).run(&[vec![1.0; 3], vec![2.0; 3], vec![1.0; 3]]).contains_key("g0"));
    let slope = BinaryDescriptor { op: BinaryOp::ActivationGradient, activation: Activation::Relu };
    let tensor = TensorType::f32(&[3]);
    let slope = BinaryProblem::new(&tensor, &tensor, slope).unwrap();
    assert_eq!(backward(&slope.clone().into(), &[false, true]).unwrap().items.len(), 1);
    assert_eq!(backward(&slope.into(), &[true, true]).unwrap().gradients[0], None, "slopes of relu are flat");
    let curved = BinaryDescriptor { op: BinaryOp::ActivationGradient, activation: Activation::Gelu };
    let error = refused(backward(&BinaryProblem::new(&tensor, &tensor, curved).unwrap().into(), &[true, true]));
    assert_eq!(error, "gradient is activation_backward: second derivatives of activations are not computed");
}

/// On both engines NaN and infinities stand where the definitions put them, and the other numbers are near: rounded to f32 after each op, as kernels store them.
fn goes_through(case: &Case, numbers: &[&[f64]], tolerance: f64) {
    let graph = case.graph();
    let numbers: Vec<Vec<f64>> = numbers.iter().map(|numbers| numbers.iter().map(|v| f64::from(*v as f32)).collect()).collect();
    let want = Runner::rounded_reference(&graph).run(&numbers);
    for runner in [Runner::cpu(&graph), Runner::gpu(&graph)] {
        for (name, got) in runner.run(&numbers) {
            for (i, (&got, &want)) in got.iter().zip(&want[&name]).enumerate() {
                let same = got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance * want.abs().max(1.0);
                assert!(same, "{}: element {i} of {name} on {} is {got:e}, not {want:e}", case.name, runner.name);
            }
        }
    }
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[test]
fn masks_infinities_and_nan_go_through_rows() {
    let x = [0.5, -1e9, 2.0, -1.0, -INF, 1.0, -INF, 3.0, 1e30, 1e30, 0.0, -1e30, NAN, 1.0, 2.0, 3.0];
    let dy: Vec<f64> = (0..16).map(|i| f64::from(i % 5) - 1.75).collect();
    for logarithm in [false, true] {
        let softmax = SoftmaxDescriptor { axis: -1, logarithm };
        let case = Case::new(&format!("{softmax:?}"), &[&[4, 4]], move |g, v| g.softmax(v[0], &softmax));
        goes_through(&case, &[&x, &dy], 1e-5);
    }
    // Attention under a mask: what it hides has no part in any gradient.
    let masked = Case::new("attention", &[&[2, 3], &[3, 4], &[4, 2]], |g, v| {
        let scores = g.matmul(v[0], v[1], &Default::default())?;
        let mask = g.constant("mask", array(&[2, 4], &[0.0, -1e9, 0.0, 0.0, 0.0, 0.0, -1e9, -1e9]).view())?;
        let scores = g.add(scores, mask)?;
        let shares = g.softmax(scores, &SoftmaxDescriptor::default())?;
        g.matmul(shares, v[2], &Default::default())
    });
    let ramp = |count: usize, by: f64| (0..count).map(|i| (i as f64 * by).sin()).collect::<Vec<_>>();
    goes_through(&masked, &[&ramp(6, 1.1), &ramp(12, 0.7), &ramp(8, 2.3), &ramp(4, 1.9)], 1e-3);
    let max = Case::new("max", &[&[4, 4]], |g, v| g.reduce(v[0], &ReduceDescriptor::max(&[-1]).with_keepdims(true)));
    let x = [1.0, INF, INF, 2.0, -INF, -INF, -INF, -INF, 1e38, -1e38, 1e-38, 0.0, NAN, 1.0, 2.0, 3.0];
    goes_through(&max, &[&x, &[1.0, 2.0, 3.0, 4.0]], 0.0);
    // Rows of one number: its norm is 0, and so is the sum of the gradient.
    for epsilon in [1e-5f32, 1.0] {
        let layer = LayerNormDescriptor { axis: -1, epsilon };
        let case = Case::new("constant rows", &[&[3, 8], &[8]], move |g, v| g.layer_norm(v[0], Some(v[1]), None, &layer));
        let x: Vec<f64> = [12_345.678, -1e9, 1e-30].iter().flat_map(|v| [*v; 8]).collect();
        let dy: Vec<f64> = (0..24).map(|i| f64::from(i * 5 % 7) - 2.0).collect();
        goes_through(&case, &[&x, &[1.0; 8], &dy], 1e-5);
        goes_through(&case, &[&[NAN; 24], &[1.0; 8], &dy], 0.0);
    }
}

#[test]
fn infinities_and_nan_go_through_windows() {
    let special = |count: usize, at: &[(usize, f64)]| {
        let mut generator = Generator::from_text("windows");
        let mut numbers: Vec<f64> = (0..count).map(|_| generator.integer(3)).collect();
        at.iter().for_each(|&(i, v)| numbers[i] = v);
        numbers
    };
    let conv = ConvDescriptor::<2> { stride: [2, 1], padding: Padding::uniform(1), activation: Activation::Relu, ..Default::default() };
    let case = Case::new("conv", &[&[2, 2, 6, 5], &[3, 2, 3, 3], &[3]], move |g, v| g.conv2d(v[0], v[1], Some(v[2]), &conv));
    let (x, w, b, dy) = (special(120, &[]), special(54, &[]), special(3, &[]), special(90, &[]));
    goes_through(&case, &[&special(120, &[(17, NAN), (70, INF), (101, -INF), (90, 1e30)]), &w, &b, &dy], 0.0);
    goes_through(&case, &[&x, &w, &b, &special(90, &[(31, NAN), (60, INF), (2, -1e30)])], 0.0);
    let max = PoolDescriptor::<2>::window([3, 3]).with_stride([2, 2]).with_padding(Padding::uniform(1));
    let case = Case::new("max pool", &[&[1, 2, 7, 7]], move |g, v| g.pool2d(v[0], &max));
    goes_through(&case, &[&special(98, &[(8, NAN), (9, NAN), (60, INF), (62, INF), (30, -INF)]), &special(32, &[(20, INF), (3, NAN)])], 0.0);
    goes_through(&case, &[&[-INF; 98], &special(32, &[])], 0.0);
    let average = max.with_kind(PoolKind::AVERAGE);
    let case = Case::new("average pool", &[&[1, 2, 7, 7]], move |g, v| g.pool2d(v[0], &average));
    goes_through(&case, &[&special(98, &[(8, NAN)]), &special(32, &[(20, INF), (3, NAN), (9, 3e38)])], 1e-6);
    let prelu = Case::new("prelu", &[&[5], &[]], |g, v| g.prelu(v[0], v[1]));
    gives_by_x(&prelu, &[&[1.0, -1.0, 2.0, -2.0, 0.0], &[0.5], &[INF, INF, -INF, 1e38, 4.0]], &[INF, INF, -INF, 5e37, 2.0]);
}

/// The gradient by the first operand alone.
fn gives_by_x(case: &Case, numbers: &[&[f64]], want: &[f64]) {
    let graph = case.graph();
    let numbers: Vec<Vec<f64>> = numbers.iter().map(|numbers| numbers.iter().map(|v| f64::from(*v as f32)).collect()).collect();
    for runner in [Runner::reference(&graph), Runner::cpu(&graph), Runner::gpu(&graph)] {
        let want: Vec<f64> = want.iter().map(|v| f64::from(*v as f32)).collect();
        assert_eq!(runner.run(&numbers)["g0"], want, "{} on {}", case.name, runner.name);
    }
}

/// From 1e-37 to 3.4e38 of both signs, and where curves bend.
#[test]
fn slopes_of_activations_keep_their_digits_over_all_of_f32() {
    let mut x: Vec<f64> = vec![0.0, -0.0, INF, -INF, NAN, f64::from(f32::MAX), f64::from(f32::MIN), f64::from(f32::MIN_POSITIVE)];
    x.extend((-148..154).flat_map(|i| [1.0, -1.0].map(|sign| f64::from((sign * 10f64.powf(f64::from(i) / 4.0)) as f32))));
    x.extend((-2000..2000).map(|i| f64::from(i as f32 / 100.0)));
    let extents = [x.len()];
    let mut failures = vec![];
    for activation in Activation::ALL {
        let case = Case::new(&format!("{activation}"), &[&extents], move |g, v| g.activation(v[0], activation));
        let graph = case.graph();
        for upstream in [1.0, -3.0, 1e30] {
            let numbers = [x.clone(), vec![f64::from(upstream as f32); x.len()]];
            let descriptor = BinaryDescriptor { op: BinaryOp::ActivationGradient, activation };
            let tensor = TensorType::f32(&extents);
            let problem = BinaryProblem::new(&tensor, &tensor, descriptor).unwrap();
            let want = wgconv::reference::compute(&problem, &[&numbers[0], &numbers[1]]).unwrap().swap_remove(0);
            for runner in [Runner::cpu(&graph), Runner::gpu(&graph)] {
                for (i, &got) in runner.run(&numbers)["g0"].iter().enumerate() {
                    let (value, allowed) = (ElementType::F32.held(want.value[i]), want.allowed(i, ElementType::F32));
                    if !(got == value || (got.is_nan() && value.is_nan()) || (got - value).abs() <= allowed) {
                        failures
                            .push(format!("{activation} at {:e} by {upstream} on {}: {got:e}, not {value:e} within {allowed:e}", x[i], runner.name));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}

/// A network whose gradients are sums that engines may cut: images, channels, rows.
fn network() -> (Graph, ValueId, Vec<ValueId>) {
    let mut g = Graph::new();
    let mut generator = Generator::from_text("network");
    let mut parameter = |g: &mut Graph, name: &str, extents: &[usize]| {
        let numbers: Vec<f64> = (0..extents.iter().product()).map(|_| generator.real() * 0.4).collect();
        g.parameter(name, array(extents, &numbers).view()).unwrap()
    };
    let x = g.input("x", [5.into(), 3.into(), 21.into(), 18.into()]).unwrap();
    let w = [("first", &[9usize, 3, 3, 3][..]), ("scale", &[9]), ("shift", &[9]), ("second", &[8, 9, 3, 2]), ("head", &[4, 8]), ("bias", &[4])];
    let [first, scale, shift, second, head, bias] = w.map(|(name, extents)| parameter(&mut g, name, extents));
    let same = ConvDescriptor::<2> { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
    let y = g.conv2d(x, first, None, &same).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([3, 3]).with_stride([2, 2])).unwrap();
    let y = g.group_norm(y, Some(scale), Some(shift), &GroupNormDescriptor { groups: 3, epsilon: 1e-3 }).unwrap();
    let y = g.conv2d(y, second, None, &ConvDescriptor { stride: [2, 2], activation: Activation::Silu, ..Default::default() }).unwrap();
    let y = g.global_pool(y, PoolKind::AVERAGE).unwrap();
    let y = g.flatten(y, 1).unwrap();
    let y = g.linear(y, head, Some(bias), &LinearDescriptor::default()).unwrap();
    let y = g.softmax(y, &SoftmaxDescriptor { axis: 1, logarithm: true }).unwrap();
    let labels = g.constant("labels", array(&[5, 4], &(0..20).map(|i| f64::from(u8::from(i % 5 == 1))).collect::<Vec<_>>()).view()).unwrap();
    let y = g.mul(y, labels).unwrap();
    let loss = g.reduce(y, &ReduceDescriptor::mean(&[])).unwrap();
    (g, loss, vec![x, first, scale, shift, second, head, bias])
}

fn images() -> Vec<f64> {
    let mut generator = Generator::from_text("images");
    (0..5 * 3 * 21 * 18).map(|_| f64::from(generator.real() as f32)).collect()
}

fn bits(session: &Session, graph: &Graph) -> BTreeMap<String, Vec<u32>> {
    let outputs = session.run(&[("x", array(&[5, 3, 21, 18], &images()).view())]).unwrap();
    graph.outputs().map(|(name, _)| (name.to_string(), outputs[name].iter().map(|v| v.to_bits()).collect())).collect()
}

#[test]
fn every_run_gives_the_same_bits() {
    let (graph, loss, of) = network();
    let graph = graph.differentiate(loss, &of).unwrap();
    assert_eq!(graph.outputs().count(), 8);
    let session = Session::gpu(&GPU, &graph).unwrap();
    let first = bits(&session, &graph);
    for again in [bits(&session, &graph), bits(&Session::gpu(&GPU, &graph).unwrap(), &graph)] {
        assert!(again == first, "another run on the GPU gives other bits");
    }
    let session = Session::cpu(&graph).unwrap();
    let threads = [1, 2, 3, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let all = threads.each_ref().map(|pool| pool.install(|| bits(&session, &graph)));
    assert!(all.iter().all(|bits| *bits == all[0]), "another number of threads gives other bits");
}

/// The network's loss by the definitions in f64: differences of it are its gradients; and the engines, optimised or not, are near.
#[test]
fn gradients_of_a_network_are_differences_of_its_loss() {
    let (graph, loss, of) = network();
    let whole = graph.differentiate(loss, &of).unwrap();
    let loss_at = |given: &BTreeMap<String, Vec<f64>>| interpret(&graph, given, false)[loss.index()][0];
    let given = BTreeMap::from([("x".to_string(), images())]);
    let values = interpret(&whole, &given, false);
    for &value in &of {
        let name = graph.values()[value.index()].name();
        let want = &values[whole.outputs().find(|(output, _)| *output == format!("grad.{name}")).unwrap().1.index()];
        let numbers = given.get(name).cloned().unwrap_or_else(|| graph.numbers(value).unwrap().as_f32().iter().map(|v| f64::from(*v)).collect());
        for at in [0, numbers.len() / 3, numbers.len() - 1] {
            let moved = |by: f64| {
                let mut given = given.clone();
                let mut numbers = numbers.clone();
                numbers[at] += by;
                given.insert(name.to_string(), numbers);
                loss_at(&given)
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((difference - want[at]).abs() < 1e-7, "{name}, element {at}: {} is not {difference}", want[at]);
        }
    }
    for graph in [whole.clone(), whole.optimized().unwrap()] {
        for session in [Session::gpu(&GPU, &graph).unwrap(), Session::cpu(&graph).unwrap()] {
            let outputs = session.run(&[("x", array(&[5, 3, 21, 18], &images()).view())]).unwrap();
            for (name, value) in whole.outputs() {
                let got: Vec<f64> = outputs[name].iter().map(|v| f64::from(*v)).collect();
                gradients::assert_close(name, &got, &values[value.index()], 2e-4);
            }
        }
    }
}

/// Convolutions that no constructor makes, since their pads are below 0: each algorithm that takes one computes it.
#[test]
fn data_gradients_that_leave_elements_out_hold_by_every_algorithm() {
    let report = wgconv::validate::run(&GPU, &Options { only: Some("_p-".into()), ..Default::default() }, &mut |_| {}).unwrap();
    let failed: Vec<_> = report.results.iter().filter(|result| matches!(result.outcome, Outcome::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let algorithms: std::collections::BTreeSet<_> = report.results.iter().filter_map(|result| result.id.split(['/', ' ']).nth(1)).collect();
    assert!(report.counts()[0] >= 30 && algorithms.len() >= 4, "{algorithms:?} {:?}", report.counts());
}
