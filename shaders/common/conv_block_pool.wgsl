// Takes the place of conv_block_store.wgsl where a pool follows: stores one value for every window of POOL_H x POOL_W outputs of the
// block. The same as storing the outputs and pooling them by pool.wgsl: each is rounded as it would be stored, windows are read row by
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
