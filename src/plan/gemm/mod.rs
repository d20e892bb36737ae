//! What convolutions and products share as matrix products, once: the tiles of the cores with workgroup memory, with registers alone and on cooperative matrices
//! (`tile`, and a file for each core); what an algorithm contributes to a plan (`method`); how operands are packed (`packing`) and their ranges found
//! (`magnitudes`); how a product is cut to fit the bindings (`parts`), and how those who share a depth leave partial sums (`splits`).

pub(crate) mod magnitudes;
pub(crate) mod matrix;
pub(crate) mod method;
pub(crate) mod packing;
pub(crate) mod parts;
pub(crate) mod register;
pub(crate) mod splits;
pub(crate) mod tile;
pub(crate) mod workgroup;
