//! Sessions: what a run costs after the first, recordings over the caller's tensors, shared weights, parameters that change, memory limits.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::gpu;
use ndarray::{Array1, Array2, Array4, ArrayD, ArrayViewD};
use wgconv::conv::ConvDescriptor;
use wgconv::gpu::Counters;
use wgconv::graph::{BatchNormParameters, Recipe, Resolved};
use wgconv::half::f16;
use wgconv::matmul::LinearDescriptor;
use wgconv::norm::BatchNormDescriptor;
use wgconv::numeric::Generator;
use wgconv::op::{Prepared, Problem, Referenced};
use wgconv::pool::PoolDescriptor;
use wgconv::reduce::ReduceDescriptor;
use wgconv::session::{Arrangement, SessionDescriptor};
use wgconv::validate::compare::{compare, settled};
use wgconv::validate::download;
use wgconv::{ElementType, Error, Extent, Gpu, Graph, Layout, Padding, Recorder, Session, Tensor, wgpu};

/// Small integers that differ from position to position.
fn ramp<const N: usize>(extents: [usize; N], step: usize, modulus: usize) -> ArrayD<f32> {
    let count = extents.iter().product();
    let values = (0..count).map(|i| ((i * step) % modulus) as f32 - (modulus / 2) as f32).collect();
    ArrayD::from_shape_vec(extents.to_vec(), values).unwrap()
}

/// Two convolutions, a pool, a residual, a dense layer behind a view; all on integers, so that every engine gives the same bits.
fn network() -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 3.into(), 16.into(), 16.into()]).unwrap();
    let same = ConvDescriptor { padding: Padding::Same, ..Default::default() };
    let w = g.parameter("first.weight", ramp([16, 3, 3, 3], 3, 5).view()).unwrap();
    let b = g.parameter("first.bias", Array1::from_shape_fn(16, |i| i as f32 - 8.0).view()).unwrap();
    let y = g.conv2d(x, w, Some(b), &same).unwrap();
    let y = g.relu(y).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([2, 2])).unwrap();
    let w = g.parameter("second.weight", ramp([16, 16, 3, 3], 5, 3).view()).unwrap();
    let z = g.conv2d(y, w, None, &same).unwrap();
    let y = g.add(y, z).unwrap();
    g.output("features", y).unwrap();
    let rows = g.flatten(y, 1).unwrap();
    let w = g.parameter("head.weight", ramp([10, 1024], 7, 3).view()).unwrap();
    let y = g.linear(rows, w, None, &LinearDescriptor::default()).unwrap();
    g.output("classes", y).unwrap();
    g
}

fn run(session: &Session, x: &ArrayD<f32>) -> (ArrayD<f32>, ArrayD<f32>) {
    let outputs = session.run(&[("x", x.view())]).unwrap();
    (outputs["features"].clone(), outputs["classes"].clone())
}

#[test]
fn a_run_after_the_first_is_one_submit_and_allocates_nothing() {
    let (gpu, graph) = (gpu(), network().optimized().unwrap());
    let (session, cpu) = (Session::gpu(&gpu, &graph).unwrap(), Session::cpu(&graph).unwrap());
    let images = [ramp([2, 3, 16, 16], 5, 7), ramp([2, 3, 16, 16], 3, 9), ramp([5, 3, 16, 16], 3, 9)];
    for x in [&images[0], &images[2]] {
        assert_eq!(run(&session, x), run(&cpu, x));
    }
    for x in [&images[1], &images[0], &images[2], &images[0]] {
        let before = gpu.counters();
        let got = run(&session, x);
        assert_eq!(gpu.counters() - before, Counters { submits: 1, ..Counters::default() });
        assert_eq!(got, run(&cpu, x));
    }
    assert_eq!(session.dispatches(2).unwrap().unwrap(), session.dispatches(5).unwrap().unwrap());
    assert_eq!(cpu.dispatches(2).unwrap(), None);
}

/// What `memory` says beforehand is what is allocated, apart from uploads: each weight passes through a staging buffer, and those that are packed
/// through a tensor.
#[test]
fn bytes_are_known_before_anything_is_allocated() {
    let (gpu, graph) = (gpu(), network());
    let session = Session::gpu(&gpu, &graph).unwrap();
    let before = gpu.counters();
    let memory = session.memory(3).unwrap();
    assert_eq!((gpu.counters() - before).buffers, 0);
    session.run(&[("x", ramp([3, 3, 16, 16], 5, 7).view())]).unwrap();
    let allocated = (gpu.counters() - before).buffer_bytes;
    let all: u64 = graph.parameters().map(|(_, value)| 4 * graph.elements(value)).sum();
    let uploads = all + (all - memory.weights());
    assert_eq!(allocated, memory.total() + uploads, "{memory}");
    assert!(memory.peak() >= memory.total() && memory.arena().total() >= memory.arena().lower_bound());
    let text = memory.to_string();
    assert!(text.lines().count() == 9 && text.contains("packed weights") && text.contains("while it is prepared"), "{text}");
    let on_cpu = Session::cpu(&graph).unwrap().memory(3).unwrap();
    assert_eq!((on_cpu.weights(), on_cpu.staging(), on_cpu.tensors()), (all, 0, memory.staging()));
}

/// A recording runs over tensors of the caller, on the caller's encoder, beside what the caller records; it has no tensors of its own.
#[test]
fn a_recording_is_over_the_tensors_of_the_caller() {
    let (gpu, graph) = (gpu(), network().optimized().unwrap());
    let (session, cpu) = (Session::gpu(&gpu, &graph).unwrap(), Session::cpu(&graph).unwrap());
    let images = [ramp([2, 3, 16, 16], 5, 7), ramp([2, 3, 16, 16], 3, 9)];
    let zeros = |extents: &[usize]| gpu.zeros(extents, ElementType::F32, Layout::ChannelsFirst).unwrap();
    let outputs = [(); 2].map(|()| (zeros(&[2, 16, 8, 8]), zeros(&[2, 10])));
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for (image, (features, classes)) in images.iter().zip(&outputs) {
        let x = gpu.upload(image).unwrap();
        let mut recorder = Recorder::on(&gpu, &mut encoder);
        session.record(&mut recorder, &[("x", &x)], &[("classes", classes), ("features", features)]).unwrap();
    }
    gpu.queue().submit([encoder.finish()]);
    for (image, (features, classes)) in images.iter().zip(&outputs) {
        assert_eq!((features.download().unwrap(), classes.download().unwrap()), run(&cpu, image));
    }
    // Over tensors that it was recorded with before, nothing is made but what the host submits.
    let x = gpu.upload(&images[1]).unwrap();
    for call in 0..3 {
        let before = gpu.counters();
        let mut recorder = gpu.recorder();
        session.record(&mut recorder, &[("x", &x)], &[("classes", &outputs[0].1), ("features", &outputs[0].0)]).unwrap();
        recorder.submit().unwrap();
        let done = gpu.counters() - before;
        let once = Counters { submits: 1, ..Counters::default() };
        assert!(if call == 0 { done.bind_groups > 0 } else { done == once }, "call {call}: {done:?}");
    }
    assert_eq!((outputs[0].0.download().unwrap(), outputs[0].1.download().unwrap()), run(&cpu, &images[1]));
}

/// An output may be an input, a parameter, a view, or what another output is.
#[test]
fn outputs_that_no_op_writes_are_copies() {
    let gpu = gpu();
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 2.into(), 3.into()]).unwrap();
    let w = g.parameter("w", ramp([4, 3], 1, 5).view()).unwrap();
    let y = g.relu(x).unwrap();
    let rows = g.flatten(y, 1).unwrap();
    let input_rows = g.flatten(x, 1).unwrap();
    // A view of what nobody else reads, in the middle and at the end; few numbers, where buffers of many are free.
    let alone = g.relu(x).unwrap();
    let alone = g.flatten(alone, 1).unwrap();
    let moved = g.relu(alone).unwrap();
    let moved = g.flatten(moved, 1).unwrap();
    let largest = g.reduce(moved, &ReduceDescriptor::max(&[1])).unwrap();
    for (name, value) in
        [("x again", x), ("w again", w), ("rows", rows), ("y", y), ("input rows", input_rows), ("y again", y), ("moved", moved), ("largest", largest)]
    {
        g.output(name, value).unwrap();
    }
    let x = ramp([2, 2, 3], 1, 7);
    let (on_gpu, on_cpu) = (Session::gpu(&gpu, &g).unwrap(), Session::cpu(&g).unwrap());
    let [got, want] = [&on_gpu, &on_cpu].map(|session| session.run(&[("x", x.view())]).unwrap());
    assert_eq!(got, want);
    assert_eq!(got["x again"], x);
    assert_eq!(got["rows"].shape(), [2, 6]);
    assert_eq!(got["y again"], got["y"]);
    // In buffers of the runs before.
    for factor in [2.0, -3.0, 1.0] {
        let x = &x * factor;
        assert_eq!(on_cpu.run(&[("x", x.view())]).unwrap(), Session::cpu(&g).unwrap().run(&[("x", x.view())]).unwrap(), "times {factor}");
    }
    let again = on_gpu.run(&[("x", (&x * 2.0).view())]).unwrap();
    assert_eq!(again["input rows"].iter().copied().collect::<Vec<_>>(), (&x * 2.0).iter().copied().collect::<Vec<_>>());
}

#[test]
fn parameters_change_for_every_session_and_extent() {
    let (gpu, graph) = (gpu(), network());
    let first = Session::gpu(&gpu, &graph).unwrap();
    let other = first.beside(&graph.optimized().unwrap()).unwrap();
    let images = [ramp([1, 3, 16, 16], 5, 7), ramp([4, 3, 16, 16], 3, 9)];
    for x in &images {
        assert_eq!(run(&first, x), run(&other, x));
    }
    let mut changed = graph.clone();
    for (name, numbers) in
        [("first.weight", ramp([16, 3, 3, 3], 2, 5)), ("second.weight", ramp([16, 16, 3, 3], 4, 5)), ("head.weight", ramp([10, 1024], 2, 5))]
    {
        changed.set(name, numbers.view()).unwrap();
        first.set_parameter(name, numbers.view()).unwrap();
    }
    let fresh = Session::cpu(&changed).unwrap();
    for x in &images {
        let want = run(&fresh, x);
        assert_eq!(run(&first, x), want);
        assert_eq!(run(&other, x), want, "the other session shares the weights");
    }
    assert_eq!(first.graph().as_ref(), &changed);
    // An extent that is new packs what the parameters are now.
    let x = ramp([3, 3, 16, 16], 5, 9);
    assert_eq!(run(&first, &x), run(&fresh, &x));
    let cpu = Session::cpu(&graph).unwrap();
    cpu.set_parameter("head.weight", ramp([10, 1024], 2, 5).view()).unwrap();
    let mut one = graph.clone();
    one.set("head.weight", ramp([10, 1024], 2, 5).view()).unwrap();
    assert_eq!(run(&cpu, &x), run(&Session::cpu(&one).unwrap(), &x));
}

/// Kernels of the caller write to a parameter, and what is recorded behind the packing sees it: an optimizer's step.
#[test]
fn a_parameter_is_written_on_the_device_and_packed_in_the_same_recording() {
    let (gpu, graph) = (gpu(), network());
    let session = Session::gpu(&gpu, &graph).unwrap();
    let x = ramp([2, 3, 16, 16], 5, 7);
    run(&session, &x);
    let names = ["first.weight", "second.weight", "head.weight", "first.bias"];
    let doubled: Vec<(Tensor, Tensor)> = names
        .iter()
        .map(|name| {
            let tensor = session.parameter(name).unwrap();
            let twice = gpu.run(|r| r.add(&tensor, &tensor)).unwrap();
            (tensor, twice)
        })
        .collect();
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for (tensor, twice) in &doubled {
        encoder.copy_buffer_to_buffer(twice.buffer(), 0, tensor.buffer(), 0, tensor.byte_size());
    }
    session.refresh(&mut Recorder::on(&gpu, &mut encoder), &names).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let mut changed = graph.clone();
    for name in names {
        let value = graph.find(name).unwrap();
        let numbers = graph.numbers(value).unwrap().as_f32().iter().map(|v| 2.0 * v).collect();
        changed.set(name, ArrayD::from_shape_vec(graph.extents(value).unwrap(), numbers).unwrap().view()).unwrap();
    }
    assert_eq!(run(&session, &x), run(&Session::cpu(&changed).unwrap(), &x));
    let error = session.refresh(&mut gpu.recorder(), &["third"]).unwrap_err().to_string();
    assert!(error.starts_with("the parameter \"third\" is unknown: the graph's parameters are first.weight"), "{error}");
}

#[test]
fn sessions_beside_each_other_upload_nothing_again() {
    let (gpu, graph) = (gpu(), network());
    let first = Session::gpu(&gpu, &graph).unwrap();
    let x = ramp([2, 3, 16, 16], 5, 7);
    let want = run(&first, &x);
    let before = gpu.counters();
    let second = first.beside(&graph.clone()).unwrap();
    assert_eq!(run(&second, &x), want);
    let (shared, memory) = ((gpu.counters() - before).buffer_bytes, second.memory(2).unwrap());
    // A filter that is packed once more is uploaded for it, and asked for before it is known to be packed alike.
    assert!(memory.packed() > 0 && shared < memory.total(), "{shared} {memory}");
}

#[test]
fn a_memory_limit_is_kept_or_refused_before_anything_is_allocated() {
    let (gpu, graph) = (gpu(), network());
    let free = Session::gpu(&gpu, &graph).unwrap();
    let x = ramp([8, 3, 16, 16], 5, 7);
    let want = run(&free, &x);
    let need = free.memory(8).unwrap().peak();
    let within = |limit| Session::gpu_with(&gpu, &graph, &SessionDescriptor { memory_limit: Some(limit), extents: 2 });
    let tight = within(need).unwrap();
    assert_eq!(run(&tight, &x), want);
    let before = gpu.counters();
    let small = within(50_000).unwrap();
    let error = small.run(&[("x", x.view())]).unwrap_err();
    assert!(matches!(&error, Error::TooLarge { limit_name: "memory_limit", limit: 50_000, .. }), "{error}");
    assert!(error.to_string().starts_with("the session needs "), "{error}");
    assert_eq!((gpu.counters() - before).buffers, 0);
    // What fits into less by plans with less of their own gives the same numbers.
    let mut limit = need;
    let least = loop {
        let fewer = limit - need / 100;
        match within(fewer).unwrap().memory(8) {
            Ok(memory) => assert!(memory.peak() <= fewer),
            Err(_) => break limit,
        }
        limit = fewer;
    };
    assert_eq!(run(&within(least).unwrap(), &x), want);
}

#[test]
fn the_extent_that_was_run_longest_ago_is_released() {
    let (gpu, graph) = (gpu(), network());
    let session = Session::gpu_with(&gpu, &graph, &SessionDescriptor { memory_limit: None, extents: 2 }).unwrap();
    let plans = |batch: usize| {
        let before = gpu.counters();
        run(&session, &ramp([batch, 3, 16, 16], 5, 7));
        (gpu.counters() - before).plans
    };
    assert!([plans(1), plans(2)].iter().all(|n| *n > 0));
    assert_eq!([plans(1), plans(2), plans(1)], [0; 3], "two are kept");
    assert!(plans(3) > 0);
    assert_eq!(plans(1), 0, "2 was run longest ago");
    assert!(plans(2) > 0);
    let error = Session::gpu_with(&gpu, &graph, &SessionDescriptor { memory_limit: None, extents: 0 }).unwrap_err().to_string();
    assert_eq!(error, "extents is 0: a session keeps at least the extent that it runs");
}

#[test]
fn runs_that_do_not_block_give_the_same() {
    let (gpu, graph) = (gpu(), network());
    for session in [Session::gpu(&gpu, &graph).unwrap(), Session::cpu(&graph).unwrap()] {
        for batch in [2, 2, 3] {
            let x = ramp([batch, 3, 16, 16], 5, 7);
            let got = pollster::block_on(session.run_async(&[("x", x.view())])).unwrap();
            assert_eq!(got, session.run(&[("x", x.view())]).unwrap());
        }
    }
}

#[test]
fn what_a_caller_gives_is_held_against_the_graph() {
    let (one, graph) = (gpu(), network());
    let session = Session::gpu(&one, &graph).unwrap();
    let x: ArrayViewD<'_, f32> = ArrayViewD::from_shape(vec![], &[0.0]).unwrap();
    let said = |inputs: &[(&str, ArrayViewD<'_, f32>)]| session.run(inputs).unwrap_err().to_string();
    assert_eq!(said(&[("x", x.view())]), "x is scalar: it must be N x 3 x 16 x 16");
    let image = ramp([2, 3, 16, 16], 5, 7);
    assert_eq!(said(&[("x", image.view()), ("x", image.view())]), "the input \"x\" is given twice: each input is given once");
    let zeros = |extents: &[usize], element| one.zeros(extents, element, Layout::ChannelsFirst).unwrap();
    let (x, features, classes) =
        (zeros(&[2, 3, 16, 16], ElementType::F32), zeros(&[2, 16, 8, 8], ElementType::F32), zeros(&[2, 10], ElementType::F32));
    let record =
        |inputs: &[(&str, &Tensor)], outputs: &[(&str, &Tensor)]| session.record(&mut one.recorder(), inputs, outputs).unwrap_err().to_string();
    let good: [(&str, &Tensor); 2] = [("features", &features), ("classes", &classes)];
    assert_eq!(record(&[("x", &x)], &[good[0]]), "the output \"classes\" is missing: each output of the graph is given once");
    assert_eq!(record(&[("x", &x)], &[good[0], ("scores", &classes)]), "the output \"scores\" is unknown: the graph's outputs are features, classes");
    assert_eq!(record(&[], &good), "the input \"x\" is missing: each input of the graph is given once");
    let small = zeros(&[1, 10], ElementType::F32);
    assert_eq!(record(&[("x", &x)], &[good[0], ("classes", &small)]), "classes is 1 x 10: it must be 2 x 10");
    let last = one.zeros(&[2, 3, 16, 16], ElementType::F32, Layout::ChannelsLast).unwrap();
    assert_eq!(record(&[("x", &last)], &good), "x is channels_last: it must be channels_first");
    let indices = zeros(&[2, 3, 16, 16], ElementType::U32);
    assert_eq!(record(&[("x", &indices)], &good), "x is 2 x 3 x 16 x 16 of u32: it must be 2 x 3 x 16 x 16 of f32");
    let other = gpu();
    let foreign = other.zeros(&[2, 3, 16, 16], ElementType::F32, Layout::ChannelsFirst).unwrap();
    assert!(record(&[("x", &foreign)], &good).starts_with("x is a tensor of another device"));
    assert!(matches!(session.record(&mut other.recorder(), &[("x", &x)], &good), Err(Error::OtherDevice { .. })));
    let cpu = Session::cpu(&graph).unwrap();
    let error = cpu.record(&mut one.recorder(), &[("x", &x)], &good).unwrap_err().to_string();
    assert_eq!(error, "the session is on the CPU engine: a recording needs one on a GPU");
    assert!(session.set_parameter("x", image.view()).unwrap_err().to_string().contains("x is an input, not a parameter"));
    let wrong: Array2<f32> = Array2::zeros((10, 1000));
    assert_eq!(session.set_parameter("head.weight", wrong.view()).unwrap_err().to_string(), "head.weight is 10 x 1000: it must be 10 x 1024");
}

/// An op reads what another reads as a constant: the parameter is both packed and read as it is.
#[test]
fn a_parameter_may_be_a_filter_and_a_term() {
    let gpu = gpu();
    let mut g = Graph::new();
    let x = g.input("x", [16.into(), 16.into(), 3.into(), 3.into()]).unwrap();
    let w = g.parameter("w", ramp([16, 16, 3, 3], 5, 7).view()).unwrap();
    let y = g.conv2d(x, w, None, &ConvDescriptor { padding: Padding::Same, ..Default::default() }).unwrap();
    let y = g.add(y, w).unwrap();
    g.output("y", y).unwrap();
    let x: Array4<f32> = ramp([16, 16, 3, 3], 3, 5).into_dimensionality().unwrap();
    let (on_gpu, on_cpu) = (Session::gpu(&gpu, &g).unwrap(), Session::cpu(&g).unwrap());
    for numbers in [None, Some(ramp([16, 16, 3, 3], 2, 5))] {
        for session in [&on_gpu, &on_cpu] {
            numbers.iter().for_each(|numbers| session.set_parameter("w", numbers.view()).unwrap());
        }
        assert_eq!(on_gpu.run(&[("x", x.view())]).unwrap(), on_cpu.run(&[("x", x.view())]).unwrap());
    }
}

/// Tensors of a channels-last network lie that way, and a view of them is taken only where the order allows it.
#[test]
fn channels_last_networks_run() {
    let gpu = gpu();
    let mut g = Graph::new();
    let x = g.input_as("x", &[Extent::Open, 3.into(), 8.into(), 8.into()], ElementType::F32, Layout::ChannelsLast).unwrap();
    let w = g.parameter("w", ramp([8, 3, 3, 3], 5, 7).view()).unwrap();
    let b = g.parameter("b", Array1::from_shape_fn(8, |i| i as f32).view()).unwrap();
    let y = g.conv2d(x, w, Some(b), &ConvDescriptor { stride: [2, 2], padding: Padding::Same, ..Default::default() }).unwrap();
    assert!(matches!(g.flatten(y, 1), Err(Error::Layout { .. })));
    g.output("y", y).unwrap();
    let y = g.global_pool(y, wgconv::pool::PoolKind::Max { indices: None }).unwrap();
    let y = g.flatten(y, 1).unwrap();
    g.output("rows", y).unwrap();
    let x = ramp([2, 3, 8, 8], 3, 11);
    let [on_gpu, on_cpu] = [Session::gpu(&gpu, &g), Session::cpu(&g)].map(|session| session.unwrap().run(&[("x", x.view())]).unwrap());
    assert_eq!(on_gpu, on_cpu);
    assert_eq!(on_gpu["rows"].shape(), [2, 8]);
}

/// A convolution, a batch norm, an activation, a pool and a dense layer in f16; `number` gives what parameters hold, by how many terms they are one of.
fn half_network(mut number: impl FnMut(usize) -> f64) -> Graph {
    let mut g = Graph::new();
    let x = g.input_as("x", &[Extent::Open, 4.into(), 8.into(), 8.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    let mut parameter = |g: &mut Graph, name: &str, extents: &[usize]| {
        let terms = extents[1..].iter().product();
        g.parameter(name, ArrayD::from_shape_simple_fn(extents, || f16::from_f64(number(terms))).view()).unwrap()
    };
    let (w, b) = (parameter(&mut g, "conv.weight", &[8, 4, 3, 3]), parameter(&mut g, "conv.bias", &[8]));
    let [scale, bias, mean] = ["scale", "bias", "mean"].map(|name| parameter(&mut g, name, &[8]));
    let head = parameter(&mut g, "head.weight", &[10, 128]);
    // Powers of four, whose roots are exact.
    let variance = g.parameter("variance", Array1::from_shape_fn(8, |i| f16::from_f32([0.25, 1.0, 4.0][i % 3])).view()).unwrap();
    let y = g.conv2d(x, w, Some(b), &ConvDescriptor { padding: Padding::Same, ..Default::default() }).unwrap();
    let parameters = BatchNormParameters { scale: Some(scale), bias: Some(bias), mean, variance };
    let y = g.batch_norm(y, &parameters, &BatchNormDescriptor { epsilon: 0.0, ..Default::default() }).unwrap();
    let y = g.relu(y).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([2, 2])).unwrap();
    g.output("features", y).unwrap();
    let rows = g.flatten(y, 1).unwrap();
    let y = g.linear(rows, head, None, &LinearDescriptor::default()).unwrap();
    g.output("classes", y).unwrap();
    g
}

/// The outputs of a graph of one input by its ops one by one, each held to the reference on what it read: within what storing f16 and summing f32 may err.
fn by_op(gpu: &Gpu, graph: &Graph, x: &ArrayD<f32>) -> Vec<Vec<f64>> {
    let at = graph.at(x.shape()[0]).unwrap();
    let mut live: Vec<Option<Tensor>> = vec![None; graph.values().len()];
    let half = |array: &ArrayD<f32>| gpu.upload(&array.mapv(f16::from_f32)).unwrap();
    live[graph.find("x").unwrap().index()] = Some(half(x));
    for (_, value) in graph.parameters() {
        let numbers = graph.numbers(value).unwrap().as_f32().to_vec();
        live[value.index()] = Some(half(&ArrayD::from_shape_vec(graph.extents(value).unwrap(), numbers).unwrap()));
    }
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        let inputs: Vec<Tensor> = node.inputs().iter().map(|input| live[input.index()].clone().unwrap()).collect();
        let y = match resolved {
            Resolved::View(wanted) => {
                let (buffer, offset) = (inputs[0].buffer().clone(), inputs[0].byte_offset());
                Tensor::from_buffer(gpu, buffer, offset, &wanted.extents, wanted.element, wanted.layout).unwrap()
            }
            Resolved::Op(op) => {
                let part =
                    |constant| op.inputs().iter().zip(&inputs).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect::<Vec<_>>();
                let prepared = Prepared::new(gpu, op.as_ref(), &part(true)).unwrap();
                let y = prepared.output().unwrap();
                let mut recorder = gpu.recorder();
                prepared.record(&mut recorder, &part(false), &[&y]).unwrap();
                recorder.submit().unwrap();
                let read: Vec<Vec<f64>> = inputs.iter().map(|tensor| download(tensor).unwrap()).collect();
                let want = op.reference_for(prepared.plan().algorithm(), &read.iter().map(Vec::as_slice).collect::<Vec<_>>()).swap_remove(0);
                let held: Vec<f64> = want.value.iter().map(|v| ElementType::F16.held(*v)).collect();
                let allowed = |i: usize| want.allowed(i, ElementType::F16);
                let got = download(&y).unwrap();
                let got: Vec<f64> =
                    got.iter().zip(&held).enumerate().map(|(i, (got, want))| settled(*got, *want, allowed(i), ElementType::F16)).collect();
                assert_eq!(compare(&got, &held, allowed).map(|mismatch| mismatch.describe(y.shape().extents())), None, "{}", node.name());
                y
            }
        };
        live[node.outputs()[0].index()] = Some(y);
    }
    graph.outputs().map(|(_, value)| download(live[value.index()].as_ref().unwrap()).unwrap()).collect()
}

/// An f16 network on a device that has f16: on integers what the network gives before any pass, on real and extreme numbers each op within its bound and
/// the session with the bits of its ops.
#[test]
fn an_f16_network_runs_in_f16() {
    let gpu = gpu();
    if !gpu.profile().has_f16 {
        println!("an_f16_network_runs_in_f16: skipped, {} has no f16", gpu.report());
        return;
    }
    let bits = |outputs: &[Vec<f64>]| -> Vec<u64> { outputs.iter().flatten().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect() };
    let run = |session: &Session, x: &ArrayD<f32>| -> Vec<Vec<f64>> {
        let outputs = session.run(&[("x", x.view())]).unwrap().into_arrays();
        outputs.into_iter().map(|(_, array)| array.iter().map(|&v| f64::from(v)).collect()).collect()
    };
    let fused = |graph: &Graph| {
        let (fused, changes) = graph.optimized_with_changes().unwrap();
        let passes: Vec<&str> = changes.iter().map(|change| change.pass.name()).collect();
        assert_eq!(passes, ["fold batch norm", "fuse activation", "fuse pool"]);
        fused
    };

    let mut integers = Generator::from_text("f16 integers");
    let graph = half_network(|_| integers.integer(1));
    let session = Session::gpu(&gpu, &fused(&graph)).unwrap();
    for batch in [3, 1] {
        let x = ramp([batch, 4, 8, 8], 3, 3);
        let want = run(&Session::cpu(&graph).unwrap(), &x);
        assert!(want.iter().flatten().all(|v| ElementType::F16.rounded(*v) == *v) && want.iter().flatten().any(|v| *v != 0.0));
        assert_eq!(run(&session, &x), want);
    }

    let mut reals = Generator::from_text("f16 reals");
    let graph = fused(&half_network(|terms| reals.real() * (3.0 / terms as f64).sqrt()));
    let session = Session::gpu(&gpu, &graph).unwrap();
    for batch in [3, 1] {
        let mut x = ArrayD::from_shape_simple_fn(vec![batch, 4, 8, 8], || f16::from_f64(reals.real()).to_f32());
        // The largest number, the smallest, one below the normal ones, both zeros; a block of the largest, whose sums leave f16. In an image of its own what
        // no sum comes back from.
        for (i, v) in [65_504.0, -65_504.0, 2f32.powi(-24), 3.0 * 2f32.powi(-16), -0.0, 0.0].into_iter().enumerate() {
            x[[0, i % 4, i, 7 - i]] = v;
        }
        x.slice_mut(ndarray::s![0, .., 5.., ..3]).fill(65_504.0);
        for (i, v) in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN].into_iter().enumerate().filter(|_| batch > 1) {
            x[[1, i, 3 * i, 2 * i]] = v;
        }
        let want = by_op(&gpu, &graph, &x);
        assert!(want[0].iter().any(|v| v.is_infinite()) && want[0].iter().any(|v| v.is_finite() && *v != 0.0), "what is extreme comes through");
        assert_eq!(bits(&run(&session, &x)), bits(&want));
        assert_eq!(bits(&run(&session, &x)), bits(&want), "and once more");
    }
}

/// Filters and biases that are inputs, or that the network computes, are packed in every run: by the run's own numbers, in one submit.
#[test]
fn filters_may_be_computed_and_given() {
    let gpu = gpu();
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 8.into(), 12.into(), 12.into()]).unwrap();
    let given = g.input("filter", [16.into(), 8.into(), 3.into(), 3.into()]).unwrap();
    let bias = g.parameter("bias", Array1::from_shape_fn(16, |i| i as f32 - 8.0).view()).unwrap();
    let same = ConvDescriptor { padding: Padding::Same, ..Default::default() };
    let y = g.conv2d(x, given, Some(bias), &same).unwrap();
    let y = g.relu(y).unwrap();
    // The filter's sums over its window as a bias, and what it is turned to as a filter.
    let sums = g.reduce(given, &ReduceDescriptor::sum(&[0, 2, 3])).unwrap();
    g.output("sums", sums).unwrap();
    let turned = g.transpose(given, &[1, 0, 2, 3]).unwrap();
    let z = g.conv2d(y, turned, Some(sums), &same).unwrap();
    let z = g.conv_transpose2d(z, turned, None, &wgconv::conv::ConvTransposeDescriptor { stride: [2, 2], ..Default::default() }).unwrap();
    g.output("z", z).unwrap();
    let graph = g.optimized().unwrap();
    let [on_gpu, on_cpu] = [Session::gpu(&gpu, &graph), Session::cpu(&graph)].map(Result::unwrap);
    let filters = [ramp([16, 8, 3, 3], 1, 3), ramp([16, 8, 3, 3], 2, 3)];
    let images = [ramp([1, 8, 12, 12], 3, 5), ramp([4, 8, 12, 12], 2, 5)];
    for x in &images {
        on_gpu.run(&[("x", x.view()), ("filter", filters[0].view())]).unwrap();
    }
    let mut seen = vec![];
    for (x, filter) in [(&images[0], &filters[0]), (&images[1], &filters[1]), (&images[0], &filters[1]), (&images[0], &filters[0])] {
        let before = gpu.counters();
        let got = on_gpu.run(&[("x", x.view()), ("filter", filter.view())]).unwrap();
        assert_eq!(gpu.counters() - before, Counters { submits: 1, ..Counters::default() });
        assert_eq!(got, on_cpu.run(&[("x", x.view()), ("filter", filter.view())]).unwrap());
        seen.push(got["z"].clone());
    }
    assert!(seen[0] == seen[3] && seen[0] != seen[2], "what is seen is the run's own filter");
}

/// Whichever it is: the choice is that of the least time, and the network gives the same.
#[test]
fn the_fastest_layout_is_the_one_that_took_the_least() {
    let gpu = gpu();
    let graph = network().optimized().unwrap();
    let found = wgconv::session::fastest_layout(&gpu, &graph, 2).unwrap();
    let timed: Vec<Arrangement> = found.seconds.iter().map(|(arrangement, _)| *arrangement).collect();
    // It is channels-first as it is built; by op it may stay so.
    assert_eq!(timed[..2], [Arrangement::AsGiven, Arrangement::All(Layout::ChannelsLast)]);
    assert!(timed[2..].iter().all(|arrangement| *arrangement == Arrangement::ByOp) && timed.len() <= 3, "{timed:?}");
    let least = found.seconds.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap();
    assert!(found.seconds.iter().all(|(_, seconds)| *seconds > 0.0) && found.arrangement == least.0, "{:?}", found.seconds);
    let (other, change) = graph.in_layout(Layout::ChannelsLast).unwrap();
    assert!(change.unwrap().to_string().contains("ops are channels_last"));
    let x = ramp([2, 3, 16, 16], 3, 7);
    let want = run(&Session::cpu(&graph).unwrap(), &x);
    for graph in [&found.graph, &other] {
        assert_eq!(graph.inputs().map(|(name, _)| name).collect::<Vec<_>>(), ["x"]);
        assert_eq!(run(&Session::gpu(&gpu, graph).unwrap(), &x), want);
    }
    // Any layouts of the ops give the same; what has no form for its layout stays as it is.
    let (nodes, mut with_both) = (graph.nodes().len(), 0);
    for pattern in 0..4usize {
        let layouts: Vec<Layout> =
            (0..nodes).map(|i| if (i >> (pattern % 2)) & 1 == pattern / 2 { Layout::ChannelsLast } else { Layout::ChannelsFirst }).collect();
        let mixed = graph.in_layouts(&layouts).unwrap();
        let is_last = |node: &wgconv::graph::Node| mixed.at(2).unwrap().types[node.outputs()[0].index()].layout == Layout::ChannelsLast;
        let last = mixed.nodes().iter().filter(|node| is_last(node)).count();
        with_both += usize::from(last > 0 && last < mixed.nodes().len());
        // Convolutions have a form for either, and give the one that they were given.
        for (node, wanted) in graph.nodes().iter().zip(&layouts).filter(|(node, _)| matches!(node.recipe(), Recipe::Conv { .. })) {
            let value = mixed.find(graph.values()[node.outputs()[0].index()].name()).unwrap();
            assert_eq!(mixed.at(2).unwrap().types[value.index()].layout, *wanted, "{pattern}: {}", node.name());
        }
        assert_eq!(run(&Session::gpu(&gpu, &mixed).unwrap(), &x), want, "{pattern}");
    }
    assert!(with_both >= 2, "{with_both}");
    let error = graph.in_layouts(&[Layout::ChannelsLast]).unwrap_err().to_string();
    assert_eq!(error, format!("layouts is 1: there is one for each node, and the graph has {nodes}"));
    // A network with nothing to convert is itself.
    let mut dense = Graph::new();
    let x = dense.input("x", [Extent::Open, 4.into()]).unwrap();
    let y = dense.relu(x).unwrap();
    dense.output("y", y).unwrap();
    let found = wgconv::session::fastest_layout(&gpu, &dense, 3).unwrap();
    assert!(matches!(found.seconds[..], [(Arrangement::AsGiven, _)]) && found.arrangement == Arrangement::AsGiven, "{found:?}");
}
