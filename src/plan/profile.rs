//! What the planner may know of a device: plain numbers, no handle. Same problem and profile, same plan.

use crate::shader::source::all_sources;
use crate::types::{ElementType, Error, Result};

/// Limits and abilities of a device, as far as plans depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceProfile {
    /// Most bytes of one storage binding.
    pub max_binding_bytes: u64,
    /// Most bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// Most workgroups along one axis of a dispatch.
    pub max_workgroups_per_axis: u32,
    /// Most invocations of one workgroup.
    pub max_workgroup_invocations: u32,
    /// Most bytes of workgroup memory.
    pub max_workgroup_memory: u32,
    /// Most storage buffers that one kernel binds.
    pub max_storage_buffers: u32,
    /// Storage bindings must start at multiples of this many bytes.
    pub storage_alignment: u64,
    /// Whether f16 tensors and arithmetic work.
    pub has_f16: bool,
    /// Whether shaders have 64-bit integers.
    pub has_int64: bool,
    /// Whether the device is a processor pretending to be a GPU: workgroup memory and barriers cost there and save nothing.
    pub is_cpu: bool,
    /// Whether it is a processor that multiplies at half its rate while vectors of 512 bits are about: eight 64-bit numbers are one.
    pub wide_vectors_slow: bool,
    /// Invocations of a subgroup, where all subgroups have as many and shaders can shuffle values among them.
    pub subgroup: Option<u32>,
    /// Its cooperative matrices, where it has some that the kernels can use.
    pub matrix: Option<CoopMatrix>,
    /// Registers of 32 bits that an invocation has before its compiler puts numbers into memory, as far as that is known: 64 on Intel's chips, where the 16
    /// invocations of a subgroup share 128 registers of 32 bytes; else 255, as NVIDIA's and AMD's have about.
    pub registers: u32,
    /// Iterations after which the driver silently ends the loops of an invocation, all of them together; `u64::MAX` where it does not.
    pub max_loop_iterations: u64,
}

/// Cooperative matrices (tensor cores): f16 operands, f32 sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CoopMatrix {
    /// Rows, columns and depth of what they multiply at once: 8 or 16.
    pub extent: u32,
    /// Invocations of a subgroup: the units belong to all of them together.
    pub subgroup: u32,
    /// Whether matrices can be loaded from arrays of vectors: on Vulkan, but not in Metal's language.
    pub loads_vectors: bool,
    /// Whether f32 operands may be split in two: that needs sums of matrices outside the units, which Metal's language does not have.
    pub splits: bool,
    /// Whether matrices are loaded fastest from workgroup memory where steps of the depth are neighbours, in both operands: AMD's chips load those by 8 bytes and
    /// all else number by number, NVIDIA's H200 the right operand at two thirds of the speed.
    pub along_k: bool,
}

/// AMD's vendor identifier.
const AMD: u32 = 0x1002;

impl CoopMatrix {
    /// The units among the shapes that an adapter lists; the larger ones where there are several. `None` where subgroups vary in size: a
    /// workgroup could not be cut into them beforehand.
    fn new(shapes: &[wgpu::CooperativeMatrixProperties], features: wgpu::Features, info: &wgpu::AdapterInfo) -> Option<Self> {
        let subgroup = subgroup(features, info)?;
        if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16) {
            return None;
        }
        let usable = |p: &&wgpu::CooperativeMatrixProperties| {
            (p.ab_type, p.cr_type) == (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32)
                && matches!((p.m_size, p.n_size, p.k_size), (8, 8, 8) | (16, 16, 16))
        };
        let is_vulkan = info.backend == wgpu::Backend::Vulkan;
        let extent = shapes.iter().filter(usable).map(|p| p.m_size).max()?;
        // No number that a device tells says how its units like their operands.
        Some(Self { extent, subgroup, loads_vectors: is_vulkan, splits: is_vulkan, along_k: info.vendor == AMD })
    }
}

impl DeviceProfile {
    /// WebGPU's default limits: what every adapter has at least.
    pub const MINIMAL: DeviceProfile = DeviceProfile {
        max_binding_bytes: 128 << 20,
        max_buffer_bytes: 256 << 20,
        max_workgroups_per_axis: 65_535,
        max_workgroup_invocations: 256,
        max_workgroup_memory: 16_384,
        max_storage_buffers: 8,
        storage_alignment: 256,
        has_f16: false,
        has_int64: false,
        is_cpu: false,
        wide_vectors_slow: false,
        subgroup: None,
        matrix: None,
        registers: 255,
        max_loop_iterations: u64::MAX,
    };

    /// Whether a limit is below WebGPU's default: some shapes have no kernel there, and are refused with what they need.
    pub(crate) fn is_below_defaults(&self) -> bool {
        let least = Self::MINIMAL;
        self.max_binding_bytes < least.max_binding_bytes
            || self.max_buffer_bytes < least.max_buffer_bytes
            || self.max_workgroups_per_axis < least.max_workgroups_per_axis
            || self.max_workgroup_invocations < least.max_workgroup_invocations
            || self.max_workgroup_memory < least.max_workgroup_memory
            || self.max_storage_buffers < least.max_storage_buffers
    }

    /// An algorithm whose loops take `iterations` iterations in one invocation is wrong, without any warning, on a driver that ends them earlier.
    ///
    /// # Errors
    /// [`Error::Unsupported`] there.
    pub(crate) fn check_iterations(&self, algorithm: &str, iterations: u64) -> Result<()> {
        if iterations <= self.max_loop_iterations {
            return Ok(());
        }
        let reason =
            format!("its loops take about {iterations} iterations, and this driver ends them without a word after {}", self.max_loop_iterations);
        Err(Error::Unsupported { algorithm: algorithm.into(), reason })
    }

    /// The const of kernels whose invocations share neighbouring items (`shaders/lib/item_range.wgsl`): how many of a workgroup's 64 run together.
    /// Where a processor does not say, eight: vectors of another length are served a little worse.
    pub(crate) fn together(&self) -> (&'static str, u32) {
        ("TOGETHER", if self.is_cpu { self.subgroup.unwrap_or(8).min(64) } else { 64 })
    }

    /// Whether it is Mesa's llvmpipe before 26, which has other favourites among the tiles of the register core than those after it.
    pub(crate) fn is_old_llvmpipe(&self) -> bool {
        self.is_cpu && self.max_loop_iterations != u64::MAX
    }

    /// The consts of a tile core that reads vec4s of `element`: by 64-bit loads where they pay (`shaders/lib/vec4_io.wgsl`), and in halves
    /// all the same where only they do not (`shaders/lib/vec4_io.wgsl`). Kernels that multiply little gain by 64-bit loads on either.
    pub(crate) fn vec4_consts(&self, element: ElementType) -> Vec<(&'static str, u32)> {
        if self.loads_half_vec4(element) { vec![("WIDE", 1 + u32::from(self.wide_vectors_slow))] } else { vec![] }
    }

    /// Whether kernels read vec4s of `element` in halves: two numbers at once, as a 64-bit one.
    pub(crate) fn loads_half_vec4(&self, element: ElementType) -> bool {
        self.is_cpu && self.has_int64 && element == ElementType::F32
    }

    /// What a device opened on `adapter` has.
    pub(crate) fn new(device: &wgpu::Device, adapter: &wgpu::Adapter) -> Self {
        let (limits, features, info) = (device.limits(), device.features(), device.adapter_info());
        Self {
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups_per_axis: limits.max_compute_workgroups_per_dimension,
            // Kernels lie along x.
            max_workgroup_invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            max_workgroup_memory: limits.max_compute_workgroup_storage_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            storage_alignment: u64::from(limits.min_storage_buffer_offset_alignment).max(4),
            has_f16: features.contains(wgpu::Features::SHADER_F16),
            has_int64: features.contains(wgpu::Features::SHADER_INT64),
            is_cpu: info.device_type == wgpu::DeviceType::Cpu,
            wide_vectors_slow: wide_vectors_slow(&info.driver, &info.driver_info),
            subgroup: subgroup(features, &info),
            matrix: CoopMatrix::new(&adapter.cooperative_matrix_properties(), features, &info),
            registers: if info.vendor == INTEL && info.device_type != wgpu::DeviceType::Cpu { 64 } else { Self::MINIMAL.registers },
            max_loop_iterations: max_loop_iterations(&info.driver, &info.driver_info),
        }
    }
}

/// Refuses devices on which hardly a kernel would run: workgroups have 64 invocations at least, and most kernels bind four buffers.
///
/// # Errors
/// [`Error::TooLarge`] with the limit's name.
pub(crate) fn check_limits(limits: &wgpu::Limits) -> Result<()> {
    let uniform = all_sources().iter().flat_map(|source| source.structs).map(|layout| layout.size as u64).max().unwrap_or_default();
    let needs = [
        (64, "invocations", "max_compute_invocations_per_workgroup", u64::from(limits.max_compute_invocations_per_workgroup)),
        (64, "invocations along x", "max_compute_workgroup_size_x", u64::from(limits.max_compute_workgroup_size_x)),
        (8192, "bytes of workgroup memory", "max_compute_workgroup_storage_size", u64::from(limits.max_compute_workgroup_storage_size)),
        (1, "workgroup", "max_compute_workgroups_per_dimension", u64::from(limits.max_compute_workgroups_per_dimension)),
        (4, "storage buffers", "max_storage_buffers_per_shader_stage", u64::from(limits.max_storage_buffers_per_shader_stage)),
        (4096, "bytes", "max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        (uniform, "bytes", "max_uniform_buffer_binding_size", limits.max_uniform_buffer_binding_size),
    ];
    match needs.into_iter().find(|(needed, .., limit)| limit < needed) {
        Some((needed, unit, limit_name, limit)) => {
            Err(Error::TooLarge { argument: "a device for this crate".into(), needed: needed.into(), unit, limit_name, limit })
        }
        None => Ok(()),
    }
}

/// Intel's number among vendors of PCI devices.
const INTEL: u32 = 0x8086;

/// See [`DeviceProfile::subgroup`].
fn subgroup(features: wgpu::Features, info: &wgpu::AdapterInfo) -> Option<u32> {
    let size = info.subgroup_min_size;
    (features.contains(wgpu::Features::SUBGROUP) && size == info.subgroup_max_size && size.is_power_of_two()).then_some(size)
}

/// Intel's processors close one of their two ports for multiply-adds of 256 bits while vectors of 512 are at work; AMD's do not. Measured on a
/// Xeon with llvmpipe (benchmarks/notebook/2026-11-22-two-processors.md): 26.2's register core is 1.1 to 1.4 times as fast without, 22.3's up to
/// a tenth slower, and why was not looked for. A software driver runs on the processor that runs this code, so the processor can be asked; every
/// processor of AMD's has SSE4a, none of Intel's.
fn wide_vectors_slow(driver: &str, info: &str) -> bool {
    #[cfg(target_arch = "x86_64")]
    let closes_a_port = std::arch::is_x86_feature_detected!("avx512f") && !std::arch::is_x86_feature_detected!("sse4a");
    #[cfg(not(target_arch = "x86_64"))]
    let closes_a_port = false;
    driver == "llvmpipe" && max_loop_iterations(driver, info) == u64::MAX && closes_a_port
}

/// Measured: Mesa 22.3's llvmpipe ends the loops of an invocation after 65,535 iterations in all, whatever they have computed by then; Mesa
/// 26.2's does not. Which release changed it was not looked for, so every one before 26 counts as limited.
fn max_loop_iterations(driver: &str, info: &str) -> u64 {
    let mesa = info.strip_prefix("Mesa ").and_then(|rest| rest.split('.').next()).and_then(|major| major.parse::<u32>().ok());
    match (driver, mesa) {
        ("llvmpipe", Some(26..)) => u64::MAX,
        ("llvmpipe", _) => 65_535,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_end_loops_are_known_by_name_and_version() {
        assert_eq!(max_loop_iterations("llvmpipe", "Mesa 22.3.6 (LLVM 15.0.6)"), 65_535);
        assert_eq!(max_loop_iterations("llvmpipe", "Mesa 26.2.6-1 (LLVM 22.1.8)"), u64::MAX);
        assert_eq!(max_loop_iterations("llvmpipe", ""), 65_535);
        assert_eq!(max_loop_iterations("NVIDIA", "570.86"), u64::MAX);
        let limited = DeviceProfile { max_loop_iterations: 100, ..DeviceProfile::MINIMAL };
        assert!(limited.check_iterations("direct", 100).is_ok());
        let error = limited.check_iterations("direct", 101).unwrap_err().to_string();
        assert_eq!(error, "algorithm direct does not apply: its loops take about 101 iterations, and this driver ends them without a word after 100");
    }
}
