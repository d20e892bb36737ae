// Which taps an output of a convolution sums, and what they read, along one axis: forward and transposed.
//
// x[i] of a transposed convolution adds to y[i stride + tap dilation - pad]. So output o takes the taps for which stride divides o + pad - tap dilation:
// one, and every tap_step-th from it on; through the others it reads nothing. Outputs a stride apart take the same taps: they are a phase, and the
// phase is a convolution with stride 1. Twin of src/ops/conv/phases.rs.

//@use conv/problem.wgsl

// The taps of one output: `first`, and every tap_step-th from it on, `count` of them. Number j reads coordinate start + j step of the padded input.
struct Taps {
    first: i32,
    count: i32,
    start: i32,
    step: i32,
}

fn taps_of(axis: Axis, o: i32) -> Taps {
    if TRANSPOSED == 0u {
        return Taps(0, axis.taps, o * axis.stride - axis.pad, axis.dilation);
    }
    // What is left of o + pad by the stride, tap after tap.
    let reach = o + axis.pad;
    let less = axis.dilation % axis.stride;
    var left = reach % axis.stride;
    left += select(0, axis.stride, left < 0);
    let classes = min(axis.taps, axis.tap_step);
    // At most one of them hits.
    var first = classes;
    var count = 0;
    for (var tap = 0; tap < classes; tap++) {
        let hits = left == 0;
        first = select(first, tap, hits);
        count = select(count, (axis.taps - tap + axis.tap_step - 1) / axis.tap_step, hits);
        left -= less;
        left += select(0, axis.stride, left < 0);
    }
    return Taps(first, count, (reach - first * axis.dilation) / axis.stride, -(axis.dilation / (axis.stride / axis.tap_step)));
}

// The input coordinate that tap number j of an output reads, or -1 where it reads a zero.
fn tap_coordinate(axis: Axis, taps: Taps, j: i32) -> i32 {
    return padded_coordinate(taps.start + j * taps.step, axis.input);
}

// Phases of an axis.
fn phase_count(axis: Axis) -> i32 {
    return select(1, min(axis.stride, axis.output), TRANSPOSED != 0u);
}

// Outputs of the phase that begins with output `first`.
fn phase_outputs(axis: Axis, first: i32) -> i32 {
    return select(axis.output, (axis.output - first + axis.stride - 1) / axis.stride, TRANSPOSED != 0u);
}
