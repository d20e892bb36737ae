// Layer, group and instance normalisation: y = (x - mean) / sqrt(variance + epsilon) scale + bias over each row. A row has two strided axes, A x B
// elements; a line of ROW_THREADS invocations walks it three times: a first mean, the centred mean and variance, the results.
// Prelude: alias Elem, WG_SIZE, ROW_THREADS.
//
// Differences are taken from the row's first element, so that a constant row has no rounding at all; what the first mean errs by is the mean of
// the differences from it, and is subtracted (the corrected two-pass algorithm: Chan, Golub and LeVeque, Algorithms for computing the sample
// variance, 1983). Powers of two keep sums and squares inside f32, however large or small a row's numbers are.

//@use lib/row_threads.wgsl

// Twin of NormParams in src/shader/uniforms.rs. Strides count elements.
struct NormParams {
    items: u32,         // rows
    row_inner: u32,     // rows that lie interleaved: row r is row_inner rows of outer stride, then r % row_inner of inner stride
    outer_stride: u32,
    inner_stride: u32,
    a_stride: u32,
    b_extent: u32,
    b_stride: u32,
    length: u32,        // A x B
    scale_row: u32,     // where a row begins in scale and bias: (r % row_inner) scale_row
    scale_a: u32,
    scale_b: u32,
    epsilon: f32,
    base: u32,            // first elements of a slice, of x and y
    statistics_base: u32, // and of the statistics
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: NormParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
//@if BOUND_2
@group(0) @binding(2) var<storage, read> scale: array<Elem>;
//@else
var<private> scale: array<Elem, 1>; // nothing is bound
//@end
//@if BOUND_3
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
//@else
var<private> bias: array<Elem, 1>; // nothing is bound
//@end
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

//@if STATISTICS
// Each row's mean and inverse standard deviation are given too.
@group(0) @binding(5) var<storage, read_write> output_mean: array<Elem>;
@group(0) @binding(6) var<storage, read_write> output_inverse: array<Elem>;

fn store_statistics(row: u32, mean: f32, inverse: f32) {
    output_mean[params.statistics_base + row] = Elem(mean);
    output_inverse[params.statistics_base + row] = Elem(inverse);
}
//@else
fn store_statistics(row: u32, mean: f32, inverse: f32) {}
//@end

override HAS_SCALE: u32 = 0u;
override HAS_BIAS: u32 = 0u;
// 1: element i of a row lies i b_stride after its first, so that the walk needs no division.
override STRAIGHT: u32 = 0u;

const DOWN: f32 = 1.16415322e-10; // 2^-33

var<workgroup> joined_sums: array<vec2<f32>, WG_SIZE>;

// Two sums at once, as `join_sum` of lib/row_threads.wgsl.
fn join_sums(at: Thread, v: vec2<f32>) -> vec2<f32> {
    if ROW_THREADS == 1u {
        return v;
    }
    let first = at.line * ROW_THREADS;
    joined_sums[first + at.thread] = v;
    workgroupBarrier();
    for (var half = ROW_THREADS / 2u; half > 0u; half /= 2u) {
        if at.thread < half {
            joined_sums[first + at.thread] += joined_sums[first + at.thread + half];
        }
        workgroupBarrier();
    }
    let sums = joined_sums[first];
    workgroupBarrier(); // before the next join writes
    return sums;
}

// Offset of element i of a row from its first, and of its scale from the row's first.
fn element(i: u32) -> vec2<u32> {
    let a = i / params.b_extent;
    let b = i - a * params.b_extent;
    return vec2<u32>(a * params.a_stride + b * params.b_stride, a * params.scale_a + b * params.scale_b);
}

fn element_offset(i: u32) -> u32 {
    var at = i * params.b_stride;
    if STRAIGHT == 0u {
        at = element(i).x;
    }
    return at;
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let at = thread_of(local_id.x);
    let item = (group_id.y * group_count.x + group_id.x) * LINES + at.line;
    // Past the last row, the last one again without storing: every invocation must reach the barriers.
    let exists = item < params.items;
    let row = min(item, params.items - 1u);
    let outer = row / params.row_inner;
    let inner = row - outer * params.row_inner;
    let start = params.base + outer * params.outer_stride + inner * params.inner_stride;

    // 1. The mean about the first element, in quarters, and once more in 2^-33 quarters, which no sum of 2^31 numbers overflows; and the
    // largest difference.
    let first = f32(x[start]);
    let zero = params.items >> 31u;
    let origin = opaque(0.25 * select(0.0, first, is_finite(first)), zero);
    var sums = vec2<f32>(0.0);
    var largest = 0.0;
    for (var i = at.thread; i < params.length; i += ROW_THREADS) {
        let d = fma(f32(x[start + element_offset(i)]), 0.25, -origin);
        sums += vec2<f32>(d, d * DOWN);
        largest = max(largest, abs(d));
    }
    let count = f32(params.length);
    let about = join_sums(at, sums);
    let near = 4.0 * (origin + select(about.x / count, about.y / count / DOWN, abs(about.x) > LARGEST));
    // Differences are taken in units of a power of two above the largest of them: or above epsilon's root, or so far below the numbers themselves
    // that none of them leaves f32, where those are larger.
    let above = max(exponent_of(join_max(at, largest)) + 3, max(exponent_of(params.epsilon) >> 1u, exponent_of(first) - 30));
    let unit = clamp(above, -126, 126);
    let shrink = power_of_two(-unit);

    // 2. What the first mean errs by, and the variance.
    let base = opaque(near * shrink, zero);
    sums = vec2<f32>(0.0);
    for (var i = at.thread; i < params.length; i += ROW_THREADS) {
        let d = fma(f32(x[start + element_offset(i)]), shrink, -base);
        sums += vec2<f32>(d, d * d);
    }
    let moments = join_sums(at, sums) / count;
    let difference = moments.y - moments.x * moments.x;
    let variance = not_below_zero(difference);
    // Epsilon vanishes beside the variance of a row that is not constant; beside a variance of 0 it may not.
    let epsilon = max(params.epsilon * shrink * shrink, select(0.0, 1.2e-38, params.epsilon > 0.0));
    let inverse = inverseSqrt(variance + epsilon);

    // 3. The results.
    if exists {
        for (var i = at.thread; i < params.length; i += ROW_THREADS) {
            let place = element(i);
            let from_scale = inner * params.scale_row + place.y;
            var y = (opaque(fma(f32(x[start + place.x]), shrink, -base), zero) - moments.x) * inverse;
            if HAS_SCALE != 0u {
                y *= f32(scale[from_scale]);
            }
            if HAS_BIAS != 0u {
                y += f32(bias[from_scale]);
            }
            output[start + place.x] = Elem(y);
        }
        if at.thread == 0u {
            let mean = select(near, fma(moments.x, power_of_two(unit), near), is_finite(near));
            store_statistics(row, mean, inverse * shrink);
        }
    }
}
