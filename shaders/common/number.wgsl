// Numbers as IEEE 754 has them. By bits: a compiler may assume that there is no NaN and fold v != v.

fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}
