//! Units in which sums cannot overflow.

/// The power of two of which a sum of `terms` finite f32 numbers stays finite when each is counted so many times: 1 / terms, rounded down to one. Means
/// are summed in it, which costs no rounding where no term underflows.
pub(crate) fn sum_unit(terms: u64) -> f32 {
    let exponent = u64::BITS - terms.max(1).saturating_sub(1).leading_zeros();
    0.5f32.powi(exponent as i32)
}
