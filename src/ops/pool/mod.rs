//! Pooling: descriptors, the resolved problem, max unpooling.

pub(crate) mod descriptor;
pub(crate) mod problem;
pub(crate) mod unpool;

use crate::ops::Op;
use crate::ops::pool::descriptor::PoolKind;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::reduce::{ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::types::{Result, TensorType};

/// The op that pools each whole channel plane: for averages and maxima a reduction, whose lines many invocations share, since a plane may
/// be large.
///
/// # Errors
/// x of a rank other than 3 to 5; a p that is not positive.
pub fn global(x: &TensorType, kind: PoolKind) -> Result<Op> {
    let problem = PoolProblem::global(x, values(kind))?;
    let reduce = match kind {
        PoolKind::Average { .. } => ReduceKind::Mean,
        PoolKind::Max { .. } => ReduceKind::Max,
        PoolKind::Lp { .. } => return Ok(problem.into()),
    };
    let axes: Vec<isize> = (2..x.rank() as isize).collect();
    Ok(ReduceProblem::new(x, &ReduceDescriptor::new(reduce, &axes).with_keepdims(true))?.into())
}

/// The same kind without indices, for calls that give one tensor.
pub(crate) fn values(kind: PoolKind) -> PoolKind {
    match kind {
        PoolKind::Max { .. } => PoolKind::MAX,
        other => other,
    }
}
