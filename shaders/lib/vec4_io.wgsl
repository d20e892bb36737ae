// Four neighbouring stored elements, as a kernel loads and stores them. WIDE says how:
// 0: one vec4;
// 1: two 64-bit numbers of two f32 each. A driver that runs invocations as the lanes of a CPU's vectors pays by the load, not by the byte: a gather
//    of eight 64-bit lanes costs there hardly more than one of 32 bits;
// 2: two halves as with 1, but loaded number by number: for processors that multiply at half their rate while vectors of 512 bits are about, as
//    64-bit numbers for eight lanes are.

//@if WIDE == 0
alias Vec4 = vec4<Elem>;

fn f32x4(v: Vec4) -> vec4<f32> {
    return vec4<f32>(v);
}

fn as_vec4(v: vec4<f32>) -> Vec4 {
    return Vec4(v);
}
//@elif WIDE == 1
alias Vec4 = vec2<u64>;

fn f32x4(v: Vec4) -> vec4<f32> {
    return vec4<f32>(half_vec4(v.x), half_vec4(v.y));
}

fn as_vec4(v: vec4<f32>) -> Vec4 {
    return Vec4(as_half(v.xy), as_half(v.zw));
}

// Half a vec4, as one load gives it.
fn half_vec4(v: u64) -> vec2<f32> {
    return vec2<f32>(bitcast<f32>(u32(v)), bitcast<f32>(u32(v >> 32u)));
}

fn as_half(v: vec2<f32>) -> u64 {
    return u64(bitcast<u32>(v.x)) | (u64(bitcast<u32>(v.y)) << 32u);
}
//@else
alias Vec4 = mat2x2<f32>;

fn f32x4(v: Vec4) -> vec4<f32> {
    return vec4<f32>(v[0], v[1]);
}

fn as_vec4(v: vec4<f32>) -> Vec4 {
    return Vec4(v.xy, v.zw);
}

fn half_vec4(v: vec2<f32>) -> vec2<f32> {
    return v;
}
//@end
