//! Operations on one tensor or two, element by element.

pub(crate) mod binary;
pub(crate) mod unary;
