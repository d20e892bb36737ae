//! Operations on one tensor, two or three, element by element.

pub(crate) mod binary;
pub(crate) mod cast;
pub(crate) mod unary;
pub(crate) mod where_cond;
