//! Tiles of the workgroup-memory core (`shaders/gemm/workgroup.wgsl`): which shapes there are, how labels name them, and which of
//! them a product gets: the one of the least estimated time, by an estimate that fits an NVIDIA H100 (docs/real-gpus.md).

use crate::plan::gemm::splits::partial_sums;
use crate::plan::gemm::tile::GemmShape;
use crate::plan::profile::DeviceProfile;
use crate::types::{Error, Result};

/// A tile of the workgroup-memory core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkgroupTile {
    pub m: u32,
    pub n: u32,
    /// Steps of the depth that are staged at a time.
    k: u32,
    /// Rows and columns of an invocation.
    thread_m: u32,
    thread_n: u32,
    /// Workgroups that share the depth of a tile; their partial sums are added by a second kernel.
    pub splits: u32,
}

/// What the planner chooses from, the largest first.
const TILES: [WorkgroupTile; 7] = [
    WorkgroupTile::new(128, 128, 16),
    WorkgroupTile::new(128, 64, 16),
    WorkgroupTile::new(64, 128, 16),
    WorkgroupTile::new(64, 64, 16),
    WorkgroupTile::new(64, 32, 16),
    WorkgroupTile::new(32, 64, 16),
    WorkgroupTile::new(32, 32, 16),
];

/// What a tuner tries beside them: other slabs, and fewer sums for an invocation, which small register files want.
const VARIANTS: [WorkgroupTile; 6] = [
    WorkgroupTile::new(128, 128, 8),
    WorkgroupTile::new(128, 128, 32),
    WorkgroupTile::new(64, 128, 8),
    WorkgroupTile::new(64, 64, 8),
    WorkgroupTile { thread_m: 4, thread_n: 4, ..WorkgroupTile::new(64, 64, 16) },
    WorkgroupTile::new(32, 32, 32),
];

/// Cores of the GPU that the estimate is of: an H100 has 132. On a smaller one every tile keeps all cores busy sooner, and the estimate still prefers
/// tiles that read little.
const CORES: u64 = 132;

/// Cycles of a split: the kernel that adds the sums, and the pause before it.
const SPLIT_CYCLES: f64 = 9e3;

/// Bytes of partial sums that the whole GPU writes and reads in a cycle.
const BYTES_PER_CYCLE: f64 = 1.5e3;

/// Steps of the depth that a split has at least: fewer are not worth storing and adding its sums.
const LEAST_SPLIT: u64 = 256;

/// Splits of a depth at most: each writes and reads a whole output once more.
const MOST_SPLITS: u64 = 16;

/// Invocations of a workgroup at most.
const MOST_INVOCATIONS: u32 = 256;

/// Largest number of splits that a label may name.
const MOST_NAMED_SPLITS: u32 = 64;

impl WorkgroupTile {
    /// With as many sums an invocation as its sides allow: 8 x 8 sums read a vec4 of workgroup memory for every 16 multiply-adds, 4 x 4
    /// for every 8, which is more than most GPUs' memory gives.
    const fn new(m: u32, n: u32, k: u32) -> Self {
        Self { m, n, k, thread_m: thread(m), thread_n: thread(n), splits: 1 }
    }

    /// A tile of so many rows and splits: for what takes the place of another core's tile.
    pub const fn of_rows(m: u32, splits: u32) -> Self {
        Self { splits, ..Self::new(m, 64, 16) }
    }

    fn invocations(&self) -> u32 {
        self.m * self.n / (self.thread_m * self.thread_n)
    }

    /// Bytes of one stage of workgroup memory: both operands' slabs in f32.
    fn stage_bytes(&self) -> u32 {
        self.k * (self.m + self.n) * 4
    }

    /// Two stages save a barrier a slab.
    fn stages(&self, profile: &DeviceProfile) -> u32 {
        if 2 * self.stage_bytes() <= profile.max_workgroup_memory { 2 } else { 1 }
    }

    /// Neighbouring steps of the depth that an invocation stages of four columns.
    pub fn steps(&self) -> u32 {
        self.staged()[1]
    }

    /// Vec4s of either operand that an invocation stages of a slab; as fractions, 0.
    fn staged(&self) -> [u32; 2] {
        [self.m, self.n].map(|side| self.k * side / 4 / self.invocations())
    }

    fn check_fits(&self, algorithm: &str, profile: &DeviceProfile) -> Result<()> {
        if self.invocations() <= profile.max_workgroup_invocations && self.stage_bytes() <= profile.max_workgroup_memory {
            return Ok(());
        }
        Err(Error::Unsupported {
            algorithm: algorithm.into(),
            reason: format!(
                "the tile {self} needs {} invocations and {} bytes of workgroup memory; the device has {} and {}",
                self.invocations(),
                self.stage_bytes(),
                profile.max_workgroup_invocations,
                profile.max_workgroup_memory
            ),
        })
    }

    fn fits(&self, profile: &DeviceProfile) -> bool {
        self.check_fits("", profile).is_ok()
    }

    /// The smallest tile must fit the device; wgpu's own minimum limits hold all that the planner chooses from.
    pub fn check(algorithm: &str, profile: &DeviceProfile) -> Result<()> {
        TILES[TILES.len() - 1].check_fits(algorithm, profile)
    }

    /// Whether a label's tile is one of this core: those of the register core take at most four steps.
    pub fn is_named_by(text: &str) -> bool {
        text.split(['x', '/']).nth(2).and_then(|k| k.parse::<u32>().ok()).is_some_and(|k| k >= 8)
    }

    /// The tile that a label names: `64x128x16`, `64x64x16x4x4` where an invocation's part is not the usual one, `64x64x16/4` where four
    /// workgroups share the depth.
    pub fn parse(algorithm: &str, text: &str, profile: &DeviceProfile) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::Unsupported { algorithm: format!("{algorithm} {text}"), reason: reason.into() });
        let (sizes, splits) = text.split_once('/').unwrap_or((text, "1"));
        let numbers: Option<Vec<u32>> = sizes.split('x').map(|n| n.parse().ok()).collect();
        let (Some(numbers), Ok(splits)) = (numbers, splits.parse::<u32>()) else {
            return refuse("its tile is rows x columns x steps, and perhaps an invocation's rows x columns, and / splits: numbers");
        };
        let tile = match numbers[..] {
            [m @ (32 | 64 | 128), n @ (32 | 64 | 128), k @ (8 | 16 | 32)] => Self::new(m, n, k),
            [m @ (32 | 64 | 128), n @ (32 | 64 | 128), k @ (8 | 16 | 32), thread_m @ (4 | 8), thread_n @ (4 | 8)] => {
                let (usual, tile) = (Self::new(m, n, k), Self { thread_m, thread_n, ..Self::new(m, n, k) });
                if tile == usual {
                    return refuse("its tile is named without an invocation's part, which is the usual one"); // a tile has one name
                }
                tile
            }
            _ => {
                return refuse(
                    "its tile is rows x columns x steps, 32, 64 or 128 each way and 8, 16 or 32, and an invocation's part 4 or 8 each way",
                );
            }
        };
        if !(1..=MOST_NAMED_SPLITS).contains(&splits) {
            return refuse(&format!("its depth is split 1 to {MOST_NAMED_SPLITS} times"));
        }
        if !(64..=MOST_INVOCATIONS).contains(&tile.invocations()) || tile.staged().iter().any(|vec4s| !matches!(vec4s, 1 | 2 | 4)) {
            let [lhs, rhs] = tile.staged();
            return refuse(&format!(
                "it has {} invocations, each of which stages {lhs} and {rhs} vec4s of a slab; 64 to 256 invocations and 1, 2 or 4 vec4s run",
                tile.invocations()
            ));
        }
        tile.check_fits(algorithm, profile)?;
        Ok(Self { splits, ..tile })
    }

    /// Workgroups over the tiles of a product, without splits.
    fn workgroups(&self, shape: &GemmShape) -> u64 {
        shape.rows.div_ceil(u64::from(self.m)).saturating_mul(shape.columns.div_ceil(u64::from(self.n))).saturating_mul(shape.products)
    }

    /// Whether a product fills the tile by more than half either way.
    fn is_filled(&self, shape: &GemmShape) -> bool {
        shape.rows > u64::from(self.m) / 2 && shape.columns > u64::from(self.n) / 2
    }

    /// Cycles that a workgroup takes for a step of the depth where it has a core to itself: the latency of its loads and
    /// barriers.
    fn latency(&self) -> f64 {
        match (self.m, self.n) {
            (32, 32) => 60.0,
            (64, 32) => 80.0,
            (32, 64) => 90.0,
            (64, 64) => 123.0,
            _ => 165.0,
        }
    }

    /// Cycles that a core with 128 multipliers takes for a step of the depth of one workgroup among many: a smaller tile loads more for each sum.
    fn throughput(&self) -> f64 {
        let sums = self.m * self.n;
        let waste = match sums {
            8192.. => 1.9,
            4096.. => 2.15,
            2048.. => 2.25,
            _ => 2.5,
        };
        f64::from(sums) / 128.0 * waste
    }

    /// Estimated cycles of a product on a GPU.
    fn cycles(&self, shape: &GemmShape) -> f64 {
        let splits = u64::from(self.splits);
        let rounds = self.workgroups(shape).saturating_mul(splits).div_ceil(CORES);
        let step = self.latency().max(rounds as f64 * self.throughput());
        let sums = shape.rows as f64 * shape.columns as f64 * shape.products as f64 * 4.0 * (splits + 1) as f64;
        let adding = if splits > 1 { SPLIT_CYCLES + sums / BYTES_PER_CYCLE } else { 0.0 };
        shape.depth.div_ceil(splits) as f64 * step + adding
    }

    /// The tile with as many splits as are estimated to pay; a power of two, since each number is a kernel of its own.
    fn split(self, shape: &GemmShape, profile: &DeviceProfile) -> Self {
        if profile.is_cpu {
            return self;
        }
        let most = (shape.depth / LEAST_SPLIT).clamp(1, MOST_SPLITS);
        let splits = (0..=most.ilog2()).map(|power| Self { splits: 1 << power, ..self });
        let possible = splits.filter(|tile| tile.splits == 1 || partial_sums(shape, tile.splits.into(), profile).is_ok());
        possible.min_by(|a, b| a.cycles(shape).total_cmp(&b.cycles(shape))).unwrap_or(self)
    }

    /// The tile with as many sums an invocation as the device's registers hold beside what is loaded ahead; `None` where that takes too many invocations.
    /// Of Intel's, 32 sums and more spilled in most kernels (docs/real-gpus.md).
    fn within(self, profile: &DeviceProfile) -> Option<Self> {
        let held = if profile.registers < 128 { Self { thread_m: 4, thread_n: 4, ..self } } else { self };
        (held.invocations() <= MOST_INVOCATIONS).then_some(held)
    }

    /// The tile of a product: of those that the product fills the one of the least estimated time, the larger one of equals.
    pub fn choose(shape: &GemmShape, profile: &DeviceProfile) -> Self {
        let smallest = TILES[TILES.len() - 1];
        let filled = || TILES.into_iter().filter_map(|t| t.within(profile)).filter(|t| t.fits(profile) && t.is_filled(shape));
        if profile.is_cpu {
            // A processor has few cores, all busy with any tile. Few sums compile fast.
            return filled().find(|t| t.m <= 64 && t.n <= 64).unwrap_or(smallest);
        }
        let split = filled().map(|t| t.split(shape, profile));
        split.min_by(|a, b| a.cycles(shape).total_cmp(&b.cycles(shape))).unwrap_or(smallest.split(shape, profile))
    }

    /// Tiles worth timing.
    pub fn candidates(shape: &GemmShape, profile: &DeviceProfile) -> Vec<Self> {
        let mut tiles = vec![Self::choose(shape, profile)];
        let smallest = TILES[TILES.len() - 1];
        let mut add = |tile: Self| {
            if !tiles.contains(&tile) {
                tiles.push(tile);
            }
        };
        if profile.is_cpu {
            add(smallest); // each costs seconds there, and the register core is faster anyway
            return tiles;
        }
        for tile in TILES.into_iter().chain(VARIANTS).filter(|t| t.fits(profile) && (t.is_filled(shape) || *t == smallest)) {
            add(tile);
            let split = tile.split(shape, profile);
            add(split);
            if split.splits > 1 {
                add(Self { splits: split.splits / 2, ..split });
            }
            if u64::from(split.splits) * 2 <= (shape.depth / LEAST_SPLIT).min(MOST_SPLITS) {
                add(Self { splits: split.splits * 2, ..split });
            }
        }
        tiles
    }

    /// Every shape with one stage or two, and splits of the depth that come out even and not: for the checks.
    pub fn every() -> impl Iterator<Item = Self> {
        let split = [(64, 64, 3), (32, 32, 2), (32, 64, 16)].map(|(m, n, splits)| Self { splits, ..Self::new(m, n, 16) });
        TILES.into_iter().chain(VARIANTS).chain(split)
    }

    /// Iterations of the loops of one invocation over this depth: a slab takes one iteration, one for every four of its steps, and one to leave them; so
    /// 8 steps take 4 iterations at most, and the store takes some more. Mesa 22 was seen to count 10 for slabs of 32 (tests/matmul.rs).
    pub fn iterations(depth: u64) -> u64 {
        depth / 2 + 64
    }

    /// The core's prelude, for a depth of `outer_steps` runs of `length` steps, or of fewer if it is `uneven`.
    pub fn consts(&self, outer_steps: u64, length: u64, uneven: bool, profile: &DeviceProfile) -> Vec<(&'static str, u32)> {
        let [lhs, rhs] = self.staged();
        let whole = outer_steps == 1 || length.is_multiple_of(u64::from(rhs));
        vec![
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("THREAD_M", self.thread_m),
            ("THREAD_N", self.thread_n),
            ("BLOCKS", self.thread_m * self.thread_n / 16),
            ("WG_SIZE", self.invocations()),
            ("LHS_VEC4", lhs),
            ("RHS_VEC4", rhs),
            ("STAGES", self.stages(profile)),
            ("SPLITS", self.splits),
            ("STRADDLES", u32::from(!whole)),
            if uneven { ("WHOLE", 0) } else { full_slabs(self.k, self.splits, outer_steps * length) },
        ]
    }
}

/// Whether every slab of a depth is full and every split has one: its loads then need no test for the end of the depth.
fn full_slabs(steps: u32, splits: u32, depth: u64) -> (&'static str, u32) {
    let slabs = depth / u64::from(steps);
    let last = u64::from(splits - 1) * slabs.div_ceil(u64::from(splits)); // the first slab of the last split
    ("WHOLE", u32::from(depth.is_multiple_of(u64::from(steps)) && last < slabs))
}

/// Rows or columns of an invocation, of a tile's so many.
const fn thread(side: u32) -> u32 {
    if side >= 64 { 8 } else { 4 }
}

impl std::fmt::Display for WorkgroupTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.m, self.n, self.k)?;
        if (self.thread_m, self.thread_n) != (thread(self.m), thread(self.n)) {
            write!(f, "x{}x{}", self.thread_m, self.thread_n)?;
        }
        if self.splits > 1 {
            write!(f, "/{}", self.splits)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::gemm::tile::{Tile, Tiling};
    use crate::types::ElementType;

    const GPU: DeviceProfile = DeviceProfile::MINIMAL;

    fn shape(rows: u64, columns: u64, depth: u64) -> GemmShape {
        GemmShape { rows, columns, depth, length: depth, products: 1, uneven: false, streams: true }
    }

    #[test]
    fn every_tile_is_what_its_label_says_and_fits_a_plain_device() {
        let roomy = DeviceProfile { max_workgroup_memory: 32_768, ..GPU };
        let mut labels = std::collections::HashSet::new();
        for tile in WorkgroupTile::every() {
            let label = tile.to_string();
            assert_eq!(WorkgroupTile::parse("gemm", &label, &roomy).unwrap(), tile, "{label}");
            assert!(WorkgroupTile::is_named_by(&label), "{label}");
            assert!((tile.invocations() as usize).is_multiple_of(tile.n as usize / 4), "{label}");
            assert!(labels.insert(label));
        }
        assert!(TILES.iter().all(|tile| tile.fits(&GPU)));
        assert!(!WorkgroupTile::is_named_by("24x8x4"));
    }

    #[test]
    fn tiles_that_do_not_run_are_refused_with_the_reason() {
        let reason = |text: &str, profile: &DeviceProfile| WorkgroupTile::parse("gemm_workgroup", text, profile).unwrap_err().to_string();
        let small = DeviceProfile { max_workgroup_memory: 8192, max_workgroup_invocations: 128, ..GPU };
        assert_eq!(
            reason("128x128x8", &small),
            "algorithm gemm_workgroup does not apply: the tile 128x128x8 needs 256 invocations and 8192 bytes of workgroup memory; the device has 128 and 8192"
        );
        assert!(reason("64x64x32", &GPU).contains("each of which stages 8 and 8 vec4s"), "{}", reason("64x64x32", &GPU));
        assert!(reason("128x128x16x4x4", &GPU).contains("1024 invocations"));
        for text in [
            "",
            "64",
            "64x64",
            "64x64x12",
            "48x64x16",
            "64x64x16x8",
            "64x64x16x8x6",
            "64x64x8x8x8",
            "64x64x16/0",
            "64x64x16/65",
            "64x64x16/x",
            "64x64x16/2/2",
        ] {
            assert!(reason(text, &GPU).contains("its tile is") || reason(text, &GPU).contains("its depth is split"), "{text}");
        }
    }

    #[test]
    fn large_products_get_large_tiles_and_deep_narrow_ones_splits() {
        let choose = |rows, columns, depth, profile: &DeviceProfile| WorkgroupTile::choose(&shape(rows, columns, depth), profile).to_string();
        for (rows, columns, depth, label) in [
            (4096, 4096, 4096, "128x128x16"),
            (64, 56 * 56 * 32, 576, "64x128x16"),
            (2048, 196, 512, "64x32x16"),
            (64, 112 * 112, 147, "64x32x16"),
            (512, 49, 4608, "64x32x16/16"),
            (40, 40, 70_000, "32x32x16/16"),
            (512, 49, 64, "32x32x16"),
            (16, 16, 100, "32x32x16"),
        ] {
            assert_eq!(choose(rows, columns, depth, &GPU), label, "{rows} x {columns} x {depth}");
            let cpu = choose(rows, columns, depth, &DeviceProfile { is_cpu: true, ..GPU });
            assert!(!cpu.contains('/'), "a processor gains nothing from splits: {cpu}");
        }
        let intel = DeviceProfile { registers: 64, ..GPU };
        assert_eq!(choose(4096, 4096, 4096, &intel), "64x64x16x4x4", "16 sums an invocation");
        assert_eq!(choose(512, 49, 4608, &intel), "64x32x16x4x4/16");
        let narrow = DeviceProfile { max_binding_bytes: 512 * 52 * 4, ..GPU };
        assert_eq!(choose(512, 49, 4608, &narrow), "32x32x16", "partial sums that do not fit one binding");
    }

    /// Without tests, a load past the depth would read what is not there: a rest of steps, or a split without a slab, keeps them.
    #[test]
    fn loads_go_without_a_test_where_every_slab_of_every_split_is_full() {
        let whole = |splits, depth| full_slabs(16, splits, depth).1;
        assert_eq!([whole(1, 16), whole(1, 160), whole(1, 161), whole(1, 8)], [1, 1, 0, 0]);
        // Four splits of ten slabs have 3, 3, 3 and 1; of nine 3, 3, 3 and none.
        assert_eq!([whole(4, 160), whole(4, 144), whole(4, 64), whole(4, 48)], [1, 0, 1, 0]);
        // A chunk of the depth has its own rest.
        let tile = Tile::Workgroup(WorkgroupTile { splits: 2, ..WorkgroupTile::new(64, 64, 16) });
        let tiling = Tiling { tile, shape: shape(64, 64, 512) };
        let consts = |depth| tiling.consts(depth, ElementType::F32, &GPU);
        let sliced = |depth| consts(depth).into_iter().find(|(name, _)| *name == "WHOLE").map(|(_, whole)| whole);
        assert_eq!([sliced(512), sliced(500), sliced(16), sliced(32)], [Some(1), Some(0), Some(0), Some(1)]);
    }

    #[test]
    fn a_tuner_tries_each_tile_once_and_few_on_a_processor() {
        let shape = shape(512, 196, 4608);
        let tiles = WorkgroupTile::candidates(&shape, &GPU);
        let labels: std::collections::HashSet<String> = tiles.iter().map(WorkgroupTile::to_string).collect();
        assert_eq!(labels.len(), tiles.len());
        assert!(tiles.len() > 12 && labels.contains("128x128x16") && labels.iter().any(|l| l.contains('/')), "{labels:?}");
        assert!(WorkgroupTile::candidates(&shape, &DeviceProfile { is_cpu: true, ..GPU }).len() <= 2);
    }
}
