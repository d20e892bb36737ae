//! Planning: which algorithm computes a problem on a device, with which tiles and dispatches. Pure arithmetic: the same problem
//! and profile always give the same plan, and no device is asked.

use super::descriptor::Algorithm;
use super::params::{ConvParams, FilterStrides, PackParams};
use super::problem::{ConvProblem, Direction};
use super::{depthwise, direct, implicit_gemm, pointwise};
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::gpu::DeviceProfile;
use crate::kernel::{CONV_PACK_FILTER, KernelSpec, fold_workgroups};

/// Everything that is decided before a device is touched.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvPlan {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The kernel that computes the outputs.
    pub kernel: KernelSpec,
    /// How the work is cut: one dispatch per slice of the batch. More than one only where a tensor does not fit one binding.
    pub slices: Vec<BatchSlice>,
    /// How the filter is packed first, if it is.
    pub pack: Option<PackPlan>,
}

/// The dispatch of some images of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSlice {
    /// First byte of x that is bound, and how many; likewise y. Starts are multiples of the device's alignment.
    pub(crate) x_bytes: [u64; 2],
    pub(crate) y_bytes: [u64; 2],
    /// The kernel's uniform.
    pub(crate) params: ConvParams,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
}

/// Packing of the filter into whole tiles.
#[derive(Debug, Clone, PartialEq)]
pub struct PackPlan {
    /// The packing kernel.
    pub kernel: KernelSpec,
    /// Bytes of the packed filter.
    pub bytes: u64,
    pub(crate) params: PackParams,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
}

impl ConvPlan {
    /// Algorithm and the numbers baked into its kernel, such as `implicit_gemm_workgroup 64x64x16`.
    pub fn label(&self) -> String {
        let tile = |names: &[&str]| {
            let values: Vec<_> =
                names.iter().filter_map(|n| self.kernel.consts.iter().find(|(name, _)| name == n)).map(|(_, value)| value.to_string()).collect();
            values.join("x")
        };
        let tile = match self.algorithm {
            Algorithm::Direct => String::new(),
            Algorithm::Depthwise => format!(" strip {}", tile(&["STRIP"])),
            Algorithm::ImplicitGemmWorkgroup | Algorithm::PointwiseWorkgroup => format!(" {}", tile(&["TILE_M", "TILE_N", "TILE_K"])),
            Algorithm::ImplicitGemmRegister | Algorithm::PointwiseRegister => format!(" {}x4", tile(&["THREAD_M"])),
        };
        format!("{}{tile}", self.algorithm)
    }
}

impl std::fmt::Display for ConvPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.label())
    }
}

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
/// [`Error::Unsupported`] with the condition that does not hold.
pub fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
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
pub fn plan(problem: &ConvProblem, profile: &DeviceProfile) -> Result<ConvPlan> {
    check_sizes(problem, profile)?;
    let algorithm = match problem.algorithm {
        Some(forced) => {
            supports(forced, problem, profile)?;
            forced
        }
        None => preferred(problem, profile),
    };
    let choice = match algorithm {
        Algorithm::Direct => direct::choice(problem),
        Algorithm::ImplicitGemmWorkgroup => implicit_gemm::workgroup(&crate::kernel::CONV_IMPLICIT_GEMM_WORKGROUP, problem, profile),
        Algorithm::ImplicitGemmRegister => implicit_gemm::register(&crate::kernel::CONV_IMPLICIT_GEMM_REGISTER, problem),
        Algorithm::PointwiseWorkgroup => implicit_gemm::workgroup(&crate::kernel::CONV_POINTWISE_WORKGROUP, problem, profile),
        Algorithm::PointwiseRegister => implicit_gemm::register(&crate::kernel::CONV_POINTWISE_REGISTER, problem),
        Algorithm::Depthwise => depthwise::choice(problem),
    };
    let pack = choice.packed_multiple.map(|multiple| pack_plan(problem, profile, multiple)).transpose()?;
    let slices = slice_batch(problem, profile, &choice, pack.as_ref())?;
    Ok(ConvPlan { algorithm, kernel: choice.kernel, slices, pack })
}

/// The planner's preference among the algorithms that apply; the general direct kernel is last and admits everything.
fn preferred(problem: &ConvProblem, profile: &DeviceProfile) -> Algorithm {
    let order = if profile.is_cpu {
        [Algorithm::Depthwise, Algorithm::PointwiseRegister, Algorithm::ImplicitGemmRegister]
    } else {
        [Algorithm::Depthwise, Algorithm::PointwiseWorkgroup, Algorithm::ImplicitGemmWorkgroup]
    };
    // A tile core pays from a few rows on; below that most of a tile would be padding.
    let wanted = |a: &Algorithm| *a == Algorithm::Depthwise || problem.filters_per_group() >= 3;
    order.into_iter().filter(wanted).find(|&a| supports(a, problem, profile).is_ok()).unwrap_or(Algorithm::Direct)
}

/// Every number a shader computes must fit its 32-bit integers.
fn check_sizes(problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    if problem.element == ElementType::F16 && !profile.has_f16 {
        return Err(Error::MissingFeature { feature: "shader-f16", needed_for: "an f16 convolution".into(), adapter: "of this plan".into() });
    }
    const MOST: u64 = 1 << 31;
    for (argument, count) in [("x", problem.input_count()), ("filter", problem.filter_count()), ("the output", problem.output_count())] {
        if count >= MOST {
            return Err(Error::TooLarge {
                argument: argument.into(),
                needed: count.into(),
                unit: "elements",
                limit_name: "the largest 31-bit index",
                limit: MOST - 1,
            });
        }
        let (bytes, limit) = (count * problem.element.bytes(), profile.max_buffer_bytes);
        if bytes > limit {
            return Err(Error::TooLarge { argument: argument.into(), needed: bytes.into(), unit: "bytes", limit_name: "max_buffer_size", limit });
        }
    }
    for (axis, name) in problem.axes.iter().zip(["depth", "height", "width"]) {
        // The largest coordinates that tap_coordinate forms: output x stride + taps x dilation + pads.
        let reach = u128::from(axis.input.max(axis.output)) * u128::from(axis.stride)
            + u128::from(axis.filter) * u128::from(axis.dilation)
            + u128::from(axis.pad_begin.unsigned_abs())
            + u128::from(axis.pad_end.unsigned_abs());
        if reach >= u128::from(MOST) {
            return Err(Error::TooLarge {
                argument: format!("the window along the {name}"),
                needed: reach,
                unit: "coordinates",
                limit_name: "the largest 31-bit coordinate",
                limit: MOST - 1,
            });
        }
    }
    Ok(())
}

fn pack_plan(problem: &ConvProblem, profile: &DeviceProfile, multiple: u64) -> Result<PackPlan> {
    let padded = problem.filters_per_group().next_multiple_of(multiple);
    let items = problem.groups * problem.reduction_depth() * padded; // below 2^31 x multiple
    let bytes = items * problem.element.bytes();
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    if bytes > limit {
        return Err(Error::TooLarge {
            argument: "the packed filter".into(),
            needed: bytes.into(),
            unit: "bytes",
            limit_name: "max_storage_buffer_binding_size",
            limit,
        });
    }
    let strides = FilterStrides::new(problem);
    let params = PackParams {
        items: items as u32,
        padded: padded as u32,
        filters: problem.filters_per_group() as u32,
        channels: problem.channels_per_group() as u32,
        taps: problem.taps() as u32,
        w_stride_g: strides.group,
        w_stride_k: strides.k,
        w_stride_c: strides.c,
    };
    let kernel = KernelSpec { source: &CONV_PACK_FILTER, element: problem.element, consts: vec![], overrides: vec![] };
    let workgroups = fold_workgroups(items.div_ceil(64), profile.max_workgroups_per_axis)?;
    Ok(PackPlan { kernel, bytes, params, workgroups })
}

/// Cuts the batch so that every slice's part of x and of the output fits one binding.
fn slice_batch(problem: &ConvProblem, profile: &DeviceProfile, choice: &Choice, pack: Option<&PackPlan>) -> Result<Vec<BatchSlice>> {
    let (limit, element) = (profile.max_binding_bytes, problem.element.bytes());
    let too_large = |argument: &str, needed: u64| Error::TooLarge {
        argument: argument.into(),
        needed: needed.into(),
        unit: "bytes",
        limit_name: "max_storage_buffer_binding_size",
        limit,
    };
    if problem.filter_count() * element > limit {
        return Err(too_large("filter", problem.filter_count() * element));
    }
    let x_image = problem.input_count() / problem.batch * element;
    let y_image = problem.output_count() / problem.batch * element;
    // A slice may start up to one alignment before its first element.
    let room = limit - profile.storage_alignment.min(limit);
    let images = |image: u64| if image * problem.batch <= limit { problem.batch } else { room / image };
    let per_slice = images(x_image).min(images(y_image));
    if per_slice == 0 {
        let (argument, needed) = if x_image > y_image { ("one image of x", x_image) } else { ("one image of the output", y_image) };
        return Err(too_large(argument, needed));
    }
    let mut base = ConvParams::new(problem);
    if let Some(pack) = pack {
        base.packed_rows = pack.params.padded / 4;
    }
    let mut slices = Vec::new();
    let mut first = 0;
    while first < problem.batch {
        let batch = per_slice.min(problem.batch - first);
        let mut params = base;
        params.batch = batch as u32;
        let workgroups = (choice.count)(choice, problem, batch, &mut params);
        let range = |image: u64| {
            let start = first * image;
            let aligned = start / profile.storage_alignment * profile.storage_alignment;
            ([aligned, start - aligned + batch * image], ((start - aligned) / element) as u32)
        };
        let (x_bytes, x_base) = range(x_image);
        let (y_bytes, y_base) = range(y_image);
        params.x_base = x_base;
        params.y_base = y_base;
        slices.push(BatchSlice { x_bytes, y_bytes, params, workgroups: fold_workgroups(workgroups, profile.max_workgroups_per_axis)? });
        first += batch;
    }
    Ok(slices)
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
    overrides
}
