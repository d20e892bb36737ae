// How a workgroup joins ranges: the largest of the largest, the least of the least. Prelude: WG_SIZE.

// The least of no line that is not all zeros.
const NO_LINE: u32 = 0xffffffffu;

var<workgroup> ranges: array<vec2<u32>, WG_SIZE>;

fn join_ranges(local: u32, range: vec2<u32>) -> vec2<u32> {
    ranges[local] = range;
    workgroupBarrier();
    for (var half = WG_SIZE / 2u; half > 0u; half /= 2u) {
        if local < half {
            let other = ranges[local + half];
            ranges[local] = vec2<u32>(max(ranges[local].x, other.x), min(ranges[local].y, other.y));
        }
        workgroupBarrier();
    }
    return ranges[0];
}
