// The first k elements of each line in an order, and their indices: x as [outer][length][inner] gives [outer][k][inner].
//
// SORT 0: an element per invocation counts those of its line that come before it, and goes to that place where it is among the first k.
// SORT 1: a workgroup sorts CHUNK candidates of a line in workgroup memory and keeps the first k, until a single chunk is left: in each call but the first the
// candidates are what the one before kept. Prelude: alias Elem, CHUNK (a power of two from 128 on), WG_SIZE.

//@use lib/number.wgsl

// Twin of TopKParams in src/shader/uniforms.rs.
struct TopKParams {
    length: u32,     // of a line of x
    inner: u32,
    k: u32,
    items: u32,      // elements of x, or workgroups
    candidates: u32, // of a line in this call
    chunks: u32,     // of a line in this call
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: TopKParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
//@if BOUND_2
@group(0) @binding(2) var<storage, read> kept: array<vec2<u32>>; // by line: a candidate's number and its index
//@end
//@if BOUND_3
@group(0) @binding(3) var<storage, read_write> keeps: array<vec2<u32>>;
//@else
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;
@group(0) @binding(5) var<storage, read_write> output_indices: array<u32>;
//@end

// 1: the smallest first.
override SMALLEST: u32 = 0u;

// Of what fills a chunk up: behind all others.
const NOTHING: vec2<u32> = vec2<u32>(0u, 0xffffffffu);

// Whole numbers of which the larger comes first; every NaN is above all numbers.
fn key(v: f32) -> u32 {
    let up = select(bitcast<u32>(in_order(v)) ^ 0x80000000u, 0xffffffffu, is_nan(v));
    return select(up, ~up, SMALLEST != 0u);
}

fn is_before(a: vec2<u32>, b: vec2<u32>) -> bool {
    return (a.x > b.x) | ((a.x == b.x) & (a.y < b.y));
}

// Element `i` of a line of x.
fn place(line: u32, i: u32, length: u32) -> u32 {
    let outer = line / params.inner;
    return (outer * length + i) * params.inner + (line - outer * params.inner);
}

//@if SORT
var<workgroup> sorted: array<vec2<u32>, CHUNK>;

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let group = group_id.y * group_count.x + group_id.x;
    let line = min(group, params.items - 1u) / params.chunks;
    let chunk = min(group, params.items - 1u) - line * params.chunks;
    for (var i = local_id.x; i < CHUNK; i += WG_SIZE) {
        let candidate = chunk * CHUNK + i;
        let own = min(candidate, params.candidates - 1u);
//@if BOUND_2
        let pair = kept[line * params.candidates + own];
//@else
        let pair = vec2<u32>(key(f32(x[place(line, own, params.length)])), own);
//@end
        sorted[i] = select(NOTHING, pair, vec2<bool>(candidate < params.candidates));
    }
    workgroupBarrier();
    for (var run = 2u; run <= CHUNK; run *= 2u) {
        for (var apart = run / 2u; apart > 0u; apart /= 2u) {
            for (var i = local_id.x; i < CHUNK / 2u; i += WG_SIZE) {
                let low = 2u * i - (i & (apart - 1u));
                let a = sorted[low];
                let b = sorted[low + apart];
                let is_wrong = is_before(b, a) == ((low & run) == 0u);
                if is_wrong {
                    sorted[low] = b;
                    sorted[low + apart] = a;
                }
            }
            workgroupBarrier();
        }
    }
    if group < params.items {
        for (var i = local_id.x; i < params.k; i += WG_SIZE) {
            let pair = sorted[i];
//@if BOUND_3
            keeps[group * params.k + i] = pair;
//@else
            let to = place(line, i, params.k);
            output[to] = x[place(line, pair.y, params.length)];
            output_indices[to] = pair.y;
//@end
        }
    }
}
//@else
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let row = item / params.inner;
    let line = row / params.length * params.inner + (item - row * params.inner);
    let i = row % params.length;
    let first = place(line, 0u, params.length);
    let own = vec2<u32>(key(f32(x[item])), i);
    var rank = 0u;
    for (var other = 0u; other < params.length; other++) {
        rank += u32(is_before(vec2<u32>(key(f32(x[first + other * params.inner])), other), own));
    }
    if rank < params.k {
        let to = place(line, rank, params.k);
        output[to] = x[item];
        output_indices[to] = i;
    }
}
//@end
