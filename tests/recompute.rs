//! Values that are computed again: fewer bytes are live at once, by a count of its own; the same bits on every engine, of ordinary numbers and of those
//! that are not finite; what is never run again; what other passes make of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod gradients;

use gradients::{GPU, array, interpret};
use std::collections::BTreeMap;
use wgconv::conv::ConvDescriptor;
use wgconv::graph::{BatchNormParameters, Pass, Recipe, Resolved, Source, ValueId};
use wgconv::norm::BatchNormDescriptor;
use wgconv::numeric::Generator;
use wgconv::op::Op;
use wgconv::pool::PoolDescriptor;
use wgconv::reduce::ReduceDescriptor;
use wgconv::session::Arena;
use wgconv::{Activation, Graph, Padding, Session};

type Numbers = BTreeMap<String, Vec<f64>>;

const BATCH: usize = 4;

/// Two blocks of two convolutions, each with a rectifier and a batch norm, and a max pool of 2, and the gradients of the mean square. With `learns` batch norms have the
/// statistics of their batch, and there are dropouts and a branch.
fn network(learns: bool) -> Graph {
    let mut g = Graph::new();
    let mut generator = Generator::from_text("recompute");
    let mut numbers = |extents: &[usize], least: f32| ndarray::ArrayD::from_shape_simple_fn(extents, || least + generator.real() as f32);
    let mut y = g.input("x", [BATCH.into(), 3.into(), 16.into(), 16.into()]).unwrap();
    for (i, channels) in [(0, 3), (1, 8), (2, 8), (3, 8)] {
        let w = g.parameter(&format!("w{i}"), numbers(&[8, channels, 3, 3], -0.5).view()).unwrap();
        y = g.conv2d(y, w, None, &ConvDescriptor { padding: Padding::Same, ..Default::default() }).unwrap();
        let x = y;
        y = g.relu(y).unwrap();
        let mut vector = |name: &str| g.parameter(&format!("{name}{i}"), numbers(&[8], 1.5).view()).unwrap();
        let [scale, bias, mean, variance] = ["scale", "bias", "mean", "variance"].map(&mut vector);
        let parameters = BatchNormParameters { scale: Some(scale), bias: Some(bias), mean, variance };
        y = g.batch_norm(y, &parameters, &BatchNormDescriptor::default()).unwrap();
        if learns {
            y = g.dropout(y, 0.5).unwrap();
            let branch = g.activation(x, Activation::Tanh).unwrap();
            y = g.add(y, branch).unwrap();
        }
        if i % 2 == 1 {
            y = g.pool2d(y, &PoolDescriptor::window([2, 2])).unwrap();
        }
    }
    g.output("y", y).unwrap();
    if learns {
        g = g.learning().unwrap().graph;
    }
    let (_, y) = g.outputs().next().unwrap();
    let square = g.mul(y, y).unwrap();
    let loss = g.reduce(square, &ReduceDescriptor::mean(&[])).unwrap();
    let is_statistic = |name: &str| name.starts_with("mean") || name.starts_with("variance");
    let learned: Vec<ValueId> = g.parameters().filter(|(name, _)| !is_statistic(name)).map(|(_, value)| value).collect();
    let graph = g.differentiate(loss, &learned).unwrap().with_outputs(|name| name != "y");
    graph.after(&[Pass::RemoveIdentities, Pass::FuseActivation, Pass::Order]).unwrap().0
}

/// The most bytes that are live at once, by its definition: of each op's moment all values that are made by then and read by it or later.
fn live(graph: &Graph) -> u64 {
    let at = graph.at(1).unwrap();
    let root = |mut value: ValueId| loop {
        match graph.values()[value.index()].source() {
            Source::Node { node, .. } if matches!(at.nodes[*node], Resolved::View(_)) => value = graph.nodes()[*node].inputs()[0],
            _ => return value,
        }
    };
    let outputs: Vec<ValueId> = graph.outputs().map(|(_, value)| root(value)).collect();
    let is_op = |i: &usize| matches!(at.nodes[*i], Resolved::Op(_));
    let ops: Vec<usize> = (0..graph.nodes().len()).filter(is_op).collect();
    let mut most = 0;
    for &now in &ops {
        let mut sum = 0;
        for &made in ops.iter().filter(|made| **made <= now) {
            for &output in graph.nodes()[made].outputs().iter().filter(|output| !outputs.contains(output)) {
                let is_read = ops.iter().filter(|op| **op >= now).any(|&op| graph.nodes()[op].inputs().iter().any(|input| root(*input) == output));
                if is_read || made == now {
                    sum += at.types[output.index()].extents.iter().product::<usize>() as u64 * at.types[output.index()].element.bytes();
                }
            }
        }
        most = most.max(sum);
    }
    most
}

/// Numbers for the inputs; among those of `x` some that are not ordinary.
fn given(graph: &Graph, is_extreme: bool) -> Numbers {
    let mut generator = Generator::from_text("given");
    let mut numbers = Numbers::new();
    for (name, value) in graph.inputs() {
        let count = graph.extents(value).unwrap().iter().product::<usize>();
        let mut values: Vec<f64> = (0..count).map(|_| f64::from(generator.real() as f32 - 0.5)).collect();
        if name == "dropout.key" {
            values = vec![3.0, 0.0, 17.0, 0.0];
        } else if is_extreme {
            for (at, number) in [(5, f64::NAN), (300, f64::INFINITY), (900, f64::NEG_INFINITY), (1700, -1e9), (2000, 1e30), (2500, -0.0)] {
                values[at] = f64::from(number as f32);
            }
        }
        numbers.insert(name.into(), values);
    }
    numbers
}

/// A number by its bits; NaNs are one.
fn bits(values: impl Iterator<Item = f32>) -> Vec<u32> {
    values.map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// Outputs by name on the reference, the CPU engine and the GPU.
fn everywhere(graph: &Graph, given: &Numbers) -> Vec<BTreeMap<String, Vec<u32>>> {
    let values = interpret(graph, given, true);
    let by_reference = graph.outputs().map(|(name, value)| (name.to_string(), bits(values[value.index()].iter().map(|v| *v as f32)))).collect();
    let arrays: Vec<_> = graph.inputs().map(|(name, value)| (name, array(&graph.extents(value).unwrap(), &given[name]))).collect();
    let inputs: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    let mut all = vec![by_reference];
    for session in [Session::cpu(graph).unwrap(), Session::gpu(&GPU, graph).unwrap()] {
        let outputs = session.run(&inputs).unwrap();
        all.push(graph.outputs().map(|(name, _)| (name.to_string(), bits(outputs[name].iter().copied()))).collect());
    }
    all
}

#[test]
fn fewer_bytes_are_live_and_limits_hold_down_to_the_least() {
    for learns in [false, true] {
        let graph = network(learns);
        let before = live(&graph);
        let (least, change) = graph.recomputed(0, 0).unwrap();
        let (least, change) = (live(&least), change.unwrap().to_string());
        assert!(change.starts_with("recompute: ") && change.contains(" computed again: "), "{change}");
        assert!(change.ends_with(&format!("{least} bytes are live at once, {before} were; the limit of 0 bytes cannot be held")), "{change}");
        // A plain block keeps little that is cheap; one that learns keeps what its norm, its dropout and its branch read.
        assert!(least as f64 <= if learns { 0.6 } else { 0.9 } * before as f64, "{least} of {before}");
        for limit in [before - 1, (least + before) / 2, least + 1, least] {
            let (again, change) = graph.recomputed(0, limit).unwrap();
            let change = change.unwrap().to_string();
            assert!(live(&again) <= limit, "{limit}: {change}");
            assert!(change.ends_with(&format!("{} bytes are live at once, {before} were", live(&again))), "{change}");
            let arena = Arena::of(&again, 0).unwrap();
            assert!(arena.lower_bound() >= live(&again) && arena.total() <= Arena::of(&graph, 0).unwrap().total());
        }
        assert_eq!(graph.recomputed(0, before).unwrap(), (graph.clone(), None), "it holds already");
        assert!(live(&graph.recomputed(0, least - 1).unwrap().0) <= before);
    }
}

#[test]
fn every_engine_gives_the_same_bits() {
    for learns in [false, true] {
        let graph = network(learns);
        let (again, _) = graph.recomputed(0, 0).unwrap();
        assert!(again.nodes().len() > graph.nodes().len());
        for is_extreme in [false, true] {
            let given = given(&graph, is_extreme);
            let (want, got) = (everywhere(&graph, &given), everywhere(&again, &given));
            for (engine, (want, got)) in ["the reference", "the CPU engine", "the GPU"].iter().zip(want.iter().zip(&got)) {
                assert!(want.values().flatten().any(|v| *v != 0));
                let is_nan = |v: &u32| f32::from_bits(*v).is_nan();
                assert_eq!(want.values().flatten().any(is_nan), is_extreme, "NaN passes through");
                assert!(want == got, "{engine}, learns: {learns}, extreme: {is_extreme}");
            }
        }
    }
}

/// Convolutions, products and their gradients run as often as before, on what they ran on; dropouts keep their streams.
#[test]
fn what_is_dear_is_not_run_again() {
    for learns in [false, true] {
        let graph = network(learns);
        let (again, _) = graph.recomputed(0, 0).unwrap();
        let dear = |graph: &Graph| {
            let at = graph.at(0).unwrap();
            at.nodes
                .into_iter()
                .filter(|node| matches!(node, Resolved::Op(op) if matches!(**op, Op::Conv(_) | Op::MatMul(_) | Op::FilterGradient(_))))
                .count()
        };
        assert!(dear(&graph) == dear(&again) && dear(&graph) > 3);
        let streams = |graph: &Graph| {
            let of = |node: Resolved| match node {
                Resolved::Op(op) if matches!(*op, Op::Dropout(_)) => Some(op.to_string()),
                _ => None,
            };
            let all: Vec<String> = graph.at(0).unwrap().nodes.into_iter().filter_map(of).collect();
            (all.len(), all.into_iter().collect::<std::collections::BTreeSet<_>>())
        };
        let ((runs, own), (runs_again, again)) = (streams(&graph), streams(&again));
        assert_eq!(own.len(), if learns { 4 } else { 0 });
        assert!(own == again && runs_again >= runs);
    }
}

#[test]
fn later_passes_undo_nothing() {
    for learns in [false, true] {
        let graph = network(learns);
        let (again, _) = graph.recomputed(0, 0).unwrap();
        for passes in
            [&[Pass::Order][..], &[Pass::RemoveIdentities], &[Pass::FuseActivation], &[Pass::RemoveIdentities, Pass::FuseActivation, Pass::Order]]
        {
            let (after, changes) = again.after(passes).unwrap();
            assert!(live(&after) <= live(&again), "{changes:?}");
        }
        let by_pass = graph.after(&[Pass::Recompute { open: 0, limit: 0 }]).unwrap();
        assert_eq!((&by_pass.0, by_pass.1.len()), (&again, 1));
    }
}

/// `tanh` is read at once and at the end, over a large value in between.
fn gap(is_open: bool) -> Graph {
    let mut g = Graph::new();
    let rows = if is_open { wgconv::Extent::Open } else { 2.into() };
    let x = g.input("x", [rows, 512.into()]).unwrap();
    let a = g.activation(x, Activation::Tanh).unwrap();
    let sum = g.reduce(a, &ReduceDescriptor::sum(&[1])).unwrap();
    g.output("sum", sum).unwrap();
    let b = g.relu(x).unwrap();
    let c = g.concat(&[b, b], 1).unwrap();
    let d = g.reduce(c, &ReduceDescriptor { keepdims: true, ..ReduceDescriptor::sum(&[1]) }).unwrap();
    let y = g.mul(a, d).unwrap();
    g.output("product", y).unwrap();
    g
}

/// While `concat` runs there are its 8192 bytes, 4096 of `relu`, and before also those of `tanh`.
#[test]
fn a_change_says_what_it_did_and_whether_the_limit_holds() {
    for (is_open, open) in [(false, 0), (true, 2)] {
        let graph = gap(is_open);
        let (again, change) = graph.recomputed(open, 12_288).unwrap();
        assert_eq!(change.unwrap().to_string(), "recompute: 1 value is computed again: 12288 bytes are live at once, 16384 were");
        let names: Vec<&str> = again.nodes().iter().map(|node| node.name()).collect();
        assert_eq!(names, ["tanh", "reduce", "relu", "concat", "reduce_2", "tanh.again", "mul"]);
        assert_eq!(again.nodes()[6].inputs()[0], again.find("tanh.again").unwrap());
        assert_eq!(again.at(5).is_ok(), graph.at(5).is_ok(), "other extents");
        let (near, change) = graph.recomputed(open, 12_287).unwrap();
        let text = "recompute: 1 value is computed again: 12288 bytes are live at once, 16384 were; the limit of 12287 bytes cannot be held";
        assert_eq!((near, change.unwrap().to_string()), (again.clone(), text.to_string()));
        let (same, change) = again.recomputed(open, 0).unwrap();
        let text = "recompute: 0 values are computed again: 12288 bytes are live at once, 12288 were; the limit of 0 bytes cannot be held";
        assert_eq!((same, change.unwrap().to_string()), (again, text.to_string()));
        assert_eq!(graph.recomputed(open, 16_384).unwrap().1, None);
    }
    let error = gap(true).recomputed(0, 0).unwrap_err().to_string();
    assert_eq!(error, "the open extent is 0: give an open extent of at least 1, such as the batch size");
}

/// What is read late alone is made late; a dropout's stream is its own also where others are added afterwards.
#[test]
fn what_nothing_reads_early_is_made_late_and_new_dropouts_have_streams_of_their_own() {
    let mut g = Graph::new();
    let x = g.input("x", [1024.into()]).unwrap();
    let key = g.input("key", [4.into()]).unwrap();
    let a = g.dropout_training(x, key, 0.5).unwrap();
    let b = g.relu(x).unwrap();
    let c = g.concat(&[b, b], 0).unwrap();
    let d = g.reduce(c, &ReduceDescriptor::sum(&[])).unwrap();
    let y = g.mul(a, d).unwrap();
    g.output("y", y).unwrap();
    let (mut again, change) = g.recomputed(0, 12_288).unwrap();
    assert_eq!(change.unwrap().to_string(), "recompute: 0 values are computed again: 12288 bytes are live at once, 16384 were");
    assert_eq!(again.nodes().len(), g.nodes().len());
    let given = given(&g, false);
    let given = Numbers::from([("x".into(), given["x"].clone()), ("key".into(), vec![1.0, 2.0, 3.0, 0.0])]);
    assert!(everywhere(&again, &given) == everywhere(&g, &given));
    let [x, key] = ["x", "key"].map(|name| again.find(name).unwrap());
    let other = again.dropout_training(x, key, 0.5).unwrap();
    let Source::Node { node, .. } = *again.values()[other.index()].source() else { panic!("a node gives it") };
    let Recipe::DropoutTraining(descriptor) = again.nodes()[node].recipe() else { panic!("it is a dropout") };
    assert_eq!(descriptor.stream, 1);
}
