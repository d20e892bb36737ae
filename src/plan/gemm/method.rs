//! What an algorithm contributes to the plan of a convolution or of a product: the kernels that are called for every part of the work, how each shares it
//! out, and what is kept in memory beside the tensors. Who plans fills in its own uniform and binds its own tensors.

use crate::plan::gemm::packing::Packed;
use crate::plan::gemm::tile::{GemmShape, Tile, Tiling};
use crate::plan::gemm::workgroup::WorkgroupTile;
use crate::plan::profile::DeviceProfile;
use crate::shader::KernelSpec;
use crate::shader::source::KernelSource;
use crate::shader::source_gemm::{STORE_COLUMNS, STORE_FILTERS, STORE_PARTIALS};
use crate::types::ElementType;

/// What an algorithm contributes to a plan.
pub(crate) struct Method {
    /// The numbers of its tile, for labels; may be empty.
    pub tile: String,
    /// Called for every part, one after the other.
    pub calls: Vec<Call>,
    pub memory: Memory,
}

/// What an algorithm keeps in memory beside the tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Each operand, where a core reads it packed.
    pub packed: [Option<Packed>; 2],
    /// Both operands for cooperative matrices.
    pub halves: Option<Halves>,
    /// Workgroups that share the depth of a tile.
    pub splits: u64,
}

/// Operands that cooperative matrices read: so many f16 of each number, in tiles of so many rows and columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves {
    pub parts: u32,
    /// Whether eights of steps lie together; else eights of rows or columns.
    pub along_k: bool,
    pub widths: [u64; 2],
}

impl Method {
    /// One kernel that reads the operands as they are.
    pub fn plain(tile: String, call: Call) -> Self {
        Self { tile, calls: vec![call], memory: Memory { packed: [None; 2], halves: None, splits: 1 } }
    }

    /// The kernel of a core. What cannot be scaled for cooperative matrices, which is known only when it runs, `fallback` computes: both are called, and one of
    /// them leaves at once. `rhs`: how the right-hand side is packed.
    pub fn tiled(tiling: Tiling, source: &'static KernelSource, fallback: &'static KernelSource, rhs: Option<Packed>, element: ElementType) -> Self {
        let call = |source, tiling| Call { source, consts: vec![], overrides: vec![], work: Work::Tiles(tiling) };
        let mut calls = vec![call(source, tiling)];
        let halves = match tiling.tile {
            Tile::Matrix(tile) => Some(Halves { parts: tile.operands.parts(), along_k: tile.along_k, widths: [tiling.m(), tiling.n()] }),
            Tile::Workgroup(_) | Tile::Register(_) => None,
        };
        if halves.is_some() && element == ElementType::F32 {
            // It leaves the partial sums that the other would.
            let tile = Tile::Workgroup(WorkgroupTile::of_rows(tiling.m() as u32, tiling.splits() as u32));
            calls.push(call(fallback, Tiling { tile, ..tiling }));
        }
        let reads_plain = halves.is_none() || calls.len() > 1;
        let packed = if reads_plain { [Some(Packed::Panels(tiling.m())), rhs] } else { [None; 2] };
        Self { tile: tiling.tile.to_string(), calls, memory: Memory { packed, halves, splits: tiling.splits() } }
    }

    /// The name of an algorithm with the numbers of its tile.
    pub fn label(&self, algorithm: &str) -> String {
        format!("{algorithm} {}", self.tile).trim_end().to_string()
    }
}

/// A kernel, and how it shares out its work.
pub(crate) struct Call {
    pub source: &'static KernelSource,
    /// Beside those that follow from the work.
    pub consts: Vec<(&'static str, u32)>,
    pub overrides: Vec<(&'static str, u32)>,
    pub work: Work,
}

impl Call {
    /// Whether it multiplies on cooperative matrices.
    pub fn reads_halves(&self) -> bool {
        matches!(self.work, Work::Tiles(Tiling { tile: Tile::Matrix(_), .. }))
    }

    /// The kernel for a part of this shape.
    pub fn kernel(&self, shape: &GemmShape, element: ElementType, profile: &DeviceProfile) -> KernelSpec {
        let mut consts = match self.work {
            Work::Outputs | Work::Blocks { .. } => vec![],
            Work::Lines { swapped, threads } => {
                let short = if swapped { shape.columns } else { shape.rows };
                vec![("SHORT", short as u32), ("ROW_THREADS", threads as u32)]
            }
            Work::Tiles(tiling) => tiling.consts(shape.length, element, profile),
        };
        consts.extend(&self.consts);
        KernelSpec { source: self.source, element, consts, overrides: self.overrides.clone() }
    }
}

/// How a kernel shares out its work.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// One output an invocation.
    Outputs,
    /// One block of neighbouring outputs an invocation: so many in every `positions` columns of a row.
    Blocks { blocks: u64, positions: u64 },
    /// `threads` invocations a line of the long operand: the left-hand one if `swapped`.
    Lines { swapped: bool, threads: u64 },
    /// One workgroup a tile and split.
    Tiles(Tiling),
}

/// The work of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tiles along the rows and the columns; 0 where there are none.
    pub tiles: [u64; 2],
    pub items: u64,
    pub workgroups: u64,
}

impl Work {
    /// The work of a part of this shape.
    pub fn count(&self, shape: &GemmShape) -> Count {
        let GemmShape { rows, columns, products, .. } = *shape;
        let items = |items: u64, in_workgroup: u64| Count { tiles: [0; 2], items, workgroups: items.div_ceil(in_workgroup) };
        match *self {
            Work::Outputs => items(products * rows * columns, 64),
            Work::Blocks { blocks, positions } => items(products * rows * (columns / positions) * blocks, 64),
            Work::Lines { swapped, threads } => items(products * if swapped { rows } else { columns }, 64 / threads),
            Work::Tiles(tiling) => {
                let tiles = [rows.div_ceil(tiling.m()), columns.div_ceil(tiling.n())];
                let all = tiles[0] * tiles[1] * products * tiling.splits();
                Count { tiles, items: all, workgroups: all }
            }
        }
    }
}

/// What a kernel does with its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// Finishes and stores them one by one.
    Scalars,
    /// Finishes and stores four columns at once: rows of the output are a multiple of four.
    Columns,
    /// Finishes and stores four filters at once, of a channels-last output.
    Filters,
    /// Stores them as they are, for another kernel to add up.
    Partials,
}

impl Store {
    /// The consts of a kernel that reads vec4s and stores so.
    pub fn consts(self, element: ElementType, profile: &DeviceProfile) -> Vec<(&'static str, u32)> {
        let vec4s = profile.vec4_consts(element);
        let store = |value: u32| vec![("STORE_VEC4", value)];
        match self {
            Store::Scalars => vec4s,
            Store::Columns => [vec4s, store(STORE_COLUMNS)].concat(),
            Store::Filters => [store(STORE_FILTERS), vec4s].concat(),
            Store::Partials => [vec4s, store(STORE_PARTIALS)].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_has_its_item() {
        let shape = GemmShape { rows: 70, columns: 2 * 49, depth: 576, length: 64, products: 3, uneven: false, streams: false };
        let profile = DeviceProfile::MINIMAL;
        let tiling = Tiling { tile: Tile::Workgroup(WorkgroupTile::parse("gemm", "64x64x16/4", &profile).unwrap()), shape };
        for (work, tiles, items, workgroups) in [
            (Work::Outputs, [0, 0], 3 * 70 * 98, 322), // of 64 each
            (Work::Blocks { blocks: 4 * 2, positions: 49 }, [0, 0], 3 * 70 * 2 * 8, 53),
            (Work::Lines { swapped: false, threads: 16 }, [0, 0], 3 * 98, 74),
            (Work::Lines { swapped: true, threads: 1 }, [0, 0], 3 * 70, 4),
            (Work::Tiles(tiling), [2, 2], 2 * 2 * 3 * 4, 48),
        ] {
            assert_eq!(work.count(&shape), Count { tiles, items, workgroups });
        }
    }
}
