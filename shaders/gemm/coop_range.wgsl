// Whether both operands of a product can be scaled into f16's range, and by which powers of two. Shared by the kernel on cooperative matrices
// and by the plain one that takes its place where they cannot: of the two, one leaves at once.

//@use lib/number.wgsl

// Bits of the largest magnitude in an operand, and of the least that is the largest of one of its lines (gemm/magnitudes.wgsl); or 0.
//@if BOUND_6
@group(0) @binding(6) var<storage, read> lhs_range: array<vec2<u32>>;
//@else
var<private> lhs_range: array<vec2<u32>, 1>; // nothing is bound
//@end
//@if BOUND_7
@group(0) @binding(7) var<storage, read> rhs_range: array<vec2<u32>>;
//@else
var<private> rhs_range: array<vec2<u32>, 1>; // nothing is bound
//@end

// Octaves between the largest magnitude and that of any line: further down, the one scale of all would leave a line too few bits. A mask, or one
// image much larger than another, is computed plainly. `SPREAD` of src/numeric/matrix.rs.
const SPREAD: i32 = 13;

// A finite number whose scale is a normal f32: 2^-113 and more; and no line far below it. What is all zeros, or was not measured, is not scaled.
fn can_scale(largest: u32, least: u32) -> bool {
    let exponent = i32(largest >> 23u);
    return (largest == 0u) | ((exponent >= 14) & (exponent <= 254) & (exponent - i32(least >> 23u) <= SPREAD));
}

fn operands_in_range() -> bool {
    return can_scale(lhs_range[0].x, lhs_range[0].y) & can_scale(rhs_range[0].x, rhs_range[0].y);
}

// The power of two, as its exponent, that brings the largest magnitude into [2^14, 2^15); f16 ends at 65504.
fn scale_exponent(bits: u32) -> i32 {
    return select(14 - (i32(bits >> 23u) - 127), 0, bits == 0u);
}
