// What the pooling kernels share: the taps of a window along one axis, and how elements join. `params` has `power` and `inverse`.

//@use lib/axis.wgsl
//@use lib/number.wgsl

// 0 max, 1 average, 2 Lp with p = 1, 3 Lp with p = 2, 4 Lp with any p.
override KIND: u32 = 0u;
// 1: window o of n outputs over m elements is floor(o m / n) .. ceil((o + 1) m / n). Of an axis that is part of one, taps has n, stride m, pad the first
// output of the part and pad_end its first element.
override ADAPTIVE: u32 = 0u;
// 1: an average divides by the elements inside the padded plane.
override COUNT_INCLUDE_PAD: u32 = 0u;
// 0: windows without dilation, whose arithmetic needs no division.
override DILATED: u32 = 0u;
// 1: all taps of all windows lie inside the input, so that none needs a test.
override WHOLE: u32 = 0u;

// Bits of -infinity: what a window that sees padding alone gives. A variable, since WGSL refuses to evaluate it as a constant.
var<private> LOWEST: u32 = 0xff800000u;

// The taps of one axis that lie inside the input.
struct Taps {
    first: i32,   // coordinate of the first one
    count: i32,
    divisor: i32, // how many an average counts
}

// ceil(v / dilation) for v >= 0.
fn steps(axis: Axis, v: i32) -> i32 {
    var n = v;
    if DILATED != 0u {
        n = (v + axis.dilation - 1) / axis.dilation;
    }
    return n;
}

// `known` taps of the window, or 0: as the axis has them.
fn window_taps(axis: Axis, known: u32, o: i32) -> Taps {
    var taps: Taps;
    if ADAPTIVE != 0u {
        let own = o + axis.pad;
        let first = own * axis.stride / axis.taps;
        let end = ((own + 1) * axis.stride + axis.taps - 1) / axis.taps;
        taps = Taps(first - axis.pad_end, end - first, end - first);
    } else {
        let total = select(axis.taps, i32(known), known != 0u);
        let start = o * axis.stride - axis.pad;
        if WHOLE != 0u {
            taps = Taps(start, total, total);
        } else {
            let skipped = steps(axis, max(0, -start));
            let inside = min(total, steps(axis, max(0, axis.input - start)));
            let padded = min(total, steps(axis, axis.input + axis.pad_end - start));
            taps.first = start + skipped * axis.dilation;
            taps.count = max(0, inside - skipped);
            taps.divisor = select(taps.count, padded, COUNT_INCLUDE_PAD != 0u);
        }
    }
    return taps;
}

// The input coordinate of an iteration; an idle one repeats the last tap, or a coordinate that exists where there is none.
fn coordinate(taps: Taps, axis: Axis, iteration: i32) -> i32 {
    var at = taps.first + iteration * axis.dilation;
    if WHOLE == 0u {
        at = clamp(taps.first + min(iteration, taps.count - 1) * axis.dilation, 0, axis.input - 1);
    }
    return at;
}

// What joins without any effect: -infinity at a maximum, which begins as that, and 0 at a sum.
fn neutral() -> f32 {
    return select(0.0, bitcast<f32>(LOWEST), KIND == 0u);
}

// Of equal maxima the first is kept, and a NaN wins over everything. An average sums in units of a power of two (`power`) that no sum of its
// window overflows.
fn join(sum: f32, v: f32) -> f32 {
    var joined = sum;
    switch KIND {
        case 0u: { joined = select(sum, v, (v > sum) | (is_nan(v) & !is_nan(sum))); }
        case 1u: { joined += opaque(v * params.power, params.items >> 31u); }
        case 2u: { joined += abs(v); }
        case 3u: { joined = fma(v, v, sum); }
        default: { joined += power(abs(v), params.power); }
    }
    return joined;
}

fn pooled(sum: f32, divisor: i32) -> f32 {
    var value = sum;
    switch KIND {
        case 1u: { value = sum / (f32(divisor) * params.power); }
        case 3u: { value = sqrt(sum); }
        case 4u: { value = power(sum, params.inverse); }
        default: {}
    }
    return value;
}
