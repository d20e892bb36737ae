//! `wgconv export`: a model that `wgconv train` saved, or a network of the suites, as an ONNX file.

use crate::arguments::try_outputs;
use crate::suites::{Kind, Suite, network};
use crate::train::classify;
use crate::{Failure, Outcome, output, picture, say};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The parameters that wgconv train --save wrote
    #[arg(required_unless_present = "suite")]
    model: Option<PathBuf>,
    /// A network of bench's suites instead, with seeded weights: the same network for other engines
    #[arg(long, value_enum, conflicts_with = "model")]
    suite: Option<Suite>,
    /// The file to write
    #[arg(short, long, value_name = "FILE.onnx")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    try_outputs([("--output", Some(args.output.as_path()))])?;
    let (graph, name, input) = match (args.suite, &args.model) {
        (Some(suite), _) => {
            // All of them, or none, are said to be no network.
            let [one] = suite.networks()?[..] else { return Err(Failure::Usage("--suite is all: a file has one network".into())) };
            (network(one, Kind::PLAIN)?, one.name(), None)
        }
        (None, Some(model)) => {
            let (graph, input) = classify::graph(model)?;
            (graph, picture::name(model), Some(input))
        }
        (None, None) => return Err(Failure::Usage("a model is missing, or --suite".into())),
    };
    let file = wgconv_onnx::export(&graph).map_err(|error| Failure::Run(format!("{name}: {error}")))?;
    output::write(&args.output, &file)?;
    let shapes: Vec<String> = graph.inputs().chain(graph.outputs()).map(|(name, value)| format!("{name} {}", graph.shape(value))).collect();
    say!("wrote {}: {}", picture::name(&args.output), shapes.join(" to "));
    if let Some(input) = input {
        say!("its input: {input}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use wgconv::Graph;
    use wgconv::graph::Resolved;
    use wgconv::op::Problem;
    use wgconv_onnx::{Given, Model};

    /// How many there are of each op after all passes.
    fn ops(graph: &Graph, open: usize) -> BTreeMap<String, usize> {
        let optimized = graph.optimized().unwrap();
        let mut counts = BTreeMap::new();
        for node in optimized.at(open).unwrap().nodes {
            if let Resolved::Op(op) = node {
                *counts.entry(format!("{} {op}", op.name())).or_insert(0) += 1;
            }
        }
        counts
    }

    /// The networks come back from ONNX files as they were: the passes find every fusion there that they find in the graph that was built, so that what is
    /// planned, and how long it takes, is the same.
    #[test]
    fn networks_come_back_from_files_with_the_same_ops() {
        for suite in Suite::All.networks().ok().unwrap() {
            let graph = network(suite, Kind::PLAIN).unwrap();
            let bytes = wgconv_onnx::export(&graph).unwrap_or_else(|error| panic!("{}: {error}", suite.name()));
            let model = Model::parse(bytes).unwrap();
            let at = graph.at(1).unwrap();
            let shapes: Vec<(&str, Vec<usize>)> = graph.inputs().map(|(name, value)| (name, at.types[value.index()].extents.clone())).collect();
            let given: Vec<(&str, Given<'_>)> = shapes.iter().map(|(name, dims)| (*name, Given::Dims(dims))).collect();
            let read = model.import(&given).unwrap().into_graph().unwrap();
            let (own, back) = (ops(&graph, 1), ops(&read, 0));
            let only = |a: &BTreeMap<String, usize>, b: &BTreeMap<String, usize>| {
                a.iter().filter(|(op, count)| b.get(*op) != Some(count)).map(|(op, count)| format!("{count} {op}")).collect::<Vec<_>>().join("\n  ")
            };
            assert!(own == back, "{}, built:\n  {}\nread:\n  {}", suite.name(), only(&own, &back), only(&back, &own));
        }
    }
}
