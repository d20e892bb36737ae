// Packs a filter for the tile cores, once per prepared convolution: packed[g][tap][channel][filter], filters padded with zeros to
// whole tiles, so that a core reads four neighbouring filters in one load and needs no bounds test.
//
// One invocation writes one packed element. Prelude: alias Elem.

// Twin of PackParams in src/conv/params.rs.
struct PackParams {
    items: u32,    // packed elements
    padded: u32,   // filters per group, padded
    filters: u32,  // filters per group
    channels: u32, // input channels per group
    taps: u32,
    w_stride_g: u32,
    w_stride_k: u32,
    w_stride_c: u32,
}

@group(0) @binding(0) var<uniform> params: PackParams;
@group(0) @binding(1) var<storage, read> weights: array<Elem>;      // K C/g taps (transposed: C K/g taps)
@group(0) @binding(2) var<storage, read_write> output: array<Elem>; // g taps C/g padded

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local;
    if item >= params.items {
        return;
    }
    let k = item % params.padded;
    let c = item / params.padded % params.channels;
    let tap = item / params.padded / params.channels % params.taps;
    let group = item / params.padded / params.channels / params.taps;
    let clamped = min(k, params.filters - 1u);
    let v = weights[group * params.w_stride_g + clamped * params.w_stride_k + c * params.w_stride_c + tap];
    output[item] = select(Elem(0.0), v, k < params.filters);
}
