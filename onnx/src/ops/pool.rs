//! Pooling by windows and of whole planes, and max unpooling.

use super::Made;
use super::conv::{Window, counts, fixed};
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::{Element, product};
use wgconv::graph::{Ranked, Recipe};
use wgconv::pool::{IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};

fn descriptor<const N: usize>(window: &Window, kernel: &[usize], kind: PoolKind, ceil_mode: bool) -> Result<PoolDescriptor<N>, Fault> {
    Ok(PoolDescriptor {
        kind,
        window: fixed(kernel)?,
        stride: Some(fixed(&window.strides)?),
        dilation: fixed(&window.dilations)?,
        padding: window.padding()?,
        ceil_mode,
    })
}

fn pooled<'m>(c: &mut Context<'_, 'm>, x: &Running, kind: PoolKind) -> Made<'m> {
    let window = Window::of(c, x.dims.len())?;
    let kernel = c.ints("kernel_shape")?.ok_or_else(|| Fault::new("attribute kernel_shape: it is missing"))?;
    let kernel = counts("kernel_shape", Some(kernel), window.rank, 1)?;
    let ceil_mode = c.flag("ceil_mode", false)?;
    let recipe = Recipe::Pool(match window.rank {
        1 => Ranked::One(descriptor(&window, &kernel, kind, ceil_mode)?),
        2 => Ranked::Two(descriptor(&window, &kernel, kind, ceil_mode)?),
        _ => Ranked::Three(descriptor(&window, &kernel, kind, ceil_mode)?),
    });
    let made = c.emit_all(recipe, &[x.id])?;
    let planes = product(&x.dims[..2]);
    let output = |(i, id)| match i {
        0 => c.out(id, x.element),
        _ => Value::Running(Running { in_plane: planes > 1, ..Running::new(id, c.extents(id), Element::I64) }),
    };
    Ok(made.into_iter().enumerate().map(output).collect())
}

/// A maximum of integers of 8 bits is one of the same numbers in f32.
pub(super) fn max_pool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.running(0)?;
    let order = if c.int_or("storage_order", 0)? == 0 { IndexOrder::RowMajor } else { IndexOrder::ColumnMajor };
    let indices = c.wants(1).then_some(order);
    pooled(c, &x, PoolKind::Max { indices })
}

pub(super) fn average_pool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let count_include_pad = c.flag("count_include_pad", false)?;
    pooled(c, &x, PoolKind::Average { count_include_pad })
}

pub(super) fn lp_pool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let p = c.int_or("p", 2)? as f32;
    pooled(c, &x, PoolKind::Lp { p })
}

fn global<'m>(c: &mut Context<'_, 'm>, kind: PoolKind) -> Made<'m> {
    let x = c.floating(0)?;
    let y = c.emit(Recipe::GlobalPool(kind), &[x.id])?;
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn global_max_pool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    global(c, PoolKind::MAX)
}

pub(super) fn global_average_pool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    global(c, PoolKind::AVERAGE)
}

pub(super) fn global_lp_pool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let p = c.int_or("p", 2)? as f32;
    global(c, PoolKind::Lp { p })
}

/// The inverse of a max pool of the same graph, whose indices it reads as that gave them.
pub(super) fn max_unpool<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, indices) = (c.floating(0)?, c.running(1)?);
    let window = Window::of(c, x.dims.len())?;
    let kernel = c.ints("kernel_shape")?.ok_or_else(|| Fault::new("attribute kernel_shape: it is missing"))?;
    let kernel = counts("kernel_shape", Some(kernel), window.rank, 1)?;
    let output_shape = if c.has(2) { Some(c.integers(2, "output_shape")?) } else { None };
    if output_shape.is_some() && indices.in_plane {
        return Err(Fault::new(
            "output_shape: with it, indices count in a tensor of other extents than the max pool's, and the graph's count in each plane",
        ));
    }
    let spatial = match &output_shape {
        Some(shape) if shape.len() == x.dims.len() => Some(counts("output_shape", Some(&shape[2..]), window.rank, 0)?),
        Some(shape) => return Err(Fault::new(format!("output_shape: it has {} entries, and it must have {}", shape.len(), x.dims.len()))),
        None => None,
    };
    fn unpool<const N: usize>(window: &Window, kernel: &[usize], shape: Option<&[usize]>) -> Result<MaxUnpoolDescriptor<N>, Fault> {
        Ok(MaxUnpoolDescriptor { pool: descriptor(window, kernel, PoolKind::MAX, false)?, output_shape: shape.map(fixed).transpose()? })
    }
    let shape = spatial.as_deref();
    let recipe = Recipe::MaxUnpool(match window.rank {
        1 => Ranked::One(unpool(&window, &kernel, shape)?),
        2 => Ranked::Two(unpool(&window, &kernel, shape)?),
        _ => Ranked::Three(unpool(&window, &kernel, shape)?),
    });
    let y = c.emit(recipe, &[x.id, indices.id])?;
    Ok(vec![c.out(y, x.element)])
}
