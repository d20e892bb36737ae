//! Operands as the tile cores read them: vec4s along their outer index, packed where they do not lie so.

use crate::ops::matmul::{MatMulProblem, Operand};
use crate::plan::gemm::method::{Call, Halves, Store, Work};
use crate::plan::gemm::tile::{GemmShape, Tile, Tiling};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::{
    MATMUL_PACK, MATMUL_PACK_FALLBACK, MATMUL_PACK_HALVES, MATMUL_PACK_PAIRS, MATMUL_PACK_TILE, MATMUL_REGISTER, MATMUL_WORKGROUP,
};
use crate::shader::uniforms::{MatMulParams, PackOperandParams};
use crate::shader::{ALONG_K, PARTS};
use crate::types::strided_axes::OperandAxis;
use crate::types::{ElementType, Result};

/// How an operand is packed for a tile core.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packed {
    /// The outer index is padded to a multiple of this.
    Panels(u64),
    /// All of the outer index lies together, padded to vec4s.
    Whole,
}

impl Packed {
    /// The outer indices of a panel, and the panels.
    pub fn panels(self, outer: u64) -> [u64; 2] {
        let width = match self {
            Packed::Panels(width) => width,
            Packed::Whole => outer.next_multiple_of(4),
        };
        [width, outer.div_ceil(width)]
    }

    /// How b is packed for tiles: where it does not lie as vec4s along its columns, or where panels pay. (a has its rows padded to whole tiles, so that
    /// a core needs no bounds test.)
    pub fn of_rhs(problem: &MatMulProblem, tiling: &Tiling) -> Option<Self> {
        let (tile_m, panel) = (tiling.m(), tiling.panel());
        let lies_in_vec4 = problem.n.is_multiple_of(4) && problem.b.outer == 1 && problem.b.batch.iter().all(|s| s.is_multiple_of(4));
        // Panels of b pay from a few tiles of rows on, each of which reads all of it.
        let panels = panel > 0 && problem.m > 4 * tile_m;
        match (lies_in_vec4 && !panels, panel) {
            (true, _) => None,
            (false, 0) => Some(Packed::Whole),
            (false, width) => Some(Packed::Panels(width)),
        }
    }

    /// The const of a core that reads b: columns that lie together, or 0.
    pub fn panel_const(packed: Option<Self>) -> (&'static str, u32) {
        ("PANEL", if let Some(Packed::Panels(width)) = packed { width as u32 } else { 0 })
    }
}

/// An operand as a kernel call binds it, and where it begins there, in elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bound {
    pub place: BufferRef,
    pub base: u32,
}

/// What a core reads of a packed operand.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// Its numbers as they are.
    Plain,
    /// The same for what takes the place of cooperative matrices: nothing is packed where the ranges of both operands let those compute.
    Fallback { ranges: [BufferRef; 2] },
    /// So many f16 of each, for cooperative matrices, scaled by the range that is found there; eights of steps together, or of the outer index.
    Halves { parts: u32, along_k: bool, range: BufferRef },
}

impl Form {
    /// Steps that an operand of so many takes: whole eights where those lie together.
    fn depth(self, steps: u64) -> u64 {
        match self {
            Form::Halves { along_k: true, .. } => steps.next_multiple_of(u64::from(EIGHT)),
            Form::Plain | Form::Fallback { .. } | Form::Halves { .. } => steps,
        }
    }
}

/// What parts of a product have packed already: those that differ in rows alone share b.
#[derive(Default)]
pub(crate) struct Packs {
    done: Vec<(BufferRef, Form, PackOperandParams, BufferRef)>,
}

/// `BLOCK` of `shaders/matmul/pack.wgsl`.
const BLOCK: u64 = 8;

/// `TILE` of `shaders/matmul/pack_tile.wgsl`.
const TILE: u64 = 32;

/// Numbers of one part that lie together (`GRAIN` of `shaders/gemm/halves.wgsl`).
const EIGHT: u32 = 8;

/// How an operand is packed.
struct Packing {
    kernel: KernelSpec,
    work: PackWork,
}

enum PackWork {
    /// Steps of the depth that one invocation packs, and neighbours along the outer index.
    Blocks { block: u64, at_once: u64 },
    /// A workgroup packs a tile of as many as it says either way.
    Tiles(u64),
}

impl Packing {
    /// In pairs where the device gains by it and they lie so: along either index, an even number, beginning at even elements.
    fn new(form: Form, operand: &Operand, outer: u64, depth: u64, base: u32, element: ElementType, profile: &DeviceProfile) -> Self {
        let even_apart = |stride: u64| base.is_multiple_of(2) && stride.is_multiple_of(2) && operand.batch.iter().all(|s| s.is_multiple_of(2));
        let along_outer = operand.outer == 1 && outer.is_multiple_of(2) && even_apart(operand.depth);
        let along_depth = operand.depth == 1 && depth.is_multiple_of(2) && even_apart(operand.outer);
        let spec = |source, consts| KernelSpec { source, element, consts, overrides: vec![] };
        let tiles = |source, mut consts: Vec<(&'static str, u32)>| {
            if operand.depth == 1 && depth > 1 {
                consts.push(("ALONG_DEPTH", 1));
            }
            Self { kernel: spec(source, consts), work: PackWork::Tiles(TILE) }
        };
        match form {
            Form::Halves { parts, along_k, .. } => {
                return tiles(&MATMUL_PACK_HALVES, vec![(PARTS, parts), ("GRAIN", EIGHT), (ALONG_K, u32::from(along_k))]);
            }
            Form::Fallback { .. } => return tiles(&MATMUL_PACK_FALLBACK, vec![]),
            Form::Plain if !profile.is_cpu => return tiles(&MATMUL_PACK_TILE, vec![]),
            Form::Plain => {}
        }
        if profile.loads_half_vec4(element) && (along_outer || along_depth) {
            // Along the depth, a block is a whole line of a processor's cache: rows may lie so far apart that few of them fit its sets.
            let block = if along_outer { 8 } else { 16 };
            let consts = vec![("BLOCK", block as u32), ("ALONG_DEPTH", u32::from(!along_outer))];
            return Self { kernel: spec(&MATMUL_PACK_PAIRS, consts), work: PackWork::Blocks { block, at_once: 2 } };
        }
        Self { kernel: spec(&MATMUL_PACK, vec![]), work: PackWork::Blocks { block: BLOCK, at_once: 1 } }
    }
}

impl Packs {
    /// Packs what is to be packed of both operands of a part, sets how they lie in `params`, and returns what a core binds. `ranges`: those of both, for
    /// the kernel that takes the place of cooperative matrices.
    #[allow(clippy::too_many_arguments, reason = "two operands with what is known of each, and where the plan stands")]
    pub fn operands(
        &mut self,
        problem: &MatMulProblem,
        packed: [Option<Packed>; 2],
        bound: [Bound; 2],
        ranges: Option<[BufferRef; 2]>,
        params: &mut MatMulParams,
        plan: &mut Plan,
        profile: &DeviceProfile,
    ) -> Result<[BufferRef; 2]> {
        let mut refs = bound.map(|bound| bound.place);
        let form = ranges.map_or(Form::Plain, |ranges| Form::Fallback { ranges });
        for (which, (operand, outer)) in [(&problem.a, problem.m), (&problem.b, problem.n)].into_iter().enumerate() {
            let (place, base, pitch, batch) = match packed[which] {
                Some(packed) => {
                    let [width, panels] = packed.panels(outer);
                    let place = self.pack(problem, which, form, [width, panels], bound[which], plan, profile)?;
                    (place, 0, width / 4, packed_strides(problem, operand, problem.k * width * panels / 4))
                }
                // It begins at a multiple of four: so do its rows, its products and the parts of its columns.
                None => (bound[which].place, bound[which].base / 4, operand.depth / 4, operand.batch.map(|stride| stride / 4)),
            };
            refs[which] = place;
            params.base[which] = base;
            for (axis, stride) in params.batch.iter_mut().zip(batch) {
                axis.strides[which] = stride as i32;
            }
            params.b_stride_k = pitch as u32; // b is last; a core knows how a lies
        }
        Ok(refs)
    }

    /// The same for cooperative matrices, scaled by the operands' ranges.
    #[allow(clippy::too_many_arguments, reason = "two operands with what is known of each, and where the plan stands")]
    pub fn halves(
        &mut self,
        problem: &MatMulProblem,
        halves: &Halves,
        bound: [Bound; 2],
        ranges: [BufferRef; 2],
        params: &mut MatMulParams,
        plan: &mut Plan,
        profile: &DeviceProfile,
    ) -> Result<[BufferRef; 2]> {
        let mut refs = ranges;
        for (which, (operand, outer)) in [(&problem.a, problem.m), (&problem.b, problem.n)].into_iter().enumerate() {
            let [width, panels] = Packed::Panels(halves.widths[which]).panels(outer);
            let form = Form::Halves { parts: halves.parts, along_k: halves.along_k, range: ranges[which] };
            refs[which] = self.pack(problem, which, form, [width, panels], bound[which], plan, profile)?;
            params.base[which] = 0;
            let batch = packed_strides(problem, operand, form.depth(problem.k) * width * panels / u64::from(EIGHT));
            for (axis, stride) in params.batch.iter_mut().zip(batch) {
                axis.strides[which] = stride as i32;
            }
        }
        Ok(refs)
    }

    /// Plans the packing of input `index` into a scratch buffer: once when the op is prepared if the input is a constant, else with each
    /// recording. Axes of the batch along which the operand is broadcast are packed once.
    #[allow(clippy::too_many_arguments, reason = "an operand with what is known of it, and where the plan stands")]
    fn pack(
        &mut self,
        problem: &MatMulProblem,
        index: usize,
        form: Form,
        [padded, panels]: [u64; 2],
        bound: Bound,
        plan: &mut Plan,
        profile: &DeviceProfile,
    ) -> Result<BufferRef> {
        // A constant is packed once, before the range of the other operand is known.
        let form = if plan.inputs[index].constant && matches!(form, Form::Fallback { .. }) { Form::Plain } else { form };
        let (operand, outer) = if index == 0 { (&problem.a, problem.m) } else { (&problem.b, problem.n) };
        let own = own_batch(problem, operand);
        let axis = |i: usize| OperandAxis { strides: [operand.batch[i] as i32, 0, 0], extent: own[i] as u32 };
        let lines = own.iter().product::<u64>() * padded * panels;
        let packing = Packing::new(form, operand, outer, problem.k, bound.base, problem.element, profile);
        let params = PackOperandParams {
            batch: [axis(0), axis(1), axis(2)],
            items: match packing.work {
                PackWork::Blocks { block, at_once } => lines / at_once * problem.k.div_ceil(block),
                PackWork::Tiles(tile) => lines / padded * padded.div_ceil(tile) * problem.k.div_ceil(tile),
            } as u32,
            padded: padded as u32,
            outer: outer as u32,
            depth: problem.k as u32,
            stride_outer: operand.outer as u32,
            stride_depth: operand.depth as u32,
            panels: panels as u32,
            base: bound.base,
        };
        if let Some((_, _, _, place)) = self.done.iter().find(|(from, so, as_that, _)| (from, so, as_that) == (&bound.place, &form, &params)) {
            return Ok(*place);
        }
        let place = BufferRef::Scratch(plan.scratch.len());
        let (bytes, refs) = match form {
            Form::Plain => (problem.element.bytes(), vec![bound.place, place]),
            Form::Fallback { ranges } => (problem.element.bytes(), [vec![bound.place, place], ranges.to_vec()].concat()),
            Form::Halves { parts, range, .. } => (2 * u64::from(parts), vec![bound.place, place, range]),
        };
        plan.scratch.push(lines * form.depth(problem.k) * bytes);
        let items = u64::from(params.items);
        let workgroups = if let PackWork::Tiles(_) = packing.work { items } else { items.div_ceil(64) };
        let step = Step::new(packing.kernel, &params, refs, workgroups, profile)?;
        if plan.inputs[index].constant {
            plan.prepare.push(step)
        } else {
            plan.steps.push(step)
        }
        self.done.push((bound.place, form, params, place));
        Ok(place)
    }
}

/// Extents of the batch of an operand alone.
pub(crate) fn own_batch(problem: &MatMulProblem, operand: &Operand) -> [u64; 3] {
    std::array::from_fn(|i| if operand.batch[i] == 0 { 1 } else { problem.batch[i] })
}

/// Strides along the batch of a packed operand of `matrix` vec4s a product.
fn packed_strides(problem: &MatMulProblem, operand: &Operand, matrix: u64) -> [u64; 3] {
    let own = own_batch(problem, operand);
    let mut batch = [0; 3];
    let mut stride = matrix;
    for i in (0..3).rev() {
        if own[i] > 1 {
            batch[i] = stride;
        }
        stride *= own[i];
    }
    batch
}

/// A call for a batch of plain f32 products whose operands lie as the tile cores read them: a as \[batch\]\[k\]\[m padded to whole tiles\], b as
/// \[batch\]\[k\]\[n\], or cut into the core's panels as \[batch\]\[panel\]\[k\]\[column\], y as \[batch\]\[m\]\[n\]; n is a multiple of four
/// and of the panel. What other ops reduce themselves to. `places` are a, b and y, each below 2^31 elements.
pub(crate) fn packed_products(tiling: &Tiling, columns: u64, [a, b, y]: [BufferRef; 3], profile: &DeviceProfile) -> Result<Step> {
    let shape = GemmShape { columns, ..tiling.shape };
    let [panel, padded_rows] = [tiling.panel(), shape.rows.next_multiple_of(tiling.m())];
    let mut consts = vec![("PANEL", panel as u32)];
    consts.extend(Store::Columns.consts(ElementType::F32, profile));
    let source = if matches!(tiling.tile, Tile::Register(_)) { &MATMUL_REGISTER } else { &MATMUL_WORKGROUP };
    let call = Call { source, consts, overrides: vec![], work: Work::Tiles(*tiling) };
    let count = call.work.count(&shape);
    let one = OperandAxis { strides: [0; 3], extent: 1 };
    // Both in vec4s.
    let matrices = [padded_rows, columns].map(|outer| (shape.depth * outer / 4) as i32);
    let params = MatMulParams {
        batch: [one, one, OperandAxis { strides: [matrices[0], matrices[1], 0], extent: shape.products as u32 }],
        m: shape.rows as u32,
        n: columns as u32,
        k: shape.depth as u32,
        items: count.items as u32,
        tiles_m: count.tiles[0] as u32,
        tiles_n: count.tiles[1] as u32,
        b_stride_k: (if panel > 0 { panel } else { columns } / 4) as u32,
        alpha: 1.0,
        y_pitch: columns as u32,
        ..bytemuck::Zeroable::zeroed()
    };
    let refs = vec![a, b, BufferRef::Nothing, BufferRef::Nothing, y];
    Step::new(call.kernel(&shape, ElementType::F32, profile), &params, refs, count.workgroups, profile)
}
