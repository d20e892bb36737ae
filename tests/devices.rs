//! Devices with few limits: what a kernel does not use is not bound, what the device cannot do is refused by the limit's name, and what it
//! computes is verified.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use ndarray::{Array1, Array4, s};
use std::collections::BTreeMap;
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryOp, UnaryProblem, WhereProblem};
use wgconv::gpu::DeviceProfile;
use wgconv::matmul::MatMulProblem;
use wgconv::norm::{InstanceNormDescriptor, NormInputs, NormProblem};
use wgconv::op::{Addends, Op, Planned, Problem};
use wgconv::pool::{PoolDescriptor, PoolProblem};
use wgconv::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{Pad, PadDescriptor, PadMode, Resize, ResizeDescriptor, ResizeMode, Transpose};
use wgconv::validate::{Case, Outcome, grid, tiny_limits, verify};
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

/// Bindings of 1 MiB, 64 workgroups an axis, 4 storage buffers: the smallest case of each op and algorithm, and one of each family that fits no binding.
#[test]
fn every_op_holds_on_tiny_limits_or_is_refused_with_need_and_limit() {
    let gpu = open(tiny_limits()).unwrap();
    assert_eq!((gpu.profile().max_binding_bytes, gpu.profile().max_workgroups_per_axis), (1 << 20, 64));
    let refused = verify_all(&gpu);
    assert!(refused.iter().all(|op| ["batch_norm", "layer_norm", "group_norm", "instance_norm"].contains(&op.as_str())), "{refused:?}");
    let x = TensorType::f32(&[3, 5, 300, 310]); // 5.6 MB, an image 1.9 MB, a plane 372 kB
    let rows = TensorType::f32(&[9, 50_000]);
    let same = Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() };
    let norm = NormInputs { x: TensorType::f32(&[9, 4, 150, 160]), scale: None, bias: None };
    let reduce = |axes: &[isize]| ReduceProblem::new(&x, &ReduceDescriptor::max(axes));
    let all: Vec<(&str, wgconv::Result<Op>)> = vec![
        ("activation", UnaryProblem::new(&x, Activation::Relu).map(Into::into)),
        ("sqrt", UnaryProblem::new(&x, UnaryOp::Sqrt).map(Into::into)),
        ("add", BinaryProblem::new(&x, &x, BinaryOp::Add).map(Into::into)),
        ("where", WhereProblem::new(&x, &x, &TensorType::f32(&[5, 1, 1])).map(Into::into)),
        ("softmax", SoftmaxProblem::new(&rows, &SoftmaxDescriptor { axis: 1, ..Default::default() }).map(Into::into)),
        ("reduce over columns", reduce(&[3]).map(Into::into)),
        ("reduce over planes", reduce(&[2, 3]).map(Into::into)),
        ("reduce over all", reduce(&[]).map(Into::into)),
        ("reduce over images", reduce(&[0]).map(Into::into)),
        ("argmax", ArgmaxProblem::new(&rows, &ArgmaxDescriptor { axis: Some(1), ..Default::default() }).map(Into::into)),
        ("instance norm", NormProblem::instance(&norm, &InstanceNormDescriptor { epsilon: 1e-5 }).map(Into::into)),
        ("matmul", MatMulProblem::matmul(&[700, 600], &[600, 700], ElementType::F32).map(Into::into)),
        ("max pool", PoolProblem::new(&x, &PoolDescriptor::<2>::window([2, 2])).map(Into::into)),
        ("conv", ConvProblem::forward(&ConvInputs::new(&[3, 5, 200, 200], &[2, 5, 3, 3], None), &same).map(Into::into)),
        ("max pool of large planes", PoolProblem::new(&TensorType::f32(&[1, 1, 500, 601]), &PoolDescriptor::<2>::window([3, 2])).map(Into::into)),
        ("transpose", Transpose::new(&x, &[2, 0, 3, 1]).map(Into::into)),
        ("pad", Pad::new(&x, &PadDescriptor { pads: vec![0, 1, 3, 0, 0, 0, 2, 5], mode: PadMode::Circular }).map(Into::into)),
        ("resize", Resize::new(&x, &ResizeDescriptor { sizes: vec![450, 200], mode: ResizeMode::Linear, ..Default::default() }).map(Into::into)),
        ("conv of large images", ConvProblem::forward(&ConvInputs::new(&[2, 5, 300, 200], &[2, 5, 3, 3], None), &same).map(Into::into)),
    ];
    for (name, op) in all {
        let op = op.unwrap();
        match op.plan(gpu.profile(), None) {
            Ok(plan) => {
                let case = Case::new(op, plan.algorithm().to_string());
                assert!(plan.steps.len() > 1, "{name} fits a binding");
                assert_eq!(verify(&gpu, &case), Ok(Outcome::Passed), "{name}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
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
