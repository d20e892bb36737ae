// Stores the outputs of channel `k` that a block of BLOCK_P x BLOCK_Q has from (p0, q0) on, two neighbours at a time: where all of the
// block's columns exist and begin at an even element. Needs common/quad_wide.wgsl.

@group(0) @binding(2) var<storage, read> residual: array<u64>;     // as output
@group(0) @binding(3) var<storage, read_write> output: array<u64>; // N K Z P Q, two elements each

fn store_block(start: u32, k: u32, p0: i32, q0: i32, sums: ptr<function, array<f32, BLOCK_P * BLOCK_Q>>) {
    for (var i = 0u; i < BLOCK_P; i++) {
        let p = p0 + i32(i);
        if p < params.height.output {
            let first = (params.y_base + start + u32(p * params.width.output + q0)) / 2u;
            for (var j = 0u; j < BLOCK_Q / 2u; j++) {
                var r = vec2<f32>();
                if HAS_RESIDUAL != 0u {
                    r = half_quad(residual[first + j]);
                }
                let at = i * BLOCK_Q + 2u * j;
                output[first + j] = as_half(vec2<f32>(finish(k, (*sums)[at], r.x), finish(k, (*sums)[at + 1u], r.y)));
            }
        }
    }
}
