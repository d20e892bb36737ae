// One axis along which up to three operands step with strides of their own. Twin of LatticeAxis in src/shader/uniforms.rs.

struct LatticeAxis {
    strides: vec3<i32>,
    extent: u32,
}
