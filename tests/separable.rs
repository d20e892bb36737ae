//! Filters that are a column times a row, as two passes in a graph: on both engines against the reference of the one convolution, within the bound that
//! `ops/conv/separable.rs` derives, over padding modes, strides and dilations, and with numbers of every kind.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Data, gpu};
use ndarray::{Array1, Array4, ArrayD};
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::graph::{BatchNormParameters, Pass};
use wgconv::norm::BatchNormDescriptor;
use wgconv::numeric::Generator;
use wgconv::op::{Op, Planned};
use wgconv::pool::PoolDescriptor;
use wgconv::{ElementType, Extent, Gpu, Graph, Layout, Padding, PaddingMode, Session, graph::Resolved};

const CHANNELS: usize = 2;

fn numbers(data: Data, extents: [usize; 4], generator: &mut Generator) -> Array4<f32> {
    Array4::from_shape_simple_fn(extents, || {
        let real = generator.real() as f32;
        match data {
            Data::Integers => generator.integer(9) as f32,
            Data::Reals => real,
            Data::Masks => {
                if generator.below(50) == 0 {
                    -1e9
                } else {
                    real
                }
            }
            Data::Mixed => real * 10f32.powi(generator.below(31) as i32 - 15),
            Data::Special => match generator.below(3000) {
                0 => f32::INFINITY,
                1 => f32::NEG_INFINITY,
                2 => f32::NAN,
                _ => real,
            },
        }
    })
}

/// A filter of each channel whose planes are products: of integers, with zeros among them, or of numbers of 11 bits.
fn products(data: Data, [rows, columns]: [usize; 2], generator: &mut Generator) -> Array4<f32> {
    let mut short = |count: usize| -> Vec<f32> {
        let mut number = || if data == Data::Integers { generator.integer(3) } else { generator.integer(1023) / 1024.0 };
        (0..count).map(|_| number() as f32).collect()
    };
    let planes: Vec<[Vec<f32>; 2]> = (0..CHANNELS).map(|_| [short(rows), short(columns)]).collect();
    Array4::from_shape_fn((CHANNELS, 1, rows, columns), |(k, _, i, j)| planes[k][0][i] * planes[k][1][j])
}

fn blur(x: [usize; 4], filter: &Array4<f32>, descriptor: &Conv2dDescriptor) -> Graph {
    let mut g = Graph::new();
    let image = g.input("x", [Extent::Open, x[1].into(), x[2].into(), x[3].into()]).unwrap();
    let w = g.parameter("blur.weight", filter.view()).unwrap();
    let bias = g.parameter("bias", Array1::from_iter((0..CHANNELS).map(|c| c as f32 - 0.5)).view()).unwrap();
    let y = g.conv2d(image, w, Some(bias), descriptor).unwrap();
    g.name(y, "blur").unwrap();
    g.output("y", y).unwrap();
    g
}

/// The graph with its convolution in two passes.
fn split(graph: &Graph) -> Graph {
    let (split, changes) = graph.optimized_with_changes().unwrap();
    assert!(changes.iter().any(|change| change.pass == Pass::SplitSeparable), "{changes:?}");
    assert_eq!(split.nodes().iter().filter(|node| node.recipe().name() == "conv").count(), 2, "{split}");
    split
}

fn doubles(array: &ArrayD<f32>) -> Vec<f64> {
    array.iter().map(|&v| f64::from(v)).collect()
}

/// What a graph of one convolution gives by the reference: values, and with absolute values of all operands the magnitude of each sum.
fn reference(graph: &Graph, x: &ArrayD<f32>) -> [Vec<f64>; 2] {
    let at = graph.at(x.shape()[0]).unwrap();
    let Resolved::Op(op) = &at.nodes[0] else { panic!("no op") };
    let parameters =
        ["blur.weight", "bias"].map(|name| graph.numbers(graph.find(name).unwrap()).unwrap().as_f32().iter().map(|&v| f64::from(v)).collect());
    let [w, b]: [Vec<f64>; 2] = parameters;
    let operands = [doubles(x), w, b];
    let of = |operands: &[Vec<f64>]| {
        let operands: Vec<&[f64]> = operands.iter().map(Vec::as_slice).collect();
        wgconv::reference::compute(op.as_ref(), &operands).unwrap().remove(0).value
    };
    let absolute = operands.clone().map(|operand| operand.into_iter().map(f64::abs).collect());
    [of(&operands), of(&absolute)]
}

/// Both passes sum term by term: no Fourier transforms, whose errors are others.
fn sums_plainly(gpu: &Gpu, graph: &Graph, batch: usize) {
    for resolved in graph.at(batch).unwrap().nodes {
        let Resolved::Op(op) = resolved else { continue };
        let plan = gpu.plan(&*op).unwrap();
        assert!(op.is_exact_for(plan.algorithm()), "{op} by {}", plan.algorithm());
        assert!(matches!(*op, Op::Conv(_)) && wgconv::cpu::algorithm(&op).is_none(), "the CPU engine transforms {op}");
    }
}

struct Case {
    x: [usize; 4],
    taps: [usize; 2],
    descriptor: Conv2dDescriptor,
}

fn cases() -> Vec<Case> {
    let plain = Conv2dDescriptor { groups: CHANNELS, ..Default::default() };
    let padded = Padding::Explicit { begin: [9, 3], end: [4, 8] };
    let mut cases: Vec<Case> = PaddingMode::ALL
        .into_iter()
        .map(|padding_mode| Case {
            x: [1, CHANNELS, 190, 200],
            taps: [13, 12],
            descriptor: Conv2dDescriptor { padding: padded, padding_mode, ..plain },
        })
        .collect();
    for padding_mode in [PaddingMode::Zeros, PaddingMode::Reflect] {
        for (stride, dilation) in [([2, 1], [1, 2]), ([1, 2], [3, 1])] {
            let descriptor = Conv2dDescriptor { stride, dilation, padding: padded, padding_mode, ..plain };
            cases.push(Case { x: [2, CHANNELS, 280, 270], taps: [13, 11], descriptor });
        }
    }
    cases.push(Case { x: [1, CHANNELS, 210, 200], taps: [12, 13], descriptor: Conv2dDescriptor { padding: Padding::Same, ..plain } });
    cases
}

/// |computed - y| <= gamma_(R+S+1) (sum |W| |x| + |bias|): a product passes R + S roundings and the bias's one. What vanishes below the smallest normal
/// number: at most one such number a product of either pass, those of the row times the column's sum.
#[test]
fn two_passes_are_within_their_bound_and_exact_on_integers() {
    let gpu = gpu();
    for (number, Case { x: extents, taps, descriptor }) in cases().into_iter().enumerate() {
        for data in [Data::Integers, Data::Reals, Data::Masks, Data::Mixed, Data::Special] {
            let generator = &mut Generator::from_text(&format!("separable/{number}/{data:?}"));
            let (x, filter) = (numbers(data, extents, generator), products(data, taps, generator));
            let graph = blur(extents, &filter, &descriptor);
            let passes = split(&graph);
            sums_plainly(&gpu, &passes, extents[0]);
            let [want, magnitude] = reference(&graph, &x.clone().into_dyn());
            let roundings = (taps[0] + taps[1] + 1) as f64 * 2f64.powi(-24);
            let gamma = roundings / (1.0 - roundings);
            // The row sums to 1/4 at least, so the column to four times the plane at most.
            let column: f64 = 4.0 * filter.iter().map(|w| f64::from(w.abs())).sum::<f64>();
            let vanished = f64::from(f32::MIN_POSITIVE) * (taps[1] as f64 * column + taps[0] as f64);
            for (engine, session) in [("GPU", Session::gpu(&gpu, &passes).unwrap()), ("CPU", Session::cpu(&passes).unwrap())] {
                let got = &session.run(&[("x", x.view())]).unwrap()["y"];
                assert_eq!(got.len(), want.len());
                let mut farthest = 0f64;
                for (i, (&got, (&want, &magnitude))) in got.iter().zip(want.iter().zip(&magnitude)).enumerate() {
                    let here = || format!("case {number}, {data:?} on the {engine}, element {i}: {got} for {want}");
                    let got = f64::from(got);
                    match data {
                        Data::Integers => assert_eq!(got, want, "{}", here()),
                        _ if !want.is_finite() => assert!(got == want || got.is_nan() && want.is_nan(), "{}", here()),
                        _ => {
                            let allowed = gamma * magnitude + vanished;
                            assert!((got - want).abs() <= allowed, "{}, {allowed} allowed", here());
                            farthest = farthest.max((got - want).abs() / allowed);
                        }
                    }
                }
                if data == Data::Reals {
                    assert!(farthest > 1e-3, "a bound that no rounding comes near checks nothing: {farthest}");
                }
                if data == Data::Special {
                    let special = want.iter().filter(|v| !v.is_finite()).count();
                    assert!(special * 20 > want.len() && special < want.len(), "{special} of {}", want.len());
                }
            }
        }
    }
}

/// Sums of rows stay finite where the sum of the plane does.
#[test]
fn large_numbers_do_not_overflow_between_the_passes() {
    let filter = Array4::from_elem((CHANNELS, 1, 13, 13), 1.0f32 / 256.0);
    let extents = [1, CHANNELS, 190, 190];
    let passes = split(&blur(extents, &filter, &Conv2dDescriptor { groups: CHANNELS, ..Default::default() }));
    let x = Array4::from_elem(extents, f32::MAX);
    for session in [Session::gpu(&gpu(), &passes).unwrap(), Session::cpu(&passes).unwrap()] {
        let y = &session.run(&[("x", x.view())]).unwrap()["y"];
        let want = f32::MAX * (169.0 / 256.0);
        assert!(y.iter().all(|v| (v - want).abs() <= 1e-5 * want), "{}", y[[0, 0, 0, 0]]);
    }
}

/// What stands behind the convolution goes into the second pass, a batch norm too.
#[test]
fn the_second_pass_has_what_the_convolution_had() {
    let extents = [1, CHANNELS, 190, 190];
    let generator = &mut Generator::from_text("separable/behind");
    let filter = products(Data::Integers, [13, 13], generator);
    let build = |accuracy| {
        let mut g = Graph::new();
        let x = g.input("x", [Extent::Open, CHANNELS.into(), 190.into(), 190.into()]).unwrap();
        let w = g.constant("kernel", filter.view()).unwrap();
        let y = g.conv2d(x, w, None, &Conv2dDescriptor { groups: CHANNELS, padding: Padding::Same, accuracy, ..Default::default() }).unwrap();
        let vector = |v: f32| Array1::from_elem(CHANNELS, v);
        let [mean, variance] = [("mean", 3.0), ("variance", 4.0)].map(|(name, v)| g.parameter(name, vector(v).view()).unwrap());
        let norm = BatchNormDescriptor { epsilon: 0.0, ..Default::default() };
        let y = g.batch_norm(y, &BatchNormParameters { scale: None, bias: None, mean, variance }, &norm).unwrap();
        let y = g.relu(y).unwrap();
        let y = g.pool2d(y, &PoolDescriptor::window([2, 2])).unwrap();
        g.output("y", y).unwrap();
        g
    };
    // Plain sums, of which nothing is split.
    let (g, plain) = (build(Accuracy::F32), build(Accuracy::Exact));
    let (passes, changes) = g.optimized_with_changes().unwrap();
    let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let wanted = [
        "split separable: conv is 1 x 13 and 13 x 1: 15 % of the multiply-adds",
        "fold batch norm: batch_norm into conv",
        "fuse activation: relu into conv",
        "fuse pool: max_pool into conv",
    ];
    assert_eq!(said, wanted);
    assert_eq!(passes.nodes().iter().map(|node| node.name()).collect::<Vec<_>>(), ["conv.first", "conv"]);
    let x = numbers(Data::Integers, extents, generator);
    let want = Session::cpu(&plain).unwrap().run(&[("x", x.view())]).unwrap();
    for session in [Session::gpu(&gpu(), &passes).unwrap(), Session::cpu(&passes).unwrap()] {
        assert_eq!(session.run(&[("x", x.view())]).unwrap(), want, "halves of integers are exact");
    }
}

#[test]
fn names_of_what_was_split_are_explained_and_shared_filters_stay() {
    let filter = Array4::from_elem((CHANNELS, 1, 13, 13), 0.5f32);
    let graph = blur([1, CHANNELS, 190, 190], &filter, &Conv2dDescriptor { groups: CHANNELS, ..Default::default() });
    let passes = split(&graph);
    let names: Vec<&str> = passes.parameters().map(|(name, _)| name).collect();
    assert_eq!(names, ["bias", "blur.first_weight", "blur.second_weight"]);
    let error = Session::cpu(&passes).unwrap().set_parameter("blur.weight", filter.view()).unwrap_err().to_string();
    let wanted = "the parameter \"blur.weight\" is folded: Pass::SplitSeparable put it into blur.first_weight and blur.second_weight";
    assert!(error.starts_with(wanted), "{error}");
    assert_eq!(passes.optimized_with_changes().unwrap(), (passes.clone(), vec![]), "nothing is left to do");

    let mut shared = graph.clone();
    let w = shared.find("blur.weight").unwrap();
    shared.output("weight", w).unwrap();
    let passes = split(&shared);
    assert!(passes.find("blur.weight").is_some(), "what is read elsewhere stays");
    // Other numbers would reach that reader and not the two passes.
    let error = Session::cpu(&passes).unwrap().set_parameter("blur.weight", filter.view()).unwrap_err().to_string();
    assert!(error.starts_with(wanted), "{error}");
}

#[test]
fn what_is_no_product_or_asks_for_one_sum_stays() {
    let extents = [1, CHANNELS, 190, 190];
    let product = Array4::from_elem((CHANNELS, 1, 13, 13), 0.5f32);
    let plain = Conv2dDescriptor { groups: CHANNELS, ..Default::default() };
    let stays = |filter: &Array4<f32>, descriptor: Conv2dDescriptor| {
        let (_, changes) = blur(extents, filter, &descriptor).optimized_with_changes().unwrap();
        assert_eq!(changes, [], "{descriptor:?}");
    };
    let mut other = product.clone();
    other[[1, 0, 7, 7]] = f32::from_bits(0.5f32.to_bits() + 1);
    stays(&other, plain);
    stays(&product, Conv2dDescriptor { accuracy: Accuracy::Exact, ..plain });
    stays(&product, Conv2dDescriptor { algorithm: Some(Algorithm::Direct), ..plain });
    let mut g = Graph::new();
    let x = g.input_as("x", &[Extent::Open, CHANNELS.into(), 190.into(), 190.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    let w = g.parameter("w", product.mapv(half::f16::from_f32).view()).unwrap();
    let y = g.conv2d(x, w, None, &plain).unwrap();
    g.output("y", y).unwrap();
    assert_eq!(g.optimized_with_changes().unwrap().1, [], "f16 would be rounded between the passes");
    // The problem's own method says the same.
    let problem = ConvProblem::forward(&ConvInputs::new(&extents, product.shape(), None), &plain).unwrap();
    assert!(problem.separated(product.as_slice().unwrap()).is_some());
    assert!(problem.separated(&[0.5; 13 * 13]).is_none(), "a filter of another length");
    assert_eq!(problem.clone().with_residual(true).separated(product.as_slice().unwrap()), problem.separated(product.as_slice().unwrap()));
}
