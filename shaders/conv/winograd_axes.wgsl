// The transforms of Winograd along each axis of the plane: of F(4,3) with LARGE, else of F(2,3); with TAPS_5 of F(4,5) and F(2,5). AXES says along which:
// 0 both; 1 the width alone, where the window has one row; 2 the height alone, where it has one column. An axis without a transform is left as it is.

//@if LARGE
//@if TAPS_5
//@use conv/winograd_f4_5.wgsl
//@else
//@use conv/winograd_f4.wgsl
//@end
//@elif TAPS_5
//@use conv/winograd_f2_5.wgsl
//@else
//@use conv/winograd_f2.wgsl
//@end

//@if AXES != 2
const TAPS_W: u32 = TAPS;

fn input_along_width(line: array<f32, REACH_W>) -> array<f32, LINES_W> {
    return input_transform(line);
}

fn filter_along_width(taps: array<f32, TAPS>) -> array<f32, LINES_W> {
    return filter_transform(taps);
}

fn output_along_width(line: array<f32, LINES_W>) -> array<f32, TILE_W> {
    return output_transform(line);
}
//@else
const TAPS_W: u32 = 1u;

fn input_along_width(line: array<f32, REACH_W>) -> array<f32, LINES_W> {
    return line;
}

fn filter_along_width(taps: array<f32, 1>) -> array<f32, LINES_W> {
    return taps;
}

fn output_along_width(line: array<f32, LINES_W>) -> array<f32, TILE_W> {
    return line;
}
//@end

//@if AXES != 1
const TAPS_H: u32 = TAPS;

fn input_along_height(line: array<f32, REACH_H>) -> array<f32, LINES_H> {
    return input_transform(line);
}

fn filter_along_height(taps: array<f32, TAPS>) -> array<f32, LINES_H> {
    return filter_transform(taps);
}

fn output_along_height(line: array<f32, LINES_H>) -> array<f32, TILE_H> {
    return output_transform(line);
}
//@else
const TAPS_H: u32 = 1u;

fn input_along_height(line: array<f32, REACH_H>) -> array<f32, LINES_H> {
    return line;
}

fn filter_along_height(taps: array<f32, 1>) -> array<f32, LINES_H> {
    return taps;
}

fn output_along_height(line: array<f32, LINES_H>) -> array<f32, TILE_H> {
    return line;
}
//@end

// Elements of the input that a tile reads.
const REACH_H: u32 = TILE_H + TAPS_H - 1u;
const REACH_W: u32 = TILE_W + TAPS_W - 1u;
