// How a kernel whose invocations own blocks of outputs stores one: store_block.

//@use conv/epilogue.wgsl

//@if PAIRS
//@use lib/vec4_io.wgsl
// The outputs of channel `k` that a block of BLOCK_P x BLOCK_Q has from (p0, q0) on, two neighbours at a time: where all of the block's columns
// exist and begin at an even element.

//@if BOUND_2
@group(0) @binding(2) var<storage, read> residual: array<u64>;     // as output
//@else
var<private> residual: array<u64, 1>; // nothing is bound
//@end
@group(0) @binding(3) var<storage, read_write> output: array<u64>; // N K Z P Q, two elements each

fn store_block(start: u32, k: u32, p0: i32, q0: i32, sums: ptr<function, array<f32, BLOCK_P * BLOCK_Q>>) {
    for (var i = 0u; i < BLOCK_P; i++) {
        let p = p0 + i32(i);
        if p < params.height.output {
            let first = (params.y_base + start + u32(p * params.width.output + q0)) / 2u;
            for (var j = 0u; j < BLOCK_Q / 2u; j++) {
                var r = vec2<f32>();
                if HAS_RESIDUAL != 0u {
                    r = half_vec4(residual[first + j]);
                }
                let at = i * BLOCK_Q + 2u * j;
                output[first + j] = as_half(vec2<f32>(finish(k, (*sums)[at], r.x), finish(k, (*sums)[at + 1u], r.y)));
            }
        }
    }
}
//@elif POOL
//@use conv/store_output.wgsl
// Where a pool follows: one value for every window of POOL_H x POOL_W outputs of the
// block. The same as storing the outputs and pooling them by pool/pool.wgsl: each is rounded as it would be stored, windows are read row by
// row, a NaN wins over everything and of equal maxima the first is kept. (A compiler may contract an output's last product with a mean's
// sum, which saves a rounding.) A mean sums the windows' parts, exact powers of two of its elements, so that it is finite where they are. A window that the plane's edge cuts is dropped.
//
// Prelude: POOL (1 maximum, 2 mean), POOL_H, POOL_W, which divide BLOCK_P and BLOCK_Q. There is no residual.

fn store_block(start: u32, k: u32, p0: i32, q0: i32, sums: ptr<function, array<f32, BLOCK_P * BLOCK_Q>>) {
    let rows = params.height.output / i32(POOL_H);
    let columns = params.width.output / i32(POOL_W);
    for (var i = 0u; i < BLOCK_P / POOL_H; i++) {
        let p = p0 / i32(POOL_H) + i32(i);
        for (var j = 0u; j < BLOCK_Q / POOL_W; j++) {
            let q = q0 / i32(POOL_W) + i32(j);
            if (p < rows) & (q < columns) {
                var pooled = 0.0;
                for (var r = 0u; r < POOL_H; r++) {
                    for (var s = 0u; s < POOL_W; s++) {
                        let v = f32(Elem(finish(k, (*sums)[(i * POOL_H + r) * BLOCK_Q + j * POOL_W + s], 0.0)));
                        let wins = (r + s == 0u) | (v > pooled) | (is_nan(v) & !is_nan(pooled));
                        pooled = select(pooled + opaque(v / f32(POOL_H * POOL_W), params.items >> 31u), select(pooled, v, wins), POOL == 1u);
                    }
                }
                output[params.y_base + start + u32(p * columns + q) * params.y_stride_p] = Elem(pooled);
            }
        }
    }
}
//@else
//@use conv/store_output.wgsl
// The outputs of channel `k` that a block of BLOCK_P x BLOCK_Q has from (p0, q0) on, those that exist.

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
//@end
