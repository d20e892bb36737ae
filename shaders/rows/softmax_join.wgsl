// Softmax where no binding holds the lines with those beside them, first two walks of three: some elements of every line at a time, as
// [length][inner], join the maximum of their line, or its sum of e^(x - maximum), in what the parts before them left.
// Prelude: alias Elem, WG_SIZE, ROW_THREADS.

//@use rows/softmax_params.wgsl
//@use lib/row_threads.wgsl

@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>; // the maxima, then the sums

// 1: the sums, 0: the maxima.
override SUMS: u32 = 0u;
// 1: no part was before.
override FIRST: u32 = 0u;

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let at = thread_of(local_id.x);
    let item = (group_id.y * group_count.x + group_id.x) * LINES + at.line;
    // Past the last line, the last one again without storing: every invocation must reach the barriers.
    let stores = (item < params.items) & (at.thread == 0u);
    let line = min(item, params.items - 1u);
    let start = params.base + line;
    if SUMS == 0u {
        var largest = f32(x[start + min(at.thread, params.length - 1u) * params.inner]);
        for (var i = at.thread + ROW_THREADS; i < params.length; i += ROW_THREADS) {
            largest = larger(largest, f32(x[start + i * params.inner]));
        }
        largest = join_max(at, largest);
        if stores {
            if FIRST == 0u {
                largest = larger(largest, state[line]);
            }
            state[line] = largest;
        }
    } else {
        let largest = state[line];
        var sum = 0.0;
        for (var i = at.thread; i < params.length; i += ROW_THREADS) {
            sum += exp_or_nan(f32(x[start + i * params.inner]) - largest);
        }
        sum = join_sum(at, sum);
        if stores {
            if FIRST == 0u {
                sum += state[params.inner + line];
            }
            state[params.inner + line] = sum;
        }
    }
}
