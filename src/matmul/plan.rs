//! Which kernel computes a product: a tile core for both large sides, the thin kernel where one side is short, the direct one for the
//! rest and for every doubt.

use super::matrix;
use super::params::{MatMulParams, PackOperandParams};
use super::problem::{MatMulProblem, Operand, Product};
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::gpu::DeviceProfile;
use crate::kernel::{
    KernelSource, KernelSpec, MATMUL_DIRECT, MATMUL_PACK, MATMUL_REGISTER, MATMUL_SUM, MATMUL_THIN, MATMUL_WORKGROUP, STORE_COLUMNS, STORE_PARTIALS,
};
use crate::op::{
    Core, GemmShape, INDEX_LIMIT, LatticeAxis, Op, Place, Plan, RegisterTile, Step, TensorSpec, Tile, check_binding, check_tensors, pick,
};

pub(crate) const DIRECT: &str = "direct";
pub(crate) const THIN: &str = "thin";
pub(crate) const WORKGROUP: &str = "gemm_workgroup";
pub(crate) const REGISTER: &str = "gemm_register";
pub(crate) const MATRIX: &str = "gemm_matrix";
pub(crate) const SPLIT: &str = "gemm_split";

/// Longest short side of the thin kernel.
const MOST_SHORT: u64 = 4;

pub(crate) fn algorithms(problem: &MatMulProblem, profile: &DeviceProfile) -> Vec<&'static str> {
    let runs = |turns: u64| turns <= profile.max_loop_turns;
    let mut admitted = vec![];
    if runs(problem.k) {
        admitted.push(DIRECT);
    }
    if problem.m.min(problem.n) <= MOST_SHORT && runs(problem.k / thin_lanes(problem, profile).1 + 64) {
        admitted.push(THIN);
    }
    if Tile::check(WORKGROUP, profile).is_ok() && runs(Tile::turns(problem.k)) {
        admitted.push(WORKGROUP);
    }
    if runs(RegisterTile::choose(problem.m, problem.n, problem.k, problem.k).turns(1, problem.k)) {
        admitted.push(REGISTER);
    }
    admitted.extend([MATRIX, SPLIT].into_iter().filter(|name| matrix::supports(name, problem, profile).is_ok()));
    admitted
}

/// The algorithms, with every tile of the cores.
pub(crate) fn candidates(problem: &MatMulProblem, profile: &DeviceProfile) -> Vec<String> {
    let with_tiles = |algorithm: &'static str| match algorithm {
        REGISTER => RegisterTile::candidates(problem.m, problem.k).into_iter().map(|tile| format!("{REGISTER} {tile}")).collect(),
        MATRIX | SPLIT => matrix::candidates(algorithm, profile),
        WORKGROUP => Tile::candidates(&shape(problem), profile).into_iter().map(|tile| format!("{WORKGROUP} {tile}")).collect(),
        other => vec![other.to_string()],
    };
    algorithms(problem, profile).into_iter().flat_map(with_tiles).collect()
}

fn shape(problem: &MatMulProblem) -> GemmShape {
    GemmShape { rows: problem.m, columns: problem.n, depth: problem.k, products: problem.batches() }
}

fn preferred(problem: &MatMulProblem, profile: &DeviceProfile) -> &'static str {
    if problem.m.min(problem.n) <= MOST_SHORT {
        // Measured on three software drivers (BENCHMARKS.md): one output per invocation wins there on two of them, by up to ten times.
        if profile.is_cpu { DIRECT } else { THIN }
    } else if problem.m * problem.n < 256 || (profile.is_cpu && problem.n < 64) {
        DIRECT // packing, or a register tile most of whose columns idle, would cost more than it saves
    } else if profile.is_cpu {
        REGISTER
    } else {
        matrix::preferred(problem, profile).unwrap_or(WORKGROUP)
    }
}

pub(crate) fn plan(problem: &MatMulProblem, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
    let admitted = algorithms(problem, profile);
    let preferred = preferred(problem, profile);
    let choice = if admitted.contains(&preferred) { Some(preferred) } else { admitted.last().copied() };
    let Some(choice) = choice else {
        profile.check_turns(WORKGROUP, Tile::turns(problem.k))?;
        return Err(Error::Internal { label: "matmul".into(), message: "no algorithm admits the problem".into() });
    };
    let forced_label = algorithm;
    let (forced, tile) = match algorithm.map(|label| label.split_once(' ').unwrap_or((label, ""))) {
        Some((name, tile)) => (Some(name), Some(tile).filter(|t| !t.is_empty())),
        None => (None, None),
    };
    let algorithm = pick(&admitted, forced, choice)?;
    let mut plan = Plan::new(problem.name(), algorithm.to_string(), problem.inputs(), problem.outputs());
    let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
    check_tensors("a matmul", &tensors, profile)?;
    for tensor in tensors {
        check_binding(&tensor.name, tensor.bytes(), profile)?;
    }
    match algorithm {
        THIN => thin(problem, profile, &mut plan)?,
        WORKGROUP | REGISTER => gemm(problem, profile, algorithm, tile, &mut plan)?,
        MATRIX | SPLIT => matrix::gemm(problem, profile, algorithm, tile, &mut plan)?,
        _ => {
            let params = MatMulParams { items: problem.output_count() as u32, ..params(problem) };
            let kernel = KernelSpec { source: &MATMUL_DIRECT, element: problem.element, consts: vec![], overrides: overrides(problem) };
            let places = places(problem, &plan, [Place::input(0, &plan.inputs), Place::input(1, &plan.inputs)]);
            plan.steps.push(Step::new(kernel, &params, places, problem.output_count().div_ceil(64), profile)?);
        }
    }
    if let (Some(label), Some(_)) = (forced_label, tile)
        && plan.label != label
    {
        return Err(Error::Unsupported { algorithm: label.into(), reason: format!("here it is {}", plan.label) });
    }
    Ok(plan)
}

/// Operands, addend, residual, output.
pub(super) fn places(problem: &MatMulProblem, plan: &Plan, [a, b]: [Place; 2]) -> Vec<Place> {
    let addend = if problem.reads_addend() { Place::input(2, &plan.inputs) } else { Place::Nothing };
    let residual = if problem.has_residual { Place::input(plan.inputs.len() - 1, &plan.inputs) } else { Place::Nothing };
    vec![a, b, addend, residual, Place::output(0, &plan.outputs)]
}

pub(super) fn overrides(problem: &MatMulProblem) -> Vec<(&'static str, u32)> {
    let all = [
        ("ACTIVATION", problem.activation.shader_id()),
        ("HAS_ADDEND", u32::from(problem.reads_addend())),
        ("HAS_RESIDUAL", u32::from(problem.has_residual)),
    ];
    all.into_iter().filter(|(_, value)| *value != 0).collect()
}

/// The numbers with the operands as the caller has them.
pub(super) fn params(problem: &MatMulProblem) -> MatMulParams {
    let [activation_alpha, activation_beta] = problem.activation.parameters();
    let addend = problem.addend.as_ref();
    let batch = |i: usize| {
        let strides = [problem.a.batch[i], problem.b.batch[i], addend.map_or(0, |c| c.batch[i])];
        LatticeAxis { strides: strides.map(|s| s as i32), extent: problem.batch[i] as u32 }
    };
    MatMulParams {
        batch: [batch(0), batch(1), batch(2)],
        m: problem.m as u32,
        n: problem.n as u32,
        k: problem.k as u32,
        items: 0,
        tiles_m: 0,
        tiles_n: 0,
        a_stride_m: problem.a.outer as u32,
        a_stride_k: problem.a.depth as u32,
        b_stride_k: problem.b.depth as u32,
        b_stride_n: problem.b.outer as u32,
        addend_stride_m: addend.map_or(0, |c| c.rows as u32),
        addend_stride_n: addend.map_or(0, |c| c.columns as u32),
        alpha: problem.alpha,
        beta: problem.beta,
        activation_alpha,
        activation_beta,
    }
}

/// Whether the thin kernel takes y's columns for its short side, and how many lanes share the depth of a line.
fn thin_lanes(problem: &MatMulProblem, profile: &DeviceProfile) -> (bool, u64) {
    let swapped = problem.m > MOST_SHORT || problem.n < problem.m.min(MOST_SHORT);
    let operand = if swapped { &problem.a } else { &problem.b };
    // A GPU wants many invocations; a CPU-like driver wants no barrier, unless a line is contiguous along the depth or too long.
    let most: u64 = match (profile.is_cpu, operand.depth == 1 && problem.k > 1) {
        (true, _) if problem.k > 32_768 => 64,
        (true, false) => 1,
        (true, true) => 8,
        (false, _) => 64,
    };
    (swapped, (problem.k / 8).clamp(1, most).next_power_of_two().min(most))
}

/// The kernel for a short side: y's rows if they are few, else its columns.
fn thin(problem: &MatMulProblem, profile: &DeviceProfile, plan: &mut Plan) -> Result<()> {
    let (swapped, lanes) = thin_lanes(problem, profile);
    let (short, long, operand) = if swapped { (problem.n, problem.m, &problem.a) } else { (problem.m, problem.n, &problem.b) };
    let lines = problem.batches() * long;
    let depth_fastest = operand.depth == 1 && problem.k > 1;
    let params = MatMulParams { items: lines as u32, ..params(problem) };
    let mut overrides = overrides(problem);
    overrides.extend([("SWAPPED", u32::from(swapped)), ("DEPTH_FASTEST", u32::from(depth_fastest))].into_iter().filter(|(_, v)| *v != 0));
    let consts = vec![("SHORT", short as u32), ("LANES", lanes as u32)];
    plan.label = format!("{THIN} {short}x{lanes}");
    let kernel = KernelSpec { source: &MATMUL_THIN, element: problem.element, consts, overrides };
    let places = places(problem, plan, [Place::input(0, &plan.inputs), Place::input(1, &plan.inputs)]);
    plan.steps.push(Step::new(kernel, &params, places, lines.div_ceil(64 / lanes), profile)?);
    Ok(())
}

/// A tile core: a packed, b packed where it does not lie as vec4s along its columns.
fn gemm(problem: &MatMulProblem, profile: &DeviceProfile, algorithm: &str, tile: Option<&str>, plan: &mut Plan) -> Result<()> {
    let vector = problem.n.is_multiple_of(4);
    let split = match (algorithm, tile) {
        (WORKGROUP, Some(text)) => Some(Tile::parse(WORKGROUP, text, profile)?),
        (WORKGROUP, None) => Some(Tile::choose(&shape(problem), profile)),
        _ => None,
    };
    let core = match &split {
        Some(tile) => Core::workgroup(tile, problem.k, profile),
        None => {
            let tile = match tile {
                Some(text) => RegisterTile::parse(REGISTER, text)?,
                None => RegisterTile::choose(problem.m, problem.n, problem.k, problem.k),
            };
            profile.check_turns(REGISTER, tile.turns(1, problem.k))?;
            Core::register(&tile, problem.n, problem.k)
        }
    };
    plan.label = format!("{algorithm} {}", core.label);
    let ([a, b], mut params, panel) = operands(problem, profile, plan, core.m, core.panel)?;
    let tiles = set_tiles(&mut params, [core.m, core.n, core.splits], problem.batches());
    let source = if core.register { &MATMUL_REGISTER } else { &MATMUL_WORKGROUP };
    let kernel = core_kernel(source, &core.consts, panel, problem.element, vector, overrides(problem), profile);
    let Some(tile) = split.filter(|tile| tile.splits > 1) else {
        let places = places(problem, plan, [a, b]);
        plan.steps.push(Step::new(kernel, &params, places, tiles, profile)?);
        return Ok(());
    };
    // The core stores partial sums as they are; the epilogue is the sum's.
    let partials = Place::Scratch(plan.scratch.len());
    plan.scratch.push(tile.scratch(&shape(problem), profile)?);
    let mut first = KernelSpec { overrides: vec![], ..kernel.clone() };
    first.consts.retain(|(name, _)| *name != "STORE_QUADS");
    first.consts.push(("STORE_QUADS", STORE_PARTIALS));
    plan.steps.push(Step::new(first, &params, vec![a, b, Place::Nothing, Place::Nothing, partials], tiles, profile)?);
    let mut sum = KernelSpec { source: &MATMUL_SUM, ..kernel };
    sum.consts.retain(|(name, _)| matches!(*name, "SPLITS" | "STORE_QUADS" | "WIDE"));
    let items = problem.batches() * problem.m.div_ceil(4) * problem.n.div_ceil(4);
    params.items = items as u32;
    plan.steps.push(Step::new(sum, &params, places(problem, plan, [partials, Place::Nothing]), items.div_ceil(64), profile)?);
    Ok(())
}

/// Both operands as the tile cores read them, the params that say how they lie, and the columns of b that lie together, or 0. a has its
/// rows padded to whole tiles of `tile_m`, so that a core needs no bounds test; b is packed where it does not lie as vec4s along its columns,
/// or where panels of `panel` columns pay.
pub(super) fn operands(
    problem: &MatMulProblem,
    profile: &DeviceProfile,
    plan: &mut Plan,
    tile_m: u64,
    panel: u64,
) -> Result<([Place; 2], MatMulParams, u64)> {
    let mut params = params(problem);
    let a = pack(problem, profile, plan, 0, &problem.a, problem.m, [tile_m, problem.m.div_ceil(tile_m)])?;
    a.apply(&mut params, 0);
    let lies_in_quads = problem.n.is_multiple_of(4) && problem.b.outer == 1 && problem.b.batch.iter().all(|s| s.is_multiple_of(4));
    // Panels of b pay from a few tiles of rows on, each of which reads all of it.
    let panels = panel > 0 && problem.m > 4 * tile_m;
    let b = if lies_in_quads && !panels {
        let quarter = |s: u64| (s / 4) as u32;
        Packed { place: Place::input(1, &plan.inputs), pitch: quarter(problem.b.depth), batch: problem.b.batch.map(quarter) }
    } else {
        let width = if panel > 0 { panel } else { problem.n.next_multiple_of(4) };
        pack(problem, profile, plan, 1, &problem.b, problem.n, [width, problem.n.div_ceil(width)])?
    };
    b.apply(&mut params, 1);
    params.b_stride_k = b.pitch;
    Ok(([a.place, b.place], params, if lies_in_quads && !panels { 0 } else { panel }))
}

/// Fills in the tiles and counts them.
pub(super) fn set_tiles(params: &mut MatMulParams, [tile_m, tile_n, splits]: [u64; 3], batches: u64) -> u64 {
    let (tiles_m, tiles_n) = (u64::from(params.m).div_ceil(tile_m), u64::from(params.n).div_ceil(tile_n));
    let tiles = tiles_m * tiles_n * batches * splits;
    (params.tiles_m, params.tiles_n, params.items) = (tiles_m as u32, tiles_n as u32, tiles as u32);
    tiles
}

/// The kernel of a tile core. `panel`: columns of b that lie together, or 0; `vector`: rows of y are a multiple of four.
pub(super) fn core_kernel(
    source: &'static KernelSource,
    core: &[(&'static str, u32)],
    panel: u64,
    element: ElementType,
    vector: bool,
    overrides: Vec<(&'static str, u32)>,
    profile: &DeviceProfile,
) -> KernelSpec {
    let mut consts = core.to_vec();
    consts.push(("PANEL", panel as u32));
    consts.extend(profile.quad_consts(element));
    if vector {
        consts.push(("STORE_QUADS", STORE_COLUMNS));
    }
    KernelSpec { source, element, consts, overrides }
}

/// A batch of plain f32 products whose operands lie as the tile cores read them: a as \[batch\]\[k\]\[m padded to whole tiles\], b as
/// \[batch\]\[k\]\[n\], or cut into the core's panels as \[batch\]\[panel\]\[k\]\[column\], y as \[batch\]\[m\]\[n\]; n is a multiple of four
/// and of the panel. What other ops reduce themselves to.
pub(crate) struct PackedBatch {
    pub batches: u64,
    pub m: u64,
    pub n: u64,
    pub k: u64,
}

impl PackedBatch {
    /// The call; `places` are a, b and y, each below 2^31 elements.
    pub fn step(&self, core: &Core, [a, b, y]: [Place; 3], profile: &DeviceProfile) -> Result<Step> {
        let rows = self.m.next_multiple_of(core.m) / 4; // of all tiles, in quads
        let step = if core.panel > 0 { core.panel } else { self.n } / 4;
        let one = LatticeAxis { strides: [0; 3], extent: 1 };
        let batch = LatticeAxis { strides: [(self.k * rows) as i32, (self.k * self.n / 4) as i32, 0], extent: self.batches as u32 };
        let mut params = MatMulParams {
            batch: [one, one, batch],
            m: self.m as u32,
            n: self.n as u32,
            k: self.k as u32,
            items: 0,
            tiles_m: 0,
            tiles_n: 0,
            a_stride_m: 0, // the cores have no use for it
            a_stride_k: 0,
            b_stride_k: step as u32,
            b_stride_n: 0,
            addend_stride_m: 0,
            addend_stride_n: 0,
            alpha: 1.0,
            beta: 0.0,
            activation_alpha: 0.0,
            activation_beta: 0.0,
        };
        let tiles = set_tiles(&mut params, [core.m, core.n, core.splits], self.batches);
        let source = if core.register { &MATMUL_REGISTER } else { &MATMUL_WORKGROUP };
        let kernel = core_kernel(source, &core.consts, core.panel, ElementType::F32, true, vec![], profile);
        Step::new(kernel, &params, vec![a, b, Place::Nothing, Place::Nothing, y], tiles, profile)
    }
}

/// An operand as a tile core reads it; pitch and strides in vec4s.
struct Packed {
    place: Place,
    pitch: u32,
    batch: [u32; 3],
}

impl Packed {
    /// Sets the batch strides of operand `which`.
    fn apply(&self, params: &mut MatMulParams, which: usize) {
        for (axis, stride) in params.batch.iter_mut().zip(self.batch) {
            axis.strides[which] = stride as i32;
        }
    }
}

/// Steps of the depth that one invocation packs; `BLOCK` of `shaders/matmul_pack.wgsl`.
const PACK_BLOCK: u64 = 8;

/// Plans the packing of input `index` into a scratch buffer: once when the op is prepared if the input is fixed, else with each recording.
/// Axes of the batch along which the operand is broadcast are packed once.
fn pack(
    problem: &MatMulProblem,
    profile: &DeviceProfile,
    plan: &mut Plan,
    index: usize,
    operand: &Operand,
    outer: u64,
    [padded, panels]: [u64; 2],
) -> Result<Packed> {
    let own: [u64; 3] = std::array::from_fn(|i| if operand.batch[i] == 0 { 1 } else { problem.batch[i] });
    let matrix = problem.k * padded * panels;
    let items = own.iter().product::<u64>().saturating_mul(matrix);
    let name = format!("{} packed for a tile core", plan.inputs[index].name);
    check_binding(&name, items.saturating_mul(problem.element.bytes()), profile)?;
    if items >= INDEX_LIMIT {
        return Err(Error::TooLarge {
            argument: name,
            needed: items.into(),
            unit: "elements",
            limit_name: "the largest 31-bit index",
            limit: INDEX_LIMIT - 1,
        });
    }
    let axis = |i: usize| LatticeAxis { strides: [operand.batch[i] as i32, 0, 0], extent: own[i] as u32 };
    let blocks = problem.k.div_ceil(PACK_BLOCK);
    let params = PackOperandParams {
        batch: [axis(0), axis(1), axis(2)],
        items: (items / problem.k * blocks) as u32,
        padded: padded as u32,
        outer: outer as u32,
        depth: problem.k as u32,
        stride_outer: operand.outer as u32,
        stride_depth: operand.depth as u32,
        panels: panels as u32,
        blocks: blocks as u32,
    };
    let scratch = plan.scratch.len();
    plan.scratch.push(items * problem.element.bytes());
    let kernel = KernelSpec { source: &MATMUL_PACK, element: problem.element, consts: vec![], overrides: vec![] };
    let step =
        Step::new(kernel, &params, vec![Place::input(index, &plan.inputs), Place::Scratch(scratch)], u64::from(params.items).div_ceil(64), profile)?;
    if plan.inputs[index].fixed {
        plan.prepare.push(step)
    } else {
        plan.steps.push(step)
    }
    let mut batch = [0; 3];
    let mut stride = matrix / 4;
    for i in (0..3).rev() {
        if own[i] > 1 {
            batch[i] = stride as u32;
        }
        stride *= own[i];
    }
    Ok(Packed { place: Place::Scratch(scratch), pitch: (padded / 4) as u32, batch })
}

impl MatMulProblem {
    /// An addend times zero is not read: it may hold anything.
    pub(crate) fn reads_addend(&self) -> bool {
        self.addend.is_some() && self.beta != 0.0
    }

    pub(crate) fn fixed(&self) -> bool {
        self.product == Product::Linear
    }
}
