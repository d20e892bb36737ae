//! Random problems with random numbers, tame and not, against sums written here from the definitions: nothing of the reference, of its resolved axes
//! or of its bounds is used. The planner's own choice on the GPU, and the CPU engine.
//!
//! Cases are numbered, and a number makes the same case everywhere. By default the first 160 are tried, and no longer than 60 seconds:
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
use wgconv::image::{ImageDescriptor, ImageFormat, ImageProblem};
use wgconv::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use wgconv::matmul::MatMulProblem;
use wgconv::norm::{LayerNormDescriptor, NormInputs, NormProblem};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Prepared, Problem};
use wgconv::pool::{PoolDescriptor, PoolKind, PoolProblem};
use wgconv::reduce::{ReduceDescriptor, ReduceKind, ReduceProblem, TopKDescriptor, TopKOrder, TopKProblem};
use wgconv::shape::Padding;
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use wgconv::{ElementType, Extent, Gpu, Graph, Layout, Session, TensorType};

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

/// The same where inputs may be words or indices, which f32 does not hold, and where there are several outputs.
type Full = (Op, Vec<Vec<f64>>, Vec<Expected>);

fn full((op, inputs, expected): Case) -> Full {
    (op, inputs.iter().map(|values| wide(values)).collect(), vec![expected])
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Values without any difference.
fn exactly(values: impl IntoIterator<Item = f64>) -> Expected {
    values.into_iter().map(|v| (v, 0.0)).collect()
}

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

/// Bytes to numbers, and numbers to bytes. A byte may be off by one where a number lies as near to the middle between two as arithmetic errs.
fn image(g: &mut Generator) -> Option<Full> {
    let formats = [(ImageFormat::Rgba8, 4), (ImageFormat::Rgb8, 3), (ImageFormat::Gray8, 1)];
    let (format, stored) = formats[g.below(3) as usize];
    let [n, h, w] = [between(g, 1, 3), between(g, 1, 9), between(g, 1, 9)];
    let factor = |g: &mut Generator, low: f64| (low + g.real() / 4.0) as f32;
    let scale: [f32; 4] = std::array::from_fn(|_| factor(g, 1.0) * [1.0, 255.0][g.below(2) as usize]);
    let mean: [f32; 4] = std::array::from_fn(|_| factor(g, 0.5));
    let pixels = n * h * w;
    if g.below(2) == 0 {
        let channels = if stored == 4 && g.below(2) == 0 { 3 } else { stored };
        let problem = ImageProblem::read(format, [n, h, w], &ImageDescriptor { channels, scale, mean, ..Default::default() }).ok()?;
        let bytes: Vec<u8> = (0..pixels * stored).map(|_| g.below(256) as u8).collect();
        let words = bytes.chunks(4).map(|word| word.iter().rev().fold(0.0, |all, byte| all * 256.0 + f64::from(*byte))).collect();
        let mut expected = vec![];
        for (image, c, at) in (0..n).flat_map(|image| (0..channels).flat_map(move |c| (0..h * w).map(move |at| (image, c, at)))) {
            let (scale, mean) = (f64::from(scale[c]), f64::from(mean[c]));
            let v = f64::from(bytes[(image * h * w + at) * stored + c]) / 255.0;
            expected.push(((v - mean) * scale, 5.0 * U * (v + mean.abs()) * scale.abs() + LOST));
        }
        return Some((Op::from(problem), vec![words], vec![expected]));
    }
    let channels = [1, stored.min(3), stored][g.below(3) as usize];
    let problem = ImageProblem::write(format, &TensorType::f32(&[n, channels, h, w]), &ImageDescriptor { scale, mean, ..Default::default() }).ok()?;
    let x: Vec<f32> = (0..pixels * channels)
        .map(|i| {
            let c = i / (h * w) % channels;
            // Some beyond what a byte holds, and some that are no numbers.
            let v = (0.5 + 0.7 * g.real() - f64::from(mean[c])) * f64::from(scale[c]);
            match g.below(40) {
                0 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e9][g.below(4) as usize],
                _ => v as f32,
            }
        })
        .collect();
    let mut words = vec![(0.0, 0.0); (pixels * stored).div_ceil(4)];
    for at in 0..pixels * stored {
        let (pixel, k) = (at / stored, at % stored);
        let (byte, off) = if k == 3 && channels < 4 {
            (255.0, 0.0)
        } else {
            let c = if channels == 1 { 0 } else { k };
            let (scale, mean) = (f64::from(scale[c]), f64::from(mean[c]));
            let x = f64::from(x[(pixel / (h * w) * channels + c) * h * w + pixel % (h * w)]);
            let v = (x / scale + mean) * 255.0;
            let byte = |v: f64| if v.is_nan() { 0.0 } else { v.clamp(0.0, 255.0).round_ties_even() };
            let error = if v.is_finite() { 5.0 * U * 255.0 * ((x / scale).abs() + mean.abs()) } else { 0.0 };
            (byte(v), byte(v + error) - byte(v - error))
        };
        let place = 256f64.powi((at % 4) as i32);
        words[at / 4].0 += byte * place;
        words[at / 4].1 += off * place;
    }
    Some((Op::from(problem), vec![wide(&x)], vec![words]))
}

/// x \[a, n, b\] at indices along n, by slices, by elements, and by places of its first two axes.
fn gather(g: &mut Generator) -> Option<Full> {
    let [a, n, b] = [between(g, 1, 6), between(g, 1, 40), between(g, 1, 9)];
    let (x, x_type) = (numbers(g, a * n * b, true), TensorType::f32(&[a, n, b]));
    let at = |i: usize, j: usize, k: usize| f64::from(x[(i * n + j) * b + k]);
    let indices_of = |extents: &[usize]| TensorType::new(extents, ElementType::U32, Layout::ChannelsFirst);
    let drawn = |g: &mut Generator, count: usize, end: usize| -> Vec<usize> { (0..count).map(|_| g.below(end as u64) as usize).collect() };
    let (extents, indices, indexing, values): (Vec<usize>, Vec<usize>, Indexing, Vec<f64>) = match g.below(3) {
        0 => {
            let [p, q] = [between(g, 1, 5), between(g, 1, 4)];
            let j = drawn(g, p * q, n);
            let values = (0..a).flat_map(|i| j.iter().flat_map(move |&j| (0..b).map(move |k| (i, j, k)))).map(|(i, j, k)| at(i, j, k)).collect();
            (vec![p, q], j, Indexing::Slices { axis: if g.below(2) == 0 { 1 } else { -2 } }, values)
        }
        1 => {
            let p = between(g, 1, 7);
            let j = drawn(g, a * p * b, n);
            let values = (0..a * p * b).map(|o| at(o / (p * b), j[o], o % b)).collect();
            (vec![a, p, b], j, Indexing::Elements { axis: 1 }, values)
        }
        _ => {
            let p = between(g, 1, 12);
            let rows: Vec<[usize; 2]> = (0..p).map(|_| [g.below(a as u64) as usize, g.below(n as u64) as usize]).collect();
            let values = rows.iter().flat_map(|&[i, j]| (0..b).map(move |k| (i, j, k))).map(|(i, j, k)| at(i, j, k)).collect();
            (vec![p, 2], rows.concat(), Indexing::Places { batch_axes: 0 }, values)
        }
    };
    let problem = GatherProblem::new(&x_type, &indices_of(&extents), indexing).ok()?;
    let indices = indices.into_iter().map(|i| i as f64).collect();
    Some((Op::from(problem), vec![wide(&x), indices], vec![exactly(values)]))
}

/// Updates for x \[n, b\]: rows of it, or elements.
fn scatter(g: &mut Generator) -> Option<Full> {
    let [n, b, p] = [between(g, 1, 20), between(g, 1, 9), between(g, 1, 30)];
    let by_rows = g.below(2) == 0;
    let count = if by_rows { p } else { p * b };
    let indices: Vec<usize> = (0..count).map(|_| g.below(n as u64) as usize).collect();
    let (x, updates) = (numbers(g, n * b, true), numbers(g, p * b, true));
    let (indexing, extents) = if by_rows { (Indexing::Slices { axis: 0 }, vec![p]) } else { (Indexing::Elements { axis: 0 }, vec![p, b]) };
    let reduction = [ScatterReduction::Last, ScatterReduction::Add, ScatterReduction::Max, ScatterReduction::Min][g.below(4) as usize];
    let indices_type = TensorType::new(&extents, ElementType::U32, Layout::ChannelsFirst);
    let descriptor = ScatterDescriptor { indexing, reduction };
    let problem = ScatterProblem::new(&TensorType::f32(&[n, b]), &indices_type, &TensorType::f32(&[p, b]), &descriptor).ok()?;
    let mut own: Vec<Vec<f64>> = x.iter().map(|&v| vec![f64::from(v)]).collect();
    for (i, &update) in updates.iter().enumerate() {
        own[indices[if by_rows { i / b } else { i }] * b + i % b].push(f64::from(update));
    }
    let of = |values: Vec<f64>| match reduction {
        ScatterReduction::Last => (values[values.len() - 1], 0.0),
        ScatterReduction::Add => {
            let mut sum = Sum::default();
            values.iter().for_each(|v| sum.add(*v));
            // One number alone is moved.
            if values.len() == 1 { (values[0], 0.0) } else { sum.expected() }
        }
        _ if values.iter().any(|v| v.is_nan()) => (f64::NAN, 0.0),
        ScatterReduction::Max => (values.into_iter().fold(f64::NEG_INFINITY, f64::max), 0.0),
        _ => (values.into_iter().fold(f64::INFINITY, f64::min), 0.0),
    };
    let inputs = vec![wide(&x), indices.into_iter().map(|i| i as f64).collect(), wide(&updates)];
    Some((Op::from(problem), inputs, vec![own.into_iter().map(of).collect()]))
}

/// The first of each row, many of them equal, NaN above all.
fn top_k(g: &mut Generator) -> Option<Full> {
    let longest = [40, 300, 2500][g.below(3) as usize];
    let [rows, length] = [between(g, 1, 5), between(g, 1, longest)];
    let k = between(g, 1, length.min(40) as u64);
    let few = g.below(2) == 0;
    let x: Vec<f32> = if few { (0..rows * length).map(|_| g.integer(3) as f32).collect() } else { numbers(g, rows * length, true) };
    let largest = g.below(2) == 0;
    let order = if largest { TopKOrder::Largest } else { TopKOrder::Smallest };
    let problem = TopKProblem::new(&TensorType::f32(&[rows, length]), &TopKDescriptor { k, axis: -1, order }).ok()?;
    let (mut values, mut places) = (vec![], vec![]);
    for line in x.chunks(length) {
        let mut at: Vec<usize> = (0..length).collect();
        let compare = |&a: &usize, &b: &usize| {
            let (a, b) = (f64::from(line[a]), f64::from(line[b]));
            a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        };
        // Stable: of equals the lower index stays in front.
        at.sort_by(|a, b| if largest { compare(b, a) } else { compare(a, b) });
        values.extend(at[..k].iter().map(|&i| f64::from(line[i])));
        places.extend(at[..k].iter().map(|&i| i as f64));
    }
    Some((Op::from(problem), vec![wide(&x)], vec![exactly(values), exactly(places)]))
}

/// Bilinear samples. A coordinate errs by a few units of the extent, and a sample by that times how far its neighbours differ, which two of them more to
/// each side bound wherever the coordinate falls.
fn grid_sample(g: &mut Generator) -> Option<Full> {
    let [n, c, h, w] = [between(g, 1, 2), between(g, 1, 4), between(g, 1, 12), between(g, 1, 12)];
    let [p, q] = [between(g, 1, 6), between(g, 1, 6)];
    let align_corners = g.below(2) == 0;
    let padding = [GridSamplePadding::Zeros, GridSamplePadding::Border][g.below(2) as usize];
    let descriptor = GridSampleDescriptor { mode: GridSampleMode::Linear, padding, align_corners };
    let (x_type, grid_type) = (TensorType::f32(&[n, c, h, w]), TensorType::f32(&[n, p, q, 2]));
    let problem = GridSample::new(&x_type, &grid_type, &descriptor).ok()?;
    let x = numbers(g, n * c * h * w, false);
    let grid: Vec<f32> = (0..n * p * q * 2).map(|_| (1.3 * g.real()) as f32).collect();
    let mut expected = vec![];
    for (image, channel, o) in (0..n).flat_map(|image| (0..c).flat_map(move |channel| (0..p * q).map(move |o| (image, channel, o)))) {
        let coordinate = |k: usize, extent: usize| {
            let (g, extent) = (f64::from(grid[(image * p * q + o) * 2 + k]), extent as f64);
            let at = if align_corners { (g + 1.0) / 2.0 * (extent - 1.0) } else { (g + 1.0) / 2.0 * extent - 0.5 };
            if padding == GridSamplePadding::Border { at.clamp(0.0, extent - 1.0) } else { at }
        };
        let (u, v) = (coordinate(0, w), coordinate(1, h));
        let element = |y: i64, x_at: i64| {
            let inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x_at);
            if inside { f64::from(x[((image * c + channel) * h + y as usize) * w + x_at as usize]) } else { 0.0 }
        };
        let (left, top) = (u.floor() as i64, v.floor() as i64);
        let (a, b) = (u - u.floor(), v - v.floor());
        let row = |y: i64| element(y, left) * (1.0 - a) + element(y, left + 1) * a;
        let value = row(top) * (1.0 - b) + row(top + 1) * b;
        let near = (-1..3).flat_map(|dy| (-1..3).map(move |dx| (dy, dx))).map(|(dy, dx)| element(top + dy, left + dx).abs());
        let reach = near.fold(0.0, f64::max);
        expected.push((value, (8.0 * (h + w) as f64 + 24.0) * U * 2.0 * reach + 16.0 * LOST));
    }
    Some((Op::from(problem), vec![wide(&x), wide(&grid)], vec![expected]))
}

fn case(number: u64) -> Option<Full> {
    let mut g = Generator::from_text(&format!("numerics {number}"));
    match g.below(13) {
        0 | 1 => convolution(&mut g, false).map(full),
        2 => convolution(&mut g, true).map(full),
        3 | 4 => pool(&mut g).map(full),
        5 => product(&mut g).map(full),
        6 | 7 => rows(&mut g).map(full),
        8 => image(&mut g),
        9 => gather(&mut g),
        10 => scatter(&mut g),
        11 => top_k(&mut g),
        _ => grid_sample(&mut g),
    }
}

/// The first element that is further off than it may be.
fn disagreement(engine: &str, got: &[f64], expected: &Expected) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{engine}: {} elements, not {}", got.len(), expected.len()));
    }
    let wrong = got
        .iter()
        .zip(expected)
        .position(|(&got, &(want, limit))| got != want && !(got.is_nan() && want.is_nan()) && !(want.is_finite() && (got - want).abs() <= limit));
    wrong.map(|i| format!("{engine}: element {i} is {:e}, not {:e} within {:e}", got[i], expected[i].0, expected[i].1))
}

fn on_gpu(op: &Op, inputs: &[Vec<f64>]) -> wgconv::Result<Vec<Vec<f64>>> {
    let specs = op.inputs();
    let upload = |(spec, values): (&wgconv::op::TensorSpec, &Vec<f64>)| {
        let extents = IxDyn(&spec.tensor.extents);
        match spec.tensor.element {
            ElementType::U32 => GPU.upload(&ArrayD::from_shape_vec(extents, values.iter().map(|&v| v as u32).collect()).unwrap()),
            _ => GPU.upload(&ArrayD::from_shape_vec(extents, values.iter().map(|&v| v as f32).collect()).unwrap()),
        }
    };
    let tensors: Vec<_> = specs.iter().zip(inputs).map(upload).collect::<wgconv::Result<_>>()?;
    let of = |constant: bool| specs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, tensor)| tensor).collect::<Vec<_>>();
    let prepared = Prepared::new(&GPU, op, &of(true))?;
    let outputs = prepared.outputs()?;
    let mut recorder = GPU.recorder();
    prepared.record(&mut recorder, &of(false), &outputs.iter().collect::<Vec<_>>())?;
    recorder.submit()?;
    let read = |output: &wgconv::Tensor| match output.element() {
        ElementType::U32 => Ok(output.download::<u32, IxDyn>()?.iter().map(|&v| f64::from(v)).collect()),
        _ => Ok(output.download::<f32, IxDyn>()?.iter().map(|&v| f64::from(v)).collect()),
    };
    outputs.iter().map(read).collect()
}

/// None where the engine does not have the op. Words of bytes are no f32 numbers: a session's engine has images.
fn on_cpu(op: &Op, inputs: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let specs = op.outputs();
    if let Op::Image(_) = op {
        return image_on_cpu(op, inputs);
    }
    let narrow: Vec<Vec<f32>> = inputs.iter().map(|values| values.iter().map(|&v| v as f32).collect()).collect();
    let slices: Vec<&[f32]> = narrow.iter().map(Vec::as_slice).collect();
    if specs.len() > 1 {
        let several = wgconv::cpu::compute_several(op, &slices).unwrap();
        return several.map(|outputs| outputs.iter().map(|output| wide(output)).collect());
    }
    let mut y = vec![f32::NAN; specs[0].count() as usize];
    wgconv::cpu::compute(op, &slices, &mut y).unwrap().then(|| vec![wide(&y)])
}

/// An image by a session of one node.
fn image_on_cpu(op: &Op, inputs: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let (input, output) = (&op.inputs()[0].tensor, &op.outputs()[0].tensor);
    let mut graph = Graph::new();
    let Op::Image(problem) = op else { return None };
    let [n, channels, height, width] = problem.tensor().extents[..] else { return None };
    let descriptor = ImageDescriptor { channels, scale: problem.scale(), mean: problem.mean(), ..Default::default() };
    let reads = output.element == F32;
    let extents: Vec<Extent> = input.extents.iter().map(|&e| Extent::Is(e)).collect();
    let x = if reads {
        graph.image_input("x", n, problem.format(), [height, width]).ok()? // a graph has no images that begin inside a word
    } else {
        graph.input_as("x", &extents, input.element, input.layout).unwrap()
    };
    let y = if reads {
        graph.image_from_bytes(x, problem.format(), [height, width], &descriptor)
    } else {
        graph.image_to_bytes(x, problem.format(), &descriptor)
    };
    graph.output("y", y.unwrap()).unwrap();
    let session = Session::cpu(&graph).unwrap();
    if reads {
        let bytes: Vec<u8> =
            inputs[0].iter().flat_map(|&word| (word as u32).to_le_bytes()).take(n * height * width * problem.format().channels()).collect();
        return Some(vec![wide(session.run_with(&[("x", bytes.as_slice().into())]).unwrap()["y"].as_slice()?)]);
    }
    let array = ArrayD::from_shape_vec(IxDyn(&input.extents), inputs[0].iter().map(|&v| v as f32).collect()).unwrap();
    let outputs = session.run(&[("x", array.view())]).unwrap();
    let bytes = outputs.bytes("y")?;
    Some(vec![bytes.chunks(4).map(|word| word.iter().rev().fold(0.0, |all, byte| all * 256.0 + f64::from(*byte))).collect()])
}

#[test]
fn engines_compute_what_the_definitions_say() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is {text}: it is a number")));
    let (seconds, first) = (number("WGCONV_FUZZ_SECONDS"), number("WGCONV_FUZZ_FIRST").unwrap_or(0));
    let cases = number("WGCONV_FUZZ_CASES").unwrap_or(if seconds.is_some() { u64::MAX } else { 160 });
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
            Ok(got) => notes.extend(got.iter().zip(&expected).filter_map(|(got, expected)| disagreement("the GPU", got, expected))),
            Err(error) => notes.push(error.to_string()),
        }
        if let Some(got) = on_cpu(&op, &inputs) {
            notes.extend(got.iter().zip(&expected).filter_map(|(got, expected)| disagreement("the CPU engine", got, expected)));
        }
        failures.extend(notes.into_iter().map(|note| format!("case {i}, {} {op}: {note}", op.name())));
    }
    println!("{tried} cases in {:.1} s", start.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tried > 0, "no case was tried");
}
