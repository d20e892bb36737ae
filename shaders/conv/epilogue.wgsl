// What becomes of the finished sum of output channel `k`: bias, residual, activation.

//@use conv/problem.wgsl
//@use lib/activation.wgsl

//@if BOUND_1
@group(0) @binding(1) var<storage, read> bias: array<Elem>; // K
//@else
var<private> bias: array<Elem, 1>; // nothing is bound
//@end

fn finish(k: u32, sum: f32, residual: f32) -> f32 {
    var v = sum;
    if HAS_BIAS != 0u {
        v += f32(bias[k]);
    }
    if HAS_RESIDUAL != 0u {
        v += residual;
    }
    return activate(v, params.alpha, params.beta);
}
