//! The derived error bounds against arithmetic of 106 bits (double-double): what f32 computes in any order stays within them, and what the f64
//! references compute errs by far less than they allow. Random numbers, and the extremes: magnitudes side by side, sums that cancel, rows of
//! one number.

#![allow(clippy::unwrap_used, reason = "tests")]

use ndarray::{ArrayD, IxDyn};
use std::sync::LazyLock;
use wgconv::conv::{Accuracy, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::matmul::MatMulProblem;
use wgconv::norm::{
    BatchNormDescriptor, BatchNormProblem, BatchNormVectors, LayerNormDescriptor, LrnDescriptor, LrnProblem, NormInputs, NormProblem,
};
use wgconv::numeric::Generator;
use wgconv::numeric::bound::{SQUARE_ROOT_ERROR, UNDERFLOW, gamma, power_error, storage_rounding};
use wgconv::op::{Op, Planned, Prepared, Problem, Referenced};
use wgconv::pool::{Pool2dDescriptor, PoolKind, PoolProblem};
use wgconv::reduce::{ReduceDescriptor, ReduceProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{CoordinateMode, Resize, ResizeDescriptor, ResizeMode};
use wgconv::{Activation, ElementType, Gpu, Layout, Padding, TensorType};

const F32: ElementType = ElementType::F32;
const CF: Layout = Layout::ChannelsFirst;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().unwrap());

/// An unevaluated sum of two f64 numbers (Dekker 1971; Hida, Li and Bailey 2001): 106 bits, relative errors of about 2^-104.
#[derive(Clone, Copy, Debug)]
struct Dd(f64, f64);

impl Dd {
    fn of(v: impl Into<f64>) -> Self {
        Self(v.into(), 0.0)
    }

    /// The sum of any two numbers, exactly.
    fn two_sum(a: f64, b: f64) -> Self {
        let s = a + b;
        let t = s - a;
        Self(s, (a - (s - t)) + (b - t))
    }

    fn value(self) -> f64 {
        self.0 + self.1
    }

    fn sqrt(self) -> Self {
        if self.0 == 0.0 {
            return self;
        }
        let root = Self::of(self.0.sqrt());
        root + (self - root * root) / (root + root)
    }

    /// Halved ten times, by its series, and squared ten times.
    fn exp(self) -> Self {
        let small = self * Self::of(1.0 / 1024.0);
        let (mut sum, mut term) = (Self::of(1.0), Self::of(1.0));
        for n in 1..30 {
            term = term * small / Self::of(f64::from(n));
            sum = sum + term;
        }
        (0..10).fold(sum, |v, _| v * v)
    }

    /// One step of Newton's method from the f64 logarithm.
    fn ln(self) -> Self {
        let first = Self::of(self.0.ln());
        first + self * (-first).exp() - Self::of(1.0)
    }

    fn sum(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::of(0.0), |sum, v| sum + v)
    }
}

impl std::ops::Add for Dd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (high, low) = (Self::two_sum(self.0, other.0), Self::two_sum(self.1, other.1));
        let high = Self::two_sum(high.0, high.1 + low.0);
        Self::two_sum(high.0, high.1 + low.1)
    }
}

impl std::ops::Neg for Dd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0, -self.1)
    }
}

impl std::ops::Sub for Dd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl std::ops::Mul for Dd {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let product = self.0 * other.0;
        Self::two_sum(product, self.0.mul_add(other.0, -product) + (self.0 * other.1 + self.1 * other.0))
    }
}

impl std::ops::Div for Dd {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = Self::of(self.0 / other.0);
        let rest = self - first * other;
        let second = Self::of(rest.0 / other.0);
        let rest = rest - second * other;
        first + second + Self::of(rest.0 / other.0)
    }
}

#[test]
fn double_double_numbers_hold_106_bits() {
    let third = Dd::of(1.0) / Dd::of(3.0);
    assert!((third * Dd::of(3.0) - Dd::of(1.0)).value().abs() < 2f64.powi(-104));
    assert!((Dd::of(2.0).sqrt() * Dd::of(2.0).sqrt() - Dd::of(2.0)).value().abs() < 2f64.powi(-102));
    // e = 2.718281828459045 + 1.4456468917292502e-16 (Hida, Li and Bailey's constant).
    let e = Dd::of(1.0).exp() - Dd(std::f64::consts::E, 1.445_646_891_729_250_2e-16);
    assert!(e.value().abs() < 1e-28, "{e:?}");
    assert!((Dd::of(7.0).ln().exp() - Dd::of(7.0)).value().abs() < 1e-27);
    assert!((Dd::of(1e16) + Dd::of(1.0) - Dd::of(1e16)).value() == 1.0);
}

/// Rows of `count` numbers: tame ones, and what is hard to sum.
fn rows(count: usize, generator: &mut Generator) -> Vec<(&'static str, Vec<f32>)> {
    let mut make = |name, f: &mut dyn FnMut(usize, f64, f64) -> f64| {
        let values = (0..count).map(|i| {
            let (v, wide) = (generator.real(), generator.integer(40));
            f(i, v, wide) as f32
        });
        (name, values.collect::<Vec<f32>>())
    };
    vec![
        make("real", &mut |_, v, _| v),
        make("wide", &mut |_, v, e| v * 2f64.powf(e)),
        make("positive", &mut |_, v, _| v.abs()),
        make("cancelling", &mut |i, v, _| if i % 2 == 0 { 1e6 + f64::from((i / 2) as u32) } else { -1e6 - f64::from((i / 2) as u32) + 1e-3 * v }),
        make("one number", &mut |_, _, _| 12_345.678),
        make("nearly one number", &mut |_, v, _| 12_345.678 + 1e-2 * v),
        make("a mask", &mut |i, v, _| if i % 7 == 3 { -1e9 } else { v }),
        make("growing", &mut |i, v, _| v * 1.1f64.powi((i % 300) as i32)),
        make("huge", &mut |_, v, _| v * 1e16),
        make("tiny", &mut |_, v, _| v * 1e-18),
    ]
}

/// Sums of products as kernels form them: one after another with and without fused multiply-add, from the other end, in eight parts, as a tree.
fn sums(x: &[f32], w: &[f32]) -> Vec<(&'static str, f32)> {
    let products: Vec<f32> = x.iter().zip(w).map(|(x, w)| x * w).collect();
    fn tree(v: &[f32]) -> f32 {
        if v.len() == 1 { v[0] } else { tree(&v[..v.len() / 2]) + tree(&v[v.len() / 2..]) }
    }
    let mut parts = [0.0f32; 8];
    x.iter().zip(w).enumerate().for_each(|(i, (x, w))| parts[i % 8] = x.mul_add(*w, parts[i % 8]));
    vec![
        ("fused", x.iter().zip(w).fold(0.0f32, |sum, (x, w)| x.mul_add(*w, sum))),
        ("plain", products.iter().fold(0.0f32, |sum, p| sum + p)),
        ("from the end", x.iter().zip(w).rev().fold(0.0f32, |sum, (x, w)| x.mul_add(*w, sum))),
        ("in eight parts", parts.iter().sum()),
        ("as a tree", tree(&products)),
    ]
}

#[test]
fn sums_in_any_order_stay_within_gamma() {
    let u = F32.unit_roundoff();
    let mut generator = Generator::from_text("gamma");
    let mut worst = 0.0f64;
    for count in [1usize, 2, 3, 4, 9, 64, 576, 4_608, 30_000] {
        for _ in 0..if count < 1000 { 40 } else { 2 } {
            let rows = rows(count, &mut generator);
            for (name, x) in &rows {
                for (other, w) in &rows {
                    let exact = Dd::sum(x.iter().zip(w).map(|(x, w)| Dd::of(*x) * Dd::of(*w))).value();
                    let magnitude: f64 = x.iter().zip(w).map(|(x, w)| (f64::from(*x) * f64::from(*w)).abs()).sum();
                    let allowed = gamma(count as u64, u) * magnitude + count as f64 * UNDERFLOW;
                    for (order, got) in sums(x, w) {
                        let error = (f64::from(got) - exact).abs();
                        assert!(error <= allowed, "{count} of {name} x {other}, {order}: errs by {error:e}, not {allowed:e}");
                        worst = worst.max(error / allowed);
                    }
                }
            }
        }
    }
    assert!(worst > 0.9, "gamma is loose even for one product: {worst}");
}

/// n u = 2: a sum of ones stops growing at 2^24, half of what is right, and the bound says so.
#[test]
fn gamma_holds_where_n_u_is_more_than_one() {
    let count = 1u64 << 25;
    let sum = (0..count).fold(0.0f32, |sum, _| sum + 1.0);
    let error = count as f64 - f64::from(sum);
    assert_eq!(error, (1u64 << 24) as f64);
    let allowed = gamma(count, F32.unit_roundoff()) * count as f64;
    assert!(allowed.is_finite() && error <= allowed, "{error:e}, {allowed:e}");
}

/// exp2(p log2 x) with all that WGSL allows each of its steps, in the direction that adds up.
#[test]
fn powers_stay_within_their_error() {
    let unit = f64::from(f32::EPSILON);
    let mut generator = Generator::from_text("power");
    let mut worst = 0.0f64;
    let mut numbers = vec![0.5, 0.999_999, 1.000_001, 2.0, f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX), 1e-30, 1e30];
    numbers.extend((0..3000).map(|_| f64::from((generator.real().abs() * 2f64.powf(generator.integer(120))) as f32)));
    for x in numbers.into_iter().filter(|x| *x > 0.0) {
        for p in [0.5, 0.75, 1.0 / 3.0, 1.5, 3.0, 4.0, 7.5, -0.75, -0.25, -2.0, 0.01, 40.0] {
            let allowed = power_error(x, p);
            let exact = x.powf(p);
            for sign in [-1.0, 1.0] {
                let log = x.log2();
                // WGSL's table: an absolute 2^-21 for x in [0.5, 2], else 3 units in the last place.
                let log_error = if (0.5..=2.0).contains(&x) { 2f64.powi(-21) } else { 3.0 * unit * log.abs() };
                let product = p * (log + sign * log_error * p.signum());
                let product = product + sign * unit / 2.0 * product.abs();
                let power = product.exp2() * (1.0 + sign * (3.0 + 2.0 * product.abs()) * unit);
                if !(1e-37..3e38).contains(&exact) || !power.is_finite() {
                    continue;
                }
                let error = (power - exact).abs() / exact;
                assert!(error <= allowed, "{x:e}^{p}: errs by {error:e}, not {allowed:e}");
                worst = worst.max(error / allowed);
            }
        }
    }
    assert!(worst > 0.7, "the bound is loose: {worst}");
}

#[test]
fn square_roots_stay_within_their_error() {
    let unit = f64::from(f32::EPSILON);
    let mut generator = Generator::from_text("root");
    let mut worst = 0.0f64;
    for _ in 0..100_000 {
        let x = generator.real().abs() * 2f64.powf(generator.integer(120)) + 1e-37;
        for (first, second) in [(2.0, 2.5), (-2.0, -2.5), (2.0, -2.5)] {
            // A unit in the last place is 2^-23 of a number at most.
            let inverse = (1.0 + first * unit) / x.sqrt();
            let root = (1.0 + second * unit) / inverse;
            let error = (root / x.sqrt() - 1.0).abs();
            assert!(error <= SQUARE_ROOT_ERROR * (1.0 + 4.0 * unit), "{x:e}: {error:e}");
            worst = worst.max(error / SQUARE_ROOT_ERROR);
        }
    }
    assert!(worst > 0.9, "the bound is loose: {worst}");
}

#[test]
fn rounding_to_f16_stays_within_its_error() {
    let mut generator = Generator::from_text("f16");
    let mut worst = 0.0f64;
    let edges = [0.0, 2f64.powi(-24), 2f64.powi(-25), 1.5 * 2f64.powi(-24), 2f64.powi(-14), 65_504.0, 65_519.0, 1.0 + 2f64.powi(-11)];
    for v in edges.into_iter().chain((0..200_000).map(|_| generator.real() * 2f64.powf(generator.integer(20) - 4.5))) {
        let v = v.clamp(-65_519.0, 65_519.0);
        let error = (half::f16::from_f64(v).to_f64() - v).abs();
        let allowed = storage_rounding(ElementType::F16, v.abs());
        assert!(error <= allowed, "{v:e}: errs by {error:e}, not {allowed:e}");
        worst = worst.max(error / allowed);
    }
    assert!(worst > 0.95 && worst <= 1.0, "the bound is loose: {worst}");
    assert_eq!(storage_rounding(F32, 1.0), 0.0);
}

/// No argument within the error of a sum gives a result further away than the activation is said to carry.
#[test]
fn activations_carry_no_more_error_than_they_say() {
    let mut generator = Generator::from_text("carried");
    for activation in Activation::ALL {
        let mut worst = 0.0f64;
        for i in 0..20_000 {
            let x = generator.real() * 2f64.powf(generator.integer(if i % 2 == 0 { 3 } else { 100 }));
            let error = x.abs().max(1e-3) * 2f64.powf(-(generator.below(30) as f64));
            let allowed = activation.propagated(x, error);
            assert!(allowed.is_finite() && allowed >= 0.0, "{activation} at {x:e}");
            for part in [-1.0, -0.5, 0.1, 1.0] {
                let changed = (activation.apply(x + part * error) - activation.apply(x)).abs();
                let rounding = 1e-15 * (1.0 + activation.apply(x).abs() + changed);
                assert!(changed <= allowed + rounding, "{activation} from {x:e} by {error:e}: {changed:e}, not {allowed:e}");
                worst = worst.max(changed / allowed);
            }
        }
        assert!(worst > 0.8, "{activation}: the slope is loose: {worst}");
    }
}

/// The op on the CPU engine and by every algorithm on the GPU, and the reference in f64, all against `exact`.
fn compare(op: impl Into<Op>, data: &str, inputs: &[&[f32]], exact: &[Dd]) {
    let op = &op.into();
    let wide: Vec<Vec<f64>> = inputs.iter().map(|x| x.iter().map(|v| f64::from(*v)).collect()).collect();
    let wide: Vec<&[f64]> = wide.iter().map(Vec::as_slice).collect();
    let exact: Vec<f64> = exact.iter().map(|v| v.value()).collect();
    let reference = op.reference(&wide).swap_remove(0);
    assert_eq!(reference.value.len(), exact.len());
    for (i, &exact) in exact.iter().enumerate() {
        let (value, error) = (reference.value[i], reference.error[i]);
        assert!(error.is_finite() && exact.is_finite(), "{} {op} of {data}: element {i}, {exact:e}, has the bound {error:e}", op.name());
        let off = (value - exact).abs();
        assert!(
            off <= error / 100.0,
            "{} {op} of {data}: the reference of element {i} is {value:e}, off by {off:e} where {error:e} is allowed",
            op.name()
        );
    }
    let within = |engine: &str, got: &[f32], bound: &[f64]| {
        for (i, (&got, &exact)) in got.iter().zip(&exact).enumerate() {
            let off = (f64::from(got) - exact).abs();
            assert!(
                off <= bound[i],
                "{} {op} of {data} on {engine}: element {i} is {got:e}, not {exact:e}: off by {off:e}, not {:e}",
                op.name(),
                bound[i]
            );
        }
    };
    let mut y = vec![f32::NAN; exact.len()];
    if wgconv::cpu::compute(op, inputs, &mut y).unwrap() {
        let label = wgconv::cpu::algorithm(op).unwrap_or_default();
        within("the CPU engine", &y, &op.reference_for(&label, &wide)[0].error);
    }
    let upload = |(spec, values): (&wgconv::op::TensorSpec, &&[f32])| {
        GPU.upload(&ArrayD::from_shape_vec(IxDyn(&spec.tensor.extents), values.to_vec()).unwrap()).unwrap()
    };
    let specs = op.inputs();
    let tensors: Vec<_> = specs.iter().zip(inputs).map(upload).collect();
    let of = |constant: bool| specs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect::<Vec<_>>();
    for algorithm in op.algorithms(GPU.profile()) {
        let prepared = Prepared::with_algorithm(&GPU, op, algorithm, &of(true)).unwrap();
        let outputs = prepared.outputs().unwrap();
        let mut recorder = GPU.recorder();
        prepared.record(&mut recorder, &of(false), &outputs.iter().collect::<Vec<_>>()).unwrap();
        recorder.submit().unwrap();
        let got = outputs[0].download::<f32, IxDyn>().unwrap();
        within(algorithm, got.as_slice().unwrap(), &op.reference_for(algorithm, &wide)[0].error);
    }
}

fn dd(x: &[f32]) -> Vec<Dd> {
    x.iter().map(|v| Dd::of(*v)).collect()
}

#[test]
fn rows_are_normalised_within_their_bound() {
    let mut generator = Generator::from_text("rows");
    for length in [1usize, 2, 7, 64, 300] {
        for (data, x) in rows(2 * length, &mut generator) {
            for epsilon in [1e-5f32, 1e-12] {
                let op = NormProblem::layer(
                    &NormInputs { x: TensorType::f32(&[2, length]), scale: None, bias: None },
                    &LayerNormDescriptor { axis: -1, epsilon },
                )
                .unwrap();
                let exact: Vec<Dd> = x
                    .chunks(length)
                    .flat_map(|row| {
                        let (row, n) = (dd(row), Dd::of(length as f64));
                        let mean = Dd::sum(row.iter().copied()) / n;
                        let variance = Dd::sum(row.iter().map(|v| (*v - mean) * (*v - mean))) / n;
                        row.into_iter().map(|v| (v - mean) / (variance + Dd::of(epsilon)).sqrt()).collect::<Vec<_>>()
                    })
                    .collect();
                compare(&op, data, &[&x], &exact);
            }
            let exact: Vec<Dd> = x.chunks(length).map(|row| Dd::sum(dd(row)) / Dd::of(length as f64)).collect();
            compare(ReduceProblem::new(&TensorType::f32(&[2, length]), &ReduceDescriptor::mean(&[1])).unwrap(), data, &[&x], &exact);
            let exact: Vec<Dd> = x.chunks(length).map(|row| Dd::sum(dd(row))).collect();
            compare(ReduceProblem::new(&TensorType::f32(&[2, length]), &ReduceDescriptor::sum(&[1])).unwrap(), data, &[&x], &exact);
            if ["huge", "a mask", "wide", "growing", "cancelling"].contains(&data) {
                continue; // the exponentials below are of differences that a series holds
            }
            let exact: Vec<[Dd; 2]> = x
                .chunks(length)
                .flat_map(|row| {
                    let largest = row.iter().copied().fold(f32::MIN, f32::max);
                    let terms: Vec<Dd> = row.iter().map(|v| (Dd::of(*v) - Dd::of(largest)).exp()).collect();
                    let sum = Dd::sum(terms.iter().copied());
                    row.iter().zip(terms).map(move |(v, e)| [e / sum, Dd::of(*v) - Dd::of(largest) - sum.ln()]).collect::<Vec<_>>()
                })
                .collect();
            for (logarithm, exact) in [(false, exact.iter().map(|y| y[0]).collect::<Vec<_>>()), (true, exact.iter().map(|y| y[1]).collect())] {
                compare(SoftmaxProblem::new(&TensorType::f32(&[2, length]), &SoftmaxDescriptor { axis: 1, logarithm }).unwrap(), data, &[&x], &exact);
            }
        }
    }
}

#[test]
fn batch_and_local_response_norms_keep_their_bound() {
    let mut generator = Generator::from_text("batch");
    let [mean, variance, scale, bias] = [[12_345.678f32, -0.5, 1e9], [1e-4, 2.0, 1e-20], [1.5, -3.0, 0.25], [0.1, 12_345.678, -7.0]];
    let vectors = BatchNormVectors { scale: Some(&[3]), bias: Some(&[3]), mean: &[3], variance: &[3] };
    let op = BatchNormProblem::new(&TensorType::f32(&[2, 3, 11]), &vectors, &BatchNormDescriptor { epsilon: 1e-5, ..Default::default() }).unwrap();
    for (data, x) in rows(66, &mut generator) {
        let of = |(i, x): (usize, &f32)| {
            let c = i / 11 % 3;
            let root = (Dd::of(variance[c]) + Dd::of(1e-5f32)).sqrt();
            (Dd::of(*x) - Dd::of(mean[c])) * Dd::of(scale[c]) / root + Dd::of(bias[c])
        };
        let exact: Vec<Dd> = x.iter().enumerate().map(of).collect();
        compare(&op, data, &[&x, &scale, &bias, &mean, &variance], &exact);
        // beta 1/2 and 1: powers that double-double arithmetic has.
        for beta in [0.5f32, 1.0] {
            let op = LrnProblem::new(&TensorType::f32(&[1, 66, 1]), &LrnDescriptor { size: 3, alpha: 1e-3, beta, bias: 2.0 }).unwrap();
            let of = |c: usize| {
                let sum = Dd::sum((c.saturating_sub(1)..(c + 2).min(66)).map(|k| Dd::of(x[k]) * Dd::of(x[k])));
                let base = Dd::of(2.0) + Dd::of(1e-3f32) / Dd::of(3.0) * sum;
                Dd::of(x[c]) / if beta == 1.0 { base } else { base.sqrt() }
            };
            compare(&op, data, &[&x], &(0..66).map(of).collect::<Vec<_>>());
        }
    }
}

#[test]
fn pools_and_products_keep_their_bound() {
    let mut generator = Generator::from_text("products");
    let (filters, images) = (rows(8 * 5 * 9, &mut generator), rows(5 * 6 * 6, &mut generator));
    let descriptor = Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() };
    // Reduced: every Winograd, and cooperative matrices where the device has some.
    let reduced = Conv2dDescriptor { accuracy: Accuracy::Reduced, ..descriptor };
    let conv = [descriptor, reduced].map(|d| ConvProblem::forward(&ConvInputs::new(&[1, 5, 6, 6], &[8, 5, 3, 3], None), &d).unwrap());
    let product = MatMulProblem::matmul(&[9, 20], &[20, 18], F32).unwrap();
    for (data, x) in &images {
        let at = |x: &[f32], c: usize, h: usize, w: usize| Dd::of(x[(c * 6 + h) * 6 + w]);
        for (name, w) in &filters {
            let exact: Vec<Dd> = (0..8 * 36)
                .map(|i| {
                    let (k, p, q) = (i / 36, i / 6 % 6, i % 6);
                    let taps = (0..45).map(|t| (t / 9, p + t / 3 % 3, q + t % 3, t));
                    let inside = taps.filter(|(_, h, w, _)| (1..7).contains(h) && (1..7).contains(w));
                    Dd::sum(inside.map(|(c, h, v, t)| at(x, c, h - 1, v - 1) * Dd::of(w[k * 45 + t])))
                })
                .collect();
            conv.iter().for_each(|conv| compare(conv, &format!("{data} x {name}"), &[x, w], &exact));
            let (a, b) = (&x[..180], &w[..360]);
            let entry = |i: usize| Dd::sum((0..20).map(|s| Dd::of(a[i / 18 * 20 + s]) * Dd::of(b[s * 18 + i % 18])));
            compare(&product, &format!("{data} x {name}"), &[a, b], &(0..162).map(entry).collect::<Vec<_>>());
        }
        let window = |i: usize| {
            let (c, p, q) = (i / 9, i / 3 % 3 * 2, i % 3 * 2);
            [at(x, c, p, q), at(x, c, p, q + 1), at(x, c, p + 1, q), at(x, c, p + 1, q + 1)]
        };
        let square = Pool2dDescriptor::window([2, 2]);
        let exact: Vec<Dd> = (0..45).map(|i| Dd::sum(window(i)) / Dd::of(4.0)).collect();
        compare(PoolProblem::new(&TensorType::f32(&[1, 5, 6, 6]), &square.with_kind(PoolKind::AVERAGE)).unwrap(), data, &[x], &exact);
        let exact: Vec<Dd> = (0..45).map(|i| Dd::sum(window(i).map(|v| v * v)).sqrt()).collect();
        compare(PoolProblem::new(&TensorType::f32(&[1, 5, 6, 6]), &square.with_kind(PoolKind::Lp { p: 2.0 })).unwrap(), data, &[x], &exact);
    }
}

#[test]
fn linear_resizing_keeps_its_bound() {
    let mut generator = Generator::from_text("resize");
    for (data, x) in rows(3 * 5, &mut generator) {
        for (coordinates, sizes) in
            [(CoordinateMode::HalfPixel, [7, 9]), (CoordinateMode::HalfPixel, [2, 3]), (CoordinateMode::AlignCorners, [10, 6])]
        {
            let descriptor = ResizeDescriptor { sizes: sizes.to_vec(), mode: ResizeMode::Linear, coordinates, scales: None };
            let kind = TensorType { extents: vec![1, 1, 3, 5], element: F32, layout: CF };
            let op = Resize::new(&kind, &descriptor).unwrap();
            // Both neighbours along an axis, and the weight of the second: a quotient of integers.
            let neighbours = |o: usize, input: usize, output: usize| {
                let [numerator, denominator] = match coordinates {
                    CoordinateMode::AlignCorners => [o as f64 * (input - 1) as f64, (output - 1) as f64],
                    _ => [(2 * o + 1) as f64 * input as f64 - output as f64, 2.0 * output as f64],
                };
                let numerator = numerator.clamp(0.0, (input - 1) as f64 * denominator);
                let first = (numerator / denominator).floor();
                (first as usize, (first as usize + 1).min(input - 1), Dd::of(numerator - first * denominator) / Dd::of(denominator))
            };
            let of = |i: usize| {
                let (rows, columns) = (neighbours(i / sizes[1], 3, sizes[0]), neighbours(i % sizes[1], 5, sizes[1]));
                let blend = |a: Dd, b: Dd, w: Dd| a * (Dd::of(1.0) - w) + b * w;
                let line = |h: usize| blend(Dd::of(x[h * 5 + columns.0]), Dd::of(x[h * 5 + columns.1]), columns.2);
                blend(line(rows.0), line(rows.1), rows.2)
            };
            compare(&op, data, &[&x], &(0..sizes[0] * sizes[1]).map(of).collect::<Vec<_>>());
        }
    }
}
