//! Devices with few limits: what a kernel does not use is not bound, what the device cannot do is refused by the limit's name, and what it
//! computes is verified.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use ndarray::{Array1, Array4, s};
use std::collections::BTreeMap;
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor};
use wgconv::gpu::DeviceProfile;
use wgconv::norm::{InstanceNormDescriptor, NormInputs, NormProblem};
use wgconv::op::{Addends, Planned, Problem};
use wgconv::validate::{Case, Outcome, grid, verify};
use wgconv::{Activation, ElementType, Gpu, GpuDescriptor, Padding, TensorType, wgpu};

fn open(required_limits: wgpu::Limits) -> wgconv::Result<Gpu> {
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("the tests need an adapter; scripts/test.sh installs a software one");
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() })).unwrap();
    Gpu::from_wgpu(adapter, device, queue)
}

/// The smallest case of the grid for every op and algorithm that a device without features has.
fn cases(profile: &DeviceProfile) -> Vec<Case> {
    let mut smallest: BTreeMap<(String, String), Case> = BTreeMap::new();
    for case in grid::cases(false).unwrap() {
        let algorithm = case.algorithm.split(' ').next().unwrap().to_string();
        let specs = || case.op.inputs().into_iter().chain(case.op.outputs());
        if specs().any(|spec| spec.tensor.element == ElementType::F16) || !case.op.algorithms(profile).contains(&algorithm.as_str()) {
            continue;
        }
        let place = smallest.entry((case.op.name().to_string(), algorithm));
        match place {
            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(case)),
            std::collections::btree_map::Entry::Occupied(mut place) if case.op.flops() < place.get().op.flops() => drop(place.insert(case)),
            _ => {}
        }
    }
    smallest.into_values().collect()
}

/// Verifies what the device plans, and gives what it refuses for want of storage buffers.
fn verify_all(gpu: &Gpu) -> Vec<String> {
    let (mut refused, mut passed) = (vec![], 0);
    for case in cases(gpu.profile()) {
        match verify(gpu, &case) {
            Ok(Outcome::Passed) => passed += 1,
            Ok(Outcome::Skipped(why)) if why.contains("max_storage_buffers_per_shader_stage") => refused.push(case.op.name().to_string()),
            other => panic!("{}: {other:?}", case.id()),
        }
    }
    assert!(passed > 50, "only {passed} cases");
    refused
}

#[test]
fn every_op_holds_on_webgpus_default_limits() {
    let gpu = open(wgpu::Limits::default()).unwrap();
    assert_eq!(gpu.profile().max_storage_buffers, 8);
    assert_eq!(verify_all(&gpu), Vec::<String>::new());
}

#[test]
fn every_op_holds_on_four_storage_buffers_or_is_refused_by_name() {
    let gpu = open(wgpu::Limits::downlevel_defaults()).unwrap();
    assert_eq!(gpu.profile().max_storage_buffers, 4);
    let refused = verify_all(&gpu);
    // Those take five tensors and more.
    assert!(refused.iter().all(|op| ["batch_norm", "layer_norm", "group_norm", "instance_norm"].contains(&op.as_str())), "{refused:?}");

    // A convolution with all but one of bias and residual, by every algorithm.
    let (image, filter) =
        (Array4::from_shape_fn((1, 8, 6, 6), |(_, c, h, w)| ((c + 2 * h + 3 * w) % 5) as f32 - 2.0), Array4::<f32>::ones((4, 8, 1, 1)));
    let bias = Array1::from_iter([1.0f32, 2.0, 3.0, 4.0]);
    let (x, f, b) = (gpu.upload(&image).unwrap(), gpu.upload(&filter).unwrap(), gpu.upload(&bias).unwrap());
    let residual = gpu.upload(&Array4::<f32>::from_elem((1, 4, 6, 6), 10.0)).unwrap();
    for algorithm in [Algorithm::Direct, Algorithm::PointwiseWorkgroup, Algorithm::PointwiseRegister, Algorithm::ImplicitGemmWorkgroup] {
        let descriptor = Conv2dDescriptor { algorithm: Some(algorithm), activation: Activation::Relu, ..Default::default() };
        for (given, residual) in [(Some(&b), None), (None, Some(&residual)), (None, None)] {
            let y = match residual {
                Some(residual) => gpu.run(|r| r.conv_residual(&x, &f, Addends { bias: given, residual }, &descriptor)),
                None => gpu.run(|r| r.conv2d(&x, &f, given, &descriptor)),
            };
            let y: Array4<f32> = y.unwrap().download().unwrap();
            for ((_, k, h, w), y) in y.indexed_iter() {
                let sum: f32 = (0..8).map(|c| image[[0, c, h, w]]).sum();
                let want = sum + if given.is_some() { bias[k] } else { 0.0 } + if residual.is_some() { 10.0 } else { 0.0 };
                assert_eq!(*y, want.max(0.0), "{algorithm} at {k}, {h}, {w}");
            }
        }
    }
    // With both, five, unless the sums are stored before the rest is read: by Winograd, which is chosen then.
    let (padding, accuracy) = (Padding::uniform(1), Accuracy::Reduced);
    let wide = gpu.upload(&Array4::<f32>::ones((4, 8, 3, 3))).unwrap();
    let y = |descriptor| gpu.run(|r| r.conv_residual(&x, &wide, Addends { bias: Some(&b), residual: &residual }, &descriptor));
    let chosen: Array4<f32> = y(Conv2dDescriptor { padding, accuracy, ..Default::default() }).unwrap().download().unwrap();
    let window = |h: usize, w: usize| image.slice(s![0, .., h.saturating_sub(1)..(h + 2).min(6), w.saturating_sub(1)..(w + 2).min(6)]).sum();
    for ((_, k, h, w), y) in chosen.indexed_iter() {
        assert_eq!(*y, window(h, w) + bias[k] + 10.0, "at {k}, {h}, {w}");
    }
    let error = y(Conv2dDescriptor { padding, accuracy: Accuracy::Exact, ..Default::default() }).unwrap_err().to_string();
    assert!(error.ends_with("needs 5 storage buffers, but max_storage_buffers_per_shader_stage is 4"), "{error}");
    // A forced one is refused before the device is asked.
    let descriptor = Conv2dDescriptor { algorithm: Some(Algorithm::Direct), ..Default::default() };
    let error = gpu.run(|r| r.conv_residual(&x, &f, Addends { bias: Some(&b), residual: &residual }, &descriptor)).unwrap_err().to_string();
    assert_eq!(error, "the kernel conv_direct needs 5 storage buffers, but max_storage_buffers_per_shader_stage is 4");
}

#[test]
fn a_device_without_compute_is_refused_by_name() {
    let Err(error) = open(wgpu::Limits::downlevel_webgl2_defaults()) else { panic!("it was adopted") };
    assert_eq!(error.to_string(), "a device for this crate needs 64 invocations, but max_compute_invocations_per_workgroup is 0");
    let descriptor = GpuDescriptor { limits: Some(wgpu::Limits::downlevel_webgl2_defaults()), ..Default::default() };
    assert_eq!(Gpu::with_descriptor(&descriptor).map(|_| ()).unwrap_err().to_string(), error.to_string());
    let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 3, ..wgpu::Limits::downlevel_defaults() };
    let Err(error) = open(few) else { panic!("it was adopted") };
    assert_eq!(error.to_string(), "a device for this crate needs 4 storage buffers, but max_storage_buffers_per_shader_stage is 3");
}

/// Whatever profile a caller makes up, planning ends in a plan or an error.
#[test]
fn planning_takes_any_number_of_invocations() {
    let problem = NormProblem::instance(
        &NormInputs { x: TensorType::f32(&[2, 3, 40, 40]), scale: None, bias: None },
        &InstanceNormDescriptor { epsilon: 1e-5 },
    )
    .unwrap();
    for max_workgroup_invocations in [0, 1, 3, 64, 100, 200, 257, u32::MAX] {
        for max_loop_iterations in [1, 65_535, u64::MAX] {
            let profile = DeviceProfile { max_workgroup_invocations, max_loop_iterations, ..DeviceProfile::MINIMAL };
            if let Ok(plan) = problem.plan(&profile, None) {
                let threads = plan.steps[0].kernel.constant("ROW_THREADS");
                assert!(threads.is_power_of_two() && threads <= max_workgroup_invocations.max(1), "{threads} threads of {max_workgroup_invocations}");
            }
        }
    }
}
