// One step of an optimizer, in place: the formulas of `Rule` in src/ops/optimizer.rs, by its number. STATES tensors are kept beside the parameters.
// Prelude: RULE, STATES, TOGETHER; RMSPROP, CENTERED, ADAM: 1 where the rule is one.

//@use lib/number.wgsl
//@use lib/item_range.wgsl

// Twin of OptimizerParams in src/shader/uniforms.rs.
struct OptimizerParams {
    items: u32,
    base: u32,
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: OptimizerParams;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>; // `Scalars` of src/ops/optimizer.rs
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // the parameters
//@if STATES
@group(0) @binding(4) var<storage, read_write> state0: array<f32>;
//@end
//@if STATES > 1
@group(0) @binding(5) var<storage, read_write> state1: array<f32>;
//@end
//@if STATES > 2
@group(0) @binding(6) var<storage, read_write> state2: array<f32>;
//@end

fn step(i: u32) {
    let rate = scalars[0];
    let shrink = scalars[2];
    let keep1 = scalars[3];
    let add1 = scalars[4];
    let keep2 = scalars[5];
    let add2 = scalars[6];
    let epsilon = scalars[7];
    let p = output[i];
    let g = gradient[i] + scalars[1] * p;
    var change = g;
//@if STATES
    let first = state0[i];
//@end
//@if RULE == 1
    let m = keep1 * first + add1 * g;
    state0[i] = m;
    change = m;
//@end
//@if RULE == 2
    let m = keep1 * first + add1 * g;
    state0[i] = m;
    change = g + keep2 * m;
//@end
//@if RMSPROP
    let v = keep2 * first + add2 * (g * g);
    state0[i] = v;
    var under = v;
//@if CENTERED
    let a = keep2 * state1[i] + add2 * g;
    state1[i] = a;
    let variance = v - a * a;
    under = select(variance, 0.0, variance < 0.0);
//@end
    change = g / (sqrt(under) + epsilon);
//@if RULE == 5
    let m = keep1 * state1[i] + change;
    state1[i] = m;
    change = m;
//@end
//@if RULE == 6
    let m = keep1 * state2[i] + change;
    state2[i] = m;
    change = m;
//@end
//@end
//@if ADAM
    let m = keep1 * first + add1 * g;
    let v = keep2 * state1[i] + add2 * (g * g);
    state0[i] = m;
    state1[i] = v;
    var under = v;
//@if RULE == 8
    let before = state2[i];
    under = select(before, v, (v > before) | is_nan(v));
    state2[i] = under;
//@end
    change = m / (scalars[8] * sqrt(under) + epsilon);
//@end
//@if RULE == 9
    let v = first + g * g;
    state0[i] = v;
    change = g / (sqrt(v) + epsilon);
//@end
    output[i] = shrink * p - rate * change;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    // What the gradient of a loss is worth that is no number.
    if !is_finite(scalars[9]) {
        return;
    }
    let group = group_id.y * group_count.x + group_id.x;
    let range = item_range(local_id.x, group * 256u, 256u, params.items);
    for (var j = 0u; j < 4u; j++) {
        let i = range.begin + TOGETHER * j;
        if i < range.end {
            step(params.base + i);
        }
    }
}
