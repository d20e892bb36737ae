//! A server: sixteen threads take requests of changing sizes and run them on one session. The first request of a size prepares it, later ones reuse that; what
//! is ready is bounded in number and in bytes. Every answer has the bits that the same request has alone.
//!
//! `cargo run --release --example server`

use ndarray::{Array1, Array4, ArrayD};
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

const THREADS: usize = 16;
const REQUESTS: usize = 160;

/// A request: which one it is, its pictures, and where the answer goes.
struct Request {
    number: usize,
    pictures: Array4<f32>,
    answer: mpsc::Sender<Answer>,
}

/// The edges of a request's pictures, and how long they took.
struct Answer {
    number: usize,
    edges: ArrayD<f32>,
    time: Duration,
}

/// Pictures of request `number`: lines at places of its own.
fn pictures(number: usize) -> Array4<f32> {
    let size = [1, 4, 2, 8, 1, 3][number % 6];
    Array4::from_shape_fn((size, 1, 64, 64), |(n, _, y, x)| if x + n > 24 + number % 16 && y > 20 { 1.0 + number as f32 / 7.0 } else { 0.0 })
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
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    // Held while waiting for a request, not while one runs.
                    let next = waiting.lock().ok().and_then(|waiting| waiting.recv().ok());
                    let Some(Request { number, pictures, answer }) = next else { return };
                    let start = Instant::now();
                    match session.run(&[("pictures", pictures.view())]) {
                        Ok(outputs) => {
                            let edges = outputs.into_arrays().swap_remove(0).1;
                            let _ = answer.send(Answer { number, edges, time: start.elapsed() });
                        }
                        Err(error) => eprintln!("{error}"),
                    }
                }
            });
        }
        for number in 0..REQUESTS {
            requests.send(Request { number, pictures: pictures(number), answer: answer.clone() })?;
        }
        drop((requests, answer));
        Ok(())
    })?;
    let mut answers: Vec<Answer> = answers.iter().collect();
    assert_eq!(answers.len(), REQUESTS, "every request has its answer");
    for Answer { number, edges, .. } in &answers {
        let alone = session.run(&[("pictures", pictures(*number).view())])?;
        let [got, want] = [edges, &alone["edges"]].map(|edges| edges.mapv(f32::to_bits));
        assert_eq!(got, want, "an answer does not depend on what runs beside it");
        assert!(edges.iter().any(|v| *v > 0.0), "pictures of lines have edges");
    }
    println!("{REQUESTS} requests by {THREADS} threads on {session:?}: the bits of each are those that it has alone");
    let size = |answer: &Answer| answer.edges.shape()[0];
    answers.sort_by_key(|answer| (size(answer), answer.time));
    for group in answers.chunk_by(|a, b| size(a) == size(b)) {
        let (fastest, slowest) = (group[0].time, group[group.len() - 1].time);
        println!("{:>2} requests of {} pictures: {fastest:?} the fastest, {slowest:?} the slowest", group.len(), size(&group[0]));
    }
    Ok(())
}
