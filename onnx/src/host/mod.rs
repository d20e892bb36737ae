//! What is computed on the host while a model is imported: shape arithmetic, and what follows from constants alone.
//!
//! Integers are computed in their own width, floats in f64 and rounded to their type once. Every result is paid for from a [`Budget`], so that a few
//! bytes of a file cannot ask for all of the machine's memory.

pub(crate) mod arithmetic;
pub(crate) mod moves;

use crate::import::Fault;
use crate::tensor::count;

/// Elements that may still be made.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    /// Room for what the file's own weights can become a few times over, and for so many elements that shapes make, such as grids of positions.
    pub fn of_file(bytes: usize, elements: usize) -> Self {
        Self { left: bytes.saturating_mul(4).saturating_add(elements) }
    }

    /// Room for what weights in a file of their own can become, as for those of the model's.
    pub fn add_file(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes.saturating_mul(4));
    }

    /// Takes the elements of a tensor of these extents.
    pub fn spend(&mut self, dims: &[usize]) -> Result<usize, Fault> {
        let count = count(dims).ok_or_else(|| Fault::new(format!("extents {dims:?} are past counting")))?;
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            let reason = format!("{count} elements of {dims:?} would be computed at import, more than the size of the file can justify");
            Fault { wants_room: true, ..Fault::new(reason) }
        })?;
        Ok(count)
    }
}

/// Extents broadcast by numpy's rules.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Fault> {
    let rank = a.len().max(b.len());
    let extent = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Fault::new(format!("{a:?} and {b:?} do not broadcast: extents are equal or 1"))),
        })
        .collect()
}

/// An axis of a tensor of this rank; negative: from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Fault> {
    let front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    front
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Fault::new(format!("axis is {axis}, and the rank is {rank}")))
}
