//! Limits and faults: every mistake is an error with argument, value and rule, a binding that is too small splits the batch, a lost
//! device says so, and the `Gpu` works on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, IxDyn};
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem, FusedPool, plan};
use wgconv::gpu::DeviceProfile;
use wgconv::image::{ImageDescriptor, ImageFormat};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::op::{Planned, Prepared, Problem};
use wgconv::pool::PoolDescriptor;
use wgconv::reduce::{ArgmaxDescriptor, ReduceDescriptor, TopKDescriptor, TopKOrder};
use wgconv::transform::{PadDescriptor, PadMode, ResizeDescriptor, ResizeMode};
use wgconv::{Activation, ElementType, Error, Gpu, GpuDescriptor, Layout, Padding, Tensor, TensorType, wgpu};

/// A small convolution with a known answer: the device still works.
fn assert_works(gpu: &Gpu) {
    let x = gpu.upload(&Array4::<f32>::ones((1, 2, 4, 4))).unwrap();
    let f = gpu.upload(&Array4::<f32>::ones((3, 2, 2, 2))).unwrap();
    let y: Array4<f32> = gpu.run(|r| r.conv2d(&x, &f, None, &Conv2dDescriptor::default())).unwrap().download().unwrap();
    assert_eq!(y, Array4::from_elem((1, 3, 3, 3), 8.0));
}

#[test]
fn every_mistake_names_argument_value_and_rule_and_the_device_works_on() {
    let gpu = gpu();
    let tensor = |extents: &[usize]| gpu.upload(&ArrayD::<f32>::ones(IxDyn(extents))).unwrap();
    let (x, f) = (tensor(&[1, 4, 5, 6]), tensor(&[6, 4, 3, 3]));
    let plain = Conv2dDescriptor::default();
    type Call<'a> = (Conv2dDescriptor, &'a Tensor, &'a Tensor, Option<&'a Tensor>, &'a str);
    let (flat, wide, grouped, bias) = (tensor(&[4, 5, 6]), tensor(&[6, 4, 9, 3]), tensor(&[5, 2, 3, 3]), tensor(&[5]));
    let calls: [Call<'_>; 9] = [
        (plain, &flat, &f, None, "x is [4, 5, 6]: a 2-D convolution takes a x of rank 4, not 3"),
        (plain, &x, &flat, None, "filter is [4, 5, 6]: a 2-D convolution takes a filter of rank 4, not 3"),
        (
            Conv2dDescriptor { groups: 2, ..plain },
            &x,
            &f,
            None,
            "filter is [6, 4, 3, 3]: its second extent, 4, must be the input channels per group: 4 / 2 = 2",
        ),
        (Conv2dDescriptor { stride: [1, 0], ..plain }, &x, &f, None, "stride (width) is 0: a stride must be at least 1"),
        (Conv2dDescriptor { dilation: [0, 1], ..plain }, &x, &f, None, "dilation (height) is 0: a dilation must be at least 1 (1 means none)"),
        (Conv2dDescriptor { groups: 3, ..plain }, &x, &f, None, "groups is 3: groups must divide the 4 input channels"),
        (Conv2dDescriptor { groups: 2, ..plain }, &x, &grouped, None, "groups is 2: groups must divide the 5 output channels"),
        (
            plain,
            &x,
            &wide,
            None,
            "filter (height) is 9: the window extent = dilation x (filter - 1) + 1 = 9 must fit into the padded input 5 + 0 + 0 = 5",
        ),
        (plain, &x, &f, Some(&bias), "bias is [5]: it has one value per output channel: [6]"),
    ];
    for (descriptor, x, filter, bias, message) in calls {
        let error = gpu.run(|r| r.conv2d(x, filter, bias, &descriptor)).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_works(&gpu);
    }
    let error = gpu.upload(&Array4::<f32>::ones((1, 0, 4, 4))).unwrap_err().to_string();
    assert_eq!(error, "shape is [1, 0, 4, 4]: every extent must be at least 1");
    let error = gpu.upload(&ArrayD::<f32>::ones(IxDyn(&[1; 6]))).unwrap_err().to_string();
    assert_eq!(error, "shape is [1, 1, 1, 1, 1, 1]: rank 6 is above the largest rank, 5");
    let error = x.download::<f32, ndarray::Ix3>().unwrap_err().to_string();
    assert_eq!(error, "the rank of the array is 3: the tensor has shape [1, 4, 5, 6]");
    assert!(x.download::<half::f16, ndarray::Ix4>().is_err());
}

#[test]
fn a_forced_algorithm_runs_or_is_refused_by_name() {
    let gpu = gpu();
    let x = gpu.upload(&Array4::<f32>::ones((1, 4, 5, 6))).unwrap();
    let f = gpu.upload(&Array4::<f32>::ones((6, 4, 3, 3))).unwrap();
    for (algorithm, reason) in [
        (Algorithm::Depthwise, "algorithm depthwise does not apply: it needs one input channel per group, and 4 channels in 1 groups make 4"),
        (Algorithm::PointwiseRegister, "algorithm pointwise_register does not apply: it needs filter extent 1"),
        (Algorithm::PointwiseWorkgroup, "algorithm pointwise_workgroup does not apply: it needs filter extent 1"),
    ] {
        let error =
            gpu.run(|r| r.conv2d(&x, &f, None, &Conv2dDescriptor { algorithm: Some(algorithm), ..Default::default() })).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    let winograd = |accuracy| {
        let descriptor = Conv2dDescriptor { algorithm: Some(Algorithm::WinogradF2), accuracy, ..Default::default() };
        gpu.run(|r| r.conv2d(&x, &f, None, &descriptor)).map(|_| ()).map_err(|e| e.to_string())
    };
    let error = winograd(Accuracy::F32).unwrap_err();
    assert!(error.contains("its error bound is 2.99 times that of plain f32 sums here; accuracy reduced admits that, f32 does not"), "{error}");
    assert_eq!(winograd(Accuracy::Reduced), Ok(()));
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse::<Algorithm>().unwrap(), algorithm);
    }
    let error = "winograd".parse::<Algorithm>().unwrap_err().to_string();
    assert!(error.starts_with("algorithm is winograd: it is one of direct,"), "{error}");
}

#[test]
fn tensors_of_another_device_and_aliases_are_refused() {
    let (here, there) = (gpu(), gpu());
    let x = here.upload(&Array4::<f32>::ones((1, 2, 4, 4))).unwrap();
    let f = there.upload(&Array4::<f32>::ones((3, 2, 2, 2))).unwrap();
    let error = here.run(|r| r.conv2d(&x, &f, None, &Conv2dDescriptor::default())).unwrap_err();
    assert_eq!(error, Error::OtherDevice { argument: "filter".into() });
    let error = there.run(|r| r.conv2d(&x, &f, None, &Conv2dDescriptor::default())).unwrap_err();
    assert_eq!(error, Error::OtherDevice { argument: "x".into() });
    // x and y in one buffer: wgpu could not record it, so it is refused by name.
    let f = here.upload(&Array4::<f32>::ones((2, 2, 1, 1))).unwrap();
    let conv = Prepared::new(&here, ConvProblem::forward(&ConvInputs::of(&x, &f, None), &Conv2dDescriptor::default()).unwrap(), &[&f]).unwrap();
    let error = conv.record(&mut here.recorder(), &[&x], &[&x]).unwrap_err().to_string();
    assert!(error.starts_with("y is a range of the buffer of x:"), "{error}");
    assert_works(&here);
    assert_works(&there);
}

#[test]
fn sizes_past_the_arithmetic_or_the_device_name_need_and_limit() {
    let problem = |x: &[usize], filter: &[usize]| ConvProblem::forward::<2>(&ConvInputs::new(x, filter, None), &Conv2dDescriptor::default());
    let direct = |x: &[usize], filter: &[usize]| {
        let descriptor = Conv2dDescriptor { algorithm: Some(Algorithm::Direct), ..Default::default() };
        ConvProblem::forward::<2>(&ConvInputs::new(x, filter, None), &descriptor).unwrap()
    };
    let large = problem(&[1, 1, 1 << 16, 1 << 16], &[1, 1, 3, 3]).unwrap();
    let error = plan(&large, &DeviceProfile::MINIMAL).unwrap_err().to_string();
    assert_eq!(error, "x needs 4294967296 elements, but the largest 31-bit index is 2147483647");
    // Of 256 MiB, where a binding holds 128: in bands.
    let medium = problem(&[1, 1, 1 << 13, 1 << 13], &[1, 1, 3, 3]).unwrap();
    assert!(plan(&medium, &DeviceProfile::MINIMAL).unwrap().steps.len() > 3);
    // Filters of 144 MiB, by output channels; one filter of as many is not cut.
    let wide = problem(&[1, 1 << 12, 4, 4], &[1 << 10, 1 << 12, 3, 3]).unwrap();
    assert!(plan(&wide, &DeviceProfile::MINIMAL).unwrap().steps.len() > 1);
    let deep = direct(&[1, 1 << 22, 3, 3], &[1, 1 << 22, 3, 3]);
    let error = plan(&deep, &DeviceProfile::MINIMAL).unwrap_err();
    let limit_name = "max_storage_buffer_binding_size";
    assert_eq!(error, Error::TooLarge { argument: "filter".into(), needed: 9 << 24, unit: "bytes", limit_name, limit: 128 << 20 });
    let error = problem(&[1 << 32, 1, 1 << 32, 1], &[1, 1, 1, 1]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { needed: 18_446_744_073_709_551_616, .. }), "{error}");
    let gpu = gpu();
    let error = gpu.zeros(&[1 << 20, 1 << 20], ElementType::F32, Layout::ChannelsFirst).unwrap_err();
    assert!(matches!(error, Error::TooLarge { needed: 4_398_046_511_104, limit_name: "max_buffer_size", .. }), "{error}");
    assert_works(&gpu);
}

/// A device of these limits.
fn gpu_of(required_limits: wgpu::Limits) -> Gpu {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("an adapter");
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Gpu::from_wgpu(adapter, device, queue).unwrap()
}

/// A device whose bindings hold 64 KiB: what does not fit is split over the batch.
fn narrow_gpu() -> Gpu {
    gpu_of(wgpu::Limits { max_storage_buffer_binding_size: 64 << 10, max_compute_workgroups_per_dimension: 40, ..wgpu::Limits::default() })
}

#[test]
fn what_does_not_fit_one_binding_is_split_over_the_batch_and_dispatches_fold() {
    let (narrow, wide) = (narrow_gpu(), gpu());
    // One image of x is 3 x 25 x 21 x 4 = 6,300 bytes, no multiple of any alignment; 30 of them are three times the binding.
    let mut i = 0;
    let image = Array4::from_shape_simple_fn((30, 3, 25, 21), || {
        i += 5;
        (i % 9) as f32 - 4.0
    });
    let filter = Array4::from_shape_fn((4, 3, 3, 3), |(k, c, r, s)| ((k + 2 * c + 3 * r + 5 * s) % 7) as f32 - 3.0);
    let bias = Array1::from_iter([1.0f32, 2.0, 3.0, 4.0]);
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        // An algorithm and its calls for each slice.
        let algorithms =
            [(Algorithm::Direct, 1), (Algorithm::ImplicitGemmRegister, 1), (Algorithm::ImplicitGemmWorkgroup, 1), (Algorithm::WinogradF2, 3)];
        for (algorithm, calls) in algorithms {
            let (padding, accuracy) = (Padding::Same, Accuracy::Reduced);
            let plain = Conv2dDescriptor { padding, accuracy, algorithm: Some(algorithm), ..Default::default() };
            let run = |gpu: &Gpu, pool: Option<FusedPool>| -> (usize, Array4<f32>) {
                let descriptor = Conv2dDescriptor { pool, ..plain };
                let (x, f, b) = (gpu.upload_as(&image, layout).unwrap(), gpu.upload(&filter).unwrap(), gpu.upload(&bias).unwrap());
                let conv = Prepared::new(gpu, ConvProblem::forward(&ConvInputs::of(&x, &f, Some(&b)), &descriptor).unwrap(), &[&f, &b]).unwrap();
                let y = conv.output().unwrap();
                let mut recorder = gpu.recorder();
                conv.record(&mut recorder, &[&x], &[&y]).unwrap();
                recorder.submit().unwrap();
                (conv.plan().steps.len() / calls, y.download().unwrap())
            };
            let ((slices, split), (full_chunks, whole)) = (run(&narrow, None), run(&wide, None));
            assert!(slices > 2 && full_chunks == 1, "{slices} slices against {full_chunks}");
            assert_eq!(split, whole, "{algorithm} {layout:?}");
            // The unpooled output in scratch memory is larger than a binding, or there is none.
            assert_eq!(run(&narrow, Some(FusedPool::Max)).1, run(&wide, Some(FusedPool::Max)).1, "{algorithm} {layout:?}, pooled");
        }
    }
}

/// No binding holds an image: its rows go through scratch memory, on a device that would refuse a larger binding.
#[test]
fn what_is_larger_than_a_binding_goes_through_it_in_bands() {
    let (narrow, wide) = (narrow_gpu(), gpu());
    let mut i = 0;
    let image = Array4::from_shape_simple_fn((2, 3, 150, 133), || {
        i += 5;
        (i % 9) as f32 - 4.0
    });
    let filter = Array4::from_shape_fn((4, 3, 3, 3), |(k, c, r, s)| ((k + 2 * c + 3 * r + 5 * s) % 7) as f32 - 3.0);
    let bytes: Vec<u8> = (0..150 * 133 * 4).map(|i| (i * 7 % 251) as u8).collect();
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let run = |gpu: &Gpu| -> Vec<ArrayD<f32>> {
            let (x, f) = (gpu.upload_as(&image, layout).unwrap(), gpu.upload(&filter).unwrap());
            let words = gpu.upload(&Array1::from_iter(bytes.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])))).unwrap();
            let same = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
            let outputs = gpu
                .run(|r| {
                    Ok([
                        r.conv2d(&x, &f, None, &same)?,
                        r.conv2d(&x, &f, None, &Conv2dDescriptor { pool: Some(FusedPool::Max), ..same })?,
                        r.pool(&x, &PoolDescriptor::window([3, 2]).with_stride([2, 2]))?,
                        r.to_layout(&x, Layout::ChannelsFirst)?,
                        r.transpose(&x, &[0, 3, 1, 2])?,
                        r.pad(&x, &PadDescriptor { pads: vec![0, 0, 3, 2, 0, 0, 1, 4], mode: PadMode::Reflect })?,
                        r.resize(&x, &ResizeDescriptor { sizes: vec![75, 266], mode: ResizeMode::Linear, ..Default::default() })?,
                        r.image_from_bytes(&words, ImageFormat::Rgba8, [1, 150, 133], &ImageDescriptor { layout, ..Default::default() })?,
                    ])
                })
                .unwrap();
            outputs.iter().map(|y| y.download().unwrap()).collect()
        };
        assert_eq!(run(&narrow), run(&wide), "{layout:?}");
    }
}

/// The true case: 144 MB, where WebGPU's default limits give a binding 128 MiB.
#[test]
fn a_photograph_of_12_megapixels_is_filtered() {
    let gpu = gpu_of(wgpu::Limits::default());
    let (height, width) = (3000, 4000);
    let image = Array4::from_shape_fn((1, 3, height, width), |(_, c, h, w)| ((3 * c + 5 * h + 7 * w) % 11) as f32 - 5.0);
    let filter = Array4::from_shape_fn((3, 1, 3, 3), |(k, _, r, s)| ((k + 3 * r + 5 * s) % 7) as f32 - 3.0);
    let (x, f) = (gpu.upload(&image).unwrap(), gpu.upload(&filter).unwrap());
    let descriptor = Conv2dDescriptor { padding: Padding::Same, groups: 3, ..Default::default() };
    let y: Array4<f32> = gpu.run(|r| r.conv2d(&x, &f, None, &descriptor)).unwrap().download().unwrap();
    let padded = |c: usize, h: i64, w: i64| match (usize::try_from(h), usize::try_from(w)) {
        (Ok(h), Ok(w)) if h < height && w < width => image[[0, c, h, w]],
        _ => 0.0,
    };
    let wrong = y.indexed_iter().find(|((_, c, h, w), v)| {
        let taps = (0..3).flat_map(|r| (0..3).map(move |s| (r, s)));
        let sum: f32 = taps.map(|(r, s)| padded(*c, (h + r) as i64 - 1, (w + s) as i64 - 1) * filter[[*c, 0, r, s]]).sum();
        sum != **v
    });
    assert_eq!(wrong, None);
}

/// Slices begin anywhere in a binding, and each has partial sums of its own in the same scratch memory.
#[test]
fn vectors_along_channels_and_splits_of_the_depth_hold_in_every_slice() {
    let (narrow, wide) = (narrow_gpu(), gpu());
    let image = Array4::from_shape_fn((11, 8, 25, 21), |(n, c, h, w)| ((5 * n + 3 * c + 2 * h + w) % 9) as f32 - 4.0);
    let filter = Array4::from_shape_fn((4, 8, 3, 3), |(k, c, r, s)| ((k + 2 * c + 3 * r + 5 * s) % 7) as f32 - 3.0);
    let (x_layout, y_layout) = (Layout::ChannelsLast, Layout::ChannelsLast);
    let descriptor = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
    let problem = ConvProblem::forward(
        &ConvInputs { x: TensorType::new(&[11, 8, 25, 21], ElementType::F32, x_layout), filter: &[4, 8, 3, 3], bias: None, y_layout },
        &descriptor,
    )
    .unwrap();
    let run = |gpu: &Gpu, label: &str| -> (usize, Array4<f32>) {
        let (x, f) = (gpu.upload_as(&image, x_layout).unwrap(), gpu.upload(&filter).unwrap());
        let conv = Prepared::with_algorithm(gpu, &problem, label, &[&f]).unwrap();
        let y = conv.outputs().unwrap().pop().unwrap();
        let mut recorder = gpu.recorder();
        conv.record(&mut recorder, &[&x], &[&y]).unwrap();
        recorder.submit().unwrap();
        (conv.plan().steps.len(), y.download().unwrap())
    };
    let (_, expected) = run(&wide, "direct");
    for (label, calls) in [
        ("implicit_gemm_workgroup 64x64x16", 1),
        ("implicit_gemm_workgroup 32x32x16", 1),
        ("implicit_gemm_workgroup 64x64x16/2", 2),
        ("implicit_gemm_workgroup 64x64x16/4", 2),
    ] {
        let (steps, y) = run(&narrow, label);
        assert!(steps > 2 * calls, "{label}: {steps}");
        assert_eq!(y, expected, "{label}");
    }
    // Filters are padded to whole tiles: 2^25 of them to 2^32 elements, which no 32 bits count.
    let many = 1 << 25;
    let descriptor = Conv2dDescriptor { groups: many, ..Default::default() };
    let depthwise = ConvProblem::forward(&ConvInputs::new(&[1, many, 1, 1], &[many, 1, 1, 1], None), &descriptor).unwrap();
    let packed = depthwise.plan(&DeviceProfile::MINIMAL, Some("pointwise_workgroup 128x128x16")).unwrap_err().to_string();
    assert_eq!(packed, "the packed filter needs 17179869184 bytes, but max_storage_buffer_binding_size is 134217728");
}

/// The device itself refuses a binding that is too large; the checks of what the parts compute are in the grid (`_binding4096`).
#[test]
fn products_larger_than_a_binding_are_computed_in_parts() {
    let (narrow, wide) = (narrow_gpu(), gpu());
    let values = |extents: &[usize], step: usize| {
        let mut i = 0;
        ArrayD::<f32>::from_shape_simple_fn(IxDyn(extents), || {
            i += step;
            (i % 9) as f32 - 4.0
        })
    };
    let transposed = GemmDescriptor { trans_a: true, trans_b: true, alpha: 2.0, ..Default::default() };
    let element = ElementType::F32;
    let linear = MatMulProblem::linear(
        &MatMulInputs { a: &[7, 1000], b: &[130, 1000], addend: Some(&[130]), element },
        &LinearDescriptor { activation: Activation::Relu, ..Default::default() },
    )
    .unwrap();
    let problems = [
        MatMulProblem::matmul(&[3, 150, 133], &[3, 133, 161], element).unwrap(),
        MatMulProblem::matmul(&[1, 400], &[400, 300], element).unwrap(),
        MatMulProblem::gemm(&MatMulInputs { a: &[190, 210], b: &[180, 190], addend: Some(&[210, 180]), element }, &transposed).unwrap(),
        linear.with_residual(true),
        MatMulProblem::linear(&MatMulInputs { a: &[1, 20_000], b: &[5, 20_000], addend: Some(&[5]), element }, &LinearDescriptor::default()).unwrap(),
    ];
    for problem in &problems {
        let operands: Vec<_> = problem.inputs().iter().enumerate().map(|(i, spec)| values(&spec.tensor.extents, 5 + 2 * i)).collect();
        let run = |gpu: &Gpu, label: &str| -> (usize, ArrayD<f32>) {
            let tensors: Vec<Tensor> = operands.iter().map(|values| gpu.upload(values).unwrap()).collect();
            let part = |constant| -> Vec<&Tensor> {
                problem.inputs().iter().zip(&tensors).filter(|(s, _)| s.constant == constant).map(|(_, t)| t).collect()
            };
            let product = Prepared::with_algorithm(gpu, problem, label, &part(true)).unwrap();
            let y = product.outputs().unwrap().pop().unwrap();
            let mut recorder = gpu.recorder();
            product.record(&mut recorder, &part(false), &[&y]).unwrap();
            recorder.submit().unwrap();
            (product.plan().steps.len(), y.download().unwrap())
        };
        let (whole, expected) = run(&wide, "direct");
        assert_eq!(whole, 1);
        for algorithm in problem.algorithms(narrow.profile()) {
            let (steps, y) = run(&narrow, algorithm);
            assert!(steps > 1, "{algorithm} {problem}");
            assert_eq!(y, expected, "{algorithm} {problem}");
        }
    }
}

#[test]
fn pools_elementwise_ops_and_softmax_are_split_too() {
    let (narrow, wide) = (narrow_gpu(), gpu());
    let mut i = 0;
    let image = Array4::from_shape_simple_fn((30, 3, 25, 21), || {
        i += 5;
        (i % 9) as f32 - 4.0
    });
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let bias = ndarray::array![[[1.0f32]], [[2.0]], [[3.0]]];
        let run = |gpu: &Gpu| -> [Array4<f32>; 5] {
            let x = gpu.upload_as(&image, layout).unwrap();
            let pooled = gpu.run(|r| r.pool(&x, &PoolDescriptor::window([3, 2]))).unwrap();
            let activated = gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap();
            let soft = gpu.run(|r| r.softmax(&x, 2)).unwrap();
            let added = gpu.run(|r| r.add(&x, &x)).unwrap();
            let shifted = gpu.run(|r| r.sub(&gpu.upload(&bias).unwrap(), &x)).unwrap();
            [pooled, activated, soft, added, shifted].map(|y| y.download().unwrap())
        };
        assert_eq!(run(&narrow), run(&wide), "{layout:?}");
    }
    // A reduction over the images is one over parts of them, and over what those give.
    let of = |gpu: &Gpu, axes: &[isize]| -> ArrayD<f32> {
        let x = gpu.upload(&image).unwrap();
        gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(axes))).unwrap().download().unwrap()
    };
    for axes in [&[0isize][..], &[1], &[2, 3], &[]] {
        assert_eq!(of(&narrow, axes), of(&wide, axes), "{axes:?}");
    }
    // Lines that no binding holds are walked in parts, and the first of equals is the same.
    // Numbers that only the maximum of all parts keeps inside f32.
    let mut image = image;
    image.slice_mut(ndarray::s![0, .., .., ..]).mapv_inplace(|v| v + 1000.0);
    let lines = |gpu: &Gpu, select_last| -> (Array4<f32>, Array3<u32>) {
        let x = gpu.upload(&image).unwrap();
        let soft = gpu.run(|r| r.softmax(&x, 0)).unwrap().download().unwrap();
        (soft, gpu.run(|r| r.argmax(&x, &ArgmaxDescriptor { axis: Some(0), select_last, ..Default::default() })).unwrap().download().unwrap())
    };
    for select_last in [false, true] {
        let ((parts, index), (whole, wanted)) = (lines(&narrow, select_last), lines(&wide, select_last));
        assert_eq!(index, wanted);
        assert!(parts.iter().zip(&whole).all(|(p, w)| (p - w).abs() <= 1e-6 * w), "sums in another order");
    }
    // What cannot be split is refused with need and limit.
    let x = narrow.upload(&Array2::<f32>::zeros((2, 20_000))).unwrap();
    let error = narrow.run(|r| r.top_k(&x, &TopKDescriptor { k: 3, axis: 1, order: TopKOrder::Largest })).unwrap_err().to_string();
    assert_eq!(error, "x needs 160000 bytes, but max_storage_buffer_binding_size is 65536");
}

#[test]
fn f16_without_support_is_refused_by_name() {
    let narrow = narrow_gpu(); // opened without any feature
    let halves = Array1::from_iter([half::f16::ONE]);
    let error = narrow.upload(&halves).unwrap_err();
    assert!(matches!(error, Error::MissingFeature { feature: "shader-f16", .. }), "{error}");
    assert_works(&narrow);
}

#[test]
fn a_lost_device_is_an_error_of_its_own_and_a_new_one_works() {
    let lost = gpu();
    let x = lost.upload(&Array4::<f32>::ones((1, 2, 4, 4))).unwrap();
    lost.device().destroy();
    let f = lost.upload(&Array4::<f32>::ones((3, 2, 2, 2)));
    assert!(matches!(f, Err(Error::DeviceLost { .. })), "{f:?}");
    let error = x.download::<f32, ndarray::Ix4>().unwrap_err();
    assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    assert_works(&gpu());
    // A device that the caller owns: its own callback hands the news on.
    let adopted = narrow_gpu();
    adopted.note_device_lost("the caller's callback was called");
    let error = adopted.zeros(&[1], ElementType::F32, Layout::ChannelsFirst).unwrap_err().to_string();
    assert_eq!(error, "the device was lost (the caller's callback was called); make a new Gpu and upload again");
}

#[test]
fn a_broken_kernel_is_reported_as_this_crates_bug() {
    let patch = |_: &str, text: String| text.replacen("fn main", "fn mian", 1);
    let source_patch = Some(wgconv::gpu::SourcePatch(std::sync::Arc::new(patch)));
    let broken = Gpu::with_descriptor(&GpuDescriptor { source_patch, ..Default::default() }).unwrap();
    let x = broken.upload(&Array4::<f32>::ones((1, 2, 4, 4))).unwrap();
    let f = broken.upload(&Array4::<f32>::ones((3, 2, 2, 2))).unwrap();
    let error = broken.run(|r| r.conv2d(&x, &f, None, &Conv2dDescriptor::default())).unwrap_err().to_string();
    assert!(error.starts_with("internal error in conv_") && error.contains("report"), "{error}");
    let back: Array4<f32> = x.download().unwrap();
    assert_eq!(back.sum(), 32.0, "the device works on");
}

#[test]
fn an_adapter_that_is_not_there_is_named_with_those_that_are() {
    let error = Gpu::with_descriptor(&GpuDescriptor { adapter: Some("no such device".into()), ..Default::default() }).unwrap_err();
    let Error::NoAdapter { found, .. } = &error else { panic!("{error}") };
    assert!(found.contains("0: "), "{error}");
    let first = Gpu::with_descriptor(&GpuDescriptor { adapter: Some("0".into()), ..Default::default() }).unwrap();
    assert_eq!(first.report().index, 0);
    let part: String = first.report().name.chars().take(4).collect::<String>().to_uppercase();
    assert_eq!(Gpu::with_descriptor(&GpuDescriptor { adapter: Some(part), ..Default::default() }).unwrap().report().index, 0);
}
