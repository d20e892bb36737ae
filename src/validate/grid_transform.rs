//! The shape ops that every algorithm is forced over: all ranks, layouts and element types, extents around 32 and 64 (tiles, rows), odd
//! and prime ones, never alike on two axes, backwards and at the edges.

use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceDescriptor, DepthToSpaceMode};
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::ops::transform::resize::{CoordinateMode, NearestMode, Resize, ResizeDescriptor, ResizeMode};
use crate::ops::transform::slice::{Slice, SliceDescriptor};
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::TensorType;
use crate::types::element::ElementType::{F16, F32, U32};
use crate::types::shape::Layout::{ChannelsFirst, ChannelsLast};
use crate::types::{ElementType, Layout, Result};
use crate::validate::grid::{Subject, add};

/// Adds every shape op.
pub(crate) fn add_problems(all: &mut Vec<Subject>, full: bool) -> Result<()> {
    add(all, transposes(full)?);
    add(all, layouts(full)?);
    add(all, slices(full)?);
    add(all, concats(full)?);
    add(all, blocks(full)?);
    add(all, pads(full)?);
    add(all, nearest(full)?);
    add(all, linear(full)?);
    Ok(())
}

fn kind(extents: &[usize], layout: Layout, element: ElementType) -> TensorType {
    TensorType::new(extents, element, layout)
}

fn transposes(full: bool) -> Result<Vec<Transpose>> {
    let mut all = Vec::new();
    let mut put = |extents: &[usize], perm: &[usize], layout, element| -> Result<()> {
        all.push(Transpose::new(&kind(extents, layout, element), perm)?);
        Ok(())
    };
    put(&[3, 5], &[1, 0], ChannelsFirst, F32)?;
    put(&[65, 33], &[1, 0], ChannelsFirst, F32)?;
    put(&[31, 97], &[1, 0], ChannelsFirst, F16)?;
    put(&[2, 3, 4, 5], &[3, 2, 1, 0], ChannelsLast, U32)?;
    put(&[2, 34, 3, 37], &[2, 3, 0, 1], ChannelsFirst, F32)?;
    put(&[2, 3, 2, 3, 4], &[4, 1, 3, 0, 2], ChannelsLast, F32)?;
    put(&[2, 3, 5, 3, 4], &[2, 0, 1, 4, 3], ChannelsFirst, F16)?;
    put(&[7, 3000], &[0, 1], ChannelsFirst, F32)?; // a plain copy, past one part of a row
    if full {
        for (a, b) in [(1, 1), (1, 64), (64, 1), (31, 32), (32, 32), (33, 31), (63, 65), (5, 2049), (2049, 5)] {
            put(&[a, b], &[1, 0], ChannelsFirst, F32)?;
        }
        for perm in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            put(&[6, 35, 40], &perm, ChannelsFirst, F32)?;
            put(&[3, 4, 5], &perm, ChannelsLast, F16)?;
        }
        put(&[11], &[0], ChannelsFirst, U32)?;
    }
    Ok(all)
}

fn layouts(full: bool) -> Result<Vec<ToLayout>> {
    let mut all = Vec::new();
    let mut put = |extents: &[usize], layout, element| -> Result<()> {
        let other = if layout == ChannelsFirst { ChannelsLast } else { ChannelsFirst };
        all.push(ToLayout::new(&kind(extents, layout, element), other)?);
        Ok(())
    };
    put(&[2, 3, 17, 19], ChannelsFirst, F32)?;
    put(&[2, 35, 5, 7], ChannelsLast, F32)?;
    put(&[1, 40, 9, 11], ChannelsFirst, F16)?;
    put(&[3, 5, 2, 3, 7], ChannelsLast, U32)?;
    if full {
        for channels in [1, 2, 31, 32, 33, 64, 65] {
            put(&[2, channels, 3, 37], ChannelsFirst, F32)?;
            put(&[1, channels, 34], ChannelsLast, F32)?;
        }
    }
    Ok(all)
}

pub(crate) fn slices(full: bool) -> Result<Vec<Slice>> {
    let mut all = Vec::new();
    let mut put = |extents: &[usize], layout, element, starts: &[isize], ends: &[isize], axes: &[isize], steps: &[isize]| -> Result<()> {
        all.push(Slice::new(
            &kind(extents, layout, element),
            &SliceDescriptor { starts: starts.to_vec(), ends: ends.to_vec(), axes: axes.to_vec(), steps: steps.to_vec() },
        )?);
        Ok(())
    };
    put(&[9], ChannelsFirst, F32, &[2], &[7], &[0], &[2])?;
    put(&[300], ChannelsFirst, F32, &[-1], &[isize::MIN], &[], &[-1])?;
    put(&[2, 3, 4, 70], ChannelsFirst, F32, &[0, 1, 1, 2], &[1, 3, 4, 69], &[], &[1, 1, 2, 1])?;
    put(&[2, 37, 4, 5], ChannelsLast, F32, &[1, -1], &[36, 0], &[1, 3], &[1, -2])?;
    put(&[20, 10, 5], ChannelsFirst, F16, &[20, 10, 4], &[0, 0, 1], &[], &[-1, -3, -2])?;
    put(&[3, 4, 2, 5, 3], ChannelsLast, U32, &[-2, 1, -1], &[3, 5, -4], &[1, -2, 4], &[1, 2, -1])?;
    if full {
        put(&[4, 5, 6], ChannelsFirst, F32, &[1, 0], &[3, 6], &[0, 2], &[1, 3])?;
        put(&[5, 6], ChannelsFirst, F16, &[-1, -1], &[isize::MIN; 2], &[], &[-1, -1])?;
        put(&[40, 33], ChannelsFirst, F32, &[39], &[-41], &[0], &[-1])?;
        put(&[40, 33], ChannelsFirst, F32, &[32], &[-34], &[1], &[-1])?;
        put(&[3, 5, 7, 40], ChannelsLast, F32, &[2], &[3], &[1], &[])?;
        put(&[6, 4], ChannelsFirst, U32, &[5], &[6], &[0], &[isize::MAX])?;
    }
    Ok(all)
}

fn concats(full: bool) -> Result<Vec<Concat>> {
    let mut all = Vec::new();
    let mut put = |inputs: &[(&[usize], Layout)], element, axis| -> Result<()> {
        let inputs = inputs.iter().map(|(extents, layout)| kind(extents, *layout, element)).collect::<Vec<_>>();
        all.push(Concat::new(&inputs, axis)?);
        Ok(())
    };
    put(&[(&[5], ChannelsFirst), (&[1], ChannelsFirst), (&[70], ChannelsFirst)], F32, 0)?;
    put(&[(&[2, 3, 4, 5], ChannelsLast), (&[2, 7, 4, 5], ChannelsFirst)], F32, 1)?;
    put(&[(&[2, 3, 4, 1], ChannelsFirst), (&[2, 3, 4, 6], ChannelsFirst), (&[2, 3, 4, 33], ChannelsLast)], F16, -1)?;
    put(&[(&[1, 2, 3, 2, 5], ChannelsFirst), (&[4, 2, 3, 2, 5], ChannelsFirst)], U32, 0)?;
    if full {
        put(&[(&[2, 3], ChannelsFirst)], F32, 1)?;
        put(&[(&[2, 40, 5], ChannelsLast), (&[2, 33, 5], ChannelsLast), (&[2, 1, 5], ChannelsLast)], F32, 1)?;
        put(&[(&[2, 3, 40, 5], ChannelsLast), (&[2, 3, 1, 5], ChannelsFirst)], F32, 2)?;
        put(&[(&[3, 1], ChannelsFirst), (&[3, 1], ChannelsFirst), (&[3, 1], ChannelsFirst)], F16, -1)?;
    }
    Ok(all)
}

fn blocks(full: bool) -> Result<Vec<DepthToSpace>> {
    let mut all = Vec::new();
    let modes = [DepthToSpaceMode::Dcr, DepthToSpaceMode::Crd];
    for (i, mode) in modes.into_iter().enumerate() {
        let layout = [ChannelsFirst, ChannelsLast][i];
        all.push(DepthToSpace::new(&kind(&[2, 12, 3, 5], layout, F32), &DepthToSpaceDescriptor { block: 2, mode })?);
        all.push(DepthToSpace::inverse(&kind(&[2, 3, 6, 9], layout, F32), &DepthToSpaceDescriptor { block: 3, mode })?);
        if full {
            for element in [F32, F16, U32] {
                all.push(DepthToSpace::new(&kind(&[1, 32, 4, 35], layout, element), &DepthToSpaceDescriptor { block: 4, mode })?);
                all.push(DepthToSpace::inverse(&kind(&[3, 5, 4, 66], layout, element), &DepthToSpaceDescriptor { block: 2, mode })?);
            }
            all.push(DepthToSpace::new(&kind(&[2, 12, 1, 1], ChannelsLast, F32), &DepthToSpaceDescriptor { block: 2, mode })?);
            all.push(DepthToSpace::new(&kind(&[2, 5, 3, 4], layout, F32), &DepthToSpaceDescriptor { block: 1, mode })?);
        }
    }
    Ok(all)
}

pub(crate) fn pads(full: bool) -> Result<Vec<Pad>> {
    let mut all = Vec::new();
    let mut put = |extents: &[usize], layout, element, pads: &[usize], mode| -> Result<()> {
        all.push(Pad::new(&kind(extents, layout, element), &PadDescriptor { pads: pads.to_vec(), mode })?);
        Ok(())
    };
    let others = [PadMode::Reflect, PadMode::Replicate, PadMode::Circular];
    put(&[7], ChannelsFirst, F32, &[2, 3], PadMode::Constant(1.5))?;
    put(&[3, 5], ChannelsFirst, F16, &[1, 0, 2, 3], PadMode::Constant(-0.1))?;
    put(&[2, 3, 4, 60], ChannelsLast, F32, &[0, 1, 3, 1, 0, 2, 4, 2], PadMode::Constant(f32::INFINITY))?;
    put(&[2, 3, 4, 5], ChannelsFirst, U32, &[1, 1, 0, 2, 0, 1, 3, 1], PadMode::Constant(7.0))?;
    for (i, mode) in others.into_iter().enumerate() {
        let (layout, element) = ([ChannelsFirst, ChannelsLast][i % 2], [F32, F16, U32][i]);
        put(&[2, 3, 4, 5], layout, F32, &[0, 2, 3, 4, 1, 1, 2, 4], mode)?;
        put(&[2, 3, 4, 5, 63], layout, element, &[0, 0, 2, 1, 3, 0, 0, 1, 3, 2], mode)?;
        if full {
            put(&[1, 2, 9], ChannelsLast, element, &[0, 0, 8, 0, 0, 8], mode)?;
            put(&[300, 31], ChannelsFirst, F32, &[7, 30, 0, 3], mode)?;
        }
    }
    // Rows longer than what one workgroup takes, on a GPU and on a processor.
    put(&[2, 1, 1, 3], ChannelsFirst, F32, &[0, 0, 1, 0, 0, 0, 0, 2100], PadMode::Constant(0.5))?;
    put(&[1, 33, 3, 2], ChannelsLast, F32, &[0, 0, 1, 5, 0, 0, 9, 4], PadMode::Replicate)?;
    if full {
        put(&[], ChannelsFirst, F32, &[], PadMode::Constant(2.0))?;
        put(&[1, 1, 1], ChannelsFirst, F32, &[0; 6], PadMode::Replicate)?;
        put(&[5, 3], ChannelsFirst, U32, &[0, 1, 1, 0], PadMode::Constant(4_294_967_040.0))?;
    }
    Ok(all)
}

const EXTENTS: [(&[usize], &[usize]); 5] =
    [(&[2, 3, 9], &[17]), (&[1, 3, 4, 5], &[7, 3]), (&[2, 33, 7, 3], &[2, 11]), (&[1, 2, 3, 4, 5], &[5, 2, 70]), (&[2, 3, 5, 9], &[1, 1])];

pub(crate) fn nearest(full: bool) -> Result<Vec<Resize>> {
    let mut all = Vec::new();
    for (i, coordinates) in CoordinateMode::ALL.into_iter().enumerate() {
        for (j, rounding) in NearestMode::ALL.into_iter().enumerate() {
            for (k, (x, sizes)) in EXTENTS.into_iter().enumerate() {
                if !full && k != (i + j) % EXTENTS.len() {
                    continue;
                }
                let (layout, element) = ([ChannelsFirst, ChannelsLast][(i + j + k) % 2], [F32, F32, F16, U32][(i + 2 * j + k) % 4]);
                let descriptor = ResizeDescriptor { mode: ResizeMode::Nearest(rounding), coordinates, sizes: sizes.to_vec(), scales: None };
                all.push(Resize::new(&kind(x, layout, element), &descriptor)?);
            }
        }
    }
    let scaled = ResizeDescriptor { sizes: vec![3, 10], coordinates: CoordinateMode::HalfPixel, scales: Some(vec![0.6, 1.7]), ..Default::default() };
    all.push(Resize::new(&kind(&[2, 3, 5, 6], ChannelsFirst, F32), &scaled)?);
    Ok(all)
}

pub(crate) fn linear(full: bool) -> Result<Vec<Resize>> {
    let mut all = Vec::new();
    for (i, coordinates) in CoordinateMode::ALL.into_iter().enumerate() {
        for (k, (x, sizes)) in EXTENTS.into_iter().enumerate() {
            if !full && k != i && k != i + 2 {
                continue;
            }
            let element = if (i + k) % 4 == 3 { F16 } else { F32 };
            let descriptor = ResizeDescriptor { mode: ResizeMode::Linear, coordinates, sizes: sizes.to_vec(), scales: None };
            all.push(Resize::new(&kind(x, [ChannelsFirst, ChannelsLast][(i + k) % 2], element), &descriptor)?);
        }
    }
    let double = |sizes: &[usize]| ResizeDescriptor { sizes: sizes.to_vec(), mode: ResizeMode::Linear, ..Default::default() };
    all.push(Resize::new(&kind(&[1, 5, 3, 35], ChannelsFirst, F32), &double(&[6, 70]))?); // exact
    all.push(Resize::new(&kind(&[2, 40, 3, 2, 2], ChannelsLast, F16), &double(&[6, 4, 4]))?); // exact, trilinear
    all.push(Resize::new(&kind(&[3, 2, 300], ChannelsFirst, F32), &double(&[2051]))?); // past one workgroup's part of a row
    let scaled = ResizeDescriptor { scales: Some(vec![1.7]), ..double(&[10]) };
    all.push(Resize::new(&kind(&[2, 3, 6], ChannelsFirst, F32), &scaled)?);
    Ok(all)
}
