// What the three Winograd kernels share: how a problem is cut into tiles.
//
// y = A^T [(G g G^T) * (B^T d B)] A (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, equation 8): a tile d of
// the input and the filter g become LINES_H x LINES_W values each, their products are summed over the channels, and the sums become
// TILE_H x TILE_W outputs. An axis whose filter has one tap is left as it is: TILE and LINES are 1 there.
//
// Prelude: TILE_H, TILE_W, LINES_H, LINES_W. Uniforms: params.tiles_m and tiles_n (tiles of one image along the height and the
// width), first_tile and end_tile (those of the slice of images that this call makes), columns (how many they are, padded to whole panels).

//@use conv/problem.wgsl

const LINES: u32 = LINES_H * LINES_W;

// Image, and the first output of the tile along either axis.
struct WinogradTile {
    n: u32,
    p: i32,
    q: i32,
    exists: bool, // false past the last tile of this call
}

// The tile of a column of the product.
fn winograd_tile(column: u32) -> WinogradTile {
    let number = params.first_tile + column;
    let per_image = params.tiles_m * params.tiles_n;
    let n = number / per_image;
    let place = number - n * per_image;
    let row = place / params.tiles_n;
    return WinogradTile(n, i32(row * TILE_H), i32((place - row * params.tiles_n) * TILE_W), number < params.end_tile);
}
