// matmul/pack.wgsl for drivers that pay by the load and store: one invocation packs two neighbours along the outer index at BLOCK steps of the
// depth, and reads and writes two elements at a time.
//
// Prelude: BLOCK, an even number; ALONG_DEPTH: 0 where the operand's neighbours in memory are neighbours along the outer index, of which there is
// an even number; 1 where they are along the depth, of which there is: squares of two by two are turned then. All else begins at even elements.

//@use matmul/pack_operand.wgsl
//@use lib/vec4_io.wgsl

@group(0) @binding(1) var<storage, read> operand: array<u64>;       // two elements each
@group(0) @binding(2) var<storage, read_write> output: array<u64>;  // two elements each

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let pairs = params.padded / 2u;
    let line = item / pairs;
    let blocks = (params.depth + BLOCK - 1u) / BLOCK; // of the depth
    let block = line / blocks;
    let k0 = (line - block * blocks) * BLOCK;
    let product = block / params.panels;
    let panel = block - product * params.panels;
    let inner = (item - line * pairs) * 2u;
    let i = panel * params.padded + inner;
    let from_start = product_start(product);
    let to_start = block * params.depth * params.padded + inner;
    if ALONG_DEPTH == 0u {
        let exists = i < params.outer;
        let from_pair = from_start + select(0u, i, exists);
        for (var step = 0u; step < BLOCK; step++) {
            let k = k0 + step;
            if k < params.depth {
                output[(to_start + k * params.padded) / 2u] = select(0lu, operand[(from_pair + k * params.stride_depth) / 2u], exists);
            }
        }
    } else {
        let near_start = from_start + min(i, params.outer - 1u) * params.stride_outer;
        let far_start = from_start + min(i + 1u, params.outer - 1u) * params.stride_outer;
        for (var step = 0u; step < BLOCK; step += 2u) {
            let k = k0 + step;
            if k < params.depth {
                let near = select(vec2<f32>(), half_vec4(operand[(near_start + k) / 2u]), i < params.outer);
                let far = select(vec2<f32>(), half_vec4(operand[(far_start + k) / 2u]), i + 1u < params.outer);
                let to = to_start + k * params.padded;
                output[to / 2u] = as_half(vec2<f32>(near.x, far.x));
                output[(to + params.padded) / 2u] = as_half(vec2<f32>(near.y, far.y));
            }
        }
    }
}
