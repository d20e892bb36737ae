// The range of an operand of a product: the largest magnitude of its lines (rows of a, columns of b, pixels of an image), and that of the line
// whose own largest magnitude is least, among those that are not all zeros. Both as bits, which are ordered as the magnitudes are, with an infinity
// above all numbers and a NaN above that. ROW_THREADS invocations walk a line; a workgroup gives one pair. Prelude: WG_SIZE, ROW_THREADS.

//@use lib/row_threads.wgsl
//@use lib/strided_axis.wgsl
//@use gemm/line_range.wgsl

// Twin of MagnitudeParams in src/shader/uniforms.rs. Strides count elements.
struct MagnitudeParams {
    batch: array<OperandAxis, 3>, // lines: three axes, of which the first strides count,
    base: u32,                    // from here on,
    lines: u32,                   // so many a product of the batch,
    line_stride: u32,
    items: u32,                   // and so many in all
    length: u32,                  // elements of a line
    stride: u32,
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: MagnitudeParams;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<vec2<u32>>; // largest, least

fn line_start(item: u32) -> u32 {
    let product = item / params.lines;
    var rest = product;
    var at = 0;
    for (var i = 0u; i < 3u; i++) {
        let axis = params.batch[2u - i];
        let outer = rest / axis.extent;
        at += i32(rest - outer * axis.extent) * axis.strides.x;
        rest = outer;
    }
    return params.base + u32(at) + (item - product * params.lines) * params.line_stride;
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let at = thread_of(local);
    let group = group_id.y * group_count.x + group_id.x;
    // Past the last line, the last one again: it changes neither.
    let start = line_start(min(group * LINES + at.line, params.items - 1u));
    var largest = 0.0;
    for (var i = at.thread; i < params.length; i += ROW_THREADS) {
        largest = larger(abs(x[start + i * params.stride]), largest);
    }
    let bits = bitcast<u32>(join_max(at, largest));
    let joined = join_ranges(local, vec2<u32>(bits, select(bits, NO_LINE, bits == 0u)));
    if (local == 0u) & (group * LINES < params.items) {
        output[group] = joined;
    }
}
