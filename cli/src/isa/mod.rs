//! `wgconv isa`: what drivers make of the kernels of a plan. It compiles and runs nothing, so chips that this machine does not have are planned and compiled
//! for: profiles are synthetic, and Mesa's RADV has a device that only compiles.

mod kernels;
mod table;

use crate::suites::Selection;
use crate::{Failure, Outcome, open_gpu, say};
use kernels::Kernel;
use std::path::PathBuf;
use std::process::Command;
use wgconv::gpu::DeviceProfile;
use wgconv_isa::chips::{self, CHIPS};
use wgconv_isa::service::{Request, Service};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// A chip by its code name, such as navi31; several times, several. All chips unless given
    #[arg(long, value_name = "NAME", value_parser = chip_name)]
    chip: Vec<String>,
    /// Asks the driver of this machine's adapter, for the plan that it has there; with --chip, for that chip's plan
    #[arg(long)]
    device: bool,
    /// Every candidate of the tuner, not the planner's choice alone
    #[arg(long)]
    candidates: bool,
    /// Writes a report
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the text and the machine code of every kernel into a folder of the chip's name
    #[arg(long, value_name = "DIR")]
    disassembly: Option<PathBuf>,
    /// Takes kernels on standard input and compiles them: the other half of this command
    #[arg(long, hide = true)]
    serve: bool,
}

fn chip_name(text: &str) -> Result<String, String> {
    match chips::chip(text) {
        Some(chip) => Ok(chip.name.to_string()),
        None => Err(format!("it is one of {}", CHIPS.iter().map(|chip| chip.name).collect::<Vec<_>>().join(", "))),
    }
}

pub fn run(args: &Args) -> Outcome {
    if args.serve {
        return wgconv_isa::service::serve(std::io::stdin().lock(), std::io::stdout().lock()).map_err(Failure::Run);
    }
    device(args)
}

/// A process of this program that compiles.
fn compiling() -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|e| Failure::Run(format!("this program's own file: {e}")))?;
    let mut command = Command::new(program);
    command.args(["isa", "--serve"]);
    Ok(command)
}

/// Compiles with the driver of this machine.
fn device(args: &Args) -> Outcome {
    let (profile, numbers, planned_for): (DeviceProfile, _, _) = match args.chip.first().and_then(|name| chips::chip(name)) {
        Some(chip) => (chip.profile, None, chip.title.to_string()),
        None => {
            let gpu = open_gpu(args.selection.adapter.as_deref())?;
            let report = gpu.report();
            (*gpu.profile(), Some((report.vendor_id, report.device_id)), report.to_string())
        }
    };
    let kernels = kernels::of(&args.selection.layers()?, &profile, args.candidates)?;
    let request = Request { device: numbers, listings: args.disassembly.is_some() };
    let mut service = Service::start(compiling()?, request).map_err(Failure::Run)?;
    let about = service.about().clone();
    say!("plans for {planned_for}");
    say!("compiled by {} ({}, Vulkan {}.{})", about.name, about.driver, about.vulkan[0], about.vulkan[1]);
    let answers: Vec<_> = kernels.iter().map(|kernel| service.compile(&kernel.job)).collect();
    if let Some(folder) = &args.disassembly {
        kernels::write_listings(folder, &kernels, &answers)?;
    }
    if let Some(path) = &args.json {
        let list: Vec<_> = kernels.iter().zip(&answers).map(|(kernel, answer)| table::raw(kernel, answer)).collect();
        crate::write_json(path, &serde_json::json!({"device": about, "planned_for": planned_for, "kernels": list}))?;
    }
    table::print_all(&kernels, &answers);
    Ok(())
}
