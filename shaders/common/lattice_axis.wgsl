// One axis along which up to three operands step with strides of their own. Twin of LatticeAxis in src/op/lattice.rs.

struct LatticeAxis {
    strides: vec3<i32>,
    extent: u32,
}
