// Depthwise convolution: one input channel per group (any number of filters per channel), forward and transposed.
//
// One invocation owns a strip of STRIP neighbouring outputs of one row and one channel, so that each weight and each row's
// arithmetic serve STRIP outputs. Prelude: STRIP.

//@use conv/store_output.wgsl

@group(0) @binding(4) var<storage, read> x: array<Elem>;            // N C D H W, any strides
@group(0) @binding(5) var<storage, read> weights: array<Elem>;      // K 1 T R S (transposed: C K/g T R S)

// 1: neighbouring invocations take neighbouring channels, as a channels-last output has them.
override CHANNELS_LAST: u32 = 0u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    // 1. Which strip: image n, channel k, row (z, p), first column q0.
    let strips = (u32(params.width.output) + STRIP - 1u) / STRIP;
    let rows = u32(params.depth.output * params.height.output);
    let out_channels = params.groups * params.filters;
    let plane = item / (strips * rows);
    let n = plane / out_channels;
    var k = plane - n * out_channels;
    var strip = item - plane * (strips * rows);
    if CHANNELS_LAST != 0u {
        let place = item / out_channels;
        k = item - place * out_channels;
        strip = place - n * (strips * rows);
    }
    let line = strip / strips;
    let q0 = i32((strip - line * strips) * STRIP);
    let row = i32(line);
    let z = i32(line / u32(params.height.output));
    let p = row - z * params.height.output;

    // 2. Its channel in the input, its filter in the weights.
    let c = k / params.filters;
    let x_start = params.x_base + n * params.x_stride_n + c * params.x_stride_c;
    let w_start = c * params.w_stride_g + (k - c * params.filters) * params.w_stride_k;

    // 3. The window sums. A tap that reads no element multiplies zeros, which only an infinite or NaN weight shows: `zeros` sums those of rows
    // that are not there.
    let zero = opaque(0.0, params.items >> 31u);
    var zeros = zero;
    var sums: array<f32, STRIP>;
    for (var j = 0u; j < STRIP; j++) {
        sums[j] = 0.0;
    }
    for (var t = 0; t < params.depth.taps; t++) {
        let iz = tap_coordinate(params.depth, z, t);
        for (var r = 0; r < params.height.taps; r++) {
            let iy = tap_coordinate(params.height, p, r);
            let w_row = w_start + u32((t * params.height.taps + r) * params.width.taps);
            if (iz < 0) | (iy < 0) {
                for (var s = 0; s < params.width.taps; s++) {
                    zeros = fma(zero, f32(weights[w_row + u32(s)]), zeros);
                }
                continue;
            }
            let x_row = x_start + plane_offset(iz, iy, 0) * params.x_stride_p;
            for (var s = 0; s < params.width.taps; s++) {
                let w = f32(weights[w_row + u32(s)]);
                for (var j = 0u; j < STRIP; j++) {
                    let q = min(q0 + i32(j), params.width.output - 1);
                    let ix = tap_coordinate(params.width, q, s);
                    let v = f32(x[x_row + u32(max(ix, 0)) * params.x_stride_p]);
                    sums[j] = fma(select(0.0, v, ix >= 0), w, sums[j]);
                }
            }
        }
    }
    let y_row = n * params.y_stride_n + k * params.y_stride_k + u32(row * params.width.output) * params.y_stride_p;
    for (var j = 0u; j < STRIP; j++) {
        let q = q0 + i32(j);
        if q < params.width.output {
            store_output(y_row + u32(q) * params.y_stride_p, k, sums[j] + zeros);
        }
    }
}
