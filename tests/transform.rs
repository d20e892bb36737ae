//! Shape ops as an embedder meets them: known values, both layouts, f32, f16 and u32, messages, the CPU engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use half::f16;
use ndarray::{Array, Array1, Array2, Array4, ArrayD, Dimension, Ix1, Ix2, Ix4, IxDyn, array};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgconv::gpu::{DeviceProfile, SourcePatch};
use wgconv::numeric::Generator;
use wgconv::op::{Planned, Problem, Referenced};
use wgconv::transform::*;
use wgconv::transform::{DepthToSpaceDescriptor, PadDescriptor, ResizeDescriptor, SliceDescriptor};
use wgconv::validate::{Options, Outcome, data, grid, run};
use wgconv::{Element, ElementType, Gpu, GpuDescriptor, Layout, Tensor, TensorType};

const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

/// 0, 1, 2, ... in logical order.
fn counted<T: Element>(extents: &[usize]) -> ArrayD<T> {
    let mut next = -1.0;
    ArrayD::from_shape_simple_fn(IxDyn(extents), || {
        next += 1.0;
        T::from_f64(next)
    })
}

fn down<T: Element, D: Dimension>(tensor: &Tensor) -> Array<T, D> {
    tensor.download().unwrap()
}

/// Each movement of a counted tensor against ndarray's own, for one element type.
fn moves<T: Element>(gpu: &Gpu) {
    let a = counted::<T>(&[2, 4, 6, 5]);
    for layout in LAYOUTS {
        let x = gpu.upload_as(&a, layout).unwrap();
        let y = gpu.run(|r| r.transpose(&x, &[2, 0, 3, 1])).unwrap();
        assert_eq!(y.layout(), Layout::ChannelsFirst);
        assert_eq!(down::<T, IxDyn>(&y), a.view().permuted_axes(vec![2, 0, 3, 1]));
        for other in LAYOUTS {
            let y = gpu.run(|r| r.to_layout(&x, other)).unwrap();
            assert_eq!(y.layout(), other);
            assert_eq!(down::<T, IxDyn>(&y), a);
        }
        let y = gpu
            .run(|r| {
                r.slice(
                    &x,
                    &SliceDescriptor { starts: vec![1, -1, 0], ends: vec![isize::MAX, isize::MIN, 5], axes: vec![1, -1, 2], steps: vec![2, -2, 3] },
                )
            })
            .unwrap();
        assert_eq!(y.layout(), layout);
        assert_eq!(down::<T, IxDyn>(&y), a.slice(ndarray::s![.., 1..;2, 0..5;3, ..;-2]).into_dyn());
        let z = gpu.upload(&counted::<T>(&[2, 3, 6, 5])).unwrap();
        let y = gpu.run(|r| r.concat(&[&x, &z, &x], 1)).unwrap();
        assert_eq!(y.layout(), layout);
        let b = counted::<T>(&[2, 3, 6, 5]);
        let joined = ndarray::concatenate(ndarray::Axis(1), &[a.view(), b.view(), a.view()]).unwrap();
        assert_eq!(down::<T, IxDyn>(&y), joined);
        for mode in [DepthToSpaceMode::Dcr, DepthToSpaceMode::Crd] {
            let wide = gpu.run(|r| r.depth_to_space(&x, &DepthToSpaceDescriptor { block: 2, mode })).unwrap();
            assert_eq!((wide.shape().extents(), wide.layout()), (&[2, 1, 12, 10][..], layout));
            assert_eq!(down::<T, IxDyn>(&gpu.run(|r| r.space_to_depth(&wide, &DepthToSpaceDescriptor { block: 2, mode })).unwrap()), a);
        }
        let y: ArrayD<T> =
            down(&gpu.run(|r| r.pad(&x, &PadDescriptor { pads: vec![0, 1, 0, 2, 1, 0, 0, 0], mode: PadMode::Constant(3.0) })).unwrap());
        assert_eq!(y.slice(ndarray::s![..2, 1.., .., 2..]).into_dyn(), a);
        assert_eq!(y[[2, 1, 0, 2]], T::from_f64(3.0));
        assert_eq!(y[[0, 1, 0, 1]], T::from_f64(3.0));
        let y: ArrayD<T> = down(&gpu.run(|r| r.resize(&x, &ResizeDescriptor { sizes: vec![12, 10], ..Default::default() })).unwrap());
        assert_eq!(y.slice(ndarray::s![.., .., ..;2, 1..;2]).into_dyn(), a);
    }
}

#[test]
fn movements_agree_with_ndarray_in_every_element_type() {
    let gpu = gpu();
    moves::<f32>(&gpu);
    moves::<u32>(&gpu);
    if gpu.profile().has_f16 {
        moves::<f16>(&gpu);
    }
}

#[test]
fn known_values_of_depth_to_space() {
    // ONNX's own example: channels 0, 9, 18, 27 begin the four blocks.
    let x = Array4::from_shape_fn((1, 8, 2, 3), |(_, c, h, w)| (9 * c + 3 * h + w) as f32);
    let gpu = gpu();
    let x = gpu.upload(&x).unwrap();
    let dcr: Array4<f32> = down(&gpu.run(|r| r.depth_to_space(&x, &DepthToSpaceDescriptor { block: 2, mode: DepthToSpaceMode::Dcr })).unwrap());
    assert_eq!(dcr.slice(ndarray::s![0, 0, 0, ..]), array![0.0, 18.0, 1.0, 19.0, 2.0, 20.0]);
    assert_eq!(dcr.slice(ndarray::s![0, 1, 1, ..]), array![45.0, 63.0, 46.0, 64.0, 47.0, 65.0]);
    let crd: Array4<f32> = down(&gpu.run(|r| r.depth_to_space(&x, &DepthToSpaceDescriptor { block: 2, mode: DepthToSpaceMode::Crd })).unwrap());
    assert_eq!(crd.slice(ndarray::s![0, 0, 0, ..]), array![0.0, 9.0, 1.0, 10.0, 2.0, 11.0]);
    assert_eq!(crd.slice(ndarray::s![0, 1, 1, ..]), array![54.0, 63.0, 55.0, 64.0, 56.0, 65.0]);
}

#[test]
fn known_values_of_pads_and_resizes() {
    let gpu = gpu();
    let x = gpu.upload(&array![1.0f32, 2.0, 3.0]).unwrap();
    let pad = |pads: &[usize], mode| down::<f32, Ix1>(&gpu.run(|r| r.pad(&x, &PadDescriptor { pads: pads.to_vec(), mode })).unwrap());
    assert_eq!(pad(&[1, 2], PadMode::Constant(9.5)), array![9.5, 1.0, 2.0, 3.0, 9.5, 9.5]);
    assert_eq!(pad(&[2, 1], PadMode::Reflect), array![3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    assert_eq!(pad(&[2, 4], PadMode::Replicate), array![1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]);
    assert_eq!(pad(&[3, 2], PadMode::Circular), array![1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]);

    // ONNX's resize_upsample_scales_linear: one bilinear plane, by 2.
    let x = gpu.upload(&Array4::from_shape_vec((1, 1, 2, 2), vec![1.0f32, 2.0, 3.0, 4.0]).unwrap()).unwrap();
    let linear = |coordinates| ResizeDescriptor { sizes: vec![4, 4], mode: ResizeMode::Linear, coordinates, scales: None };
    let plane = |y: Tensor| down::<f32, Ix4>(&y).into_shape_with_order((4, 4)).unwrap();
    let y = plane(gpu.run(|r| r.resize(&x, &linear(CoordinateMode::HalfPixel))).unwrap());
    assert_eq!(y, array![[1.0, 1.25, 1.75, 2.0], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3.0, 3.25, 3.75, 4.0]]);
    // The weights of align_corners are thirds here, so it is near and not equal.
    let y = plane(gpu.run(|r| r.resize(&x, &linear(CoordinateMode::AlignCorners))).unwrap());
    let expected = array![[3.0f32, 4.0, 5.0, 6.0], [5.0, 6.0, 7.0, 8.0], [7.0, 8.0, 9.0, 10.0], [9.0, 10.0, 11.0, 12.0]] / 3.0;
    assert!(y.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{y}");
    let (mode, coordinates) = (ResizeMode::Nearest(NearestMode::Floor), CoordinateMode::Asymmetric);
    let nearest = ResizeDescriptor { sizes: vec![4, 4], mode, coordinates, scales: None };
    let y = plane(gpu.run(|r| r.resize(&x, &nearest)).unwrap());
    assert_eq!(y, array![[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0], [3.0, 3.0, 4.0, 4.0]]);
}

#[test]
fn nothing_is_changed_on_the_way() {
    let gpu = gpu();
    // A NaN with a payload, a subnormal, -0, infinity: f32 is moved as bits.
    let bits = [0x7fc1_2345u32, 0x0000_0001, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x3f80_0000];
    let x = gpu.upload(&Array2::from_shape_vec((2, 3), bits.map(f32::from_bits).to_vec()).unwrap()).unwrap();
    let y: Array2<f32> = down(&gpu.run(|r| r.transpose(&x, &[1, 0])).unwrap());
    assert_eq!(y.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [bits[0], bits[3], bits[1], bits[4], bits[2], bits[5]]);
    // An infinite neighbour of weight 0 stays out of the result.
    let x = gpu.upload(&Array::from_shape_vec((1, 1, 3), vec![1.0f32, f32::INFINITY, 2.0]).unwrap()).unwrap();
    let linear = ResizeDescriptor { sizes: vec![5], mode: ResizeMode::Linear, coordinates: CoordinateMode::AlignCorners, scales: None };
    let y: ArrayD<f32> = down(&gpu.run(|r| r.resize(&x, &linear)).unwrap());
    assert_eq!(y.into_raw_vec_and_offset().0, [1.0, f32::INFINITY, f32::INFINITY, f32::INFINITY, 2.0]);
}

#[test]
fn reshapes_share_the_buffer_where_they_can_and_are_copied_where_not() {
    let gpu = gpu();
    let a = counted::<f32>(&[2, 3, 4, 5]);
    let first = gpu.upload(&a).unwrap();
    let flat = first.reshape(&[0, -1]).unwrap();
    assert_eq!((flat.shape().extents(), flat.buffer() == first.buffer()), (&[2, 60][..], true));
    assert_eq!(down::<f32, Ix2>(&flat).into_dyn(), a.clone().into_shape_with_order(IxDyn(&[2, 60])).unwrap());
    assert_eq!(first.flatten(-2).unwrap().shape().extents(), [6, 20]);

    let last = gpu.upload_as(&a, Layout::ChannelsLast).unwrap();
    let error = last.reshape(&[120]).unwrap_err().to_string();
    assert!(error.starts_with("x is [2, 3, 4, 5] stored channels_last: its memory order is not its logical order,"), "{error}");
    assert!(error.contains("to_layout") && last.flatten(1).is_err());
    assert_eq!(last.reshape(&[2, 3, 4, 5]).unwrap().layout(), Layout::ChannelsLast);
    let counted: Vec<f32> = (0..120).map(|i| i as f32).collect();
    assert_eq!(down::<f32, Ix1>(&gpu.run(|r| r.reshape(&last, &[120])).unwrap()).to_vec(), counted);
    assert_eq!(down::<f32, Ix2>(&gpu.run(|r| r.flatten(&last, 1)).unwrap()).into_raw_vec_and_offset().0, counted);

    // What a global pool leaves is the same in both layouts.
    let pooled = gpu.upload_as(&Array4::<f32>::ones((2, 7, 1, 1)), Layout::ChannelsLast).unwrap();
    let dense = pooled.flatten(1).unwrap();
    assert_eq!((dense.shape().extents(), dense.buffer() == pooled.buffer()), (&[2, 7][..], true));
    assert!(gpu.run(|r| r.to_layout(&pooled, Layout::ChannelsFirst)).unwrap().buffer() == pooled.buffer());
    let scalar = gpu.upload(&Array1::from_iter([5.0f32])).unwrap().reshape(&[]).unwrap();
    assert_eq!(scalar.shape().rank(), 0);
}

#[test]
fn ops_meet_in_one_recording() {
    let gpu = gpu();
    let a = counted::<f32>(&[1, 4, 3, 3]);
    let x = gpu.upload_as(&a, Layout::ChannelsLast).unwrap();
    let mut recorder = gpu.recorder();
    let padded = recorder.pad(&x, &PadDescriptor { pads: vec![0, 0, 1, 1, 0, 0, 1, 1], mode: PadMode::Constant(-1.0) }).unwrap();
    let cut = recorder.slice(&padded, &SliceDescriptor { starts: vec![1, 1], ends: vec![-1, -1], axes: vec![2, 3], ..Default::default() }).unwrap();
    let wide = recorder.depth_to_space(&cut, &DepthToSpaceDescriptor { block: 2, mode: DepthToSpaceMode::Crd }).unwrap();
    let back = recorder.space_to_depth(&wide, &DepthToSpaceDescriptor { block: 2, mode: DepthToSpaceMode::Crd }).unwrap();
    let both = recorder.concat(&[&back, &x], -1).unwrap();
    let flat = recorder.flatten(&both, 1).unwrap();
    recorder.submit().unwrap();
    let expected = ndarray::concatenate(ndarray::Axis(3), &[a.view(), a.view()]).unwrap();
    assert_eq!(down::<f32, Ix2>(&flat).into_raw_vec_and_offset().0, expected.iter().copied().collect::<Vec<_>>());
}

#[test]
fn every_mistake_names_argument_value_and_rule() {
    let gpu = gpu();
    let tensor = |extents: &[usize]| gpu.upload(&counted::<f32>(extents)).unwrap();
    let (row, plane, image) = (tensor(&[3, 4]), tensor(&[2, 3, 4]), tensor(&[1, 6, 2, 3]));
    let linear = ResizeDescriptor { sizes: vec![4], mode: ResizeMode::Linear, ..Default::default() };
    let resize = |sizes: &[usize]| ResizeDescriptor { sizes: sizes.to_vec(), ..Default::default() };
    let scaled = |scales: &[f64]| ResizeDescriptor { sizes: vec![4, 4], scales: Some(scales.to_vec()), ..Default::default() };
    let whole = gpu.upload(&counted::<u32>(&[1, 1, 4])).unwrap();
    let dcr = DepthToSpaceMode::Dcr;
    let calls = [
        (gpu.run(|r| r.transpose(&plane, &[0, 1, 1])), "perm is [0, 1, 1]: it must name each of the 3 axes of x once, from 0 on"),
        (gpu.run(|r| r.transpose(&plane, &[1, 0])), "perm is [1, 0]: it must name each of the 3 axes of x once, from 0 on"),
        (
            gpu.run(|r| r.slice(&row, &SliceDescriptor { starts: vec![0], ends: vec![3], axes: vec![2], steps: vec![1] })),
            "axes is 2: it must lie within the rank: -2 to 1 for rank 2",
        ),
        (
            gpu.run(|r| r.slice(&row, &SliceDescriptor { starts: vec![0], ends: vec![3], axes: vec![0], steps: vec![0] })),
            "steps is 0: the step along axis 0 cannot be 0",
        ),
        (
            gpu.run(|r| r.slice(&row, &SliceDescriptor { starts: vec![0, 0], ends: vec![3, 3], axes: vec![0, -2], ..Default::default() })),
            "axes is [0, -2]: axis 0 is named twice",
        ),
        (
            gpu.run(|r| r.slice(&row, &SliceDescriptor { starts: vec![0], ends: vec![3, 3], axes: vec![0], ..Default::default() })),
            "ends is [3, 3]: it must have one entry per start, 1, not 2",
        ),
        (
            gpu.run(|r| r.slice(&row, &SliceDescriptor { starts: vec![2], ends: vec![1], axes: vec![1], steps: vec![1] })),
            "starts is 2: from 2 to 1 by 1 nothing is left of the extent 4 of axis 1, and every extent must be at least 1",
        ),
        (gpu.run(|r| r.concat(&[], 0)), "inputs is empty: a concatenation takes at least one tensor"),
        (gpu.run(|r| r.concat(&[&row, &row], 2)), "axis is 2: it must lie within the rank: -2 to 1 for rank 2"),
        (gpu.run(|r| r.concat(&[&row, &plane], 0)), "x1 is [2, 3, 4]: every extent but that of axis 0 must be that of x0, [3, 4]"),
        (gpu.run(|r| r.concat(&[&tensor(&[1, 1, 4]), &whole], 0)), "x1 is u32: every input must be of x0's element type, f32"),
        (
            gpu.run(|r| r.depth_to_space(&image, &DepthToSpaceDescriptor { block: 2, mode: dcr })),
            "x is [1, 6, 2, 3]: its 6 channels must be a multiple of blocksize squared, 4",
        ),
        (gpu.run(|r| r.depth_to_space(&image, &DepthToSpaceDescriptor { block: 0, mode: dcr })), "blocksize is 0: it must be at least 1"),
        (
            gpu.run(|r| r.depth_to_space(&plane, &DepthToSpaceDescriptor { block: 2, mode: dcr })),
            "x is [2, 3, 4]: it must be N C H W, of rank 4, not 3",
        ),
        (
            gpu.run(|r| r.space_to_depth(&image, &DepthToSpaceDescriptor { block: 2, mode: dcr })),
            "x is [1, 6, 2, 3]: its width 3 must be a multiple of blocksize, 2",
        ),
        (
            gpu.run(|r| r.pad(&row, &PadDescriptor { pads: vec![0, 0, 1], mode: PadMode::Reflect })),
            "pads is [0, 0, 1]: it must hold a begin and an end per axis: 4 for rank 2, not 3",
        ),
        (
            gpu.run(|r| r.pad(&row, &PadDescriptor { pads: vec![0, 4, 0, 0], mode: PadMode::Reflect })),
            "pads is [0, 4, 0, 0]: a reflect pad must be smaller than the extent, and along axis 1 it is 4 against 4",
        ),
        (
            gpu.run(|r| r.pad(&row, &PadDescriptor { pads: vec![0, 0, 4, 0], mode: PadMode::Circular })),
            "pads is [0, 0, 4, 0]: a circular pad must not be larger than the extent, and along axis 0 it is 4 against 3",
        ),
        (
            gpu.run(|r| r.pad(&whole, &PadDescriptor { pads: vec![1; 6], mode: PadMode::Constant(-1.0) })),
            "value is -1: in a u32 tensor it must be a whole number from 0 to below 4294967296",
        ),
        (
            gpu.run(|r| r.pad(&row, &PadDescriptor { pads: vec![usize::MAX, 0, 0, 0], mode: PadMode::Replicate })),
            "the extents [3, 4] + pads do not fit 64 bits",
        ),
        (gpu.run(|r| r.resize(&image, &resize(&[0, 4]))), "sizes is [0, 4]: every size must be at least 1"),
        (gpu.run(|r| r.resize(&image, &resize(&[4]))), "sizes is [4]: it must have one entry per spatial axis of x, 2, not 1"),
        (gpu.run(|r| r.resize(&row, &resize(&[4]))), "x is [3, 4]: it must be N C and 1 to 3 spatial axes, not of rank 2"),
        (gpu.run(|r| r.resize(&image, &scaled(&[1.0, 0.0]))), "scales is [1.0, 0.0]: every scale must be positive and finite"),
        (gpu.run(|r| r.resize(&image, &scaled(&[1.0]))), "scales is [1.0]: it must have one entry per spatial axis of x, 2, not 1"),
        (gpu.run(|r| r.resize(&whole, &linear)), "x is of u32: this op computes on f32 or f16"),
        (gpu.run(|r| r.reshape(&row, &[2, 5])), "shape is [2, 5]: a reshape keeps the count: 10 against the 12 elements of x"),
        (gpu.run(|r| r.flatten(&row, 3)), "axis is 3: it must lie within -2 ..= 2 for x of shape [3, 4]"),
    ];
    for (got, message) in calls {
        let error = got.unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}\nshould be\n{message}");
    }
    // The device works on.
    assert_eq!(down::<f32, Ix2>(&gpu.run(|r| r.transpose(&row, &[1, 0])).unwrap())[[3, 2]], 11.0);
}

#[test]
fn what_does_not_fit_one_binding_is_cut_and_what_no_index_reaches_is_refused() {
    let x = TensorType::new(&[1, 1, 6000, 6000], ElementType::F32, Layout::ChannelsFirst);
    let message = |op: &dyn Planned| op.plan(&DeviceProfile::MINIMAL, None).unwrap_err().to_string();
    let calls = |op: &dyn Planned| op.plan(&DeviceProfile::MINIMAL, None).unwrap().steps.len();
    assert_eq!(calls(&Transpose::new(&x.clone(), &[0, 1, 3, 2]).unwrap()), 4);
    // A band has a copy there, a call and a copy back.
    assert_eq!(calls(&Pad::new(&x.clone(), &PadDescriptor { pads: vec![0; 8], mode: PadMode::Reflect }).unwrap()), 6);
    // Four rows of x are all that is read.
    let linear = ResizeDescriptor { sizes: vec![2, 2], mode: ResizeMode::Linear, ..Default::default() };
    assert_eq!(calls(&Resize::new(&x.clone(), &linear).unwrap()), 4);
    // Plans refuse before they make tables.
    let small = TensorType::new(&[1, 1, 2, 2], ElementType::F32, Layout::ChannelsFirst);
    for mode in [ResizeMode::Linear, ResizeMode::default()] {
        let huge = Resize::new(&small.clone(), &ResizeDescriptor { sizes: vec![1 << 20, 1 << 40], mode, ..Default::default() }).unwrap();
        assert!(message(&huge).contains("the largest 31-bit index"));
    }
    assert!(
        message(&Pad::new(&small, &PadDescriptor { pads: vec![0, 0, 0, 0, 0, 0, 0, 1 << 50], mode: PadMode::Replicate }).unwrap())
            .contains("the largest 31-bit index")
    );
    let halves = TensorType::new(&[2, 2], ElementType::F16, Layout::ChannelsFirst);
    assert!(message(&Transpose::new(&halves, &[1, 0]).unwrap()).contains("shader-f16"));
}

#[test]
fn the_planner_chooses_by_shape_and_device() {
    let plan = |extents: &[usize], perm: &[usize], is_cpu| {
        let x = TensorType::new(extents, ElementType::F32, Layout::ChannelsFirst);
        let profile = DeviceProfile { is_cpu, ..DeviceProfile::MINIMAL };
        Transpose::new(&x, perm).unwrap().plan(&profile, None).unwrap().algorithm().to_string()
    };
    assert_eq!(plan(&[64, 64], &[1, 0], false), "tiled");
    assert_eq!(plan(&[64, 64], &[1, 0], true), "direct");
    assert_eq!(plan(&[200, 64], &[1, 0], true), "rows");
    assert_eq!(plan(&[2, 3, 100], &[1, 0, 2], false), "rows");
    assert_eq!(plan(&[3, 5], &[1, 0], false), "direct");
    let x = TensorType::new(&[7], ElementType::F32, Layout::ChannelsFirst);
    let error = Transpose::new(&x, &[0]).unwrap().plan(&DeviceProfile::MINIMAL, Some("tiled")).unwrap_err().to_string();
    assert_eq!(error, "algorithm tiled does not apply: this problem admits direct, rows");
}

#[test]
fn the_cpu_engine_agrees_with_the_reference() {
    let mut tried = 0;
    for case in grid::cases(true).unwrap() {
        let op = &case.op;
        let ours = ["transpose", "to_layout", "slice", "concat", "depth_to_space", "space_to_depth", "pad", "resize"].contains(&op.name());
        if !ours || case.algorithm != "direct" || op.outputs()[0].tensor.element != ElementType::F32 {
            continue;
        }
        let mut generator = Generator::from_text(&case.id());
        let values: Vec<Vec<f64>> = op.inputs().iter().map(|spec| data::Data::Real.fill(spec, 1, &mut generator)).collect();
        let expected = op.reference(&values.iter().map(Vec::as_slice).collect::<Vec<_>>()).remove(0);
        let inputs: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|v| *v as f32).collect()).collect();
        let mut y = vec![f32::NAN; expected.value.len()];
        wgconv::cpu::compute(op, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut y).unwrap();
        for (i, (got, want)) in y.iter().zip(&expected.value).enumerate() {
            let same = f64::from(*got) == *want || (f64::from(*got) - want).abs() <= expected.error[i];
            assert!(same, "{}: {got} against {want} at {i}", case.id());
        }
        tried += 1;
    }
    assert!(tried > 80, "{tried}");
}

/// Runs the cases whose id contains `only` on a device opened as `descriptor` says; what failed.
fn failures(descriptor: &GpuDescriptor, only: &str) -> Vec<String> {
    let gpu = Gpu::with_descriptor(descriptor).unwrap();
    let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
    assert!(!report.results.is_empty(), "no case contains {only}");
    let failure = |outcome: &Outcome| if let Outcome::Failed(why) = outcome { Some(why.clone()) } else { None };
    report.results.iter().filter_map(|r| failure(&r.outcome)).collect()
}

#[test]
fn every_kernel_holds_with_every_check_on() {
    let descriptor = GpuDescriptor { checked_shaders: true, ..Default::default() };
    for only in ["transpose/", "slice/", "concat/", "pad/", "resize/"] {
        assert_eq!(failures(&descriptor, only), Vec::<String>::new());
    }
}

#[test]
fn damaged_kernels_are_reported() {
    let damages = [
        ("transpose/direct/65x33", "at.x += i32(c) * axis.x_stride", "at.x += i32(c + 1u) * axis.x_stride"),
        ("transpose/rows/7x3000", "params.row_part, axis.extent)", "params.row_part, axis.extent - 1u)"),
        ("transpose/tiled/65x33", "p < TILE; p += STEP", "p < TILE - STEP; p += STEP"),
        ("transpose/tiled/65x33", "    workgroupBarrier();\n", ""),
        ("concat/direct/5_1_70", "Offsets(params.x_base, params.y_base)", "Offsets(params.x_base, 0u)"),
        ("pad/rows/2x1x1x3", "params.row_part, params.run)", "params.row_part, first + 2u * params.row_part)"),
        ("pad/direct/2x3x4x60", "at.is_nothing = at.is_nothing | (entry == NOTHING)", "at.is_nothing = entry == NOTHING"),
        ("resize/rows/3x2x300", "params.row_part, params.run)", "params.row_part, first + 2u * params.row_part)"),
        ("resize/direct/2x3x9", "(1.0 - weight)", "(0.999999 - weight)"),
    ];
    for (only, from, to) in damages {
        assert_eq!(failures(&GpuDescriptor::default(), only), Vec::<String>::new());
        let changed = Arc::new(AtomicBool::new(false));
        let seen = changed.clone();
        let patch = move |_: &str, text: String| {
            let damaged = text.replacen(from, to, 1);
            seen.fetch_or(damaged != text, Ordering::Relaxed);
            damaged
        };
        let source_patch = Some(SourcePatch(Arc::new(patch)));
        let found = failures(&GpuDescriptor { source_patch, ..Default::default() }, only);
        assert!(changed.load(Ordering::Relaxed), "\"{from}\" is not in the text of {only}");
        assert!(!found.is_empty(), "{only}: the damage \"{from}\" -> \"{to}\" went unnoticed");
    }
}
