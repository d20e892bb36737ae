//! What the planner may know of a device: plain numbers, no handle. Same problem and profile, same plan.

/// Limits and abilities of a device, as far as plans depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Storage bindings must start at multiples of this many bytes.
    pub storage_alignment: u64,
    /// Whether f16 tensors and arithmetic work.
    pub has_f16: bool,
    /// Whether the device is a processor pretending to be a GPU: workgroup memory and barriers cost there and save nothing.
    pub is_cpu: bool,
}

impl DeviceProfile {
    /// WebGPU's default limits: what every adapter has at least.
    pub const MINIMAL: DeviceProfile = DeviceProfile {
        max_binding_bytes: 128 << 20,
        max_buffer_bytes: 256 << 20,
        max_workgroups_per_axis: 65_535,
        max_workgroup_invocations: 256,
        max_workgroup_memory: 16_384,
        storage_alignment: 256,
        has_f16: false,
        is_cpu: false,
    };

    pub(crate) fn new(limits: &wgpu::Limits, features: wgpu::Features, device_type: wgpu::DeviceType) -> Self {
        Self {
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups_per_axis: limits.max_compute_workgroups_per_dimension,
            max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            max_workgroup_memory: limits.max_compute_workgroup_storage_size,
            storage_alignment: u64::from(limits.min_storage_buffer_offset_alignment).max(4),
            has_f16: features.contains(wgpu::Features::SHADER_F16),
            is_cpu: device_type == wgpu::DeviceType::Cpu,
        }
    }
}
