//! The CPU engine against the reference, over the problems of the checks: exactly on integers, within the bound on reals. No GPU.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::collections::{BTreeMap, BTreeSet};
use wgconv::conv::{Accuracy, Algorithm, ConvDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor};
use wgconv::gradient::FilterGradient;
use wgconv::matmul::{LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::norm::{GroupNormDescriptor, NormInputs, NormProblem};
use wgconv::numeric::Generator;
use wgconv::numeric::bound::UNDERFLOW;
use wgconv::op::{Op, Planned, Problem, Referenced};
use wgconv::reduce::{ReduceDescriptor, ReduceProblem};
use wgconv::shape::{Layout, Padding, PaddingMode};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::validate::compare::compare;
use wgconv::validate::data::Data;
use wgconv::validate::grid;
use wgconv::{Activation, ElementType, TensorType};

#[test]
fn the_engine_computes_what_the_reference_does() {
    let mut tried: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut absent: BTreeSet<&'static str> = BTreeSet::new();
    let (mut several_tried, mut left_out): (BTreeMap<&'static str, usize>, BTreeSet<String>) = Default::default();
    let mut seen = BTreeSet::new();
    let mut by_transform: BTreeMap<String, usize> = BTreeMap::new();
    // Every case, and each convolution by every transform that it admits.
    let ops = grid::cases(true).unwrap().into_iter().flat_map(|case| {
        let forced = match &case.op {
            Op::Conv(problem) => [Algorithm::WinogradF2, Algorithm::WinogradF4, Algorithm::Fft]
                .map(|algorithm| Op::from(problem.clone().with_accuracy(Accuracy::Reduced).with_algorithm(Some(algorithm))))
                .into_iter()
                .filter(|op| wgconv::cpu::algorithm(op).is_some())
                .collect(),
            _ => vec![],
        };
        [vec![case.op], forced].concat()
    });
    for op in ops {
        let label = wgconv::cpu::algorithm(&op).unwrap_or_default();
        let (inputs, outputs) = (op.inputs(), op.outputs());
        // Indices are numbers.
        let is_index = |spec: &wgconv::op::TensorSpec| spec.tensor.element == ElementType::U32;
        let is_f32 = inputs.iter().filter(|spec| !is_index(spec)).chain(&outputs[..1]).all(|spec| spec.tensor.element == ElementType::F32);
        if !is_f32 || outputs[0].in_out || !seen.insert(format!("{}/{label}/{op}", op.name())) {
            continue;
        }
        let kinds = [Data::Exact, Data::Real, Data::Mixed, Data::Special];
        for data in kinds.into_iter().filter(|data| *data != Data::Special || op.is_local(&label)) {
            let mut generator = Generator::from_text(&op.to_string());
            let values: Vec<Vec<f64>> = inputs.iter().map(|spec| data.fill(spec, op.terms(), &mut generator)).collect();
            // All outputs of an op that has several.
            if outputs.len() > 1 {
                let wide: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
                let narrow: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|x| *x as f32).collect()).collect();
                let several = wgconv::cpu::compute_several(&op, &narrow.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
                let Some(several) = several else {
                    left_out.insert(op.to_string());
                    continue;
                };
                let wanted = wgconv::reference::compute(&op, &wide).unwrap();
                assert_eq!(several.len(), wanted.len());
                let lost = UNDERFLOW * (op.terms() as f64 + 8.0);
                for ((got, want), spec) in several.iter().zip(&wanted).zip(&outputs) {
                    let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
                    let held: Vec<f64> = want.value.iter().map(|v| ElementType::F32.held(*v)).collect();
                    if let Some(mismatch) = compare(&got, &held, |i| want.allowed(i, ElementType::F32) + lost) {
                        panic!("{}/{op}, {} on {data:?} data: {}", op.name(), spec.name, mismatch.describe(&spec.tensor.extents));
                    }
                }
                *several_tried.entry(op.name()).or_default() += 1;
            }
            let narrow: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|x| *x as f32).collect()).collect();
            let mut y = vec![f32::NAN; outputs[0].count() as usize];
            if !wgconv::cpu::compute(&op, &narrow.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut y).unwrap() {
                absent.insert(op.name());
                continue;
            }
            let want = op.reference_for(&label, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).swap_remove(0);
            let got: Vec<f64> = y.iter().map(|v| f64::from(*v)).collect();
            let exact = data == Data::Exact && op.is_exact_for(&label);
            let tame = matches!(data, Data::Exact | Data::Real);
            let lost = if tame { 0.0 } else { UNDERFLOW * (op.terms() as f64 + 8.0) };
            let allowed = |i: usize| if exact { 0.0 } else { want.allowed(i, ElementType::F32) + lost };
            let want: Vec<f64> = want.value.iter().map(|v| ElementType::F32.held(*v)).collect();
            if let Some(mismatch) = compare(&got, &want, allowed) {
                panic!("{}/{label}/{op} on {data:?} data: {}", op.name(), mismatch.describe(&outputs[0].tensor.extents));
            }
            *tried.entry(op.name()).or_default() += 1;
            let transposed = if op.name() == "conv_transpose" { "transposed " } else { "" };
            *by_transform.entry(format!("{transposed}{}", label.split(' ').next().unwrap_or_default())).or_default() += 1;
        }
    }
    let transforms = ["winograd_f2", "winograd_f4", "fft", "transposed winograd_f2", "transposed winograd_f4"];
    assert!(transforms.iter().all(|name| by_transform.get(*name).is_some_and(|count| *count >= 30)), "only {by_transform:?}");
    assert!(tried.len() >= 36, "only {tried:?}");
    // Words of 32 bits are no f32 numbers.
    assert!(absent.iter().all(|name| *name == "image_from_bytes"), "the engine lacks {absent:?}");
    assert!(several_tried.len() >= 3, "only {several_tried:?}");
    // Indices in column-major order are left to the reference.
    assert!(left_out.iter().all(|id| id.ends_with("_icol") || id.ends_with("_icol_cl")), "{left_out:?}");
}

/// What `Accuracy::F32` says of Winograd: a number that is not finite counts in all outputs of the tiles that read it, in no others, and in each that its own
/// window has it in.
#[test]
fn winograd_keeps_what_is_not_finite_within_its_tiles() {
    for (algorithm, tile, taps) in
        [(Algorithm::WinogradF2, 2, 3), (Algorithm::WinogradF4, 4, 3), (Algorithm::WinogradF2, 2, 5), (Algorithm::WinogradF4, 4, 5)]
    {
        let pad = taps / 2;
        let descriptor =
            ConvDescriptor::<2> { padding: Padding::uniform(pad), accuracy: Accuracy::Reduced, algorithm: Some(algorithm), ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&[1, 3, 30, 50], &[9, 3, taps, taps], None), &descriptor).unwrap();
        let op = Op::from(problem);
        assert_eq!(wgconv::cpu::algorithm(&op).as_deref(), Some(algorithm.name()));
        let mut generator = Generator::from_text("not finite");
        let w: Vec<f32> = (0..9 * 3 * taps * taps).map(|_| 1.0 + generator.real() as f32 / 2.0).collect();
        let x: Vec<f32> = (0..3 * 1500).map(|_| generator.real() as f32).collect();
        let run = |x: &[f32]| {
            let mut y = vec![0.0; 9 * 1500];
            assert!(wgconv::cpu::compute(&op, &[x, &w], &mut y).unwrap());
            y
        };
        let plain = run(&x);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            for (row, column) in [(0, 0), (7, 8), (11, 31), (29, 49)] {
                let mut x = x.clone();
                x[1500 + row * 50 + column] = value;
                for (i, (got, plain)) in run(&x).into_iter().zip(&plain).enumerate() {
                    let (p, q) = (i % 1500 / 50, i % 50);
                    // The tile of outputs from t on reads inputs t - pad .. t + tile + pad.
                    let reads = |o: usize, at: usize| (o / tile * tile..o / tile * tile + tile + taps - 1).contains(&(at + pad));
                    let in_window = p.abs_diff(row) <= pad && q.abs_diff(column) <= pad;
                    if !(reads(p, row) && reads(q, column)) {
                        assert_eq!(got.to_bits(), plain.to_bits(), "{algorithm}, {value} at {row} {column}: output {i} does not read it");
                    } else if in_window && value != f32::MAX {
                        assert!(!got.is_finite(), "{algorithm}, {value} at {row} {column}: output {i} is {got}");
                    }
                }
            }
        }
    }
}

/// Convolutions by Fourier transforms: planes and lines, one pair of tiles and many, the last alone, several chunks of pairs.
fn by_fft() -> Vec<Op> {
    let conv = |x: [usize; 4], filter: [usize; 4], groups: usize, descriptor: ConvDescriptor<2>| {
        let descriptor = ConvDescriptor { groups, accuracy: Accuracy::Reduced, algorithm: Some(Algorithm::Fft), ..descriptor };
        let problem = ConvProblem::forward(&ConvInputs::new(&x, &filter, Some(&filter[..1])), &descriptor).unwrap();
        let op = Op::from(problem);
        assert!(wgconv::cpu::algorithm(&op).is_some_and(|label| label.starts_with("fft ")), "{op}");
        op
    };
    let of = |padding_mode| ConvDescriptor::<2> {
        padding: Padding::Explicit { begin: [3, 1], end: [2, 4] },
        padding_mode,
        activation: Activation::Relu,
        ..Default::default()
    };
    let [zeros, reflect, replicate, circular] = PaddingMode::ALL.map(of);
    vec![
        conv([1, 1, 20, 20], [1, 1, 5, 5], 1, ConvDescriptor::default()),
        conv([2, 3, 41, 67], [6, 1, 5, 7], 3, zeros),
        conv([1, 2, 90, 150], [2, 1, 31, 15], 2, reflect),
        conv([2, 9, 33, 47], [5, 9, 5, 5], 1, circular),
        conv([1, 10, 40, 40], [6, 5, 7, 3], 2, ConvDescriptor { dilation: [1, 4], ..replicate }),
        conv([3, 4, 30, 30], [3, 4, 11, 11], 1, zeros),
        conv([1, 2, 620, 620], [2, 2, 5, 5], 1, zeros),
        conv([1, 1, 1, 9000], [1, 1, 1, 1500], 1, ConvDescriptor::default()),
        conv([2, 3, 1, 700], [4, 3, 1, 30], 1, ConvDescriptor { padding: Padding::uniform(0), ..reflect }),
        conv([1, 2, 5, 400], [4, 1, 1, 100], 2, ConvDescriptor { dilation: [1, 2], ..Default::default() }),
    ]
}

#[test]
fn fourier_transforms_stay_within_their_bound() {
    for op in by_fft() {
        let label = wgconv::cpu::algorithm(&op).unwrap();
        // Ones, of which every mistaken place shows, and mixed magnitudes: one large number errs in all outputs of its tile.
        for data in [Data::Exact, Data::Real, Data::Mixed] {
            let mut generator = Generator::from_text(&op.to_string());
            let values: Vec<Vec<f64>> = op.inputs().iter().map(|spec| data.fill(spec, op.terms(), &mut generator)).collect();
            let narrow: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|x| *x as f32).collect()).collect();
            let mut y = vec![f32::NAN; op.outputs()[0].count() as usize];
            assert!(wgconv::cpu::compute(&op, &narrow.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut y).unwrap());
            let want = op.reference_for(&label, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).swap_remove(0);
            let got: Vec<f64> = y.iter().map(|v| f64::from(*v)).collect();
            let lost = UNDERFLOW * (op.terms() as f64 + 8.0);
            let held: Vec<f64> = want.value.iter().map(|v| ElementType::F32.held(*v)).collect();
            if let Some(mismatch) = compare(&got, &held, |i| want.allowed(i, ElementType::F32) + lost) {
                panic!("{op} by {label} on {data:?} data: {}", mismatch.describe(&op.outputs()[0].tensor.extents));
            }
        }
    }
}

/// A tile mixes all that it reads, and tiles of an image are transformed in pairs; never those of two images.
#[test]
fn fourier_transforms_keep_what_is_not_finite_within_its_image() {
    for op in by_fft() {
        let specs = op.inputs();
        let batch = specs[0].tensor.extents[0];
        let mut generator = Generator::from_text("not finite");
        let values: Vec<Vec<f32>> = specs.iter().map(|spec| (0..spec.count()).map(|_| generator.real() as f32).collect()).collect();
        let run = |x: &[f32]| {
            let mut y = vec![0.0; op.outputs()[0].count() as usize];
            assert!(wgconv::cpu::compute(&op, &[x, &values[1], &values[2]], &mut y).unwrap());
            y
        };
        let plain = run(&values[0]);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for image in 0..batch {
                let mut x = values[0].clone();
                let each = x.len() / batch;
                x[image * each + each / 2] = value;
                let (got, each) = (run(&x), plain.len() / batch);
                assert!(got[image * each..][..each].iter().any(|v| !v.is_finite()), "{op}: {value} is lost");
                for (i, (got, plain)) in got.iter().zip(&plain).enumerate().filter(|(i, _)| i / each != image) {
                    assert_eq!(got.to_bits(), plain.to_bits(), "{op}: {value} in image {image} is in output {i}");
                }
            }
        }
    }
}

/// What is packed beforehand is what a call packs: every op of the checks, by each algorithm that it admits.
#[test]
fn prepared_ops_give_the_same_bits() {
    let mut packed = 0;
    let grid = grid::cases(false).unwrap().into_iter().map(|case| case.op);
    let forced = |op: Op| match op {
        Op::Conv(problem) => [None, Some(Algorithm::Direct), Some(Algorithm::WinogradF2), Some(Algorithm::WinogradF4)]
            .map(|algorithm| Op::from(problem.clone().with_accuracy(Accuracy::Reduced).with_algorithm(algorithm)))
            .to_vec(),
        other => vec![other],
    };
    for op in grid.flat_map(forced).chain(by_fft()) {
        let specs = op.inputs();
        if specs.iter().any(|spec| spec.tensor.element != ElementType::F32) || op.outputs()[0].in_out {
            continue;
        }
        let mut generator = Generator::from_text(&op.to_string());
        let values: Vec<Vec<f32>> =
            specs.iter().map(|spec| Data::Real.fill(spec, op.terms(), &mut generator).into_iter().map(|v| v as f32).collect()).collect();
        let of = |constant: bool| -> Vec<&[f32]> {
            specs.iter().zip(&values).filter(|(spec, _)| spec.constant == constant).map(|(_, values)| values.as_slice()).collect()
        };
        let all: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let [mut y, mut want] = [(); 2].map(|()| vec![f32::NAN; op.outputs()[0].count() as usize]);
        let prepared = wgconv::cpu::Prepared::new(op.clone(), &of(true)).unwrap();
        let has = wgconv::cpu::compute(&op, &all, &mut want).unwrap();
        for _ in 0..2 {
            assert_eq!(prepared.compute(&of(false), &mut y).unwrap(), has);
            assert!(y.iter().map(|v| v.to_bits()).eq(want.iter().map(|v| v.to_bits())), "{}/{op}", op.name());
        }
        packed += usize::from(matches!(op, Op::Conv(_)));
    }
    assert!(packed > 100, "only {packed}");
    let problem =
        MatMulProblem::linear(&MatMulInputs { a: &[2, 3], b: &[4, 3], addend: None, element: ElementType::F32 }, &LinearDescriptor::default());
    let problem = problem.unwrap();
    assert!(wgconv::cpu::Prepared::new(problem.clone(), &[&[0.0; 11]]).is_err());
    let prepared = wgconv::cpu::Prepared::new(problem, &[&[0.0; 12]]).unwrap();
    assert!(prepared.compute(&[&[0.0; 6], &[0.0; 6]], &mut [0.0; 8]).is_err());
    assert!(prepared.compute(&[], &mut [0.0; 8]).is_err());
}

/// Deterministic means: on every machine with the same vectors, however many cores it has.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut problems: Vec<Op> = vec![];
    let f32s = ElementType::F32;
    for (x, filter, pad) in [
        ([1, 64, 56, 56], [64, 64, 3, 3], 1),
        ([1, 24, 30, 31], [40, 24, 1, 1], 0),
        ([2, 24, 33, 47], [40, 24, 3, 3], 1),
        ([1, 16, 13, 100], [5, 16, 3, 5], 2),
        ([3, 8, 27, 29], [6, 8, 7, 1], 0),
    ] {
        let descriptor = ConvDescriptor::<2> { padding: Padding::uniform(pad), ..Default::default() };
        problems.push(Op::from(ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &descriptor).unwrap()));
    }
    for (x, filter, stride, dilation) in
        [([2, 64, 3, 9], [64, 8, 3, 3], 3, 2), ([1, 32, 20, 21], [32, 16, 2, 2], 2, 1), ([1, 7, 11, 40], [7, 9, 3, 3], 1, 1)]
    {
        let descriptor = ConvTransposeDescriptor::<2> { stride: [stride; 2], dilation: [dilation; 2], ..Default::default() };
        problems.push(Op::from(ConvProblem::transposed(&ConvInputs::new(&x, &filter, None), &descriptor).unwrap()));
    }
    for (x, filters, accuracy) in
        [([1, 64, 30, 33], 64, Accuracy::F32), ([2, 70, 41, 37], 52, Accuracy::Reduced), ([1, 64, 61, 40], 48, Accuracy::Reduced)]
    {
        let descriptor = ConvDescriptor::<2> { padding: Padding::uniform(1), accuracy, ..Default::default() };
        let conv = ConvProblem::forward(&ConvInputs::new(&x, &[filters, x[1], 3, 3], None), &descriptor).unwrap();
        let gradient = Op::from(FilterGradient::new(&conv).unwrap());
        for op in [Op::from(conv), gradient] {
            assert!(wgconv::cpu::algorithm(&op).is_some_and(|label| label.starts_with("winograd")), "{}/{op}", op.name());
            problems.push(op);
        }
        let descriptor = ConvTransposeDescriptor::<2> { padding: Padding::uniform(1), accuracy, ..Default::default() };
        let op = Op::from(ConvProblem::transposed(&ConvInputs::new(&x, &[x[1], filters, 3, 3], None), &descriptor).unwrap());
        assert!(wgconv::cpu::algorithm(&op).is_some_and(|label| label.starts_with("winograd")), "{op}");
        problems.push(op);
    }
    problems.extend(by_fft());
    for [m, n, k] in [[512, 512, 512], [1, 1000, 2048], [333, 47, 129], [2048, 16, 300], [5, 4096, 64], [70, 1, 900]] {
        problems.push(Op::from(MatMulProblem::matmul(&[m, k], &[k, n], f32s).unwrap()));
        problems.push(Op::from(
            MatMulProblem::linear(&MatMulInputs { a: &[m, k], b: &[n, k], addend: None, element: f32s }, &LinearDescriptor::default()).unwrap(),
        ));
    }
    problems.push(Op::from(MatMulProblem::matmul(&[3, 65, 70], &[3, 70, 90], f32s).unwrap()));
    problems.push(Op::from(
        ReduceProblem::new(&TensorType::new(&[4, 100_000], f32s, Layout::ChannelsFirst), &ReduceDescriptor::sum(&[1]).with_keepdims(true)).unwrap(),
    ));
    problems.push(Op::from(
        NormProblem::group(
            &NormInputs { x: TensorType::new(&[2, 6, 50, 50], f32s, Layout::ChannelsFirst), scale: None, bias: None },
            &GroupNormDescriptor { groups: 2, epsilon: 1e-5 },
        )
        .unwrap(),
    ));
    problems.push(Op::from(
        SoftmaxProblem::new(&TensorType::new(&[7, 3000], f32s, Layout::ChannelsFirst), &SoftmaxDescriptor { axis: 1, ..Default::default() }).unwrap(),
    ));
    let small =
        grid::cases(false).unwrap().into_iter().filter(|case| case.op.inputs().iter().all(|spec| spec.tensor.element == f32s)).map(|case| case.op);
    let mut seen = BTreeSet::new();
    problems
        .extend(small.filter(|op| op.outputs()[0].tensor.element == f32s && !op.outputs()[0].in_out && seen.insert(format!("{}/{op}", op.name()))));
    let pools = [1, 2, 3, 4, 7, 16].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for op in &problems {
        let mut generator = Generator::from_text(&op.to_string());
        let values = op.inputs().into_iter().map(|spec| Data::Real.fill(&spec, op.terms(), &mut generator).into_iter().map(|v| v as f32).collect());
        let values: Vec<Vec<f32>> = values.collect();
        let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let bits = pools.each_ref().map(|pool| {
            let mut y = vec![f32::NAN; op.outputs()[0].count() as usize];
            pool.install(|| wgconv::cpu::compute(op, &inputs, &mut y)).unwrap();
            y.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        });
        for (pool, other) in pools.iter().zip(&bits) {
            assert!(*other == bits[0], "{}/{op}: {} threads give other bits than one", op.name(), pool.current_num_threads());
        }
    }
}

/// One step of every rule against the reference, within its bound; the state it leaves too.
#[test]
fn steps_of_optimizers_are_those_of_the_reference() {
    for rule in wgconv::train::Rule::ALL {
        let problem = wgconv::train::OptimizerProblem::new(rule, &[20_011]).unwrap();
        let specs: Vec<_> = problem.outputs().into_iter().chain(problem.inputs()).collect();
        for data in [Data::Exact, Data::Real, Data::Special] {
            let mut generator = Generator::from_text(&problem.to_string());
            let values: Vec<Vec<f64>> = specs.iter().map(|spec| data.fill(spec, problem.terms(), &mut generator)).collect();
            let wanted = wgconv::reference::compute(&problem, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
            let mut tensors: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|x| *x as f32).collect()).collect();
            let (scalars, gradient) = (tensors.pop().unwrap(), tensors.pop().unwrap());
            let [rate, decay, shrink, keep1, add1, keep2, add2, epsilon, root, loss] = scalars[..] else { panic!("ten numbers") };
            let scalars = wgconv::train::Scalars { rate, decay, shrink, keep1, add1, keep2, add2, epsilon, root, loss };
            let mut state = tensors.split_off(1);
            wgconv::cpu::optimizer_step(rule, scalars, &mut tensors[0], &mut state, &gradient);
            for ((got, want), spec) in tensors.iter().chain(&state).zip(&wanted).zip(&specs) {
                let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
                let held: Vec<f64> = want.value.iter().map(|v| ElementType::F32.held(*v)).collect();
                if let Some(mismatch) = compare(&got, &held, |i| want.allowed(i, ElementType::F32)) {
                    panic!("{problem}, {} on {data:?} data: {}", spec.name, mismatch.describe(&spec.tensor.extents));
                }
            }
        }
    }
}
