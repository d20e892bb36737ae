//! Strided copies: axes with a step in x and one in y.

/// One axis of a strided copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StridedAxis {
    pub extent: u64,
    /// Step in x; negative where x is walked backwards.
    pub x: i64,
    /// Step in y.
    pub y: i64,
}

/// One strided copy from input `input` into the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StridedCopy {
    pub input: usize,
    pub x_base: i64,
    pub y_base: i64,
    pub axes: Vec<StridedAxis>,
}

impl StridedCopy {
    /// The same copy with as few axes as do: those of extent 1 left out, the rest in the memory order of y, neighbours on one line in
    /// both tensors joined. At least one axis remains.
    pub fn merged(mut self) -> Self {
        self.axes.retain(|a| a.extent > 1);
        self.axes.sort_by_key(|a| std::cmp::Reverse(a.y));
        let mut merged: Vec<StridedAxis> = Vec::with_capacity(self.axes.len());
        for inner in self.axes {
            match merged.last_mut() {
                Some(outer) if outer.x == inner.x * inner.extent as i64 && outer.y == inner.y * inner.extent as i64 => {
                    *outer = StridedAxis { extent: outer.extent * inner.extent, ..inner };
                }
                _ => merged.push(inner),
            }
        }
        if merged.is_empty() {
            merged.push(StridedAxis { extent: 1, x: 1, y: 1 });
        }
        Self { axes: merged, ..self }
    }

    pub fn count(&self) -> u64 {
        self.axes.iter().map(|a| a.extent).product()
    }

    /// The axis that `rows` runs along: the one that is contiguous in y where it is long, so that writes are too, else the longest. A
    /// processor pays more for a workgroup than for a scattered write.
    pub(crate) fn run_axis(&self, is_cpu: bool) -> usize {
        let last = self.axes.len() - 1;
        if self.axes[last].extent >= if is_cpu { 512 } else { 64 } {
            return last;
        }
        (0..=last).max_by_key(|&i| self.axes[i].extent).unwrap_or(last)
    }

    /// The axes that are contiguous in x and in y, where they differ: the sides of a tile.
    pub(crate) fn tile_axes(&self) -> Option<(usize, usize)> {
        let p = self.axes.iter().position(|a| a.x.abs() == 1)?;
        let q = self.axes.iter().position(|a| a.y == 1)?;
        (p != q).then_some((p, q))
    }

    /// As [`Self::axes`], with the axes of these indices taken out and put last, in this order.
    pub(crate) fn with_last(&self, last: &[usize]) -> Vec<StridedAxis> {
        let others = (0..self.axes.len()).filter(|i| !last.contains(i));
        others.chain(last.iter().copied()).map(|i| self.axes[i]).collect()
    }
}
