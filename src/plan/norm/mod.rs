//! Planners of normalisations.

pub(crate) mod batch;
pub(crate) mod lrn;
pub(crate) mod rows;
