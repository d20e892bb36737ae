//! What every op shares. An [`Op`] is a resolved problem: it names its tensors, plans itself for a device without asking one, and is
//! computed plainly by its reference and fast by the CPU engine. A [`Plan`] lists kernel calls; [`Prepared`] is a plan with its
//! pipelines, ready to record. Proofs, benches and test vectors go through this alone, so that no op can be left out of them.

mod lanes;
mod lattice;
mod magnitudes;
mod matrix;
mod plan;
mod prepared;
mod tile;
mod tile_workgroup;
mod window;

pub(crate) use lanes::{LONGEST_SERIAL_LINE, lane_consts, lane_turns, lanes, lines_per_workgroup};
pub(crate) use lattice::{Lattice, LatticeAxis, MAX_AXES, offsets};
pub(crate) use magnitudes::{Lines, MagnitudeJoinParams, MagnitudeParams, range};
pub(crate) use matrix::{MatrixError, MatrixTile, Operands, check_accuracy};
pub use plan::{Domain, Plan, Step, TensorSpec};
pub(crate) use plan::{INDEX_LIMIT, Place, Range, STORAGE_BUFFERS, Slice, check_binding, check_parts, check_tensors, slices};
pub use prepared::{Bound, Prepared};
pub(crate) use tile::{Core, RegisterTile};
pub(crate) use tile_workgroup::{GemmShape, Tile};
pub(crate) use window::{Axis, plane_strides};

use crate::gpu::DeviceProfile;
use crate::reference::Bounded;
use crate::types::{Error, Result};

/// A resolved op: every number known and checked, nothing decided yet. Its `Display` is an id that says all.
pub trait Op: std::fmt::Display + Sync {
    /// Name as ONNX spells it in snake case, such as `max_pool`.
    fn name(&self) -> &'static str;

    /// The tensors it takes, in order.
    fn inputs(&self) -> Vec<TensorSpec>;

    /// The tensors it gives, in order.
    fn outputs(&self) -> Vec<TensorSpec>;

    /// The algorithms that can compute it on a device like `profile`. The naive one, one output per invocation, is first; it is left out
    /// where its loops would be too long.
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str>;

    /// The plans worth timing on a device like `profile`, by label: algorithms, with every tile of those that have several. Each is taken by
    /// [`Op::plan`].
    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        self.algorithms(profile).into_iter().map(String::from).collect()
    }

    /// Decides how to compute it on a device like `profile`; the same problem and profile always give the same plan.
    ///
    /// # Errors
    /// A forced algorithm that does not apply, by name; sizes past the arithmetic or the device, with need and limit; f16 where the
    /// device has none.
    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan>;

    /// The CPU twin: plain loops in f64 over operands in logical order (updated outputs first, then inputs), with the error that a
    /// correct f32 kernel may make. Slices have the lengths of the specs; [`crate::reference::compute`] checks that first.
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded>;

    /// As [`Op::reference`], with the error that this algorithm may make: one that transforms its operands may have a bound of its own.
    fn reference_for(&self, _algorithm: &str, inputs: &[&[f64]]) -> Vec<Bounded> {
        self.reference(inputs)
    }

    /// The largest error of this algorithm over inputs of magnitude 1, relative to that of plain f32 sums: 1 where it has no bound of its own.
    fn error_ratio(&self, _algorithm: &str) -> f64 {
        1.0
    }

    /// Whether small integers in give results without any rounding.
    fn is_exact(&self) -> bool;

    /// Whether they do with this algorithm.
    fn is_exact_for(&self, _algorithm: &str) -> bool {
        self.is_exact()
    }

    /// Whether every output of this algorithm is made of its own terms alone: one that transforms its operands mixes neighbours in, and with them
    /// what no arithmetic undoes, infinities and NaN.
    fn is_local(&self, _algorithm: &str) -> bool {
        true
    }

    /// The CPU engine: computes the first output on all cores, f32, in logical order. `None` where the engine does not have the op. Slices have
    /// the lengths of the specs; [`crate::cpu::compute`] checks that first, and is what callers should use.
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()>;

    /// A small problem of the same class, on which proofs take no time: what a tuner proves its candidates on. `None`: there is none.
    fn proxy(&self) -> Option<Box<dyn Op>> {
        None
    }

    /// The largest error of any output, over all inputs of magnitude 1, of this algorithm; `None` where no such bound is known.
    fn largest_error(&self, _algorithm: &str) -> Option<f64> {
        None
    }

    /// What a tuner's verdicts about it are filed under.
    fn tuning_key(&self) -> String {
        format!("{}/{self}", self.name())
    }

    /// Floating-point operations, two per multiply-add.
    fn flops(&self) -> f64;

    /// Most terms that one output sums; the proofs keep their integers small enough for it.
    fn depth(&self) -> u64 {
        1
    }

    /// Bytes that must move at least: each tensor once (saturating).
    fn bytes(&self) -> u64 {
        self.inputs().iter().chain(&self.outputs()).map(TensorSpec::bytes).fold(0, u64::saturating_add)
    }
}

/// The power of two of which a sum of `terms` finite f32 numbers stays finite when each is counted so many times: 1 / terms, rounded down to one. Means
/// are summed in it, which costs no rounding where no term underflows.
pub(crate) fn sum_unit(terms: u64) -> f32 {
    let exponent = u64::BITS - terms.max(1).saturating_sub(1).leading_zeros();
    0.5f32.powi(exponent as i32)
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
        let Domain::Index(end) = spec.domain else { continue };
        let is_index = |v: f64| v.fract() == 0.0 && v >= 0.0 && v < end as f64;
        if let Some((i, value)) = values.iter().map(|&v| v.into()).enumerate().find(|(_, v)| !is_index(*v)) {
            return Err(Error::invalid(format!("{}[{i}]", spec.name), value, format!("an index is a whole number from 0 to below {end}")));
        }
    }
    Ok(())
}

/// The algorithm to plan with: the forced one if it is admitted, else `preferred`.
///
/// # Errors
/// [`Error::Unsupported`] where the forced one does not apply.
pub(crate) fn pick(admitted: &[&'static str], forced: Option<&str>, preferred: &'static str) -> Result<&'static str> {
    match forced {
        None => Ok(preferred),
        Some(name) => admitted
            .iter()
            .find(|a| **a == name)
            .copied()
            .ok_or_else(|| Error::Unsupported { algorithm: name.to_string(), reason: format!("this problem admits {}", admitted.join(", ")) }),
    }
}

/// Gives [`crate::Gpu`] the methods of [`crate::Recorder`] that are named, as eager calls: recorded, submitted, not waited for.
macro_rules! eager {
    ($(fn $name:ident $(<const $rank:ident: usize>)? ($($argument:ident: $kind:ty),* $(,)?) -> $output:ty;)*) => {
        impl $crate::gpu::Gpu {
            $(
                #[doc = concat!("[`Recorder::", stringify!($name), "`](crate::Recorder::", stringify!($name), ") at once: submits, and returns without waiting.")]
                ///
                /// # Errors
                /// As there.
                pub fn $name $(<const $rank: usize>)? (&self, $($argument: $kind),*) -> $crate::types::Result<$output> {
                    let mut recorder = self.recorder();
                    let output = recorder.$name($($argument),*)?;
                    recorder.submit()?;
                    Ok(output)
                }
            )*
        }
    };
}

pub(crate) use eager;
