//! Cooperative matrices where the checks' plain numbers do not go: infinities, NaNs, the ends of f32's range, wide ranges in one tensor; and damage
//! to what makes f32 of f16. A device without such units has nothing to test here; the tests say so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::sync::Arc;
use wgconv::conv::{Accuracy, ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::gpu::SourcePatch;
use wgconv::matmul::MatMulProblem;
use wgconv::numeric::Generator;
use wgconv::op::{Op, Prepared, Problem, Referenced};
use wgconv::shape::Padding;
use wgconv::tune::doubt_coop_matrix;
use wgconv::validate::compare::compare;
use wgconv::validate::data::Data;
use wgconv::validate::{Case, Outcome, download, upload, verify};
use wgconv::{ElementType, Gpu, GpuDescriptor};

/// A device with cooperative matrices, or `None` with a line that says so.
fn device(patch: Option<SourcePatch>) -> Option<Gpu> {
    let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: patch, ..Default::default() }).unwrap();
    if gpu.profile().matrix.is_none() {
        eprintln!("{gpu:?} has no cooperative matrices: nothing is tested");
        return None;
    }
    Some(gpu)
}

fn product() -> MatMulProblem {
    MatMulProblem::matmul(&[70, 150], &[150, 37], ElementType::F32).unwrap().with_accuracy(Accuracy::Reduced)
}

fn convolution() -> ConvProblem {
    let padding = Padding::Explicit { begin: [1, 1], end: [1, 1] };
    let descriptor = ConvDescriptor::<2> { padding, accuracy: Accuracy::Reduced, ..Default::default() };
    ConvProblem::forward(&ConvInputs::new(&[2, 12, 7, 9], &[40, 12, 3, 3], None), &descriptor).unwrap()
}

/// Runs `label` on real numbers that `change` has changed, and holds every output to the bound of that algorithm.
fn check(gpu: &Gpu, op: impl Into<Op>, label: &str, what: &str, change: impl Fn(usize, usize, f64) -> f64) {
    let op = &op.into();
    let mut generator = Generator::from_text(what);
    let inputs = op.inputs();
    let values: Vec<Vec<f64>> = inputs
        .iter()
        .enumerate()
        .map(|(operand, spec)| {
            let plain = Data::Real.fill(spec, op.terms(), &mut generator);
            plain.into_iter().enumerate().map(|(i, v)| f64::from(change(operand, i, v) as f32)).collect()
        })
        .collect();
    let slices: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
    let tensors: Vec<_> = inputs.iter().zip(&values).map(|(spec, values)| upload(gpu, spec, values).unwrap()).collect();
    let part = |constant: bool| inputs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect::<Vec<_>>();
    let prepared = Prepared::with_algorithm(gpu, op, label, &part(true)).unwrap();
    let outputs = prepared.outputs().unwrap();
    let mut recorder = gpu.recorder();
    prepared.record(&mut recorder, &part(false), &outputs.iter().collect::<Vec<_>>()).unwrap();
    recorder.submit().unwrap();
    let got = download(&outputs[0]).unwrap();
    // What has no finite bound must still be the same kind of number: the plain kernel's business, whose bound is asked for then.
    let finite = slices.iter().all(|values| values.iter().all(|v| v.is_finite()));
    let expected = if finite { op.reference_for(label, &slices) } else { op.reference(&slices) };
    let spec = &op.outputs()[0];
    if let Some(mismatch) = compare(&got, &expected[0].value, |i| expected[0].allowed(i, ElementType::F32)) {
        panic!("{label}, {what}: {}", mismatch.describe(&spec.tensor.extents));
    }
}

/// Changes both operands in one way.
fn check_all(what: &str, change: impl Fn(usize, usize, f64) -> f64 + Copy) {
    let Some(gpu) = device(None) else { return };
    // In both orders of the operands: rows and columns of a step as neighbours, and steps.
    for label in ["gemm_f16x2 32x32x32", "gemm_coop 32x32x32", "gemm_f16x2 32x32x32k", "gemm_coop 32x32x32k"] {
        check(&gpu, product(), label, what, change);
    }
    for label in ["implicit_gemm_f16x2 32x32x32", "implicit_gemm_coop 32x32x32", "implicit_gemm_f16x2 32x32x32k", "implicit_gemm_coop 32x32x32k"] {
        check(&gpu, convolution(), label, what, change);
    }
}

#[test]
fn magnitudes_far_beyond_f16_are_scaled() {
    check_all("both large", |_, _, v| v * 1e15);
    check_all("both small", |_, _, v| v * 1e-15);
    check_all("one large, one small", |operand, _, v| if operand == 0 { v * 3e37 } else { v * 1e-33 });
}

#[test]
fn a_wide_range_in_one_tensor_keeps_the_bound() {
    // From 1 down to 2^-60 in steps of 2^-4: beyond what both parts of a split reach.
    check_all("wide", |operand, i, v| v * 2f64.powi(-4 * ((i + operand) % 16) as i32));
    check_all("one giant", |_, i, v| if i == 77 { 1e20 } else { v });
}

#[test]
fn a_mask_and_a_large_image_leave_the_others_as_they_are() {
    // The largest number is one of an output's own terms or it does not count: every bound is of what its own row and column read.
    for mask in [-1e9, -1e12, f64::from(f32::MIN), 3e38] {
        check_all("a mask", move |operand, i, v| if operand == 0 && i == 5 { mask } else { v });
    }
    // The first half of x is the first image; of a product it is half of the rows.
    check_all("a large image", |operand, i, v| if operand == 0 && i < 12 * 7 * 9 { v * 1e12 } else { v });
    check_all("a row from 2^-100 to 2^100", |operand, i, v| if operand == 0 { v * 2f64.powi(25 * (i as i32 % 9 - 4)) } else { v * 1e-6 });
}

#[test]
fn zeros_alone_are_no_reason_to_fail() {
    check_all("an operand of zeros", |operand, _, v| if operand == 0 { 0.0 } else { v });
}

#[test]
fn what_cannot_be_scaled_is_computed_plainly() {
    check_all("infinite", |operand, i, v| if operand == 0 && i == 50 { f64::INFINITY } else { v });
    check_all("NaN", |operand, i, v| if operand == 0 && i == 50 { f64::NAN } else { v });
    // The convolution's weights stand over zero padding, where infinity times zero is a NaN by any kernel: the product alone.
    let Some(gpu) = device(None) else { return };
    for label in ["gemm_f16x2", "gemm_coop"] {
        check(&gpu, product(), label, "infinite weight", |operand, i, v| if operand == 1 && i == 50 { f64::NEG_INFINITY } else { v });
        // So small that its scale is no f32; the other operand keeps the products where nothing is flushed to zero.
        check(&gpu, product(), label, "tiny", |operand, _, v| if operand == 0 { (1.0 + v.abs()).copysign(v) * 1e-36 } else { v * 1e20 });
    }
}

/// A device whose kernels on cooperative matrices have `from` replaced by `to`.
fn damaged(from: &'static str, to: &'static str) -> Option<Gpu> {
    let patch = move |_: &str, text: String| text.replace(from, to);
    device(Some(SourcePatch(Arc::new(patch))))
}

#[test]
fn damage_is_reported_and_damaged_units_are_doubted() {
    for (label, from, to, check) in [
        // A compiler that takes x - high for zero leaves plain f16.
        ("gemm_f16x2", "(x - high) * LOW", "(x - x) * LOW", "bounded"),
        // One scale for rows that lie further apart than it serves.
        ("gemm_f16x2", "<= SPREAD)", "<= SPREAD + 200)", "bounded"),
        ("gemm_f16x2", "low * (1.0 / 2048.0)", "low * (2.0 / 2048.0)", "bounded"),
        ("gemm_coop", "let next = (slab + 1u) * TILE_K;", "let next = (slab + 2u) * TILE_K;", "exact"),
        ("gemm_coop", "let m0 = subgroup / SUBGROUPS_N * SUB_M;", "let m0 = 0u;", "guarded"),
        ("gemm_coop", "* back_first * back_second", "* back_first", "exact"),
    ] {
        let Some(gpu) = damaged(from, to) else { return };
        let outcome = verify(&gpu, &Case::new(product(), label)).unwrap();
        let Outcome::Failed(why) = &outcome else { panic!("{label}, {from} -> {to}: {outcome:?}") };
        assert!(why.starts_with(check), "{from} -> {to}: {why}");
        let doubts = doubt_coop_matrix(&gpu).unwrap();
        let doubt = if label == "gemm_f16x2" { doubts.split } else { doubts.whole }.unwrap();
        assert!(doubt.contains(label) && doubt.contains(check), "{from} -> {to}: {doubt}");
    }
}

#[test]
fn damage_to_what_a_convolution_reads_is_reported() {
    for (label, from, to, check) in [
        ("implicit_gemm_f16x2", "(grain * PARTS + part) * GRAIN", "grain * PARTS * GRAIN", "exact"),
        ("implicit_gemm_coop", "inner -= passed * gemm_length();", "inner = 0u;", "exact"),
        ("implicit_gemm_coop", "if source.exists & within {", "if within {", "exact"),
        ("implicit_gemm_coop", "let n = line / params.position_tiles;", "let n = 0u;", "exact"),
        // Four workgroups share a depth: each adds all that follows.
        ("implicit_gemm_coop 32x32x32/4", "let end = min(first + slabs_each, slabs);", "let end = slabs;", "exact"),
    ] {
        let Some(gpu) = damaged(from, to) else { return };
        let outcome = verify(&gpu, &Case::new(convolution(), label)).unwrap();
        let Outcome::Failed(why) = &outcome else { panic!("{label}, {from} -> {to}: {outcome:?}") };
        assert!(why.starts_with(check), "{from} -> {to}: {why}");
    }
}

/// Steps of the depth as neighbours: 150 of a product, which are no whole eights, and the 12 channels of a tap, which become 16.
#[test]
fn damage_to_operands_along_the_depth_is_reported() {
    for (label, from, to) in [
        ("gemm_coop 32x32x32k", "(params.k + 7u) / 8u * 8u", "params.k"),
        ("gemm_coop 32x32x32k", "let depth = (params.depth + 7u) / 8u * 8u;", "let depth = params.depth;"),
        ("gemm_f16x2 32x32x32k", "* 8u + step % 8u", "* 8u + step % 4u"),
        ("gemm_f16x2 32x32x32k", "let apart = PITCH;", "let apart = 1u;"),
        ("gemm_coop 32x32x32k", "i / outer * 8u", "i / outer * 4u"),
        ("gemm_coop 32x32x32k", "(i - step / 8u * TILE_N) * PITCH_K", "(i - step / 8u) * PITCH_K"),
        ("implicit_gemm_coop 32x32x32k", "(i - step / 8u * TILE_M) * PITCH_K", "(i - step / 8u) * PITCH_K"),
        ("implicit_gemm_coop 32x32x32k", "row * PITCH_K + k", "row * PITCH_K"),
        ("implicit_gemm_f16x2 32x32x32k", "eights * 8u + item % 8u", "eights * 8u"),
        ("implicit_gemm_f16x2 32x32x32k", "item / 8u - eights * params.rows", "item / 8u"),
    ] {
        let Some(gpu) = damaged(from, to) else { return };
        let case = if label.starts_with("implicit") { Case::new(convolution(), label) } else { Case::new(product(), label) };
        let outcome = verify(&gpu, &case).unwrap();
        let Outcome::Failed(why) = &outcome else { panic!("{label}, {from} -> {to}: {outcome:?}") };
        assert!(why.starts_with("exact"), "{label}, {from} -> {to}: {why}");
    }
}

#[test]
fn units_are_trusted_only_if_they_beat_plain_arithmetic() {
    let Some(gpu) = device(None) else {
        let plain = Gpu::new().unwrap();
        let doubts = doubt_coop_matrix(&plain).unwrap();
        assert_eq!(doubts.whole.unwrap(), "the device does not admit gemm_coop");
        assert_eq!(doubts.split.unwrap(), "the device does not admit gemm_f16x2");
        return;
    };
    // What a machine has is its own business; but whole units may fail by the clock alone.
    let doubts = doubt_coop_matrix(&gpu).unwrap();
    for doubt in [doubts.whole, doubts.split].into_iter().flatten() {
        assert!(doubt.contains(" takes "), "{doubt}");
    }
}
