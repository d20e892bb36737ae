//! `wgconv info`: the adapters of this machine.

use crate::{Failure, Outcome, say};
use wgconv::gpu::{adapters, driver_hint};

#[derive(clap::Args)]
pub struct Args {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let adapters = adapters();
    if args.json {
        let text = serde_json::to_string_pretty(&adapters).map_err(|e| Failure::Run(e.to_string()))?;
        say!("{text}");
        return Ok(());
    }
    if adapters.is_empty() {
        say!("no GPU adapter on this machine. {}", driver_hint());
    }
    for adapter in &adapters {
        let list = |items: &[String]| if items.is_empty() { "none".to_string() } else { items.join(", ") };
        let features: Vec<String> = adapter.features.iter().map(ToString::to_string).collect();
        say!("{}: {}", adapter.index, adapter.name);
        say!("   backend          {} ({})", adapter.backend, adapter.device_type);
        say!("   driver           {} {}", adapter.driver, adapter.driver_info);
        say!("   buffer           {} MiB at most, {} MiB a binding", adapter.max_buffer_size >> 20, adapter.max_storage_buffer_binding_size >> 20);
        say!(
            "   workgroup        {} invocations, {} KiB of memory, {} storage buffers",
            adapter.max_compute_invocations_per_workgroup,
            adapter.max_compute_workgroup_storage_size >> 10,
            adapter.max_storage_buffers_per_shader_stage
        );
        say!("   subgroup         {} to {}", adapter.subgroup_sizes[0], adapter.subgroup_sizes[1]);
        say!("   features         {}", list(&features));
        say!("   matrix shapes    {}", list(&adapter.matrix_shapes));
    }
    Ok(())
}
