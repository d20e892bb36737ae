//! What the device can do at most, measured: multiply-adds in registers and a copy of a large buffer. The yardsticks of every
//! share of peak in the benchmark tables.

use crate::gpu::Gpu;
use crate::gpu::burn::{ITERATIONS, multiply_adds};
use crate::gpu::pipelines::{Binding, Dispatch};
use crate::gpu::timing::Clock;
use crate::shader::KernelSpec;
use crate::shader::source::PEAK_COPY;
use crate::types::{ElementType, Result};

/// Measured peaks of a device.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Peak {
    /// f32 fma in registers, 10^9 floating-point operations per second (two per fma).
    pub gflops: f64,
    /// A copy of a buffer that no cache holds, 10^9 bytes per second, bytes read and written both counted.
    pub gbytes_per_s: f64,
}

/// Measures the device's f32 and memory peaks; takes well under a second on most devices.
///
/// # Errors
/// Loss of the device, no memory for two copies of 64 MiB.
pub fn measure_peak(gpu: &Gpu) -> Result<Peak> {
    Ok(Peak { gflops: measure_fma(gpu)?, gbytes_per_s: measure_copy(gpu)? })
}

/// Most of several runs: a peak is what the device can do, and noise only takes away.
fn best_seconds(gpu: &Gpu, dispatch: &Dispatch) -> Result<f64> {
    let timing = gpu.time(7, &mut |recorder| recorder.scoped("wgconv peak", |recorder| recorder.push(std::slice::from_ref(dispatch))))?;
    let floor = if timing.clock == Clock::Wall { 1e-6 } else { 1e-9 };
    Ok(timing.seconds.iter().copied().fold(f64::INFINITY, f64::min).max(floor))
}

fn measure_fma(gpu: &Gpu) -> Result<f64> {
    // Enough work to hide the launch on a large device, little enough for a software one: grown until a run takes 20 ms.
    let mut workgroups = 128;
    loop {
        let seconds = best_seconds(gpu, &multiply_adds(gpu, workgroups)?)?;
        if seconds >= 0.02 || workgroups >= 32_768 {
            let fmas = f64::from(workgroups) * 64.0 * f64::from(ITERATIONS) * 32.0 * 12.0;
            return Ok(2.0 * fmas / seconds * 1e-9);
        }
        workgroups *= 4;
    }
}

fn measure_copy(gpu: &Gpu) -> Result<f64> {
    let bytes = (64u64 << 20).min(gpu.profile().max_binding_bytes / 4096 * 4096);
    let usage = wgpu::BufferUsages::STORAGE;
    let buffers = [gpu.create_buffer("wgconv peak", bytes, usage)?, gpu.create_buffer("wgconv peak", bytes, usage)?];
    let spec = KernelSpec { source: &PEAK_COPY, element: ElementType::F32, consts: vec![], overrides: vec![] };
    let kernel = gpu.kernels().get(gpu, &spec)?;
    // One vec4 (16 bytes) per invocation of a workgroup of 256; 64 MiB make 16,384 workgroups.
    let workgroups = [(bytes / 4096) as u32, 1, 1];
    let bindings = || buffers.iter().map(Binding::whole).collect();
    let dispatch = gpu.scoped("wgconv peak", || Ok(Dispatch::new(gpu, &kernel, bindings(), workgroups)))?;
    Ok(2.0 * bytes as f64 / best_seconds(gpu, &dispatch)? * 1e-9)
}
