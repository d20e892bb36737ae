// Lines that several invocations share: ROW_THREADS of them walk one line, and a fixed tree in workgroup memory joins what they found, so that
// two runs give the same bits. With ROW_THREADS = 1 there is neither tree nor barrier.
//
// A workgroup of WG_SIZE invocations owns WG_SIZE / ROW_THREADS lines. Prelude: WG_SIZE, ROW_THREADS (powers of two). Call the
// joins in uniform control flow.

//@use lib/number.wgsl

const LINES: u32 = WG_SIZE / ROW_THREADS;

// 1: neighbouring invocations take neighbouring elements of a line (lines contiguous in memory), 0: neighbouring lines.
override THREAD_FASTEST: u32 = 0u;

var<workgroup> joined: array<f32, WG_SIZE>;

// Which of the workgroup's lines, and which thread of it.
struct Thread {
    line: u32,
    thread: u32,
}

fn thread_of(local: u32) -> Thread {
    var thread = local / LINES;
    var line = local - thread * LINES;
    if THREAD_FASTEST != 0u {
        line = local / ROW_THREADS;
        thread = local - line * ROW_THREADS;
    }
    return Thread(line, thread);
}

// The larger one; NaN wins.
fn larger(a: f32, b: f32) -> f32 {
    return select(b, a, (a > b) | is_nan(a));
}

fn join_sum(at: Thread, v: f32) -> f32 {
    if ROW_THREADS == 1u {
        return v;
    }
    let first = at.line * ROW_THREADS;
    joined[first + at.thread] = v;
    workgroupBarrier();
    for (var half = ROW_THREADS / 2u; half > 0u; half /= 2u) {
        if at.thread < half {
            joined[first + at.thread] += joined[first + at.thread + half];
        }
        workgroupBarrier();
    }
    let sum = joined[first];
    workgroupBarrier(); // before the next join writes
    return sum;
}

fn join_max(at: Thread, v: f32) -> f32 {
    if ROW_THREADS == 1u {
        return v;
    }
    let first = at.line * ROW_THREADS;
    joined[first + at.thread] = v;
    workgroupBarrier();
    for (var half = ROW_THREADS / 2u; half > 0u; half /= 2u) {
        if at.thread < half {
            joined[first + at.thread] = larger(joined[first + at.thread], joined[first + at.thread + half]);
        }
        workgroupBarrier();
    }
    let best = joined[first];
    workgroupBarrier();
    return best;
}
