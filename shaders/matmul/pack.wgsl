// Packs an operand of a matmul for the tile cores: packed[batch][panel][depth][outer of a panel], the outer index (rows of a,
// columns of b) padded with zeros to whole panels. An operand of one panel lies as [batch][depth][outer].
//
// One invocation writes BLOCK neighbours along the depth, so that working out where they lie costs little; neighbouring invocations
// are neighbours along the outer index. Prelude: alias Elem.

//@use matmul/pack_operand.wgsl

const BLOCK: u32 = 8u;

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
    let product = block / params.panels;
    let panel = block - product * params.panels;
    let inner = item - line * params.padded;
    let i = panel * params.padded + inner;
    let from_start = product_start(product) + min(i, params.outer - 1u) * params.stride_outer;
    let to_start = block * params.depth * params.padded + inner;
    for (var step = 0u; step < BLOCK; step++) {
        let k = k0 + step;
        if k < params.depth {
            let v = operand[from_start + k * params.stride_depth];
            output[to_start + k * params.padded] = select(Elem(0.0), v, i < params.outer);
        }
    }
}
