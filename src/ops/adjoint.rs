//! Adjoints of ops that read every element by axis: pads, slices, resizes, average pools, and max pools whose winners are known. If such an op is
//! y = A x, its adjoint is dx = A' dy: the gradient of whatever was computed from y.
//!
//! A is a product of one sparse matrix per axis, so that its adjoint is one too, and an element of dx gathers what it went into: per axis a list of
//! elements of dy with their weights. Nothing is scattered, no sum is atomic, and its order is fixed.

use crate::ops::Problem;
use crate::ops::pool::descriptor::{IndexOrder, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::ops::transform::linear::tap;
use crate::ops::transform::pad::Pad;
use crate::ops::transform::resize::{Resize, ResizeMode};
use crate::ops::transform::slice::Slice;
use crate::ops::transform::{NOTHING, pad::PadMode};
use crate::types::shape::WindowAxis;
use crate::types::{ElementType, Error, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Axes that an adjoint may gather along.
pub(crate) const MOST_AXES: usize = 3;

/// The op whose adjoint it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjointOf {
    /// Padding. What a constant pad holds does not depend on x.
    Pad(Pad),
    /// A slice.
    Slice(Slice),
    /// A resize.
    Resize(Resize),
    /// An average pool, or a max pool with its indices in row-major order. An Lp pool stands for the sum of its windows.
    Pool(PoolProblem),
}

/// dx = A' dy for an op y = A x. For a max pool, A is what its indices say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AdjointOf", into = "AdjointOf")]
pub struct AdjointProblem {
    pub(crate) of: AdjointOf,
}

impl From<AdjointProblem> for AdjointOf {
    fn from(problem: AdjointProblem) -> Self {
        problem.of
    }
}

impl TryFrom<AdjointOf> for AdjointProblem {
    type Error = Error;

    fn try_from(of: AdjointOf) -> Result<Self> {
        Self::new(of)
    }
}

/// What elements of dx gather along one axis: `entries[starts[i]..starts[i + 1]]` for coordinate i.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gathered {
    pub starts: Vec<u32>,
    /// Coordinates of dy, ascending, and their weights.
    pub entries: Vec<(u32, f32)>,
}

/// An axis of a pool, cut into cells of a stride each: cell c begins `pad` elements before element c stride, and so does window c.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cells {
    /// Extent of a cell.
    pub stride: u64,
    /// Extent of a window.
    pub filter: u64,
    /// Elements of the first cell that lie before dx.
    pub pad: u64,
    /// Cells that dx falls into; the first and the last may be cut.
    pub cells: u64,
    /// Windows: the cells that one begins in.
    pub windows: u64,
    /// Extent of dx.
    pub extent: u64,
    /// What an element of dy counts for, and that of the last window.
    pub weights: [f32; 2],
}

impl Cells {
    /// Windows that read elements of one cell: its own and those before it that reach so far.
    pub(crate) fn reach(&self) -> u64 {
        self.filter.div_ceil(self.stride)
    }

    /// Whether no two windows read the same element, and the first cell is whole.
    pub(crate) fn is_apart(&self) -> bool {
        self.reach() == 1 && self.pad == 0
    }

    /// Elements of dx that window `o` reads; it may read none.
    pub(crate) fn covered(&self, o: u64) -> std::ops::Range<u64> {
        let first = o * self.stride;
        let start = first.saturating_sub(self.pad).min(self.extent);
        start..(first + self.filter).saturating_sub(self.pad).clamp(start, self.extent)
    }

    /// Where windows are apart, the one that an element of dx is in, and its weight.
    pub(crate) fn window(&self, i: u64) -> Option<(u64, f32)> {
        let o = i / self.stride;
        let is_inside = o < self.windows && i % self.stride < self.filter;
        is_inside.then(|| (o, self.weights[usize::from(o + 1 == self.windows)]))
    }
}

impl AdjointProblem {
    /// Of a pool with dilation 1 whose windows, but for the last, have one weight along each axis: the cells of its axes.
    pub(crate) fn cells(&self) -> Option<[Cells; 3]> {
        let AdjointOf::Pool(pool) = &self.of else { return None };
        let count = |axis: &WindowAxis, o| if let PoolKind::Average { .. } = pool.kind() { pool.counted(axis, o) } else { 1 };
        // Without count_include_pad, windows over an edge average fewer elements. Counts grow by ever less and then fall, so that those between two equal
        // ones which are equal to the first one's are too: an axis may have a billion windows.
        let is_even = |axis: &WindowAxis| axis.output < 3 || [1, axis.output - 2].into_iter().all(|o| count(axis, o) == count(axis, 0));
        let has_cells = |axis: &WindowAxis| axis.dilation == 1 && axis.pad_begin >= 0 && is_even(axis);
        let weight = |axis: &WindowAxis, o| 1.0 / count(axis, o) as f32;
        if pool.is_adaptive() || !pool.axes().iter().all(has_cells) {
            return None;
        }
        Some(pool.axes().each_ref().map(|axis| {
            let pad = axis.pad_begin.unsigned_abs();
            Cells {
                stride: axis.stride,
                filter: axis.filter,
                pad,
                cells: (axis.input + pad).div_ceil(axis.stride),
                windows: axis.output,
                extent: axis.input,
                weights: [0, axis.output - 1].map(|o| weight(axis, o)),
            }
        }))
    }

    /// The adjoint of an op.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a max pool without indices or with those of the column-major order, tensors of u32, and an op that changes
    /// more than three axes.
    pub fn new(of: AdjointOf) -> Result<Self> {
        if let AdjointOf::Pool(pool) = &of {
            match pool.kind() {
                PoolKind::Average { .. } | PoolKind::Lp { .. } | PoolKind::Max { indices: Some(IndexOrder::RowMajor) } => {}
                kind => {
                    let rule = "a maximum has an adjoint by its indices in row-major order";
                    return Err(Error::invalid("kind", format!("{kind:?}"), rule));
                }
            }
        }
        let problem = Self { of };
        problem.dx().element.check_float("x")?;
        let changed = problem.axes().len();
        if changed > MOST_AXES {
            let rule = format!("an adjoint gathers along at most {MOST_AXES} axes: take it of one op after another");
            return Err(Error::invalid("axes", changed, rule));
        }
        Ok(problem)
    }

    /// The op whose adjoint it is.
    pub fn of(&self) -> &AdjointOf {
        &self.of
    }

    /// What is given: y's type.
    pub(crate) fn dy(&self) -> TensorType {
        match &self.of {
            AdjointOf::Pad(pad) => pad.kind(),
            AdjointOf::Slice(slice) => TensorType { extents: slice.output_extents(), ..slice.x().clone() },
            AdjointOf::Resize(resize) => resize.kind(),
            AdjointOf::Pool(pool) => TensorType::new(&pool.output_extents(), pool.element(), pool.layout()),
        }
    }

    /// What it gives: x's type.
    pub(crate) fn dx(&self) -> TensorType {
        match &self.of {
            AdjointOf::Pad(pad) => pad.x().clone(),
            AdjointOf::Slice(slice) => slice.x().clone(),
            AdjointOf::Resize(resize) => resize.x().clone(),
            AdjointOf::Pool(pool) => TensorType::new(&pool.input_extents(), pool.element(), pool.layout()),
        }
    }

    /// Whether indices say which elements of dy count.
    pub(crate) fn has_indices(&self) -> bool {
        matches!(&self.of, AdjointOf::Pool(pool) if pool.indices().is_some())
    }

    /// The axes that it gathers along, in order; along the others every element stays where it is.
    pub(crate) fn axes(&self) -> Vec<usize> {
        let changed = |is: &dyn Fn(usize) -> bool| (0..self.dx().rank()).filter(|&axis| is(axis)).collect();
        match &self.of {
            AdjointOf::Pad(pad) => changed(&|axis| pad.begin()[axis] + pad.end()[axis] > 0),
            AdjointOf::Slice(slice) => changed(&|axis| slice.ranges()[axis].count != slice.x().extents[axis] || slice.ranges()[axis].step != 1),
            // All spatial axes, since the indices of a max pool count over all of them.
            AdjointOf::Resize(_) | AdjointOf::Pool(_) => changed(&|axis| axis >= 2),
        }
    }

    /// Most entries that [`AdjointProblem::gathered`] makes for an axis: what a planner checks before.
    pub(crate) fn most_entries(&self, axis: usize) -> u64 {
        let outputs = self.dy().extents[axis] as u64;
        match &self.of {
            AdjointOf::Pad(_) | AdjointOf::Slice(_) => outputs,
            AdjointOf::Resize(_) => 2 * outputs,
            AdjointOf::Pool(pool) => outputs.saturating_mul(pool.axes()[axis + 3 - self.dx().rank()].filter),
        }
    }

    /// Coordinates of x that coordinate `o` of y reads along `axis`, each once, and their weights.
    fn reads(&self, axis: usize, tables: &[Vec<u32>], o: usize) -> Vec<(u32, f32)> {
        match &self.of {
            AdjointOf::Pad(_) => Some(tables[axis][o]).filter(|&source| source != NOTHING).map(|source| (source, 1.0)).into_iter().collect(),
            AdjointOf::Slice(slice) => {
                let range = slice.ranges()[axis];
                vec![((range.first as i64 + o as i64 * range.step as i64) as u32, 1.0)]
            }
            AdjointOf::Resize(resize) => match resize.descriptor().mode {
                ResizeMode::Nearest(mode) => vec![(resize.nearest(mode, axis - 2, o) as u32, 1.0)],
                ResizeMode::Linear => {
                    let tap = tap(resize, axis - 2, o);
                    if tap.first == tap.second {
                        return vec![(tap.first as u32, 1.0)];
                    }
                    [(tap.first, 1.0 - tap.weight), (tap.second, tap.weight)]
                        .into_iter()
                        .filter(|(_, w)| *w != 0.0)
                        .map(|(i, w)| (i as u32, w))
                        .collect()
                }
            },
            AdjointOf::Pool(pool) => {
                let window = &pool.axes()[axis + 3 - self.dx().rank()];
                let (inside, count) = pool.window(window, o as u64);
                let weight = match pool.kind() {
                    PoolKind::Average { .. } => 1.0 / count as f32,
                    _ => 1.0,
                };
                inside.into_iter().map(|i| (i as u32, weight)).collect()
            }
        }
    }

    /// What dx gathers along `axis`. Coordinates are below 2^31, which planners check and what fits in memory keeps.
    pub(crate) fn gathered(&self, axis: usize) -> Gathered {
        let tables = if let AdjointOf::Pad(pad) = &self.of { pad.tables() } else { vec![] };
        let outputs = self.dy().extents[axis];
        // Counted before they are placed: a list of its own for each coordinate would take more memory than all entries.
        let mut starts = vec![0u32; self.dx().extents[axis] + 1];
        for o in 0..outputs {
            self.reads(axis, &tables, o).into_iter().for_each(|(i, _)| starts[i as usize + 1] += 1);
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut entries = vec![(0, 0.0); starts[starts.len() - 1] as usize];
        let mut next = starts.clone();
        for o in 0..outputs {
            for (i, weight) in self.reads(axis, &tables, o) {
                entries[next[i as usize] as usize] = (o as u32, weight);
                next[i as usize] += 1;
            }
        }
        Gathered { starts, entries }
    }

    /// The most elements of dy that one of dx gathers.
    fn most_terms(&self) -> u64 {
        match &self.of {
            AdjointOf::Slice(_) => 1,
            // Reflected and repeated elements stand once inside and once on either side.
            AdjointOf::Pad(pad) => match pad.mode() {
                PadMode::Constant(_) => 1,
                PadMode::Reflect | PadMode::Circular => 3u64.pow(self.axes().len() as u32),
                PadMode::Replicate => self.product(|axis| {
                    1 + pad.begin()[axis].max(pad.end()[axis]).max(if pad.x().extents[axis] == 1 { pad.begin()[axis] + pad.end()[axis] } else { 0 })
                        as u64
                }),
            },
            // Scales that are given may put all of y on one element.
            AdjointOf::Resize(resize) if resize.descriptor().scales.is_some() => self.product(|axis| resize.sizes()[axis - 2] as u64),
            AdjointOf::Resize(resize) => self.product(|axis| 2 + 2 * (resize.sizes()[axis - 2] as u64).div_ceil(resize.x().extents[axis] as u64)),
            AdjointOf::Pool(pool) => self.product(|axis| {
                let window = &pool.axes()[axis + 3 - self.dx().rank()];
                // Taps that fall on one element lie stride / gcd(stride, dilation) apart.
                let apart = window.stride / gcd(window.stride, window.dilation);
                if pool.is_adaptive() { window.output.div_ceil(window.input) + 1 } else { window.filter.div_ceil(apart) }
            }),
        }
    }

    fn product(&self, of: impl Fn(usize) -> u64) -> u64 {
        self.axes().into_iter().map(of).fold(1, u64::saturating_mul)
    }
}

/// The greatest common divisor of two numbers that are not both 0.
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Problem for AdjointProblem {
    fn name(&self) -> &'static str {
        match &self.of {
            AdjointOf::Pad(_) => "pad_backward",
            AdjointOf::Slice(_) => "slice_backward",
            AdjointOf::Resize(_) => "resize_backward",
            AdjointOf::Pool(pool) => match (pool.kind(), pool.is_adaptive()) {
                (PoolKind::Max { .. }, false) => "max_pool_backward",
                (PoolKind::Max { .. }, true) => "adaptive_max_pool_backward",
                (PoolKind::Average { .. }, false) => "average_pool_backward",
                (PoolKind::Average { .. }, true) => "adaptive_average_pool_backward",
                (PoolKind::Lp { .. }, false) => "sum_pool_backward",
                (PoolKind::Lp { .. }, true) => "adaptive_sum_pool_backward",
            },
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let dy = self.dy();
        let mut inputs = vec![TensorSpec::of("dy", &dy)];
        if self.has_indices() {
            let plane = self.axes().into_iter().map(|axis| self.dx().extents[axis] as u64).product();
            let indices = TensorType { element: ElementType::U32, ..dy };
            inputs.push(TensorSpec::of("indices", &indices).with_domain(Domain::Index(plane)));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("dx", &self.dx())]
    }

    fn is_exact(&self) -> bool {
        match &self.of {
            AdjointOf::Pad(_) | AdjointOf::Slice(_) => true,
            // f16 holds 11 bits: sums of many terms leave them.
            AdjointOf::Resize(resize) => resize.is_exact() && resize.x().element == ElementType::F32,
            AdjointOf::Pool(pool) => !matches!(pool.kind(), PoolKind::Average { .. }),
        }
    }

    fn flops(&self) -> f64 {
        2.0 * self.dx().extents.iter().map(|&e| e as f64).product::<f64>() * self.terms() as f64
    }

    fn terms(&self) -> u64 {
        self.most_terms()
    }
}

impl std::fmt::Display for AdjointProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.of {
            AdjointOf::Pad(pad) => pad.fmt(f),
            AdjointOf::Slice(slice) => slice.fmt(f),
            AdjointOf::Resize(resize) => resize.fmt(f),
            AdjointOf::Pool(pool) => pool.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::ops::pool::descriptor::PoolDescriptor;
    use crate::types::Padding;

    /// What three windows say of an axis is what all of them say.
    #[test]
    fn windows_have_cells_where_all_but_the_last_count_alike() {
        let mut found = [0, 0];
        for (input, window, stride) in (1..=9usize).flat_map(|i| (1..=5usize).flat_map(move |w| (1..=3).map(move |s| (i, w, s)))) {
            for (begin, end) in (0..window).flat_map(|b| (0..window).map(move |e| (b, e))) {
                for count_include_pad in [false, true] {
                    let kind = PoolKind::Average { count_include_pad };
                    let padding = Padding::Explicit { begin: [begin], end: [end] };
                    let descriptor = PoolDescriptor { kind, stride: Some([stride]), padding, ceil_mode: true, ..PoolDescriptor::window([window]) };
                    let Ok(pool) = PoolProblem::new(&TensorType::f32(&[1, 1, input]), &descriptor) else { continue };
                    let axis = pool.axes()[2];
                    let counts: Vec<u64> = (0..axis.output).map(|o| pool.counted(&axis, o)).collect();
                    let is_even = counts[..counts.len() - 1].iter().all(|count| *count == counts[0]);
                    let cells = AdjointProblem::new(AdjointOf::Pool(pool)).unwrap().cells();
                    assert_eq!(cells.is_some(), is_even, "{counts:?}");
                    found[usize::from(is_even)] += 1;
                }
            }
        }
        assert!(found.into_iter().all(|count| count > 100), "{found:?}");
    }
}
