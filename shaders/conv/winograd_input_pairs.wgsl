// conv/winograd_input.wgsl for drivers that pay by the load and store: one invocation transforms two neighbouring tiles of a row, reads what
// they overlap in once, and reads and writes two elements at a time.
//
// Where rows of x have an even length, rows of tiles an even number of whole tiles, x is channels-first, and what lies outside it is zero.
// Prelude: ODD: 1 where the padding before a row is odd, so that windows begin between two halves; else 0.

//@use conv/winograd_tile.wgsl
//@use lib/vec4_io.wgsl

@group(0) @binding(1) var<storage, read> x: array<u64>;                 // N C 1 H W, two elements each
@group(0) @binding(2) var<storage, read_write> transformed: array<u64>; // two tiles each

// Halves of a row that both tiles read, from an even coordinate on.
const HALVES: u32 = (REACH_W + TILE_W + ODD + 1u) / 2u;

fn read_half(row: u32, iy: i32, ix: i32) -> vec2<f32> {
    let exists = (iy >= 0) & (ix >= 0) & (ix < params.width.input);
    return select(vec2<f32>(), half_vec4(x[(row + select(0u, u32(ix), exists)) / 2u]), exists);
}

// The tile that begins `first` elements into a row, along the width.
fn tile_row(row: ptr<function, array<f32, 2u * HALVES>>, first: u32) -> array<f32, LINES_W> {
    var line: array<f32, REACH_W>;
    for (var j = 0u; j < REACH_W; j++) {
        line[j] = (*row)[first + j];
    }
    return input_along_width(line);
}

// Column `j` of a tile, along the height.
fn tile_column(values: ptr<function, array<array<f32, LINES_W>, REACH_H>>, j: u32) -> array<f32, LINES_H> {
    var line: array<f32, REACH_H>;
    for (var i = 0u; i < REACH_H; i++) {
        line[i] = (*values)[i][j];
    }
    return input_along_height(line);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items / 2u {
        return;
    }
    let pairs = params.columns / 2u;
    let c = item / pairs;
    let column = (item - c * pairs) * 2u;
    let tile = output_tile(column);
    if !tile.exists {
        return; // columns past the last tile pad a panel: any number will do there, so whatever it is stays
    }
    let start = params.x_base + tile.n * params.x_stride_n + c * params.x_stride_c;
    let ix = tile.q - params.width.pad - i32(ODD);

    var near: array<array<f32, LINES_W>, REACH_H>;
    var far: array<array<f32, LINES_W>, REACH_H>;
    for (var i = 0u; i < REACH_H; i++) {
        let iy = tile_coordinate(params.height, tile.p, i32(i));
        let at = start + plane_offset(0, max(iy, 0), 0);
        var row: array<f32, 2u * HALVES>;
        for (var j = 0u; j < HALVES; j++) {
            let half = read_half(at, iy, ix + 2 * i32(j));
            row[2u * j] = half.x;
            row[2u * j + 1u] = half.y;
        }
        near[i] = tile_row(&row, ODD);
        far[i] = tile_row(&row, ODD + TILE_W);
    }
    let pitch = params.groups * params.channels * params.columns;
    let at = transformed_index(c, column);
    for (var j = 0u; j < LINES_W; j++) {
        let near_line = tile_column(&near, j);
        let far_line = tile_column(&far, j);
        for (var i = 0u; i < LINES_H; i++) {
            transformed[((i * LINES_W + j) * pitch + at) / 2u] = as_half(vec2<f32>(near_line[i], far_line[i]));
        }
    }
}
