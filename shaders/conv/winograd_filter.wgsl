// Winograd: every filter plane becomes LINES values, once per prepared convolution. transformed[line][g][tile][channel][filter of the
// tile], filters padded with zeros to whole tiles, as the tile cores read them.
//
// One invocation transforms one plane, params.items in all, with those that pad. Prelude: BACKWARDS: 1 where the taps are read from the last to the first, as
// a transposed convolution meets them.

//@use conv/pack.wgsl
//@use conv/winograd_axes.wgsl

@group(0) @binding(1) var<storage, read> weights: array<Elem>;           // K C/g taps
@group(0) @binding(2) var<storage, read_write> transformed: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let step = item / params.rows;
    let c = step % params.channels;
    let tile = step / params.channels;
    let tiles = (params.filters + params.rows - 1u) / params.rows;
    let group = tile / tiles;
    let k = (tile - group * tiles) * params.rows + item - step * params.rows;
    let start = group * params.w_stride_g + min(k, params.filters - 1u) * params.w_stride_k + c * params.w_stride_c;

    var values: array<array<f32, LINES_W>, TAPS_H>;
    for (var r = 0u; r < TAPS_H; r++) {
        var taps: array<f32, TAPS_W>;
        for (var s = 0u; s < TAPS_W; s++) {
//@if BACKWARDS
            let tap = TAPS_H * TAPS_W - 1u - r * TAPS_W - s;
//@else
            let tap = r * TAPS_W + s;
//@end
            taps[s] = select(0.0, f32(weights[start + tap]), k < params.filters);
        }
        values[r] = filter_along_width(taps);
    }
    for (var j = 0u; j < LINES_W; j++) {
        var taps: array<f32, TAPS_H>;
        for (var r = 0u; r < TAPS_H; r++) {
            taps[r] = values[r][j];
        }
        let line = filter_along_height(taps);
        for (var i = 0u; i < LINES_H; i++) {
            transformed[(i * LINES_W + j) * params.items + item] = line[i];
        }
    }
}
