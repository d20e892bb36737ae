//! Shape ops: what networks need between convolutions to move, cut, join, pad and resize tensors. What only moves is exact; what interpolates has a
//! derived bound.

pub(crate) mod concat;
pub(crate) mod depth_to_space;
pub(crate) mod grid_sample;
pub(crate) mod linear;
pub(crate) mod moves;
pub(crate) mod pad;
pub(crate) mod reshape;
pub(crate) mod resize;
pub(crate) mod slice;
pub(crate) mod transpose;

/// The entry of a table of sources for an element that no source stands for.
pub(crate) const NOTHING: u32 = u32::MAX;
