// Where the largest element of each line stands: x as [outer][total][inner] gives [outer][inner] indices along the axis. Of equal elements
// the first (or the last) wins, NaN wins over everything. Prelude: alias Elem, AXES (of y's strided axes), WG_SIZE, ROW_THREADS, PARTS.
//
// PARTS: no binding holds the lines with those beside them. Some elements of every line at a time, as [length][inner], join the best of their line in what
// the parts before them left; the last one stores the indices.

//@use rows/reduce_params.wgsl
//@use lib/row_threads.wgsl

@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
//@if PARTS
@group(0) @binding(3) var<storage, read_write> state: array<vec2<u32>>; // of each line the bits of the best value, and its index

override FIRST: u32 = 0u; // 1: no part was before
override LAST: u32 = 0u;  // 1: no part is after
//@end

// 1: of equal elements the last.
override SELECT_LAST: u32 = 0u;

var<workgroup> joined_index: array<u32, WG_SIZE>;

struct Best {
    value: f32,
    index: u32,
}

fn better(a: Best, b: Best) -> Best {
    let both_nan = is_nan(a.value) & is_nan(b.value);
    let equal = both_nan | (a.value == b.value);
    let earlier = select((a.index < b.index), (a.index > b.index), SELECT_LAST != 0u);
    let wins = (equal & earlier) | (!equal & ((a.value > b.value) | is_nan(a.value)));
    return Best(select(b.value, a.value, wins), select(b.index, a.index, wins));
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let at = thread_of(local_id.x);
    let item = params.first_item + (group_id.y * group_count.x + group_id.x) * LINES + at.line;
    let line = min(item, params.items - 1u);
    let outer = line / params.inner;
    let inner = line - outer * params.inner;
    let start = (outer * params.total + params.first) * params.inner + inner - params.x_first;
    let own = min(at.thread, params.length - 1u);
    var best = Best(f32(x[start + own * params.inner]), params.first + own);
    for (var i = at.thread + ROW_THREADS; i < params.length; i += ROW_THREADS) {
        best = better(Best(f32(x[start + i * params.inner]), params.first + i), best);
    }
    if ROW_THREADS > 1u {
        let first = at.line * ROW_THREADS;
        joined[first + at.thread] = best.value;
        joined_index[first + at.thread] = best.index;
        workgroupBarrier();
        for (var half = ROW_THREADS / 2u; half > 0u; half /= 2u) {
            if at.thread < half {
                let a = first + at.thread;
                best = better(Best(joined[a + half], joined_index[a + half]), Best(joined[a], joined_index[a]));
                joined[a] = best.value;
                joined_index[a] = best.index;
            }
            workgroupBarrier();
        }
    }
    if (item < params.items) & (at.thread == 0u) {
//@if PARTS
        if FIRST == 0u {
            best = better(best, Best(bitcast<f32>(state[inner].x), state[inner].y));
        }
        state[inner] = vec2<u32>(bitcast<u32>(best.value), best.index);
        if LAST == 0u {
            return;
        }
//@end
        output[u32(strided_offsets(item, AXES).z)] = best.index;
    }
}
