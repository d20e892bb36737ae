//! A pool fused into a convolution, as an embedder meets it: the same as the convolution and a pool after it by the same algorithm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array3, Array4, ArrayD, Dimension, IxDyn};
use std::sync::Arc;
use wgconv::conv::{Accuracy, Algorithm, Conv1dDescriptor, Conv2dDescriptor, ConvInputs, ConvProblem, FusedPool};
use wgconv::gpu::{DeviceProfile, SourcePatch};
use wgconv::op::{Addends, Plan, Planned};
use wgconv::pool::{PoolDescriptor, PoolKind};
use wgconv::{Activation, Gpu, GpuDescriptor, Layout, Padding, Tensor, cpu};

const POOLS: [FusedPool; 2] = [FusedPool::Max, FusedPool::Average];

/// Reals that look random, other ones for each seed.
fn value(at: impl Dimension, seed: usize) -> f32 {
    let flat = at.as_array_view().iter().fold(seed, |flat, i| flat * 31 + i + 7);
    (flat * 7919 % 2003) as f32 / 1001.0 - 1.0
}

fn image(shape: (usize, usize, usize, usize)) -> Array4<f32> {
    Array4::from_shape_fn(shape, |at| value(IxDyn(&[at.0, at.1, at.2, at.3]), 3))
}

fn values(y: &Tensor) -> ArrayD<f32> {
    y.download().unwrap()
}

/// Maxima must agree to the bit (which of several NaNs wins has no meaning). Means may differ by a rounding or two of their elements, which
/// stay below 16: WGSL lets a compiler contract an output's last product with the mean's sum, where both are in one kernel.
fn agree(pool: FusedPool, a: &ArrayD<f32>, b: &ArrayD<f32>) -> bool {
    let allowed = if pool == FusedPool::Max { 0.0 } else { 2e-6 };
    let same =
        |(a, b): (&f32, &f32)| (a.is_nan() && b.is_nan()) || a.to_bits() == b.to_bits() || (a - b).abs() <= allowed && pool == FusedPool::Average;
    a.shape() == b.shape() && a.iter().zip(b).all(same)
}

/// The fused convolution, and convolution then pool.
fn both(gpu: &Gpu, descriptor: &Conv2dDescriptor, pool: FusedPool, [x, f, b]: [&Tensor; 3]) -> [ArrayD<f32>; 2] {
    let fused = gpu.run(|r| r.conv2d(x, f, Some(b), &Conv2dDescriptor { pool: Some(pool), ..*descriptor })).unwrap();
    let conv = gpu.run(|r| r.conv2d(x, f, Some(b), descriptor)).unwrap();
    let pooled = gpu.run(|r| r.pool(&conv, &PoolDescriptor::window([2, 2]).with_kind(pool.kind()))).unwrap();
    [values(&fused), values(&pooled)]
}

#[test]
fn fused_equals_convolution_then_pool() {
    let gpu = gpu();
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for (algorithm, groups) in [
            (Algorithm::WinogradF2, 1),
            (Algorithm::WinogradF4, 2),
            (Algorithm::Depthwise, 6),
            (Algorithm::Direct, 1),
            (Algorithm::ImplicitGemmRegister, 2),
            (Algorithm::ImplicitGemmWorkgroup, 1),
        ] {
            let activation = Activation::LeakyRelu { alpha: 0.25 };
            let descriptor = Conv2dDescriptor {
                padding: Padding::Same,
                accuracy: Accuracy::Reduced,
                algorithm: Some(algorithm),
                groups,
                activation,
                ..Default::default()
            };
            let filter = Array4::from_shape_fn((6, 6 / groups, 3, 3), |at| value(IxDyn(&[at.0, at.1, at.2, at.3]), 5));
            let mut x = image((2, 6, 9, 13));
            x[[0, 1, 4, 5]] = f32::NAN;
            let (x, f) = (gpu.upload_as(&x, layout).unwrap(), gpu.upload(&filter).unwrap());
            let b = gpu.upload(&ndarray::Array1::from_shape_fn(6, |k| k as f32 / 4.0 - 0.5)).unwrap();
            for pool in POOLS {
                let [fused, pooled] = both(&gpu, &descriptor, pool, [&x, &f, &b]);
                assert_eq!(fused.shape(), [2, 6, 4, 6]);
                assert!(fused.iter().any(|v| v.is_nan()) && fused.iter().any(|v| v.is_finite()));
                assert!(agree(pool, &fused, &pooled), "{algorithm} {layout:?} {pool:?}: {fused} for {pooled}");
            }
        }
    }
}

#[test]
fn a_lost_nan_a_wrong_lane_and_a_kept_edge_are_noticed() {
    // The maximum by > alone, which a NaN neither passes nor yields to; a window read one row down; the mean not divided.
    let damages = [
        (FusedPool::Max, " | (is_nan(v) & !is_nan(pooled))", ""),
        (FusedPool::Max, "| (v > pooled) |", "| (v >= pooled) | (v < pooled) |"),
        (FusedPool::Max, "(i * POOL_H + r) * BLOCK_Q", "(i * POOL_H + r % 1u) * BLOCK_Q"),
        (FusedPool::Average, "j * POOL_W + s]", "j * POOL_W + s % 1u]"),
        (FusedPool::Average, "v / f32(POOL_H * POOL_W)", "v"),
        (FusedPool::Average, "let columns = params.width.output / i32(POOL_W);", "let columns = params.width.output;"),
    ];
    for (pool, from, to) in damages {
        let patch = SourcePatch(Arc::new(move |_: &str, text: String| text.replacen(from, to, 1)));
        let damaged = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(patch), ..Default::default() }).unwrap();
        for (algorithm, groups) in [(Algorithm::WinogradF2, 1), (Algorithm::Depthwise, 2)] {
            let descriptor =
                Conv2dDescriptor { padding: Padding::Same, accuracy: Accuracy::Reduced, algorithm: Some(algorithm), groups, ..Default::default() };
            let filter = Array4::from_shape_fn((2, 2 / groups, 3, 3), |at| value(IxDyn(&[at.0, at.1, at.2, at.3]), 5));
            let mut x = image((1, 2, 7, 9));
            x[[0, 0, 4, 5]] = f32::NAN;
            x[[0, 1, 4, 5]] = f32::NAN;
            let (x, f) = (damaged.upload(&x).unwrap(), damaged.upload(&filter).unwrap());
            let b = damaged.upload(&ndarray::Array1::<f32>::zeros(2)).unwrap();
            let [fused, pooled] = both(&damaged, &descriptor, pool, [&x, &f, &b]);
            assert!(!agree(pool, &fused, &pooled), "{algorithm}: \"{from}\" -> \"{to}\" went unnoticed");
        }
    }
}

/// Kernels of a plan that pool.
fn pool_steps(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| step.kernel.source.name == "pool").count()
}

#[test]
fn only_kernels_that_hold_whole_windows_fuse() {
    let descriptor = Conv2dDescriptor { padding: Padding::Same, accuracy: Accuracy::Reduced, pool: Some(FusedPool::Max), ..Default::default() };
    let plan = |problem: &ConvProblem, algorithm: Algorithm| problem.plan(&DeviceProfile::MINIMAL, Some(algorithm.name())).unwrap();
    let full = ConvProblem::forward(&ConvInputs::new(&[1, 8, 9, 9], &[8, 8, 3, 3], None), &descriptor).unwrap();
    let grouped = Conv2dDescriptor { groups: 8, ..descriptor };
    let depthwise = ConvProblem::forward(&ConvInputs::new(&[1, 8, 9, 9], &[8, 1, 3, 3], None), &grouped).unwrap();
    let row = ConvProblem::forward(&ConvInputs::new(&[1, 8, 9, 9], &[8, 8, 1, 3], None), &descriptor).unwrap();
    let residual = full.clone().with_residual(true);
    let strips = Conv2dDescriptor { dilation: [2, 2], ..grouped };
    let strips = ConvProblem::forward(&ConvInputs::new(&[1, 8, 9, 9], &[8, 1, 3, 3], None), &strips).unwrap();
    let pools = [
        (0, pool_steps(&plan(&full, Algorithm::WinogradF2))),
        (0, pool_steps(&plan(&full, Algorithm::WinogradF4))),
        (0, pool_steps(&plan(&depthwise, Algorithm::Depthwise))),
        (1, pool_steps(&plan(&full, Algorithm::Direct))),
        (1, pool_steps(&plan(&full, Algorithm::ImplicitGemmRegister))),
        (1, pool_steps(&plan(&row, Algorithm::WinogradF2))), // tiles of one row
        (1, pool_steps(&plan(&residual, Algorithm::WinogradF2))),
        (1, pool_steps(&plan(&strips, Algorithm::Depthwise))),
    ];
    assert!(pools.iter().all(|(wanted, got)| wanted == got), "{pools:?}");
    // The same label either way, so that a tile may be forced and a verdict filed.
    let plain = plan(&full.convolution(), Algorithm::WinogradF2);
    assert_eq!(plan(&full, Algorithm::WinogradF2).label, plain.label);
}

#[test]
fn a_residual_has_the_convolution_s_extents_and_one_axis_pools_alone() {
    let gpu = gpu();
    let x = image((1, 3, 8, 7));
    let (x, f) = (gpu.upload(&x).unwrap(), gpu.upload(&image((3, 3, 3, 3))).unwrap());
    let plain = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
    let conv = gpu.run(|r| r.conv_residual(&x, &f, Addends { bias: None, residual: &x }, &plain)).unwrap();
    let pooled = gpu.run(|r| r.pool(&conv, &PoolDescriptor::window([2, 2]))).unwrap();
    let fused = gpu
        .run(|r| r.conv_residual(&x, &f, Addends { bias: None, residual: &x }, &Conv2dDescriptor { pool: Some(FusedPool::Max), ..plain }))
        .unwrap();
    assert_eq!(values(&fused), values(&pooled));

    let line = Array3::from_shape_fn((2, 4, 19), |at| value(IxDyn(&[at.0, at.1, at.2]), 11));
    let taps = Array3::from_shape_fn((5, 4, 3), |at| value(IxDyn(&[at.0, at.1, at.2]), 13));
    let (x, f) = (gpu.upload(&line).unwrap(), gpu.upload(&taps).unwrap());
    for algorithm in [Algorithm::WinogradF4, Algorithm::Direct] {
        let plain = Conv1dDescriptor { accuracy: Accuracy::Reduced, algorithm: Some(algorithm), ..Default::default() };
        let fused = gpu.run(|r| r.conv1d(&x, &f, None, &Conv1dDescriptor { pool: Some(FusedPool::Average), ..plain })).unwrap();
        let conv = gpu.run(|r| r.conv1d(&x, &f, None, &plain)).unwrap();
        let pooled = gpu.run(|r| r.pool(&conv, &PoolDescriptor::window([2]).with_kind(PoolKind::AVERAGE))).unwrap();
        assert!(agree(FusedPool::Average, &values(&fused), &values(&pooled)), "{algorithm}");
        assert_eq!(values(&fused).shape(), [2, 5, 8]);
    }
}

#[test]
fn the_cpu_engine_pools_too() {
    let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Max), ..Default::default() };
    let (x, f) = (image((2, 3, 8, 9)), image((4, 3, 3, 3)));
    let y = cpu::convolve(&descriptor, x.view().into_dyn(), f.view().into_dyn(), None).unwrap();
    let plain = cpu::convolve(&Conv2dDescriptor::default(), x.view().into_dyn(), f.view().into_dyn(), None).unwrap();
    assert_eq!(y.shape(), [2, 4, 3, 3]);
    for (at, v) in y.indexed_iter() {
        let window = (0..4).map(|i| plain[[at[0], at[1], 2 * at[2] + i / 2, 2 * at[3] + i % 2]]);
        assert_eq!(*v, window.fold(f32::NEG_INFINITY, f32::max));
    }
}
