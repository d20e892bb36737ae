// Stores the outputs of channel `k` that a block of BLOCK_P x BLOCK_Q has from (p0, q0) on, those that exist.

fn store_block(start: u32, k: u32, p0: i32, q0: i32, sums: ptr<function, array<f32, BLOCK_P * BLOCK_Q>>) {
    for (var i = 0u; i < BLOCK_P; i++) {
        let p = p0 + i32(i);
        for (var j = 0u; j < BLOCK_Q; j++) {
            let q = q0 + i32(j);
            if (p < params.height.output) & (q < params.width.output) {
                store_output(start + u32(p * params.width.output + q) * params.y_stride_p, k, (*sums)[i * BLOCK_Q + j]);
            }
        }
    }
}
