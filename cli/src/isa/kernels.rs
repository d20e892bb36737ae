//! The distinct kernels of plans, and their texts as files.

use crate::suites::Layer;
use crate::{Failure, Outcome, arguments, output};
use std::collections::HashMap;
use std::path::Path;
use wgconv::gpu::DeviceProfile;
use wgconv::op::Planned;
use wgconv_isa::job::{Compiled, Job};

/// A kernel and who calls it.
pub struct Kernel {
    pub job: Job,
    /// Layers of whose plans it is a part, in order.
    pub layers: Vec<String>,
    /// Whether a plan of the planner's own choice has it.
    pub chosen: bool,
}

/// The kernels of the planner's choice for these layers, each once, in the order in which they are first called; `candidates`: those of every other candidate behind
/// them.
pub fn of(layers: &[Layer], profile: &DeviceProfile, candidates: bool) -> Result<Vec<Kernel>, Failure> {
    let (mut kernels, mut known): (Vec<Kernel>, HashMap<String, usize>) = Default::default();
    let mut add = |layer: &Layer, label: Option<&str>| -> Outcome {
        let plan = layer.op().plan(profile, label)?;
        for step in plan.prepare.iter().chain(&plan.steps) {
            let job = Job::new(&step.kernel)?;
            let place = *known.entry(job.label.clone()).or_insert_with(|| {
                kernels.push(Kernel { job, layers: vec![], chosen: label.is_none() });
                kernels.len() - 1
            });
            if kernels[place].layers.last() != Some(&layer.name) {
                kernels[place].layers.push(layer.name.clone());
            }
        }
        Ok(())
    };
    layers.iter().try_for_each(|layer| add(layer, None))?;
    if candidates {
        for layer in layers {
            layer.op().candidates(profile).iter().try_for_each(|label| add(layer, Some(label)))?;
        }
    }
    Ok(kernels)
}

/// Writes the text of every kernel, and what the driver gave for it, into `folder`.
pub fn write_listings(folder: &Path, kernels: &[Kernel], answers: &[Result<Compiled, String>]) -> Outcome {
    std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("{}: {e}", folder.display())))?;
    let mut outcomes = vec![];
    for (number, (kernel, answer)) in kernels.iter().zip(answers).enumerate() {
        let name = format!("{number:03}-{}", kernel.job.label.split('[').next().unwrap_or_default());
        let mut write = |ending: &str, text: &str| {
            let text = format!("// {}\n{text}", kernel.job.label);
            outcomes.push(output::write(&folder.join(format!("{name}.{ending}")), text.as_bytes()));
        };
        write("wgsl", &kernel.job.wgsl);
        for (title, text) in answer.iter().flat_map(|compiled| &compiled.listings) {
            let ending: String = title.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            write(&format!("{}.txt", ending.trim_matches('-')), text);
        }
    }
    arguments::all(outcomes)
}
