//! A million taps at 48 kHz, block by block, on one core: the mean and the worst time of a block beside the time that it lasts, for partitions that grow and for
//! partitions of one length. The work of a block is the same in every run, so a block's time is the least of several runs: what remains of a
//! machine that does other things too is little.
//!
//! `cargo bench --bench streaming`

use std::time::Instant;
use wgconv::conv::StreamingDescriptor;
use wgconv::cpu::StreamingConvolution;
use wgconv::ndarray::Array2;
use wgconv::numeric::Generator;

const TAPS: usize = 1_000_000;
const RATE: f64 = 48_000.0;
/// Samples that are timed; as many as the longest partitions are not even, so that every piece of their work comes up.
const SAMPLES: usize = 3 << 17;
const RUNS: usize = 15;

/// Seconds of each block, the least of all runs, and the longest of all.
fn timed(filter: &mut StreamingConvolution, x: &[f32], block: usize) -> wgconv::Result<(Vec<f64>, f64)> {
    let mut y = vec![0.0; block];
    let mut least = vec![f64::INFINITY; x.len() / block];
    let mut longest = 0f64;
    for _ in 0..RUNS {
        filter.reset();
        for (x, least) in x.chunks_exact(block).zip(&mut least) {
            let start = Instant::now();
            filter.process(x, &mut y)?;
            let seconds = start.elapsed().as_secs_f64();
            *least = least.min(seconds);
            longest = longest.max(seconds);
        }
    }
    Ok((least, longest))
}

fn main() -> wgconv::Result<()> {
    let mut generator = Generator::from_text("room");
    // Noise that decays by 60 dB in twelve seconds.
    let decay = |n: usize| 0.001f64.powf(n as f64 / (12.0 * RATE));
    let response = Array2::from_shape_fn((1, TAPS), |(_, n)| (0.01 * decay(n) * generator.real()) as f32);
    let x: Vec<f32> = (0..SAMPLES).map(|_| generator.real() as f32).collect();
    println!(
        "| partitions | MB | to prepare, ms | block | lasts, us | mean, us | worst, us | share of real time | worst of its time | longest seen, us |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let growing = StreamingDescriptor::default();
    let cases = [
        (growing, &[64, 256, 1024][..]),
        (StreamingDescriptor { longest: 16_384, ..growing }, &[64, 256, 1024]),
        (StreamingDescriptor { longest: 4096, ..growing }, &[64, 256, 1024]),
        (StreamingDescriptor { longest: 256, ..growing }, &[64, 256]),
        (StreamingDescriptor { shortest: 1024, longest: 1024, ..growing }, &[1024]),
    ];
    for (descriptor, blocks) in cases {
        let start = Instant::now();
        let mut filter = StreamingConvolution::new(response.view(), &descriptor)?;
        let prepared = 1e3 * start.elapsed().as_secs_f64();
        let name = match descriptor {
            StreamingDescriptor { shortest, longest, .. } if shortest == longest => format!("all of {longest}"),
            StreamingDescriptor { shortest, longest, .. } => format!("{shortest} to {longest}"),
        };
        for &block in blocks {
            let (least, longest) = timed(&mut filter, &x, block)?;
            let (lasts, mean) = (block as f64 / RATE, least.iter().sum::<f64>() / least.len() as f64);
            let worst = least.iter().copied().fold(0.0, f64::max);
            println!(
                "| {name} | {:.0} | {prepared:.0} | {block} | {:.0} | {:.1} | {:.1} | {:.2} % | {:.1} % | {:.0} |",
                filter.bytes() as f64 / 1e6,
                1e6 * lasts,
                1e6 * mean,
                1e6 * worst,
                100.0 * mean / lasts,
                100.0 * worst / lasts,
                1e6 * longest
            );
        }
    }
    // A file: as many samples at once as there are.
    let mut filter = StreamingConvolution::new(response.view(), &growing)?;
    let mut samples = x.clone();
    samples.resize(10 * TAPS, 0.25);
    let start = Instant::now();
    filter.process_in_place(&mut samples)?;
    println!("\n{} samples in one call: {:.3} s", samples.len(), start.elapsed().as_secs_f64());
    Ok(())
}
