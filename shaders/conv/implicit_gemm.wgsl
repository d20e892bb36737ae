// Implicit GEMM: the right-hand matrix of windows is never built; each outer K step (tap) reads the input in place.
// The hook of conv/gemm.wgsl for any window, forward and transposed; joined with any tile core.

//@use conv/gemm.wgsl
//@use conv/right_hand_side.wgsl
//@use conv/store_columns.wgsl

fn column_source(taps: vec3<i32>, step: vec3<i32>, column: Column, outer_step: u32) -> Source {
    // 1. Tap t, r, s among those of the product, `taps` in all and `step` apart in the input. A phase may have none; a division by zero is undefined, and a compiler may conclude from it
    // that no phase has none (docs/drivers.md, NVIDIA).
    let s = max(u32(taps.z), 1u);
    let r = max(u32(taps.y), 1u);
    let line = outer_step / s;
    let t = line / r;
    let tap = vec3<i32>(i32(t), i32(line - t * r), i32(outer_step - line * s));
    // 2. Input coordinates, -1 in zero padding.
    let at = column.start + tap * step;
    let iz = padded_coordinate(at.x, params.depth.input);
    let iy = padded_coordinate(at.y, params.height.input);
    let ix = padded_coordinate(at.z, params.width.input);
    // 3. Index; a source that does not exist points at the start of the plane, which does.
    let exists = column.exists & (min(iz, min(iy, ix)) >= 0);
    let offset = select(0u, plane_offset(iz, iy, ix), exists);
    return Source(column.x_start + offset * params.x_stride_p, exists);
}
