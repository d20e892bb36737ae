//! One convolution layer on the GPU against the f64 reference, printed with its error bound.
//!
//! `cargo run --release --example one_layer`

use ndarray::{Array1, Array4};
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::numeric::Generator;
use wgconv::op::Prepared;
use wgconv::{Activation, Gpu, Padding, reference};

fn main() -> wgconv::Result<()> {
    let gpu = Gpu::new()?;
    println!("adapter: {}", gpu.report());

    // A layer of a residual network: 64 channels, 3 x 3, SAME padding, bias, ReLU.
    let mut generator = Generator::from_text("one layer");
    let mut random = |shape: (usize, usize, usize, usize)| Array4::from_shape_simple_fn(shape, || generator.real() as f32);
    let (image, filter) = (random((1, 64, 56, 56)), random((64, 64, 3, 3)));
    let bias = Array1::from_elem(64, 0.1f32);
    let descriptor = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };

    // Prepared once: planned, compiled, the filter packed. Recording only dispatches.
    let (x, f, b) = (gpu.upload(&image)?, gpu.upload(&filter)?, gpu.upload(&bias)?);
    let problem = ConvProblem::forward(&ConvInputs::of(&x, &f, Some(&b)), &descriptor)?;
    let conv = Prepared::new(&gpu, &problem, &[&f, &b])?;
    println!("plan: {}, {:.0} MFLOP", conv.plan(), problem.flops() / 1e6);
    let y = conv.output()?;
    let mut recorder = gpu.recorder();
    conv.record(&mut recorder, &[&x], &[&y])?;
    recorder.submit()?;
    let result: Array4<f32> = y.download()?;

    // The reference sums in f64 and returns the sum of absolute products, from which the bound follows.
    let slice = |a: &Array4<f32>| a.iter().copied().collect::<Vec<f32>>();
    let expected = reference::conv(&problem, &slice(&image), &slice(&filter), Some(&bias.to_vec()))?;
    let (mut worst, mut worst_share) = (0.0f64, 0.0f64);
    for ((got, want), (sum, magnitude)) in result.iter().zip(expected.output(descriptor.activation)).zip(expected.sum.iter().zip(&expected.magnitude))
    {
        let error = (f64::from(*got) - want).abs();
        let allowed = reference::conv_allowed(&problem, *sum, *magnitude);
        assert!(error <= allowed, "an output is {got}, expected {want} within {allowed:e}");
        worst = worst.max(error);
        worst_share = worst_share.max(error / allowed);
    }
    println!("{} outputs, largest error {worst:.2e}, at most {:.1}% of its bound", result.len(), worst_share * 100.0);
    Ok(())
}
