// Measures the device's f32 multiply-add rate: three independent vec4 chains in registers, 64 steps a loop iteration would unroll to.
// One invocation does ITERATIONS x 32 x 12 multiply-adds. Prelude: alias Elem (f32), ITERATIONS.

@group(0) @binding(0) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = vec4<f32>(output[0]);
    let c = vec4<f32>(output[1]);
    var a0 = vec4<f32>(f32(id.x));
    var a1 = a0 + 1.0;
    var a2 = a0 + 2.0;
    for (var iteration = 0u; iteration < ITERATIONS; iteration++) {
        for (var i = 0u; i < 32u; i++) {
            a0 = fma(a0, m, c);
            a1 = fma(a1, m, c);
            a2 = fma(a2, m, c);
        }
    }
    // Never true for the inputs given, but the compiler cannot know: it keeps the work alive.
    let sum = a0 + a1 + a2;
    if sum.x + sum.y + sum.z + sum.w == 1.2345 {
        output[2] = 1.0;
    }
}
