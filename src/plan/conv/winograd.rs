//! Winograd's minimal filtering: 3 x 3 and 5 x 5 windows at stride 1 (and 1 x 3, 3 x 1, 3 in one dimension, the same of 5) with fewer multiplications.
//!
//! y = A^T [(G g G^T) * (B^T d B)] A over tiles of the input (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015,
//! equation 8), summed over the channels by one matrix product for each element of a transformed tile. Filters are transformed when
//! the convolution is prepared. Over both axes F(2,3) multiplies 2.25 times less often than plain sums, F(4,3) 4 times, F(2,5) 2.04 times, F(4,5) 6.25
//! times; all pay with larger rounding errors, which `ops/conv/winograd.rs` derives from their matrices.

use crate::numeric::Accuracy;
use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::conv::winograd::{Transform, Transforms};
use crate::plan::conv::steps::overrides;
use crate::plan::conv::{BIAS, FILTER, fused};
use crate::plan::gemm::packing::packed_products;
use crate::plan::gemm::tile::{Core, GemmShape, Tile, Tiling};
use crate::plan::gemm::workgroup::WorkgroupTile;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_parts, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::{
    CONV_WINOGRAD_FILTER, CONV_WINOGRAD_INPUT, CONV_WINOGRAD_INPUT_PAIRS, CONV_WINOGRAD_OUTPUT, CONV_WINOGRAD_OUTPUT_PAIRS,
};
use crate::shader::uniforms::{ConvParams, PackParams};
use crate::types::shape::WindowAxis;
use crate::types::{ElementType, Error, Layout, PaddingMode, Result};

/// An f32 convolution over one or two axes, forward or transposed, its windows 3, 5 or 1 long, not spread, at every place.
pub(crate) fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let refuse = |reason: String| Err(Error::Unsupported { algorithm: algorithm.name().into(), reason });
    if problem.element != ElementType::F32 {
        return refuse(format!("it computes f32; the tensors are {}", problem.element));
    }
    let [depth, height, width] = &problem.axes;
    if *depth != WindowAxis::UNIT {
        return refuse("it computes one or two spatial axes; there are three".into());
    }
    for (axis, name) in [(height, "height"), (width, "width")] {
        if axis.stride != 1 || axis.dilation != 1 || !matches!(axis.filter, 1 | 3 | 5) {
            return refuse(format!(
                "it needs stride 1, dilation 1 and filter extent 3, 5 or 1; along the {name} they are {}, {} and {}",
                axis.stride, axis.dilation, axis.filter
            ));
        }
    }
    let Some(transforms) = Transforms::of(algorithm, problem) else {
        let (h, w) = (height.filter, width.filter);
        return refuse(match h.max(w) {
            1 => "its windows have extent 3 or 5 along an axis at least; a 1 x 1 window is a matrix product already".into(),
            _ => format!("its windows are as long along both axes, or 1 along one; they are {h} x {w}"),
        });
    };
    let relative = transforms.relative_error(problem);
    match problem.accuracy {
        Accuracy::Exact => return refuse("accuracy exact admits plain products and sums alone".into()),
        Accuracy::F32 if relative > 1.0 => {
            return refuse(format!("its error bound is {relative:.2} times that of plain f32 sums here; accuracy reduced admits that, f32 does not"));
        }
        _ => {}
    }
    profile.check_iterations(algorithm.name(), WorkgroupTile::iterations(problem.channels_per_group()).max(problem.channels_per_group() + 2))?;
    let cut = Cut::new(transforms, problem);
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    match cut.column_bytes(problem).into_iter().map(|bytes| bytes.saturating_mul(PANEL)).find(|bytes| *bytes > limit) {
        Some(bytes) => refuse(format!("{PANEL} tiles transformed need {bytes} bytes, but max_storage_buffer_binding_size is {limit}")),
        None => Ok(()),
    }
}

/// How a problem is cut into tiles.
struct Cut {
    transforms: Transforms,
    /// Per height and width: outputs of a tile, tiles of an image.
    tile: [u64; 2],
    tiles: [u64; 2],
}

/// Most bytes of transformed tiles and sums together, where one panel of them does not need more: beyond it, tiles are taken in turns.
pub(crate) const WORKSPACE: u64 = 256 << 20;

/// The same where memory is a processor's: they should stay in its cache until they are read again. Every part reads the whole filter, so it
/// takes no less than that. Measured on two cores with 1 MiB and shares of 32 MiB of cache
/// (benchmarks/notebook/2026-11-21-winograd-in-parts.md): 4 to 8 MiB are best, 64 channels of 224 x 224 1.2 times as fast as in one go; 2 take
/// 10 to 17 % longer again.
pub(crate) const WORKSPACE_CPU: u64 = 6 << 20;

/// Columns of the product come in whole panels of either core.
const PANEL: u64 = 64;

/// Columns of each of the fewest equal parts of so many tiles that have at most `most` columns, a multiple of a panel.
fn even(tiles: u64, most: u64) -> u64 {
    tiles.div_ceil(tiles.div_ceil(most)).next_multiple_of(PANEL)
}

impl Cut {
    fn new(transforms: Transforms, problem: &ConvProblem) -> Self {
        let axes = [&problem.axes[1], &problem.axes[2]];
        let tile = transforms.axes().map(|transform| transform.tile);
        Self { transforms, tile, tiles: [axes[0].output.div_ceil(tile[0]), axes[1].output.div_ceil(tile[1])] }
    }

    fn lines(&self) -> u64 {
        self.transforms.lines()
    }

    fn tiles_per_image(&self) -> u64 {
        self.tiles[0] * self.tiles[1]
    }

    /// Bytes of the transformed tiles and of the sums in one column of the product.
    fn column_bytes(&self, problem: &ConvProblem) -> [u64; 2] {
        [problem.in_channels, problem.out_channels].map(|channels| (self.lines() * ElementType::F32.bytes()).saturating_mul(channels))
    }

    /// Most columns that are computed at once: whole panels.
    fn columns_at_once(&self, problem: &ConvProblem, profile: &DeviceProfile) -> u64 {
        let [tiles, sums] = self.column_bytes(problem);
        let filter = tiles.saturating_mul(problem.filters_per_group());
        let room = if profile.is_cpu { WORKSPACE_CPU.max(filter) } else { WORKSPACE };
        let by_binding = profile.max_binding_bytes.min(profile.max_buffer_bytes) / tiles.max(sums);
        let most = by_binding.min(room / tiles.saturating_add(sums));
        (most / PANEL * PANEL).max(PANEL)
    }

    /// Whether two neighbouring tiles lie in one row and are whole, wherever the first has an even number, and 64-bit loads pay.
    fn has_pairs(&self, problem: &ConvProblem, profile: &DeviceProfile) -> bool {
        profile.loads_half_vec4(problem.element) && self.tile[1] > 1 && problem.axes[2].output.is_multiple_of(2 * self.tile[1])
    }

    /// Whether the input transform may read two elements of a row at once: each begins at an even one, and they are both inside or both zero.
    fn reads_pairs(&self, problem: &ConvProblem, params: &ConvParams, profile: &DeviceProfile) -> bool {
        let is_even = problem.axes[2].input.is_multiple_of(2) && params.x_base.is_multiple_of(2);
        self.has_pairs(problem, profile) && is_even && params.x_stride_p == 1 && problem.padding_mode == PaddingMode::Zeros
    }

    /// Whether the output transform may store, and read the residual, two elements at once. Pools store their own way.
    fn writes_pairs(&self, problem: &ConvProblem, params: &ConvParams, profile: &DeviceProfile) -> bool {
        self.has_pairs(problem, profile) && params.y_base.is_multiple_of(2) && params.y_stride_p == 1 && problem.pool.is_none()
    }

    /// The products over so many columns.
    fn product(&self, problem: &ConvProblem, columns: u64) -> GemmShape {
        let depth = problem.channels_per_group();
        GemmShape {
            rows: problem.filters_per_group(),
            columns,
            depth,
            length: depth,
            products: self.lines() * problem.groups,
            uneven: false,
            streams: false,
        }
    }

    /// The same as the choice of a tile sees it. The workgroup core does not split the depth of a batch, so it counts as short; the register core
    /// takes tall tiles for what all products of a group multiply together.
    fn product_of_choice(&self, problem: &ConvProblem, columns: u64, core: Core) -> GemmShape {
        let product = self.product(problem, columns);
        GemmShape { depth: if core == Core::Register { product.depth * self.lines() } else { 1 }, ..product }
    }
}

/// The prelude of kernels that transform.
pub(crate) fn consts(transforms: &Transforms) -> Vec<(&'static str, u32)> {
    let (tile, lines) = (transforms.axes().map(|transform| transform.tile), transforms.axes().map(Transform::lines));
    let along = match lines {
        [1, _] => 1,
        [_, 1] => 2,
        _ => 0,
    };
    let mut consts = vec![
        ("TILE_H", tile[0] as u32),
        ("TILE_W", tile[1] as u32),
        ("LINES_H", lines[0] as u32),
        ("LINES_W", lines[1] as u32),
        ("LARGE", u32::from(tile.contains(&4))),
        ("AXES", along),
    ];
    consts.extend((transforms.taps() == 5).then_some(("TAPS_5", 1)));
    consts
}

/// Columns of the product: tiles of outputs of all images.
pub(crate) fn columns(algorithm: Algorithm, problem: &ConvProblem) -> Option<u64> {
    Transforms::of(algorithm, problem).map(|transforms| problem.batch * Cut::new(transforms, problem).tiles_per_image())
}

/// Rows and columns of a tile of outputs.
pub(crate) fn tile_extents(algorithm: Algorithm, problem: &ConvProblem) -> Option<[u64; 2]> {
    Transforms::of(algorithm, problem).map(|transforms| Cut::new(transforms, problem).tile)
}

/// Tiles of the workgroup core worth timing.
pub(crate) fn tiles(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Vec<String> {
    let Some(transforms) = Transforms::of(algorithm, problem) else { return vec![] };
    let cut = Cut::new(transforms, problem);
    let columns = even(problem.batch * cut.tiles_per_image(), cut.columns_at_once(problem, profile));
    Tile::candidates(Core::Workgroup, &cut.product_of_choice(problem, columns, Core::Workgroup), profile)
}

/// Plans it: the filter once, then input, product and output for every part of the tiles. A transposed convolution is planned as the forward one that
/// reads the same, but for its filter, which is read backwards.
pub(crate) fn plan(problem: &ConvProblem, profile: &DeviceProfile, algorithm: Algorithm, tile: Option<&str>) -> Result<Plan> {
    let Some(transforms) = Transforms::of(algorithm, problem) else {
        return Err(Error::Unsupported { algorithm: algorithm.to_string(), reason: "it has no transform of such windows".into() });
    };
    let Some(gathering) = problem.gathering() else {
        return Err(Error::Unsupported { algorithm: algorithm.to_string(), reason: "it needs stride 1".into() });
    };
    let (given, problem) = (problem, &gathering);
    let cut = Cut::new(transforms, problem);
    let (channels, filters) = (problem.channels_per_group(), problem.filters_per_group());
    let (x_image, y_image) = (problem.input_count() / problem.batch, problem.output_count() / problem.batch);
    let bytes = |elements: u64| elements * problem.element.bytes();
    let images = chunks(problem.batch, &[("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))], profile)?;
    let most = images.iter().map(|chunk| chunk.count).max().unwrap_or(1) * cut.tiles_per_image();
    let columns = even(most, cut.columns_at_once(problem, profile));
    check_parts("its tiles", images.iter().map(|chunk| u128::from((chunk.count * cut.tiles_per_image()).div_ceil(columns))).sum())?;
    let parts = images.iter().flat_map(|chunk| {
        let tiles = chunk.count * cut.tiles_per_image();
        let tiles = (0..tiles).step_by(columns as usize).map(move |first| Chunk { first, count: columns.min(tiles - first) });
        tiles.map(|tiles| (*chunk, tiles))
    });

    let core = match tile {
        Some(text) if WorkgroupTile::is_named_by(text) => Core::Workgroup,
        Some(_) => Core::Register,
        None if profile.is_cpu => Core::Register,
        None => Core::Workgroup,
    };
    let chosen = Tile::new(core, algorithm.name(), tile, &cut.product_of_choice(problem, columns, core), profile)?;
    let (tiling, label) = (Tiling { tile: chosen, shape: cut.product(problem, columns) }, chosen.to_string());
    if tiling.splits() > 1 {
        let reason = "its product is a batch already: the depth is not split".into();
        return Err(Error::Unsupported { algorithm: format!("{algorithm} {label}"), reason });
    }
    if let Some(text) = tile.filter(|text| *text != label) {
        return Err(Error::Unsupported { algorithm: format!("{algorithm} {text}"), reason: format!("its tile here is {label}") });
    }
    let mut plan = Plan::new(given.name(), format!("{algorithm} {label}"), given.inputs(), given.outputs());
    check_tensors("a convolution", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
    check_binding("filter", plan.inputs[FILTER].bytes(), profile)?;

    let padded = filters.next_multiple_of(tiling.m());
    let planes = problem.groups * channels * padded;
    let filter_bytes = cut.lines().saturating_mul(planes).saturating_mul(4);
    check_binding("the transformed filter", filter_bytes, profile)?;
    plan.scratch = vec![filter_bytes, cut.lines() * problem.in_channels * columns * 4, cut.lines() * problem.out_channels * columns * 4];
    let [transformed_filter, transformed, sums] = [0, 1, 2].map(BufferRef::Scratch);
    let kernel = |source, consts, overrides| KernelSpec { source, element: problem.element, consts, overrides };

    let pack = PackParams::new(given, tiling.m(), 1);
    let refs = vec![BufferRef::input(FILTER, &plan.inputs), transformed_filter];
    let mut own = consts(&cut.transforms);
    own.extend((given.direction == Direction::Transposed).then_some(("BACKWARDS", 1)));
    plan.prepare.push(Step::new(kernel(&CONV_WINOGRAD_FILTER, own, vec![]), &pack, refs, planes.div_ceil(64), profile)?);

    for (images, tiles) in parts {
        let (x, y) = (images.range(x_image, problem.element, profile), images.range(y_image, problem.element, profile));
        let columns = tiles.count.next_multiple_of(PANEL);
        let items = [problem.in_channels, problem.out_channels].map(|channels| channels * columns);
        let params = ConvParams {
            x_base: x.base,
            y_base: y.base,
            columns: columns as u32,
            tiles_m: cut.tiles[0] as u32,
            tiles_n: cut.tiles[1] as u32,
            first_tile: tiles.first as u32,
            end_tile: (tiles.first + tiles.count) as u32,
            ..ConvParams::new(problem)
        };
        let first = ConvParams { items: items[0] as u32, ..params };
        let mode = overrides(problem).into_iter().filter(|(name, _)| *name == "PADDING_MODE").collect();
        let refs = vec![BufferRef::Input { index: 0, first: x.first, bytes: x.bytes }, transformed];
        let pairs = cut.reads_pairs(problem, &first, profile);
        let (source, at_once) = if pairs { (&CONV_WINOGRAD_INPUT_PAIRS, 2) } else { (&CONV_WINOGRAD_INPUT, 1) };
        let mut own = consts(&cut.transforms);
        own.push(("PANEL", tiling.panel() as u32));
        let along_channels = takes_channels(problem.x_layout, problem.in_channels, profile);
        if pairs {
            own.push(("ODD", (problem.axes[2].pad_begin % 2 != 0).into()));
        }
        own.extend(along_channels.then_some(ALONG_CHANNELS));
        let workgroups = transform_workgroups(problem.in_channels, columns, at_once, along_channels);
        plan.steps.push(Step::new(kernel(source, own, mode), &first, refs, workgroups, profile)?);

        plan.steps.push(packed_products(&tiling, columns, [transformed_filter, transformed, sums], profile)?);

        let last = ConvParams { items: items[1] as u32, ..params };
        let epilogue = overrides(problem).into_iter().filter(|(name, _)| *name != "PADDING_MODE").collect();
        let bias = if problem.has_bias { BufferRef::input(BIAS, &plan.inputs) } else { BufferRef::Nothing };
        let residual = match problem.has_residual {
            true => BufferRef::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
            false => BufferRef::Nothing,
        };
        let refs = vec![bias, residual, BufferRef::Output { index: 0, first: y.first, bytes: y.bytes }, sums];
        let pairs = cut.writes_pairs(problem, &last, profile);
        let (source, at_once) = if pairs { (&CONV_WINOGRAD_OUTPUT_PAIRS, 2) } else { (&CONV_WINOGRAD_OUTPUT, 1) };
        let along_channels = takes_channels(problem.y_layout, problem.out_channels, profile);
        let mut own: Vec<_> = consts(&cut.transforms).into_iter().chain(fused::consts(problem)).collect();
        own.extend(along_channels.then_some(ALONG_CHANNELS));
        let workgroups = transform_workgroups(problem.out_channels, columns, at_once, along_channels);
        plan.steps.push(Step::new(kernel(source, own, epilogue), &last, refs, workgroups, profile)?);
    }
    Ok(plan)
}

const ALONG_CHANNELS: (&str, u32) = ("ALONG_CHANNELS", 1);

/// `SIDE` of `shaders/conv/winograd_item.wgsl`.
const SIDE: u64 = 8;

/// Whether a transform takes neighbouring channels at once. A processor reads a tile's rows through its cache either way.
fn takes_channels(layout: Layout, channels: u64, profile: &DeviceProfile) -> bool {
    layout == Layout::ChannelsLast && channels >= SIDE && !profile.is_cpu
}

/// Workgroups of a transform of so many channels and columns, of which an invocation takes `at_once`.
fn transform_workgroups(channels: u64, columns: u64, at_once: u64, along_channels: bool) -> u64 {
    let lines = if along_channels { channels.next_multiple_of(SIDE) } else { channels };
    (lines * columns / at_once).div_ceil(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of 64 channels of 224 x 224 has 12,544 tiles; 6 MiB hold 768 of them.
    #[test]
    fn parts_are_even_whole_panels() {
        assert_eq!((even(12_544, 768), even(784, 320), even(784, 256), even(49, 768), even(65, 64)), (768, 320, 256, 64, 64));
    }
}
