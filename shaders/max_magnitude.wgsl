// The largest magnitude among f32 numbers, as its bits: those of magnitudes are ordered as the magnitudes are, and a NaN is larger than
// all. A workgroup takes a run of CHUNK numbers and gives one; called again over its own results until one is left.

struct MaxMagnitudeParams {
    first: u32, // number to begin with
    count: u32,
}

const WG_SIZE: u32 = 256u;
const CHUNK: u32 = 16384u;

@group(0) @binding(0) var<uniform> params: MaxMagnitudeParams;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>; // one a workgroup

var<workgroup> largest: array<u32, WG_SIZE>;

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    let begin = group * CHUNK;
    if begin >= params.count { // uniform over the workgroup
        return;
    }
    let end = min(begin + CHUNK, params.count);
    var own = 0u;
    for (var i = begin + local; i < end; i += WG_SIZE) {
        own = max(own, x[params.first + i] & 0x7fffffffu);
    }
    largest[local] = own;
    workgroupBarrier();
    for (var half = WG_SIZE / 2u; half > 0u; half /= 2u) {
        if local < half {
            largest[local] = max(largest[local], largest[local + half]);
        }
        workgroupBarrier();
    }
    if local == 0u {
        output[group] = largest[0];
    }
}
