// Winograd, first of three: every tile of every channel becomes LINES values. transformed[line][channel][tile], or
// transformed[line][group][panel][channel][tile of the panel] as the register core reads it.
//
// One invocation transforms one tile of one channel; neighbouring invocations take neighbouring tiles. Prelude: PANEL, or 0.

@group(0) @binding(1) var<storage, read> x: array<Elem>;                 // N C 1 H W, any strides
@group(0) @binding(2) var<storage, read_write> transformed: array<f32>;

// The input coordinate that a tile reads `i` elements after the first that its output `o` reads, or -1 for zero: outside the input, or
// needed by no output that exists.
fn tile_coordinate(axis: Axis, o: i32, i: i32) -> i32 {
    let source = padded_coordinate(o - axis.pad + i, axis.input);
    return select(-1, source, o + i < axis.output + axis.taps - 1);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local;
    if item >= params.items {
        return;
    }
    let c = item / params.columns;
    let column = item - c * params.columns;
    let tile = winograd_tile(column);
    // Columns past the last tile pad a quad: any number will do, so they take the last image's.
    let start = params.x_base + min(tile.n, params.batch - 1u) * params.x_stride_n + c * params.x_stride_c;

    var values: array<array<f32, LINES_W>, LINES_H>;
    for (var i = 0u; i < LINES_H; i++) {
        let iy = tile_coordinate(params.height, tile.p, i32(i));
        var line: array<f32, LINES_W>;
        for (var j = 0u; j < LINES_W; j++) {
            let ix = tile_coordinate(params.width, tile.q, i32(j));
            let v = f32(x[start + plane_offset(0, max(iy, 0), max(ix, 0)) * params.x_stride_p]);
            line[j] = select(0.0, v, (iy >= 0) & (ix >= 0));
        }
        values[i] = input_along_width(line);
    }
    let pitch = params.groups * params.channels * params.columns;
    var at = item;
    if PANEL != 0u {
        let group = c / params.channels;
        let panel = column / max(PANEL, 1u);
        let line = panel * params.channels + c - group * params.channels;
        at = group * params.channels * params.columns + line * PANEL + column - panel * PANEL;
    }
    for (var j = 0u; j < LINES_W; j++) {
        var line: array<f32, LINES_H>;
        for (var i = 0u; i < LINES_H; i++) {
            line[i] = values[i][j];
        }
        line = input_along_height(line);
        for (var i = 0u; i < LINES_H; i++) {
            transformed[(i * LINES_W + j) * pitch + at] = line[i];
        }
    }
}
