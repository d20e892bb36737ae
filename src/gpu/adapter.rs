//! Adapters: listing them, describing them, choosing one.

use crate::types::{Error, Result};
use serde::Serialize;
use std::sync::OnceLock;

/// The backends this crate runs on.
pub(crate) fn backends() -> wgpu::Backends {
    wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12 | wgpu::Backends::BROWSER_WEBGPU
}

/// What is worth knowing of an adapter, for listings and reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterReport {
    /// BufferRef in the list of adapters.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub device_type: &'static str,
    /// The driver's name.
    pub driver: String,
    /// The driver's version and more.
    pub driver_info: String,
    /// The vendor's number, as the backend tells it: of PCI for most; 0 where it tells none.
    pub vendor_id: u32,
    /// The device's number of that vendor.
    pub device_id: u32,
    /// Where the device is on its bus, such as `0000:01:00.0`; empty where the backend tells nothing.
    pub pci_bus_id: String,
    /// Most bytes of one buffer.
    pub max_buffer_size: u64,
    /// Most bytes of one storage binding.
    pub max_storage_buffer_binding_size: u64,
    /// Most storage buffers of one kernel.
    pub max_storage_buffers_per_shader_stage: u32,
    /// Most invocations of one workgroup.
    pub max_compute_invocations_per_workgroup: u32,
    /// Most bytes of workgroup memory.
    pub max_compute_workgroup_storage_size: u32,
    /// Smallest and largest subgroup.
    pub subgroup_sizes: [u32; 2],
    /// Features that this crate asks for and the adapter has: `f16`, `int64`, `subgroups`, `timestamps`, `pipeline_cache`, `cooperative_matrix`.
    pub features: Vec<&'static str>,
    /// Matrix shapes of the cooperative matrices, such as `8x8x8 F16 -> F32`.
    pub matrix_shapes: Vec<String>,
}

/// Features this crate takes when the adapter has them.
pub(crate) const WANTED_FEATURES: [(wgpu::Features, &str); 6] = [
    (wgpu::Features::SHADER_F16, "f16"),
    (wgpu::Features::SHADER_INT64, "int64"),
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline_cache"),
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative_matrix"),
];

impl AdapterReport {
    pub(crate) fn new(index: usize, adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let features = adapter.features();
        Self {
            index,
            name: info.name,
            backend: info.backend.to_string().to_lowercase(),
            device_type: device_type_name(info.device_type),
            driver: info.driver,
            driver_info: info.driver_info,
            vendor_id: info.vendor,
            device_id: info.device,
            pci_bus_id: info.device_pci_bus_id,
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
            features: WANTED_FEATURES.iter().filter(|(f, _)| features.contains(*f)).map(|&(_, name)| name).collect(),
            matrix_shapes: adapter
                .cooperative_matrix_properties()
                .iter()
                .map(|p| format!("{}x{}x{} {:?} -> {:?}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type))
                .collect(),
        }
    }
}

impl std::fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.backend, self.device_type)?;
        // Some drivers leave a blank at the end, or tell no version.
        let driver = format!("{} {}", self.driver.trim(), self.driver_info.trim());
        if !driver.trim().is_empty() {
            write!(f, ", {}", driver.trim())?;
        }
        f.write_str(")")
    }
}

fn device_type_name(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    }
}

/// The adapters of this machine, in the order in which `WGCONV_ADAPTER` and [`crate::gpu::GpuDescriptor::adapter`] count them.
#[cfg(not(target_arch = "wasm32"))]
pub fn adapters() -> Vec<AdapterReport> {
    pollster::block_on(adapters_async())
}

/// As `adapters`, without blocking the calling thread. In a browser: the one that it prefers for speed.
pub async fn adapters_async() -> Vec<AdapterReport> {
    enumerate().await.iter().enumerate().map(|(i, a)| AdapterReport::new(i, a)).collect()
}

/// The wgpu instance behind [`crate::gpu::Gpu::new`], one for the process.
///
/// wgpu numbers buffers, encoders and all else by instance, and looks a number up in the instance of the device that is given it. Within
/// one instance it notices what belongs to another device; a buffer of another instance is taken for whatever has its number here. A
/// program that opens devices of its own beside [`crate::gpu::Gpu::new`] is safer with this instance.
///
/// # Panics
/// wgpu makes no instance without a backend of this system: one of the features `vulkan`, `metal`, `dx12` and `webgpu` must be on. `Gpu::new` and `adapters` find no adapter
/// then and do not panic.
pub fn instance() -> wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    let made = INSTANCE.get_or_init(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = backends();
        wgpu::Instance::new(descriptor)
    });
    made.clone()
}

/// Whether this crate was built with a backend that this system may have.
fn has_backend() -> bool {
    wgpu::Instance::enabled_backend_features().intersects(backends())
}

#[cfg(not(target_arch = "wasm32"))]
async fn enumerate() -> Vec<wgpu::Adapter> {
    if !has_backend() {
        return vec![];
    }
    // The no-op backend is not among `backends()`; an adapter that computes nothing would make every figure a lie.
    instance().enumerate_adapters(backends()).await
}

#[cfg(target_arch = "wasm32")]
async fn enumerate() -> Vec<wgpu::Adapter> {
    if !has_backend() {
        return vec![];
    }
    let options = wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance().request_adapter(&options).await.into_iter().collect()
}

/// The adapter that `wanted` names by index or by part of its name (any case), or the best one: discrete before integrated
/// before virtual before CPU.
pub(crate) async fn choose(wanted: Option<&str>) -> Result<(usize, wgpu::Adapter)> {
    let all = enumerate().await;
    let found = if all.is_empty() {
        "none".to_string()
    } else {
        all.iter().enumerate().map(|(i, a)| format!("{i}: {}", a.get_info().name)).collect::<Vec<_>>().join(", ")
    };
    let rank = |a: &wgpu::Adapter| match a.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    let mut candidates = all.into_iter().enumerate();
    let chosen = match wanted {
        None => candidates.min_by_key(|(i, a)| (rank(a), *i)),
        Some(text) => match text.parse::<usize>() {
            Ok(index) => candidates.find(|(i, _)| *i == index),
            Err(_) => candidates.find(|(_, a)| a.get_info().name.to_lowercase().contains(&text.to_lowercase())),
        },
    };
    chosen.ok_or_else(|| Error::NoAdapter {
        wanted: wanted.map_or_else(|| "on this machine".to_string(), |w| format!("with the number or name \"{w}\"")),
        hint: if found == "none" { driver_hint().to_string() } else { "Name one of these by its number or a part of its name".to_string() },
        found,
    })
}

/// How to get a software Vulkan driver on this system.
pub fn driver_hint() -> &'static str {
    if !has_backend() {
        "This build has no backend of this system: turn on a feature of wgconv (vulkan, metal, dx12 or webgpu)"
    } else if cfg!(target_os = "linux") {
        "For a software driver: apt install mesa-vulkan-drivers libvulkan1 (Debian, Ubuntu), dnf install mesa-vulkan-drivers vulkan-loader (Fedora), pacman -S vulkan-swrast vulkan-icd-loader (Arch)"
    } else if cfg!(target_os = "windows") {
        "Windows has the WARP software adapter for DX12; install the GPU vendor's driver, or the Graphics Tools feature for WARP"
    } else if cfg!(target_os = "macos") {
        "macOS reaches every GPU through Metal; a virtual machine needs a virtual GPU"
    } else {
        "Install a Vulkan driver, such as Mesa's lavapipe"
    }
}
