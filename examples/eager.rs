//! What an eager call of a shape seen before costs beside the same op prepared, recorded and submitted: a 1x1 convolution of 16 channels, where only overhead
//! counts. Medians of many calls in turns, each waited for after every hundred.
//!
//! `cargo run --release --example eager`

use std::time::Instant;
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::op::Prepared;
use wgconv::{ElementType, Gpu, Layout, Result};

/// Calls of a turn.
const CALLS: usize = 100;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    println!("{}", gpu.report());
    let x = gpu.upload(&ndarray::Array4::<f32>::ones((1, 16, 16, 16)))?;
    let w = gpu.upload(&ndarray::Array4::<f32>::ones((16, 16, 1, 1)))?;
    let descriptor = Conv2dDescriptor::default();
    let prepared = Prepared::new(&gpu, ConvProblem::forward(&ConvInputs::of(&x, &w, None), &descriptor)?, &[&w])?;
    let y = gpu.zeros(&[1, 16, 16, 16], ElementType::F32, Layout::ChannelsFirst)?;
    let eager = || gpu.run(|r| r.conv2d(&x, &w, None, &descriptor)).map(drop);
    let recorded = || {
        let mut recorder = gpu.recorder();
        prepared.record(&mut recorder, &[&x], &[&y])?;
        recorder.submit()
    };
    // The host's part alone, and with the device's.
    let mut turns: [Vec<[f64; 2]>; 2] = [vec![], vec![]];
    for turn in 0..40 {
        let start = Instant::now();
        for _ in 0..CALLS {
            if turn % 2 == 0 { eager()? } else { recorded()? }
        }
        let host = start.elapsed().as_secs_f64();
        gpu.wait()?;
        let whole = start.elapsed().as_secs_f64();
        turns[turn % 2].push([host, whole].map(|seconds| seconds * 1e6 / CALLS as f64));
    }
    let median = |values: &[[f64; 2]], i: usize| {
        let mut values: Vec<f64> = values.iter().map(|value| value[i]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for (i, what) in ["calls", "calls and the device"].into_iter().enumerate() {
        let [eager, recorded] = [median(&turns[0], i), median(&turns[1], i)];
        println!("{what}: {eager:.1} us eager, {recorded:.1} us recorded from what is prepared, {:.2} times", eager / recorded);
    }
    println!("{:?}", gpu.memory());
    Ok(())
}
