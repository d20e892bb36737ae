//! `wgconv explain`: how a layer would be computed, by which kernels, and why by no other algorithm. Nothing runs.

use crate::suites::Selection;
use crate::{Outcome, one_line, open_gpu_or, say};
use std::collections::HashSet;
use wgconv::gpu::DeviceProfile;
use wgconv::op::{Op, Plan, Planned, Problem, Step};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Plans for a device with WebGPU's default limits and no features, whatever this machine has
    #[arg(long, conflicts_with = "adapter")]
    minimal: bool,
    /// Explains this algorithm, or plan by its label, in place of the planner's choice
    #[arg(long, value_name = "LABEL")]
    algorithm: Option<String>,
    /// Prints the text of every kernel as the driver gets it
    #[arg(long)]
    wgsl: bool,
}

pub fn run(args: &Args) -> Outcome {
    let layers = args.selection.layers()?;
    let profile = if args.minimal {
        say!("a device with WebGPU's default limits and no features");
        DeviceProfile::MINIMAL
    } else {
        let gpu = open_gpu_or(args.selection.adapter.as_deref(), "--minimal plans for WebGPU's default limits without a device.")?;
        say!("{}", gpu.report());
        *gpu.profile()
    };
    let mut printed = HashSet::new();
    for layer in &layers {
        let op = layer.op();
        let plan = op.plan(&profile, args.algorithm.as_deref())?;
        say!("\n{}  {} {op}", one_line(&layer.name), op.name());
        facts(op, &plan).iter().for_each(|line| say!("  {line}"));
        let others = if args.algorithm.is_some() { vec![] } else { op.not_chosen(&profile) };
        if !others.is_empty() {
            say!("  not taken:");
            let width = others.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            others.iter().for_each(|(name, why)| say!("    {name:width$}  {}", one_line(why)));
        }
        if args.wgsl {
            let kernels = plan.prepare.iter().chain(&plan.steps).map(|step| &step.kernel);
            for kernel in kernels.filter(|kernel| printed.insert(kernel.label())) {
                say!("\n// ======== {}", kernel.label());
                let overrides: Vec<String> = kernel.overrides.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                if !overrides.is_empty() {
                    say!("// overrides: {}", overrides.join(", "));
                }
                say!("{}", kernel.wgsl()?.trim_end());
            }
        }
    }
    Ok(())
}

/// What is planned: the label, the work and the calls.
fn facts(op: &Op, plan: &Plan) -> Vec<String> {
    let mut lines = vec![
        format!("plan      {}", plan.label),
        format!("work      {:.3} MFLOP, {:.3} MB in and out at least", op.flops() / 1e6, op.bytes() as f64 / 1e6),
        format!("memory    {:.3} MB beside inputs and outputs", plan.own_bytes() as f64 / 1e6),
    ];
    if let Op::Conv(conv) = op
        && conv.phases() != [1; 3]
    {
        let phases: Vec<String> = conv.phases().iter().skip(3 - conv.rank()).map(u64::to_string).collect();
        lines.push(format!(
            "phases    {} of the stride: an output takes at most {} of {} taps",
            phases.join(" x "),
            conv.taps_of_output(),
            conv.taps()
        ));
    }
    let calls = |steps: &[Step], when: &str| -> Vec<String> {
        let mut calls: Vec<(String, usize)> = Vec::new();
        for step in steps {
            let [x, y, z] = step.workgroups.map(u64::from);
            let call = format!("{}  {} workgroups", step.kernel.label(), x * y * z);
            match calls.last_mut() {
                Some((last, count)) if *last == call => *count += 1,
                _ => calls.push((call, 1)),
            }
        }
        let times = |count: usize| if count == 1 { String::new() } else { format!(", {count} times") };
        calls.into_iter().map(|(call, count)| format!("{when}{call}{}", times(count))).collect()
    };
    lines.extend(calls(&plan.prepare, "once      "));
    lines.extend(calls(&plan.steps, "dispatch  "));
    lines
}
