// Elementary functions of one number: one case per `UnaryOp` of src/ops/elementwise/unary.rs, by its number. Own arithmetic where WGSL allows its functions
// errors that are no use (sin and cos 2^-11, exp 3 + 2 |v| units), or lets them take subnormal numbers for zero. Errors: `UnaryOp::own_error`.

//@use lib/activation.wgsl

// Number of the operation.
override OPERATION: u32 = 0u;

const MAGNITUDE: u32 = 0x7fffffffu;

fn not_a_number() -> f32 {
    return bitcast<f32>(INFINITE | 0x400000u);
}

// A number that is not negative, with the sign of another.
fn with_sign_of(magnitude: f32, v: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(magnitude) | (bitcast<u32>(v) & 0x80000000u));
}

// |v| = m 2^e with 1 <= m < 2, of subnormal numbers too, which are read by their bits. Of zero, infinity and NaN nothing.
struct Parts {
    m: f32,
    e: i32,
}

fn parts_of(v: f32) -> Parts {
    let bits = bitcast<u32>(v) & MAGNITUDE;
    let shift = select(0u, countLeadingZeros(bits) - 8u, bits < 0x800000u);
    let normal = bits << shift;
    return Parts(bitcast<f32>((normal & 0x7fffffu) | 0x3f800000u), i32(normal >> 23u) - 127 - i32(shift));
}

// q 2^k of a positive normal q. Above f32 it is infinite, below the normal numbers it may be 0.
fn scaled(q: f32, k: i32) -> f32 {
    let e = exponent_of(q) + k;
    let v = bitcast<f32>((bitcast<u32>(q) & 0x7fffffu) | (u32(clamp(e, -126, 127) + 127) << 23u));
    let below = v * power_of_two(clamp(e + 126, -126, 0));
    return select(select(v, below, e < -126), bitcast<f32>(INFINITE), e > 127);
}

// By bits, since a comparison may take subnormal numbers for zero.
fn is_subnormal(v: f32) -> bool {
    let bits = bitcast<u32>(v) & MAGNITUDE;
    return (bits < 0x800000u) & (bits != 0u);
}

fn is_negative(v: f32) -> bool {
    return bitcast<u32>(v) > 0x80000000u;
}

fn sign_of(v: f32) -> f32 {
    return select(with_sign_of(1.0, v), 0.0, (bitcast<u32>(v) & MAGNITUDE) == 0u);
}

fn floor_of(v: f32) -> f32 {
    return select(floor(v), select(0.0, -1.0, is_negative(v)), is_subnormal(v));
}

fn ceil_of(v: f32) -> f32 {
    return select(ceil(v), select(1.0, 0.0, is_negative(v)), is_subnormal(v));
}

// The root of m or 2 m, so that the exponent is even. Zeros and infinity stay.
fn root_of(v: f32) -> f32 {
    let p = parts_of(v);
    let odd = p.e & 1;
    let root = sqrt(select(p.m, 2.0 * p.m, odd != 0)) * power_of_two((p.e - odd) / 2);
    let bits = bitcast<u32>(v) & MAGNITUDE;
    return select(select(root, v, (bits == 0u) | (bits >= 0x7f800000u)), not_a_number(), is_negative(v));
}

fn reciprocal_of(v: f32) -> f32 {
    let p = parts_of(v);
    let bits = bitcast<u32>(v) & MAGNITUDE;
    let edge = select(0.0, bitcast<f32>(INFINITE), bits == 0u);
    return with_sign_of(select(scaled(1.0 / p.m, -p.e), edge, (bits == 0u) | (bits >= 0x7f800000u)), v);
}

fn exponential_of(v: f32) -> f32 {
    let e = exponential(v);
    return select(scaled(1.0 + e.p, e.n), bitcast<f32>(INFINITE), v > 88.8);
}

// ln m + n ln 2, with m between sqrt(1/2) and sqrt 2, so that m - 1 is exact and keeps the digits beside 1.
fn logarithm_of(v: f32) -> f32 {
    let p = parts_of(v);
    let above = p.m > 1.41421354;
    let m = select(p.m, 0.5 * p.m, above);
    let n = f32(select(p.e, p.e + 1, above));
    let y = fma(n, 0.693147182, log1p_of(m - 1.0));
    let bits = bitcast<u32>(v) & MAGNITUDE;
    let edge = select(v, bitcast<f32>(INFINITE | 0x80000000u), bits == 0u);
    return select(select(y, edge, (bits == 0u) | (bits >= 0x7f800000u)), not_a_number(), is_negative(v));
}

// Up to 0.8 its power series to x^17 (what is left out is 3e-9 of it), beyond 1 - 2 times the tail of the normal distribution.
fn erf_of(v: f32) -> f32 {
    let a = abs(v);
    let t = min(a * a, 1.0);
    var q = fma(t, 1.64621144e-6, -1.49256504e-5);
    q = fma(t, q, 1.20553330e-4);
    q = fma(t, q, -8.54832703e-4);
    q = fma(t, q, 5.22397763e-3);
    q = fma(t, q, -2.68661706e-2);
    q = fma(t, q, 0.112837917);
    q = fma(t, q, -0.376126389);
    q = fma(t, q, 1.12837917);
    let far = 1.0 - 2.0 * normal_tail(1.41421356 * min(a, 10.0));
    return with_sign_of(select(far, a * q, a < 0.8), v);
}

// 64 bits.
struct Long {
    high: u32,
    low: u32,
}

fn long_product(a: u32, b: u32) -> Long {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let first = ah * bl + (low >> 16u);
    let second = al * bh + (first & 0xffffu);
    return Long(ah * bh + (first >> 16u) + (second >> 16u), (second << 16u) | (low & 0xffffu));
}

// Bits of 1 / (2 pi), 32 a word; word 0 stands before the point. No `switch`: it is inlined often, and a compiler ran out of memory (docs/drivers.md).
fn inverse_turn(word: u32) -> u32 {
    let first = select(0u, 0x28be60dbu, word == 1u) | select(0u, 0x9391054au, word == 2u) | select(0u, 0x7f09d5f4u, word == 3u);
    let second = select(0u, 0x7d4d3770u, word == 4u) | select(0u, 0x36d8a566u, word == 5u) | select(0u, 0x4f10e410u, word == 6u);
    return first | second | select(0u, 0x7f9458eau, word == 7u);
}

// The 32 bits from bit `shift` of a word on, with the word behind it.
fn bits_from(word: u32, next: u32, shift: u32) -> u32 {
    return (word << shift) | select(0u, next >> ((32u - shift) & 31u), shift != 0u);
}

// |v| = q pi / 2 + r with |r| <= pi / 4, q modulo 4. The reduction of Payne and Hanek (Radian reduction for trigonometric functions, 1983): of |v| / (2 pi) only
// the bits that are no whole turns are computed, 64 of them behind the point; no f32 number lies so near to a multiple of pi / 2 that 24 would not be left.
struct Quarters {
    q: u32,
    r: f32,
}

fn quarters_of(v: f32) -> Quarters {
    let bits = bitcast<u32>(v) & MAGNITUDE;
    let e = u32(max(i32(bits >> 23u) - 126, 0)); // |v| = 0.m 2^e
    let m = (bits << 8u) | 0x80000000u;
    let word = e >> 5u;
    let shift = e & 31u;
    let second = inverse_turn(word + 1u);
    let third = inverse_turn(word + 2u);
    let middle = long_product(m, bits_from(second, third, shift));
    let carried = long_product(m, bits_from(third, inverse_turn(word + 3u), shift)).high;
    let low = middle.low + carried;
    // A turn is 2^64. An eighth more, so that the quarter below is the nearest one.
    let high = m * bits_from(inverse_turn(word), second, shift) + middle.high + select(0u, 1u, low < carried) + 0x20000000u;
    let rest = (high & 0x3fffffffu) - 0x20000000u;
    let is_below = (rest & 0x80000000u) != 0u;
    let rest_high = select(rest, ~rest + select(0u, 1u, low == 0u), is_below);
    let rest_low = select(low, ~low + 1u, is_below);
    // The first 32 bits that are not 0.
    let is_low = rest_high == 0u;
    let zeros = countLeadingZeros(select(rest_high, rest_low, is_low));
    let front = select(rest_high, rest_low, is_low) << (zeros & 31u);
    let behind = select(rest_low >> ((32u - zeros) & 31u), 0u, is_low);
    let r = f32(front | behind) * 1.57079633 * power_of_two(-30 - i32(zeros) - select(0, 32, is_low));
    let is_near = bits < 0x3f490fdbu; // pi / 4
    return Quarters(select(high >> 30u, 0u, is_near), select(select(r, -r, is_below), bitcast<f32>(bits), is_near));
}

// The sine of an angle of q quarters of a turn and r: of odd q that is the cosine of r, of q from 2 on it is negative.
fn sine_of(q: u32, r: f32) -> f32 {
    let t = r * r;
    var s = fma(t, 2.75573192e-6, -1.98412698e-4);
    s = fma(t, s, 8.33333333e-3);
    s = fma(t, s, -0.166666667);
    s = fma(r * t, s, r);
    var c = fma(t, -2.75573192e-7, 2.48015873e-5);
    c = fma(t, c, -1.38888889e-3);
    c = fma(t, c, 4.16666667e-2);
    c = fma(t, c, -0.5);
    c = fma(t, c, 1.0);
    let y = select(s, c, (q & 1u) != 0u);
    return select(y, -y, (q & 2u) != 0u);
}

fn sin_of(v: f32) -> f32 {
    let at = quarters_of(v);
    let y = sine_of(at.q, at.r);
    return select(select(y, -y, is_negative(v)), not_a_number(), !is_finite(v));
}

fn cos_of(v: f32) -> f32 {
    let at = quarters_of(v);
    return select(sine_of(at.q + 1u, at.r), not_a_number(), !is_finite(v));
}

fn operate_number(v: f32) -> f32 {
    switch OPERATION {
        case 1u: { return bitcast<f32>(bitcast<u32>(v) & MAGNITUDE); }
        case 2u: { return bitcast<f32>(bitcast<u32>(v) ^ 0x80000000u); }
        case 3u: { return sign_of(v); }
        case 4u: { return floor_of(v); }
        case 5u: { return ceil_of(v); }
        case 6u: { return round(v); }
        case 7u: { return root_of(v); }
        case 8u: { return reciprocal_of(v); }
        case 9u: { return exponential_of(v); }
        case 10u: { return logarithm_of(v); }
        case 11u: { return erf_of(v); }
        case 12u: { return sin_of(v); }
        case 13u: { return cos_of(v); }
        default: { return v; }
    }
}

fn operate(v: f32) -> f32 {
    return select(operate_number(v), v, is_nan(v));
}
