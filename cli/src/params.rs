//! `wgconv params`: what parameter sharing and sparse connections save, from the same `ConvProblem` that the kernels run on.

use crate::suites::{self, Kind, Suite};
use crate::{Failure, Outcome, say, write_text};
use clap::ValueEnum;
use std::path::PathBuf;
use wgconv::Padding;
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::graph::Weights;
use wgconv::session::Arena;

#[derive(clap::Args)]
pub struct Args {
    /// Input as HEIGHTxWIDTHxCHANNELS, such as 32x32x3; lenet5 for the texts' table of that network; or a network of bench --suite, such as resnet18,
    /// for its table: names, ops, output shapes, parameters, multiply-adds, and what it takes on a device
    input: String,
    /// Filter as HEIGHTxWIDTH [default: 5x5]
    #[arg(long, value_name = "HxW")]
    filter: Option<String>,
    /// Number of filters, which is the number of output channels [default: 6]
    #[arg(long)]
    filters: Option<usize>,
    /// Step between windows [default: 1]
    #[arg(long)]
    stride: Option<usize>,
    /// valid, same, or a number of elements on every side [default: valid]
    #[arg(long)]
    padding: Option<String>,
    /// Of a network: its ops after all passes, and what these did
    #[arg(long)]
    passes: bool,
    /// Of a network: how many items run at once [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Of a network: a safetensors or npz file, whose names and shapes are held against its parameters
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Of a network: writes it in the language of Graphviz
    #[arg(long, value_name = "FILE.dot")]
    dot: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let of_layer = args.filter.is_some() || args.filters.is_some() || args.stride.is_some() || args.padding.is_some();
    let of_network = args.passes || args.batch.is_some() || args.weights.is_some() || args.dot.is_some();
    let network = Suite::from_str(&args.input, false).ok().filter(|suite| suite.networks().is_ok_and(|networks| networks.len() == 1));
    match network {
        Some(_) if of_layer => {
            let why = "is a whole network: it takes no --filter, --filters, --stride or --padding";
            return Err(Failure::Usage(format!("{} {why}", args.input)));
        }
        Some(Suite::Lenet5) if !of_network => return lenet5(),
        Some(suite) => return summary(args, suite),
        None if of_network => {
            return Err(Failure::Usage(format!(
                "{} is no network: --passes, --batch, --weights and --dot are for those of bench --suite",
                args.input
            )));
        }
        None => {}
    }
    let filters = args.filters.unwrap_or(6);
    let [height, width, channels] =
        extents(&args.input, "the input", "HEIGHTxWIDTHxCHANNELS, such as 32x32x3, or a network of bench --suite, such as lenet5")?;
    let [rows, columns] = extents(args.filter.as_deref().unwrap_or("5x5"), "--filter", "HEIGHTxWIDTH, such as 5x5")?;
    let padding = match args.padding.as_deref().unwrap_or("valid") {
        "valid" => Padding::Valid,
        "same" => Padding::Same,
        number => Padding::uniform(number.parse().map_err(|_| Failure::Usage(format!("--padding is {number}: it is valid, same, or a number")))?),
    };
    let descriptor = Conv2dDescriptor { stride: [args.stride.unwrap_or(1); 2], padding, ..Default::default() };
    let bias = [filters];
    let usage = |error: wgconv::Error| Failure::Usage(error.to_string());
    let problem =
        ConvProblem::forward(&ConvInputs::new(&[1, channels, height, width], &[filters, channels, rows, columns], Some(&bias)), &descriptor)
            .map_err(usage)?;
    // A dense layer joins every input with every output: a convolution whose one window is the whole input.
    let inputs = height * width * channels;
    let outputs = problem.output_extents().iter().product::<usize>();
    let dense_bias = [outputs];
    let dense = ConvProblem::forward(&ConvInputs::new(&[1, inputs, 1, 1], &[outputs, inputs, 1, 1], Some(&dense_bias)), &Conv2dDescriptor::default())
        .map_err(|e| Failure::Usage(format!("the dense layer of the same sizes is past counting: {e}")))?;

    let out = problem.output_extents();
    say!(
        "input {height} x {width} x {channels}, {} filters of {rows} x {columns} x {channels}: output {} x {} x {}",
        filters,
        out[2],
        out[3],
        out[1]
    );
    say!("");
    say!("{:<16} {:>18} {:>22}", "", "convolution", "dense layer");
    let row = |name: &str, a: u64, b: u64| say!("{name:<16} {:>18} {:>22}", grouped(a), grouped(b));
    row("inputs", inputs as u64, inputs as u64);
    row("outputs", outputs as u64, outputs as u64);
    row("weights", problem.filter_count(), dense.filter_count());
    row("biases", filters as u64, outputs as u64);
    row("parameters", problem.parameter_count(), dense.parameter_count());
    row("multiply-adds", problem.multiply_adds(), dense.multiply_adds());
    row("bytes (f32)", problem.bytes(), dense.bytes());
    say!("");
    say!("convolution: ({rows} * {columns} * {channels} + 1) * {filters} = {} parameters", grouped(problem.parameter_count()));
    say!(
        "dense layer: {} x {} = {} weights{}",
        grouped(inputs as u64),
        grouped(outputs as u64),
        grouped(dense.filter_count()),
        match (dense.filter_count() + 500_000) / 1_000_000 {
            0 => String::new(),
            millions => format!(", about {} million", grouped(millions)),
        }
    );
    if channels > 1 {
        let one = (rows * columns + 1) * filters;
        let quoted = if one == 156 { "is often quoted" } else { "would be too few" };
        say!("({} {quoted}: ({rows} * {columns} + 1) * {filters} counts one input channel; a filter has all {channels})", grouped(one as u64));
    }
    Ok(())
}

/// A layer of LeNet-5 as the teaching texts draw it.
enum Layer {
    Convolution { filter: usize, filters: usize },
    Pool,
    Dense { outputs: usize },
}

fn lenet5() -> Outcome {
    say!("LeNet-5 on a 32 x 32 x 3 image");
    say!("");
    say!("{:<8} {:<16} {:>12} {:>12} {:>14}", "layer", "activation", "size", "parameters", "multiply-adds");
    let (mut height, mut channels) = (32, 3);
    let mut totals = [0, 0];
    let mut print = |name: &str, shape: String, size: usize, parameters: u64, products: u64| {
        totals = [totals[0] + parameters, totals[1] + products];
        say!("{name:<8} {shape:<16} {:>12} {:>12} {:>14}", grouped(size as u64), grouped(parameters), grouped(products));
    };
    print("input", "32 x 32 x 3".into(), 3072, 0, 0);
    let layers = [
        ("conv1", Layer::Convolution { filter: 5, filters: 6 }),
        ("pool1", Layer::Pool),
        ("conv2", Layer::Convolution { filter: 5, filters: 16 }),
        ("pool2", Layer::Pool),
        ("fc3", Layer::Dense { outputs: 120 }),
        ("fc4", Layer::Dense { outputs: 84 }),
        ("softmax", Layer::Dense { outputs: 10 }),
    ];
    for (name, layer) in layers {
        match layer {
            Layer::Pool => {
                height /= 2;
                print(name, format!("{height} x {height} x {channels}"), height * height * channels, 0, 0);
            }
            Layer::Convolution { filter, filters } => {
                let bias = [filters];
                let inputs = ConvInputs::new(&[1, channels, height, height], &[filters, channels, filter, filter], Some(&bias)).resolve()?;
                (height, channels) = (inputs.output_extents()[2], filters);
                print(
                    name,
                    format!("{height} x {height} x {channels}"),
                    height * height * channels,
                    inputs.parameter_count(),
                    inputs.multiply_adds(),
                );
            }
            Layer::Dense { outputs } => {
                let inputs = height * height * channels;
                let bias = [outputs];
                let dense = ConvInputs::new(&[1, inputs, 1, 1], &[outputs, inputs, 1, 1], Some(&bias)).resolve()?;
                (height, channels) = (1, outputs);
                print(name, format!("{outputs} x 1"), outputs, dense.parameter_count(), dense.multiply_adds());
            }
        }
    }
    say!("{:<8} {:<16} {:>12} {:>12} {:>14}", "total", "", "", grouped(totals[0]), grouped(totals[1]));
    Ok(())
}

/// Resolves inputs with every option at its default.
trait Resolve {
    fn resolve(&self) -> Result<ConvProblem, wgconv::Error>;
}

impl Resolve for ConvInputs<'_> {
    fn resolve(&self) -> Result<ConvProblem, wgconv::Error> {
        ConvProblem::forward::<2>(self, &Conv2dDescriptor::default())
    }
}

/// The table of a network, what passes do to it, and the memory between its ops.
fn summary(args: &Args, suite: Suite) -> Outcome {
    let mut graph = suites::network(suite, Kind::PLAIN)?;
    if let Some(path) = &args.weights {
        let weights = Weights::read(path)?.renamed(|name| (!name.ends_with("num_batches_tracked")).then(|| name.to_string()));
        graph.set_all(&weights)?;
        say!("{} has all parameters, and no others.", path.display());
    }
    let optimized = graph.optimized_with_changes()?;
    let shown = if args.passes { &optimized.0 } else { &graph };
    say!("{}", shown.to_string().trim_end());
    if args.passes {
        say!("");
        optimized.1.iter().for_each(|change| say!("{change}"));
    }
    let batch = args.batch.map_or(1, usize::from);
    let arena = Arena::of(&optimized.0, batch)?;
    let megabytes = |bytes: u64| bytes as f64 * 1e-6;
    say!("");
    say!(
        "After all passes, {} nodes; N = {batch}: {:.3} MB between ops in {} buffers, {:.2} times what is live at once; {} ops read and write one buffer.",
        optimized.0.nodes().len(),
        megabytes(arena.total()),
        arena.buffers().len(),
        arena.total() as f64 / arena.lower_bound() as f64,
        arena.ops_in_one_buffer()
    );
    args.dot.as_ref().map_or(Ok(()), |path| write_text(path, &shown.to_dot()))
}

fn extents<const N: usize>(text: &str, argument: &str, form: &str) -> Result<[usize; N], Failure> {
    let numbers: Option<Vec<usize>> = text.split('x').map(|part| part.parse().ok()).collect();
    numbers.and_then(|n| n.try_into().ok()).ok_or_else(|| Failure::Usage(format!("{argument} is {text}: it must be {form}")))
}

/// Digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_threes() {
        assert_eq!([0, 156, 4_704, 14_450_688].map(grouped), ["0", "156", "4,704", "14,450,688"]);
    }

    #[test]
    fn sizes_are_read_whole_or_not_at_all() {
        assert_eq!(extents::<3>("32x24x3", "the input", "HxWxC").ok().unwrap(), [32, 24, 3]);
        for bad in ["32x24", "32x24x3x1", "32xx3", "-1x2x3", "axbxc", ""] {
            assert!(matches!(extents::<3>(bad, "the input", "HxWxC"), Err(Failure::Usage(why)) if why.contains(bad)), "{bad}");
        }
    }
}
