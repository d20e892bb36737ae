//! `wgconv summary`: what a model file takes and gives, the graph that it becomes, and what that needs.

use super::{Reading, described};
use crate::params::grouped;
use crate::text::printable;
use crate::{Failure, Outcome, say, write_text};
use std::path::PathBuf;
use wgconv::session::Arena;

#[derive(clap::Args)]
pub struct Args {
    /// An ONNX file
    model: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// The graph after all passes, and what these did
    #[arg(long)]
    passes: bool,
    /// Writes the graph in the language of Graphviz
    #[arg(long, value_name = "FILE.dot")]
    dot: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let model = args.reading.room.read(&args.model)?;
    say!(
        "ONNX, opset {}, written by {}",
        model.opset(),
        if model.producer().is_empty() { "no one who says so".into() } else { printable(model.producer()) }
    );
    model.inputs().iter().for_each(|input| say!("  in   {}", described(input)));
    model.outputs().iter().for_each(|output| say!("  out  {}", described(output)));
    let ops: Vec<String> = model.ops().into_iter().map(|(op, count)| format!("{count} {}", printable(&op))).collect();
    say!("  ops  {}", ops.join(", "));
    let imported = args.reading.imported(&args.model, &model)?;
    imported.notes.iter().for_each(|note| say!("  note {}", printable(note)));
    let graph = imported.into_graph().map_err(|error| Failure::Run(error.to_string()))?;
    let (optimized, changes) = graph.optimized_with_changes()?;
    let shown = if args.passes { &optimized } else { &graph };
    say!("");
    say!("{}", shown.to_string().trim_end());
    if args.passes {
        say!("");
        changes.iter().for_each(|change| say!("{change}"));
    }
    let arena = Arena::of(&optimized, 1)?;
    let parameters: u64 = optimized.parameters().map(|(_, value)| optimized.elements(value)).sum();
    say!("");
    say!(
        "After all passes, {} nodes: {} parameters, {:.3} MB between ops in {} buffers.",
        optimized.nodes().len(),
        grouped(parameters),
        arena.total() as f64 * 1e-6,
        arena.buffers().len()
    );
    args.dot.as_ref().map_or(Ok(()), |path| write_text(path, &shown.to_dot()))
}
