// How f32 operands are scaled into f16's range for cooperative matrices: by a power of two that their range says (gemm/magnitudes.wgsl).

//@use lib/number.wgsl

// Octaves between the largest magnitude and that of any line: further down, the one scale of all would leave a line too few bits. A mask, or one
// image much larger than another, is computed plainly. `SPREAD` of src/numeric/matrix.rs.
const SPREAD: i32 = 13;

// A finite number whose scale is a normal f32: 2^-113 and more; and no line far below it. What is all zeros, or was not measured, is not scaled.
fn can_scale(largest: u32, least: u32) -> bool {
    let exponent = i32(largest >> 23u);
    return (largest == 0u) | ((exponent >= 14) & (exponent <= 254) & (exponent - i32(least >> 23u) <= SPREAD));
}

// The power of two, as its exponent, that brings the largest magnitude into [2^14, 2^15); f16 ends at 65504.
fn scale_exponent(bits: u32) -> i32 {
    return select(14 - (i32(bits >> 23u) - 127), 0, bits == 0u);
}
