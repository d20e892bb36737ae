// Convolution by Fourier transforms, first of its kernels: the rows of every pair of tiles, transformed along the width.

//@use conv/fft.wgsl

@group(0) @binding(1) var<storage, read> x: array<Elem>;                         // N C 1 H W, any strides
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> spectrum: array<vec2<f32>>;       // spectrum_index(c, .., column, h, w)

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * LINES;
    //@if MIXES
    let place = across_lines(local_id.x);
    //@else
    let place = along_lines(local_id.x);
    //@end
    let channels = params.groups * params.channels;
    let line = line_of(first + place.x, channels, LENGTH_H);
    let near = tile_of(line.column, 0u);
    let far = tile_of(line.column, 1u);
    let near_row = row_of(near, line.c, i32(line.line));
    let far_row = row_of(far, line.c, i32(line.line));
    var v: Numbers;
    for (var i = 0u; i < RADIX_A; i++) {
        let w = i32(RADIX_B * i + place.y);
        v[i] = vec2<f32>(element(near_row, near.q, w), element(far_row, far.q, w));
    }
    transform_line(&v, place.x, place.y);
    if line.exists {
        for (var i = 0u; i < RADIX_A; i++) {
            spectrum[spectrum_index(line.c, channels, line.column, line.line, RADIX_B * i + place.y)] = v[i];
        }
    }
}

// Where a row of the input begins, and whether there is one: it is zero outside.
struct Row {
    start: u32,
    exists: bool,
}

fn row_of(tile: OutputTile, c: u32, i: i32) -> Row {
    let iy = tile_coordinate(params.height, tile.p, i);
    let n = select(0u, tile.n, tile.exists);
    let start = params.x_base + n * params.x_stride_n + c * params.x_stride_c + plane_offset(0, max(iy, 0), 0) * params.x_stride_p;
    return Row(start, tile.exists & (iy >= 0));
}

fn element(row: Row, q: i32, i: i32) -> f32 {
    let ix = tile_coordinate(params.width, q, i);
    let v = f32(x[row.start + u32(max(ix, 0)) * params.x_stride_p]);
    return select(0.0, v, row.exists & (ix >= 0));
}
