//! `wgconv isa`: what drivers make of the kernels of a plan. It compiles and runs nothing, so chips that this machine does not have are planned and compiled
//! for: profiles are synthetic, and Mesa's RADV has a device that only compiles.

mod kernels;
mod print;
mod roofline;

use crate::suites::{Layer, Selection};
use crate::{Failure, Outcome, input, open_gpu, say};
use kernels::Kernel;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use wgconv_isa::chips::{self, CHIPS, Chip};
use wgconv_isa::drivers::{self, Places};
use wgconv_isa::job::Compiled;
use wgconv_isa::numbers::Numbers;
use wgconv_isa::service::{self, Request, Service};
use wgconv_isa::table::{Document, Row, Table};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// A chip by its code name, such as navi31; several times, several. All chips unless given
    #[arg(long, value_name = "NAME", value_parser = chip_name)]
    chip: Vec<String>,
    /// Asks the driver of this machine's adapter, for the plan that it has there, and prints all that it tells; with --chip, for that chip's plan
    #[arg(long, conflicts_with_all = ["compare", "through", "shims"])]
    device: bool,
    /// Every candidate of the tuner, not the planner's choice alone
    #[arg(long)]
    candidates: bool,
    /// Plans with the cooperative matrices of chips whose subgroups vary in size, which the library refuses
    #[arg(long)]
    matrices: bool,
    /// Prints the least time of every layer that follows from the chip's published rates and the kernel's innermost loop: a prediction
    #[arg(long, conflicts_with = "device")]
    roofline: bool,
    /// Writes a report; of one chip, a table for --compare
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fails where a kernel that the planner chooses spills, uses scratch or loses multiply-adds beyond this table; several times, several. The chips
    /// are those of the tables unless --chip is given
    #[arg(long, value_name = "FILE.json")]
    compare: Vec<PathBuf>,
    /// Writes the text and the machine code of every kernel into a folder of the chip's name
    #[arg(long, value_name = "DIR")]
    disassembly: Option<PathBuf>,
    /// A program that starts this one on another Mesa, with its own drivers
    #[arg(long, value_name = "PROGRAM")]
    through: Option<PathBuf>,
    /// The folder of Mesa's drm-shim libraries, for chips of Intel, NVIDIA and Qualcomm
    #[arg(long, value_name = "DIR")]
    shims: Option<PathBuf>,
    /// Takes kernels on standard input and compiles them: the other half of this command
    #[arg(long, hide = true)]
    serve: bool,
}

/// By which this program is started to compile.
const SERVE: [&str; 2] = ["isa", "--serve"];

fn chip_name(text: &str) -> Result<String, String> {
    match chips::chip(text) {
        Some(chip) => Ok(chip.name.to_string()),
        None => Err(format!("it is one of {}", CHIPS.iter().map(|chip| chip.name).collect::<Vec<_>>().join(", "))),
    }
}

pub fn run(args: &Args) -> Outcome {
    if args.serve {
        return service::serve(std::io::stdin().lock(), std::io::stdout().lock()).map_err(Failure::Run);
    }
    crate::arguments::try_outputs([("--json", args.json.as_deref())])?;
    let program = std::env::current_exe().map_err(|e| Failure::Run(format!("this program's own file: {e}")))?;
    let layers = args.selection.layers()?;
    if args.device { device(args, &program, &layers) } else { all_chips(args, &program, &layers) }
}

/// Compiles with the driver of this machine.
fn device(args: &Args, program: &Path, layers: &[Layer]) -> Outcome {
    let (profile, numbers, planned_for) = match args.chip.first().and_then(|name| chips::chip(name)) {
        Some(chip) => (chip.profile(args.matrices), None, chip.title.to_string()),
        None => {
            let gpu = open_gpu(args.selection.adapter.as_deref())?;
            let report = gpu.report();
            (*gpu.profile(), Some((report.vendor_id, report.device_id)), report.to_string())
        }
    };
    let kernels = kernels::of(layers, &profile, args.candidates)?;
    let mut command = Command::new(program);
    command.args(SERVE);
    let mut service = Service::start(command, Request { device: numbers, listings: args.disassembly.is_some() }).map_err(Failure::Run)?;
    let about = service.about().clone();
    say!("plans for {planned_for}");
    say!("compiled by {} ({}, Vulkan {}.{})", about.name, about.driver, about.vulkan[0], about.vulkan[1]);
    let answers: Vec<_> = kernels.iter().map(|kernel| service.compile(&kernel.job)).collect();
    if let Some(folder) = &args.disassembly {
        kernels::write_listings(folder, &kernels, &answers)?;
    }
    if let Some(path) = &args.json {
        let list: Vec<_> = kernels.iter().zip(&answers).map(|(kernel, answer)| print::raw(kernel, answer)).collect();
        crate::write_json(path, &json!({"device": about, "planned_for": planned_for, "kernels": list}))?;
    }
    print::all_statistics(&kernels, &answers);
    Ok(())
}

/// Compiles for chips.
fn all_chips(args: &Args, program: &Path, layers: &[Layer]) -> Outcome {
    let before = args.compare.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let before: Vec<Table> = before.into_iter().flat_map(|document| document.chips).collect();
    let is_asked = |chip: &&Chip| match (args.chip.is_empty(), before.is_empty()) {
        (true, true) => true,
        (true, false) => before.iter().any(|table| table.chip == chip.name),
        (false, _) => args.chip.iter().any(|name| name == chip.name),
    };
    let asked: Vec<&Chip> = CHIPS.iter().filter(is_asked).collect();
    let mut tables = vec![];
    // A chip is one process and one thread: as many at once as the machine has cores.
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    for some in asked.chunks(at_once) {
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|chip| scope.spawn(|| one_chip(args, chip, program, layers))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::Run("a thread panicked".into())))).collect()
        });
        for (chip, table) in some.iter().zip(results) {
            let table = table?;
            print::table(chip, &table);
            if args.roofline {
                roofline::print(chip, &chip.profile(args.matrices), &table, layers);
            }
            tables.push(table);
        }
    }
    let document = Document { version: env!("CARGO_PKG_VERSION").into(), chips: tables };
    if let Some(path) = &args.json {
        crate::write_text(path, &document.text().map_err(Failure::Run)?)?;
    }
    if args.compare.is_empty() { Ok(()) } else { compare(&before, &document.chips) }
}

/// The document of a file.
pub fn read(path: &Path) -> Result<Document, Failure> {
    let text = input::text(path).map_err(Failure::Run)?;
    Document::read(&text).map_err(|why| Failure::Run(format!("{}: {why}", path.display())))
}

/// Compiles the kernels of a chip's plans.
fn one_chip(args: &Args, chip: &Chip, program: &Path, layers: &[Layer]) -> Result<Table, Failure> {
    let not_measured = |why: String| Ok(Table { chip: chip.name.into(), not_measured: Some(why), ..Table::default() });
    let kernels = match kernels::of(layers, &chip.profile(args.matrices), args.candidates) {
        Ok(kernels) => kernels,
        // Such as f16 where the chip has none; other chips have it.
        Err(Failure::Run(why)) => return not_measured(why),
        Err(other) => return Err(other),
    };
    let places = Places { through: args.through.clone(), shims: args.shims.clone() };
    let mut service = match drivers::start(chip, program, &SERVE, &places) {
        Ok(service) => service,
        Err(why) => return not_measured(why),
    };
    let driver = service.about().driver.clone();
    let answers: Vec<_> = kernels.iter().map(|kernel| service.compile(&kernel.job)).collect();
    if let Some(folder) = &args.disassembly {
        kernels::write_listings(&folder.join(chip.name), &kernels, &answers)?;
    }
    let rows = kernels.iter().zip(&answers).map(|(kernel, answer)| row(kernel, answer)).collect();
    Ok(Table { chip: chip.name.into(), driver, not_measured: None, kernels: rows })
}

fn row(kernel: &Kernel, answer: &Result<Compiled, String>) -> Row {
    Row {
        kernel: kernel.job.label.clone(),
        layers: kernel.layers.clone(),
        chosen: kernel.chosen,
        numbers: answer.as_ref().ok().map(Numbers::of),
        not_compiled: answer.as_ref().err().cloned(),
    }
}

/// Holds the tables of now to those of before.
fn compare(before: &[Table], now: &[Table]) -> Outcome {
    let mut is_worse = false;
    for table in now {
        let Some(old) = before.iter().find(|old| old.chip == table.chip) else {
            return Err(Failure::Usage(format!("--chip is {}: no table of --compare has it", table.chip)));
        };
        let verdict = old.compare(table);
        say!("\n{}: {} kernels compared, {} worse, {} better", table.chip, verdict.compared, verdict.worse.len(), verdict.better.len());
        if old.driver != table.driver && table.not_measured.is_none() {
            say!("  the table is of {}, this is {}: shares of multiply-adds are not compared", old.driver, table.driver);
        }
        verdict.worse.iter().for_each(|line| say!("  worse   {}", crate::one_line(line)));
        verdict.better.iter().for_each(|line| say!("  better  {}", crate::one_line(line)));
        is_worse |= !verdict.worse.is_empty();
    }
    if now.is_empty() {
        return Err(Failure::Run("--compare: no table is of a known chip".into()));
    }
    if is_worse { Err(Failure::Run("kernels are worse than the table has them; --json writes another one".into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn layers(more: &[&str]) -> Vec<Layer> {
        let args = Line::parse_from([&["isa"], more].concat()).args;
        args.selection.layers().ok().unwrap()
    }

    fn planned(chip: &Chip, layers: &[Layer], matrices: bool) -> Vec<Kernel> {
        match kernels::of(layers, &chip.profile(matrices), false) {
            Ok(kernels) => kernels,
            Err(Failure::Run(why)) => panic!("{}: {why}", chip.name),
            Err(_) => panic!("{}", chip.name),
        }
    }

    #[test]
    fn every_profile_plans_every_layer_and_its_kernels_become_spirv() {
        let (plain, reduced) = (layers(&[]), layers(&["--accuracy", "reduced"]));
        assert_eq!(plain.len(), 20);
        // Large enough for cooperative matrices.
        let large = ["--layer", "matmul a=1024x1024 b=1024x1024", "--layer", "conv x=32x64x56x56 w=128x64x3x3 strides=2 pads=1"];
        let (split, rounded) = (layers(&large), layers(&[&large[..], &["--accuracy", "reduced"]].concat()));
        let mut translated = std::collections::HashSet::new();
        for chip in CHIPS {
            for list in [&plain, &reduced, &split, &rounded] {
                let kernels = planned(chip, list, true);
                for layer in list {
                    assert!(kernels.iter().any(|kernel| kernel.layers.contains(&layer.name)), "{}: no kernel for {}", chip.name, layer.name);
                }
                for kernel in kernels.iter().filter(|kernel| translated.insert(kernel.job.label.clone())) {
                    let words = wgconv_isa::spirv::translate(&kernel.job.wgsl, &kernel.job.overrides, wgconv_isa::spirv::newest((1, 3)));
                    assert!(words.is_ok(), "{}: {words:?}", kernel.job.label);
                }
            }
        }
        assert!(translated.len() > 30, "{translated:?}");
        for operands in ["PARTS=1,LOADS_VECTORS", "PARTS=2,LOADS_VECTORS"] {
            assert!(translated.iter().any(|label| label.contains(operands)), "no kernel on cooperative matrices with {operands}");
        }
    }

    /// Cooperative matrices are planned for where the library would take them, and elsewhere only when asked.
    #[test]
    fn cooperative_matrices_are_planned_where_there_are_some() {
        let layers = layers(&["--accuracy", "reduced", "--layer", "matmul a=1024x1024 b=1024x1024"]);
        let takes = |name: &str, matrices: bool| {
            let chip = chips::chip(name).unwrap();
            planned(chip, &layers, matrices).iter().any(|kernel| kernel.job.matrices)
        };
        let of = |name: &str| (takes(name, false), takes(name, true));
        assert_eq!(
            [of("ga102"), of("gh100"), of("navi31"), of("navi21"), of("bmg"), of("adreno750")],
            [(true, true), (true, true), (false, true), (false, false), (false, false), (false, false)]
        );
    }

    #[test]
    fn names_of_chips_are_distinct() {
        let mut names: Vec<_> = CHIPS.iter().map(|chip| chip.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHIPS.len());
        assert!(chip_name("navi31").is_ok() && chip_name("navi13").unwrap_err().contains("navi31"));
    }
}
