// What the three Winograd kernels share: how a problem is cut into tiles.
//
// y = A^T [(G g G^T) * (B^T d B)] A (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, equation 8): a tile d of
// the input and the filter g become LINES_H x LINES_W values each, their products are summed over the channels, and the sums become
// TILE_H x TILE_W outputs. An axis whose filter has one tap is left as it is: TILE and LINES are 1 there.
//
// Prelude: TILE_H, TILE_W, LINES_H, LINES_W. Uniforms: those of conv/tiles.wgsl, and params.columns (how many tiles this call makes, padded to whole
// panels).

//@use conv/tiles.wgsl

const LINES: u32 = LINES_H * LINES_W;
