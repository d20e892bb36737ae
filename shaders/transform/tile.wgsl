// Strided copy of 32 x 32 tiles through workgroup memory. Axis p, the last but one, is contiguous in x; axis q, the last, is
// contiguous in y. Threads run along p while they read and along q while they write, so both sides are contiguous.

//@use transform/axes.wgsl

const TILE: u32 = 32u;
// Rows of a tile that the 256 invocations move at once.
const STEP: u32 = 8u;

// One column of padding, so that neighbouring threads never meet in one bank of workgroup memory.
var<workgroup> tile: array<Elem, 1056>; // TILE x (TILE + 1)

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    let tiles = params.tiles_p * params.tiles_q;
    let plane = group / tiles;
    // Uniform: all of a workgroup leaves or stays for the barrier.
    if plane >= params.items {
        return;
    }
    let place = group - plane * tiles;
    let p_axis = params.axes[RANK - 2u];
    let q_axis = params.axes[RANK - 1u];
    let p0 = place / params.tiles_q * TILE;
    let q0 = place % params.tiles_q * TILE;
    let at = plane_offsets(plane);
    let thread = local % TILE;
    let line = local / TILE;

    for (var q = line; q < TILE; q += STEP) {
        if (p0 + thread < p_axis.extent) & (q0 + q < q_axis.extent) {
            tile[q * (TILE + 1u) + thread] = x[at.x + i32(p0 + thread) * p_axis.x_stride + i32(q0 + q) * q_axis.x_stride];
        }
    }
    workgroupBarrier();
    for (var p = line; p < TILE; p += STEP) {
        if (p0 + p < p_axis.extent) & (q0 + thread < q_axis.extent) {
            output[at.y + (p0 + p) * p_axis.y_stride + (q0 + thread) * q_axis.y_stride] = tile[thread * (TILE + 1u) + p];
        }
    }
}

// With p and q alone there is one plane, and axis 0 is p: plane 0 of it adds nothing.
fn plane_offsets(plane: u32) -> Offsets {
    return offsets(plane, RANK - 2u);
}
