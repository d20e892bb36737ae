// Implicit GEMM: the right-hand matrix of windows is never built; each outer K step (tap) reads the input in place.
// The hook of conv/gemm.wgsl for any window, forward and transposed; joined with either tile core.

//@use conv/gemm.wgsl
//@use conv/right_hand_side.wgsl
//@use conv/store_columns.wgsl

fn column_source(column: Column, outer_step: u32) -> Source {
    // 1. Tap t, r, s.
    let s = u32(params.width.taps);
    let r = u32(params.height.taps);
    let line = outer_step / s;
    let t = line / r;
    let tap = vec3<i32>(i32(t), i32(line - t * r), i32(outer_step - line * s));
    // 2. Input coordinates, -1 in zero padding.
    let iz = tap_coordinate(params.depth, column.o.x, tap.x);
    let iy = tap_coordinate(params.height, column.o.y, tap.y);
    let ix = tap_coordinate(params.width, column.o.z, tap.z);
    // 3. Index; a source that does not exist points at the start of the plane, which does.
    let exists = column.exists & (min(iz, min(iy, ix)) >= 0);
    let offset = select(0u, plane_offset(iz, iy, ix), exists);
    return Source(column.x_start + offset * params.x_stride_p, exists);
}
