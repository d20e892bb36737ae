// Winograd, last of three: the sums of every tile and filter become TILE_H x TILE_W outputs.
//
// One invocation makes one tile of one output channel. Prelude: ALONG_CHANNELS: 1 where neighbouring channels are neighbours in the output.

//@use conv/winograd.wgsl
//@use conv/winograd_item.wgsl
//@use conv/winograd_axes.wgsl
//@use conv/store_block.wgsl

// What store_block calls the tile.
const BLOCK_P: u32 = TILE_H;
const BLOCK_Q: u32 = TILE_W;

@group(0) @binding(4) var<storage, read> sums: array<f32>; // [line][k][tile]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let place = winograd_item(group_id.y * group_count.x + group_id.x, local_id.x);
    let k = place.x;
    let item = k * params.columns + place.y;
    if item >= params.items {
        return;
    }
    let tile = output_tile(place.y);
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
    var outputs: array<f32, BLOCK_P * BLOCK_Q>;
    for (var i = 0u; i < TILE_H; i++) {
        let line = output_along_width(values[i]);
        for (var j = 0u; j < TILE_W; j++) {
            outputs[i * TILE_W + j] = line[j];
        }
    }
    store_block(tile.n * params.y_stride_n + k * params.y_stride_k, k, tile.p, tile.q, &outputs);
}
