//! A pool fused into a convolution: windows of 2 side by side, as VGG, U-Net and LeNet have them after a convolution.
//!
//! Winograd's tiles and the depthwise kernel's blocks hold whole windows of outputs in registers, so the unpooled output never goes to memory.
//! Every other algorithm stores it in scratch memory, and the pool kernel reads it there: any convolution may have a pool.

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::ConvProblem;
use crate::plan::Planned;
use crate::plan::compose::{Wire, Wiring};
use crate::plan::conv::{depthwise, winograd};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::types::Result;

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

/// The plan of the convolution alone, into scratch memory, and the pool kernel over that.
pub(crate) fn then_pool(problem: &ConvProblem, unpooled: Plan, profile: &DeviceProfile) -> Result<Plan> {
    let pool = problem.pool_problem(problem.pool.unwrap_or(FusedPool::Max).kind()).plan(profile, None)?;
    let wiring = Wiring { inputs: &[Wire::First(0)], outputs: &[Wire::Whole(0)] };
    Ok(Plan::compose(problem, unpooled.label.clone(), unpooled, pool, wiring))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::Conv2dDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::reference::Bounded;
    use crate::reference::conv::pooled;

    #[test]
    fn extents_are_pooled_and_work_is_not() {
        let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Max), ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&[2, 3, 9, 6], &[5, 3, 3, 3], None), &descriptor).unwrap();
        assert_eq!((problem.output_extents(), problem.output_count()), (vec![2, 5, 3, 2], 2 * 5 * 6));
        assert_eq!(problem.convolution().output_extents(), [2, 5, 7, 4]);
        assert_eq!(problem.multiply_adds(), problem.convolution().multiply_adds());
        assert_eq!(problem.to_string(), format!("{}_maxpool", problem.convolution()));
        assert_ne!(problem.tuning_key(), problem.convolution().tuning_key());
    }

    #[test]
    fn a_window_that_does_not_fit_is_refused() {
        let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Average), ..Default::default() };
        let error = ConvProblem::forward(&ConvInputs::new(&[1, 1, 3, 7], &[1, 1, 3, 3], None), &descriptor).unwrap_err().to_string();
        assert_eq!(error, "pool (height) is avgpool: its window of 2 must fit into the convolution's output, 1");
    }

    #[test]
    fn errors_go_through_the_pool() {
        let descriptor = Conv2dDescriptor { pool: Some(FusedPool::Max), ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, 3, 5], &[1, 1, 1, 1], None), &descriptor).unwrap();
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
