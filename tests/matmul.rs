//! Matrix products as an embedder meets them: numpy's rules, gemm's options, dense layers with their epilogues, errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array1, Array2, Array3, Ix0, Ix1, Ix2, Ix3, array};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulDescriptor, MatMulInputs, MatMulProblem};
use wgconv::op::{Addends, Planned, Prepared};
use wgconv::{Activation, ElementType, Layout};

fn integers(rows: usize, columns: usize, step: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| ((r * 7 + c * step) % 9) as f32 - 4.0)
}

#[test]
fn every_algorithm_agrees_with_ndarray_on_integers() {
    let gpu = gpu();
    for (m, n, k) in [(1, 40, 33), (40, 2, 33), (19, 36, 21), (70, 65, 40)] {
        let (a, b) = (integers(m, k, 5), integers(k, n, 4));
        let expected = a.dot(&b);
        let (x, y) = (gpu.upload(&a).unwrap(), gpu.upload(&b).unwrap());
        let problem = MatMulProblem::matmul(&[m, k], &[k, n], ElementType::F32).unwrap();
        for algorithm in problem.algorithms(gpu.profile()) {
            let product = Prepared::with_algorithm(&gpu, &problem, algorithm, &[]).unwrap();
            let output = product.outputs().unwrap().pop().unwrap();
            let mut recorder = gpu.recorder();
            product.record(&mut recorder, &[&x, &y], &[&output]).unwrap();
            recorder.submit().unwrap();
            assert_eq!(output.download::<f32, Ix2>().unwrap(), expected, "{algorithm} {m} x {n} x {k}");
        }
    }
}

/// A driver may end loops early without a word: what is admitted must be summed whole, however the slabs are cut.
#[test]
fn the_workgroup_core_sums_as_deep_as_is_admitted() {
    let gpu = gpu();
    let (m, n, k) = (5, 8, 130_000);
    let (a, b) = (gpu.upload(&Array2::<f32>::ones((m, k))).unwrap(), gpu.upload(&Array2::<f32>::ones((k, n))).unwrap());
    let problem = MatMulProblem::matmul(&[m, k], &[k, n], ElementType::F32).unwrap();
    for tile in ["32x32x8", "32x32x16", "32x32x32", "32x32x16/3"] {
        let product = Prepared::with_algorithm(&gpu, &problem, &format!("gemm_workgroup {tile}"), &[]).unwrap();
        let output = product.outputs().unwrap().pop().unwrap();
        let mut recorder = gpu.recorder();
        product.record(&mut recorder, &[&a, &b], &[&output]).unwrap();
        recorder.submit().unwrap();
        assert_eq!(output.download::<f32, Ix2>().unwrap(), Array2::from_elem((m, n), k as f32), "{tile}");
    }
}

#[test]
fn labels_of_workgroup_tiles_are_honoured_or_refused() {
    let profile = wgconv::gpu::DeviceProfile::MINIMAL;
    let problem = MatMulProblem::matmul(&[512, 4608], &[4608, 49], ElementType::F32).unwrap();
    for label in ["gemm_workgroup 64x64x16", "gemm_workgroup 64x64x16x4x4", "gemm_workgroup 128x128x8", "gemm_workgroup 64x64x16/4"] {
        let plan = problem.plan(&profile, Some(label)).unwrap();
        assert_eq!(plan.label, label);
        assert_eq!(plan.steps.len(), if label.contains('/') { 4 } else { 3 }, "{label}: two operands packed, product, sum");
    }
    let deep = problem.plan(&profile, None).unwrap();
    assert_eq!(deep.label, "gemm_workgroup 64x32x16/16", "few tiles and a long depth");
    let candidates = problem.candidates(&profile);
    for label in &candidates {
        assert_eq!(problem.plan(&profile, Some(label)).unwrap().algorithm(), label.split(' ').next().unwrap());
    }
    assert!(candidates.iter().filter(|label| label.starts_with("gemm_workgroup")).count() > 10, "{candidates:?}");
    let error = problem.plan(&profile, Some("gemm_workgroup 128x128x32")).unwrap_err().to_string();
    assert!(error.contains("needs 256 invocations and 32768 bytes of workgroup memory; the device has 256 and 16384"), "{error}");
    let narrow = wgconv::gpu::DeviceProfile { max_binding_bytes: 16 << 20, ..profile };
    let error = problem.plan(&narrow, Some("gemm_workgroup 64x64x16/64")).map(|plan| plan.label);
    assert_eq!(error.unwrap(), "gemm_workgroup 64x64x16/64", "512 x 52 x 64 sums of 4 bytes fit");
    let wide = MatMulProblem::matmul(&[512, 512], &[512, 4096], ElementType::F32).unwrap();
    let plan = wide.plan(&narrow, Some("gemm_workgroup 64x64x16/4")).unwrap();
    assert_eq!(plan.steps.len(), 2 * 3, "32 MiB of partial sums, in two parts: a packed, product, sum");
}

#[test]
fn vectors_and_batches_follow_numpy() {
    let gpu = gpu();
    let (row, matrix) = (array![1.0f32, 2.0, 3.0], integers(3, 4, 5));
    let (r, mat) = (gpu.upload(&row).unwrap(), gpu.upload(&matrix).unwrap());
    assert_eq!(
        gpu.run(|recorder| recorder.matmul(&r, &mat, &MatMulDescriptor::default())).unwrap().download::<f32, Ix1>().unwrap(),
        row.dot(&matrix)
    );
    assert_eq!(
        gpu.run(|recorder| recorder.matmul(&r, &r, &MatMulDescriptor::default())).unwrap().download::<f32, Ix0>().unwrap().into_scalar(),
        14.0
    );
    let batch = Array3::from_shape_fn((2, 5, 3), |(b, i, j)| (b * 10 + i + j) as f32);
    let y: Array3<f32> =
        gpu.run(|r| r.matmul(&gpu.upload(&batch).unwrap(), &mat, &MatMulDescriptor::default())).unwrap().download::<f32, Ix3>().unwrap();
    for b in 0..2 {
        assert_eq!(y.index_axis(ndarray::Axis(0), b), batch.index_axis(ndarray::Axis(0), b).dot(&matrix));
    }
}

#[test]
fn gemm_transposes_scales_and_adds() {
    let gpu = gpu();
    let (a, b, c) = (integers(17, 9, 5), integers(20, 17, 4), array![[1.0f32], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0], [8.0], [9.0]]);
    let descriptor = GemmDescriptor { alpha: 2.0, beta: -1.0, trans_a: true, trans_b: true, ..Default::default() };
    let [x, y, z] = [&a, &b, &c].map(|v| gpu.upload(v).unwrap());
    let expected = 2.0 * a.t().dot(&b.t()) - &c;
    assert_eq!(gpu.run(|r| r.gemm(&x, &y, Some(&z), &descriptor)).unwrap().download::<f32, Ix2>().unwrap(), expected);
    // At beta 0 c is not read: whatever it holds.
    let nan = gpu.upload(&array![f32::NAN]).unwrap();
    let y: Array2<f32> = gpu.run(|r| r.gemm(&x, &y, Some(&nan), &GemmDescriptor { beta: 0.0, ..descriptor })).unwrap().download().unwrap();
    assert_eq!(y, 2.0 * a.t().dot(&b.t()));
}

#[test]
fn a_dense_layer_is_prepared_once_and_adds_bias_residual_and_activation() {
    let gpu = gpu();
    let (x, w, bias) = (integers(6, 20, 5), integers(12, 20, 4), Array1::from_iter((0..12).map(|i| i as f32 - 6.0)));
    let residual = integers(6, 12, 2);
    let [tx, tw, tr] = [&x, &w, &residual].map(|v| gpu.upload(v).unwrap());
    let tb = gpu.upload(&bias).unwrap();
    let plain = x.dot(&w.t()) + &bias;
    let y: Array2<f32> = gpu
        .run(|r| r.linear(&tx, &tw, Some(&tb), &LinearDescriptor { activation: Activation::Relu, ..Default::default() }))
        .unwrap()
        .download()
        .unwrap();
    assert_eq!(y, plain.mapv(|v| v.max(0.0)));
    let y: Array2<f32> = gpu
        .run(|r| {
            r.linear_residual(
                &tx,
                &tw,
                Addends { bias: Some(&tb), residual: &tr },
                &LinearDescriptor { activation: Activation::Relu, ..Default::default() },
            )
        })
        .unwrap()
        .download()
        .unwrap();
    assert_eq!(y, (&plain + &residual).mapv(|v| v.max(0.0)));
    let problem = MatMulProblem::linear(
        &MatMulInputs { a: &[6, 20], b: &[12, 20], addend: Some(&[12]), element: ElementType::F32 },
        &LinearDescriptor::default(),
    )
    .unwrap();
    let layer = Prepared::new(&gpu, &problem, &[&tw, &tb]).unwrap();
    let output = layer.outputs().unwrap().pop().unwrap();
    for _ in 0..2 {
        let mut recorder = gpu.recorder();
        layer.record(&mut recorder, &[&tx], &[&output]).unwrap();
        recorder.submit().unwrap();
        assert_eq!(output.download::<f32, Ix2>().unwrap(), plain);
    }
}

#[test]
fn a_dense_layer_is_a_convolution_that_sees_everything() {
    let gpu = gpu();
    let image = ndarray::Array4::from_shape_fn((2, 3, 4, 5), |(n, c, h, w)| ((n + 2 * c + 3 * h + 5 * w) % 7) as f32 - 3.0);
    let filter = ndarray::Array4::from_shape_fn((6, 3, 4, 5), |(k, c, h, w)| ((k + c + h + w) % 5) as f32 - 2.0);
    let (x, f) = (gpu.upload(&image).unwrap(), gpu.upload(&filter).unwrap());
    let conv: Array2<f32> = gpu
        .run(|r| r.conv2d(&x, &f, None, &Default::default()))
        .unwrap()
        .download::<f32, ndarray::Ix4>()
        .unwrap()
        .into_shape_with_order((2, 6))
        .unwrap();
    let (flat, w) = (image.into_shape_with_order((2, 60)).unwrap(), filter.into_shape_with_order((6, 60)).unwrap());
    let dense: Array2<f32> =
        gpu.run(|r| r.linear(&gpu.upload(&flat).unwrap(), &gpu.upload(&w).unwrap(), None, &LinearDescriptor::default())).unwrap().download().unwrap();
    assert_eq!(dense, conv);
}

#[test]
fn mistakes_are_named_with_value_and_rule() {
    let gpu = gpu();
    let ones = |shape: &[usize]| gpu.zeros(shape, ElementType::F32, Layout::ChannelsFirst).unwrap();
    let error = gpu.run(|r| r.matmul(&ones(&[3, 4]), &ones(&[5, 6]), &MatMulDescriptor::default())).unwrap_err().to_string();
    assert_eq!(error, "b is [5, 6]: inner extents must agree: 4 of a, 5 of b");
    let error = gpu.run(|r| r.matmul(&ones(&[2, 3, 4]), &ones(&[3, 4, 5]), &MatMulDescriptor::default())).unwrap_err().to_string();
    assert_eq!(error, "the batch of b is [3]: it must broadcast with the batch of a of shape [2]: extents are equal or 1, not 2 and 3");
    let error = gpu.run(|r| r.linear(&ones(&[2, 7]), &ones(&[4, 8]), None, &LinearDescriptor::default())).unwrap_err().to_string();
    assert_eq!(error, "x is [2, 7]: its last extent, 7, must be w's second, 8");
    let error = gpu.run(|r| r.linear(&ones(&[2, 8]), &ones(&[4, 8]), Some(&ones(&[3])), &LinearDescriptor::default())).unwrap_err().to_string();
    assert_eq!(error, "bias is [3]: it has one value per output: [4]");
    let error = gpu.run(|r| r.gemm(&ones(&[3, 4]), &ones(&[4, 5]), Some(&ones(&[4])), &GemmDescriptor::default())).unwrap_err().to_string();
    assert_eq!(error, "c is [4]: it must broadcast to 3 x 5: extents are equal or 1, not 4 and 5");
    let last = gpu.zeros(&[2, 3, 4], ElementType::F32, Layout::ChannelsLast).unwrap();
    let error = gpu.run(|r| r.matmul(&last, &ones(&[4, 5]), &MatMulDescriptor::default())).unwrap_err().to_string();
    assert_eq!(error, "a is channels_last: this matmul takes a stored channels_first");
    let huge = MatMulProblem::matmul(&[8_388_608, 1], &[1, 8_388_608], ElementType::F32).unwrap();
    let error = huge.plan(gpu.profile(), None).unwrap_err().to_string();
    assert_eq!(error, "y needs 70368744177664 elements, but the largest 31-bit index is 2147483647");
}
