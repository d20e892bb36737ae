// Packs a filter for the tile cores, once per prepared convolution: packed[g][tile][tap][channel][filter of the tile], taps in the order that `order` lists,
// filters padded with zeros to whole tiles, so that a core reads four neighbouring filters in one load, one line after the other and
// without bounds tests.
//
// One invocation writes one packed element, params.items in all. Prelude: alias Elem; PARTS, above 0 for cooperative matrices: then an element is so many f16
// (gemm/halves.wgsl, GRAIN 8), and channels are padded with zeros too; ALONG_K: eights of channels lie together, as [tap][channel / 8][filter of the
// tile][channel % 8], of which a tap has whole ones.

//@use conv/pack.wgsl
//@if PARTS
//@use gemm/halves.wgsl
//@end

@group(0) @binding(1) var<storage, read> weights: array<Elem>;      // K C/g taps (transposed: C K/g taps)
//@if BOUND_2
@group(0) @binding(2) var<storage, read> order: array<u32>;         // the tap of each place
//@end
//@if PARTS
@group(0) @binding(3) var<storage, read_write> output: array<f16>;  // g tiles taps C/g rows
//@else
@group(0) @binding(3) var<storage, read_write> output: array<Elem>; // g tiles taps C/g rows
//@end
//@if BOUND_4
@group(0) @binding(4) var<storage, read> range: array<vec2<u32>>;   // of the weights (gemm/magnitudes.wgsl)
//@end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
//@if ALONG_K
    let eights = item / 8u / params.rows;
    let step = eights * 8u + item % 8u;
    let row = item / 8u - eights * params.rows;
//@else
    let step = item / params.rows;
    let row = item - step * params.rows;
//@end
    let c = step % params.padded;
    var tap = step / params.padded % params.taps;
    tap = order[tap]; //@if BOUND_2
    let tile = step / params.padded / params.taps;
    let tiles = (params.filters + params.rows - 1u) / params.rows;
    let group = tile / tiles;
    let k = (tile - group * tiles) * params.rows + row;
    let line = group * params.w_stride_g + min(k, params.filters - 1u) * params.w_stride_k + min(c, params.channels - 1u) * params.w_stride_c;
    let exists = (k < params.filters) & (c < params.channels);
    let v = select(Elem(0.0), weights[params.w_base + line + tap], exists);
//@if PARTS
    var scaled = f32(v);
    scaled *= power_of_two(scale_exponent(range[0].x)); //@if BOUND_4
    for (var part = 0u; part < PARTS; part++) {
        output[half_index(item, part)] = half_part(scaled, part);
    }
//@else
    output[item] = v;
//@end
}
