//! Ops that read x by tables, coordinate by coordinate of each axis of y: cut into bands ([`crate::plan::bands`]) where no binding holds x or y.

use crate::ops::spec::TensorSpec;
use crate::ops::transform::NOTHING;
use crate::ops::transform::linear::Tap;
use crate::plan::bands::{self, Band, Cuttable, Rows};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Plan, check_binding, check_parts};
use crate::types::{Result, TensorType};
use std::ops::Range;

/// What coordinates of y read along each logical axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reads {
    /// One coordinate of x, or [`NOTHING`], by axis.
    One(Vec<Vec<u32>>),
    /// Two, by spatial axis; along the others the same one of x.
    Two(Vec<Vec<Tap>>),
}

/// An op on one tensor that is nothing but these reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sources {
    pub x: TensorType,
    pub y: TensorType,
    pub reads: Reads,
}

impl Cuttable for Sources {
    fn tensor(&self, input: Option<usize>) -> TensorSpec {
        if input.is_some() { TensorSpec::of("x", &self.x) } else { TensorSpec::of("y", &self.y) }
    }
}

/// Most entries of the tables of all bands together: planning takes a second for them.
const MOST_ENTRIES: u64 = 1 << 24;

impl Sources {
    /// Its plan where no binding holds x, or y: that of its bands. `None` where they fit. `plan_band` plans one.
    pub fn in_bands(&self, op: &'static str, plan_band: impl FnMut(&Self) -> Result<Plan>, profile: &DeviceProfile) -> Option<Result<Plan>> {
        let (x, y) = (self.tensor(Some(0)), self.tensor(None));
        let refusal = [&x, &y].into_iter().find_map(|spec| check_binding(&spec.name, spec.bytes(), profile).err())?;
        Some(match self.cut(profile) {
            Some((axis, cut)) => bands::fill(Plan::new(op, String::new(), vec![x], vec![y]), (1, axis), &cut, None, plan_band, profile),
            None => Err(refusal),
        })
    }

    /// The coordinates of x along an axis that these of y read, in order; the first one where they read nothing.
    fn rows(&self, axis: usize, of: Range<usize>) -> Vec<u32> {
        let mut rows: Vec<u32> = match &self.reads {
            Reads::One(tables) => tables[axis][of].iter().copied().filter(|at| *at != NOTHING).collect(),
            Reads::Two(_) if axis < 2 => of.map(|at| at as u32).collect(),
            Reads::Two(taps) => taps[axis - 2][of].iter().flat_map(|tap| [tap.first as u32, tap.second as u32]).collect(),
        };
        rows.sort_unstable();
        rows.dedup();
        if rows.is_empty() { vec![0] } else { rows }
    }

    /// Coordinates `of` of y's axis alone, with an x of the rows that they read.
    fn band(&self, axis: usize, of: Range<usize>) -> Band<Self> {
        let rows = self.rows(axis, of.clone());
        let at = |row: usize| rows.partition_point(|own| (*own as usize) < row);
        let mut problem = self.clone();
        (problem.x.extents[axis], problem.y.extents[axis]) = (rows.len(), of.len());
        match &mut problem.reads {
            Reads::One(tables) => {
                let own = |entry: u32| if entry == NOTHING { NOTHING } else { at(entry as usize) as u32 };
                tables[axis] = tables[axis][of.clone()].iter().map(|entry| own(*entry)).collect();
            }
            Reads::Two(taps) if axis >= 2 => {
                let own = |tap: &Tap| Tap { first: at(tap.first), second: at(tap.second), weight: tap.weight };
                taps[axis - 2] = taps[axis - 2][of.clone()].iter().map(own).collect();
            }
            Reads::Two(_) => {}
        }
        let mut x: Vec<Rows> = vec![];
        for (band, tensor) in (0..).zip(rows.iter().map(|row| u64::from(*row))) {
            match x.last_mut() {
                Some(last) if last.tensor + last.count == tensor => last.count += 1,
                _ => x.push(Rows { tensor, band, count: 1 }),
            }
        }
        Band { problem, x, first: of.start as u64 }
    }

    /// The bands of an op that does not fit, along the slowest axis that can be cut. `None`: there is none.
    fn cut(&self, profile: &DeviceProfile) -> Option<(usize, Vec<Band<Self>>)> {
        let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
        let slab = |tensor: Option<usize>, axis: usize| {
            let spec = self.tensor(tensor);
            spec.bytes() / spec.tensor.extents[axis] as u64
        };
        self.y.layout.memory_order(self.y.extents.len()).into_iter().find_map(|axis| {
            let (extent, [x, y]) = (self.y.extents[axis], [slab(Some(0), axis), slab(None, axis)]);
            let bands = |count: usize| (0..extent).step_by(count).map(move |first| first..extent.min(first + count));
            let fits = |count: usize| count as u64 * y <= limit && bands(count).all(|of| self.rows(axis, of).len() as u64 * x <= limit);
            let count = if fits(extent) {
                extent // without the rows that nothing reads
            } else if extent == 1 {
                return None;
            } else {
                // Halves, until they fit: the rows of more coordinates are no fewer.
                let halves = std::iter::successors(Some(extent), |count| (*count > 1).then(|| count.div_ceil(2)));
                halves.skip(1).find(|count| fits(*count)).unwrap_or(1)
            };
            check_parts("y", (extent.div_ceil(count)) as u128).ok()?;
            // Each band has the tables of all axes.
            let entries = self.y.extents.iter().fold(0u64, |sum, &extent| sum.saturating_add(extent as u64));
            if entries.saturating_mul(extent.div_ceil(count) as u64) > MOST_ENTRIES {
                return None;
            }
            Some((axis, bands(count).map(|of| self.band(axis, of)).collect()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y by the tables of each axis of a tensor that has its own element numbers.
    fn read(sources: &Sources, number: &dyn Fn(&[u64]) -> u64) -> Vec<Option<u64>> {
        let Reads::One(tables) = &sources.reads else { panic!("one source each") };
        let mut at: Vec<Vec<u32>> = vec![vec![]];
        for table in tables {
            at = at.iter().flat_map(|head| table.iter().map(move |entry| head.iter().copied().chain([*entry]).collect())).collect();
        }
        at.iter().map(|at| (!at.contains(&NOTHING)).then(|| number(&at.iter().map(|i| u64::from(*i)).collect::<Vec<_>>()))).collect()
    }

    #[test]
    fn bands_read_what_the_whole_reads() {
        // The second axis mirrored about its ends, with nothing before and after.
        let mirrored = vec![NOTHING, 2, 1, 0, 1, 2, 3, 4, 3, 2, NOTHING];
        let sources = Sources { x: TensorType::f32(&[3, 5]), y: TensorType::f32(&[3, 11]), reads: Reads::One(vec![vec![0, 1, 2], mirrored]) };
        for axis in [0, 1] {
            let whole = read(&sources, &|at| 5 * at[0] + at[1]);
            for count in 1..=sources.y.extents[axis] {
                for first in (0..sources.y.extents[axis]).step_by(count) {
                    let band = sources.band(axis, first..sources.y.extents[axis].min(first + count));
                    let row = |at: u64| {
                        band.x.iter().find(|rows| (rows.band..rows.band + rows.count).contains(&at)).map(|rows| rows.tensor + at - rows.band)
                    };
                    let own = read(&band.problem, &|at| {
                        let whole = |i: usize| if i == axis { row(at[i]).unwrap() } else { at[i] };
                        5 * whole(0) + whole(1)
                    });
                    let [rows, columns] = [&band.problem.y.extents[0], &band.problem.y.extents[1]];
                    let offset = |i: usize| if i == axis { first } else { 0 };
                    let expected: Vec<Option<u64>> = (0..*rows)
                        .flat_map(|r| (0..*columns).map(move |c| (r, c)))
                        .map(|(r, c)| whole[11 * (r + offset(0)) + c + offset(1)])
                        .collect();
                    assert_eq!(own, expected, "axis {axis}, {first} of {count}");
                    assert_eq!(band.problem.x.extents[axis] as u64, band.x.iter().map(|rows| rows.count).sum::<u64>());
                }
            }
        }
    }

    #[test]
    fn an_op_is_cut_along_the_slowest_axis_that_fits() {
        let tables: Vec<Vec<u32>> = [4u32, 6, 50].map(|n| (0..n).collect()).into();
        let kind = TensorType::f32(&[4, 6, 50]);
        let sources = Sources { x: kind.clone(), y: kind, reads: Reads::One(tables) };
        let cut =
            |bytes: u64| sources.cut(&DeviceProfile { max_binding_bytes: bytes, ..DeviceProfile::MINIMAL }).map(|(axis, bands)| (axis, bands.len()));
        assert_eq!(cut(2400), Some((0, 2)));
        assert_eq!(cut(1200), Some((0, 4)));
        assert_eq!(cut(100), Some((0, 4)), "and each of them further on");
        let one = sources.band(0, 0..1).problem;
        assert_eq!(
            one.cut(&DeviceProfile { max_binding_bytes: 100, ..DeviceProfile::MINIMAL }).map(|(axis, bands)| (axis, bands.len())),
            Some((1, 6))
        );
    }
}
