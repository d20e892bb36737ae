// Derivatives of activations, times what is given: one case per `Activation` of src/types/activation.rs, by its number. Formulas and the choice at kinks:
// src/types/activation_gradient.rs. What is flat on a whole side gives 0 there, whatever `dy` is.
// Arguments are cut by `clip`, since `min` may drop a NaN.

//@use lib/activation.wgsl

// The slope of 1 / (1 + e^-v).
fn sigmoid_slope(v: f32) -> f32 {
    let e = exp_of(-abs(v));
    return e / ((1.0 + e) * (1.0 + e));
}

// v s, and 0 where s has vanished: v may be infinite, or have overflowed.
fn vanishing(v: f32, s: f32) -> f32 {
    return select(v * s, 0.0, s == 0.0);
}

// e^(-v^2 / 2) / sqrt(2 pi), with what f32 does not hold of v^2.
fn normal_density(v: f32) -> f32 {
    let a = clip(v, -100.0, 100.0);
    let square = a * a;
    let rest = fma(a, a, -square);
    let e = exp_of(-0.5 * square);
    return 0.398942280 * fma(e, -0.5 * rest, e);
}

// t + v (1 - t^2) sigmoid(v) with t = tanh(ln(1 + e^v)) = w / (w + 2), w = e (e + 2): 1 - t^2 = 4 (w + 1) / (w + 2)^2. Beyond 20 it is 1.
fn mish_slope(v: f32) -> f32 {
    let e = exp_of(clip(v, -200.0, 20.0));
    let w = e * (e + 2.0);
    let q = 1.0 / (w + 2.0);
    let slope = w * q + vanishing(v, 4.0 * (w + 1.0) * q * q * sigmoid(v));
    return select(slope, 1.0, v > 20.0);
}

fn gelu_tanh_slope(v: f32) -> f32 {
    let c = clip(v, -1.0e3, 1.0e3); // the slope is 0 or 1 long before
    let argument = 1.59576912 * c * fma(0.044715 * c, c, 1.0);
    return sigmoid(argument) + vanishing(1.59576912 * c * fma(0.134145 * c, c, 1.0), sigmoid_slope(argument));
}

fn gelu_slope(v: f32) -> f32 {
    let tail = normal_tail(clip(abs(v), 0.0, 100.0));
    return select(1.0 - tail, tail, v < 0.0) + vanishing(v, normal_density(v));
}

// NaN goes through where the slope is a formula of v; elsewhere it is on neither flat side.
fn activation_gradient(v: f32, dy: f32, a: f32, b: f32) -> f32 {
    let is_formula = ((ACTIVATION >= 5u) & (ACTIVATION <= 10u)) | ((ACTIVATION >= 15u) & (ACTIVATION <= 17u));
    return select(gradient_at_number(v, dy, a, b), v, is_nan(v) & is_formula);
}

fn gradient_at_number(v: f32, dy: f32, a: f32, b: f32) -> f32 {
    switch ACTIVATION {
        case 1u: { return select(dy, 0.0, v <= 0.0); }                                      // relu
        case 2u: { return select(dy, a * dy, v <= 0.0); }                                   // leaky_relu
        case 3u: { return select(dy, 0.0, (v <= 0.0) | (v >= 6.0)); }                       // relu6
        case 4u: { return select(0.0, dy, (v >= a) & (v <= b)); }                           // clip
        case 5u: { return dy * sigmoid_slope(v); }                                          // sigmoid
        case 6u: { return dy * (4.0 * sigmoid_slope(2.0 * v)); }                            // tanh
        case 7u: { return dy * (sigmoid(v) + vanishing(v, sigmoid_slope(v))); }             // silu
        case 8u: { return dy * gelu_slope(v); }                                             // gelu
        case 9u: { return dy * gelu_tanh_slope(v); }                                        // gelu_tanh
        case 10u: { return select(select(dy * (v / 3.0 + 0.5), dy, v > 3.0), 0.0, v < -3.0); } // hard_swish
        case 11u: { let s = a * v + b; return select(a * dy, 0.0, (s <= 0.0) | (s >= 1.0)); } // hard_sigmoid
        case 12u: { return select(dy, dy * (a * exp_of(v)), v <= 0.0); }                    // elu
        case 13u: { return dy * select(b, b * a * exp_of(v), v <= 0.0); }                   // selu
        case 14u: { return select(dy, dy * exp_of(v / a), v <= 0.0); }                      // celu
        case 15u: { return dy * sigmoid(v); }                                               // softplus
        case 16u: { let q = 1.0 / (1.0 + clip(abs(v), 0.0, 1.0e18)); return dy * (q * q); }       // softsign
        case 17u: { return dy * mish_slope(v); }                                            // mish
        case 18u: { return select(dy, 0.0, v <= a); }                                       // threshold
        default: { return dy; }                                                             // none
    }
}
