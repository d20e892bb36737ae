// Batch normalisation of a trained network: y = activation((x - mean) m + bias), three numbers per channel. Channels run as
// [outer][channels][inner] in memory.
// Prelude: alias Elem.

//@use lib/activation.wgsl
//@use lib/item_range.wgsl

// Twin of BatchNormParams in src/shader/uniforms.rs.
struct BatchNormParams {
    items: u32,      // elements
    channels: u32,
    inner: u32,
    row_blocks: u32, // with ROWS: blocks of 1024 elements that one inner line takes
    alpha: f32,      // parameters of the activation
    beta: f32,
    base: u32,       // of the first element in its bindings
    first_line: u32, // channel of the first inner line
}

@group(0) @binding(0) var<uniform> params: BatchNormParams;

//@if IN_PLACE
@group(0) @binding(1) var<storage, read> folded: array<vec4<f32>>; // mean, multiplier, bias
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

fn source(at: u32) -> f32 {
    return f32(output[at]);
}
//@else
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> folded: array<vec4<f32>>; // mean, multiplier, bias
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

fn source(at: u32) -> f32 {
    return f32(x[at]);
}
//@end

// 1: a workgroup owns 1024 elements of one channel's line, so that the channel is found once.
override ROWS: u32 = 0u;

fn compute(at: u32, channel: u32) {
    let f = folded[channel];
    output[at] = Elem(activate(fma(source(at) - f.x, f.y, f.z), params.alpha, params.beta));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    if ROWS == 0u {
        let i = group * 64u + local;
        if i < params.items {
            compute(params.base + i, (i / params.inner + params.first_line) % params.channels);
        }
    } else {
        let line = group / params.row_blocks;
        let first = (group - line * params.row_blocks) * 1024u;
        if line * params.inner < params.items { // the last workgroups of a folded dispatch have no line
            let channel = (line + params.first_line) % params.channels;
            let start = params.base + line * params.inner;
            let range = item_range(local, first, 1024u, params.inner);
            for (var i = range.begin; i < range.end; i += TOGETHER) {
                compute(start + i, channel);
            }
        }
    }
}
