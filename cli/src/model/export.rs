//! `wgconv export`: a model that `wgconv train` saved, as an ONNX file.

use crate::arguments::try_outputs;
use crate::train::classify;
use crate::{Failure, Outcome, output, picture, say};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The parameters that wgconv train --save wrote
    model: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE.onnx")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    try_outputs([("--output", Some(args.output.as_path()))])?;
    let graph = classify::graph(&args.model)?;
    let file = wgconv_onnx::export(&graph).map_err(|error| Failure::Run(format!("{}: {error}", picture::name(&args.model))))?;
    output::write(&args.output, &file)?;
    let shapes: Vec<String> = graph.inputs().chain(graph.outputs()).map(|(name, value)| format!("{name} {}", graph.shape(value))).collect();
    say!("wrote {}: {}", picture::name(&args.output), shapes.join(" to "));
    Ok(())
}
