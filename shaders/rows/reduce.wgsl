// One pass of a reduction: x as [outer][total][inner] becomes [outer][chunks][inner], each chunk `length` neighbours along the axis, the last
// one fewer. One line of ROW_THREADS invocations per result.
// Prelude: alias Elem, AXES (of y's strided axes), WG_SIZE, ROW_THREADS.

//@use rows/reduce_params.wgsl
//@use lib/row_threads.wgsl

// What a pass reads and writes: a single pass what is stored, the first of several f32 sums, the last of several from those.
//@if PASS == 1
alias Source = Elem;
alias Target = f32;
//@elif PASS == 2
alias Source = f32;
alias Target = Elem;
//@else
alias Source = Elem;
alias Target = Elem;
//@end

@group(0) @binding(1) var<storage, read> x: array<Source>;
@group(0) @binding(2) var<storage, read_write> output: array<Target>;

// 0 sum, 1 max, 2 min (the largest of the negative numbers, negative), 3 product.
override KIND: u32 = 0u;
override MEAN: u32 = 0u;

fn join_product(at: Thread, v: f32) -> f32 {
    if ROW_THREADS == 1u {
        return v;
    }
    let first = at.line * ROW_THREADS;
    joined[first + at.thread] = v;
    workgroupBarrier();
    for (var half = ROW_THREADS / 2u; half > 0u; half /= 2u) {
        if at.thread < half {
            joined[first + at.thread] *= joined[first + at.thread + half];
        }
        workgroupBarrier();
    }
    return joined[first];
}

// What is compared, and back.
fn turned(v: f32) -> f32 {
    return select(v, bitcast<f32>(bitcast<u32>(v) ^ 0x80000000u), KIND == 2u);
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let at = thread_of(local_id.x);
    let item = params.first_item + (group_id.y * group_count.x + group_id.x) * LINES + at.line;
    // Past the last result, the last one again: every invocation must reach the barriers.
    let line = min(item, params.items - 1u);
    let row = line / params.inner;
    let column = line - row * params.inner;
    let outer = row / params.chunks;
    let first = (row - outer * params.chunks) * params.length;
    let count = min(params.length, params.total - first);
    let start = (outer * params.total + first) * params.inner + column - params.x_first;
    var value = 0.0;
    if KIND == 0u {
        for (var i = at.thread; i < count; i += ROW_THREADS) {
            value += opaque(f32(x[start + i * params.inner]) * params.unit, params.items >> 31u);
        }
        value = join_sum(at, value);
        if MEAN != 0u {
            value /= params.divisor;
        }
    } else if KIND == 3u {
        value = 1.0;
        for (var i = at.thread; i < count; i += ROW_THREADS) {
            value *= f32(x[start + i * params.inner]);
        }
        value = join_product(at, value);
    } else {
        value = turned(f32(x[start + min(at.thread, count - 1u) * params.inner]));
        for (var i = at.thread + ROW_THREADS; i < count; i += ROW_THREADS) {
            value = larger(value, turned(f32(x[start + i * params.inner])));
        }
        value = turned(join_max(at, value));
    }
    if (item < params.items) & (at.thread == 0u) {
        output[u32(strided_offsets(item, AXES).z)] = Target(value);
    }
}
