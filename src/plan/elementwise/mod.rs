//! Planners of elementwise ops.

pub(crate) mod binary;
pub(crate) mod unary;
