// Packs an operand of a matmul for the tile cores: packed[batch][depth][outer], the outer index (rows of a, columns of b) padded with
// zeros to whole tiles. One invocation writes one packed element, 64 neighbours along the outer index. Prelude: alias Elem.

// Twin of PackOperandParams in src/matmul/params.rs.
struct PackOperandParams {
    batch: array<LatticeAxis, 3>, // strides of the operand, first of the three
    items: u32,                   // packed elements
    padded: u32,
    outer: u32,
    depth: u32,
    stride_outer: u32,
    stride_depth: u32,
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: PackOperandParams;
@group(0) @binding(1) var<storage, read> operand: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local;
    if item >= params.items {
        return;
    }
    let line = item / params.padded;
    let i = item - line * params.padded;
    var rest = line / params.depth;
    let k = line - rest * params.depth;
    var at = 0;
    for (var axis = 0u; axis < 3u; axis++) {
        let extent = params.batch[2u - axis].extent;
        let next = rest / extent;
        at += i32(rest - next * extent) * params.batch[2u - axis].strides.x;
        rest = next;
    }
    let v = operand[u32(at) + min(i, params.outer - 1u) * params.stride_outer + k * params.stride_depth];
    output[item] = select(Elem(0.0), v, i < params.outer);
}
