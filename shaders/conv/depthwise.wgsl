// Depthwise convolution: one input channel per group (any number of filters per channel), forward and transposed.
//
// One invocation owns a strip of STRIP neighbouring outputs of one row and one channel, so that each weight and each row's
// arithmetic serve STRIP outputs. Neighbours of a transposed convolution are those of one phase (conv/taps.wgsl), a stride apart. Prelude: STRIP.

//@use conv/store_output.wgsl
//@use conv/taps.wgsl

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
    // 1. Which strip: image n, channel k, row (z, p), the phase of its columns, first column q0 of the phase.
    let phases = u32(phase_count(params.width));
    let phase_strips = (u32(phase_outputs(params.width, 0)) + STRIP - 1u) / STRIP;
    let strips = phases * phase_strips;
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
    let in_line = strip - line * strips;
    let phase = in_line / phase_strips;
    let q0 = i32((in_line - phase * phase_strips) * STRIP);
    let outputs = phase_outputs(params.width, i32(phase));
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
    let depth = taps_of(params.depth, z);
    let height = taps_of(params.height, p);
    let width = taps_of(params.width, i32(phase));
    let tap_step = u32(params.width.tap_step);
    let advance = select(params.width.stride, 1, TRANSPOSED != 0u); // from one output of a phase to the next
    for (var t = 0; t < depth.count; t++) {
        let iz = tap_coordinate(params.depth, depth, t);
        let w_plane = (depth.first + t * params.depth.tap_step) * params.height.taps;
        for (var r = 0; r < height.count; r++) {
            let iy = tap_coordinate(params.height, height, r);
            let w_row = w_start + u32((w_plane + height.first + r * params.height.tap_step) * params.width.taps + width.first);
            if (iz < 0) | (iy < 0) {
                for (var s = 0; s < width.count; s++) {
                    zeros = fma(zero, f32(weights[w_row + u32(s) * tap_step]), zeros);
                }
                continue;
            }
            let x_row = x_start + plane_offset(iz, iy, 0) * params.x_stride_p;
            for (var s = 0; s < width.count; s++) {
                let w = f32(weights[w_row + u32(s) * tap_step]);
                for (var j = 0u; j < STRIP; j++) {
                    let q = min(q0 + i32(j), outputs - 1);
                    let ix = padded_coordinate(width.start + q * advance + s * width.step, params.width.input);
                    let v = f32(x[x_row + u32(max(ix, 0)) * params.x_stride_p]);
                    sums[j] = fma(select(0.0, v, ix >= 0), w, sums[j]);
                }
            }
        }
    }
    let y_row = n * params.y_stride_n + k * params.y_stride_k + u32(row * params.width.output) * params.y_stride_p;
    for (var j = 0u; j < STRIP; j++) {
        let q = q0 + i32(j);
        if q < outputs {
            let at = select(q, i32(phase) + q * params.width.stride, TRANSPOSED != 0u);
            store_output(y_row + u32(at) * params.y_stride_p, k, sums[j] + zeros);
        }
    }
}
