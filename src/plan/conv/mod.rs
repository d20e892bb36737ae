//! Planning: which algorithm computes a problem on a device (`choice`), with which tiles and dispatches. Pure arithmetic: the same problem
//! and profile always give the same plan, and no device is asked.

pub(crate) mod choice;
pub(crate) mod dense;
pub(crate) mod depthwise;
pub(crate) mod direct;
pub(crate) mod fused;
pub(crate) mod implicit_gemm;
pub(crate) mod matrix;
pub(crate) mod op;
pub(crate) mod params;
pub(crate) mod pointwise;
pub(crate) mod proxy;
pub(crate) mod winograd;

use crate::numeric::Operands;
use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::conv::winograd::{F2, F4};
use crate::plan::conv::choice::Answers;
use crate::plan::conv::implicit_gemm::in_quads;
use crate::plan::gemm::magnitudes::range;
use crate::plan::gemm::tile::RegisterTile;
use crate::plan::gemm::tile_workgroup::Tile;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Place, Plan, Step, check_binding, check_tensors, slices};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::CONV_PACK_FILTER;
use crate::shader::source_gemm::{
    CONV_IMPLICIT_GEMM_REGISTER, CONV_IMPLICIT_GEMM_WORKGROUP, CONV_POINTWISE_QUADS_REGISTER, CONV_POINTWISE_QUADS_WORKGROUP,
    CONV_POINTWISE_REGISTER, CONV_POINTWISE_WORKGROUP,
};
use crate::shader::uniforms::{ConvParams, PackParams};
use crate::types::{Error, Result};

/// Fills in columns, tiles and items of a slice of so many images; returns the workgroups.
pub(crate) type Count = dyn Fn(&ConvProblem, u64, &mut ConvParams) -> u64;

/// What an algorithm contributes to a plan: its kernel and how it counts its work.
pub(crate) struct Choice {
    pub kernel: KernelSpec,
    /// The numbers of its tile, for labels; may be empty.
    pub tile: String,
    /// Filters per group are padded to a multiple of this and packed; `None`: the filter is read as it is.
    pub packed_multiple: Option<u64>,
    pub count: Box<Count>,
    pub companion: Companion,
}

/// What a kernel needs beside itself.
pub(crate) enum Companion {
    /// Nothing.
    None,
    /// A kernel that adds up its partial sums: the depth is split.
    Sum(implicit_gemm::Sum),
    /// It runs on matrix units over f16 as it is: it binds no ranges.
    Unranged,
    /// It runs on matrix units over f32, scaled by the operands' ranges; where that cannot be, this kernel computes.
    Ranged(KernelSpec, Box<Count>),
}

/// Whether `algorithm` can compute `problem` on a device like `profile`.
///
/// # Errors
/// [`crate::Error::Unsupported`] with the condition that does not hold.
pub fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    applies(algorithm, &problem.convolution(), profile)
}

/// As [`supports`], of a problem without a pool: any of them may have one after it.
pub(crate) fn applies(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let (depth, taps) = (problem.reduction_depth(), problem.taps());
    // Turns of one invocation's loops: the depth and the loops around it; those of the workgroup core see Tile.
    let turns = match algorithm {
        Algorithm::Direct => depth.saturating_add(3 * taps),
        Algorithm::ImplicitGemmRegister | Algorithm::PointwiseRegister => {
            let columns = problem.batch * problem.output_positions();
            RegisterTile::choose(problem.filters_per_group(), columns, depth, problem.channels_per_group(), profile)
                .turns(taps, problem.channels_per_group())
        }
        Algorithm::ImplicitGemmWorkgroup | Algorithm::PointwiseWorkgroup => Tile::turns(depth),
        Algorithm::Depthwise => depthwise::turns(problem),
        Algorithm::WinogradF2 | Algorithm::WinogradF4 | Algorithm::Dense => 0, // they count their own
        Algorithm::ImplicitGemmMatrix | Algorithm::ImplicitGemmSplit | Algorithm::PointwiseMatrix | Algorithm::PointwiseSplit => Tile::turns(depth),
    };
    profile.check_turns(algorithm.name(), turns)?;
    match algorithm {
        Algorithm::Direct => Ok(()),
        Algorithm::ImplicitGemmWorkgroup => implicit_gemm::supports_workgroup(algorithm, profile),
        Algorithm::ImplicitGemmRegister => Ok(()),
        Algorithm::PointwiseWorkgroup => implicit_gemm::supports_workgroup(algorithm, profile).and_then(|()| pointwise::supports(algorithm, problem)),
        Algorithm::PointwiseRegister => pointwise::supports(algorithm, problem),
        Algorithm::Depthwise => depthwise::supports(problem),
        Algorithm::WinogradF2 | Algorithm::WinogradF4 => winograd::supports(algorithm, problem, profile),
        Algorithm::ImplicitGemmMatrix | Algorithm::ImplicitGemmSplit | Algorithm::PointwiseMatrix | Algorithm::PointwiseSplit => {
            matrix::supports(algorithm, problem, profile)
        }
        Algorithm::Dense => dense::supports(problem, profile),
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
    check(problem, profile)?;
    let algorithm = match problem.algorithm {
        Some(forced) => supports(forced, problem, profile).map(|()| forced)?,
        None => Answers::new(problem, profile).preferred()?,
    };
    if problem.pool.is_none() || fused::is_fused(algorithm, problem) {
        return calls(problem, profile, algorithm, tile);
    }
    let unpooled = problem.convolution();
    check(&unpooled, profile)?;
    fused::then_pool(problem, calls(&unpooled, profile, algorithm, tile)?, profile)
}

/// The kernel calls of an algorithm that applies; with a pool, of one that pools in registers.
fn calls(problem: &ConvProblem, profile: &DeviceProfile, algorithm: Algorithm, tile: Option<&str>) -> Result<Plan> {
    let columns = problem.batch * problem.output_positions();
    let register = || -> Result<RegisterTile> {
        let channels = problem.channels_per_group();
        let tile = match tile {
            Some(text) => RegisterTile::parse(algorithm.name(), text)?,
            None => RegisterTile::choose(problem.filters_per_group(), columns, problem.reduction_depth(), channels, profile),
        };
        profile.check_turns(algorithm.name(), tile.turns(problem.taps(), channels))?;
        Ok(tile)
    };
    let workgroup = || -> Result<Tile> {
        match tile {
            Some(text) => Tile::parse(algorithm.name(), text, profile),
            None => Ok(Tile::choose(&implicit_gemm::shape(problem, problem.batch), profile)),
        }
    };
    let quads = in_quads(problem.x_layout, problem.input_positions());
    let choice = match algorithm {
        Algorithm::Direct => direct::choice(problem),
        Algorithm::ImplicitGemmWorkgroup => implicit_gemm::workgroup(&CONV_IMPLICIT_GEMM_WORKGROUP, problem, profile, workgroup()?),
        Algorithm::ImplicitGemmRegister => implicit_gemm::register(&CONV_IMPLICIT_GEMM_REGISTER, problem, profile, &register()?),
        Algorithm::PointwiseWorkgroup => {
            let source = if quads { &CONV_POINTWISE_QUADS_WORKGROUP } else { &CONV_POINTWISE_WORKGROUP };
            implicit_gemm::workgroup(source, problem, profile, workgroup()?)
        }
        Algorithm::PointwiseRegister => {
            let source = if quads { &CONV_POINTWISE_QUADS_REGISTER } else { &CONV_POINTWISE_REGISTER };
            implicit_gemm::register(source, problem, profile, &register()?)
        }
        Algorithm::Depthwise => depthwise::choice(problem, profile),
        Algorithm::WinogradF2 => return winograd::plan(problem, profile, algorithm, &F2, tile),
        Algorithm::WinogradF4 => return winograd::plan(problem, profile, algorithm, &F4, tile),
        Algorithm::Dense => return dense::plan(problem, profile, tile),
        Algorithm::ImplicitGemmMatrix | Algorithm::PointwiseMatrix => matrix::choice(algorithm, Operands::Whole, problem, tile, profile)?,
        Algorithm::ImplicitGemmSplit | Algorithm::PointwiseSplit => matrix::choice(algorithm, Operands::Split, problem, tile, profile)?,
    };
    if let Some(text) = tile.filter(|text| *text != choice.tile) {
        let reason = format!("it has no such tile here; its own is {}", if choice.tile.is_empty() { "none" } else { &choice.tile });
        return Err(Error::Unsupported { algorithm: format!("{algorithm} {text}"), reason });
    }
    let mut plan = Plan::new(problem.name(), format!("{algorithm} {}", choice.tile).trim_end().to_string(), problem.inputs(), problem.outputs());
    check_binding("filter", plan.inputs[FILTER].bytes(), profile)?;
    let params = ConvParams::new(problem);
    let weights = match choice.packed_multiple {
        None => Place::input(FILTER, &plan.inputs),
        Some(multiple) => {
            let bytes = PackParams::count(problem, multiple, problem.taps()).saturating_mul(problem.element.bytes());
            check_binding("the packed filter", bytes, profile)?;
            let pack = PackParams::new(problem, multiple, problem.taps());
            plan.scratch.push(bytes);
            let kernel = KernelSpec { source: &CONV_PACK_FILTER, element: problem.element, consts: vec![], overrides: vec![] };
            let places = vec![Place::input(FILTER, &plan.inputs), Place::Scratch(0)];
            plan.prepare.push(Step::new(kernel, &pack, places, u64::from(pack.items).div_ceil(64), profile)?);
            Place::Scratch(0)
        }
    };
    let filter_range = match &choice.companion {
        Companion::Ranged(..) => {
            let filter = Place::input(FILTER, &plan.inputs);
            let (steps, range) = range(&mut plan, filter, &matrix::filter_lines(problem), profile)?;
            plan.prepare.extend(steps);
            range
        }
        _ => Place::Nothing,
    };
    let x_image = problem.input_count() / problem.batch;
    let y_image = problem.output_count() / problem.batch;
    let element = problem.element;
    let bytes = |elements: u64| elements * element.bytes();
    let slices = slices(problem.batch, &[("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))], profile)?;
    let partials = Place::Scratch(plan.scratch.len());
    if let Companion::Sum(sum) = &choice.companion {
        let images = slices.iter().map(|slice| slice.count).max().unwrap_or(1);
        plan.scratch.push(sum.scratch(problem, images, profile)?);
    }
    for slice in slices {
        let (x, y) = (slice.range(x_image, element, profile), slice.range(y_image, element, profile));
        let mut params = ConvParams { batch: slice.count as u32, x_base: x.base, y_base: y.base, ..params };
        let workgroups = (choice.count)(problem, slice.count, &mut params);
        let bias = if problem.has_bias { Place::input(BIAS, &plan.inputs) } else { Place::Nothing };
        let residual = match problem.has_residual {
            true => Place::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
            false => Place::Nothing,
        };
        let output = Place::Output { index: 0, first: y.first, bytes: y.bytes };
        let x_place = Place::Input { index: 0, first: x.first, bytes: x.bytes };
        let kernel = choice.kernel.clone();
        let places = vec![bias, residual, output, x_place, weights];
        match &choice.companion {
            Companion::None => plan.steps.push(Step::new(kernel, &params, places, workgroups, profile)?),
            Companion::Sum(sum) => {
                plan.steps.push(Step::new(kernel, &params, vec![Place::Nothing, Place::Nothing, partials, x_place, weights], workgroups, profile)?);
                plan.steps.push(sum.step(problem, &params, [bias, residual, output, partials], profile)?);
            }
            Companion::Unranged => {
                let places = places.into_iter().chain([Place::Nothing; 2]).collect();
                plan.steps.push(Step::new(kernel, &params, places, workgroups, profile)?);
            }
            Companion::Ranged(plain, count) => {
                let (steps, x_range) = range(&mut plan, x_place, &matrix::pixel_lines(problem, slice.count, x.base), profile)?;
                plan.steps.extend(steps);
                let places: Vec<Place> = places.into_iter().chain([filter_range, x_range]).collect();
                plan.steps.push(Step::new(kernel, &params, places.clone(), workgroups, profile)?);
                let workgroups = count(problem, slice.count, &mut params);
                plan.steps.push(Step::new(plain.clone(), &params, places, workgroups, profile)?);
            }
        }
    }
    Ok(plan)
}

/// Places of the fixed inputs.
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

/// The overrides that every convolution kernel shares.
pub(crate) fn overrides(problem: &ConvProblem) -> Vec<(&'static str, u32)> {
    let mut overrides = Vec::new();
    let mut set = |name, value| {
        if value != 0 {
            overrides.push((name, value)); // 0 is every override's default
        }
    };
    set("ACTIVATION", problem.activation.shader_id());
    set("PADDING_MODE", crate::types::shape::PaddingMode::ALL.iter().position(|m| *m == problem.padding_mode).unwrap_or(0) as u32);
    set("TRANSPOSED", u32::from(problem.direction == Direction::Transposed));
    set("HAS_BIAS", u32::from(problem.has_bias));
    set("HAS_RESIDUAL", u32::from(problem.has_residual));
    overrides
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
        let old = DeviceProfile { max_loop_turns: 65_535, ..pairs };
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
        let old = DeviceProfile { max_loop_turns: 65_535, ..pairs };
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
                let tile: u64 = ["THREAD_M", "LANES", "THREAD_QUADS"].iter().map(|name| u64::from(step.kernel.constant(name))).product();
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
