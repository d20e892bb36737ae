//! Normalisations: of rows, of batches with known statistics, of neighbouring channels.

pub(crate) mod batch;
pub(crate) mod lrn;
pub(crate) mod rows;

use crate::types::{Error, Result};

pub(crate) fn check_epsilon(epsilon: f32) -> Result<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(Error::invalid("epsilon", epsilon, "epsilon is finite and not negative"))
}
