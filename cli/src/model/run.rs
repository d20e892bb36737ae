//! `wgconv run`: a model file on pictures and arrays, on the GPU or on the CPU engine.

use super::image::Normalised;
use super::{image, named, names, npy, read};
use crate::text::printable;
use crate::{Failure, Outcome, adapter_named, input, keep_pipelines, open_gpu, output, picture, say};
use ndarray::{ArrayD, IxDyn};
use std::path::{Path, PathBuf};
use wgconv::{Graph, Session};
use wgconv_onnx::{Model, Tensor};

#[derive(clap::Args)]
pub struct Args {
    /// An ONNX file
    model: PathBuf,
    /// A picture for an input of N C H W or N H W C: PNG, JPEG, WebP or TIFF; its middle is cut to the input's shape and resized
    #[arg(long, value_name = "[NAME=]FILE")]
    image: Vec<String>,
    /// An array for an input, as NumPy writes it
    #[arg(long, value_name = "[NAME=]FILE.npy")]
    input: Vec<String>,
    /// Height and width of pictures, such as 224x224, where the model leaves them open [default: the picture's own]
    #[arg(long, value_name = "HxW")]
    size: Option<String>,
    /// Of each channel, taken off pixels that run from 0 to 1, such as 0.485,0.456,0.406 [default: 0]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    mean: Vec<f32>,
    /// Of each channel, what that is divided by, such as 0.229,0.224,0.225 [default: 1]
    #[arg(long = "std", value_name = "LIST", value_delimiter = ',')]
    deviation: Vec<f32>,
    /// Runs on the CPU engine
    #[arg(long, conflicts_with = "adapter")]
    cpu: bool,
    /// The adapter, by index or a part of its name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Writes each output as NumPy does into this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Prints the classes with the largest numbers of each row of an output
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// The names of the classes, one a line
    #[arg(long, value_name = "FILE", requires = "top")]
    labels: Option<PathBuf>,
    /// The largest image that is read, in millions of pixels
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4000))]
    max_megapixels: u32,
}

pub fn run(args: &Args) -> Outcome {
    let model = read(&args.model)?;
    let labels = match &args.labels {
        Some(path) => input::text(path).map_err(Failure::Run)?.lines().map(printable).collect(),
        None => vec![],
    };
    let tensors = inputs(args, &model)?;
    let given: Vec<(&str, Tensor<'_>)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let imported = model.import_with(&given).map_err(|error| Failure::Run(format!("{}: {error}", picture::name(&args.model))))?;
    imported.notes.iter().for_each(|note| log::warn!("{note}"));
    let graph = imported.into_graph().map_err(|error| Failure::Run(error.to_string()))?.optimized()?;
    let outputs = computed(args, &graph, &tensors)?;
    for (i, (name, array)) in outputs.iter().enumerate() {
        shown(name, array);
        if let Some(count) = args.top {
            classes(array, count, &labels);
        }
        if let Some(folder) = &args.output {
            let path = folder.join(format!("{i}-{}.npy", file_name(name)));
            std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("{}: {e}", picture::name(folder))))?;
            output::write(&path, &npy::bytes(array)?)?;
        }
    }
    Ok(())
}

/// What the options give, by the names of inputs.
fn inputs(args: &Args, model: &Model) -> Result<Vec<(String, Tensor<'static>)>, Failure> {
    let size = match &args.size {
        Some(text) => match super::extents("--size", text)?[..] {
            [height, width] => Some([height, width]),
            _ => return Err(Failure::Usage(format!("--size is {text}: it is height and width, such as 224x224"))),
        },
        None => None,
    };
    let how = Normalised { mean: &args.mean, deviation: &args.deviation, size, most_pixels: u64::from(args.max_megapixels) * 1_000_000 };
    let mut tensors = vec![];
    for text in &args.input {
        let (name, file) = named(model, "--input", text)?;
        tensors.push((name.to_string(), npy::read(Path::new(file))?));
    }
    for text in &args.image {
        let (name, file) = named(model, "--image", text)?;
        let own = model.inputs().iter().find(|input| input.name == name);
        let own = own.ok_or_else(|| Failure::Usage(format!("--image is {text}: the model's inputs are {}", names(model))))?;
        tensors.push((name.to_string(), image::read(Path::new(file), own, &how)?));
    }
    let missing = model.inputs().iter().find(|input| !tensors.iter().any(|(name, _)| *name == input.name));
    match missing {
        Some(input) => Err(Failure::Usage(format!(
            "the input {} is missing: --input {}=FILE.npy or --image {}=FILE gives it",
            printable(&input.name),
            printable(&input.name),
            printable(&input.name)
        ))),
        None => Ok(tensors),
    }
}

/// The outputs, from the engine that is wanted.
fn computed(args: &Args, graph: &Graph, tensors: &[(String, Tensor<'static>)]) -> Result<Vec<(String, ArrayD<f32>)>, Failure> {
    let array = |name: &str| {
        let tensor = tensors.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
        let numbers = tensor.map(|tensor| tensor.to_f64().into_iter().map(|v| v as f32).collect()).unwrap_or_default();
        ArrayD::from_shape_vec(IxDyn(tensor.map_or(&[], |tensor| tensor.dims())), numbers).map_err(|e| Failure::Run(e.to_string()))
    };
    let arrays: Vec<(&str, ArrayD<f32>)> = graph.inputs().map(|(name, _)| Ok((name, array(name)?))).collect::<Result<_, Failure>>()?;
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
    let extents = array.shape().iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let (mut least, mut most, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0f64);
    for &v in array {
        (least, most, sum) = (if v < least || v.is_nan() { v } else { least }, if v > most || v.is_nan() { v } else { most }, sum + f64::from(v));
    }
    say!(
        "{}: {}, from {least} to {most}, mean {:.6}",
        printable(name),
        if extents.is_empty() { "scalar".into() } else { extents },
        sum / array.len().max(1) as f64
    );
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
