// Matmul with few rows (SWAPPED = 0: a is short) or few columns (SWAPPED = 1: b is short): memory for the long operand is what it
// costs, so each of its elements is read once and multiplied by all SHORT lines of the short one.
//
// ROW_THREADS invocations share the depth of one line of the long operand and sum up by a fixed tree; a workgroup of 64 owns 64 / ROW_THREADS
// lines. Prelude: alias Elem, SHORT (1 to 4), ROW_THREADS (a power of two, at most 64).

//@use matmul/store_element.wgsl

@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;

override SWAPPED: u32 = 0u;
// 1: neighbouring invocations take neighbouring steps of the depth, as a long operand that is contiguous along it wants.
override DEPTH_FASTEST: u32 = 0u;

const LINES: u32 = 64u / ROW_THREADS;

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    var thread = local / LINES;
    var place = local - thread * LINES;
    if DEPTH_FASTEST != 0u {
        place = local / ROW_THREADS;
        thread = local - place * ROW_THREADS;
    }
    // 1. Which line of the long operand. Past the last one, the last one again: every invocation must reach the barriers.
    let item = (group_id.y * group_count.x + group_id.x) * LINES + place;
    let exists = item < params.items;
    let line = min(item, params.items - 1u);
    let long = select(params.n, params.m, SWAPPED != 0u);
    let number = line / long;
    let i = line - number * long;
    let at = batch_offsets(number);

    // 2. This thread's part of the depth.
    var sums: array<f32, SHORT>;
    for (var s = 0u; s < SHORT; s++) {
        sums[s] = 0.0;
    }
    if SWAPPED == 0u {
        for (var k = thread; k < params.k; k += ROW_THREADS) {
            let v = f32(b[at.y + i * params.b_stride_n + k * params.b_stride_k]);
            for (var s = 0u; s < SHORT; s++) {
                sums[s] = fma(v, f32(a[at.x + s * params.a_stride_m + k * params.a_stride_k]), sums[s]);
            }
        }
    } else {
        for (var k = thread; k < params.k; k += ROW_THREADS) {
            let v = f32(a[at.x + i * params.a_stride_m + k * params.a_stride_k]);
            for (var s = 0u; s < SHORT; s++) {
                sums[s] = fma(v, f32(b[at.y + s * params.b_stride_n + k * params.b_stride_k]), sums[s]);
            }
        }
    }

    // 3. The tree over the threads, and the outputs by thread 0.
    for (var s = 0u; s < SHORT; s++) {
        var sum = sums[s];
        if ROW_THREADS > 1u {
            partial[place * ROW_THREADS + thread] = sum;
            workgroupBarrier();
            for (var half = ROW_THREADS / 2u; half > 0u; half /= 2u) {
                if thread < half {
                    partial[place * ROW_THREADS + thread] += partial[place * ROW_THREADS + thread + half];
                }
                workgroupBarrier();
            }
            sum = partial[place * ROW_THREADS];
            workgroupBarrier();
        }
        if exists & (thread == 0u) {
            let row = select(s, i, SWAPPED != 0u);
            let column = select(i, s, SWAPPED != 0u);
            store_element(number, at.z, row, column, sum);
        }
    }
}
