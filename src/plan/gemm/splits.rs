//! A depth that several workgroups or calls share: each leaves partial sums in f32, which a kernel of the family adds in order (`shaders/gemm/sum.wgsl`)
//! and finishes.

use crate::plan::gemm::tile::GemmShape;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{INDEX_LIMIT, check_binding};
use crate::types::{Error, Result};

/// Bytes of the partial sums of so many shares of the depth, by the rows of all products; rows of them are whole vec4s.
pub(crate) fn partial_bytes(rows: u64, columns: u64, shares: u64) -> u64 {
    rows.saturating_mul(shares).saturating_mul(columns.next_multiple_of(4)).saturating_mul(4)
}

/// The same for a product.
///
/// # Errors
/// More than one binding or 31 bits hold.
pub(crate) fn partial_sums(shape: &GemmShape, shares: u64, profile: &DeviceProfile) -> Result<u64> {
    let bytes = partial_bytes(shape.rows.saturating_mul(shape.products), shape.columns, shares);
    let argument = format!("partial sums of {shares} splits");
    check_binding(&argument, bytes, profile)?;
    if bytes / 4 >= INDEX_LIMIT {
        let (unit, limit_name) = ("elements", "the largest 31-bit index");
        return Err(Error::TooLarge { argument, needed: (bytes / 4).into(), unit, limit_name, limit: INDEX_LIMIT - 1 });
    }
    Ok(bytes)
}

/// Invocations of the kernel that adds them: four rows and four columns each.
pub(crate) fn sum_items(shape: &GemmShape) -> u64 {
    shape.products * shape.rows.div_ceil(4) * shape.columns.div_ceil(4)
}
