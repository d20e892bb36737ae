// What a kernel that packs an operand for cooperative matrices makes of its numbers: PARTS f16 each, 1 or 2, after its range has scaled f32 ones.
// Two f16 hold 22 or 23 of the 24 bits of an f32: x = high + low 2^-11.
//
// Eight neighbours (or four: GRAIN) of one part lie together, then those of the other: a kernel that reads both finds them side by side.
//
// After Ootomo and Yokota, Recovering single precision accuracy from Tensor Cores while exceeding the FP32 theoretical peak performance, 2022. The
// error is derived in src/numeric/matrix.rs.

//@use gemm/scale.wgsl

const LOW: f32 = 2048.0; // 2^11: scales low parts into the range that high parts have

// x rounded to the 11 bits of an f16. By its bits: written as a conversion there and back, compilers have taken x - high for zero.
// What would be subnormal as an f16 is left to the low part.
fn high_part(x: f32) -> f32 {
    let rounded = (bitcast<u32>(x) + 0x1000u) & 0xffffe000u;
    let is_normal = (bitcast<u32>(x) & 0x7fffffffu) >= 0x38800000u; // 2^-14
    return bitcast<f32>(select(0u, rounded, is_normal));
}

// Part 0, the high one, or 1 of a scaled number.
fn half_part(x: f32, part: u32) -> f16 {
    let high = select(x, high_part(x), PARTS > 1u);
    return f16(select(high, (x - high) * LOW, part > 0u));
}

// Where part `part` of element i lies.
fn half_index(i: u32, part: u32) -> u32 {
    let grain = i / GRAIN;
    return (grain * PARTS + part) * GRAIN + (i - grain * GRAIN);
}
