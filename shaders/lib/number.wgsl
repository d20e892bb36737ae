// Numbers as IEEE 754 has them. By bits: a compiler may assume that there is no NaN and fold v != v.

fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// v, or 0 where it is negative; a NaN stays. `select(v, 0.0, v < 0.0)` alone is a maximum to NVIDIA's compiler, and a maximum drops a NaN.
fn not_below_zero(v: f32) -> f32 {
    return select(select(v, 0.0, v < 0.0), v, is_nan(v));
}

// Numbers in their order, both zeros as 0; of a NaN nothing. Comparing them as floats may flush subnormal ones to zero.
fn in_order(v: f32) -> i32 {
    let bits = bitcast<i32>(v);
    return select(bits, -(bits & 0x7fffffff), bits < 0);
}

const LARGEST: f32 = 3.40282347e38;

fn is_finite(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) < 0x7f800000u;
}

// 2^e for the exponents of normal numbers, -126 <= e <= 127.
fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(e + 127) << 23u);
}

// e where 2^e <= |v| < 2^(e + 1); -127 below the normal numbers, 128 for an infinity or NaN.
fn exponent_of(v: f32) -> i32 {
    return i32((bitcast<u32>(v) >> 23u) & 0xffu) - 127;
}

// v^p for v >= 0 as IEEE 754 has it where `pow` may not: a NaN stays, and so do zero and infinity.
fn power(v: f32, p: f32) -> f32 {
    let edge = select(select(bitcast<f32>(INFINITE), 0.0, p > 0.0), select(0.0, bitcast<f32>(INFINITE), p > 0.0), v != 0.0);
    let ordinary = is_finite(v) & (v != 0.0);
    return select(select(edge, pow(v, p), ordinary), v, is_nan(v));
}

// e^v as IEEE 754 has it where `exp` may not: a NaN stays (SwiftShader's gives 0).
fn exp_or_nan(v: f32) -> f32 {
    return select(exp(v), v, is_nan(v));
}

// Bits of infinity. A variable, since WGSL refuses to evaluate it as a constant.
var<private> INFINITE: u32 = 0x7f800000u;

// v, of which a compiler knows nothing; `zero` is a number that is 0 and that it cannot know, such as items >> 31. One that may reorder sums
// (Mesa's does) makes a b + a c to a (b + c), which may leave f32 or lose the digits that two sums were for.
fn opaque(v: f32, zero: u32) -> f32 {
    return bitcast<f32>(bitcast<u32>(v) | zero);
}
