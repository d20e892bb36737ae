//! The wgconv program: adapters, proofs, benchmarks, image filters and the arithmetic of layers.
//!
//! Each command is a file of its own and uses the library's public API alone. Exit status: 0 done, 1 failed, 2 bad arguments.

mod bench;
mod filter;
mod info;
mod params;
mod picture;
mod suites;
mod validate;
mod vectors;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

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
    /// Proves the kernels on this machine: exact, bounded, guarded, repeatable
    Validate(validate::Args),
    /// Times standard layers on the GPU and on the CPU engine and prints the table
    Bench(bench::Args),
    /// Filters a photograph with a convolution
    Filter(filter::Args),
    /// Counts outputs, parameters, multiply-adds and bytes of a convolution beside a dense layer of the same sizes
    Params(params::Args),
}

/// Why a command ends without success.
pub enum Failure {
    /// The arguments are wrong: exit status 2.
    Usage(String),
    /// The work failed: exit status 1.
    Run(String),
    /// The work failed and has already said why.
    Reported,
}

impl From<wgconv::Error> for Failure {
    fn from(error: wgconv::Error) -> Self {
        Failure::Run(error.to_string())
    }
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

/// Prints a line; a reader that has gone away ends the program quietly, as `head` expects.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        if writeln!(std::io::stdout(), $($part)*).is_err() {
            std::process::exit(0);
        }
    }};
}

/// Opens the adapter that `--adapter` names, or the best one.
pub fn open_gpu(adapter: Option<&str>) -> Result<wgconv::Gpu, wgconv::Error> {
    wgconv::Gpu::with_descriptor(&wgconv::GpuDescriptor { adapter: adapter.map(str::to_string), ..Default::default() })
}

/// Writes `value` as indented JSON to `path`.
pub fn write_json(path: &std::path::Path, value: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Run(format!("{}: {e}", path.display())))?;
    std::fs::write(path, text + "\n").map_err(|e| Failure::Run(format!("{}: {e}", path.display())))
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let outcome = match Cli::parse().command {
        Command::Info(args) => info::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Filter(args) => filter::run(&args),
        Command::Params(args) => params::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("wgconv: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Run(message)) => {
            eprintln!("wgconv: {message}");
            ExitCode::FAILURE
        }
        Err(Failure::Reported) => ExitCode::FAILURE,
    }
}
