// The filters of a convolution by Fourier transforms, once per prepared convolution: their rows, transformed along the width. Rows of zeros are left out.

//@use conv/fft.wgsl

@group(0) @binding(1) var<storage, read> weights: array<Elem>;                   // K C/g 1 R S
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec2<f32>>;           // K C/g R LENGTH_W

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * LINES;
    let place = along_lines(local_id.x);
    let number = first + place.x;
    let line = min(number, params.items - 1u); // rows of all planes lie one after the other
    let taps = u32(params.width.taps);
    let dilation = u32(params.width.dilation);
    var v: Numbers;
    for (var i = 0u; i < RADIX_A; i++) {
        let w = RADIX_B * i + place.y;
        let s = w / dilation;
        let weight = f32(weights[params.w_base + line * taps + min(s, taps - 1u)]);
        v[i] = vec2<f32>(select(0.0, weight, (s < taps) & (s * dilation == w)), 0.0);
    }
    transform_line(&v, place.x, place.y);
    if number < params.items {
        for (var i = 0u; i < RADIX_A; i++) {
            rows[line * LENGTH_W + RADIX_B * i + place.y] = v[i];
        }
    }
}
