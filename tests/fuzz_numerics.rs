//! Random problems with random numbers, tame and not, against sums written here from the definitions: nothing of the reference, of its resolved axes
//! or of its bounds is used. The planner's own choice on the GPU, and the CPU engine.
//!
//! Cases are numbered, and a number makes the same case everywhere. By default the first 120 are tried, and no longer than 60 seconds:
//!
//! ```sh
//! cargo test --workspace --test fuzz_numerics                                   # as CI does
//! WGCONV_FUZZ_SECONDS=600 cargo test --workspace --test fuzz_numerics           # as many as that allows
//! WGCONV_FUZZ_FIRST=4711 WGCONV_FUZZ_CASES=1 cargo test --workspace --test fuzz_numerics # that one, which a failure names
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use ndarray::{ArrayD, IxDyn};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use wgconv::conv::{Accuracy, Conv2dDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor};
use wgconv::matmul::MatMulProblem;
use wgconv::norm::{LayerNormDescriptor, NormInputs, NormProblem};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Prepared, Problem};
use wgconv::pool::{PoolDescriptor, PoolKind, PoolProblem};
use wgconv::reduce::{ReduceDescriptor, ReduceKind, ReduceProblem};
use wgconv::shape::Padding;
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::{ElementType, Gpu, TensorType};

const F32: ElementType = ElementType::F32;
/// Unit roundoff of f32.
const U: f64 = 1.0 / 16_777_216.0;
/// What a device that takes subnormal numbers for zero loses in a term.
const LOST: f64 = f32::MIN_POSITIVE as f64;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().unwrap());

/// An output and the difference that it may have.
type Expected = Vec<(f64, f64)>;

/// One output of plain sums: its value, the sum of the absolute terms, and how many there are.
#[derive(Default, Clone, Copy)]
struct Sum {
    value: f64,
    magnitude: f64,
    terms: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
        self.terms += 1.0;
    }

    /// n roundings of the absolute terms (Jeannerod and Rump, 2013), and a few more.
    fn expected(self) -> (f64, f64) {
        (self.value, (self.terms + 4.0) * U * 1.001 * self.magnitude + (self.terms + 8.0) * LOST)
    }
}

fn between(generator: &mut Generator, low: u64, high: u64) -> usize {
    (low + generator.below(high - low + 1)) as usize
}

/// Numbers of one of five kinds, as f32 holds them.
fn numbers(generator: &mut Generator, count: usize, may_be_nan: bool) -> Vec<f32> {
    let kind = generator.below(if may_be_nan { 6 } else { 5 });
    let mask = generator.below(count as u64) as usize;
    (0..count)
        .map(|i| {
            let v = generator.real();
            let wide = generator.below(61) as i32 - 30;
            let v = match kind {
                0 | 1 => v,
                2 => v * 2f64.powi(wide),
                3 if i == mask => -1e9,
                3 => v,
                4 => 12_345.678 + v * 1e-3,
                _ if i == mask => f64::NAN,
                _ => v,
            };
            v as f32
        })
        .collect()
}

/// A problem, its inputs, and what comes out.
type Case = (Op, Vec<Vec<f32>>, Expected);

fn convolution(g: &mut Generator, transposed: bool) -> Option<Case> {
    let groups = between(g, 1, 3);
    let (n, c_each, k_each) = (between(g, 1, 2), between(g, 1, 9), between(g, 1, 9));
    let [h, w] = [between(g, 1, 12), between(g, 1, 12)];
    let [r, s] = [between(g, 1, 4), between(g, 1, 4)];
    let stride = [between(g, 1, 3), between(g, 1, 3)];
    let dilation = [between(g, 1, 2), between(g, 1, 2)];
    let pads: [i64; 4] = std::array::from_fn(|_| g.below(3) as i64); // top, left, bottom, right
    let [top, left, bottom, right] = pads;
    let padding = Padding::Explicit { begin: [top as _, left as _], end: [bottom as _, right as _] };
    let (c, k) = (groups * c_each, groups * k_each);
    let x_extents = [n, c, h, w];
    let filter_extents = if transposed { [c, k_each, r, s] } else { [k, c_each, r, s] };
    let bias_extents = [k];
    let inputs = ConvInputs::new(&x_extents, &filter_extents, Some(&bias_extents));
    let accuracy = Accuracy::Exact; // others mix neighbours, or round operands
    let problem = if transposed {
        ConvProblem::transposed(&inputs, &ConvTransposeDescriptor { stride, dilation, padding, groups, accuracy, ..Default::default() })
    } else {
        ConvProblem::forward(&inputs, &Conv2dDescriptor { stride, dilation, padding, groups, accuracy, ..Default::default() })
    }
    .ok()?;
    let extents = problem.output_extents();
    let (x, filter, bias) = (numbers(g, n * c * h * w, true), numbers(g, filter_extents.iter().product(), false), numbers(g, k, false));
    let mut sums = vec![Sum::default(); extents.iter().product()];
    let [p_end, q_end] = [extents[2] as i64, extents[3] as i64];
    let product = |image: usize, c: usize, iy: i64, ix: i64, weight: usize| {
        f64::from(x[((image * c_total(groups, c_each) + c) * h + iy as usize) * w + ix as usize]) * f64::from(filter[weight])
    };
    for image in 0..n {
        for channel in 0..c {
            let group = channel / c_each;
            for each in 0..k_each {
                let out = group * k_each + each;
                for (t, u) in (0..r).flat_map(|t| (0..s).map(move |u| (t, u))) {
                    let weight =
                        if transposed { ((channel * k_each + each) * r + t) * s + u } else { ((out * c_each + channel % c_each) * r + t) * s + u };
                    let (dy, dx) = ((t * dilation[0]) as i64, (u * dilation[1]) as i64);
                    if transposed {
                        // Every input adds to where it lands.
                        for (iy, ix) in (0..h as i64).flat_map(|iy| (0..w as i64).map(move |ix| (iy, ix))) {
                            let (p, q) = (iy * stride[0] as i64 + dy - top, ix * stride[1] as i64 + dx - left);
                            if (0..p_end).contains(&p) && (0..q_end).contains(&q) {
                                let at = ((image * k + out) as i64 * p_end + p) * q_end + q;
                                sums[at as usize].add(product(image, channel, iy, ix, weight));
                            }
                        }
                    } else {
                        for (p, q) in (0..p_end).flat_map(|p| (0..q_end).map(move |q| (p, q))) {
                            let (iy, ix) = (p * stride[0] as i64 + dy - top, q * stride[1] as i64 + dx - left);
                            if (0..h as i64).contains(&iy) && (0..w as i64).contains(&ix) {
                                let at = ((image * k + out) as i64 * p_end + p) * q_end + q;
                                sums[at as usize].add(product(image, channel, iy, ix, weight));
                            }
                        }
                    }
                }
            }
        }
    }
    let plane = (p_end * q_end) as usize;
    sums.iter_mut().enumerate().for_each(|(i, sum)| sum.add(f64::from(bias[i / plane % k])));
    Some((Op::from(problem), vec![x, filter, bias], sums.into_iter().map(Sum::expected).collect()))
}

fn c_total(groups: usize, each: usize) -> usize {
    groups * each
}

fn pool(g: &mut Generator) -> Option<Case> {
    let [n, c, h, w] = [between(g, 1, 2), between(g, 1, 5), between(g, 1, 14), between(g, 1, 14)];
    let window = [between(g, 1, 4), between(g, 1, 4)];
    let stride = [between(g, 1, 3), between(g, 1, 3)];
    let dilation = [between(g, 1, 2), between(g, 1, 2)];
    let pads: [i64; 4] = std::array::from_fn(|_| g.below(2) as i64);
    let padding = Padding::Explicit { begin: [pads[0] as _, pads[1] as _], end: [pads[2] as _, pads[3] as _] };
    let powers = [1.0f32, 2.0, 3.0];
    let kind = match g.below(4) {
        0 => PoolKind::MAX,
        1 => PoolKind::AVERAGE,
        2 => PoolKind::Average { count_include_pad: true },
        _ => PoolKind::Lp { p: powers[g.below(3) as usize] },
    };
    let descriptor = PoolDescriptor { dilation, ..PoolDescriptor::window(window).with_stride(stride).with_padding(padding) };
    let problem = PoolProblem::new(&TensorType::f32(&[n, c, h, w]), &descriptor.with_kind(kind)).ok()?;
    let x = numbers(g, n * c * h * w, true);
    let [rows, columns] = [problem.output_extents()[2], problem.output_extents()[3]];
    let mut expected = Vec::new();
    for (plane, p, q) in (0..n * c).flat_map(|plane| (0..rows).flat_map(move |p| (0..columns).map(move |q| (plane, p, q)))) {
        let mut elements = Vec::new();
        let mut padded = 0.0;
        for (t, u) in (0..window[0]).flat_map(|t| (0..window[1]).map(move |u| (t, u))) {
            let iy = (p * stride[0] + t * dilation[0]) as i64 - pads[0];
            let ix = (q * stride[1] + u * dilation[1]) as i64 - pads[1];
            padded += 1.0; // without ceil_mode every tap lies in the padded plane
            if (0..h as i64).contains(&iy) && (0..w as i64).contains(&ix) {
                elements.push(f64::from(x[(plane * h + iy as usize) * w + ix as usize]));
            }
        }
        let count = elements.len() as f64;
        let magnitude: f64 = elements.iter().map(|v| v.abs()).sum();
        expected.push(match kind {
            PoolKind::Max { .. } if elements.iter().any(|v| v.is_nan()) => (f64::NAN, 0.0),
            PoolKind::Max { .. } => (elements.iter().copied().fold(f64::NEG_INFINITY, f64::max), 0.0),
            PoolKind::Average { count_include_pad } => {
                let divisor = if count_include_pad { padded } else { count };
                (elements.iter().sum::<f64>() / divisor, (count + 8.0) * U * magnitude / divisor + 32.0 * LOST)
            }
            PoolKind::Lp { p } => {
                let p = f64::from(p);
                let norm = elements.iter().map(|v| v.abs().powf(p)).sum::<f64>().powf(1.0 / p);
                // A power by exp2 and log2, each within WGSL's accuracy: exponents reach 3 x 30 and more.
                let relative = if p > 2.0 { 1e-4 } else { (count + 12.0) * U };
                (norm, relative * norm + 32.0 * LOST)
            }
        });
    }
    Some((Op::from(problem), vec![x], expected))
}

fn product(g: &mut Generator) -> Option<Case> {
    let [batch, m, k, n] = [between(g, 1, 3), between(g, 1, 40), between(g, 1, 90), between(g, 1, 40)];
    let problem = MatMulProblem::matmul(&[batch, m, k], &[batch, k, n], F32).ok()?.with_accuracy(Accuracy::Exact);
    let (a, b) = (numbers(g, batch * m * k, true), numbers(g, batch * k * n, true));
    let mut expected = Vec::new();
    for (i, row, column) in (0..batch).flat_map(|i| (0..m).flat_map(move |row| (0..n).map(move |column| (i, row, column)))) {
        let mut sum = Sum::default();
        (0..k).for_each(|step| sum.add(f64::from(a[(i * m + row) * k + step]) * f64::from(b[(i * k + step) * n + column])));
        expected.push(sum.expected());
    }
    Some((Op::from(problem), vec![a, b], expected))
}

fn rows(g: &mut Generator) -> Option<Case> {
    let [rows, length] = [between(g, 1, 6), between(g, 1, 300)];
    let x = numbers(g, rows * length, true);
    let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    let lines = wide.chunks(length);
    let n = length as f64;
    Some(match g.below(4) {
        0 => {
            let problem = SoftmaxProblem::new(&TensorType::f32(&[rows, length]), &SoftmaxDescriptor { axis: 1, ..Default::default() }).ok()?;
            let of = |line: &[f64]| -> Expected {
                let largest = line.iter().copied().fold(f64::NEG_INFINITY, |m, v| if v > m || v.is_nan() { v } else { m });
                let sum: f64 = line.iter().map(|v| (v - largest).exp()).sum();
                // e^d errs by 3 + 2 |d| units, and d e^d is never below -0.37.
                let each = |v: &f64| (v - largest).exp() / sum;
                line.iter().map(|v| (each(v), each(v) * (24.0 + 10.0 * (v - largest).abs().min(100.0) + 4.0 * n) * U + LOST)).collect()
            };
            (Op::from(problem), vec![x.clone()], lines.flat_map(of).collect())
        }
        1 => {
            let problem = NormProblem::layer(
                &NormInputs { x: TensorType::f32(&[rows, length]), scale: None, bias: None },
                &LayerNormDescriptor { axis: -1, epsilon: 1e-3 },
            )
            .ok()?;
            let of = |line: &[f64]| -> Expected {
                let mean = line[0] + line.iter().map(|v| v - line[0]).sum::<f64>() / n;
                let variance = line.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                let deviation = (variance + f64::from(1e-3f32)).sqrt();
                // What the first mean errs by, of its own size and of how far the first element lies off, in deviations.
                let first = (3.0 * U * mean.abs() + (n + 8.0) * U * (line[0] - mean).abs()) / deviation;
                let scale = (n + 40.0) * U * (4.0 + 4.0 * first + first * first);
                line.iter().map(|v| ((v - mean) / deviation, scale * (1.0 + (v - mean).abs() / deviation))).collect()
            };
            (Op::from(problem), vec![x.clone()], lines.flat_map(of).collect())
        }
        kind => {
            let kind = if kind == 2 { ReduceKind::Sum } else { ReduceKind::Mean };
            let problem = ReduceProblem::new(&TensorType::f32(&[rows, length]), &ReduceDescriptor::new(kind, &[1])).ok()?;
            let divisor = if kind == ReduceKind::Sum { 1.0 } else { n };
            let of = |line: &[f64]| {
                let mut sum = Sum::default();
                line.iter().for_each(|v| sum.add(*v));
                let (value, error) = sum.expected();
                (value / divisor, error / divisor + 6.0 * U * (value / divisor).abs() + 2.0 * n * LOST)
            };
            (Op::from(problem), vec![x.clone()], lines.map(of).collect())
        }
    })
}

fn case(number: u64) -> Option<Case> {
    let mut g = Generator::from_text(&format!("numerics {number}"));
    match g.below(8) {
        0 | 1 => convolution(&mut g, false),
        2 => convolution(&mut g, true),
        3 | 4 => pool(&mut g),
        5 => product(&mut g),
        _ => rows(&mut g),
    }
}

/// The first element that is further off than it may be.
fn disagreement(engine: &str, got: &[f32], expected: &Expected) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{engine}: {} elements, not {}", got.len(), expected.len()));
    }
    let wrong = got.iter().zip(expected).position(|(&got, &(want, limit))| {
        let got = f64::from(got);
        got != want && !(got.is_nan() && want.is_nan()) && !(want.is_finite() && (got - want).abs() <= limit)
    });
    wrong.map(|i| format!("{engine}: element {i} is {:e}, not {:e} within {:e}", got[i], expected[i].0, expected[i].1))
}

fn on_gpu(op: impl Into<Op>, inputs: &[Vec<f32>]) -> wgconv::Result<Vec<f32>> {
    let op = &op.into();
    let specs = op.inputs();
    let array = |(spec, values): (&wgconv::op::TensorSpec, &Vec<f32>)| ArrayD::from_shape_vec(IxDyn(&spec.tensor.extents), values.clone()).unwrap();
    let tensors: Vec<_> = specs.iter().zip(inputs).map(array).map(|array| GPU.upload(&array)).collect::<wgconv::Result<_>>()?;
    let of = |constant: bool| specs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, tensor)| tensor).collect::<Vec<_>>();
    let prepared = Prepared::new(&GPU, op, &of(true))?;
    let outputs = prepared.outputs()?;
    let mut recorder = GPU.recorder();
    prepared.record(&mut recorder, &of(false), &outputs.iter().collect::<Vec<_>>())?;
    recorder.submit()?;
    Ok(outputs[0].download::<f32, IxDyn>()?.iter().copied().collect())
}

#[test]
fn engines_compute_what_the_definitions_say() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is {text}: it is a number")));
    let (seconds, first) = (number("WGCONV_FUZZ_SECONDS"), number("WGCONV_FUZZ_FIRST").unwrap_or(0));
    let cases = number("WGCONV_FUZZ_CASES").unwrap_or(if seconds.is_some() { u64::MAX } else { 120 });
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds.unwrap_or(60)));
    let (mut tried, mut failures) = (0u64, Vec::new());
    for i in first..first.saturating_add(cases) {
        if start.elapsed() > limit || failures.len() >= 10 {
            break;
        }
        let Some((op, inputs, expected)) = case(i) else { continue };
        tried += 1;
        let mut notes = Vec::new();
        match on_gpu(&op, &inputs) {
            Ok(got) => notes.extend(disagreement("the GPU", &got, &expected)),
            Err(error) => notes.push(error.to_string()),
        }
        let mut y = vec![f32::NAN; expected.len()];
        let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        if wgconv::cpu::compute(&op, &slices, &mut y).unwrap() {
            notes.extend(disagreement("the CPU engine", &y, &expected));
        }
        failures.extend(notes.into_iter().map(|note| format!("case {i}, {} {op}: {note}", op.name())));
    }
    println!("{tried} cases in {:.1} s", start.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tried > 0, "no case was tried");
}
