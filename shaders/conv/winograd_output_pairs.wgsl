// conv/winograd_output.wgsl for drivers that pay by the load and store: one invocation makes two neighbouring tiles of a row of one output
// channel, and reads and writes two elements at a time.
//
// Where rows of tiles have an even number of whole tiles, rows of the output are even, and it is channels-first.

//@use conv/winograd.wgsl
//@use conv/winograd_axes.wgsl
//@use conv/store_block.wgsl
//@use lib/vec4_io.wgsl

// What store_block calls both tiles.
const BLOCK_P: u32 = TILE_H;
const BLOCK_Q: u32 = 2u * TILE_W;

@group(0) @binding(4) var<storage, read> sums: array<u64>; // [line][k][tile], two tiles each

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items / 2u {
        return;
    }
    let pairs = params.columns / 2u;
    let k = item / pairs;
    let tile = output_tile((item - k * pairs) * 2u);
    if !tile.exists {
        return;
    }
    let pitch = params.groups * params.filters * pairs;
    var near: array<array<f32, LINES_W>, TILE_H>;
    var far: array<array<f32, LINES_W>, TILE_H>;
    for (var j = 0u; j < LINES_W; j++) {
        var near_line: array<f32, LINES_H>;
        var far_line: array<f32, LINES_H>;
        for (var i = 0u; i < LINES_H; i++) {
            let half = half_vec4(sums[(i * LINES_W + j) * pitch + item]);
            near_line[i] = half.x;
            far_line[i] = half.y;
        }
        let near_outputs = output_along_height(near_line);
        let far_outputs = output_along_height(far_line);
        for (var i = 0u; i < TILE_H; i++) {
            near[i][j] = near_outputs[i];
            far[i][j] = far_outputs[i];
        }
    }
    var outputs: array<f32, BLOCK_P * BLOCK_Q>;
    for (var i = 0u; i < TILE_H; i++) {
        let near_line = output_along_width(near[i]);
        let far_line = output_along_width(far[i]);
        for (var j = 0u; j < TILE_W; j++) {
            outputs[i * BLOCK_Q + j] = near_line[j];
            outputs[i * BLOCK_Q + TILE_W + j] = far_line[j];
        }
    }
    store_block(tile.n * params.y_stride_n + k * params.y_stride_k, k, tile.p, tile.q, &outputs);
}
