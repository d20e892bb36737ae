// One step of an optimizer, in place: the formulas of `Rule` in src/ops/optimizer.rs, by its number. STATES tensors are kept beside the parameters.
// An item is one parameter, or with VECTOR four neighbours, where all of them are a multiple of four.
// Prelude: RULE, STATES, VECTOR, TOGETHER; RMSPROP, CENTERED, ADAM: 1 where the rule is one.

//@use lib/number.wgsl
//@use lib/item_range.wgsl

//@if VECTOR
alias Item = vec4<f32>;
//@else
alias Item = f32;
//@end

// Twin of OptimizerParams in src/shader/uniforms.rs.
struct OptimizerParams {
    items: u32,
    base: u32, // the first item
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: OptimizerParams;
@group(0) @binding(1) var<storage, read> gradient: array<Item>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>; // `Scalars` of src/ops/optimizer.rs
@group(0) @binding(3) var<storage, read_write> output: array<Item>; // the parameters
//@if STATES
@group(0) @binding(4) var<storage, read_write> state0: array<Item>;
//@end
//@if STATES > 1
@group(0) @binding(5) var<storage, read_write> state1: array<Item>;
//@end
//@if STATES > 2
@group(0) @binding(6) var<storage, read_write> state2: array<Item>;
//@end

// The scalars, read once for all items of an invocation.
struct Scalars {
    rate: f32,
    decay: f32,
    shrink: f32,
    keep1: f32,
    add1: f32,
    keep2: f32,
    add2: f32,
    epsilon: f32,
    root: f32,
}

// A parameter, and what the rule keeps of it.
struct Kept {
    p: f32,
    first: f32,
    second: f32,
    third: f32,
}

fn stepped(before: Kept, gradient_of_loss: f32, n: Scalars) -> Kept {
    var after = before;
    let g = gradient_of_loss + n.decay * before.p;
    var change = g;
//@if RULE == 1
    after.first = n.keep1 * before.first + n.add1 * g;
    change = after.first;
//@end
//@if RULE == 2
    after.first = n.keep1 * before.first + n.add1 * g;
    change = g + n.keep2 * after.first;
//@end
//@if RMSPROP
    let v = n.keep2 * before.first + n.add2 * (g * g);
    after.first = v;
    var under = v;
//@if CENTERED
    let a = n.keep2 * before.second + n.add2 * g;
    after.second = a;
    under = not_below_zero(v - a * a);
//@end
    change = g / (sqrt(under) + n.epsilon);
//@if RULE == 5
    after.second = n.keep1 * before.second + change;
    change = after.second;
//@end
//@if RULE == 6
    after.third = n.keep1 * before.third + change;
    change = after.third;
//@end
//@end
//@if ADAM
    let m = n.keep1 * before.first + n.add1 * g;
    let v = n.keep2 * before.second + n.add2 * (g * g);
    after.first = m;
    after.second = v;
    var under = v;
//@if RULE == 8
    under = select(before.third, v, (v > before.third) | is_nan(v));
    after.third = under;
//@end
    change = m / (n.root * sqrt(under) + n.epsilon);
//@end
//@if RULE == 9
    let v = before.first + g * g;
    after.first = v;
    change = g / (sqrt(v) + n.epsilon);
//@end
    after.p = n.shrink * before.p - n.rate * change;
    return after;
}

fn step(i: u32, n: Scalars) {
    let p = output[i];
    let g = gradient[i];
    var first = Item();
    var second = Item();
    var third = Item();
//@if STATES
    first = state0[i];
//@end
//@if STATES > 1
    second = state1[i];
//@end
//@if STATES > 2
    third = state2[i];
//@end
//@if VECTOR
    let a = stepped(Kept(p.x, first.x, second.x, third.x), g.x, n);
    let b = stepped(Kept(p.y, first.y, second.y, third.y), g.y, n);
    let c = stepped(Kept(p.z, first.z, second.z, third.z), g.z, n);
    let d = stepped(Kept(p.w, first.w, second.w, third.w), g.w, n);
    output[i] = Item(a.p, b.p, c.p, d.p);
    first = Item(a.first, b.first, c.first, d.first);
    second = Item(a.second, b.second, c.second, d.second);
    third = Item(a.third, b.third, c.third, d.third);
//@else
    let a = stepped(Kept(p, first, second, third), g, n);
    output[i] = a.p;
    first = a.first;
    second = a.second;
    third = a.third;
//@end
//@if STATES
    state0[i] = first;
//@end
//@if STATES > 1
    state1[i] = second;
//@end
//@if STATES > 2
    state2[i] = third;
//@end
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    // What the gradient of a loss is worth that is no number.
    if !is_finite(scalars[9]) {
        return;
    }
    let n = Scalars(scalars[0], scalars[1], scalars[2], scalars[3], scalars[4], scalars[5], scalars[6], scalars[7], scalars[8]);
    let group = group_id.y * group_count.x + group_id.x;
    let range = item_range(local_id.x, group * 256u, 256u, params.items);
    for (var j = 0u; j < 4u; j++) {
        let i = range.begin + TOGETHER * j;
        if i < range.end {
            step(params.base + i, n);
        }
    }
}
