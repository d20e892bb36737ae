//! `wgconv classify`: what a trained model takes pictures for. Runs on the CPU engine: a picture or a few are no work for a GPU.

use super::images;
use super::models::{CHANNELS, Described, Network, lenet5, small};
use crate::picture::{self, Picture};
use crate::text::printable;
use crate::{Failure, Outcome, say};
use ndarray::{Array2, Array4, ArrayD};
use std::path::{Path, PathBuf};
use wgconv::graph::Weights;
use wgconv::pool::{AdaptivePoolDescriptor, PoolKind};
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::train::Model;
use wgconv::{Activation, Graph, Session};

#[derive(clap::Args)]
pub struct Args {
    /// The parameters that wgconv train --save wrote
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// For models of digits: the pictures have light ink on dark ground, as MNIST has it; by default that is so where most of a picture is dark
    #[arg(long)]
    light_on_dark: bool,
    /// The largest image that is read, in millions of pixels
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4000))]
    max_megapixels: u32,
    /// PNG, JPEG, WebP or TIFF
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

/// Classes that are printed, the likeliest first.
const SHOWN: usize = 3;

/// What the model takes.
enum Kind {
    /// Ink on so many pixels a side; classes are 0 to 9.
    Digits(usize),
    Images(Described),
}

pub fn run(args: &Args) -> Outcome {
    let (session, kind) = open(&args.model)?;
    for path in &args.images {
        let picture = picture::read(path, u64::from(args.max_megapixels) * 1_000_000)?;
        let input = match &kind {
            Kind::Digits(side) => ink(&picture, *side, args.light_on_dark)?,
            Kind::Images(own) => shaped(images::sample(&picture, own.size), [1, CHANNELS, own.size, own.size])?,
        };
        let outputs = session.run(&[("input", input.view())])?;
        let mut classes: Vec<(String, f32)> = named(&kind, &outputs["probabilities"]);
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shown: Vec<String> = classes.iter().take(SHOWN).map(|(class, part)| format!("{class} ({:.1} %)", 100.0 * part)).collect();
        say!("{}: {}", picture::name(path), shown.join(", "));
    }
    Ok(())
}

/// The model of a file, with an output of probabilities.
fn open(path: &Path) -> Result<(Session, Kind), Failure> {
    let (graph, kind) = graph_of(path)?;
    let is_logistic = matches!(&kind, Kind::Images(own) if own.network == Network::Logistic);
    Ok((with_probabilities(graph, is_logistic)?, kind))
}

/// The network of a file that `train` saved, with its numbers, from `input` to `output`, before any pass; and what its input is.
pub fn graph(path: &Path) -> Result<(Graph, &'static str), Failure> {
    let (graph, kind) = graph_of(path)?;
    let input = match kind {
        Kind::Digits(_) => "grey from 0 to 1, light ink on dark ground",
        Kind::Images(_) => "red, green and blue from -1 to 1, of the square about a picture's centre (wgconv run --mean 0.5 --std 0.5)",
    };
    Ok((graph, input))
}

fn graph_of(path: &Path) -> Result<(Graph, Kind), Failure> {
    let weights = Weights::read(path)?;
    let is_safetensors = path.extension().is_some_and(|end| end == "safetensors");
    let described = if is_safetensors {
        let bytes = std::fs::read(path).map_err(|e| e.to_string());
        bytes.and_then(|bytes| Described::of_file(&bytes)).map_err(|why| Failure::Run(format!("{}: {why}", picture::name(path))))?
    } else {
        None
    };
    if let Some(own) = described {
        let mut graph = own.model().graph(0)?;
        graph.set_all(&weights)?;
        return Ok((graph, Kind::Images(own)));
    }
    // The networks for digits, by which of them the parameters fit.
    let networks = [("lenet5", lenet5(), 28), ("digits", small(), 8)];
    let mut refused = vec![];
    for (name, network, side) in networks {
        let mut graph = network.graph(0)?;
        match graph.set_all(&weights) {
            Ok(()) => return Ok((graph, Kind::Digits(side))),
            Err(error) => refused.push(format!("{name}: {error}")),
        }
    }
    Err(Failure::Run(format!("it is of no network that train makes: {}", refused.join("; "))))
}

fn with_probabilities(mut graph: Graph, is_logistic: bool) -> Result<Session, Failure> {
    let Some((_, logits)) = graph.outputs().next() else { return Err(Failure::Run("the model has no output".into())) };
    let probabilities = match is_logistic {
        true => graph.activation(logits, Activation::Sigmoid)?,
        false => graph.softmax(logits, &SoftmaxDescriptor { axis: 1, logarithm: false })?,
    };
    graph.output("probabilities", probabilities)?;
    Ok(Session::cpu(&graph.optimized()?)?)
}

/// Each class with its probability.
fn named(kind: &Kind, probabilities: &ArrayD<f32>) -> Vec<(String, f32)> {
    match kind {
        Kind::Digits(_) => probabilities.iter().enumerate().map(|(class, &part)| (class.to_string(), part)).collect(),
        Kind::Images(own) => {
            let parts: Vec<f32> = match own.network {
                Network::Convolutional => probabilities.iter().copied().collect(),
                Network::Logistic => probabilities.iter().flat_map(|&part| [1.0 - part, part]).collect(),
            };
            own.classes.iter().map(|class| printable(class)).zip(parts).collect()
        }
    }
}

fn shaped(pixels: Vec<f32>, extents: [usize; 4]) -> Result<Array4<f32>, Failure> {
    Array4::from_shape_vec(extents, pixels).map_err(|e| Failure::Run(e.to_string()))
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
