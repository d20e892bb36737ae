//! Pooling as an embedder meets it: known values, NaN, padding that never wins, indices both ways, prepared and recorded calls, errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array2, Array3, Array4, array};
use wgconv::op::Prepared;
use wgconv::pool::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, Pool2dDescriptor, PoolDescriptor, PoolKind, PoolProblem};
use wgconv::{ElementType, Error, Gpu, Layout, Padding, Tensor, TensorType, wgpu};

/// A buffer of the caller's.
fn wgpu_buffer(gpu: &Gpu) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE;
    gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size: 256, usage, mapped_at_creation: false })
}

/// The 4 x 4 image of the teaching texts: its 2 x 2 maxima are 9 2 6 3.
fn teaching() -> Array4<f32> {
    array![[[[1.0, 3.0, 2.0, 1.0], [2.0, 9.0, 1.0, 1.0], [1.0, 3.0, 2.0, 3.0], [5.0, 6.0, 1.0, 2.0]]]]
}

#[test]
fn the_teaching_texts_maxima_and_averages() {
    let gpu = gpu();
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let x = gpu.upload_as(&teaching(), layout).unwrap();
        let window = PoolDescriptor::window([2, 2]);
        let y: Array4<f32> = gpu.run(|r| r.pool(&x, &window)).unwrap().download().unwrap();
        assert_eq!(y, array![[[[9.0, 2.0], [6.0, 3.0]]]]);
        let y: Array4<f32> = gpu.run(|r| r.pool(&x, &window.with_kind(PoolKind::AVERAGE))).unwrap().download().unwrap();
        assert_eq!(y, array![[[[3.75, 1.25], [3.75, 2.0]]]]);
        let y: Array4<f32> = gpu.run(|r| r.pool(&x, &window.with_kind(PoolKind::Lp { p: 1.0 }))).unwrap().download().unwrap();
        assert_eq!(y, array![[[[15.0, 5.0], [15.0, 8.0]]]]);
        let y: Array4<f32> = gpu.run(|r| r.global_pool(&x, PoolKind::AVERAGE)).unwrap().download().unwrap();
        assert_eq!(y, array![[[[2.6875]]]]);
        let y: Array4<f32> =
            gpu.run(|r| r.adaptive_pool(&x, &AdaptivePoolDescriptor { kind: PoolKind::MAX, output: [1, 3] })).unwrap().download().unwrap();
        assert_eq!(y, array![[[[9.0, 9.0, 3.0]]]]);
    }
}

#[test]
fn padding_never_wins_and_nan_always_does() {
    let gpu = gpu();
    let window = Pool2dDescriptor::window([3, 3]).with_stride([1, 1]).with_padding(Padding::uniform(1));
    let mut image = Array4::from_elem((1, 1, 3, 4), -5.0f32);
    image[[0, 0, 2, 3]] = f32::NEG_INFINITY;
    let x = gpu.upload(&image).unwrap();
    let y: Array4<f32> = gpu.run(|r| r.pool(&x, &window)).unwrap().download().unwrap();
    assert!(y.iter().all(|v| *v == -5.0), "a pad of zero would have won: {y}");
    let all = gpu.upload(&Array4::from_elem((1, 1, 2, 2), f32::NEG_INFINITY)).unwrap();
    let (y, indices) = gpu.run(|r| r.pool_indices(&all, &PoolDescriptor::window([2, 2]))).unwrap();
    assert_eq!(y.download::<f32, ndarray::Ix4>().unwrap()[[0, 0, 0, 0]], f32::NEG_INFINITY);
    assert_eq!(indices.download::<u32, ndarray::Ix4>().unwrap()[[0, 0, 0, 0]], 0, "of equal elements the first");
    image[[0, 0, 0, 0]] = f32::NAN;
    image[[0, 0, 0, 1]] = 7.0;
    let x = gpu.upload(&image).unwrap();
    let (y, indices) = gpu.run(|r| r.pool_indices(&x, &window)).unwrap();
    let (y, indices): (Array4<f32>, Array4<u32>) = (y.download().unwrap(), indices.download().unwrap());
    assert!(y[[0, 0, 0, 0]].is_nan() && y[[0, 0, 1, 1]].is_nan() && y[[0, 0, 1, 2]] == 7.0, "{y}");
    assert_eq!((indices[[0, 0, 1, 1]], indices[[0, 0, 1, 2]]), (0, 1));
}

#[test]
fn indices_count_both_ways_and_unpooling_puts_maxima_back() {
    let gpu = gpu();
    let x = gpu.upload(&teaching()).unwrap();
    let window = PoolDescriptor::window([2, 2]);
    let (y, rows) = gpu.run(|r| r.pool_indices(&x, &window)).unwrap();
    assert_eq!(rows.download::<u32, ndarray::Ix4>().unwrap(), array![[[[5, 2], [13, 11]]]]);
    let (_, columns) = gpu.run(|r| r.pool_indices(&x, &window.with_kind(PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) }))).unwrap();
    assert_eq!(columns.download::<u32, ndarray::Ix4>().unwrap(), array![[[[5, 8], [7, 14]]]]);
    let back = gpu.run(|r| r.max_unpool(&y, &rows, &MaxUnpoolDescriptor { pool: window, output_shape: None })).unwrap();
    let back: Array4<f32> = back.download().unwrap();
    let mut expected = Array4::<f32>::zeros((1, 1, 4, 4));
    for (r, s) in [(1, 1), (0, 2), (3, 1), (2, 3)] {
        expected[[0, 0, r, s]] = teaching()[[0, 0, r, s]];
    }
    assert_eq!(back, expected);
    // Two indices that point at one place: the last wins, on every device.
    let x = gpu.upload(&array![[[1.0f32, 2.0, 3.0]]]).unwrap();
    let indices = gpu.upload(&array![[[4u32, 0, 4]]]).unwrap();
    let y = gpu.run(|r| r.max_unpool(&x, &indices, &MaxUnpoolDescriptor { pool: PoolDescriptor::window([2]), output_shape: None })).unwrap();
    assert_eq!(y.download::<f32, ndarray::Ix3>().unwrap(), array![[[2.0, 0.0, 0.0, 0.0, 3.0, 0.0]]]);
    // A dilated window skips elements: 1 to 25 in a 5 x 5 plane keep 13, 15, 23 and 25.
    let plane = Array4::from_shape_fn((1, 1, 5, 5), |(_, _, r, s)| (5 * r + s + 1) as f32);
    let dilated = PoolDescriptor { dilation: [2, 2], ..window };
    let (y, rows) = gpu.run(|r| r.pool_indices(&gpu.upload(&plane).unwrap(), &dilated)).unwrap();
    assert_eq!(rows.download::<u32, ndarray::Ix4>().unwrap(), array![[[[12, 14], [22, 24]]]]);
    let back = gpu.run(|r| r.max_unpool(&y, &rows, &MaxUnpoolDescriptor { pool: dilated, output_shape: None })).unwrap();
    let kept = plane.mapv(|v| if [13.0, 15.0, 23.0, 25.0].contains(&v) { v } else { 0.0 });
    assert_eq!(back.download::<f32, ndarray::Ix4>().unwrap(), kept);
    // An index outside the plane points nowhere, and nothing else is touched.
    let indices = gpu.upload(&array![[[6u32, 1, u32::MAX]]]).unwrap();
    let y = gpu.run(|r| r.max_unpool(&x, &indices, &MaxUnpoolDescriptor { pool: PoolDescriptor::window([2]), output_shape: None })).unwrap();
    assert_eq!(y.download::<f32, ndarray::Ix3>().unwrap(), array![[[0.0, 2.0, 0.0, 0.0, 0.0, 0.0]]]);
}

#[test]
fn averages_count_padding_only_when_asked_and_never_what_ceil_mode_adds() {
    let gpu = gpu();
    let x = gpu.upload(&Array3::<f32>::ones((1, 1, 4))).unwrap();
    let window = PoolDescriptor { ceil_mode: true, ..PoolDescriptor::window([3]).with_stride([2]).with_padding(Padding::uniform(1)) };
    let run = |include| {
        gpu.run(|r| r.pool(&x, &window.with_kind(PoolKind::Average { count_include_pad: include }))).unwrap().download::<f32, ndarray::Ix3>().unwrap()
    };
    // Windows -1..2, 1..4, 3..6: the last holds 3, the pad at 4, and 5, which only ceil_mode reaches.
    assert_eq!(run(false), array![[[1.0, 1.0, 1.0]]]);
    let counted = run(true);
    for (got, want) in counted.iter().zip([2.0 / 3.0, 1.0, 0.5]) {
        assert!((got - want).abs() < 1e-6, "{counted}");
    }
}

#[test]
fn prepared_pools_record_many_times_and_check_their_tensors() {
    let gpu = gpu();
    let problem = PoolProblem::new(&TensorType::f32(&[1, 1, 4, 4]), &PoolDescriptor::window([2, 2])).unwrap();
    let pool = Prepared::new(&gpu, &problem, &[]).unwrap();
    let y = pool.outputs().unwrap().pop().unwrap();
    for shift in [0.0, 10.0] {
        let x = gpu.upload(&(teaching() + shift)).unwrap();
        let mut recorder = gpu.recorder();
        pool.record(&mut recorder, &[&x], &[&y]).unwrap();
        recorder.submit().unwrap();
        assert_eq!(y.download::<f32, ndarray::Ix4>().unwrap(), array![[[[9.0, 2.0], [6.0, 3.0]]]] + shift);
    }
    let other = gpu.upload(&Array4::<f32>::ones((1, 1, 4, 5))).unwrap();
    let error = pool.record(&mut gpu.recorder(), &[&other], &[&y]).unwrap_err().to_string();
    assert_eq!(error, "x is [1, 1, 4, 5]: this max_pool takes x of shape [1, 1, 4, 4]");
    let kind = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    let both = PoolProblem::new(&TensorType::f32(&[1, 1, 4, 4]), &PoolDescriptor::window([2, 2]).with_kind(kind)).unwrap();
    let both = Prepared::new(&gpu, &both, &[]).unwrap();
    let x = gpu.upload(&teaching()).unwrap();
    let y_and_indices = wgpu_buffer(&gpu);
    let [values, indices] = [ElementType::F32, ElementType::U32]
        .map(|element| Tensor::from_buffer(&gpu, y_and_indices.clone(), 0, &[1, 1, 2, 2], element, Layout::ChannelsFirst).unwrap());
    let error = both.record(&mut gpu.recorder(), &[&x], &[&values, &indices]).unwrap_err().to_string();
    assert!(error.starts_with("indices is a range of the buffer of y:"), "{error}");
    let error = pool.record(&mut gpu.recorder(), &[], &[&y]).unwrap_err().to_string();
    assert_eq!(error, "inputs is 0: this max_pool takes 1");
}

#[test]
fn mistakes_are_named_with_value_and_rule() {
    let gpu = gpu();
    let x = gpu.upload(&teaching()).unwrap();
    let max = |descriptor: Pool2dDescriptor| gpu.run(|r| r.pool(&x, &descriptor)).unwrap_err().to_string();
    let window = Pool2dDescriptor::window;
    assert_eq!(max(window([0, 2])), "window (height) is 0: window extents must be at least 1");
    assert_eq!(max(window([2, 2]).with_stride([1, 0])), "stride (width) is 0: a stride must be at least 1");
    let error = max(window([2, 2]).with_padding(Padding::Explicit { begin: [0, 2], end: [0, 0] }));
    assert_eq!(error, "padding (width) is 2: a pad must be smaller than the dilated window, 2, else a window sees padding alone");
    assert!(max(window([5, 1])).contains("must fit into the padded input 4 + 0 + 0 = 4"));
    assert_eq!(
        gpu.run(|r| r.pool(&x, &window([2, 2]).with_kind(PoolKind::Lp { p: 0.0 }))).unwrap_err().to_string(),
        "p is 0: p must be positive and finite"
    );
    let error = gpu.run(|r| r.adaptive_pool(&x, &AdaptivePoolDescriptor { kind: PoolKind::MAX, output: [0, 1] })).unwrap_err().to_string();
    assert_eq!(error, "output size (height) is 0: output sizes must be at least 1");
    let flat = gpu.upload(&Array2::<f32>::ones((2, 3))).unwrap();
    assert_eq!(gpu.run(|r| r.global_pool(&flat, PoolKind::MAX)).unwrap_err().to_string(), "x is [2, 3]: a global pool takes x of rank 3 to 5, not 2");
    let indices = gpu.upload(&Array4::<u32>::zeros((1, 1, 4, 4))).unwrap();
    let error = gpu.run(|r| r.pool(&indices, &window([2, 2]))).unwrap_err().to_string();
    assert_eq!(error, "x is of u32: this op computes on f32 or f16");
    let elsewhere = Gpu::new().unwrap();
    assert!(matches!(elsewhere.run(|r| r.pool(&x, &window([2, 2]))), Err(Error::OtherDevice { .. })));
}
