//! One step of an optimizer on the 161 parameters of a ResNet-50, 25.6 million numbers: all in one op, as `Trainer` does it, and one op for each; beside a copy
//! of as many bytes as the step must move, and beside what an activation takes for as many, which is what a kernel can reach on a driver. Times are the
//! least of several runs, taken in turns.
//!
//! `cargo bench --bench optimizer`

use std::time::Instant;
use wgconv::elementwise::UnaryProblem;
use wgconv::op::{Bound, Prepared};
use wgconv::train::{OptimizerProblem, Rule, Scalars};
use wgconv::{Activation, ElementType, Gpu, Layout, Result, Tensor, TensorType, wgpu};

/// Runs of each.
const RUNS: usize = 9;

/// Extents of ResNet-50's parameters (He and others, 2016).
fn resnet50() -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![];
    let mut conv = |outputs: usize, inputs: usize, window: usize| {
        all.extend([vec![outputs, inputs, window, window], vec![outputs], vec![outputs]]); // with the scale and the bias of its batch norm
    };
    conv(64, 3, 7);
    let mut inputs = 64;
    for (width, blocks) in [(64, 3), (128, 4), (256, 6), (512, 3)] {
        for block in 0..blocks {
            conv(width, inputs, 1);
            conv(width, width, 3);
            conv(4 * width, width, 1);
            if block == 0 {
                conv(4 * width, inputs, 1);
            }
            inputs = 4 * width;
        }
    }
    all.extend([vec![1000, 2048], vec![1000]]);
    all
}

fn zeros(gpu: &Gpu, extents: &[usize]) -> Result<Tensor> {
    gpu.zeros(extents, ElementType::F32, Layout::ChannelsFirst)
}

/// A step on parameters of these extents, with tensors of its own.
fn step(gpu: &Gpu, rule: Rule, extents: &[usize], scalars: &Tensor) -> Result<Bound> {
    let changed = (0..=rule.state().len()).map(|_| zeros(gpu, extents)).collect::<Result<Vec<_>>>()?;
    let gradient = zeros(gpu, extents)?;
    Prepared::new(gpu, OptimizerProblem::new(rule, extents)?, &[])?.bind(&[&gradient, scalars], &changed.iter().collect::<Vec<_>>())
}

fn timed(gpu: &Gpu, run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    gpu.wait()?;
    Ok(1e3 * start.elapsed().as_secs_f64())
}

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let shapes = resnet50();
    let count: usize = shapes.iter().map(|extents| extents.iter().product::<usize>()).sum();
    println!("{}: {} parameters, {count} numbers", gpu.report(), shapes.len());
    println!(
        "{:10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>8}",
        "rule", "MB", "copy ms", "relu ms", "one ms", "each ms", "one/copy", "each/copy", "one/relu"
    );
    let scalars = zeros(&gpu, &[Scalars::COUNT])?;
    for rule in [Rule::Sgd, Rule::Momentum { nesterov: false }, Rule::Adam { amsgrad: false }] {
        // Parameters and state are read and written, the gradient is read.
        let bytes = 4 * (count * (2 * (1 + rule.state().len()) + 1)) as u64;
        let all = step(&gpu, rule, &[count], &scalars)?;
        let each = shapes.iter().map(|extents| step(&gpu, rule, extents, &scalars)).collect::<Result<Vec<_>>>()?;
        // A copy reads and writes: half as many bytes, a tensor's at a time.
        let (from, to) = (zeros(&gpu, &[count])?, zeros(&gpu, &[count])?);
        let copy = || -> Result<()> {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut left = bytes / 2 / 4 * 4;
            while left > 0 {
                let part = left.min(4 * count as u64);
                encoder.copy_buffer_to_buffer(from.buffer(), 0, to.buffer(), 0, part);
                left -= part;
            }
            gpu.queue().submit([encoder.finish()]);
            Ok(())
        };
        let relu = Prepared::new(&gpu, UnaryProblem::new(&TensorType::f32(&[count]), Activation::Relu)?, &[])?.bind(&[&from], &[&to])?;
        let mut least = [f64::INFINITY; 4];
        for _ in 0..RUNS {
            let times = [
                timed(&gpu, copy)?,
                // It reads and writes each number once.
                timed(&gpu, || gpu.run(|recorder| relu.record(recorder)))? * bytes as f64 / (8 * count) as f64,
                timed(&gpu, || gpu.run(|recorder| all.record(recorder)))?,
                timed(&gpu, || gpu.run(|recorder| each.iter().try_for_each(|step| step.record(recorder))))?,
            ];
            least.iter_mut().zip(times).for_each(|(least, time)| *least = least.min(time));
        }
        let [copy, relu, one, each] = least;
        let (name, mb) = (rule.name(), bytes as f64 / 1e6);
        println!("{name:10} {mb:8.1} {copy:9.2} {relu:9.2} {one:9.2} {each:9.2} {:8.2} {:9.2} {:8.2}", one / copy, each / copy, one / relu);
    }
    Ok(())
}
