//! `wgconv run`: a model file on pictures and arrays, on the GPU or on the CPU engine.

use super::given::{self, Given, Tensors};
use super::reading::{self, Room};
use super::{npy, pictures, shape_text};
use crate::text::printable;
use crate::{Failure, Outcome, adapter_named, input, keep_pipelines, open_gpu, output, picture, say};
use ndarray::ArrayD;
use std::path::PathBuf;
use wgconv::{Graph, Session};
use wgconv_onnx::Tensor;

#[derive(clap::Args)]
pub struct Args {
    /// An ONNX file
    model: PathBuf,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    room: Room,
    /// Runs on the CPU engine
    #[arg(long, conflicts_with = "adapter")]
    cpu: bool,
    /// The adapter, by index or a part of its name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Writes each output as NumPy does into this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Writes outputs of N C H W or N H W C with 1, 3 or 4 channels and 8 pixels a side or more as PNG instead
    #[arg(long, requires = "output")]
    pictures: bool,
    /// With --pictures: the numbers that are black and white, such as 0,1 [default: the least and the largest of the output]
    #[arg(long, value_name = "LOW,HIGH", requires = "pictures", allow_hyphen_values = true, value_parser = pictures::range)]
    range: Option<pictures::Range>,
    /// Prints the classes with the largest numbers of each row of an output
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// The names of the classes, one a line
    #[arg(long, value_name = "FILE", requires = "top")]
    labels: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let model = args.room.read(&args.model)?;
    let labels = match &args.labels {
        Some(path) => input::text(path).map_err(Failure::Run)?.lines().map(printable).collect(),
        None => vec![],
    };
    let tensors = args.given.tensors(&model)?;
    let given: Vec<(&str, Tensor<'_>)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let imported = model.import_with(&given).map_err(|error| reading::failure(&args.model, &error))?;
    imported.notes.iter().for_each(|note| log::warn!("{note}"));
    let graph = imported.into_graph().map_err(|error| Failure::Run(error.to_string()))?.optimized()?;
    let outputs = computed(args, &graph, &tensors)?;
    for (i, (name, array)) in outputs.iter().enumerate() {
        shown(name, array);
        if let Some(count) = args.top {
            classes(array, count, &labels);
        }
        if let Some(folder) = &args.output {
            std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("{}: {e}", picture::name(folder))))?;
            let stem = format!("{i}-{}", file_name(name));
            let pngs = if args.pictures { pictures::pngs(array, args.range).map_err(Failure::Run)? } else { None };
            match pngs {
                Some((pngs, range)) => {
                    say!("  as PNG, black {}, white {}", range.black, range.white);
                    let ending = |item: usize| if pngs.len() == 1 { String::new() } else { format!("-{item}") };
                    for (item, png) in pngs.iter().enumerate() {
                        output::write(&folder.join(format!("{stem}{}.png", ending(item))), png)?;
                    }
                }
                None => output::write(&folder.join(format!("{stem}.npy")), &npy::bytes(array)?)?,
            }
        }
    }
    Ok(())
}

/// The outputs, from the engine that is wanted.
fn computed(args: &Args, graph: &Graph, tensors: &Tensors) -> Result<Vec<(String, ArrayD<f32>)>, Failure> {
    let arrays = given::arrays(graph, tensors)?;
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    if args.cpu {
        return Ok(Session::cpu(graph)?.run(&views)?.into_arrays());
    }
    match open_gpu(args.adapter.as_deref()) {
        Ok(gpu) => {
            gpu.set_pipeline_cache(None);
            let outputs = Session::gpu(&gpu, graph)?.run(&views)?;
            keep_pipelines(&gpu);
            Ok(outputs.into_arrays())
        }
        Err(error) if adapter_named(args.adapter.as_deref()) => Err(error.into()),
        Err(error) => {
            log::warn!("{error}; the CPU engine runs the model");
            Ok(Session::cpu(graph)?.run(&views)?.into_arrays())
        }
    }
}

/// A line about an output.
fn shown(name: &str, array: &ArrayD<f32>) {
    let (mut least, mut most, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0f64);
    for &v in array {
        (least, most, sum) = (if v < least || v.is_nan() { v } else { least }, if v > most || v.is_nan() { v } else { most }, sum + f64::from(v));
    }
    say!("{}: {}, from {least} to {most}, mean {:.6}", printable(name), shape_text(array.shape()), sum / array.len().max(1) as f64);
}

/// Of each row along the last axis the largest numbers.
fn classes(array: &ArrayD<f32>, count: usize, labels: &[String]) {
    for row in array.rows() {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let named = |class: usize| labels.get(class).cloned().unwrap_or_else(|| class.to_string());
        let shown: Vec<String> = order.iter().take(count).map(|&class| format!("{} ({:.4})", named(class), row[class])).collect();
        say!("  {}", shown.join(", "));
    }
}

/// A name as a file may have it.
fn file_name(name: &str) -> String {
    let kept: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    kept.chars().take(80).collect()
}
