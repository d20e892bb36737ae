// matmul/pack.wgsl for GPUs: a workgroup packs tiles of 32 outer indices x 32 steps of the depth through workgroup memory. Threads run along what is
// contiguous in the operand while they read, and along the outer index while they write four at a time.
//
// Prelude: alias Elem; ALONG_DEPTH: 1 where the operand's neighbours in memory are neighbours along the depth; PARTS, above 0 for cooperative matrices: then an
// element is so many f16 (gemm/halves.wgsl, GRAIN 8); ALONG_K: eights of steps lie together, as [panel][depth / 8][outer][depth % 8], the depth
// filled with zeros. RANGED: the operand is packed for the plain kernel that takes their place, and not where they
// compute. params.padded is a multiple of four, or with PARTS of eight; params.items counts tiles.

//@use matmul/pack_operand.wgsl
//@if PARTS
//@use gemm/halves.wgsl
alias Packed = vec4<f16>;
//@else
alias Packed = vec4<Elem>;
//@end

@group(0) @binding(1) var<storage, read> operand: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Packed>;
//@if RANGED
//@use gemm/scale.wgsl
// Of both operands (gemm/magnitudes.wgsl).
@group(0) @binding(3) var<storage, read> lhs_range: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> rhs_range: array<vec2<u32>>;

fn wanted() -> bool {
    return !(can_scale(lhs_range[0].x, lhs_range[0].y) & can_scale(rhs_range[0].x, rhs_range[0].y));
}
//@else
//@if BOUND_3
@group(0) @binding(3) var<storage, read> range: array<vec2<u32>>; // of the operand (gemm/magnitudes.wgsl)
//@end

fn wanted() -> bool {
    return true;
}
//@end

const TILE: u32 = 32u;
// One number of padding, so that neighbouring threads never meet in one bank of workgroup memory.
const PITCH: u32 = TILE + 1u;
// Lines of a tile that the 256 invocations read at once, and vec4s of a line (ALONG_K: of the steps of an outer index) that they write.
const LINES: u32 = 8u;

var<workgroup> tile: array<Elem, TILE * PITCH>; // [step][outer]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = group_id.y * group_count.x + group_id.x;
    // Uniform: all of a workgroup leaves or stays for the barrier.
    if (item >= params.items) | !wanted() {
        return;
    }
    let outer_tiles = (params.padded + TILE - 1u) / TILE;
    let depth_tiles = (params.depth + TILE - 1u) / TILE;
    let line = item / outer_tiles;
    let block = line / depth_tiles; // panel of a product
    let k0 = (line - block * depth_tiles) * TILE;
    let inner0 = (item - line * outer_tiles) * TILE;
    let product = block / params.panels;
    let i0 = (block - product * params.panels) * params.padded + inner0;
    let start = product_start(product);
    for (var at = local / TILE; at < TILE; at += LINES) {
//@if ALONG_DEPTH
        let step = local % TILE;
        let inner = at;
//@else
        let step = at;
        let inner = local % TILE;
//@end
        var v = Elem(0.0);
        if (k0 + step < params.depth) & (i0 + inner < params.outer) {
            v = operand[start + (i0 + inner) * params.stride_outer + (k0 + step) * params.stride_depth];
        }
        tile[step * PITCH + inner] = v;
    }
    workgroupBarrier();
//@if ALONG_K
    let step = local % LINES * 4u;
    let inner = local / LINES;
    let depth = (params.depth + 7u) / 8u * 8u;
    let eight = (block * depth + k0 + step) / 8u;
    let to = (eight * params.padded + inner0 + inner) * 8u + step % 8u;
    let apart = PITCH;
//@else
    let step = local / LINES;
    let inner = local % LINES * 4u;
    let depth = params.depth;
    let to = (block * depth + k0 + step) * params.padded + inner0 + inner;
    let apart = 1u;
//@end
    if (k0 + step < depth) & (inner0 + inner < params.padded) {
        let first = step * PITCH + inner;
        let v = vec4<Elem>(tile[first], tile[first + apart], tile[first + 2u * apart], tile[first + 3u * apart]);
//@if PARTS
        var scaled = vec4<f32>(v);
        scaled *= power_of_two(scale_exponent(range[0].x)); //@if BOUND_3
        for (var part = 0u; part < PARTS; part++) {
            output[half_index(to, part) / 4u] =
                vec4<f16>(half_part(scaled.x, part), half_part(scaled.y, part), half_part(scaled.z, part), half_part(scaled.w, part));
        }
//@else
        output[to / 4u] = v;
//@end
    }
}
