//! A server: threads take requests of changing sizes and run them on one session. The first request of a size prepares it, later ones reuse that; what is
//! ready is bounded in number and in bytes.
//!
//! `cargo run --release --example server`

use ndarray::{Array1, Array4};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use wgconv::conv::Conv2dDescriptor;
use wgconv::session::SessionDescriptor;
use wgconv::{Extent, Gpu, Graph, Padding, Result, Session};

/// Edges of a picture in eight directions, the strongest at each position.
fn network() -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input("pictures", [Extent::Open, 1.into(), 64.into(), 64.into()])?;
    let directions = Array4::from_shape_fn((8, 1, 5, 5), |(k, _, i, j)| {
        let angle = k as f32 * std::f32::consts::FRAC_PI_4;
        (j as f32 - 2.0) * angle.cos() + (i as f32 - 2.0) * angle.sin()
    });
    let w = g.parameter("directions", directions.view())?;
    let b = g.parameter("bias", Array1::<f32>::zeros(8).view())?;
    let y = g.conv2d(x, w, Some(b), &Conv2dDescriptor { padding: Padding::Same, ..Default::default() })?;
    let y = g.relu(y)?;
    let y = g.reduce(y, &wgconv::reduce::ReduceDescriptor::max(&[1]))?;
    g.output("edges", y)?;
    Ok(g)
}

/// A request: how many pictures, and where the answer goes.
struct Request {
    pictures: Array4<f32>,
    answer: mpsc::Sender<(usize, f32, Duration)>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let graph = network()?.optimized()?;
    let limits = SessionDescriptor { memory_limit: Some(256 << 20), extents: 4 };
    let session = match Gpu::new() {
        Ok(gpu) => Session::gpu_with(&gpu, &graph, &limits)?,
        Err(error) => {
            println!("{error}: the CPU engine serves");
            Session::cpu(&graph)?
        }
    };
    let (requests, waiting) = mpsc::channel::<Request>();
    let waiting = std::sync::Mutex::new(waiting);
    let (answer, answers) = mpsc::channel();
    std::thread::scope(|scope| -> std::result::Result<(), Box<dyn std::error::Error>> {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    // Held while waiting for a request, not while one runs.
                    let next = waiting.lock().ok().and_then(|waiting| waiting.recv().ok());
                    let Some(Request { pictures, answer }) = next else { return };
                    let start = Instant::now();
                    match session.run(&[("pictures", pictures.view())]) {
                        Ok(outputs) => {
                            let strongest = outputs["edges"].iter().fold(0.0f32, |most, v| most.max(*v));
                            let _ = answer.send((pictures.shape()[0], strongest, start.elapsed()));
                        }
                        Err(error) => eprintln!("{error}"),
                    }
                }
            });
        }
        for i in 0..40 {
            let size = [1, 4, 2, 8, 1, 3][i % 6];
            let pictures = Array4::from_shape_fn((size, 1, 64, 64), |(n, _, y, x)| if x + n > 32 && y > 20 { 1.0 } else { 0.0 });
            requests.send(Request { pictures, answer: answer.clone() })?;
        }
        drop((requests, answer));
        Ok(())
    })?;
    let mut answers: Vec<(usize, f32, Duration)> = answers.iter().collect();
    assert_eq!(answers.len(), 40, "every request has its answer");
    assert!(answers.iter().all(|(_, strongest, _)| *strongest == answers[0].1), "a picture's edges do not depend on what runs beside it");
    answers.sort_by_key(|(size, _, time)| (*size, *time));
    for group in answers.chunk_by(|a, b| a.0 == b.0) {
        println!("{:>2} requests of {} pictures: {:?} the fastest, {:?} the slowest", group.len(), group[0].0, group[0].2, group[group.len() - 1].2);
    }
    Ok(())
}
