// How a depthwise block reads a row of the input.

//@use conv/problem.wgsl

//@if PAIRS
//@use lib/vec4_io.wgsl
// Two elements at a time: where rows have an even length, the input is channels-first, and what lies outside it is zero.
// Prelude: ODD: 1 where the padding before a row is odd, so that rows of a block begin between two halves; else 0.

@group(0) @binding(4) var<storage, read> x: array<u64>; // N C H W, two elements each

const HALVES: u32 = (COLUMNS + ODD + 1u) / 2u;

// Where each half lies in a row; one that lies outside reads the first one and counts as zeros.
struct Reach {
    offsets: array<u32, HALVES>,
    inside: array<bool, HALVES>,
}

fn reach_columns(first: i32) -> Reach {
    var reach: Reach;
    for (var j = 0u; j < HALVES; j++) {
        let ix = first - params.width.pad - i32(ODD) + 2 * i32(j);
        let inside = (ix >= 0) & (ix < params.width.input);
        reach.offsets[j] = select(0u, u32(ix), inside);
        reach.inside[j] = inside;
    }
    return reach;
}

fn read_line(reach: ptr<function, Reach>, row: u32, exists: bool) -> array<f32, COLUMNS> {
    var halves: array<f32, 2u * HALVES>;
    for (var j = 0u; j < HALVES; j++) {
        let half = select(vec2<f32>(), half_vec4(x[(row + (*reach).offsets[j]) / 2u]), (*reach).inside[j] & exists);
        halves[2u * j] = half.x;
        halves[2u * j + 1u] = half.y;
    }
    var line: array<f32, COLUMNS>;
    for (var j = 0u; j < COLUMNS; j++) {
        line[j] = halves[ODD + j];
    }
    return line;
}
//@else
// One element at a time.

@group(0) @binding(4) var<storage, read> x: array<Elem>; // N C H W, any strides

// Where each column lies in a row; one that lies outside reads the first element and counts as zero.
struct Reach {
    offsets: array<u32, COLUMNS>,
    inside: array<bool, COLUMNS>,
}

fn reach_columns(first: i32) -> Reach {
    var reach: Reach;
    for (var j = 0u; j < COLUMNS; j++) {
        let ix = block_coordinate(params.width, first + i32(j));
        reach.offsets[j] = u32(max(ix, 0)) * params.x_stride_p;
        reach.inside[j] = ix >= 0;
    }
    return reach;
}

fn read_line(reach: ptr<function, Reach>, row: u32, exists: bool) -> array<f32, COLUMNS> {
    var line: array<f32, COLUMNS>;
    for (var j = 0u; j < COLUMNS; j++) {
        line[j] = select(0.0, f32(x[row + (*reach).offsets[j]]), (*reach).inside[j] & exists);
    }
    return line;
}
//@end
