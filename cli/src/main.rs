//! The wgconv program: adapters, checks, benchmarks, image filters and the arithmetic of layers.
//!
//! Each command is a file of its own and uses the library's public API alone. Exit status: 0 done, 1 failed, 2 bad arguments, 130 ended by Ctrl-C;
//! every failure is one line on standard error. A reader of standard output that goes away early changes no exit status.

mod arguments;
mod bands;
mod bench;
mod chain;
mod convolve;
mod explain;
mod filter;
#[cfg(test)]
mod fuzz;
mod info;
mod input;
mod interrupt;
mod isa;
mod json;
mod kernels;
mod machine;
mod model;
mod output;
mod params;
mod picture;
mod sound;
mod suites;
mod text;
mod train;
mod tune;
mod validate;
mod vectors;
mod vocabulary;
mod whole;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
pub use text::one_line;

/// A convolution engine on any GPU that Vulkan, Metal or DX12 reaches.
#[derive(Parser)]
#[command(name = "wgconv", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the adapters of this machine: backend, driver, limits, features, matrix shapes
    Info(info::Args),
    /// Verifies the kernels on this machine: exact, bounded, guarded, repeatable
    Validate(validate::Args),
    /// Times standard layers on the GPU and on the CPU engine and prints the table
    Bench(bench::Args),
    /// Verifies and times every candidate plan of a suite's layers and keeps the verdicts; <-- marks the planner's choice
    Tune(tune::Args),
    /// Tells how layers would be computed: the plan, its kernels, and why no other algorithm is taken
    Explain(explain::Args),
    /// Compiles kernels for real GPUs, without one: registers, spills, memory and the machine code of the innermost loops
    Isa(isa::Args),
    /// Trains a small network on digits, on a GPU or on the CPU engine
    Train(train::Args),
    /// Says what a model that train saved takes pictures for
    Classify(train::classify::Args),
    /// Writes a model that train saved as an ONNX file
    Export(model::export::Args),
    /// Runs a model file (ONNX) on pictures and arrays, on a GPU or on the CPU engine
    Run(model::run::Args),
    /// Prints what a model file takes and gives, and the graph that it becomes
    Summary(model::summary::Args),
    /// Compares a model file's ops one by one on the GPU and on the CPU engine with the reference, and names the first that is wrong
    Compare(model::compare::Args),
    /// Filters a photograph with a convolution
    Filter(filter::Args),
    /// Convolves a sound with an impulse response, block by block
    Convolve(convolve::Args),
    /// Counts outputs, parameters, multiply-adds and bytes of a convolution beside a dense layer of the same sizes
    Params(params::Args),
    /// Lists the ops that bench --shapes takes, with inputs, attributes, defaults and an example of each
    Ops(vocabulary::Args),
}

/// Why a command ends without success.
pub enum Failure {
    /// The arguments are wrong: exit status 2.
    Usage(String),
    /// The work failed: exit status 1.
    Run(String),
    /// The same for several reasons: what failed, and each of them on a line of its own.
    Listed(String, Vec<String>),
    /// The work failed and has already said why.
    Reported,
    /// Ctrl-C ended it; what was done is written. Exit status [`interrupt::STATUS`].
    Interrupted,
}

impl From<wgconv::Error> for Failure {
    fn from(error: wgconv::Error) -> Self {
        Failure::Run(error.to_string())
    }
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

/// Prints a line. A reader that has gone away is no failure, and the work goes on for its exit status and its files; output that
/// cannot be written for another reason, such as a full disk, ends the program with status 1.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        if let Err(error) = writeln!(std::io::stdout(), $($part)*)
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            $crate::complain(&format!("standard output: {error}"));
            std::process::exit(1);
        }
    }};
}

/// Says why on standard error: `wgconv: ` and the message, on one line and without control characters, whatever the message holds. Never panics.
pub fn complain(message: &str) {
    complain_of(message, &[]);
}

/// The same with a line for each reason below it.
fn complain_of(message: &str, reasons: &[String]) {
    use std::io::Write;
    let lines: String = reasons.iter().map(|reason| format!("  {}\n", one_line(reason))).collect();
    let _ = write!(std::io::stderr(), "wgconv: {}\n{lines}", one_line(message));
}

/// As [`open_gpu`]; where the machine has no adapter, what does without one.
pub fn open_gpu_or(adapter: Option<&str>, without: &str) -> Result<wgconv::Gpu, Failure> {
    open_gpu(adapter).map_err(|error| match error {
        wgconv::Error::NoAdapter { .. } => Failure::Run(format!("{error} {without}")),
        error => error.into(),
    })
}

/// Opens the adapter that `--adapter` names, or the best one.
pub fn open_gpu(adapter: Option<&str>) -> Result<wgconv::Gpu, wgconv::Error> {
    wgconv::Gpu::with_descriptor(&wgconv::GpuDescriptor { adapter: adapter.map(str::to_string), ..Default::default() })
}

/// Keeps what was compiled for later runs, in the file of [`wgconv::Gpu::set_pipeline_cache`]. That it cannot be kept costs them their time, nothing else.
pub fn keep_pipelines(gpu: &wgconv::Gpu) {
    if let Err(error) = gpu.save_pipeline_cache() {
        log::warn!("{error}; later runs compile again");
    }
}

/// Whether the user named an adapter, by `--adapter` or the environment: then nothing else may stand in for it.
pub fn adapter_named(adapter: Option<&str>) -> bool {
    adapter.is_some() || std::env::var(wgconv::gpu::ADAPTER_VARIABLE).is_ok_and(|name| !name.is_empty())
}

/// Writes `value` as indented JSON to `path`, whole or not at all.
pub fn write_json(path: &std::path::Path, value: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Run(format!("{}: {e}", path.display())))?;
    write_text(path, &(text + "\n"))
}

/// Writes `text` to `path`, whole or not at all.
pub fn write_text(path: &std::path::Path, text: &str) -> Outcome {
    output::write(path, text.as_bytes())
}

/// Parses the arguments. What is wrong with them becomes one line and status 2; help and version go to standard output.
fn parse() -> Result<Cli, ExitCode> {
    use clap::error::ErrorKind;
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let command = <Cli as clap::CommandFactory>::command();
            let names: Vec<&str> = command.get_subcommands().filter(|own| !own.is_hide_set()).map(clap::Command::get_name).collect();
            complain(&format!("a command is missing, one of {}; wgconv --help explains them", names.join(", ")));
            ExitCode::from(2)
        }
        _ => {
            // The usage summary below the first paragraph is what --help is for.
            let text = error.to_string();
            // Nor is the advice to write a negative value behind `--` of any use: no value here is a negative number.
            let text: String = text.split_inclusive('\n').filter(|line| !line.starts_with("  tip: to pass '-")).collect();
            let first = text.split("\n\nUsage:").next().unwrap_or(&text).trim_end_matches("For more information, try '--help'.\n");
            complain(&first.strip_prefix("error: ").unwrap_or(first).trim_end().replace("\n\n", "; "));
            ExitCode::from(2)
        }
    })
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off,wgconv=warn")).init();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    let outcome = match cli.command {
        Command::Info(args) => info::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Isa(args) => isa::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Classify(args) => train::classify::run(&args),
        Command::Export(args) => model::export::run(&args),
        Command::Run(args) => model::run::run(&args),
        Command::Summary(args) => model::summary::run(&args),
        Command::Compare(args) => model::compare::run(&args),
        Command::Filter(args) => filter::run(&args),
        Command::Convolve(args) => convolve::run(&args),
        Command::Params(args) => params::run(&args),
        Command::Ops(args) => vocabulary::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
        Err(Failure::Run(message)) => {
            complain(&message);
            ExitCode::FAILURE
        }
        Err(Failure::Listed(message, reasons)) => {
            complain_of(&message, &reasons);
            ExitCode::FAILURE
        }
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Interrupted) => ExitCode::from(interrupt::STATUS),
    }
}
