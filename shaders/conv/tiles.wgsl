// How a plane is cut into tiles of outputs, for kernels that transform what a tile reads.
//
// Prelude: TILE_H, TILE_W: outputs of a tile. Uniforms: params.tiles_m and tiles_n (tiles of one image along the height and the width), first_tile and
// end_tile (those of the slice of images that this call makes).

//@use conv/problem.wgsl

// Image, and the first output of the tile along either axis.
struct OutputTile {
    n: u32,
    p: i32,
    q: i32,
    exists: bool, // false past the last tile of this call
}

// Tile `index` of this call.
fn output_tile(index: u32) -> OutputTile {
    return numbered_tile(params.first_tile + index, params.tiles_m * params.tiles_n);
}

// The tile with a number, where every image has `per_image` numbers, those that it needs first.
fn numbered_tile(number: u32, per_image: u32) -> OutputTile {
    let n = number / per_image;
    let place = number - n * per_image;
    let row = place / params.tiles_n;
    let exists = (number < params.end_tile) & (row < params.tiles_m);
    return OutputTile(n, i32(row * TILE_H), i32((place - row * params.tiles_n) * TILE_W), exists);
}

// The input coordinate that a tile reads `i` elements after the first that its output `o` reads, or -1 for zero: outside the input, or
// needed by no output that exists.
fn tile_coordinate(axis: Axis, o: i32, i: i32) -> i32 {
    let source = padded_coordinate(o - axis.pad + i, axis.input);
    return select(-1, source, o + i < axis.output + (axis.taps - 1) * axis.dilation);
}
