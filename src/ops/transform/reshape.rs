//! Reshape and flatten: the same elements in the same logical order under other extents. Nothing is copied where the memory order
//! is the logical one.

use crate::types::{Error, Result, TensorShape};

/// The extents that `shape` asks for: 0 keeps x's extent at that place, and one -1 is what the count leaves.
///
/// # Errors
/// A second -1 or another negative extent, a 0 past x's rank, a count other than x's, rank above 5.
pub fn reshape_extents(x: &[usize], shape: &[isize]) -> Result<Vec<usize>> {
    let text = || format!("{shape:?}");
    let count = TensorShape::named("x", x)?.element_count();
    let mut extents = Vec::with_capacity(shape.len());
    let mut inferred = None;
    for (axis, &extent) in shape.iter().enumerate() {
        let extent = match extent {
            0 => *x.get(axis).ok_or_else(|| {
                Error::invalid("shape", text(), format!("0 at axis {axis} keeps an extent of x, but x is {x:?}, of rank {}", x.len()))
            })?,
            -1 => {
                if let Some(first) = inferred.replace(axis) {
                    return Err(Error::invalid(
                        "shape",
                        text(),
                        format!("only one extent can be -1 (inferred), not those at axes {first} and {axis}"),
                    ));
                }
                1
            }
            negative if negative < 0 => {
                return Err(Error::invalid("shape", text(), format!("extent {negative} at axis {axis} must be positive, 0 (kept) or -1 (inferred)")));
            }
            positive => positive as usize,
        };
        extents.push(extent);
    }
    let given = TensorShape::named("shape", &extents)?.element_count();
    if let Some(axis) = inferred {
        if !count.is_multiple_of(given) {
            return Err(Error::invalid("shape", text(), format!("the {count} elements of x cannot be split into parts of {given}")));
        }
        // At most the count, which a usize holds wherever the tensor exists.
        extents[axis] = (count / given) as usize;
    } else if given != count {
        return Err(Error::invalid("shape", text(), format!("a reshape keeps the count: {given} against the {count} elements of x")));
    }
    Ok(extents)
}

/// The extents of x flattened before and from `axis`: \[product before, product from\]. A negative axis counts from the end.
///
/// # Errors
/// An axis outside -rank ..= rank; a rank above 5.
pub fn flatten_extents(x: &[usize], axis: isize) -> Result<Vec<usize>> {
    TensorShape::named("x", x)?;
    let rank = x.len() as isize; // at most 5
    let front = if axis < 0 { axis.saturating_add(rank) } else { axis };
    if front < 0 || front > rank {
        return Err(Error::invalid("axis", axis, format!("it must lie within {} ..= {rank} for x of shape {x:?}", -rank)));
    }
    let (before, from) = x.split_at(front as usize);
    Ok(vec![before.iter().product(), from.iter().product()]) // parts of a checked product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_kept_inferred_and_counted() {
        assert_eq!(reshape_extents(&[2, 3, 4], &[0, -1]).unwrap(), [2, 12]);
        assert_eq!(reshape_extents(&[2, 3, 4], &[4, 0, 2]).unwrap(), [4, 3, 2]);
        assert_eq!(reshape_extents(&[2, 3, 4], &[-1]).unwrap(), [24]);
        assert_eq!(reshape_extents(&[1, 1], &[]).unwrap(), [0usize; 0]);
        assert_eq!(reshape_extents(&[], &[1, -1]).unwrap(), [1, 1]);
        let refused = |x: &[usize], shape: &[isize]| reshape_extents(x, shape).unwrap_err().to_string();
        assert_eq!(refused(&[3, 4], &[2, 5]), "shape is [2, 5]: a reshape keeps the count: 10 against the 12 elements of x");
        assert_eq!(refused(&[3, 4], &[5, -1]), "shape is [5, -1]: the 12 elements of x cannot be split into parts of 5");
        assert_eq!(refused(&[3, 4], &[-1, -1]), "shape is [-1, -1]: only one extent can be -1 (inferred), not those at axes 0 and 1");
        assert_eq!(refused(&[3, 4], &[-2, 6]), "shape is [-2, 6]: extent -2 at axis 0 must be positive, 0 (kept) or -1 (inferred)");
        assert_eq!(refused(&[3, 4], &[3, 4, 0]), "shape is [3, 4, 0]: 0 at axis 2 keeps an extent of x, but x is [3, 4], of rank 2");
        assert!(refused(&[3, 4], &[isize::MAX, isize::MAX, isize::MAX]).contains("elements"));
        assert!(refused(&[1], &[1, 1, 1, 1, 1, 1]).contains("rank 6"));
    }

    #[test]
    fn flattening_splits_at_the_axis() {
        assert_eq!(flatten_extents(&[2, 3, 4], 0).unwrap(), [1, 24]);
        assert_eq!(flatten_extents(&[2, 3, 4], 1).unwrap(), [2, 12]);
        assert_eq!(flatten_extents(&[2, 3, 4], 3).unwrap(), [24, 1]);
        assert_eq!(flatten_extents(&[2, 3, 4], -1).unwrap(), [6, 4]);
        let error = flatten_extents(&[2, 3, 4], 4).unwrap_err().to_string();
        assert_eq!(error, "axis is 4: it must lie within -3 ..= 3 for x of shape [2, 3, 4]");
        assert!(flatten_extents(&[2, 3, 4], isize::MIN).is_err());
    }
}
