//! Tiles of the register core (`shaders/gemm/register.wgsl`): which shapes there are, how labels name them, and which of them a product gets.

use crate::plan::gemm::tile::GemmShape;
use crate::plan::profile::DeviceProfile;
use crate::types::{ElementType, Error, Result};

/// A tile of the register core (`shaders/gemm/register.wgsl`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RegisterTile {
    /// Rows of one invocation, a multiple of 4.
    pub rows: u32,
    /// Columns of one invocation in fours, 1 or 2.
    vec4s: u32,
    /// Steps of the depth in one iteration of the loop: 1 to 4.
    steps: u32,
}

impl RegisterTile {
    /// Shapes worth timing, with as many rows as the product fills and no more steps an iteration than an outer K step has.
    pub fn candidates(rows: u64, length: u64) -> Vec<Self> {
        let shapes: [(u64, u32, u64); 8] = [(32, 1, 4), (16, 1, 4), (16, 2, 4), (24, 2, 2), (24, 2, 4), (32, 2, 4), (16, 1, 1), (8, 2, 4)];
        let mut tiles = Vec::new();
        for (most, vec4s, steps) in shapes {
            let tile = Self { rows: fill(rows, most), vec4s, steps: steps.min(length.max(1)) as u32 };
            if !tiles.contains(&tile) {
                tiles.push(tile);
            }
        }
        tiles
    }

    /// The tile for a product.
    pub fn choose(shape: &GemmShape, profile: &DeviceProfile) -> Self {
        let GemmShape { rows, columns, depth, length, .. } = *shape;
        // benchmarks/notebook/2026-11-21-tiles-of-the-register-core.md. Each gather of the right-hand side serves most rows at 32. Mesa 22 was
        // within 1.17 of its best with 24 by 2 steps, and 32x8x4 took 1.2 times as long on 3x3_512_512_7 there.
        let (most, steps) = match rows.saturating_mul(columns).saturating_mul(depth) {
            ..0x10_0000 => (16, 2), // a driver takes longer to compile a taller tile than a million multiply-adds to run
            _ if profile.is_old_llvmpipe() && length > 4 => (24, 2),
            _ => (32, 4),
        };
        // So few rows use what they read once: where that comes from memory and not from a cache, one vec4 an invocation was faster.
        let streams = shape.streams && rows <= 4 && columns.saturating_mul(depth) > 1_500_000;
        let vec4s = if columns > 32 && !streams { 2 } else { 1 };
        let steps = if rows <= 4 { 4 } else { steps };
        // An iteration takes all of a short outer K step: what would be left has a loop of its own.
        let steps = if length <= 4 { length.max(1) } else { steps };
        Self { rows: fill(rows, most), vec4s, steps: steps as u32 }
    }

    /// The tile that a label names, such as `24x8x4`.
    pub fn parse(algorithm: &str, text: &str) -> Result<Self> {
        let numbers: Option<Vec<u32>> = text.split('x').map(|n| n.parse().ok()).collect();
        match numbers.unwrap_or_default()[..] {
            [rows @ (4 | 8 | 12 | 16 | 20 | 24 | 28 | 32), columns @ (4 | 8), steps @ 1..=4] => Ok(Self { rows, vec4s: columns / 4, steps }),
            _ => Err(Error::Unsupported {
                algorithm: format!("{algorithm} {text}"),
                reason: "its tile is rows x columns x steps: a multiple of 4 up to 32, 4 or 8, and 1 to 4".into(),
            }),
        }
    }

    /// Columns that lie together in a packed right-hand side: those of eight invocations, which a CPU-like driver runs in step. It then
    /// reads one line after the other.
    pub fn panel(&self) -> u64 {
        u64::from(32 * self.vec4s)
    }

    /// Invocations of a workgroup: the most of a few sizes that leave no more idle than the best of them by a tenth. Only a few, because
    /// each is a pipeline of its own.
    fn threads(&self, columns: u64, depth: u64) -> u32 {
        if self.steps == 1 {
            return 64; // the tile of small problems: idle invocations cost nothing there
        }
        if depth >= 512 {
            return 8; // a workgroup costs little beside its work, and its columns should stay in the cache for the next rows
        }
        let threads = columns.div_ceil(4 * u64::from(self.vec4s));
        let covered = |together: u32| threads.next_multiple_of(u64::from(together));
        let sizes = [32, 16, 8];
        let fewest = sizes.into_iter().map(covered).min().unwrap_or_default();
        sizes.into_iter().find(|&together| covered(together) <= fewest + fewest / 10).unwrap_or(8)
    }

    /// Columns of one workgroup where there are `columns` in all.
    pub fn width(&self, columns: u64, depth: u64) -> u64 {
        u64::from(self.threads(columns, depth) * self.vec4s * 4)
    }

    /// Iterations of the loops of one invocation over `outer_steps` runs of `length` steps each.
    pub fn iterations(&self, outer_steps: u64, length: u64) -> u64 {
        let steps = u64::from(self.steps);
        outer_steps.saturating_mul(length / steps + length % steps + 2)
    }

    /// The core's prelude, for a depth cut into outer K steps of `length` steps.
    pub fn consts(&self, columns: u64, depth: u64, length: u64, element: ElementType, profile: &DeviceProfile) -> Vec<(&'static str, u32)> {
        let threads = self.threads(columns, depth);
        let mut consts =
            vec![("THREAD_M", self.rows), ("THREAD_VEC4", self.vec4s), ("STEPS", self.steps), rest(self.steps, length), ("ROW_THREADS", threads)];
        if profile.loads_half_vec4(element) && self.steps > 1 {
            consts.extend(profile.subgroup.filter(|&subgroup| threads.is_multiple_of(subgroup)).map(|subgroup| ("LHS_THREADS", subgroup)));
        }
        consts
    }
}

impl std::fmt::Display for RegisterTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.rows, self.vec4s * 4, self.steps)
    }
}

/// Whether full iterations leave single steps of an outer K step: the loop over them is compiled only then.
fn rest(steps: u32, length: u64) -> (&'static str, u32) {
    ("REST", u32::from(steps == 1 || !length.is_multiple_of(u64::from(steps))))
}

/// Rows of a tile, in fours and at most `most`, so that the fewest tiles cover `rows` with the least left over.
fn fill(rows: u64, most: u64) -> u32 {
    let tiles = rows.div_ceil(most).max(1);
    rows.div_ceil(tiles).next_multiple_of(4) as u32 // at most `most`
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::gemm::tile::{Tile, Tiling};

    fn shape([rows, columns, depth, length]: [u64; 4], streams: bool) -> GemmShape {
        GemmShape { rows, columns, depth, length, products: 1, uneven: false, streams }
    }

    /// Without a rest, the loop over single steps is not in the kernel at all.
    #[test]
    fn a_k_step_takes_all_of_a_short_inner_k() {
        let old_llvmpipe = DeviceProfile { is_cpu: true, max_loop_iterations: 65_535, ..DeviceProfile::MINIMAL };
        let cpu = DeviceProfile { is_cpu: true, ..DeviceProfile::MINIMAL };
        for profile in [old_llvmpipe, cpu] {
            for length in 1..=4 {
                let tile = RegisterTile::choose(&shape([64, 12_544, 49 * length, length], false), &profile);
                let consts = tile.consts(12_544, 49 * length, length, ElementType::F32, &profile);
                let rest = consts.iter().find(|(name, _)| *name == "REST").map(|(_, value)| *value);
                assert_eq!((u64::from(tile.steps), rest), (length, Some(u32::from(length == 1))), "{length}");
            }
        }
    }

    /// Each as `tune` found it (benchmarks/results/2026-11-21-planner-beside-tuner.md).
    #[test]
    fn tiles_follow_what_was_measured() {
        let cpu = DeviceProfile { is_cpu: true, ..DeviceProfile::MINIMAL };
        let old_llvmpipe = DeviceProfile { max_loop_iterations: 65_535, ..cpu };
        assert!(old_llvmpipe.is_old_llvmpipe() && !cpu.is_old_llvmpipe());
        for (product, new, old) in [
            ([64, 3136, 576, 64], "32x8x4", "24x8x2"), // 3x3_64_64_56
            ([32, 12_544, 27, 3], "32x8x3", "32x8x3"), // 3x3_3_32_224_s2: an iteration takes the whole outer K step
            ([16, 100, 150, 6], "16x8x2", "16x8x2"),   // LeNet's C3: small
            ([1, 120, 400, 400], "4x8x4", "4x8x4"),    // its C5: one row
            ([1, 4096, 4096, 4096], "4x8x4", "4x8x4"),
            ([4, 512, 512, 512], "4x8x4", "4x8x4"),
            ([2, 150_544, 64, 64], "4x8x4", "4x8x4"), // U-Net's last layer: two filters
        ] {
            let choice = |profile: &DeviceProfile| RegisterTile::choose(&shape(product, false), profile).to_string();
            assert_eq!([choice(&cpu), choice(&old_llvmpipe)], [new, old], "{product:?}");
        }
        let product = |rows, columns, depth| RegisterTile::choose(&shape([rows, columns, depth, depth], true), &cpu).to_string();
        assert_eq!([product(1, 4096, 4096), product(1, 120, 400), product(64, 4096, 4096)], ["4x4x4", "4x8x4", "32x8x4"]); // weights from memory
    }

    /// A chunk of the depth may leave steps over where the whole does not.
    #[test]
    fn a_slice_has_its_own_rest() {
        let cpu = DeviceProfile { is_cpu: true, ..DeviceProfile::MINIMAL };
        let whole = shape([512; 4], true);
        let tiling = Tiling { tile: Tile::Register(RegisterTile::choose(&whole, &cpu)), shape: whole };
        let consts = |depth| tiling.consts(depth, ElementType::F32, &cpu);
        let rest = |depth| consts(depth).into_iter().find(|(name, _)| *name == "REST").map(|(_, rest)| rest);
        assert_eq!([rest(512), rest(127), rest(128)], [Some(0), Some(1), Some(0)]);
        let others = |depth| consts(depth).into_iter().filter(|(name, _)| *name != "REST").collect::<Vec<_>>();
        assert_eq!(others(512), others(127));
    }

    /// The left-hand side is shared where threads of one subgroup can, by whole subgroups, and where an iteration has enough steps.
    #[test]
    fn the_left_hand_side_is_shared_where_it_can_be() {
        let able = DeviceProfile { is_cpu: true, has_int64: true, subgroup: Some(8), ..DeviceProfile::MINIMAL };
        let shared = |tile: &str, element, profile: &DeviceProfile| {
            let tile = RegisterTile::parse("gemm_register", tile).unwrap();
            tile.consts(4096, 1024, 1024, element, profile).iter().find(|(name, _)| *name == "LHS_THREADS").map(|(_, value)| *value)
        };
        assert_eq!(shared("32x8x4", ElementType::F32, &able), Some(8));
        assert_eq!(shared("32x8x1", ElementType::F32, &able), None);
        assert_eq!(shared("32x8x4", ElementType::F16, &able), None);
        // A subgroup larger than the eight invocations of the workgroup; no shuffles; no 64-bit integers; a GPU.
        for profile in [
            DeviceProfile { subgroup: Some(16), ..able },
            DeviceProfile { subgroup: None, ..able },
            DeviceProfile { has_int64: false, ..able },
            DeviceProfile { is_cpu: false, ..able },
        ] {
            assert_eq!(shared("32x8x4", ElementType::F32, &profile), None, "{profile:?}");
        }
    }
}
