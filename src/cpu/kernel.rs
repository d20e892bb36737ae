//! The product in registers that convolutions share: a panel of filters times columns that lie at offsets into one slice, so that what is multiplied need not
//! be copied together first.
//!
//! Each sum is one chain over the depth, in its order: the same bits whatever blocks, bands and cores a convolution is cut into.

use pulp::Simd;
use rayon::prelude::*;
use std::cell::RefCell;

/// Filters of a panel.
pub(crate) const PANEL: usize = 8;

/// Vectors of columns that a block has.
pub(crate) const VECTORS: usize = 3;

/// Numbers of the longest block: three vectors of AVX-512.
pub(crate) const LONGEST_BLOCK: usize = VECTORS * 16;

/// Filters of one group or of several, \[filter\]\[depth\], as panels: \[group\]\[panel\]\[depth\]\[filter of the panel\], zeros past the last filter.
pub(crate) struct Panels {
    numbers: Vec<f32>,
    /// Panels of a group.
    pub count: usize,
    parts: usize,
    depth: usize,
}

impl Panels {
    /// Packs `rows`, \[group\]\[filter\]\[depth\].
    pub fn new(rows: &[f32], groups: usize, filters: usize, depth: usize) -> Self {
        let count = filters.div_ceil(PANEL);
        let mut numbers = taken(groups * count * depth * PANEL);
        numbers.par_chunks_mut(depth * PANEL).enumerate().for_each(|(panel, out)| {
            let (group, first) = (panel / count, panel % count * PANEL);
            let own = (filters - first).min(PANEL);
            let rows = &rows[(group * filters + first) * depth..][..own * depth];
            for (d, out) in out.chunks_exact_mut(PANEL).enumerate() {
                out[own..].fill(0.0);
                out.iter_mut().zip(rows[d..].iter().step_by(depth)).for_each(|(out, w)| *out = *w);
            }
        });
        Self { numbers, count, parts: 1, depth }
    }

    /// Of filters that `parts` matrices belong to: \[group\]\[panel\]\[part\]\[depth\]\[filter of the panel\].
    pub fn in_parts(numbers: Vec<f32>, count: usize, parts: usize, depth: usize) -> Self {
        Self { numbers, count, parts, depth }
    }

    /// One part of a panel of a group.
    #[inline(always)]
    pub fn panel(&self, group: usize, panel: usize, part: usize) -> &[f32] {
        &self.numbers[((group * self.count + panel) * self.parts + part) * self.depth * PANEL..][..self.depth * PANEL]
    }
}

thread_local! {
    /// Memory that is no longer needed, of panels and others: pages fresh from the system cost more than what is written to them.
    static KEPT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Most numbers that are kept.
const MOST_KEPT: usize = 16 << 20;

/// So many numbers of any value.
pub(crate) fn taken(count: usize) -> Vec<f32> {
    let mut numbers = KEPT.take();
    numbers.resize(count, 0.0);
    numbers
}

/// Keeps what is no longer needed for who asks next.
pub(crate) fn keep(numbers: Vec<f32>) {
    if numbers.capacity() <= MOST_KEPT {
        KEPT.set(numbers);
    }
}

impl Drop for Panels {
    fn drop(&mut self) {
        keep(std::mem::take(&mut self.numbers));
    }
}

/// Sums of products of the first `filters` of a panel and so many vectors of columns, \[filter\]\[column\] from `sums` on: element (d, column) of the matrix
/// is `columns[offsets[d] + column]`.
#[inline(always)]
pub(crate) fn multiply<S: Simd>(simd: S, panel: &[f32], filters: usize, offsets: &[usize], columns: &[f32], vectors: usize, sums: &mut [f32]) {
    match vectors {
        1 => filters_of::<S, 1>(simd, panel, filters, offsets, columns, sums),
        2 => filters_of::<S, 2>(simd, panel, filters, offsets, columns, sums),
        _ => filters_of::<S, VECTORS>(simd, panel, filters, offsets, columns, sums),
    }
}

#[inline(always)]
fn filters_of<S: Simd, const V: usize>(simd: S, panel: &[f32], filters: usize, offsets: &[usize], columns: &[f32], sums: &mut [f32]) {
    const HALF: usize = PANEL / 2;
    match (S::REGISTER_COUNT >= 32, filters > HALF) {
        (true, true) => block::<S, PANEL, V>(simd, panel, 0, offsets, columns, sums),
        (false, true) => {
            block::<S, HALF, V>(simd, panel, 0, offsets, columns, sums);
            block::<S, HALF, V>(simd, panel, HALF, offsets, columns, &mut sums[HALF * V * S::F32_LANES..]);
        }
        (_, false) => block::<S, HALF, V>(simd, panel, 0, offsets, columns, sums),
    }
}

/// So many filters from `first` on of a panel.
#[inline(always)]
fn block<S: Simd, const FILTERS: usize, const V: usize>(simd: S, panel: &[f32], first: usize, offsets: &[usize], columns: &[f32], sums: &mut [f32]) {
    let mut own = [[simd.splat_f32s(0.0); V]; FILTERS];
    for (weights, offset) in panel.chunks_exact(PANEL).zip(offsets) {
        let (values, _) = S::as_simd_f32s(&columns[*offset..][..V * S::F32_LANES]);
        let mut near = [simd.splat_f32s(0.0); V];
        near.copy_from_slice(values);
        for (own, w) in own.iter_mut().zip(&weights[first..first + FILTERS]) {
            let w = simd.splat_f32s(*w);
            for (own, x) in own.iter_mut().zip(near) {
                *own = simd.mul_add_e_f32s(w, x, *own);
            }
        }
    }
    let (sums, _) = S::as_mut_simd_f32s(sums);
    for (sums, own) in sums.chunks_exact_mut(V).zip(&own) {
        sums.copy_from_slice(own);
    }
}
