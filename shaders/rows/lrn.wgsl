// Local response normalisation: y = x / (bias + alpha / size sum of x^2)^beta over the channels c - before .. c + after that exist. One output
// per invocation, 64 neighbours in memory. Prelude: alias Elem.

//@use lib/number.wgsl

// Twin of LrnParams in src/shader/uniforms.rs. x as [outer][channels][inner].
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
    // The squares of numbers 2^e times smaller are summed too, for windows whose squares leave f32: then
    // base^beta = 2^(2 e beta) (2^(-2 e) bias + factor sum)^beta. So many squares of the largest numbers stay in f32.
    let e = 65 + i32(firstLeadingBit(last - first + 1u) / 2u);
    let down = power_of_two(-e);
    var sums = vec2<f32>(0.0);
    var largest = 0.0;
    for (var k = first; k <= last; k++) {
        let v = f32(x[i - (c - first) * params.inner + (k - first) * params.inner]);
        let low = v * down;
        sums = fma(vec2<f32>(v, low), vec2<f32>(v, low), sums);
        largest = max(largest, abs(v));
    }
    let v = f32(x[i]);
    let whole = select(sums.x, LARGEST, (sums.x > LARGEST) & is_finite(largest)); // with a factor of 0 it counts for nothing
    let base = fma(params.factor, whole, params.bias);
    var y = v / power(base, params.beta);
    if (params.factor > 0.0) & ((sums.x > LARGEST) | (base > LARGEST)) {
        let exponent = -f32(e) * params.beta;
        let half = exp2(exponent - floor(exponent)) * power_of_two(clamp(i32(floor(exponent)), -126, 126));
        y = v * half / power(fma(params.factor, sums.y, params.bias * down * down), params.beta) * half;
    }
    output[i] = Elem(y);
}
