//! The gradients that are ops of their own: adjoints of every pad, slice, resize and pool of the grid that has one, and the filter gradients of its
//! convolutions, forward and transposed.

use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::optimizer::{OptimizerProblem, Rule};
use crate::ops::pool::problem::PoolProblem;
use crate::types::Result;
use crate::validate::elsewhere::Elsewhere;
use crate::validate::grid_transform;
use std::collections::HashSet;

/// Those of a list that have an adjoint: not of u32, along three axes at most.
fn of<T>(problems: Vec<T>, make: impl Fn(T) -> AdjointOf) -> impl Iterator<Item = AdjointProblem> {
    problems.into_iter().filter_map(move |problem| AdjointProblem::new(make(problem)).ok())
}

pub(crate) fn adjoints(full: bool) -> Result<Vec<AdjointProblem>> {
    let mut all: Vec<AdjointProblem> = of(grid_transform::pads(full)?, AdjointOf::Pad).collect();
    all.extend(of(grid_transform::slices(full)?, AdjointOf::Slice));
    all.extend(of(grid_transform::nearest(full)?, AdjointOf::Resize));
    all.extend(of(grid_transform::linear(full)?, AdjointOf::Resize));
    all.extend(of(super::grid_pool::pools(full)?, AdjointOf::Pool));
    Ok(all)
}

/// Batches that no binding holds whole.
pub(crate) fn sliced() -> Result<Vec<(AdjointProblem, Elsewhere)>> {
    let pools = super::grid_pool::sliced()?.into_iter().map(|(pool, elsewhere): (PoolProblem, Elsewhere)| (pool.with_indices(), elsewhere));
    Ok(pools.filter_map(|(pool, elsewhere)| Some((AdjointProblem::new(AdjointOf::Pool(pool)).ok()?, elsewhere))).collect())
}

pub(crate) fn filters(full: bool) -> Result<Vec<FilterGradient>> {
    let mut seen = HashSet::new();
    let all = super::grid_conv::problems(full)?.into_iter().filter_map(|problem| FilterGradient::new(&problem).ok());
    let all: Vec<FilterGradient> = all.filter(|gradient| seen.insert(gradient.to_string())).collect();
    let every = if full { 1 } else { 3 };
    Ok(all.into_iter().step_by(every).collect())
}

/// Cut over images, and over the rows of an image, whose parts are added.
pub(crate) fn sliced_filters() -> Result<Vec<(FilterGradient, Elsewhere)>> {
    let all: Vec<FilterGradient> = filters(true)?.into_iter().filter(|gradient| gradient.conv.batch > 1).step_by(5).collect();
    let largest = |gradient: &FilterGradient| gradient.conv.input_count().max(gradient.conv.output_count()) * 4 / gradient.conv.batch;
    let fits = |gradient: &FilterGradient| largest(gradient) < 3500 && gradient.conv.filter_count() < 400;
    Ok(all.into_iter().filter(fits).map(|gradient| (gradient, Elsewhere::Binding(4096))).collect())
}

/// Every rule, over counts about a workgroup's and a part's.
pub(crate) fn optimizers() -> Result<Vec<OptimizerProblem>> {
    let extents: [&[usize]; 4] = [&[3], &[6, 1, 5, 5], &[257], &[33, 64]];
    Rule::ALL.into_iter().flat_map(|rule| extents.map(|extents| OptimizerProblem::new(rule, extents))).collect()
}
