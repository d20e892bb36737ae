//! LeNet-5 on a digit: convolutions, pooling, dense layers and softmax, prepared once and recorded into one submit, with the time of each run.
//! The weights are random: what is shown is how a network is built, not what it has learnt.
//!
//! `cargo run --release --example lenet5`

use ndarray::{Array1, Array2, Array4, ArrayD, IxDyn};
use std::time::Instant;
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::matmul::{LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Prepared, Problem};
use wgconv::pool::{PoolDescriptor, PoolKind, PoolProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::{Activation, ElementType, Gpu, Layout, Tensor, TensorType};

/// A layer that is ready to record, and the tensor that it writes.
struct Layer {
    prepared: Prepared,
    output: Tensor,
}

fn layer(gpu: &Gpu, op: impl Into<Op>, weights: &[&Tensor]) -> wgconv::Result<Layer> {
    let op = &op.into();
    let prepared = Prepared::new(gpu, op, weights)?;
    let output = prepared.outputs()?.swap_remove(0);
    println!("{:<14} {:<22} {:?}", op.name(), prepared.plan().label, output.shape());
    Ok(Layer { prepared, output })
}

fn main() -> wgconv::Result<()> {
    let gpu = Gpu::new()?;
    println!("{}", gpu.report());
    let mut generator = Generator::from_text("lenet5");
    let mut random = |extents: &[usize], scale: f64| -> wgconv::Result<Tensor> {
        let values = ArrayD::from_shape_simple_fn(IxDyn(extents), || (generator.real() * scale) as f32);
        gpu.upload(&values)
    };

    let (element, first) = (ElementType::F32, Layout::ChannelsFirst);
    let tanh = ConvDescriptor::<2> { activation: Activation::Tanh, ..Default::default() };
    let conv = |x: &[usize], w: &[usize]| ConvProblem::forward(&ConvInputs::new(x, w, Some(&w[..1])), &tanh);
    let pool = |x: &[usize]| PoolProblem::new(&TensorType::new(x, element, first), &PoolDescriptor::window([2, 2]).with_kind(PoolKind::AVERAGE));
    let dense = |activation, x: &[usize], w: &[usize]| {
        MatMulProblem::linear(&MatMulInputs { a: x, b: w, addend: Some(&w[..1]), element }, &LinearDescriptor { activation, ..Default::default() })
    };

    let mut layers = Vec::new();
    for (x, w) in [([1, 1, 32, 32], [6, 1, 5, 5]), ([1, 6, 14, 14], [16, 6, 5, 5]), ([1, 16, 5, 5], [120, 16, 5, 5])] {
        let depth = (w[1] * w[2] * w[3]) as f64;
        let (filter, bias) = (random(&w, depth.sqrt().recip())?, random(&w[..1], 0.1)?);
        let one = layer(&gpu, &conv(&x, &w)?, &[&filter, &bias])?;
        let extents = one.output.shape().extents().to_vec();
        layers.push(one);
        if w[0] < 120 {
            layers.push(layer(&gpu, &pool(&extents)?, &[])?);
        }
    }
    for (activation, w) in [(Activation::Tanh, [84, 120]), (Activation::None, [10, 84])] {
        let (weights, bias) = (random(&w, (w[1] as f64).sqrt().recip())?, random(&w[..1], 0.1)?);
        layers.push(layer(&gpu, &dense(activation, &[1, w[1]], &w)?, &[&weights, &bias])?);
    }
    layers.push(layer(
        &gpu,
        &SoftmaxProblem::new(&TensorType::new(&[1, 10], element, first), &SoftmaxDescriptor { axis: 1, ..Default::default() })?,
        &[],
    )?);

    // A ring for a zero, in the middle of the picture.
    let digit = Array4::from_shape_fn((1, 1, 32, 32), |(_, _, y, x)| {
        let radius = ((x as f32 - 15.5).powi(2) + (y as f32 - 15.5).powi(2)).sqrt();
        if (6.0..9.0).contains(&radius) { 1.0 } else { 0.0 }
    });
    let image = gpu.upload(&digit)?;
    for _ in 0..3 {
        let start = Instant::now();
        let mut recorder = gpu.recorder();
        let mut x = image.clone();
        for layer in &layers {
            // The last convolution gives [1, 120, 1, 1], the first dense layer takes [1, 120]: the same buffer.
            let wanted = &layer.prepared.plan().inputs[0].tensor.extents;
            if x.shape().extents() != wanted {
                x = x.reshape(&wanted.iter().map(|&e| e as isize).collect::<Vec<_>>())?;
            }
            layer.prepared.record(&mut recorder, &[&x], &[&layer.output])?;
            x = layer.output.clone();
        }
        recorder.submit()?;
        let scores: Array2<f32> = x.download()?;
        let scores: Array1<f32> = scores.row(0).to_owned();
        println!("{:.2} ms, sum of the ten probabilities {:.6}", start.elapsed().as_secs_f64() * 1e3, scores.sum());
        assert!((scores.sum() - 1.0).abs() < 1e-5 && scores.iter().all(|p| *p >= 0.0));
    }
    Ok(())
}
