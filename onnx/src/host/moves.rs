//! Tensors moved, cut and joined on the host.

use super::{Budget, axis_of};
use crate::import::Fault;
use crate::tensor::{Numbers, Tensor, product};
use std::borrow::Cow;

/// Calls `$make` on the numbers of a tensor, whatever their type, and makes a tensor of what it gives.
macro_rules! over {
    ($x:expr, $dims:expr, $numbers:ident => $make:expr) => {{
        let (x, dims): (&Tensor<'_>, Vec<usize>) = ($x, $dims);
        let made = match x.numbers() {
            Numbers::F32($numbers) => Numbers::F32(Cow::Owned($make)),
            Numbers::F64($numbers) => Numbers::F64(Cow::Owned($make)),
            Numbers::I64($numbers) => Numbers::I64(Cow::Owned($make)),
        };
        Tensor::made(x.element(), dims, made)
    }};
}

/// How an axis is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    pub count: usize,
    /// From one element to the next.
    pub step: isize,
}

/// Strides of row-major extents.
pub(crate) fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; dims.len()];
    let mut step = 1isize;
    for (stride, &extent) in strides.iter_mut().zip(dims).rev() {
        *stride = step;
        step = step.saturating_mul(extent as isize);
    }
    strides
}

/// The offsets that `axes` walk from `first` on, row-major.
fn offsets(first: isize, axes: &[Walk]) -> Vec<usize> {
    let mut all = vec![first];
    for axis in axes {
        let mut next = Vec::with_capacity(all.len() * axis.count);
        for base in all {
            next.extend((0..axis.count as isize).map(|i| base + i * axis.step));
        }
        all = next;
    }
    all.into_iter().map(|offset| offset as usize).collect()
}

/// Elements of x from `first` on along `axes`: transposes, slices and broadcasts.
pub(crate) fn strided(x: &Tensor<'_>, first: isize, axes: &[Walk], budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let dims: Vec<usize> = axes.iter().map(|axis| axis.count).collect();
    budget.spend(&dims)?;
    let offsets = if dims.contains(&0) { vec![] } else { offsets(first, axes) };
    Ok(over!(x, dims, numbers => offsets.iter().filter_map(|&i| numbers.get(i).copied()).collect()))
}

/// Axis i of y is axis `perm[i]` of x.
pub(crate) fn transpose(x: &Tensor<'_>, perm: &[usize], budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let steps = strides(x.dims());
    let axes: Vec<Walk> = perm.iter().map(|&axis| Walk { count: x.dims()[axis], step: steps[axis] }).collect();
    strided(x, 0, &axes, budget)
}

/// x broadcast to these extents, to which it does.
pub(crate) fn expand<'a>(x: &Tensor<'a>, dims: &[usize], budget: &mut Budget) -> Result<Tensor<'a>, Fault> {
    if x.dims() == dims {
        return Ok(x.clone());
    }
    let steps = strides(x.dims());
    let front = dims.len() - x.dims().len();
    let axis = |(axis, &count): (usize, &usize)| match axis.checked_sub(front) {
        Some(own) if x.dims()[own] != 1 => Walk { count, step: steps[own] },
        _ => Walk { count, step: 0 },
    };
    strided(x, 0, &dims.iter().enumerate().map(axis).collect::<Vec<_>>(), budget)
}

/// Along one axis what `Slice` takes: its first element, how many, and the step between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub first: usize,
    pub count: usize,
    pub step: i64,
}

impl Range {
    /// By ONNX's rules: what lies outside is cut.
    pub fn new(extent: usize, start: i64, end: i64, step: i64) -> Result<Self, Fault> {
        if step == 0 {
            return Err(Fault::new("a step is 0"));
        }
        let (n, step_wide) = (extent as i128, i128::from(step));
        let from_front = |position: i64| i128::from(position) + if position < 0 { n } else { 0 };
        let [low, high] = if step > 0 { [0, n] } else { [-1, n - 1] };
        let (start, end) = (from_front(start).clamp(low.max(0).min(high), high), from_front(end).clamp(low, high));
        let count = if step > 0 { (end - start + step_wide - 1) / step_wide } else { (start - end - step_wide - 1) / -step_wide };
        if count <= 0 || start < 0 {
            return Ok(Self { first: 0, count: 0, step: 1 });
        }
        Ok(Self { first: start as usize, count: count as usize, step: if count == 1 { 1 } else { step } })
    }
}

/// A range of every axis.
pub(crate) fn slice(x: &Tensor<'_>, ranges: &[Range], budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let steps = strides(x.dims());
    let first = ranges.iter().zip(&steps).map(|(range, step)| range.first as isize * step).sum();
    let axes: Vec<Walk> = ranges.iter().zip(&steps).map(|(range, step)| Walk { count: range.count, step: range.step as isize * step }).collect();
    strided(x, first, &axes, budget)
}

/// Tensors one after another along `axis`.
pub(crate) fn concat(xs: &[&Tensor<'_>], axis: usize, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let first = xs.first().ok_or_else(|| Fault::new("it joins no tensors"))?;
    let mut dims = first.dims().to_vec();
    dims[axis] = 0;
    for x in xs {
        let alike = x.dims().len() == dims.len() && x.dims().iter().zip(first.dims()).enumerate().all(|(i, (a, b))| i == axis || a == b);
        if !alike || x.element() != first.element() {
            return Err(Fault::new(format!(
                "{} {:?} and {} {:?} cannot be joined along axis {axis}",
                first.element(),
                first.dims(),
                x.element(),
                x.dims()
            )));
        }
        dims[axis] += x.dims()[axis];
    }
    // Of what has no elements the other extents may be past counting.
    let outer = if budget.spend(&dims)? == 0 { 0 } else { product(&dims[..axis]) };
    macro_rules! joined {
        ($variant:ident) => {{
            let mut all = vec![];
            for row in 0..outer {
                for x in xs {
                    let inner = product(&x.dims()[axis..]);
                    if let Numbers::$variant(numbers) = x.numbers() {
                        all.extend_from_slice(&numbers[row * inner..(row + 1) * inner]);
                    }
                }
            }
            Numbers::$variant(Cow::Owned(all))
        }};
    }
    let numbers = match first.numbers() {
        Numbers::F32(_) => joined!(F32),
        Numbers::F64(_) => joined!(F64),
        Numbers::I64(_) => joined!(I64),
    };
    Ok(Tensor::made(first.element(), dims, numbers))
}

/// Along an axis of this extent, indices from the front.
pub(crate) fn front_indices(indices: &[i64], extent: usize) -> Result<Vec<usize>, Fault> {
    indices
        .iter()
        .map(|&index| axis_of(index, extent).map_err(|_| Fault::new(format!("the index {index} is outside of the extent {extent}"))))
        .collect()
}

/// The parts of x at `indices` along `axis`; the axis becomes those of the indices.
pub(crate) fn gather(x: &Tensor<'_>, indices: &Tensor<'_>, axis: usize, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let list = front_indices(indices.as_integers().ok_or_else(|| Fault::new("indices are integers"))?, x.dims()[axis])?;
    let extent = x.dims()[axis];
    let dims: Vec<usize> = x.dims()[..axis].iter().chain(indices.dims()).chain(&x.dims()[axis + 1..]).copied().collect();
    let is_empty = budget.spend(&dims)? == 0;
    let (outer, inner) = if is_empty { (0, 0) } else { (product(&x.dims()[..axis]), product(&x.dims()[axis + 1..])) };
    let at = |row: usize, index: usize| (row * extent + index) * inner;
    Ok(over!(x, dims, numbers => {
        let mut all = vec![];
        for row in 0..outer {
            for &index in &list {
                all.extend_from_slice(&numbers[at(row, index)..at(row, index) + inner]);
            }
        }
        all
    }))
}

/// Elements with indices row > column + k (`upper`), or below, become 0.
pub(crate) fn triangle(x: &Tensor<'_>, upper: bool, k: i64, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let [.., rows, columns] = x.dims()[..] else { return Err(Fault::new(format!("its rank is at least 2, not {}", x.dims().len()))) };
    budget.spend(x.dims())?;
    let kept = |i: usize| {
        let (row, column) = (i / columns.max(1) % rows.max(1), i % columns.max(1));
        let right = (column as i128 - row as i128) - i128::from(k);
        if upper { right >= 0 } else { right <= 0 }
    };
    Ok(over!(x, x.dims().to_vec(), numbers => numbers.iter().enumerate().map(|(i, &v)| if kept(i) { v } else { Default::default() }).collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_onnx() {
        let range = |extent, start, end, step| Range::new(extent, start, end, step).map(|r| (r.first, r.count)).unwrap();
        assert_eq!(range(9, 2, 7, 2), (2, 3));
        assert_eq!(range(9, -3, i64::MAX, 1), (6, 3));
        assert_eq!(range(9, i64::MAX, i64::MIN, -1), (8, 9));
        assert_eq!(range(20, 20, 0, -1), (19, 19));
        assert_eq!(range(10, 10, 0, -3), (9, 3));
        assert_eq!(range(5, 3, 3, 1), (0, 0));
        assert_eq!(range(5, -1, i64::MIN, i64::MIN), (4, 1));
        assert_eq!(range(0, 0, 5, 1), (0, 0));
        assert_eq!(range(0, -1, i64::MIN, -1), (0, 0));
        assert_eq!(range(5, 0, 3, -1), (0, 0));
        assert!(Range::new(5, 0, 3, 0).is_err());
    }

    #[test]
    fn moves_are_those_of_numpy() {
        let mut budget = Budget::of_file(0, 1 << 22);
        let x = Tensor::integers(crate::Element::I64, &[2, 3], vec![0, 1, 2, 3, 4, 5]).unwrap();
        let integers = |t: Tensor<'_>| (t.dims().to_vec(), t.as_integers().unwrap().to_vec());
        assert_eq!(integers(transpose(&x, &[1, 0], &mut budget).unwrap()), (vec![3, 2], vec![0, 3, 1, 4, 2, 5]));
        let column = slice(&x, &[Range { first: 0, count: 2, step: 1 }, Range { first: 2, count: 2, step: -2 }], &mut budget).unwrap();
        assert_eq!(integers(column), (vec![2, 2], vec![2, 0, 5, 3]));
        let row = Tensor::integers(crate::Element::I64, &[1, 3], vec![7, 8, 9]).unwrap();
        assert_eq!(integers(expand(&row, &[2, 2, 3], &mut budget).unwrap()).1, [7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9]);
        assert_eq!(integers(concat(&[&x, &row], 0, &mut budget).unwrap()), (vec![3, 3], vec![0, 1, 2, 3, 4, 5, 7, 8, 9]));
        let two = Tensor::integers(crate::Element::I64, &[2], vec![-1, 0]).unwrap();
        assert_eq!(integers(gather(&x, &two, 1, &mut budget).unwrap()), (vec![2, 2], vec![2, 0, 5, 3]));
        let empty = Tensor::integers(crate::Element::I64, &[0], vec![]).unwrap();
        assert_eq!(integers(gather(&x, &empty, 0, &mut budget).unwrap()), (vec![0, 3], vec![]));
        assert!(budget.spend(&[usize::MAX, 2]).is_err() && budget.spend(&[1 << 30]).is_err());
    }
}
