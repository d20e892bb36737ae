//! Planning: which algorithm computes a problem on a device (`choice`), with which tiles and dispatches. Pure arithmetic: the same problem
//! and profile always give the same plan, and no device is asked.

pub(crate) mod as_linear;
pub(crate) mod bands;
pub(crate) mod channels;
pub(crate) mod choice;
pub(crate) mod depthwise;
pub(crate) mod direct;
pub(crate) mod fft;
pub(crate) mod filter_gradient;
pub(crate) mod fused;
pub(crate) mod implicit_gemm;
pub(crate) mod matrix;
pub(crate) mod op;
pub(crate) mod params;
pub(crate) mod pointwise;
pub(crate) mod proxy;
pub(crate) mod steps;
pub(crate) mod winograd;
pub(crate) mod winograd_gradient;

use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::choice::Answers;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Plan, check_tensors};
use crate::types::{Error, Result};

/// Whether `algorithm` can compute `problem` on a device like `profile`.
///
/// # Errors
/// [`crate::Error::Unsupported`] with the condition that does not hold.
pub fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    applies(algorithm, &problem.convolution(), profile)
}

/// As [`supports`], of a problem without a pool: any of them may have one after it.
pub(crate) fn applies(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let core = implicit_gemm::core(algorithm);
    // Iterations of one invocation's loops: the depth and the loops around it.
    let iterations = match (core, algorithm) {
        (Some(core), _) => core.iterations(&implicit_gemm::shape(problem, problem.batch), profile),
        (None, Algorithm::Direct) => problem.reduction_depth().saturating_add(3 * problem.taps_of_output()),
        (None, Algorithm::Depthwise) => depthwise::iterations(problem),
        (None, _) => 0, // they count their own
    };
    profile.check_iterations(algorithm.name(), iterations.saturating_add(first_taps(problem)))?;
    core.map_or(Ok(()), |core| core.check(algorithm.name(), profile))?;
    match algorithm {
        Algorithm::Direct | Algorithm::ImplicitGemmWorkgroup | Algorithm::ImplicitGemmRegister => Ok(()),
        Algorithm::PointwiseWorkgroup | Algorithm::PointwiseRegister => pointwise::supports(algorithm, problem),
        Algorithm::Depthwise => depthwise::supports(problem),
        Algorithm::WinogradF2 | Algorithm::WinogradF4 => winograd::supports(algorithm, problem, profile),
        Algorithm::ImplicitGemmCoop | Algorithm::ImplicitGemmF16x2 | Algorithm::PointwiseCoop | Algorithm::PointwiseF16x2 => {
            matrix::supports(algorithm, problem, profile)
        }
        Algorithm::AsLinear => as_linear::supports(problem, profile),
        Algorithm::Fft => fft::supports(problem, profile),
    }
}

/// Iterations of the loops that look for the first tap of an output along each axis.
fn first_taps(problem: &ConvProblem) -> u64 {
    match problem.direction {
        Direction::Forward => 0,
        Direction::Transposed => problem.axes.iter().map(|axis| axis.filter.min(axis.stride)).sum(),
    }
}

/// The algorithms that admit `problem`, in [`Algorithm::ALL`]'s order.
pub fn admitted(problem: &ConvProblem, profile: &DeviceProfile) -> Vec<Algorithm> {
    Answers::new(problem, profile).admitted()
}

/// Decides how to compute `problem` on a device like `profile`.
///
/// # Errors
/// A forced algorithm that does not apply, by name; sizes past the arithmetic or the device, with need and limit; f16 where the
/// device has none.
pub fn plan(problem: &ConvProblem, profile: &DeviceProfile) -> Result<Plan> {
    plan_tile(problem, profile, None)
}

/// As [`plan`], with the tile that a forced algorithm's label names.
pub(crate) fn plan_tile(problem: &ConvProblem, profile: &DeviceProfile, tile: Option<&str>) -> Result<Plan> {
    match plan_windows(problem, profile, tile) {
        Err(error @ Error::TooLarge { .. }) => channels::plan(problem, profile, tile).unwrap_or(Err(error)),
        planned => planned,
    }
}

/// As [`plan_tile`], with all channels at once.
fn plan_windows(problem: &ConvProblem, profile: &DeviceProfile, tile: Option<&str>) -> Result<Plan> {
    check(problem, profile)?;
    let unpooled = problem.convolution();
    match plan_images(problem, &unpooled, profile, tile) {
        Err(error @ Error::TooLarge { .. }) => match bands::plan(&unpooled, profile, tile) {
            None => Err(error),
            Some(bands) if problem.pool.is_none() => bands,
            Some(bands) => fused::then_pool(problem, bands?, profile),
        },
        planned => planned,
    }
}

/// Plans whole images, as many at a time as the bindings hold.
fn plan_images(problem: &ConvProblem, unpooled: &ConvProblem, profile: &DeviceProfile, tile: Option<&str>) -> Result<Plan> {
    let algorithm = match problem.algorithm {
        Some(forced) => supports(forced, problem, profile).map(|()| forced)?,
        None => Answers::new(problem, profile).preferred()?,
    };
    if problem.pool.is_none() || fused::is_fused(algorithm, problem) {
        return calls(problem, profile, algorithm, tile);
    }
    check(unpooled, profile)?;
    fused::then_pool(problem, calls(unpooled, profile, algorithm, tile)?, profile)
}

/// The kernel calls of an algorithm that applies; with a pool, of one that pools in registers.
fn calls(problem: &ConvProblem, profile: &DeviceProfile, algorithm: Algorithm, tile: Option<&str>) -> Result<Plan> {
    let method = match (implicit_gemm::core(algorithm), algorithm) {
        (Some(core), _) => implicit_gemm::method(algorithm, core, problem, profile, tile)?,
        (None, Algorithm::WinogradF2 | Algorithm::WinogradF4) => return winograd::plan(problem, profile, algorithm, tile),
        (None, Algorithm::Fft) => return fft::plan(problem, profile, tile),
        (None, Algorithm::AsLinear) => return as_linear::plan(problem, profile, tile),
        (None, Algorithm::Depthwise) => depthwise::method(problem, profile),
        (None, _) => direct::method(problem),
    };
    if let Some(text) = tile.filter(|text| *text != method.tile) {
        let reason = format!("it has no such tile here; its own is {}", if method.tile.is_empty() { "none" } else { &method.tile });
        return Err(Error::Unsupported { algorithm: format!("{algorithm} {text}"), reason });
    }
    let mut plan = Plan::new(problem.name(), method.label(algorithm.name()), problem.inputs(), problem.outputs());
    steps::plan_chunks(problem, profile, &method, &mut plan)?;
    Ok(plan)
}

/// Places of the constants.
pub(crate) const FILTER: usize = 1;

pub(crate) const BIAS: usize = 2;

/// Shaders must be able to index the tensors, and the coordinates that they form must fit 31 bits.
fn check(problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    check_tensors("a convolution", &problem.inputs().iter().chain(&problem.outputs()).collect::<Vec<_>>(), profile)?;
    for (axis, name) in problem.axes.iter().zip(["depth", "height", "width"]) {
        axis.check_reach(name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::problem::ConvInputs;

    fn preferred(problem: &ConvProblem, profile: &DeviceProfile) -> Result<Algorithm> {
        Answers::new(problem, profile).preferred()
    }

    #[test]
    fn few_filters_go_to_the_register_core_on_a_processor_alone() {
        let gpu = DeviceProfile::MINIMAL;
        let cpu = DeviceProfile { is_cpu: true, ..gpu };
        for (filter, on_cpu) in [([2, 8, 1, 1], Algorithm::PointwiseRegister), ([1, 8, 3, 3], Algorithm::ImplicitGemmRegister)] {
            let problem = ConvProblem::forward(&ConvInputs::new(&[1, 8, 40, 40], &filter, None), &ConvDescriptor::<2>::default()).unwrap();
            assert_eq!([preferred(&problem, &cpu), preferred(&problem, &gpu)], [Ok(on_cpu), Ok(Algorithm::Direct)], "{filter:?}");
        }
    }

    #[test]
    fn many_filters_of_a_channel_go_to_the_register_core_where_blocks_are_slow() {
        let gpu = DeviceProfile::MINIMAL;
        let plain = DeviceProfile { is_cpu: true, ..gpu };
        let pairs = DeviceProfile { has_int64: true, ..plain };
        let old = DeviceProfile { max_loop_iterations: 65_535, ..pairs };
        for (filters, largest) in [(1, [gpu, pairs, old, plain].as_slice()), (8, &[gpu, pairs, old]), (16, &[gpu, pairs])] {
            let filter = [filters, 1, 5, 5];
            let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, 40, 40], &filter, None), &ConvDescriptor::<2>::default()).unwrap();
            for profile in [gpu, pairs, old, plain] {
                let wanted = if largest.contains(&profile) { Algorithm::Depthwise } else { Algorithm::ImplicitGemmRegister };
                assert_eq!(preferred(&problem, &profile), Ok(wanted), "{filters} filters on {profile:?}");
            }
        }
    }

    /// Several channels a group go to the register core on a processor. What it multiplies, padding included, never grows to more than twice its share
    /// with one more filter, channel, tap or step of a stride. `depthwise` sweeps one channel a group.
    #[test]
    fn neighbours_multiply_alike() {
        let pairs = DeviceProfile { is_cpu: true, has_int64: true, ..DeviceProfile::MINIMAL };
        let old = DeviceProfile { max_loop_iterations: 65_535, ..pairs };
        let mut worst = (0.0, String::new());
        for profile in [DeviceProfile { is_cpu: true, ..DeviceProfile::MINIMAL }, pairs, old] {
            // Products of a plan, and those of the problem.
            let cost = |window: [usize; 2], stride: usize, filters: usize, channels: usize| {
                let descriptor = ConvDescriptor::<2> { stride: [stride; 2], accuracy: crate::numeric::Accuracy::Exact, ..Default::default() };
                let input = window.map(|taps| 32 * stride + taps - stride);
                let (x, filter) = ([1, channels, input[0], input[1]], [filters, channels, window[0], window[1]]);
                let problem = ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &descriptor).unwrap();
                let plan = plan(&problem, &profile).unwrap();
                let [step] = &plan.steps[..] else { panic!("{} has {} steps", plan.label, plan.steps.len()) };
                assert!(plan.label.contains("_register"), "{}", plan.label);
                let tile: u64 = ["THREAD_M", "ROW_THREADS", "THREAD_VEC4"].iter().map(|name| u64::from(step.kernel.constant(name))).product();
                let tiles: u64 = step.workgroups.iter().map(|n| u64::from(*n)).product();
                ((tiles * tile * 4 * problem.reduction_depth()) as f64, problem.multiply_adds() as f64)
            };
            for window in [[1, 1], [1, 2], [2, 2], [3, 3], [1, 9], [9, 1], [5, 5], [7, 7], [11, 11], [1, 31], [30, 30]] {
                for (stride, filters) in (1..=4).flat_map(|stride| (1..=64).map(move |filters| (stride, filters))) {
                    for channels in [2, 3, 4, 7, 8, 15, 16, 31, 32, 47, 63] {
                        let own = cost(window, stride, filters, channels);
                        let neighbours = [
                            cost(window, stride, filters + 1, channels),
                            cost(window, stride, filters, channels + 1),
                            cost([window[0], window[1] + 1], stride, filters, channels),
                            cost(window, stride + 1, filters, channels),
                        ];
                        for other in neighbours {
                            let ratio = (other.0 / own.0 / (other.1 / own.1)).max(own.0 / other.0 / (own.1 / other.1));
                            if ratio > worst.0 {
                                worst = (ratio, format!("{window:?}, stride {stride}, {filters} filters, {channels} channels, {profile:?}"));
                            }
                        }
                    }
                }
            }
        }
        println!("at worst {worst:?}");
        assert!(worst.0 <= 2.0, "{worst:?}");
    }
}
