//! Tables of what drivers tell.

use super::Kernel;
use crate::{one_line, say};
use serde_json::json;
use wgconv_isa::chips::Chip;
use wgconv_isa::job::Compiled;
use wgconv_isa::table::Table;

/// A kernel with everything that the driver told of it.
pub fn raw(kernel: &Kernel, answer: &Result<Compiled, String>) -> serde_json::Value {
    let mut value = json!({"kernel": kernel.job.label, "layers": kernel.layers, "chosen": kernel.chosen});
    match answer {
        Ok(compiled) => {
            let numbers: serde_json::Map<_, _> = compiled.statistics.iter().map(|s| (s.name.clone(), json!(s.value))).collect();
            value["subgroup"] = json!(compiled.subgroup);
            value["seconds"] = json!(compiled.seconds);
            value["statistics"] = numbers.into();
        }
        Err(why) => value["not_compiled"] = json!(why),
    }
    value
}

/// Every number of the driver by its own name, a row for each kernel.
pub fn all_statistics(kernels: &[Kernel], answers: &[Result<Compiled, String>]) {
    let mut names: Vec<&str> = vec![];
    // Hashes tell one compilation from another and nothing of the kernel; they are in the report.
    let told = answers.iter().flatten().flat_map(|compiled| &compiled.statistics);
    for statistic in told.filter(|statistic| !statistic.name.to_lowercase().contains("hash")) {
        if !names.contains(&statistic.name.as_str()) {
            names.push(&statistic.name);
        }
    }
    say!("\n{}  subgroup  kernel: layers", names.join("  "));
    for (kernel, answer) in kernels.iter().zip(answers) {
        let of = format!("{}: {}", kernel.job.label, kernel.layers.join(", "));
        match answer {
            Ok(compiled) => {
                let number = |name: &&str| {
                    let value = compiled.statistics.iter().find(|s| s.name == **name).map_or("-".into(), |s| s.value.to_string());
                    format!("{value:>width$}", width = name.chars().count())
                };
                say!("{}  {:>8}  {}", names.iter().map(number).collect::<Vec<_>>().join("  "), compiled.subgroup, one_line(&of));
            }
            Err(why) => say!("not compiled: {}  {}", one_line(why), one_line(&of)),
        }
    }
}

/// Counts by bytes, such as `8 of 16 B, 2 of 4 B`.
fn widths(counts: &std::collections::BTreeMap<u64, u64>) -> String {
    let parts: Vec<String> = counts.iter().rev().map(|(bytes, count)| format!("{count} of {bytes} B")).collect();
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}

/// The kernels of a chip, a row for each: what it takes of the chip, and what stands in its innermost loop.
pub fn table(chip: &Chip, table: &Table) {
    say!("\n{}  {}{}{}", chip.name, chip.title, if table.driver.is_empty() { "" } else { ", compiled by " }, table.driver);
    if let Some(why) = &table.not_measured {
        say!("  not measured: {}", one_line(why));
        return;
    }
    say!(
        "  {:>6} {:>7} {:>6} {:>5} {:>5} {:>6} {:>7} | {:>5} {:>6} {:>6} {:>9} {:>8} {:<20} {:<20}  kernel: layers",
        "spills",
        "scratch",
        "regs",
        "local",
        "waves",
        "instrs",
        "bytes",
        "FMA",
        "matrix",
        "share",
        "loads/FMA",
        "barriers",
        "buffer loads",
        "local loads"
    );
    for row in &table.kernels {
        let mark = if row.chosen { "" } else { "(candidate) " };
        let of = one_line(&format!("{mark}{}: {}", row.kernel, row.layers.join(", ")));
        let Some(numbers) = &row.numbers else {
            say!("  not compiled: {}  {of}", one_line(row.not_compiled.as_deref().unwrap_or_default()));
            continue;
        };
        let number = |value: Option<u64>| value.map_or("-".to_string(), |value| value.to_string());
        let innermost = match &numbers.innermost {
            Some(own) => {
                let share = numbers.share().map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
                let (loads, local) = (widths(&own.loads), widths(&own.local_loads));
                let each = own.loads_each().map_or("-".into(), |each| format!("{each:.3}"));
                format!("{:>5} {:>6} {share:>6} {each:>9} {:>8} {loads:<20} {local:<20}", own.fma, own.matrix, own.barriers)
            }
            None => format!("{:>5} {:>6} {:>6} {:>9} {:>8} {:<20} {:<20}", "-", "-", "-", "-", "-", "-", "-"),
        };
        say!(
            "  {:>6} {:>7} {:>6} {:>5} {:>5} {:>6} {:>7} | {innermost}  {of}",
            number(numbers.spills),
            number(numbers.scratch),
            number(numbers.registers),
            number(numbers.local),
            number(numbers.waves),
            number(numbers.instructions),
            number(numbers.code),
        );
    }
    let spilled = table.kernels.iter().filter(|row| row.numbers.as_ref().is_some_and(|n| n.spills > Some(0) || n.scratch > Some(0))).count();
    say!("  {} kernels, {spilled} with spills or scratch", table.kernels.len());
}
