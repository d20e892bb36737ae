//! Planning: which algorithm computes a problem on a device, with which tiles and dispatches. Pure arithmetic: the same problem
//! and profile always give the same plan, and no device is asked.

use super::descriptor::Algorithm;
use super::params::{ConvParams, PackParams};
use super::problem::{ConvProblem, Direction};
use super::{depthwise, direct, implicit_gemm, pointwise};
use crate::error::Result;
use crate::gpu::DeviceProfile;
use crate::kernel::{CONV_PACK_FILTER, KernelSpec};
use crate::op::{Op, Place, Plan, Step, Tile, check_binding, check_tensors, slices};

/// What an algorithm contributes to a plan: its kernel and how it counts its work.
pub(crate) struct Choice {
    pub kernel: KernelSpec,
    /// Filters per group are padded to a multiple of this and packed; `None`: the filter is read as it is.
    pub packed_multiple: Option<u64>,
    /// Fills in columns, tiles and items of a slice of `batch` images; returns the workgroups.
    pub count: fn(&Choice, &ConvProblem, u64, &mut ConvParams) -> u64,
}

/// Whether `algorithm` can compute `problem` on a device like `profile`.
///
/// # Errors
/// [`crate::Error::Unsupported`] with the condition that does not hold.
pub fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let (depth, taps) = (problem.reduction_depth(), problem.taps());
    // Turns of one invocation's loops: the depth and the loops around it; the workgroup core takes 16 steps in 8 turns (see Tile).
    let turns = match algorithm {
        Algorithm::Direct => depth.saturating_add(3 * taps),
        Algorithm::ImplicitGemmRegister | Algorithm::PointwiseRegister => depth.saturating_add(2 * taps),
        Algorithm::ImplicitGemmWorkgroup | Algorithm::PointwiseWorkgroup => Tile::turns(depth),
        Algorithm::Depthwise => 3 * taps,
    };
    profile.check_turns(algorithm.name(), turns)?;
    match algorithm {
        Algorithm::Direct => Ok(()),
        Algorithm::ImplicitGemmWorkgroup => implicit_gemm::supports_workgroup(algorithm, profile),
        Algorithm::ImplicitGemmRegister => Ok(()),
        Algorithm::PointwiseWorkgroup => implicit_gemm::supports_workgroup(algorithm, profile).and_then(|()| pointwise::supports(algorithm, problem)),
        Algorithm::PointwiseRegister => pointwise::supports(algorithm, problem),
        Algorithm::Depthwise => depthwise::supports(problem),
    }
}

/// The algorithms that admit `problem`, in [`Algorithm::ALL`]'s order.
pub fn admitted(problem: &ConvProblem, profile: &DeviceProfile) -> Vec<Algorithm> {
    Algorithm::ALL.into_iter().filter(|&a| supports(a, problem, profile).is_ok()).collect()
}

/// Decides how to compute `problem` on a device like `profile`.
///
/// # Errors
/// A forced algorithm that does not apply, by name; sizes past the arithmetic or the device, with need and limit; f16 where the
/// device has none.
pub fn plan(problem: &ConvProblem, profile: &DeviceProfile) -> Result<Plan> {
    let (inputs, outputs) = (problem.inputs(), problem.outputs());
    check_tensors("a convolution", &inputs.iter().chain(&outputs).collect::<Vec<_>>(), profile)?;
    check_coordinates(problem)?;
    let algorithm = match problem.algorithm {
        Some(forced) => {
            supports(forced, problem, profile)?;
            forced
        }
        None => preferred(problem, profile)?,
    };
    let choice = match algorithm {
        Algorithm::Direct => direct::choice(problem),
        Algorithm::ImplicitGemmWorkgroup => implicit_gemm::workgroup(&crate::kernel::CONV_IMPLICIT_GEMM_WORKGROUP, problem, profile),
        Algorithm::ImplicitGemmRegister => implicit_gemm::register(&crate::kernel::CONV_IMPLICIT_GEMM_REGISTER, problem),
        Algorithm::PointwiseWorkgroup => implicit_gemm::workgroup(&crate::kernel::CONV_POINTWISE_WORKGROUP, problem, profile),
        Algorithm::PointwiseRegister => implicit_gemm::register(&crate::kernel::CONV_POINTWISE_REGISTER, problem),
        Algorithm::Depthwise => depthwise::choice(problem),
    };
    let mut plan = Plan::new(problem.name(), label(algorithm, &choice.kernel), inputs, outputs);
    check_binding("filter", plan.inputs[FILTER].bytes(), profile)?;
    let mut params = ConvParams::new(problem);
    let weights = match choice.packed_multiple {
        None => Place::input(FILTER, &plan.inputs),
        Some(multiple) => {
            let pack = PackParams::new(problem, multiple);
            params.packed_rows = pack.padded / 4;
            let bytes = u64::from(pack.items) * problem.element.bytes();
            check_binding("the packed filter", bytes, profile)?;
            plan.scratch.push(bytes);
            let kernel = KernelSpec { source: &CONV_PACK_FILTER, element: problem.element, consts: vec![], overrides: vec![] };
            let places = vec![Place::input(FILTER, &plan.inputs), Place::Scratch(0)];
            plan.prepare.push(Step::new(kernel, &pack, places, u64::from(pack.items).div_ceil(64), profile)?);
            Place::Scratch(0)
        }
    };
    let x_image = problem.input_count() / problem.batch;
    let y_image = problem.output_count() / problem.batch;
    let element = problem.element;
    let bytes = |elements: u64| elements * element.bytes();
    for slice in slices(problem.batch, &[("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))], profile)? {
        let (x, y) = (slice.range(x_image, element, profile), slice.range(y_image, element, profile));
        let mut params = ConvParams { batch: slice.count as u32, x_base: x.base, y_base: y.base, ..params };
        let workgroups = (choice.count)(&choice, problem, slice.count, &mut params);
        let bias = if problem.has_bias { Place::input(BIAS, &plan.inputs) } else { Place::Nothing };
        let residual = match problem.has_residual {
            true => Place::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
            false => Place::Nothing,
        };
        let places = vec![
            Place::Input { index: 0, first: x.first, bytes: x.bytes },
            weights,
            bias,
            residual,
            Place::Output { index: 0, first: y.first, bytes: y.bytes },
        ];
        plan.steps.push(Step::new(choice.kernel.clone(), &params, places, workgroups, profile)?);
    }
    Ok(plan)
}

/// Places of the fixed inputs.
const FILTER: usize = 1;
const BIAS: usize = 2;

/// Algorithm and the numbers baked into its kernel, such as `implicit_gemm_workgroup 64x64x16`.
fn label(algorithm: Algorithm, kernel: &KernelSpec) -> String {
    let tile = |names: &[&str]| {
        let values: Vec<_> = names.iter().filter_map(|n| kernel.consts.iter().find(|(name, _)| name == n)).map(|(_, v)| v.to_string()).collect();
        values.join("x")
    };
    let tile = match algorithm {
        Algorithm::Direct => String::new(),
        Algorithm::Depthwise => format!(" strip {}", tile(&["STRIP"])),
        Algorithm::ImplicitGemmWorkgroup | Algorithm::PointwiseWorkgroup => format!(" {}", tile(&["TILE_M", "TILE_N", "TILE_K"])),
        Algorithm::ImplicitGemmRegister | Algorithm::PointwiseRegister => format!(" {}x4", tile(&["THREAD_M"])),
    };
    format!("{algorithm}{tile}")
}

/// The planner's preference among the algorithms that apply; the general direct kernel is last and admits everything.
fn preferred(problem: &ConvProblem, profile: &DeviceProfile) -> Result<Algorithm> {
    let order = if profile.is_cpu {
        [Algorithm::Depthwise, Algorithm::PointwiseRegister, Algorithm::ImplicitGemmRegister, Algorithm::ImplicitGemmWorkgroup]
    } else {
        [Algorithm::Depthwise, Algorithm::PointwiseWorkgroup, Algorithm::ImplicitGemmWorkgroup, Algorithm::ImplicitGemmRegister]
    };
    // A tile core pays from a few rows on; below that most of a tile would be padding.
    let wanted = |a: &Algorithm| *a == Algorithm::Depthwise || problem.filters_per_group() >= 3;
    match order.into_iter().filter(wanted).find(|&a| supports(a, problem, profile).is_ok()) {
        Some(algorithm) => Ok(algorithm),
        None => supports(Algorithm::Direct, problem, profile).map(|()| Algorithm::Direct),
    }
}

/// The coordinates that shaders form must fit 31 bits.
fn check_coordinates(problem: &ConvProblem) -> Result<()> {
    for (axis, name) in problem.axes.iter().zip(["depth", "height", "width"]) {
        axis.check_reach(name)?;
    }
    Ok(())
}

/// The overrides that every convolution kernel shares.
pub(crate) fn overrides(problem: &ConvProblem) -> Vec<(&'static str, u32)> {
    let mut overrides = Vec::new();
    let mut set = |name, value| {
        if value != 0 {
            overrides.push((name, value)); // 0 is every override's default
        }
    };
    set("ACTIVATION", problem.activation.shader_id());
    set("PADDING_MODE", crate::shape::PaddingMode::ALL.iter().position(|m| *m == problem.padding_mode).unwrap_or(0) as u32);
    set("TRANSPOSED", u32::from(problem.direction == Direction::Transposed));
    set("HAS_BIAS", u32::from(problem.has_bias));
    set("HAS_RESIDUAL", u32::from(problem.has_residual));
    overrides
}
