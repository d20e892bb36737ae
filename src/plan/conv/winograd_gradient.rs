//! The planner of filter gradients by Winograd's formula (`ops/conv/winograd_gradient.rs`): both operands' tiles are transformed, multiplied in sums over some
//! tiles each, a product for each element of a transformed tile, and what the sums add up to is transformed into the taps of dw.
//!
//! Where memory for all tiles is too much, they are taken in parts, some sums at a time, each adding to dw.

use crate::numeric::Accuracy;
use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::winograd_gradient::GradientTiles;
use crate::plan::conv::winograd::{WORKSPACE, WORKSPACE_CPU, consts};
use crate::plan::gemm::packing::packed_products;
use crate::plan::gemm::tile::{Core, GemmShape, Tile, Tiling};
use crate::plan::gemm::workgroup::WorkgroupTile;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, INDEX_LIMIT, Plan, Step, check_binding, check_parts, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::{CONV_WINOGRAD_GRADIENT, CONV_WINOGRAD_GRADIENT_TILES};
use crate::shader::uniforms_winograd::{GradientSumsParams, GradientTilesParams};
use crate::types::{ElementType, Error, Result};

/// `SIDE` of `shaders/conv/winograd_gradient_tiles.wgsl`.
const SIDE: u64 = 8;

const ELEMENT: ElementType = ElementType::F32;

/// Fewest channels of either tensor, and tiles of all images, from which the transforms pay on a processor (benchmarks/results/2026-11-28-filter-gradients.md;
/// fewer channels were not measured) and on a GPU, which has measured neither.
const FEWEST_CHANNELS: u64 = 32;

const FEWEST_TILES: u64 = 64;

const FEWEST_TILES_GPU: u64 = 512;

/// A filter gradient that is computed so.
struct Products {
    tiles: GradientTiles,
    tiling: Tiling,
    /// Filters and channels of a group as products have them, with what pads their panels.
    padded: [u64; 2],
    /// Sums of a part.
    at_once: u64,
}

/// The tile of the product, and how many sums a part has.
fn products(algorithm: Algorithm, tile: Option<&str>, gradient: &FilterGradient, profile: &DeviceProfile) -> Result<Products> {
    let refuse = |reason: String| Err(Error::Unsupported { algorithm: algorithm.name().into(), reason });
    let Some(tiles) = GradientTiles::of(algorithm, gradient) else {
        return refuse("it needs one or two spatial axes, stride 1, dilation 1 and as many taps along both, 3 or 5, or along one alone".into());
    };
    let relative = tiles.relative_error(gradient);
    match gradient.conv.accuracy {
        Accuracy::Exact => return refuse("accuracy exact admits plain products and sums alone".into()),
        Accuracy::F32 if relative > 1.0 => {
            return refuse(format!("its error bound is {relative:.2} times that of plain f32 sums here; accuracy reduced admits that, f32 does not"));
        }
        _ => {}
    }
    let core = match tile {
        Some(text) if WorkgroupTile::is_named_by(text) => Core::Workgroup,
        Some(_) => Core::Register,
        None if profile.is_cpu => Core::Register,
        None => Core::Workgroup,
    };
    core.check(algorithm.name(), profile)?;
    let shape = shape(gradient, &tiles);
    let tiling = Tiling { tile: Tile::new(core, algorithm.name(), tile, &of_choice(shape, core), profile)?, shape };
    if tiling.splits() > 1 {
        return refuse("its depth is cut into sums already".into());
    }
    tiling.check_iterations(algorithm.name(), profile)?;
    profile.check_iterations(algorithm.name(), tiles.sums() + 2)?;
    let padded = [shape.rows.next_multiple_of(tiling.m()), shape.columns.next_multiple_of(tiling.panel().max(4))];

    // What a sum needs of each buffer; every one of them must be bound whole.
    let lines = tiles.transforms.lines() * gradient.conv.groups * ELEMENT.bytes();
    let [rows, columns] = padded;
    let operands = [rows, columns].map(|outer| lines.saturating_mul(outer).saturating_mul(tiles.depth));
    let sums = lines.saturating_mul(shape.rows).saturating_mul(columns);
    let [most, largest] = [operands[0] + operands[1] + sums, operands[0].max(operands[1]).max(sums)];
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes).min((INDEX_LIMIT - 1) * ELEMENT.bytes());
    if largest > limit {
        return refuse(format!("{} tiles transformed need {largest} bytes, but max_storage_buffer_binding_size is {limit}", tiles.depth));
    }
    // A processor's cache should hold what is transformed until it is read again; but where sums are no smaller, each part costs what transforms them.
    let in_cache = profile.is_cpu && 2 * sums < operands[0] + operands[1];
    let room = if in_cache { WORKSPACE_CPU } else { WORKSPACE };
    let at_once = (room / most).clamp(1, limit / largest).min(tiles.sums());
    Ok(Products { tiles, tiling, padded, at_once })
}

/// The product of one sum for each element of a transformed tile and each group.
fn shape(gradient: &FilterGradient, tiles: &GradientTiles) -> GemmShape {
    let [columns, rows] = gradient.channels();
    let products = tiles.transforms.lines() * gradient.conv.groups;
    GemmShape { rows, columns, depth: tiles.depth, length: tiles.depth, products, uneven: false, streams: false }
}

/// The same as the choice of a tile sees it, as that of forward transforms does: the workgroup core does not split the depth of a batch.
fn of_choice(shape: GemmShape, core: Core) -> GemmShape {
    GemmShape { depth: if core == Core::Register { shape.depth * shape.products } else { 1 }, ..shape }
}

/// Whether a device like this can compute it so.
///
/// # Errors
/// Why not.
pub(crate) fn supports(algorithm: Algorithm, gradient: &FilterGradient, profile: &DeviceProfile) -> Result<()> {
    products(algorithm, None, gradient, profile)?;
    check_binding("dw", gradient.outputs()[0].bytes(), profile)?;
    images(gradient, profile).map(|_| ())
}

/// Whether it is expected to be the fastest.
pub(crate) fn pays(algorithm: Algorithm, gradient: &FilterGradient, profile: &DeviceProfile) -> bool {
    let fewest = if profile.is_cpu { FEWEST_TILES } else { FEWEST_TILES_GPU };
    let is_measured = gradient.conv.axes.iter().all(|axis| axis.filter != 5);
    let has_tiles = GradientTiles::of(algorithm, gradient).is_some_and(|tiles| tiles.all >= fewest);
    is_measured && has_tiles && gradient.channels().into_iter().all(|channels| channels >= FEWEST_CHANNELS)
}

/// Labels of the tiles worth timing.
pub(crate) fn candidates(algorithm: Algorithm, gradient: &FilterGradient, profile: &DeviceProfile) -> Vec<String> {
    let Some(tiles) = GradientTiles::of(algorithm, gradient) else { return vec![] };
    let core = if profile.is_cpu { Core::Register } else { Core::Workgroup };
    let labels = Tile::candidates(core, &of_choice(shape(gradient, &tiles), core), profile).into_iter();
    labels.filter(|tile| products(algorithm, Some(tile), gradient, profile).is_ok()).map(|tile| format!("{algorithm} {tile}")).collect()
}

/// So many images at a time as bindings hold of both tensors. Each of these chunks begins a sum: there are no more than [`GradientTiles::roundings`] counts,
/// since a binding that holds a sum's transformed tiles holds what they are made of, which is smaller, and so the images of half a sum at least.
fn images(gradient: &FilterGradient, profile: &DeviceProfile) -> Result<Vec<Chunk>> {
    let [wide, narrow] = image_elements(gradient).map(|elements| elements * ELEMENT.bytes());
    chunks(gradient.conv.batch, &[("one image of what windows read", wide), ("one image of the other tensor", narrow)], profile)
}

/// Elements of an image of the tensor that windows read, and of the other one.
fn image_elements(gradient: &FilterGradient) -> [u64; 2] {
    let (channels, positions) = (gradient.channels(), gradient.positions());
    [0, 1].map(|i| gradient.conv.groups * channels[i] * positions[i])
}

/// The tiles of a part: those of some images that are bound, from one of theirs on.
struct Part {
    images: Chunk,
    tiles: Chunk,
}

pub(crate) fn plan(gradient: &FilterGradient, algorithm: Algorithm, tile: Option<&str>, profile: &DeviceProfile) -> Result<Plan> {
    let Products { tiles, tiling, padded: [rows, columns], at_once } = products(algorithm, tile, gradient, profile)?;
    let label = tiling.tile.to_string();
    if let Some(text) = tile.filter(|text| *text != label) {
        return Err(Error::Unsupported { algorithm: format!("{algorithm} {text}"), reason: format!("its tile here is {label}") });
    }
    let mut plan = Plan::new(gradient.name(), format!("{algorithm} {label}"), gradient.inputs(), gradient.outputs());
    check_tensors(gradient.name(), &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
    check_binding("dw", plan.outputs[0].bytes(), profile)?;

    let per_image = tiles.tiles[0] * tiles.tiles[1];
    let parts: Vec<Part> = images(gradient, profile)?
        .into_iter()
        .flat_map(|images| {
            let (all, most) = (images.count * per_image, at_once * tiles.depth);
            (0..all).step_by(most as usize).map(move |first| Part { images, tiles: Chunk { first, count: most.min(all - first) } })
        })
        .collect();
    check_parts("its tiles", parts.len() as u128)?;
    let lines = tiles.transforms.lines();
    let groups = gradient.conv.groups;
    let bytes = |outer: u64, inner: u64| lines * at_once * groups * outer * inner * ELEMENT.bytes();
    plan.scratch = vec![bytes(rows, tiles.depth), bytes(columns, tiles.depth), bytes(tiling.shape.rows, columns)];
    let [dy, x, sums] = [0, 1, 2].map(BufferRef::Scratch);
    for (i, part) in parts.iter().enumerate() {
        let own = part.tiles.count.div_ceil(tiles.depth);
        transform(gradient, &tiles, 1, part, own, [rows, tiling.m()], dy, profile, &mut plan)?;
        transform(gradient, &tiles, 0, part, own, [columns, if tiling.panel() > 0 { tiling.panel() } else { columns }], x, profile, &mut plan)?;
        let of_part = Tiling { shape: GemmShape { products: lines * own * groups, ..tiling.shape }, ..tiling };
        plan.steps.push(packed_products(&of_part, columns, [dy, x, sums], profile)?);
        let mut consts = consts(&tiles.transforms);
        consts.extend((i > 0).then_some(("ADDS", 1)));
        let kernel = KernelSpec { source: &CONV_WINOGRAD_GRADIENT, element: ELEMENT, consts, overrides: vec![] };
        let [channels, filters] = gradient.channels();
        let items = groups * filters * channels;
        let params = GradientSumsParams {
            items: items as u32,
            groups: groups as u32,
            filters: filters as u32,
            channels: channels as u32,
            columns: columns as u32,
            sums: own as u32,
            unused0: 0,
            unused1: 0,
        };
        plan.steps.push(Step::new(kernel, &params, vec![sums, BufferRef::output(0, &plan.outputs)], items.div_ceil(64), profile)?);
    }
    Ok(plan)
}

/// Transforms the tiles of a part: of the tensor that windows read (`which` is 0) or of the other one, whose channels are padded to so many, in panels of so
/// many.
#[allow(clippy::too_many_arguments, reason = "an operand of a part, and where the plan stands")]
fn transform(
    gradient: &FilterGradient,
    tiles: &GradientTiles,
    which: usize,
    part: &Part,
    sums: u64,
    [padded, panel]: [u64; 2],
    place: BufferRef,
    profile: &DeviceProfile,
    plan: &mut Plan,
) -> Result<()> {
    let axes = [&gradient.conv.axes[1], &gradient.conv.axes[2]];
    let extents = axes.map(|axis| gradient.extents(axis)[which]);
    let image = image_elements(gradient)[which];
    let range = part.images.range(image, ELEMENT, profile);
    let pads = if which == 0 { axes.map(|axis| axis.pad_begin as i32) } else { [0, 0] };
    // Every cast is in range: the tensors have less than 2^31 elements, and their windows' coordinates were checked.
    let needed = axes.map(|axis| (gradient.extents(axis)[1] + if which == 0 { axis.filter - 1 } else { 0 }) as i32);
    let params = GradientTilesParams {
        groups: gradient.conv.groups as u32,
        channels: gradient.channels()[which] as u32,
        padded: padded as u32,
        panel: panel as u32,
        depth: tiles.depth as u32,
        sums: sums as u32,
        first_tile: part.tiles.first as u32,
        end_tile: (part.tiles.first + part.tiles.count) as u32,
        tiles_h: tiles.tiles[0] as u32,
        tiles_w: tiles.tiles[1] as u32,
        height: extents[0] as i32,
        width: extents[1] as i32,
        pad_h: pads[0],
        pad_w: pads[1],
        needed_h: needed[0],
        needed_w: needed[1],
        base: range.base,
        stride_n: image as u32,
        stride_c: gradient.positions()[which] as u32,
        unused: 0,
    };
    // x is the tensor that windows read but for a transposed convolution.
    let index = usize::from((which == 0) != gradient.x_is_wide());
    let input = BufferRef::Input { index, first: range.first, bytes: range.bytes };
    let mut consts = consts(&tiles.transforms);
    consts.extend((which == 1).then_some(("NARROW", 1)));
    let kernel = KernelSpec { source: &CONV_WINOGRAD_GRADIENT_TILES, element: ELEMENT, consts, overrides: vec![] };
    let blocks = gradient.conv.groups * padded.div_ceil(SIDE) * (sums * tiles.depth).div_ceil(SIDE);
    plan.steps.push(Step::new(kernel, &params, vec![input, place], blocks, profile)?);
    Ok(())
}
