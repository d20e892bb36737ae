//! Planners of elementwise ops.

pub(crate) mod binary;
pub(crate) mod cast;
pub(crate) mod dropout;
pub(crate) mod optimizer;
pub(crate) mod pieces;
pub(crate) mod unary;
pub(crate) mod where_cond;
