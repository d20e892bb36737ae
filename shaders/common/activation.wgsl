// Activations, applied to the finished sum before it is stored. Needs common/number.wgsl. One case per `Activation` of src/activation.rs, by its number.
// Comparisons are written so that NaN goes through: `max` and `clamp` may drop it.

// Number of the activation.
override ACTIVATION: u32 = 0u;

fn clip(v: f32, low: f32, high: f32) -> f32 {
    return select(select(v, high, v > high), low, v < low);
}

fn sigmoid(v: f32) -> f32 {
    return 1.0 / (1.0 + exp(-v));
}

// tanh saturates to 1 in f32 beyond 9.01; some drivers' tanh overflows far out, so the argument is clipped.
fn safe_tanh(v: f32) -> f32 {
    return tanh(clip(v, -15.0, 15.0));
}

// erf, Abramowitz and Stegun 7.1.26: absolute error 1.5e-7.
fn erf(v: f32) -> f32 {
    let a = abs(v);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    let r = 1.0 - poly * exp(-a * a);
    return select(r, -r, v < 0.0);
}

// ln(1 + e^v) without overflow.
fn softplus(v: f32) -> f32 {
    return select(v, 0.0, v < 0.0) + log(1.0 + exp(-abs(v)));
}

// v tanh(ln(1 + e^v)) = v (e^2 + 2 e) / (e^2 + 2 e + 2) with e = e^v: no tanh, whose absolute error v would multiply.
fn mish(v: f32) -> f32 {
    let e = exp(clip(v, -80.0, 20.0)); // beyond, the ratio is 1 to the last place
    let w = e * (e + 2.0);
    return v * (w / (w + 2.0));
}

// `a` and `b` are the activation's parameters in the order of its fields. NaN goes through: the exponential of some drivers loses it.
fn activate(v: f32, a: f32, b: f32) -> f32 {
    if ACTIVATION == 0u {
        return v;
    }
    return select(activate_number(v, a, b), v, is_nan(v));
}

fn activate_number(v: f32, a: f32, b: f32) -> f32 {
    switch ACTIVATION {
        case 1u: { return select(v, 0.0, v < 0.0); }                                                       // relu
        case 2u: { return select(v, a * v, v < 0.0); }                                                     // leaky_relu
        case 3u: { return clip(v, 0.0, 6.0); }                                                             // relu6
        case 4u: { return clip(v, a, b); }                                                                 // clip
        case 5u: { return sigmoid(v); }                                                                    // sigmoid
        case 6u: { return safe_tanh(v); }                                                                  // tanh
        case 7u: { return v * sigmoid(v); }                                                                // silu
        case 8u: { return 0.5 * v * (1.0 + erf(v * 0.70710678)); }                                         // gelu
        case 9u: { return 0.5 * v * (1.0 + safe_tanh(0.79788456 * (v + 0.044715 * v * v * v))); }          // gelu_tanh
        case 10u: { return v * clip(v + 3.0, 0.0, 6.0) / 6.0; }                                            // hard_swish
        case 11u: { return clip(a * v + b, 0.0, 1.0); }                                                    // hard_sigmoid
        case 12u: { return select(v, a * (exp(v) - 1.0), v < 0.0); }                                       // elu
        case 13u: { return b * select(v, a * (exp(v) - 1.0), v < 0.0); }                                   // selu
        case 14u: { return select(v, a * (exp(v / a) - 1.0), v < 0.0); }                                   // celu
        case 15u: { return softplus(v); }                                                                  // softplus
        case 16u: { return v / (1.0 + abs(v)); }                                                           // softsign
        case 17u: { return mish(v); }                                                                      // mish
        case 18u: { return select(v, b, v <= a); }                                                         // threshold
        default: { return v; }                                                                             // none
    }
}
