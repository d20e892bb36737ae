//! Filters without the taps that read padding alone, on both engines: the sums of the whole filter within their bound, over one to three axes and numbers of
//! every kind, and what stays as it is.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Data, gpu};
use ndarray::{Array1, Array4, ArrayD, IxDyn};
use wgconv::conv::{Algorithm, Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor};
use wgconv::graph::{Pass, Resolved};
use wgconv::half::f16;
use wgconv::numeric::Generator;
use wgconv::op::Planned;
use wgconv::{ElementType, Extent, Graph, Layout, Padding, PaddingMode, Session};

fn number(data: Data, generator: &mut Generator) -> f32 {
    let real = generator.real() as f32;
    match (data, generator.below(40)) {
        (Data::Integers, _) => generator.integer(9) as f32,
        (Data::Masks, 0) => -1e9,
        (Data::Mixed, power) => real * 10f32.powi(power as i32 % 31 - 15),
        (Data::Special, 0) => f32::INFINITY,
        (Data::Special, 1) => f32::NEG_INFINITY,
        (Data::Special, 2) => f32::NAN,
        _ => real,
    }
}

fn numbers(data: Data, extents: &[usize], generator: &mut Generator) -> ArrayD<f32> {
    ArrayD::from_shape_simple_fn(IxDyn(extents), || number(data, generator))
}

struct Case {
    x: &'static [usize],
    filter: &'static [usize],
    /// Of the filter that is left.
    taps: &'static [usize],
    conv: fn(&mut Graph, [wgconv::graph::ValueId; 3]) -> wgconv::Result<wgconv::graph::ValueId>,
}

/// A stride along one axis; along the other a dilation past the plane, and a first element between two taps, of which the one before stays.
const UNEVEN: Conv2dDescriptor =
    Conv2dDescriptor { dilation: [7, 2], stride: [1, 2], padding: Padding::Explicit { begin: [12, 3], end: [7, 2] }, groups: 2, ..PLAIN };
const PLAIN: Conv2dDescriptor = Conv2dDescriptor {
    stride: [1; 2],
    dilation: [1; 2],
    padding: Padding::Valid,
    padding_mode: PaddingMode::Zeros,
    groups: 1,
    activation: wgconv::Activation::None,
    pool: None,
    accuracy: wgconv::conv::Accuracy::F32,
    algorithm: None,
};

fn cases() -> Vec<Case> {
    vec![
        Case {
            x: &[2, 6, 5, 5],
            filter: &[8, 6, 3, 3],
            taps: &[1, 1],
            conv: |g, [x, w, b]| g.conv2d(x, w, Some(b), &Conv2dDescriptor { dilation: [12; 2], padding: Padding::uniform(12), ..PLAIN }),
        },
        Case { x: &[1, 8, 6, 9], filter: &[8, 4, 4, 3], taps: &[2, 3], conv: |g, [x, w, b]| g.conv2d(x, w, Some(b), &UNEVEN) },
        // Planes of one element, as behind the last stride of a network for large images that is given a small one.
        Case {
            x: &[1, 64, 1, 1],
            filter: &[64, 64, 3, 3],
            taps: &[1, 1],
            conv: |g, [x, w, b]| g.conv2d(x, w, Some(b), &Conv2dDescriptor { padding: Padding::Same, ..PLAIN }),
        },
        Case {
            x: &[3, 16, 2, 1],
            filter: &[16, 1, 7, 7],
            taps: &[3, 1],
            conv: |g, [x, w, b]| g.conv2d(x, w, Some(b), &Conv2dDescriptor { padding: Padding::uniform(3), groups: 16, ..PLAIN }),
        },
        Case {
            x: &[2, 4, 20],
            filter: &[5, 4, 5],
            taps: &[3],
            conv: |g, [x, w, b]| g.conv1d(x, w, Some(b), &Conv1dDescriptor { dilation: [16], padding: Padding::uniform(32), ..Default::default() }),
        },
        Case {
            x: &[1, 3, 2, 4, 8],
            filter: &[4, 3, 3, 3, 3],
            taps: &[1, 1, 3],
            conv: |g, [x, w, b]| g.conv3d(x, w, Some(b), &Conv3dDescriptor { dilation: [2, 4, 2], padding: Padding::Same, ..Default::default() }),
        },
    ]
}

fn graph(case: &Case, filter: &ArrayD<f32>, bias: &Array1<f32>) -> Graph {
    let mut g = Graph::new();
    let extents: Vec<Extent> = std::iter::once(Extent::Open).chain(case.x[1..].iter().map(|&extent| extent.into())).collect();
    let x = g.input_as("x", &extents, ElementType::F32, Layout::ChannelsFirst).unwrap();
    let (w, b) = (g.parameter("w", filter.view()).unwrap(), g.parameter("b", bias.view()).unwrap());
    let y = (case.conv)(&mut g, [x, w, b]).unwrap();
    g.name(y, "atrous").unwrap();
    g.output("y", y).unwrap();
    g
}

fn doubles<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<f64> {
    values.into_iter().map(|&v| f64::from(v)).collect()
}

/// What a graph of one convolution gives by the reference, and with absolute values of all operands the magnitude of each sum.
fn reference(graph: &Graph, operands: [Vec<f64>; 3], batch: usize) -> [Vec<f64>; 2] {
    let at = graph.at(batch).unwrap();
    let Resolved::Op(op) = &at.nodes[0] else { panic!("no op") };
    let of = |operands: &[Vec<f64>]| {
        let operands: Vec<&[f64]> = operands.iter().map(Vec::as_slice).collect();
        wgconv::reference::compute(op.as_ref(), &operands).unwrap().remove(0).value
    };
    let absolute = operands.clone().map(|operand| operand.into_iter().map(f64::abs).collect());
    [of(&operands), of(&absolute)]
}

/// |computed - y| <= gamma_(n+1) (sum |w| |x| + |b|) of the n products of the whole filter, plus what vanishes of each below the smallest normal number.
#[test]
fn the_taps_that_read_give_the_sums_of_all() {
    let gpu = gpu();
    for (index, case) in cases().iter().enumerate() {
        for data in [Data::Integers, Data::Reals, Data::Masks, Data::Mixed, Data::Special] {
            let generator = &mut Generator::from_text(&format!("trim/{index}/{data:?}"));
            // Filters of finite numbers: what stays for the sake of others has a test below.
            let of_filter = if data == Data::Special { Data::Reals } else { data };
            let (x, filter) = (numbers(data, case.x, generator), numbers(of_filter, case.filter, generator));
            let bias = Array1::from_shape_simple_fn(case.filter[0], || number(of_filter, generator));
            let whole = graph(case, &filter, &bias);
            let (trimmed, changes) = whole.optimized_with_changes().unwrap();
            assert_eq!(changes.iter().map(|change| change.pass).collect::<Vec<_>>(), [Pass::TrimFilter], "case {index}");
            let left = trimmed.numbers(trimmed.find("atrous.trimmed_weight").unwrap()).unwrap().tensor_type();
            assert_eq!(left.extents[2..], *case.taps, "case {index}");
            assert_eq!(left.extents[..2], case.filter[..2], "case {index}");
            for resolved in trimmed.at(case.x[0]).unwrap().nodes {
                let Resolved::Op(op) = resolved else { continue };
                let plan = gpu.plan(&*op).unwrap();
                assert!(op.is_exact_for(plan.algorithm()) && wgconv::cpu::algorithm(&op).is_none(), "{op} is no plain sum");
            }
            let [want, magnitude] = reference(&whole, [doubles(&x), doubles(&filter), doubles(&bias)], case.x[0]);
            let terms = case.filter[1..].iter().product::<usize>() as f64;
            let roundings = (terms + 1.0) * 2f64.powi(-24);
            let (gamma, vanished) = (roundings / (1.0 - roundings), terms * f64::from(f32::MIN_POSITIVE));
            for (engine, session) in [("GPU", Session::gpu(&gpu, &trimmed).unwrap()), ("CPU", Session::cpu(&trimmed).unwrap())] {
                let got = &session.run(&[("x", x.view())]).unwrap()["y"];
                assert_eq!(got.len(), want.len());
                let mut special = 0;
                for (i, (&got, (&want, &magnitude))) in got.iter().zip(want.iter().zip(&magnitude)).enumerate() {
                    let here = || format!("case {index}, {data:?} on the {engine}, element {i}: {got} for {want}");
                    let got = f64::from(got);
                    special += usize::from(!want.is_finite());
                    match data {
                        Data::Integers => assert_eq!(got, want, "{}", here()),
                        _ if !want.is_finite() => assert!(got == want || got.is_nan() && want.is_nan(), "{}", here()),
                        _ => assert!((got - want).abs() <= gamma * magnitude + vanished, "{}", here()),
                    }
                }
                assert_eq!(special > 0, data == Data::Special, "case {index}: {special}");
            }
        }
    }
}

/// Nine taps over planes of 5 x 5, of which the middle one reads.
fn pyramid(filter: &Array4<f32>, descriptor: Conv2dDescriptor) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 2.into(), 5.into(), 5.into()]).unwrap();
    let w = g.parameter("w", filter.view()).unwrap();
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { dilation: [12; 2], padding: Padding::uniform(12), ..descriptor }).unwrap();
    g.name(y, "atrous").unwrap();
    g.output("y", y).unwrap();
    g
}

/// 0 times an infinite or NaN weight is NaN, so such a tap stays; in the middle it may be.
#[test]
fn a_tap_that_is_not_finite_stays() {
    let gpu = gpu();
    let x = Array4::from_elem((1, 2, 5, 5), 1.5f32);
    for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for (tap, trims) in [([0, 0], false), ([2, 1], false), ([1, 1], true)] {
            let mut filter = Array4::from_elem((3, 2, 3, 3), 0.5f32);
            filter[[1, 0, tap[0], tap[1]]] = special;
            let whole = pyramid(&filter, PLAIN);
            let (passed, changes) = whole.optimized_with_changes().unwrap();
            assert_eq!(!changes.is_empty(), trims, "{special} at {tap:?}");
            for session in [Session::gpu(&gpu, &passed).unwrap(), Session::cpu(&passed).unwrap()] {
                let y = &session.run(&[("x", x.view())]).unwrap()["y"];
                for (k, value) in [(0, 1.5f32), (1, if trims { special } else { f32::NAN }), (2, 1.5)] {
                    assert!(y.slice(ndarray::s![0, k, .., ..]).iter().all(|v| v.to_bits() == value.to_bits() || v.is_nan() && value.is_nan()), "{y}");
                }
            }
        }
    }
}

#[test]
fn other_padding_forced_algorithms_and_taps_that_read_stay() {
    let filter = Array4::from_elem((3, 2, 3, 3), 0.5f32);
    let extents = [Extent::Open, 2.into(), 5.into(), 5.into()];
    for descriptor in [
        Conv2dDescriptor { padding: Padding::uniform(12), padding_mode: PaddingMode::Replicate, dilation: [12; 2], ..PLAIN },
        Conv2dDescriptor { padding: Padding::uniform(12), dilation: [12; 2], algorithm: Some(Algorithm::Direct), ..PLAIN },
        Conv2dDescriptor { padding: Padding::Same, dilation: [4; 2], ..PLAIN },
        Conv2dDescriptor { padding: Padding::Same, ..PLAIN },
    ] {
        let mut g = Graph::new();
        let x = g.input("x", extents).unwrap();
        let w = g.parameter("w", filter.view()).unwrap();
        let y = g.conv2d(x, w, None, &descriptor).unwrap();
        g.output("y", y).unwrap();
        assert_eq!(g.optimized_with_changes().unwrap().1, [], "{descriptor:?}");
    }
    // What is yet to be given numbers stays too.
    let mut g = Graph::new();
    let x = g.input("x", extents).unwrap();
    let w = g.parameter_of("w", &[3, 2, 3, 3], ElementType::F32).unwrap();
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { dilation: [12; 2], padding: Padding::uniform(12), ..PLAIN }).unwrap();
    g.output("y", y).unwrap();
    assert_eq!(g.optimized_with_changes().unwrap().1, []);
}

#[test]
fn changes_and_names_say_what_was_trimmed() {
    let filter = Array4::from_shape_fn((3, 2, 3, 3), |(k, c, i, j)| (k + c + i + j) as f32);
    let graph = pyramid(&filter, PLAIN);
    let (passed, changes) = graph.optimized_with_changes().unwrap();
    let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["trim filter: atrous reads 1 x 1 of 3 x 3 taps, the others padding alone"]);
    assert_eq!(passed.parameters().map(|(name, _)| name).collect::<Vec<_>>(), ["atrous.trimmed_weight"]);
    assert_eq!(passed.optimized_with_changes().unwrap(), (passed.clone(), vec![]), "nothing is left to do");
    let error = Session::cpu(&passed).unwrap().set_parameter("w", filter.view()).unwrap_err().to_string();
    let wanted =
        "the parameter \"w\" is folded: Pass::TrimFilter put it into atrous.trimmed_weight; load and save by the graph that no pass has changed yet";
    assert_eq!(error, wanted);
}

/// Filters of f16, and constants, are trimmed as they are.
#[test]
fn halves_and_constants_are_trimmed_too() {
    let filter = Array4::from_shape_fn((3, 2, 3, 3), |(k, c, i, j)| f16::from_f32((k + 2 * c + i + j) as f32));
    let mut g = Graph::new();
    let x = g.input_as("x", &[Extent::Open, 2.into(), 5.into(), 5.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    let w = g.constant("w", filter.view()).unwrap();
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { dilation: [12; 2], padding: Padding::uniform(12), ..PLAIN }).unwrap();
    g.name(y, "atrous").unwrap();
    g.output("y", y).unwrap();
    let (passed, changes) = g.optimized_with_changes().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(passed.parameters().count(), 0, "a constant stays one");
    let kept = passed.numbers(passed.find("atrous.trimmed_weight").unwrap()).unwrap();
    assert_eq!(kept.tensor_type().element, ElementType::F16);
    assert_eq!(kept.as_f32().as_ref(), filter.slice(ndarray::s![.., .., 1..2, 1..2]).mapv(f16::to_f32).as_standard_layout().as_slice().unwrap());
    let x = Array4::from_shape_fn((1, 2, 5, 5), |(_, c, i, j)| (i * 5 + j) as f32 - c as f32);
    let y = &Session::cpu(&passed).unwrap().run(&[("x", x.view())]).unwrap()["y"];
    assert_eq!(y, &Session::cpu(&g).unwrap().run(&[("x", x.view())]).unwrap()["y"]);
}
