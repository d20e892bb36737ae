//! An op whose constants were given beforehand: a filter is packed, or transformed, once for all calls.

use crate::cpu::compute_packed;
use crate::cpu::packed::Packed;
use crate::ops::spec::check_lengths;
use crate::ops::{Op, Problem};
use crate::types::Result;

/// An op on the CPU engine with its constants, as [`crate::op::Prepared`] is one on a GPU. It gives the bits that [`compute`](super::compute) gives.
///
/// ```
/// # use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
/// # fn main() -> wgconv::Result<()> {
/// let problem = ConvProblem::forward(&ConvInputs::new(&[1, 64, 28, 28], &[64, 64, 3, 3], None), &Conv2dDescriptor::default())?;
/// let filter = vec![1.0; 64 * 64 * 9];
/// let conv = wgconv::cpu::Prepared::new(problem, &[&filter])?;    // the filter is packed here
/// let mut y = vec![0.0; 64 * 26 * 26];
/// conv.compute(&[&vec![1.0; 64 * 28 * 28]], &mut y)?;
/// assert_eq!(y[0], 576.0);
/// # Ok(())
/// # }
/// ```
#[must_use = "what was packed is lost with it"]
pub struct Prepared {
    op: Op,
    /// By input of the op, where it is a constant.
    constants: Vec<Option<Vec<f32>>>,
    packed: Packed,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({}/{})", self.op.name(), self.op)
    }
}

impl Prepared {
    /// Prepares `op`; `constants` are those inputs (`TensorSpec::constant`), in order, in logical order.
    ///
    /// # Errors
    /// Constants of another number or length than the op's.
    pub fn new(op: impl Into<Op>, constants: &[&[f32]]) -> Result<Self> {
        let op = op.into();
        let specs = op.inputs();
        let wanted: Vec<_> = specs.iter().filter(|spec| spec.constant).cloned().collect();
        check_lengths(&wanted, &constants.iter().map(|slice| slice.len()).collect::<Vec<_>>())?;
        let mut given = constants.iter();
        let constants: Vec<Option<Vec<f32>>> = specs.iter().map(|spec| if spec.constant { given.next().map(|v| v.to_vec()) } else { None }).collect();
        let packed = Packed::of(&op, &constants.iter().map(|values| values.as_deref().unwrap_or_default()).collect::<Vec<_>>());
        Ok(Self { op, constants, packed })
    }

    /// The op.
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// As [`compute`](super::compute), of the inputs that are no constants.
    ///
    /// # Errors
    /// As [`compute`](super::compute).
    pub fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Result<bool> {
        let mut given = inputs.iter();
        let mut all: Vec<&[f32]> = vec![];
        for constant in &self.constants {
            all.extend(match constant {
                Some(own) => Some(own.as_slice()),
                None => given.next().copied(),
            });
        }
        all.extend(given); // too many, which is refused
        compute_packed(&self.op, &self.packed, &all, y)
    }
}
