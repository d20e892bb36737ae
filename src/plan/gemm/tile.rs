//! A tile of any of the three cores, as the planners of convolutions and of products see it: chosen for a product or named by a label, counted and turned
//! into the consts of its kernel. The cores' own files say which tiles there are.

use crate::numeric::Operands;
use crate::plan::gemm::matrix::CoopTile;
use crate::plan::gemm::register::RegisterTile;
use crate::plan::gemm::workgroup::WorkgroupTile;
use crate::plan::profile::DeviceProfile;
use crate::types::{ElementType, Result};

/// A product as the choice of a tile sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GemmShape {
    pub rows: u64,
    pub columns: u64,
    pub depth: u64,
    /// Steps of the depth that follow each other, such as the channels of one tap; all of them in a product of matrices.
    pub length: u64,
    /// Products of this shape that run at once: groups, phases of a stride, or a batch.
    pub products: u64,
    /// Some products may have a shorter depth or fewer columns: the numbers are the largest.
    pub uneven: bool,
    /// Its right-hand side is as large as it looks and comes from memory; windows are read again for each tap, from a cache.
    pub streams: bool,
}

impl GemmShape {
    /// Runs of neighbouring steps in the depth.
    pub fn outer_steps(&self) -> u64 {
        self.depth / self.length.max(1)
    }
}

/// What multiplies tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// With workgroup memory (`shaders/gemm/workgroup.wgsl`).
    Workgroup,
    /// With registers alone (`shaders/gemm/register.wgsl`).
    Register,
    /// With cooperative matrices (`shaders/gemm/coop.wgsl`).
    Matrix(Operands),
}

impl Core {
    /// Whether a device can have the core at all; of cooperative matrices, `matrix::check` says so.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] where not even its smallest tile fits.
    pub fn check(self, algorithm: &str, profile: &DeviceProfile) -> Result<()> {
        if self == Core::Workgroup { WorkgroupTile::check(algorithm, profile) } else { Ok(()) }
    }

    /// Iterations of the loops of one invocation, by the tile that is chosen for a product.
    pub fn iterations(self, shape: &GemmShape, profile: &DeviceProfile) -> u64 {
        match self {
            Core::Register => RegisterTile::choose(shape, profile).iterations(shape.outer_steps(), shape.length),
            Core::Workgroup | Core::Matrix(_) => WorkgroupTile::iterations(shape.depth),
        }
    }
}

/// A tile of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tile {
    Workgroup(WorkgroupTile),
    Register(RegisterTile),
    Matrix(CoopTile),
}

impl Tile {
    /// The tile that the rest of an algorithm's label names; without one, the tile for a product.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] where there is no such tile, or the device does not hold it.
    pub fn new(core: Core, algorithm: &str, named: Option<&str>, shape: &GemmShape, profile: &DeviceProfile) -> Result<Self> {
        Ok(match (core, named) {
            (Core::Workgroup, Some(text)) => Tile::Workgroup(WorkgroupTile::parse(algorithm, text, profile)?),
            (Core::Workgroup, None) => Tile::Workgroup(WorkgroupTile::choose(shape, profile)),
            (Core::Register, Some(text)) => Tile::Register(RegisterTile::parse(algorithm, text)?),
            (Core::Register, None) => Tile::Register(RegisterTile::choose(shape, profile)),
            (Core::Matrix(operands), named) => Tile::Matrix(CoopTile::choose(algorithm, operands, shape, named, profile)?),
        })
    }

    /// Labels of the tiles worth timing.
    pub fn candidates(core: Core, shape: &GemmShape, profile: &DeviceProfile) -> Vec<String> {
        match core {
            Core::Workgroup => WorkgroupTile::candidates(shape, profile).iter().map(ToString::to_string).collect(),
            Core::Register => RegisterTile::candidates(shape.rows, shape.length).iter().map(ToString::to_string).collect(),
            Core::Matrix(operands) => CoopTile::candidates(operands, shape, profile).iter().map(ToString::to_string).collect(),
        }
    }
}

impl std::fmt::Display for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tile::Workgroup(tile) => tile.fmt(f),
            Tile::Register(tile) => tile.fmt(f),
            Tile::Matrix(tile) => tile.fmt(f),
        }
    }
}

/// A product and the tile that covers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiling {
    pub tile: Tile,
    pub shape: GemmShape,
}

impl Tiling {
    /// Rows of a tile: the left-hand side is padded to a multiple.
    pub fn m(&self) -> u64 {
        match &self.tile {
            Tile::Workgroup(tile) => tile.m.into(),
            Tile::Register(tile) => tile.rows.into(),
            Tile::Matrix(tile) => tile.m.into(),
        }
    }

    /// Columns of a workgroup.
    pub fn n(&self) -> u64 {
        match &self.tile {
            Tile::Workgroup(tile) => tile.n.into(),
            Tile::Register(tile) => tile.width(self.shape.columns, self.shape.depth),
            Tile::Matrix(tile) => tile.n.into(),
        }
    }

    /// Workgroups that share the depth of a tile.
    pub fn splits(&self) -> u64 {
        match &self.tile {
            Tile::Workgroup(tile) => tile.splits.into(),
            Tile::Matrix(tile) => tile.splits.into(),
            Tile::Register(_) => 1,
        }
    }

    /// Columns that lie together in a packed right-hand side; 0: it is not cut into panels.
    pub fn panel(&self) -> u64 {
        if let Tile::Register(tile) = &self.tile { tile.panel() } else { 0 }
    }

    /// Whether the driver lets the loops of one invocation come to their end.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] where it does not.
    pub fn check_iterations(&self, algorithm: &str, profile: &DeviceProfile) -> Result<()> {
        let iterations = match &self.tile {
            Tile::Register(tile) => tile.iterations(self.shape.outer_steps(), self.shape.length),
            Tile::Workgroup(_) | Tile::Matrix(_) => WorkgroupTile::iterations(self.shape.depth),
        };
        profile.check_iterations(algorithm, iterations)
    }

    /// The core's prelude for a part of the product whose outer K steps have `length` steps: it may leave a rest where the whole does not. That of
    /// cooperative matrices depends on more ([`CoopTile::consts`]).
    pub fn consts(&self, length: u64, element: ElementType, profile: &DeviceProfile) -> Vec<(&'static str, u32)> {
        match &self.tile {
            Tile::Workgroup(tile) => tile.consts(self.shape.outer_steps(), length, self.shape.uneven, profile),
            Tile::Register(tile) => tile.consts(self.shape.columns, self.shape.depth, length, element, profile),
            Tile::Matrix(_) => vec![],
        }
    }
}
