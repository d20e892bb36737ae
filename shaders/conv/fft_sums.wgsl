// Convolution by Fourier transforms that sums over channels: the columns of the sums, transformed back along the height.

//@use conv/fft.wgsl

@group(0) @binding(1) var<storage, read> parts: array<f32>;                      // [frequency][group][real parts of its filters, imaginary ones][column]
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<f32>>;           // spectrum_index(k, .., column, h, w)

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * LINES;
    let place = across_lines(local_id.x);
    let out_channels = params.groups * params.filters;
    let line = line_of(first + place.x, out_channels, LENGTH_W);
    let group = line.c / params.filters;
    let at = (group * 2u * params.filters + line.c - group * params.filters) * params.columns + line.column;
    var v: Numbers;
    for (var i = 0u; i < RADIX_A; i++) {
        let frequency = (RADIX_B * i + place.y) * LENGTH_W + line.line;
        let start = frequency * 2u * out_channels * params.columns + at;
        v[i] = exchanged(vec2<f32>(parts[start], parts[start + params.filters * params.columns]));
    }
    transform_line(&v, place.x, place.y);
    if line.exists {
        for (var i = 0u; i < RADIX_A; i++) {
            sums[spectrum_index(line.c, out_channels, line.column, RADIX_B * i + place.y, line.line)] = exchanged(v[i]);
        }
    }
}
