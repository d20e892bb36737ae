// Packs an operand of a matmul for the tile cores: packed[batch][panel][depth][outer of a panel], the outer index (rows of a,
// columns of b) padded with zeros to whole panels. An operand of one panel lies as [batch][depth][outer].
//
// One invocation writes BLOCK neighbours along the depth, so that working out where they lie costs little; neighbouring invocations
// are neighbours along the outer index. Prelude: alias Elem.

// Twin of PackOperandParams in src/matmul/params.rs.
struct PackOperandParams {
    batch: array<LatticeAxis, 3>, // strides of the operand, first of the three
    items: u32,                   // blocks of packed elements
    padded: u32,                  // outer indices of a panel
    outer: u32,
    depth: u32,
    stride_outer: u32,
    stride_depth: u32,
    panels: u32,
    base: u32,                    // where the operand begins in its binding
}

const BLOCK: u32 = 8u;

@group(0) @binding(0) var<uniform> params: PackOperandParams;
@group(0) @binding(1) var<storage, read> operand: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let line = item / params.padded;
    let blocks = (params.depth + BLOCK - 1u) / BLOCK; // of the depth
    let block = line / blocks;
    let k0 = (line - block * blocks) * BLOCK;
    var rest = block / params.panels;
    let panel = block - rest * params.panels;
    let inner = item - line * params.padded;
    let i = panel * params.padded + inner;
    var at = 0;
    for (var axis = 0u; axis < 3u; axis++) {
        let extent = params.batch[2u - axis].extent;
        let next = rest / extent;
        at += i32(rest - next * extent) * params.batch[2u - axis].strides.x;
        rest = next;
    }
    let from_start = params.base + u32(at) + min(i, params.outer - 1u) * params.stride_outer;
    let to_start = block * params.depth * params.padded + inner;
    for (var step = 0u; step < BLOCK; step++) {
        let k = k0 + step;
        if k < params.depth {
            let v = operand[from_start + k * params.stride_depth];
            output[to_start + k * params.padded] = select(Elem(0.0), v, i < params.outer);
        }
    }
}
