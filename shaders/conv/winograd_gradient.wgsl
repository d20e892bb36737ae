// Winograd for filter gradients, last of three: the sums of every filter and channel are added in order and become the taps of dw.
//
// One invocation makes one plane of dw. Prelude: that of conv/winograd_gradient_tiles.wgsl without NARROW; ADDS: 1 where dw holds what tiles before these gave.

//@use conv/winograd_adjoints.wgsl

// Twin of GradientSumsParams in src/shader/uniforms_winograd.rs.
struct GradientSumsParams {
    items: u32,    // planes of dw
    groups: u32,
    filters: u32,  // of a group
    channels: u32, // of a filter
    columns: u32,  // the same with those that pad a panel
    sums: u32,
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: GradientSumsParams;
@group(0) @binding(1) var<storage, read> sums: array<f32>;      // [line][sum][group][filter][channel]
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;  // K C/g taps

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let filter_row = item / params.channels;
    let c = item - filter_row * params.channels;
    let pitch = params.groups * params.filters * params.columns;
    let start = filter_row * params.columns + c;

    var values: array<array<f32, LINES_W>, TAPS_H>;
    for (var j = 0u; j < LINES_W; j++) {
        var line: array<f32, LINES_H>;
        for (var i = 0u; i < LINES_H; i++) {
            let at = (i * LINES_W + j) * params.sums * pitch + start;
            var total = sums[at];
            for (var s = 1u; s < params.sums; s++) {
                total += sums[at + s * pitch];
            }
            line[i] = total;
        }
        let taps = filter_adjoint_along_height(line);
        for (var r = 0u; r < TAPS_H; r++) {
            values[r][j] = taps[r];
        }
    }
    for (var r = 0u; r < TAPS_H; r++) {
        let taps = filter_adjoint_along_width(values[r]);
        for (var s = 0u; s < TAPS_W; s++) {
            let at = (item * TAPS_H + r) * TAPS_W + s;
//@if ADDS
            dw[at] += taps[s];
//@else
            dw[at] = taps[s];
//@end
        }
    }
}
