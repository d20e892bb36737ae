//! What products and convolutions share as matrix products: the tiles of the cores with workgroup memory, with registers alone and on matrix units,
//! and the ranges of operands that the latter need.

pub(crate) mod magnitudes;
pub(crate) mod matrix;
pub(crate) mod tile;
pub(crate) mod tile_workgroup;
