// Local response normalisation: y = x / (bias + alpha / size sum of x^2)^beta over the channels c - before .. c + after that exist. One output
// per invocation, 64 neighbours in memory. Prelude: alias Elem.

// Twin of LrnParams in src/norm/params.rs. x as [outer][channels][inner].
struct LrnParams {
    items: u32,
    channels: u32,
    inner: u32,
    before: u32,
    after: u32,
    factor: f32, // alpha / size
    beta: f32,
    bias: f32,
}

@group(0) @binding(0) var<uniform> params: LrnParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let i = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if i >= params.items {
        return;
    }
    let c = i / params.inner % params.channels;
    let first = c - min(c, params.before);
    let last = min(c + params.after, params.channels - 1u);
    var sum = 0.0;
    for (var k = first; k <= last; k++) {
        let v = f32(x[i - (c - first) * params.inner + (k - first) * params.inner]);
        sum = fma(v, v, sum);
    }
    output[i] = Elem(f32(x[i]) / pow(fma(params.factor, sum, params.bias), params.beta));
}
