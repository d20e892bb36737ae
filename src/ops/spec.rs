//! The tensors that an op takes and gives.

use crate::types::shape::MAX_RANK;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use std::borrow::Cow;

/// What values a tensor may hold; tells the checks and benches what data to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Any number.
    Real,
    /// Any number, to be multiplied by another that is as large: whether a product that leaves f32 meets an infinity is a matter of the order.
    Factor,
    /// Positive numbers, such as a variance.
    Positive,
    /// Numbers other than zero, such as a divisor.
    NonZero,
    /// Multiples of a half where numbers are real ones: what is rounded.
    Halves,
    /// Few numbers that differ, so that many are equal: what is compared.
    Few,
    /// Numbers near 1 and -1, of which a product of many stays in range.
    NearOne,
    /// Positions on axes that reach from -1 to 1, and outside.
    Position,
    /// Whole numbers from 0 to below this.
    Index(u64),
    /// Rows of whole numbers, the i-th of each from 0 to below the i-th of these; where they are f32 numbers, also negative, down to what counts from the
    /// end.
    Places {
        /// Ends of the ranges; those behind the numbers of a row are 1.
        ends: [u64; MAX_RANK],
        /// Numbers of a row.
        numbers: usize,
    },
}

/// A tensor that an op takes or gives.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// Its name in messages, such as `x`.
    pub name: Cow<'static, str>,
    /// What it is.
    pub tensor: TensorType,
    /// Given when the op is prepared and read then, such as a filter or a bias; the others are given with each recording.
    pub constant: bool,
    /// An output that holds an operand when the op begins: what in-place ops change. Such operands come before the inputs wherever
    /// values are listed.
    pub in_out: bool,
    /// What it may hold.
    pub domain: Domain,
}

impl TensorSpec {
    /// A tensor of any numbers that is given with each recording.
    pub fn new(name: impl Into<Cow<'static, str>>, extents: &[usize], element: ElementType, layout: Layout) -> Self {
        Self { name: name.into(), tensor: TensorType::new(extents, element, layout), constant: false, in_out: false, domain: Domain::Real }
    }

    /// As [`TensorSpec::new`]; where the type is u32, of indices of any range.
    pub(crate) fn of(name: impl Into<Cow<'static, str>>, tensor: &TensorType) -> Self {
        let spec = Self::new(name, &tensor.extents, tensor.element, tensor.layout);
        if tensor.element == ElementType::U32 { spec.with_domain(Domain::Index(1 << 32)) } else { spec }
    }

    /// A channels-first tensor that is given when the op is prepared.
    pub(crate) fn constant(name: &'static str, extents: &[usize], element: ElementType) -> Self {
        Self { constant: true, ..Self::new(name, extents, element, Layout::ChannelsFirst) }
    }

    pub(crate) fn with_domain(self, domain: Domain) -> Self {
        Self { domain, ..self }
    }

    /// Number of elements.
    pub fn count(&self) -> u64 {
        self.tensor.extents.iter().map(|&e| e as u64).product() // checked when the problem was made
    }

    /// Bytes of its elements.
    pub fn bytes(&self) -> u64 {
        self.count().saturating_mul(self.tensor.element.bytes())
    }
}

/// Extents, and layout and element type where they are not the default, as ids have them.
pub(crate) fn write_tensor(f: &mut std::fmt::Formatter<'_>, extents: &[usize], element: ElementType, layout: Layout) -> std::fmt::Result {
    write!(f, "_{}", TensorType::new(extents, element, layout))
}

/// Slices must be as many and as long as the tensors that they stand for.
pub(crate) fn check_lengths(specs: &[TensorSpec], lengths: &[usize]) -> Result<()> {
    if specs.len() != lengths.len() {
        return Err(Error::invalid("slices", lengths.len(), format!("the op has {} such tensors", specs.len())));
    }
    match specs.iter().zip(lengths).find(|(spec, length)| spec.count() != **length as u64) {
        Some((spec, length)) => Err(Error::invalid(spec.name.clone(), format!("{length} elements"), format!("the op has {}", spec.count()))),
        None => Ok(()),
    }
}

/// Values of an index tensor must be whole numbers below the end of its range. A device cannot refuse a value; the entry points of the
/// reference and of the CPU engine do.
pub(crate) fn check_indices<T: Copy + Into<f64>>(specs: &[TensorSpec], values: &[&[T]]) -> Result<()> {
    for (spec, values) in specs.iter().zip(values) {
        let range = |i: usize| match spec.domain {
            Domain::Index(end) => Some((0.0, end)),
            Domain::Places { ends, numbers } => {
                let end = ends[i % numbers];
                Some((if spec.tensor.element == ElementType::U32 { 0.0 } else { -(end as f64) }, end))
            }
            _ => None,
        };
        let is_outside = |(i, v): &(usize, f64)| range(*i).is_some_and(|(low, end)| v.fract() != 0.0 || *v < low || *v >= end as f64);
        if range(0).is_none() {
            continue;
        }
        if let Some((i, value)) = values.iter().map(|&v| v.into()).enumerate().find(is_outside) {
            let (low, end) = range(i).unwrap_or((0.0, 0));
            return Err(Error::invalid(format!("{}[{i}]", spec.name), value, format!("an index is a whole number from {low} to below {end}")));
        }
    }
    Ok(())
}
