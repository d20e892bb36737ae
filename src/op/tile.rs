//! Tiles of the matrix-product cores, which convolution and matmul share, and which of them a problem gets.

use crate::error::{Error, Result};
use crate::gpu::DeviceProfile;

/// A tile of the workgroup-memory core (`shaders/common/gemm_workgroup.wgsl`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile {
    pub m: u32,
    pub n: u32,
    k: u32,
    thread_m: u32,
    thread_n: u32,
}

/// The largest first.
const TILES: [Tile; 4] = [
    Tile { m: 64, n: 64, k: 16, thread_m: 4, thread_n: 4 },
    Tile { m: 32, n: 64, k: 16, thread_m: 4, thread_n: 4 },
    Tile { m: 64, n: 32, k: 16, thread_m: 4, thread_n: 4 },
    Tile { m: 32, n: 32, k: 16, thread_m: 4, thread_n: 4 },
];

impl Tile {
    fn invocations(&self) -> u32 {
        self.m * self.n / (self.thread_m * self.thread_n)
    }

    /// Bytes of workgroup memory: both operands' slices in f32.
    fn memory(&self) -> u32 {
        self.k * (self.m + self.n) * 4
    }

    fn fits(&self, profile: &DeviceProfile) -> bool {
        self.invocations() <= profile.max_workgroup_invocations && self.memory() <= profile.max_workgroup_memory
    }

    /// The smallest tile must fit the device; wgpu's own minimum limits hold all of them.
    pub fn check(algorithm: &str, profile: &DeviceProfile) -> Result<()> {
        let tile = &TILES[TILES.len() - 1];
        if tile.fits(profile) {
            return Ok(());
        }
        Err(Error::Unsupported {
            algorithm: algorithm.into(),
            reason: format!(
                "its smallest tile needs {} invocations and {} bytes of workgroup memory; the device has {} and {}",
                tile.invocations(),
                tile.memory(),
                profile.max_workgroup_invocations,
                profile.max_workgroup_memory
            ),
        })
    }

    /// The largest tile that a product of `rows` x `columns` fills by more than half either way and that the device holds.
    pub fn choose(rows: u64, columns: u64, profile: &DeviceProfile) -> &'static Self {
        TILES
            .iter()
            .filter(|t| t.fits(profile))
            .find(|t| rows > u64::from(t.m) / 2 && columns > u64::from(t.n) / 2)
            .unwrap_or(&TILES[TILES.len() - 1])
    }

    /// Turns of the loops of one invocation over this depth: 16 steps take one of the outer loop and, measured, up to 7 in all.
    pub fn turns(depth: u64) -> u64 {
        depth / 2 + 64
    }

    /// The core's prelude.
    pub fn consts(&self) -> Vec<(&'static str, u32)> {
        vec![
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("THREAD_M", self.thread_m),
            ("THREAD_N", self.thread_n),
            ("WG_SIZE", self.invocations()),
        ]
    }
}

/// Columns of one workgroup of the register core (`shaders/common/gemm_register.wgsl`): 64 invocations of 4.
pub(crate) const REGISTER_COLUMNS: u64 = 256;

/// Rows of one invocation of the register core: as many as the product fills, up to 16.
pub(crate) fn register_rows(rows: u64) -> u32 {
    match rows {
        0..=4 => 4,
        5..=8 => 8,
        9..=12 => 12,
        _ => 16,
    }
}
