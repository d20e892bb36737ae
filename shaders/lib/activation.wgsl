// Activations, applied to the finished sum before it is stored. One case per `Activation` of src/types/activation.rs, by its number.
// Comparisons are written so that NaN goes through: `max` and `clamp` may drop it.

//@use lib/number.wgsl

// Number of the activation.
override ACTIVATION: u32 = 0u;

fn clip(v: f32, low: f32, high: f32) -> f32 {
    return select(select(v, high, v > high), low, v < low);
}

// e^v = 2^n (1 + p) with n an integer and |p| < 0.42: v = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts of which n times the first is exact
// (Cody and Waite), and p the Taylor polynomial of e^r - 1 to r^7, relative error 5e-9. Own arithmetic, since WGSL allows `exp` 3 + 2 |v| units
// in the last place, and since its results far out differ by driver. Clipped where the result is 0 or infinite in f32.
struct Exponential {
    n: i32,
    p: f32,
}

fn exponential(v: f32) -> Exponential {
    let inside = clip(v, -110.0, 89.0);
    let n = floor(fma(inside, 1.44269504, 0.5));
    var r = fma(n, -0.693359375, inside);
    r = fma(n, 2.12194440e-4, r);
    var q = fma(r, 1.98412698e-4, 1.38888889e-3);
    q = fma(r, q, 8.33333333e-3);
    q = fma(r, q, 4.16666667e-2);
    q = fma(r, q, 0.166666667);
    q = fma(r, q, 0.5);
    return Exponential(i32(n), fma(r * r, q, r));
}

// e^v in two factors, so that neither leaves f32; results below 2^-126 may be 0.
fn exp_of(v: f32) -> f32 {
    let e = exponential(v);
    let half = e.n / 2;
    return (1.0 + e.p) * power_of_two(half) * power_of_two(e.n - half);
}

// e^v - 1, accurate where it is small: there n is 0. Not as 2^n p + (2^n - 1), which a compiler that may reorder sums turns into 2^n (p + 1) - 1.
fn expm1_of(v: f32) -> f32 {
    let e = exponential(v);
    return select(exp_of(v) - 1.0, e.p, e.n == 0);
}

// ln(1 + e) for 0 <= e <= 1 as 2 atanh(e / (2 + e)): the series in s^2 <= 1/9 has terms of one sign, relative error 2e-8.
fn log1p_of(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let t = s * s;
    var q = fma(t, 0.0666666667, 0.0769230769);
    q = fma(t, q, 0.0909090909);
    q = fma(t, q, 0.111111111);
    q = fma(t, q, 0.142857143);
    q = fma(t, q, 0.2);
    q = fma(t, q, 0.333333333);
    return 2.0 * fma(s * t, q, s);
}

// 1 / (1 + e^-v), without the overflow of e^-v.
fn sigmoid(v: f32) -> f32 {
    let e = exp_of(-abs(v));
    return select(1.0, e, v < 0.0) / (1.0 + e);
}

// tanh |v| = -m / (2 + m) with m = e^(-2 |v|) - 1.
fn tanh_of(v: f32) -> f32 {
    let m = expm1_of(-2.0 * abs(v));
    let t = -m / (2.0 + m);
    return select(t, -t, v < 0.0);
}

// The normal distribution function at -a, a >= 0: e^(-a^2 / 2) t P(t) / 2 with t = 1 / (1 + 0.45 a / sqrt 2). t P(t) is e^(z^2) (1 - erf z)
// at z = a / sqrt 2, P the polynomial of degree 9 whose largest relative error over 0 < t <= 1 is smallest: 6.4e-8 with these f32 numbers.
// a^2 enters as what f32 holds of it and the rest, which far out would cost digits.
fn normal_tail(a: f32) -> f32 {
    let t = 1.0 / fma(0.31819805, a, 1.0);
    var q = fma(t, -0.041391302, 0.19068873);
    q = fma(t, q, -0.30058402);
    q = fma(t, q, 0.14240251);
    q = fma(t, q, -0.022358872);
    q = fma(t, q, 0.11995077);
    q = fma(t, q, 0.17525205);
    q = fma(t, q, 0.22827165);
    q = fma(t, q, 0.25388315);
    q = fma(t, q, 0.25388533);
    let square = a * a;
    let rest = fma(a, a, -square);
    let e = exp_of(-0.5 * square);
    return 0.5 * t * q * fma(e, -0.5 * rest, e);
}

// v times the normal distribution function, which keeps its digits far below zero.
fn gelu(v: f32) -> f32 {
    let tail = normal_tail(min(abs(v), 100.0));
    return v * select(1.0 - tail, tail, v < 0.0);
}

// ln(1 + e^v) without overflow.
fn softplus(v: f32) -> f32 {
    return select(v, 0.0, v < 0.0) + log1p_of(exp_of(-abs(v)));
}

// v tanh(ln(1 + e^v)) = v (e^2 + 2 e) / (e^2 + 2 e + 2) with e = e^v; beyond 20 the ratio is 1 to the last place.
fn mish(v: f32) -> f32 {
    let e = exp_of(clip(v, -200.0, 20.0));
    let w = e * (e + 2.0);
    return v * (w / (w + 2.0));
}

// v / (1 + |v|), with the quotient 1 where a divisor may be too large for a division to be accurate. At infinity it is NaN, as inf / inf is.
fn softsign(v: f32) -> f32 {
    let a = abs(v);
    let far = (a > 1.0e18) & is_finite(a);
    let q = select(v, 0.0, far) / (1.0 + select(a, 0.0, far));
    return select(q, select(1.0, -1.0, v < 0.0), far);
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
        case 6u: { return tanh_of(v); }                                                                  // tanh
        case 7u: { return v * sigmoid(v); }                                                                // silu
        case 8u: { return gelu(v); }                                                                       // gelu
        case 9u: { return v * sigmoid(1.59576912 * v * fma(0.044715 * v, v, 1.0)); }                       // gelu_tanh: (1 + tanh w) / 2 = sigmoid(2 w)
        case 10u: { return v * (clip(v + 3.0, 0.0, 6.0) / 6.0); }                                          // hard_swish
        case 11u: { return clip(a * v + b, 0.0, 1.0); }                                                    // hard_sigmoid
        case 12u: { return select(v, a * expm1_of(v), v < 0.0); }                                         // elu
        case 13u: { return b * select(v, a * expm1_of(v), v < 0.0); }                                     // selu
        case 14u: { return select(v, a * expm1_of(v / a), v < 0.0); }                                     // celu
        case 15u: { return softplus(v); }                                                                  // softplus
        case 16u: { return softsign(v); }                                                                  // softsign
        case 17u: { return mish(v); }                                                                      // mish
        case 18u: { return select(v, b, v <= a); }                                                         // threshold
        default: { return v; }                                                                             // none
    }
}
