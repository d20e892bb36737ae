// Convolution by Fourier transforms, second of its kernels: the columns of every tile, transformed along the height.
//
// Where a group has one channel, they are multiplied with each of its filters and transformed back at once. MIXES: they become the right-hand sides of a
// matrix product for each frequency, whose depth has the real parts of all channels and then the imaginary ones: [frequency][depth][column], or
// [frequency][group][panel][depth][column of the panel] as the register core reads it. Prelude: PANEL, or 0; SEVERAL: 1 where a channel has more than one
// filter, so that its column is kept.

//@use conv/fft.wgsl

@group(0) @binding(1) var<storage, read> spectrum: array<vec2<f32>>;             // spectrum_index(c, .., column, h, w)
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
//@if MIXES
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
//@else
@group(0) @binding(3) var<storage, read> filters: array<vec2<f32>>;              // K LENGTH_H LENGTH_W
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>;           // spectrum_index(k, .., column, h, w)
//@end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * LINES;
    let place = across_lines(local_id.x);
    let channels = params.groups * params.channels;
    let line = line_of(first + place.x, channels, LENGTH_W);
    var v: Numbers;
    for (var i = 0u; i < RADIX_A; i++) {
        v[i] = spectrum[spectrum_index(line.c, channels, line.column, RADIX_B * i + place.y, line.line)];
    }
    transform_line(&v, place.x, place.y);
    //@if MIXES
    if line.exists {
        let group = line.c / params.channels;
        let depth = 2u * params.channels;
        let at = group * depth * params.columns + part_index(line.c - group * params.channels, depth, line.column);
        let imaginary = params.channels * select(PANEL, params.columns, PANEL == 0u);
        for (var i = 0u; i < RADIX_A; i++) {
            let frequency = (RADIX_B * i + place.y) * LENGTH_W + line.line;
            let start = frequency * params.groups * depth * params.columns + at;
            parts[start] = v[i].x;
            parts[start + imaginary] = v[i].y;
        }
    }
    //@elif SEVERAL
    for (var f = 0u; f < params.filters; f++) {
        var products = v;
        apply_filter(&products, line, line.c * params.filters + f, place);
    }
    //@else
    apply_filter(&v, line, line.c, place);
    //@end
}
//@if !MIXES

// Multiplies a column with filter `k`, transforms it back and stores it.
fn apply_filter(v: ptr<function, Numbers>, line: Line, k: u32, place: vec2<u32>) {
    for (var i = 0u; i < RADIX_A; i++) {
        (*v)[i] = exchanged(complex_product((*v)[i], filters[k * AREA + (RADIX_B * i + place.y) * LENGTH_W + line.line]));
    }
    transform_line(v, place.x, place.y);
    if line.exists {
        for (var i = 0u; i < RADIX_A; i++) {
            sums[spectrum_index(k, params.groups * params.filters, line.column, RADIX_B * i + place.y, line.line)] = exchanged((*v)[i]);
        }
    }
}
//@end
//@if MIXES

// Where depth `d` of a group and column lies in the right-hand side of that group.
fn part_index(d: u32, depth: u32, column: u32) -> u32 {
    if PANEL == 0u {
        return d * params.columns + column;
    }
    let panel = column / max(PANEL, 1u);
    return (panel * depth + d) * PANEL + column - panel * PANEL;
}
//@end
