//! A pool fused into a convolution: windows of 2 side by side, as VGG, U-Net and LeNet have them after a convolution.
//!
//! Winograd's tiles and the depthwise kernel's blocks hold whole windows of outputs in registers, so the unpooled output never goes to memory.
//! Every other algorithm stores it in scratch memory, and the pool kernel reads it there: any convolution may have a pool.

use super::descriptor::Algorithm;
use super::plan::plan_tile;
use super::problem::ConvProblem;
use super::{depthwise, winograd};
use crate::gpu::DeviceProfile;
use crate::numeric::bound::{gamma, storage_rounding};
use crate::op::{Op, Place, Plan, Step};
use crate::pool::{PoolKind, PoolProblem};
use crate::reference::Bounded;
use crate::types::element::ElementType;
use crate::types::shape::{WindowAxis, axis_name};
use crate::types::{Error, Result};

/// Extent and stride of the window along every spatial axis of the call.
pub(crate) const WINDOW: u64 = 2;

/// A pool over the result of a convolution: bias, residual and activation come first. Windows have extent 2 and stride 2 along every
/// spatial axis of the call, without padding; the last row or column of an odd extent belongs to no window and is dropped, as in a pool
/// without `ceil_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FusedPool {
    /// The largest element; NaN wins.
    Max,
    /// The mean.
    Average,
}

impl FusedPool {
    /// `maxpool` or `avgpool`, as ids have it.
    pub const fn name(self) -> &'static str {
        match self {
            FusedPool::Max => "maxpool",
            FusedPool::Average => "avgpool",
        }
    }

    /// The same as a kind of the pool op.
    pub const fn kind(self) -> PoolKind {
        match self {
            FusedPool::Max => PoolKind::MAX,
            FusedPool::Average => PoolKind::AVERAGE,
        }
    }
}

impl ConvProblem {
    /// The same convolution with this pool after it, or with none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the convolution's output is shorter than a window along an axis.
    pub fn with_pool(self, pool: Option<FusedPool>) -> Result<Self> {
        let short = self.spatial().iter().enumerate().find(|(_, axis)| pool.is_some() && axis.output < WINDOW);
        if let (Some((i, axis)), Some(pool)) = (short, pool) {
            return Err(Error::invalid(
                format!("pool ({})", axis_name(i, self.rank)),
                pool.name(),
                format!("its window of {WINDOW} must fit into the convolution's output, {}", axis.output),
            ));
        }
        Ok(Self { pool, ..self })
    }

    /// The convolution alone, without the pool after it.
    pub fn convolution(&self) -> Self {
        Self { pool: None, ..self.clone() }
    }

    /// Extents of the pool's window along depth, height and width; 1 where nothing is pooled.
    pub(crate) fn pool_window(&self) -> [u64; 3] {
        std::array::from_fn(|axis| if self.pool.is_some() && axis >= 3 - self.rank { WINDOW } else { 1 })
    }

    /// The pool as an op of its own, of any kind, over the convolution's output.
    fn pool_problem(&self, kind: PoolKind) -> PoolProblem {
        let windows = self.pool_window();
        let axes = std::array::from_fn(|i| {
            let (input, filter) = (self.axes[i].output, windows[i]);
            WindowAxis { input, filter, output: input / filter, stride: filter, ..WindowAxis::UNIT }
        });
        let (batch, channels) = (self.batch, self.out_channels);
        PoolProblem { kind, rank: self.rank, batch, channels, axes, adaptive: false, element: self.element, layout: self.y_layout }
    }
}

/// The consts of a kernel that may pool its block of outputs: which store it has, and the window.
pub(crate) fn consts(problem: &ConvProblem) -> Vec<(&'static str, u32)> {
    let Some(pool) = problem.pool else { return vec![] };
    let [_, height, width] = problem.pool_window();
    let kind = match pool {
        FusedPool::Max => 1,
        FusedPool::Average => 2,
    };
    vec![("POOL", kind), ("POOL_H", height as u32), ("POOL_W", width as u32)]
}

/// Whether the kernel of `algorithm` pools in registers. A residual has the unpooled shape and would have to be read by windows too.
pub(crate) fn is_fused(algorithm: Algorithm, problem: &ConvProblem) -> bool {
    let block = match algorithm {
        Algorithm::Depthwise => depthwise::block_extents(problem),
        Algorithm::WinogradF2 | Algorithm::WinogradF4 => winograd::tile_extents(algorithm, problem),
        _ => None,
    };
    let [depth, height, width] = problem.pool_window();
    let holds_windows = |block: [u64; 2]| depth == 1 && block[0].is_multiple_of(height) && block[1].is_multiple_of(width);
    !problem.has_residual && block.is_some_and(holds_windows)
}

/// The convolution into scratch memory, and the pool kernel over that.
pub(crate) fn two_steps(problem: &ConvProblem, profile: &DeviceProfile, algorithm: Algorithm, tile: Option<&str>) -> Result<Plan> {
    let mut plan = plan_tile(&problem.convolution().with_algorithm(Some(algorithm)), profile, tile)?;
    let pool = problem.pool_problem(problem.pool.unwrap_or(FusedPool::Max).kind()).plan(profile, None)?;
    let unpooled = plan.scratch.len();
    plan.scratch.push(plan.outputs[0].bytes());
    let moved = |step: &Step, from: fn(&Place) -> Option<(u64, u64)>| {
        let place = |place: &Place| from(place).map_or(*place, |(first, bytes)| Place::ScratchPart { index: unpooled, first, bytes });
        Step { places: step.places.iter().map(place).collect(), ..step.clone() }
    };
    let output = |place: &Place| if let Place::Output { first, bytes, .. } = *place { Some((first, bytes)) } else { None };
    let input = |place: &Place| if let Place::Input { first, bytes, .. } = *place { Some((first, bytes)) } else { None };
    plan.steps = plan.steps.iter().map(|step| moved(step, output)).chain(pool.steps.iter().map(|step| moved(step, input))).collect();
    plan.outputs = problem.outputs();
    Ok(plan)
}

/// Pools the reference of a convolution.
///
/// Each element errs by at most e_i, and by one rounding more where it is stored as f16. A maximum of values that err by e_i errs by no more
/// than the largest e_i of its window. A mean errs by the mean of the e_i, and by its own roundings of what it sums: those of
/// [`crate::reference::pool`], of values that may be larger by their e_i.
pub(crate) fn pooled(problem: &ConvProblem, pool: FusedPool, conv: &Bounded) -> Bounded {
    let error = |(value, error): (&f64, &f64)| {
        // An infinity or NaN is stored as it is.
        if value.is_finite() { error + storage_rounding(problem.element, value.abs() + error) } else { 0.0 }
    };
    let errors: Vec<f64> = conv.value.iter().zip(&conv.error).map(error).collect();
    let of = |values: &[f64]| crate::reference::pool(&problem.pool_problem(pool.kind()), values).remove(0);
    let (mut pooled, carried) = (of(&conv.value), of(&errors));
    let own = match pool {
        FusedPool::Max => 0.0,
        FusedPool::Average => gamma(WINDOW.pow(3) + 6, ElementType::F32.unit_roundoff()),
    };
    pooled.error.iter_mut().zip(&carried.value).for_each(|(error, carried)| *error += carried * (1.0 + own));
    pooled
}

/// The pool on the CPU engine: `conv` is the convolution's output, both channels-first.
pub(crate) fn pool_on_cpu(problem: &ConvProblem, pool: FusedPool, conv: &[f32], y: &mut [f32]) {
    crate::cpu::pool(&problem.pool_problem(pool.kind()), conv, y);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{Conv2dDescriptor, ConvInputs};

    #[test]
    fn extents_are_pooled_and_work_is_not() {
        let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Max), ..Default::default() };
        let problem = ConvProblem::forward(&descriptor, &ConvInputs::new(&[2, 3, 9, 6], &[5, 3, 3, 3], None)).unwrap();
        assert_eq!((problem.output_extents(), problem.output_count()), (vec![2, 5, 3, 2], 2 * 5 * 6));
        assert_eq!(problem.convolution().output_extents(), [2, 5, 7, 4]);
        assert_eq!(problem.multiply_adds(), problem.convolution().multiply_adds());
        assert_eq!(problem.to_string(), format!("{}_maxpool", problem.convolution()));
        assert_ne!(problem.tuning_key(), problem.convolution().tuning_key());
    }

    #[test]
    fn a_window_that_does_not_fit_is_refused() {
        let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Average), ..Default::default() };
        let error = ConvProblem::forward(&descriptor, &ConvInputs::new(&[1, 1, 3, 7], &[1, 1, 3, 3], None)).unwrap_err().to_string();
        assert_eq!(error, "pool (height) is avgpool: its window of 2 must fit into the convolution's output, 1");
    }

    #[test]
    fn errors_go_through_the_pool() {
        let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Max), ..Default::default() };
        let problem = ConvProblem::forward(&descriptor, &ConvInputs::new(&[1, 1, 3, 5], &[1, 1, 1, 1], None)).unwrap();
        // The odd row and column hold what would win everywhere.
        let value = vec![1.0, 2.0, f64::NAN, 7.0, 99.0, 3.0, -4.0, 5.0, 6.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0];
        let error = vec![0.5, 0.25, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.125, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0];
        let conv = Bounded { value, error };
        let max = pooled(&problem, FusedPool::Max, &conv);
        assert_eq!((max.value[0], max.error[0], max.error[1]), (3.0, 0.5, 0.125));
        assert!(max.value[1].is_nan());
        let mean = pooled(&problem, FusedPool::Average, &conv);
        assert_eq!(mean.value[0], 0.5);
        assert!((mean.error[0] - 0.1875).abs() < 1e-5 && mean.error[0] > 0.1875, "{}", mean.error[0]);
    }
}
