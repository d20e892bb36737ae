//! Ops that read and write where numbers say: sampling in every mode with every padding, aligned and not, 1 to 3 axes, one element along an axis, in parts;
//! gather and scatter of every kind with indices of both types, places named once, often and never; the first elements of lines around the length of a chunk.

use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use crate::ops::top_k::{TopKDescriptor, TopKOrder, TopKProblem};
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use crate::types::ElementType::{F16, F32, U32};
use crate::types::Layout::{ChannelsFirst, ChannelsLast};
use crate::types::{ElementType, Layout, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;

/// `x` sampled at so many positions along each axis.
fn sample(x: &[usize], to: &[usize], (element, layout): (ElementType, Layout), descriptor: GridSampleDescriptor) -> Result<GridSample> {
    let grid: Vec<usize> = x[..1].iter().chain(to).copied().chain([to.len()]).collect();
    GridSample::new(&TensorType::new(x, element, layout), &TensorType::new(&grid, element, ChannelsFirst), &descriptor)
}

pub(crate) fn samples(full: bool) -> Result<Vec<GridSample>> {
    let shapes: [(&[usize], &[usize]); 5] =
        [(&[2, 3, 9, 13], &[11, 7]), (&[2, 3, 34], &[45]), (&[1, 2, 5, 6, 7], &[4, 5, 9]), (&[1, 5, 1, 6], &[3, 35]), (&[3, 2, 4, 1], &[7, 6])];
    let mut all = Vec::new();
    for (i, mode) in GridSampleMode::ALL.into_iter().enumerate() {
        for (j, padding) in GridSamplePadding::ALL.into_iter().enumerate() {
            for (k, align_corners) in [false, true].into_iter().enumerate() {
                for (l, (x, to)) in shapes.into_iter().enumerate() {
                    let number = i + 2 * j + 3 * k + l;
                    if (mode == GridSampleMode::Cubic && x.len() == 5) || (!full && l > 0 && !number.is_multiple_of(3)) {
                        continue;
                    }
                    let kind = ([F32, F32, F16][number % 3], [ChannelsFirst, ChannelsLast][(number + j) % 2]);
                    all.push(sample(x, to, kind, GridSampleDescriptor { mode, padding, align_corners })?);
                }
            }
        }
    }
    Ok(all)
}

/// Batches that no binding holds whole: parts begin inside their bindings.
pub(crate) fn sliced_samples() -> Result<Vec<(GridSample, Elsewhere)>> {
    let mut all = Vec::new();
    for layout in [ChannelsFirst, ChannelsLast] {
        let descriptor = GridSampleDescriptor { padding: GridSamplePadding::Border, ..Default::default() };
        all.push((sample(&[7, 3, 9, 13], &[11, 9], (F32, layout), descriptor)?, Elsewhere::Binding(4096)));
    }
    Ok(all)
}

const SLICES: Indexing = Indexing::Slices { axis: 1 };

/// Extents of x and of the indices.
const INDEXED: [(&[usize], &[usize], Indexing); 10] = [
    (&[3, 7, 5], &[4], SLICES),
    (&[3, 70, 5], &[6, 2], SLICES),
    (&[40], &[2, 3, 35], Indexing::Slices { axis: 0 }),
    (&[2, 3, 9], &[5], Indexing::Slices { axis: -1 }),
    (&[3, 7, 5], &[3, 4, 5], Indexing::Elements { axis: 1 }),
    (&[4, 33], &[4, 70], Indexing::Elements { axis: -1 }),
    (&[2, 2, 3, 4, 5], &[6, 2, 3, 4, 5], Indexing::Elements { axis: 0 }),
    (&[3, 4, 5], &[11, 2], Indexing::Places { batch_axes: 0 }),
    (&[3, 4, 5, 2], &[3, 6, 2], Indexing::Places { batch_axes: 1 }),
    (&[3, 2, 2, 3, 4], &[2, 7, 5], Indexing::Places { batch_axes: 0 }),
];

pub(crate) fn gathers() -> Result<Vec<GatherProblem>> {
    let mut all = Vec::new();
    for (i, (x, indices, indexing)) in INDEXED.into_iter().enumerate() {
        for (j, element) in [F32, F16, U32].into_iter().enumerate() {
            let of = if (i + j) % 2 == 0 { F32 } else { U32 };
            let [x, indices] = [(x, element), (indices, of)].map(|(extents, element)| TensorType::new(extents, element, ChannelsFirst));
            all.push(GatherProblem::new(&x, &indices, indexing)?);
        }
    }
    Ok(all)
}

/// What no binding holds whole: several outer coordinates at once, or one with some of its places.
pub(crate) fn sliced_gathers() -> Result<Vec<(GatherProblem, Elsewhere)>> {
    let f32s = |extents: &[usize]| TensorType::f32(extents);
    let mut all = vec![];
    for (x, indices, indexing) in [
        (&[7, 50, 5][..], &[60][..], SLICES),
        (&[7, 50, 5], &[7, 30, 5], Indexing::Elements { axis: 1 }),
        (&[300, 21], &[31], Indexing::Slices { axis: 0 }),
        (&[2, 90, 31], &[2, 19, 1], Indexing::Places { batch_axes: 1 }),
    ] {
        all.push((GatherProblem::new(&f32s(x), &f32s(indices), indexing)?, Elsewhere::Binding(4096)));
    }
    Ok(all)
}

pub(crate) fn scatters() -> Result<Vec<ScatterProblem>> {
    let mut all = Vec::new();
    for (i, (x, indices, indexing)) in INDEXED.into_iter().enumerate() {
        for (j, reduction) in ScatterReduction::ALL.into_iter().enumerate() {
            let (element, of) = ([F32, F32, F16][(i + j) % 3], [F32, U32][(i + j) % 2]);
            let [x, indices] = [(x, element), (indices, of)].map(|(extents, element)| TensorType::new(extents, element, ChannelsFirst));
            let gather = GatherProblem::new(&x, &indices, indexing)?;
            let updates = TensorType::new(gather.y(), element, ChannelsFirst);
            all.push(ScatterProblem::new(&x, &indices, &updates, &ScatterDescriptor { indexing, reduction })?);
        }
    }
    Ok(all)
}

pub(crate) fn top_ks(full: bool) -> Result<Vec<TopKProblem>> {
    let mut all = Vec::new();
    let mut put = |x: &[usize], k: usize, axis: isize, kind: (ElementType, Layout)| -> Result<()> {
        for order in [TopKOrder::Largest, TopKOrder::Smallest] {
            all.push(TopKProblem::new(&TensorType::new(x, kind.0, kind.1), &TopKDescriptor { k, axis, order })?);
        }
        Ok(())
    };
    put(&[5, 37], 7, -1, (F32, ChannelsFirst))?;
    put(&[3, 129, 5], 129, 1, (F32, ChannelsFirst))?;
    put(&[2, 40, 3, 5], 6, 1, (F16, ChannelsLast))?;
    put(&[2, 1025], 3, 1, (F32, ChannelsFirst))?;
    put(&[1, 3000], 512, 1, (F16, ChannelsFirst))?;
    if full {
        put(&[9], 1, 0, (F32, ChannelsFirst))?;
        put(&[1, 5000, 2], 300, 1, (F32, ChannelsFirst))?;
        put(&[1, 1024], 1024, 1, (F32, ChannelsFirst))?;
        put(&[1, 1500], 600, 1, (F32, ChannelsFirst))?; // too many for chunks
    }
    Ok(all)
}
