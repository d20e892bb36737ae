// Packs a filter for the tile cores, once per prepared convolution: packed[g][tile][tap][channel][filter of the tile], taps in the order that `order` lists,
// filters padded with zeros to whole tiles, so that a core reads four neighbouring filters in one load, one line after the other and
// without bounds tests.
//
// One invocation writes one packed element, params.items in all. Prelude: alias Elem.

//@use conv/pack.wgsl

@group(0) @binding(1) var<storage, read> weights: array<Elem>;      // K C/g taps (transposed: C K/g taps)
//@if BOUND_2
@group(0) @binding(2) var<storage, read> order: array<u32>;         // the tap of each place
//@end
@group(0) @binding(3) var<storage, read_write> output: array<Elem>; // g tiles taps C/g rows

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let step = item / params.rows;
    let c = step % params.channels;
    var tap = step / params.channels % params.taps;
    tap = order[tap]; //@if BOUND_2
    let tile = step / params.channels / params.taps;
    let tiles = (params.filters + params.rows - 1u) / params.rows;
    let group = tile / tiles;
    let k = (tile - group * tiles) * params.rows + item - step * params.rows;
    let clamped = min(k, params.filters - 1u);
    let v = weights[params.w_base + group * params.w_stride_g + clamped * params.w_stride_k + c * params.w_stride_c + tap];
    output[item] = select(Elem(0.0), v, k < params.filters);
}
