// Winograd, last of three: the sums of every tile and filter become TILE_H x TILE_W outputs.
//
// One invocation makes one tile of one output channel; neighbouring invocations take neighbouring tiles.

@group(0) @binding(4) var<storage, read> sums: array<f32>; // [line][k][tile]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local;
    if item >= params.items {
        return;
    }
    let k = item / params.columns;
    let tile = winograd_tile(item - k * params.columns);
    if !tile.exists {
        return;
    }
    let pitch = params.groups * params.filters * params.columns;
    var values: array<array<f32, LINES_W>, TILE_H>;
    for (var j = 0u; j < LINES_W; j++) {
        var line: array<f32, LINES_H>;
        for (var i = 0u; i < LINES_H; i++) {
            line[i] = sums[(i * LINES_W + j) * pitch + item];
        }
        let outputs = output_along_height(line);
        for (var i = 0u; i < TILE_H; i++) {
            values[i][j] = outputs[i];
        }
    }
    let start = tile.n * params.y_stride_n + k * params.y_stride_k;
    for (var i = 0u; i < TILE_H; i++) {
        let outputs = output_along_width(values[i]);
        let p = tile.p + i32(i);
        for (var j = 0u; j < TILE_W; j++) {
            let q = tile.q + i32(j);
            if (p < params.height.output) & (q < params.width.output) {
                store_output(start + u32(p * params.width.output + q) * params.y_stride_p, k, outputs[j]);
            }
        }
    }
}
