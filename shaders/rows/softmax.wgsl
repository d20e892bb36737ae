// Softmax and log-softmax along one axis: x as [outer][length][inner]. A line of ROW_THREADS invocations walks the axis three times: the maximum,
// the sum of e^(x - maximum), the results. In place, each element is last read by the invocation that writes it.
// A line of -inf gives NaN, as -inf - -inf is. Prelude: alias Elem, WG_SIZE, ROW_THREADS.

//@use lib/source.wgsl
//@use rows/softmax_params.wgsl
//@use lib/row_threads.wgsl

alias Item = Elem; // of lib/source.wgsl

override LOGARITHM: u32 = 0u;

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let at = thread_of(local_id.x);
    let item = (group_id.y * group_count.x + group_id.x) * LINES + at.line;
    // Past the last line, the last one again without storing: every invocation must reach the barriers.
    let exists = item < params.items;
    let line = min(item, params.items - 1u);
    let outer = line / params.inner;
    let start = params.base + outer * params.length * params.inner + (line - outer * params.inner);

    var largest = f32(source_item(start + min(at.thread, params.length - 1u) * params.inner));
    for (var i = at.thread + ROW_THREADS; i < params.length; i += ROW_THREADS) {
        largest = larger(largest, f32(source_item(start + i * params.inner)));
    }
    largest = join_max(at, largest);
    var sum = 0.0;
    for (var i = at.thread; i < params.length; i += ROW_THREADS) {
        sum += exp_or_nan(f32(source_item(start + i * params.inner)) - largest);
    }
    sum = join_sum(at, sum);
    let log_sum = select(log(sum), sum, is_nan(sum));
    if exists {
        for (var i = at.thread; i < params.length; i += ROW_THREADS) {
            let d = f32(source_item(start + i * params.inner)) - largest;
            var y = d - log_sum;
            if LOGARITHM == 0u {
                y = exp_or_nan(d) / sum;
            }
            output[start + i * params.inner] = Elem(y);
        }
    }
}
