//! `wgconv compare`: a model's ops one by one on the GPU and on the CPU engine against the reference, and along the network against another engine's
//! tensors.

use super::against::{Against, Row};
use super::given::{self, Given};
use super::reading::failure;
use super::{Reading, shape_text};
use crate::text::printable;
use crate::{Failure, Outcome, adapter_named, interrupt, keep_pipelines, open_gpu, say};
use std::ops::ControlFlow;
use std::path::PathBuf;
use wgconv::validate_network::{Compared, Engines, Measured, compare_engines};
use wgconv_onnx::Tensor;

#[derive(clap::Args)]
pub struct Args {
    /// An ONNX file
    model: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Of inputs that get seeded numbers: without --input and --image all of them
    #[command(flatten)]
    reading: Reading,
    /// Another engine's tensors by name, as numpy.savez writes them or as safetensors: outputs, and whatever lies between
    #[arg(long, value_name = "FILE.npz")]
    against: Option<PathBuf>,
    /// Compares the ops that run runs: the graph after all passes
    #[arg(long)]
    passes: bool,
    /// The CPU engine alone
    #[arg(long, conflicts_with = "adapter")]
    cpu: bool,
    /// The adapter, by index or a part of its name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
}

pub fn run(args: &Args) -> Outcome {
    let model = args.reading.room.read(&args.model)?;
    if args.given.is_any() && args.reading.is_of_inputs() {
        return Err(Failure::Usage("--shape and --number are for inputs of seeded numbers, and --input or --image is given".into()));
    }
    let tensors = if args.given.is_any() { args.given.tensors(&model)? } else { given::seeded(&model, &args.reading)? };
    let given: Vec<(&str, Tensor<'_>)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let imported = model.import_with(&given).map_err(|error| failure(&args.model, &error))?;
    imported.notes.iter().for_each(|note| log::warn!("{note}"));
    let graph = imported.into_graph().map_err(|error| Failure::Run(error.to_string()))?;
    let graph = if args.passes { graph.optimized()? } else { graph };
    let against = args.against.as_ref().map(|path| Against::read(path, &graph)).transpose()?;
    let arrays = given::arrays(&graph, &tensors)?;
    let inputs: Vec<Vec<f64>> = arrays.iter().map(|(_, array)| array.iter().map(|&v| f64::from(v)).collect()).collect();
    let gpu = match (!args.cpu).then(|| open_gpu(args.adapter.as_deref())) {
        None => None,
        Some(Ok(gpu)) => Some(gpu),
        Some(Err(error)) if adapter_named(args.adapter.as_deref()) => return Err(error.into()),
        Some(Err(error)) => {
            log::warn!("{error}; the CPU engine alone is compared");
            None
        }
    };
    if let Some(gpu) = &gpu {
        gpu.set_pipeline_cache(None);
        say!("GPU: {}", gpu.report());
    }
    if !args.given.is_any() {
        say!("inputs: seeded numbers, reals from -1 to 1");
    }
    say!(
        "Every op is given the reference's numbers on each engine; \"of bound\" is the largest part of its bound that an error takes, above 1 is wrong."
    );
    say!("\"network\" is the largest error along the engine's own numbers from the inputs on, of the largest number of the value.\n");
    let mut table = Table { has_gpu: gpu.is_some(), values: 0, worst: None, wrong: vec![], unheld: 0 };
    say!("{}", table.head());
    interrupt::listen();
    let mut rows: Vec<Row> = vec![];
    compare_engines(&graph, 1, &inputs, Engines { gpu: gpu.as_ref(), cpu: true }, &mut |compared| {
        table.row(compared).iter().for_each(|line| say!("{line}"));
        rows.extend(against.as_ref().and_then(|against| against.row(&graph, compared)));
        if interrupt::pressed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(gpu) = &gpu {
        keep_pipelines(gpu);
    }
    if interrupt::pressed() {
        return Err(Failure::Interrupted);
    }
    say!("");
    let own = table.verdict();
    let theirs = match &against {
        Some(against) => against.verdict(&rows),
        None => Ok(()),
    };
    match (own, theirs) {
        (Err(Failure::Run(own)), Err(Failure::Run(theirs))) => Err(Failure::Run(format!("{own}; {theirs}"))),
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
        _ => Ok(()),
    }
}

/// What the lines add up to.
struct Table {
    has_gpu: bool,
    values: usize,
    /// The largest part of a bound that is none too large, and where.
    worst: Option<(f64, String)>,
    /// What is wrong, in the order of the network.
    wrong: Vec<String>,
    /// Values that no bound holds.
    unheld: usize,
}

impl Table {
    fn head(&self) -> String {
        let engine = |name: &str| format!("{:>13} {:>9}", format!("{name} of bound"), "network");
        let gpu = if self.has_gpu { engine("GPU") + "  " } else { String::new() };
        format!("{gpu}{}  {:<18} {:<18} value", engine("CPU"), "op", "shape")
    }

    /// The lines of a value.
    fn row(&mut self, compared: &Compared<'_>) -> Vec<String> {
        let name = printable(compared.value);
        let mut lines = vec![];
        let mut cells = String::new();
        let mut wrong = vec![];
        for (engine, measured) in [("GPU", &compared.gpu), ("CPU", &compared.cpu)] {
            let Some(measured) = measured else { continue };
            cells += &format!("{:>13} {:>9}  ", part(compared, measured), relative(compared.reference, &measured.along));
            let by = if measured.algorithm.is_empty() { String::new() } else { format!(" ({})", measured.algorithm) };
            match (&measured.fault, measured.unheld) {
                (Some(fault), _) => wrong.push(format!("{name}, {} on the {engine}{by}: {fault}", compared.op)),
                (None, Some(why)) => {
                    self.unheld += 1;
                    lines.push(format!("  {name}, {} on the {engine}{by} is held to no bound: {why}", compared.op));
                }
                (None, None) => {
                    if self.worst.as_ref().is_none_or(|(worst, _)| measured.of_bound > *worst) {
                        self.worst = Some((measured.of_bound, format!("{name} on the {engine}")));
                    }
                }
            }
        }
        self.values += usize::from(compared.op != "view");
        lines.insert(0, format!("{cells}{:<18} {:<18} {name}", compared.op, shape_text(compared.extents)));
        lines.extend(wrong.iter().map(|why| format!("  WRONG: {why}")));
        self.wrong.extend(wrong);
        lines
    }

    fn verdict(&self) -> Outcome {
        let engines = if self.has_gpu { "the GPU and the CPU engine" } else { "the CPU engine" };
        if let Some(first) = self.wrong.first() {
            let more = if self.wrong.len() == 1 { String::new() } else { format!("; {} in all", self.wrong.len()) };
            return Err(Failure::Run(format!("the first op that is wrong: {first}{more}")));
        }
        let worst = self.worst.as_ref().map_or(String::new(), |(part, place)| format!(", the largest taking {} of it: {place}", short(*part)));
        let unheld = if self.unheld == 0 { String::new() } else { format!("; {} are held to no bound", self.unheld) };
        say!("{} values are within their bounds on {engines}{worst}{unheld}", self.values);
        Ok(())
    }
}

/// The cell of a bound.
fn part(compared: &Compared<'_>, measured: &Measured) -> String {
    match (compared.op, measured.unheld, &measured.fault) {
        ("view", ..) => "-".into(),
        (_, _, Some(_)) if measured.of_bound <= 1.0 => "wrong".into(),
        (_, Some(_), _) => "?".into(),
        _ => short(measured.of_bound),
    }
}

/// A number of two digits behind the point, or of one and an exponent.
fn short(number: f64) -> String {
    if number == 0.0 || (0.01..1000.0).contains(&number) { format!("{number:.2}") } else { format!("{number:.1e}") }
}

/// The largest difference over the largest number: NaN beside a NaN and an infinity beside itself differ by nothing.
pub fn relative(reference: &[f64], own: &[f64]) -> String {
    let largest = super::against::largest(reference);
    let off = super::against::farthest(reference, own);
    if off == 0.0 { "0".into() } else { format!("{:.1e}", off / if largest > 0.0 { largest } else { 1.0 }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn measured(of_bound: f64, fault: Option<&str>) -> Measured {
        let fault = fault.map(str::to_string);
        Measured { algorithm: "direct".into(), difference: 0.5, of_bound, fault, unheld: None, along: vec![1.0, 2.5] }
    }

    fn compared<'a>(value: &'a str, gpu: Measured) -> Compared<'a> {
        Compared { node: value, value, op: "conv", extents: &[1, 2], reference: &[1.0, 2.0], gpu: Some(gpu), cpu: Some(measured(0.25, None)) }
    }

    #[test]
    fn the_first_op_that_is_wrong_is_named() {
        let mut table = Table { has_gpu: true, values: 0, worst: None, wrong: vec![], unheld: 0 };
        let good = table.row(&compared("first", measured(0.5, None)));
        assert_eq!(good.len(), 1);
        assert!(good[0].contains("0.50    2.5e-1") && good[0].ends_with("first"), "{}", good[0]);
        assert!(table.verdict().is_ok());
        assert_eq!(table.worst.as_ref().unwrap(), &(0.5, "first on the GPU".to_string()));
        let bad = table.row(&compared("second", measured(7.0, Some("bounded: 1 of 2"))));
        assert_eq!(bad[1], "  WRONG: second, conv on the GPU (direct): bounded: 1 of 2");
        table.row(&compared("third", measured(9.0, Some("guarded: x"))));
        let Err(Failure::Run(why)) = table.verdict() else { panic!("it is wrong") };
        assert_eq!(why, "the first op that is wrong: second, conv on the GPU (direct): bounded: 1 of 2; 2 in all");
    }
}
