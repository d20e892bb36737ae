//! Products on cooperative matrices: the tiles of their core (`shaders/gemm/coop.wgsl`) and the bound of their errors.

use crate::numeric::{Accuracy, MatrixError, Operands};
use crate::plan::gemm::tile::{Core, GemmShape};
use crate::plan::profile::{CoopMatrix, DeviceProfile};
use crate::shader::{ALONG_K, PARTS};
use crate::types::{ElementType, Error, Result};

/// A tile of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoopTile {
    pub m: u32,
    pub n: u32,
    k: u32,
    /// The part of one subgroup.
    sub_m: u32,
    sub_n: u32,
    pub operands: Operands,
    /// Whether steps of the depth are neighbours in packed operands and in workgroup memory; else rows and packed columns are.
    pub along_k: bool,
    /// Workgroups that share the depth.
    pub splits: u32,
    /// Whether an invocation reads the next slab before it multiplies one.
    reads_ahead: bool,
}

/// Workgroups that keep the cores of a large GPU busy: an NVIDIA H100 has 132.
const ENOUGH_WORKGROUPS: u64 = 120;

/// Multiply-adds from which on the units pay: below, what goes before and after them, such as the measuring of f32 operands, takes as long as they save. Measured
/// on an NVIDIA H200 (benchmarks/results/2026-11-26-nvidia-h200-halves.md).
pub(crate) fn fewest_multiply_adds(element: ElementType) -> u64 {
    if element == ElementType::F16 { 100_000_000 } else { 1_000_000_000 }
}

/// Steps of the depth from which on the units pay. Splitting writes each number twice, and has to gain that back by products: of 256 steps it took 1.4 times
/// as long as plain sums on an NVIDIA H200, of 1152 it took 0.92 (benchmarks/results/2026-11-27-nvidia-h200-steps.md).
pub(crate) fn fewest_steps(operands: Operands) -> u64 {
    match operands {
        Operands::F16 => 64,
        Operands::F16x2 => 1024,
    }
}

/// Rows, columns and steps, and the rows and columns of one subgroup; the largest first. Those of one f16 a number ...
const TILES: [[u32; 5]; 6] =
    [[256, 128, 32, 64, 64], [128, 128, 32, 64, 64], [128, 64, 32, 32, 32], [64, 128, 32, 64, 32], [64, 64, 32, 32, 32], [32, 32, 32, 16, 16]];

/// ... and of two, whose sums take twice the registers.
const SPLIT_TILES: [[u32; 5]; 5] = [[128, 128, 32, 64, 32], [128, 64, 32, 32, 32], [64, 128, 32, 32, 32], [64, 64, 32, 32, 32], [32, 32, 32, 16, 16]];

/// Matrices of sums that a subgroup has names for: what 64 x 64 are of 16 x 16. Of small matrices, more would make a kernel of thousands of lines.
const MOST_SUMS: u32 = 16;

/// Most workgroups that share a depth.
const MOST_SPLITS: u32 = 16;

/// How the right-hand side of a product lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Numbers that one load brings: 8 or 4.
    pub grain: u32,
    /// Whether the core reads them where they are, steps of one column being neighbours; else they are packed as the rows are.
    pub in_place: bool,
}

impl CoopTile {
    fn subgroups(&self) -> u32 {
        (self.m / self.sub_m) * (self.n / self.sub_n)
    }

    /// Bytes of workgroup memory: both operands' slabs in f16, lines of them padded by 8, the columns along the depth, which takes more; and a matrix of f32
    /// sums for each subgroup.
    fn memory(&self, units: &CoopMatrix) -> u32 {
        let sums = units.extent.saturating_mul(units.extent).saturating_mul(self.subgroups() * 4);
        let rows = if self.along_k { self.m * (self.k + 8) } else { self.k * (self.m + 8) };
        sums.saturating_add(self.operands.parts() * (rows + self.n * (self.k + 8)) * 2)
    }

    fn fits(&self, units: &CoopMatrix, profile: &DeviceProfile) -> bool {
        let invocations = u64::from(self.subgroups()) * u64::from(units.subgroup);
        let sums = (self.sub_m / units.extent.max(1)) * (self.sub_n / units.extent.max(1));
        invocations > 0
            && sums <= MOST_SUMS
            && invocations <= u64::from(profile.max_workgroup_invocations)
            && invocations.is_multiple_of(u64::from(self.k / 4))
            && self.memory(units) <= profile.max_workgroup_memory
    }

    /// Tiles worth timing for a product, in both orders of the operands: each with the splits that the planner would give it. A software driver computes
    /// matrices as it computes all else: one tile is enough to see that.
    pub fn candidates(operands: Operands, shape: &GemmShape, profile: &DeviceProfile) -> Vec<Self> {
        let all = Self::held(operands, profile);
        if profile.is_cpu {
            return Self::usual(&all, profile).last().copied().into_iter().collect();
        }
        all.into_iter().map(|tile| tile.split(shape)).collect()
    }

    /// The tiles that the device holds, the largest first, in either order of the operands.
    fn held(operands: Operands, profile: &DeviceProfile) -> Vec<Self> {
        let Some(units) = &profile.matrix else { return vec![] };
        let all: &[[u32; 5]] = match operands {
            Operands::F16 => &TILES,
            Operands::F16x2 => &SPLIT_TILES,
        };
        let orders = |tile: Self| [false, true].map(|along_k| Self { along_k, ..tile });
        let tiles =
            all.iter().map(|&[m, n, k, sub_m, sub_n]| Self { m, n, k, sub_m, sub_n, operands, along_k: false, splits: 1, reads_ahead: false });
        tiles.flat_map(orders).filter(|tile| tile.fits(units, profile)).collect()
    }

    /// Those in the order that the units like.
    fn usual<'a>(tiles: &'a [Self], profile: &DeviceProfile) -> impl DoubleEndedIterator<Item = &'a Self> + use<'a> {
        let along_k = profile.matrix.is_some_and(|units| units.along_k);
        tiles.iter().filter(move |tile| tile.along_k == along_k)
    }

    fn workgroups(&self, shape: &GemmShape) -> u64 {
        shape.rows.div_ceil(u64::from(self.m)).saturating_mul(shape.columns.div_ceil(u64::from(self.n))).saturating_mul(shape.products)
    }

    /// The tile with as many workgroups to a depth as its product needs to fill a large GPU, and as leave each of them eight slabs.
    fn split(self, shape: &GemmShape) -> Self {
        let slabs = shape.depth.div_ceil(u64::from(self.k));
        let workgroups = self.workgroups(shape);
        let mut splits = 1;
        while splits < MOST_SPLITS && workgroups.saturating_mul(u64::from(splits)) < ENOUGH_WORKGROUPS && slabs >= u64::from(splits) * 16 {
            splits *= 2;
        }
        self.shared_by(splits, shape)
    }

    /// The tile with so many workgroups to a depth. Where a core has one workgroup of few subgroups, nothing but reading ahead hides how long reads take;
    /// what that takes of registers costs more where several share a core (measured: benchmarks/results/2026-11-27-nvidia-h200-steps.md).
    fn shared_by(self, splits: u32, shape: &GemmShape) -> Self {
        let alone = self.workgroups(shape).saturating_mul(splits.into()) < 2 * ENOUGH_WORKGROUPS;
        Self { splits, reads_ahead: self.operands == Operands::F16 && self.subgroups() <= 4 && alone, ..self }
    }

    /// The tile for a product: of those that it fills by more than half either way the largest that keeps a large GPU busy, else the smallest; or the
    /// one that a label names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the device has no such tile, or no cooperative matrices at all.
    pub fn choose(algorithm: &str, operands: Operands, shape: &GemmShape, wanted: Option<&str>, profile: &DeviceProfile) -> Result<Self> {
        let tiles = Self::held(operands, profile);
        let refuse = |reason: String| Err(Error::Unsupported { algorithm: algorithm.into(), reason });
        let Some(smallest) = Self::usual(&tiles, profile).next_back() else {
            return refuse(match profile.matrix {
                None => "the device has no cooperative matrices for f16 operands and f32 sums, or subgroups of several sizes".into(),
                Some(_) => "the device holds none of its tiles: too few invocations or too little memory in a workgroup".into(),
            });
        };
        match wanted {
            None => {
                let filled = || Self::usual(&tiles, profile).filter(|t| shape.rows > u64::from(t.m) / 2 && shape.columns > u64::from(t.n) / 2);
                // Of the largest, a core holds one: it is for products that are large without sharing their depth.
                let busy = |t: &&Self| match t.m > 128 {
                    true => t.workgroups(shape) >= ENOUGH_WORKGROUPS * 3 / 2,
                    false => t.workgroups(shape) * u64::from(t.split(shape).splits) >= ENOUGH_WORKGROUPS,
                };
                Ok(filled().find(busy).or_else(|| filled().next_back()).unwrap_or(smallest).split(shape))
            }
            Some(text) => {
                let (tile, splits) = text.split_once('/').map_or((text, Some(1)), |(tile, splits)| (tile, splits.parse().ok()));
                let splits = splits.filter(|splits: &u32| splits.is_power_of_two() && *splits <= MOST_SPLITS);
                match (tiles.iter().find(|t| t.to_string() == tile), splits) {
                    (Some(tile), Some(splits)) => Ok(tile.shared_by(splits, shape)),
                    _ => {
                        let all = tiles.iter().map(Self::to_string).collect::<Vec<_>>().join(", ");
                        refuse(format!("its tiles here are {all}, each also with /2 to /{MOST_SPLITS}"))
                    }
                }
            }
        }
    }

    /// The core's prelude on a device that has cooperative matrices.
    pub fn consts(&self, columns: Columns, profile: &DeviceProfile) -> Vec<(&'static str, u32)> {
        let (extent, subgroup) = profile.matrix.map_or((0, 0), |units| (units.extent, units.subgroup));
        let loads_vectors = profile.matrix.is_none_or(|units| units.loads_vectors);
        let invocations = (self.subgroups() * subgroup).max(1);
        let blocks = |side: u32| side / extent.max(1);
        vec![
            ("MATRIX_16", u32::from(extent == 16)),
            (PARTS, self.operands.parts()),
            ("LOADS_VECTORS", u32::from(loads_vectors)),
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("SUB_M", self.sub_m),
            ("SUB_N", self.sub_n),
            ("BLOCKS_M", blocks(self.sub_m)),
            ("BLOCKS_N", blocks(self.sub_n)),
            ("GRAIN", columns.grain),
            (ALONG_K, u32::from(self.along_k)),
            ("RHS_IN_PLACE", u32::from(columns.in_place)),
            ("RHS_ALONG_K", u32::from(columns.in_place || self.along_k)),
            // Written out, the loop over a slab is up to a tenth faster with one f16 a number, and no faster with two.
            ("K_RUNS", if self.operands == Operands::F16 { blocks(self.k).max(1) } else { 1 }),
            ("READS_AHEAD", u32::from(self.reads_ahead)),
            ("COLUMN_LINES", (extent.saturating_mul(extent) / 4).div_ceil(subgroup.max(1))),
            ("LHS_READS", (self.k * self.m / 8).div_ceil(invocations)),
            ("RHS_READS", (self.k * self.n / columns.grain).div_ceil(invocations)),
            ("SPLITS", self.splits),
            ("ROW_THREADS", subgroup),
            ("WG_SIZE", invocations),
        ]
    }
}

impl std::fmt::Display for CoopTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}{}", self.m, self.n, self.k, if self.along_k { "k" } else { "" })?;
        if self.splits > 1 { write!(f, "/{}", self.splits) } else { Ok(()) }
    }
}

/// Whether the device has a tile for a product on cooperative matrices, and `accuracy` admits it; `more` as in [`MatrixError::new`].
///
/// # Errors
/// [`Error::Unsupported`] with the reason.
pub(crate) fn check(
    algorithm: &str,
    operands: Operands,
    shape: &GemmShape,
    element: ElementType,
    accuracy: Accuracy,
    more: u64,
    profile: &DeviceProfile,
) -> Result<()> {
    if operands == Operands::F16x2 && profile.matrix.is_some_and(|units| !units.splits) {
        return Err(Error::Unsupported {
            algorithm: algorithm.into(),
            reason: "this backend cannot add matrices of sums, or its units were found wanting".into(),
        });
    }
    check_accuracy(algorithm, operands, element, accuracy, shape.depth, more)?;
    profile.check_iterations(algorithm, Core::Matrix(operands).iterations(shape, profile))?;
    CoopTile::choose(algorithm, operands, shape, None, profile).map(|_| ())
}

/// Whether `accuracy` admits a product of `depth` steps on cooperative matrices.
///
/// # Errors
/// [`Error::Unsupported`] with the reason.
fn check_accuracy(algorithm: &str, operands: Operands, element: ElementType, accuracy: Accuracy, depth: u64, more: u64) -> Result<()> {
    let refuse = |reason: String| Err(Error::Unsupported { algorithm: algorithm.into(), reason });
    match (operands, element, accuracy) {
        (Operands::F16x2, ElementType::F16, _) => refuse("it splits f32 numbers; f16 tensors go to cooperative matrices as they are".into()),
        (_, _, Accuracy::Exact) => refuse("accuracy exact admits plain products and sums alone".into()),
        (Operands::F16, ElementType::F32, Accuracy::F32) => refuse("it rounds f32 operands to f16; accuracy reduced admits that".into()),
        (Operands::F16x2, _, Accuracy::F32) => {
            let relative = MatrixError::new(operands, element, depth, more).relative_to_plain(depth, more);
            if relative <= 1.0 {
                return Ok(());
            }
            refuse(format!("its error bound is {relative:.2} times that of plain f32 sums here; accuracy reduced admits that, f32 does not"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_keeps_the_bound_of_plain_sums_from_some_depth_on() {
        let check = |depth| check_accuracy("split", Operands::F16x2, ElementType::F32, Accuracy::F32, depth, 2);
        assert!(check(27).is_err() && check(32).is_err());
        for depth in [64, 576, 4608, 1 << 20] {
            assert!(check(depth).is_ok(), "{depth}");
        }
        assert!(check_accuracy("whole", Operands::F16, ElementType::F32, Accuracy::F32, 576, 2).is_err());
        assert!(check_accuracy("whole", Operands::F16, ElementType::F16, Accuracy::F32, 576, 2).is_ok());
    }

    #[test]
    fn tiles_are_chosen_by_the_product_and_the_device() {
        let units = CoopMatrix { extent: 16, subgroup: 32, loads_vectors: true, splits: true, along_k: false };
        let profile =
            DeviceProfile { matrix: Some(units), max_workgroup_memory: 48 << 10, max_workgroup_invocations: 1024, ..DeviceProfile::MINIMAL };
        let shape = |rows, columns, depth| GemmShape { rows, columns, depth, length: depth, products: 1, uneven: false, streams: true };
        let choose = |rows, columns, wanted, profile: &DeviceProfile| {
            CoopTile::choose("x", Operands::F16x2, &shape(rows, columns, 64), wanted, profile).map(|t| t.to_string())
        };
        assert_eq!(choose(512, 25088, None, &profile).unwrap(), "128x128x32");
        assert_eq!(choose(512, 3136, None, &profile).unwrap(), "128x64x32");
        assert_eq!(choose(512, 49, None, &profile).unwrap(), "32x32x32");
        assert_eq!(choose(10, 7, None, &profile).unwrap(), "32x32x32");
        assert_eq!(choose(512, 3136, Some("64x64x32"), &profile).unwrap(), "64x64x32");
        assert!(choose(512, 3136, Some("64x64x8"), &profile).is_err());
        assert_eq!(choose(512, 3136, Some("64x64x32/4"), &profile).unwrap(), "64x64x32/4");
        assert!(choose(512, 3136, Some("64x64x32/3"), &profile).is_err() && choose(512, 3136, Some("64x64x32/x"), &profile).is_err());
        // Of f16, and of depths that are worth sharing: what was measured to be fastest, or near it, on an H200.
        let halves = |rows, columns, depth| CoopTile::choose("x", Operands::F16, &shape(rows, columns, depth), None, &profile).unwrap().to_string();
        assert_eq!(halves(256, 784, 1152), "64x64x32/4");
        assert_eq!(halves(512, 49, 4608), "64x64x32/16");
        assert_eq!(halves(2048, 196, 512), "128x64x32/2");
        assert_eq!(halves(256, 6272, 2304), "128x128x32/2");
        assert_eq!(halves(256, 25_088, 1152), "256x128x32");
        assert_eq!(halves(2048, 2048, 2048), "128x128x32");
        // The order of the operands is the one that the units like; a label names the other one.
        let amd = DeviceProfile { matrix: Some(CoopMatrix { along_k: true, ..units }), ..profile };
        assert_eq!(choose(512, 25088, None, &amd).unwrap(), "128x128x32k");
        assert_eq!(choose(10, 7, None, &amd).unwrap(), "32x32x32k");
        assert_eq!(choose(512, 3136, Some("64x64x32/4"), &amd).unwrap(), "64x64x32/4");
        assert_eq!(choose(512, 3136, Some("64x64x32k/4"), &profile).unwrap(), "64x64x32k/4");
        let labels = |profile: &DeviceProfile| {
            CoopTile::candidates(Operands::F16, &shape(512, 3136, 64), profile).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(labels(&amd).contains(&"64x64x32k".into()) && labels(&amd).contains(&"64x64x32".into()));
        assert_eq!(labels(&DeviceProfile { is_cpu: true, ..amd }), ["32x32x32k"]);
        let small = DeviceProfile { max_workgroup_memory: 16 << 10, ..profile };
        assert_eq!(choose(512, 3136, None, &small).unwrap(), "32x32x32");
        assert!(choose(512, 3136, None, &DeviceProfile { matrix: None, ..profile }).is_err());
        // Whatever a profile says of the units, its constants are numbers: a square of 2^16 is past u32.
        let tile = CoopTile::choose("x", Operands::F16x2, &shape(512, 3136, 64), None, &profile).unwrap();
        for extent in [0, 1 << 16, u32::MAX] {
            let absurd = DeviceProfile { matrix: Some(CoopMatrix { extent, ..units }), ..profile };
            assert!(tile.consts(Columns { grain: 8, in_place: false }, &absurd).contains(&("MATRIX_16", 0)));
        }
    }
}
