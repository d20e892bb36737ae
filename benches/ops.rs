//! One layer of every family but convolution: `<op>/<problem>/<algorithm>` on the GPU (wall clock of submit and wait) and on the CPU engine.
//! Every GPU output is verified against the reference once before it is timed.
//!
//! `cargo bench --bench ops [-- FILTER]`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryProblem};
use wgconv::matmul::{LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::norm::{
    BatchNormDescriptor, BatchNormProblem, BatchNormVectors, GroupNormDescriptor, LayerNormDescriptor, LrnDescriptor, LrnProblem, NormInputs,
    NormProblem,
};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Planned, Prepared, Problem, Referenced};
use wgconv::pool::{AdaptivePoolDescriptor, MaxUnpoolDescriptor, MaxUnpoolProblem, PoolDescriptor, PoolKind, PoolProblem};
use wgconv::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{Concat, Pad, PadDescriptor, PadMode, Resize, ResizeDescriptor, ResizeMode, Transpose};
use wgconv::validate::compare::compare;
use wgconv::validate::data::Data;
use wgconv::validate::{download, upload};
use wgconv::{Activation, ElementType, Gpu, Layout, Padding, Result, Tensor, TensorType};

fn problems() -> Result<Vec<Op>> {
    let (element, layout) = (ElementType::F32, Layout::ChannelsFirst);
    let image: &[usize] = &[1, 64, 112, 112];
    let half: &[usize] = &[1, 64, 56, 56];
    let window = PoolDescriptor::window([3, 3]).with_stride([2, 2]).with_padding(Padding::uniform(1));
    let vector: &[usize] = &[64];
    let vectors = BatchNormVectors { scale: Some(vector), bias: Some(vector), mean: vector, variance: vector };
    let kind = || TensorType::new(half, element, layout);
    let resize = ResizeDescriptor { sizes: vec![112, 112], mode: ResizeMode::Linear, ..Default::default() };
    let unpool = MaxUnpoolDescriptor { pool: PoolDescriptor::window([2, 2]), output_shape: None };
    Ok(vec![
        Op::from(PoolProblem::new(&TensorType::new(image, element, layout), &window)?),
        Op::from(PoolProblem::new(&TensorType::new(image, element, layout), &window.with_kind(PoolKind::AVERAGE))?),
        Op::from(PoolProblem::adaptive(
            &TensorType::new(&[1, 512, 28, 28], element, layout),
            &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [7, 7] },
        )?),
        Op::from(MaxUnpoolProblem::new(&TensorType::new(half, element, layout), half, &unpool)?),
        Op::from(MatMulProblem::matmul(&[512, 512], &[512, 512], element)?),
        Op::from(MatMulProblem::linear(
            &MatMulInputs { a: &[1, 2048], b: &[1000, 2048], addend: Some(&[1000]), element },
            &LinearDescriptor { activation: Activation::Relu, ..Default::default() },
        )?),
        Op::from(UnaryProblem::new(&TensorType::new(image, element, layout), Activation::Gelu)?),
        Op::from(BinaryProblem::new(&TensorType::new(image, element, layout), &TensorType::new(image, element, layout), BinaryOp::Add)?),
        Op::from(BinaryProblem::new(&TensorType::new(image, element, layout), &TensorType::new(&[64, 1, 1], element, layout), BinaryOp::Mul)?),
        Op::from(SoftmaxProblem::new(&TensorType::new(&[64, 1000], element, layout), &SoftmaxDescriptor { axis: 1, ..Default::default() })?),
        Op::from(ReduceProblem::new(&TensorType::new(image, element, layout), &ReduceDescriptor::mean(&[2, 3]).with_keepdims(true))?),
        Op::from(ArgmaxProblem::new(&TensorType::new(&[64, 1000], element, layout), &ArgmaxDescriptor { axis: Some(1), ..Default::default() })?),
        Op::from(BatchNormProblem::new(
            &TensorType::new(image, element, layout),
            &vectors,
            &BatchNormDescriptor { epsilon: 1e-5, ..Default::default() },
        )?),
        Op::from(NormProblem::layer(
            &NormInputs { x: TensorType::new(&[1, 196, 768], element, layout), scale: Some(&[768]), bias: Some(&[768]) },
            &LayerNormDescriptor { axis: -1, epsilon: 1e-5 },
        )?),
        Op::from(NormProblem::group(
            &NormInputs { x: TensorType::new(&[1, 256, 28, 28], element, layout), scale: Some(&[256]), bias: Some(&[256]) },
            &GroupNormDescriptor { groups: 32, epsilon: 1e-5 },
        )?),
        Op::from(LrnProblem::new(&TensorType::new(&[1, 96, 55, 55], element, layout), &LrnDescriptor::default())?),
        Op::from(Transpose::new(&kind(), &[0, 2, 3, 1])?),
        Op::from(Concat::new(&[kind(), kind()], 1)?),
        Op::from(Pad::new(&kind(), &PadDescriptor { pads: vec![0, 0, 3, 3, 0, 0, 3, 3], mode: PadMode::Reflect })?),
        Op::from(Resize::new(&kind(), &resize)?),
    ])
}

fn ops(criterion: &mut Criterion) {
    let gpu = Gpu::new().expect("a GPU adapter; a software one will do");
    for op in problems().expect("valid problems") {
        let op = &op;
        let mut generator = Generator::from_text(&op.to_string());
        let specs = op.inputs();
        let data: Vec<Vec<f64>> = specs.iter().map(|spec| Data::Real.fill(spec, op.terms(), &mut generator)).collect();
        let expected = op.reference(&data.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let tensors: Vec<Tensor> = specs.iter().zip(&data).map(|(spec, values)| upload(&gpu, spec, values).expect("an upload")).collect();
        let part = |constant: bool| -> Vec<&Tensor> { specs.iter().zip(&tensors).filter(|(s, _)| s.constant == constant).map(|(_, t)| t).collect() };

        let mut group = criterion.benchmark_group(format!("{}/{op}", op.name()));
        group.throughput(Throughput::Bytes(op.bytes())).sample_size(10).measurement_time(Duration::from_secs(1));
        for algorithm in op.algorithms(gpu.profile()) {
            let prepared = Prepared::with_algorithm(&gpu, op, algorithm, &part(true)).expect("an admitted algorithm");
            let outputs = prepared.outputs().expect("outputs");
            let (given, written) = (part(false), outputs.iter().collect::<Vec<_>>());
            let run = || {
                let mut recorder = gpu.recorder();
                prepared.record(&mut recorder, &given, &written).expect("a recording");
                recorder.submit().expect("a submit");
                gpu.wait().expect("the device");
            };
            run();
            let spec = &op.outputs()[0];
            let got = download(&outputs[0]).expect("a download");
            let mismatch =
                compare(&got, &expected[0].value, |i| expected[0].allowed(i, spec.tensor.element)).map(|m| m.describe(&spec.tensor.extents));
            assert_eq!(mismatch, None, "{op} {algorithm}: a wrong kernel is not timed");
            group.bench_function(algorithm, |bencher| bencher.iter(run));
        }
        let narrow: Vec<Vec<f32>> = data.iter().map(|values| values.iter().map(|v| *v as f32).collect()).collect();
        let operands: Vec<&[f32]> = narrow.iter().map(Vec::as_slice).collect();
        let mut y = vec![0.0; op.outputs()[0].count() as usize];
        if wgconv::cpu::compute(op, &operands, &mut y).is_ok_and(|has| has) {
            group.bench_function("cpu", |bencher| bencher.iter(|| wgconv::cpu::compute(op, &operands, &mut y)));
        }
        group.finish();
    }
}

criterion_group!(benches, ops);
criterion_main!(benches);
