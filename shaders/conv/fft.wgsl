// What the kernels of convolution by Fourier transforms share: where the numbers of transformed tiles lie, and which thread has which of them.
//
// A column is a pair of tiles of one image: the first is the real part, the second the imaginary part. The filter is real, so that its product with both
// is the product with each. The last tile of an odd number has no second one; images are not paired, so that a NaN stays in its own.
//
// Prelude: LENGTH_H, LENGTH_W: height and width of a transformed tile; TILE_H, TILE_W: outputs of a tile; MIXES: 1 where a product sums over channels,
// and neighbouring columns are neighbours in memory; else rows of a tile lie together. Uniforms: those of conv/tiles.wgsl, params.columns (pairs of
// tiles of this call, with those that fill up a panel), params.items (lines).

//@use conv/tiles.wgsl
//@use conv/fft_line.wgsl

const AREA: u32 = LENGTH_H * LENGTH_W;

// Where number (h, w) of a channel and column lies, in numbers.
fn spectrum_index(c: u32, channels: u32, column: u32, h: u32, w: u32) -> u32 {
    //@if MIXES
    return ((c * LENGTH_H + h) * LENGTH_W + w) * params.columns + column;
    //@else
    return ((column * channels + c) * LENGTH_H + h) * LENGTH_W + w;
    //@end
}

// The tiles of a column: half 0 and 1.
fn tile_of(column: u32, half: u32) -> OutputTile {
    let pairs = (params.tiles_m * params.tiles_n + 1u) / 2u;
    return numbered_tile(params.first_tile + 2u * column + half, 2u * pairs);
}

// A line: its channel, its column, and its number among the `lines` of a tile. Past the last, it is that of the last.
struct Line {
    c: u32,
    column: u32,
    line: u32,
    exists: bool,
}

fn line_of(number: u32, channels: u32, lines: u32) -> Line {
    let n = min(number, params.items - 1u);
    //@if MIXES
    let place = n / params.columns;
    return Line(place / lines, n - place * params.columns, place % lines, number < params.items);
    //@else
    let place = n / lines;
    let column = place / channels;
    return Line(place - column * channels, column, n - place * lines, number < params.items);
    //@end
}

// Line and thread of an invocation: neighbours along lines, or along the numbers of a line.
fn across_lines(local: u32) -> vec2<u32> {
    return vec2<u32>(local % LINES, local / LINES);
}

fn along_lines(local: u32) -> vec2<u32> {
    return vec2<u32>(local / RADIX_B, local % RADIX_B);
}

fn exchanged(v: vec2<f32>) -> vec2<f32> {
    return v.yx;
}
