// Convolution by Fourier transforms, last of its kernels: the rows of the sums, transformed back along the width, and stored: bias, residual, activation.

//@use conv/fft.wgsl
//@use conv/store_output.wgsl

@group(0) @binding(4) var<storage, read> sums: array<vec2<f32>>;                 // spectrum_index(k, .., column, h, w)
@group(0) @binding(5) var<storage, read> roots: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * LINES;
    //@if MIXES
    let place = across_lines(local_id.x);
    //@else
    let place = along_lines(local_id.x);
    //@end
    let out_channels = params.groups * params.filters;
    let line = line_of(first + place.x, out_channels, TILE_H);
    var v: Numbers;
    for (var i = 0u; i < RADIX_A; i++) {
        v[i] = exchanged(sums[spectrum_index(line.c, out_channels, line.column, line.line, RADIX_B * i + place.y)]);
    }
    transform_line(&v, place.x, place.y);
    if line.exists {
        let near = tile_of(line.column, 0u);
        let far = tile_of(line.column, 1u);
        for (var i = 0u; i < RADIX_A; i++) {
            let w = RADIX_B * i + place.y;
            store_tile(near, line.c, line.line, w, v[i].y);
            store_tile(far, line.c, line.line, w, v[i].x);
        }
    }
}

// Stores output (i, j) of a tile, if there is one.
fn store_tile(tile: OutputTile, k: u32, i: u32, j: u32, sum: f32) {
    let p = tile.p + i32(i);
    let q = tile.q + i32(j);
    if tile.exists & (j < TILE_W) & (p < params.height.output) & (q < params.width.output) {
        let position = u32(p * params.width.output + q);
        store_output(tile.n * params.y_stride_n + k * params.y_stride_k + position * params.y_stride_p, k, sum);
    }
}
