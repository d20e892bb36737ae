//! Network cases of the checks on this machine's adapter; negative controls: sessions with a fault, which the checks must name; devices that lack what a
//! network needs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::ArrayD;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgconv::gpu::SourcePatch;
use wgconv::graph::Numbers;
use wgconv::matmul::LinearDescriptor;
use wgconv::validate::Outcome;
use wgconv::validate_network::{Case, Make, cases, verify, verify_with};
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

#[test]
fn every_network_holds_on_this_adapter() {
    let gpu = gpu();
    for case in cases(true) {
        let outcome = verify(&gpu, &case).unwrap();
        let lacks = !gpu.profile().has_f16 && case.id().ends_with("/half");
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
            Outcome::Skipped(why) if case.id().ends_with("/half") => assert_eq!(why, "the device has no f16"),
            Outcome::Skipped(why) => assert!(why.ends_with("max_storage_buffers_per_shader_stage is 4"), "{}: {why}", case.id()),
            Outcome::Failed(why) => panic!("{}: {why}", case.id()),
        }
    }
    assert!(passed >= 8, "only {passed}");
}
