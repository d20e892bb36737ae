//! Numbers that tame data never reach: activations over the whole range of f32, constant rows, sums that leave f32 on the way, NaN in windows. GPU
//! and CPU engine against the values that the definitions give.

#![allow(clippy::unwrap_used, reason = "tests")]

use ndarray::{Array1, Array4, ArrayD, Ix1, IxDyn};
use std::sync::LazyLock;
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem, ConvTranspose2dDescriptor};
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryOp};
use wgconv::norm::{
    BatchNormDescriptor, BatchNormProblem, BatchNormVectors, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor, LrnProblem, NormInputs,
    NormProblem,
};
use wgconv::op::{Op, Planned, Problem};
use wgconv::pool::{AdaptivePoolDescriptor, Pool2dDescriptor, PoolKind, PoolProblem};
use wgconv::reduce::{ReduceDescriptor, ReduceProblem};
use wgconv::{Activation, ElementType, Gpu, Padding, TensorType};

const F32: ElementType = ElementType::F32;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().unwrap());

/// Both signs of magnitudes from 1e-37 to 3.4e38, four to a decade, and the edges.
fn numbers() -> Vec<f32> {
    let mut all: Vec<f32> = vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
    for i in -148..154 {
        let v = 10f64.powf(f64::from(i) / 4.0) as f32;
        all.extend([v, -v]);
    }
    // Where the curves bend.
    all.extend((-2000..2000).map(|i| i as f32 / 100.0));
    all
}

/// A Fourier transform mixes all that its tile reads, and two tiles of an image are transformed at once: what is not finite stays in its image.
#[test]
fn fourier_transforms_keep_what_is_not_finite_within_its_image() {
    let value = |i: usize| ((i * 37) % 101) as f32 / 50.0 - 1.0;
    // Groups of one channel, and sums over channels; three tiles of an image, whose last has no other, and one.
    for (groups, filter, extent) in [(2, [4, 1, 5, 5], 90), (1, [3, 2, 7, 7], 90), (1, [3, 2, 7, 7], 20)] {
        let descriptor = Conv2dDescriptor { groups, accuracy: Accuracy::Reduced, algorithm: Some(Algorithm::Fft), ..Default::default() };
        let (x, w) = (
            Array4::from_shape_fn((3, 2, extent, 30), |(n, c, h, w)| value(n * 7 + c * 5 + h * 30 + w)),
            Array4::from_shape_fn(filter, |(k, c, r, s)| value(k + c + r + s)),
        );
        let w = GPU.upload(&w).unwrap();
        let run = |x: &Array4<f32>| -> Array4<f32> { GPU.run(|r| r.conv2d(&GPU.upload(x)?, &w, None, &descriptor)).unwrap().download().unwrap() };
        let plain = run(&x);
        for special in [f32::NAN, f32::INFINITY] {
            for image in 0..3 {
                let mut x = x.clone();
                x[[image, 1, extent / 2, 15]] = special;
                let got = run(&x);
                for (n, (got, plain)) in got.outer_iter().zip(plain.outer_iter()).enumerate() {
                    if n == image {
                        assert!(got.iter().any(|v| !v.is_finite()), "{special} is lost");
                    } else {
                        assert_eq!(got.mapv(f32::to_bits), plain.mapv(f32::to_bits), "{special} in image {image} is in image {n} of {descriptor:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn activations_keep_their_digits_over_all_of_f32() {
    let x = Array1::from(numbers());
    let tensor = GPU.upload(&x).unwrap();
    let mut failures = Vec::new();
    for activation in Activation::ALL {
        let y = GPU.run(|r| r.activation(&tensor, activation)).unwrap().download::<f32, Ix1>().unwrap();
        let mut worst = 0.0f64;
        for (&x, &y) in x.iter().zip(&y) {
            let want = activation.apply(f64::from(x));
            let limit = activation.own_error(f64::from(x), want);
            let want = if want.is_finite() { f64::from(want as f32) } else { want }; // past f32 stands an infinity
            let same = (want.is_nan() && y.is_nan()) || f64::from(y) == want;
            if !same && (f64::from(y) - want).abs() > limit || (want.is_nan() != y.is_nan()) {
                failures.push(format!("{activation}({x:e}) = {y:e}, not {want:e} within {limit:e}"));
            }
            if want != 0.0 && want.is_finite() && limit > 0.0 {
                worst = worst.max((f64::from(y) - want).abs() / limit);
            }
        }
        println!("{activation}: at worst {worst:.2} of the bound");
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}

/// By the GPU and the CPU engine; subnormal numbers are no zeros, and no angle is too large.
#[test]
fn operations_on_one_number_keep_their_digits_over_all_of_f32() {
    let mut numbers = numbers();
    numbers.extend([1e-45, -1e-45, 1e-40, -1e-40, 2.9e-39, 5.9e-39, -1.17e-38, 0.49999997, 0.5, 1.5, 2.5, -0.5, 8388607.5, 8388609.0, 16777216.0]);
    // About multiples of pi / 2, of which f32 has none; the worst of all f32 numbers (J.-M. Muller, Elementary Functions, 3rd edition, section 11.1).
    numbers.extend((1..2000).map(|i| (f64::from(i) * std::f64::consts::FRAC_PI_2) as f32));
    numbers.extend((0..128).map(|e| (std::f64::consts::FRAC_PI_2 * 2f64.powi(e)) as f32));
    numbers.extend([
        16_367_173.0 * 2f32.powi(72),
        std::f32::consts::FRAC_PI_4,
        std::f32::consts::FRAC_PI_4.next_down(),
        88.722_83,
        88.722_84,
        88.8,
        -87.4,
        -103.9,
        std::f32::consts::FRAC_1_SQRT_2,
        std::f32::consts::FRAC_1_SQRT_2.next_down(),
        1.000_000_1,
        0.999_999_94,
    ]);
    let x = Array1::from(numbers);
    let tensor = GPU.upload(&x).unwrap();
    let mut failures = Vec::new();
    for op in UnaryOp::ALL {
        let problem = wgconv::elementwise::UnaryProblem::new(&TensorType::f32(&[x.len()]), op).unwrap();
        let mut on_cpu = vec![0.0; x.len()];
        assert!(wgconv::cpu::compute(&problem, &[x.as_slice().unwrap()], &mut on_cpu).unwrap());
        let on_gpu = GPU.run(|r| r.unary(&tensor, op)).unwrap().download::<f32, Ix1>().unwrap();
        for (engine, y) in [("the GPU", on_gpu.to_vec()), ("the CPU engine", on_cpu)] {
            let mut worst = 0.0f64;
            for (&x, &y) in x.iter().zip(&y) {
                let want = op.apply(f64::from(x));
                let limit = op.own_error(f64::from(x), want);
                let want = if want.is_finite() { f64::from(want as f32) } else { want }; // past f32 stands an infinity
                let got = f64::from(y);
                let same = (want.is_nan() && y.is_nan()) || got == want || ((want + limit) as f32).is_infinite() && got.is_infinite();
                let is_near = (got - want).abs() <= limit;
                if !(same || is_near) {
                    failures.push(format!("{}({x:e}) = {y:e} on {engine}, not {want:e} within {limit:e}", op.name()));
                }
                if want != 0.0 && got.is_finite() && limit > 0.0 {
                    worst = worst.max((got - want).abs() / limit);
                }
            }
            println!("{} on {engine}: at worst {worst:.2} of the bound", op.name());
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}

/// IEEE 754, section 9.2.1: what a power is at the edges of its operands, and of negative bases.
#[test]
fn powers_are_those_of_ieee_754() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let bases = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, f32::MAX, -f32::MAX, -1.5];
    let exponents =
        [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, 5.0, 16_777_215.0, 16_777_216.0, -16_777_217.0, 1e30, -7.0];
    let (a, b) = (Array1::from(bases.to_vec()).insert_axis(ndarray::Axis(1)), Array1::from(exponents.to_vec()));
    let problem = BinaryProblem::new(&TensorType::f32(&[bases.len(), 1]), &TensorType::f32(&[exponents.len()]), BinaryOp::Power).unwrap();
    let mut on_cpu = vec![0.0; bases.len() * exponents.len()];
    assert!(wgconv::cpu::compute(&problem, &[&bases, &exponents], &mut on_cpu).unwrap());
    let (a, b) = (GPU.upload(&a).unwrap(), GPU.upload(&b).unwrap());
    let on_gpu = GPU.run(|r| r.binary(&a, &b, BinaryOp::Power)).unwrap().download::<f32, ndarray::Ix2>().unwrap();
    for (engine, y) in [("the CPU engine", on_cpu), ("the GPU", on_gpu.iter().copied().collect())] {
        for (i, got) in y.into_iter().enumerate() {
            let (a, b) = (bases[i / exponents.len()], exponents[i % exponents.len()]);
            let want = f64::from(f64::from(a).powf(f64::from(b)) as f32);
            let allowed = wgconv::numeric::bound::power_error(f64::from(a).abs(), f64::from(b)) * want.abs() + f64::from(f32::MIN_POSITIVE);
            let got = f64::from(got);
            let same = (want.is_nan() && got.is_nan()) || got == want || (got - want).abs() <= allowed;
            let zero_has_its_sign = want != 0.0 || got != 0.0 || want.is_sign_negative() == got.is_sign_negative();
            assert!(same && zero_has_its_sign, "{a:e} ^ {b:e} is {got:e} on {engine}, not {want:e}");
        }
    }
}

/// The first output on the GPU, by every algorithm that mixes no neighbours in, and on the CPU engine; each must be within `tolerance` of `want`, relative to its largest number.
fn check(op: impl Into<Op>, inputs: &[&[f32]], want: &[f64], tolerance: f64) {
    let op = &op.into();
    let tensors: Vec<_> = op
        .inputs()
        .iter()
        .zip(inputs)
        .map(|(spec, values)| GPU.upload(&ArrayD::from_shape_vec(IxDyn(&spec.tensor.extents), values.to_vec()).unwrap()).unwrap())
        .collect();
    let of = |constant: bool| op.inputs().iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect::<Vec<_>>();
    let scale = want.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    let agrees = |engine: &str, got: &[f32]| {
        assert_eq!(got.len(), want.len());
        for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
            let got = f64::from(got);
            let same = got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance * scale;
            assert!(same, "{} {op} on {engine}: element {i} is {got:e}, not {want:e}", op.name());
        }
    };
    for algorithm in op.algorithms(GPU.profile()).into_iter().filter(|a| op.is_local(a)) {
        let prepared = wgconv::op::Prepared::with_algorithm(&GPU, op, algorithm, &of(true)).unwrap();
        let outputs = prepared.outputs().unwrap();
        let mut recorder = GPU.recorder();
        prepared.record(&mut recorder, &of(false), &outputs.iter().collect::<Vec<_>>()).unwrap();
        recorder.submit().unwrap();
        agrees(algorithm, outputs[0].download::<f32, IxDyn>().unwrap().as_slice().unwrap());
    }
    let mut y = vec![f32::NAN; want.len()];
    if wgconv::cpu::compute(op, inputs, &mut y).unwrap() {
        agrees("the CPU engine", &y);
    }
}

/// Numbers about 0 with a mean that is not: the fractional parts of multiples of the golden ratio.
fn noise(count: usize) -> Vec<f64> {
    (1..=count).map(|i| (i as f64 * 0.618_033_988_749_895).fract() - 0.4).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// (x - mean) / sqrt(variance + epsilon) of the f32 numbers, in f64 about the first of them.
fn normalised(x: &[f32], epsilon: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let d: Vec<f64> = x.iter().map(|v| f64::from(*v) - f64::from(x[0])).collect();
    let mean = d.iter().sum::<f64>() / n;
    let variance = d.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    d.iter().map(|v| (v - mean) / (variance + epsilon).sqrt()).collect()
}

#[test]
fn known_values_of_activations() {
    use Activation::{Celu, Elu, Gelu, GeluTanh, HardSwish, Mish, Selu, Sigmoid, Silu, Softplus, Softsign, Tanh};
    let elu = Elu { alpha: 1.0 };
    let selu = Selu { alpha: 1.673_263_2, gamma: 1.050_701 };
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    // Tables of the functions to seven digits; limits as PyTorch gives them.
    let table = [
        (Mish, -1e36, 0.0),
        (Mish, -20.0, -4.122_307e-8),
        (Mish, inf, inf),
        (Mish, -inf, nan),
        (elu, -1e-8, -1e-8),
        (elu, -1e-7, -9.999_999_5e-8),
        (elu, -inf, -1.0),
        (selu, -1e-8, -1.758_099_3e-8),
        (Celu { alpha: 2.0 }, -1e-8, -1e-8),
        (Tanh, 1e-8, 1e-8),
        (Tanh, -1e-6, -1e-6),
        (Tanh, -inf, -1.0),
        (Softplus, -17.0, 4.139_937_6e-8),
        (Softplus, -80.0, 1.804_851_4e-35),
        (Softplus, -inf, 0.0),
        (Gelu, -5.0, -1.433_257_9e-6),
        (Gelu, -6.0, -5.919_525e-9),
        (Gelu, -inf, nan),
        (GeluTanh, -5.0, -2.291_796_2e-7),
        (GeluTanh, -inf, nan),
        (Silu, -20.0, -4.122_307_2e-8),
        (Silu, -inf, nan),
        (Sigmoid, -40.0, 4.248_354_3e-18),
        (HardSwish, 1e38, 1e38),
        (HardSwish, -inf, nan),
        (Softsign, 1e38, 1.0),
        (Softsign, -inf, nan),
    ];
    for (activation, x, want) in table {
        let y =
            GPU.run(|r| r.activation(&GPU.upload(&Array1::from(vec![x as f32; 5])).unwrap(), activation)).unwrap().download::<f32, Ix1>().unwrap();
        let mut engine = [0.0f32];
        let op = wgconv::elementwise::UnaryProblem::new(&TensorType::f32(&[1]), activation).unwrap();
        assert!(wgconv::cpu::compute(&op, &[&[x as f32]], &mut engine).unwrap());
        for got in [f64::from(y[2]), f64::from(engine[0])] {
            let same = got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= (1.5e-6 + 6e-8 * x.abs().min(88.0)) * want.abs();
            assert!(same, "{activation}({x:e}) is {got:e}, not {want:e}");
        }
    }
}

#[test]
fn constant_rows_normalise_to_nothing() {
    for (extents, value) in [([3, 1000], 12345.678f32), ([2, 768], 1000.1), ([4, 7], 1e-30), ([2, 65], -3e38)] {
        let op = NormProblem::layer(
            &NormInputs { x: TensorType::f32(&extents), scale: None, bias: None },
            &LayerNormDescriptor { axis: -1, epsilon: 1e-5 },
        )
        .unwrap();
        check(&op, &[&vec![value; extents[0] * extents[1]]], &vec![0.0; extents[0] * extents[1]], 0.0);
    }
    for (side, value) in [(64usize, 123.456f32), (256, 0.7), (512, 123.456)] {
        let op = NormProblem::instance(
            &NormInputs { x: TensorType::f32(&[1, 1, side, side]), scale: None, bias: None },
            &InstanceNormDescriptor { epsilon: 1e-5 },
        )
        .unwrap();
        check(&op, &[&vec![value; side * side]], &vec![0.0; side * side], 0.0);
    }
}

#[test]
fn nearly_constant_and_huge_and_tiny_rows_normalise() {
    let steps = noise(1000);
    for (offset, scale, epsilon) in [
        (12345.678, 1e-2, 1e-5f32),
        (-1e6, 1.0, 1e-5),
        (0.0, 1e20, 1e-5),
        (0.0, 3e38, 1e-5),
        (1e30, 1e27, 1e-5),
        (0.0, 1e-20, 0.0),
        (0.0, 1e-30, 0.0),
        (1e-3, 1e-9, 0.0),
    ] {
        let x = narrow(&steps.iter().map(|v| offset + scale * v).collect::<Vec<_>>());
        let op =
            NormProblem::layer(&NormInputs { x: TensorType::f32(&[2, 500]), scale: None, bias: None }, &LayerNormDescriptor { axis: -1, epsilon })
                .unwrap();
        let want: Vec<f64> = x.chunks(500).flat_map(|row| normalised(row, f64::from(epsilon))).collect();
        check(&op, &[&x], &want, 2e-6);
    }
    // The largest numbers of both signs, whose differences leave f32.
    let x: Vec<f32> = (0..130).map(|i| if i % 2 == 0 { f32::MAX } else { f32::MIN }).collect();
    let op =
        NormProblem::layer(&NormInputs { x: TensorType::f32(&[1, 130]), scale: None, bias: None }, &LayerNormDescriptor { axis: -1, epsilon: 1e-5 })
            .unwrap();
    check(&op, &[&x], &normalised(&x, 1e-5), 2e-6);
}

#[test]
fn batch_norm_keeps_its_digits_far_from_zero() {
    let x = narrow(&noise(600).iter().map(|v| 1000.0 + 0.02 * v).collect::<Vec<_>>());
    let vectors = BatchNormVectors { scale: None, bias: Some(&[2]), mean: &[2], variance: &[2] };
    let op = BatchNormProblem::new(&TensorType::f32(&[3, 2, 100]), &vectors, &BatchNormDescriptor { epsilon: 1e-5, ..Default::default() }).unwrap();
    let (bias, mean, variance) = ([0.5f32, -0.25], [1000.0f32, 999.99], [1e-4f32, 2e-4]);
    let of = |(i, x): (usize, &f32)| {
        let c = i / 100 % 2;
        (f64::from(*x) - f64::from(mean[c])) / (f64::from(variance[c]) + f64::from(1e-5f32)).sqrt() + f64::from(bias[c])
    };
    let want: Vec<f64> = x.iter().enumerate().map(of).collect();
    check(&op, &[&x, &bias, &mean, &variance], &want, 1e-6);
}

#[test]
fn means_of_numbers_whose_sum_leaves_f32() {
    let big = f64::from(3e38f32);
    for count in [4usize, 16, 1000, 40_000] {
        let op = ReduceProblem::new(&TensorType::f32(&[2, count]), &ReduceDescriptor::mean(&[1])).unwrap();
        check(&op, &[&vec![3e38; 2 * count]], &[big, big], (count + 6) as f64 * 6e-8);
    }
    let square = Pool2dDescriptor::window([2, 2]);
    let x = vec![3e38f32; 64];
    check(PoolProblem::new(&TensorType::f32(&[1, 1, 8, 8]), &square.with_kind(PoolKind::AVERAGE)).unwrap(), &[&x], &[big; 16], 1e-6);
    check(
        PoolProblem::adaptive(&TensorType::f32(&[1, 1, 8, 8]), &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [3, 3] }).unwrap(),
        &[&x],
        &[big; 9],
        1e-6,
    );
    check(
        PoolProblem::adaptive(&TensorType::f32(&[1, 1, 8, 8]), &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [1, 1] }).unwrap(),
        &[&x],
        &[big],
        1e-6,
    );
}

#[test]
fn a_fused_mean_of_numbers_whose_sum_leaves_f32() {
    use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem, FusedPool};
    let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Average), ..Default::default() };
    // Filters of one channel each that pass the middle on: depthwise blocks pool in registers.
    let mut filter = vec![0.0f32; 2 * 9];
    filter[4] = 1.0;
    filter[13] = -1.0;
    let depthwise = Conv2dDescriptor { groups: 2, ..descriptor };
    let op = ConvProblem::forward(&ConvInputs::new(&[1, 2, 6, 6], &[2, 1, 3, 3], None), &depthwise).unwrap();
    let big = f64::from(3e38f32);
    let want = [[big; 4], [-big; 4]].concat();
    check(&op, &[&[3e38; 72], &filter], &want, 1e-6);
}

#[test]
fn norms_of_windows_neither_overflow_nor_vanish() {
    let square = Pool2dDescriptor::window([2, 2]);
    for p in [2.0f32, 3.0, 0.5, 7.5] {
        let op = PoolProblem::new(&TensorType::f32(&[1, 1, 2, 2]), &square.with_kind(PoolKind::Lp { p })).unwrap();
        for value in [1e20f32, 1e-25, 1e30, 3e-38, 1.0] {
            let want = f64::from(value) * 4f64.powf(1.0 / f64::from(p));
            check(&op, &[&[value, -value, value, value]], &[want], 3e-5);
        }
        let adaptive =
            PoolProblem::adaptive(&TensorType::f32(&[1, 1, 2, 2]), &AdaptivePoolDescriptor { kind: PoolKind::Lp { p }, output: [1, 1] }).unwrap();
        for op in [&op, &adaptive] {
            check(op, &[&[1.0, f32::NAN, 2.0, 3.0]], &[f64::NAN], 0.0);
            check(op, &[&[1.0, f32::NEG_INFINITY, 2.0, 3.0]], &[f64::INFINITY], 0.0);
            check(op, &[&[0.0, -0.0, 0.0, 0.0]], &[0.0], 0.0);
        }
    }
}

#[test]
fn local_response_normalisation_of_huge_numbers_and_nan() {
    let x = [1e20f32, -2e20, 3e30, 1.0, f32::NAN, 0.5, 7.0, -8.0];
    for beta in [0.75f32, 0.5, 1.0, -0.25] {
        let op = LrnProblem::new(&TensorType::f32(&[1, 8, 1]), &LrnDescriptor { size: 3, alpha: 1e-3, beta, bias: 2.0 }).unwrap();
        let of = |c: usize| {
            let sum: f64 = (c.saturating_sub(1)..(c + 2).min(8)).map(|k| f64::from(x[k]).powi(2)).sum();
            F32.held(f64::from(x[c]) / (2.0 + f64::from(1e-3f32) / 3.0 * sum).powf(f64::from(beta)))
        };
        let want: Vec<f64> = (0..8).map(of).collect();
        assert_eq!(want.iter().filter(|v| v.is_nan()).count(), 3);
        check(&op, &[&x], &want, 1e-5);
    }
    // Windows full of the largest numbers: as many squares as there are channels.
    for channels in [2usize, 5, 64] {
        let op = LrnProblem::new(&TensorType::f32(&[1, channels, 1]), &LrnDescriptor { size: channels, alpha: 0.5, beta: 0.5, bias: 1.5 }).unwrap();
        let x = vec![f32::MAX; channels];
        // (size - 1) / 2 channels before, size / 2 after (ONNX).
        let seen = |c: usize| ((c + channels / 2 + 1).min(channels) - c.saturating_sub((channels - 1) / 2)) as f64;
        let want: Vec<f64> = (0..channels).map(|c| (channels as f64 / (0.5 * seen(c))).sqrt()).collect();
        check(&op, &[&x], &want, 1e-4);
    }
}

/// A weight times the zeros of the padding is a term of the sum: NaN, where the weight is infinite. Between the elements of a transposed convolution's input
/// there is nothing.
#[test]
fn infinite_weights_over_zeros_are_nan_by_every_algorithm() {
    let inputs = |filter: &'static [usize]| ConvInputs::new(&[1, 1, 3, 3], filter, None);
    let one = Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() };
    let mut corner = [1.0f32; 9];
    corner[0] = f32::INFINITY;
    // The corner of the window lies over the padding in the first row and column, and over an element elsewhere.
    let want: Vec<f64> = (0..9).map(|i| if i < 3 || i % 3 == 0 { f64::NAN } else { f64::INFINITY }).collect();
    check(ConvProblem::forward(&inputs(&[1, 1, 3, 3]), &one).unwrap(), &[&[1.0; 9], &corner], &want, 0.0);

    // y[o] = sum of x[i] w[t] with 2 i + t = o: the first tap meets elements at even o below 6, and what is around x at 6; 4, 2 or 1 taps of 1 elsewhere.
    let gaps = ConvTranspose2dDescriptor { stride: [2, 2], ..Default::default() };
    let along = |o: usize| if o % 2 == 1 || o == 0 || o == 6 { 1.0 } else { 2.0 };
    let want: Vec<f64> = (0..49)
        .map(|i| match [i / 7, i % 7] {
            [p, q] if p % 2 == 1 || q % 2 == 1 => along(p) * along(q),
            [p, q] if p == 6 || q == 6 => f64::NAN,
            _ => f64::INFINITY,
        })
        .collect();
    check(ConvProblem::transposed(&inputs(&[1, 1, 3, 3]), &gaps).unwrap(), &[&[1.0; 9], &corner], &want, 0.0);

    // Many shapes: the same places are NaN and infinite for every engine and algorithm as for the reference.
    let shapes = |x: u64, groups: u64, stride, dilation: usize| {
        let forward = Conv2dDescriptor {
            padding: Padding::uniform(2),
            stride: [stride; 2],
            dilation: [dilation; 2],
            groups: groups as usize,
            ..Default::default()
        };
        let transposed = ConvTranspose2dDescriptor {
            padding: Padding::uniform(1),
            stride: [stride; 2],
            dilation: [dilation; 2],
            groups: groups as usize,
            ..Default::default()
        };
        let (x_extents, group, out) = ([2, x as usize, 7, 8], (x / groups) as usize, if groups == x { x as usize } else { 8 });
        let inputs = |filter| ConvInputs::new(&x_extents, filter, None);
        [
            ConvProblem::forward(&inputs(&[out, group, 3, 3]), &forward).unwrap(),
            ConvProblem::transposed(&inputs(&[x as usize, out / groups as usize, 3, 3]), &transposed).unwrap(),
        ]
    };
    for (x, groups) in [(8, 1), (3, 1), (8, 2), (6, 6)] {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (3, 1)] {
            for problem in shapes(x, groups, stride, dilation) {
                let input = narrow(&noise(problem.input_count() as usize));
                let mut filter = narrow(&noise(problem.filter_count() as usize));
                let taps = problem.taps() as usize;
                for (i, value) in [f32::INFINITY, f32::NAN, f32::NEG_INFINITY].into_iter().enumerate() {
                    let at = 7 * i * taps + [0, 4, 8][i];
                    let last = filter.len();
                    filter[at % last] = value;
                }
                let want = wgconv::reference::conv(&problem, &input, &filter, None).unwrap().sum;
                assert!(want.iter().any(|v| v.is_nan()) && want.iter().any(|v| v.is_finite()), "{problem}");
                check(&problem, &[&input, &filter], &want, 1e-5);
            }
        }
    }
}
