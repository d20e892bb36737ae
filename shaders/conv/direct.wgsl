// Direct convolution: one output per invocation, plain loops over the window. Admits every problem, forward and transposed.
//
// One workgroup owns 64 consecutive outputs in the memory order of the output.

//@use conv/store_output.wgsl
//@use conv/taps.wgsl

@group(0) @binding(4) var<storage, read> x: array<Elem>;            // N C D H W, any strides
@group(0) @binding(5) var<storage, read> weights: array<Elem>;      // K C/g T R S (transposed: C K/g T R S)

// 1: neighbouring invocations take neighbouring channels, as a channels-last output has them.
override CHANNELS_LAST: u32 = 0u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    // 1. Which output: image n, channel k, position.
    let out_channels = params.groups * params.filters;
    let plane = item / params.positions;
    let n = plane / out_channels;
    var k = plane - n * out_channels;
    var position = item - plane * params.positions;
    if CHANNELS_LAST != 0u {
        let pixel = item / out_channels;
        k = item - pixel * out_channels;
        position = pixel - n * params.positions;
    }
    let o = output_coordinates(position);

    // 2. Where its group starts in the input and its filter in the weights.
    let group = k / params.filters;
    let x_start = params.x_base + n * params.x_stride_n + group * params.x_stride_g;
    let w_start = params.w_base + group * params.w_stride_g + (k - group * params.filters) * params.w_stride_k;

    // 3. The window sum. A tap that reads no element multiplies zeros, which only an infinite or NaN weight shows.
    let depth = taps_of(params.depth, o.x);
    let height = taps_of(params.height, o.y);
    let width = taps_of(params.width, o.z);
    var sum = 0.0;
    for (var t = 0; t < depth.count; t++) {
        let iz = tap_coordinate(params.depth, depth, t);
        let w_plane = (depth.first + t * params.depth.tap_step) * params.height.taps;
        for (var r = 0; r < height.count; r++) {
            let iy = tap_coordinate(params.height, height, r);
            let w_row = (w_plane + height.first + r * params.height.tap_step) * params.width.taps + width.first;
            for (var s = 0; s < width.count; s++) {
                let ix = tap_coordinate(params.width, width, s);
                let exists = (iz >= 0) & (iy >= 0) & (ix >= 0);
                var xi = x_start + plane_offset(max(iz, 0), max(iy, 0), max(ix, 0)) * params.x_stride_p;
                var wi = w_start + u32(w_row + s * params.width.tap_step);
                for (var c = 0u; c < params.channels; c++) {
                    sum = fma(select(0.0, f32(x[xi]), exists), f32(weights[wi]), sum);
                    xi += params.x_stride_c;
                    wi += params.w_stride_c;
                }
            }
        }
    }
    store_output(n * params.y_stride_n + k * params.y_stride_k + position * params.y_stride_p, k, sum);
}
