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

    /// The copy back, from y into x.
    pub fn reversed(self) -> Self {
        let axes = self.axes.iter().map(|axis| StridedAxis { extent: axis.extent, x: axis.y, y: axis.x }).collect();
        Self { input: self.input, x_base: self.y_base, y_base: self.x_base, axes }
    }

    /// Extents of parts, as large as may be, whose elements lie among `most` neighbours of x and as many of y.
    pub fn part_extents(&self, most: [u64; 2]) -> Vec<u64> {
        let mut extents: Vec<u64> = self.axes.iter().map(|a| a.extent).collect();
        for (most, steps) in most.into_iter().zip([|a: &StridedAxis| a.x, |a: &StridedAxis| a.y]) {
            let reach = |extents: &[u64], i: usize| (extents[i] - 1) * steps(&self.axes[i]).unsigned_abs();
            loop {
                let all: u64 = (0..extents.len()).map(|i| reach(&extents, i)).sum();
                let farthest = (0..extents.len()).max_by_key(|&i| reach(&extents, i));
                let Some(axis) = farthest.filter(|_| all >= most.max(1)) else { break };
                let others = all - reach(&extents, axis);
                // Its step is not 0: it reaches farthest, and they do not all reach 0.
                extents[axis] = if others < most { (most - 1 - others) / steps(&self.axes[axis]).unsigned_abs() + 1 } else { 1 };
            }
        }
        extents
    }

    /// The parts of these extents, those at the ends shorter.
    pub fn parts(&self, extents: &[u64]) -> Vec<Self> {
        let mut parts = vec![Self { axes: vec![], ..self.clone() }];
        for (axis, &extent) in self.axes.iter().zip(extents) {
            let cut = |part: &Self| {
                let firsts: Vec<u64> = (0..axis.extent).step_by(extent as usize).collect();
                let part = part.clone();
                firsts.into_iter().map(move |first| {
                    let axes = part.axes.iter().copied().chain([StridedAxis { extent: extent.min(axis.extent - first), ..*axis }]).collect();
                    let base = |base: i64, step: i64| base + first as i64 * step;
                    Self { x_base: base(part.x_base, axis.x), y_base: base(part.y_base, axis.y), axes, ..part }
                })
            };
            parts = parts.iter().flat_map(cut).collect();
        }
        parts
    }

    /// The first element that it takes of x, or puts into y, and how many lie from there to the last.
    pub fn spans(&self) -> [(u64, u64); 2] {
        [(self.x_base, (|a| a.x) as fn(&StridedAxis) -> i64), (self.y_base, |a| a.y)].map(|(base, step)| {
            let reach = |a: &StridedAxis| (a.extent as i64 - 1) * step(a);
            let first = base + self.axes.iter().map(|a| reach(a).min(0)).sum::<i64>();
            // Every element's place is there, so none is negative.
            (first as u64, self.axes.iter().map(|a| reach(a).unsigned_abs()).sum::<u64>() + 1)
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of places of a copy.
    fn moves(copy: &StridedCopy) -> Vec<[i64; 2]> {
        let mut moves = vec![[copy.x_base, copy.y_base]];
        for axis in &copy.axes {
            let along = |at: &[i64; 2]| (0..axis.extent as i64).map(|i| [at[0] + i * axis.x, at[1] + i * axis.y]).collect::<Vec<_>>();
            moves = moves.iter().flat_map(along).collect();
        }
        moves.sort();
        moves
    }

    #[test]
    fn parts_move_what_the_whole_moves_and_stay_among_neighbours() {
        let axis = |(extent, x, y)| StridedAxis { extent, x, y };
        for axes in [
            [(5, 12, 1), (4, 3, 15), (3, 1, 5)].as_slice(), // a transpose
            &[(4, -15, 15), (5, -3, 3), (3, -1, 1)],        // backwards
            &[(60, 1, 1)],                                  // a line
            &[(6, 0, 10), (10, 1, 1)],                      // a line that is repeated
        ] {
            let lowest: i64 = axes.iter().map(|&(extent, x, _)| (extent as i64 - 1) * x.min(0)).sum();
            let copy = StridedCopy { input: 0, x_base: 7 - lowest, y_base: 3, axes: axes.iter().copied().map(axis).collect() };
            for most in [[1, 1], [1, 100], [100, 2], [7, 9], [20, 31], [100, 100]] {
                let parts = copy.parts(&copy.part_extents(most));
                let mut all: Vec<[i64; 2]> = parts.iter().flat_map(moves).collect();
                all.sort();
                assert_eq!(all, moves(&copy), "{most:?}");
                for part in &parts {
                    for (side, ((first, count), most)) in part.spans().into_iter().zip(most).enumerate() {
                        assert!(count <= most, "{part:?}: {count} of {most}");
                        let places: Vec<i64> = moves(part).iter().map(|at| at[side]).collect();
                        assert_eq!(places.iter().min(), Some(&(first as i64)));
                        assert_eq!(places.iter().max(), Some(&((first + count) as i64 - 1)));
                    }
                }
            }
            assert_eq!(copy.parts(&copy.part_extents([100, 100])).len(), 1);
        }
    }
}
