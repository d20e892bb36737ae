// Sixteen neighbours of a matrix, four vectors of four: sums of four rows x four columns, or what a core stages of an operand.

struct Block {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

// Adds one step of the depth: four rows times four columns.
fn multiply(block: Block, lhs: vec4<f32>, rhs: vec4<f32>) -> Block {
    return Block(
        fma(vec4<f32>(lhs.x), rhs, block.r0),
        fma(vec4<f32>(lhs.y), rhs, block.r1),
        fma(vec4<f32>(lhs.z), rhs, block.r2),
        fma(vec4<f32>(lhs.w), rhs, block.r3),
    );
}
