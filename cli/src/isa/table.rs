//! Tables of what drivers tell.

use super::Kernel;
use crate::{one_line, say};
use serde_json::json;
use wgconv_isa::job::Compiled;

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
pub fn print_all(kernels: &[Kernel], answers: &[Result<Compiled, String>]) {
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
