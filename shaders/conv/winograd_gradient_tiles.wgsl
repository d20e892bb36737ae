// Winograd for filter gradients, first of three: every tile of every channel of one operand becomes LINES values. Products that sum over tiles read them, so
// neighbouring channels lie together: transformed[line][sum][group][panel][tile of the sum][channel of the panel]. Tiles past the last one, and channels that
// pad a panel, are zeros.
//
// One invocation transforms one tile of one channel. A workgroup takes 8 channels x 8 tiles, so that it reads as well as writes 32 neighbouring bytes at a
// time, what a GPU's memory gives at once. Prelude: TILE_H, TILE_W, LINES_H, LINES_W, and those of conv/winograd_axes.wgsl; NARROW: 1 for the operand that has
// a number for each position, 0 for the one that windows read.

//@use conv/winograd_adjoints.wgsl

// Twin of GradientTilesParams in src/shader/uniforms_winograd.rs.
struct GradientTilesParams {
    groups: u32,
    channels: u32,   // of a group
    padded: u32,     // the same in whole panels
    panel: u32,      // channels that lie together
    depth: u32,      // tiles of a sum
    sums: u32,       // of this call
    first_tile: u32,
    end_tile: u32,   // past the last tile of this call
    tiles_h: u32,    // of an image
    tiles_w: u32,
    height: i32,     // of the operand
    width: i32,
    pad_h: i32,      // before the first element
    pad_w: i32,
    needed_h: i32,   // a tile's rows and columns from here on belong to no position
    needed_w: i32,
    base: u32,
    stride_n: u32,   // from an image to the next
    stride_c: u32,   // from a channel to the next
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: GradientTilesParams;
@group(0) @binding(1) var<storage, read> operand: array<f32>;            // N C H W
@group(0) @binding(2) var<storage, read_write> transformed: array<f32>;

const SIDE: u32 = 8u;
const LINES: u32 = LINES_H * LINES_W;

//@if NARROW
const ROWS: u32 = TILE_H;
const COLUMNS: u32 = TILE_W;

fn along_width(line: array<f32, COLUMNS>) -> array<f32, LINES_W> {
    return output_adjoint_along_width(line);
}

fn along_height(line: array<f32, ROWS>) -> array<f32, LINES_H> {
    return output_adjoint_along_height(line);
}
//@else
const ROWS: u32 = REACH_H;
const COLUMNS: u32 = REACH_W;

fn along_width(line: array<f32, COLUMNS>) -> array<f32, LINES_W> {
    return input_along_width(line);
}

fn along_height(line: array<f32, ROWS>) -> array<f32, LINES_H> {
    return input_along_height(line);
}
//@end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let slots = params.sums * params.depth;
    let tile_blocks = (slots + SIDE - 1u) / SIDE;
    let channel_blocks = (params.padded + SIDE - 1u) / SIDE;
    let block = group_id.y * group_count.x + group_id.x;
    let line = block / tile_blocks;
    let group = line / channel_blocks;
    let c = (line - group * channel_blocks) * SIDE + local_id.x % SIDE;
    let slot = (block - line * tile_blocks) * SIDE + local_id.x / SIDE;
    if (group >= params.groups) | (c >= params.padded) | (slot >= slots) {
        return;
    }
    let tile = params.first_tile + slot;
    let exists = (tile < params.end_tile) & (c < params.channels);
    let n = tile / (params.tiles_h * params.tiles_w);
    let place = tile - n * params.tiles_h * params.tiles_w;
    let row = place / params.tiles_w;
    let p = i32(row * TILE_H);
    let q = i32((place - row * params.tiles_w) * TILE_W);
    let start = params.base + n * params.stride_n + (group * params.channels + c) * params.stride_c;

    var values: array<array<f32, LINES_W>, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        let y = p + i32(i) - params.pad_h;
        let has_row = exists & (y >= 0) & (y < params.height) & (p + i32(i) < params.needed_h);
        var elements: array<f32, COLUMNS>;
        for (var j = 0u; j < COLUMNS; j++) {
            let x = q + i32(j) - params.pad_w;
            let is_inside = has_row & (x >= 0) & (x < params.width) & (q + i32(j) < params.needed_w);
            let v = operand[select(params.base, start + u32(y * params.width + x), is_inside)];
            elements[j] = select(0.0, v, is_inside);
        }
        values[i] = along_width(elements);
    }
    let sum = slot / params.depth;
    let panel = c / params.panel;
    let product = sum * params.groups + group;
    let at = product * params.depth * params.padded + (panel * params.depth + slot - sum * params.depth) * params.panel + c - panel * params.panel;
    let pitch = params.sums * params.groups * params.depth * params.padded;
    for (var j = 0u; j < LINES_W; j++) {
        var column: array<f32, ROWS>;
        for (var i = 0u; i < ROWS; i++) {
            column[i] = values[i][j];
        }
        let own = along_height(column);
        for (var i = 0u; i < LINES_H; i++) {
            transformed[(i * LINES_W + j) * pitch + at] = own[i];
        }
    }
}
