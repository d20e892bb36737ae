// y is x with updates: of the updates [outer][row][inner] whose row of indices names a place, all that are for an element are taken in the order of rows.
//
// Pass 0 copies x and clears, pass 1 finds the first and the last row that names each place by integer minima and maxima, which have no order; pass 2 finds
// the next row of the same place behind each row, and pass 3 follows those for each output. Of the last update alone there is no pass 2. Prelude: alias Elem, NUMBERS, FLOATS, PASS.

//@use lib/number.wgsl
//@use transform/index_rows.wgsl

//@if BOUND_1
@group(0) @binding(1) var<storage, read> x: array<Elem>;
//@end
//@if BOUND_2
@group(0) @binding(2) var<storage, read> indices: array<u32>;
//@else
var<private> indices: array<u32, 1>; // nothing is bound
//@end
//@if BOUND_3
@group(0) @binding(3) var<storage, read> updates: array<Elem>;
//@end
@group(0) @binding(4) var<storage, read_write> ends: array<atomic<u32>>; // by place: the first row, and 1 + the last row
//@if BOUND_5
@group(0) @binding(5) var<storage, read_write> output: array<Elem>;
//@end
//@if BOUND_6
@group(0) @binding(6) var<storage, read_write> next: array<u32>; // by row: the next one of its place, or the end
//@end

// 1 sum, 2 product, 3 maximum, 4 minimum.
override REDUCTION: u32 = 1u;

// The ends of a place. Places of all outer coordinates are one where all have the same indices, and so are those of all inner ones.
fn ends_of(outer: u32, place: u32, inner: u32) -> u32 {
    let own_outer = select(0u, outer, params.step_outer != 0u);
    let each = select(1u, params.inner, params.step_inner != 0u);
    let own_inner = select(0u, inner, params.step_inner != 0u);
    return 2u * ((own_outer * params.places + place) * each + own_inner);
}

// The row in a list of all of them.
fn row_of(outer: u32, row: u32, inner: u32) -> u32 {
    let own_outer = select(0u, outer, params.step_outer != 0u);
    let each = select(1u, params.inner, params.step_inner != 0u);
    return (own_outer * params.rows + row) * each + select(0u, inner, params.step_inner != 0u);
}

fn place_at(outer: u32, row: u32, inner: u32) -> u32 {
    let place = place_of(outer * params.step_outer + row * params.step_row + inner * params.step_inner) - params.first_place;
    return select(NOWHERE, place, place < params.places); // of another part of x, or none
}

fn joined(own: f32, v: f32) -> f32 {
    if REDUCTION == 1u {
        return own + v;
    }
    if REDUCTION == 2u {
        return own * v;
    }
    if REDUCTION == 3u {
        return select(own, v, ((v > own) | is_nan(v)) & !is_nan(own));
    }
    return select(own, v, ((v < own) | is_nan(v)) & !is_nan(own));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
//@if PASS == 0
    if item < params.rows { // here the count of ends
        atomicStore(&ends[item], select(0u, NOWHERE, item % 2u == 0u));
    }
    if item < params.places { // here the count of outputs
        output[item] = x[item];
    }
//@elif PASS != 3
    // An inner coordinate of its own only where indices have one.
    let each = select(1u, params.inner, params.step_inner != 0u);
    let line = item / each;
    let inner = item - line * each;
    let outer = line / params.rows;
    let row = line - outer * params.rows;
    let place = place_at(outer, row, inner);
    if place != NOWHERE {
        let at = ends_of(outer, place, inner);
//@if PASS == 1
        atomicMin(&ends[at], row);
        atomicMax(&ends[at + 1u], row + 1u);
//@else
        let end = atomicLoad(&ends[at + 1u]);
        var other = row + 1u;
        for (; other < end; other++) {
            if place_at(outer, other, inner) == place {
                break;
            }
        }
        next[item] = other;
//@end
    }
//@else
    let line = item / params.inner;
    let inner = item - line * params.inner;
    let outer = line / params.places;
    let at = ends_of(outer, line - outer * params.places, inner);
    let end = atomicLoad(&ends[at + 1u]);
    if end > 0u {
        let first = outer * params.rows;
//@if BOUND_6
        var own = f32(output[item]);
        for (var row = atomicLoad(&ends[at]); row < end; row = next[row_of(outer, row, inner)]) {
            own = joined(own, f32(updates[(first + row) * params.inner + inner]));
        }
        output[item] = Elem(own);
//@else
        output[item] = updates[(first + end - 1u) * params.inner + inner];
//@end
    }
//@end
}
