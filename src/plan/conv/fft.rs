//! Plans a convolution by Fourier transforms: the filters once, then for every part of the tiles rows, columns, products and the way back.
//!
//! Where a group has one channel, the product with its filters is one number for each frequency, and the columns go there and back in one kernel.
//! Else the sum over channels is a real matrix product for each frequency, of twice the rows and twice the depth, by the cores that all products use.

use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fft::{FourierTile, ON_GPU, candidates};
use crate::ops::conv::problem::ConvProblem;
use crate::plan::conv::steps::overrides;
use crate::plan::conv::{BIAS, FILTER};
use crate::plan::gemm::packing::packed_products;
use crate::plan::gemm::tile::{Core, GemmShape, Tile, Tiling};
use crate::plan::gemm::workgroup::WorkgroupTile;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_parts, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::KernelSource;
use crate::shader::source_gemm::{
    CONV_FFT_COLUMNS, CONV_FFT_FILTER_COLUMNS, CONV_FFT_FILTER_PARTS, CONV_FFT_FILTER_ROWS, CONV_FFT_OUTPUTS, CONV_FFT_PARTS, CONV_FFT_ROWS,
    CONV_FFT_SUMS,
};
use crate::shader::uniforms::ConvParams;
use crate::types::{Error, Result};

const NAME: &str = Algorithm::Fft.name();

/// Bytes of a complex number.
const NUMBER: u64 = 8;

/// Whether a group has several channels, whose products are summed.
fn mixes(problem: &ConvProblem) -> bool {
    problem.channels_per_group() > 1
}

/// Whether a device computes it: what the problem admits, with a tile whose transformed filters fit a binding.
pub(crate) fn supports(problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    crate::ops::conv::fft::supports(problem, *ON_GPU.end())?;
    let refuse = |reason: String| Err(Error::Unsupported { algorithm: NAME.into(), reason });
    let buffers = 3 + u32::from(problem.has_bias) + u32::from(problem.has_residual);
    if buffers > profile.max_storage_buffers {
        return refuse(format!("its last kernel binds {buffers} storage buffers; the device has {}", profile.max_storage_buffers));
    }
    if candidates(problem, &ON_GPU).is_empty() {
        return refuse("its error bound is larger than that of plain f32 sums here; accuracy reduced admits that, f32 does not".into());
    }
    profile.check_iterations(NAME, WorkgroupTile::iterations(2 * problem.channels_per_group()).max(problem.filters_per_group()))?;
    tile(problem, profile).map(|_| ())
}

/// The tile that the planner takes: of those that fit the device, the one that multiplies and moves least.
pub(crate) fn tile(problem: &ConvProblem, profile: &DeviceProfile) -> Result<FourierTile> {
    fitting(problem, profile).into_iter().next().ok_or_else(|| Error::Unsupported {
        algorithm: NAME.into(),
        reason: format!("its transformed filters do not fit max_storage_buffer_binding_size, {}", profile.max_binding_bytes),
    })
}

/// Labels of the tiles worth timing: the best few by their count.
pub(crate) fn tiles(problem: &ConvProblem, profile: &DeviceProfile) -> Vec<String> {
    fitting(problem, profile).iter().take(4).map(ToString::to_string).collect()
}

fn fitting(problem: &ConvProblem, profile: &DeviceProfile) -> Vec<FourierTile> {
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    let channels = problem.in_channels.max(problem.out_channels);
    // Rows of the products are padded to tiles of 128 at most.
    let filters = |tile: &FourierTile| match mixes(problem) {
        true => {
            tile.count().saturating_mul(problem.groups * 2 * problem.channels_per_group() * 4).saturating_mul(2 * problem.filters_per_group() + 128)
        }
        false => tile.count().saturating_mul(problem.out_channels * NUMBER),
    };
    let rows =
        |tile: &FourierTile| tile.extents()[1].saturating_mul(problem.out_channels * problem.channels_per_group() * problem.axes[1].filter * NUMBER);
    let column = |tile: &FourierTile| tile.count().saturating_mul(NUMBER * channels * if mixes(problem) { 64 } else { 1 });
    candidates(problem, &ON_GPU).into_iter().filter(|tile| filters(tile).max(rows(tile)).max(column(tile)) <= limit).collect()
}

/// Most bytes of the transformed tiles and sums of a part; where memory is a processor's, they should stay in its cache until they are read again, as
/// those of Winograd.
fn workspace(profile: &DeviceProfile) -> u64 {
    if profile.is_cpu { 6 << 20 } else { 256 << 20 }
}

/// One line length as the kernels split it: `RADIX_A`, `RADIX_B`.
fn radices(length: u64) -> [u64; 2] {
    match length {
        0..=16 => [length, 1],
        32 => [8, 4],
        64 => [8, 8],
        128 => [16, 8],
        256 => [16, 16],
        _ => [32, 16],
    }
}

/// Workgroups for so many lines.
fn workgroups(lines: u64, length: u64) -> u64 {
    lines.div_ceil(64 / radices(length)[1])
}

/// e^(-2 pi i k / length), as the bits of f32.
fn roots(length: u64) -> Vec<u32> {
    let angle = |k: u64| -2.0 * std::f64::consts::PI * k as f64 / length as f64;
    (0..length).flat_map(|k| [angle(k).cos(), angle(k).sin()].map(|part| (part as f32).to_bits())).collect()
}

/// What the kernels of one plan share.
struct Kernels<'a> {
    problem: &'a ConvProblem,
    profile: &'a DeviceProfile,
    tile: FourierTile,
}

impl Kernels<'_> {
    /// A call over `lines` lines along `axis` (0: height, 1: width).
    fn call(
        &self,
        source: &'static KernelSource,
        axis: usize,
        own: &[(&'static str, u32)],
        params: ConvParams,
        refs: Vec<BufferRef>,
    ) -> Result<Step> {
        let length = self.tile.extents()[axis];
        let [a, b] = radices(length);
        let outputs = self.tile.outputs(self.problem);
        let mut consts = vec![
            ("RADIX_A", a as u32),
            ("RADIX_B", b as u32),
            ("HALF", (a / 2) as u32),
            ("BITS_A", a.ilog2()),
            ("BITS_B", b.ilog2()),
            ("LENGTH_H", self.tile.extents()[0] as u32),
            ("LENGTH_W", self.tile.extents()[1] as u32),
            ("TILE_H", outputs[0] as u32),
            ("TILE_W", outputs[1] as u32),
            ("MIXES", mixes(self.problem).into()),
        ];
        consts.extend(own);
        let wanted = |name: &str| match source.name {
            "conv_fft_rows" => name == "PADDING_MODE",
            "conv_fft_outputs" => name != "PADDING_MODE",
            _ => false,
        };
        let overrides = overrides(self.problem).into_iter().filter(|(name, _)| wanted(name)).collect();
        let kernel = KernelSpec { source, element: self.problem.element, consts, overrides };
        Step::new(kernel, &params, refs, workgroups(params.items.into(), length), self.profile)
    }
}

/// Plans it, with the tile that is named.
pub(crate) fn plan(problem: &ConvProblem, profile: &DeviceProfile, named: Option<&str>) -> Result<Plan> {
    let tile = match named {
        None => tile(problem, profile)?,
        Some(text) => {
            FourierTile::parse(text, problem).filter(|tile| tile.extents().iter().all(|length| length <= ON_GPU.end())).ok_or_else(|| {
                Error::Unsupported {
                    algorithm: format!("{NAME} {text}"),
                    reason: format!("its tiles here are {}", tiles(problem, profile).join(", ")),
                }
            })?
        }
    };
    let mut plan = Plan::new(problem.name(), format!("{NAME} {tile}"), problem.inputs(), problem.outputs());
    check_tensors("a convolution", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
    check_binding("filter", plan.inputs[FILTER].bytes(), profile)?;
    let (x_image, y_image) = (problem.input_count() / problem.batch, problem.output_count() / problem.batch);
    let bytes = |elements: u64| elements * problem.element.bytes();
    let images = chunks(problem.batch, &[("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))], profile)?;
    let [tiles_h, tiles_w] = tile.tiles(problem);
    let per_image = 2 * tile.pairs_per_image(problem);
    let most = images.iter().map(|chunk| (chunk.count * per_image).div_ceil(2)).max().unwrap_or(1);

    let channels = problem.in_channels.max(problem.out_channels);
    let column = tile.count() * channels * NUMBER;
    let room = workspace(profile).min(profile.max_binding_bytes).min(profile.max_buffer_bytes) / column;
    let product = products(problem, profile, tile, most.min(room.max(64)))?;
    let multiple = product.as_ref().map_or(1, |tiling| tiling.panel().max(4));
    let columns = most.div_ceil(most.div_ceil((room / multiple * multiple).max(multiple))).next_multiple_of(multiple);
    check_parts("its tiles", images.iter().map(|chunk| u128::from((chunk.count * per_image).div_ceil(2 * columns))).sum())?;

    let kernels = Kernels { problem, profile, tile };
    let [height, width] = tile.extents();
    let [roots_h, roots_w] = [0, 1].map(BufferRef::Table);
    plan.tables = vec![roots(height), roots(width)];
    let mut scratch = |bytes: u64, what: &str| {
        check_binding(what, bytes, profile)?;
        plan.scratch.push(bytes);
        Ok(BufferRef::Scratch(plan.scratch.len() - 1))
    };
    let planes = problem.out_channels * problem.channels_per_group();
    let lines = planes * problem.axes[1].filter;
    let filter_rows = scratch(lines * width * NUMBER, "the filters' transformed rows")?;
    let filter_bytes = match &product {
        Some(tiling) => {
            let rows = tiling.shape.rows.next_multiple_of(tiling.m());
            tile.count().saturating_mul(problem.groups * tiling.shape.depth).saturating_mul(rows * 4)
        }
        None => tile.count().saturating_mul(problem.out_channels * NUMBER),
    };
    let filters = scratch(filter_bytes, "the transformed filters")?;
    let spectrum =
        scratch(columns * tile.count() * NUMBER * if product.is_some() { channels } else { problem.in_channels }, "the transformed tiles")?;
    let sums = scratch(columns * tile.count() * NUMBER * problem.out_channels, "the sums of the tiles")?;
    let parts = match &product {
        Some(_) => scratch(columns * tile.count() * NUMBER * problem.in_channels, "the transformed tiles as parts")?,
        None => BufferRef::Nothing,
    };

    let params = ConvParams { tiles_m: tiles_h as u32, tiles_n: tiles_w as u32, ..ConvParams::new(problem) };
    let with_lines = |params: ConvParams, lines: u64| ConvParams { items: lines as u32, ..params };
    let refs = vec![BufferRef::input(FILTER, &plan.inputs), roots_w, filter_rows];
    plan.prepare.push(kernels.call(&CONV_FFT_FILTER_ROWS, 1, &[], with_lines(params, lines), refs)?);
    let (source, own) = match &product {
        Some(tiling) => (&CONV_FFT_FILTER_PARTS, vec![("TILE_ROWS", tiling.m() as u32)]),
        None => (&CONV_FFT_FILTER_COLUMNS, vec![]),
    };
    plan.prepare.push(kernels.call(source, 0, &own, with_lines(params, planes * width), vec![filter_rows, roots_h, filters])?);

    let several = u32::from(problem.filters_per_group() > 1);
    for images in images {
        let (x, y) = (images.range(x_image, problem.element, profile), images.range(y_image, problem.element, profile));
        let tiles = images.count * per_image;
        for first in (0..tiles).step_by(2 * columns as usize) {
            let part = Chunk { first, count: (2 * columns).min(tiles - first) };
            let columns = part.count.div_ceil(2).next_multiple_of(multiple);
            let params = ConvParams {
                x_base: x.base,
                y_base: y.base,
                columns: columns as u32,
                first_tile: part.first as u32,
                end_tile: (part.first + part.count) as u32,
                ..params
            };
            let input = BufferRef::Input { index: 0, first: x.first, bytes: x.bytes };
            let rows = with_lines(params, columns * problem.in_channels * height);
            plan.steps.push(kernels.call(&CONV_FFT_ROWS, 1, &[], rows, vec![input, roots_w, spectrum])?);
            let along_height = with_lines(params, columns * problem.in_channels * width);
            let summed = if let Some(tiling) = &product {
                let panel = [("PANEL", tiling.panel() as u32), ("SEVERAL", 0)];
                plan.steps.push(kernels.call(&CONV_FFT_PARTS, 0, &panel, along_height, vec![spectrum, roots_h, parts])?);
                plan.steps.push(packed_products(tiling, columns, [filters, parts, sums], profile)?);
                let back = with_lines(params, columns * problem.out_channels * width);
                plan.steps.push(kernels.call(&CONV_FFT_SUMS, 0, &[], back, vec![sums, roots_h, spectrum])?);
                spectrum
            } else {
                plan.steps.push(kernels.call(&CONV_FFT_COLUMNS, 0, &[("SEVERAL", several)], along_height, vec![spectrum, roots_h, filters, sums])?);
                sums
            };
            let bias = if problem.has_bias { BufferRef::input(BIAS, &plan.inputs) } else { BufferRef::Nothing };
            let residual = match problem.has_residual {
                true => BufferRef::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
                false => BufferRef::Nothing,
            };
            let output = BufferRef::Output { index: 0, first: y.first, bytes: y.bytes };
            let last = with_lines(params, columns * problem.out_channels * tile.outputs(problem)[0]);
            plan.steps.push(kernels.call(&CONV_FFT_OUTPUTS, 1, &[], last, vec![bias, residual, output, summed, roots_w])?);
        }
    }
    Ok(plan)
}

/// The products over the channels, one for each frequency and group; `None` where each is of single numbers.
fn products(problem: &ConvProblem, profile: &DeviceProfile, tile: FourierTile, columns: u64) -> Result<Option<Tiling>> {
    if !mixes(problem) {
        return Ok(None);
    }
    let depth = 2 * problem.channels_per_group();
    let shape = GemmShape {
        rows: 2 * problem.filters_per_group(),
        columns: columns.next_multiple_of(4),
        depth,
        length: depth,
        products: tile.count() * problem.groups,
        uneven: false,
        streams: false,
    };
    let core = if profile.is_cpu { Core::Register } else { Core::Workgroup };
    // As Winograd's: the workgroup core does not split the depth of a batch, so it counts as short; the register core takes tall tiles for what all
    // products of a group multiply together.
    let of_choice = GemmShape { depth: if core == Core::Register { depth * tile.count() } else { 1 }, ..shape };
    Ok(Some(Tiling { tile: Tile::new(core, NAME, None, &of_choice, profile)?, shape }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of a workgroup share out whole lines, and what they exchange fits the 16 KiB that every device has.
    #[test]
    fn lines_fit_a_workgroup() {
        for length in (0..=9).map(|bits| 1 << bits) {
            let [a, b] = radices(length);
            assert_eq!(a * b, length);
            assert!(b <= a && a <= 32 && 64 % b == 0, "{length}");
            let row = b + 1 - a / 32;
            assert!(b == 1 || 64 / b * a * row * NUMBER <= 16 << 10, "{length}");
        }
    }
}
