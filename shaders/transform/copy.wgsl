// Strided copy. ROWS 0: one element per invocation. ROWS 1: a workgroup copies a part of one row, which runs along the last
// axis, so that the other coordinates are decoded once for all its threads.

//@use transform/axes.wgsl
//@use lib/item_range.wgsl

override ROWS: u32 = 0u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    if ROWS == 0u {
        let item = group * 64u + local;
        if item < params.items {
            let at = offsets(item, RANK);
            output[at.y] = x[at.x];
        }
        return;
    }
    let row = group / params.row_parts;
    if row >= params.items {
        return;
    }
    let axis = params.axes[RANK - 1u];
    let at = offsets(row, RANK - 1u);
    let first = (group - row * params.row_parts) * params.row_part;
    let range = item_range(local, first, params.row_part, axis.extent);
    for (var c = range.begin; c < range.end; c += TOGETHER) {
        output[at.y + c * axis.y_stride] = x[at.x + i32(c) * axis.x_stride];
    }
}
