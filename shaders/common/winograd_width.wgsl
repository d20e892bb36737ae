// Winograd along the width alone; the window has one row.

fn input_along_width(line: array<f32, LINES_W>) -> array<f32, LINES_W> {
    return input_transform(line);
}

fn input_along_height(line: array<f32, LINES_H>) -> array<f32, LINES_H> {
    return line;
}

fn filter_along_width(taps: array<f32, 3>) -> array<f32, LINES_W> {
    return filter_transform(taps);
}

fn filter_along_height(taps: array<f32, 1>) -> array<f32, LINES_H> {
    return taps;
}

fn output_along_width(line: array<f32, LINES_W>) -> array<f32, TILE_W> {
    return output_transform(line);
}

fn output_along_height(line: array<f32, LINES_H>) -> array<f32, TILE_H> {
    return line;
}

const TAPS_H: u32 = 1u;
const TAPS_W: u32 = 3u;
