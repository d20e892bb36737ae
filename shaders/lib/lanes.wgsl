// Lines that several invocations share: LANES of them walk one line, and a fixed tree in workgroup memory joins what they found, so that
// two runs give the same bits. With LANES = 1 there is neither tree nor barrier.
//
// A workgroup of WG_SIZE invocations owns WG_SIZE / LANES lines. Prelude: WG_SIZE, LANES (powers of two). Call the
// joins in uniform control flow.

//@use lib/number.wgsl

const LINES: u32 = WG_SIZE / LANES;

// 1: neighbouring invocations take neighbouring elements of a line (lines contiguous in memory), 0: neighbouring lines.
override LANE_FASTEST: u32 = 0u;

var<workgroup> joined: array<f32, WG_SIZE>;

// Which of the workgroup's lines, and which lane of it.
struct Lane {
    line: u32,
    lane: u32,
}

fn lane_of(local: u32) -> Lane {
    var lane = local / LINES;
    var line = local - lane * LINES;
    if LANE_FASTEST != 0u {
        line = local / LANES;
        lane = local - line * LANES;
    }
    return Lane(line, lane);
}

// The larger one; NaN wins.
fn larger(a: f32, b: f32) -> f32 {
    return select(b, a, (a > b) | is_nan(a));
}

fn join_sum(at: Lane, v: f32) -> f32 {
    if LANES == 1u {
        return v;
    }
    let first = at.line * LANES;
    joined[first + at.lane] = v;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if at.lane < half {
            joined[first + at.lane] += joined[first + at.lane + half];
        }
        workgroupBarrier();
    }
    let sum = joined[first];
    workgroupBarrier(); // before the next join writes
    return sum;
}

fn join_max(at: Lane, v: f32) -> f32 {
    if LANES == 1u {
        return v;
    }
    let first = at.line * LANES;
    joined[first + at.lane] = v;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if at.lane < half {
            joined[first + at.lane] = larger(joined[first + at.lane], joined[first + at.lane + half]);
        }
        workgroupBarrier();
    }
    let best = joined[first];
    workgroupBarrier();
    return best;
}
