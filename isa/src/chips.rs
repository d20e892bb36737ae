//! Synthetic profiles: what the planner would know of real chips, as their Vulkan drivers report them through wgpu, and which driver compiles for each.
//!
//! Limits are those of the drivers named here: Mesa 22.3 to 25.0 (RADV, ANV, turnip; `src/amd/vulkan/radv_device.c` and its sisters) and NVIDIA's, from
//! reports on vulkan.gpuinfo.org. What the planner does not read is left as [`DeviceProfile::MINIMAL`] has it.

use wgconv::gpu::{CoopMatrix, DeviceProfile};

/// A chip that plans can be made for.
#[derive(Debug, Clone, Copy)]
pub struct Chip {
    /// Its code name, in lower case.
    pub name: &'static str,
    /// What users call it.
    pub title: &'static str,
    /// What compiles for it without the chip.
    pub driver: Driver,
    /// What the planner would know of it.
    pub profile: DeviceProfile,
    /// Its cooperative matrices, where the library refuses them for subgroups of several sizes alone.
    pub refused_matrix: Option<CoopMatrix>,
    /// Its rates, where its maker publishes them.
    pub published: Option<Published>,
}

/// Rates of a chip as its maker's data sheet has them, at the boost clock: what no kernel exceeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// 10^9 operations of f32 a second, a multiply-add counted as two.
    pub gflops: f64,
    /// 10^9 bytes a second to and from the chip's memory.
    pub gbytes_per_s: f64,
}

/// What compiles for a chip where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Mesa's RADV with its null device, by the names of the family that `RADV_FORCE_FAMILY` takes: they changed from version to version.
    Radv(&'static [&'static str]),
    /// A Mesa driver over a "drm-shim" library that pretends to be the kernel's driver.
    Shim {
        /// The library's file.
        library: &'static str,
        /// The environment variable that names the chip, and its value.
        chip: (&'static str, &'static str),
        /// The Vulkan driver's file, without the architecture.
        icd: &'static str,
        /// The vendor's number of PCI, by which the chip is told from what the machine has.
        vendor: u32,
    },
}

impl Chip {
    /// The profile, with the cooperative matrices of the chip even where subgroups vary in size.
    pub fn profile(&self, matrices: bool) -> DeviceProfile {
        match self.refused_matrix {
            Some(matrix) if matrices => DeviceProfile { matrix: Some(matrix), ..self.profile },
            _ => self.profile,
        }
    }
}

/// The chip of this name.
pub fn chip(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().find(|chip| chip.name == name)
}

/// What all of these have.
const COMMON: DeviceProfile = DeviceProfile {
    max_binding_bytes: (1 << 31) - 4,
    max_buffer_bytes: (1 << 31) - 1,
    max_workgroup_invocations: 1024,
    max_storage_buffers: 64,
    has_f16: true,
    has_int64: true,
    ..DeviceProfile::MINIMAL
};

/// RADV on chips whose subgroups have 32 or 64 invocations, as the driver likes it.
const RDNA: DeviceProfile = DeviceProfile { max_workgroup_memory: 65_536, storage_alignment: 32, ..COMMON };

/// RADV on chips with subgroups of 64.
const GCN: DeviceProfile = DeviceProfile { subgroup: Some(64), ..RDNA };

/// ANV: subgroups of 8 (16 from Battlemage on) to 32.
const INTEL: DeviceProfile = DeviceProfile { max_workgroup_memory: 65_536, storage_alignment: 32, registers: 64, ..COMMON };

/// NVIDIA's driver, from Turing on.
const NVIDIA: DeviceProfile = DeviceProfile {
    max_workgroup_memory: 49_152,
    storage_alignment: 32,
    subgroup: Some(32),
    matrix: Some(CoopMatrix { extent: 16, subgroup: 32, loads_vectors: true, splits: true, along_k: false }),
    ..COMMON
};

/// Qualcomm: subgroups of 64 or 128.
const ADRENO: DeviceProfile =
    DeviceProfile { max_workgroup_memory: 32_768, storage_alignment: 64, has_int64: false, max_storage_buffers: 24, ..COMMON };

/// Compute shaders run in subgroups of 64 in RADV unless told otherwise.
const WMMA: CoopMatrix = CoopMatrix { extent: 16, subgroup: 64, loads_vectors: true, splits: true, along_k: true };

const fn rates(gflops: f64, gbytes_per_s: f64) -> Option<Published> {
    Some(Published { gflops, gbytes_per_s })
}

const fn radv(
    name: &'static str,
    title: &'static str,
    families: &'static [&'static str],
    profile: DeviceProfile,
    published: Option<Published>,
) -> Chip {
    Chip { name, title, driver: Driver::Radv(families), profile, refused_matrix: None, published }
}

const fn intel(name: &'static str, title: &'static str, published: Option<Published>) -> Chip {
    let driver = Driver::Shim { library: "libintel_noop_drm_shim.so", chip: ("INTEL_STUB_GPU_PLATFORM", name), icd: "intel_icd", vendor: 0x8086 };
    Chip { name, title, driver, profile: INTEL, refused_matrix: None, published }
}

const fn nvidia(name: &'static str, title: &'static str, chipset: &'static str, published: Option<Published>) -> Chip {
    let driver = Driver::Shim { library: "libnouveau_noop_drm_shim.so", chip: ("NOUVEAU_CHIPSET", chipset), icd: "nouveau_icd", vendor: 0x10de };
    Chip { name, title, driver, profile: NVIDIA, refused_matrix: None, published }
}

/// All chips.
pub const CHIPS: &[Chip] = &[
    radv("polaris10", "AMD Polaris (Radeon RX 480)", &["POLARIS10"], DeviceProfile { has_f16: false, ..GCN }, rates(5834.0, 256.0)),
    radv("vega10", "AMD Vega (Radeon RX Vega 64)", &["VEGA10"], GCN, rates(12_665.0, 483.8)),
    radv("navi10", "AMD RDNA (Radeon RX 5700)", &["NAVI10"], RDNA, rates(7949.0, 448.0)),
    radv("navi21", "AMD RDNA2 (Radeon RX 6800)", &["NAVI21"], RDNA, rates(16_170.0, 512.0)),
    radv("navi22", "AMD RDNA2 (Radeon RX 6700)", &["NAVI22"], RDNA, rates(11_290.0, 320.0)),
    Chip { refused_matrix: Some(WMMA), ..radv("navi31", "AMD RDNA3 (Radeon RX 7900 XTX)", &["GFX1100", "NAVI31"], RDNA, rates(61_390.0, 960.0)) },
    Chip { refused_matrix: Some(WMMA), ..radv("navi48", "AMD RDNA4 (Radeon RX 9070)", &["GFX1201", "NAVI48"], RDNA, rates(36_130.0, 640.0)) },
    intel("dg2", "Intel Arc Alchemist (A770)", rates(19_660.0, 560.0)),
    intel("bmg", "Intel Arc Battlemage (B580)", rates(13_670.0, 456.0)),
    nvidia("tu102", "NVIDIA Turing (RTX 2080 Ti)", "162", rates(13_450.0, 616.0)),
    nvidia("ga102", "NVIDIA Ampere (RTX 3090)", "172", rates(35_580.0, 936.0)),
    nvidia("gh100", "NVIDIA Hopper (H100)", "180", rates(66_900.0, 3350.0)),
    Chip {
        name: "adreno750",
        title: "Qualcomm Adreno 750 (Snapdragon 8 Gen 3)",
        driver: Driver::Shim { library: "libfreedreno_noop_drm_shim.so", chip: ("FD_GPU_ID", "750"), icd: "freedreno_icd", vendor: 0x5143 },
        profile: ADRENO,
        refused_matrix: None,
        published: None,
    },
];
