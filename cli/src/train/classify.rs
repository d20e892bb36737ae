//! `wgconv classify`: what a trained model takes pictures for. Runs on the CPU engine: a picture or a few are no work for a GPU.

use super::{lenet5, small};
use crate::picture::{self, Picture};
use crate::{Failure, Outcome, say};
use ndarray::{Array2, Array4};
use std::path::PathBuf;
use wgconv::graph::Weights;
use wgconv::pool::{AdaptivePoolDescriptor, PoolKind};
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::train::Model;
use wgconv::{Graph, Session};

#[derive(clap::Args)]
pub struct Args {
    /// The parameters that wgconv train --save wrote
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The pictures have light ink on dark ground, as MNIST has it; by default that is so where most of a picture is dark
    #[arg(long)]
    light_on_dark: bool,
    /// PNG, JPEG, WebP or TIFF
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

/// Most pixels of a picture.
const MOST_PIXELS: u64 = 100_000_000;

/// Classes that are printed, the likeliest first.
const SHOWN: usize = 3;

pub fn run(args: &Args) -> Outcome {
    let weights = Weights::read(&args.model)?;
    // The networks that train knows, by which of them the parameters fit.
    let networks = [("lenet5", lenet5(), 28), ("digits", small(), 8)];
    let mut refused = vec![];
    let mut fitting = None;
    for (name, network, side) in networks {
        let mut graph = network.graph(0)?;
        match graph.set_all(&weights) {
            Ok(()) => fitting = fitting.or(Some((graph, side))),
            Err(error) => refused.push(format!("{name}: {error}")),
        }
    }
    let Some((graph, side)) = fitting else { return Err(Failure::Run(format!("it is of no network that train makes: {}", refused.join("; ")))) };
    let session = with_probabilities(graph)?;
    for path in &args.images {
        let picture = picture::read(path, MOST_PIXELS)?;
        let ink = ink(&picture, side, args.light_on_dark)?;
        let outputs = session.run(&[("input", ink.view())])?;
        let mut classes: Vec<(usize, f32)> = outputs["probabilities"].iter().copied().enumerate().collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shown: Vec<String> = classes.iter().take(SHOWN).map(|(class, part)| format!("{class} ({:.1} %)", 100.0 * part)).collect();
        say!("{}: {}", picture::name(path), shown.join(", "));
    }
    Ok(())
}

fn with_probabilities(mut graph: Graph) -> Result<Session, Failure> {
    let Some((_, logits)) = graph.outputs().next() else { return Err(Failure::Run("the model has no output".into())) };
    let probabilities = graph.softmax(logits, &SoftmaxDescriptor { axis: 1, logarithm: false })?;
    graph.output("probabilities", probabilities)?;
    Ok(Session::cpu(&graph.optimized()?)?)
}

/// Ink from 0 to 1 on side x side pixels, each the mean of those that it covers.
fn ink(picture: &Picture, side: usize, light_on_dark: bool) -> Result<Array4<f32>, Failure> {
    // Luma of ITU-R BT.601.
    let grey: Array2<f32> = match picture.channels {
        1 => picture.plane(0),
        _ => picture.plane(0) * 0.299 + picture.plane(1) * 0.587 + picture.plane(2) * 0.114,
    };
    let mean = grey.mean().unwrap_or_default();
    let inverted = !light_on_dark && mean > 127.5;
    let ink = grey.mapv(|v| if inverted { 1.0 - v / 255.0 } else { v / 255.0 });
    let (height, width) = ink.dim();
    let mut graph = Graph::new();
    let x = graph.input("x", [1.into(), 1.into(), height.into(), width.into()])?;
    let y = graph.adaptive_pool2d(x, &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [side, side] })?;
    graph.output("y", y)?;
    let ink = ink.insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0));
    let outputs = Session::cpu(&graph)?.run(&[("x", ink.view())])?;
    let array = outputs["y"].clone().into_dimensionality::<ndarray::Ix4>();
    array.map_err(|e| Failure::Run(e.to_string()))
}
