// How a depthwise block reads a row of the input, one element at a time.

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
