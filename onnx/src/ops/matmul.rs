//! Matrix products. One whose right operand is a weight becomes a dense layer, which packs it once.

use super::{Made, weights};
use crate::import::{Context, Fault};
use crate::tensor::product as elements;
use wgconv::graph::{Recipe, ValueId};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulDescriptor};

fn linear(c: &mut Context<'_, '_>, x: ValueId, w: ValueId, bias: Option<ValueId>) -> Result<ValueId, Fault> {
    let inputs: Vec<ValueId> = [x, w].into_iter().chain(bias).collect();
    c.emit(Recipe::Linear { descriptor: LinearDescriptor::default(), bias: bias.is_some(), residual: false }, &inputs)
}

pub(super) fn gemm<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let a = c.floating(0)?;
    let (alpha, beta) = (c.float_or("alpha", 1.0)?, c.float_or("beta", 1.0)?);
    let (trans_a, trans_b) = (c.flag("transA", false)?, c.flag("transB", false)?);
    // Before opset 7 whether c broadcasts was said.
    c.ignore(&["broadcast"]);
    let addend = if c.has(2) { Some(c.floating(2)?) } else { None };
    let plain = alpha == 1.0 && !trans_a && (beta == 1.0 || addend.is_none());
    if plain
        && a.dims.len() == 2
        && let Some(w) = weights::rows(c, 1, trans_b)?
    {
        let outputs = c.extents(w)[0];
        let bias = match &addend {
            None => Some(None),
            // One number for each column.
            Some(bias) if bias.dims.last() == Some(&outputs) && elements(&bias.dims) == outputs => Some(Some(c.reshape(bias.id, &[outputs])?)),
            Some(_) => None,
        };
        if let Some(bias) = bias {
            let y = linear(c, a.id, w, bias)?;
            return Ok(vec![c.out(y, a.element)]);
        }
    }
    let b = c.floating(1)?;
    let descriptor = GemmDescriptor { alpha, beta, trans_a, trans_b, ..Default::default() };
    let inputs: Vec<ValueId> = [a.id, b.id].into_iter().chain(addend.map(|c| c.id)).collect();
    let y = c.emit(Recipe::Gemm(descriptor), &inputs)?;
    Ok(vec![c.out(y, a.element)])
}

/// The product of values of the graph.
pub(super) fn product(c: &mut Context<'_, '_>, a: ValueId, b: ValueId) -> Result<ValueId, Fault> {
    c.emit(Recipe::MatMul(MatMulDescriptor::default()), &[a, b])
}

pub(super) fn matmul<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let a = c.floating(0)?;
    if a.dims.len() >= 2
        && let Some(w) = weights::rows(c, 1, false)?
    {
        let y = linear(c, a.id, w, None)?;
        return Ok(vec![c.out(y, a.element)]);
    }
    let b = c.floating(1)?;
    let y = product(c, a.id, b.id)?;
    Ok(vec![c.out(y, a.element)])
}
