//! Max unpooling: the inverse of max pooling as far as there is one.

use crate::ops::Problem;
use crate::ops::pool::descriptor::{MaxUnpoolDescriptor, PoolDescriptor};
use crate::ops::pool::problem::check_window;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::shape::{AxisPadding, axis_name, check_step, resolve_axis, window_extent};
use crate::types::{ElementType, Error, Layout, Result, TensorShape, TensorType};
use serde::{Deserialize, Serialize};

/// A resolved max unpooling. Indices are flat inside the output plane, row-major. Of several that point at one output the last in row-major
/// order wins.
///
/// An index past the plane is a mistake: [`crate::reference::compute`] and [`crate::cpu::compute`] refuse it by name. A device cannot refuse a
/// value, and on a GPU such an element is dropped: y is 0 wherever no other index points, and nothing outside y is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::MaxUnpool", into = "crate::ops::written::MaxUnpool")]
pub struct MaxUnpoolProblem {
    pub(crate) x: Vec<usize>,
    pub(crate) y: Vec<usize>,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl MaxUnpoolProblem {
    /// Extents of x and of the indices.
    pub fn x(&self) -> &[usize] {
        &self.x
    }

    /// Extents of y.
    pub fn y(&self) -> &[usize] {
        &self.y
    }

    /// Element type of x and y.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of all three.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

impl MaxUnpoolProblem {
    /// Resolves an unpooling: extent of y = (n - 1) stride + dilation (window - 1) + 1 - pads, unless `output_shape` says it. That is the
    /// smallest input that the pool would make x of, if it rounds down: where the pool dropped elements at the end, as windows of 2 do with an odd
    /// extent, indices count in a larger plane, which only `output_shape` can tell.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming argument, value and rule: an `output_shape` of which the pool does not make x's extents; none where the pool
    /// rounds up or pads SAME, which do not tell the extent of y. Without `ceil_mode` either rounding is taken, since many callers do not
    /// say how the pool rounded.
    pub fn new<const N: usize>(x: &TensorType, indices: &[usize], descriptor: &MaxUnpoolDescriptor<N>) -> Result<Self> {
        let TensorType { extents: x, element, layout } = x.clone();
        if x.len() != N + 2 {
            return Err(Error::invalid("x", format!("{x:?}"), format!("a {N}-D unpool takes x of rank {}, not {}", N + 2, x.len())));
        }
        TensorShape::named("x", &x)?;
        if indices != x {
            return Err(Error::invalid("indices", format!("{indices:?}"), format!("indices have the shape of x, {x:?}")));
        }
        let pool = &descriptor.pool;
        let mut y = x[..2].to_vec();
        for i in 0..N {
            y.push(match descriptor.output_shape {
                Some(shape) => wanted_extent(pool, i, x[2 + i], shape[i])?,
                None => extent(pool, i, x[2 + i])?,
            });
        }
        TensorShape::named("the output", &y)?;
        Ok(Self { x, y, element, layout })
    }

    /// Positions of a plane of x and of y.
    pub(crate) fn positions(&self) -> [u64; 2] {
        [&self.x, &self.y].map(|extents| extents[2..].iter().map(|&e| e as u64).product())
    }
}

/// Extent along spatial axis `i` of the smallest plane of which `pool` makes `n` outputs.
fn extent<const N: usize>(pool: &PoolDescriptor<N>, i: usize, n: usize) -> Result<usize> {
    let (name, taps) = (axis_name(i, N), pool.window[i] as u64);
    let (stride, dilation) = (pool.stride.map_or(taps, |s| s[i] as u64), pool.dilation[i] as u64);
    check_window(name, taps)?;
    check_step("stride", name, stride)?;
    check_step("dilation", name, dilation)?;
    let window = window_extent(name, taps, dilation)?;
    if pool.ceil_mode {
        return Err(Error::invalid("output_shape", "none", "a pool that rounds its output up does not tell the extent of y: give output_shape"));
    }
    let pads = match pool.padding.axis(i) {
        AxisPadding::Explicit { begin, end } => u128::from(begin) + u128::from(end),
        AxisPadding::SameUpper | AxisPadding::SameLower => {
            return Err(Error::invalid("padding", "Same", "SAME does not tell the extent of y: give output_shape, or explicit pads"));
        }
    };
    let full = u128::from(n as u64 - 1) * u128::from(stride) + u128::from(window);
    usize::try_from(full.saturating_sub(pads)).ok().filter(|&e| e > 0).ok_or_else(|| {
        let rule = format!("the output extent ({n} - 1) x stride {stride} + window {window} - pads must be at least 1 and at most 2^60");
        Error::invalid(format!("padding ({name})"), pads, rule)
    })
}

/// The extent that is wanted, if `pool` makes `n` outputs of it.
fn wanted_extent<const N: usize>(pool: &PoolDescriptor<N>, i: usize, n: usize, wanted: usize) -> Result<usize> {
    let (name, taps) = (axis_name(i, N), pool.window[i] as u64);
    check_window(name, taps)?;
    let argument = format!("output_shape ({name})");
    if wanted == 0 {
        return Err(Error::invalid(argument, wanted, "an output extent is at least 1"));
    }
    let (stride, dilation) = (pool.stride.map_or(taps, |s| s[i] as u64), pool.dilation[i] as u64);
    let pooled = |ceil_mode| resolve_axis(name, wanted as u64, taps, stride, dilation, pool.padding.axis(i), ceil_mode).map(|axis| axis.output);
    let outputs = [pooled(pool.ceil_mode)?, pooled(true)?];
    if outputs.contains(&(n as u64)) {
        return Ok(wanted);
    }
    let rule = format!("the pool must make x's extent of it, {n}, and makes {}", outputs[0]);
    Err(Error::invalid(argument, wanted, rule))
}

impl Problem for MaxUnpoolProblem {
    fn name(&self) -> &'static str {
        "max_unpool"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let [_, positions] = self.positions();
        vec![
            TensorSpec::new("x", &self.x, self.element, self.layout),
            TensorSpec::new("indices", &self.x, ElementType::U32, self.layout).with_domain(Domain::Index(positions)),
        ]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y, self.element, self.layout)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        0.0
    }
}

impl std::fmt::Display for MaxUnpoolProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::ops::spec::write_tensor(f, &self.x, self.element, self.layout)?;
        let y: Vec<String> = self.y[2..].iter().map(usize::to_string).collect();
        write!(f, "_to{}", y.join("x"))
    }
}

/// The gradient of an unpooling by x: an element of x has the gradient of the output that it went into, or 0 where another one won it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxUnpoolGradient {
    pub(crate) of: MaxUnpoolProblem,
}

impl MaxUnpoolGradient {
    /// The gradient of this unpooling.
    pub fn new(of: MaxUnpoolProblem) -> Self {
        Self { of }
    }

    /// The unpooling.
    pub fn of(&self) -> &MaxUnpoolProblem {
        &self.of
    }
}

impl Problem for MaxUnpoolGradient {
    fn name(&self) -> &'static str {
        "max_unpool_backward"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let indices = self.of.inputs().swap_remove(1);
        vec![TensorSpec::new("dy", &self.of.y, self.of.element, self.of.layout), indices]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("dx", &self.of.x, self.of.element, self.of.layout)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        0.0
    }
}

impl std::fmt::Display for MaxUnpoolGradient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.of.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::pool::descriptor::IndexOrder;
    use crate::ops::pool::descriptor::PoolKind;
    use crate::ops::pool::problem::PoolProblem;
    use crate::types::shape::Padding;

    fn unpool<const N: usize>(pool: PoolDescriptor<N>, output_shape: Option<[usize; N]>, x: &[usize]) -> Result<MaxUnpoolProblem> {
        MaxUnpoolProblem::new(&TensorType::f32(x), x, &MaxUnpoolDescriptor { pool, output_shape })
    }

    /// Values of a pooling of 1, 2, 3, ... by the reference, put back.
    fn there_and_back(pool: PoolDescriptor<2>, extents: [usize; 2], output_shape: Option<[usize; 2]>) -> (Vec<usize>, Vec<f64>) {
        let kind = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
        let x = [1, 1, extents[0], extents[1]];
        let problem = PoolProblem::new(&TensorType::f32(&x), &pool.with_kind(kind)).unwrap();
        let values: Vec<f64> = (1..=extents[0] * extents[1]).map(|v| v as f64).collect();
        let pooled = crate::reference::compute(&problem, &[&values]).unwrap();
        let problem = unpool(pool, output_shape, &problem.output_extents()).unwrap();
        let back = crate::reference::compute(&problem, &[&pooled[0].value, &pooled[1].value]).unwrap().swap_remove(0);
        (problem.y, back.value)
    }

    /// A plane of 1, 2, 3, ... with all but these set to zero.
    fn only(kept: &[usize], count: usize) -> Vec<f64> {
        (1..=count).map(|v| if kept.contains(&v) { v as f64 } else { 0.0 }).collect()
    }

    #[test]
    fn maxima_return_to_where_a_dilated_or_rounded_up_window_found_them() {
        let dilated = PoolDescriptor { dilation: [2, 2], ..PoolDescriptor::window([2, 2]) };
        assert_eq!(there_and_back(dilated, [5, 5], None), (vec![1, 1, 5, 5], only(&[13, 15, 23, 25], 25)));
        let up = PoolDescriptor { ceil_mode: true, ..PoolDescriptor::window([2, 2]) };
        assert_eq!(there_and_back(up, [5, 5], Some([5, 5])), (vec![1, 1, 5, 5], only(&[7, 9, 10, 17, 19, 20, 22, 24, 25], 25)));
        // A pool that rounds down drops the last row and column, which output_shape brings back.
        assert_eq!(there_and_back(PoolDescriptor::window([2, 2]), [5, 5], Some([5, 5])), (vec![1, 1, 5, 5], only(&[7, 9, 17, 19], 25)));
        let same = PoolDescriptor::window([3, 3]).with_stride([2, 2]).with_padding(Padding::Same);
        assert_eq!(there_and_back(same, [4, 4], Some([4, 4])), (vec![1, 1, 4, 4], only(&[11, 12, 15, 16], 16)));
    }

    #[test]
    fn an_output_that_the_pool_does_not_tell_or_make_is_refused() {
        let window = PoolDescriptor::window([2]);
        let error = |pool: PoolDescriptor<1>, shape: Option<[usize; 1]>| unpool(pool, shape, &[1, 1, 3]).unwrap_err().to_string();
        let up = PoolDescriptor { ceil_mode: true, ..window };
        assert_eq!(error(up, None), "output_shape is none: a pool that rounds its output up does not tell the extent of y: give output_shape");
        assert!(error(window.with_padding(Padding::Same), None).contains("SAME does not tell the extent of y"));
        assert_eq!(error(up, Some([4])), "output_shape (width) is 4: the pool must make x's extent of it, 3, and makes 2");
        assert_eq!(error(window, Some([8])), "output_shape (width) is 8: the pool must make x's extent of it, 3, and makes 4");
        assert_eq!(error(window, Some([0])), "output_shape (width) is 0: an output extent is at least 1");
        assert!(error(PoolDescriptor { dilation: [0], ..window }, None).starts_with("dilation (width) is 0"));
        // 5 gives 3 rounded up, 6 and 7 give 3 either way.
        assert!([5, 6, 7].into_iter().all(|extent| unpool(window, Some([extent]), &[1, 1, 3]).is_ok()));
        assert!(unpool(up, Some([7]), &[1, 1, 3]).is_err() && unpool(up, Some([5]), &[1, 1, 3]).is_ok());
    }

    #[test]
    fn an_index_that_is_none_is_refused_by_name() {
        let problem = unpool(PoolDescriptor::window([2]), None, &[1, 1, 3]).unwrap();
        for (index, text) in [(6.0, "6"), (1.5, "1.5"), (-1.0, "-1"), (f32::NAN, "NaN")] {
            let says = format!("indices[1] is {text}: an index is a whole number from 0 to below 6");
            let reference = crate::reference::compute(&problem, &[&[1.0, 2.0, 3.0], &[0.0, index.into(), 5.0]]);
            assert_eq!(reference.unwrap_err().to_string(), says);
            #[cfg(feature = "cpu")]
            {
                let engine = crate::cpu::compute(&problem, &[&[1.0, 2.0, 3.0], &[0.0, index, 5.0]], &mut [0.0; 6]);
                assert_eq!(engine.unwrap_err().to_string(), says);
            }
        }
        assert!(crate::reference::compute(&problem, &[&[1.0, 2.0, 3.0], &[0.0, 3.0, 5.0]]).is_ok());
    }
}
