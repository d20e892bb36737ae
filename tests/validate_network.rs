//! Network cases of the checks on this machine's adapter; negative controls: sessions with a fault, which the checks must name; devices that lack what a
//! network needs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::ArrayD;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgconv::gpu::SourcePatch;
use wgconv::graph::Numbers;
use wgconv::matmul::LinearDescriptor;
use wgconv::validate::Outcome;
use wgconv::validate_network::{Case, Engines, Make, Measured, cases, compare_engines, verify, verify_with};
use wgconv::{Gpu, GpuDescriptor, Graph, Session, wgpu};

fn case(id: &str) -> Case {
    cases(true).into_iter().find(|case| case.id() == id).unwrap()
}

fn failure(gpu: &Gpu, id: &str, make: Make<'_>) -> String {
    match verify_with(gpu, &case(id), make).unwrap() {
        Outcome::Failed(why) => why,
        other => panic!("{id}: {other:?}: the fault went unnoticed"),
    }
}

/// The networks that have f16.
fn has_halves(case: &Case) -> bool {
    ["/half", "/mixed"].iter().any(|name| case.id().ends_with(name))
}

#[test]
fn every_network_holds_on_this_adapter() {
    let gpu = gpu();
    for case in cases(true) {
        let outcome = verify(&gpu, &case).unwrap();
        let lacks = !gpu.profile().has_f16 && has_halves(&case);
        let wanted = if lacks { Outcome::Skipped("the device has no f16".into()) } else { Outcome::Passed };
        assert_eq!(outcome, wanted, "{}", case.id());
    }
}

/// A parameter with other numbers than the graph's, one that was folded among them; each by a single number.
#[test]
fn a_wrong_number_in_a_parameter_is_reported() {
    let gpu = gpu();
    let wrong = |name: &'static str| {
        move |gpu: &Gpu, graph: &Graph| {
            let mut graph = graph.clone();
            let Some(Numbers::F32(numbers)) = graph.numbers(graph.find(name).unwrap()) else { panic!("{name} is no f32") };
            let mut numbers = numbers.clone();
            *numbers.iter_mut().next().unwrap() += 1.0;
            graph.set(name, numbers.view())?;
            Session::gpu(gpu, &graph)
        }
    };
    for (id, name) in [
        ("network/optimized/residual", "head.weight"),
        ("network/as_built/residual", "head.weight"),
        ("network/optimized/batch_norm", "conv.folded_bias"),
        ("network/optimized/channels_last", "second.bias"),
    ] {
        let why = failure(&gpu, id, &wrong(name));
        assert!(why.starts_with("exact: ") && why.ends_with("op by op the graph is right: the session is at fault"), "{id}: {why}");
    }
    // Where sums are not exact, the bits of the ops one by one are wanted.
    let why = failure(&gpu, "network/optimized/attention", &wrong("query"));
    assert!(why.starts_with("bounded: scores: ") && why.contains("the session is at fault"), "{why}");
}

/// A session that keeps what its first parameter held.
#[test]
fn a_parameter_that_does_not_change_is_reported() {
    let frozen = |gpu: &Gpu, graph: &Graph| {
        let array = |name: &str| -> ArrayD<f32> {
            let value = graph.find(name).unwrap();
            ArrayD::from_shape_vec(graph.extents(value).unwrap(), graph.numbers(value).unwrap().as_f32().to_vec()).unwrap()
        };
        let mut frozen = Graph::new();
        let x = frozen.input("x", [2.into(), 12.into()])?;
        frozen.parameter("first.weight", array("first.weight").view())?;
        let first = frozen.constant("frozen", array("first.weight").view())?;
        let bias = frozen.parameter("first.bias", array("first.bias").view())?;
        let y = frozen.linear(x, first, Some(bias), &LinearDescriptor::default())?;
        let y = frozen.relu(y)?;
        let second = frozen.parameter("second.weight", array("second.weight").view())?;
        let z = frozen.linear(y, second, None, &LinearDescriptor::default())?;
        let y = frozen.add(z, y)?;
        frozen.output("y", y)?;
        Session::gpu(gpu, &frozen)
    };
    let why = failure(&gpu(), "network/as_built/closed", &frozen);
    assert!(why.starts_with("exact: y: ") && why.contains("after first.weight and second.weight changed"), "{why}");
}

/// A kernel that writes past its output, where a caller has something else: guard words.
#[test]
fn a_write_past_an_output_is_reported() {
    const STORE: [&str; 2] =
        ["output[u32(strided_offsets(item, AXES).z)] = Target(value);", "output[u32(strided_offsets(item, AXES).z) + 27u] = Target(1.0);"];
    let changed = Arc::new(AtomicBool::new(false));
    let seen = changed.clone();
    let patch = move |_: &str, text: String| {
        let damaged = text.replacen(STORE[0], &STORE.concat(), 1);
        seen.fetch_or(damaged != text, Ordering::Relaxed);
        damaged
    };
    let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap();
    let why = failure(&gpu, "network/optimized/two_inputs", &Session::gpu);
    assert!(changed.load(Ordering::Relaxed), "no kernel was damaged");
    assert!(why.starts_with("guarded: a guard word beside largest was overwritten"), "{why}");
    assert!(why.contains("op by op reduce: guarded: "), "the op itself is named: {why}");
}

/// A device without f16, and one with few storage buffers: what they lack is a reason to skip, and the rest holds.
#[test]
fn what_a_device_lacks_is_skipped_by_name() {
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("the tests need an adapter; scripts/test.sh installs a software one");
    let descriptor = wgpu::DeviceDescriptor { required_limits: wgpu::Limits::downlevel_defaults(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let gpu = Gpu::from_wgpu(adapter, device, queue).unwrap();
    let mut passed = 0;
    for case in cases(false) {
        match verify(&gpu, &case).unwrap() {
            Outcome::Passed => passed += 1,
            Outcome::Skipped(why) if has_halves(&case) => assert_eq!(why, "the device has no f16"),
            Outcome::Skipped(why) => assert!(why.ends_with("max_storage_buffers_per_shader_stage is 4"), "{}: {why}", case.id()),
            Outcome::Failed(why) => panic!("{}: {why}", case.id()),
        }
    }
    assert!(passed >= 8, "only {passed}");
}

/// Three layers by the names that a table has; the last is a view and an op behind it.
fn chain() -> Graph {
    let mut graph = Graph::new();
    let array = |extents: &[usize], seed: usize| {
        let numbers = (0..extents.iter().product()).map(|i: usize| ((seed + i * i * 31) % 17) as f32 / 8.0 - 1.0).collect();
        ArrayD::from_shape_vec(extents.to_vec(), numbers).unwrap()
    };
    let x = graph.input("x", [1.into(), 3.into(), 6.into(), 6.into()]).unwrap();
    let w = graph.parameter("w", array(&[4, 3, 3, 3], 1).view()).unwrap();
    let b = graph.parameter("b", array(&[4], 2).view()).unwrap();
    let y = graph.conv2d(x, w, Some(b), &Default::default()).unwrap();
    graph.name(y, "features").unwrap();
    let y = graph.relu(y).unwrap();
    graph.name(y, "rectified").unwrap();
    let y = graph.flatten(y, 1).unwrap();
    graph.name(y, "row").unwrap();
    let v = graph.parameter("v", array(&[5, 64], 3).view()).unwrap();
    let y = graph.linear(y, v, None, &LinearDescriptor::default()).unwrap();
    graph.name(y, "scores").unwrap();
    graph.output("scores", y).unwrap();
    graph
}

/// By value: its name, and for each engine the fault and how much of its bound it takes.
fn compared(gpu: Option<&Gpu>, x: Vec<f64>) -> Vec<(String, Vec<Measured>)> {
    let mut all = vec![];
    compare_engines(&chain(), 1, &[x], Engines { gpu, cpu: true }, &mut |value| {
        assert_eq!(value.reference.len(), value.extents.iter().product::<usize>());
        all.push((value.value.to_string(), [&value.gpu, &value.cpu].into_iter().flatten().cloned().collect()));
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn inputs() -> Vec<f64> {
    (0..108).map(|i| f64::from((i * 37 % 101) as f32 / 50.0 - 1.0)).collect()
}

#[test]
fn both_engines_hold_their_bounds_op_by_op() {
    let all = compared(Some(&gpu()), inputs());
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["features", "rectified", "row", "scores"]);
    for (name, engines) in &all {
        assert_eq!(engines.len(), 2);
        for engine in engines {
            assert!(engine.fault.is_none() && engine.unheld.is_none() && engine.of_bound <= 1.0, "{name}: {engine:?}");
        }
    }
    let off = |name: &str| all.iter().find(|(own, _)| own == name).unwrap().1.iter().any(|engine| engine.difference > 0.0);
    assert!(off("features") && !off("rectified"), "a convolution rounds, and a rectifier only chooses");
}

/// Numbers that are not finite, a mask's and very small ones among them: neither engine makes other ones of them.
#[test]
fn both_engines_agree_on_special_numbers() {
    for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e9, 1e-42] {
        let mut x = inputs();
        x[40] = f64::from(special as f32);
        for (name, engines) in compared(Some(&gpu()), x) {
            assert!(engines.iter().all(|engine| engine.fault.is_none()), "{special}, {name}: {engines:?}");
        }
    }
}

/// A damaged kernel is named by the node that it computes and no other is: the nodes behind it are given right numbers. Along its own values the GPU is off
/// from there on.
#[test]
fn the_node_of_a_damaged_kernel_is_named() {
    for (kernel, from, to, node) in [
        ("conv_", "v += f32(bias[k]);", "", "features"),
        ("elementwise", "case 1u: { return select(v, 0.0, v < 0.0); }", "case 1u: { return v; }", "rectified"),
    ] {
        let changed = Arc::new(AtomicBool::new(false));
        let seen = changed.clone();
        let patch = move |label: &str, text: String| {
            let damaged = if label.starts_with(kernel) && !label.contains("pack") { text.replacen(from, to, 1) } else { text.clone() };
            seen.fetch_or(damaged != text, Ordering::Relaxed);
            damaged
        };
        let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap();
        let all = compared(Some(&gpu), inputs());
        assert!(changed.load(Ordering::Relaxed), "{kernel}: nothing was damaged");
        let faulty: Vec<&str> = all.iter().filter(|(_, engines)| engines[0].fault.is_some()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(faulty, [node], "{kernel}");
        assert!(all.iter().all(|(_, engines)| engines[1].fault.is_none()), "the CPU engine is not damaged");
        let engine = |name: &str| &all.iter().find(|(own, _)| own == name).unwrap().1;
        assert!(engine(node)[0].of_bound > 1.0);
        let far = engine("scores")[0].along.iter().zip(&engine("scores")[1].along).any(|(gpu, cpu)| (gpu - cpu).abs() > 1e-2);
        assert!(far, "the fault reaches the outputs of a run");
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let none = Engines { gpu: None, cpu: true };
    let why =
        |graph: &Graph, inputs: &[Vec<f64>]| compare_engines(graph, 1, inputs, none, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(why(&chain(), &[]).contains("the graph has 1"));
    assert!(why(&chain(), &[vec![0.0; 7]]).contains("the input x"));
    let mut graph = Graph::new();
    let x = graph.input("x", [2.into()]).unwrap();
    let y = graph.relu(x).unwrap();
    graph.output("y", y).unwrap();
    let mut seen = 0;
    let stopped = compare_engines(&graph, 1, &[vec![1.0, -1.0]], none, &mut |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert!(stopped.is_ok() && seen == 1);
}
