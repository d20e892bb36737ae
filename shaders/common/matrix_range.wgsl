// Whether both operands of a product can be scaled into f16's range, and by which powers of two. Shared by the kernel on matrix units
// and by the plain one that takes its place where they cannot: of the two, one leaves at once.

@group(0) @binding(6) var<storage, read> lhs_largest: array<u32>; // bits of the largest magnitude in it (max_magnitude.wgsl), or 0
@group(0) @binding(7) var<storage, read> rhs_largest: array<u32>;

// A finite number whose scale is a normal f32: 2^-113 and more. What is all zeros, or was not measured, is not scaled.
fn can_scale(bits: u32) -> bool {
    let exponent = bits >> 23u;
    return (bits == 0u) | ((exponent >= 14u) & (exponent <= 254u));
}

fn operands_in_range() -> bool {
    return can_scale(lhs_largest[0]) & can_scale(rhs_largest[0]);
}

// The power of two, as its exponent, that brings the largest magnitude into [2^14, 2^15); f16 ends at 65504.
fn scale_exponent(bits: u32) -> i32 {
    return select(14 - (i32(bits >> 23u) - 127), 0, bits == 0u);
}
