// One axis along which up to three operands step with strides of their own. Twin of OperandAxis in src/shader/uniforms.rs.

struct OperandAxis {
    strides: vec3<i32>,
    extent: u32,
}
