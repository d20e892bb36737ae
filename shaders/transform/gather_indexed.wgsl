// y[outer][row][inner] is x[outer][place][inner] at the place that the row of indices names, 0 where it names none. One output per invocation. Where x does
// not fit a binding, each call has some places and leaves the outputs of the others alone. Prelude: alias Elem, NUMBERS, FLOATS.

//@use transform/index_rows.wgsl

@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let line = item / params.inner;
    let inner = item - line * params.inner;
    let outer = line / params.rows;
    let row = line - outer * params.rows;
    let place = place_of(params.index_base + outer * params.step_outer + row * params.step_row + inner * params.step_inner);
    let bound = place - params.first_place;
    if (place >= params.first_place) & (bound < params.places) {
        output[params.y_base + item] = x[params.x_base + (outer * params.places + bound) * params.inner + inner];
    } else if (place == NOWHERE) & (params.first_place == 0u) {
        output[params.y_base + item] = Elem();
    }
}
