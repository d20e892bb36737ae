// Winograd, first of three: every tile of every channel becomes LINES values.
//
// One invocation transforms one tile of one channel. Prelude: ALONG_CHANNELS: 1 where neighbouring channels are neighbours in the input.

//@use conv/winograd_tile.wgsl
//@use conv/winograd_item.wgsl

@group(0) @binding(1) var<storage, read> x: array<Elem>;                 // N C 1 H W, any strides
@group(0) @binding(2) var<storage, read_write> transformed: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = winograd_item(group_id.y * group_count.x + group_id.x, local_id.x);
    let c = item.x;
    let column = item.y;
    if c * params.columns + column >= params.items {
        return;
    }
    let tile = output_tile(column);
    if !tile.exists {
        return; // columns past the last tile pad a panel: any number will do there, so whatever it is stays
    }
    let start = params.x_base + tile.n * params.x_stride_n + c * params.x_stride_c;

    var values: array<array<f32, LINES_W>, REACH_H>;
    for (var i = 0u; i < REACH_H; i++) {
        let iy = tile_coordinate(params.height, tile.p, i32(i));
        var line: array<f32, REACH_W>;
        for (var j = 0u; j < REACH_W; j++) {
            let ix = tile_coordinate(params.width, tile.q, i32(j));
            let v = f32(x[start + plane_offset(0, max(iy, 0), max(ix, 0)) * params.x_stride_p]);
            line[j] = select(0.0, v, (iy >= 0) & (ix >= 0));
        }
        values[i] = input_along_width(line);
    }
    let pitch = params.groups * params.channels * params.columns;
    let at = transformed_index(c, column);
    for (var j = 0u; j < LINES_W; j++) {
        var line: array<f32, REACH_H>;
        for (var i = 0u; i < REACH_H; i++) {
            line[i] = values[i][j];
        }
        let own = input_along_height(line);
        for (var i = 0u; i < LINES_H; i++) {
            transformed[(i * LINES_W + j) * pitch + at] = own[i];
        }
    }
}
